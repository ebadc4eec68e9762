//! The hold, skipped slots and jobs that run once, by a real daemon.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing where something must be has failed")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use common::{Daemon, Setup, until, until_true};
use serde_json::Value;

const EACH_SECOND: &str = "schedule: '@every 1s'\nscript: 'true'\n";
const HOURLY: &str = "schedule: '@every 1h'\nscript: 'true'\n";

/// A state directory that the engine may write to, whoever it is.
fn state_of_engine(state: &Path) {
    fs::create_dir(state).unwrap();
    fs::set_permissions(state, fs::Permissions::from_mode(0o777)).unwrap();
}

fn says(daemon: &Daemon, args: &[&str], code: i32) -> String {
    let output = daemon.rota(args);
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
    text
}

/// Slots of a job that were let go for this reason.
fn skipped(daemon: &Daemon, name: &str, why: &str) -> u64 {
    let view = daemon.json(&["show", name]);
    let rows = view["verdicts"].as_array().unwrap().iter().filter(|row| row["why"] == why);
    rows.map(|row| row["count"].as_u64().unwrap_or(1)).sum()
}

#[test]
fn a_hold_is_told_everywhere_outlives_the_engine_and_is_released() {
    let setup = Setup::new("").job("a.yaml", EACH_SECOND).job("b.yaml", HOURLY);
    let state = setup.path().join("state");
    state_of_engine(&state);
    let daemon = setup.start();
    assert!(says(&daemon, &["hold", "--reason", "new\u{a0}disks", "1h", "--until", "18:00"], 2).contains("--until"));
    assert!(says(&daemon, &["release"], 1).contains("no hold"));
    says(&daemon, &["hold", "--reason", "new disks"], 0);
    let refused = says(&daemon, &["hold", "1h"], 1);
    assert!(refused.contains("there is a hold already") && refused.contains("rota release"), "{refused}");
    for verb in [&["status"][..], &["list"], &["show", "b"]] {
        let text = says(&daemon, verb, 0);
        assert!(text.contains("until it is released") && text.contains("new disks"), "{text}");
    }
    assert!(says(&daemon, &["show", "b"], 0).contains("when the hold is released"));
    assert_eq!(daemon.json(&["status"])["held"]["reason"], "new disks");
    until_true("slots are let go", || skipped(&daemon, "a", "held") >= 2);
    daemon.replace_engine();
    until_true("slots are let go by the next engine", || skipped(&daemon, "a", "held") >= 1);
    assert_eq!(daemon.json(&["show", "a"])["last"], Value::Null);
    assert_eq!(daemon.run("b").0, Some(0), "it may be run on request");
    says(&daemon, &["release"], 0);
    assert_eq!(daemon.json(&["status"]).get("held"), None);
    until_true("slots run", || daemon.json(&["show", "a"])["last"]["outcome"] == "exited");
    assert_eq!(fs::read_to_string(state.join("hold.json")).unwrap(), "null\n");
}

#[test]
fn a_hold_outlives_the_daemon_and_ends_when_it_says() {
    let setup = Setup::new("").job("a.yaml", EACH_SECOND);
    let state = setup.path().join("state");
    state_of_engine(&state);
    let hold = |until: &str| {
        format!(
            r#"{{"kind": "hold", "id": 0, "since": "2026-01-01T00:00:00Z", "until": {until}, "reason": "disk", "by": "uid 0"}}"#
        )
    };
    fs::write(state.join("hold.json"), hold("null")).unwrap();
    let daemon = setup.start();
    until_true("slots are let go", || skipped(&daemon, "a", "held") >= 1);
    assert_eq!(daemon.json(&["show", "a"])["last"], Value::Null);
    says(&daemon, &["release"], 0);
    says(&daemon, &["hold", "1500ms"], 0);
    until_true("it ends by itself", || daemon.json(&["status"]).get("held").is_none());
    until_true("slots run", || daemon.json(&["show", "a"])["last"]["outcome"] == "exited");
}

#[test]
fn the_next_slot_is_skipped() {
    let daemon = Setup::new("")
        .job("hourly.yaml", HOURLY)
        .job("a.yaml", "schedule: '@every 2s'\nscript: 'true'\n")
        .job("never.yaml", "script: 'true'\n")
        .start();
    let text = says(&daemon, &["skip-next", "hourly", "--count", "2", "--reason", "no need"], 0);
    assert!(text.contains("the slots of") && text.contains(" up to ") && text.contains("in 2 h"), "{text}");
    let shown = says(&daemon, &["show", "hourly"], 0);
    assert!(shown.contains("skips next") && shown.contains("no need") && shown.contains("its slots up to"), "{shown}");
    assert!(says(&daemon, &["list"], 0).contains("skips next"));
    assert!(says(&daemon, &["skip-next", "never"], 1).contains("never due"));
    assert!(says(&daemon, &["skip-next", "zzz"], 1).contains("no job"));
    says(&daemon, &["skip-next", "a", "--count", "0"], 2);
    says(&daemon, &["resume", "hourly"], 0);
    assert_eq!(daemon.json(&["show", "hourly"]).get("pause"), None);
    says(&daemon, &["skip-next", "a"], 0);
    until_true("it was skipped", || skipped(&daemon, "a", "skip-next") == 1);
    until_true("the one after it runs", || daemon.json(&["show", "a"])["last"]["outcome"] == "exited");
    assert_eq!(skipped(&daemon, "a", "skip-next"), 1);
}

