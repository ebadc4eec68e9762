//! The real program against a real endpoint.

#![allow(clippy::unwrap_used, reason = "tests")]

mod surface;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::process::{Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rotad::engine::Outcome;
use rotad::wire::{Exit, Failure, RunId, Step};
use serde_json::Value;
use surface::{Daemon, exited, rota, stderr, stdout, until};

#[track_caller]
fn ends(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}{}", stdout(output), stderr(output));
}

#[test]
fn reading_verbs_speak_text_and_json() {
    let daemon = Daemon::start();
    for (args, texts) in [
        (
            &["status"][..],
            &["rotad     0.1.0, up 3 h", "5 jobs", "backup at", "140 ok", "1 broken", "started anew 1 time"][..],
        ),
        (&["list"], &["JOB", "exit 3, ", "in 4 min", "armed, broken", "running", "on demand", "disabled", "0 3 * * *"]),
        (&["list"], &["broken.yaml:2:1: error[unknown-key]: there is no key 'shedule'", "hint: did you mean"]),
        (&["show", "backup"], &["/usr/bin/backup '--all data'", "vixie, Europe/Berlin", "missed (down), 3 slots"]),
        (&["show", "by hand @*"], &["on demand"]),
        (&["show", "broken"], &["last good definition", "error[unknown-key]"]),
        (&["version"], &["rota  0.1.0", "rotad 0.1.0"]),
    ] {
        let output = daemon.rota(args);
        ends(&output, 0);
        for text in texts.iter().map(|text| text.replace("5 jobs", "5 (1 disabled), 1 running")) {
            assert!(stdout(&output).contains(&text), "{args:?} says {text:?}:\n{}", stdout(&output));
        }
        assert!(!stdout(&output).contains('\u{1b}'), "no escape from a file reaches the output:\n{}", stdout(&output));
        let json = daemon.rota(&[args, &["--json"]].concat());
        ends(&json, 0);
        serde_json::from_str::<Value>(&stdout(&json)).unwrap();
    }
    let jobs: Value = serde_json::from_str(&stdout(&daemon.rota(&["list", "--json"]))).unwrap();
    assert_eq!(jobs[0]["last"]["outcome"], "exited");
}

#[test]
fn run_prints_the_id_and_stop_what_it_stops() {
    let daemon = Daemon::start();
    let output = daemon.rota(&["run", "by hand @*"]);
    ends(&output, 0);
    assert_eq!(stdout(&output), format!("{}\n", RunId(9)));
    let output = daemon.rota(&["stop", "busy"]);
    ends(&output, 0);
    assert_eq!(stdout(&output), format!("stopping {}\n", RunId(8)));
    let output = daemon.rota(&["stop", &RunId(8).to_string()]);
    assert_eq!(stdout(&output), format!("stopping {}\n", RunId(8)));
    let output = daemon.rota(&["stop", "backup"]);
    assert_eq!(stdout(&output), "no run of 'backup' goes on\n");
    assert_eq!(daemon.world.lock().unwrap().stopped, [RunId(8), RunId(8)]);
}

#[test]
fn refusals_are_sentences_with_hints() {
    let daemon = Daemon::start();
    for (args, text) in [
        (&["run", "busy"][..], "rota: 'busy' is running\n"),
        (&["run", "busy", "--wait"], "rota: 'busy' is running\n"),
        (&["show", "nope"], "rota: there is no job 'nope'\n      hint: rota list\n"),
        (&["stop", "0000000000000"], "rota: there is no run 0000000000000\n"),
        (&["logs", "nope"], "rota: there is no job 'nope'\n      hint: rota list\n"),
        (&["show", "../x"], "rota: a job name is no path: nothing, '.' or '..' cannot stand beside a '/' or alone\n"),
    ] {
        let output = daemon.rota(args);
        ends(&output, 1);
        assert_eq!(stderr(&output), text);
        assert_eq!(stdout(&output), "");
    }
    for args in [&["frobnicate"][..], &["show"], &["logs", "-f"], &["status", "--sockt", "x"]] {
        ends(&daemon.rota(args), 2);
    }
}

