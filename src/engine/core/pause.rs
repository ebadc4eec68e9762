//! Pauses: no slot of a job runs for a while.
//!
//! A pause keeps hold of a name and never of a definition: whatever the job is when the pause ends is what is armed. Its slots
//! are decided as they come, as [`Fate::Paused`]; none is made up for afterwards. Runs that go on are left alone, and a paused
//! job may be run on request.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ask::{no_such_job, refusal};
use super::clock::{LATE_LIMIT, Now};
use super::mark::Trigger;
use super::past::Fate;
use super::retry::Dropped;
use super::{Effect, Fact, State};
use crate::engine::request::{Pause, PauseKind, Refusal};
use crate::job::JobName;
use crate::wire::RunId;

/// Longest texts kept of why and of who, in characters.
const MAX_REASON: usize = 256;
const MAX_BY: usize = 64;

/// The pauses that go on, by name and by end.
#[derive(Debug, Default)]
pub struct Pauses {
    held: BTreeMap<JobName, Held>,
    ends: BTreeSet<(Timestamp, JobName)>,
    /// That of all jobs.
    pub(super) hold: Option<Held>,
}

#[derive(Debug)]
pub(super) struct Held {
    pub(super) pause: Pause,
    /// Slots that fell in it while this engine watched.
    pub(super) passed: u64,
    /// The job was taken away; if it has not come back by then, the pause ends (monotonic).
    gone: Option<Duration>,
}

impl Held {
    pub(super) fn new(pause: Pause) -> Self {
        Self { pause, passed: 0, gone: None }
    }
}

/// The time of a pause: after `since`, up to and including `until`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Exclusive.
    pub since: Timestamp,
    /// Inclusive; far away where it has no end.
    pub until: Timestamp,
}

impl Span {
    /// That of a pause.
    pub fn of(pause: &Pause) -> Self {
        Self { since: pause.since, until: pause.until.unwrap_or(Timestamp::MAX) }
    }

    /// Whether a slot lies in it.
    pub fn holds(&self, slot: Timestamp) -> bool {
        self.since < slot && slot <= self.until
    }
}

impl Pauses {
    /// As an engine before left them.
    pub fn restore(pauses: BTreeMap<JobName, Pause>, hold: Option<Pause>) -> Self {
        let mut restored = Self { hold: hold.map(Held::new), ..Self::default() };
        pauses.into_iter().for_each(|(name, pause)| restored.put(name, pause));
        restored
    }

    fn put(&mut self, name: JobName, pause: Pause) {
        self.take(&name);
        self.ends.extend(pause.until.map(|until| (until, name.clone())));
        self.held.insert(name, Held::new(pause));
    }

    fn take(&mut self, name: &JobName) -> Option<Held> {
        let held = self.held.remove(name)?;
        if let Some(until) = held.pause.until {
            self.ends.remove(&(until, name.clone()));
        }
        Some(held)
    }

    /// The pause of a job.
    pub fn get(&self, name: &JobName) -> Option<&Pause> {
        self.held.get(name).map(|held| &held.pause)
    }

    /// How many jobs are paused. One whose next slot is skipped is not.
    pub fn len(&self) -> usize {
        self.held.values().filter(|held| held.pause.kind == PauseKind::Pause).count()
    }

    /// The end that comes first.
    pub fn first_end(&self) -> Option<Timestamp> {
        let hold = self.hold.as_ref().and_then(|held| held.pause.until);
        self.ends.first().map(|(until, _)| *until).into_iter().chain(hold).min()
    }

    /// When the first pause ends whose job is gone (monotonic).
    pub fn first_gone(&self) -> Option<Duration> {
        self.held.values().filter_map(|held| held.gone).min()
    }

    /// So many more slots fell in a pause.
    pub fn pass(&mut self, name: &JobName, kind: PauseKind, slots: u64) {
        let held = match kind {
            PauseKind::Hold => self.hold.as_mut(),
            PauseKind::Pause | PauseKind::SkipNext => self.held.get_mut(name),
        };
        if let Some(held) = held {
            held.passed = held.passed.saturating_add(slots);
        }
    }

    /// The clock was set back: no pause begins in a future.
    pub fn set_back(&mut self, now: Now) {
        for held in self.held.values_mut().chain(&mut self.hold) {
            held.pause.since = held.pause.since.min(now.wall);
        }
    }

    /// The job of a pause is there, or no longer.
    pub fn set_gone(&mut self, name: &JobName, gone: Option<Duration>) {
        if let Some(held) = self.held.get_mut(name) {
            held.gone = gone;
        }
    }

    /// Every pause gets a number of its own again: those of a daemon before mean nothing.
    pub fn number(&mut self, mut next: impl FnMut() -> u64) {
        self.held.values_mut().for_each(|held| held.pause.id = next());
    }
}

impl State {
    /// Lets no slot of an enabled job run until `until`, or until somebody resumes it. Answers with the entry that it had.
    pub fn pause(
        &mut self,
        name: &JobName,
        until: Option<Timestamp>,
        reason: &str,
        by: &str,
        now: Now,
    ) -> (Result<u64, Refusal>, Vec<Effect>) {
        self.pass_time(now);
        let answer = self.try_pause(name, until, reason, by, now);
        self.pass_time(now);
        self.flush(now);
        (answer, std::mem::take(&mut self.effects))
    }

