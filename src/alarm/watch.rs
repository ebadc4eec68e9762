//! What is known of one job that has rules, and what follows from it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::happening::{Told, What};
use super::rule::{MAX_RULES, Notify, On};
use super::rules::{FIRST_AGAIN, LAST_AGAIN, Tally, bit};
use crate::engine::core::{Cause, Now};
use crate::engine::span_words;

/// Slots that are due and not started, and runs that go on, which are remembered of a job.
const MAX_KEPT: usize = 16;
/// Runs whose length says what is usual, and the least of them that say anything.
const USUAL: (usize, usize) = (9, 3);
/// Shorter is never `long` by a factor.
const LEAST_LONG: Duration = Duration::from_secs(10);

/// What is to be told, before it is known where.
#[derive(Debug)]
pub(super) struct Kept {
    pub on: On,
    /// The rules whose time it is, as bits; `None`: all that are about it.
    pub rules: Option<u32>,
    /// To programs alone, or to everybody but them; `None`: to all.
    pub programs_only: Option<bool>,
    pub reason: String,
    pub told: Option<Told>,
    pub slot: Option<Timestamp>,
    pub since: Option<Timestamp>,
    pub count: u64,
}

impl Kept {
    fn of(on: On, reason: impl Into<String>) -> Self {
        let (rules, programs_only, told, slot, since) = (None, None, None, None, None);
        Self { on, rules, programs_only, reason: reason.into(), told, slot, since, count: 1 }
    }

    fn about(on: On, told: &Told) -> Self {
        Self { told: Some(told.clone()), ..Self::of(on, told.reason.clone()) }
    }
}

#[derive(Debug)]
pub(super) struct Watch {
    pub notify: Arc<Notify>,
    /// Silence and lateness mean something.
    active: bool,
    failing: Option<Failing>,
    /// A success, or what stands for one: the arming (wall, monotonic, which may be before its zero).
    quiet: Quiet,
    /// Slots that are due, or will be, and are not started.
    slots: Vec<Slot>,
    running: Vec<Running>,
    /// How long runs took that succeeded, in milliseconds; kept where a rule asks for it.
    took: Vec<u32>,
    dampers: Vec<Damper>,
}

#[derive(Debug)]
struct Failing {
    since: Timestamp,
    row: u64,
    /// No word about it before (monotonic).
    again: Duration,
    pause: Duration,
}

#[derive(Debug)]
struct Quiet {
    since: Timestamp,
    /// It was a success, no arming.
    success: bool,
    /// Time that had passed when it was set down.
    before: Duration,
    /// When that was (monotonic).
    set: Duration,
    /// The rules that have been told.
    told: u32,
}

#[derive(Debug)]
struct Slot {
    slot: Timestamp,
    /// Its instant, or when it was told (monotonic).
    due: Duration,
    told: u32,
}

#[derive(Debug)]
struct Running {
    told: Told,
    since: Timestamp,
    /// Time that had passed when it was set down.
    before: Duration,
    /// When that was (monotonic).
    set: Duration,
    over: u32,
}

/// Holds back what happens too often.
#[derive(Debug)]
struct Damper {
    on: On,
    /// Monotonic.
    until: Duration,
    pause: Duration,
    /// Held back since.
    count: u64,
    /// The newest of them.
    last: Option<(String, Option<Told>, Option<Timestamp>)>,
}

impl Running {
    fn lasted(&self, now: Now) -> Duration {
        self.before + now.mono.saturating_sub(self.set)
    }
}

impl Watch {
    pub fn new(notify: Arc<Notify>, active: bool, tally: Tally, now: Now) -> Self {
        let failing = tally.failing_since.map(|since| Failing {
            since,
            row: tally.failures.max(1),
            again: now.mono + FIRST_AGAIN,
            pause: FIRST_AGAIN,
        });
        let since = tally.succeeded.unwrap_or(now.wall);
        let before = Duration::try_from(now.wall.duration_since(since)).unwrap_or_default();
        let quiet = Quiet { since, success: tally.succeeded.is_some(), before, set: now.mono, told: 0 };
        let (slots, running, took, dampers) = Default::default();
        Self { notify, active, failing, quiet, slots, running, took, dampers }
    }

