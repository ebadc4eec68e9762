//! Runs from their start to their end.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;

use super::catchup::claimed;
use super::clock::Now;
use super::life::{
    CLAIM_LIMIT, CLOSE_LIMIT, DEATH_LIMIT, DRAIN_LIMIT, Environment, Kept, Ladder, Leader, Life, Output, PREPARE_LIMIT,
    Run, SWEEP_LIMIT, Tail, Volume, outcome,
};
use super::mark::{Stop, Terms, Ticket, Trigger, Why};
use super::past::{Fate, Record, Rule};
use super::retry::ends_the_run;
use super::{Effect, Fact, Forget, Label, Marking, State};
use crate::engine::ledger::{self, Word};
use crate::engine::view::Outcome;
use crate::job::{Job, JobName};
use crate::run::plan::{Occasion, plan};
use crate::wire::{Ended, Failure, MAX_MESSAGE, Reach, RunId, Start, Step, ToWarden, encode};

impl State {
    /// A ticket becomes a run.
    pub(super) fn launch(&mut self, job: Arc<Job>, mut ticket: Ticket, kept: Kept, now: Now) {
        let again = ticket.attempt > 1;
        self.use_ends(&job, &mut ticket);
        if let Some(slot) = ticket.slot.filter(|_| !again) {
            self.book(&job.name, slot, slot, Fate::Ran(ticket.run));
        }
        let id = ticket.run;
        self.supersede(&job.name, &ticket, now);
        if ticket.trigger != Trigger::Request || again || kept == Kept::ByMark {
            self.expect(&ticket, &job.name, &Terms::of(&job));
        }
        let environment = match job.environment_file {
            Some(_) => Environment::Awaited(now.mono + PREPARE_LIMIT),
            None => Environment::Read(Vec::new()),
        };
        let reads = job.environment_file.is_some();
        let claim = claimed(&job, &ticket).then_some(now.mono + CLAIM_LIMIT);
        let going = self.going.entry(job.name.clone()).or_default();
        going.runs.push(id);
        if kept == Kept::ByMark && ticket.slot.is_some() {
            going.mark_at.get_or_insert(self.stood);
        }
        if claim.is_some() {
            self.note(Word::Claim(ledger::Entry::of(&job.name, &ticket, now.wall)));
        }
        let state = Life::Preparing { job: job.clone(), environment, claim, kept };
        let (terms, output) = (Terms::of(&job), Output::Open);
        let run = Run { job: job.name.clone(), ticket, terms, last: false, state, output };
        self.runs.insert(id, run);
        self.preparing.insert(id);
        if reads {
            self.effects.push(Effect::ReadEnvironment { run: id, job });
        }
        self.start_prepared(id, now);
    }

