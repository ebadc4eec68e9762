//! The end of the daemon: nothing more starts, what runs is stopped within the grace, and nothing can hold it up for ever.

use std::time::Duration;

use super::clock::Now;
use super::errand::FAREWELL;
use super::life::{DEATH_LIMIT, Ladder, Life};
use super::mark::Why;
use super::past::{Fate, Rule};
use super::retry::Dropped;
use super::{Fact, State};
use crate::engine::ledger::{End, Word};
use crate::job::JobName;
use crate::wire::{RunId, ToWarden};

/// The daemon stops.
#[derive(Debug)]
pub(super) struct Stopping {
    /// `SIGKILL` then (monotonic).
    until: Duration,
    /// Since when no run goes on, and only errands may be waited for (monotonic).
    quiet: Option<Duration>,
    /// The warden has been told that all is over.
    said: bool,
}

impl Stopping {
    /// What is left of the grace.
    pub(super) fn left(&self, now: Now) -> Duration {
        self.until.saturating_sub(now.mono)
    }

    /// When even runs that will not die are no longer waited for (monotonic).
    pub(super) fn deadline(&self) -> Option<Duration> {
        let last = self.until.saturating_add(DEATH_LIMIT);
        (!self.said).then(|| self.farewell().map_or(last, |farewell| farewell.min(last)))
    }

    /// The warden has been told that all is over.
    pub(super) fn is_said(&self) -> bool {
        self.said
    }

    /// When errands are no longer waited for (monotonic): soon after the last run.
    fn farewell(&self) -> Option<Duration> {
        self.quiet.map(|since| since.saturating_add(FAREWELL).min(self.until.max(since)))
    }
}

impl State {
    /// Stops everything within `grace`. Once more with a shorter grace hastens; a longer one changes nothing.
    pub(super) fn drain(&mut self, grace: Duration, now: Now) {
        let until = now.mono.saturating_add(grace);
        let stopping = self.stopping.get_or_insert(Stopping { until, quiet: None, said: false });
        stopping.until = stopping.until.min(until);
        let until = stopping.until;
        self.note(Word::End(End::Stopping));
        let waiting = self.going.iter().filter(|(_, going)| !going.waiting.is_empty());
        let waiting: Vec<JobName> = waiting.map(|(name, _)| name.clone()).collect();
        waiting.iter().for_each(|name| self.drop_waiting(name, Fate::Skipped(Rule::Stopping), now));
        let retries: Vec<RunId> = self.retries.keys().copied().collect();
        retries.into_iter().for_each(|of| self.drop_retry(of, Dropped::Stopping, now));
        for run in self.runs.values_mut() {
            match &mut run.state {
                Life::Stopping { step: Ladder::Asked(asked), .. } => *asked = until.min(*asked),
                Life::Draining { until: drained, .. } => *drained = until.min(*drained),
                _ => {}
            }
        }
        let runs: Vec<RunId> = self.runs.keys().copied().collect();
        runs.into_iter().for_each(|run| self.stop(run, Why::Shutdown, now));
        self.meet_deadlines(now);
    }

    /// How long output may follow a run that ends now.
    pub(super) fn drain_cap(&self, now: Now) -> Duration {
        self.stopping.as_ref().map_or(Duration::MAX, |stopping| stopping.left(now))
    }

    /// Says once that nothing is left to wait for. Errands that still go on then are killed by the warden.
    pub(super) fn say_drained(&mut self, now: Now) {
        let (quiet, errands) = (self.runs.is_empty(), self.errands.busy(now.mono));
        let Some(stopping) = self.stopping.as_mut().filter(|stopping| !stopping.said) else { return };
        stopping.quiet = if quiet { stopping.quiet.or(Some(now.mono)) } else { None };
        let left = quiet && (!errands || stopping.farewell().is_some_and(|farewell| now.mono >= farewell));
        if left || now.mono >= stopping.until.saturating_add(DEATH_LIMIT) {
            stopping.said = true;
            let waiting = self.errands.waiting();
            if waiting > 0 {
                self.tell(Fact::ErrandsLeft(waiting));
            }
            // Up to here, exactly: what comes due from now on is the next daemon's.
            self.send_mark();
            self.note(Word::End(End::Closed));
            self.send(ToWarden::Drained);
        }
    }
}