    /// The same once a history says how it stood before. What was seen since goes before that.
    pub fn knowing(self, tally: Tally, now: Now) -> Self {
        if self.failing.is_some() || self.quiet.success {
            return self;
        }
        let known = Self::new(self.notify.clone(), self.active, tally, now);
        Self { failing: known.failing, quiet: known.quiet, ..self }
    }

    /// The same job under other rules.
    pub fn under(mut self, notify: Arc<Notify>, active: bool, now: Now) -> Self {
        if notify != self.notify {
            self.quiet.told = 0;
            self.slots.iter_mut().for_each(|slot| slot.told = 0);
            self.running.iter_mut().for_each(|running| running.over = 0);
            self.notify = notify;
        }
        if active && !self.active {
            // Nobody could expect a success meanwhile.
            self.quiet = Quiet { since: now.wall, success: false, before: Duration::ZERO, set: now.mono, told: 0 };
        }
        self.active = active;
        self
    }

    /// Takes in what happened.
    pub fn take(&mut self, what: &What, at: Timestamp, now: Now) -> Vec<Kept> {
        match what {
            What::Armed { .. } | What::Removed => Vec::new(),
            What::Due(slot) => {
                self.expect(*slot, now);
                Vec::new()
            }
            What::Started(told) => {
                self.started(told, at, now);
                vec![Kept::about(On::Start, told)]
            }
            What::GoesOn(told) => {
                self.started(told, at, now);
                Vec::new()
            }
            What::Decided(slot) => {
                self.slots.retain(|known| known.slot > *slot);
                Vec::new()
            }
            What::AttemptFailed(told) => self.damped(On::Attempt, 1, told.reason.clone(), Some(told), None, now),
            What::Succeeded(told) => self.succeeded(told, at, now),
            What::Failed(told) => self.failed(told, at, now),
            What::Ended(told) => {
                self.over(told, now);
                Vec::new()
            }
            What::Skipped(slot, code) => {
                self.slots.retain(|known| known.slot > *slot);
                let reason = match *code {
                    "overlap" => "was skipped: a run of it goes on".to_owned(),
                    code => format!("was skipped: {code}"),
                };
                self.damped(On::Skipped, 1, reason, None, Some(*slot), now)
            }
            What::Missed(slot, count, code) => {
                self.slots.retain(|known| known.slot > *slot);
                let many = if *count == 1 { String::new() } else { format!(" {count} times") };
                let why = Cause::parse(code).map_or(*code, Cause::words);
                self.damped(On::Missed, *count, format!("was missed{many}: {why}"), None, Some(*slot), now)
            }
        }
    }

    /// When [`Self::pass`] has something to say (monotonic).
    pub fn due(&self) -> Option<Duration> {
        let timed = (0..self.notify.rules.len().min(MAX_RULES)).filter_map(|rule| self.rule_due(rule)).min();
        let dampers = self.dampers.iter().map(|damper| damper.until).min();
        timed.into_iter().chain(dampers).min()
    }

    /// Time has passed.
    pub fn pass(&mut self, now: Now) -> Vec<Kept> {
        let mut kept = Vec::new();
        kept.extend(self.silent(now));
        kept.extend(self.late(now));
        kept.extend(self.long(now));
        kept.extend(self.undamp(now));
        kept
    }

    fn started(&mut self, told: &Told, at: Timestamp, now: Now) {
        if let Some(slot) = told.slot {
            self.slots.retain(|known| known.slot > slot);
        }
        if self.running.iter().any(|running| running.told.run == told.run) {
            return;
        }
        if self.running.len() < MAX_KEPT && self.notify.rules.iter().any(|rule| rule.is_on(On::Long)) {
            let since = told.started.unwrap_or(at);
            let before = Duration::try_from(now.wall.duration_since(since)).unwrap_or_default();
            self.running.push(Running { told: told.clone(), since, before, set: now.mono, over: 0 });
        }
    }

    /// A run is over: how long it took, where that was measured.
    fn over(&mut self, told: &Told, now: Now) -> Option<Duration> {
        if let Some(slot) = told.slot {
            self.slots.retain(|known| known.slot > slot);
        }
        let at = self.running.iter().position(|running| running.told.run == told.run)?;
        Some(self.running.swap_remove(at).lasted(now))
    }

