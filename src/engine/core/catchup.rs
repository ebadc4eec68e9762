//! Slots that are made up for.
//!
//! Time that nobody watched has slots in it: the daemon was down, the machine off or suspended, the clock set forward, the
//! process stopped. For all of them there is one rule, the job's [`CatchUp`]:
//!
//! - `none`: they are missed.
//! - `last`: the newest of all runs; where that is found at most [`LATE_LIMIT`](super::LATE_LIMIT) late it runs as any slot
//!   does. The others are missed.
//! - `all`: the newest so many run one after the other, oldest first. While some of them wait, slots that come due join them.
//!
//! A slot that is made up for waits for the runs of its job, whatever the job says of overlaps, and no newer slot takes its
//! place. What fell in a pause is paused, and what a clock that was set back has seen before is decided.
//!
//! Of a job that catches up every slot's run is **claimed**: it is in the ledger before it starts. So even when daemon and
//! machine die at once, the next daemon knows of every slot what was started. Of any other job what was due in the last moment
//! before such a death may have been started without leaving a word: it is missed ([`State::doubted`]).

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::clock::{Cause, LATE_LIMIT, Now, just_before};
use super::jobs::before;
use super::life::Kept;
use super::mark::{Mark, Ticket, Trigger};
use super::past::{Fate, Rule};
use super::pause::Span;
use super::slots::Look;
use super::{Going, State};
use crate::engine::ledger::{End, Left, Word};
use crate::job::{CatchUpRule, Job, JobName, MAX_CATCH_UP};

/// How long after the ledger says so a daemon may have been there: it is written once a minute.
const UNSEEN: SignedDuration = SignedDuration::from_secs(61);
/// Deaths of daemons that are kept in mind: those whose time is not watched again; the oldest go first.
const DOUBTS: usize = 16;

/// The time before this engine.
#[derive(Debug)]
pub(super) struct Before {
    /// Why nobody watched.
    pub cause: Cause,
    /// When somebody was there for certain.
    pub seen: Option<Timestamp>,
    /// Slots in here may have been started by daemons that were killed, the oldest first.
    pub doubts: Vec<Span>,
}

impl Before {
    /// By the mark of this daemon's warden, which `started` then; where there is none, by the ledger of a daemon before.
    pub(super) fn of(left: &Left, mark: Option<&Mark>, started: Timestamp) -> Self {
        let another = mark.is_none() && !left.own && !left.stretches.is_empty();
        let mut doubts = mark.map_or_else(|| left.doubts.clone(), |mark| mark.doubts.clone());
        if let Some(last) = left.stretches.last().filter(|_| another && left.end != End::Closed) {
            // It was there for a moment longer than the ledger says, by whatever clock.
            let seen = left.seen.unwrap_or(last.to).max(last.to);
            let until = if started > last.to { started } else { seen.checked_add(UNSEEN).unwrap_or(seen) };
            let watched = |doubt: &Span| left.stretches.iter().any(|at| at.from <= doubt.since && doubt.until <= at.to);
            doubts.retain(|doubt| !watched(doubt));
            doubts.push(Span { since: last.to, until });
            doubts.drain(..doubts.len().saturating_sub(DOUBTS));
        }
        let cause = if another && left.rebooted { Cause::Off } else { Cause::Down };
        Self { cause, seen: left.seen, doubts }
    }
}

/// The slots of a job that are made up for.
#[derive(Debug, Default)]
pub(super) struct Choice {
    /// Outside of the job's own time, oldest first.
    pub slots: BTreeSet<Timestamp>,
    /// What is found in time joins those that wait, of which as many do as may.
    pub joins: bool,
}

/// Whether the run of a ticket must be in the ledger before it starts.
pub(super) fn claimed(job: &Job, ticket: &Ticket) -> bool {
    ticket.slot.is_some() && ticket.attempt == 1 && job.catch_up.rule != CatchUpRule::None
}

/// A slot is not owed any more: a run stands for it.
pub(super) fn disown(owed: &mut BTreeMap<JobName, BTreeSet<Timestamp>>, job: &JobName, slot: Timestamp) {
    if let Some(slots) = owed.get_mut(job) {
        slots.remove(&slot);
    }
}

impl State {
    /// Slots of a job in here may have been started already by a daemon that was killed, and are missed for that.
    pub(super) fn doubted(&self, name: &JobName) -> Vec<Span> {
        let claims = self.jobs.get(name).is_some_and(|entry| entry.job.catch_up.rule != CatchUpRule::None);
        if claims { Vec::new() } else { self.before.doubts.clone() }
    }

