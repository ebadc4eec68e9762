//! Errands: programs that rotad itself wants run, and the queue in which they wait.
//!
//! They never stand in a job's way: at most [`PLACES`] go on at once, they count for no rule about runs, and they are handed
//! to the warden only after every slot that is due. The queue is bounded in number and bytes; it is the engine's own and goes
//! with it, while what goes on is finished by the engine after it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::run::plan::PATH;
use crate::wire::{Exit, Failure, Limit, Plan, RunId};

/// Errands that go on at once. One place is kept from urgent ones, so that they cannot starve the others.
pub const PLACES: usize = 4;
/// Patient errands that wait.
pub const WAITING: usize = 1_000;
/// Urgent errands that wait.
pub const WAITING_URGENT: usize = 64;
/// Bytes of arguments and variables that wait.
pub const WAITING_BYTES: usize = 32 << 20;
/// Before a patient errand that failed is tried again; after the last of them it is given up.
pub const BACKOFF: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(10), Duration::from_secs(60)];
/// From `SIGTERM` to `SIGKILL`, and from there until it counts as one that will not die.
pub(super) const KILL_AFTER: Duration = Duration::from_secs(2);
/// How long output may follow the end of the program.
pub(super) const OUTPUT_LIMIT: Duration = Duration::from_secs(1);
/// What an engine that takes over gives an errand of the one before.
pub(super) const TAKEN_OVER: Duration = Duration::from_secs(10);
/// How long the daemon's end waits for errands once all runs are over.
pub const FAREWELL: Duration = Duration::from_secs(2);

/// An errand's whole context with the warden. No [`Context`](super::Context) begins with this byte.
const CONTEXT: [u8; 1] = [b'E'];

/// A program that rotad itself wants run, as `jobs_user`.
#[derive(Clone, PartialEq, Eq)]
pub struct Errand {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Besides its own; of use for what is long, or secret: other users see arguments.
    pub environment: Vec<(String, String)>,
    /// It may gain rights by set-user-ID programs: sendmail has no other way to its queue.
    pub set_uid: bool,
    /// Time from its start to `SIGTERM`.
    pub timeout: Duration,
    /// It matters now or not at all: it goes before patient ones, is tried once, and waits no longer than its timeout.
    pub urgent: bool,
}

/// Without its arguments and variables: they may hold a secret.
impl fmt::Debug for Errand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Errand({:?}, urgent: {})", self.argv.first(), self.urgent)
    }
}

/// Under which whoever ordered an errand hears of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ErrandId(pub u64);

/// The queue takes no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// How a try ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrandEnd {
    /// By itself.
    Exited(Exit),
    /// Its time was up.
    TimedOut,
    /// No program ran.
    NotStarted(Failure),
    /// It was urgent, and there was no place for it in time.
    Waited,
}

impl ErrandEnd {
    /// It did what it should.
    pub fn success(self) -> bool {
        self == ErrandEnd::Exited(Exit::Code(0))
    }
}

/// What whoever ordered an errand hears after each try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Of which errand.
    pub id: ErrandId,
    /// How this try ended.
    pub end: ErrandEnd,
    /// The end of what it printed.
    pub tail: Vec<u8>,
    /// It will be tried again. Without this, and without success, it is given up.
    pub again: bool,
}

/// All errands.
#[derive(Debug, Default)]
pub struct Errands {
    /// Until when it waits.
    urgent: VecDeque<(Duration, Waiting)>,
    /// From when on it may start.
    patient: BTreeMap<(Duration, ErrandId), Waiting>,
    /// Of arguments and variables that wait.
    bytes: usize,
    pub(super) going: BTreeMap<RunId, Going>,
    /// Runs that the warden is to forget, until it has.
    pub(super) leaving: BTreeSet<RunId>,
    last: u64,
}

/// An errand that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub id: ErrandId,
    pub errand: Errand,
    /// Tries before.
    pub tried: usize,
}

/// An errand that goes on.
#[derive(Debug)]
pub(super) struct Going {
    /// What it is; absent when an engine before ordered it.
    pub of: Option<Waiting>,
    pub step: Step,
    /// The end of its output; absent while more may come.
    pub output: Option<Vec<u8>>,
}

/// How far it is, with the moment at which that must change (monotonic).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It may take until then.
    Granted(Duration),
    /// It was asked to end.
    Asked(Duration),
    /// All of it was killed.
    Killed(Duration),
    /// It was killed and is still there. It has been reported, and keeps its place.
    WillNotDie,
    /// It is gone, output may follow.
    Draining { end: ErrandEnd, until: Duration },
}