#[test]
fn a_program_runs_once_at_its_time_and_is_gone() {
    let setup = Setup::new("");
    let ran = setup.path().join("ran");
    fs::write(&ran, "").unwrap();
    // Whichever user jobs run as.
    fs::set_permissions(&ran, fs::Permissions::from_mode(0o666)).unwrap();
    let daemon = setup.start();
    let script = format!("echo x >> {}", ran.display());
    let text = says(&daemon, &["at", "2s", "--", "/bin/sh", "-c", &script], 0);
    let name = text.split('\'').nth(1).unwrap().to_owned();
    assert!(name.starts_with("at-2") && name.ends_with("-sh"), "{text}");
    let file = daemon.conf_d().join(format!("{name}.yaml"));
    let written = fs::read_to_string(&file).unwrap();
    assert!(written.contains("when_done: remove"), "{written}");
    assert_eq!(daemon.json(&["show", &name])["schedule"].as_str().map(|at| at.len()), Some(25));
    until_true("it has run and its file is gone", || !file.exists());
    assert_eq!(fs::read_to_string(&ran).unwrap(), "x\n");
    until_true("the job is gone", || says_code(&daemon, &["show", &name]) == Some(1));
    let kept = says(&daemon, &["at", "now + 1s", "--keep", "--name", "kept", "--", "/bin/true"], 0);
    assert!(kept.contains("'kept'"), "{kept}");
    assert!(says(&daemon, &["at", "1h", "--name", "kept", "--", "/bin/true"], 1).contains("already"));
    until_true("it has run", || daemon.json(&["show", "kept"])["last"]["outcome"] == "exited");
    daemon.replace_engine();
    assert!(daemon.conf_d().join("kept.yaml").exists());
    let names: Vec<String> = (0..2)
        .map(|_| says(&daemon, &["at", "2099-12-01 02:30", "--timezone", "UTC", "--", "true"], 0))
        .map(|text| text.split('\'').nth(1).unwrap().to_owned())
        .collect();
    assert_eq!(names, ["at-20991201-0230-true", "at-20991201-0230-true-2"]);
    says(&daemon, &["at", "2001-12-01 02:30", "--", "true"], 2);
}

#[test]
fn however_many_are_done_at_once_all_are_removed() {
    let daemon = Setup::new("").start();
    says(&daemon, &["hold"], 0);
    let at = jiff::Timestamp::now() + Duration::from_secs(8);
    let at = jiff::Timestamp::from_second(at.as_second()).unwrap();
    // Let go by the hold, all of them in one step.
    for n in 0..400 {
        daemon.job(&format!("j{n}.yaml"), &format!("script: 'true'\nat: {at}\nwhen_done: remove\n"));
    }
    let left = || fs::read_dir(daemon.conf_d()).unwrap().count();
    assert_eq!(left(), 400);
    until_true("all are armed", || daemon.json(&["status"])["jobs"] == 400);
    assert!(jiff::Timestamp::now() < at, "too slow for this test");
    until_true("its time has come", || jiff::Timestamp::now() > at + Duration::from_secs(1));
    until_true("their files are gone", || left() == 0);
    assert!(!daemon.stderr().contains("not-removed"), "{}", daemon.stderr());
}

fn says_code(daemon: &Daemon, args: &[&str]) -> Option<i32> {
    daemon.rota(args).status.code()
}

#[test]
fn what_has_changed_meanwhile_is_not_removed() {
    let setup = Setup::new("");
    let go = setup.path().join("go");
    let wait = format!("while [ ! -e {} ]; do sleep 0.05; done", go.display());
    let daemon = setup.start();
    says(&daemon, &["at", "1s", "--name", "a", "--", "/bin/sh", "-c", &wait], 0);
    let started = until("it runs", || daemon.json(&["show", "a"])["running"][0]["started"].as_str()?.parse().ok());
    let started: jiff::Timestamp = started;
    // The clock of files goes by ticks of some milliseconds.
    until_true("the file is younger than the slot", || jiff::Timestamp::now() > started + Duration::from_millis(50));
    let file = daemon.conf_d().join("a.yaml");
    let changed = fs::read_to_string(&file).unwrap() + "nice: 1\n";
    daemon.job("a.yaml", &changed);
    until_true("it is armed", || daemon.stderr().contains("changed"));
    fs::write(&go, "").unwrap();
    // Its slot is before the file: that is no longer the definition that ran, and it stays.
    until_true("it is over", || daemon.json(&["show", "a"])["last"]["outcome"] == "exited");
    daemon.replace_engine();
    assert_eq!(fs::read_to_string(&file).unwrap(), changed);
}
