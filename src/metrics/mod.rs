//! What monitors are told: numbers as the engine had them at one moment, and their text.
//!
//! ```text
//!  facts ─▶ tallies ─┐
//!                    ├─▶ reading ─▶ OpenMetrics text
//!  state ─▶ gauges ──┘
//! ```
//!
//! The engine's loop counts ([`Tallies`]) and hands over a [`Reading`], which is little more than a copy of numbers; the text
//! is made by whoever asked ([`text()`]). Tallies begin anew with each engine, as monitors expect of counters.

pub mod family;
mod histogram;
mod tally;
pub mod text;

use jiff::Timestamp;

pub use histogram::{DURATIONS, Histogram, LATENESS};
pub use tally::{Counts, Known, Tallies, Tally};
pub use text::text;

use crate::engine::BeatsView;
use crate::job::JobName;

/// Jobs that have numbers of their own; of more, the first by name do. Ten thousand jobs would be a hundred thousand
/// series, which is more than many a monitor takes from all its machines. Sums count every job.
pub const MAX_JOBS: usize = 2_000;

/// All numbers at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// The daemon's start.
    pub started: Timestamp,
    /// This engine's start: counters count from here.
    pub engine_started: Timestamp,
    /// Engines before this one.
    pub engine_restarts: u32,
    /// How `conf.d` is watched: `inotify`, or `polling` with the reason.
    pub watch: String,
    /// What the state says.
    pub gauges: Gauges,
    /// What was counted over all jobs.
    pub tallies: Sums,
    /// What waits in each queue, by the queue's name.
    pub queues: Vec<(&'static str, u64)>,
    /// What was dropped since the engine started, by what it was.
    pub dropped: Vec<(&'static str, u64)>,
    /// How beats go out, where any are configured.
    pub beats: Option<BeatsView>,
    /// At most [`MAX_JOBS`] jobs, by name.
    pub jobs: Vec<JobReading>,
    /// Jobs that are not among them.
    pub jobs_not_shown: u64,
}

/// Numbers that go up and down.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Jobs by state, each counted once: `disabled`, else `paused`, else `broken` (live by its last good definition), else
    /// `enabled`.
    pub jobs: [(&'static str, u64); 4],
    /// Slots that are due and whose program does not run yet.
    pub due: u64,
    /// Runs that go on.
    pub running: u64,
    /// Findings that break a file.
    pub errors: u64,
    /// Other findings.
    pub warnings: u64,
    /// Errands that wait.
    pub errands: u64,
}

/// What was counted over all jobs since the engine started.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sums {
    /// Runs by outcome word.
    pub runs: Counts,
    /// Slots by verdict word.
    pub slots: Counts,
    /// How long runs took whose program started, by outcome word.
    pub durations: Vec<(&'static str, Histogram)>,
    /// From a slot to the start of its program.
    pub lateness: Histogram,
}

/// The numbers of one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobReading {
    /// Which.
    pub name: JobName,
    /// Its next slot; absent while it is paused.
    pub next: Option<Timestamp>,
    /// What was counted.
    pub tally: Tally,
}
