//! What becomes of a slot.
//!
//! Slots are discovered when the loop wakes. One that is discovered at most [`LATE_LIMIT`] late still runs; of several such
//! slots of one job the newest does, and the others are missed with those that are older, unless the job catches up
//! ([`super::catchup`]). What runs is subject to the job's overlap rule and to the two bounds below.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::catchup::{self, Choice};
use super::clock::{Cause, ClockJump, LATE_LIMIT, Now, just_before};
use super::hold::Rest;
use super::jobs::before;
use super::life::Kept;
use super::mark::{Terms, Ticket, Trigger, Why};
use super::past::{Fate, Rule};
use super::retry::Dropped;
use super::{Fact, Marking, State};
use crate::conf::Change;
use crate::engine::request::PauseKind;
use crate::job::{Job, JobName, OnOverlap};
use crate::wire::{MAX_RUNS, RunId};

/// Missed slots that are counted one by one, per job and row. A row that says so many means *at least* so many.
pub const COUNT_LIMIT: u64 = 1_000;
/// Missed slots that are counted one by one in one step, over all jobs; after that a job's missed slots count as one.
const COUNT_BUDGET: u64 = 50_000;
/// Entries that mysql-crond's own two jobs have after those of its first file.
const BUILT_INS: u64 = 2;
/// Runs of one job that go on at once under `allow`.
pub const RUNS_PER_JOB: usize = 64;
/// Runs that go on at once. Half of what the warden carries, so that those it is about to forget have room.
pub const RUNS_MAX: usize = MAX_RUNS / 2;

/// A look at what has come due.
#[derive(Debug)]
pub(super) struct Look {
    pub now: Now,
    /// Why what is found late is late.
    pub cause: Cause,
    /// Missed slots that may still be counted.
    budget: u64,
}

impl Look {
    /// What was due before was not watched.
    pub fn horizon(&self) -> Timestamp {
        before(self.now.wall, LATE_LIMIT)
    }
}

