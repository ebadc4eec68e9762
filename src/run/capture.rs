//! The capture of what the jobs print: from two pipes a run to one sink a run.
//!
//! ```text
//! job → pipe → [capture thread] → spool → [sink thread] → log file, terminal or journal; and the tail
//! ```
//!
//! The engine's loop speaks to it by calls that never wait and hears [`CaptureEvent`]s. One sink thread serves the log
//! files, one the daemon's standard error and one the journal, so that none stalls another. See [`super::spool`] for why a killed
//! engine loses nothing.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use tokio::sync::mpsc::UnboundedSender;

use super::capture_flow::{Flow, Output, STREAMS};
use super::capture_pipes::CaptureThread;
use super::capture_ways::{Command, Pipes, Sinks};
use crate::conf::LogConfig;
use crate::job::{JobName, LogTarget};
use crate::sink::{Files, Journal, LOG, Order, Sink, SinkThread, Tails, Terminal, UNSENT};
use crate::warden::say::stderr_is_journal;
use crate::wire::{Link, RunId, Stream};

/// Whose output it is, and where it goes.
#[derive(Debug, Clone)]
pub struct RunLabel {
    /// The attempt, by its own id: that of its pipes, spools and tail.
    pub run: RunId,
    /// The run that it is an attempt of: what people are told.
    pub of: RunId,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// Of this job.
    pub job: JobName,
    /// Where its lines go: the job's word, or else the daemon's. What the capture has been told of as [`LogTarget::Auto`]
    /// it makes [`LogTarget::Journal`] where standard error is the journal's stream, and the other way round where there is no
    /// journal.
    pub target: LogTarget,
    /// Bytes kept of the run; what comes after is counted and dropped.
    pub output_limit: u64,
}

/// What the engine's loop hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaptureEvent {
    /// Both streams of the run are over, and every byte is delivered or dropped. Comes once for each run that was taken or
    /// adopted.
    Drained {
        /// Which run.
        run: RunId,
        /// Bytes that came: stdout, stderr.
        received: [u64; 2],
        /// How many of them did not reach the sink.
        dropped: u64,
    },
}

/// The capture of all runs. Dropped, it ends its threads.
pub struct Capture {
    pipes: Pipes,
    sinks: Sinks,
    tails: Tails,
    crowd: Arc<AtomicU64>,
    /// Standard error is the journal's stream.
    by_journal: bool,
    /// Runs that were announced and have no pipes yet.
    expected: Mutex<std::collections::HashMap<RunId, Arc<Output>>>,
    events: UnboundedSender<CaptureEvent>,
}

impl Capture {
    /// Starts the threads. Nothing is delivered before [`Capture::adopted`].
    pub fn start(config: &LogConfig, link: Arc<Link>, events: UnboundedSender<CaptureEvent>) -> io::Result<Capture> {
        let tails = Tails::default();
        let (files, file_orders) = mpsc::channel();
        let (terminal, terminal_orders) = mpsc::channel();
        let (journal, journal_orders) = mpsc::channel();
        let sinks = Sinks { files, terminal: terminal.clone(), journal, steps: Default::default() };
        let (pipes, commands) = Pipes::new()?;
        let capture = CaptureThread::new(link, sinks.clone(), (pipes.clone(), commands))?;
        thread::Builder::new().name("capture".into()).spawn(move || capture.run())?;
        let waiting = sinks.steps[2].clone();
        let threads = [
            ("log-files", Sink::Files(Files::new(config, LOG, terminal.clone())), file_orders),
            ("log-terminal", Sink::Terminal(Terminal::stderr()?), terminal_orders),
            ("log-journal", Sink::Journal(Journal::new(Files::new(config, UNSENT, terminal), waiting)), journal_orders),
        ];
        for ((name, sink, orders), steps) in threads.into_iter().zip(sinks.steps.clone()) {
            let thread = SinkThread::new(sink, (orders, steps), pipes.clone(), tails.clone(), events.clone());
            thread::Builder::new().name(name.into()).spawn(move || thread.run())?;
        }
        let (crowd, expected) = Default::default();
        Ok(Capture { pipes, sinks, tails, crowd, by_journal: stderr_is_journal(), expected, events })
    }

