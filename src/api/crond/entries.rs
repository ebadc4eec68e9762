//! The rows of `GET /entries` and `GET /disabled` as JSON. A row has the keys of both generations of mysql-crond: the
//! older clients read `ID` and `Job` of cron's own entry, the newer ones `ID`, `Job` and `NextTime`.

use std::io::Write;

use jiff::tz::TimeZone;

use super::selection::{Row, pause_name};
use super::write;
use crate::job::{Job, OnOverlap, Program};

/// Bytes that a row takes, about.
const ROW: usize = 512;

/// `{"entries":[row, …]}`; no row at all is `null`, as a nil slice of Go.
pub fn entries(rows: &[Option<Row<'_>>], zone: &TimeZone) -> Vec<u8> {
    list(b"{\"entries\":", rows, |out, row| match row {
        Some(row) => self::row(out, row, zone),
        None => out.extend_from_slice(b"null"),
    })
}

/// `{"jobs":[job, …]}` of disabled jobs.
pub fn disabled<'a>(jobs: impl Iterator<Item = &'a Job>) -> Vec<u8> {
    let jobs: Vec<&Job> = jobs.collect();
    list(b"{\"jobs\":", &jobs, |out, job| self::job(out, job, job.name.as_str(), false))
}

fn list<T>(head: &[u8], items: &[T], item: impl Fn(&mut Vec<u8>, &T)) -> Vec<u8> {
    let mut out = Vec::with_capacity(head.len() + 8 + items.len() * ROW);
    out.extend_from_slice(head);
    if items.is_empty() {
        out.extend_from_slice(b"null");
    } else {
        for (at, given) in items.iter().enumerate() {
            out.push(if at == 0 { b'[' } else { b',' });
            item(&mut out, given);
        }
        out.push(b']');
    }
    out.push(b'}');
    out
}

fn row(out: &mut Vec<u8>, row: &Row<'_>, zone: &TimeZone) {
    let _cannot_fail = write!(out, "{{\"ID\":{},\"Schedule\":", row.id);
    schedule(out, row.job);
    out.extend_from_slice(b",\"Next\":");
    let next = out.len();
    write::time(out, row.next, zone);
    let next = next..out.len();
    out.extend_from_slice(b",\"Prev\":");
    write::time(out, row.previous, zone);
    out.extend_from_slice(b",\"WrappedJob\":");
    let wrapped = out.len();
    match row.pause {
        false => job(out, row.job, row.job.name.as_str(), row.id >= 0),
        true => job(out, row.job, &pause_name(row.job), true),
    }
    let wrapped = wrapped..out.len();
    out.extend_from_slice(b",\"Job\":");
    out.extend_from_within(wrapped);
    out.extend_from_slice(b",\"NextTime\":");
    out.extend_from_within(next);
    out.push(b'}');
}

/// cron's own object for a schedule; `null` where cron has none that says the same.
fn schedule(out: &mut Vec<u8>, job: &Job) {
    let schedule = job.schedule.as_ref();
    if let Some(seconds) = schedule.and_then(|schedule| schedule.period()) {
        let _cannot_fail = write!(out, "{{\"Delay\":{}}}", i128::from(seconds) * 1_000_000_000);
    } else if let Some(masks) = schedule.and_then(|schedule| schedule.robfig_masks()) {
        let [second, minute, hour, dom, month, dow] = masks;
        let _cannot_fail = write!(
            out,
            "{{\"Second\":{second},\"Minute\":{minute},\"Hour\":{hour},\"Dom\":{dom},\"Month\":{month},\
             \"Dow\":{dow},\"Location\":{{}}}}"
        );
    } else {
        out.extend_from_slice(b"null");
    }
}

/// A job in mysql-crond's keys. `overlap` came late: it is shown where it is true.
fn job(out: &mut Vec<u8>, job: &Job, name: &str, enable: bool) {
    let mut text = |key: &str, text: &str| {
        out.extend_from_slice(key.as_bytes());
        write::text(out, text);
    };
    text("{\"name\":", name);
    let enable = if enable { ",\"enable\":true,\"command\":" } else { ",\"enable\":false,\"command\":" };
    match &job.program {
        Program::Exec { command, args } => {
            text(enable, command);
            for (at, arg) in args.iter().enumerate() {
                text(if at == 0 { ",\"args\":[" } else { "," }, arg);
            }
            out.extend_from_slice(if args.is_empty() { b",\"args\":[]" } else { b"]" });
        }
        Program::Script(script) => {
            text(enable, "/bin/sh");
            text(",\"args\":[\"-c\",", script);
            out.push(b']');
        }
    }
    let mut text = |key: &str, text: &str| {
        out.extend_from_slice(key.as_bytes());
        write::text(out, text);
    };
    text(",\"schedule\":", job.schedule.as_ref().map_or("", |schedule| schedule.text()));
    text(",\"creator\":", &job.creator);
    text(",\"work_dir\":", &job.work_dir.as_ref().map_or("".into(), |dir| dir.to_string_lossy()));
    out.extend_from_slice(if job.on_overlap == OnOverlap::Allow { b",\"overlap\":true}" } else { b"}" });
}
