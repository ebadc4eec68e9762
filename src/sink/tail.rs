//! The last lines of each run, kept for `rota logs` and handed out as they come.
//!
//! Bounded in every direction: 64 KiB a run, five runs a job, 16 MiB in all; for what waits for a follower see
//! [`super::follower`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::follower::{Following, Lines};
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
    /// Lines, read at once.
    Lines(Lines),
    /// The follower did not read: so many lines did not reach it.
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
    /// What is kept of an attempt, by its own id; `None` when nothing is known of it.
    pub fn of(&self, run: RunId) -> Option<Tail> {
        self.store().tail(run)
    }

    /// The newest lines of a run, whole ones of at most `most` bytes together; of a longest line that alone is more, its end.
    pub fn last(&self, run: RunId, most: usize) -> Option<Tail> {
        self.store().last(run, most)
    }

    /// What is kept of an attempt, and every event after it, without a gap. Who reads is waited for; who does not gets
    /// [`TailEvent::Dropped`]. The last one is [`TailEvent::Over`].
    pub fn follow(&self, run: RunId) -> Option<(Tail, Following)> {
        self.store().follow(run)
    }

    /// Every line of every run of a job from now on.
    pub fn follow_job(&self, job: &JobName) -> Following {
        self.store().follow_job(job)
    }

    /// The runs of a job that have a tail, oldest first.
    pub fn runs_of(&self, job: &JobName) -> Vec<RunId> {
        self.store().runs_of(job)
    }

    /// The attempts of a run that have a tail, by their own ids, oldest first.
    pub fn attempts_of(&self, run: RunId) -> Vec<RunId> {
        self.store().attempts_of(run)
    }

    /// The run of an attempt, and which of its attempts it is, counted from 1.
    pub fn attempt(&self, attempt: RunId) -> Option<(RunId, u32)> {
        self.store().attempt(attempt)
    }

    /// Bytes received of an attempt by stream, and bytes that were not kept.
    pub fn counts(&self, run: RunId) -> (BTreeMap<Stream, u64>, u64) {
        self.store().counts(run)
    }

    /// A run of one attempt begins to have a tail.
    #[cfg(test)]
    pub(crate) fn open(&self, run: RunId, job: &JobName) {
        self.store().open(run, (run, 1), job);
    }

    /// An attempt begins to have a tail; `of` is its run, and which of its attempts it is.
    pub(crate) fn open_attempt(&self, run: RunId, of: (RunId, u32), job: &JobName) {
        self.store().open(run, of, job);
    }

    /// `bytes` are whole lines of a run, `lines` in number; `last` says that they may end without a newline.
    pub(crate) fn push(&self, run: RunId, stream: Stream, bytes: &[u8], last: bool, lines: u64) {
        self.store().push(run, Timestamp::now(), stream, bytes, last, lines);
    }

    /// Somebody who follows the run reads, and has to catch up first.
    pub(crate) fn holds(&self, run: RunId) -> bool {
        self.store().holds(run)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_runs_of_a_job_are_kept_and_of_each_the_last_attempts() {
        let tails = Tails::default();
        let job = JobName::parse("a").unwrap();
        let mut id = 0;
        for run in 1..=7 {
            let of = RunId(id + 1);
            for attempt in 1..=run {
                id += 1;
                tails.open_attempt(RunId(id), (of, attempt), &job);
                tails.end(RunId(id));
            }
        }
        let runs = tails.runs_of(&job);
        assert_eq!(runs, [4, 7, 11, 16, 22].map(RunId));
        assert_eq!(tails.attempts_of(RunId(7)), [7, 8, 9, 10].map(RunId));
        assert_eq!(tails.attempts_of(RunId(22)), [24, 25, 26, 27, 28].map(RunId));
        assert_eq!(tails.attempt(RunId(28)), Some((RunId(22), 7)));
        assert_eq!(tails.attempt(RunId(1)), None);
    }

    #[test]
    fn i118_the_newest_line_is_kept_however_long_it_is() {
        let tails = Tails::default();
        let job = JobName::parse("a").unwrap();
        for (run, length) in [(RunId(1), 60_000), (RunId(2), 90_000), (RunId(3), 1 << 20)] {
            let bytes = [vec![b'y'; length], b"END\n".to_vec()].concat();
            tails.open(run, &job);
            tails.push(run, Stream::Stderr, &bytes, true, bytes.len().div_ceil(64 << 10) as u64);
            let last = tails.of(run).unwrap().lines.pop().unwrap();
            assert!(last.bytes.ends_with(b"END") && !last.open, "{length}");
        }
    }

    #[test]
    fn the_newest_lines_are_whole_and_few() {
        let tails = Tails::default();
        let job = JobName::parse("a").unwrap();
        tails.open(RunId(1), &job);
        tails.push(RunId(1), Stream::Stdout, b"one\ntwo\n", false, 2);
        tails.push(RunId(1), Stream::Stderr, b"three\nopen", true, 2);
        let last = |most| {
            let tail = tails.last(RunId(1), most).unwrap();
            let lines: Vec<String> =
                tail.lines.iter().map(|line| String::from_utf8_lossy(&line.bytes).into_owned()).collect();
            (lines.join(" "), tail.skipped)
        };
        assert_eq!(last(100), ("one two three open".into(), 0));
        assert_eq!(last(12), ("two three open".into(), 1));
        assert_eq!(last(11), ("three open".into(), 2));
        assert_eq!(last(3), ("pen".into(), 3), "of the newest its end");
        assert!(tails.last(RunId(2), 100).is_none());
    }
}
