//! What becomes of a slot.
//!
//! Slots are discovered when the loop wakes. One that is discovered at most [`LATE_LIMIT`] late still runs; of several such
//! slots of one job the newest does, and the others are missed with those that are older. What runs is subject to the job's
//! overlap rule and to the two bounds below.

use jiff::{SignedDuration, Timestamp};

use super::clock::{ClockJump, LATE_LIMIT, Now};
use super::jobs::before;
use super::life::Kept;
use super::mark::{Terms, Ticket, Why};
use super::past::{Fate, Rule};
use super::{Fact, Marking, State};
use crate::conf::Change;
use crate::job::{JobName, OnOverlap};
use crate::wire::{MAX_RUNS, RunId};

/// Missed slots that are counted one by one, per job and row. A row that says so many means *at least* so many.
pub const COUNT_LIMIT: u64 = 1_000;
/// Missed slots that are counted one by one in one step, over all jobs; after that a job's missed slots count as one.
const COUNT_BUDGET: u64 = 50_000;
/// Runs of one job that go on at once under `allow`.
pub const RUNS_PER_JOB: usize = 64;
/// Runs that go on at once. Half of what the warden carries, so that those it is about to forget have room.
pub const RUNS_MAX: usize = MAX_RUNS / 2;

impl State {
    /// Decides every slot up to now.
    pub(super) fn pass_time(&mut self, now: Now) {
        let jump = self.watched.jump(now);
        let from = self.watched.position();
        if jump == ClockJump::Back {
            self.watched.begin_again(now);
            self.jobs.set_back(&self.watched, now);
        }
        let mut gap = jump == ClockJump::Gap;
        let mut budget = COUNT_BUDGET;
        while let Some((slot, name)) = self.jobs.first().filter(|(slot, _)| *slot <= now.wall).cloned() {
            gap |= self.decide(&name, slot, now, &mut budget);
        }
        if self.loaded {
            self.watched.reach(now, gap);
        }
        if jump == ClockJump::Back || (gap && self.loaded) {
            let jump = if gap { ClockJump::Gap } else { jump };
            self.tell(Fact::Clock { jump, from, to: now.wall });
        }
    }

    /// Takes in definitions. The old ones first have their say about the time until now.
    pub(super) fn load(&mut self, changes: Vec<Change>, complete: bool, now: Now) {
        self.pass_time(now);
        let first = !self.loaded;
        for change in changes {
            match change {
                Change::Armed(armed) => {
                    let name = armed.job.name.clone();
                    let (enable, changed) = (armed.job.enable, self.jobs.get(&name).is_some());
                    self.jobs.arm(armed, first, &self.watched, now);
                    if !enable {
                        self.drop_waiting(&name, Rule::Retired, now);
                    }
                    let next = self.jobs.get(&name).and_then(|entry| entry.next);
                    self.tell(Fact::Armed { job: name, next, changed });
                }
                Change::Broken(name, broken) => self.jobs.set_broken(&name, broken),
                Change::Retired(name) => {
                    if self.jobs.retire(&name, now).is_some() {
                        self.drop_waiting(&name, Rule::Retired, now);
                        self.tell(Fact::Retired(name));
                    }
                }
            }
        }
        if first && complete {
            self.loaded = true;
            self.marking = Marking::Due;
            self.start_waiting_strays(now);
            self.boot(now);
        }
        self.pass_time(now);
    }

    /// Starts the `@reboot` jobs of the first snapshot, once in a boot. Their slot is the daemon's start.
    fn boot(&mut self, now: Now) {
        if std::mem::replace(&mut self.booted, true) {
            return;
        }
        let due = |(name, entry): (&JobName, &super::jobs::Entry)| {
            let reboot = entry.job.schedule.as_ref().is_some_and(|schedule| schedule.is_reboot());
            (reboot && entry.job.enable && !self.booted_jobs.contains(name)).then(|| name.clone())
        };
        let due: Vec<JobName> = self.jobs.iter().filter_map(due).collect();
        for name in due {
            self.admit(&name, self.setting.started, now);
        }
    }

