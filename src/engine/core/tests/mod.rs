//! The core against a warden and clocks made of plain values.

mod after;
mod catchup;
mod death;
mod errand;
mod hold;
mod gauge;
mod model;
mod once;
mod overlap;
mod pause;
mod retry;
mod stop;
mod time;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::errand::is_errand;
use super::*;
use crate::conf::Change;
use crate::engine::ledger::{self, Page};
use crate::job::{Armed, Job, JobName, Limits, OnOverlap, Program};
use crate::schedule::{Dialect, Schedule};
use crate::wire::{Adopt, AdoptState, Ended, Exit, Failure, MAX_CONTEXT, MAX_MARK, Reach};

/// 2026-11-20T12:00:00Z, a whole hour.
pub const T0: i64 = 1_795_176_000;

pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub fn name(text: &str) -> JobName {
    JobName::parse(text).unwrap()
}

/// A job that is due by `schedule` (robfig, seconds first).
pub fn job(text: &str, schedule: &str, on_overlap: OnOverlap) -> Job {
    let schedule =
        (!schedule.is_empty()).then(|| Schedule::parse(schedule, Dialect::Robfig, &TimeZone::UTC, text).unwrap());
    Job {
        name: name(text),
        file: format!("{text}.yaml"),
        hash: 0,
        enable: true,
        creator: String::new(),
        program: Program::Exec { command: "/bin/true".into(), args: vec![] },
        schedule,
        catch_up: crate::job::CatchUp::NONE,
        retries: None,
        after: None,
        when_done: crate::job::WhenDone::Keep,
        on_overlap,
        timeout: None,
        stop_signal: 15,
        kill_after: Duration::from_secs(10),
        success_codes: vec![0],
        user: None,
        environment: BTreeMap::new(),
        environment_file: None,
        work_dir: None,
        umask: 0o22,
        nice: 0,
        limits: Limits::default(),
        no_new_privs: true,
        log: None,
        notify: None,
        labels: BTreeMap::new(),
    }
}

/// A run as the warden knows it.
#[derive(Debug, Clone)]
pub struct Known {
    pub context: Vec<u8>,
    pub state: AdoptState,
    pub drained: bool,
}

/// A warden that keeps the contract of `wire`, and what is to be seen from outside.
#[derive(Debug, Default)]
pub struct Warden {
    pub runs: BTreeMap<RunId, Known>,
    pub mark: Option<Vec<u8>>,
    /// Every slot for which it started something.
    pub started: Vec<(JobName, Timestamp)>,
    /// Every ticket for which it did.
    pub begun: Vec<(JobName, Ticket)>,
    /// Every attempt that it started: run, number.
    pub attempts: BTreeSet<(RunId, u32)>,
    pub signals: Vec<(RunId, i32, Reach)>,
    pub drained: usize,
}

pub struct World {
    pub state: State,
    pub now: Now,
    pub warden: Warden,
    pub facts: Vec<Fact>,
    /// When each was told.
    pub told: Vec<Timestamp>,
    /// How many facts had been told when a run's start was sent.
    pub begun_at: BTreeMap<RunId, usize>,
    pub reading: Vec<RunId>,
    pub closed: Vec<RunId>,
    /// Runs whose output this engine's capture awaits.
    pub expected: BTreeSet<RunId>,
    pub sent: usize,
    /// Messages that still reach the warden before the engine dies.
    pub cut: Option<usize>,
    pub generation: u32,
    pub boot: bool,
    /// Pauses as they are on the disk.
    pub kept: BTreeMap<JobName, crate::engine::Pause>,
    /// Jobs that were to be removed.
    pub removed: Vec<(JobName, u64)>,
    pub kept_hold: Option<crate::engine::Pause>,
    /// Jobs as they lie in conf.d, for the next engine.
    pub files: BTreeMap<JobName, Armed>,
    /// Jobs that were taken away, and when.
    pub away: BTreeMap<JobName, Duration>,
    /// What the orderers of errands have heard.
    pub reports: Vec<Report>,
    /// Errands whose output is no longer read.
    pub hushed: Vec<RunId>,
    /// Every run id that was ever booked as over, by this engine.
    pub over: BTreeSet<RunId>,
    /// The ledger as the engine has said, and as it is on the disk.
    pub page: Page,
    pub disk: String,
    /// Runs that wait for the disk.
    pub claims: Vec<RunId>,
    /// The disk takes nothing.
    pub hung: bool,
    /// When the warden started.
    pub started_at: i64,
}

impl World {
    pub fn new() -> Self {
        Self::starting_at(T0)
    }

