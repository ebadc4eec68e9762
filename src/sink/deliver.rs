//! A sink thread: takes what the spools hold, line by line, to where it goes, and tells when a run has drained.
//!
//! It may wait for a disk, a terminal or the journal; nothing else waits for it. Per batch, for a log file: write down what
//! will be written, write it, write down that it is done. Terminal and journal cannot be asked later what they have got: with
//! them it is written down line by line, so that a killed engine doubles at most the line it was writing.
//!
//! A run whose follower reads and is behind is held: the others go on, and it is looked at again soon.

mod batch;
mod singly;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

use self::batch::{BATCH, Flying, note};
use super::journal::LONGEST;
use super::{Files, Journal, Tails, Terminal};
use crate::job::LogTarget;
use crate::run::capture_flow::{Flow, Output, STREAMS};
use crate::run::capture_pipes::RETAINED;
use crate::run::capture_ways::Pipes;
use crate::run::lines::{Frames, MAX_LINE};
use crate::run::spool::Intent;
use crate::run::{CaptureEvent, RunLabel};
use crate::wire::RunId;

/// Runs that are over and may still be spoken of by [`Order::Note`].
const MOST_OVER: usize = 1024;

/// Time between two looks at runs that are held.
const LOOK: Duration = Duration::from_millis(10);

/// What a sink thread is told.
pub enum Order {
    /// There is this run.
    Run(Arc<Output>),
    /// There is this run, and what an engine before was about to write of its streams.
    Adopt(Arc<Output>, [Option<Intent>; 2]),
    /// No more runs to adopt: deliver.
    Adopted,
    /// Something has changed about a run.
    Ready(RunId),
    /// A line about a run.
    Note(RunId, String),
    /// A run that has never started.
    Abandon(RunId),
    /// A line about the daemon itself.
    Say(String),
}

/// Where this thread's lines go.
pub enum Sink {
    /// Log files.
    Files(Files),
    /// Standard error.
    Terminal(Terminal),
    /// The journal.
    Journal(Journal),
}

/// The thread's own.
pub struct SinkThread {
    sink: Sink,
    orders: Receiver<Order>,
    pipes: Pipes,
    tails: Tails,
    events: UnboundedSender<CaptureEvent>,
    /// Counts what this thread does: the capture thread sees by it that the sink is alive.
    steps: Arc<AtomicU64>,
    runs: HashMap<RunId, Served>,
    ready: VecDeque<RunId>,
    /// Runs that wait for who follows them, and when they were looked at.
    held: Vec<RunId>,
    looked: Instant,
    /// Notes that came before the log files may grow.
    early: Vec<(RunId, String)>,
    /// Labels of runs that are over, oldest first.
    over: VecDeque<RunLabel>,
    adopted: bool,
    bytes: Vec<u8>,
    text: Vec<u8>,
    flying: Option<Flying>,
}

struct Served {
    output: Arc<Output>,
    /// By stream: up to here there is no newline after what is settled.
    scanned: [u64; 2],
    /// What could not be told at a stream's end has been tried.
    tried: [bool; 2],
}

impl SinkThread {
    /// Serves `sink` by `orders`, and counts its steps.
    pub fn new(
        sink: Sink,
        (orders, steps): (Receiver<Order>, Arc<AtomicU64>),
        pipes: Pipes,
        tails: Tails,
        events: UnboundedSender<CaptureEvent>,
    ) -> SinkThread {
        let (runs, ready, held, early, over) = Default::default();
        let batch = if matches!(sink, Sink::Journal(_)) { BATCH.max(LONGEST + MAX_LINE) } else { BATCH };
        let (bytes, text, looked, adopted, flying) = (vec![0; batch], Vec::new(), Instant::now(), false, None);
        SinkThread {
            sink,
            orders,
            pipes,
            tails,
            events,
            steps,
            runs,
            ready,
            held,
            looked,
            early,
            over,
            adopted,
            bytes,
            text,
            flying,
        }
    }

    /// Until nobody can give orders any more.
    pub fn run(mut self) {
        loop {
            if !self.held.is_empty() && self.looked.elapsed() >= LOOK {
                self.looked = Instant::now();
                self.ready.extend(self.held.drain(..));
            }
            let patience = match &mut self.sink {
                Sink::Journal(journal) => {
                    journal.look();
                    journal.patience()
                }
                Sink::Files(_) | Sink::Terminal(_) => None,
            };
            let order = if self.adopted && !self.ready.is_empty() {
                self.orders.recv_timeout(Duration::ZERO)
            } else if !self.held.is_empty() {
                self.orders.recv_timeout(LOOK)
            } else if let Some(patience) = patience {
                self.orders.recv_timeout(patience)
            } else {
                self.orders.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            match order {
                Ok(order) => self.obey(order),
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    let Some(run) = self.ready.pop_front() else { continue };
                    self.step_done();
                    if self.serve(run) {
                        self.ready.push_back(run);
                    }
                }
            }
        }
    }

