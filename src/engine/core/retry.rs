//! Runs that wait for another attempt.
//!
//! A run whose attempt ended as its `retries` name waits, and then is attempted again from its job's present definition. While
//! it waits it is **no going run**, and what is to become of it has one winner:
//!
//! - Whatever of the job starts meanwhile – a slot, a request, a run after another job, what waited for the attempt – takes its
//!   place, also at the very instant at which the attempt was due. Under `on_overlap: allow` runs have nothing to do with each
//!   other, and it stays.
//! - A slot that is made up for takes nobody's place: it waits until the run is through.
//! - A pause, a stop, the job disabled or taken away, and the end of the daemon end the run.
//!
//! It is remembered in the context of the attempt that ended, which the warden keeps until the next attempt is known to it.
//! Where the warden never knew that attempt (it could not be started), the mark remembers it.

use std::time::Duration;

use jiff::Timestamp;

use super::clock::Now;
use super::life::{Kept, Run};
use super::mark::{Again, Context, Ticket, Trigger, Why};
use super::past::Record;
use super::{Effect, Fact, Forget, Marking, State};
use crate::engine::view::Outcome;
use crate::job::{JobName, OnOverlap, RetryOn};
use crate::wire::{Exit, Failure, RunId, Step, ToWarden};

use super::slots::RUNS_MAX;

/// How long an attempt is put off that finds as many runs as may.
const PUT_OFF: Duration = Duration::from_secs(1);

/// A run that waits for its next attempt.
#[derive(Debug)]
pub(super) struct Retry {
    pub job: JobName,
    /// The attempt to come.
    pub ticket: Ticket,
    /// When it is due, for people and for the next engine.
    pub at: Timestamp,
    /// The same (monotonic).
    pub due: Duration,
    /// The context of the attempt before, in which the warden remembers it; absent: the mark does.
    pub home: Option<Box<Context>>,
}

/// Why a run is not attempted again after all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// Something newer of the job started.
    Superseded,
    /// The job is paused.
    Paused,
    /// There is a hold of all jobs.
    Held,
    /// The job was taken away or disabled.
    Retired,
    /// Somebody stopped it.
    Request,
    /// The daemon stops.
    Stopping,
}

impl Dropped {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Dropped::Superseded => "superseded",
            Dropped::Paused => "paused",
            Dropped::Held => "held",
            Dropped::Retired => "retired",
            Dropped::Request => "request",
            Dropped::Stopping => "stopping",
        }
    }
}

/// Whether a run that ended so is attempted again.
pub(super) fn counts(on: &RetryOn, outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Exited { success: true, .. } | Outcome::Stopped { .. } | Outcome::Lost => false,
        Outcome::Exited { exit, .. } => on.failure || names(on, *exit),
        Outcome::TimedOut { exit } => on.timeout || names(on, *exit),
        Outcome::CouldNotStart { .. } => on.could_not_start,
    }
}

fn names(on: &RetryOn, exit: Exit) -> bool {
    matches!(exit, Exit::Code(code) if u8::try_from(code).is_ok_and(|code| on.codes.contains(&code)))
}

impl State {
    /// How long after its end a run is attempted again, if it is.
    pub(super) fn delay(&self, run: &Run, outcome: &Outcome) -> Option<Duration> {
        let retries = run.terms.retries.as_deref()?;
        let attempt = run.ticket.attempt;
        let counts = !run.last && attempt <= retries.max && counts(&retries.on, outcome);
        let may = counts && self.stopping.is_none() && self.may_wait(&run.job) && !self.succeeded(run);
        may.then(|| retries.delay_after(attempt))
    }

    /// Runs of this job may wait for another attempt. Before the first snapshot nobody knows, and it is asked again with that.
    fn may_wait(&self, name: &JobName) -> bool {
        !self.loaded || self.obstacle(name).is_none()
    }

    fn obstacle(&self, name: &JobName) -> Option<Dropped> {
        match self.jobs.get(name) {
            Some(entry) if entry.job.enable => self.pauses.drops_retries(name),
            _ => Some(Dropped::Retired),
        }
    }

