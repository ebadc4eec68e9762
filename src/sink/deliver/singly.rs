//! Delivery to what cannot be asked later what it has got, the terminal and the journal: settled after each line.

use super::batch::{Batch, dropped_words, over_words, prefixes};
use super::{Served, Sink, SinkThread};
use crate::run::RunLabel;
use crate::run::capture_flow::{Flow, STREAMS, View};
use crate::run::capture_ways::Command;
use crate::run::lines::{Frame, Frames, MAX_LINE};
use crate::run::spool::State;

impl SinkThread {
    /// A batch of one stream, line by line.
    pub(super) fn tell(&mut self, served: &mut Served, index: usize, view: View, batch: Batch<'_>) -> State {
        let output = served.output.clone();
        let (label, flow) = (&output.label, &output.flows[index]);
        let mut state = view.state;
        if state.untold > 0 && self.remark(label, "output-dropped", &dropped_words(state.untold)) {
            state.untold = 0;
            flow.settle(state);
        }
        if let Sink::Journal(journal) = &mut self.sink {
            journal.lead(label, output.pid.get().copied(), STREAMS[index]);
        }
        let mut start = begins(flow, state.settled);
        let mut frames = Frames::within(batch.bytes, batch.last, batch.longest);
        while let Some(frame) = frames.next() {
            let settled = view.state.settled + frames.consumed() as u64;
            if frames.consumed() as u64 > batch.budget {
                let _ = self.remark(label, "output-limit", &over_words(label.output_limit));
                let dropped = state.dropped + view.until - state.settled;
                state = State { settled: view.until, dropped, over: true, ..state };
            } else {
                let length = settled - state.settled;
                // As the tail counts them.
                let lines = state.lines + frame.bytes.len().div_ceil(MAX_LINE).max(1) as u64;
                let after = State { settled, lines, ..state };
                let there = self.line(label, (flow, index), (frame, start), after);
                state = after;
                if !there {
                    state.dropped += length;
                    state.untold += length;
                }
            }
            start = !frame.open;
            if flow.settle(state) {
                self.pipes.send(Command::Room(label.run));
            }
            // A flood of lines that each wait a little is life, too.
            self.step_done();
            if state.over {
                break;
            }
        }
        state
    }

    /// One line, after which the state is `after`. `false`: it is dropped.
    fn line(&mut self, label: &RunLabel, of: (&Flow, usize), (frame, start): (Frame<'_>, bool), after: State) -> bool {
        let (flow, stream) = (of.0, STREAMS[of.1]);
        match &mut self.sink {
            Sink::Terminal(terminal) => terminal.line(label, stream, frame),
            Sink::Journal(journal) => {
                let elsewhere = |text: &mut Vec<u8>| {
                    let (whole, open) = prefixes(label, stream);
                    text.extend_from_slice(if frame.open { open.as_bytes() } else { whole.as_bytes() });
                    text.extend_from_slice(frame.bytes);
                    text.push(b'\n');
                };
                journal.line((label, stream), frame, start, elsewhere, |place| flow.intend(place.intent(after)))
            }
            Sink::Files(_) => false,
        }
    }

    /// A word of rotad's own, where nobody takes it for the job's.
    fn remark(&mut self, label: &RunLabel, code: &str, text: &str) -> bool {
        match &mut self.sink {
            Sink::Terminal(terminal) => terminal.note(label, text),
            Sink::Journal(journal) => journal.note(label, code, text),
            Sink::Files(_) => false,
        }
    }
}

/// Whether a line begins at this place of the stream. The byte before it is still there, whatever else was given back.
fn begins(flow: &Flow, at: u64) -> bool {
    let mut before = [0];
    at == 0 || flow.spool.get().is_some_and(|spool| spool.read(at - 1, &mut before).is_ok() && before == *b"\n")
}
