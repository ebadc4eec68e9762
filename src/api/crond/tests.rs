//! The routes over an engine that answers what the test says; what is compared is what goes over the wire.

use std::sync::{Arc, Mutex};
use std::thread;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::selection::Selection;
use super::*;
use crate::engine::{Change, Edited, Entry, Keys, Pause, Refusal, Request};
use crate::job::{JobName, read_job};

fn entry(id: Option<u64>, text: &str, next: Option<&str>) -> Entry {
    let job = read_job("a.yaml", text.as_bytes(), &TimeZone::UTC, Timestamp::UNIX_EPOCH).unwrap().0;
    Entry { id, job: job.into(), next: next.map(|at| at.parse().unwrap()), previous: None, pause: None }
}

fn paused(id: u64, text: &str, until: &str) -> Entry {
    let pause = Pause {
        kind: crate::engine::PauseKind::Pause,
        id,
        since: Timestamp::UNIX_EPOCH,
        until: Some(until.parse().unwrap()),
        reason: String::new(),
        by: "uid 0".into(),
    };
    Entry { pause: Some(pause), ..entry(None, text, None) }
}

fn known() -> Vec<Entry> {
    vec![
        entry(Some(1), "name: a\ncommand: echo\nargs: ['> f']\nschedule: '@every 1h'\n", Some("2030-01-01T00:00:10Z")),
        paused(5, "name: p\ncommand: p\nschedule: '@every 1h'\n", "2030-01-01T00:00:20.5Z"),
        entry(Some(2), "name: ab\ncommand: x\nschedule: '*/5 * * * *'\n", Some("2030-01-01T00:05:00Z")),
        entry(None, "name: b\nenable: false\ncommand: x\nschedule: '@daily'\n", None),
        entry(Some(3), "name: never\nscript: 'a && b'\n", None),
    ]
}

/// `name id next` of each row that is selected.
fn rows(name: &str, pattern: &str, status: &str) -> String {
    let entries = known();
    let rows = Selection::new(name, pattern, status).unwrap().rows(&entries).unwrap();
    let body: Value = serde_json::from_slice(&entries::entries(&rows, &TimeZone::UTC)).unwrap();
    let Value::Array(rows) = &body["entries"] else { return body["entries"].to_string() };
    let words = rows.iter().map(|row| match row {
        Value::Null => "null".to_owned(),
        row => {
            let next = row["NextTime"].as_str().unwrap();
            format!("{} {} {}", row["Job"]["name"].as_str().unwrap(), row["ID"], &next[next.len().min(14)..])
        }
    });
    words.collect::<Vec<_>>().join(", ")
}

#[test]
fn which_rows_are_listed_and_in_which_order() {
    const ZERO: &str = "00:00Z";
    for (name, pattern, status, listed) in [
        ("", "", "", format!("a 1 00:10Z, ab 2 05:00Z, never 3 {ZERO}, p -1 00:20.5Z, b -1 {ZERO}")),
        ("", "", "disabled,enabled", format!("a 1 00:10Z, ab 2 05:00Z, never 3 {ZERO}, p -1 00:20.5Z, b -1 {ZERO}")),
        ("", "", "enabled", format!("a 1 00:10Z, ab 2 05:00Z, never 3 {ZERO}")),
        ("", "", "disabled", format!("p -1 {ZERO}, b -1 {ZERO}")),
        (
            "",
            "",
            "all",
            format!("a 1 00:10Z, p@@PAUSE 5 00:20.5Z, ab 2 05:00Z, never 3 {ZERO}, p -1 {ZERO}, b -1 {ZERO}"),
        ),
        ("", "", "bogus", "null".into()),
        ("a", "b", "bogus", "a 1 00:10Z".into()),
        ("b", "", "", "null".into()),
        ("zzz", "", "", "null".into()),
        ("", "a", "", "a 1 00:10Z".into()),
        ("", "a.*", "", "a 1 00:10Z, ab 2 05:00Z".into()),
        ("", "A", "", "null".into()),
        ("", "p", "", format!("p -1 {ZERO}")),
        ("", "a|b", "", format!("a 1 00:10Z, ab 2 05:00Z, b -1 {ZERO}")),
    ] {
        assert_eq!(rows(name, pattern, status), listed, "{name:?} {pattern:?} {status:?}");
    }
    assert!(Selection::new("", "[", "").unwrap_err().starts_with("invalid regex `^[$`: error parsing regexp: "));
    let bomb = "(a{900}){900}";
    assert!(Selection::new("", bomb, "").unwrap_err().contains("size limit"), "g98: an expression is bounded");
}

