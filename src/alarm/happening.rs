//! What the rules are told, and what comes of it.

use std::sync::Arc;

use jiff::Timestamp;

use super::rule::{Notify, On};
use super::target::Target;
use crate::job::JobName;

/// Something happened to a job.
#[derive(Debug, Clone)]
pub struct Happening {
    /// To which.
    pub job: JobName,
    /// When (wall clock).
    pub at: Timestamp,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum What {
    /// It is armed, with these rules; `None`: those of rotad.yaml. What is known of a job of this name stays known.
    Armed {
        /// Its own rules.
        notify: Option<Arc<Notify>>,
        /// It is enabled, and not paused: silence and lateness mean something.
        active: bool,
    },
    /// It was taken away.
    Removed,
    /// This slot is the next to be decided, at its instant, which may be still to come; `None`: none is.
    Due(Option<Timestamp>),
    /// A run was started.
    Started(Told),
    /// A run of the engine before goes on.
    GoesOn(Told),
    /// An attempt failed, and another follows.
    AttemptFailed(Told),
    /// A run succeeded.
    Succeeded(Told),
    /// A run failed.
    Failed(Told),
    /// A run is over and neither succeeded nor failed: somebody stopped it.
    Ended(Told),
    /// A slot is decided, and nobody is told: it fell in a pause, or was let go on request.
    Decided(Timestamp),
    /// A slot was let go: the code of the rule.
    Skipped(Timestamp, &'static str),
    /// So many slots passed unwatched, or otherwise undone: the newest, how many, and the code.
    Missed(Timestamp, u64, &'static str),
}

/// What is known of a run when it is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// Its id.
    pub run: String,
    /// Its slot; absent: requested.
    pub slot: Option<Timestamp>,
    /// When its program started.
    pub started: Option<Timestamp>,
    /// The stable word for how it ended.
    pub outcome: &'static str,
    /// Its exit code, where it has one.
    pub code: Option<i32>,
    /// The same as a part of a sentence: `failed with exit code 3`.
    pub reason: String,
    /// Which attempt of the run, from 1; 0: not known.
    pub attempt: u32,
    /// When the next one comes.
    pub next_attempt: Option<Timestamp>,
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// Of which job.
    pub job: JobName,
    /// About what.
    pub on: On,
    /// When it happened.
    pub at: Timestamp,
    /// One part of a sentence, after the job's name: `failed with exit code 3`.
    pub reason: String,
    /// The run that it is about.
    pub told: Option<Told>,
    /// The slot that it is about.
    pub slot: Option<Timestamp>,
    /// Since when it is so: failing, silent, running.
    pub since: Option<Timestamp>,
    /// How many: failures in a row, skipped or missed slots.
    pub count: u64,
    /// The job's next slot. Filled in by whoever sends.
    pub next_slot: Option<Timestamp>,
    /// The end of what the run printed. Filled in by whoever sends.
    pub tail: String,
}

/// An alarm, and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// What.
    pub alarm: Alarm,
    /// To each of them once.
    pub to: Vec<Arc<Target>>,
}