    fn step_done(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Run(output) => self.know(output),
            Order::Adopt(output, intents) => {
                self.adopt(output, intents);
                self.step_done();
            }
            Order::Adopted => {
                self.adopted = true;
                for (run, text) in std::mem::take(&mut self.early) {
                    self.obey(Order::Note(run, text));
                }
            }
            Order::Ready(run) => self.ready.push_back(run),
            // A file that grows now would hide whether what an engine before was about to write is there.
            Order::Note(run, text) if !self.adopted => self.early.push((run, text)),
            Order::Note(run, text) => {
                let label = match self.runs.get(&run) {
                    Some(served) => Some(&served.output.label),
                    None => self.over.iter().rev().find(|label| label.run == run),
                };
                if let Some(label) = label.cloned() {
                    self.note(&label, &text);
                }
            }
            Order::Abandon(run) => {
                if let Some(served) = self.runs.remove(&run) {
                    self.end(&served.output.label);
                }
            }
            Order::Say(text) => {
                if let Sink::Terminal(terminal) = &mut self.sink {
                    terminal.say(&text);
                }
            }
        }
    }

    fn know(&mut self, output: Arc<Output>) {
        let served = Served { output, scanned: [0; 2], tried: [false; 2] };
        self.runs.insert(served.output.label.run, served);
    }

    /// Settles what the engine before was about to write, and rebuilds the tail from what the spools retain.
    fn adopt(&mut self, output: Arc<Output>, intents: [Option<Intent>; 2]) {
        let label = &output.label;
        for (index, intent) in intents.into_iter().enumerate() {
            let flow = &output.flows[index];
            if let Some(intent) = intent {
                let written = match &mut self.sink {
                    Sink::Files(files) => files.written(&label.job, &intent),
                    Sink::Journal(journal) => journal.written(label, &intent),
                    // The job's target has changed under it: its file is no business of this sink.
                    Sink::Terminal(_) => true,
                };
                flow.settle(if written { intent.after } else { flow.view().state });
            }
            let state = flow.view().state;
            let retained = flow.spool.get().and_then(|spool| spool.retained(state.settled, RETAINED).ok());
            let bytes = retained.unwrap_or_default();
            let lines = Frames::new(&bytes, true).count() as u64;
            self.tails.skip(label.run, state.lines.saturating_sub(lines));
            self.tails.push(label.run, STREAMS[index], &bytes, true, lines);
        }
        self.ready.push_back(label.run);
        self.know(output);
    }

    /// A batch of each stream of a run. `true`: it is to be queued again.
    fn serve(&mut self, run: RunId) -> bool {
        if self.held.contains(&run) {
            return false;
        }
        let Some(mut served) = self.runs.remove(&run) else { return false };
        // What is left of a run that prints no more is little, and its end waits for nobody.
        let ended = served.output.flows.iter().all(Flow::ended);
        if self.tails.holds(run) && !ended {
            self.land();
            self.held.push(run);
            self.runs.insert(run, served);
            return false;
        }
        served.output.queued.store(false, Ordering::Release);
        let more = [0, 1].map(|index| self.step(&mut served, index));
        let counts = [0, 1].map(|index| served.output.flows[index].counts());
        let (received, dropped) = (counts.map(|count| count.0), counts[0].1 + counts[1].1);
        self.tails.count(run, received, dropped);
        let more = more.contains(&true);
        let mut views = served.output.flows.iter().map(Flow::view);
        if !more && views.all(|view| view.ended && view.state.settled == view.until) {
            self.end(&served.output.label);
            let _ = self.events.send(CaptureEvent::Drained { run, received, dropped });
            return false;
        }
        // Where the capture thread has queued it meanwhile, once is enough.
        let again = more && !served.output.queued.swap(true, Ordering::AcqRel);
        self.runs.insert(run, served);
        again
    }

    fn end(&mut self, label: &RunLabel) {
        self.tails.end(label.run);
        if self.over.len() >= MOST_OVER {
            self.over.pop_front();
        }
        self.over.push_back(label.clone());
    }

    fn note(&mut self, label: &RunLabel, text: &str) {
        self.land();
        match &mut self.sink {
            Sink::Files(_) if label.target != LogTarget::File => {}
            Sink::Files(files) => {
                self.text.clear();
                note(&mut self.text, label, text);
                let _ = files.append(&label.job, &mut self.text, |_| ());
            }
            Sink::Terminal(terminal) => {
                let _ = terminal.note(label, text);
            }
            // The engine has said it there itself.
            Sink::Journal(_) => {}
        }
    }
}
