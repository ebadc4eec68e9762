//! Pauses and `jobs_config` with a real daemon.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing where something must be has failed")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::{Daemon, Setup, until_true};

fn show(daemon: &Daemon, name: &str) -> serde_json::Value {
    daemon.json(&["show", name])
}

/// A state directory that the engine may write to, whoever it is.
fn state_of_engine(state: &Path) {
    fs::create_dir(state).unwrap();
    fs::set_permissions(state, fs::Permissions::from_mode(0o777)).unwrap();
}

/// Slots that a job's rows of this verdict stand for.
fn skipped(daemon: &Daemon, name: &str) -> u64 {
    let view = show(daemon, name);
    let rows = view["verdicts"].as_array().unwrap().iter().filter(|row| row["why"] == "paused");
    rows.map(|row| row["count"].as_u64().unwrap_or(1)).sum()
}

fn pause(until: Option<&str>) -> String {
    let until = until.map_or("null".into(), |until| format!("\"{until}\""));
    format!(r#"{{"id": 3, "since": "2026-01-01T00:00:00Z", "until": {until}, "reason": "disk", "by": "uid 0"}}"#)
}

#[test]
fn a_pause_outlives_engine_and_daemon_and_ends_when_its_time_is_over() {
    let setup = Setup::new("")
        .job("held.yaml", "schedule: '@every 1s'\nscript: 'true'\n")
        .job("over.yaml", "schedule: '@every 1s'\nscript: 'true'\n");
    let state = setup.path().join("state");
    state_of_engine(&state);
    let text = format!("{{\"held\": {}, \"over\": {}}}", pause(None), pause(Some("2026-01-02T00:00:00Z")));
    fs::write(state.join("pauses.json"), text).unwrap();
    let daemon = setup.start();
    until_true("slots are let go", || skipped(&daemon, "held") >= 2);
    assert_eq!(show(&daemon, "held")["pause"]["reason"], "disk");
    assert_eq!(show(&daemon, "over")["pause"], serde_json::Value::Null);
    let listed = String::from_utf8(daemon.rota(&["list"]).stdout).unwrap();
    assert!(listed.contains("paused"), "{listed}");
    let shown = String::from_utf8(daemon.rota(&["show", "held"]).stdout).unwrap();
    assert!(shown.contains("until it is resumed") && shown.contains("disk"), "{shown}");
    assert_eq!(daemon.json(&["status"])["paused"], 1);
    until_true("the ended pause is forgotten", || {
        !fs::read_to_string(state.join("pauses.json")).unwrap().contains("over")
    });
    until_true("the other job runs", || show(&daemon, "over")["last"]["outcome"] == "exited");
    daemon.replace_engine();
    until_true("slots are let go by the next engine", || skipped(&daemon, "held") >= 1);
    let view = show(&daemon, "held");
    assert!(view["last"].is_null() && view["running"].as_array().unwrap().is_empty(), "{view}");
    assert_eq!(daemon.run("held").0, Some(0), "it may be run on request");
}

#[test]
fn f85_a_broken_file_of_pauses_is_moved_aside() {
    let setup = Setup::new("").job("a.yaml", "schedule: '@every 1h'\nscript: 'true'\n");
    let state = setup.path().join("state");
    state_of_engine(&state);
    fs::write(state.join("pauses.json"), "{\"a\": 7").unwrap();
    let daemon = setup.start();
    assert_eq!(show(&daemon, "a")["pause"], serde_json::Value::Null);
    assert_eq!(fs::read_to_string(state.join("pauses.json.broken")).unwrap(), "{\"a\": 7");
    assert!(daemon.stderr().contains("pauses.json"));
}

#[test]
fn jobs_config_of_mysql_crond_is_read_and_watched() {
    let setup = Setup::new("");
    let file = setup.path().join("jobs.yaml");
    let item = |name: &str, word: &str| {
        format!("- {{name: {name}, enable: true, command: echo, args: [{word}], schedule: '@every 1h', creator: ob}}\n")
    };
    fs::write(&file, format!("jobs:\n{}bk_biz_id: 1\n", item("a", "one"))).unwrap();
    let daemon = setup.configure(&format!("jobs_config: {}", file.display())).start();
    assert_eq!(daemon.run("a").1, "one\n");
    assert_eq!(show(&daemon, "a")["file"], file.display().to_string());
    let fresh = file.with_extension("new");
    fs::write(&fresh, format!("jobs:\n{}{}bk_biz_id: 1\n", item("a", "two"), item("b", "three"))).unwrap();
    fs::rename(&fresh, &file).unwrap();
    until_true("the new file is live", || daemon.rota(&["show", "b"]).status.success());
    assert_eq!(daemon.run("a").1, "two\n");
    fs::write(&file, "jobs: [").unwrap();
    until_true("it is told to be broken", || daemon.json(&["status"])["broken_files"] == 1);
    assert_eq!(daemon.run("b").1, "three\n", "the last good definitions are live");
    daemon.replace_engine();
    until_true("an engine is back", || daemon.rota(&["status"]).status.success());
    fs::write(&file, format!("jobs:\n{}", item("b", "four"))).unwrap();
    until_true("it is mended", || daemon.json(&["status"])["broken_files"] == 0);
    assert_eq!(daemon.run("b").1, "four\n");
}
