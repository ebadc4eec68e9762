//! The engine with a real warden: definitions that change under runs, environment files, and the first words.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing where something must be has failed")]

mod common;

use std::fs;

use common::{Daemon, Setup, until, until_true};

fn last(daemon: &Daemon, name: &str) -> serde_json::Value {
    until("it is over", || {
        let view = daemon.json(&["show", name]);
        (view["running"].as_array().unwrap().is_empty() && !view["last"].is_null()).then(|| view["last"].clone())
    })
}

#[test]
fn b38_a_run_keeps_the_definition_it_started_with() {
    let daemon = Setup::new("").job("long.yaml", "success_codes: [7]\nscript: read x < wait; exit 7\n").start();
    let fifo = daemon.path().join("wait");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o666)).unwrap();
    fs::set_permissions(&fifo, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let text = |codes: &str| {
        format!("success_codes: [{codes}]\nwork_dir: {}\nscript: read x < wait; exit 7\n", daemon.path().display())
    };
    daemon.job("long.yaml", &text("7"));
    until_true("it is armed anew", || daemon.stderr().contains("changed long"));
    assert!(daemon.rota(&["run", "long"]).status.success());
    until_true("it runs", || daemon.json(&["show", "long"])["running"][0]["pid"].is_i64());
    daemon.job("long.yaml", &text("0"));
    until_true("it is armed anew", || daemon.stderr().matches("changed long").count() == 2);
    fs::write(&fifo, "go\n").unwrap();
    let last = last(&daemon, "long");
    assert_eq!(last["outcome"], "exited", "{last}");
    assert_eq!(last["success"], true, "7 was a success when it started: {last}");
}

#[test]
fn an_environment_file_is_read_when_the_run_starts() {
    let setup = Setup::new("");
    let file = setup.path().join("secrets");
    fs::write(&file, "A=one\nB=file\nROTA_JOB=liar\n").unwrap();
    let text = format!("environment_file: {}\nenvironment: {{B: job}}\nscript: echo $A $B $ROTA_JOB\n", file.display());
    let daemon = setup.job("env.yaml", &text).start();
    let (code, out) = daemon.run("env");
    assert_eq!((code, out.trim()), (Some(0), "one job env"), "{}", daemon.stderr());
    fs::remove_file(&file).unwrap();
    let (code, _) = daemon.run("env");
    assert_ne!(code, Some(0));
    let last = last(&daemon, "env");
    assert_eq!(last["outcome"], "could-not-start", "{last}");
    assert!(last["message"].as_str().unwrap().contains("environment file"), "{last}");
}

#[test]
fn what_is_armed_is_said_at_the_start() {
    let daemon = Setup::new("")
        .job("backup.yaml", "schedule: 0 2 * * *\nenable: false\nscript: ':'\n")
        .job("demand.yaml", "script: ':'\n")
        .start();
    until_true("it is said", || {
        let said = daemon.stderr();
        said.contains("armed   backup  0 2 * * *  disabled")
            && said.contains("armed   demand  -          runs when asked to")
    });
}
