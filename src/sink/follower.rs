//! The queue between a sink and one who follows a run or a job.
//!
//! Lines go through it in the batches in which they were read, shared by all who follow. A queue holds [`MOST`] bytes. While
//! it is full its run is **held**: the sink delivers no more of it, so that the job waits as it would for a pipe, and no line
//! is lost to a client that reads. A client that does not read [`PACE`] bytes within [`PATIENCE`] is **late**: it is waited
//! for no longer, lines are counted instead of queued, until it has read half of what waits. The end of a run always gets
//! through.

use std::collections::VecDeque;
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::tail::{Line, TailEvent};
use crate::run::lines::Frames;
use crate::wire::{RunId, Stream};

/// Bytes that wait for a follower before it is waited for.
const MOST: usize = 8 << 20;
/// The same while those of all followers are beyond [`MOST_IN_ALL`].
const MOST_WHEN_CROWDED: usize = 512 << 10;
/// Bytes that wait for all followers from which on each may have few.
const MOST_IN_ALL: usize = 64 << 20;
/// What an event costs beside its lines.
const EVENT_COST: usize = 128;
/// How long a full follower is waited for while it does not read.
const PATIENCE: Duration = Duration::from_secs(2);
/// So many bytes are reading.
const PACE: u64 = 64 << 10;
/// The sink looks so often at least before it gives a follower up: time in which the program did not run does not count.
const LOOKS: u32 = 50;

/// Whole lines of one stream of a run, read at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lines {
    /// Lines of the run, of both streams, before these.
    pub first: u64,
    /// How many they are.
    pub count: u64,
    /// When they were read.
    pub at: Timestamp,
    /// From where.
    pub stream: Stream,
    /// As printed.
    pub(super) bytes: Arc<[u8]>,
    /// What has no newline at the end is a line, too.
    pub(super) last: bool,
}

impl Lines {
    /// One after the other.
    pub(crate) fn frames(&self) -> Frames<'_> {
        Frames::new(&self.bytes, self.last)
    }

    /// The same, each on its own.
    pub fn lines(&self) -> impl Iterator<Item = Line> {
        let Self { at, stream, .. } = *self;
        self.frames().map(move |frame| Line { at, stream, bytes: frame.bytes.to_vec(), open: frame.open })
    }
}

/// The end that the sink fills. Dropped, it ends the other.
#[derive(Debug)]
pub(super) struct Follower(Arc<Shared>);

/// The end that is read.
#[derive(Debug)]
pub struct Following(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    filled: Condvar,
    /// Bytes that wait for all followers.
    in_all: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<(RunId, TailEvent)>,
    waiting: usize,
    /// Bytes read since ever.
    read: u64,
    /// Full, and not given up yet.
    full: Option<Full>,
    late: bool,
    /// One of the ends is gone.
    closed: bool,
}

#[derive(Debug)]
struct Full {
    since: Instant,
    /// Bytes read by then.
    read: u64,
    looks: u32,
}

/// A new queue; `in_all` counts the bytes of all.
pub(super) fn queue(in_all: Arc<AtomicUsize>) -> (Follower, Following) {
    let shared = Arc::new(Shared { queue: Mutex::default(), filled: Condvar::new(), in_all });
    (Follower(shared.clone()), Following(shared))
}

impl Follower {
    /// Queues lines, or counts them for a late follower. `false`: nobody listens any more.
    pub fn send(&self, run: RunId, lines: &Lines) -> bool {
        let mut queue = self.0.lock();
        if queue.closed {
            return false;
        }
        queue.late &= queue.waiting > self.0.most() / 2;
        let event = if queue.late { TailEvent::Dropped(lines.count) } else { TailEvent::Lines(lines.clone()) };
        self.0.put(queue, run, event);
        true
    }

    /// Queues the end of a run. `false`: nobody listens any more.
    pub fn end(&self, run: RunId) -> bool {
        let queue = self.0.lock();
        let listened = !queue.closed;
        if listened {
            self.0.put(queue, run, TailEvent::Over);
        }
        listened
    }

    /// Whether the runs that it follows are to be held. To be asked again and again while they are.
    pub fn holds(&self) -> bool {
        let mut queue = self.0.lock();
        if queue.closed || queue.late || queue.waiting < self.0.most() {
            queue.full = None;
            return false;
        }
        let read = queue.read;
        let full = queue.full.get_or_insert_with(|| Full { since: Instant::now(), read, looks: 0 });
        if read - full.read >= PACE {
            *full = Full { since: Instant::now(), read, looks: 0 };
        }
        full.looks += 1;
        queue.late = full.looks > LOOKS && full.since.elapsed() >= PATIENCE;
        !queue.late
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.filled.notify_one();
    }
}

