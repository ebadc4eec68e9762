//! What the two threads know of a stream in common: the capture thread fills it, the sink thread settles it.
//!
//! Undelivered bytes are bounded twice, for each stream and for all together. A stream that is full is not read, so that the
//! job waits in its pipe; it waits no longer than the capture thread's patience, after which bytes are **discarded** until
//! the sink has caught up. What is discarded is one gap in the stream, counted to the byte.

use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use nix::errno::Errno;

use super::capture::RunLabel;
use super::spool::{Intent, Record, Spool, State};
use crate::wire::Stream;

/// Most undelivered bytes of one stream.
const MOST: u64 = 4 << 20;
/// Most undelivered bytes of one stream while all together are beyond [`MOST_IN_ALL`]: more than the longest line.
const MOST_WHEN_CROWDED: u64 = (64 << 10) + PAGE;
/// Undelivered bytes of all streams from which on each may keep little.
const MOST_IN_ALL: u64 = 256 << 20;

/// Memory is given back in whole ones.
const PAGE: u64 = 4096;

/// Both streams of a run, stdout first.
pub const STREAMS: [Stream; 2] = [Stream::Stdout, Stream::Stderr];

/// The output of one run.
#[derive(Debug)]
pub struct Output {
    /// Whose it is and where it goes.
    pub label: RunLabel,
    /// By the order of [`STREAMS`].
    pub flows: [Flow; 2],
    /// The sink thread has been told that there is something to do, and has not begun yet.
    pub queued: AtomicBool,
    /// The process id of its leader, once that is known.
    pub pid: OnceLock<i32>,
}

impl Output {
    /// Of a run whose streams hold these.
    pub fn new(label: RunLabel, flows: [Flow; 2]) -> Arc<Output> {
        Arc::new(Output { label, flows, queued: AtomicBool::new(false), pid: OnceLock::new() })
    }
}

/// One stream of a run, between its pipe and its sink.
#[derive(Debug)]
pub struct Flow {
    /// Made when the first byte comes.
    pub spool: OnceLock<Spool>,
    marks: Mutex<Marks>,
    /// Undelivered bytes of all streams.
    crowd: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct Marks {
    /// Bytes in the spool since ever.
    received: u64,
    /// Bytes that found no spool.
    lost: u64,
    state: State,
    /// Memory of what is before this was given back.
    punched: u64,
    /// Discarded; ahead of the settled ones, or empty.
    gap: Range<u64>,
    /// No more will come.
    ended: bool,
    /// The capture thread waits for room.
    starved: bool,
}

/// What the sink thread sees of a stream.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// As settled last.
    pub state: State,
    /// Bytes up to here can be read.
    pub until: u64,
    /// What is there up to `until` is not continued after it.
    pub last: bool,
    /// The stream is over, and `until` is its end.
    pub ended: bool,
    /// Nothing more is taken before something of it is settled.
    pub full: bool,
}

impl Flow {
    /// A stream of which nothing has come yet.
    pub fn new(crowd: Arc<AtomicU64>) -> Flow {
        Flow { spool: OnceLock::new(), marks: Mutex::default(), crowd }
    }

    /// A stream that an engine before has begun; and what it was about to write. A spool that is none is let go.
    pub fn adopt(spool: std::os::fd::OwnedFd, crowd: Arc<AtomicU64>) -> (Flow, Option<Intent>) {
        let flow = Flow::new(crowd);
        let Ok((spool, left)) = Spool::adopt(spool) else { return (flow, None) };
        let mut marks = flow.marks();
        (marks.received, marks.state) = (left.received, left.record.state);
        if left.gap.end > marks.state.settled {
            // Never begun in the midst of: the state moves over a gap in one step.
            marks.gap = left.gap.start.max(marks.state.settled)..left.gap.end;
        }
        flow.crowd.fetch_add(marks.backlog(), Ordering::Relaxed);
        drop(marks);
        let _ = flow.spool.set(spool);
        (flow, left.record.intent)
    }