    /// Which slots of a job up to now are made up for: of those that nobody watched from `first` on, and of those that are
    /// `owed`.
    pub(super) fn choose(
        &self,
        name: &JobName,
        first: Option<Timestamp>,
        owed: &BTreeSet<Timestamp>,
        now: Now,
    ) -> Choice {
        let Some(entry) = self.jobs.get(name) else { return Choice::default() };
        let catch_up = entry.job.catch_up;
        let horizon = before(now.wall, LATE_LIMIT);
        let rest = self.pauses.rest(name);
        if !entry.job.enable || catch_up.rule == CatchUpRule::None || rest.outlasts(now.wall) {
            return Choice::default();
        }
        let waiting = self.going.get(name).map_or(0, made_up_waiting);
        let most = match catch_up.rule {
            CatchUpRule::All => usize::try_from(catch_up.max).unwrap_or(usize::MAX).saturating_sub(waiting),
            CatchUpRule::None | CatchUpRule::Last => 1,
        };
        let all = catch_up.rule == CatchUpRule::All;
        if most == 0 {
            return Choice { joins: true, ..Choice::default() };
        }
        let lone = first.is_none_or(|first| {
            first >= horizon
                && (!all || self.jobs.following(name, first, &self.watched).is_none_or(|next| next > now.wall))
        });
        if lone && owed.is_empty() && (!all || waiting == 0) {
            return Choice::default();
        }
        let window = SignedDuration::try_from(catch_up.window).unwrap_or(SignedDuration::MAX);
        let oldest = before(now.wall, window);
        let own =
            entry.written.filter(|written| *written <= now.wall).unwrap_or(Timestamp::MIN).max(just_before(oldest));
        let from = first.map_or(now.wall, |first| just_before(first).min(self.watched.position()).max(own));
        let next = |mut after: Timestamp| {
            loop {
                let slot = self.jobs.unwatched(name, after, &self.watched)?;
                match rest.at(slot) {
                    Some(_) => after = rest.alike_until(slot).max(slot),
                    None => return Some(slot),
                }
            }
        };
        let paused = |slot: &Timestamp| rest.at(*slot).is_some();
        let mut slots: BTreeSet<Timestamp> = newest(next, from, now.wall, most).into_iter().collect();
        slots.extend(owed.iter().filter(|slot| **slot >= oldest && !paused(slot)));
        while slots.len() > most {
            slots.pop_first();
        }
        slots.retain(|slot| owed.contains(slot) || !self.jobs.is_decided(name, *slot));
        let in_time = |slot: &Timestamp| *slot >= horizon && !owed.contains(slot);
        let alone = slots.len() == 1 && (!all || waiting == 0);
        if alone && slots.first().is_some_and(in_time) {
            // It is in time, and needs no making up for.
            slots.clear();
        }
        Choice { slots, joins: false }
    }

    /// Has slots run that are made up for, once the job's runs are over.
    pub(super) fn make_up(&mut self, name: &JobName, choice: Choice, now: Now) {
        let Some(job) = self.jobs.get(name).map(|entry| entry.job.clone()) else { return };
        if choice.slots.is_empty() {
            return;
        }
        if self.stopping.is_some() {
            return choice.slots.into_iter().for_each(|slot| self.skip(name, slot, Rule::Stopping));
        }
        self.remember_made(name, &choice.slots, now);
        if self.full() {
            return choice.slots.into_iter().for_each(|slot| self.skip(name, slot, Rule::Limit));
        }
        if job.catch_up.rule == CatchUpRule::Last {
            self.drop_made_up(name, now);
        }
        let mut tickets = Vec::new();
        for slot in choice.slots {
            tickets.push(Ticket::first(self.next_run(now), Some(slot), Trigger::CatchUp, String::new()));
        }
        let retry = self.retry_waits(name);
        let going = self.going.entry(name.clone()).or_default();
        let first = (going.runs.is_empty() && going.waiting.is_empty() && !retry).then(|| tickets.remove(0));
        going.waiting.extend(tickets);
        let idle = going.runs.is_empty() && !retry;
        if idle || going.runs.iter().any(|run| self.preparing.contains(run)) {
            going.mark_at.get_or_insert(self.stood);
        }
        if let Some(first) = first {
            self.launch(job, first, Kept::ByMark, now);
        }
        self.carry(name);
    }

    /// Keeps in mind what is made up for and will not be in watched time.
    fn remember_made(&mut self, name: &JobName, slots: &BTreeSet<Timestamp>, now: Now) {
        let horizon = before(now.wall, LATE_LIMIT);
        let late = (slots.range(..horizon).next(), slots.range(..horizon).next_back());
        if let (Some(oldest), Some(newest)) = late {
            self.jobs.make(name, Span { since: just_before(*oldest), until: *newest });
        }
        // The clock was set back since these came due.
        for slot in slots.range(now.wall..).filter(|slot| **slot > now.wall) {
            self.jobs.make(name, Span { since: just_before(*slot), until: *slot });
            self.jobs.leave_out(name, *slot, &self.watched);
        }
        if !self.jobs.made(name).is_empty() {
            self.note(Word::Made(name.clone(), self.jobs.made(name).to_vec()));
        }
    }