impl Following {
    /// The next event and its run, waiting for it. After the last one it is [`RecvTimeoutError::Disconnected`].
    pub fn next(&self, patience: Duration) -> Result<(RunId, TailEvent), RecvTimeoutError> {
        let idle = |queue: &mut Queue| queue.events.is_empty() && !queue.closed;
        let waited = self.0.filled.wait_timeout_while(self.0.lock(), patience, idle);
        let (mut queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let Some((run, event)) = queue.events.pop_front() else {
            return Err(if queue.closed { RecvTimeoutError::Disconnected } else { RecvTimeoutError::Timeout });
        };
        let cost = cost(&event);
        queue.waiting -= cost;
        queue.read += cost as u64;
        self.0.in_all.fetch_sub(cost, Ordering::Relaxed);
        Ok((run, event))
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        queue.closed = true;
        queue.events.clear();
        self.0.in_all.fetch_sub(mem::take(&mut queue.waiting), Ordering::Relaxed);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn most(&self) -> usize {
        if self.in_all.load(Ordering::Relaxed) > MOST_IN_ALL { MOST_WHEN_CROWDED } else { MOST }
    }

    fn put(&self, mut queue: MutexGuard<'_, Queue>, run: RunId, event: TailEvent) {
        if let (TailEvent::Dropped(more), Some((of, TailEvent::Dropped(count)))) = (&event, queue.events.back_mut())
            && *of == run
        {
            *count += more;
            return;
        }
        let cost = cost(&event);
        queue.waiting += cost;
        self.in_all.fetch_add(cost, Ordering::Relaxed);
        queue.events.push_back((run, event));
        // Who follows many runs and reads of none is let go before their ends alone fill the memory.
        queue.closed |= queue.waiting > 4 * MOST;
        drop(queue);
        self.filled.notify_one();
    }
}

fn cost(event: &TailEvent) -> usize {
    match event {
        TailEvent::Lines(lines) => lines.bytes.len() + EVENT_COST,
        TailEvent::Dropped(_) | TailEvent::Over => EVENT_COST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: RunId = RunId(1);

    fn lines(length: usize) -> Lines {
        let bytes = vec![b'\n'; length].into();
        Lines { first: 0, count: length as u64, at: Timestamp::UNIX_EPOCH, stream: Stream::Stdout, bytes, last: false }
    }

    #[test]
    fn a_reader_is_waited_for_and_one_that_does_not_read_is_told_what_it_missed() {
        let in_all = Arc::default();
        let (follower, following) = queue(Arc::clone(&in_all));
        let fill = || {
            while !follower.holds() {
                assert!(follower.send(RUN, &lines(100_000)));
            }
        };
        fill();
        // Reading lets it go on, and it is full again, and so for ever.
        for _ in 0..3 * LOOKS {
            following.next(Duration::ZERO).unwrap();
            assert!(!follower.holds());
            fill();
        }
        let start = Instant::now();
        while follower.holds() {
            std::thread::yield_now();
        }
        assert!(start.elapsed() >= PATIENCE);
        (0..3).for_each(|_| assert!(follower.send(RUN, &lines(10))));
        assert!(follower.end(RUN));
        let events: Vec<_> = std::iter::from_fn(|| following.next(Duration::ZERO).ok()).collect();
        assert!(events[..events.len() - 2].iter().all(|(_, event)| matches!(event, TailEvent::Lines(_))));
        assert_eq!(events[events.len() - 2..], [(RUN, TailEvent::Dropped(30)), (RUN, TailEvent::Over)]);
        assert!(follower.send(RUN, &lines(1)));
        assert_eq!(following.next(Duration::ZERO), Ok((RUN, TailEvent::Lines(lines(1)))));
        assert_eq!(following.next(Duration::ZERO), Err(RecvTimeoutError::Timeout));
        drop(follower);
        assert_eq!(following.next(Duration::ZERO), Err(RecvTimeoutError::Disconnected));
        assert_eq!(in_all.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn who_reads_nothing_of_many_runs_is_let_go() {
        let (follower, following) = queue(Arc::default());
        let ends = (0..).take_while(|run| follower.end(RunId(*run))).count();
        assert!((10_000..1_000_000).contains(&ends));
        drop(following);
    }
}
