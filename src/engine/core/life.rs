//! The states of a run.
//!
//! ```text
//!  Preparing ──▶ Starting ──▶ Running ──────────────▶ Draining ──▶ over
//!      │            │  │          │                      ▲
//!      │            │  └───────▶ Stopping ───────────────┘
//!      └────────────┴──▶ over (no program ran)
//! ```
//!
//! A run is over when its leader is gone **and** its output is drained: the end of the leader decides the outcome, the output
//! may follow it for at most [`DRAIN_LIMIT`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::mark::{Context, Stop, Terms, Ticket, Why};
use crate::engine::view::Outcome;
use crate::job::{Job, JobName};
use crate::wire::{Ended, Exit, RunId};

/// How long the output may follow the end of the leader: a grandchild that keeps the pipe does not keep the run.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(5);
/// How long output that was closed may take to reach its log: a slow disk gets it written, one that hangs for good must not
/// keep the run open, and with it the job's next slot, for ever.
pub const CLOSE_LIMIT: Duration = Duration::from_secs(60);
/// How long output may go on once everything of a stopped run was killed.
pub const SWEEP_LIMIT: Duration = Duration::from_secs(1);
/// How long a file of environment may take to read.
pub const PREPARE_LIMIT: Duration = Duration::from_secs(5);
/// How long the start of a run waits for the ledger.
pub const CLAIM_LIMIT: Duration = Duration::from_secs(1);
/// How long after `SIGKILL` a run is shown as one that will not die.
pub const DEATH_LIMIT: Duration = Duration::from_secs(2);

/// A run that is not over.
#[derive(Debug)]
pub struct Run {
    /// Of which job.
    pub job: JobName,
    /// Slot or request, and its id.
    pub ticket: Ticket,
    /// What it started under.
    pub terms: Terms,
    /// No attempt follows: somebody wanted the run to end.
    pub last: bool,
    /// How far it is.
    pub state: Life,
    /// Its output.
    pub output: Output,
}

/// How far a run is.
#[derive(Debug)]
pub enum Life {
    /// Its `environment_file` is being read, or the ledger is being written. The warden knows nothing of it.
    Preparing {
        /// The definition it will be started from.
        job: Arc<Job>,
        /// Its environment.
        environment: Environment,
        /// It starts without the ledger after that (monotonic); absent: the ledger has it, or need not.
        claim: Option<Duration>,
        /// What started it, which must outlive an engine that dies meanwhile.
        kept: Kept,
    },
    /// The warden is to start it.
    Starting {
        /// It is to be stopped as soon as it runs.
        stop: Option<Why>,
    },
    /// Its program runs.
    Running {
        /// Its leader.
        leader: Leader,
        /// Its time is up then (monotonic).
        until: Option<Duration>,
    },
    /// It is being stopped.
    Stopping {
        /// Its leader.
        leader: Leader,
        /// Since when, and why.
        stop: Stop,
        /// How far that is.
        step: Ladder,
    },
    /// Its leader is gone; output may still come.
    Draining {
        /// Its leader, as it was.
        leader: Leader,
        /// How it ended.
        ended: Ended,
        /// It was being stopped.
        stop: Option<Stop>,
        /// No longer than that (monotonic).
        until: Duration,
        /// What was done about output that does not end.
        tail: Tail,
    },
}

/// The environment file of a run.
#[derive(Debug, PartialEq, Eq)]
pub enum Environment {
    /// It could not start, after that (monotonic).
    Awaited(Duration),
    /// It says so, or there is none.
    Read(Vec<(String, String)>),
}

/// What remembers the slot of a run that the warden does not know yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// The mark, which stays before the slot.
    ByMark,
    /// The contexts of the job's runs before it, which are not forgotten until it is started.
    ByContext,
    /// The mark, as an attempt that is due then.
    AsRetry(Timestamp),
}

