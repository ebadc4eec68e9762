//! The history and why, with a real daemon: what becomes of slots and runs is there after whatever happens to the daemon.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing where something must be has failed")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use common::{Daemon, Setup, until, until_true};
use nix::sys::signal::Signal;
use rusqlite::Connection;
use serde_json::Value;

/// A state directory that the engine may write to, whoever it is, and that can be looked into.
fn setup() -> (Setup, PathBuf) {
    let setup = Setup::new("");
    let state = setup.path().join("state");
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o777)).unwrap();
    (setup, state)
}

/// Starts a daemon, and waits until its history can be asked.
fn begin(setup: Setup) -> Daemon {
    let daemon = setup.start();
    open(&daemon);
    daemon
}

fn open(daemon: &Daemon) {
    until_true("the history is open", || daemon.json(&["status"])["history"]["state"] == "open");
}

fn rows(daemon: &Daemon, args: &[&str]) -> Vec<Value> {
    let args: Vec<&str> = ["history"].iter().chain(args).copied().collect();
    daemon.json(&args)["rows"].as_array().unwrap().clone()
}

fn text(daemon: &Daemon, args: &[&str]) -> String {
    let output = daemon.rota(args);
    assert!(output.status.success(), "rota {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The newest run of a job in the history, once one of at least `attempt` attempts is there.
fn run_of(daemon: &Daemon, job: &str, attempt: u64) -> Value {
    until("a run is in the history", || {
        rows(daemon, &[job]).into_iter().find(|row| row["entry"] == "run" && row["attempt"].as_u64() >= Some(attempt))
    })
}

fn sentence(daemon: &Daemon, args: &[&str]) -> (String, String) {
    let args: Vec<&str> = ["why"].iter().chain(args).copied().collect();
    let view = daemon.json(&args);
    (view["code"].as_str().unwrap().to_owned(), view["sentence"].as_str().unwrap().to_owned())
}

#[test]
fn runs_are_in_the_history_and_are_shown_after_a_restart() {
    let (setup, _) = setup();
    let setup = setup
        .job("good.yaml", "script: 'echo one; echo two >&2'\n")
        .job("bad.yaml", "script: 'echo broken pipe; exit 7'\n")
        .job("idle.yaml", "script: 'true'\nschedule: '@every 1h'\n");
    let daemon = begin(setup);
    assert_eq!((daemon.run("good").0, daemon.run("bad").0), (Some(0), Some(7)));
    let bad = run_of(&daemon, "bad", 1);
    assert_eq!((&bad["exit"]["code"], &bad["success"], &bad["trigger"]), (&7.into(), &false.into(), &"request".into()));
    assert_eq!(rows(&daemon, &["idle"]), [] as [Value; 0]);
    assert_eq!(text(&daemon, &["history", "idle"]), "nothing in the history\n");
    assert_eq!(daemon.rota(&["history", "nobody"]).status.code(), Some(1));
    assert_eq!(rows(&daemon, &["--failed"]).len(), 1);
    assert_eq!(rows(&daemon, &["--until", "1h"]).len(), 0);

    let daemon = restarted(daemon);
    assert_eq!(rows(&daemon, &[]).len(), 2);
    let table = text(&daemon, &["history"]);
    assert!(table.contains("exit 7") && table.lines().count() == 3, "{table}");
    let last = &daemon.json(&["show", "bad"])["last"];
    assert_eq!((&last["run"], &last["exit"]["code"]), (&bad["run"], &7.into()), "{last}");
    assert!(text(&daemon, &["list"]).contains("exit 7"));
    let run = bad["run"].as_str().unwrap();
    let shown = text(&daemon, &["show", run]);
    assert!(shown.contains("exit 7") && shown.contains("printed    broken pipe"), "{shown}");
    assert_eq!(text(&daemon, &["logs", run]), "broken pipe\n");
    let full = daemon.json(&["show", run]);
    assert_eq!(full["ended_attempts"].as_array().unwrap().len(), 1, "{full}");
    let status = daemon.json(&["status"]);
    assert_eq!((&status["history"]["state"], &status["history"]["dropped"]), (&"open".into(), &0.into()));
    assert_eq!(sentence(&daemon, &["good"]).0, "on-demand");
    assert_eq!(daemon.rota(&["why", "nobody"]).status.code(), Some(1));
}

/// Another daemon in the directory of one that is stopped.
fn restarted(mut daemon: Daemon) -> Daemon {
    daemon.stop();
    daemon.again();
    open(&daemon);
    daemon
}

#[test]
fn why_tells_of_overlap_of_failure_and_of_a_pause() {
    let (setup, _) = setup();
    let marker = setup.path().join("go");
    let script = format!("while [ ! -e {} ]; do read -t 0.05 x </dev/zero; done; exit 3", marker.display());
    let daemon = begin(setup.job("slow.yaml", &format!("script: '{script}'\nschedule: '@every 1s'\n")));
    let skipped =
        until("a slot is skipped", || rows(&daemon, &["slow"]).into_iter().find(|row| row["why"] == "overlap"));
    let slot = skipped["slot"].as_str().unwrap();
    let (code, words) = sentence(&daemon, &["slow", slot]);
    assert_eq!(code, "overlap");
    assert!(words.contains("slow was skipped at") && words.contains(": run "), "{words}");
    fs::write(&marker, "").unwrap();
    let run = run_of(&daemon, "slow", 1);
    let (code, words) = sentence(&daemon, &["slow", slot]);
    assert!(code == "overlap" && words.contains("was going on, from"), "{words}");
    assert!(words.contains(run["run"].as_str().unwrap()) || rows(&daemon, &["slow"]).len() > 2, "{words}");
    let ran = run["slot"].as_str().unwrap();
    let (code, words) = sentence(&daemon, &["slow", ran]);
    assert!(code == "ran" && words.ends_with("failed with exit code 3"), "{words}");

    daemon.rota(&["pause", "slow", "--reason", "disk is full"]);
    let paused = until("a slot is skipped by the pause", || {
        rows(&daemon, &["slow"]).into_iter().find(|row| row["why"] == "paused")
    });
    let (code, words) = sentence(&daemon, &["slow", paused["slot"].as_str().unwrap()]);
    assert!(code == "paused" && words.contains("by uid ") && words.ends_with("disk is full"), "{words}");
    let shown = text(&daemon, &["why", "slow"]);
    assert!(shown.lines().any(|line| line.starts_with("but ") && line.contains("disk is full")), "{shown}");
    let (code, words) = sentence(&daemon, &["slow", "2001-01-01 00:00"]);
    assert!(matches!(code.as_str(), "new" | "unknown" | "changed"), "{code}: {words}");
}

#[test]
fn why_tells_of_a_hold_and_of_a_slot_that_was_to_be_skipped() {
    let (setup, _) = setup();
    let daemon = begin(setup.job("tick.yaml", "script: 'true'\nschedule: '@every 1s'\n"));
    let skipped =
        |why: &str| until("a slot is skipped", || rows(&daemon, &["tick"]).into_iter().find(|row| row["why"] == why));
    assert!(daemon.rota(&["skip-next", "tick", "--reason", "moving"]).status.success());
    let (code, words) = sentence(&daemon, &["tick", skipped("skip-next")["slot"].as_str().unwrap()]);
    assert!(code == "skip-next" && words.contains("asked for by uid ") && words.ends_with(": moving"), "{words}");
    assert!(daemon.rota(&["hold", "--reason", "upgrade"]).status.success());
    let slot = skipped("held");
    let (code, words) = sentence(&daemon, &["tick", slot["slot"].as_str().unwrap()]);
    assert!(code == "held" && words.contains("all jobs were held by uid ") && words.ends_with(": upgrade"), "{words}");
    assert!(text(&daemon, &["why", "tick"]).contains("all jobs are held"), "it stands in the way");
    assert!(daemon.rota(&["release"]).status.success());
    let (_, words) = sentence(&daemon, &["tick", slot["slot"].as_str().unwrap()]);
    assert!(words.contains(" from ") && words.contains(" to "), "it is over: {words}");
}

#[test]
fn f84_what_was_noted_is_there_after_engine_and_warden_are_killed() {
    let (setup, _) = setup();
    let setup = setup.job("long.yaml", "script: 'exec sleep 1000'\n").job("quick.yaml", "script: 'exit 3'\n");
    let mut daemon = begin(setup);
    assert_eq!(daemon.run("quick").0, Some(3));
    let quick = run_of(&daemon, "quick", 1);
    daemon.replace_engine();
    open(&daemon);
    assert_eq!(run_of(&daemon, "quick", 1), quick);
    let run = text(&daemon, &["run", "long"]).trim().to_owned();
    until_true("it runs", || daemon.json(&["show", &run])["state"] == "running");
    until_true("the ledger has it", || {
        fs::read_to_string(daemon.path().join("state/running")).is_ok_and(|text| text.contains(&run))
    });
    let engine = daemon.engine().unwrap();
    Daemon::signal(daemon.pid(), Signal::SIGKILL);
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(engine), Signal::SIGKILL);
    daemon.wait();
    daemon.again();
    open(&daemon);
    let lost = run_of(&daemon, "long", 1);
    assert_eq!((&lost["run"], &lost["outcome"]), (&run.as_str().into(), &"lost".into()));
    assert_eq!(run_of(&daemon, "quick", 1), quick);
}

#[test]
fn f85_a_history_that_is_no_database_is_put_aside_and_jobs_run() {
    let (setup, state) = setup();
    let mut daemon = begin(setup.job("a.yaml", "script: 'true'\n"));
    daemon.stop();
    // In place, so that it still belongs to the engine's user.
    fs::write(state.join("history.db"), vec![b'x'; 10_000]).unwrap();
    daemon.again();
    assert_eq!(daemon.run("a").0, Some(0));
    open(&daemon);
    run_of(&daemon, "a", 1);
    let aside = fs::read_dir(&state).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name().into_string().unwrap();
        name.starts_with("history.db.") && !name.ends_with("-wal") && !name.ends_with("-shm")
    });
    assert_eq!(aside.count(), 1);
    assert!(daemon.stderr().contains("history"), "it is told");
}

