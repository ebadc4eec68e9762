//! What is told of a job, by its rules: pure. Time comes in as [`Now`]; what is measured, is so on the monotonic clock.
//!
//! - `failure` is told once for a row of failures, `still-failing` with a later one when the last word is [`FIRST_AGAIN`] old,
//!   then twice as long, up to [`LAST_AGAIN`]; `recovery` once at its end. Targets that are programs hear of every failure.
//! - `skipped`, `missed`, `late`, `long` and `attempt` are told at once, and then in the same growing intervals, with their number:
//!   a job that overlaps every second must not make a mail every second. An interval without any begins anew.
//! - A job without rules costs nothing here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::happening::{Alarm, Due, Happening, Told, What};
use super::rule::{Notify, On, To};
use super::target::Target;
use super::watch::{Kept, Watch};
use crate::engine::core::Now;
use crate::job::JobName;

/// The first pause between two words about the same.
pub const FIRST_AGAIN: Duration = Duration::from_secs(3600);
/// The longest.
pub const LAST_AGAIN: Duration = Duration::from_secs(24 * 3600);

/// How it stands with a job, as a history knows it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Since when its runs fail.
    pub failing_since: Option<Timestamp>,
    /// Failures in a row.
    pub failures: u64,
    /// When a run succeeded last.
    pub succeeded: Option<Timestamp>,
}

/// The rules of all jobs, and what they know.
#[derive(Debug)]
pub struct Rules {
    targets: BTreeMap<String, Arc<Target>>,
    defaults: Arc<Notify>,
    watches: BTreeMap<JobName, Watch>,
    /// When each must be looked at (monotonic), soonest first.
    due: BTreeSet<(Duration, JobName)>,
    /// What a history knows of jobs that are not armed yet.
    tallies: BTreeMap<JobName, Tally>,
}

impl Rules {
    /// With the targets and the rules of rotad.yaml.
    pub fn new(targets: BTreeMap<String, Arc<Target>>, defaults: Arc<Notify>) -> Self {
        Self { targets, defaults, watches: BTreeMap::new(), due: BTreeSet::new(), tallies: BTreeMap::new() }
    }

    /// How it stood with a job before: to be told before the job is armed.
    pub fn restore(&mut self, job: JobName, tally: Tally) {
        self.tallies.insert(job, tally);
    }

    /// The same of a job that is armed already: a history may be slow to open.
    pub fn restore_late(&mut self, job: &JobName, tally: Tally, now: Now) {
        if let Some(watch) = self.unlist(job) {
            self.list(job.clone(), watch.knowing(tally, now));
        }
    }

    /// The first snapshot is armed: what is known of jobs that are not in it is forgotten.
    pub fn settle(&mut self) {
        self.tallies.clear();
    }

    /// Whether anything is told of this job: what is not need not be looked up.
    pub fn watches(&self, job: &JobName) -> bool {
        self.watches.contains_key(job)
    }

    /// Whether a rule of the job is about this.
    pub fn wants(&self, job: &JobName, on: On) -> bool {
        self.watches.get(job).is_some_and(|watch| watch.notify.rules.iter().any(|rule| rule.is_on(on)))
    }

    /// Something happened: what is to be told of it.
    pub fn take(&mut self, happening: Happening, now: Now) -> Vec<Due> {
        let Happening { job, at, what } = happening;
        match what {
            What::Armed { notify, active } => {
                self.arm(job, notify, active, now);
                return Vec::new();
            }
            What::Removed => {
                self.forget(&job);
                return Vec::new();
            }
            _ => {}
        }
        let Some(mut watch) = self.unlist(&job) else { return Vec::new() };
        let kept = watch.take(&what, at, now);
        let dues = kept.into_iter().filter_map(|kept| self.due_of(&job, &watch, kept, at)).collect();
        self.list(job, watch);
        dues
    }

    /// When [`Self::pass`] has something to do (monotonic).
    pub fn due(&self) -> Option<Duration> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Time has passed: what is late, silent or long by now.
    pub fn pass(&mut self, now: Now) -> Vec<Due> {
        let mut dues = Vec::new();
        while let Some((_, job)) = self.due.first().filter(|(due, _)| *due <= now.mono).cloned() {
            let Some(mut watch) = self.unlist(&job) else { break };
            let kept = watch.pass(now);
            dues.extend(kept.into_iter().filter_map(|kept| self.due_of(&job, &watch, kept, now.wall)));
            self.list(job, watch);
        }
        dues
    }

    fn arm(&mut self, job: JobName, notify: Option<Arc<Notify>>, active: bool, now: Now) {
        let notify = notify.unwrap_or_else(|| self.defaults.clone());
        let before = self.unlist(&job);
        let tally = self.tallies.remove(&job);
        if notify.rules.is_empty() {
            return;
        }
        let watch = match before {
            Some(watch) => watch.under(notify, active, now),
            None => Watch::new(notify, active, tally.unwrap_or_default(), now),
        };
        self.list(job, watch);
    }

    fn forget(&mut self, job: &JobName) {
        self.unlist(job);
    }

    fn unlist(&mut self, job: &JobName) -> Option<Watch> {
        let watch = self.watches.remove(job)?;
        if let Some(due) = watch.due() {
            self.due.remove(&(due, job.clone()));
        }
        Some(watch)
    }

    fn list(&mut self, job: JobName, watch: Watch) {
        if let Some(due) = watch.due() {
            self.due.insert((due, job.clone()));
        }
        self.watches.insert(job, watch);
    }

    /// With the targets of the rules that are about it, each once.
    fn due_of(&self, job: &JobName, watch: &Watch, kept: Kept, at: Timestamp) -> Option<Due> {
        let Kept { on, rules, programs_only, reason, told, slot, since, count } = kept;
        let mut seen = BTreeSet::new();
        let wanted = watch
            .notify
            .rules
            .iter()
            .enumerate()
            .filter(|(at, rule)| rule.is_on(on) && rules.is_none_or(|rules| rules & bit(*at) != 0));
        let to: Vec<Arc<Target>> = wanted
            .flat_map(|(_, rule)| &rule.to)
            .filter_map(|to| match to {
                To::Named(name) => self.targets.get(name).cloned(),
                To::Inline(target) => Some(target.clone()),
            })
            .filter(|target| programs_only.is_none_or(|only| target.is_program() == only))
            .filter(|target| seen.insert(target.id()))
            .collect();
        if to.is_empty() {
            return None;
        }
        let slot = slot.or(told.as_ref().and_then(|told: &Told| told.slot));
        let (job, next_slot, tail) = (job.clone(), None, String::new());
        Some(Due { alarm: Alarm { job, on, at, reason, told, slot, since, count, next_slot, tail }, to })
    }
}

/// The bit of a rule.
pub(super) fn bit(rule: usize) -> u32 {
    1u32.checked_shl(u32::try_from(rule).unwrap_or(u32::MAX)).unwrap_or(0)
}

#[cfg(test)]
mod tests;