    /// Something else of the job waits for this run and starts now, or goes on beside it where that should not be.
    fn succeeded(&self, run: &Run) -> bool {
        let going = self.going.get(&run.job).filter(|_| !self.allows(&run.job));
        going.is_some_and(|going| {
            let waits = going.waiting.iter().any(|ticket| ticket.trigger != Trigger::CatchUp);
            waits || (self.loaded && going.runs.iter().any(|other| *other != run.ticket.run))
        })
    }

    fn allows(&self, name: &JobName) -> bool {
        self.jobs.get(name).is_some_and(|entry| entry.job.on_overlap == OnOverlap::Allow)
    }

    /// A run of the job waits for its next attempt, and slots that are made up for wait for it. They do not where the warden
    /// never knew the attempt before: nothing would remember them.
    pub(super) fn retry_waits(&self, name: &JobName) -> bool {
        self.retries.values().any(|retry| retry.job == *name && retry.home.is_some())
    }

    /// Has a run wait for its next attempt. `home` is the context of the one before, where the warden has it.
    pub(super) fn wait_for_retry(&mut self, job: JobName, again: Again, home: Option<Box<Context>>, now: Now) {
        let (ticket, at) = again;
        let left = Duration::try_from(at.duration_since(now.wall)).unwrap_or_default();
        if home.is_none() && self.loaded {
            self.marking = Marking::Due;
        }
        let of = ticket.of;
        self.retries.insert(of, Retry { job, ticket, at, due: now.mono.saturating_add(left), home });
        self.carry_home(of);
    }

    /// Has the warden remember what waits.
    pub(super) fn carry_home(&mut self, of: RunId) {
        let Some(retry) = self.retries.get(&of) else { return };
        let waiting = self.going.get(&retry.job).map(|going| &going.waiting);
        let waiting = waiting.into_iter().flatten().cloned().collect();
        let Some(home) = &retry.home else { return };
        let again = Some((retry.ticket.clone(), retry.at));
        let context = Context { waiting, as_of: self.last_run, told: true, retry: again, ..Context::clone(home) };
        let run = home.ticket.run;
        self.effects.extend(context.encode().map(|context| Effect::Send(ToWarden::Context { run, context })));
    }

    /// When the first attempt is due (monotonic).
    pub(super) fn first_retry(&self) -> Option<Duration> {
        self.retries.values().map(|retry| retry.due).min().filter(|_| self.loaded)
    }

    /// Starts the attempts that are due.
    pub(super) fn start_retries(&mut self, now: Now) {
        if self.first_retry().is_none_or(|due| due > now.mono) {
            return;
        }
        let mut due: Vec<(Duration, RunId)> = self
            .retries
            .iter()
            .filter(|(_, retry)| retry.due <= now.mono)
            .map(|(of, retry)| (retry.due, *of))
            .collect();
        due.sort_unstable();
        due.into_iter().for_each(|(_, of)| self.start_retry(of, now));
    }

    fn start_retry(&mut self, of: RunId, now: Now) {
        // Of two that are due at once, the first may have taken the place of the other.
        let Some(name) = self.retries.get(&of).map(|retry| retry.job.clone()) else { return };
        let busy = !self.allows(&name) && self.going.get(&name).is_some_and(|going| !going.runs.is_empty());
        if let Some(why) = self.obstacle(&name).or(busy.then_some(Dropped::Superseded)) {
            return self.drop_retry(of, why, now);
        }
        let Some(job) = self.jobs.get(&name).map(|entry| entry.job.clone()) else { return };
        if self.runs.len() + self.forgets.len() >= RUNS_MAX {
            if let Some(retry) = self.retries.get_mut(&of) {
                retry.due = now.mono + PUT_OFF;
            }
            return;
        }
        let Some(Retry { ticket, at, home, .. }) = self.retries.remove(&of) else { return };
        let (run, slot) = (ticket.run, ticket.slot);
        let kept = if home.is_some() { Kept::ByContext } else { Kept::AsRetry(at) };
        self.marking = if home.is_some() { self.marking } else { Marking::Due };
        self.launch(job, ticket, kept, now);
        if let Some(home) = home {
            self.forgets.push_back(Forget::of(home.ticket.run, slot, Some(run)));
        }
    }

