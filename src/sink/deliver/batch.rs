//! One batch of one stream: read from the spool, framed, delivered, settled.

use std::sync::Arc;

use jiff::Timestamp;
use memchr::memchr;

use super::{Served, Sink, SinkThread};
use crate::job::LogTarget;
use crate::run::RunLabel;
use crate::run::capture_flow::{Flow, Output, STREAMS, View};
use crate::run::capture_pipes::RETAINED;
use crate::run::capture_ways::Command;
use crate::run::lines::{Frames, MAX_LINE};
use crate::run::spool::State;
use crate::sink::escape::escape;
use crate::sink::files::Begun;
use crate::sink::journal::LONGEST;
use crate::wire::Stream;

/// Bytes of a stream handled at once.
pub const BATCH: usize = 512 << 10;
/// Delivered bytes that all spools together retain, while each keeps a page at least.
const RETAINED_IN_ALL: u64 = 32 << 20;

/// A batch that is being written.
pub struct Flying {
    output: Arc<Output>,
    index: usize,
    /// Bytes of the stream in it.
    taken: u64,
    /// Dropped bytes that were to be told of when it was begun.
    untold: u64,
    /// The state once it is there.
    after: State,
}

impl SinkThread {
    /// A batch of one stream. `true`: there may be more.
    pub(super) fn step(&mut self, served: &mut Served, index: usize) -> bool {
        let output = served.output.clone();
        let flow = &output.flows[index];
        let mut view = self.view(&output, index);
        let states = [0, 1].map(|each| self.view(&output, each).state);
        let over = states.iter().any(|state| state.over);
        if over || view.until == view.state.settled {
            // The end of the stream, of what is kept of it, or a pause: what is being written must be certain first.
            self.land();
            view = flow.view();
            // While the stream is busy the capture thread does this.
            flow.free((RETAINED_IN_ALL / (self.runs.len() as u64 + 1)).clamp(4096, RETAINED), RETAINED);
        }
        if over {
            let rest = view.until - view.state.settled;
            if rest > 0 || (view.last && !view.ended) {
                let dropped = view.state.dropped + rest;
                self.settle(served, index, State { settled: view.until, dropped, over: true, ..view.state });
            }
            return rest > 0;
        }
        let Some(length) = self.read(served, index, view) else {
            self.land();
            return false;
        };
        let last = view.last && view.state.settled + length as u64 == view.until;
        let kept: u64 = states.iter().map(|state| state.settled - state.dropped).sum();
        let budget = output.label.output_limit.saturating_sub(kept);

        let bytes = std::mem::take(&mut self.bytes);
        let before = view.state;
        let batch = Batch { bytes: &bytes[..length], last, budget, longest: self.longest(view) };
        let after = match output.label.target {
            LogTarget::Auto | LogTarget::Journal => self.tell(served, index, view, batch),
            LogTarget::File | LogTarget::None => self.write(served, index, view, batch),
        };
        // Not all that is settled was in the batch: beyond the limit it is dropped unread.
        let taken = usize::try_from(after.settled - before.settled).map_or(length, |taken| taken.min(length));
        if after.lines > before.lines {
            let shown = if after.over { &bytes[..limit_of(&batch, taken)] } else { &bytes[..taken] };
            // Whole frames: what has no newline at their end is one, too.
            self.tails.push(output.label.run, STREAMS[index], shown, true, after.lines - before.lines);
        }
        self.bytes = bytes;
        if taken == 0 {
            self.land();
            served.scanned[index] = before.settled + length as u64;
        }
        // Also where nothing was taken: a gap begins here, and is passed over by settling.
        let moved = flow.view();
        if moved.last && !moved.ended && moved.state.settled == moved.until {
            self.settle(served, index, moved.state);
            return true;
        }
        taken > 0
    }

    /// The longest line that is kept whole. A stream that is full brings no more of a line before something is settled.
    fn longest(&self, view: View) -> usize {
        match self.sink {
            Sink::Journal(_) if !view.full => LONGEST,
            _ => MAX_LINE,
        }
    }

    /// What there is of a stream, counting a batch that is being written as if it were.
    fn view(&self, output: &Arc<Output>, index: usize) -> View {
        let view = output.flows[index].view();
        match &self.flying {
            Some(flying) if flying.index == index && Arc::ptr_eq(&flying.output, output) => {
                View { state: flying.after, ..view }
            }
            _ => view,
        }
    }

    /// Waits for the batch that is being written, and settles it.
    pub(super) fn land(&mut self) {
        self.land_before(None);
    }

    /// The same, where another batch of the stream `next` is about to be written.
    fn land_before(&mut self, next: Option<&Flow>) {
        let Some(flying) = self.flying.take() else { return };
        let Sink::Files(files) = &mut self.sink else { return };
        let begun = files.finish();
        let after = outcome(begun, flying.after, flying.taken, flying.untold);
        let flow = &flying.output.flows[flying.index];
        let wake = match next {
            // Only a batch that is there: what was written down of it then stays true.
            Some(next) if std::ptr::eq(next, flow) && begun == Begun::Done => flow.settle_before_intent(after),
            _ => flow.settle(after),
        };
        if wake {
            self.pipes.send(Command::Room(flying.output.label.run));
        }
    }

