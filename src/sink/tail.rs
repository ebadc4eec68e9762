//! The last lines of each run, kept for `rota logs` and handed out as they come.

use std::collections::BTreeMap;
use std::sync::mpsc::Receiver;

use jiff::Timestamp;

use crate::job::JobName;
use crate::wire::{RunId, Stream};

/// One line that a job printed, without its newline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When it was read.
    pub at: Timestamp,
    /// From where.
    pub stream: Stream,
    /// As printed: any bytes but newline.
    pub bytes: Vec<u8>,
    /// No newline ended it: it was split at the longest length, or the stream ended.
    pub open: bool,
}

/// What was kept of a run.
#[derive(Debug, Clone, Default)]
pub struct Tail {
    /// In the order in which they were read.
    pub lines: Vec<Line>,
    /// Lines before the first that are no longer kept.
    pub skipped: u64,
    /// No more will come.
    pub over: bool,
}

/// What a follower gets.
#[derive(Debug, Clone)]
pub enum TailEvent {
    /// A line.
    Line(Line),
    /// The follower was too slow: so many lines did not reach it.
    Dropped(u64),
    /// The run's output is over.
    Over,
}

/// All tails. Clones share one store.
#[derive(Debug, Clone, Default)]
pub struct Tails {}

impl Tails {
    /// What is kept of a run; `None` when nothing is known of it.
    pub fn of(&self, _run: RunId) -> Option<Tail> {
        None
    }

    /// What is kept of a run, and every event after it, without a gap. The channel is bounded: who reads too slowly gets
    /// [`TailEvent::Dropped`].
    pub fn follow(&self, _run: RunId) -> Option<(Tail, Receiver<TailEvent>)> {
        None
    }

    /// Every line of every run of a job from now on.
    pub fn follow_job(&self, _job: &JobName) -> Receiver<(RunId, TailEvent)> {
        std::sync::mpsc::sync_channel(0).1
    }

    /// The runs of a job that have a tail, oldest first.
    pub fn runs_of(&self, _job: &JobName) -> Vec<RunId> {
        Vec::new()
    }

    /// Bytes received of a run by stream, and bytes that were not kept.
    pub fn counts(&self, _run: RunId) -> (BTreeMap<Stream, u64>, u64) {
        Default::default()
    }
}