    fn marks(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn most(&self) -> u64 {
        if self.crowd.load(Ordering::Relaxed) > MOST_IN_ALL { MOST_WHEN_CROWDED } else { MOST }
    }

    // The capture thread's side.

    /// How many bytes may be taken now. When 0, [`Flow::settle`] will tell that there is room again.
    pub fn room(&self) -> u64 {
        let mut marks = self.marks();
        let room = self.most().saturating_sub(marks.backlog());
        marks.starved = room == 0;
        room
    }

    /// The wait for room is over: from now on bytes are discarded, until the sink has settled all that came before.
    pub fn give_up(&self) {
        let mut marks = self.marks();
        marks.starved = false;
        if marks.gap.end <= marks.state.settled {
            marks.gap = marks.received..marks.received;
        }
    }

    /// Moves bytes from the pipe to the spool. With `discard` they are not kept, unless the sink has caught up meanwhile: the
    /// second of the answer says whether they were. The first is 0 when the pipe's writers are gone.
    pub fn take(&self, pipe: BorrowedFd<'_>, most: usize, discard: bool) -> Result<(usize, bool), Errno> {
        let spool = self.spool.get().ok_or(Errno::ENOMEM)?;
        let received = self.marks().received;
        let taken = spool.take(pipe, received, most)?;
        let mut marks = self.marks();
        marks.received += taken as u64;
        if !discard || marks.state.settled >= marks.gap.start {
            self.crowd.fetch_add(taken as u64, Ordering::Relaxed);
            return Ok((taken, false));
        }
        // First the word, then the deed: a gap that is not yet written down must still be there to be read. Should an
        // older gap be ahead still, what was kept since it is given up with it, so that there is never more than one.
        let kept = marks.received - taken as u64 - marks.gap.end;
        self.crowd.fetch_sub(kept, Ordering::Relaxed);
        marks.gap.end = marks.received;
        let _ = spool.write_gap(&marks.gap);
        drop(marks);
        spool.punch(received..received + taken as u64);
        Ok((taken, true))
    }

    /// Bytes were read from the pipe and could not be kept at all.
    pub fn lose(&self, bytes: u64) {
        self.marks().lost += bytes;
    }

    /// No more will come.
    pub fn end(&self) {
        self.marks().ended = true;
    }

    // The sink thread's side.

    /// No more will come into the spool.
    pub fn ended(&self) -> bool {
        self.marks().ended
    }

    /// What there is to deliver.
    pub fn view(&self) -> View {
        let marks = self.marks();
        let ahead = marks.gap.end > marks.state.settled;
        let until = if ahead { marks.gap.start } else { marks.received };
        View {
            state: marks.state,
            until,
            last: ahead || marks.ended,
            ended: !ahead && marks.ended,
            full: marks.starved,
        }
    }

    /// Writes down what is about to be written to a log file.
    pub fn intend(&self, intent: Intent) {
        if let Some(spool) = self.spool.get() {
            // Without it a kill in this instant could double the batch: nothing that would justify not to deliver it.
            let _ = spool.write(&Record { state: self.marks().state, intent: Some(intent) });
        }
    }

    /// Everything before `state.settled` is delivered or dropped. `true`: the capture thread waits for this.
    pub fn settle(&self, state: State) -> bool {
        self.settle_and(state, true)
    }

    /// The same, where [`Flow::intend`] will write it down in a moment: the spool's inode is locked while the capture thread
    /// fills it, so that each write waits.
    pub fn settle_before_intent(&self, state: State) -> bool {
        self.settle_and(state, false)
    }

    fn settle_and(&self, mut state: State, write: bool) -> bool {
        let mut marks = self.marks();
        let before = marks.backlog();
        if marks.gap.end > state.settled && state.settled >= marks.gap.start {
            let gap = marks.gap.end - state.settled;
            state = State {
                settled: marks.gap.end,
                dropped: state.dropped + gap,
                untold: state.untold + if state.over { 0 } else { gap },
                ..state
            };
        }
        marks.state = state;
        if let Some(spool) = self.spool.get().filter(|_| write) {
            let _ = spool.write(&Record { state, intent: None });
        }
        self.crowd.fetch_sub(before - marks.backlog(), Ordering::Relaxed);
        let wake = marks.starved && marks.backlog() <= self.most() / 2;
        marks.starved &= !wake;
        wake
    }

    /// Gives memory of settled bytes back, except of the last `retained`, once that is `least` or more.
    pub fn free(&self, retained: u64, least: u64) {
        let mut marks = self.marks();
        let from = marks.punched;
        let until = marks.state.settled.saturating_sub(retained) / PAGE * PAGE;
        if until < from + least {
            return;
        }
        marks.punched = until;
        drop(marks);
        if let Some(spool) = self.spool.get() {
            spool.punch(from..until);
        }
    }

    /// Bytes received, and how many of them were dropped so far.
    pub fn counts(&self) -> (u64, u64) {
        let marks = self.marks();
        (marks.received + marks.lost, marks.state.dropped + marks.lost)
    }
}

impl Marks {
    /// Bytes that take memory: received, not discarded, not settled.
    fn backlog(&self) -> u64 {
        let gap = if self.gap.end > self.state.settled { self.gap.end - self.gap.start } else { 0 };
        self.received - self.state.settled - gap
    }
}