impl Step {
    pub fn deadline(self) -> Option<Duration> {
        match self {
            Step::Granted(until) | Step::Asked(until) | Step::Killed(until) | Step::Draining { until, .. } => {
                Some(until)
            }
            Step::WillNotDie => None,
        }
    }
}

impl Errands {
    /// Takes an errand into the queue.
    pub(super) fn queue(&mut self, errand: Errand, mono: Duration) -> Result<ErrandId, Full> {
        let room = match errand.urgent {
            true => self.urgent.len() < WAITING_URGENT,
            false => self.patient.len() < WAITING,
        };
        if !room || self.bytes + size(&errand) > WAITING_BYTES {
            return Err(Full);
        }
        self.last += 1;
        let id = ErrandId(self.last);
        self.wait(Waiting { id, errand, tried: 0 }, mono);
        Ok(id)
    }

    /// Has an errand wait until `after`. One that was tried before has its place for sure: it held one until now.
    pub(super) fn wait(&mut self, waiting: Waiting, after: Duration) {
        self.bytes += size(&waiting.errand);
        match waiting.errand.urgent {
            true => self.urgent.push_back((after.saturating_add(waiting.errand.timeout), waiting)),
            false => drop(self.patient.insert((after, waiting.id), waiting)),
        }
    }

    /// The next errand that may start now.
    pub(super) fn take(&mut self, mono: Duration) -> Option<Waiting> {
        let waiting = match self.next(mono)? {
            None => self.urgent.pop_front().map(|(_, waiting)| waiting),
            Some(key) => self.patient.remove(&key),
        }?;
        self.bytes -= size(&waiting.errand);
        Some(waiting)
    }

    /// The first urgent errand that has waited in vain.
    pub(super) fn expire(&mut self, mono: Duration) -> Option<Waiting> {
        self.urgent.front().filter(|(until, _)| *until <= mono)?;
        let (_, waiting) = self.urgent.pop_front()?;
        self.bytes -= size(&waiting.errand);
        Some(waiting)
    }

    /// Which may start now: an urgent one (`None`), or the patient one of that key.
    fn next(&self, mono: Duration) -> Option<Option<(Duration, ErrandId)>> {
        if self.going.len() >= PLACES {
            return None;
        }
        let urgent = |going: &&Going| going.of.as_ref().is_some_and(|of| of.errand.urgent);
        if !self.urgent.is_empty() && self.going.values().filter(urgent).count() < PLACES - 1 {
            return Some(None);
        }
        self.patient.keys().next().filter(|(after, _)| *after <= mono).map(|key| Some(*key))
    }

    /// When the monotonic clock must wake the loop for their sake. What may start already may start at zero.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let going = self.going.values().filter_map(|going| going.step.deadline()).min();
        let waiting = match self.next(Duration::MAX) {
            Some(None) => Some(Duration::ZERO),
            Some(Some((after, _))) => Some(after),
            None => None,
        };
        let urgent = self.urgent.front().map(|(until, _)| *until);
        going.into_iter().chain(waiting).chain(urgent).min()
    }

    /// Something goes on, or may start now.
    pub(super) fn busy(&self, mono: Duration) -> bool {
        self.going.values().any(|going| going.step != Step::WillNotDie) || self.next(mono).is_some()
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.urgent.len() + self.patient.len()
    }
}

/// The context that tells an errand from a job's run.
pub(super) fn context() -> Vec<u8> {
    CONTEXT.to_vec()
}

/// Whether a run with this context is an errand.
pub(super) fn is_errand(context: &[u8]) -> bool {
    context == CONTEXT
}

/// All that the warden's child does for it. `ROTA_RUN_ID` is what its processes are recognised by.
pub(super) fn plan(errand: &Errand, run: RunId) -> Plan {
    let environment = [("PATH", PATH.to_owned()), ("LANG", "C.UTF-8".to_owned()), ("ROTA_RUN_ID", run.to_string())];
    let own = environment.into_iter().map(|(key, value)| (key.to_owned(), value));
    Plan {
        user: None,
        argv: errand.argv.clone(),
        environment: own.chain(errand.environment.iter().cloned()).collect(),
        work_dir: PathBuf::from("/"),
        umask: 0o022,
        nice: 0,
        // A core would hold its arguments.
        limits: vec![(Limit::Core, 0)],
        no_new_privs: !errand.set_uid,
    }
}

fn size(errand: &Errand) -> usize {
    let variables = errand.environment.iter().map(|(key, value)| key.len() + value.len());
    errand.argv.iter().map(String::len).chain(variables).sum()
}
