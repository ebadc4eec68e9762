//! What is to be said of `after` across files: a job that is followed and does not exist, or is disabled, and jobs that
//! follow each other in a circle.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Directory, Stand};
use crate::job::circle::circles;
use crate::job::{After, Finding, Job, JobName};

/// Who follows whom, by the definitions that make the jobs.
#[derive(Debug, Default)]
pub(super) struct Following {
    /// By job: those that follow it.
    followers: HashMap<JobName, BTreeSet<JobName>>,
    /// What each job follows.
    afters: BTreeMap<JobName, After>,
    /// Jobs that follow each other, each with the number of its circle.
    circles: BTreeMap<JobName, usize>,
    /// An `after` has changed since those were found.
    changed: bool,
}

impl Directory {
    /// The definition of a job has changed. What is to be said of those that follow it may have changed, too.
    pub(super) fn follow(&mut self, job: &JobName, before: Option<&Stand>, now: Option<&Stand>) {
        let after = |stand: Option<&Stand>| stand.and_then(|stand| stand.armed.job.after.as_deref().cloned());
        let (old, new) = (after(before), after(now));
        if old != new {
            self.following.redefine(job, old.as_ref(), new);
        }
        let enable = |stand: Option<&Stand>| stand.map(|stand| stand.armed.job.enable);
        if enable(before) != enable(now) {
            let followers = self.following.followers.get(job);
            let followers: Vec<JobName> = followers.into_iter().flatten().cloned().collect();
            self.look_at_jobs(&followers);
        }
    }

    /// All changes are in: the circles of before and of now are looked at.
    pub(super) fn find_circles(&mut self) {
        if std::mem::take(&mut self.following.changed) {
            let found = circles(self.following.afters.iter());
            let before = std::mem::replace(&mut self.following.circles, found);
            let names: BTreeSet<JobName> = before.keys().chain(self.following.circles.keys()).cloned().collect();
            self.look_at_jobs(&names);
        }
    }

    fn look_at_jobs<'a>(&mut self, names: impl IntoIterator<Item = &'a JobName>) {
        for name in names {
            let label = self.stand_of(name).map(|(origin, ..)| origin.clone()).and_then(|origin| self.label(&origin));
            self.looked.extend(label);
        }
    }

    /// What is doubtful in the `after` of a job.
    pub(super) fn doubts_of_after(&self, file: &str, job: &Job) -> Vec<Finding> {
        let doubt = |upstream: &JobName| {
            let own = self.following.circles.get(&job.name);
            if own.is_some() && own == self.following.circles.get(upstream) {
                let message = format!("'after': '{}' and '{upstream}' follow each other in a circle", job.name);
                let finding = Finding::warning("after-cycle", file, message);
                return Some(
                    finding.hint("it would run for ever, so this end starts nothing: take one of the names away"),
                );
            }
            match self.stand_of(upstream) {
                None => {
                    let finding =
                        Finding::warning("after-unknown", file, format!("'after': there is no job '{upstream}'"));
                    Some(finding.hint("until there is one, the job does not start after it"))
                }
                Some((_, armed, _)) if !armed.job.enable => {
                    let message = format!("'after': '{upstream}' is disabled");
                    let finding = Finding::warning("after-disabled", file, message);
                    Some(finding.hint("it runs on request only, and nothing else ends"))
                }
                Some(_) => None,
            }
        };
        job.after.iter().flat_map(|after| after.keys()).filter_map(doubt).collect()
    }
}

impl Following {
    fn redefine(&mut self, job: &JobName, old: Option<&After>, new: Option<After>) {
        self.changed = true;
        for name in old.into_iter().flat_map(After::keys) {
            if let Some(followers) = self.followers.get_mut(name) {
                followers.remove(job);
                if followers.is_empty() {
                    self.followers.remove(name);
                }
            }
        }
        for name in new.iter().flat_map(After::keys) {
            self.followers.entry(name.clone()).or_default().insert(job.clone());
        }
        match new {
            Some(new) => drop(self.afters.insert(job.clone(), new)),
            None => drop(self.afters.remove(job)),
        }
    }
}
