//! Taking over the runs of the engine before, and booking those that ended with the warden before.
//!
//! What the warden kept of a run is its [`Context`] and how far it is. Deadlines are on the monotonic clock of an engine that
//! is gone; they are derived anew from the wall clock, and a run whose clock makes no sense gets its full time once more.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::catchup::disown;
use super::clock::{Now, just_before};
use super::life::{DRAIN_LIMIT, Ladder, Leader, Life, Output, Run, Tail, outcome};
use super::mark::{Context, Stop, Terms, Ticket, Trigger};
use super::past::{Fate, Record};
use super::pause::Span;
use super::retry::ends_the_run;
use super::{Fact, State};
use crate::engine::ledger::{self, Word};
use crate::engine::view::Outcome;
use crate::job::JobName;
use crate::wire::{Adopt, AdoptState, RunId};

impl State {
    /// A run of the engine before.
    pub(super) fn adopt(&mut self, adopt: Adopt, now: Now) {
        let id = adopt.run;
        let context = Context::decode(&adopt.context).filter(|context| context.ticket.run == id);
        if context.is_none() {
            self.tell(Fact::Strange(id));
        }
        let Some(context) = context.or_else(|| strange(id)) else { return };
        self.note_ends(&context);
        let told = context.told.then(|| told(&context, &adopt.state, now)).flatten();
        let whole = told.is_some().then(|| context.clone());
        let Context { job, ticket, terms, stop, waiting, as_of, retry, .. } = context;
        let coming = waiting.iter().chain(retry.iter().map(|(next, _)| next)).map(|ticket| ticket.run);
        self.last_run = self.last_run.max(id).max(as_of).max(coming.max().unwrap_or(id));
        for ticket in std::iter::once(&ticket).chain(&waiting) {
            self.inherit_slot(&job, ticket, now);
        }
        self.inherit_made_up(&job, std::iter::once(&ticket).chain(&waiting));
        self.has_started(&ticket);
        self.owing.insert(job.clone());
        if let (Some(record), Some(context)) = (told, whole) {
            self.take_waiting(&job, waiting, as_of);
            self.forget_started_tickets(&job);
            self.note_adopted(&context, now);
            return self.adopt_told(context, record, now);
        }
        self.inherit_made_up(&job, std::iter::once(&ticket).chain(&waiting));
        let state = match (&adopt.state, stop) {
            (AdoptState::Starting | AdoptState::NotStarted(_), stop) => {
                Life::Starting { stop: stop.map(|stop| stop.why) }
            }
            (&AdoptState::Running { pid, at }, None) => {
                let until = terms.timeout.map(|timeout| now.mono.saturating_add(rest(timeout, at, now)));
                Life::Running { leader: Leader { pid, at }, until }
            }
            (&AdoptState::Running { pid, at }, Some(stop)) => {
                let kill = now.mono.saturating_add(rest(terms.kill_after, stop.asked, now));
                Life::Stopping { leader: Leader { pid, at }, stop, step: Ladder::Asked(kill) }
            }
            (&AdoptState::Ended { pid, at, ended }, stop) => {
                let until = now.mono + DRAIN_LIMIT;
                Life::Draining { leader: Leader { pid, at }, ended, stop, until, tail: Tail::Awaited }
            }
        };
        let going = self.going.entry(job.clone()).or_default();
        going.runs.push(id);
        going.runs.sort_unstable();
        self.take_waiting(&job, waiting, as_of);
        let signal = terms.stop_signal;
        let last = stop.is_some_and(|stop| ends_the_run(stop.why));
        self.runs.insert(id, Run { job: job.clone(), ticket, terms, last, state, output: Output::Open });
        self.forget_started_tickets(&job);
        self.note_run(id, now);
        self.tell(Fact::Adopted { job, run: id });
        match adopt.state {
            AdoptState::Running { .. } if stop.is_some() => self.ask_to_end(id, signal),
            AdoptState::NotStarted(failure) => self.not_started(id, failure, now),
            _ => {}
        }
    }

    /// The ledger of this engine has an attempt that is over: it stands for its slot, and is lost with the daemon where
    /// another is to come.
    fn note_adopted(&mut self, context: &Context, now: Now) {
        self.note(Word::Enter(ledger::Entry::of(&context.job, &context.ticket, now.wall)));
        if context.retry.is_none() {
            self.note(Word::Over(context.ticket.run));
        }
    }

    /// What waits for a run of the engine before.
    fn take_waiting(&mut self, job: &JobName, waiting: Vec<Ticket>, as_of: RunId) {
        let going = self.going.entry(job.clone()).or_default();
        // Of several runs, the one that was told last knows what waits.
        let told = Some((as_of, Reverse(waiting.len())));
        if told > going.told {
            (going.told, going.waiting) = (told, waiting.into());
        }
    }

    /// A slot that the engine before decided is not decided again.
    pub(super) fn inherit_slot(&mut self, job: &JobName, ticket: &Ticket, now: Now) {
        let Some(slot) = ticket.slot else { return };
        disown(&mut self.owed, job, slot);
        if !self.watched.holds(slot) && ticket.trigger != Trigger::CatchUp {
            self.jobs.inherit(job, slot, ticket.trigger);
            self.watched.add_stray(slot, now);
        }
        if slot == self.setting.started {
            self.booted_jobs.insert(job.clone());
        }
    }

