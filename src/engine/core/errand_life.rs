//! Errands from their start to their end.

use super::clock::Now;
use super::errand::{
    BACKOFF, Errand, ErrandEnd, ErrandId, Full, Going, KILL_AFTER, OUTPUT_LIMIT, Report, Step, TAKEN_OVER, context,
    is_errand, plan,
};
use super::{Effect, Event, Forget, State};
use crate::wire::{Adopt, AdoptState, Ended, Failure, Reach, RunId, Start, ToWarden, encode};

impl State {
    /// Has a program run for rotad itself. It starts with a later [`Event::Wake`], which
    /// [`next_mono`](Self::next_mono) asks for; each try comes back as [`Effect::Reported`].
    pub fn order(&mut self, errand: Errand, now: Now) -> Result<ErrandId, Full> {
        self.errands.queue(errand, now.mono)
    }

    /// Whether a run is an errand that goes on.
    pub fn is_errand(&self, run: RunId) -> bool {
        self.errands.going.contains_key(&run)
    }

    /// Not before the slots of the first snapshot are decided, and not once the warden was told that all is over.
    pub(super) fn errands_go(&self) -> bool {
        self.loaded && !self.stopping.as_ref().is_some_and(|stopping| stopping.is_said())
    }

    /// Takes in what is about an errand; hands back what is not.
    pub(super) fn hear_errand(&mut self, event: Event, now: Now) -> Option<Event> {
        match event {
            Event::Adopt(adopt) if is_errand(&adopt.context) => self.take_over(&adopt, now),
            // Its time counts from when the warden was asked: looking up the user may take long, too.
            Event::Started { run, .. } if self.is_errand(run) => {}
            Event::NotStarted { run, failure } if self.is_errand(run) => self.errand_not_started(run, failure, now),
            Event::Ended { run, ended } if self.is_errand(run) => self.errand_ended(run, ended, now),
            Event::ErrandOutput { run, tail } => self.errand_output(run, tail, now),
            Event::Left { run, .. } if self.errands.leaving.remove(&run) => {}
            other => return Some(other),
        }
        None
    }

    /// Meets their deadlines, and starts those that may. To be done after the slots that are due.
    pub(super) fn run_errands(&mut self, now: Now) {
        let due = |(run, going): (&RunId, &Going)| (going.step.deadline()? <= now.mono).then_some(*run);
        let due: Vec<RunId> = self.errands.going.iter().filter_map(due).collect();
        due.into_iter().for_each(|run| self.meet_errand_deadline(run, now));
        while let Some(waiting) = self.errands.expire(now.mono) {
            let going = Going { of: Some(waiting), step: Step::WillNotDie, output: None };
            self.report(Some(going), ErrandEnd::Waited, now);
        }
        while self.errands_go()
            && let Some(waiting) = self.errands.take(now.mono)
        {
            let run = self.next_run(now);
            let start = ToWarden::Start(Box::new(Start { run, plan: plan(&waiting.errand, run), context: context() }));
            let until = now.mono.saturating_add(waiting.errand.timeout);
            let going = Going { of: Some(waiting), step: Step::Granted(until), output: None };
            self.errands.going.insert(run, going);
            if encode(&start).is_ok() {
                self.send(start);
            } else {
                let failure = Failure { step: crate::wire::Step::Plan, errno: nix::libc::E2BIG };
                let going = self.errands.going.remove(&run);
                self.report(going, ErrandEnd::NotStarted(failure), now);
            }
        }
    }

    /// An errand of the engine before is finished: it may be an alarm. Nobody reads what it prints.
    fn take_over(&mut self, adopt: &Adopt, now: Now) {
        let run = adopt.run;
        self.last_run = self.last_run.max(run);
        let step = Step::Granted(now.mono + TAKEN_OVER);
        self.errands.going.insert(run, Going { of: None, step, output: Some(Vec::new()) });
        match adopt.state {
            AdoptState::NotStarted(failure) => self.errand_not_started(run, failure, now),
            AdoptState::Ended { ended, .. } => self.errand_ended(run, ended, now),
            AdoptState::Starting | AdoptState::Running { .. } => {}
        }
    }

