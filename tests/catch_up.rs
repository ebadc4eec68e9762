//! The daemon is away, and what it makes up for when it is back.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing where something must be has failed")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use common::{Daemon, Setup, until_true};
use jiff::Timestamp;
use nix::sys::signal::Signal;

const RULES: [&str; 3] = ["none", "last", "all"];

/// A daemon with a job of each rule that is due every second and writes its slots down.
fn ticking() -> Daemon {
    let mut setup = Setup::new("stop_timeout: 5s");
    for rule in RULES {
        let out = setup.path().join(rule);
        fs::write(&out, "").unwrap();
        fs::set_permissions(&out, fs::Permissions::from_mode(0o666)).unwrap();
        let max = if rule == "all" { "catch_up_max: 100\n" } else { "" };
        let out = out.display();
        let text =
            format!("schedule: '* * * * * *'\ncatch_up: {rule}\n{max}script: echo $ROTA_SCHEDULED_AT >> {out}\n");
        setup = setup.job(&format!("{rule}.yaml"), &text);
    }
    let daemon = setup.start();
    for rule in RULES {
        until_true("it ticks", || ran(&daemon, rule).len() >= 2);
    }
    daemon
}

fn ran(daemon: &Daemon, rule: &str) -> Vec<Timestamp> {
    let out: PathBuf = daemon.path().join(rule);
    fs::read_to_string(out).unwrap().lines().filter_map(|line| line.parse().ok()).collect()
}

fn wait(seconds: u64) {
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(seconds) {
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

fn assert_none_twice(daemon: &Daemon) {
    for rule in RULES {
        let slots = ran(daemon, rule);
        let mut distinct = slots.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), slots.len(), "{rule}: a slot was run twice: {slots:?}");
    }
}

/// The seconds between the first and the last slot for which a job did not run.
fn left_out(daemon: &Daemon, rule: &str) -> usize {
    let slots = ran(daemon, rule);
    let (first, last) = (slots.iter().min().unwrap(), slots.iter().max().unwrap());
    usize::try_from(last.duration_since(*first).as_secs()).unwrap() + 1 - slots.len()
}

fn until_all_is_made_up_for(daemon: &Daemon) {
    let back = Timestamp::now();
    for rule in RULES {
        until_true("it ticks again", || ran(daemon, rule).iter().any(|slot| *slot > back));
    }
}

#[test]
fn f87_a_restart_makes_up_for_what_fell_in_it() {
    let mut daemon = ticking();
    assert!(daemon.stop().success());
    wait(4);
    daemon.again();
    until_all_is_made_up_for(&daemon);
    assert_none_twice(&daemon);
    assert_eq!(left_out(&daemon, "all"), 0, "{:?}", ran(&daemon, "all"));
    let slots = ran(&daemon, "all");
    assert!(slots.is_sorted(), "oldest first: {slots:?}");
    for rule in ["none", "last"] {
        assert!(left_out(&daemon, rule) >= 2, "{rule}: {:?}", ran(&daemon, rule));
        let verdicts = daemon.json(&["show", rule])["verdicts"].clone();
        let missed = |row: &serde_json::Value| row["verdict"] == "missed" && row["why"] == "down";
        assert_eq!(verdicts.as_array().unwrap().iter().filter(|row| missed(row)).count(), 1, "{rule}: {verdicts:#}");
    }
    let told = daemon.stderr();
    assert!(told.contains("makes up for"), "{told}");
}

#[test]
fn f87_d73_a_kill_of_everything_runs_no_slot_twice() {
    let mut daemon = ticking();
    let rounds = 6;
    for round in 0..rounds {
        // At any moment between two slots.
        let until = Timestamp::now().as_millisecond() / 1000 * 1000 + 1000 + round * 170;
        until_true("the moment", || Timestamp::now().as_millisecond() >= until);
        daemon.kill();
        wait(2);
        daemon.again();
        until_all_is_made_up_for(&daemon);
    }
    assert_none_twice(&daemon);
    // What was claimed at the moment of a kill is lost with it.
    let lost = daemon.stderr().matches("all was lost").count();
    assert!(left_out(&daemon, "all") <= lost, "{lost} lost: {:?}", ran(&daemon, "all"));
    assert!(left_out(&daemon, "none") >= usize::try_from(rounds).unwrap());
}

#[test]
fn a9_a_process_that_was_stopped_for_over_a_minute_catches_up() {
    let daemon = ticking();
    let both = [daemon.pid(), daemon.engine().unwrap()];
    both.into_iter().for_each(|pid| Daemon::signal(pid, Signal::SIGSTOP));
    wait(66);
    both.into_iter().for_each(|pid| Daemon::signal(pid, Signal::SIGCONT));
    until_all_is_made_up_for(&daemon);
    assert_none_twice(&daemon);
    // One that comes due while the last of them runs, and nothing waits any more, goes by the overlap rule.
    let history = String::from_utf8(daemon.rota(&["history", "all", "-n", "1000"]).stdout).unwrap();
    let overlaps = history.matches("overlap").count();
    assert!(overlaps <= 3 && left_out(&daemon, "all") <= overlaps, "{:?}\n{history}", ran(&daemon, "all"));
    let told = daemon.stderr();
    assert_eq!(told.matches("the daemon's process was stopped").count(), 3, "once of it, once of each job: {told}");
}
