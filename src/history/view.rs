//! The shapes of `--json` and of `/rotad/v1` for the past: the words of [`crate::engine::RunView`] and its neighbours.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::query::{Around, Entry, Page, RunRow};
use super::row::{AttemptRow, FactRow, SlotRow, SlotVerdict};
use super::tally::Tally;
use crate::engine::{Outcome, Verdict};
use crate::job::JobName;
use crate::wire::Stream;

/// How the history is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// rotad.yaml says `history: none`.
    Off,
    /// It has not been opened yet.
    Opening,
    /// It is kept.
    Open,
    /// It cannot be opened or written now; that is tried again.
    Failing,
    /// Its file is one that must not be touched: of a later rotad, a link, somebody else's.
    Refused,
}

/// The history in a few words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryView {
    /// How it is.
    pub state: State,
    /// Why it is not open.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub why: Option<String>,
    /// Its file.
    pub file: String,
    /// Rows in it: slots, attempts and facts.
    pub rows: u64,
    /// Rows that wait to be written.
    pub waiting: usize,
    /// Rows that were dropped since the engine started.
    pub dropped: u64,
    /// The longest time in a row that pruning kept rows waiting, in seconds.
    pub held_up_seconds: f64,
}

/// Some rows of a list, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PageView<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Where the next page begins; absent: this was the last.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next: Option<String>,
}

/// A run of the past, as its last attempt stands for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PastRunView {
    /// When the first attempt's program started.
    pub first_started: Option<Timestamp>,
    /// The last attempt.
    #[serde(flatten)]
    pub last: AttemptView,
}

/// An attempt of the past.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptView {
    /// The id of the run, as text.
    pub run: String,
    /// Which attempt of it, from 1.
    pub attempt: u32,
    /// The attempt's own id; that of the run for the first.
    pub id: String,
    /// Of which job.
    pub job: JobName,
    /// The slot it carries out; absent: there is none.
    pub slot: Option<Timestamp>,
    /// What began the run: `schedule`, `catch-up`, `request`, `after`.
    pub trigger: String,
    /// Who asked for it, or after which job.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub by: String,
    /// Hash of the definition, in hexadecimal.
    pub definition: String,
    /// When its program started.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Timestamp,
    /// How.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// CPU time, user and system, in seconds.
    pub cpu_seconds: Option<f64>,
    /// Largest resident set, in KiB.
    pub max_rss_kib: Option<u64>,
    /// Bytes of output received: stdout and stderr.
    pub output_bytes: BTreeMap<Stream, u64>,
    /// Bytes of output that were not kept.
    pub output_dropped: u64,
    /// Processes that were still there when it was booked.
    pub left_behind: u32,
    /// When the next attempt begins.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next_attempt: Option<Timestamp>,
    /// The last lines of its output; absent in lists. What is no UTF-8 is replaced.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tail: Option<String>,
}

/// A slot of the past, or a row of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastSlotView {
    /// Of which job.
    pub job: JobName,
    /// The planned instant; of a row the newest.
    pub slot: Timestamp,
    /// Of a row of slots the oldest.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub oldest: Option<Timestamp>,
    /// Of a row of slots how many.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub count: Option<u64>,
    /// What became of it.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Who let it go, where somebody did.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub by: String,
    /// When that was decided.
    pub booked: Timestamp,
}

/// What happened: a run, or a slot without one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "kebab-case")]
pub enum EntryView {
    /// A run.
    Run(Box<PastRunView>),
    /// A slot that did not become one.
    Slot(PastSlotView),
}

/// Something that happened and explains what became of slots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactView {
    /// When it began.
    pub at: Timestamp,
    /// When it ended, or will.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<Timestamp>,
    /// What kind of thing, a stable word.
    pub fact: String,
    /// Which job it is about; absent: all of them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub job: Option<JobName>,
    /// A stable code, where there is one.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub code: String,
    /// A sentence for people.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub text: String,
    /// Who did it, where somebody did.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub by: String,
}

/// What is known about an instant of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AroundView {
    /// The slot at this instant, or the row of slots around it.
    pub slot: Option<PastSlotView>,
    /// The newest one before.
    pub before: Option<PastSlotView>,
    /// The oldest one after.
    pub after: Option<PastSlotView>,
    /// The run that it became.
    pub run: Option<PastRunView>,
    /// Runs of the job that went on at this instant, newest first.
    pub going: Vec<PastRunView>,
}