    /// Something of the job starts, and takes the place of what waits for another attempt.
    pub(super) fn supersede(&mut self, name: &JobName, by: &Ticket, now: Now) {
        if by.trigger == Trigger::CatchUp && by.attempt == 1 || self.retries.is_empty() || self.allows(name) {
            return;
        }
        for of in self.retries_of(name) {
            self.lose_retry(of, Dropped::Superseded, Some(by.run), now);
        }
    }

    /// The runs of a job that wait for another attempt.
    pub(super) fn retries_of(&self, name: &JobName) -> Vec<RunId> {
        self.retries.iter().filter(|(_, retry)| retry.job == *name).map(|(of, _)| *of).collect()
    }

    /// No run of the job is attempted again. Answers with those that would have been.
    pub(super) fn drop_retries(&mut self, name: &JobName, why: Dropped, now: Now) -> Vec<RunId> {
        let runs = self.retries_of(name);
        runs.iter().for_each(|of| self.drop_retry(*of, why, now));
        runs
    }

    /// A run is not attempted again after all. What waited for it has its turn.
    pub(super) fn drop_retry(&mut self, of: RunId, why: Dropped, now: Now) {
        self.lose_retry(of, why, None, now);
    }

    /// `successor` takes the run's place; without one, what waits for it starts.
    fn lose_retry(&mut self, of: RunId, why: Dropped, successor: Option<RunId>, now: Now) {
        let Some(retry) = self.retries.remove(&of) else { return };
        let Retry { job, ticket, home, .. } = retry;
        match home {
            Some(home) => {
                let waiting = self.going.get(&job).map(|going| &going.waiting);
                let waiting = waiting.into_iter().flatten().cloned().collect();
                let as_of = self.last_run;
                let context = Context { waiting, as_of, told: true, retry: None, ..Context::clone(&home) };
                let run = home.ticket.run;
                self.effects.extend(context.encode().map(|context| Effect::Send(ToWarden::Context { run, context })));
                let successor = successor.or_else(|| self.go_on(&job, now));
                let context = self.is_followed(&job).then(|| Box::new(context));
                self.forgets.push_back(Forget { context, ..Forget::of(run, ticket.slot, successor) });
            }
            None => {
                self.marking = Marking::Due;
                if successor.is_none() {
                    self.go_on(&job, now);
                }
            }
        }
        self.strike_first(of);
        self.settle_record(&job, of);
        self.tell(Fact::RetryDropped { job: job.clone(), of, why });
        self.finished(&job, of, false);
    }

    /// What the mark remembers of retries: those that no context remembers.
    pub(super) fn homeless(&self) -> Vec<(JobName, Again)> {
        let waiting = self.retries.values().filter(|retry| retry.home.is_none());
        let waiting = waiting.map(|retry| (retry.job.clone(), (retry.ticket.clone(), retry.at)));
        let preparing = self.preparing.iter().filter_map(|id| {
            let run = self.runs.get(id)?;
            Some((run.job.clone(), (run.ticket.clone(), run.kept_as_retry()?)))
        });
        waiting.chain(preparing).collect()
    }

    /// What the mark of the engine before remembers of retries.
    pub(super) fn restore_retries(&mut self, retries: Vec<(JobName, Again)>, now: Now) {
        for (job, again) in retries {
            let before = Ticket { run: again.0.of, attempt: again.0.attempt.saturating_sub(1), ..again.0.clone() };
            self.last_run = self.last_run.max(again.0.run);
            self.inherit_slot(&job, &before, now);
            let message = "the journal has why".into();
            let outcome = Outcome::CouldNotStart { failure: Failure { step: Step::Plan, errno: 0 }, message };
            self.past.keep(Record { next: Some(again.1), ..Record::blank(job.clone(), before, outcome, now.wall) });
            self.wait_for_retry(job, again, None, now);
        }
    }

