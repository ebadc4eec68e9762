//! How soon do jobs start? Many due in one second, and one a second, beside a bare posix_spawn loop in the same run.
//!
//! `cargo bench --bench start`. Prints milliseconds and ratios; fails on nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Rounds of each measurement; the median counts.
const ROUNDS: usize = 7;

fn main() {
    let place = tempfile::Builder::new().prefix("rotad-bench-").tempdir().expect("a directory");
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
    let tick = compile("benches/tick.c", &place.path().join("tick"), true);
    let spawn_loop = compile("benches/spawn_loop.c", &place.path().join("spawn_loop"), false);
    println!("{:<22}{:>12}{:>12}{:>9}", "due in one second", "loop ms", "rotad ms", "ratio");
    for count in [1, 100, 500] {
        let daemon = Daemon::start(place.path(), &format!("d{count}"));
        let (mut limits, mut ours) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let out = place.path().join(format!("out-{count}-{round}"));
            limits.push(bare_loop(&spawn_loop, &tick, count, &out));
            ours.push(daemon.burst(&tick, count, &out));
        }
        let (limit, our) = (median(&mut limits), median(&mut ours));
        println!("{count:<22}{:>12.2}{:>12.2}{:>9.2}", limit * 1e3, our * 1e3, our / limit);
    }
}

/// Seconds from the loop's begin to the start of its last program.
fn bare_loop(spawn_loop: &Path, tick: &Path, count: usize, out: &Path) -> f64 {
    open_to_all(out);
    let output = Command::new(spawn_loop).arg(count.to_string()).arg(tick).arg(out).output().expect("the loop");
    let begin: i128 = String::from_utf8_lossy(&output.stdout).trim().parse().expect("its begin");
    let last = started(out, count);
    (last - begin) as f64 / 1e9
}

fn open_to_all(file: &Path) {
    fs::write(file, "").expect("a file");
    fs::set_permissions(file, fs::Permissions::from_mode(0o666)).expect("chmod");
}

/// The latest of `count` instants in a file, once they are all there.
fn started(file: &Path, count: usize) -> i128 {
    for _ in 0..6000 {
        let text = fs::read_to_string(file).unwrap_or_default();
        if text.lines().count() >= count && text.ends_with('\n') {
            return text.lines().filter_map(|line| line.parse().ok()).max().expect("an instant");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{} of {count} started", fs::read_to_string(file).unwrap_or_default().lines().count());
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn compile(source: &str, program: &Path, fixed: bool) -> PathBuf {
    let mut cc = Command::new("cc");
    cc.args(["-O2", "-o"]).arg(program).arg(source);
    if fixed {
        cc.arg("-static");
    }
    assert!(cc.status().expect("a C compiler").success());
    program.to_owned()
}

struct Daemon {
    child: Child,
    conf_d: PathBuf,
}

impl Daemon {
    fn start(place: &Path, name: &str) -> Daemon {
        let dir = place.join(name);
        let conf_d = dir.join("conf.d");
        fs::create_dir_all(&conf_d).expect("conf.d");
        let base = dir.display();
        let config = format!(
            "conf_d: {base}/conf.d\nstate_dir: {base}/state\nsocket: {base}/run/rotad.sock\nlog: {{dir: {base}/log}}\n"
        );
        fs::write(dir.join("rotad.yaml"), config).expect("rotad.yaml");
        let child = Command::new(env!("CARGO_BIN_EXE_rotad"))
            .arg("-c")
            .arg(dir.join("rotad.yaml"))
            .stdout(Stdio::null())
            .stderr(fs::File::create(dir.join("stderr")).expect("stderr"))
            .spawn()
            .expect("rotad");
        Daemon { child, conf_d }
    }

    /// Seconds from the slot of `count` jobs to the start of the last.
    fn burst(&self, tick: &Path, count: usize, out: &Path) -> f64 {
        open_to_all(out);
        // Far enough that all files are armed by then.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let slot = i64::try_from(now).expect("a date") + 3;
        let civil = Timestamp::from_second(slot).expect("a date").to_zoned(TimeZone::UTC);
        let schedule = format!("{} {} {} * * *", civil.second(), civil.minute(), civil.hour());
        for job in 0..count {
            let text = format!(
                "schedule: '{schedule}'\ntimezone: UTC\ncommand: {}\nargs: [{}]\n",
                tick.display(),
                out.display()
            );
            fs::write(self.conf_d.join(format!("job{job}.yaml")), text).expect("a job");
        }
        let last = started(out, count);
        (last - i128::from(slot) * 1_000_000_000) as f64 / 1e9
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
    }
}
