//! Every recorded case, one daemon each.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;

use serde::Deserialize;
use serde_json::{Value, json};

use super::common::until;
use super::crond::{Crond, Response};
use super::shape::{Known, fits};

const CASES: &str = include_str!("../data/conformance-crond.json");
/// Daemons at once.
const AT_ONCE: usize = 4;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    id: String,
    disposition: String,
    /// Of a bug of the original: what is expected instead.
    better: Option<String>,
    setup: Setup,
    request: Request,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Setup {
    /// A text, or what it says; absent: the jobs that most cases begin with.
    jobs_config: Option<Value>,
    #[serde(default)]
    beat_exit: i64,
    #[serde(default)]
    steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Step {
    Ask(Request),
    /// The original was given so much time. Here the expectation is waited for.
    #[allow(dead_code, reason = "the time does not matter")]
    Sleep {
        sleep_ms: u64,
    },
    Write {
        write_jobs_config: Value,
    },
    WriteText {
        write_jobs_config_text: String,
    },
}

#[derive(Deserialize)]
struct Request {
    method: String,
    path: String,
    #[serde(default)]
    body: Option<Value>,
    /// Instead of a body: these bytes.
    raw: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    status: u16,
    body_shape: Value,
    content_type: Option<String>,
    body_contains: Option<String>,
    jobs_config_after: Option<Value>,
    jobs_config_contains: Option<String>,
    findings_contain: Option<String>,
    beat_argv_last: Option<Value>,
    beat_argv_any: Option<Value>,
    process_exit: Option<i32>,
}

/// What most cases begin with.
fn two_jobs() -> Value {
    json!({
        "jobs": [
            {"name": "a", "enable": true, "command": "echo", "args": ["hi"], "schedule": "@every 1h", "creator": "ob"},
            {"name": "b", "enable": false, "command": "echo", "args": [], "schedule": "*/5 * * * *", "creator": "ob"},
        ],
        "bk_biz_id": 404,
    })
}

/// A value as the text of a file, one key a line.
fn yaml(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => serde_yaml::to_string(value).unwrap(),
    }
}

impl Request {
    fn send(&self, crond: &Crond) -> Response {
        let body = self.raw.clone().or_else(|| self.body.as_ref().map(Value::to_string));
        crond.ask(&self.method, &self.path, body.as_deref())
    }
}

impl Case {
    fn replay(&self) -> Result<(), String> {
        let jobs = self.setup.jobs_config.clone().unwrap_or_else(two_jobs);
        let mut crond = Crond::start(&yaml(&jobs), self.setup.beat_exit);
        let mut patient = false;
        for step in &self.setup.steps {
            match step {
                Step::Ask(request) => drop(request.send(&crond)),
                Step::Sleep { .. } => patient = true,
                Step::Write { write_jobs_config } => crond.write_jobs(&yaml(write_jobs_config)),
                Step::WriteText { write_jobs_config_text } => crond.write_jobs(write_jobs_config_text),
            }
        }
        let known = crond.known();
        let once = |crond: &Crond| self.expect.holds(&self.request.send(crond), crond, &known);
        if patient {
            let mut last = Ok(());
            let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                until("what is expected", || {
                    last = once(&crond);
                    last.is_ok().then_some(())
                })
            }));
            found.map_err(|_| last.clone().unwrap_err())?;
        } else {
            once(&crond)?;
        }
        match self.expect.process_exit {
            Some(code) if crond.daemon.wait().code() != Some(code) => Err("another exit status".into()),
            _ => Ok(()),
        }
    }
}