    /// An attempt of an engine before had ended, and was told of. Whether that is all, or the run goes on by another attempt.
    pub(super) fn adopt_told(&mut self, context: Context, record: Record, now: Now) {
        let (job, slot, run) = (context.job.clone(), context.ticket.slot, context.ticket.run);
        let success = record.outcome.success();
        self.past.keep(record);
        match context.retry.clone().filter(|(next, _)| !self.has_begun(next)) {
            Some((next, at)) => {
                // A clock that was set back must not keep it waiting for more than its delay.
                let delay = context.terms.retries.as_deref().map(|retries| retries.delay_after(context.ticket.attempt));
                let latest = now.wall.checked_add(delay.unwrap_or_default()).unwrap_or(at);
                self.wait_for_retry(job.clone(), (next, at.min(latest)), Some(Box::new(context)), now);
                self.tell(Fact::Adopted { job, run });
            }
            None => {
                self.settle_record(&job, context.ticket.of);
                let (of, over) = (context.ticket.of, context.retry.is_none());
                self.forgets.push_back(Forget { context: Some(Box::new(context)), ..Forget::of(run, slot, None) });
                if over {
                    self.finished(&job, of, success);
                }
            }
        }
    }

    /// This attempt, or a later one of its run, is known already.
    fn has_begun(&self, next: &Ticket) -> bool {
        let later = |ticket: &Ticket| ticket.of == next.of && ticket.attempt >= next.attempt;
        self.runs.values().any(|run| later(&run.ticket))
            || self.retries.get(&next.of).is_some_and(|retry| retry.ticket.attempt > next.attempt)
            || self.past.last_of(next.of).is_some_and(|record| later(&record.ticket))
    }

    /// An attempt is known to the warden: what remembered it until then has done its work.
    pub(super) fn has_started(&mut self, ticket: &Ticket) {
        let of = ticket.of;
        if self.retries.get(&of).is_some_and(|retry| retry.ticket.attempt <= ticket.attempt)
            && let Some(Retry { home, .. }) = self.retries.remove(&of)
        {
            let gone = home.map(|home| Forget::of(home.ticket.run, ticket.slot, None));
            self.forgets.extend(gone);
        }
    }

    /// The first snapshot is whole: what may no longer wait is dropped. An engine that dies while something takes the place
    /// of a retry leaves both.
    pub(super) fn settle_retries(&mut self, now: Now) {
        let waiting: Vec<(RunId, JobName, RunId)> =
            self.retries.iter().map(|(of, retry)| (*of, retry.job.clone(), retry.ticket.run)).collect();
        for (of, name, run) in waiting {
            let newer = |job: &JobName, ticket: &Ticket| {
                *job == name && ticket.of != of && ticket.run > run && ticket.trigger != Trigger::CatchUp
            };
            let superseded = !self.allows(&name)
                && (self.runs.values().any(|run| newer(&run.job, &run.ticket))
                    || self.past.records().any(|record| newer(&record.job, &record.ticket)));
            let obstacle = match self.stopping {
                Some(_) => Some(Dropped::Stopping),
                None => self.obstacle(&name),
            };
            if let Some(why) = obstacle.or(superseded.then_some(Dropped::Superseded)) {
                self.drop_retry(of, why, now);
            } else if let (Some(record), Some(past)) = (self.past.last_of(of).cloned(), self.jobs.past_mut(&name)) {
                past.last.get_or_insert_with(|| Box::new(record));
            }
        }
    }

    /// Nothing more is promised of a run.
    fn settle_record(&mut self, job: &JobName, of: RunId) {
        self.past.settle(of);
        let last = self.jobs.past_mut(job).and_then(|past| past.last.as_mut());
        if let Some(last) = last.filter(|last| last.ticket.of == of) {
            last.next = None;
        }
    }
}

/// Whether a stop ends the run, and not this attempt alone.
pub(super) fn ends_the_run(why: Why) -> bool {
    why != Why::Timeout
}
