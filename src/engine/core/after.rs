//! Jobs that follow other jobs: which ends have come, and what starts because of them.
//!
//! A job is due once each job that it names in `after` has ended as it wants since it started last, whatever started it. An
//! end of the other kind takes back what came of that job before. It is then treated as a request that nobody waits for: it
//! goes through its pause, the hold, its overlap rule and the bounds, and where it does not start, that is a verdict at the
//! instant of the end. Jobs that follow each other in a circle would run for ever, so a circle's own edges are ignored.
//!
//! **Nothing is lost with an engine and nothing runs twice.** What is decided of one end goes to the warden in this order: the
//! runs that it starts, the mark with the ends that have come and still wait for others, and the context of the run that
//! ended. That says that it has been heard, and has the tickets of runs that are not with the warden yet; an engine that finds
//! the run over anew by the warden's word starts those, and does not hear it again. One that dies between these messages leaves
//! tickets that say which ends they have used up, and to hear the others once more changes nothing. The run that ended is
//! forgotten once all that it has started is with the warden.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use super::clock::Now;
use super::mark::{Context, Ticket, Trigger};
use super::past::{Fate, Rule};
use super::{Effect, Fact, Forget, Marking, State};
use crate::job::circle::circles;
use crate::job::{After, Job, JobName, file::hash_of};
use crate::wire::{RunId, ToWarden};

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
    /// The warden's mark is behind.
    unmarked: bool,
    /// More than the mark carries, which has been told.
    told: bool,
    /// Those that the engine before left, until the jobs are known.
    left: HashMap<u64, RunId>,
    /// Ends that runs and tickets of the engine before have used up.
    used: BTreeSet<(JobName, RunId)>,
    /// Runs of the engine before whose ends were heard, each with what was yet to be started by it.
    heard: BTreeMap<RunId, Vec<(JobName, Ticket)>>,
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
            self.ends_changed();
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

    /// A run of the engine before says which ends it and what waits for it have used up, and whether its own was heard.
    pub(super) fn note_ends(&mut self, context: &Context) {
        if let Some(unknown) = &context.heard {
            let last = unknown.iter().map(|(_, ticket)| ticket.run).max();
            self.last_run = self.last_run.max(last.unwrap_or(self.last_run));
            self.following.heard.insert(context.ticket.of, unknown.clone());
        }
        let tickets = std::iter::once(&context.ticket).chain(&context.waiting);
        let ends = tickets.flat_map(|ticket| &ticket.ends).map(|end| (context.job.clone(), *end));
        self.following.used.extend(ends);
    }

    /// A job starts: every end that has come for it is used up by that.
    pub(super) fn use_ends(&mut self, job: &Job, ticket: &mut Ticket) {
        if let (1, Some(after)) = (ticket.attempt, &job.after) {
            let taken = self.following.take(&job.name, after);
            if !taken.is_empty() {
                self.ends_changed();
                // The last stays the one that began it.
                ticket.ends.splice(0..0, taken);
            }
        }
    }

    fn ends_changed(&mut self) {
        self.marking = Marking::Due;
        self.following.unmarked = true;
    }

    /// A run is over, and no attempt follows: to be called once for each, after its last attempt is on its way to be
    /// forgotten. `of` is the run's id.
    pub(super) fn finished(&mut self, job: &JobName, of: RunId, success: bool) {
        self.may_be_done(job);
        if self.is_followed(job) {
            let forget = self.forgets.back().map(|forget| forget.run);
            self.following.over.push_back(Over { job: job.clone(), run: of, success, forget });
        }
    }

    /// The end of a run of this job may be the reason for other runs.
    pub(super) fn is_followed(&self, job: &JobName) -> bool {
        !self.loaded || self.following.followers.contains_key(job)
    }

    /// Decides what follows the runs that are over. A run that cannot start is over at once and is followed in turn: there are
    /// no circles, so that comes to an end.
    pub(super) fn follow(&mut self, now: Now) {
        while self.loaded
            && let Some(over) = self.following.over.pop_front()
        {
            let unknown = match self.following.heard.remove(&over.run) {
                Some(unknown) => {
                    unknown.into_iter().filter_map(|(name, ticket)| self.go_after_all(name, ticket, now)).collect()
                }
                None => self.hear(&over, now),
            };
            if self.following.unmarked {
                self.send_mark();
            }
            if let Some(forget) = self.not_forgotten(&over) {
                forget.successors.extend(unknown.iter().flat_map(|unknown| &unknown.before));
                let tickets = unknown.into_iter().map(|unknown| (unknown.job, unknown.ticket)).collect();
                let (run, context) = (forget.run, forget.context.take());
                let context =
                    context.and_then(|context| Context { heard: Some(tickets), told: true, ..*context }.encode());
                self.effects.extend(context.map(|context| Effect::Send(ToWarden::Context { run, context })));
            }
        }
    }

    /// Tells every follower of an end. Answers with what was started and is not with the warden yet.
    fn hear(&mut self, over: &Over, now: Now) -> Vec<Unknown> {
        let followers = self.following.followers.get(&over.job);
        let followers: Vec<JobName> = followers.into_iter().flatten().cloned().collect();
        followers.into_iter().filter_map(|name| self.hear_end(&name, over, now)).collect()
    }

    /// What an engine before was to start, and did not live to, unless the warden knows of it all the same.
    fn go_after_all(&mut self, name: JobName, ticket: Ticket, now: Now) -> Option<Unknown> {
        let waits = |going: &super::Going| going.waiting.iter().any(|other| other.run == ticket.run);
        if self.runs.contains_key(&ticket.run) || self.going.get(&name).is_some_and(waits) {
            return None;
        }
        match self.jobs.get(&name).map(|entry| entry.job.clone()).filter(|job| job.enable) {
            Some(job) => self.admit_follower(&job, ticket, now),
            None => {
                self.give_up(&name, ticket, Fate::Skipped(Rule::Retired), now);
                None
            }
        }
    }

    fn not_forgotten(&mut self, over: &Over) -> Option<&mut Forget> {
        self.forgets.iter_mut().rev().find(|forget| Some(forget.run) == over.forget)
    }

    /// The ends for the mark.
    pub(super) fn carried_ends(&mut self) -> Vec<(u64, RunId)> {
        self.following.unmarked = false;
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

    /// A job that this one follows is over.
    fn hear_end(&mut self, name: &JobName, over: &Over, now: Now) -> Option<Unknown> {
        let job = self.jobs.get(name).map(|entry| entry.job.clone()).filter(|job| job.enable)?;
        let after = job.after.as_deref()?;
        let wanted = after.get(&over.job)?;
        let following = &mut self.following;
        if !following.counts(name, &over.job) || following.used.remove(&(name.clone(), over.run)) {
            return None;
        }
        let edge = (name.clone(), over.job.clone());
        if !wanted.counts(over.success) {
            if following.ends.remove(&edge).is_some() {
                self.ends_changed();
            }
            return None;
        }
        let others = || after.keys().filter(|other| **other != over.job && following.counts(name, other));
        if !others().all(|other| following.ends.contains_key(&(name.clone(), other.clone()))) {
            following.counted += 1;
            following.ends.insert(edge, End { run: over.run, number: following.counted });
            self.ends_changed();
            return None;
        }
        following.ends.remove(&edge);
        let mut ends = following.take(name, after);
        if !ends.is_empty() {
            self.ends_changed();
        }
        ends.push(over.run);
        let by = format!("{AFTER}{}", over.job);
        let ticket = Ticket { ends, ..Ticket::first(self.next_run(now), None, Trigger::After, by) };
        self.admit_follower(&job, ticket, now)
    }

    /// Every job that it follows has ended: it starts, waits, or is let go.
    fn admit_follower(&mut self, job: &Arc<Job>, ticket: Ticket, now: Now) -> Option<Unknown> {
        let name = &job.name;
        let going = self.going.get(name).map_or(0, |going| going.runs.len());
        if self.stopping.is_some() {
            self.give_up(name, ticket, Fate::Skipped(Rule::Stopping), now);
            None
        } else if let Some(kind) = self.pauses.lets_go(name, &ticket) {
            self.pauses.pass(name, kind, 1);
            self.give_up(name, ticket, Fate::Paused(kind, 1), now);
            None
        } else if let Some(rule) = self.overlaps(job, going) {
            self.give_up(name, ticket, Fate::Skipped(rule), now);
            None
        } else {
            self.enter(job, ticket.clone(), going, now);
            self.unknown(name, ticket)
        }
    }

    /// What stands between a ticket and the warden's knowing of it, if anything does.
    fn unknown(&self, name: &JobName, ticket: Ticket) -> Option<Unknown> {
        let run = ticket.run;
        if self.preparing.contains(&run) {
            return Some(Unknown { job: name.clone(), ticket, before: vec![run] });
        }
        let going = self.going.get(name)?;
        let waits = going.waiting.iter().any(|other| other.run == run);
        // The contexts that carry it are yet to be sent; should none be, it starts, and is itself prepared then.
        let before = || going.runs.iter().copied().chain([run]).collect();
        let unsent = waits && going.runs.iter().all(|other| self.preparing.contains(other));
        unsent.then(|| Unknown { job: name.clone(), ticket, before: before() })
    }
}

/// Something that was started and that the warden does not know yet.
#[derive(Debug)]
struct Unknown {
    job: JobName,
    ticket: Ticket,
    /// It knows once none of these is being prepared.
    before: Vec<RunId>,
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