#[test]
fn g98_an_expression_that_takes_long_is_given_up() {
    let entries = known();
    let soon = std::time::Instant::now();
    let rows = |pattern: &str| Selection::new("", pattern, "").unwrap().rows_by(&entries, soon).map(|rows| rows.len());
    assert!(rows("(a?){9}").unwrap_err().starts_with("invalid regex: it takes too long"));
    assert_eq!(rows(""), Ok(entries.len()), "nothing is matched");
}

#[test]
fn a_row_is_read_by_both_generations_of_clients() {
    let entries = known();
    let rows = Selection::new("", "", "").unwrap().rows(&entries).unwrap();
    let shanghai = crate::schedule::parse_zone("Asia/Shanghai").unwrap();
    let text = String::from_utf8(entries::entries(&rows, &shanghai)).unwrap();
    let job = concat!(
        r#"{"name":"a","enable":true,"command":"echo","args":["\u003e f"],"schedule":"@every 1h","#,
        r#""creator":"","work_dir":""}"#
    );
    let first = r#"{"entries":[{"ID":1,"Schedule":{"Delay":3600000000000},"Next":"2030-01-01T08:00:10+08:00","#
        .to_owned()
        + r#""Prev":"0001-01-01T00:00:00Z","WrappedJob":"#
        + job
        + r#","Job":"#
        + job
        + r#","NextTime":"2030-01-01T08:00:10+08:00"},"#;
    assert!(text.starts_with(&first), "{text}");
    let rows: Value = serde_json::from_str(&text).unwrap();
    let row = |at: usize| &rows["entries"][at];
    assert_eq!(
        row(1)["Schedule"],
        json!({"Second": 1, "Minute": 37191016277640225u64, "Hour": 9223372036871553023u64,
            "Dom": 9223372041149743102u64, "Month": 9223372036854783998u64, "Dow": 9223372036854775935u64,
            "Location": {}})
    );
    assert_eq!(row(2)["Schedule"], Value::Null, "on demand");
    assert_eq!(row(2)["Job"]["command"], "/bin/sh");
    assert_eq!(row(2)["Job"]["args"], json!(["-c", "a && b"]));
    assert_eq!(row(3)["Job"]["enable"], false, "paused");
}

/// An engine that knows [`known`], notes what it is asked and answers with `answer`.
struct Known {
    engine: Engine,
    asked: Arc<Mutex<Vec<String>>>,
}

fn engine(answer: Result<u64, &'static str>) -> Known {
    let (requests, mut inbox) = mpsc::channel(4);
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let note = Arc::clone(&asked);
    thread::spawn(move || {
        let refuse = |code: &str| Refusal { code: code.into(), message: format!("because {code}"), hint: None };
        let answer = |name: JobName| answer.map(|entry| Edited { name, entry, file: None }).map_err(refuse);
        while let Some(request) = inbox.blocking_recv() {
            let name = JobName::parse("x").unwrap();
            match request {
                Request::Entries(reply) => drop(reply.send(Ok(known()))),
                Request::Edit(edit, reply) => {
                    note.lock().unwrap().push(format!("{:?} {} {}", edit.change, edit.permanent, edit.by));
                    drop(reply.send(answer(name)));
                }
                Request::Pause { name, until, reply, .. } => {
                    let length = until.unwrap().duration_since(Timestamp::now());
                    note.lock().unwrap().push(format!("pause {name} {}", (length.as_secs() + 60) / 3600));
                    drop(reply.send(answer(name)));
                }
                Request::Beat(beat, reply) => {
                    note.lock().unwrap().push(format!("{beat:?}"));
                    drop(reply.send(answer(name).map(|_| ())));
                }
                Request::Reset(reply) => drop(reply.send(Err(refuse("broken")))),
                other => drop(other),
            }
        }
    });
    Known { engine: Engine::new(requests), asked }
}

impl Known {
    fn ask_as(&self, right: Right, method: &str, url: &str, body: &str) -> Answer {
        let asked = Asked { method, url, body: body.as_bytes(), peer: Peer { uid: 7, right } };
        answer(&asked, &self.engine, &Places { jobs_config: "/etc/jobs.yaml".into() })
    }