impl Expect {
    fn holds(&self, response: &Response, crond: &Crond, known: &Known) -> Result<(), String> {
        let shown = format!("{response:?}");
        if response.status != self.status {
            return Err(format!("status, not {}: {shown}", self.status));
        }
        if self.content_type.is_some() && self.content_type != response.content_type {
            return Err(format!("content type, not {:?}: {shown}", self.content_type));
        }
        match &self.body_shape {
            Value::String(text) if !text.starts_with('$') => {
                if *text != response.body {
                    return Err(format!("body, not {text:?}: {shown}"));
                }
            }
            Value::String(_) => {}
            shape => {
                let body = serde_json::from_str(&response.body).map_err(|error| format!("{error}: {shown}"))?;
                fits(shape, &as_the_newer_client_reads(body)?, known)?;
            }
        }
        if self.body_contains.as_ref().is_some_and(|part| !response.body.contains(part)) {
            return Err(format!("no {:?}: {shown}", self.body_contains));
        }
        if let Some(after) = &self.jobs_config_after {
            let text = crond.jobs();
            let is: Value = serde_yaml::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
            if by_name(&is) != by_name(after) {
                return Err(format!("the file is {text}"));
            }
        }
        if let Some(part) = &self.jobs_config_contains
            && !crond.jobs().contains(part)
        {
            return Err(format!("no {part:?} in {}", crond.jobs()));
        }
        if let Some(part) = &self.findings_contain {
            let findings = crond.ask("GET", "/rotad/v1/findings", None).body;
            if !findings.contains(part) {
                return Err(format!("no {part:?} in {findings}"));
            }
        }
        if let Some(shape) = &self.beat_argv_last {
            let beats = crond.beats();
            fits(shape, beats.last().ok_or("no beat")?, known)?;
        }
        if let Some(shape) = &self.beat_argv_any {
            let beats = crond.beats();
            if !beats.iter().any(|beat| fits(shape, beat, known).is_ok()) {
                return Err(format!("no such beat among {beats:?}"));
            }
        }
        Ok(())
    }
}

/// Rows of `/entries` have keys for older clients, too. They must be there, and the newer ones do not see them.
fn as_the_newer_client_reads(mut body: Value) -> Result<Value, String> {
    for row in body.get_mut("entries").and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(row) = row.as_object_mut() else { continue };
        for key in ["Schedule", "Next", "Prev", "WrappedJob"] {
            let older = row.remove(key).ok_or_else(|| format!("{key} is missing"))?;
            if key == "WrappedJob" && older != row["Job"] {
                return Err(format!("{older} is not Job"));
            }
        }
    }
    Ok(body)
}

/// What a file says: its jobs by name (their order means nothing), an empty `work_dir` as none, and the other keys.
fn by_name(file: &Value) -> (BTreeMap<String, Value>, Value) {
    let mut rest = file.clone();
    let jobs = rest.as_object_mut().and_then(|keys| keys.remove("jobs"));
    let jobs = jobs.as_ref().and_then(Value::as_array).cloned().unwrap_or_default();
    let named = jobs.into_iter().map(|mut job| {
        let keys = job.as_object_mut().unwrap();
        if keys.get("work_dir").is_some_and(|dir| dir == "") {
            keys.remove("work_dir");
        }
        (job["name"].as_str().unwrap().to_owned(), job)
    });
    (named.collect(), rest)
}

#[test]
fn every_recorded_case() {
    let cases: Vec<Case> = serde_json::from_str(CASES).unwrap();
    assert_eq!(cases.len(), 82);
    for case in &cases {
        assert_eq!(case.better.is_some(), case.disposition == "reference-bug", "{}", case.id);
    }
    let only = std::env::var("CASE").unwrap_or_default();
    let waiting = Mutex::new(cases.iter().filter(|case| case.id.contains(&only)));
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some(case) = waiting.lock().unwrap().next() else { return };
                    if let Err(why) = case.replay() {
                        let better = case.better.as_ref().map(|better| format!(" ({better})")).unwrap_or_default();
                        failed.lock().unwrap().push(format!("{} {}{better}: {why}", case.id, case.disposition));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} of {} cases:\n{}", failed.len(), cases.len(), failed.join("\n"));
}
