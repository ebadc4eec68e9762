//! The deciding core: one state, and the pure step that takes it from event to event.
//!
//! It knows no clock, no file, no socket and no thread. Time comes in with each event as [`Now`]; what is to be done goes out
//! as [`Effect`]s, in the order in which the loop must do it. What it promises:
//!
//! - **One verdict per slot**, and no slot runs twice: not when the clock is stepped, not when a file is saved anew, not when
//!   the engine dies at any moment ([`clock`], [`jobs`], [`slots`]).
//! - **One outcome per run**, and every run is forgotten at last ([`life`], [`runs`]).
//! - **Never two runs** of a job that does not allow it ([`slots`]).
//! - **Bounded work and memory**: see the constants in each file.
//!
//! Order is how nothing is lost with the engine ([`crate::wire`] tells the other half). Each step ends by [`State::flush`]:
//! first the runs it started, then the mark that says their slots are decided, then the runs that may be forgotten.

mod after;
mod ask;
mod catchup;
mod clock;
mod drain;
mod errand;
mod errand_life;
mod event;
mod hold;
mod gauge;
mod inherit;
mod known;
mod jobs;
mod life;
mod mark;
mod once;
mod past;
mod pause;
mod retry;
mod runs;
mod show;
mod slots;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use jiff::Timestamp;

pub use after::MAX_ENDS;
pub use clock::{Cause, ClockJump, LATE_LIMIT, Now, Stretch};
pub use errand::{Errand, ErrandEnd, ErrandId, Full, Report};
pub use event::{Effect, Event, Fact, Label};
pub use hold::MAX_SKIP;
pub use life::DRAIN_LIMIT;
pub use mark::{Again, Context, Mark, Stop, Terms, Ticket, Trigger, Why};
pub use past::{Fate, Record, Rule, outcome_word};
pub use pause::Span;
pub use retry::Dropped;
pub use slots::{COUNT_LIMIT, RUNS_MAX, RUNS_PER_JOB};

use crate::engine::ledger::{End, Left, Word};
use crate::engine::request::Pause;
use crate::engine::view::{FileView, JournalView};
use crate::job::{JobName, LogTarget};
use crate::wire::{RunId, ToWarden};
use clock::{Place, Watched};
use jobs::Jobs;
use life::Run;
use past::Past;
use pause::Pauses;

/// What the core is told once.
#[derive(Debug, Clone)]
pub struct Setting {
    /// When the warden started.
    pub started: Timestamp,
    /// The user of jobs that name none.
    pub jobs_user: String,
    /// Engines before this one.
    pub generation: u32,
    /// Where the lines of jobs go that say nothing of it.
    pub log: LogTarget,
    /// The journal, where there is one.
    pub journal: Option<JournalView>,
    /// The first start since the machine booted: `@reboot` jobs are due.
    pub boot: bool,
    /// What the engine before left.
    pub mark: Option<Vec<u8>>,
    /// What is in the ledger.
    pub left: Left,
    /// Pauses that go on.
    pub pauses: BTreeMap<JobName, Pause>,
    /// The hold.
    pub hold: Option<Pause>,
}

/// All that the engine knows and decides by.
#[derive(Debug)]
pub struct State {
    setting: Setting,
    jobs: Jobs,
    pauses: Pauses,
    following: after::Following,
    /// Jobs that run once and may be done.
    ending: BTreeSet<JobName>,
    /// Those that were to be removed, by the hash of their definitions.
    removed: BTreeMap<JobName, u64>,
    watched: Watched,
    /// Runs that are not over.
    runs: BTreeMap<RunId, Run>,
    /// By job: its runs that are not over, and what waits for them.
    going: BTreeMap<JobName, Going>,
    /// Runs that wait for their next attempt.
    retries: BTreeMap<RunId, retry::Retry>,
    /// Runs whose environment is being read, or that wait for the ledger.
    preparing: BTreeSet<RunId>,
    /// Where watched time ended before the slots of this pass.
    stood: Place,
    /// Slots that are decided anew by the next pass: of the daemon before, and what comes due of a job that catches up while
    /// this one stops.
    owed: BTreeMap<JobName, BTreeSet<Timestamp>>,
    /// Jobs of which the ledger does not know what they are owed.
    owing: BTreeSet<JobName>,
    /// Why nobody watched before this engine, and up to where a daemon may have started what nobody knows of.
    before: catchup::Before,
    /// People know that runs start without the ledger.
    unclaimed: bool,
    /// Runs that are over, until the warden is told so.
    forgets: VecDeque<Forget>,
    past: Past,
    files: BTreeMap<String, FileView>,
    watch: String,
    last_run: RunId,
    /// `@reboot` jobs that runs of the engine before stand for.
    booted_jobs: BTreeSet<JobName>,
    booted: bool,
    /// The first snapshot is whole.
    loaded: bool,
    stopping: Option<drain::Stopping>,
    marking: Marking,
    errands: errand::Errands,
    effects: Vec<Effect>,
}

