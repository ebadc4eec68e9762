//! The hold: no slot of any job runs for a while. And what skips the next slots of one job.
//!
//! The hold is a pause of everything: its slots are decided as they come, as [`super::Fate::Paused`], and none is made up for
//! afterwards. Runs that go on are left alone, and every job may be run on request. It keeps hold of no name, so it ends when
//! it says whatever is defined by then. A job's own pause goes on inside of it, and is what a slot is told to have fallen in.

use jiff::Timestamp;

use super::ask::refusal;
use super::clock::Now;
use super::mark::{Ticket, Trigger};
use super::pause::{Held, Pauses, Span, pause};
use super::retry::Dropped;
use super::{Effect, Fact, State};
use crate::engine::request::{Pause, PauseKind, Refusal};
use crate::job::JobName;
use crate::wire::RunId;

/// Most slots that are skipped at once.
pub const MAX_SKIP: u32 = 1_000;

/// When no slot of a job runs: in its own pause, and in the hold.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rest {
    own: Option<(Span, PauseKind)>,
    hold: Option<Span>,
}

impl Rest {
    /// Why a slot is let go; `None`: it is not. The job's own pause goes first.
    pub fn at(&self, slot: Timestamp) -> Option<PauseKind> {
        let own = self.own.filter(|(span, _)| span.holds(slot)).map(|(_, kind)| kind);
        own.or(self.hold.filter(|span| span.holds(slot)).map(|_| PauseKind::Hold))
    }

    /// Why what is due now without being a slot on the wall clock is let go.
    pub fn now(&self) -> Option<PauseKind> {
        self.own.map(|(_, kind)| kind).or(self.hold.map(|_| PauseKind::Hold))
    }

    /// No slot runs at `now` or soon after it, whenever it was due. What skips the next slots says nothing of those before.
    pub fn outlasts(&self, now: Timestamp) -> bool {
        let own = self.own.filter(|(_, kind)| *kind != PauseKind::SkipNext).map(|(span, _)| span);
        own.into_iter().chain(self.hold).any(|span| span.until > now)
    }

    /// Up to where (inclusive) slots from `slot` on are let go for the same reason, or are not.
    pub fn alike_until(&self, slot: Timestamp) -> Timestamp {
        let own = self.own.map(|(span, _)| span);
        let begins = |span: Option<Span>| span.map(|span| span.since).filter(|since| slot <= *since);
        match (own.filter(|own| own.holds(slot)), self.hold.filter(|hold| hold.holds(slot))) {
            (Some(own), _) => own.until,
            (None, Some(hold)) => begins(own).map_or(hold.until, |since| since.min(hold.until)),
            (None, None) => begins(own).into_iter().chain(begins(self.hold)).min().unwrap_or(Timestamp::MAX),
        }
    }

    /// Up to where (inclusive) no slot runs; `None`: nobody knows. Of a job without rest this is `after`.
    pub fn end(&self, after: Timestamp) -> Option<Timestamp> {
        let ends = self.own.map(|(span, _)| span).into_iter().chain(self.hold).map(|span| span.until);
        ends.chain([after]).max().filter(|end| *end < Timestamp::MAX)
    }
}

impl Pauses {
    /// When no slot of a job runs.
    pub fn rest(&self, name: &JobName) -> Rest {
        let own = self.get(name).map(|pause| (Span::of(pause), pause.kind));
        Rest { own, hold: self.hold().map(Span::of) }
    }

    /// The hold.
    pub fn hold(&self) -> Option<&Pause> {
        self.hold.as_ref().map(|held| &held.pause)
    }

    /// Why no run of a job is attempted again now. What skips the next slots is no reason.
    pub fn drops_retries(&self, name: &JobName) -> Option<Dropped> {
        let own = self.get(name).filter(|pause| pause.kind != PauseKind::SkipNext).map(|_| Dropped::Paused);
        own.or(self.hold().map(|_| Dropped::Held))
    }

    /// Why a ticket may not become a program now. What was asked for always may. What skips the next slots is no reason for
    /// one that was due before, nor for what is no slot.
    pub fn lets_go(&self, name: &JobName, ticket: &Ticket) -> Option<PauseKind> {
        if ticket.trigger == Trigger::Request {
            return None;
        }
        let rest = self.rest(name);
        match (rest.now()?, ticket.slot) {
            (PauseKind::SkipNext, Some(slot)) => rest.at(slot).or(rest.hold.map(|_| PauseKind::Hold)),
            (PauseKind::SkipNext, None) => rest.hold.map(|_| PauseKind::Hold),
            (kind, _) => Some(kind),
        }
    }
}

impl State {
    /// The hold that goes on.
    pub fn hold_of_all(&self) -> Option<&Pause> {
        self.pauses.hold()
    }

