//! What is remembered of what is over: little, and bounded. The history proper is kept elsewhere.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;

use super::clock::Cause;
use super::life::Volume;
use super::mark::Ticket;
use super::{Fact, State};
use crate::engine::request::PauseKind;
use crate::engine::view::Outcome;
use crate::job::{JobName, LogTarget};
use crate::wire::{Ended, RunId};

/// Verdicts kept of each job.
const MAX_VERDICTS: usize = 8;
/// Ended runs kept over all jobs.
const MAX_RECORDS: usize = 512;

/// What became of a slot, or of a row of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It became this run.
    Ran(RunId),
    /// A rule let it go.
    Skipped(Rule),
    /// So many passed unwatched for that reason and are not made up for, this one the newest of them. The count is exact
    /// below [`super::slots::COUNT_LIMIT`], and means *at least* from there on.
    Missed(u64, Cause),
    /// So many fell in a pause of that kind, this one the newest of them. Counted as the missed ones are.
    Paused(PauseKind, u64),
    /// A newer one took its place.
    Superseded,
}

/// The rule that let a slot go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// A run of the job goes on.
    Overlap,
    /// The daemon stops.
    Stopping,
    /// As many runs go on as may.
    Limit,
    /// It waited for a run to end, and its job was taken away or disabled meanwhile.
    Retired,
    /// It waited for a run to end, and somebody stopped the job.
    Request,
}

impl Rule {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Rule::Overlap => "overlap",
            Rule::Stopping => "stopping",
            Rule::Limit => "limit",
            Rule::Retired => "retired",
            Rule::Request => "request",
        }
    }
}

/// A run that is over.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Of which job.
    pub job: JobName,
    /// Slot or request, and its id.
    pub ticket: Ticket,
    /// Its leader, when there was one: pid, start, end.
    pub led: Option<(i32, Timestamp, Ended)>,
    /// Where its lines went, when the job said so.
    pub log: Option<LogTarget>,
    /// How it ended.
    pub outcome: Outcome,
    /// When it was booked.
    pub booked: Timestamp,
    /// Its output.
    pub volume: Volume,
    /// Processes that it left.
    pub left: u32,
    /// Hash of the definition that it started from; 0 where none did.
    pub hash: u64,
    /// When the run is attempted again; absent: it is over.
    pub next: Option<Timestamp>,
    /// Attempts that the run may have in all, by the definition that this one started from.
    pub most: u32,
}

impl Record {
    /// Of a program that never ran, and that no attempt follows.
    pub fn blank(job: JobName, ticket: Ticket, outcome: Outcome, booked: Timestamp) -> Self {
        let most = ticket.attempt;
        Self {
            job,
            ticket,
            led: None,
            log: None,
            outcome,
            booked,
            volume: Volume::default(),
            left: 0,
            hash: 0,
            next: None,
            most,
        }
    }
}

/// The stable word for an outcome, as in `--json`.
pub fn outcome_word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Exited { success: true, .. } => "success",
        Outcome::Exited { .. } => "failure",
        Outcome::TimedOut { .. } => "timed-out",
        Outcome::Stopped { .. } => "stopped",
        Outcome::CouldNotStart { .. } => "could-not-start",
        Outcome::Lost => "lost",
    }
}

/// The past of one job.
#[derive(Debug, Default)]
pub struct JobPast {
    /// The run that ended last.
    pub last: Option<Box<Record>>,
    /// Newest first.
    verdicts: VecDeque<(Timestamp, Fate)>,
}

impl JobPast {
    /// Books what became of a slot. A row of missed or paused ones grows instead of pushing out what is older.
    pub fn book(&mut self, slot: Timestamp, fate: Fate) {
        match (self.verdicts.front_mut(), fate) {
            (Some((newest, Fate::Missed(before, old))), Fate::Missed(count, cause)) if *old == cause => {
                (*newest, *before) = (slot, before.saturating_add(count));
            }
            (Some((newest, Fate::Paused(old, before))), Fate::Paused(kind, count)) if *old == kind => {
                (*newest, *before) = (slot, before.saturating_add(count));
            }
            _ => {
                self.verdicts.truncate(MAX_VERDICTS - 1);
                self.verdicts.push_front((slot, fate));
            }
        }
    }

    /// The clock is back before slots that were booked as missed: they are yet to come.
    pub fn take_back_missed(&mut self, after: Timestamp) {
        self.verdicts.retain(|(slot, fate)| !(matches!(fate, Fate::Missed(..)) && *slot > after));
    }

    /// Newest first.
    pub fn verdicts(&self) -> impl Iterator<Item = &(Timestamp, Fate)> {
        self.verdicts.iter()
    }
}

impl State {
    /// Books an ended run, and tells of it.
    pub(super) fn record(&mut self, record: Record) {
        self.remember(record.clone());
        self.tell(Fact::Over(record));
    }

    /// Books one that was told of.
    pub(super) fn remember(&mut self, record: Record) {
        if let Some(past) = self.jobs.past_mut(&record.job) {
            past.last = Some(Box::new(record.clone()));
        }
        self.past.book(record);
    }
}

/// Ended runs over all jobs, and their sum.
#[derive(Debug, Default)]
pub struct Past {
    records: VecDeque<Record>,
    /// Runs by outcome word.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// Bytes of output that were not kept.
    pub dropped: u64,
}

impl Past {
    /// Books an ended run.
    pub fn book(&mut self, record: Record) {
        if record.next.is_none() {
            *self.outcomes.entry(outcome_word(&record.outcome)).or_default() += 1;
        }
        self.dropped = self.dropped.saturating_add(record.volume.dropped);
        self.keep(record);
    }

    /// Remembers one that an engine before booked.
    pub fn keep(&mut self, record: Record) {
        self.records.truncate(MAX_RECORDS - 1);
        self.records.push_front(record);
    }

    /// A run is not attempted again after all: its last outcome is its own.
    pub fn settle(&mut self, of: RunId) {
        if let Some(record) = self.records.iter_mut().find(|record| record.ticket.of == of && record.next.is_some()) {
            record.next = None;
            *self.outcomes.entry(outcome_word(&record.outcome)).or_default() += 1;
        }
    }

    /// The attempt of a run that ended last.
    pub fn last_of(&self, of: RunId) -> Option<&Record> {
        self.records.iter().filter(|record| record.ticket.of == of).max_by_key(|record| record.ticket.attempt)
    }

    /// Ended attempts, newest first.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.iter()
    }

    /// An ended run that is still remembered.
    pub fn find(&self, run: RunId) -> Option<&Record> {
        self.records.iter().find(|record| record.ticket.run == run)
    }

    /// The same, to add to it.
    pub fn find_mut(&mut self, run: RunId) -> Option<&mut Record> {
        self.records.iter_mut().find(|record| record.ticket.run == run)
    }
}
