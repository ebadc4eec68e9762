//! Jobs that follow other jobs: which ends have come, and what starts because of them.
//!
//! A job is due once each job that it names in `after` has ended as it wants since it started last, whatever started it. An
//! end of the other kind takes back what came of that job before. It is then treated as a request that nobody waits for: it
//! goes through its pause, the hold, its overlap rule and the bounds, and where it does not start, that is a verdict at the
//! instant of the end. Jobs that follow each other in a circle would run for ever, so a circle's own edges are ignored.
//!
//! **Nothing is lost with an engine and nothing runs twice.** Ends that have come and are waited beside are in the mark. The
//! run whose end starts a job is forgotten only once that job's run, or the ticket of it, is with the warden. A ticket says
//! which ends it has used up; an engine that finds such a run over again by the warden's word does not count its end again.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use super::clock::Now;
use super::mark::{Context, Ticket, Trigger};
use super::past::{Fate, Rule};
use super::{Fact, Marking, State};
use crate::job::circle::circles;
use crate::job::{After, Job, JobName, file::hash_of};
use crate::wire::RunId;

/// Ends that the mark carries; of more the newest.
pub const MAX_ENDS: usize = 128;

/// Who follows whom, and which ends have come.
#[derive(Debug, Default)]
pub(super) struct Following {
    /// By job: those that follow it.
    followers: HashMap<JobName, BTreeSet<JobName>>,
    /// Jobs that follow each other, each with the number of its circle.
    circles: BTreeMap<JobName, usize>,
    /// An `after` has changed since those were found.
    changed: bool,
    /// By the job that waits and the one that ended.
    ends: BTreeMap<(JobName, JobName), End>,
    /// Ends that have come so far.
    counted: u64,
    /// More than the mark carries, which has been told.
    told: bool,
    /// Those that the engine before left, until the jobs are known.
    left: HashMap<u64, RunId>,
    /// Ends that runs and tickets of the engine before have used up.
    used: BTreeSet<(JobName, RunId)>,
    /// Runs that are over, until what follows them is decided.
    over: VecDeque<Over>,
}

/// An end that counts.
#[derive(Debug, Clone, Copy)]
struct End {
    run: RunId,
    number: u64,
}

/// A run that is over for good.
#[derive(Debug)]
struct Over {
    job: JobName,
    run: RunId,
    success: bool,
    /// What the warden must not forget before it knows of the runs that this one starts.
    forget: Option<RunId>,
}

impl Following {
    /// With what the engine before left in its mark.
    pub(super) fn restore(left: Vec<(u64, RunId)>) -> Self {
        Self { left: left.into_iter().collect(), ..Self::default() }
    }

    /// A job follows these from now on. What has come of others, or under another wish, no longer counts.
    fn define(&mut self, job: &JobName, old: Option<&After>, new: Option<&After>) -> bool {
        if old == new {
            return false;
        }
        self.changed = true;
        for name in old.into_iter().flat_map(After::keys) {
            if let Some(followers) = self.followers.get_mut(name) {
                followers.remove(job);
                if followers.is_empty() {
                    self.followers.remove(name);
                }
            }
        }
        for name in new.into_iter().flat_map(After::keys) {
            self.followers.entry(name.clone()).or_default().insert(job.clone());
        }
        let kept = |name: &JobName| old.and_then(|old| old.get(name)) == new.and_then(|new| new.get(name));
        let before = self.ends.len();
        self.ends.retain(|(waits, ended), _| waits != job || kept(ended));
        before != self.ends.len()
    }

    /// Whether the end of `upstream` counts for `job`: they are in no circle together.
    fn counts(&self, job: &JobName, upstream: &JobName) -> bool {
        self.circles.get(job).is_none_or(|own| self.circles.get(upstream) != Some(own))
    }

    /// The ends that have come for a job; they are used up. In the order in which they came.
    fn take(&mut self, job: &JobName, after: &After) -> Vec<RunId> {
        let taken = after.keys().filter_map(|name| self.ends.remove(&(job.clone(), name.clone())));
        let mut taken: Vec<End> = taken.collect();
        taken.sort_by_key(|end| end.number);
        taken.into_iter().map(|end| end.run).collect()
    }