    /// Starts a run that waits for nothing more.
    fn start_prepared(&mut self, id: RunId, now: Now) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        let Life::Preparing { job, environment: Environment::Read(environment), claim: None, .. } = &mut run.state
        else {
            return;
        };
        let (job, environment) = (job.clone(), std::mem::take(environment));
        run.state = Life::Starting { stop: None };
        self.hand_over(id, &job, environment, now);
    }

    /// The ledger has these runs.
    pub(super) fn claimed(&mut self, runs: &[RunId], now: Now) {
        self.unclaimed = false;
        runs.iter().for_each(|id| self.let_start(*id, now));
    }

    fn let_start(&mut self, id: RunId, now: Now) {
        if let Some(Run { state: Life::Preparing { claim, .. }, .. }) = self.runs.get_mut(&id) {
            *claim = None;
            self.start_prepared(id, now);
        }
    }

    /// The environment of a run was read.
    pub(super) fn prepared(&mut self, id: RunId, read: Result<Vec<(String, String)>, String>, now: Now) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        let Life::Preparing { environment, .. } = &mut run.state else { return };
        match read {
            Ok(read) => {
                *environment = Environment::Read(read);
                self.start_prepared(id, now);
            }
            Err(message) => self.could_not_start(id, message, now),
        }
    }

    /// Has the warden start a run.
    fn hand_over(&mut self, id: RunId, job: &Job, environment: Vec<(String, String)>, now: Now) {
        let Some(run) = self.runs.get(&id) else { return };
        let Ticket { of, slot, attempt, trigger, .. } = run.ticket;
        let occasion = Occasion { run: of, slot, attempt, trigger: trigger.word(), after: run.ticket.upstream() };
        let plan = plan(job, &occasion, environment);
        let nothing = VecDeque::new();
        let waiting = self.going.get(&run.job).map_or(&nothing, |going| &going.waiting);
        let start = match (plan, run.context(waiting, self.last_run).encode()) {
            (Ok(plan), Some(context)) => ToWarden::Start(Box::new(Start { run: id, plan, context })),
            (Err(message), _) => return self.could_not_start(id, message, now),
            (_, None) => return self.could_not_start(id, "its terms are too long to be remembered".into(), now),
        };
        if encode(&start).is_err() {
            let message = format!("program, arguments and environment are more than {} KiB", MAX_MESSAGE >> 10);
            return self.could_not_start(id, message, now);
        }
        let job = run.job.clone();
        self.send(start);
        self.note_run(id, now);
        self.prepared_no_more(id, &job);
    }

    /// A run is known to the warden, or over: nothing of it is known here alone.
    fn prepared_no_more(&mut self, id: RunId, job: &JobName) {
        if !self.preparing.remove(&id) {
            return;
        }
        let Some(going) = self.going.get_mut(job) else { return };
        if !going.runs.iter().any(|run| self.preparing.contains(run)) && going.mark_at.take().is_some() {
            self.marking = Marking::Due;
        }
    }

    /// Has the capture await output. Whoever asked for a run may follow it from the moment that it has its id, so a request
    /// that waits is awaited from then on, too.
    pub(super) fn expect(&mut self, ticket: &Ticket, job: &JobName, terms: &Terms) {
        self.effects.push(Effect::Expect(label(ticket, job, terms)));
    }

    /// A run of which the warden was never told will not start.
    pub(super) fn could_not_start(&mut self, id: RunId, message: String, now: Now) {
        self.effects.push(Effect::AbandonOutput(id));
        let failure = Failure { step: Step::Plan, errno: 0 };
        self.over(id, None, Outcome::CouldNotStart { failure, message }, Booking::Here, now);
    }

    pub(super) fn not_started(&mut self, id: RunId, failure: Failure, now: Now) {
        if matches!(self.runs.get(&id), Some(Run { state: Life::Starting { .. }, .. })) {
            self.effects.push(Effect::AbandonOutput(id));
            let outcome = Outcome::CouldNotStart { failure, message: failure.to_string() };
            self.over(id, None, outcome, Booking::Warden, now);
        }
    }

    pub(super) fn started(&mut self, id: RunId, pid: i32, at: Timestamp, now: Now) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        let Life::Starting { stop } = run.state else { return };
        let until = run.terms.timeout.map(|timeout| now.mono.saturating_add(timeout));
        run.state = Life::Running { leader: Leader { pid, at }, until };
        let fact = Fact::Started { job: run.job.clone(), ticket: run.ticket.clone(), pid };
        self.note_run(id, now);
        self.tell(fact);
        if let Some(why) = stop {
            self.stop(id, why, now);
        }
    }

    /// The ledger has that a run goes on.
    pub(super) fn note_run(&mut self, id: RunId, now: Now) {
        if let Some(run) = self.runs.get(&id) {
            let since = run.leader().map_or(now.wall, |leader| leader.at);
            self.note(Word::Enter(ledger::Entry::of(&run.job, &run.ticket, since)));
        }
    }

    pub(super) fn ended(&mut self, id: RunId, ended: Ended, now: Now) {
        let cap = self.drain_cap(now);
        let Some(run) = self.runs.get_mut(&id) else { return };
        let (leader, stop) = match run.state {
            Life::Running { leader, .. } => (leader, None),
            Life::Stopping { leader, stop, .. } => (leader, Some(stop)),
            Life::Starting { .. } => (Leader { pid: 0, at: ended.at }, None),
            Life::Preparing { .. } | Life::Draining { .. } => return,
        };
        run.state = Life::Draining { leader, ended, stop, until: now.mono + DRAIN_LIMIT.min(cap), tail: Tail::Awaited };
        self.over_if_drained(id, now);
    }

    pub(super) fn output_is_in(&mut self, id: RunId, received: [u64; 2], dropped: u64, now: Now) {
        if let Some(run) = self.runs.get_mut(&id) {
            run.output = Output::Drained(Volume { received, dropped });
            self.over_if_drained(id, now);
        }
    }

    pub(super) fn left(&mut self, id: RunId, processes: u32) {
        let record = self.past.find_mut(id);
        let job = record.map(|record| {
            record.left = processes;
            record.job.clone()
        });
        let past = job.as_ref().and_then(|job| self.jobs.past_mut(job));
        if let Some(last) = past.and_then(|past| past.last.as_mut()).filter(|last| last.ticket.run == id) {
            last.left = processes;
        }
        if processes > 0 {
            self.tell(Fact::Left { job, run: id, processes });
        }
    }

    /// Asks a run to end. A stopped process is woken first, so that it can.
    pub(super) fn stop(&mut self, id: RunId, why: Why, now: Now) {
        let grace = self.stopping.as_ref().map(|stopping| stopping.left(now));
        let waiting = self.waiting_for(id);
        let Some(run) = self.runs.get_mut(&id) else { return };
        run.last |= ends_the_run(why);
        match &mut run.state {
            Life::Preparing { .. } => self.could_not_start(id, "stopped before it was started".into(), now),
            Life::Starting { stop } => *stop = stop.or(Some(why)),
            Life::Running { leader, .. } => {
                let leader = *leader;
                let kill_after = run.terms.kill_after.min(grace.unwrap_or(run.terms.kill_after));
                let step = Ladder::Asked(now.mono.saturating_add(kill_after));
                run.state = Life::Stopping { leader, stop: Stop { why, asked: now.wall }, step };
                let signal = run.terms.stop_signal;
                let context = run.context(&waiting, self.last_run).encode();
                let fact = Fact::Asked { job: run.job.clone(), run: id, why, signal };
                self.effects.extend(context.map(|context| Effect::Send(ToWarden::Context { run: id, context })));
                self.tell(fact);
                self.ask_to_end(id, signal);
            }
            Life::Stopping { .. } | Life::Draining { .. } => {}
        }
    }

    /// The first step of the ladder: `SIGCONT`, then the signal.
    pub(super) fn ask_to_end(&mut self, id: RunId, signal: i32) {
        for signal in [nix::libc::SIGCONT, signal] {
            self.send(ToWarden::Signal { run: id, signal, reach: Reach::Group });
        }
    }

    /// Stops every run of a job.
    pub(super) fn stop_all(&mut self, name: &JobName, why: Why, now: Now) -> Vec<RunId> {
        let runs = self.going.get(name).map(|going| going.runs.clone()).unwrap_or_default();
        runs.iter().for_each(|run| self.stop(*run, why, now));
        runs
    }

    /// Every run whose deadline has come takes its next step.
    pub(super) fn meet_deadlines(&mut self, now: Now) {
        let due = |(id, run): (&RunId, &Run)| run.deadline().is_some_and(|until| until <= now.mono).then_some(*id);
        let due: Vec<RunId> = self.runs.iter().filter_map(due).collect();
        due.into_iter().for_each(|id| self.meet_deadline(id, now));
    }

    fn meet_deadline(&mut self, id: RunId, now: Now) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        let job = run.job.clone();
        match &mut run.state {
            Life::Preparing { environment: Environment::Awaited(until), .. } if *until <= now.mono => {
                let message = format!("its environment_file was not read within {} s", PREPARE_LIMIT.as_secs());
                self.could_not_start(id, message, now);
            }
            Life::Preparing { .. } => {
                if !std::mem::replace(&mut self.unclaimed, true) {
                    self.tell(Fact::Unclaimed);
                }
                self.let_start(id, now);
            }
            Life::Running { .. } => self.stop(id, Why::Timeout, now),
            Life::Stopping { step: step @ Ladder::Asked(_), .. } => {
                *step = Ladder::Killed(now.mono + DEATH_LIMIT);
                self.tell(Fact::Killed { job, run: id });
                self.kill(id, Reach::Group);
                self.kill(id, Reach::Everything);
            }
            Life::Stopping { leader, step, .. } => {
                *step = Ladder::WillNotDie;
                let pid = leader.pid;
                self.tell(Fact::WillNotDie { job, run: id, pid });
            }
            Life::Draining { tail: tail @ Tail::Awaited, until, stop: Some(_), .. } => {
                (*tail, *until) = (Tail::Swept, now.mono + SWEEP_LIMIT);
                self.kill(id, Reach::Everything);
            }
            Life::Draining { tail: tail @ (Tail::Awaited | Tail::Swept), until, .. } => {
                (*tail, *until) = (Tail::Closing, now.mono + CLOSE_LIMIT);
                self.effects.push(Effect::CloseOutput(id));
                self.tell(Fact::OutputClosed { job, run: id });
            }
            Life::Draining { .. } => {
                run.output = Output::Drained(Volume::default());
                self.over_if_drained(id, now);
            }
            Life::Starting { .. } => {}
        }
    }

    pub(super) fn kill(&mut self, id: RunId, reach: Reach) {
        self.send(ToWarden::Signal { run: id, signal: nix::libc::SIGKILL, reach });
    }

    pub(super) fn over_if_drained(&mut self, id: RunId, now: Now) {
        let Some(run) = self.runs.get(&id) else { return };
        if let (&Life::Draining { leader, ended, stop, .. }, Output::Drained(_)) = (&run.state, run.output) {
            let outcome = outcome(&run.terms, &ended, stop);
            if stop.is_some() {
                // Once more, for those who closed their output. What the leader left of a run that was to be gone goes, too; a run that
                // ended by itself keeps its own.
                self.kill(id, Reach::Everything);
            }
            self.over(id, Some((leader.pid, leader.at, ended)), outcome, Booking::Warden, now);
        }
    }

    /// Books the one outcome of a run, lets go of it, and starts what waited for it.
    pub(super) fn over(&mut self, id: RunId, led: Led, outcome: Outcome, booking: Booking, now: Now) {
        let waiting = self.waiting_for(id);
        let Some(run) = self.runs.remove(&id) else { return };
        let context = self.is_followed(&run.job).then(|| Box::new(run.context(&waiting, self.last_run)));
        let volume = match run.output {
            Output::Drained(volume) => volume,
            Output::Open => Volume::default(),
        };
        let delay = self.delay(&run, &outcome);
        let next = delay.map(|delay| now.wall.checked_add(delay).unwrap_or(Timestamp::MAX));
        let (name, of, slot, success) = (run.job.clone(), run.ticket.of, run.ticket.slot, outcome.success());
        let again = next.map(|at| (run.ticket.again(self.next_run(now)), at));
        let home = (booking == Booking::Warden && again.is_some())
            .then(|| Box::new(run.context(&VecDeque::new(), self.last_run)));
        let most = run.terms.retries.as_deref().map_or(1, |retries| retries.max.saturating_add(1));
        let (log, hash, booked) = (run.terms.log, run.terms.hash, now.wall);
        let (job, ticket) = (run.job, run.ticket);
        self.record(Record { job, ticket, led, log, outcome, booked, volume, left: 0, hash, next, most });
        if let Some(going) = self.going.get_mut(&name) {
            going.runs.retain(|other| *other != id);
        }
        if let Some(again) = again {
            self.wait_for_retry(name.clone(), again, home, now);
            let successor = self.go_on(&name, now);
            self.failed_to_prepare(id, &name, successor);
            return;
        }
        let successor = self.go_on(&name, now);
        self.failed_to_prepare(id, &name, successor);
        match booking {
            Booking::Warden => {
                self.note(Word::Over(id));
                let successors = successor.into_iter().collect();
                self.forgets.push_back(Forget { run: id, slot, successors, context });
            }
            Booking::Here => self.note(Word::Strike(id)),
        }
        self.strike_first(of);
        self.finished(&name, of, success);
    }

    /// A run is over. Its first attempt may have been claimed and never come to the warden: nothing else strikes that.
    pub(super) fn strike_first(&mut self, of: RunId) {
        if !self.forgets.iter().any(|forget| forget.run == of) {
            self.note(Word::Strike(of));
        }
    }

    /// A run that was never known to the warden is over: what remembered it remembers what starts in its place.
    fn failed_to_prepare(&mut self, id: RunId, name: &JobName, successor: Option<RunId>) {
        if !self.preparing.contains(&id) {
            return;
        }
        for forget in self.forgets.iter_mut().filter(|forget| forget.successors.contains(&id)) {
            forget.successors.retain(|run| *run != id);
            forget.successors.extend(successor);
        }
        self.prepared_no_more(id, name);
        self.marking = Marking::Due;
    }

    /// Starts what waits for a job's runs, once there are none. What may not start is given up, and the next has its turn.
    /// Answers with the last that was taken.
    pub(super) fn go_on(&mut self, name: &JobName, now: Now) -> Option<RunId> {
        let mut taken = None;
        loop {
            let retry = self.retry_waits(name);
            let due = |ticket: &Ticket| ticket.trigger != Trigger::CatchUp || !retry;
            let going = self.going.get_mut(name).filter(|going| going.runs.is_empty());
            let going = going.filter(|going| going.waiting.front().is_none_or(due));
            let Some(going) = going.filter(|going| going.waiting.is_empty() || self.loaded) else { return taken };
            let Some(ticket) = going.waiting.pop_front() else {
                self.going.remove(name);
                return taken;
            };
            taken = Some(ticket.run);
            self.owing.insert(name.clone());
            let job = self.jobs.get(name).map(|entry| entry.job.clone());
            match job.filter(|job| job.enable || ticket.trigger == Trigger::Request) {
                _ if self.stopping.is_some() => self.give_up(name, ticket, Fate::Skipped(Rule::Stopping), now),
                Some(job) => match self.pauses.lets_go(name, &ticket) {
                    Some(kind) => self.give_up(name, ticket, Fate::Paused(kind, 1), now),
                    None => {
                        self.launch(job, ticket, Kept::ByContext, now);
                        return taken;
                    }
                },
                None => self.give_up(name, ticket, Fate::Skipped(Rule::Retired), now),
            }
        }
    }

    /// A ticket will not become a program: a slot gets its verdict, what follows other jobs one at this instant, a request its
    /// outcome.
    pub(super) fn give_up(&mut self, name: &JobName, ticket: Ticket, fate: Fate, now: Now) {
        if let Some(slot) = ticket.slot {
            if !(fate == Fate::Skipped(Rule::Stopping) && self.put_off(name, slot)) {
                self.book(name, slot, slot, fate);
            }
            return;
        }
        if ticket.trigger == Trigger::After {
            return self.book(name, now.wall, now.wall, fate);
        }
        self.effects.push(Effect::AbandonOutput(ticket.run));
        let message = match fate {
            Fate::Superseded => "a newer slot took its place while it waited".into(),
            Fate::Skipped(rule) => format!("it waited for a run to end, and was dropped ({})", rule.code()),
            Fate::Ran(_) | Fate::Missed(..) | Fate::Paused(..) => return,
        };
        let outcome = Outcome::CouldNotStart { failure: Failure { step: Step::Plan, errno: 0 }, message };
        let of = ticket.of;
        self.record(Record::blank(name.clone(), ticket, outcome, now.wall));
        self.finished(name, of, false);
    }

    /// Has the contexts of a job's runs say what waits for them.
    pub(super) fn carry(&mut self, name: &JobName) {
        let Some(going) = self.going.get(name) else { return };
        let known = going.runs.iter().filter(|id| !self.preparing.contains(id)).filter_map(|id| self.runs.get(id));
        let context = |run: &Run| {
            let context = run.context(&going.waiting, self.last_run).encode()?;
            Some(Effect::Send(ToWarden::Context { run: run.ticket.run, context }))
        };
        let contexts: Vec<Effect> = known.filter_map(context).collect();
        self.effects.extend(contexts);
        self.owing.insert(name.clone());
        self.retries_of(name).into_iter().for_each(|of| self.carry_home(of));
    }

    /// What the capture must know of a run.
    pub fn label(&self, id: RunId) -> Option<Label> {
        self.runs.get(&id).map(|run| label(&run.ticket, &run.job, &run.terms))
    }

    fn waiting_for(&self, id: RunId) -> VecDeque<Ticket> {
        let going = self.runs.get(&id).and_then(|run| self.going.get(&run.job));
        going.map(|going| going.waiting.clone()).unwrap_or_default()
    }
}

/// The leader of a run that is over, if there was one: pid, start, end.
type Led = Option<(i32, Timestamp, Ended)>;

/// Who knows of a run that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Booking {
    /// The warden, which is to forget it.
    Warden,
    /// This engine alone: its `Start` was never sent.
    Here,
}

fn label(ticket: &Ticket, job: &JobName, terms: &Terms) -> Label {
    let Ticket { run, of, attempt, .. } = *ticket;
    Label { run, of, attempt, job: job.clone(), log: terms.log, output_limit: terms.output_limit }
}