/// The runs of a job that are not over.
#[derive(Debug, Default)]
struct Going {
    /// Oldest first.
    runs: Vec<RunId>,
    /// Start once they are over, one after the other, in the order in which they came: slots that are made up for, and
    /// before and after them at most one other.
    waiting: VecDeque<Ticket>,
    /// The mark stays here while one of the runs is being prepared: what that is, or waits for it, is known here alone.
    mark_at: Option<Place>,
    /// Which context of an engine before `waiting` is from: the id that had been given last, and how much waited.
    told: Option<(RunId, std::cmp::Reverse<usize>)>,
}

/// A run that is over and not yet forgotten.
#[derive(Debug)]
struct Forget {
    run: RunId,
    /// The mark must cover it first.
    slot: Option<Timestamp>,
    /// Runs that only this one makes another engine know of, until they are started.
    successors: Vec<RunId>,
    /// What the warden is to keep of it once its end was heard; absent: nothing follows it.
    context: Option<Box<Context>>,
}

impl Forget {
    /// Nothing but `successor` keeps it.
    fn of(run: RunId, slot: Option<Timestamp>, successor: Option<RunId>) -> Self {
        Self { run, slot, successors: successor.into_iter().collect(), context: None }
    }
}

/// Whether the warden's mark is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Marking {
    /// It is not.
    Fresh,
    /// It is, but only a run that is to be forgotten would notice.
    Stale,
    /// Slots were decided.
    Due,
}

impl State {
    /// A state that knows nothing yet but what the engine before left: by the warden, where that is the same one; else in the
    /// ledger.
    pub fn new(mut setting: Setting, now: Now) -> Self {
        let mut mark = setting.mark.as_deref().and_then(Mark::decode);
        let ends = mark.as_mut().map(|mark| std::mem::take(&mut mark.ends)).unwrap_or_default();
        let started = setting.started.min(now.wall);
        let retries = mark.as_ref().map(|mark| mark.retries.clone()).unwrap_or_default();
        let left = std::mem::take(&mut setting.left);
        let before = catchup::Before::of(&left, mark.as_ref(), setting.started);
        let stretches = match &mark {
            Some(mark) => mark.stretches.clone(),
            None if left.own => Vec::new(),
            None => left.stretches,
        };
        let watched = Watched::restore(stretches).unwrap_or_else(|| Watched::from(started));
        let base = mark.as_ref().map_or(started, |mark| mark.base.min(now.wall));
        let mut jobs = Jobs::new(base, setting.generation, left.made);
        let mut owed = if left.own && left.end == End::Open { BTreeMap::new() } else { left.owed };
        for (run, slot) in left.runs.iter().filter(|_| !left.own).filter_map(|run| Some((run, run.slot?))) {
            catchup::disown(&mut owed, &run.job, slot);
            if !watched.holds(slot) {
                jobs.make(&run.job, jobs::stood_for(slot, run.trigger));
            }
        }
        let mut state = Self {
            jobs,
            pauses: Pauses::restore(std::mem::take(&mut setting.pauses), setting.hold.take()),
            following: after::Following::restore(ends),
            ending: BTreeSet::new(),
            removed: BTreeMap::new(),
            stood: watched.here(),
            watched,
            owing: owed.keys().cloned().collect(),
            owed,
            before,
            unclaimed: false,
            runs: BTreeMap::new(),
            going: BTreeMap::new(),
            retries: BTreeMap::new(),
            preparing: BTreeSet::new(),
            forgets: VecDeque::new(),
            past: Past::default(),
            files: BTreeMap::new(),
            watch: String::new(),
            last_run: mark.as_ref().map_or(RunId(0), |mark| mark.last_run).max(left.last_run),
            booted_jobs: BTreeSet::new(),
            booted: mark.as_ref().is_some_and(|mark| mark.booted) || !setting.boot,
            loaded: false,
            stopping: None,
            marking: Marking::Fresh,
            errands: errand::Errands::default(),
            effects: Vec::new(),
            setting,
        };
        state.restore_retries(retries, now);
        state
    }

