//! The service on a machine whose clocks are set while it runs. The clocks of this machine stay as they are: `shift.c`,
//! preloaded, shows others to every program of a machine for one test (tests/lab).
#![allow(clippy::unwrap_used, reason = "a test that finds nothing where something must be has failed")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../lab/mod.rs"]
mod lab;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::process::Command;

use common::until;
use jiff::{SignedDuration, Timestamp};
use lab::Lab;
use serde_json::Value;

/// Where the machine's programs find how far their clocks are shifted.
const CLOCKS: &str = "/run/clocks";

/// A machine with clocks of its own.
struct Shifted {
    lab: Lab,
    clocks: File,
    /// Wall and monotonic.
    by: [SignedDuration; 2],
}

impl Shifted {
    /// Started with `jobs`; `None` where that cannot be had.
    fn start(test: &str, jobs: &[(&str, &str)]) -> Option<Shifted> {
        let lab = Lab::boot(test)?;
        let dir = tempfile::tempdir().unwrap();
        let library = dir.path().join("shift.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clock_step/shift.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror"]).arg(format!("-DCLOCKS=\"{CLOCKS}\""));
        if !compiler.arg("-o").arg(&library).arg(source).arg("-ldl").status().is_ok_and(|status| status.success()) {
            eprintln!("{test} skipped: why: there is no C compiler");
            return None;
        }
        lab.write(CLOCKS, [0; 16], 0o644);
        lab.write("/usr/lib/shift.so", fs::read(&library).unwrap(), 0o755);
        lab.write("/etc/ld.so.preload", "/usr/lib/shift.so\n", 0o644);
        let clocks = File::options().write(true).open(lab.path(CLOCKS)).unwrap();
        lab.install_tree();
        jobs.iter().for_each(|(file, text)| lab.job(file, text));
        lab.start_rotad();
        Some(Shifted { lab, clocks, by: [SignedDuration::ZERO; 2] })
    }

    fn json(&self, shell: &str) -> Value {
        serde_json::from_str(&self.lab.ok(&format!("rota {shell} --json"))).unwrap()
    }

    /// Sets the clocks so much forward, and has the daemon look.
    fn shift(&mut self, wall: SignedDuration, mono: SignedDuration) {
        for (index, more) in [wall, mono].into_iter().enumerate() {
            self.by[index] += more;
            let nanoseconds = i64::try_from(self.by[index].as_nanos()).unwrap();
            self.clocks.write_all_at(&nanoseconds.to_ne_bytes(), 8 * index as u64).unwrap();
        }
        self.json("status");
    }

    /// The time by the daemon's clock.
    fn now(&self) -> Timestamp {
        Timestamp::now() + self.by[0]
    }

    fn show(&self, job: &str) -> Value {
        self.json(&format!("show {job}"))
    }

    fn verdicts(&self, job: &str) -> Vec<Value> {
        self.show(job)["verdicts"].as_array().unwrap().clone()
    }
}

/// A job that is due at this minute of each hour.
fn hourly(minute: i8) -> String {
    format!("command: /bin/true\nschedule: '{minute} * * * *'\ntimezone: UTC\n")
}

/// A minute that is `ahead` minutes away.
fn minute(ahead: i64) -> i8 {
    Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).saturating_add(SignedDuration::from_mins(ahead)).minute()
}

#[test]
fn a06_a_clock_set_forward_misses_what_lies_between_and_is_seen_at_once() {
    let job = hourly(minute(30));
    let Some(mut shifted) = Shifted::start("a06", &[("a.yaml", &job)]) else { return };
    shifted.shift(SignedDuration::from_hours(5), SignedDuration::ZERO);
    let verdict = until("a verdict", || shifted.verdicts("a").first().cloned());
    assert_eq!((&verdict["verdict"], &verdict["count"]), (&"missed".into(), &5.into()), "{verdict}");
    let next: Timestamp = shifted.show("a")["next"].as_str().unwrap().parse().unwrap();
    let ahead = next.duration_since(shifted.now());
    assert!(ahead > SignedDuration::ZERO && ahead <= SignedDuration::from_hours(1), "{ahead:?}");
}

#[test]
fn a07_a_clock_set_back_and_forward_runs_no_slot_twice() {
    let job = hourly(minute(2));
    let Some(mut shifted) = Shifted::start("a07", &[("a.yaml", &job)]) else { return };
    // To a moment before the slot, and over it as time passes.
    let slot: Timestamp = shifted.show("a")["next"].as_str().unwrap().parse().unwrap();
    let before = slot.duration_since(shifted.now()) - SignedDuration::from_millis(500);
    shifted.shift(before, before);
    let ran = |shifted: &Shifted| shifted.verdicts("a").iter().filter(|row| row["verdict"] == "ran").count();
    until("the slot has run", || (ran(&shifted) == 1).then_some(()));
    // A day back, and forward again beyond the slot: what was lived through once is not lived again.
    shifted.shift(SignedDuration::from_hours(-24), SignedDuration::ZERO);
    assert_eq!(ran(&shifted), 1, "{:?}", shifted.verdicts("a"));
    shifted.shift(SignedDuration::from_hours(24) + SignedDuration::from_secs(30), SignedDuration::ZERO);
    assert_eq!(ran(&shifted), 1, "{:?}", shifted.verdicts("a"));
    let runs = shifted.show("a")["last"]["run"].clone();
    shifted.shift(SignedDuration::from_secs(30), SignedDuration::from_secs(30));
    assert_eq!(shifted.show("a")["last"]["run"], runs);
}
