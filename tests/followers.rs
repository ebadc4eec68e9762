//! Jobs that follow jobs, by a real daemon.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing where something must be has failed")]

mod common;

use std::fs;

use common::{Daemon, Setup, until, until_true};
use nix::sys::signal::Signal;

/// Adds a line to a file beside `conf.d`: what began it.
fn told(setup: &Setup, file: &str) -> String {
    let file = setup.path().join(file);
    format!("script: 'echo $ROTA_JOB $ROTA_TRIGGER $ROTA_AFTER $ROTA_AFTER_RUN >> {}'\n", file.display())
}

/// A file that whichever user jobs run as may write to.
fn shared(setup: &Setup, file: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(setup.path().join(file), "").unwrap();
    fs::set_permissions(setup.path().join(file), fs::Permissions::from_mode(0o666)).unwrap();
}

fn lines(daemon: &Daemon, file: &str) -> Vec<String> {
    fs::read_to_string(daemon.path().join(file)).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_chain_runs_to_its_end_and_each_knows_what_began_it() {
    let setup = Setup::new("");
    shared(&setup, "out");
    let out = told(&setup, "out");
    let daemon = setup
        .job("a.yaml", &out)
        .job("bad.yaml", "script: exit 3\nafter: {a: success}\n")
        .job("c.yaml", &format!("{out}after: {{bad: failure, a: any}}\n"))
        .job("no.yaml", &format!("{out}after: {{bad: success}}\n"))
        .job("d.yaml", &format!("{out}after: {{c: any}}\non_overlap: queue\n"))
        .start();
    let shown = String::from_utf8(daemon.rota(&["show", "c"]).stdout).unwrap();
    assert!(shown.contains("bad (failure)") && shown.contains("a (any)"), "{shown}");
    daemon.run("a");
    until_true("the end of the chain", || lines(&daemon, "out").len() >= 3);
    let last = |job: &str| daemon.json(&["show", job])["last"]["run"].as_str().unwrap().to_owned();
    until_true("it is over", || daemon.json(&["show", "d"])["last"].is_object());
    assert_eq!(
        lines(&daemon, "out"),
        ["a request".to_owned(), format!("c after bad {}", last("bad")), format!("d after c {}", last("c"))]
    );
    assert!(daemon.stderr().contains(", after bad)"), "{}", daemon.stderr());
    assert_eq!(daemon.json(&["show", "c"])["last"]["by"], "after bad");
}

#[test]
fn a_circle_is_a_finding_and_runs_nothing_for_ever() {
    let daemon = Setup::new("")
        .job("a.yaml", "script: 'true'\nafter: {b: any}\n")
        .job("b.yaml", "script: 'true'\nafter: {a: any}\n")
        .job("lone.yaml", "script: 'true'\nafter: {nobody: any}\n")
        .start();
    let codes = |daemon: &Daemon| {
        let listed = String::from_utf8(daemon.rota(&["list"]).stdout).unwrap();
        (listed.matches("after-cycle").count(), listed.matches("after-unknown").count())
    };
    assert_eq!(codes(&daemon), (2, 1));
    daemon.run("a");
    daemon.run("b");
    let ran = |job: &str| daemon.json(&["show", job])["last"]["trigger"].clone();
    assert_eq!((ran("a"), ran("b")), ("request".into(), "request".into()));
    daemon.job("b.yaml", "script: 'true'\n");
    until_true("the circle is broken", || codes(&daemon) == (0, 1));
    daemon.run("b");
    until_true("what follows has run", || ran("a") == "after");
    let checked = daemon.rota(&["check", daemon.conf_d().to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&checked.stdout).contains("after-unknown"), "{checked:?}");
}

/// The engine is stopped, the upstream job ends, the engine is killed: its successor finds the end.
#[test]
fn d73_an_engine_killed_between_an_end_and_what_follows_loses_nothing() {
    let setup = Setup::new("");
    shared(&setup, "out");
    let (go, gone) = (setup.path().join("go"), setup.path().join("gone"));
    shared(&setup, "gone");
    let wait = format!("while [ ! -e {} ]; do sleep 0.02; done; echo gone > {}", go.display(), gone.display());
    let out = told(&setup, "out");
    let daemon = setup
        .job("first.yaml", "script: 'true'\n")
        .job("a.yaml", &format!("script: '{wait}'\n"))
        .job("one.yaml", &format!("{out}after: {{a: success}}\n"))
        .job("both.yaml", &format!("{out}after: {{first: success, a: success}}\n"))
        .start();
    daemon.run("first");
    daemon.replace_engine();
    assert!(daemon.rota(&["run", "a"]).status.success());
    until_true("it runs", || !daemon.json(&["show", "a"])["running"].as_array().unwrap().is_empty());
    let engine = until("an engine", || daemon.engine());
    Daemon::signal(engine, Signal::SIGSTOP);
    fs::write(&go, "").unwrap();
    until_true("the job has ended", || fs::read(&gone).unwrap() == b"gone\n");
    Daemon::signal(engine, Signal::SIGKILL);
    until("another engine", || daemon.engine().filter(|new| *new != engine));
    daemon.ready();
    until_true("both have run", || lines(&daemon, "out").len() >= 2);
    daemon.replace_engine();
    daemon.replace_engine();
    let mut jobs: Vec<String> = lines(&daemon, "out");
    jobs.iter_mut().for_each(|line| line.truncate(line.find(" after a ").unwrap()));
    jobs.sort();
    assert_eq!(jobs, ["both", "one"]);
}
