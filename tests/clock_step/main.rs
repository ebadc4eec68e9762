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

/// A job of this rule that is due at this minute of each hour, and writes down for which slot it runs.
fn hourly_noting(minute: i8, rule: &str) -> String {
    format!(
        "schedule: '{minute} * * * *'\ntimezone: UTC\ncatch_up: {rule}\ncatch_up_window: 10h\nscript: echo $ROTA_SCHEDULED_AT\n"
    )
}

impl Shifted {
    /// What became of a job's slots and runs, newest first, once there is `count` of it.
    fn history(&self, job: &str, count: usize) -> Vec<Value> {
        until("the history has it", || {
            let rows = self.json(&format!("history {job}"))["rows"].as_array().unwrap().clone();
            (rows.len() == count).then_some(rows)
        })
    }

    /// Code and sentence.
    fn why(&self, job: &str, at: &str) -> (String, String) {
        let view = self.json(&format!("why {job} {at}"));
        (view["code"].as_str().unwrap().to_owned(), view["sentence"].as_str().unwrap().to_owned())
    }
}

/// Time in which nobody watched: three hours by the wall clock. What is missed is told with `code`, and `cause` in the sentence.
fn three_hours_unwatched(test: &str, mono: SignedDuration, code: &str, cause: &str) {
    let due = minute(30);
    let (none, last) = (hourly_noting(due, "none"), hourly_noting(due, "last"));
    let Some(mut shifted) = Shifted::start(test, &[("none.yaml", &none), ("last.yaml", &last)]) else { return };
    let from = shifted.now();
    shifted.shift(SignedDuration::from_hours(3), mono);
    let to = shifted.now();
    let newest = |row: &Value| row["slot"].as_str().unwrap().to_owned();

    let rows = shifted.history("none", 1);
    assert_eq!((&rows[0]["verdict"], &rows[0]["why"], &rows[0]["count"]), (&"missed".into(), &code.into(), &3.into()));
    let slot: Timestamp = newest(&rows[0]).parse().unwrap();
    assert!(from < slot && slot <= to, "{from} {slot} {to}");
    let (told, sentence) = shifted.why("none", &newest(&rows[0]));
    assert_eq!(told, code, "{sentence}");
    assert!(
        sentence.contains(cause) && sentence.contains(" from ") && sentence.ends_with("catch_up is none"),
        "{sentence}"
    );
    // What lies between two slots was not missed.
    let between = (slot - SignedDuration::from_mins(90)).to_string();
    assert_eq!(shifted.why("none", &between).0, "not-due");

    let rows = shifted.history("last", 2);
    let run = rows.iter().find(|row| row["entry"] == "run").unwrap();
    assert_eq!((&run["trigger"], &run["attempt"], newest(run)), (&"catch-up".into(), &1.into(), slot.to_string()));
    let missed = rows.iter().find(|row| row["entry"] == "slot").unwrap();
    assert_eq!((&missed["verdict"], &missed["why"], &missed["count"]), (&"missed".into(), &code.into(), &2.into()));
    let (told, sentence) = shifted.why("last", &slot.to_string());
    assert!(told == "ran" && sentence.contains("as a slot that was made up for, and succeeded"), "{told}: {sentence}");
    let (told, sentence) = shifted.why("last", &newest(missed));
    assert!(told == code && sentence.contains("its catch_up, last, makes up for the newest slot alone"), "{sentence}");
    let id = run["run"].as_str().unwrap();
    let tail = shifted.lab.ok(&format!("rota show {id}"));
    let heard = tail.split_whitespace().filter_map(|word| word.parse::<Timestamp>().ok()).any(|told| told == slot);
    assert!(heard, "the job was told its slot: {tail}");
}

#[test]
fn a06_why_after_a_suspend_or_a_clock_set_forward() {
    three_hours_unwatched("a06_why", SignedDuration::ZERO, "clock", "the machine was suspended or its clock was set");
}

#[test]
fn a09_why_after_the_process_was_stopped() {
    let hours = SignedDuration::from_hours(3);
    three_hours_unwatched("a09_why", hours, "stopped", "the daemon was stopped and did not get to run");
}