    fn ask(&self, method: &str, url: &str, body: &str) -> Answer {
        self.ask_as(Right::Change, method, url, body)
    }
}

fn envelope(status: u16, message: &str, content_type: &'static str) -> Answer {
    let message = serde_json::to_string(message).unwrap();
    Answer::new(status, content_type, format!("{{\"code\":{status},\"message\":{message},\"data\":null}}").into())
}

#[test]
fn refusals_of_the_engine_in_the_words_of_the_domain() {
    const NAMED: &str = r#"{"name":"x","permanent":true}"#;
    const CHANGE: &str = r#"{"name":"x","schedule":"bogus","permanent":false}"#;
    const PAUSE: &str = r#"{"name":"x","duration":1}"#;
    const DEFINE: &str = r#"{"job":{"name":"x","enable":true,"command":"c","args":[],"schedule":"bogus","creator":"o"},
        "permanent":true}"#;
    for (path, body, code, status, message) in [
        ("/disable", NAMED, "not-active", 500, "entry [x] from active list: not found"),
        ("/disable", NAMED, "no-such-job", 500, "entry [x] from active list: not found"),
        ("/disable", NAMED, "not-in-file", 500, "target job x not found in /etc/jobs.yaml"),
        ("/disable", NAMED, "not-written", 500, "because not-written"),
        ("/disable", r#"{"name":"../x","permanent":true}"#, "", 500, "entry [../x] from active list: not found"),
        ("/resume", NAMED, "not-disabled", 500, "entry x from disabled list: not found"),
        ("/delete", NAMED, "no-such-job", 500, "job x not found"),
        ("/pause", PAUSE, "not-active", 500, "entry x from active jobs: not found"),
        ("/create_or_replace", DEFINE, "bad-schedule", 500, "expected 5 to 6 fields, found 1: [bogus]"),
        ("/create_or_replace", DEFINE, "bad-job", 500, "because bad-job"),
        ("/schedule/change", CHANGE, "not-active", 500, "change [x] schedule time: not found"),
        (
            "/schedule/change",
            CHANGE,
            "bad-schedule",
            400,
            "invalid schedule format bogus: Expected 5 to 6 fields, found 1: bogus",
        ),
    ] {
        assert_eq!(engine(Err(code)).ask("POST", path, body), envelope(status, message, JSON), "{path} {code}");
    }
}

