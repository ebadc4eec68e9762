//! What the history keeps, as plain values: they come in as [`Row`]s and go out as the same types.

use std::time::Duration;

use jiff::Timestamp;

use crate::engine::Outcome;
use crate::engine::core::{Ticket, Trigger};
use crate::job::{Job, JobName, Program};
use crate::sink::Tail;
use crate::wire::RunId;

/// Longest `by`, in bytes. Longer texts are cut, here as below.
const MAX_BY: usize = 256;
/// Longest code, in bytes.
const MAX_CODE: usize = 64;
/// Longest message, text or schedule, in bytes.
const MAX_TEXT: usize = 1024;
/// Longest command line of a definition, in bytes.
const MAX_COMMAND: usize = 4096;
/// Longest tail that is kept of an attempt whatever rotad.yaml says, in bytes.
pub const MAX_TAIL: usize = 64 << 10;
/// What a row costs in the queue beside its texts, in bytes.
const ROW_COST: usize = size_of::<Row>() + 64;

/// Something to be written down.
#[derive(Debug, Clone, PartialEq)]
pub enum Row {
    /// A slot has its verdict.
    Slot(SlotRow),
    /// An attempt is over.
    Attempt(Box<AttemptRow>),
    /// Something happened that explains others.
    Fact(FactRow),
    /// A definition is in force.
    Definition(Box<DefinitionRow>),
    /// The clock is back at `after`: slots of the job that were missed after it are yet to come.
    TakeBack {
        /// Whose.
        job: JobName,
        /// Missed slots after this instant are taken back.
        after: Timestamp,
    },
}

/// What became of a slot, or of a row of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotRow {
    /// Of which job.
    pub job: JobName,
    /// The planned instant; of a row of slots the newest.
    pub slot: Timestamp,
    /// Of a row of slots the oldest; else the same.
    pub oldest: Timestamp,
    /// How many slots these are. What is counted as *at least* is kept so.
    pub count: u64,
    /// What became of it.
    pub verdict: SlotVerdict,
    /// Who let it go, where somebody did; empty otherwise.
    pub by: String,
    /// When that was decided.
    pub booked: Timestamp,
}

/// What became of a slot. Codes are stable words: `overlap`, `paused`, `down`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlotVerdict {
    /// It became this run (the id of its first attempt).
    Ran(RunId),
    /// A rule, with this code, let it go.
    Skipped(String),
    /// It passed while nobody watched, and is not made up for. The code says why.
    Missed(String),
    /// A newer slot took its place.
    Superseded,
}

/// One process of a run, over.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptRow {
    /// The run: the id of its first attempt.
    pub run: RunId,
    /// Which attempt of it, from 1.
    pub attempt: u32,
    /// The attempt's own id; that of the run for the first.
    pub id: RunId,
    /// Of which job.
    pub job: JobName,
    /// The slot it carries out; absent: there is none.
    pub slot: Option<Timestamp>,
    /// What began the run.
    pub trigger: Trigger,
    /// Who asked for it, or after which job; empty for a slot.
    pub by: String,
    /// Hash of the definition.
    pub hash: u64,
    /// When its program started; absent: none did.
    pub started: Option<Timestamp>,
    /// When it ended, or was found to have.
    pub ended: Timestamp,
    /// How.
    pub outcome: Outcome,
    /// CPU time, user and system; absent: nobody knows.
    pub cpu: Option<Duration>,
    /// Largest resident set in KiB; absent: nobody knows.
    pub max_rss_kib: Option<u64>,
    /// Bytes of output received: stdout and stderr.
    pub output: [u64; 2],
    /// Bytes of output that were not kept.
    pub dropped: u64,
    /// The last lines of its output, as they were printed; see [`tail_text`].
    pub tail: Vec<u8>,
    /// When the next attempt begins; absent: this is the last.
    pub next_attempt: Option<Timestamp>,
    /// Processes that it left behind.
    pub left: u32,
}