#[test]
fn run_wait_ends_as_the_run_ends() {
    let daemon = Daemon::start();
    let signal = |signal| Exit::Signal { signal, core: false };
    for (outcome, code, text) in [
        (exited(0), 0, ""),
        (exited(42), 42, ""),
        (Outcome::Exited { exit: signal(11), success: false }, 139, ""),
        (Outcome::TimedOut { exit: signal(15) }, 124, "its time was up"),
        (Outcome::Stopped { exit: signal(15), why: "request".into() }, 143, "it was stopped (request)"),
        (
            Outcome::CouldNotStart {
                failure: Failure { step: Step::Exec, errno: 2 },
                message: "executing the program: No such file or directory".into(),
            },
            125,
            "could not start: executing the program: No such file",
        ),
        (Outcome::Lost, 70, "not known"),
    ] {
        daemon.world.lock().unwrap().outcome = Some(outcome);
        let output = daemon.rota(&["run", "backup", "--wait"]);
        ends(&output, code);
        assert!(stderr(&output).contains(text), "{}", stderr(&output));
        assert_eq!(stderr(&output).is_empty(), text.is_empty());
    }
}

#[test]
fn ctrl_c_leaves_the_run_and_says_how_to_stop_it() {
    let daemon = Daemon::start();
    daemon.world.lock().unwrap().outcome = None;
    let child = daemon.command(&["run", "backup", "--wait"]).stderr(Stdio::piped()).spawn().unwrap();
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    // SIGINT is caught from the first record on; /proc tells.
    let caught = || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap().trim().to_owned();
        u64::from_str_radix(&mask, 16).unwrap() & 2 != 0
    };
    until("SIGINT is caught", caught);
    kill(pid, Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    ends(&output, 130);
    assert_eq!(stderr(&output), format!("rota: detached: run {0} goes on\n      hint: rota stop {0}\n", RunId(9)));
}

#[test]
fn reload_tells_broken_files_and_still_succeeds() {
    let daemon = Daemon::start();
    let output = daemon.rota(&["reload"]);
    ends(&output, 0);
    assert!(stdout(&output).starts_with("5 jobs (1 disabled), next backup at "));
    assert!(stderr(&output).contains("1 broken file:") && stderr(&output).contains("error[unknown-key]"));
}

#[test]
fn without_a_daemon_there_is_a_sentence_and_a_code() {
    let scratch = tempfile::tempdir().unwrap();
    let socket = scratch.path().join("rotad.sock");
    let path = socket.to_str().unwrap();
    let output = rota(&["--socket", path, "status"]).output().unwrap();
    ends(&output, 69);
    assert!(stderr(&output).contains("is rotad running?"), "{}", stderr(&output));
    let listener = UnixListener::bind(&socket).unwrap();
    drop(listener);
    ends(&rota(&["list", "--socket", path]).output().unwrap(), 69);
    let config = scratch.path().join("rotad.yaml");
    std::fs::write(&config, format!("socket: {path}\n")).unwrap();
    let output = rota(&["-c", config.to_str().unwrap(), "status"]).output().unwrap();
    ends(&output, 69);
    assert!(stderr(&output).contains(path));
    ends(&rota(&["-c", "/does/not/exist", "status"]).output().unwrap(), 2);
    let checked = rota(&["check", "-c", config.to_str().unwrap(), "--json"]).output().unwrap();
    assert!(!stderr(&checked).contains("rotad running"), "check needs no daemon, and has a -c of its own");
    let output = rota(&["--socket", path, "version"]).output().unwrap();
    ends(&output, 0);
    assert!(stdout(&output).contains("rotad does not answer"));
}

#[test]
fn a_socket_that_may_not_be_opened_is_told_from_one_that_is_not_there() {
    if nix::unistd::getuid().is_root() {
        eprintln!("skipped: root may open every socket");
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let socket = scratch.path().join("rotad.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o000)).unwrap();
    let output = rota(&["--socket", socket.to_str().unwrap(), "status"]).output().unwrap();
    ends(&output, 77);
    assert!(stderr(&output).contains("group"));
}

/// A daemon that says what it is told, record by record, and knows nothing else.
fn scripted(answer: impl FnOnce(&mut dyn Write) + Send + 'static) -> (tempfile::TempDir, String) {
    let scratch = tempfile::tempdir().unwrap();
    let socket = scratch.path().join("rotad.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        let mut client = loop {
            let (mut client, _) = listener.accept().unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                client.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            if head.starts_with(b"POST") || String::from_utf8_lossy(&head).contains("/output") {
                break client;
            }
            client.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
        };
        client.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").unwrap();
        answer(&mut client);
    });
    let path = socket.to_str().unwrap().to_owned();
    (scratch, path)
}

const RUN: &str = "{\"run\":\"0000000000009\",\"job\":\"a\"}\n";

fn line(stream: &str, more: &str) -> String {
    format!("{{\"at\":\"2026-11-20T13:00:00Z\",\"run\":\"0000000000009\",\"stream\":\"{stream}\",{more}}}\n")
}

