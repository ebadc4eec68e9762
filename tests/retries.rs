//! A job that fails and is attempted again, by a real daemon.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing where something must be has failed")]

mod common;

use std::fs;

use common::{Daemon, Setup, until, until_true};
use nix::sys::signal::Signal;

/// Prints its number, and fails until the third attempt.
const THIRD: &str = "script: |\n  echo \"attempt $ROTA_ATTEMPT of $ROTA_RUN_ID\"\n  [ $ROTA_ATTEMPT = 3 ] || exit 7\n\
                     retries: {max: 3, delay: 100ms}\n";

/// Fails while there is no file of this name beside `conf.d`.
fn until_there(setup: &Setup, file: &str, delay: &str) -> String {
    let file = setup.path().join(file);
    format!(
        "script: |\n  echo \"attempt $ROTA_ATTEMPT\"\n  [ -e {} ] || exit 7\nretries: {{max: 3, delay: {delay}}}\n",
        file.display()
    )
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn d72_a_script_that_fails_twice_succeeds_and_is_one_run() {
    let setup = Setup::new("");
    let config = format!("log: {{target: file, dir: {}/log}}", setup.path().display());
    let daemon = setup.configure(&config).job("a.yaml", THIRD).start();
    let output = daemon.rota(&["run", "a", "--wait"]);
    let (said, told) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "as the last attempt ended: {told}");
    let runs: Vec<&str> = said.lines().filter_map(|line| line.split(" of ").nth(1)).collect();
    let run = runs[0];
    let expected = [1, 2, 3].map(|attempt| format!("attempt {attempt} of {run}"));
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
    assert!(told.contains(&format!("run {run}: attempt 1: exit 7")), "{told}");

    let job = daemon.json(&["show", "a"]);
    assert_eq!(
        (&job["last"]["run"], &job["last"]["attempt"], &job["last"]["state"]),
        (&run.into(), &3.into(), &"over".into())
    );
    assert_eq!(text(&daemon.rota(&["logs", run]).stdout), said, "and is found so later");
    assert_eq!(text(&daemon.rota(&["logs", "a"]).stdout), said);
    let stderr = daemon.stderr();
    for line in [
        format!("a failed with exit code 7 (run {run}, attempt 1 of 4, "),
        format!("started a (run {run}, attempt 2, pid "),
        format!("a succeeded (run {run}, attempt 3 of 4, "),
    ] {
        assert!(stderr.contains(&line), "{line}:\n{stderr}");
    }
    assert_eq!(stderr.matches("; next attempt ").count(), 2, "{stderr}");
    let log = until("the note of the second attempt", || {
        let log = fs::read_to_string(daemon.path().join("log/a.log")).ok()?;
        (log.matches("failed with exit code 7").count() == 2).then_some(log)
    });
    assert!(log.contains(run) && log.contains("attempt 1 of 4"), "{log}");
    let id = |line: &str| line.contains(run);
    assert!(log.lines().all(id), "every line is of the one run: {log}");
}

#[test]
fn d72_attempts_that_are_used_up_end_as_the_last_one_did() {
    let daemon =
        Setup::new("").job("a.yaml", "script: exit $((ROTA_ATTEMPT + 10))\nretries: {max: 2, delay: 0s}\n").start();
    let output = daemon.rota(&["run", "a", "--wait"]);
    assert_eq!(output.status.code(), Some(13), "{}", text(&output.stderr));
    let status = daemon.json(&["status"]);
    assert_eq!((&status["outcomes"]["failure"], &status["retrying"]), (&1.into(), &0.into()));
}

#[test]
fn d72_whoever_stops_a_run_that_waits_ends_it_and_its_waiting() {
    let setup = Setup::new("");
    let job = until_there(&setup, "never", "1h");
    let daemon = setup.job("a.yaml", &job).start();
    let waiting = daemon.rota_command(&["run", "a", "--wait"]).spawn().unwrap();
    let run = until("it waits for its next attempt", || {
        daemon.json(&["show", "a"])["retrying"][0]["run"].as_str().map(str::to_owned)
    });
    let list = text(&daemon.rota(&["list"]).stdout);
    assert!(list.contains("retrying"), "{list}");
    let show = text(&daemon.rota(&["show", "a"]).stdout);
    assert!(show.contains(&format!("run {run}: attempt 1: exit 7, the next one in ")), "{show}");
    assert!(text(&daemon.rota(&["status"]).stdout).contains("1 retrying"));
    let stopped = daemon.rota(&["stop", &run]);
    assert!(stopped.status.success(), "{}", text(&stopped.stderr));
    assert_eq!(waiting.wait_with_output().unwrap().status.code(), Some(7));
    assert_eq!(daemon.json(&["status"])["retrying"], 0);
    assert!(daemon.stderr().contains("is not attempted again"), "{}", daemon.stderr());
}

#[test]
fn d73_the_engine_is_killed_while_a_run_waits_and_while_its_program_runs() {
    let setup = Setup::new("");
    let job = until_there(&setup, "there", "2s");
    let daemon = setup.job("a.yaml", &job).start();
    let waiting = daemon.rota_command(&["run", "a", "--wait"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let seen = |what: &str| daemon.json(&["show", "a"])[what][0]["attempt"].as_u64();
    until_true("it waits", || seen("retrying") == Some(1));
    daemon.replace_engine();
    until_true("it waits still, or again", || seen("retrying").is_some());
    fs::write(daemon.path().join("there"), "").unwrap();
    let output = waiting.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let last = daemon.json(&["show", "a"])["last"].clone();
    assert_eq!(last["outcome"], "exited");
    let attempts = last["attempt"].as_u64().unwrap();
    let stderr = daemon.stderr();
    assert!((2..=3).contains(&attempts), "{last}");
    for attempt in 1..=attempts {
        let said = if attempt == 1 { "started a (run ".into() } else { format!("attempt {attempt}, pid ") };
        assert!(stderr.matches(said.as_str()).count() >= 1, "{stderr}");
        assert!(stderr.matches(&format!(", attempt {attempt}, pid ")).count() <= 1, "once each: {stderr}");
    }
}

#[test]
fn d73_a_program_that_is_killed_is_attempted_again() {
    let text_of = "script: |\n  [ $ROTA_ATTEMPT = 2 ] || exec sleep 1000\nretries: {max: 1, delay: 0s}\n";
    let daemon = Setup::new("").job("a.yaml", text_of).start();
    let waiting = daemon.rota_command(&["run", "a", "--wait"]).spawn().unwrap();
    let pid = until("it runs", || {
        let job = daemon.json(&["show", "a"]);
        job["running"][0]["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok())
    });
    Daemon::signal(pid, Signal::SIGKILL);
    assert_eq!(waiting.wait_with_output().unwrap().status.code(), Some(0));
}

#[test]
fn a_run_that_waits_is_in_the_ledger_until_it_is_over() {
    let setup = Setup::new("");
    let job = until_there(&setup, "never", "1h");
    let mut daemon = setup.job("a.yaml", &job).start();
    let run = text(&daemon.rota(&["run", "a"]).stdout).trim().to_owned();
    until_true("it waits", || daemon.json(&["status"])["retrying"] == 1);
    let running = daemon.path().join("state/running");
    until_true("the ledger has it", || fs::read_to_string(&running).is_ok_and(|text| text.contains(&run)));
    daemon.stop();
    // Told of when the daemon stopped: nothing is left to be lost.
    assert!(daemon.stderr().contains("the daemon stops; it failed with exit code 7"), "{}", daemon.stderr());
    until_true("struck", || fs::read_to_string(&running).is_ok_and(|text| !text.contains(&run)));
}