/// Something that happened and explains what became of slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactRow {
    /// When it began.
    pub at: Timestamp,
    /// When it ended, or will; absent: it is an instant, or nobody knows.
    pub until: Option<Timestamp>,
    /// What kind of thing.
    pub kind: FactKind,
    /// Which job it is about; absent: all of them.
    pub job: Option<JobName>,
    /// A stable code, where there is one; else empty.
    pub code: String,
    /// A sentence for people; may be empty.
    pub text: String,
    /// Who did it, where somebody did; else empty.
    pub by: String,
}

/// The kinds of facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FactKind {
    /// Nobody watched: the daemon or the machine was down, suspended or stopped.
    Away,
    /// The wall clock was set.
    Clock,
    /// A definition came into force.
    Armed,
    /// A job was taken away.
    Retired,
    /// Its file is broken: the last good definition stays in force.
    Broken,
    /// Its file is good again.
    Mended,
    /// Somebody paused it.
    Paused,
    /// The pause is over.
    Resumed,
    /// Somebody holds its slots, or the next of them.
    Held,
    /// The hold is over.
    Released,
    /// Somebody changed its definition by a request.
    Edited,
    /// Rows of this history were lost.
    Dropped,
    /// The daemon started, or its engine.
    Started,
    /// A run is not attempted again after all; the text is its id.
    Retry,
}

/// What a definition said, in a few words; kept once for every hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinitionRow {
    /// Of which job.
    pub job: JobName,
    /// Hash of its text.
    pub hash: u64,
    /// When it came into force.
    pub seen: Timestamp,
    /// The schedule as it was written; absent: on demand.
    pub schedule: Option<String>,
    /// The dialect of the schedule.
    pub dialect: Option<String>,
    /// Its zone.
    pub timezone: Option<String>,
    /// Program and arguments, or the script; cut where they are long.
    pub command: Vec<String>,
}

impl Row {
    /// Texts cut to their limits, so that no row is larger than a few KiB beside its tail of at most `tail` bytes.
    pub(super) fn bounded(mut self, tail: usize) -> Row {
        match &mut self {
            Row::Slot(row) => {
                clip(&mut row.by, MAX_BY);
                if let SlotVerdict::Skipped(why) | SlotVerdict::Missed(why) = &mut row.verdict {
                    clip(why, MAX_CODE);
                }
            }
            Row::Attempt(row) => {
                clip(&mut row.by, MAX_BY);
                match &mut row.outcome {
                    Outcome::Stopped { why, .. } => clip(why, MAX_CODE),
                    Outcome::CouldNotStart { message, .. } => clip(message, MAX_TEXT),
                    _ => {}
                }
                let over = row.tail.len().saturating_sub(tail.min(MAX_TAIL));
                row.tail.drain(..over);
                row.tail.shrink_to_fit();
            }
            Row::Fact(row) => {
                clip(&mut row.code, MAX_CODE);
                clip(&mut row.text, MAX_TEXT);
                clip(&mut row.by, MAX_BY);
            }
            Row::Definition(row) => {
                let texts = [&mut row.schedule, &mut row.dialect, &mut row.timezone];
                texts.into_iter().flatten().for_each(|text| clip(text, MAX_TEXT));
                let mut left = MAX_COMMAND;
                row.command.retain_mut(|word| {
                    clip(word, left);
                    left = left.saturating_sub(word.len() + 1);
                    left > 0 || !word.is_empty()
                });
            }
            Row::TakeBack { .. } => {}
        }
        self
    }

    /// What it takes in memory, in bytes, roughly.
    pub(super) fn cost(&self) -> usize {
        let texts = match self {
            Row::Slot(row) => row.by.len(),
            Row::Attempt(row) => size_of::<AttemptRow>() + row.by.len() + row.tail.len(),
            Row::Fact(row) => row.code.len() + row.text.len() + row.by.len(),
            Row::Definition(row) => {
                size_of::<DefinitionRow>()
                    + row.command.iter().map(|word| word.len() + size_of::<String>()).sum::<usize>()
            }
            Row::TakeBack { .. } => 0,
        };
        ROW_COST + texts
    }
}