    /// Takes in what happened, and says what is to be done.
    pub fn step(&mut self, event: Event, now: Now) -> Vec<Effect> {
        let Some(event) = self.hear_errand(event, now) else {
            self.flush(now);
            return std::mem::take(&mut self.effects);
        };
        match event {
            Event::Wake => {
                self.pass_time(now);
                self.meet_deadlines(now);
                self.start_retries(now);
                self.run_errands(now);
                self.end_orphans(now);
            }
            Event::Adopt(adopt) => self.adopt(*adopt, now),
            Event::Loaded { changes, complete } => self.load(changes, complete, now),
            Event::Files(files) => self.note_files(files),
            Event::Watch(watch) => self.watch = watch,
            Event::Environment { run, read } => self.prepared(run, read, now),
            Event::Claimed(runs) => self.claimed(&runs, now),
            Event::Started { run, pid, at } => self.started(run, pid, at, now),
            Event::NotStarted { run, failure } => self.not_started(run, failure, now),
            Event::Ended { run, ended } => self.ended(run, ended, now),
            Event::Drained { run, received, dropped } => self.output_is_in(run, received, dropped, now),
            Event::Left { run, processes } => self.left(run, processes),
            Event::Lost(runs) => runs.into_iter().for_each(|run| self.lost(run, now)),
            Event::Drain { grace } => self.drain(grace, now),
            Event::ErrandOutput { .. } => {}
        }
        self.flush(now);
        std::mem::take(&mut self.effects)
    }

    /// When the wall clock must wake the loop.
    pub fn next_wall(&self) -> Option<Timestamp> {
        let pauses = if self.loaded { self.pauses.first_end() } else { None };
        self.jobs.first().map(|(slot, _)| *slot).into_iter().chain(pauses).min()
    }

    /// When the monotonic clock must.
    pub fn next_mono(&self) -> Option<Duration> {
        let runs = self.runs.values().filter_map(Run::deadline);
        let errands = self.errands.deadline().filter(|_| self.errands_go());
        let stopping = self.stopping.as_ref().and_then(drain::Stopping::deadline);
        runs.chain(stopping).chain(self.pauses.first_gone()).chain(errands).chain(self.first_retry()).min()
    }

    /// `@reboot` jobs are started and the warden knows: another start in this boot must not start them again.
    pub fn booted(&self) -> bool {
        self.booted
    }

    fn note_files(&mut self, files: Vec<(String, Option<FileView>)>) {
        for (file, view) in files {
            match view {
                Some(view) => drop(self.files.insert(file, view)),
                None => drop(self.files.remove(&file)),
            }
        }
    }

    /// Ends a step: what follows the runs that are over in it, the mark after the starts that it covers, then the runs that it lets go. Before the first snapshot is whole
    /// none is let go, since the slots around it are not decided.
    fn flush(&mut self, now: Now) {
        self.follow(now);
        self.remove_done(now);
        let forget = self.loaded && !self.forgets.is_empty();
        if self.marking == Marking::Due || forget {
            let stretches = self.watched.stretches(self.held());
            let gone = if forget { self.let_go(&stretches) } else { Vec::new() };
            if self.marking == Marking::Due || (self.marking == Marking::Stale && !gone.is_empty()) {
                self.send_mark_of(stretches);
            }
            for run in gone {
                self.send(ToWarden::Forget { run });
                self.note(Word::Strike(run));
            }
        }
        self.note_owed();
        self.say_drained(now);
    }

    /// Tells the warden what is decided, when the runs that were started by it are on their way.
    fn send_mark(&mut self) {
        self.send_mark_of(self.watched.stretches(self.held()));
    }

    fn send_mark_of(&mut self, stretches: Vec<Stretch>) {
        let (base, last_run, booted) = (self.jobs.base(), self.last_run, self.booted);
        let (ends, retries) = (self.carried_ends(), self.homeless());
        let doubts = self.before.doubts.clone();
        let mark = Mark { base, last_run, booted, doubts: doubts.clone(), stretches: stretches.clone(), ends, retries };
        self.send(ToWarden::Mark { mark: mark.encode() });
        self.note(Word::Mark { stretches, doubts, last_run });
        self.marking = Marking::Fresh;
    }

    /// The runs that may be forgotten, in the order in which they ended: their slots are within the mark's `stretches`, and
    /// what only their contexts remember is started.
    fn let_go(&mut self, stretches: &[Stretch]) -> Vec<RunId> {
        let held = self.held().is_some();
        let mut gone = Vec::new();
        while let Some(forget) = self.forgets.front() {
            let started = forget.successors.iter().all(|run| !self.preparing.contains(run));
            let marked = forget.slot.is_none_or(|slot| {
                stretches.iter().any(|stretch| stretch.holds(slot)) || !(held || self.watched.holds(slot))
            });
            if !(started && marked) {
                break;
            }
            gone.push(forget.run);
            self.forgets.pop_front();
        }
        gone
    }

    /// What the mark must not cover yet: slots after it are known to no warden.
    fn held(&self) -> Option<Place> {
        let runs = self.preparing.iter().filter_map(|id| self.runs.get(id));
        runs.filter_map(|run| self.going.get(&run.job)?.mark_at).min()
    }

    fn send(&mut self, message: ToWarden) {
        self.effects.push(Effect::Send(message));
    }

    fn note(&mut self, word: Word) {
        self.effects.push(Effect::Note(word));
    }

    fn tell(&mut self, fact: Fact) {
        self.effects.push(Effect::Tell(Box::new(fact)));
    }
}