    /// A run ended with an earlier warden. People were told when the ledger was read, which knows why.
    pub(super) fn lost(&mut self, cut: ledger::Entry, now: Now) {
        let ledger::Entry { run, of, job, slot, trigger, .. } = cut;
        self.last_run = self.last_run.max(run);
        if let (Some(slot), Some(past)) = (slot, self.jobs.past_mut(&job)) {
            past.book(slot, Fate::Ran(of));
        }
        let ticket = Ticket { of, ..Ticket::first(run, slot, trigger, String::new()) };
        self.remember(Record::blank(job.clone(), ticket, Outcome::Lost, now.wall));
        self.finished(&job, of, false);
    }

    /// What waited by the word of an older run may have been started already, and what came before it, too.
    fn forget_started_tickets(&mut self, job: &JobName) {
        if let Some(going) = self.going.get_mut(job) {
            let begun = |ticket: &Ticket| {
                let of = |run: &RunId| self.runs.get(run).map(|run| run.ticket.of);
                going.runs.iter().filter_map(of).any(|of| of == ticket.of)
            };
            let started = going.waiting.iter().rposition(begun);
            going.waiting.drain(..started.map_or(0, |started| started + 1));
        }
    }

    /// What an engine before chose to make up for was chosen at one time, and all of its job between was decided then.
    fn inherit_made_up<'a>(&mut self, job: &JobName, tickets: impl Iterator<Item = &'a Ticket>) {
        let slots = tickets.filter(|ticket| ticket.trigger == Trigger::CatchUp).filter_map(|ticket| ticket.slot);
        let slots: BTreeSet<Timestamp> = slots.filter(|slot| !self.watched.holds(*slot)).collect();
        if let (Some(oldest), Some(newest)) = (slots.first(), slots.last()) {
            self.jobs.make(job, Span { since: just_before(*oldest), until: *newest });
        }
    }

    /// The first snapshot is whole: requests that wait are known to the capture again, and what waited for runs that are
    /// over by now may start.
    pub(super) fn start_waiting_strays(&mut self, now: Now) {
        let waiting =
            self.going.iter().flat_map(|(name, going)| going.waiting.iter().map(move |ticket| (name, ticket)));
        let requests = waiting.filter(|(_, ticket)| ticket.trigger == Trigger::Request);
        let requests = requests.filter_map(|(name, ticket)| Some((ticket.clone(), self.jobs.get(name)?.job.clone())));
        for (ticket, job) in requests.collect::<Vec<_>>() {
            self.expect(&ticket, &job.name, &Terms::of(&job));
        }
        // An engine that dies while it tells may have told some of a job's runs and not the others.
        let waited = self.going.iter().filter(|(_, going)| !going.waiting.is_empty());
        let waited: Vec<JobName> = waited.map(|(name, _)| name.clone()).collect();
        waited.iter().for_each(|name| self.carry(name));
        let idle = self.going.iter().filter(|(_, going)| going.runs.is_empty());
        let idle: Vec<JobName> = idle.map(|(name, _)| name.clone()).collect();
        for name in idle {
            if let Some(run) = self.go_on(&name, now) {
                self.remember_successor(run, &name);
            }
        }
        // What waits still is in the contexts of others.
        for going in self.going.values_mut().filter(|going| !going.runs.iter().any(|run| self.preparing.contains(run)))
        {
            going.mark_at = None;
        }
    }

    /// The runs of a job that are over and not forgotten remember a ticket: they stay until it is started.
    fn remember_successor(&mut self, run: RunId, name: &JobName) {
        for forget in &mut self.forgets {
            if self.past.find(forget.run).is_some_and(|record| record.job == *name) {
                forget.successors.push(run);
            }
        }
    }
}

/// An attempt that was over and told of, as its record.
fn told(context: &Context, state: &AdoptState, now: Now) -> Option<Record> {
    let Context { job, ticket, terms, stop, retry, .. } = context;
    let (led, outcome) = match *state {
        AdoptState::Ended { pid, at, ended } => (Some((pid, at, ended)), outcome(terms, &ended, *stop)),
        AdoptState::NotStarted(failure) => (None, Outcome::CouldNotStart { failure, message: failure.to_string() }),
        AdoptState::Starting | AdoptState::Running { .. } => return None,
    };
    let most = terms.retries.as_deref().map_or(1, |retries| retries.max.saturating_add(1));
    let next = retry.as_ref().map(|(_, at)| *at);
    let record = Record::blank(job.clone(), ticket.clone(), outcome, now.wall);
    Some(Record { led, log: terms.log, hash: terms.hash, next, most, ..record })
}

/// What is left of a span that began at `since`, by the wall clock; all of it if that is in the future.
fn rest(span: Duration, since: Timestamp, now: Now) -> Duration {
    let passed = Duration::try_from(now.wall.duration_since(since)).unwrap_or_default();
    span.saturating_sub(passed)
}

/// The context of a run that an engine of another version started: it is reaped, limited by nothing, and shown.
fn strange(id: RunId) -> Option<Context> {
    Some(Context {
        job: JobName::parse("(unknown)").ok()?,
        ticket: Ticket::first(id, None, Trigger::Request, "an engine of another version".into()),
        terms: Terms {
            timeout: None,
            stop_signal: nix::libc::SIGTERM,
            kill_after: Duration::from_secs(10),
            success_codes: vec![0],
            output_limit: crate::job::Limits::default().output,
            log: None,
            retries: None,
            hash: 0,
        },
        stop: None::<Stop>,
        waiting: Vec::new(),
        as_of: RunId(0),
        told: false,
        retry: None,
        heard: None,
    })
}
