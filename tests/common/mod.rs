//! A real daemon for tests: its own directory, configuration, socket and jobs, and waiting on conditions.
#![allow(dead_code, reason = "each suite uses its part")]
#![allow(clippy::unwrap_used, reason = "a test that finds nothing where something must be has failed")]

use std::fs::{self, File};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rotad::wire::Link;
use serde_json::Value;

/// A condition that has not come true by then never will.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether the tests run as root; if not, says so for the test that needs it.
pub fn root_or_skip(test: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("{test} skipped: why: it needs root");
    }
    root
}

/// Waits until `ready` answers, looking often; panics with `what` when it does not.
pub fn until<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ready() {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// The same for a plain yes.
pub fn until_true(what: &str, mut ready: impl FnMut() -> bool) {
    until(what, || ready().then_some(()));
}

/// The link of a daemon's engine, which is stopped: whoever has it can be any engine.
pub fn link_of(engine: i32) -> Link {
    Daemon::signal(engine, Signal::SIGSTOP);
    // SAFETY: plain system calls with integer arguments; each answers a new descriptor or -1, which `own` refuses.
    #[allow(unsafe_code, reason = "no crate at hand knows pidfd_getfd(2)")]
    let socket = unsafe {
        let own = |fd: i64| {
            assert!(fd >= 0, "{}", std::io::Error::last_os_error());
            OwnedFd::from_raw_fd(i32::try_from(fd).unwrap())
        };
        let process = own(libc::syscall(libc::SYS_pidfd_open, engine, 0));
        own(libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), 3, 0))
    };
    Link::from_socket(socket)
}

/// A daemon with a directory of its own, ended with the test.
pub struct Daemon {
    dir: tempfile::TempDir,
    child: Child,
}

/// What a daemon is started with.
pub struct Setup {
    dir: tempfile::TempDir,
    config: String,
    environment: Vec<(String, String)>,
    prefix: Vec<String>,
}

impl Setup {
    /// A directory with an empty `conf.d` and a configuration that `config` is added to.
    pub fn new(config: &str) -> Setup {
        let dir = tempfile::Builder::new().prefix("rotad-test-").tempdir().unwrap();
        // The engine's user reaches its state and its log files through it.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(dir.path().join("conf.d")).unwrap();
        Setup { dir, config: config.to_owned(), environment: Vec::new(), prefix: Vec::new() }
    }

    /// A file in `conf.d` before the daemon starts.
    pub fn job(self, name: &str, text: &str) -> Setup {
        write_job(&self.dir.path().join("conf.d"), name, text);
        self
    }

    /// More lines for the configuration.
    pub fn configure(mut self, lines: &str) -> Setup {
        self.config.push('\n');
        self.config.push_str(lines);
        self
    }

    /// A variable in the daemon's environment.
    pub fn env(mut self, key: &str, value: &str) -> Setup {
        self.environment.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Started by way of another program.
    pub fn through(mut self, prefix: &[&str]) -> Setup {
        self.prefix = prefix.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Starts the daemon; it may not be ready yet.
    pub fn spawn(self) -> Daemon {
        let at = |name: &str| self.dir.path().join(name);
        let base = self.dir.path().display();
        let named = |key: &str| self.config.lines().any(|line| line.starts_with(&format!("{key}:")));
        let mut config = self.config.clone();
        for (key, value) in [
            ("conf_d", format!("{base}/conf.d")),
            ("state_dir", format!("{base}/state")),
            ("socket", format!("{base}/run/rotad.sock")),
            // Many daemons run at once, and there is one 9999.
            ("port", "0".to_owned()),
            ("log", format!("{{dir: {base}/log}}")),
        ] {
            if !named(key) {
                config.push_str(&format!("\n{key}: {value}"));
            }
        }
        config.push('\n');
        fs::write(at("rotad.yaml"), config).unwrap();
        let program = env!("CARGO_BIN_EXE_rotad");
        let mut words = self.prefix.clone();
        words.extend([program.to_owned(), "-c".to_owned(), at("rotad.yaml").display().to_string()]);
        let child = Command::new(&words[0])
            .args(&words[1..])
            .envs(self.environment.iter().cloned())
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::null())
            .stdout(File::create(at("stdout")).unwrap())
            .stderr(File::create(at("stderr")).unwrap())
            .spawn()
            .unwrap();
        Daemon { dir: self.dir, child }
    }

    /// Starts the daemon and waits until it answers.
    pub fn start(self) -> Daemon {
        let daemon = self.spawn();
        daemon.ready();
        daemon
    }
}

fn write_job(conf_d: &Path, name: &str, text: &str) {
    // As a careful editor does: complete under another name, then renamed into place.
    let hidden = conf_d.join(format!(".{name}.new"));
    fs::write(&hidden, text).unwrap();
    fs::set_permissions(&hidden, fs::Permissions::from_mode(0o644)).unwrap();
    fs::rename(&hidden, conf_d.join(name)).unwrap();
}

impl Daemon {
    /// A daemon with these keys in its configuration.
    pub fn start(config: &str) -> Daemon {
        Setup::new(config).start()
    }

