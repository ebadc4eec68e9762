//! What [`super::Tails`] keeps, behind its lock.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use jiff::Timestamp;
use memchr::memchr;

use super::follower::{Follower, Following, Lines, queue};
use super::tail::{Line, Tail};
use crate::job::JobName;
use crate::run::capture_flow::STREAMS;
use crate::run::lines::Frames;
use crate::wire::{RunId, Stream};

/// Most bytes kept of a run, with [`LINE_COST`] for each line.
const MOST_OF_RUN: usize = 64 << 10;
/// Most bytes kept of all runs.
const MOST_IN_ALL: usize = 16 << 20;
/// Runs of a job that keep their tails after their ends, and attempts of a run.
const RUNS_OF_JOB: usize = 5;
/// What a line costs beside its bytes, so that empty ones are not free.
const LINE_COST: usize = size_of::<Mark>();
/// What a run costs without lines.
const RUN_COST: usize = 512;

/// All runs that have a tail: each of their attempts has its own.
#[derive(Debug, Default)]
pub struct Store {
    runs: BTreeMap<RunId, Kept>,
    jobs: HashMap<JobName, Vec<RunId>>,
    /// Runs that are over, in the order of their ends.
    over: VecDeque<RunId>,
    followed_jobs: HashMap<JobName, Vec<Follower>>,
    /// Bytes that wait for all followers.
    waiting: Arc<AtomicUsize>,
    /// Of all runs.
    cost: usize,
}

/// The tail of one attempt.
#[derive(Debug)]
struct Kept {
    /// Its run, and which of its attempts it is.
    of: (RunId, u32),
    job: JobName,
    bytes: VecDeque<u8>,
    marks: VecDeque<Mark>,
    skipped: u64,
    over: bool,
    received: [u64; 2],
    dropped: u64,
    followers: Vec<Follower>,
}

/// Where a line is in the bytes: after the lines before it.
#[derive(Debug, Clone, Copy)]
struct Mark {
    at: Timestamp,
    length: u32,
    stream: Stream,
    open: bool,
}

impl Store {
    pub fn tail(&self, run: RunId) -> Option<Tail> {
        self.runs.get(&run).map(Kept::tail)
    }

    pub fn last(&self, run: RunId, most: usize) -> Option<Tail> {
        self.runs.get(&run).map(|kept| kept.last(most))
    }

    pub fn follow(&mut self, run: RunId) -> Option<(Tail, Following)> {
        let kept = self.runs.get_mut(&run)?;
        let (follower, following) = queue(self.waiting.clone());
        if kept.over {
            follower.end(run);
        } else {
            kept.followers.push(follower);
        }
        Some((kept.tail(), following))
    }

    pub fn follow_job(&mut self, job: &JobName) -> Following {
        let (follower, following) = queue(self.waiting.clone());
        self.followed_jobs.entry(job.clone()).or_default().push(follower);
        following
    }

    /// Of all who follow a run, each is asked, so that each is looked at as often.
    pub fn holds(&self, run: RunId) -> bool {
        let Some(kept) = self.runs.get(&run) else { return false };
        let of_job = self.followed_jobs.get(&kept.job).into_iter().flatten();
        kept.followers.iter().chain(of_job).filter(|follower| follower.holds()).count() > 0
    }

    pub fn runs_of(&self, job: &JobName) -> Vec<RunId> {
        let attempts = self.jobs.get(job).into_iter().flatten();
        let mut runs: Vec<RunId> = attempts.filter_map(|attempt| Some(self.attempt(*attempt)?.0)).collect();
        runs.sort_unstable();
        runs.dedup();
        runs
    }

    pub fn attempt(&self, attempt: RunId) -> Option<(RunId, u32)> {
        self.runs.get(&attempt).map(|kept| kept.of)
    }

    pub fn attempts_of(&self, run: RunId) -> Vec<RunId> {
        // None is older than its run.
        self.runs.range(run..).filter(|(_, kept)| kept.of.0 == run).map(|(attempt, _)| *attempt).collect()
    }

    pub fn counts(&self, run: RunId) -> (BTreeMap<Stream, u64>, u64) {
        let counts = self.runs.get(&run).map(|kept| (STREAMS.into_iter().zip(kept.received).collect(), kept.dropped));
        counts.unwrap_or_default()
    }

    pub fn open(&mut self, run: RunId, of: (RunId, u32), job: &JobName) {
        if self.runs.contains_key(&run) {
            return;
        }
        let (bytes, marks, skipped, received, dropped, followers) = Default::default();
        let kept = Kept { of, job: job.clone(), bytes, marks, skipped, over: false, received, dropped, followers };
        self.cost += RUN_COST;
        self.runs.insert(run, kept);
        let runs = self.jobs.entry(job.clone()).or_default();
        runs.push(run);
        runs.sort_unstable();
    }

    pub fn push(&mut self, run: RunId, at: Timestamp, stream: Stream, bytes: &[u8], last: bool, lines: u64) {
        let Some(kept) = self.runs.get_mut(&run) else { return };
        if lines > 0 {
            let followed = self.followed_jobs.get_mut(&kept.job);
            if !kept.followers.is_empty() || followed.is_some() {
                let first = kept.skipped + kept.marks.len() as u64;
                let lines = Lines { first, count: lines, at, stream, bytes: bytes.into(), last };
                kept.followers.retain(|follower| follower.send(run, &lines));
                if let Some(followers) = followed {
                    followers.retain(|follower| follower.send(run, &lines));
                    if followers.is_empty() {
                        self.followed_jobs.remove(&kept.job);
                    }
                }
            }
        }
        // What would not be kept is not even looked at; the newest line is kept however long it is.
        let from = bytes.len().checked_sub(MOST_OF_RUN).and_then(|at| Some(at + memchr(b'\n', &bytes[at..])? + 1));
        let from = from.filter(|from| *from < bytes.len());
        let before = kept.cost();
        let mut count = 0;
        for frame in Frames::new(&bytes[from.unwrap_or(0)..], last) {
            count += 1;
            kept.bytes.extend(frame.bytes);
            // A line is at most 64 KiB long.
            let mark = Mark { at, length: frame.bytes.len() as u32, stream, open: frame.open };
            kept.marks.push_back(mark);
            kept.trim(MOST_OF_RUN);
        }
        kept.skipped += lines.saturating_sub(count);
        self.cost = self.cost + kept.cost() - before;
        self.bound();
    }