#[test]
fn e75_run_wait_passes_on_bytes_line_by_line_each_to_its_stream() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let (_scratch, path) = scripted(move |out| {
        out.write_all((RUN.to_owned() + "\n\n" + &line("stdout", "\"text\":\"one\\u001b[31m\"")).as_bytes()).unwrap();
        wait.recv().unwrap();
        let rest = line("stderr", "\"text\":\"two\"") + &line("stdout", "\"base64\":\"/wA=\",\"open\":true");
        // A record may arrive in any pieces.
        for byte in rest.bytes() {
            out.write_all(&[byte]).unwrap();
        }
    });
    let mut command = rota(&["--socket", &path, "run", "a", "-w"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut first = Vec::new();
    out.read_until(b'\n', &mut first).unwrap();
    assert_eq!(first, b"one\x1b[31m\n", "it is seen while the run goes on");
    go.send(()).unwrap();
    let mut rest = Vec::new();
    out.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"\xff\0");
    let output = child.wait_with_output().unwrap();
    ends(&output, 69);
    let text = stderr(&output);
    assert!(text.starts_with("two\nrota: the connection to rotad was lost\n"), "{text}");
    assert!(text.contains("still waiting") && text.contains("run 0000000000009 may go on"), "{text}");
}

#[test]
fn logs_prints_lines_as_they_were_and_ends_quietly_when_nobody_reads() {
    let records = RUN.to_owned()
        + "{\"skipped\":4,\"run\":\"0000000000009\"}\n"
        + &line("stdout", "\"text\":\"a\\u001b\"")
        + &line("stderr", "\"base64\":\"/w==\"");
    let script = records.clone();
    let (_scratch, path) = scripted(move |out| out.write_all(script.as_bytes()).unwrap());
    let output = rota(&["--socket", &path, "logs", "a"]).output().unwrap();
    ends(&output, 0);
    assert_eq!(output.stdout, b"a\x1b\n\xff\n");
    assert_eq!(stderr(&output), "rota: run 0000000000009: 4 lines before these\n");

    let script = records.clone();
    let (_scratch, path) = scripted(move |out| out.write_all(script.as_bytes()).unwrap());
    let output = rota(&["--socket", &path, "logs", "a", "--json"]).output().unwrap();
    assert_eq!(stdout(&output), records);

    let (_scratch, path) = scripted(|out| {
        let line = line("stdout", "\"text\":\"y\"");
        while out.write_all(line.as_bytes()).is_ok() {}
    });
    let mut child = rota(&["--socket", &path, "logs", "-f", "a"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut [0; 2]).unwrap();
    drop(out);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn next_of_a_job_is_that_of_its_schedule_dialect_and_zone() {
    let daemon = Daemon::start();
    let from = ["--from", "2026-07-01T00:00:00Z", "-n", "2"];
    let output = daemon.rota(&[&["next", "--job", "backup", "--json"][..], &from].concat());
    ends(&output, 0);
    assert_eq!(stdout(&output), "[\"2026-07-01T03:00:00+02:00\",\"2026-07-02T03:00:00+02:00\"]\n");
    for (job, why) in [("by hand @*", "has no schedule"), ("off", "is disabled"), ("nope", "no job 'nope'")] {
        let output = daemon.rota(&["next", "--job", job]);
        ends(&output, 1);
        assert!(stderr(&output).contains(why), "{}", stderr(&output));
    }
    ends(&daemon.rota(&["next", "--job", "backup", "--timezone", "UTC"]), 2);
    let output = rota(&["next", "backup"]).output().unwrap();
    ends(&output, 1);
    assert!(stderr(&output).contains("rota next --job backup"), "{}", stderr(&output));
}

#[test]
fn check_goes_by_what_the_daemon_would_allow_here() {
    let here = tempfile::tempdir().unwrap();
    std::fs::create_dir(here.path().join("conf.d")).unwrap();
    std::fs::write(here.path().join("conf.d/a.yaml"), "user: daemon\ncommand: id\n").unwrap();
    if std::path::Path::new(rotad::conf::DEFAULT_PATH).exists() {
        eprintln!("skipped: why: this machine has a configuration");
        return;
    }
    let output = rota(&["check"]).current_dir(here.path()).output().unwrap();
    ends(&output, 1);
    assert!(stdout(&output).contains("error[user-not-allowed]"), "{}", stdout(&output));
    let named = rota(&["check", "conf.d/a.yaml"]).current_dir(here.path()).output().unwrap();
    ends(&named, 0);
    let none = rota(&["check", "conf.d/b"]).current_dir(here.path()).output().unwrap();
    ends(&none, 1);
    assert!(stdout(&none).ends_with("checked 1 file: 1 error, 0 warnings\n"), "{}", stdout(&none));
}