#[test]
fn f86_a_history_that_is_locked_holds_up_no_job_and_has_all_of_it_at_last() {
    let (setup, state) = setup();
    let daemon = begin(setup.job("tick.yaml", "script: 'true'\nschedule: '@every 1s'\n"));
    run_of(&daemon, "tick", 1);
    let other = Connection::open(state.join("history.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let done = || daemon.json(&["status"])["outcomes"]["success"].as_u64().unwrap_or(0);
    let before = done();
    until_true("jobs run on", || done() >= before + 4);
    assert!(daemon.json(&["status"])["history"]["waiting"].as_u64() >= Some(4));
    let known = rows(&daemon, &["tick"]).len() as u64;
    assert!(known < done(), "questions are answered with what is there");
    let by_now = done();
    other.execute_batch("ROLLBACK").unwrap();
    until_true("nothing is missing", || rows(&daemon, &["tick", "-n", "1000"]).len() as u64 >= by_now);
    assert_eq!(daemon.json(&["status"])["history"]["dropped"], 0);
}

#[test]
fn a_broken_file_an_edit_and_a_job_that_goes_are_told_of() {
    let (setup, _) = setup();
    let daemon = begin(setup.job("a.yaml", "script: 'true'\nschedule: '0 0 1 1 *'\n"));
    daemon.job("a.yaml", "script: 'true'\nshedule: '0 0 1 1 *'\n");
    until_true("it is broken", || daemon.json(&["show", "a"])["broken"] == true);
    let shown = text(&daemon, &["why", "a", "00:00"]);
    assert!(shown.contains("its file is broken since ") && shown.contains("shedule"), "{shown}");
    daemon.job("a.yaml", "script: 'true'\nschedule: '0 0 2 1 *'\n");
    until_true("it is mended", || daemon.json(&["show", "a"])["broken"] == false);
    assert!(daemon.rota(&["disable", "a"]).status.success());
    let (code, words) = sentence(&daemon, &["a", &jiff::Timestamp::now().to_string()]);
    assert!(code == "disabled" && words.contains("by uid "), "{code}: {words}");
    assert!(daemon.rota(&["delete", "a", "--yes"]).status.success());
    let (code, words) = sentence(&daemon, &["a", &jiff::Timestamp::now().to_string()]);
    assert!(code == "gone" && words.contains("it was taken away at"), "{code}: {words}");
    assert_eq!(daemon.json(&["why", "a"])["next"], Value::Null);
}
