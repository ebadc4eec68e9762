//! The last lines of each run, kept for `rota logs` and handed out as they come.
//!
//! Bounded in every direction: 64 KiB a run, five runs a job, 16 MiB in all, 1024 events for a follower that does not read.

use std::collections::BTreeMap;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::tail_store::Store;
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
#[derive(Debug, Clone, PartialEq, Eq)]
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
pub struct Tails {
    store: Arc<Mutex<Store>>,
}

impl Tails {
    /// What is kept of a run; `None` when nothing is known of it.
    pub fn of(&self, run: RunId) -> Option<Tail> {
        self.store().tail(run)
    }

    /// What is kept of a run, and every event after it, without a gap. The channel is bounded: who reads too slowly gets
    /// [`TailEvent::Dropped`]. It closes after [`TailEvent::Over`]; closing without it says that the end did not fit.
    pub fn follow(&self, run: RunId) -> Option<(Tail, Receiver<TailEvent>)> {
        self.store().follow(run)
    }

    /// Every line of every run of a job from now on.
    pub fn follow_job(&self, job: &JobName) -> Receiver<(RunId, TailEvent)> {
        self.store().follow_job(job)
    }

    /// The runs of a job that have a tail, oldest first.
    pub fn runs_of(&self, job: &JobName) -> Vec<RunId> {
        self.store().runs_of(job)
    }

    /// Bytes received of a run by stream, and bytes that were not kept.
    pub fn counts(&self, run: RunId) -> (BTreeMap<Stream, u64>, u64) {
        self.store().counts(run)
    }

    /// A run begins to have a tail.
    pub(crate) fn open(&self, run: RunId, job: &JobName) {
        self.store().open(run, job);
    }

    /// `bytes` are whole lines of a run, `lines` in number; `last` says that they may end without a newline.
    pub(crate) fn push(&self, run: RunId, stream: Stream, bytes: &[u8], last: bool, lines: u64) {
        self.store().push(run, Timestamp::now(), stream, bytes, last, lines);
    }

    /// Lines of a run that nobody has any more.
    pub(crate) fn skip(&self, run: RunId, lines: u64) {
        self.store().skip(run, lines);
    }

    /// Bytes received and dropped so far.
    pub(crate) fn count(&self, run: RunId, received: [u64; 2], dropped: u64) {
        self.store().count(run, received, dropped);
    }

    /// No more lines of this run.
    pub(crate) fn end(&self, run: RunId) {
        self.store().end(run);
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
