//! The armed jobs, and which slot of each is next to be decided.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp, Unit};

use super::clock::{Known, LATE_LIMIT, Now, Watched, just_before};
use super::mark::Trigger;
use super::past::JobPast;
use super::pause::Span;
use crate::job::{Armed, Job, JobName};

/// Spans that are kept of each job in which slots were made up for; the oldest go first.
const MADE_SPANS: usize = 16;

/// A job as it stands.
#[derive(Debug)]
pub struct Entry {
    /// Its definition.
    pub job: Arc<Job>,
    /// Its number while it is active.
    pub number: Option<u64>,
    /// Slots up to here are none of the definition's.
    since: Timestamp,
    /// Nor are those up to here, once the clock is there: the file says that it was changed in what was the future.
    pub written: Option<Timestamp>,
    /// Which watched time counts for it.
    known: Known,
    /// Slots in here are decided besides: after the first instant, up to the second. Mostly none.
    decided: Vec<(Timestamp, Timestamp)>,
    /// The slot decided last.
    pub newest: Option<Timestamp>,
    /// Its file is broken since: this is the last good definition.
    pub broken: bool,
    /// The first slot that is not decided.
    pub next: Option<Timestamp>,
    /// What became of it before.
    pub past: JobPast,
}

/// All jobs, by name and by next slot.
#[derive(Debug)]
pub struct Jobs {
    entries: BTreeMap<JobName, Entry>,
    due: BTreeSet<(Timestamp, JobName)>,
    /// Jobs taken away within the last [`LATE_LIMIT`]: a file that is moved away and back must not run a slot twice.
    retired: BTreeMap<JobName, Retired>,
    /// Slots that runs of the engine before stand for: after the first instant, up to the second.
    inherited: BTreeMap<JobName, Vec<(Timestamp, Timestamp)>>,
    /// Slots that were made up for outside of watched time, whatever the definition is.
    made: BTreeMap<JobName, Vec<Span>>,
    /// `@every` counts from here, at the earliest.
    base: Timestamp,
    /// The number that was given last.
    numbered: u64,
}

#[derive(Debug)]
struct Retired {
    known: Known,
    decided: Vec<(Timestamp, Timestamp)>,
    at: Duration,
}

impl Jobs {
    /// None, with the instant from which `@every` counts. Numbers of entries are never given again in the life of the daemon:
    /// an engine of a later `generation` begins beyond those that the ones before can have given. `made`: what was made up
    /// for before.
    pub fn new(base: Timestamp, generation: u32, made: BTreeMap<JobName, Vec<Span>>) -> Self {
        Self {
            entries: BTreeMap::new(),
            due: BTreeSet::new(),
            retired: BTreeMap::new(),
            inherited: BTreeMap::new(),
            made,
            base,
            numbered: u64::from(generation) << 32,
        }
    }

    /// Where `@every` counts from, at the earliest.
    pub fn base(&self) -> Timestamp {
        self.base
    }

    /// A job by name.
    pub fn get(&self, name: &JobName) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// The same, to write its past.
    pub fn past_mut(&mut self, name: &JobName) -> Option<&mut JobPast> {
        self.entries.get_mut(name).map(|entry| &mut entry.past)
    }

    /// Its file is broken since, or good again.
    pub fn set_broken(&mut self, name: &JobName, broken: bool) {
        if let Some(entry) = self.entries.get_mut(name) {
            entry.broken = broken;
        }
    }

    /// Every slot that is next for its job, soonest first.
    pub fn due(&self) -> impl Iterator<Item = &(Timestamp, JobName)> {
        self.due.iter()
    }

    /// A number that was never given before.
    pub fn next_number(&mut self) -> u64 {
        self.numbered += 1;
        self.numbered
    }

    /// Leaves out so many numbers.
    pub fn leave_numbers(&mut self, count: u64) {
        self.numbered += count;
    }

    /// A job has become active, and has a number of its own from now on: none if it is disabled.
    pub fn number(&mut self, name: &JobName) {
        if let Some(entry) = self.entries.get_mut(name).filter(|entry| entry.job.enable) {
            self.numbered += 1;
            entry.number = Some(self.numbered);
        }
    }

    /// A job is no longer active. The number it had.
    pub fn unnumber(&mut self, name: &JobName) -> Option<u64> {
        self.entries.get_mut(name)?.number.take()
    }

