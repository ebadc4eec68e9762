//! What comes into the core and what goes out of it: events, effects, and the facts that people are told.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::clock::Cause;
use super::errand::Report;
use super::mark::{Ticket, Why};
use super::past::{Fate, Record};
use super::retry::Dropped;
use crate::conf::Change;
use crate::engine::ledger::{self, Word};
use crate::engine::request::Pause;
use crate::engine::view::FileView;
use crate::job::{Job, JobName, LogTarget};
use crate::wire::{Adopt, Ended, Failure, RunId, ToWarden};

/// What happens.
#[derive(Debug)]
pub enum Event {
    /// Time passed: slots and deadlines may be due. Sent once in every turn of the loop.
    Wake,
    /// A run of the engine before is handed over. All of them come before the first [`Event::Loaded`].
    Adopt(Box<Adopt>),
    /// Definitions changed.
    Loaded {
        /// In this order.
        changes: Vec<Change>,
        /// With this the first snapshot is whole (stays true from then on).
        complete: bool,
    },
    /// Files have something to say, or no longer.
    Files(Vec<(String, Option<FileView>)>),
    /// How `conf.d` is watched.
    Watch(String),
    /// The environment file of a run was read.
    Environment {
        /// Whose.
        run: RunId,
        /// What it says, or a sentence why it could not be read.
        read: Result<Vec<(String, String)>, String>,
    },
    /// The program of a run runs.
    Started {
        /// Which.
        run: RunId,
        /// Its leader.
        pid: i32,
        /// Since when.
        at: Timestamp,
    },
    /// It does not, and never did.
    NotStarted {
        /// Which.
        run: RunId,
        /// Why.
        failure: Failure,
    },
    /// The leader of a run is gone.
    Ended {
        /// Which.
        run: RunId,
        /// How.
        ended: Ended,
    },
    /// All output of a run is in.
    Drained {
        /// Which.
        run: RunId,
        /// Bytes of stdout and stderr.
        received: [u64; 2],
        /// Bytes that were not kept.
        dropped: u64,
    },
    /// What a forgotten run left.
    Left {
        /// Which.
        run: RunId,
        /// Processes.
        processes: u32,
    },
    /// The ledger has these runs, or cannot be written: they may start.
    Claimed(Vec<RunId>),
    /// Runs that ended with an earlier warden, and nobody knows how. Comes with the first snapshot.
    Lost(Vec<ledger::Entry>),
    /// All output of an errand is in.
    ErrandOutput {
        /// Which.
        run: RunId,
        /// Its end.
        tail: Vec<u8>,
    },
    /// The daemon stops.
    Drain {
        /// Until `SIGKILL`.
        grace: Duration,
    },
}

/// What is to be done, in order.
#[derive(Debug)]
pub enum Effect {
    /// Tell the warden.
    Send(ToWarden),
    /// Output of a run will come; always before its `Start`.
    Expect(Label),
    /// Read the environment file of a run, then say [`Event::Environment`].
    ReadEnvironment {
        /// Whose.
        run: RunId,
        /// Its definition.
        job: Arc<Job>,
    },
    /// No longer wait for the output of a run, then say [`Event::Drained`].
    CloseOutput(RunId),
    /// No output of a run will come.
    AbandonOutput(RunId),
    /// No longer read the output of an errand.
    CloseErrand(RunId),
    /// Tell whoever ordered an errand how a try of it ended.
    Reported(Report),
    /// Write it into the ledger. A claim is answered by [`Event::Claimed`].
    Note(Word),
    /// Keep a pause for the engine that comes after, or no longer.
    KeepPause(JobName, Option<Pause>),
    /// Remove a job whose definition still has this hash: it ran once, and is done.
    Remove(JobName, u64),
    /// Keep the hold for it, or no longer.
    KeepHold(Option<Pause>),
    /// Tell people.
    Tell(Box<Fact>),
}

