mod faults;
mod pruning;
mod questions;
mod rows;

use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;

use super::*;
use crate::engine::Outcome;
use crate::engine::core::Trigger;
use crate::wire::Exit;

fn t(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn base() -> Timestamp {
    t("2026-11-20T12:00:00Z")
}

fn at(seconds: i64) -> Timestamp {
    base() + SignedDuration::from_secs(seconds)
}

fn job(text: &str) -> JobName {
    JobName::parse(text).unwrap()
}

fn id(of: Timestamp, count: u64) -> RunId {
    RunId(((of.as_millisecond() as u64) << 22) + count)
}

fn code(code: i32) -> Outcome {
    Outcome::Exited { exit: Exit::Code(code), success: code == 0 }
}

/// A run of one second that began `seconds` after [`base`].
fn attempt(name: &str, seconds: i64, outcome: Outcome) -> AttemptRow {
    let started = at(seconds);
    AttemptRow {
        run: id(started, 0),
        attempt: 1,
        id: id(started, 0),
        job: job(name),
        slot: Some(started),
        trigger: Trigger::Schedule,
        by: String::new(),
        hash: 7,
        started: Some(started),
        ended: at(seconds + 1),
        outcome,
        cpu: Some(Duration::from_micros(1_234_567)),
        max_rss_kib: Some(2048),
        output: [10, 20],
        dropped: 0,
        tail: Vec::new(),
        next_attempt: None,
        left: 0,
    }
}

fn slot(name: &str, seconds: i64, verdict: SlotVerdict) -> SlotRow {
    SlotRow::one(job(name), at(seconds), verdict, at(seconds))
}

fn missed() -> SlotVerdict {
    SlotVerdict::Missed("down".into())
}

fn skipped(why: &str) -> SlotVerdict {
    SlotVerdict::Skipped(why.into())
}

fn row_of(name: &str, oldest: i64, newest: i64, count: u64, verdict: SlotVerdict) -> SlotRow {
    SlotRow { oldest: at(oldest), count, ..slot(name, newest, verdict) }
}

fn config() -> HistoryConfig {
    // Long enough that no test's rows are old.
    HistoryConfig { keep: Duration::from_secs(3650 * 86_400), ..HistoryConfig::default() }
}

/// A history that is open.
fn open(dir: &Path) -> History {
    open_with(dir, &config()).0
}

fn open_with(dir: &Path, config: &HistoryConfig) -> (History, Option<BTreeMap<JobName, Tally>>) {
    let (told, known) = mpsc::channel();
    let history = History::start(dir, Some(config), Box::new(move |tallies| told.send(tallies).unwrap()));
    let tallies = known.recv_timeout(Duration::from_secs(30)).unwrap();
    (history, tallies)
}

/// Waits until a condition holds.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < end, "it never came to pass: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn written(history: &History) {
    until("everything is written", || history.status().waiting == 0);
}

fn note(history: &History, rows: impl IntoIterator<Item = Row>) {
    rows.into_iter().for_each(|row| history.note(row));
    written(history);
}

/// The file as another program sees it.
fn look(dir: &Path) -> Connection {
    Connection::open(dir.join("history.db")).unwrap()
}

fn number(conn: &Connection, sql: &str) -> i64 {
    conn.query_row(sql, [], |row| row.get(0)).unwrap()
}

fn all() -> Filter {
    Filter { limit: 1000, ..Filter::default() }
}

fn of(name: &str) -> Filter {
    Filter { job: Some(job(name)), ..all() }
}
