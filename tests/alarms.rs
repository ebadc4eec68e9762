//! Alarms of a real daemon: to servers that answer, hang and fail, to a program that stands in for sendmail, and to commands.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing where something must be has failed")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use common::{Daemon, Setup, until, until_true};
use serde_json::Value;

/// What a server was sent: path, head and body of each request.
#[derive(Clone)]
struct Server {
    url: String,
    got: Arc<Mutex<Vec<(String, String, String)>>>,
    /// What it answers; 0: nothing, ever.
    status: Arc<AtomicU16>,
}

impl Server {
    fn start(status: u16) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = Server { url, got: Arc::default(), status: Arc::new(AtomicU16::new(status)) };
        let own = server.clone();
        std::thread::spawn(move || listener.incoming().for_each(|stream| own.clone().serve(stream.unwrap())));
        server
    }

    fn serve(self, mut stream: TcpStream) {
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap_or(0) > 0 {}
            let lower = head.to_ascii_lowercase();
            let length =
                lower.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse().ok());
            let mut body = vec![0; length.unwrap_or(0)];
            if reader.read_exact(&mut body).is_err() {
                return;
            }
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            self.got.lock().unwrap().push((path, head, String::from_utf8(body).unwrap()));
            match self.status.load(Ordering::SeqCst) {
                0 => drop(reader.read_to_end(&mut Vec::new())),
                status => drop(write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")),
            }
        });
    }

    fn paths(&self) -> Vec<String> {
        self.got.lock().unwrap().iter().map(|(path, ..)| path.clone()).collect()
    }

    fn bodies(&self) -> Vec<Value> {
        self.got.lock().unwrap().iter().filter_map(|(_, _, body)| serde_json::from_str(body).ok()).collect()
    }

    /// Every alarm so far.
    fn alarms(&self) -> Vec<Value> {
        self.bodies().iter().flat_map(|body| body["alarms"].as_array().cloned().unwrap_or_default()).collect()
    }

    /// Waits for an alarm.
    fn alarm(&self, job: &str, on: &str) -> Value {
        let found = || self.alarms().into_iter().find(|alarm| alarm["job"] == job && alarm["on"] == on);
        until(&format!("{on} of {job}"), found)
    }
}