    fn try_pause(
        &mut self,
        name: &JobName,
        until: Option<Timestamp>,
        reason: &str,
        by: &str,
        now: Now,
    ) -> Result<u64, Refusal> {
        self.may_rest(name)?;
        let had = self.jobs.unnumber(name).or(self.pauses.get(name).map(|old| old.id)).unwrap_or_default();
        let pause = pause(PauseKind::Pause, until, reason, by, now);
        let id = self.jobs.next_number();
        self.begin_pause(name, Pause { id, ..pause });
        self.drop_planned(name, PauseKind::Pause, now);
        self.drop_retries(name, Dropped::Paused, now);
        Ok(had)
    }

    /// The job is known, enabled and not paused; what skips its next slot gives way to what is asked for now.
    pub(super) fn may_rest(&self, name: &JobName) -> Result<(), Refusal> {
        let entry = self.jobs.get(name).ok_or_else(|| no_such_job(name))?;
        let gives_way = self.pauses.get(name).is_none_or(|old| old.kind == PauseKind::SkipNext);
        if entry.job.enable && gives_way { Ok(()) } else { Err(self.not_active(name)) }
    }

    /// A pause holds from now on.
    pub(super) fn begin_pause(&mut self, name: &JobName, pause: Pause) {
        self.pauses.put(name.clone(), pause.clone());
        self.effects.push(Effect::KeepPause(name.clone(), Some(pause.clone())));
        self.tell(Fact::Paused { job: name.clone(), pause });
    }

    /// What waits for a job's runs without having been asked for will not start.
    pub(super) fn drop_planned(&mut self, name: &JobName, kind: PauseKind, now: Now) {
        let waiting = self.going.get(name).into_iter().flat_map(|going| &going.waiting);
        let planned: Vec<RunId> =
            waiting.filter(|ticket| ticket.trigger != Trigger::Request).map(|ticket| ticket.run).collect();
        planned.into_iter().for_each(|id| self.drop_ticket(name, id, Fate::Paused(kind, 1), now));
    }

    /// Ends a job's pause, if there is one: its slots from now on are run.
    pub fn unpause(&mut self, name: &JobName, now: Now) -> Vec<Effect> {
        self.pass_time(now);
        self.end_pause(name);
        self.flush(now);
        std::mem::take(&mut self.effects)
    }

    /// Ends every pause.
    pub fn unpause_all(&mut self, now: Now) -> Vec<Effect> {
        self.pass_time(now);
        let names: Vec<JobName> = self.pauses.held.keys().cloned().collect();
        names.iter().for_each(|name| self.end_pause(name));
        self.flush(now);
        std::mem::take(&mut self.effects)
    }

    /// The job is known, enabled and not paused. Else why it may not be paused, disabled or given another schedule.
    pub fn active(&self, name: &JobName) -> Result<(), Refusal> {
        let entry = self.jobs.get(name).ok_or_else(|| no_such_job(name))?;
        if entry.job.enable && self.pauses.get(name).is_none() { Ok(()) } else { Err(self.not_active(name)) }
    }

    fn not_active(&self, name: &JobName) -> Refusal {
        let (word, message) = match self.pauses.get(name) {
            Some(Pause { kind: PauseKind::SkipNext, .. }) => ("resume", format!("the next slot of {name} is skipped")),
            Some(_) => ("resume", format!("{name} is paused")),
            None => ("enable", format!("{name} is disabled")),
        };
        refusal("not-active", message, Some(&format!("{word} it first")))
    }

    /// The job is paused and nothing else keeps its slots from being run; also one that is gone and has a pause left.
    pub fn is_only_paused(&self, name: &JobName) -> bool {
        self.pauses.get(name).is_some() && self.jobs.get(name).is_none_or(|entry| entry.job.enable)
    }

    /// The pause of a job that goes on.
    pub fn pause_of(&self, name: &JobName) -> Option<&Pause> {
        self.pauses.get(name)
    }

    /// Ends the pauses whose time is up. The slots up to now are decided.
    pub(super) fn end_pauses(&mut self, now: Now) {
        while let Some((_, name)) = self.pauses.ends.first().filter(|(until, _)| *until <= now.wall).cloned() {
            self.end_pause(&name);
        }
        if self.pauses.hold.as_ref().is_some_and(|held| held.pause.until.is_some_and(|until| until <= now.wall)) {
            self.end_hold();
        }
    }

    /// Ends the pauses of jobs that went away and did not come back.
    pub(super) fn end_orphans(&mut self, now: Now) {
        if self.pauses.first_gone().is_none_or(|gone| gone > now.mono) {
            return;
        }
        let gone =
            |(name, held): (&JobName, &Held)| held.gone.is_some_and(|gone| gone <= now.mono).then(|| name.clone());
        let names: Vec<JobName> = self.pauses.held.iter().filter_map(gone).collect();
        names.iter().for_each(|name| self.end_pause(name));
    }

    /// A job was taken away: its pause is kept for as long as a file may be on its way back.
    pub(super) fn orphan(&mut self, name: &JobName, now: Now) {
        self.pauses.set_gone(name, Some(now.mono + LATE_LIMIT.unsigned_abs()));
    }

    fn end_pause(&mut self, name: &JobName) {
        if let Some(held) = self.pauses.take(name) {
            self.jobs.number(name);
            self.effects.push(Effect::KeepPause(name.clone(), None));
            self.tell(Fact::Resumed { job: name.clone(), passed: held.passed });
        }
    }
}

/// What is asked for, from now on, without a number.
pub(super) fn pause(kind: PauseKind, until: Option<Timestamp>, reason: &str, by: &str, now: Now) -> Pause {
    let plain = |text: &str, most: usize| text.chars().filter(|c| !c.is_control()).take(most).collect();
    Pause { kind, id: 0, since: now.wall, until, reason: plain(reason, MAX_REASON), by: plain(by, MAX_BY) }
}