    fn succeeded(&mut self, told: &Told, at: Timestamp, now: Now) -> Vec<Kept> {
        if let Some(took) = self.over(told, now).filter(|_| self.notify.rules.iter().any(|rule| rule.times.is_some())) {
            if self.took.len() >= USUAL.0 {
                self.took.remove(0);
            }
            self.took.push(u32::try_from(took.as_millis()).unwrap_or(u32::MAX));
        }
        self.quiet = Quiet { since: at, success: true, before: Duration::ZERO, set: now.mono, told: 0 };
        let mut kept = vec![Kept::about(On::Success, told)];
        if let Some(failing) = self.failing.take() {
            let times = if failing.row == 1 { "one failure".to_owned() } else { format!("{} failures", failing.row) };
            let reason = format!("is well again after {times}");
            let since = Some(failing.since);
            kept.push(Kept { reason, since, count: failing.row, ..Kept::about(On::Recovery, told) });
        }
        kept
    }

    fn failed(&mut self, told: &Told, at: Timestamp, now: Now) -> Vec<Kept> {
        self.over(told, now);
        let Some(failing) = &mut self.failing else {
            self.failing = Some(Failing { since: at, row: 1, again: now.mono + FIRST_AGAIN, pause: FIRST_AGAIN });
            return vec![Kept { since: Some(at), ..Kept::about(On::Failure, told) }];
        };
        failing.row += 1;
        let (since, count) = (Some(failing.since), failing.row);
        let mut kept = vec![Kept { since, count, programs_only: Some(true), ..Kept::about(On::Failure, told) }];
        if failing.again <= now.mono {
            failing.pause = (failing.pause * 2).min(LAST_AGAIN);
            failing.again = now.mono + failing.pause;
            let reason = format!("{}, {count} times in a row", told.reason);
            kept.push(Kept { reason, since, count, ..Kept::about(On::StillFailing, told) });
        }
        kept
    }

    fn expect(&mut self, slot: Option<Timestamp>, now: Now) {
        let Some(slot) = slot else { return self.slots.clear() };
        // What was to come and no longer is, is not waited for.
        self.slots.retain(|known| known.slot <= now.wall);
        let known = self.slots.iter().any(|known| known.slot == slot);
        if !known && self.slots.len() < MAX_KEPT && self.notify.rules.iter().any(|rule| rule.is_on(On::Late)) {
            let ahead = Duration::try_from(slot.duration_since(now.wall)).unwrap_or_default();
            self.slots.push(Slot { slot, due: now.mono + ahead, told: 0 });
        }
    }

    fn silent(&mut self, now: Now) -> Option<Kept> {
        let lasting = self.quiet.before + now.mono.saturating_sub(self.quiet.set);
        let due = |rule: usize| self.active && self.within(rule, On::Silent).is_some_and(|within| within <= lasting);
        let rules = self.bits(self.quiet.told, due)?;
        self.quiet.told |= rules;
        let since = if self.quiet.success { "" } else { " since it was armed" };
        let reason = format!("had no success for {}{since}", span_words(lasting));
        Some(Kept { rules: Some(rules), since: Some(self.quiet.since), ..Kept::of(On::Silent, reason) })
    }

    fn late(&mut self, now: Now) -> Vec<Kept> {
        let mut kept = Vec::new();
        for at in 0..self.slots.len() {
            let Some((told, due)) = self.slots.get(at).map(|slot| (slot.told, slot.due)) else { break };
            let late = now.mono.saturating_sub(due);
            let over = |rule: usize| self.active && self.within(rule, On::Late).is_some_and(|within| within <= late);
            let Some(rules) = self.bits(told, over).filter(|_| due <= now.mono) else { continue };
            let Some(slot) = self.slots.get_mut(at) else { break };
            slot.told |= rules;
            let (slot, reason) = (slot.slot, format!("was not started within {}", span_words(late)));
            let told = self.damped(On::Late, 1, reason, None, Some(slot), now);
            kept.extend(told.into_iter().map(|kept| Kept { rules: Some(rules), ..kept }));
        }
        kept
    }

    fn long(&mut self, now: Now) -> Vec<Kept> {
        let mut kept = Vec::new();
        for at in 0..self.running.len() {
            let Some((told, took)) = self.running.get(at).map(|running| (running.over, running.lasted(now))) else {
                break;
            };
            let over = |rule: usize| self.limit(rule).is_some_and(|limit| limit <= took);
            let Some(rules) = self.bits(told, over) else { continue };
            let Some(running) = self.running.get_mut(at) else { break };
            running.over |= rules;
            let (told, since) = (running.told.clone(), running.since);
            let usual =
                self.usual().map(|usual| format!(", and usually takes {}", span_words(usual))).unwrap_or_default();
            let reason = format!("has been running for {}{usual}", span_words(took));
            let held = self.damped(On::Long, 1, reason, Some(&told), None, now);
            kept.extend(held.into_iter().map(|kept| Kept { rules: Some(rules), since: Some(since), ..kept }));
        }
        kept
    }

