//! How soon is a file armed, how soon 10,000 of them, and what do they weigh?
//!
//! `cargo bench --bench arm`. The limit for arming: what the kernel takes to tell a bare inotify reader of a close(2).

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Jobs that are there already.
const CROWD: usize = 10_000;
/// Files dropped in, one after the other.
const DROPS: usize = 300;

fn main() {
    let place = tempfile::Builder::new().prefix("rotad-bench-").tempdir().expect("a directory");
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
    let conf_d = place.path().join("conf.d");
    fs::create_dir(&conf_d).expect("conf.d");
    for job in 0..CROWD {
        // Distinct schedules, none of them due today.
        let (minute, hour, day) = (job % 60, job / 60 % 24, job % 28 + 1);
        let text = format!(
            "# nightly work of shard {job}\nschedule: '{minute} {hour} {day} 1 *'\ncommand: /usr/bin/backup\nargs: [--shard, '{job}']\n"
        );
        fs::write(conf_d.join(format!("job{job:05}.yaml")), text).expect("a job");
    }
    // Older than the time in which a file may still be being written.
    std::thread::sleep(Duration::from_millis(200));

    let reading = Instant::now();
    let mut bytes = Vec::new();
    for job in 0..CROWD {
        fs::File::open(conf_d.join(format!("job{job:05}.yaml"))).expect("a job").read_to_end(&mut bytes).expect("read");
    }
    let limit = reading.elapsed();
    let daemon = Daemon::start(place.path());
    let cold = daemon.cold;
    println!("{CROWD} files from cold to ready: {cold:.3?} (reading them alone: {limit:.3?})");

    let mut waits: Vec<Duration> = (0..DROPS).map(|drop| daemon.drop_in(&conf_d, drop)).collect();
    waits.sort();
    let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize];
    println!(
        "close(2) to armed with {CROWD} others: median {:.3?}, p99 {:.3?}, worst {:.3?}",
        at(0.5),
        at(0.99),
        at(1.0)
    );

    println!("resident: warden {} KiB, engine {} KiB", resident(daemon.warden()), resident(daemon.engine()));
    let before = (wakes(daemon.warden()), wakes(daemon.engine()));
    let span = Duration::from_secs(30);
    std::thread::sleep(span);
    let after = (wakes(daemon.warden()), wakes(daemon.engine()));
    println!("wake-ups in {span:?} of nothing due: warden {}, engine {}", after.0 - before.0, after.1 - before.1);
}

/// VmRSS in KiB.
fn resident(pid: u32) -> u64 {
    field(&fs::read_to_string(format!("/proc/{pid}/status")).expect("a process"), "VmRSS:")
}

/// Times that any thread of the process gave up the processor, which it must have been woken for.
fn wakes(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("a process");
    tasks
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("status")).ok())
        .map(|status| field(&status, "voluntary_ctxt_switches:"))
        .sum()
}

fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}

struct Daemon {
    child: Child,
    told: PathBuf,
    cold: Duration,
}

impl Daemon {
    fn start(place: &Path) -> Daemon {
        let base = place.display();
        let config = format!(
            "conf_d: {base}/conf.d\nstate_dir: {base}/state\nsocket: {base}/run/rotad.sock\nlog: {{dir: {base}/log}}\n"
        );
        fs::write(place.join("rotad.yaml"), config).expect("rotad.yaml");
        // Ready is what systemd would be told.
        let notify = place.join("notify");
        let socket = std::os::unix::net::UnixDatagram::bind(&notify).expect("a socket");
        fs::set_permissions(&notify, fs::Permissions::from_mode(0o666)).expect("chmod");
        let told = place.join("stderr");
        let start = Instant::now();
        let child = Command::new(env!("CARGO_BIN_EXE_rotad"))
            .arg("-c")
            .arg(place.join("rotad.yaml"))
            .env("NOTIFY_SOCKET", &notify)
            .stdout(Stdio::null())
            .stderr(fs::File::create(&told).expect("stderr"))
            .spawn()
            .expect("rotad");
        let mut daemon = Daemon { child, told, cold: Duration::MAX };
        let mut buffer = [0; 4096];
        while daemon.cold == Duration::MAX {
            let length = socket.recv(&mut buffer).expect("a message");
            if String::from_utf8_lossy(&buffer[..length]).contains("READY=1") {
                daemon.cold = start.elapsed();
            }
        }
        daemon
    }

    fn warden(&self) -> u32 {
        self.child.id()
    }

    fn engine(&self) -> u32 {
        let pid = self.child.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("children");
        children.split_whitespace().next().and_then(|child| child.parse().ok()).expect("an engine")
    }

    /// Time from close(2) of a new file to the line that says that it is armed.
    fn drop_in(&self, conf_d: &Path, drop: usize) -> Duration {
        let mut log = fs::File::open(&self.told).expect("stderr");
        let mut before = String::new();
        log.read_to_string(&mut before).expect("stderr");
        let name = format!("drop{drop:04}");
        let text = format!("schedule: '{} 3 1 1 *'\ncommand: /usr/bin/backup\n", drop % 60);
        fs::write(conf_d.join(format!("{name}.yaml")), text).expect("a job");
        let closed = Instant::now();
        let mut since = String::new();
        loop {
            log.read_to_string(&mut since).expect("stderr");
            if since.contains(&name) {
                return closed.elapsed();
            }
            assert!(closed.elapsed() < Duration::from_secs(10), "{name} was not armed");
            std::hint::spin_loop();
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
    }
}
