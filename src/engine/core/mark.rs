//! What one engine leaves to the next by way of the warden: the mark of the engine as a whole, and the context of each run.
//!
//! Both are opaque to the warden and bounded by [`MAX_MARK`] and [`MAX_CONTEXT`]. One that cannot be read (an engine of
//! another version wrote it) is treated as absent, never as fatal: scheduling goes on from now, runs are still reaped.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::clock::Stretch;
use super::pause::Span;
use crate::job::{Job, JobName, LogTarget, Retries};
use crate::wire::{MAX_CONTEXT, MAX_MARK, RunId};

/// First byte of both, raised with every change of their shape.
const SHAPE: u8 = 3;

/// What has been decided, for the engine that comes after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Where `@every` counts from, at the earliest: the daemon's start, moved back with a clock that was wrong then.
    pub base: Timestamp,
    /// The last run id that was given.
    pub last_run: RunId,
    /// `@reboot` jobs are started.
    pub booted: bool,
    /// What was due then may have been started by daemons that were killed.
    pub doubts: Vec<Span>,
    /// The watched stretches, oldest first. Slots after the end of the last one are undecided.
    pub stretches: Vec<Stretch>,
    /// Ends of jobs that others wait for: a hash of the two names, and the run that ended.
    pub ends: Vec<(u64, RunId)>,
    /// Attempts to come that no context remembers.
    pub retries: Vec<(JobName, Again)>,
}

/// The next attempt of a run, and when it is due.
pub type Again = (Ticket, Timestamp);

impl Mark {
    /// As bytes, at most [`MAX_MARK`]: the last retries, then the oldest stretches are left out where they do not fit.
    pub fn encode(mut self) -> Vec<u8> {
        loop {
            match encode(&self) {
                Some(bytes) if bytes.len() <= MAX_MARK => return bytes,
                _ if !self.retries.is_empty() => drop(self.retries.pop()),
                _ if self.stretches.len() > 1 => drop(self.stretches.remove(0)),
                _ => return Vec::new(),
            }
        }
    }

    /// What [`Self::encode`] wrote, or nothing.
    pub fn decode(bytes: &[u8]) -> Option<Mark> {
        decode(bytes)
    }
}

/// Something that becomes an attempt of a run: a slot, a request, the end of another job, or the failure of the attempt before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// The id that this attempt has or will have: with the warden, the capture and the tails.
    pub run: RunId,
    /// The id of the run, which is that of its first attempt: what people see.
    pub of: RunId,
    /// Which attempt, counted from 1.
    pub attempt: u32,
    /// The slot; absent: there is none.
    pub slot: Option<Timestamp>,
    /// What began the run.
    pub trigger: Trigger,
    /// Who asked for it, or after which job; empty for a slot.
    pub by: String,
    /// Runs of other jobs whose ends count no longer for its job, because it starts. The last is the one that began it, if one
    /// did.
    pub ends: Vec<RunId>,
}

impl Ticket {
    /// The first attempt of a run.
    pub fn first(run: RunId, slot: Option<Timestamp>, trigger: Trigger, by: String) -> Self {
        Self { run, of: run, attempt: 1, slot, trigger, by, ends: Vec::new() }
    }

    /// The next attempt, under an id of its own.
    pub fn again(&self, run: RunId) -> Self {
        Self { run, attempt: self.attempt.saturating_add(1), ..self.clone() }
    }
}

/// What began a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trigger {
    /// Its slot came.
    Schedule,
    /// Its slot had been missed, and is made up for.
    CatchUp,
    /// Somebody asked for it.
    Request,
    /// The jobs that it follows have ended.
    After,
}

impl Trigger {
    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Trigger::Schedule => "schedule",
            Trigger::CatchUp => "catch-up",
            Trigger::Request => "request",
            Trigger::After => "after",
        }
    }

    /// What [`Self::word`] gave.
    pub fn parse(word: &str) -> Option<Self> {
        let all = [Trigger::Schedule, Trigger::CatchUp, Trigger::Request, Trigger::After];
        all.into_iter().find(|trigger| trigger.word() == word)
    }
}

/// The part of a definition that a run needs after its start. It keeps it, whatever becomes of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Longest time it may take.
    pub timeout: Option<Duration>,
    /// The signal that asks it to end.
    pub stop_signal: i32,
    /// Time between that and `SIGKILL`.
    pub kill_after: Duration,
    /// Exit codes that count as success.
    pub success_codes: Vec<i32>,
    /// Bytes of output kept.
    pub output_limit: u64,
    /// Where its lines go.
    pub log: Option<LogTarget>,
    /// Whether and when it is attempted again.
    pub retries: Option<Box<Retries>>,
    /// Hash of the definition.
    pub hash: u64,
}

impl Terms {
    /// Those of a definition.
    pub fn of(job: &Job) -> Self {
        Self {
            timeout: job.timeout,
            stop_signal: job.stop_signal,
            kill_after: job.kill_after,
            success_codes: job.success_codes.clone(),
            output_limit: job.limits.output,
            log: job.log,
            retries: job.retries.clone(),
            hash: job.hash,
        }
    }
}

/// Why a run is being stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Why {
    /// Its time was up.
    Timeout,
    /// Somebody asked for it.
    Request,
    /// A newer slot takes its place.
    Replaced,
    /// The daemon stops.
    Shutdown,
}

impl Why {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Why::Timeout => "timeout",
            Why::Request => "request",
            Why::Replaced => "replaced",
            Why::Shutdown => "shutdown",
        }
    }
}

/// A stop that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Why.
    pub why: Why,
    /// When the first signal was sent.
    pub asked: Timestamp,
}

/// All the next engine must know of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    /// Of which job.
    pub job: JobName,
    /// Slot or request.
    pub ticket: Ticket,
    /// The terms it started under.
    pub terms: Terms,
    /// It is being stopped.
    pub stop: Option<Stop>,
    /// What starts once the job's runs are over, in this order.
    pub waiting: Vec<Ticket>,
    /// The last run id that was given when this was written. Of the contexts of a job's runs the one that was written last
    /// knows what waits; of two that were written after the same id, the one for which less waits.
    pub as_of: RunId,
    /// It is over, and has been told of.
    pub told: bool,
    /// So it is, and the run is attempted again then.
    pub retry: Option<Again>,
    /// Its end was heard by those who follow its job, and these of them are yet to be started.
    pub heard: Option<Vec<(JobName, Ticket)>>,
}

impl Context {
    /// As bytes; `None` where they would be more than [`MAX_CONTEXT`].
    pub fn encode(&self) -> Option<Vec<u8>> {
        encode(self).filter(|bytes| bytes.len() <= MAX_CONTEXT)
    }

    /// What [`Self::encode`] wrote, or nothing.
    pub fn decode(bytes: &[u8]) -> Option<Context> {
        decode(bytes)
    }
}

fn encode<T: Serialize>(value: &T) -> Option<Vec<u8>> {
    postcard::to_extend(value, vec![SHAPE]).ok()
}

fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    match bytes.split_first() {
        Some((&SHAPE, rest)) => match postcard::take_from_bytes(rest) {
            Ok((value, [])) => Some(value),
            _ => None,
        },
        _ => None,
    }
}
