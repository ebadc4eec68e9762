//! Jobs that run once, and are removed when they have.
//!
//! Such a job is done when its one slot is decided and nothing of it goes on, waits, or is attempted again: it has run, or it was
//! let go and will not be made up for. A slot that the definition is too young for is none of its own: a file that is dropped in
//! with a time that has passed stays. Whether it is done is looked at when something of the job has ended, and for every job when
//! an engine takes over. A daemon that stops removes nothing: what it lets go may be made up for by the next.

use super::clock::Now;
use super::{Effect, State};
use crate::job::{Job, JobName, WhenDone};

impl State {
    /// Something of a job has ended. Whether all of it has is looked at when the step does.
    pub(super) fn may_be_done(&mut self, name: &JobName) {
        if self.jobs.get(name).is_some_and(|entry| is_removed(&entry.job)) {
            self.ending.insert(name.clone());
        }
    }

    /// The first snapshot is whole.
    pub(super) fn may_all_be_done(&mut self) {
        let once = self.jobs.iter().filter(|(_, entry)| is_removed(&entry.job)).map(|(name, _)| name.clone());
        self.ending = once.collect();
    }

    /// Has jobs removed that are done.
    pub(super) fn remove_done(&mut self, now: Now) {
        if !self.loaded || self.stopping.is_some() {
            return;
        }
        for name in std::mem::take(&mut self.ending) {
            let Some(job) = self.jobs.get(&name).map(|entry| entry.job.clone()).filter(|_| self.is_done(&name, now))
            else {
                continue;
            };
            if self.removed.insert(name.clone(), job.hash) != Some(job.hash) {
                self.effects.push(Effect::Remove(name, job.hash));
            }
        }
    }

    fn is_done(&self, name: &JobName, now: Now) -> bool {
        let busy = self.going.contains_key(name) || !self.retries_of(name).is_empty();
        let Some(entry) = self.jobs.get(name).filter(|_| !busy) else { return false };
        let slot = entry.only_slot().filter(|slot| *slot <= now.wall && is_removed(&entry.job));
        let decided = |slot| entry.newest == Some(slot) || self.watched.holds(slot) || self.jobs.is_decided(name, slot);
        slot.is_some_and(|slot| entry.next.is_none() && decided(slot))
    }
}

/// It is one of these jobs.
fn is_removed(job: &Job) -> bool {
    job.enable && job.when_done == WhenDone::Remove && job.schedule.as_ref().is_some_and(|schedule| schedule.is_once())
}