    /// Every job, by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&JobName, &Entry)> {
        self.entries.iter()
    }

    /// The next slot of all, and whose.
    pub fn first(&self) -> Option<&(Timestamp, JobName)> {
        self.due.first()
    }

    /// A run of the engine before stands for this slot, which the mark does not cover. Live slots before it were decided
    /// with it, unless it was made up for: then each of them has a run of its own.
    pub fn inherit(&mut self, name: &JobName, slot: Timestamp, trigger: Trigger) {
        let Span { since, until } = stood_for(slot, trigger);
        self.inherited.entry(name.clone()).or_default().push((since, until));
    }

    /// Slots of a job in this span are made up for, and never again.
    pub fn make(&mut self, name: &JobName, span: Span) {
        let made = self.made.entry(name.clone()).or_default();
        match made.last_mut().filter(|last| last.since <= span.until && span.since <= last.until) {
            Some(last) => *last = Span { since: last.since.min(span.since), until: last.until.max(span.until) },
            None => made.push(span),
        }
        let excess = made.len().saturating_sub(MADE_SPANS);
        made.drain(..excess);
    }

    /// A slot that was still to come is decided.
    pub fn leave_out(&mut self, name: &JobName, slot: Timestamp, watched: &Watched) {
        let is_next = self.entries.get(name).is_some_and(|entry| entry.next == Some(slot));
        if is_next && let Some(mut entry) = self.take(name) {
            entry.next = entry.undecided(slot, self.base, watched, self.made(name));
            self.put(name.clone(), entry);
        }
    }

    /// What [`Self::make`] was told of a job.
    pub fn made(&self, name: &JobName) -> &[Span] {
        self.made.get(name).map_or(&[], Vec::as_slice)
    }

    /// The jobs of which it was told.
    pub fn names_made(&self) -> impl Iterator<Item = &JobName> {
        self.made.keys()
    }

    /// Arms a definition, new or in place of another. With `first` it belongs to an engine's first snapshot: its slots count
    /// from where the engine before (or the daemon's start) left off. Otherwise from when the file was changed, but a file
    /// that comes late does not reach back further than [`LATE_LIMIT`], and never to a slot decided under another definition.
    pub fn arm(&mut self, armed: Armed, first: bool, watched: &Watched, now: Now) {
        let name = armed.job.name.clone();
        let since = armed.since.min(now.wall);
        let written = (armed.since > since).then_some(armed.since);
        let place = watched.place(now.wall);
        let (known, decided, newest, past) = match (self.take(&name), self.retired.remove(&name)) {
            (Some(old), _) => (old.known.redefined(place), old.all_decided(), old.newest, old.past),
            (None, Some(gone)) => (gone.known.redefined(place), gone.decided, None, JobPast::default()),
            (None, None) if first => {
                (Known::ALWAYS, self.inherited.get(&name).cloned().unwrap_or_default(), None, JobPast::default())
            }
            (None, None) => {
                (Known::from(place), self.inherited.get(&name).cloned().unwrap_or_default(), None, JobPast::default())
            }
        };
        let from = if first { watched.position().min(now.wall) } else { before(now.wall, LATE_LIMIT) };
        let mut entry = Entry {
            job: armed.job,
            number: None,
            since,
            written,
            known,
            decided,
            newest,
            broken: false,
            next: None,
            past,
        };
        entry.next = entry.undecided(from, self.base, watched, self.made(&name));
        self.put(name, entry);
    }

    /// Takes a job away.
    pub fn retire(&mut self, name: &JobName, now: Now) -> Option<Entry> {
        let entry = self.take(name)?;
        let limit = LATE_LIMIT.unsigned_abs();
        self.retired.retain(|_, gone| gone.at + limit > now.mono);
        let (entries, retired) = (&self.entries, &self.retired);
        self.made.retain(|made, _| made == name || entries.contains_key(made) || retired.contains_key(made));
        let decided = entry.all_decided();
        self.retired.insert(name.clone(), Retired { known: entry.known, decided, at: now.mono });
        Some(entry)
    }

    /// The next slot of a job after `after` that is not decided.
    pub fn following(&self, name: &JobName, after: Timestamp, watched: &Watched) -> Option<Timestamp> {
        self.entries.get(name)?.undecided(after, self.base, watched, self.made(name))
    }

    /// The next slot of a job after `after` that fell in time that nobody watched, decided or not.
    pub fn unwatched(&self, name: &JobName, after: Timestamp, watched: &Watched) -> Option<Timestamp> {
        self.entries.get(name)?.unwatched(after, self.base, watched)
    }

    /// Whether a slot of a job is decided, other than in watched time.
    pub fn is_decided(&self, name: &JobName, slot: Timestamp) -> bool {
        self.entries.get(name).is_some_and(|entry| entry.end_of_decided(slot, self.made(name)).is_some())
    }

    /// A job's slots up to `newest` are decided, and `next` comes then.
    pub fn decided(&mut self, name: &JobName, newest: Timestamp, next: Option<Timestamp>) {
        if let Some(mut entry) = self.take(name) {
            entry.newest = Some(newest);
            entry.next = next;
            self.put(name.clone(), entry);
        }
    }

    /// The clock was set back: no definition and no `@every` counts from a future, and every job's next slot is sought anew.
    pub fn set_back(&mut self, watched: &Watched, now: Now) {
        self.base = self.base.min(now.wall);
        self.due.clear();
        for (name, entry) in &mut self.entries {
            entry.since = entry.since.min(now.wall);
            entry.known = entry.known.settled();
            entry.past.take_back_missed(now.wall);
            let made = self.made.get(name).map_or(&[][..], Vec::as_slice);
            entry.next = entry.undecided(now.wall, self.base, watched, made);
            self.due.extend(entry.next.map(|next| (next, name.clone())));
        }
    }

    fn take(&mut self, name: &JobName) -> Option<Entry> {
        let entry = self.entries.remove(name)?;
        if let Some(next) = entry.next {
            self.due.remove(&(next, name.clone()));
        }
        Some(entry)
    }

    fn put(&mut self, name: JobName, entry: Entry) {
        self.due.extend(entry.next.map(|next| (next, name.clone())));
        self.entries.insert(name, entry);
    }
}

