//! Beats to bk-monitor, by way of a program that stands in for its agent's: what it is given, and what happens when it
//! fails, hangs or floods.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing where something must be has failed")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use common::{Daemon, Setup, until, until_true};
use serde_json::Value;

const EVENT_TOKEN: &str = "evtok<1>";
const METRICS_TOKEN: &str = "mettok-2";

/// Writes down with what it was called; hangs while there is `hang`, then fails while there is `fail`.
const PROGRAM: &str = r#"#!/bin/sh
here=${0%/*}
call=$(mktemp "$here/calls/.XXXXXX")
{ id -u; printf '%s\n' "$@"; } > "$call"
mv "$call" "$here/calls/call-${call##*.}"
if [ -e "$here/hang" ]; then
    trap '' TERM
    echo $$ > "$here/hung/$$"
    sleep 1000 & wait; wait
fi
[ ! -e "$here/fail" ] || { echo "cannot send ${11%%,\"data\"*}" >&2; exit 1; }
"#;

/// A directory with the program, and a configuration that names it.
fn setup(config: &str) -> Setup {
    let setup = Setup::new(config);
    let at = setup.path().to_owned();
    for place in ["calls", "hung"] {
        fs::create_dir(at.join(place)).unwrap();
        fs::set_permissions(at.join(place), fs::Permissions::from_mode(0o777)).unwrap();
    }
    fs::write(at.join("bkmonitorbeat"), PROGRAM).unwrap();
    fs::set_permissions(at.join("bkmonitorbeat"), fs::Permissions::from_mode(0o755)).unwrap();
    let at = at.display();
    setup.configure(&format!(
        "ip: 127.0.0.1\nbk_cloud_id: 0\nbk_biz_id: 404\nbk_monitor_beat:\n  beat_path: {at}/bkmonitorbeat\n  \
         agent_address: {at}/agent\n  custom_event: {{bk_data_id: 542898, access_token: '{EVENT_TOKEN}', report_type: \
         agent, message_kind: event}}\n  custom_metrics: {{bk_data_id: 543957, access_token: '{METRICS_TOKEN}', \
         report_type: agent, message_kind: timeseries}}\n"
    ))
}

/// Arguments of a call, after the user that it was made as.
fn calls(at: &Path) -> Vec<Vec<String>> {
    let files = fs::read_dir(at.join("calls")).unwrap().map(|file| file.unwrap().path());
    let done = files.filter(|file| file.file_name().unwrap().to_str().unwrap().starts_with("call-"));
    done.map(|file| fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect()).collect()
}

/// The texts of all beats so far.
fn bodies(at: &Path) -> Vec<Value> {
    calls(at).iter().map(|words| serde_json::from_str(words.last().unwrap()).unwrap()).collect()
}

fn said(body: &Value) -> &str {
    body["data"][0]["event"]["content"].as_str().unwrap_or_default()
}

/// Waits for an event whose content begins so.
fn event(at: &Path, beginning: &str) -> Value {
    until(beginning, || bodies(at).into_iter().find(|body| said(body).starts_with(beginning)))
}

fn beats(daemon: &Daemon) -> Value {
    daemon.json(&["status"])["beats"].clone()
}

/// Programs that were told to hang, and are still there.
fn hung(at: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(at.join("hung")).unwrap().map(|file| file.unwrap().path());
    files.map(|file| Path::new("/proc").join(file.file_name().unwrap())).filter(|process| process.exists()).collect()
}

/// A token of the configuration, anywhere but there and where the program writes down its arguments.
#[track_caller]
fn assert_no_token(daemon: &Daemon) {
    let mut shown = vec![("stderr".to_owned(), daemon.stderr())];
    for place in ["state", "log"] {
        for file in walk(&daemon.path().join(place)) {
            shown.push((
                file.display().to_string(),
                String::from_utf8_lossy(&fs::read(&file).unwrap_or_default()).into(),
            ));
        }
    }
    for args in [&["status"][..], &["list"], &["list", "--json"], &["status", "--json"], &["show", "a", "--json"]] {
        let output = daemon.rota(args);
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        shown.push((format!("rota {args:?}"), text));
    }
    for (place, text) in shown {
        for token in [EVENT_TOKEN, METRICS_TOKEN, "evtok"] {
            assert!(!text.contains(token), "{place} shows a token:\n{text}");
        }
    }
}

fn walk(place: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(place).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn i116_a_failed_run_is_told_with_what_it_printed() {
    let setup = setup("").job("a.yaml", "script: 'echo fine; echo boom >&2; exit 7'\n");
    let daemon = setup
        .job("gone.yaml", "command: /no/such/bin\n")
        .job("slow.yaml", "script: sleep 1000\ntimeout: 100ms\n")
        .job("good.yaml", "script: 'true'\n")
        .start();
    let at = daemon.path();
    assert_eq!(daemon.run("a").0, Some(7));
    daemon.run("good");
    daemon.run("gone");
    daemon.run("slow");
    event(at, "execute job gone failed: fork/exec /no/such/bin: no such file or directory []");
    event(at, "execute job slow failed: timed out: signal: terminated []");
    let body = event(at, "execute job a failed: ");
    assert_eq!(said(&body), "execute job a failed: exit status 7 [boom\n]");
    assert_eq!(body["data"][0]["dimension"]["bk_biz_id"], "404");
    assert_eq!(body["data"][0]["dimension"]["job_name"], "a");
    assert_eq!(body["access_token"], EVENT_TOKEN);
    let words = calls(at).into_iter().find(|words| words[11].contains("job a ")).unwrap();
    let flags = ["-report", "-report.bk_data_id", "542898", "-report.type", "agent", "-report.message.kind", "event"];
    assert_eq!(words[1..8], flags);
    assert_eq!(words[8..11], ["-report.agent.address", &format!("{}/agent", at.display()), "-report.message.body"]);
    assert_eq!(words.len(), 12);
    assert_ne!(words[0], "0", "it runs as jobs_user, not as root");
    until_true("all are counted", || beats(&daemon)["sent"] == 3);
    let status = daemon.json(&["status"]);
    assert_eq!((&status["running"], &status["beats"]["failed"]), (&0.into(), &0.into()));
    assert_eq!(daemon.json(&["list"])["jobs"].as_array().map(Vec::len).unwrap_or(4), 4, "beats are no jobs");
    assert_no_token(&daemon);
}

#[test]
fn i117_a_skipped_slot_is_told() {
    let daemon = setup("").job("s.yaml", "schedule: '@every 1s'\nscript: sleep 1000\non_overlap: skip\n").start();
    let body = event(daemon.path(), "s skipt");
    assert_eq!(said(&body), "s skipt for last round use too much time");
    assert_eq!(body["data"][0]["dimension"]["job_name"], "s");
}

#[test]
fn i118_a_megabyte_on_stderr_does_not_cost_the_alarm() {
    let script = "log: none\nscript: |\n  line=$(head -c 1023 /dev/zero | tr '\\0' '<')\n  i=0; while [ $i -lt 1024 ]; do \
                  echo \"$line\"; i=$((i+1)); done >&2\n  echo the last words >&2; exit 1\n";
    let daemon = setup("").job("a.yaml", script).start();
    daemon.run("a");
    let body = event(daemon.path(), "execute job a failed: exit status 1 [(");
    assert!(said(&body).ends_with("<\nthe last words\n]"), "the end is there");
    let (cut, kept) = said(&body).split_once(" bytes cut) ").unwrap();
    let cut: usize = cut.rsplit('(').next().unwrap().parse().unwrap();
    assert_eq!(cut + kept.len() - 1, (1 << 20) + "the last words\n".len());
}

#[test]
fn i116_programs_that_hang_hold_up_no_job_and_are_killed() {
    let setup = setup("");
    fs::write(setup.path().join("hang"), "").unwrap();
    let mut daemon = setup.job("a.yaml", "schedule: '@every 1s'\nscript: 'exit 1'\n").start();
    let at = daemon.path().to_owned();
    until_true("as many hang as may", || hung(&at).len() == 4);
    let ended = |daemon: &Daemon| daemon.json(&["status"])["outcomes"]["failure"].as_u64().unwrap_or(0);
    let before = ended(&daemon);
    until_true("the job runs on", || ended(&daemon) >= before + 3);
    assert!(hung(&at).len() <= 4, "no more than a few");
    until_true("they are killed", || beats(&daemon)["failed"].as_u64().unwrap() >= 4);
    let failing = beats(&daemon)["failing"].as_str().unwrap().to_owned();
    assert!(failing.contains("did not end within 10 s"), "{failing}");
    let first: Vec<PathBuf> = hung(&at);
    assert!(daemon.stop().success(), "the daemon's end does not wait for them");
    assert!(first.iter().all(|process| !process.exists()));
    assert_eq!(daemon.stderr().matches("beats do not go out").count(), 1);
    assert!(daemon.stderr().contains("errands were still waiting"), "what is lost is told");
}

#[test]
fn i119_a_failing_program_is_tried_again_and_told_once() {
    let setup = setup("");
    fs::write(setup.path().join("fail"), "").unwrap();
    let daemon = setup.job("a.yaml", "script: 'exit 3'\n").start();
    let at = daemon.path().to_owned();
    (0..3).for_each(|_| drop(daemon.run("a")));
    until_true("all have failed", || beats(&daemon)["failed"].as_u64().unwrap() >= 3);
    assert!(
        beats(&daemon)["failing"]
            .as_str()
            .unwrap()
            .contains(r#"cannot send {"bk_data_id":542898,"access_token":"(secret)""#)
    );
    let status = String::from_utf8(daemon.rota(&["status"]).stdout).unwrap();
    assert!(status.contains("beats") && status.contains("they do not go out"), "{status}");
    fs::remove_file(at.join("fail")).unwrap();
    until_true("all are sent at last", || beats(&daemon)["sent"] == 3);
    assert_eq!((beats(&daemon)["given_up"].as_u64(), beats(&daemon)["failing"].as_str()), (Some(0), None));
    let mut bodies = bodies(&at);
    assert!(bodies.len() >= 6);
    bodies.sort_by_key(|body| body["data"][0]["timestamp"].as_i64());
    bodies.dedup();
    assert_eq!(bodies.len(), 3, "a beat says when it happened, not when it was tried again");
    until_true("that it works again is told", || daemon.stderr().contains("beats go out again; 0 were lost"));
    assert_eq!(daemon.stderr().matches("beats do not go out").count(), 1);
    assert_no_token(&daemon);
}

#[test]
fn d73_an_engine_killed_in_the_middle_leaves_nothing() {
    let setup = setup("");
    let at = setup.path().to_owned();
    fs::write(at.join("hang"), "").unwrap();
    let daemon = setup.job("a.yaml", "script: 'exit 1'\n").start();
    (0..6).for_each(|_| drop(daemon.run("a")));
    until_true("as many hang as may", || hung(&at).len() == 4);
    daemon.replace_engine();
    fs::remove_file(at.join("hang")).unwrap();
    assert_eq!(daemon.json(&["status"])["running"], 0, "they are no runs");
    daemon.run("a");
    until_true("beats go on, once the old ones are killed", || beats(&daemon)["sent"].as_u64() >= Some(1));
    until_true("nothing is left of those", || hung(&at).is_empty());
    let said = daemon.stderr();
    assert!(!said.contains("another version") && !said.contains("left-behind"), "{said}");
    assert_no_token(&daemon);
}

#[test]
fn a_program_that_is_not_there_is_a_finding_and_the_daemon_runs_on() {
    let setup = setup("").job("a.yaml", "script: 'exit 1'\n");
    fs::remove_file(setup.path().join("bkmonitorbeat")).unwrap();
    let daemon = setup.start();
    let listed = || String::from_utf8(daemon.rota(&["list"]).stdout).unwrap();
    until_true("it is told", || listed().contains("beat-path"));
    assert_eq!(daemon.run("a").0, Some(1));
    until_true("sending fails", || beats(&daemon)["failed"].as_u64().unwrap() >= 1);
    fs::write(daemon.path().join("bkmonitorbeat"), PROGRAM).unwrap();
    fs::set_permissions(daemon.path().join("bkmonitorbeat"), fs::Permissions::from_mode(0o755)).unwrap();
    until_true("it is sent with the next try", || beats(&daemon)["sent"] == 1);
    until_true("and the finding is gone", || !listed().contains("beat-path"));
}
