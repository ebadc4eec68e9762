//! Reading from the journal what jobs printed: by way of journalctl, whose output is data here and never a command.
//!
//! Any local user may write entries that say `ROTA_JOB=…`. Believed are those whose fields that journald itself adds name
//! the engine's user and unit, as the daemon tells them.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use std::process::{Child, ChildStdout, Command, Stdio};

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{Error, Exit};
use crate::api::record::{Lead, LineRecord};
use crate::engine::JournalView;
use crate::wire::{RunId, Stream};

/// Where journald keeps files, one directory a machine.
const PLACES: [&str; 2] = ["/var/log/journal", "/run/log/journal"];

/// What to read.
#[derive(Debug, Default, Clone, Copy)]
pub struct Query<'a> {
    /// Lines of this job.
    pub job: Option<&'a str>,
    /// Lines of this run.
    pub run: Option<RunId>,
    /// Not before, in journalctl's words.
    pub since: Option<&'a str>,
    /// Not after.
    pub until: Option<&'a str>,
    /// Only the last of them.
    pub lines: Option<usize>,
    /// And what comes from now on.
    pub follow: bool,
}

/// The entries that a query finds, as they come.
pub struct Entries {
    journalctl: Child,
    out: BufReader<ChildStdout>,
}

/// The run of the newest line that a job has printed.
pub fn last_run(journal: &JournalView, job: &str) -> Result<Option<RunId>, Error> {
    let newest = Entries::of(journal, Query { job: Some(job), lines: Some(1), ..Query::default() })?.next()?;
    Ok(newest.and_then(|(line, _)| RunId::parse(&line.run)))
}

impl Entries {
    /// Begins to read.
    pub fn of(journal: &JournalView, query: Query<'_>) -> Result<Entries, Error> {
        may_read()?;
        let mut command = Command::new("journalctl");
        command.args(arguments(journal, query)).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut journalctl = command.spawn().map_err(|error| {
            Error::new(Exit::Failed, format!("journalctl cannot be started: {error}"))
                .hint("what is no longer kept by the daemon can be read from the journal only")
        })?;
        let out = journalctl.stdout.take().ok_or_else(|| Error::new(Exit::Failed, "journalctl has no output"))?;
        Ok(Entries { journalctl, out: BufReader::new(out) })
    }

    /// The next line and its record as JSON; `None` once there are no more.
    pub fn next(&mut self) -> Result<Option<(LineRecord, String)>, Error> {
        let mut text = Vec::new();
        loop {
            text.clear();
            if self.out.read_until(b'\n', &mut text)? == 0 {
                let ended = self.journalctl.wait()?;
                return match ended.success() {
                    true => Ok(None),
                    false => Err(Error::new(Exit::Failed, format!("journalctl failed ({ended})"))),
                };
            }
            if let Some(record) = record(&text) {
                return Ok(Some(record));
            }
        }
    }
}

impl Drop for Entries {
    fn drop(&mut self) {
        // It may follow for ever; where it has ended already there is nothing to do.
        let _ = self.journalctl.kill();
        let _ = self.journalctl.wait();
    }
}

/// The words for journalctl. None of them begins with what somebody else has said.
fn arguments(journal: &JournalView, query: Query<'_>) -> Vec<String> {
    const FIELDS: &str = "MESSAGE,ROTA_RUN_ID,ROTA_STREAM,ROTA_OPEN,_SOURCE_REALTIME_TIMESTAMP";
    let mut words: Vec<String> = ["--quiet", "--no-pager", "--all", "--output=json"].map(String::from).into();
    words.push(format!("--output-fields={FIELDS}"));
    words.extend(query.since.map(|since| format!("--since={since}")));
    words.extend(query.until.map(|until| format!("--until={until}")));
    words.extend(query.follow.then(|| "--follow".to_owned()));
    words.push(match query.lines {
        Some(lines) => format!("--lines={lines}"),
        None => "--lines=all".to_owned(),
    });
    words.push(format!("_UID={}", journal.uid));
    words.extend(journal.unit.as_ref().map(|unit| format!("_SYSTEMD_UNIT={unit}")));
    words.extend(query.job.map(|job| format!("ROTA_JOB={job}")));
    words.extend(query.run.map(|run| format!("ROTA_RUN_ID={run}")));
    // Only these are lines; the same field twice means either.
    words.extend(["ROTA_STREAM=stdout", "ROTA_STREAM=stderr"].map(String::from));
    words
}