impl Entry {
    /// Slots up to here are none of the definition's.
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// Where its `@every` counts from, in whole seconds; at the earliest from `base`.
    pub fn anchor(&self, base: Timestamp) -> Timestamp {
        self.since.max(base).round(Unit::Second).unwrap_or(base)
    }

    /// The slot of a job that is due once, if it is one of its own.
    pub fn only_slot(&self) -> Option<Timestamp> {
        let schedule = self.job.schedule.as_ref().filter(|schedule| schedule.is_once())?;
        schedule.next(self.since, self.since)
    }

    /// What another definition of the job must not decide again, besides watched time.
    fn all_decided(&self) -> Vec<(Timestamp, Timestamp)> {
        self.newest.map_or_else(|| self.decided.clone(), |newest| vec![reach_back(newest)])
    }

    /// The first slot strictly after `after` that counts and is not decided.
    fn undecided(&self, after: Timestamp, base: Timestamp, watched: &Watched, made: &[Span]) -> Option<Timestamp> {
        let mut after = after;
        loop {
            let slot = self.unwatched(after, base, watched)?;
            match self.end_of_decided(slot, made) {
                Some(end) => after = end,
                None => return Some(slot),
            }
        }
    }

    /// The end of what is decided around a slot besides watched time.
    fn end_of_decided(&self, slot: Timestamp, made: &[Span]) -> Option<Timestamp> {
        let own = self.decided.iter().filter(|(from, to)| *from < slot && slot <= *to).map(|(_, to)| *to);
        own.chain(made.iter().filter(|span| span.holds(slot)).map(|span| span.until)).max()
    }

    /// The first slot strictly after `after` that counts and fell in time that was not watched. Watched time is leapt over,
    /// not counted through.
    fn unwatched(&self, after: Timestamp, base: Timestamp, watched: &Watched) -> Option<Timestamp> {
        let schedule = self.job.schedule.as_ref().filter(|schedule| self.job.enable && !schedule.is_reboot())?;
        let anchor = self.anchor(base);
        let mut after = after.max(self.since);
        loop {
            let slot = schedule.next(after, anchor)?;
            debug_assert!(slot > after, "{}: the slot after {after} is {slot}", self.job.name);
            if slot <= after {
                return None;
            }
            match watched.end_around(slot, self.known) {
                Some(end) => after = end,
                None => return Some(slot),
            }
        }
    }
}

/// The slots that a run for one stands for, by what began it.
pub fn stood_for(slot: Timestamp, trigger: Trigger) -> Span {
    let (since, until) = match trigger {
        Trigger::CatchUp => (just_before(slot), slot),
        _ => reach_back(slot),
    };
    Span { since, until }
}

/// The time before a decided slot in which a new definition may find slots that the old one has decided.
fn reach_back(newest: Timestamp) -> (Timestamp, Timestamp) {
    (before(newest, LATE_LIMIT * 2), newest)
}

/// An instant earlier by `span`, as far as there are any.
pub fn before(instant: Timestamp, span: SignedDuration) -> Timestamp {
    instant.checked_sub(span).unwrap_or(Timestamp::MIN)
}
