//! The state as monitors see it: numbers, and cheaply.

use jiff::Timestamp;

use super::State;
use super::life::Life;
use crate::job::{JobName, Severity};
use crate::metrics::{Gauges, Known};
use crate::wire::RunId;

impl State {
    /// The numbers of the whole. Costs a look at each job.
    pub fn gauges(&self, now: Timestamp) -> Gauges {
        let [mut disabled, mut paused, mut broken, mut enabled] = [0; 4];
        for (name, entry) in self.jobs.iter() {
            *match () {
                () if !entry.job.enable => &mut disabled,
                () if self.pauses.get(name).is_some() => &mut paused,
                () if entry.broken => &mut broken,
                () => &mut enabled,
            } += 1;
        }
        let count = |severity: Severity| {
            let findings = self.files.values().flat_map(|file| &file.findings);
            findings.filter(|finding| finding.severity == severity).count() as u64
        };
        Gauges {
            jobs: [("enabled", enabled), ("disabled", disabled), ("paused", paused), ("broken", broken)],
            due: self.waiting_slots(now),
            running: self.runs.len() as u64,
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
            errands: self.errands.waiting() as u64,
        }
    }

    /// At most `most` jobs by name, each with its next slot unless it is paused or there is a hold.
    pub fn next_slots(&self, most: usize) -> impl Iterator<Item = (&JobName, Option<Timestamp>)> {
        let next = |(name, entry): (_, &super::jobs::Entry)| {
            let next = entry.next.filter(|_| self.pauses.rest(name).now().is_none());
            (name, next)
        };
        self.jobs.iter().take(most).map(next)
    }

    /// How many jobs there are.
    pub fn job_count(&self) -> usize {
        self.jobs.iter().len()
    }

    /// Bytes of output that were not kept, all runs.
    pub fn output_dropped(&self) -> u64 {
        self.past.dropped
    }

    /// How `conf.d` is watched.
    pub fn watch_mode(&self) -> &str {
        &self.watch
    }

    /// The daemon's start, and the engines before this one.
    pub fn lineage(&self) -> (Timestamp, u32) {
        (self.setting.started, self.setting.generation)
    }

    /// Slots that are due and whose program does not run: they are yet to be decided, wait for another run of the job, or
    /// are on their way to the warden.
    fn waiting_slots(&self, now: Timestamp) -> u64 {
        let due = self.jobs.due().take_while(|(slot, _)| *slot <= now);
        let due = due.filter(|(_, name)| self.pauses.rest(name).now().is_none()).count();
        let waiting =
            self.going.values().flat_map(|going| &going.waiting).filter(|ticket| ticket.slot.is_some()).count();
        let starting = self.runs.values().filter(|run| run.ticket.slot.is_some());
        let starting = starting.filter(|run| matches!(run.state, Life::Preparing { .. } | Life::Starting { .. }));
        (due + waiting + starting.count()) as u64
    }
}

impl Known for State {
    fn is_job(&self, name: &JobName) -> bool {
        self.jobs.get(name).is_some()
    }

    fn started(&self, run: RunId) -> Option<Timestamp> {
        self.runs.get(&run)?.leader().map(|leader| leader.at)
    }
}