    /// For the mark. And whether there are more than it carries.
    fn carried(&self) -> (Vec<(u64, RunId)>, bool) {
        let mut ends: Vec<_> = self.ends.iter().collect();
        ends.sort_by_key(|(_, end)| std::cmp::Reverse(end.number));
        let more = ends.len() > MAX_ENDS;
        let carried = ends.into_iter().take(MAX_ENDS).map(|((job, upstream), end)| (pair(job, upstream), end.run));
        (carried.collect(), more)
    }
}

/// An edge as the mark has it. (A mark has not room for the names.)
fn pair(job: &JobName, upstream: &JobName) -> u64 {
    hash_of(format!("{job}\0{upstream}").as_bytes())
}

impl State {
    /// Which jobs a job follows is about to change.
    pub(super) fn redefine_after(&mut self, name: &JobName, new: Option<&Job>) {
        let old = self.jobs.get(name).map(|entry| entry.job.clone());
        let after = |job: Option<&Job>| job.and_then(|job| job.after.as_deref()).cloned();
        if self.following.define(name, after(old.as_deref()).as_ref(), after(new).as_ref()) {
            self.marking = Marking::Due;
        }
    }

    /// All changes of definitions are in.
    pub(super) fn find_circles(&mut self) {
        if std::mem::take(&mut self.following.changed) {
            let jobs = self.jobs.iter().filter_map(|(name, entry)| Some((name, entry.job.after.as_deref()?)));
            self.following.circles = circles(jobs);
        }
    }

    /// The first snapshot is whole: what the engine before knew of ends is known again.
    pub(super) fn recall_ends(&mut self) {
        let left = std::mem::take(&mut self.following.left);
        if left.is_empty() {
            return;
        }
        let edges = self.jobs.iter().filter_map(|(name, entry)| Some((name, entry.job.after.as_deref()?)));
        let edges = edges.flat_map(|(name, after)| after.keys().map(move |upstream| (name, upstream)));
        for (job, upstream) in edges {
            let run = left.get(&pair(job, upstream)).copied();
            if let Some(run) = run.filter(|run| !self.following.used.contains(&(job.clone(), *run))) {
                self.following.ends.insert((job.clone(), upstream.clone()), End { run, number: 0 });
            }
        }
    }

    /// A run or a ticket of the engine before has used up these ends.
    pub(super) fn note_used(&mut self, context: &Context) {
        let tickets = std::iter::once(&context.ticket).chain(&context.waiting);
        let ends = tickets.flat_map(|ticket| &ticket.ends).map(|end| (context.job.clone(), *end));
        self.following.used.extend(ends);
    }

    /// A job starts: every end that has come for it is used up by that.
    pub(super) fn use_ends(&mut self, job: &Job, ticket: &mut Ticket) {
        if let (1, Some(after)) = (ticket.attempt, &job.after) {
            let taken = self.following.take(&job.name, after);
            if !taken.is_empty() {
                self.marking = Marking::Due;
                // The last stays the one that began it.
                ticket.ends.splice(0..0, taken);
            }
        }
    }

    /// A run is over, and no attempt follows: to be called once for each, after its last attempt is on its way to be
    /// forgotten. `of` is the run's id.
    pub(super) fn finished(&mut self, job: &JobName, of: RunId, success: bool) {
        if !self.loaded || self.following.followers.contains_key(job) {
            let forget = self.forgets.back().map(|forget| forget.run);
            self.following.over.push_back(Over { job: job.clone(), run: of, success, forget });
        }
    }

    /// Decides what follows the runs that are over. A run that cannot start is over at once and is followed in turn: there are
    /// no circles, so that comes to an end.
    pub(super) fn follow(&mut self, now: Now) {
        while self.loaded
            && let Some(over) = self.following.over.pop_front()
        {
            let followers: Vec<JobName> =
                self.following.followers.get(&over.job).into_iter().flatten().cloned().collect();
            for name in followers {
                let unknown = self.hear_end(&name, &over, now);
                let forget = self.forgets.iter_mut().rev().find(|forget| Some(forget.run) == over.forget);
                if let Some(forget) = forget {
                    forget.successors.extend(unknown);
                }
            }
        }
    }