    pub fn starting_at(second: i64) -> Self {
        let now = Now { wall: at(second), mono: Duration::from_secs(1000) };
        let mut world = Self {
            state: State::new(setting(0, None, false, second), now),
            now,
            warden: Warden::default(),
            facts: Vec::new(),
            told: Vec::new(),
            begun_at: BTreeMap::new(),
            reading: Vec::new(),
            closed: Vec::new(),
            expected: BTreeSet::new(),
            sent: 0,
            cut: None,
            generation: 0,
            boot: false,
            kept: BTreeMap::new(),
            kept_hold: None,
            removed: Vec::new(),
            files: BTreeMap::new(),
            away: BTreeMap::new(),
            reports: Vec::new(),
            hushed: Vec::new(),
            over: BTreeSet::new(),
            page: Page::default(),
            disk: String::new(),
            claims: Vec::new(),
            hung: false,
            started_at: second,
        };
        world.step(Event::Loaded { changes: vec![], complete: true });
        world
    }

    /// With these jobs in conf.d, their files unchanged for a day.
    pub fn with(jobs: Vec<Job>) -> Self {
        let mut world = Self::new();
        world.warden.mark = None;
        for job in jobs {
            world.files.insert(job.name.clone(), Armed { job: Arc::new(job), since: at(T0 - 86_400) });
        }
        world.state = State::new(setting(0, None, false, T0), world.now);
        world.load_all();
        world.write_ledger();
        world
    }

    pub fn load_all(&mut self) {
        let changes = self.files.values().cloned().map(Change::Armed).collect();
        self.step(Event::Loaded { changes, complete: true });
    }

    pub fn arm(&mut self, job: Job, since: Timestamp) {
        let armed = Armed { job: Arc::new(job), since };
        if self.away.remove(&armed.job.name).is_some_and(|when| self.now.mono >= when + LATE_LIMIT.unsigned_abs()) {
            self.forget_history(&armed.job.name);
        }
        self.files.insert(armed.job.name.clone(), armed.clone());
        self.step(Event::Loaded { changes: vec![Change::Armed(armed)], complete: true });
    }

    pub fn retire(&mut self, job: &str) {
        self.files.remove(&name(job));
        self.away.insert(name(job), self.now.mono);
        self.step(Event::Loaded { changes: vec![Change::Retired(name(job))], complete: true });
    }

    pub fn step(&mut self, event: Event) {
        let effects = self.state.step(event, self.now);
        self.perform(effects);
        if !self.hung && self.cut != Some(0) && !self.claims.is_empty() {
            self.write_ledger();
        }
    }

    /// Time goes on: what was said before is on the disk by then.
    fn save(&mut self, to: Timestamp) {
        if !self.hung && self.cut != Some(0) && to != self.now.wall {
            self.write_ledger();
        }
    }

    /// The disk takes the ledger.
    pub fn write_ledger(&mut self) {
        self.disk = self.page.write(&self.head(), self.now.wall);
        let claims = std::mem::take(&mut self.claims);
        if claims.is_empty() {
            return;
        }
        let effects = self.state.step(Event::Claimed(claims), self.now);
        self.perform(effects);
    }

    /// Of the ledger of this warden.
    fn head(&self) -> String {
        ledger::head("boot", at(self.started_at))
    }