impl State {
    /// Decides every slot up to now.
    pub(super) fn pass_time(&mut self, now: Now) {
        let jump = self.watched.jump(now);
        let from = self.watched.position();
        if jump == ClockJump::Back {
            self.watched.begin_again(now);
            self.jobs.set_back(&self.watched, now);
            self.pauses.set_back(now);
        }
        if jump == ClockJump::Back {
            self.tell(Fact::Clock { from, to: now.wall });
        }
        self.stood = self.watched.here();
        let cause = self.watched.cause(now);
        let mut look = Look { now, cause: cause.unwrap_or(self.before.cause), budget: COUNT_BUDGET };
        // Nothing came due for long, but somebody was there.
        let seen = self.before.seen.filter(|seen| cause.is_none() && (from..=now.wall).contains(seen));
        let late = self.jobs.first().is_some_and(|(slot, _)| *slot < look.horizon());
        let away = seen.is_none_or(|seen| seen < look.horizon());
        let gap = late || (jump == ClockJump::Gap && away);
        if gap && self.loaded {
            self.tell(Fact::Away { from: seen.unwrap_or(from), to: now.wall, cause: look.cause });
        }
        self.decide_owed(&mut look);
        while let Some((slot, name)) = self.jobs.first().filter(|(slot, _)| *slot <= now.wall).cloned() {
            self.decide(&name, slot, &mut look);
        }
        if self.loaded {
            self.watched.reach(now, gap);
            self.end_pauses(now);
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
                    self.redefine_after(&name, Some(&armed.job));
                    let (enable, changed) = (armed.job.enable, self.jobs.get(&name).is_some());
                    self.jobs.arm(armed, first, &self.watched, now);
                    if !enable {
                        self.drop_waiting(&name, Fate::Skipped(Rule::Retired), now);
                        self.drop_retries(&name, Dropped::Retired, now);
                    }
                    self.pauses.set_gone(&name, None);
                    if self.pauses.get(&name).is_none() {
                        self.jobs.number(&name);
                    }
                    let next = self.jobs.get(&name).and_then(|entry| entry.next);
                    self.tell(Fact::Armed { job: name, next, changed });
                }
                Change::Broken(name, broken) => self.jobs.set_broken(&name, broken),
                Change::Retired(name) => {
                    self.redefine_after(&name, None);
                    if self.jobs.retire(&name, now).is_some() {
                        self.drop_waiting(&name, Fate::Skipped(Rule::Retired), now);
                        self.drop_retries(&name, Dropped::Retired, now);
                        self.orphan(&name, now);
                        self.removed.remove(&name);
                        self.tell(Fact::Retired(name));
                    }
                }
            }
        }
        self.find_circles();
        if first && complete {
            self.recall_ends();
            self.may_all_be_done();
            self.loaded = true;
            self.marking = Marking::Due;
            self.jobs.leave_numbers(BUILT_INS);
            self.pauses.number(|| self.jobs.next_number());
            self.settle_retries(now);
            self.start_waiting_strays(now);
            self.boot(now);
            self.note_made();
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
            match self.pauses.rest(&name).now() {
                Some(kind) => self.book(&name, self.setting.started, self.setting.started, Fate::Paused(kind, 1)),
                None => self.admit(&name, self.setting.started, now),
            }
        }
    }

    /// Decides a job's slots from `first` up to now.
    fn decide(&mut self, name: &JobName, first: Timestamp, look: &mut Look) {
        let choice = self.choose(name, Some(first), &BTreeSet::new(), look.now);
        self.decide_with(name, first, look, choice);
    }

    /// Decides a job's slots from `first` up to now, of which some are chosen to be made up for.
    pub(super) fn decide_with(&mut self, name: &JobName, first: Timestamp, look: &mut Look, choice: Choice) {
        let (now, horizon) = (look.now, look.horizon());
        let doubted = self.doubted(name);
        let rest = self.pauses.rest(name);
        let (mut rows, mut live) = (Rows::default(), None);
        let (mut newest, mut next) = (first, Some(first));
        while let Some(slot) = next.filter(|slot| *slot <= now.wall) {
            newest = slot;
            let paused = rest.at(slot);
            let in_time = slot >= horizon && !doubted.iter().any(|span| span.holds(slot));
            if paused.is_some() || in_time {
                rows.missed(live.take());
            }
            match () {
                () if paused.is_some() => rows.add(paused, slot),
                () if choice.slots.contains(&slot) => rows.end(),
                () if in_time => live = Some(slot),
                () => rows.missed(Some(slot)),
            }
            if (slot < horizon || paused.is_some()) && (rows.last_count() >= COUNT_LIMIT || look.budget == 0) {
                let far = leap(slot, &rest, horizon, now);
                let far = choice.slots.first().map_or(far, |chosen| far.min(just_before(*chosen)));
                let following = |after| self.jobs.following(name, after, &self.watched);
                if let Some(last) = catchup::newest(following, slot, far, 1).pop() {
                    rows.reach(last);
                    newest = last;
                }
            }
            look.budget = look.budget.saturating_sub(1);
            next = self.jobs.following(name, newest, &self.watched);
        }
        if rest.outlasts(now.wall) {
            // Due before the pause and found in it: late is too late.
            rows.missed(live.take());
        }
        self.jobs.decided(name, newest, next);
        self.marking = Marking::Due;
        for row in rows.rows {
            let fate = row.paused.map_or(Fate::Missed(row.count, look.cause), |kind| Fate::Paused(kind, row.count));
            if let Some(kind) = row.paused {
                self.pauses.pass(name, kind, row.count);
            }
            self.book(name, row.newest, row.oldest, fate);
        }
        let joins = choice.joins;
        self.make_up(name, choice, now);
        match live {
            // It would join those that are made up for, of which as many wait as may.
            Some(slot) if joins => self.skip(name, slot, Rule::Limit),
            Some(slot) => self.admit(name, slot, now),
            None => {}
        }
    }

    /// A slot is due: by the job's overlap rule it starts, waits, or is let go.
    fn admit(&mut self, name: &JobName, slot: Timestamp, now: Now) {
        let Some(job) = self.jobs.get(name).map(|entry| entry.job.clone()) else { return };
        let going = self.going.get(name).map_or(0, |going| going.runs.len());
        let stopping = self.stopping.is_some().then_some(Rule::Stopping);
        let skip = stopping.or_else(|| self.overlaps(&job, going));
        if let Some(rule) = skip {
            return self.skip(name, slot, rule);
        }
        let ticket = Ticket::first(self.next_run(now), Some(slot), Trigger::Schedule, String::new());
        self.enter(&job, ticket, going, now);
    }

    /// The rule that lets go what comes due while so many runs of the job go on.
    pub(super) fn overlaps(&self, job: &Job, going: usize) -> Option<Rule> {
        let skip = match job.on_overlap {
            _ if going == 0 => None,
            OnOverlap::Skip => Some(Rule::Overlap),
            OnOverlap::Queue | OnOverlap::Replace => None,
            OnOverlap::Allow if going >= RUNS_PER_JOB => Some(Rule::Limit),
            OnOverlap::Allow => None,
        };
        skip.or_else(|| self.full().then_some(Rule::Limit))
    }

    /// Lets a slot go by a rule. One of a job that catches up is put off where that is the daemon's end.
    pub(super) fn skip(&mut self, name: &JobName, slot: Timestamp, rule: Rule) {
        if !(rule == Rule::Stopping && self.put_off(name, slot)) {
            self.book(name, slot, slot, Fate::Skipped(rule));
        }
    }

    /// Starts what the overlap rule has let in, or has it wait for the runs that go on.
    pub(super) fn enter(&mut self, job: &std::sync::Arc<crate::job::Job>, ticket: Ticket, going: usize, now: Now) {
        match job.on_overlap {
            // A slot that is made up for takes the place of none.
            _ if ticket.trigger == Trigger::CatchUp && self.retry_waits(&job.name) => self.wait(&job.name, ticket, now),
            OnOverlap::Queue | OnOverlap::Replace if going > 0 => {
                if ticket.trigger == Trigger::Request {
                    self.expect(&ticket, &job.name, &Terms::of(job));
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
        self.runs.len() + self.forgets.len() + self.retries.len() >= RUNS_MAX
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
        let going = self.going.entry(name.clone()).or_default();
        let newest = going.waiting.back().filter(|older| older.trigger != Trigger::CatchUp);
        let older = newest.is_some().then(|| going.waiting.pop_back()).flatten();
        if ticket.slot.is_some() && going.runs.iter().any(|run| self.preparing.contains(run)) {
            going.mark_at.get_or_insert(self.stood);
        }
        going.waiting.push_back(ticket);
        self.carry(name);
        if let Some(older) = older {
            self.give_up(name, older, Fate::Superseded, now);
        }
    }

    /// What waits for the job's runs will not start.
    pub(super) fn drop_waiting(&mut self, name: &JobName, fate: Fate, now: Now) {
        let Some(going) = self.going.get_mut(name).filter(|going| !going.waiting.is_empty()) else { return };
        let tickets = std::mem::take(&mut going.waiting);
        self.carry(name);
        tickets.into_iter().for_each(|ticket| self.give_up(name, ticket, fate, now));
    }

    /// One of what waits for the job's runs will not start.
    pub(super) fn drop_ticket(&mut self, name: &JobName, id: RunId, fate: Fate, now: Now) {
        let Some(going) = self.going.get_mut(name) else { return };
        let Some(place) = going.waiting.iter().position(|ticket| ticket.run == id) else { return };
        let ticket = going.waiting.remove(place);
        self.carry(name);
        ticket.into_iter().for_each(|ticket| self.give_up(name, ticket, fate, now));
    }

    /// Gives a slot its verdict.
    pub(super) fn book(&mut self, name: &JobName, slot: Timestamp, oldest: Timestamp, fate: Fate) {
        if let Some(past) = self.jobs.past_mut(name) {
            past.book(slot, fate);
        }
        self.tell(Fact::Verdict { job: name.clone(), slot, oldest, fate });
        self.may_be_done(name);
    }
}

/// Slots in a row that were let go for one reason.
#[derive(Debug)]
struct Row {
    /// The pause that they fell in; without one they were missed.
    paused: Option<PauseKind>,
    oldest: Timestamp,
    newest: Timestamp,
    count: u64,
}

/// Rows, oldest first.
#[derive(Debug, Default)]
struct Rows {
    rows: Vec<Row>,
    /// What comes next begins a row.
    ended: bool,
}

impl Rows {
    fn missed(&mut self, slot: Option<Timestamp>) {
        if let Some(slot) = slot {
            self.add(None, slot);
        }
    }

    fn add(&mut self, paused: Option<PauseKind>, slot: Timestamp) {
        let ended = std::mem::take(&mut self.ended);
        match self.rows.last_mut().filter(|row| row.paused == paused && !ended) {
            Some(row) => (row.newest, row.count) = (slot, row.count + 1),
            None => self.rows.push(Row { paused, oldest: slot, newest: slot, count: 1 }),
        }
    }

    fn last_count(&self) -> u64 {
        self.rows.last().map_or(0, |row| row.count)
    }

    /// The last row goes on up to this slot.
    fn reach(&mut self, slot: Timestamp) {
        if let Some(row) = self.rows.last_mut() {
            (row.newest, row.count) = (slot, (row.count + 1).min(COUNT_LIMIT));
        }
    }

    fn end(&mut self) {
        self.ended = true;
    }
}

/// Up to where slots after `slot` are let go for the same reason, and need not be looked at one by one.
fn leap(slot: Timestamp, rest: &Rest, horizon: Timestamp, now: Now) -> Timestamp {
    let end = if rest.at(slot).is_some() { now.wall } else { before(horizon, SignedDuration::from_nanos(1)) };
    rest.alike_until(slot).min(end)
}