/// What the capture of a run's output must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The attempt, by its own id.
    pub run: RunId,
    /// The run that it is an attempt of.
    pub of: RunId,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// Of which job.
    pub job: JobName,
    /// Where its lines go, when the job says so.
    pub log: Option<LogTarget>,
    /// Bytes kept.
    pub output_limit: u64,
}

/// What happened that people want to know. Each is told once, by the part that decides it.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a fact is boxed as an effect, and soon gone")]
pub enum Fact {
    /// A definition is armed.
    Armed {
        /// Its name.
        job: JobName,
        /// Its next slot.
        next: Option<Timestamp>,
        /// It stands in place of another.
        changed: bool,
    },
    /// A job was taken away.
    Retired(JobName),
    /// A job is paused.
    Paused {
        /// Its name.
        job: JobName,
        /// For how long, and who asked.
        pause: Pause,
    },
    /// A pause is over.
    Resumed {
        /// Of which job.
        job: JobName,
        /// Slots that fell in it, as far as this engine watched.
        passed: u64,
    },
    /// No slot of any job runs.
    Held(Pause),
    /// Slots run again.
    Released {
        /// Slots of all jobs that fell in the hold, as far as this engine watched.
        passed: u64,
    },
    /// A slot, or a row of missed ones, has its verdict.
    Verdict {
        /// Of which job.
        job: JobName,
        /// The slot; of a row the newest.
        slot: Timestamp,
        /// Of a row the oldest; else the slot.
        oldest: Timestamp,
        /// What became of it.
        fate: Fate,
    },
    /// A program runs.
    Started {
        /// Of which job.
        job: JobName,
        /// Which run.
        ticket: Ticket,
        /// Its leader.
        pid: i32,
    },
    /// A run was asked to end.
    Asked {
        /// Of which job.
        job: JobName,
        /// Which.
        run: RunId,
        /// Why.
        why: Why,
        /// By which signal.
        signal: i32,
    },
    /// A run did not end when asked and was killed.
    Killed {
        /// Of which job.
        job: JobName,
        /// Which.
        run: RunId,
    },
    /// A run was killed and is still there.
    WillNotDie {
        /// Of which job.
        job: JobName,
        /// Which.
        run: RunId,
        /// Its leader.
        pid: i32,
    },
    /// A run's leader is gone, but something keeps its output open: it is no longer read.
    OutputClosed {
        /// Of which job.
        job: JobName,
        /// Which.
        run: RunId,
    },
    /// An attempt is over; with it its run, unless the record says when the next one follows.
    Over(Record),
    /// A run that waited for its next attempt is not attempted again: it is over, with the outcome of its last attempt.
    RetryDropped {
        /// Of which job.
        job: JobName,
        /// Which run.
        of: RunId,
        /// Why.
        why: Dropped,
    },
    /// A run left processes.
    Left {
        /// Of which job, where that is still known.
        job: Option<JobName>,
        /// Which.
        run: RunId,
        /// How many.
        processes: u32,
    },
    /// A run of the engine before goes on.
    Adopted {
        /// Of which job.
        job: JobName,
        /// Which.
        run: RunId,
    },
    /// A run of the engine before has a context that this engine cannot read.
    Strange(RunId),
    /// The daemon ends, and so many errands were still waiting.
    ErrandsLeft(usize),
    /// More ends of jobs are waited beside than an engine can leave to the next: it leaves the newest, so many.
    TooManyEnds(usize),
    /// The clock was set back.
    Clock {
        /// Up to where time had been watched.
        from: Timestamp,
        /// Where it is now.
        to: Timestamp,
    },
    /// Nobody watched. Told once of each such time, before the slots in it have their verdicts.
    Away {
        /// From about here.
        from: Timestamp,
        /// Until here.
        to: Timestamp,
        /// Why.
        cause: Cause,
    },
    /// The ledger takes its time, and runs start without it. Told once until it is written again.
    Unclaimed,
}