    /// A run has been created: its tail exists from now on.
    pub fn expect(&self, label: RunLabel) {
        let flows = [(); 2].map(|()| Flow::new(self.crowd.clone()));
        self.know(Output::new(self.route(label), flows), Order::Run);
    }

    /// The program of an expected run runs under this process id, and these are its pipes.
    pub fn take(&self, run: RunId, pid: i32, stdout: OwnedFd, stderr: OwnedFd) {
        match self.lock().remove(&run) {
            Some(output) => {
                // The first to know it.
                let _ = output.pid.set(pid);
                self.pipes.send(Command::Take(output, [stdout, stderr]));
            }
            // Never expected: nothing is known of it, but whoever waits for its end shall not wait for ever.
            None => drop(self.events.send(CaptureEvent::Drained { run, received: [0; 2], dropped: 0 })),
        }
    }

    /// A run of an engine before, the pipes of stdout and stderr, and what that engine left of its output. Where its program
    /// is only about to start, [`Capture::lead`] tells the process id later.
    pub fn adopt(&self, label: RunLabel, pid: Option<i32>, pipes: [OwnedFd; 2], spools: Vec<(Stream, OwnedFd)>) {
        let mut intents = [None; 2];
        let mut flows = [(); 2].map(|()| Flow::new(self.crowd.clone()));
        for (stream, spool) in spools {
            let index = usize::from(stream == STREAMS[1]);
            (flows[index], intents[index]) = Flow::adopt(spool, self.crowd.clone());
        }
        let output = Output::new(self.route(label), flows);
        if let Some(pid) = pid {
            // The first to know it.
            let _ = output.pid.set(pid);
        }
        self.know(output.clone(), |output| Order::Adopt(output, intents));
        self.lock().remove(&output.label.run);
        self.pipes.send(Command::Take(output, pipes));
    }

    /// The process id of an adopted run's leader.
    pub fn lead(&self, run: RunId, pid: i32) {
        self.pipes.send(Command::Lead(run, pid));
    }

    /// No more runs will be adopted: from now on lines are delivered. What the engine before was about to write when it
    /// ended must be settled before a log file grows.
    pub fn adopted(&self) {
        let _ = self.sinks.files.send(Order::Adopted);
        let _ = self.sinks.terminal.send(Order::Adopted);
        let _ = self.sinks.journal.send(Order::Adopted);
    }

    /// The drain limit: takes what is in the pipes now, then ends both streams, whoever keeps them open.
    pub fn close(&self, run: RunId) {
        self.pipes.send(Command::Close(run));
    }

    /// An expected run has never started: its tail is over. No event comes of it.
    pub fn abandon(&self, run: RunId) {
        if let Some(output) = self.lock().remove(&run) {
            let _ = self.sinks.of(&output).send(Order::Abandon(run));
        }
    }

    /// What is kept of each run's lines, for those who ask.
    pub fn tails(&self) -> Tails {
        self.tails.clone()
    }

    /// A line of rotad's own about a run, into the run's sink, where it cannot be taken for one of the job's. Also after the
    /// run has drained.
    pub fn note(&self, run: RunId, text: String) {
        // Each sink knows its own runs, and passes over the others'. The journal has it from the engine.
        let _ = self.sinks.terminal.send(Order::Note(run, text.clone()));
        let _ = self.sinks.files.send(Order::Note(run, text));
    }

    fn route(&self, label: RunLabel) -> RunLabel {
        let target = match label.target {
            LogTarget::Auto if self.by_journal => LogTarget::Journal,
            LogTarget::Journal if !self.by_journal && !Journal::is_there() => LogTarget::Auto,
            target => target,
        };
        RunLabel { target, ..label }
    }

    fn know(&self, output: Arc<Output>, order: impl FnOnce(Arc<Output>) -> Order) {
        let RunLabel { run, of, attempt, job, .. } = &output.label;
        self.tails.open_attempt(*run, (*of, *attempt), job);
        self.lock().insert(output.label.run, output.clone());
        let _ = self.sinks.of(&output).send(order(output.clone()));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, std::collections::HashMap<RunId, Arc<Output>>> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.pipes.send(Command::Stop);
    }
}