    pub fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(message) => {
                    if let ToWarden::Start(start) = &message
                        && !is_errand(&start.context)
                    {
                        assert!(self.expected.contains(&start.run), "its output would be lost");
                    }
                    if let ToWarden::Start(start) = &message {
                        self.begun_at.insert(start.run, self.facts.len());
                    }
                    if self.cut == Some(0) {
                        continue;
                    }
                    self.cut = self.cut.map(|left| left - 1);
                    self.sent += 1;
                    self.receive(message);
                }
                Effect::ReadEnvironment { run, .. } => self.reading.push(run),
                Effect::Note(word) => {
                    if let Word::Claim(entry) = &word {
                        self.claims.push(entry.run);
                    }
                    self.page.hear(word);
                }
                Effect::CloseOutput(run) => self.closed.push(run),
                Effect::CloseErrand(run) => self.hushed.push(run),
                Effect::Reported(report) => self.reports.push(report),
                Effect::Tell(fact) => {
                    if let Fact::Over(record) = &*fact {
                        assert!(self.over.insert(record.ticket.run), "two outcomes for {}", record.ticket.run);
                    }
                    self.facts.push(*fact);
                    self.told.push(self.now.wall);
                }
                Effect::Expect(label) => assert!(self.expected.insert(label.run), "expected twice: {label:?}"),
                Effect::AbandonOutput(run) => drop(self.expected.remove(&run)),
                Effect::KeepPause(name, pause) if self.cut != Some(0) => match pause {
                    Some(pause) => drop(self.kept.insert(name, pause)),
                    None => drop(self.kept.remove(&name)),
                },
                Effect::Remove(name, hash) => self.removed.push((name, hash)),
                Effect::KeepHold(hold) if self.cut != Some(0) => self.kept_hold = hold,
                Effect::KeepPause(..) | Effect::KeepHold(_) => {}
            }
        }
    }

    fn receive(&mut self, message: ToWarden) {
        match message {
            ToWarden::Start(start) => {
                let context = Context::decode(&start.context);
                assert!(start.context.len() <= MAX_CONTEXT);
                assert_eq!(context.is_none(), is_errand(&start.context), "a readable context");
                let known = Known { context: start.context, state: AdoptState::Starting, drained: false };
                assert!(self.warden.runs.insert(start.run, known).is_none(), "run id in use");
                let Some(Context { job, ticket, .. }) = context else { return };
                assert!(self.warden.attempts.insert((ticket.of, ticket.attempt)), "{ticket:?} was started twice");
                self.warden.begun.push((job.clone(), ticket.clone()));
                if let Some(slot) = ticket.slot.filter(|_| ticket.attempt == 1) {
                    self.warden.started.push((job, slot));
                }
            }
            ToWarden::Context { run, context } => {
                assert!(context.len() <= MAX_CONTEXT);
                self.warden.runs.get_mut(&run).expect("a known run").context = context;
            }
            ToWarden::Mark { mark } => {
                assert!(mark.len() <= MAX_MARK);
                self.warden.mark = Some(mark);
            }
            ToWarden::Signal { run, signal, reach } => {
                assert!(self.warden.runs.contains_key(&run), "signal to a run that is forgotten");
                self.warden.signals.push((run, signal, reach));
            }
            ToWarden::Forget { run } => {
                let known = self.warden.runs.remove(&run).expect("forgets what it knows");
                assert!(
                    matches!(known.state, AdoptState::Ended { .. } | AdoptState::NotStarted(_)),
                    "forgets a run that goes on"
                );
            }
            ToWarden::Drained => self.warden.drained += 1,
            _ => panic!("unexpected message"),
        }
    }

    /// Time goes on, and the loop wakes whenever it asked to.
    pub fn pass(&mut self, seconds: i64) {
        let end = self.now.wall + SignedDuration::from_secs(seconds);
        loop {
            let wall = self.state.next_wall().filter(|wall| *wall <= end);
            let mono = self
                .state
                .next_mono()
                .map(|mono| self.now.wall + SignedDuration::try_from(mono.saturating_sub(self.now.mono)).unwrap());
            let next = wall.into_iter().chain(mono).min().filter(|next| *next <= end).unwrap_or(end).max(self.now.wall);
            self.tick(next);
            self.step(Event::Wake);
            if next >= end {
                return;
            }
        }
    }

    /// Time goes on while nobody looks.
    pub fn sleep(&mut self, seconds: i64) {
        self.tick(self.now.wall + SignedDuration::from_secs(seconds));
    }

    pub fn tick(&mut self, to: Timestamp) {
        self.save(to);
        self.now.mono += Duration::try_from(to.duration_since(self.now.wall)).unwrap();
        self.now.wall = to;
    }

    /// The wall clock is set.
    pub fn set_clock(&mut self, second: i64) {
        self.save(at(second));
        self.now.wall = at(second);
        self.step(Event::Wake);
    }

    pub fn start_all(&mut self) {
        let starting = |(id, known): (&RunId, &Known)| (known.state == AdoptState::Starting).then_some(*id);
        let ids: Vec<RunId> = self.warden.runs.iter().filter_map(starting).collect();
        ids.into_iter().for_each(|id| self.started(id));
    }

    /// The same, where the engine still lives to hear of it.
    pub fn start_all_that_start(&mut self) {
        if self.cut != Some(0) {
            self.start_all();
        }
    }

    pub fn started(&mut self, run: RunId) {
        let (pid, at) = (run.0 as u16 as i32 + 2, self.now.wall);
        self.warden.runs.get_mut(&run).unwrap().state = AdoptState::Running { pid, at };
        self.step(Event::Started { run, pid, at });
    }

    pub fn ended(&mut self, exit: Exit) -> Ended {
        Ended { exit, at: self.now.wall, user: Duration::ZERO, system: Duration::ZERO, max_rss: 1 }
    }

    /// The leader ends; output stays open.
    pub fn end(&mut self, run: RunId, exit: Exit) {
        let ended = self.ended(exit);
        let known = self.warden.runs.get_mut(&run).unwrap();
        let AdoptState::Running { pid, at } = known.state else { panic!("not running") };
        known.state = AdoptState::Ended { pid, at, ended };
        self.step(Event::Ended { run, ended });
    }

    pub fn drain_output(&mut self, run: RunId) {
        if let Some(known) = self.warden.runs.get_mut(&run) {
            known.drained = true;
        }
        if self.state.is_errand(run) {
            return self.step(Event::ErrandOutput { run, tail: b"said".to_vec() });
        }
        self.step(Event::Drained { run, received: [10, 0], dropped: 0 });
    }

    /// Every run of a job starts, ends well, and is drained.
    pub fn finish(&mut self, job: &str) {
        self.start_all();
        for run in self.runs_of(job) {
            self.end(run, Exit::Code(0));
            self.drain_output(run);
        }
    }

    /// Runs of a job that the warden knows and whose leader lives.
    pub fn runs_of(&self, job: &str) -> Vec<RunId> {
        let alive = |known: &Known| matches!(known.state, AdoptState::Starting | AdoptState::Running { .. });
        let mine = |known: &Known| Context::decode(&known.context).is_some_and(|context| context.job == name(job));
        self.warden.runs.iter().filter(|(_, known)| alive(known) && mine(known)).map(|(id, _)| *id).collect()
    }

    /// Errands that the warden knows.
    pub fn errands(&self) -> Vec<RunId> {
        let errand = |(_, known): &(&RunId, &Known)| is_errand(&known.context);
        self.warden.runs.iter().filter(errand).map(|(id, _)| *id).collect()
    }

    /// A job that was away for long, or while engines changed, is a new one: what ran before says nothing about it.
    fn forget_history(&mut self, job: &JobName) {
        self.warden.started.retain(|(name, _)| name != job);
    }

    /// The engine is gone; the next one gets what the warden has.
    pub fn next_engine(&mut self) {
        self.cut = None;
        self.generation += 1;
        for job in std::mem::take(&mut self.away).into_keys() {
            self.forget_history(&job);
        }
        self.over.clear();
        self.reading.clear();
        self.closed.clear();
        self.expected.clear();
        self.claims.clear();
        self.page = Page::default();
        let setting = setting(self.generation, self.warden.mark.clone(), self.boot, self.started_at);
        let left = ledger::read(&self.disk, &self.head()).unwrap_or_default();
        let lost = left.lost();
        let (pauses, hold) = (self.kept.clone(), self.kept_hold.clone());
        self.state = State::new(Setting { pauses, hold, left, ..setting }, self.now);
        for (run, known) in self.warden.runs.clone() {
            let adopt = Adopt { run, context: known.context, state: known.state, spools: vec![] };
            self.step(Event::Adopt(Box::new(adopt)));
            if known.drained {
                self.step(Event::Drained { run, received: [1, 1], dropped: 0 });
            }
        }
        self.load_all();
        self.step(Event::Lost(lost));
        if !self.hung {
            self.write_ledger();
        }
    }

    /// Warden, engine and runs are gone at once; another daemon starts from what is on the disk.
    pub fn next_daemon(&mut self) {
        self.warden = Warden { started: std::mem::take(&mut self.warden.started), ..Warden::default() };
        self.started_at = self.now.wall.as_second();
        self.generation = 0;
        self.next_engine();
        self.generation = 0;
    }

    pub fn fates(&self, job: &str) -> Vec<(i64, Fate)> {
        let mine = |fact: &Fact| match fact {
            Fact::Verdict { job: whose, slot, fate, .. } if *whose == name(job) => Some((slot.as_second() - T0, *fate)),
            _ => None,
        };
        self.facts.iter().filter_map(mine).collect()
    }

    /// The slots of a job that became runs, in seconds after [`T0`].
    pub fn ran(&self, job: &str) -> Vec<i64> {
        self.fates(job).into_iter().filter(|(_, fate)| matches!(fate, Fate::Ran(_))).map(|(slot, _)| slot).collect()
    }

    pub fn outcomes(&self) -> Vec<&crate::engine::Outcome> {
        let mut outcomes = Vec::new();
        for fact in &self.facts {
            if let Fact::Over(record) = fact {
                outcomes.push(&record.outcome);
            }
        }
        outcomes
    }

    pub fn assert_no_slot_twice(&self) {
        let mut seen = BTreeSet::new();
        for slot in &self.warden.started {
            assert!(seen.insert(slot), "{slot:?} was started twice");
        }
    }
}

pub fn setting(generation: u32, mark: Option<Vec<u8>>, boot: bool, started: i64) -> Setting {
    Setting {
        started: at(started),
        jobs_user: "jobs".into(),
        generation,
        log: LogTarget::Auto,
        journal: None,
        boot,
        mark,
        left: Left::default(),
        pauses: BTreeMap::new(),
        hold: None,
    }
}