#[test]
fn bodies_become_edits() {
    let engine = engine(Ok(9));
    let name = JobName::parse("x").unwrap();
    let entry = |id: u64| Answer::new(200, JSON, format!("{{\"entry_id\":{id}}}").into());
    let keys = Keys {
        name: name.clone(),
        enable: false,
        command: "c".into(),
        args: vec!["> f".into()],
        schedule: "@every 1s".into(),
        creator: "o".into(),
        work_dir: String::new(),
        overlap: Some(true),
    };
    let define = r#"{"job":{"name":"x","enable":false,"command":"c","args":["> f"],"schedule":"@every 1s",
        "creator":"o","overlap":true,"who":"cares"},"permanent":false} behind"#;
    for (path, body, id, change) in [
        ("/disable", r#"{"Name":"x","PERMANENT":true}"#, 9, format!("{:?} true", Change::Disable(name.clone()))),
        ("/resume", r#"{"name":"x","permanent":false}"#, 9, format!("{:?} false", Change::Resume(name.clone()))),
        ("/delete", r#"{"name":"x","permanent":true}"#, 0, format!("{:?} true", Change::Delete(name.clone()))),
        (
            "/schedule/change",
            r#"{"name":"x","schedule":"@daily","permanent":true}"#,
            9,
            format!("{:?} true", Change::Reschedule(name.clone(), "@daily".into())),
        ),
        ("/create_or_replace", define, 0, format!("{:?} false", Change::Define(keys))),
    ] {
        assert_eq!(engine.ask("POST", path, body), entry(id), "{path}");
        assert_eq!(engine.asked.lock().unwrap().pop(), Some(format!("{change} uid 7")), "{path}");
    }
    for duration in ["7200000000000", "\"2h\"", "\"1h60m\""] {
        let body = format!(r#"{{"name":"x","duration":{duration}}}"#);
        assert_eq!(engine.ask("POST", "/pause", &body), entry(9), "{duration}");
        assert_eq!(engine.asked.lock().unwrap().pop().as_deref(), Some("pause x 2"));
    }
    for duration in ["0", "-1", "\"-1h\"", "\"soon\"", "9223372036854775807", "9223372036854775808", "1.5", "null"] {
        let body = format!(r#"{{"name":"x","duration":{duration}}}"#);
        let answer = engine.ask("POST", "/pause", &body);
        assert!(
            format!("{answer:?}").contains("status: 400, content_type: \"text/plain; charset=utf-8\""),
            "{answer:?}"
        );
    }
    assert!(engine.asked.lock().unwrap().is_empty());
}

#[test]
fn what_is_bound_wrong_is_called_text_and_beats_say_nothing() {
    let engine = engine(Err("beat-failed"));
    let missing =
        |field: &str| format!("Key: '{field}' Error:Field validation for '{field}' failed on the 'required' tag");
    let text = "text/plain; charset=utf-8";
    assert_eq!(engine.ask("POST", "/disable", ""), envelope(400, "request param: EOF", text));
    let both = format!("request param: {}\n{}", missing("Name"), missing("Permanent"));
    assert_eq!(engine.ask("POST", "/delete", "{}"), envelope(400, &both, text));
    let silent = |status| Answer::new(status, "", Vec::new());
    for (path, body, status) in [
        ("/beat/event", "", 400),
        ("/beat/event", r#"{"name":"e","content":""}"#, 400),
        ("/beat/event", r#"{"name":"e","content":"c","dimension":[]}"#, 400),
        ("/beat/event", r#"{"name":"e","content":"c","dimension":{"a":1e999}}"#, 400),
        ("/beat/metrics", r#"{"name":"m","value":0}"#, 400),
        ("/beat/metrics", r#"{"name":"m","value":1.5}"#, 400),
        ("/beat/metrics", r#"{"name":"m","value":-5,"dimension":null}"#, 500),
        ("/beat/event", r#"{"name":"e","content":"c","dimension":{"k":"v","n":3}}"#, 500),
    ] {
        assert_eq!(engine.ask("POST", path, body), silent(status), "{path} {body}");
    }
    assert_eq!(engine.asked.lock().unwrap().len(), 2);
    assert_eq!(engine.ask("GET", "/config/reload", ""), silent(500));
}

#[test]
fn paths_that_are_not_there_and_paths_with_a_slash_too_many() {
    let engine = engine(Ok(1));
    let absent = || Answer::new(404, "text/plain", b"404 page not found".into());
    for (method, path) in
        [("GET", "/"), ("GET", "/nope"), ("GET", "/Entries"), ("POST", "/entries"), ("HEAD", "/version"), ("GET", "//")]
    {
        assert_eq!(engine.ask(method, path, ""), absent(), "{method} {path}");
    }
    let moved = Answer::new(301, "text/html; charset=utf-8", b"<a href=\"/entries\">Moved Permanently</a>.\n\n".into());
    assert_eq!(engine.ask("GET", "/entries/?name=a", ""), moved.location("/entries?name=a".into()));
    assert_eq!(engine.ask("POST", "/disable/", "{}"), Answer::new(307, "", Vec::new()).location("/disable".into()));
    assert_eq!(engine.ask("GET", "/disable/", ""), absent());
}

#[test]
fn g95_who_may_only_look_changes_nothing() {
    let engine = engine(Ok(1));
    for route in ROUTES {
        let answer = engine.ask_as(Right::Read, route.method, route.path, "{}");
        let refused = answer == envelope(403, "uid 7 may look, but change nothing", JSON);
        let changes = route.method == "POST"
            || route.path == "/quit"
            || route.path.starts_with("/config/reload")
            || route.path.starts_with("/third-party");
        assert_eq!(refused, changes, "{}", route.path);
    }
    assert!(engine.asked.lock().unwrap().is_empty());
}

#[test]
fn parameters_are_decoded_as_go_decodes_them() {
    let engine = engine(Ok(1));
    let ask = |query: &str| format!("{:?}", engine.ask("GET", &format!("/entries?{query}"), ""));
    assert_eq!(ask("name=%61"), ask("name=a"));
    assert_eq!(ask("name=a&name=ab"), ask("name=a"), "the first counts");
    assert_eq!(ask("name-match=a%2E*&status=enabled"), ask("name-match=a.*&status=enabled"));
    assert_eq!(ask("name=%zz"), ask(""), "what is no encoding is not there");
}