    /// Lets no slot of any job run until `until`, or until somebody releases it. Answers with the hold.
    pub fn hold(
        &mut self,
        until: Option<Timestamp>,
        reason: &str,
        by: &str,
        now: Now,
    ) -> (Result<Pause, Refusal>, Vec<Effect>) {
        self.pass_time(now);
        let answer = match self.pauses.hold() {
            Some(hold) => Err(is_held(hold)),
            None => Ok(self.begin_hold(pause(PauseKind::Hold, until, reason, by, now), now)),
        };
        self.pass_time(now);
        self.flush(now);
        (answer, std::mem::take(&mut self.effects))
    }

    /// Ends the hold: slots from now on are run. Answers with the one that there was.
    pub fn release(&mut self, now: Now) -> (Result<Pause, Refusal>, Vec<Effect>) {
        self.pass_time(now);
        let none = || refusal("not-held", "no hold goes on", Some("rota status shows one"));
        let answer = self.pauses.hold().cloned().ok_or_else(none);
        self.end_hold();
        self.flush(now);
        (answer, std::mem::take(&mut self.effects))
    }

    /// Lets the next slots of a job go, as many as `count` (at least one, at most [`MAX_SKIP`]) or as there are. A slot that is
    /// due already and waits is not among them.
    pub fn skip_next(
        &mut self,
        name: &JobName,
        count: u32,
        reason: &str,
        by: &str,
        now: Now,
    ) -> (Result<Pause, Refusal>, Vec<Effect>) {
        self.pass_time(now);
        let answer = self.try_skip_next(name, count, reason, by, now);
        self.pass_time(now);
        self.flush(now);
        (answer, std::mem::take(&mut self.effects))
    }

    fn try_skip_next(
        &mut self,
        name: &JobName,
        count: u32,
        reason: &str,
        by: &str,
        now: Now,
    ) -> Result<Pause, Refusal> {
        self.may_rest(name)?;
        let never = || refusal("never-due", format!("{name} is never due: it has no slot to skip"), None);
        // In a hold, those after it: it lets the others go.
        let after = self.pauses.hold().and_then(|hold| hold.until).unwrap_or(now.wall).max(now.wall);
        let mut last = self.jobs.following(name, after, &self.watched).ok_or_else(never)?;
        for _ in 1..count.min(MAX_SKIP) {
            let Some(next) = self.jobs.following(name, last, &self.watched) else { break };
            last = next;
        }
        self.jobs.unnumber(name);
        let id = self.jobs.next_number();
        let pause = Pause { id, ..pause(PauseKind::SkipNext, Some(last), reason, by, now) };
        self.begin_pause(name, pause.clone());
        Ok(pause)
    }

    fn begin_hold(&mut self, hold: Pause, now: Now) -> Pause {
        self.pauses.hold = Some(Held::new(hold.clone()));
        self.effects.push(Effect::KeepHold(Some(hold.clone())));
        self.tell(Fact::Held(hold.clone()));
        let waiting = self.going.iter().filter(|(_, going)| !going.waiting.is_empty());
        let waiting: Vec<JobName> = waiting.map(|(name, _)| name.clone()).collect();
        waiting.iter().for_each(|name| self.drop_planned(name, PauseKind::Hold, now));
        let retries: Vec<RunId> = self.retries.keys().copied().collect();
        retries.into_iter().for_each(|of| self.drop_retry(of, Dropped::Held, now));
        hold
    }

    /// Ends the hold, if there is one.
    pub(super) fn end_hold(&mut self) {
        if let Some(held) = self.pauses.hold.take() {
            self.effects.push(Effect::KeepHold(None));
            self.tell(Fact::Released { passed: held.passed });
        }
    }
}

fn is_held(hold: &Pause) -> Refusal {
    let until = hold.until.map_or_else(|| "until it is released".to_owned(), |until| format!("until {until}"));
    let message = format!("there is a hold already, {until}, asked for by {}", hold.by);
    refusal("held", message, Some("release it first: rota release"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// Every pair of spans over a few instants, against looking at each instant.
    #[test]
    fn what_is_alike_is_alike_and_what_follows_is_not() {
        let spans: Vec<Option<Span>> = (0..5)
            .flat_map(|since| (since..6).map(move |until| Some(Span { since: at(since), until: at(until) })))
            .chain([None])
            .collect();
        for (own, hold) in spans.iter().flat_map(|own| spans.iter().map(move |hold| (*own, *hold))) {
            let rest = Rest { own: own.map(|own| (own, PauseKind::Pause)), hold };
            for slot in 0..7 {
                let end = rest.alike_until(at(slot));
                assert!(end >= at(slot), "{rest:?} {slot}");
                let alike = |other: &i64| rest.at(at(*other)) == rest.at(at(slot));
                assert!((slot..7).take_while(|other| at(*other) <= end).all(|other| alike(&other)), "{rest:?} {slot}");
            }
        }
    }
}