/// An entry of `journalctl --output=json` as a line; `None` where it is none.
fn record(text: &[u8]) -> Option<(LineRecord, String)> {
    let fields: Map<String, Value> = serde_json::from_slice(text).ok()?;
    let field = |name: &str| fields.get(name).and_then(Value::as_str);
    let time = field("_SOURCE_REALTIME_TIMESTAMP").or(field("__REALTIME_TIMESTAMP"))?;
    let at = Timestamp::from_microsecond(time.parse().ok()?).ok()?;
    let stream = match field("ROTA_STREAM")? {
        "stdout" => Stream::Stdout,
        "stderr" => Stream::Stderr,
        _ => return None,
    };
    let bytes = match fields.get("MESSAGE")? {
        Value::String(text) => text.clone().into_bytes(),
        Value::Array(bytes) => {
            bytes.iter().map(|byte| byte.as_u64().and_then(|byte| u8::try_from(byte).ok())).collect::<Option<_>>()?
        }
        _ => return None,
    };
    let mut json = Vec::new();
    Lead::new(at, RunId::parse(field("ROTA_RUN_ID")?)?, stream)
        .write(&mut json, &bytes, field("ROTA_OPEN") == Some("1"))
        .ok()?;
    let json = String::from_utf8(json).ok()?;
    Some((serde_json::from_str(&json).ok()?, json))
}

/// Whether the system's journal can be read. journalctl shows an unprivileged user what is his own, and that is nothing.
fn may_read() -> Result<(), Error> {
    let mut refused = false;
    for machine in PLACES.iter().filter_map(|place| std::fs::read_dir(place).ok()).flatten().flatten() {
        match File::open(machine.path().join("system.journal")) {
            Ok(_) => return Ok(()),
            Err(error) => refused |= error.kind() == ErrorKind::PermissionDenied,
        }
    }
    // Where nothing is found journalctl may know better.
    if !refused {
        return Ok(());
    }
    Err(Error::new(Exit::Forbidden, "the lines are in the journal, and you may not read it")
        .hint("be root, or let root put you into its group: usermod -aG systemd-journal USER"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e76_only_entries_of_the_daemon_are_asked_for() {
        let journal = |unit: Option<&str>| JournalView { uid: 7, unit: unit.map(String::from), auto: true };
        for (unit, wanted) in [(None, &["_UID=7"][..]), (Some("x.service"), &["_UID=7", "_SYSTEMD_UNIT=x.service"])] {
            for query in [Query::default(), Query { job: Some("+"), run: Some(RunId(1)), ..Query::default() }] {
                let words = arguments(&journal(unit), query);
                assert!(wanted.iter().all(|word| words.contains(&(*word).to_owned())), "{words:?}");
                // journalctl takes it for "or", and what stands behind it for entries of anybody.
                assert!(!words.contains(&"+".to_owned()), "{words:?}");
            }
        }
    }

    #[test]
    fn nothing_that_is_given_becomes_an_option() {
        let journal = JournalView { uid: 7, unit: Some("rotad.service".into()), auto: true };
        let query = Query {
            job: Some("--vacuum-size=1"),
            since: Some("--rotate"),
            until: Some("-x"),
            lines: Some(3),
            ..Query::default()
        };
        let own = ["--quiet", "--no-pager", "--all", "--output=json"];
        let known = ["--output-fields=", "--since=", "--until=", "--lines=", "_UID=7", "_SYSTEMD_UNIT=", "ROTA_"];
        let words = arguments(&journal, query);
        for word in &words {
            assert!(own.contains(&word.as_str()) || known.iter().any(|known| word.starts_with(known)), "{word}");
        }
        assert!(words.contains(&"ROTA_JOB=--vacuum-size=1".to_owned()));
    }

    #[test]
    fn e75_entries_become_lines() {
        let entry = |message: &str| {
            format!(
                r#"{{"MESSAGE":{message},"ROTA_RUN_ID":"0000000000009","ROTA_STREAM":"stderr","__REALTIME_TIMESTAMP":"1000000","ROTA_OPEN":"1"}}"#
            )
        };
        for (message, bytes) in [(r#""text""#, &b"text"[..]), ("[255,0,98]", b"\xff\0b"), (r#""""#, b""), ("[]", b"")] {
            let (line, json) = record(entry(message).as_bytes()).unwrap();
            assert_eq!((line.bytes(), line.stream, line.open), (bytes.to_vec(), Stream::Stderr, true));
            assert!(
                json.starts_with(r#"{"at":"1970-01-01T00:00:01Z","run":"0000000000009","stream":"stderr""#),
                "{json}"
            );
        }
        for junk in ["null", "[256]", "[\"a\",\"b\"]", "{}"] {
            assert!(record(entry(junk).as_bytes()).is_none(), "{junk}");
        }
        assert!(record(b"no JSON").is_none());
        assert!(record(br#"{"MESSAGE":"no line"}"#).is_none());
    }
}