fn program(at: &Path, name: &str, text: &str) -> String {
    let path = at.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

/// A directory in which a program of another user may write.
fn open_directory(at: &Path, name: &str) {
    fs::create_dir(at.join(name)).unwrap();
    fs::set_permissions(at.join(name), fs::Permissions::from_mode(0o777)).unwrap();
}

fn texts(at: &Path) -> Vec<String> {
    let files = fs::read_dir(at).unwrap().map(|file| file.unwrap().path());
    let done = files.filter(|file| file.extension().is_some_and(|end| end == "done"));
    done.map(|file| fs::read_to_string(file).unwrap()).collect()
}

fn target(daemon: &Daemon, name: &str) -> Value {
    let alarms = daemon.json(&["status"])["alarms"].clone();
    alarms.as_array().into_iter().flatten().find(|target| target["name"] == name).cloned().unwrap_or_default()
}

#[track_caller]
fn assert_hidden(daemon: &Daemon, secret: &str) {
    for args in [&["status"][..], &["status", "--json"], &["list"], &["list", "--json"], &["show", "a", "--json"]] {
        let output = daemon.rota(args);
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(!text.contains(secret), "rota {args:?}: {text}");
    }
    assert!(!daemon.stderr().contains(secret), "{}", daemon.stderr());
}

#[test]
fn a_webhook_is_told_of_failure_and_recovery_with_what_was_printed() {
    let (server, chat) = (Server::start(200), Server::start(200));
    let config = format!(
        "targets:\n  ops: {{webhook: '{}/s3cret', headers: {{X-Key: k3y}}}}\n  \
         chat: {{webhook: '{}/s3cret', template: '{{\"text\": \"{{{{message}}}}\"}}'}}\n\
         notify:\n  - {{on: [failure, recovery, skipped], to: [ops, chat]}}\n",
        server.url, chat.url
    );
    let daemon = Setup::new(&config)
        .job(
            "a.yaml",
            "script: '[ -e /tmp/never ]; cat \"$PWD/text\" >/dev/null 2>&1; echo \"boom \\\"x\\\"\" >&2; exit 7'\n",
        )
        .job("quiet.yaml", "script: 'exit 1'\nnotify: none\n")
        .start();
    assert_eq!(daemon.run("a").0, Some(7));
    daemon.run("quiet");
    let alarm = server.alarm("a", "failure");
    assert_eq!((&alarm["code"], &alarm["outcome"]), (&7.into(), &"failure".into()));
    assert_eq!((&alarm["reason"], &alarm["tail"]), (&"failed with exit code 7".into(), &"boom \"x\"\n".into()));
    assert!(server.got.lock().unwrap()[0].1.to_ascii_lowercase().contains("x-key: k3y"));
    let said = until("the chat has it", || chat.bodies().first().cloned());
    assert!(said["text"].as_str().unwrap().ends_with("a failed with exit code 7\nboom \"x\""), "{said}");
    daemon.arm("a.yaml", "script: 'true'\n");
    until_true("the new one runs", || daemon.run("a").0 == Some(0));
    assert_eq!(server.alarm("a", "recovery")["count"], 1);
    let all: Vec<Value> = server.alarms();
    assert!(all.iter().all(|alarm| alarm["job"] == "a"), "{all:?}");
    assert!(target(&daemon, "ops")["sent"].as_u64() >= Some(1));
    for secret in ["s3cret", "k3y"] {
        assert_hidden(&daemon, secret);
    }
}

#[test]
fn pings_and_reports_hear_of_every_run() {
    let (ping, center) = (Server::start(200), Server::start(200));
    let config = format!("ip: 10.0.0.5\ntargets:\n  gopher: {{report: '{}/report'}}\n", center.url);
    let job = |script: &str| {
        format!(
            "script: '{script}'\ntimeout: 60s\nlabels: {{project_id: 3}}\nnotify:\n  - {{on: [start, success, failure], to: \
             {{ping: '{}/uuid'}}}}\n  - {{on: [success, failure], to: gopher}}\n",
            ping.url
        )
    };
    let daemon = Setup::new(&config).job("a.yaml", &job("echo out; exit 3")).start();
    daemon.run("a");
    until_true("it failed", || ping.paths() == ["/uuid/start", "/uuid/3"]);
    daemon.run("a");
    until_true("every run is told", || ping.paths().len() == 4 && ping.paths()[3] == "/uuid/3");
    assert!(ping.got.lock().unwrap()[1].2.ends_with("out\n"));
    until_true("the center has all", || center.bodies().len() == 4);
    let got = center.got.lock().unwrap().clone();
    let kinds = |kind: &str| {
        got.iter().filter(|(_, head, _)| head.to_ascii_lowercase().contains(&format!("report-type: {kind}"))).count()
    };
    assert_eq!((kinds("report_task_result"), kinds("report_warning")), (2, 2));
    let result = center.bodies().into_iter().find(|body| body.get("execute_info").is_some()).unwrap();
    assert_eq!(result["execute_info"]["task"]["project_id"], 3);
    assert_eq!((&result["output"], &result["error"]), (&"out\n".into(), &"failed with exit code 3".into()));
    assert_eq!(
        (&result["execute_info"]["task"]["client_ip"], &result["execute_info"]["task"]["timeout"]),
        (&"10.0.0.5".into(), &60.into())
    );
    daemon.arm("a.yaml", &job("true"));
    until_true("the new one runs", || daemon.run("a").0 == Some(0));
    until_true("its success is told", || ping.paths().last().is_some_and(|path| path == "/uuid"));
}

/// Writes down its arguments and what it is given.
const SENDMAIL: &str = "#!/bin/sh\nhere=${0%/*}\nfile=$(mktemp \"$here/mails/XXXXXX\")\n\
    { id -u; printf '%s\\n' \"$@\"; echo ---; cat; echo \"ROTA_MESSAGE=$ROTA_MESSAGE\"; } > \"$file\"\nmv \"$file\" \"$file.done\"\n";
const PAGE: &str = "#!/bin/sh\nhere=${0%/*}\nfile=$(mktemp \"$here/pages/XXXXXX\")\n\
    { id -u; echo \"$*\"; env | grep ^ROTA_ALARM_ | sort; printf %s \"$ROTA_ALARM\"; } > \"$file\"\nmv \"$file\" \"$file.done\"\n";

#[test]
fn i118_mail_and_commands_are_errands_and_no_name_gets_into_a_header() {
    let setup = Setup::new("");
    let at = setup.path().to_owned();
    ["mails", "pages"].iter().for_each(|name| open_directory(&at, name));
    let (sendmail, page) = (program(&at, "sendmail", SENDMAIL), program(&at, "page", PAGE));
    let config = format!(
        "sendmail: {sendmail}\ntargets:\n  dba: {{mail: [dba@example.com, root]}}\n  pager: {{command: [{page}, --from, rotad]}}\n\
         notify: [{{on: failure, to: [dba, pager]}}]\n"
    );
    let script = "script: \"printf 'x\\\\r\\\\nBcc: evil@example.com\\\\n.\\\\n\\\\033[2Jend\\\\n'; exit 9\"\n";
    let daemon = setup.configure(&config).job("job.yaml", &format!("name: 'é =?UTF-8?Q?=0A?= --'\n{script}")).start();
    daemon.run("é =?UTF-8?Q?=0A?= --");
    let mail = until("a mail", || texts(&at.join("mails")).first().cloned());
    let (called, text) = mail.split_once("---\n").unwrap();
    assert_eq!(called.lines().skip(1).collect::<Vec<_>>(), ["-i", "--", "dba@example.com", "root"]);
    assert_ne!(called.lines().next(), Some("0"), "as jobs_user");
    assert!(text.ends_with("ROTA_MESSAGE=\n"), "it is not in its environment");
    let (head, body) = text.split_once("\n\n").unwrap();
    assert!(head.is_ascii() && head.contains("To: dba@example.com,\n root\nSubject: =?UTF-8?B?"), "{head}");
    assert!(head.contains("\nAuto-Submitted: auto-generated\n") && !head.contains("Bcc"), "{head}");
    assert!(body.contains("failed with exit code 9") && body.contains("    Bcc: evil@example.com\n    .\n"), "{body}");
    assert!(!body.contains('\u{1b}') && !body.contains('\r'));
    let page = until("a page", || texts(&at.join("pages")).first().cloned());
    assert!(page.contains("\n--from rotad\n") && page.contains("ROTA_ALARM_ON=failure\n"), "{page}");
    let json: Value = serde_json::from_str(page.lines().last().unwrap()).unwrap();
    assert_eq!((&json["alarms"][0]["code"], &json["dropped"]), (&9.into(), &0.into()));
    until_true("both are counted", || target(&daemon, "dba")["sent"] == 1 && target(&daemon, "pager")["sent"] == 1);
    assert_eq!(daemon.json(&["status"])["running"], 0);
}

#[test]
fn i116_a_target_that_hangs_holds_up_no_job() {
    let (hang, good) = (Server::start(0), Server::start(200));
    let config = format!(
        "targets:\n  hang: {{webhook: '{0}/a', timeout: 2s}}\n  good: {{webhook: '{1}/a'}}\n\
         notify: [{{on: failure, to: [hang, good]}}, {{on: [start, failure], to: {{ping: '{0}/p', timeout: 2s}}}}]\n",
        hang.url, good.url
    );
    let mut daemon = Setup::new(&config).job("a.yaml", "schedule: '@every 1s'\nscript: 'exit 1'\n").start();
    let ended = |daemon: &Daemon| daemon.json(&["status"])["outcomes"]["failure"].as_u64().unwrap_or(0);
    good.alarm("a", "failure");
    until_true("the hanging one is an item of its own", || !target(&daemon, "hang")["failing"].is_null());
    let (before, start) = (ended(&daemon), Instant::now());
    until_true("the job runs on", || ended(&daemon) >= before + 3);
    assert!(start.elapsed().as_secs() < 8, "{:?}", start.elapsed());
    assert_eq!(target(&daemon, "hang")["failing"], "no answer within 2 s");
    let stop = Instant::now();
    assert!(daemon.stop().success());
    assert!(stop.elapsed().as_secs() < 6, "the end does not wait for it: {:?}", stop.elapsed());
}

#[test]
fn i117_two_hundred_that_fail_at_once_are_few_messages_and_recover_in_few() {
    let server = Server::start(200);
    let config = format!(
        "targets: {{ops: {{webhook: '{}/a'}}}}\nnotify: [{{on: [failure, recovery, still-failing], to: ops}}]\n",
        server.url
    );
    let mut setup = Setup::new(&config);
    let mark = setup.path().join("good");
    for n in 0..200 {
        setup = setup.job(&format!("j{n}.yaml"), &format!("script: '[ -e {} ]'\n", mark.display()));
    }
    let daemon = setup.start();
    let all: Vec<String> = (0..200).map(|n| format!("j{n}")).collect();
    let told = |on: &str| {
        let listed = server.alarms().iter().filter(|alarm| alarm["on"] == on).count() as u64;
        listed + server.bodies().iter().filter_map(|body| body["dropped_by"][on].as_u64()).sum::<u64>()
    };
    let run = |daemon: &Daemon| {
        let waits: Vec<_> = all.iter().map(|name| daemon.rota_command(&["run", name]).output().unwrap()).collect();
        assert!(waits.iter().all(|output| output.status.success()));
    };
    run(&daemon);
    until_true("all have failed", || daemon.json(&["status"])["outcomes"]["failure"] == 200);
    until_true("all are told", || told("failure") == 200);
    fs::write(&mark, "").unwrap();
    run(&daemon);
    until_true("all recover", || told("recovery") == 200);
    assert_eq!((told("failure"), told("recovery")), (200, 200), "each once");
    assert!(server.bodies().len() <= 6, "{} messages", server.bodies().len());
}

#[test]
fn i119_a_failing_target_is_seen_told_once_and_changes_no_outcome() {
    let server = Server::start(500);
    let config = format!(
        "targets: {{ops: {{webhook: '{}/s3cret'}}, none: {{command: [/no/such/program]}}}}\nnotify: [{{on: failure, to: [ops, none]}}]\n",
        server.url
    );
    let daemon = Setup::new(&config).job("a.yaml", "script: 'exit 4'\n").start();
    assert_eq!(daemon.run("a").0, Some(4));
    until_true("both fail", || ["ops", "none"].iter().all(|name| target(&daemon, name)["failed"].as_u64() >= Some(1)));
    let status = String::from_utf8(daemon.rota(&["status"]).stdout).unwrap();
    assert!(status.contains("ops (webhook)") && status.contains("it answered 500"), "{status}");
    server.status.store(200, Ordering::SeqCst);
    until_true("it is sent at last", || target(&daemon, "ops")["sent"] == 1);
    until_true("and that is told", || daemon.stderr().contains("alarms to ops (webhook) go out again"));
    assert_eq!(daemon.stderr().matches("alarms to ops (webhook) do not go out").count(), 1);
    assert_eq!(daemon.stderr().matches("alarms to none (command) do not go out").count(), 1);
    assert_eq!(daemon.json(&["status"])["outcomes"]["failure"], 1);
    assert_hidden(&daemon, "s3cret");
}

#[test]
fn lateness_silence_and_length_are_told_by_time_alone() {
    let server = Server::start(200);
    let config = format!("targets: {{ops: {{webhook: '{}/a'}}}}\n", server.url);
    let rules =
        "notify: [{on: [silent, late], within: 1s, to: ops}, {on: long, over: 1s, to: ops}, {on: skipped, to: ops}]\n";
    let daemon = Setup::new(&config)
        .job("silent.yaml", &format!("script: 'true'\n{rules}"))
        .job("long.yaml", &format!("script: sleep 1000\nschedule: '@every 1s'\n{rules}"))
        .job("queued.yaml", &format!("script: sleep 1000\nschedule: '@every 1s'\non_overlap: queue\n{rules}"))
        .start();
    server.alarm("silent", "silent");
    let long = server.alarm("long", "long");
    assert!(long["reason"].as_str().unwrap().starts_with("has been running for"), "{long}");
    server.alarm("long", "skipped");
    server.alarm("queued", "late");
    daemon.replace_engine();
    let seen = server.alarms().len();
    until_true("a run that goes on is long for the next engine, too", || {
        server.alarms().iter().skip(seen).any(|alarm| alarm["job"] == "long" && alarm["on"] == "long")
    });
}

#[test]
fn an_unknown_target_is_a_finding_and_the_job_runs() {
    let daemon = Setup::new("").job("a.yaml", "script: 'true'\nnotify: [{on: failure, to: nobody}]\n").start();
    assert_eq!(daemon.run("a").0, Some(0));
    let listed = String::from_utf8(daemon.rota(&["list"]).stdout).unwrap();
    assert!(listed.contains("unknown-target") && listed.contains("nobody"), "{listed}");
}
