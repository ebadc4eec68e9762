//! What people ask for: runs to start and to stop. Views are in [`super::show`].

use super::clock::Now;
use super::mark::{Ticket, Trigger, Why};
use super::past::{Fate, Rule};
use super::retry::Dropped;
use super::{Effect, State};
use crate::engine::request::Refusal;
use crate::job::{JobName, OnOverlap};
use crate::wire::RunId;

use super::slots::RUNS_PER_JOB;

/// Longest text kept of who asked, in characters.
const MAX_BY: usize = 64;

impl State {
    /// Runs a job now, by its overlap rule: under `queue` and `replace` the request waits for the runs that go on, and has
    /// its id already. A disabled job may be run.
    pub fn start(&mut self, name: &JobName, by: &str, now: Now) -> (Result<RunId, Refusal>, Vec<Effect>) {
        let answer = self.try_start(name, by, now);
        self.flush(now);
        (answer, std::mem::take(&mut self.effects))
    }

    /// Stops every run of a job, and drops what waits for them.
    pub fn stop_job(&mut self, name: &JobName, now: Now) -> (Result<Vec<RunId>, Refusal>, Vec<Effect>) {
        if self.jobs.get(name).is_none() && !self.going.contains_key(name) {
            return (Err(no_such_job(name)), Vec::new());
        }
        self.drop_waiting(name, Fate::Skipped(Rule::Request), now);
        let mut runs = self.drop_retries(name, Dropped::Request, now);
        let attempts = self.stop_all(name, Why::Request, now);
        runs.extend(attempts.into_iter().map(|run| self.attempt(run).map_or(run, |(of, _)| of)));
        self.flush(now);
        (Ok(runs), std::mem::take(&mut self.effects))
    }

    /// Stops a run, or drops it while it waits. It may be named by any of its attempts.
    pub fn stop_run(&mut self, id: RunId, now: Now) -> (Result<Vec<RunId>, Refusal>, Vec<Effect>) {
        let of = self.attempt(id).map_or(id, |(of, _)| of);
        let attempt = self.runs.iter().find(|(_, run)| run.ticket.of == of).map(|(attempt, _)| *attempt);
        let waiting = self.going.iter().find(|(_, going)| going.waiting.iter().any(|ticket| ticket.run == id));
        if let Some(name) = waiting.map(|(name, _)| name.clone()) {
            self.drop_ticket(&name, id, Fate::Skipped(Rule::Request), now);
        } else if let Some(attempt) = attempt {
            self.stop(attempt, Why::Request, now);
        } else if self.retries.contains_key(&of) {
            self.drop_retry(of, Dropped::Request, now);
        } else {
            return (Err(no_such_run(id)), Vec::new());
        }
        self.flush(now);
        (Ok(vec![of]), std::mem::take(&mut self.effects))
    }

    fn try_start(&mut self, name: &JobName, by: &str, now: Now) -> Result<RunId, Refusal> {
        if self.stopping.is_some() {
            return Err(refusal("stopping", "the daemon is stopping: nothing more is started", None));
        }
        let job = self.jobs.get(name).map(|entry| entry.job.clone()).ok_or_else(|| no_such_job(name))?;
        let going = self.going.get(name).map_or(0, |going| going.runs.len());
        if going > 0 && job.on_overlap == OnOverlap::Skip {
            let message = format!("a run of {name} goes on, and its on_overlap is skip");
            return Err(refusal("overlap", message, Some("wait for it, or stop it first")));
        }
        if self.full() || (going >= RUNS_PER_JOB && job.on_overlap == OnOverlap::Allow) {
            return Err(refusal("limit", "as many runs go on as may", Some("wait for some to end")));
        }
        let ticket = Ticket::first(self.next_run(now), None, Trigger::Request, by.chars().take(MAX_BY).collect());
        let run = ticket.run;
        self.enter(&job, ticket, going, now);
        Ok(run)
    }
}

/// There is no job of this name.
pub fn no_such_job(name: &JobName) -> Refusal {
    refusal("no-such-job", format!("there is no job {name}"), Some("rota list shows all of them"))
}

/// There is no run of this id.
pub fn no_such_run(id: RunId) -> Refusal {
    refusal("no-such-run", format!("no run {id} goes on or is remembered"), None)
}

/// A refusal.
pub fn refusal(code: &str, message: impl Into<String>, hint: Option<&str>) -> Refusal {
    Refusal { code: code.into(), message: message.into(), hint: hint.map(Into::into) }
}