    /// Reads a batch, unless there is nothing in it to deliver.
    fn read(&mut self, served: &mut Served, index: usize, view: View) -> Option<usize> {
        let State { settled, untold, .. } = view.state;
        let flow = &served.output.flows[index];
        if view.until == settled {
            // A word about dropped bytes at the very end, or the passing of a gap.
            let word = view.ended && untold > 0 && !std::mem::replace(&mut served.tried[index], true);
            return (word || (view.last && !view.ended)).then_some(0);
        }
        let spool = flow.spool.get()?;
        let most = self.bytes.len();
        let length = usize::try_from(view.until - settled).map_or(most, |length| length.min(most));
        let scanned = served.scanned[index];
        if !view.last && length <= self.longest(view) && scanned > settled {
            // A line that comes in small pieces: look at each piece once.
            let fresh = &mut self.bytes[..(view.until - scanned) as usize];
            let count = spool.read(scanned, fresh).ok()?;
            if memchr(b'\n', &fresh[..count]).is_none() {
                served.scanned[index] = view.until;
                return None;
            }
        }
        spool.read(settled, &mut self.bytes[..length]).ok()
    }

    /// A batch into the job's log file, or nowhere.
    fn write(&mut self, served: &mut Served, index: usize, view: View, batch: Batch<'_>) -> State {
        let label = &served.output.label;
        let flow = &served.output.flows[index];
        let filed = label.target == LogTarget::File;
        let (whole, open) = prefixes(label, STREAMS[index]);
        self.text.clear();
        if filed && view.state.untold > 0 {
            note(&mut self.text, label, &dropped_words(view.state.untold));
        }
        let mut frames = Frames::new(batch.bytes, batch.last);
        let mut after = State { untold: 0, ..view.state };
        let mut taken = 0;
        while let Some(frame) = frames.next() {
            if frames.consumed() as u64 > batch.budget {
                after.over = true;
                break;
            }
            if filed && frame.open {
                self.text.extend_from_slice(open.as_bytes());
                self.text.extend_from_slice(frame.bytes);
                self.text.push(b'\n');
            } else if filed {
                self.text.extend_from_slice(whole.as_bytes());
                self.text.extend_from_slice(&batch.bytes[taken..frames.consumed()]);
            }
            taken = frames.consumed();
            after.lines += 1;
        }
        if filed && after.over {
            note(&mut self.text, label, &over_words(label.output_limit));
        }
        after.settled += taken as u64;
        if after.over {
            (after.settled, after.dropped) = (view.until, after.dropped + view.until - after.settled);
        }
        if after == view.state {
            return after;
        }
        self.land_before(Some(flow));
        // Had the batch before this one failed, its bytes are dropped ones by now.
        let (before, State { dropped, untold, .. }) = (view.state, flow.view().state);
        after.dropped += dropped - before.dropped;
        after.untold = untold - before.untold;
        let Sink::Files(files) = &mut self.sink else { return after };
        let begun = match self.text.is_empty() {
            true => Begun::Done,
            false => files.append(&label.job, &mut self.text, |place| flow.intend(place.intent(after))),
        };
        if begun == Begun::Flying {
            let output = served.output.clone();
            self.flying = Some(Flying { output, index, taken: taken as u64, untold, after });
            return after;
        }
        let after = outcome(begun, after, taken as u64, untold);
        self.settle(served, index, after);
        after
    }

    pub(super) fn settle(&mut self, served: &mut Served, index: usize, state: State) {
        if served.output.flows[index].settle(state) {
            self.pipes.send(Command::Room(served.output.label.run));
        }
    }
}

/// Bytes of a stream to deliver.
#[derive(Clone, Copy)]
pub(super) struct Batch<'a> {
    pub bytes: &'a [u8],
    /// They are not continued: a rest without newline is a line.
    pub last: bool,
    /// Bytes that the run may still have kept.
    pub budget: u64,
    /// Longest line; of a longer one there come pieces.
    pub longest: usize,
}

/// The state after a batch of `taken` bytes, begun when `untold` ones were to be told of, by what has become of it.
fn outcome(begun: Begun, after: State, taken: u64, untold: u64) -> State {
    match begun {
        Begun::Done | Begun::Flying => after,
        Begun::Failed => State { dropped: after.dropped + taken, untold: untold + taken, ..after },
    }
}

/// Bytes of whole lines within the budget, of the first `taken`.
fn limit_of(batch: &Batch<'_>, taken: usize) -> usize {
    let mut frames = Frames::within(&batch.bytes[..taken], batch.last, batch.longest);
    let mut within = 0;
    while frames.next().is_some() && frames.consumed() as u64 <= batch.budget {
        within = frames.consumed();
    }
    within
}

/// What leads each line in a log file, for lines and for pieces of lines (`out+`). Nothing that a job prints can begin a
/// line there (CVE-2023-28486).
pub(super) fn prefixes(label: &RunLabel, stream: Stream) -> (String, String) {
    let word = match stream {
        Stream::Stdout => "out",
        Stream::Stderr => "err",
    };
    let lead = format!("{:.3} {} {word}", Timestamp::now(), label.of);
    (format!("{lead} "), format!("{lead}+ "))
}

/// A line of rotad's own in a log file.
pub fn note(to: &mut Vec<u8>, label: &RunLabel, text: &str) {
    to.extend_from_slice(format!("{:.3} {} rotad: ", Timestamp::now(), label.of).as_bytes());
    escape(text.as_bytes(), to);
    to.push(b'\n');
}

pub(super) fn dropped_words(bytes: u64) -> String {
    format!("{bytes} bytes of output dropped")
}

pub(super) fn over_words(limit: u64) -> String {
    format!("the run's output is over its limit of {limit} bytes; what follows is dropped")
}