    /// Waits until the daemon answers and its first snapshot is armed.
    pub fn ready(&self) {
        until("the daemon answers", || self.rota(&["status", "--json"]).status.success().then_some(()));
    }

    /// The daemon's directory.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// `conf.d`.
    pub fn conf_d(&self) -> PathBuf {
        self.dir.path().join("conf.d")
    }

    /// Writes a job file.
    pub fn job(&self, name: &str, text: &str) {
        write_job(&self.conf_d(), name, text);
    }

    /// Writes a job file and waits until its job is listed with this definition.
    pub fn arm(&self, name: &str, text: &str) {
        self.job(name, text);
        let stem = name.trim_end_matches(".yaml");
        until(&format!("{stem} is armed"), || self.rota(&["show", stem, "--json"]).status.success().then_some(()));
    }

    /// Runs `rota`.
    pub fn rota(&self, args: &[&str]) -> Output {
        self.rota_command(args).output().unwrap()
    }

    /// `rota`, to be started by the caller.
    pub fn rota_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rota"));
        command.arg("--socket").arg(self.dir.path().join("run/rotad.sock")).args(args).stdin(Stdio::null());
        command
    }

    /// Runs `rota … --json` and reads its answer.
    pub fn json(&self, args: &[&str]) -> Value {
        let mut args = args.to_vec();
        args.push("--json");
        let output = self.rota(&args);
        assert!(output.status.success(), "rota {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Runs a job to its end: exit code and what it printed.
    pub fn run(&self, name: &str) -> (Option<i32>, String) {
        let output = self.rota(&["run", name, "--wait"]);
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// What the daemon has written to standard error.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.dir.path().join("stderr")).unwrap()).into_owned()
    }

    /// The warden.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// The engine that runs now, if one does.
    pub fn engine(&self) -> Option<i32> {
        let pid = self.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        children.split_ascii_whitespace().filter_map(|child| child.parse().ok()).find(|child: &i32| {
            fs::read(format!("/proc/{child}/cmdline")).is_ok_and(|line| line.ends_with(b"--engine\0"))
        })
    }

    /// Signals a process.
    pub fn signal(pid: i32, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).unwrap();
    }

    /// Kills the engine and waits for its successor to answer.
    pub fn replace_engine(&self) {
        let old = until("an engine", || self.engine());
        Self::signal(old, nix::sys::signal::Signal::SIGKILL);
        until("another engine", || self.engine().filter(|new| *new != old));
        self.ready();
    }

    /// Kills warden and engine at once, and waits until both are gone.
    pub fn kill(&mut self) {
        let engine = self.engine();
        Self::signal(self.pid(), nix::sys::signal::Signal::SIGSTOP);
        for pid in engine.into_iter().chain([self.pid()]) {
            Self::signal(pid, nix::sys::signal::Signal::SIGKILL);
        }
        self.wait();
        // Nobody but init reaps it now.
        let gone = |pid: i32| {
            !fs::exists(format!("/proc/{pid}/exe")).unwrap_or(false)
                || fs::read_link(format!("/proc/{pid}/exe")).is_err()
        };
        until_true("the engine is gone", || engine.is_none_or(gone));
    }

    /// Starts another daemon in the place of one that has ended, and waits until it answers.
    pub fn again(&mut self) {
        let at = |name: &str| self.dir.path().join(name);
        let log = |name: &str| File::options().append(true).open(at(name)).unwrap();
        self.child = Command::new(env!("CARGO_BIN_EXE_rotad"))
            .args(["-c".into(), at("rotad.yaml")])
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::null())
            .stdout(log("stdout"))
            .stderr(log("stderr"))
            .spawn()
            .unwrap();
        self.ready();
    }

    /// Asks the daemon to stop and waits until it has.
    pub fn stop(&mut self) -> ExitStatus {
        Self::signal(self.pid(), nix::sys::signal::Signal::SIGTERM);
        self.wait()
    }

    /// Waits until the daemon has ended.
    pub fn wait(&mut self) -> ExitStatus {
        until("the daemon ends", || self.child.try_wait().unwrap())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
            return;
        }
        if std::thread::panicking() {
            eprintln!("the daemon said:\n{}", self.stderr());
        }
        // Twice: no time for jobs that ignore the first.
        Self::signal(self.pid(), nix::sys::signal::Signal::SIGTERM);
        std::thread::park_timeout(Duration::from_millis(20));
        Self::signal(self.pid(), nix::sys::signal::Signal::SIGTERM);
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(10) {
            if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
