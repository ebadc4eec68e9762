//! A machine for one test with a real systemd as process 1, in which the daemon is installed as its package would. It is
//! gone with the test, also when that panics or is killed; several at once do not see each other. `machine` beside this
//! file makes it.
//!
//! A suite that uses it declares `mod common;` as well. Inside, /tmp and /run are fresh; everything else is this host's,
//! and what is written there is the machine's own.
#![allow(dead_code, reason = "each suite uses its part")]
#![allow(clippy::unwrap_used, reason = "a test that finds nothing where something must be has failed")]

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};

use crate::common;

/// What a job file and the tools find as PATH inside.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The machine. It ends when this is dropped.
pub struct Lab {
    dir: tempfile::TempDir,
    machine: Child,
    /// Held open for as long as the machine shall live.
    leash: Option<ChildStdin>,
    /// Its process 1, as seen from here.
    pid: i32,
}

impl Lab {
    /// Boots a machine. `None` where that cannot be had, said as `TEST skipped: why: …`.
    pub fn boot(test: &str) -> Option<Lab> {
        let dir = tempfile::Builder::new().prefix("rotad-lab-").tempdir().unwrap();
        let mut machine = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/machine"))
            .arg(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let leash = machine.stdin.take();
        let mut line = String::new();
        BufReader::new(machine.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if let Some(pid) = line.trim().strip_prefix("pid ") {
            return Some(Lab { dir, machine, leash, pid: pid.parse().unwrap() });
        }
        let mut why = String::new();
        machine.stderr.take().unwrap().read_to_string(&mut why).unwrap();
        let status = machine.wait().unwrap();
        assert_eq!(status.code(), Some(3), "the machine did not come up: {why}");
        eprintln!("{test} skipped: {}", why.trim());
        None
    }

    /// Boots a machine with the daemon installed and started.
    pub fn with_rotad(test: &str) -> Option<Lab> {
        let lab = Lab::boot(test)?;
        lab.install_tree();
        lab.start_rotad();
        Some(lab)
    }

    /// A shell command inside, as root, to be started by the caller.
    pub fn command(&self, shell: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.pid.to_string(), "--all", "--root", "--wd", "--", "env", "-i"]);
        command.args([
            "container=lab",
            "HOME=/root",
            "LANG=C.UTF-8",
            "TERM=dumb",
            "SYSTEMD_PAGER=",
            "SYSTEMD_COLORS=0",
        ]);
        command.arg(format!("PATH={PATH}")).args(["/bin/sh", "-c", shell]).stdin(Stdio::null());
        command
    }

    /// Runs a shell command inside, as root, to its end.
    pub fn run(&self, shell: &str) -> Output {
        self.command(shell).output().unwrap()
    }

    /// The same for one that must succeed: what it printed, without the last line end.
    pub fn ok(&self, shell: &str) -> String {
        let output = self.run(shell);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        assert!(output.status.success(), "{shell}: {} {}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    /// Waits until a shell command inside succeeds; what it printed.
    pub fn until_ok(&self, shell: &str) -> String {
        common::until(shell, || {
            let output = self.run(shell);
            output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
        })
    }

    /// Waits until `ready` answers.
    pub fn until<T>(&self, what: &str, ready: impl FnMut() -> Option<T>) -> T {
        common::until(what, ready)
    }

    /// A path inside, as seen from here.
    pub fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.pid))
    }

    /// Writes a file inside: complete under another name, then renamed into place. Directories above it are made.
    pub fn write(&self, path: &str, text: impl AsRef<[u8]>, mode: u32) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let hidden = path.with_file_name(format!(".{name}.new"));
        fs::write(&hidden, text).unwrap();
        fs::set_permissions(&hidden, Permissions::from_mode(mode)).unwrap();
        fs::rename(&hidden, &path).unwrap();
    }

    /// Reads a file inside.
    pub fn read(&self, path: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.path(path)).unwrap()).into_owned()
    }

    /// Puts everything where the package puts it, and has systemd know of it. Nothing is started.
    pub fn install_tree(&self) {
        self.copy(Path::new(env!("CARGO_BIN_EXE_rotad")), "/usr/sbin/rotad", 0o755);
        self.copy(Path::new(env!("CARGO_BIN_EXE_rota")), "/usr/bin/rota", 0o755);
        for (from, to) in [
            ("systemd/rotad.service", "/usr/lib/systemd/system/rotad.service"),
            ("systemd/rotad.sysusers", "/usr/lib/sysusers.d/rotad.conf"),
            ("systemd/rotad.tmpfiles", "/usr/lib/tmpfiles.d/rotad.conf"),
            ("systemd/rotad.catalog", "/usr/lib/systemd/catalog/rotad.catalog"),
            ("systemd/rotad.yaml", "/etc/rotad/rotad.yaml"),
            ("man/rota.1", "/usr/share/man/man1/rota.1"),
            ("man/rotad-job.5", "/usr/share/man/man5/rotad-job.5"),
            ("man/rotad.yaml.5", "/usr/share/man/man5/rotad.yaml.5"),
            ("man/rotad.8", "/usr/share/man/man8/rotad.8"),
        ] {
            let from = Path::new(env!("CARGO_MANIFEST_DIR")).join(from);
            if from.exists() {
                self.copy(&from, to, 0o644);
            }
        }
        fs::create_dir_all(self.path("/etc/rotad/conf.d")).unwrap();
        self.ok(
            "systemd-sysusers && systemd-tmpfiles --create && journalctl --update-catalog && systemctl daemon-reload",
        );
    }

    fn copy(&self, from: &Path, to: &str, mode: u32) {
        self.write(to, fs::read(from).unwrap(), mode);
    }

    /// Starts the service, which is ready when this returns.
    pub fn start_rotad(&self) {
        let output = self.run("systemctl start rotad.service");
        if !output.status.success() {
            panic!("rotad.service does not start: {}", self.journal());
        }
    }

    /// Writes a job file into `conf.d`.
    pub fn job(&self, name: &str, text: &str) {
        self.write(&format!("/etc/rotad/conf.d/{name}"), text, 0o644);
    }

    /// Writes a job file and waits until its job is armed.
    pub fn arm(&self, name: &str, text: &str) {
        self.job(name, text);
        self.until_ok(&format!("rota show {} --json", name.trim_end_matches(".yaml")));
    }

    /// A property of the service, as systemd tells it.
    pub fn property(&self, name: &str) -> String {
        self.ok(&format!("systemctl show --property {name} --value rotad.service"))
    }

    /// What the journal has of the service, one line each.
    pub fn journal(&self) -> String {
        self.ok("journalctl --no-pager --output cat --unit rotad.service; systemctl status --no-pager rotad.service || true")
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let said = self.command("journalctl --no-pager --output short-monotonic --lines 200").output();
            eprintln!(
                "the machine's journal:\n{}",
                said.map_or_else(
                    |error| error.to_string(),
                    |said| { String::from_utf8_lossy(&said.stdout).into_owned() }
                )
            );
        }
        drop(self.leash.take());
        let _ = self.machine.wait();
    }
}