    /// The ends for the mark.
    pub(super) fn carried_ends(&mut self) -> Vec<(u64, RunId)> {
        let (carried, more) = self.following.carried();
        if more && !self.following.told {
            self.tell(Fact::TooManyEnds(MAX_ENDS));
        }
        self.following.told = more;
        carried
    }

    /// Which of the jobs that a job follows have ended as it wants, since it started last.
    pub(super) fn has_ended(&self, job: &JobName, upstream: &JobName) -> bool {
        self.following.ends.contains_key(&(job.clone(), upstream.clone()))
    }

    /// The two are in a circle, and the one does not start after the other.
    pub(super) fn is_circular(&self, job: &JobName, upstream: &JobName) -> bool {
        !self.following.counts(job, upstream)
    }

    /// A job that another one follows is over. Answers with the runs that nobody but this engine knows of yet, where it is the
    /// reason for some.
    fn hear_end(&mut self, name: &JobName, over: &Over, now: Now) -> Vec<RunId> {
        let Some(job) = self.jobs.get(name).map(|entry| entry.job.clone()).filter(|job| job.enable) else {
            return Vec::new();
        };
        let Some((after, wanted)) = job.after.as_deref().and_then(|after| Some((after, *after.get(&over.job)?))) else {
            return Vec::new();
        };
        let following = &mut self.following;
        if !following.counts(name, &over.job) || following.used.remove(&(name.clone(), over.run)) {
            return Vec::new();
        }
        let edge = (name.clone(), over.job.clone());
        if !wanted.counts(over.success) {
            if following.ends.remove(&edge).is_some() {
                self.marking = Marking::Due;
            }
            return Vec::new();
        }
        let others = || after.keys().filter(|other| **other != over.job && following.counts(name, other));
        if !others().all(|other| following.ends.contains_key(&(name.clone(), other.clone()))) {
            following.counted += 1;
            following.ends.insert(edge, End { run: over.run, number: following.counted });
            self.marking = Marking::Due;
            return Vec::new();
        }
        following.ends.remove(&edge);
        let mut ends = following.take(name, after);
        if !ends.is_empty() {
            self.marking = Marking::Due;
        }
        ends.push(over.run);
        self.admit_follower(&job, &over.job, ends, now)
    }

    /// Every job that it follows has ended: it starts, waits, or is let go.
    fn admit_follower(
        &mut self,
        job: &std::sync::Arc<Job>,
        upstream: &JobName,
        ends: Vec<RunId>,
        now: Now,
    ) -> Vec<RunId> {
        let name = &job.name;
        let going = self.going.get(name).map_or(0, |going| going.runs.len());
        let by = format!("{AFTER}{upstream}");
        let ticket = Ticket { ends, ..Ticket::first(self.next_run(now), None, Trigger::After, by) };
        let run = ticket.run;
        if self.stopping.is_some() {
            self.give_up(name, ticket, Fate::Skipped(Rule::Stopping), now);
        } else if let Some(kind) = self.pauses.lets_go(name, &ticket) {
            self.pauses.pass(name, kind, 1);
            self.give_up(name, ticket, Fate::Paused(kind, 1), now);
        } else if let Some(rule) = self.overlaps(job, going) {
            self.give_up(name, ticket, Fate::Skipped(rule), now);
        } else {
            self.enter(job, ticket, going, now);
        }
        self.unknown_to_warden(name, run)
    }

    /// The runs that stand between a ticket and the warden's knowing of it.
    fn unknown_to_warden(&self, name: &JobName, run: RunId) -> Vec<RunId> {
        if self.preparing.contains(&run) {
            return vec![run];
        }
        let Some(going) = self.going.get(name) else { return Vec::new() };
        let waits = going.waiting.iter().any(|ticket| ticket.run == run);
        if waits && going.runs.iter().all(|other| self.preparing.contains(other)) {
            // The contexts that carry it are yet to be sent; should none be, it starts, and is itself unknown then.
            return going.runs.iter().copied().chain([run]).collect();
        }
        Vec::new()
    }
}

/// What `by` begins with of a run that follows another.
const AFTER: &str = "after ";

impl Ticket {
    /// The job whose end began this run, and the run that ended.
    pub fn upstream(&self) -> Option<(&str, RunId)> {
        let name = self.by.strip_prefix(AFTER).filter(|_| self.trigger == Trigger::After)?;
        Some((name, *self.ends.last()?))
    }
}