    /// Of `last` only the newest is made up for.
    fn drop_made_up(&mut self, name: &JobName, now: Now) {
        let waiting = self.going.get(name).into_iter().flat_map(|going| &going.waiting);
        let older: Vec<_> =
            waiting.filter(|ticket| ticket.trigger == Trigger::CatchUp).map(|ticket| ticket.run).collect();
        older.into_iter().for_each(|run| self.drop_ticket(name, run, Fate::Superseded, now));
    }

    /// Decides anew what a daemon before owed, and with it what fell in the time since.
    pub(super) fn decide_owed(&mut self, look: &mut Look) {
        if !self.loaded || self.stopping.is_some() {
            return;
        }
        for (name, owed) in std::mem::take(&mut self.owed) {
            self.owing.insert(name.clone());
            let first = self.jobs.get(&name).and_then(|entry| entry.next).filter(|next| *next <= look.now.wall);
            let enabled = self.jobs.get(&name).is_some_and(|entry| entry.job.enable);
            let rest = self.pauses.rest(&name);
            let choice = self.choose(&name, first, &owed, look.now);
            for slot in owed.iter().copied().filter(|slot| !choice.slots.contains(slot)) {
                let fate = match rest.at(slot) {
                    _ if !enabled => Fate::Skipped(Rule::Retired),
                    Some(kind) => Fate::Paused(kind, 1),
                    None => Fate::Missed(1, look.cause),
                };
                self.book(&name, slot, slot, fate);
            }
            if let Some(first) = first {
                self.decide_with(&name, first, look, choice);
            } else {
                self.make_up(&name, choice, look.now);
            }
        }
    }

    /// A slot of a job that catches up comes due while the daemon stops: the next one decides it. False: it does not, or too
    /// many are put off already.
    pub(super) fn put_off(&mut self, name: &JobName, slot: Timestamp) -> bool {
        let catches_up = self.jobs.get(name).is_some_and(|entry| entry.job.catch_up.rule != CatchUpRule::None);
        let owed = self.owed.entry(name.clone()).or_default();
        let put_off = catches_up && owed.len() < MAX_CATCH_UP as usize;
        if put_off {
            owed.insert(slot);
            self.owing.insert(name.clone());
        }
        put_off
    }

    /// Has the ledger know what is owed: what is put off, and what waits.
    pub(super) fn note_owed(&mut self) {
        for name in std::mem::take(&mut self.owing) {
            let waiting = self.going.get(&name).into_iter().flat_map(|going| &going.waiting);
            let put_off = self.owed.get(&name).into_iter().flatten().copied();
            let slots: BTreeSet<Timestamp> = waiting.filter_map(|ticket| ticket.slot).chain(put_off).collect();
            self.note(Word::Owed(name, slots.into_iter().collect()));
        }
    }

    /// Has the ledger of this engine know what was made up for before.
    pub(super) fn note_made(&mut self) {
        let made = self.jobs.names_made().map(|name| Word::Made(name.clone(), self.jobs.made(name).to_vec()));
        let made: Vec<Word> = made.collect();
        made.into_iter().for_each(|word| self.note(word));
    }
}

/// Slots that wait to be made up for.
fn made_up_waiting(going: &Going) -> usize {
    going.waiting.iter().filter(|ticket| ticket.trigger == Trigger::CatchUp).count()
}

/// The newest slots after `from`, up to and including `to`, at most `most`; oldest first. `next` gives the first slot after an
/// instant. However many there are, little work: the stretch that is counted through grows until it holds enough, and is
/// halved where it holds far too many.
pub(super) fn newest(
    next: impl Fn(Timestamp) -> Option<Timestamp>,
    from: Timestamp,
    to: Timestamp,
    most: usize,
) -> Vec<Timestamp> {
    let cap = most.saturating_mul(4).saturating_add(16);
    let walk = |start: Timestamp| {
        let mut found = Vec::new();
        let mut after = start;
        while let Some(slot) = next(after).filter(|slot| *slot <= to) {
            if found.len() == cap {
                return None;
            }
            found.push(slot);
            after = slot;
        }
        Some(found)
    };
    let (mut near, mut far, mut span) = (to, None, SignedDuration::from_secs(60));
    let mut found = Vec::new();
    loop {
        let start = match far {
            None => before(to, span).max(from),
            Some(far) => middle(far, near),
        };
        match walk(start) {
            Some(slots) => {
                found = slots;
                if found.len() >= most || start <= from {
                    break;
                }
                near = start;
                span = span.saturating_mul(4);
            }
            None => far = Some(start),
        }
        if far.is_some_and(|far| near.duration_since(far) <= SignedDuration::from_micros(1)) {
            break;
        }
    }
    found.split_off(found.len().saturating_sub(most))
}

fn middle(from: Timestamp, to: Timestamp) -> Timestamp {
    let half = to.duration_since(from) / 2;
    from.checked_add(half).unwrap_or(to)
}