    /// Decides a job's slots from `first` up to now. True when some are so old that nobody can have watched.
    fn decide(&mut self, name: &JobName, first: Timestamp, now: Now, budget: &mut u64) -> bool {
        let horizon = before(now.wall, LATE_LIMIT);
        let (mut missed, mut count, mut live) = (first, 0, None);
        let (mut newest, mut next) = (first, Some(first));
        while let Some(slot) = next.filter(|slot| *slot <= now.wall) {
            newest = slot;
            let lost = if slot >= horizon { live.replace(slot) } else { Some(slot) };
            if let Some(lost) = lost {
                (missed, count) = (lost, count + 1);
            }
            let after = if slot >= horizon || (count < COUNT_LIMIT && *budget > 0) {
                *budget = budget.saturating_sub(1);
                slot
            } else {
                before(horizon, SignedDuration::from_nanos(1)).max(slot)
            };
            next = self.jobs.following(name, after, &self.watched);
        }
        self.jobs.decided(name, newest, next);
        self.marking = Marking::Due;
        if count > 0 {
            self.book(name, missed, first, Fate::Missed(count));
        }
        if let Some(slot) = live {
            self.admit(name, slot, now);
        }
        first < horizon
    }

    /// A slot is due: by the job's overlap rule it starts, waits, or is let go.
    fn admit(&mut self, name: &JobName, slot: Timestamp, now: Now) {
        let Some(job) = self.jobs.get(name).map(|entry| entry.job.clone()) else { return };
        let going = self.going.get(name).map_or(0, |going| going.runs.len());
        let skip = match job.on_overlap {
            _ if self.stopping.is_some() => Some(Rule::Stopping),
            _ if going == 0 => None,
            OnOverlap::Skip => Some(Rule::Overlap),
            OnOverlap::Queue | OnOverlap::Replace => None,
            OnOverlap::Allow if going >= RUNS_PER_JOB => Some(Rule::Limit),
            OnOverlap::Allow => None,
        };
        let skip = skip.or_else(|| self.full().then_some(Rule::Limit));
        if let Some(rule) = skip {
            return self.book(name, slot, slot, Fate::Skipped(rule));
        }
        let ticket = Ticket { run: self.next_run(now), slot: Some(slot), by: String::new() };
        self.enter(&job, ticket, going, now);
    }

    /// Starts what the overlap rule has let in, or has it wait for the runs that go on.
    pub(super) fn enter(&mut self, job: &std::sync::Arc<crate::job::Job>, ticket: Ticket, going: usize, now: Now) {
        match job.on_overlap {
            OnOverlap::Queue | OnOverlap::Replace if going > 0 => {
                if ticket.slot.is_none() {
                    self.expect(ticket.run, &job.name, &Terms::of(job));
                }
                self.wait(&job.name, ticket, now);
                if job.on_overlap == OnOverlap::Replace {
                    self.stop_all(&job.name, Why::Replaced, now);
                }
            }
            _ => self.launch(job.clone(), ticket, Kept::ByMark, now),
        }
    }

    /// No more runs may go on.
    pub(super) fn full(&self) -> bool {
        self.runs.len() + self.forgets.len() >= RUNS_MAX
    }

    /// A fresh run id.
    pub(super) fn next_run(&mut self, now: Now) -> RunId {
        self.last_run = RunId::after(self.last_run, now.wall);
        self.marking = match self.marking {
            Marking::Fresh => Marking::Stale,
            other => other,
        };
        self.last_run
    }

    /// Has a ticket wait until the job's runs are over. The contexts of those runs remember it, and the newest wins.
    fn wait(&mut self, name: &JobName, ticket: Ticket, now: Now) {
        if let Some(going) = self.going.get_mut(name) {
            let older = going.waiting.replace(ticket);
            self.carry(name);
            if let Some(older) = older {
                self.give_up(name, older, Fate::Superseded, now);
            }
        }
    }

    /// What waits for the job's runs will not start.
    pub(super) fn drop_waiting(&mut self, name: &JobName, rule: Rule, now: Now) {
        if let Some(ticket) = self.going.get_mut(name).and_then(|going| going.waiting.take()) {
            self.carry(name);
            self.give_up(name, ticket, Fate::Skipped(rule), now);
        }
    }

    /// Gives a slot its verdict.
    pub(super) fn book(&mut self, name: &JobName, slot: Timestamp, oldest: Timestamp, fate: Fate) {
        if let Some(past) = self.jobs.past_mut(name) {
            past.book(slot, fate);
        }
        self.tell(Fact::Verdict { job: name.clone(), slot, oldest, fate });
    }
}