    pub fn skip(&mut self, run: RunId, lines: u64) {
        if let Some(kept) = self.runs.get_mut(&run) {
            kept.skipped += lines;
        }
    }

    pub fn count(&mut self, run: RunId, received: [u64; 2], dropped: u64) {
        if let Some(kept) = self.runs.get_mut(&run) {
            (kept.received, kept.dropped) = (received, dropped);
        }
    }

    pub fn end(&mut self, run: RunId) {
        let Some(kept) = self.runs.get_mut(&run).filter(|kept| !kept.over) else { return };
        kept.over = true;
        for follower in kept.followers.drain(..) {
            follower.end(run);
        }
        kept.bytes.shrink_to_fit();
        kept.marks.shrink_to_fit();
        self.over.push_back(run);
        let job = kept.job.clone();
        if let Some(followers) = self.followed_jobs.get_mut(&job) {
            followers.retain(|follower| follower.end(run));
        }
        for attempt in self.surplus(&job) {
            self.forget(attempt);
        }
        self.bound();
    }

    /// Attempts of a job that are over and of its older runs, or the older ones of their run.
    fn surplus(&self, job: &JobName) -> Vec<RunId> {
        let mut runs: BTreeMap<RunId, Vec<RunId>> = BTreeMap::new();
        for attempt in self.jobs.get(job).into_iter().flatten().filter(|attempt| self.is_over(**attempt)) {
            let of = self.attempt(*attempt).map_or(*attempt, |(of, _)| of);
            runs.entry(of).or_default().push(*attempt);
        }
        let old = runs.len().saturating_sub(RUNS_OF_JOB);
        let surplus = runs.into_values().enumerate().flat_map(|(n, mut attempts)| {
            attempts.truncate(if n < old { attempts.len() } else { attempts.len().saturating_sub(RUNS_OF_JOB) });
            attempts
        });
        surplus.collect()
    }

    fn is_over(&self, run: RunId) -> bool {
        self.runs.get(&run).is_some_and(|kept| kept.over)
    }

    fn forget(&mut self, run: RunId) {
        let Some(kept) = self.runs.remove(&run) else { return };
        self.cost -= kept.cost();
        self.over.retain(|over| *over != run);
        if let Some(runs) = self.jobs.get_mut(&kept.job) {
            runs.retain(|known| *known != run);
            if runs.is_empty() {
                self.jobs.remove(&kept.job);
            }
        }
    }

    /// All together must fit: runs that are over go first, by their ends; then those that keep more than their share.
    fn bound(&mut self) {
        while self.cost > MOST_IN_ALL {
            if let Some(run) = self.over.front().copied() {
                self.forget(run);
                continue;
            }
            let share = MOST_IN_ALL / self.runs.len().max(1);
            // By the mean there is one while all together are too much. It gives a quarter more than it must, so that this is
            // not done again for every line.
            let Some(kept) = self.runs.values_mut().find(|kept| kept.cost() > share) else { return };
            let before = kept.cost();
            kept.trim((share / 4 * 3).saturating_sub(RUN_COST));
            let after = kept.cost();
            self.cost -= before - after;
            if after == before {
                return;
            }
        }
    }
}

impl Kept {
    fn lines_cost(&self) -> usize {
        self.bytes.len() + self.marks.len() * LINE_COST
    }

    fn cost(&self) -> usize {
        RUN_COST + self.lines_cost()
    }

    /// Lets the oldest lines go until the rest fits; the newest stays whatever it costs.
    fn trim(&mut self, most: usize) {
        while self.lines_cost() > most && self.marks.len() > 1 {
            let Some(mark) = self.marks.pop_front() else { return };
            self.bytes.drain(..mark.length as usize);
            self.skipped += 1;
        }
    }

    /// From the newest line on, backwards.
    fn last(&self, most: usize) -> Tail {
        let (mut lines, mut end, mut left) = (Vec::new(), self.bytes.len(), most);
        for mark in self.marks.iter().rev() {
            let from = end - mark.length as usize;
            let length = end - from;
            if length > left && !lines.is_empty() {
                break;
            }
            let bytes = self.bytes.range(end - length.min(left)..end).copied().collect();
            lines.push(Line { at: mark.at, stream: mark.stream, bytes, open: mark.open });
            (left, end) = (left.saturating_sub(length), from);
        }
        lines.reverse();
        let skipped = self.skipped + (self.marks.len() - lines.len()) as u64;
        Tail { lines, skipped, over: self.over }
    }

    fn tail(&self) -> Tail {
        let mut bytes = self.bytes.iter().copied();
        let lines = self.marks.iter().map(|mark| {
            let bytes = bytes.by_ref().take(mark.length as usize).collect();
            Line { at: mark.at, stream: mark.stream, bytes, open: mark.open }
        });
        Tail { lines: lines.collect(), skipped: self.skipped, over: self.over }
    }
}