    fn errand_not_started(&mut self, run: RunId, failure: Failure, now: Now) {
        let asked = self.errands.going.get(&run).is_some_and(|going| !matches!(going.step, Step::Granted(_)));
        let end = if asked { ErrandEnd::TimedOut } else { ErrandEnd::NotStarted(failure) };
        self.errand_over(run, end, now);
    }

    fn errand_ended(&mut self, run: RunId, ended: Ended, now: Now) {
        let Some(going) = self.errands.going.get_mut(&run) else { return };
        let end = match going.step {
            Step::Granted(_) => ErrandEnd::Exited(ended.exit),
            Step::Asked(_) | Step::Killed(_) | Step::WillNotDie => ErrandEnd::TimedOut,
            Step::Draining { .. } => return,
        };
        going.step = Step::Draining { end, until: now.mono + OUTPUT_LIMIT };
        if end == ErrandEnd::TimedOut {
            self.kill(run, Reach::Everything);
        }
        self.errand_over_if_drained(run, now);
    }

    fn errand_output(&mut self, run: RunId, tail: Vec<u8>, now: Now) {
        if let Some(going) = self.errands.going.get_mut(&run) {
            going.output = Some(tail);
            self.errand_over_if_drained(run, now);
        }
    }

    fn errand_over_if_drained(&mut self, run: RunId, now: Now) {
        if let Some(Going { step: Step::Draining { end, .. }, output: Some(_), .. }) = self.errands.going.get(&run) {
            self.errand_over(run, *end, now);
        }
    }

    fn meet_errand_deadline(&mut self, run: RunId, now: Now) {
        let Some(going) = self.errands.going.get_mut(&run) else { return };
        match going.step {
            Step::Granted(_) => {
                going.step = Step::Asked(now.mono + KILL_AFTER);
                self.ask_to_end(run, nix::libc::SIGTERM);
            }
            Step::Asked(_) => {
                going.step = Step::Killed(now.mono + KILL_AFTER);
                self.kill(run, Reach::Group);
                self.kill(run, Reach::Everything);
            }
            Step::Killed(_) => {
                going.step = Step::WillNotDie;
                // Whoever ordered it hears now; the place stays taken, so that there are never more than a few of these.
                let of = going.of.take();
                let lost = Going { of, step: Step::WillNotDie, output: None };
                self.report(Some(lost), ErrandEnd::TimedOut, now);
            }
            // Something it started keeps its output: that is not for an errand to leave.
            Step::Draining { end, .. } => {
                self.kill(run, Reach::Everything);
                self.effects.push(Effect::CloseErrand(run));
                self.errand_over(run, end, now);
            }
            Step::WillNotDie => {}
        }
    }

    /// A try is over: the warden may forget it, and whoever ordered it hears of it.
    fn errand_over(&mut self, run: RunId, end: ErrandEnd, now: Now) {
        let going = self.errands.going.remove(&run);
        self.errands.leaving.insert(run);
        self.forgets.push_back(Forget { run, slot: None, successors: Vec::new(), context: None });
        self.report(going, end, now);
    }

    fn report(&mut self, going: Option<Going>, end: ErrandEnd, now: Now) {
        let Some(Going { of: Some(mut waiting), output, .. }) = going else { return };
        let id = waiting.id;
        let pause = BACKOFF.get(waiting.tried).filter(|_| !waiting.errand.urgent && !end.success());
        let pause = pause.filter(|_| self.stopping.is_none());
        if let Some(pause) = pause {
            waiting.tried += 1;
            self.errands.wait(waiting, now.mono + *pause);
        }
        let report = Report { id, end, tail: output.unwrap_or_default(), again: pause.is_some() };
        self.effects.push(Effect::Reported(report));
    }
}