impl SlotRow {
    /// One slot.
    pub fn one(job: JobName, slot: Timestamp, verdict: SlotVerdict, booked: Timestamp) -> SlotRow {
        SlotRow { job, slot, oldest: slot, count: 1, verdict, by: String::new(), booked }
    }
}

impl AttemptRow {
    /// An attempt of this ticket, as far as the ticket tells; it ended at `ended`.
    pub fn of(job: JobName, ticket: &Ticket, hash: u64, outcome: Outcome, ended: Timestamp) -> AttemptRow {
        AttemptRow {
            run: ticket.of,
            attempt: ticket.attempt,
            id: ticket.run,
            job,
            slot: ticket.slot,
            trigger: ticket.trigger,
            by: ticket.by.clone(),
            hash,
            started: None,
            ended,
            outcome,
            cpu: None,
            max_rss_kib: None,
            output: [0; 2],
            dropped: 0,
            tail: Vec::new(),
            next_attempt: None,
            left: 0,
        }
    }

    /// Where it stands in lists: when its program started, or, where none did, when that was clear.
    pub fn at(&self) -> Timestamp {
        self.started.unwrap_or(self.ended)
    }
}

impl DefinitionRow {
    /// What a job says, in force since `seen`.
    pub fn of(job: &Job, seen: Timestamp) -> DefinitionRow {
        let schedule = job.schedule.as_ref();
        let command = match &job.program {
            Program::Exec { command, args } => std::iter::once(command).chain(args).cloned().collect(),
            Program::Script(text) => vec![text.clone()],
        };
        DefinitionRow {
            job: job.name.clone(),
            hash: job.hash,
            seen,
            schedule: schedule.map(|schedule| schedule.text().to_owned()),
            dialect: schedule.and_then(|schedule| schedule.dialect()).map(|dialect| dialect.to_string()),
            timezone: schedule.and_then(|schedule| schedule.zone().iana_name().map(str::to_owned)),
            command,
        }
    }
}

impl FactKind {
    /// All of them.
    pub const ALL: [FactKind; 14] = [
        FactKind::Away,
        FactKind::Clock,
        FactKind::Armed,
        FactKind::Retired,
        FactKind::Broken,
        FactKind::Mended,
        FactKind::Paused,
        FactKind::Resumed,
        FactKind::Held,
        FactKind::Released,
        FactKind::Edited,
        FactKind::Dropped,
        FactKind::Started,
        FactKind::Retry,
    ];

    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            FactKind::Away => "away",
            FactKind::Clock => "clock",
            FactKind::Armed => "armed",
            FactKind::Retired => "retired",
            FactKind::Broken => "broken",
            FactKind::Mended => "mended",
            FactKind::Paused => "paused",
            FactKind::Resumed => "resumed",
            FactKind::Held => "held",
            FactKind::Released => "released",
            FactKind::Edited => "edited",
            FactKind::Dropped => "dropped",
            FactKind::Started => "started",
            FactKind::Retry => "retry",
        }
    }

    /// The kind with this word.
    pub fn parse(word: &str) -> Option<FactKind> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// The last whole lines of a run's output that fit into `limit` bytes, each ended by a newline unless it was cut open. A last
/// line that alone is longer keeps its end.
pub fn tail_text(tail: &Tail, limit: usize) -> Vec<u8> {
    let mut from = tail.lines.len();
    let mut size = 0;
    for (at, line) in tail.lines.iter().enumerate().rev() {
        let more = line.bytes.len() + usize::from(!line.open);
        if size + more > limit && size > 0 {
            break;
        }
        (from, size) = (at, size + more);
        if size >= limit {
            break;
        }
    }
    let mut text = Vec::with_capacity(size);
    for line in &tail.lines[from..] {
        text.extend_from_slice(&line.bytes);
        if !line.open {
            text.push(b'\n');
        }
    }
    text.drain(..text.len().saturating_sub(limit));
    text
}

/// Cuts a text to at most `most` bytes, between characters.
fn clip(text: &mut String, most: usize) {
    if text.len() > most {
        let end = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
}