/// The sum of a job's past.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TallyView {
    /// Runs that are over, of all time.
    pub runs: u64,
    /// The run that ended last, as text.
    pub last_run: Option<String>,
    /// The word of its outcome.
    pub last_outcome: Option<String>,
    /// When it ended.
    pub last_ended: Option<Timestamp>,
    /// When the last success ended.
    pub last_success: Option<Timestamp>,
    /// When the first of the failures in a row ended.
    pub failing_since: Option<Timestamp>,
    /// Failed runs since the last success.
    pub failures: u64,
    /// What half of the last successes took at most, in seconds.
    pub usual_seconds: Option<f64>,
}

impl From<AttemptRow> for AttemptView {
    fn from(row: AttemptRow) -> Self {
        let tail = Some(&row.tail).filter(|tail| !tail.is_empty());
        Self {
            run: row.run.to_string(),
            attempt: row.attempt,
            id: row.id.to_string(),
            job: row.job,
            slot: row.slot,
            trigger: row.trigger.word().to_owned(),
            by: row.by,
            definition: format!("{:016x}", row.hash),
            started: row.started,
            ended: row.ended,
            outcome: row.outcome,
            cpu_seconds: row.cpu.map(|cpu| cpu.as_secs_f64()),
            max_rss_kib: row.max_rss_kib,
            output_bytes: [Stream::Stdout, Stream::Stderr].into_iter().zip(row.output).collect(),
            output_dropped: row.dropped,
            left_behind: row.left,
            next_attempt: row.next_attempt,
            tail: tail.map(|tail| String::from_utf8_lossy(tail).into_owned()),
        }
    }
}

impl From<RunRow> for PastRunView {
    fn from(row: RunRow) -> Self {
        Self { first_started: row.first_started, last: row.last.into() }
    }
}

impl From<SlotVerdict> for Verdict {
    fn from(verdict: SlotVerdict) -> Self {
        match verdict {
            SlotVerdict::Ran(run) => Verdict::Ran { run: run.to_string() },
            SlotVerdict::Skipped(why) => Verdict::Skipped { why },
            SlotVerdict::Missed(why) => Verdict::Missed { why },
            SlotVerdict::Superseded => Verdict::Superseded,
        }
    }
}

impl From<SlotRow> for PastSlotView {
    fn from(row: SlotRow) -> Self {
        let many = row.count > 1;
        Self {
            job: row.job,
            slot: row.slot,
            oldest: many.then_some(row.oldest),
            count: many.then_some(row.count),
            verdict: row.verdict.into(),
            by: row.by,
            booked: row.booked,
        }
    }
}

impl From<Entry> for EntryView {
    fn from(entry: Entry) -> Self {
        match entry {
            Entry::Run(run) => EntryView::Run(Box::new((*run).into())),
            Entry::Slot(slot) => EntryView::Slot(slot.into()),
        }
    }
}

impl From<FactRow> for FactView {
    fn from(row: FactRow) -> Self {
        let FactRow { at, until, kind, job, code, text, by } = row;
        Self { at, until, fact: kind.word().to_owned(), job, code, text, by }
    }
}

impl From<Around> for AroundView {
    fn from(around: Around) -> Self {
        Self {
            slot: around.slot.map(Into::into),
            before: around.before.map(Into::into),
            after: around.after.map(Into::into),
            run: around.run.map(Into::into),
            going: around.going.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<&Tally> for TallyView {
    fn from(tally: &Tally) -> Self {
        Self {
            runs: tally.runs,
            last_run: tally.last.map(|(run, _, _)| run.to_string()),
            last_outcome: tally.last.map(|(_, word, _)| word.to_owned()),
            last_ended: tally.last.map(|(_, _, ended)| ended),
            last_success: tally.last_success,
            failing_since: tally.failing_since,
            failures: tally.failures,
            usual_seconds: tally.usual(50).map(|usual| usual.as_secs_f64()),
        }
    }
}

impl<T, V: From<T>> From<Page<T>> for PageView<V> {
    fn from(page: Page<T>) -> Self {
        let rows = page.rows.into_iter().map(Into::into).collect();
        PageView { rows, next: page.next.map(|next| next.to_string()) }
    }
}