    /// Tells at once, or later with others.
    fn damped(
        &mut self,
        on: On,
        count: u64,
        reason: String,
        told: Option<&Told>,
        slot: Option<Timestamp>,
        now: Now,
    ) -> Vec<Kept> {
        if !self.notify.rules.iter().any(|rule| rule.is_on(on)) {
            return Vec::new();
        }
        let alarm = |reason: String, programs_only| Kept {
            programs_only,
            told: told.cloned(),
            slot,
            count,
            ..Kept::of(on, reason)
        };
        match self.dampers.iter_mut().find(|damper| damper.on == on) {
            Some(damper) => {
                damper.count += count;
                damper.last = Some((reason.clone(), told.cloned(), slot));
                vec![alarm(reason, Some(true))]
            }
            None => {
                self.dampers.push(Damper {
                    on,
                    until: now.mono + FIRST_AGAIN,
                    pause: FIRST_AGAIN,
                    count: 0,
                    last: None,
                });
                vec![alarm(reason, None)]
            }
        }
    }

    /// Tells what was held back, and forgets what no longer happens.
    fn undamp(&mut self, now: Now) -> Vec<Kept> {
        let mut kept = Vec::new();
        self.dampers.retain_mut(|damper| {
            if damper.until > now.mono {
                return true;
            }
            let Some((reason, told, slot)) = damper.last.take() else { return false };
            let count = std::mem::take(&mut damper.count);
            damper.pause = (damper.pause * 2).min(LAST_AGAIN);
            damper.until = now.mono + damper.pause;
            let reason = if count > 1 { format!("{reason} (the last of {count})") } else { reason };
            kept.push(Kept { told, slot, count, programs_only: Some(false), ..Kept::of(damper.on, reason) });
            true
        });
        kept
    }

    /// When a rule has something to say by time alone (monotonic).
    fn rule_due(&self, rule: usize) -> Option<Duration> {
        let untold = |told: u32| told & bit(rule) == 0;
        let within = |on| self.within(rule, on).filter(|_| self.active);
        let silent = within(On::Silent).filter(|_| untold(self.quiet.told));
        let silent = silent.map(|within| self.quiet.set + within.saturating_sub(self.quiet.before));
        let late = within(On::Late)
            .and_then(|within| self.slots.iter().filter(|slot| untold(slot.told)).map(|slot| slot.due + within).min());
        let long = self.limit(rule).and_then(|limit| {
            self.running
                .iter()
                .filter(|running| untold(running.over))
                .map(|running| running.set + limit.saturating_sub(running.before))
                .min()
        });
        silent.into_iter().chain(late).chain(long).min()
    }

    fn within(&self, rule: usize, on: On) -> Option<Duration> {
        let rule = self.notify.rules.get(rule)?;
        rule.within.filter(|_| rule.is_on(on))
    }

    /// From when on a run is long by a rule.
    fn limit(&self, rule: usize) -> Option<Duration> {
        let rule = self.notify.rules.get(rule).filter(|rule| rule.is_on(On::Long))?;
        let times = rule.times.and_then(|times| Some((self.usual()? * times).max(LEAST_LONG)));
        rule.over.into_iter().chain(times).min()
    }

    /// The median.
    fn usual(&self) -> Option<Duration> {
        let mut took = self.took.clone();
        took.sort_unstable();
        took.get(took.len() / 2).filter(|_| took.len() >= USUAL.1).map(|ms| Duration::from_millis(u64::from(*ms)))
    }

    /// The rules that are due and not among those that were told; `None` where there is none.
    fn bits(&self, told: u32, due: impl Fn(usize) -> bool) -> Option<u32> {
        let rules = 0..self.notify.rules.len().min(MAX_RULES);
        let bits = rules.filter(|rule| due(*rule)).fold(0, |bits, rule| bits | bit(rule)) & !told;
        (bits != 0).then_some(bits)
    }
}