/// The leader of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leader {
    /// Its process id, which is also that of its session and group.
    pub pid: i32,
    /// When it was forked.
    pub at: Timestamp,
}

/// The steps of stopping a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ladder {
    /// It was asked to end, and will be killed then (monotonic).
    Asked(Duration),
    /// All of it was killed, and should be gone by then (monotonic).
    Killed(Duration),
    /// It was killed and is still there: the kernel does not let it die.
    WillNotDie,
}

/// What is done about output that goes on after the leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// It is waited for.
    Awaited,
    /// The run was being stopped, and what it left was killed: that ends its output, too.
    Swept,
    /// It is being closed, whoever holds it.
    Closing,
}

/// The output of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// More may come.
    Open,
    /// All of it is in.
    Drained(Volume),
}

/// How much output there was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Volume {
    /// Bytes received: stdout, stderr.
    pub received: [u64; 2],
    /// Bytes that were not kept.
    pub dropped: u64,
}

impl Run {
    /// The run's next deadline (monotonic).
    pub fn deadline(&self) -> Option<Duration> {
        match self.state {
            Life::Preparing { ref environment, claim, .. } => match environment {
                Environment::Awaited(until) => Some(claim.map_or(*until, |claim| claim.min(*until))),
                Environment::Read(_) => claim,
            },
            Life::Draining { until, .. } => Some(until),
            Life::Running { until, .. } => until,
            Life::Stopping { step: Ladder::Asked(until) | Ladder::Killed(until), .. } => Some(until),
            Life::Stopping { step: Ladder::WillNotDie, .. } | Life::Starting { .. } => None,
        }
    }

    /// The stable word for its state.
    pub fn word(&self) -> &'static str {
        match self.state {
            Life::Preparing { .. } | Life::Starting { .. } => "starting",
            Life::Running { .. } => "running",
            Life::Stopping { step: Ladder::WillNotDie, .. } => "will-not-die",
            Life::Stopping { .. } => "stopping",
            Life::Draining { .. } => "draining",
        }
    }

    /// Its leader, when there is or was one.
    pub fn leader(&self) -> Option<Leader> {
        match self.state {
            Life::Running { leader, .. } | Life::Stopping { leader, .. } | Life::Draining { leader, .. } => {
                Some(leader)
            }
            Life::Preparing { .. } | Life::Starting { .. } => None,
        }
    }

    /// What the next engine must know of it; `as_of`: the last run id that was given.
    pub fn context(&self, waiting: &VecDeque<Ticket>, as_of: RunId) -> Context {
        let stop = match self.state {
            Life::Stopping { stop, .. } => Some(stop),
            Life::Draining { stop, .. } => stop,
            _ => None,
        };
        Context {
            job: self.job.clone(),
            ticket: self.ticket.clone(),
            terms: self.terms.clone(),
            stop,
            waiting: waiting.iter().cloned().collect(),
            as_of,
            told: false,
            retry: None,
            heard: None,
        }
    }

    /// When it was due, where the mark remembers it as a retry.
    pub fn kept_as_retry(&self) -> Option<Timestamp> {
        match self.state {
            Life::Preparing { kept: Kept::AsRetry(at), .. } => Some(at),
            _ => None,
        }
    }
}

/// The outcome by how the leader ended. It was stopped only if the first signal was sent before it was gone: a run that
/// ended by itself while it was about to be stopped has ended by itself.
pub fn outcome(terms: &Terms, ended: &Ended, stop: Option<Stop>) -> Outcome {
    match stop.filter(|stop| stop.asked <= ended.at) {
        Some(Stop { why: Why::Timeout, .. }) => Outcome::TimedOut { exit: ended.exit },
        Some(Stop { why, .. }) => Outcome::Stopped { exit: ended.exit, why: why.code().into() },
        None => {
            let success = matches!(ended.exit, Exit::Code(code) if terms.success_codes.contains(&code));
            Outcome::Exited { exit: ended.exit, success }
        }
    }
}
