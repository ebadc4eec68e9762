//! What monitors are told by a real daemon.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing where something must be has failed")]

#[path = "../common/mod.rs"]
mod common;
mod openmetrics;

use std::fs::{self, OpenOptions, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use common::{Daemon, Setup, until, until_true};
use nix::sys::signal::Signal;
use openmetrics::Page;
use rotad::client::{Client, Condition, Kind};
use rotad::metrics::{MAX_JOBS, family};

/// The whole answer, head and body.
fn raw(daemon: &Daemon, method: &str, path: &str) -> Option<String> {
    let mut stream = UnixStream::connect(daemon.path().join("run/rotad.sock")).ok()?;
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// Status and body.
fn ask(daemon: &Daemon, path: &str) -> Option<(u16, String)> {
    let answer = raw(daemon, "GET", path)?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

fn page(daemon: &Daemon) -> Page {
    let answer = raw(daemon, "GET", "/metrics").unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(head.contains("Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"), "{head}");
    openmetrics::read(body)
}

fn client(daemon: &Daemon) -> Client {
    Client::at(daemon.path().join("run/rotad.sock")).unwrap()
}

#[test]
fn numbers_agree_with_what_ran() {
    let daemon = Setup::new("")
        .job("good.yaml", "script: 'true'\n")
        .job("bad.yaml", "script: 'exit 3'\n")
        .job("lacking.yaml", "command: /there/is/no/such/program\n")
        .job("often.yaml", "schedule: '@every 1s'\nscript: 'true'\n")
        .job("long.yaml", "schedule: '@every 1s'\nscript: 'sleep 600'\n")
        .job("off.yaml", "enable: false\nschedule: '@daily'\nscript: 'true'\n")
        .job("yearly.yaml", "schedule: '0 0 1 1 *'\nscript: 'true'\n")
        .job("broken.yaml", "shedule: '@daily'\n")
        .start();
    let fresh = page(&daemon);
    assert_eq!(fresh.value("rotad_runs_total", &[("job", "good"), ("outcome", "success")]), 0.0);
    for _ in 0..3 {
        assert_eq!(daemon.run("good").0, Some(0));
    }
    for _ in 0..2 {
        assert_eq!(daemon.run("bad").0, Some(3));
    }
    daemon.run("lacking");
    until_true("slots have run, and were skipped", || {
        let page = page(&daemon);
        page.value("rotad_slots_total", &[("job", "often"), ("verdict", "ran")]) >= 2.0
            && page.find("rotad_slots_total", &[("job", "long"), ("verdict", "skipped")]).is_some()
            && page.value("rotad_all_runs_total", &[("outcome", "success")]) >= 5.0
    });
    assert!(daemon.rota(&["disable", "often", "long"]).status.success());
    let of = |page: &Page, job: &str, outcome: &str| {
        page.find("rotad_runs_total", &[("job", job), ("outcome", outcome)]).unwrap_or(0.0)
    };
    let page = until("every run of a slot is over but one", || {
        let page = page(&daemon);
        (page.value("rotad_running", &[]) == 1.0).then_some(page)
    });
    assert_eq!((of(&page, "good", "success"), of(&page, "good", "failure")), (3.0, 0.0));
    assert_eq!((of(&page, "bad", "success"), of(&page, "bad", "failure")), (0.0, 2.0));
    assert_eq!(of(&page, "lacking", "could-not-start"), 1.0);
    assert_eq!(
        of(&page, "often", "success"),
        page.value("rotad_slots_total", &[("job", "often"), ("verdict", "ran")]),
        "each slot became a run"
    );
    let sum = |outcome: &str| page.value("rotad_all_runs_total", &[("outcome", outcome)]);
    assert_eq!((sum("failure"), sum("could-not-start"), sum("lost")), (2.0, 1.0, 0.0));
    assert_eq!(sum("success"), 3.0 + of(&page, "often", "success"));
    assert_eq!(page.value("rotad_run_duration_seconds_count", &[("outcome", "success")]), sum("success"));
    assert_eq!(page.find("rotad_run_duration_seconds_count", &[("outcome", "could-not-start")]), None);
    assert_eq!(
        page.value("rotad_start_lateness_seconds_count", &[]),
        of(&page, "often", "success") + 1.0,
        "the programs of slots, not those of requests"
    );
    let status = daemon.json(&["status"]);
    assert_eq!(status["outcomes"]["success"].as_f64(), Some(sum("success")), "as rota status has it");
    for (state, count) in [("enabled", 4.0), ("disabled", 3.0), ("paused", 0.0), ("broken", 0.0)] {
        assert_eq!(page.value("rotad_jobs", &[("state", state)]), count, "{state}");
    }
    assert_eq!(page.value("rotad_findings", &[("severity", "error")]), 2.0, "an unknown key, and nothing to run");
    assert_eq!((page.value("rotad_jobs_due", &[]), page.value("rotad_jobs_not_shown", &[])), (0.0, 0.0));
    let next = daemon.json(&["show", "yearly"])["next"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert_eq!(page.value("rotad_next_slot_timestamp_seconds", &[("job", "yearly")]), next.as_second() as f64);
    let now = jiff::Timestamp::now().as_duration().as_secs_f64();
    let success = page.value("rotad_last_success_timestamp_seconds", &[("job", "good")]);
    assert!((now - 120.0..=now).contains(&success), "{success}");
    assert_eq!(page.find("rotad_last_success_timestamp_seconds", &[("job", "bad")]), None);
    assert!((0.0..60.0).contains(&page.value("rotad_job_last_duration_seconds", &[("job", "bad")])));
    assert_eq!(page.value("rotad_conf_watch", &[("mode", "inotify")]), 1.0);
    assert_eq!(page.value("rotad_info", &[("version", env!("CARGO_PKG_VERSION"))]), 1.0);
    for family in family::ALL {
        let mine = page.samples.keys().filter(|(name, _)| name.strip_prefix(&family.shown()).is_some_and(is_part));
        for (name, labels) in mine {
            let labels: Vec<&str> = labels.keys().map(String::as_str).filter(|label| *label != "le").collect();
            assert_eq!(labels, family.labels, "{name}");
        }
    }
    let families: Vec<String> = page.families.keys().cloned().collect();
    let mut known: Vec<String> = family::ALL.iter().map(|family| family.shown()).collect();
    known.iter_mut().for_each(|name| *name = name.trim_end_matches("_total").trim_end_matches("_info").to_owned());
    known.retain(|name| name != "rotad_beats");
    known.sort();
    assert_eq!(families, known, "those of beats where beats are sent");
}

/// What a histogram's samples are called beside its name.
fn is_part(suffix: &str) -> bool {
    ["", "_sum", "_count", "_bucket"].contains(&suffix)
}

#[test]
fn counters_begin_anew_with_the_engine_and_say_so() {
    let daemon = Setup::new("").job("good.yaml", "script: 'true'\n").start();
    daemon.run("good");
    let before = page(&daemon);
    daemon.replace_engine();
    let after = page(&daemon);
    let ran = |page: &Page| page.value("rotad_runs_total", &[("job", "good"), ("outcome", "success")]);
    assert_eq!((ran(&before), ran(&after)), (1.0, 0.0));
    let start = |page: &Page, of: &str| page.value(of, &[]);
    assert_eq!(start(&before, "rotad_start_time_seconds"), start(&after, "rotad_start_time_seconds"));
    assert!(start(&before, "rotad_engine_start_time_seconds") < start(&after, "rotad_engine_start_time_seconds"));
    assert_eq!(after.value("rotad_engine_restarts_total", &[]), 1.0);
}

#[test]
fn names_that_look_like_text_of_a_monitor_stay_names() {
    let names = [
        r##"a"} 1"##,
        r#"back\slash\n\"#,
        "# EOF",
        "{job=\"x\",le=\"+Inf\"}",
        "größe 9 🕷 = #",
        "mysql-monitor-20000-0 */5 * * * *",
    ];
    let mut setup = Setup::new("");
    for (number, name) in names.iter().enumerate() {
        let name = serde_json::to_string(name).unwrap();
        setup = setup.job(&format!("job{number}.yaml"), &format!("name: {name}\nscript: 'true'\n"));
    }
    let daemon = setup.start();
    let page = page(&daemon);
    for name in names {
        assert_eq!(page.value("rotad_runs_total", &[("job", name), ("outcome", "success")]), 0.0, "{name}");
    }
    assert_eq!(page.values_of("rotad_runs_total", "job"), names.into_iter().collect());
}

#[test]
fn of_many_jobs_the_first_by_name_have_numbers_of_their_own() {
    const MANY: usize = MAX_JOBS + 1_000;
    let setup = Setup::new("");
    for job in 0..MANY {
        fs::write(setup.path().join(format!("conf.d/job{job:05}.yaml")), "schedule: '@yearly'\nscript: 'true'\n")
            .unwrap();
    }
    let daemon = setup.start();
    let last = format!("job{:05}", MANY - 1);
    daemon.run(&last);
    let page = page(&daemon);
    let shown = page.values_of("rotad_runs_total", "job");
    assert_eq!(shown.len(), MAX_JOBS);
    assert_eq!(shown.last().copied(), Some(format!("job{:05}", MAX_JOBS - 1).as_str()));
    assert_eq!(page.values_of("rotad_next_slot_timestamp_seconds", "job"), shown);
    assert_eq!(page.value("rotad_jobs_not_shown", &[]), 1_000.0);
    assert_eq!(page.value("rotad_jobs", &[("state", "enabled")]), MANY as f64);
    assert_eq!(page.value("rotad_all_runs_total", &[("outcome", "success")]), 1.0, "sums count every job");
}

#[test]
fn ready_is_said_once_the_first_snapshot_is_armed() {
    let setup = Setup::new("").job("a.yaml", "script: 'true'\n");
    // The thread that reads definitions opens this first, and a pipe without a writer lets it wait.
    let state = setup.path().join("state");
    let overlay = state.join("overlay.jsonl");
    fs::create_dir(&state).unwrap();
    nix::unistd::mkfifo(&overlay, nix::sys::stat::Mode::from_bits_truncate(0o666)).unwrap();
    fs::set_permissions(&overlay, Permissions::from_mode(0o666)).unwrap();
    let daemon = setup.spawn();
    let (status, body) = until("the endpoint answers", || ask(&daemon, "/health/ready"));
    assert_eq!(status, 503, "{body}");
    assert!(body.contains("\"starting\""), "{body}");
    assert_eq!(ask(&daemon, "/health/alive").unwrap(), (200, "{\"status\":\"ok\"}\n".into()));
    assert_eq!(ask(&daemon, "/ping").unwrap(), (200, "pong".into()));
    let error = client(&daemon).ready().unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Busy, Some("starting")));
    // What must know the jobs waits, and keeps nobody else from an answer.
    let waiting: Vec<UnixStream> = (0..10).map(|_| half_asked(&daemon, "/rotad/v1/jobs/a")).collect();
    assert_eq!(ask(&daemon, "/health/ready").unwrap().0, 503);
    drop(OpenOptions::new().write(true).open(&overlay).unwrap());
    for mut stream in waiting {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    assert_eq!(ask(&daemon, "/health/ready").unwrap().0, 200);
    let ready = client(&daemon).ready().unwrap();
    assert_eq!(ready.status, Condition::Ok);
    assert_eq!(ready.parts.get("beats"), None, "none are configured");
}

/// A connection that has asked and not read.
fn half_asked(daemon: &Daemon, path: &str) -> UnixStream {
    let mut stream = UnixStream::connect(daemon.path().join("run/rotad.sock")).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    stream
}

#[test]
fn a_daemon_that_stops_is_alive_and_not_ready() {
    let setup = Setup::new("stop_timeout: 60s")
        .job("a.yaml", "script: \"trap '' TERM; echo here; while :; do sleep 1; done\"\nkill_after: 60s\n");
    let daemon = setup.start();
    assert!(daemon.rota(&["run", "a"]).status.success());
    until_true("it runs", || String::from_utf8_lossy(&daemon.rota(&["logs", "a"]).stdout).contains("here"));
    Daemon::signal(daemon.pid(), Signal::SIGTERM);
    let (_, body) = until("it stops", || ask(&daemon, "/health/ready").filter(|(status, _)| *status == 503));
    assert!(body.contains("\"stopping\""), "{body}");
    assert_eq!(ask(&daemon, "/health/alive").unwrap().0, 200);
    assert_eq!(page(&daemon).value("rotad_running", &[]), 1.0);
}

#[test]
fn i119_beats_that_fail_are_told_and_the_daemon_is_ready_all_the_same() {
    let setup = Setup::new("").job("bad.yaml", "script: 'exit 1'\n");
    let config = "ip: 127.0.0.1\nbk_cloud_id: 0\nbk_biz_id: 404\nbk_monitor_beat:\n  beat_path: /bin/false\n  \
        agent_address: /nowhere\n  custom_event: {bk_data_id: 1, access_token: t, report_type: agent, \
        message_kind: event}\n  custom_metrics: {bk_data_id: 2, access_token: t, report_type: agent, \
        message_kind: timeseries}\n";
    let daemon = setup.configure(config).start();
    assert_eq!(page(&daemon).find("rotad_beats_total", &[("result", "sent")]), Some(0.0), "{}", daemon.stderr());
    daemon.run("bad");
    let page = until("a beat has failed", || {
        let page = page(&daemon);
        (page.value("rotad_beats_total", &[("result", "failed")]) >= 1.0).then_some(page)
    });
    assert_eq!(page.value("rotad_dropped_total", &[("what", "beats")]), 0.0);
    let (status, body) = ask(&daemon, "/health/ready").unwrap();
    assert_eq!((status, body.contains("\"beats\":\"failing\"")), (200, true), "{body}");
}

#[test]
fn each_path_takes_its_own_methods_and_no_other_path_is_taken() {
    let daemon = Daemon::start("");
    let status = |method: &str, path: &str| {
        let answer = raw(&daemon, method, path).unwrap();
        answer.split(' ').nth(1).unwrap().parse::<u16>().unwrap()
    };
    for route in rotad::api::monitor::ROUTES {
        for (method, expected) in [("GET", 200), ("HEAD", 200), ("POST", 405), ("DELETE", 405)] {
            assert_eq!(status(method, route.path), expected, "{method} {}", route.path);
        }
        assert_eq!(status("GET", &format!("{}?module=x", route.path)), 200);
        assert_eq!(status("GET", &format!("{}/", route.path)), 404);
        assert_eq!(status("GET", &format!("{}x", route.path)), 404);
        let theirs = rotad::api::crond::ROUTES.iter().any(|other| other.path == route.path);
        assert!(!theirs, "{} is mysql-crond's", route.path);
    }
    let head = raw(&daemon, "HEAD", "/metrics").unwrap();
    assert!(head.ends_with("\r\n\r\n") && head.contains("openmetrics"), "{head}");
    client(&daemon).ping().unwrap();
    client(&daemon).alive().unwrap();
    openmetrics::read(&client(&daemon).metrics().unwrap());
}
