//! The history: what became of every slot, every attempt of every run, and the facts that explain them, in an SQLite file in
//! the state directory.
//!
//! It is told, and it is asked; nothing is decided by it. What it promises:
//!
//! - **Nobody waits for it.** [`History::note`] puts a row into a bounded queue ([`queue`]) and comes back; one thread
//!   ([`writer`]) waits for disks and locks. Where the queue is full rows are dropped, counted and told of.
//! - **It mends itself.** A lock, a full or read-only disk: it is tried again. A damaged file is put aside and a new one begun.
//!   A file of a later rotad, a link, somebody else's file: it is left as it is, and jobs run without a history ([`place`]).
//! - **It stays small**: by age, rows and bytes ([`prune`]), in steps that hold up no row for long.
//! - **It is read by index only**, on connections of its own ([`readers`], [`query`]), from threads that may wait.
//!
//! What it does not promise: rows of the last seconds after a power cut ([`place::open`] has the argument), and rows that came
//! faster than the disk took them.

mod book;
mod codec;
mod place;
mod prune;
mod query;
mod queue;
mod readers;
mod row;
mod schema;
mod tally;
#[cfg(test)]
mod tests;
mod view;
mod writer;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::conf::HistoryConfig;
use crate::job::JobName;
use crate::wire::RunId;
use book::Totals;
use place::Closed;
use queue::Queue;
use readers::Readers;

pub use query::{Around, Cursor, Entry, Facts, Filter, MAX_LIMIT, Page, RunRow};
pub use readers::{TIME_LIMIT, Unanswered};
pub use row::{AttemptRow, DefinitionRow, FactKind, FactRow, MAX_TAIL, Row, SlotRow, SlotVerdict, tail_text};
pub use tally::Tally;
pub use view::{
    AroundView, AttemptView, EntryView, FactView, HistoryView, PageView, PastRunView, PastSlotView, State, TallyView,
};
pub use writer::Ready;

/// How long the daemon's end waits for rows to be written.
const FAREWELL: Duration = Duration::from_secs(3);

/// The history. Clones are the same one.
#[derive(Debug, Clone)]
pub struct History {
    shared: Arc<Shared>,
}

/// What the threads share.
#[derive(Debug)]
struct Shared {
    queue: Queue,
    readers: Readers,
    state_dir: PathBuf,
    tail: usize,
    shown: Mutex<Shown>,
}

/// What is shown of it.
#[derive(Debug)]
struct Shown {
    state: State,
    why: String,
    /// Without links, once that is known.
    path: PathBuf,
    rows: u64,
    held_up: Duration,
}

impl Shared {
    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, state: State, why: &str) {
        let mut shown = self.shown();
        shown.state = state;
        why.clone_into(&mut shown.why);
    }

    fn counted(&self, totals: Totals) {
        self.shown().rows = totals.sum();
    }

    fn held_up(&self, by: Duration) {
        self.shown().held_up = by;
    }

    fn path(&self) -> PathBuf {
        self.shown().path.clone()
    }

    /// Finds the file's path without links. Waits for the disk.
    fn find(&self) -> Result<PathBuf, Closed> {
        let failing = |error| Closed::Failing(format!("{}: {error}", self.state_dir.display()));
        let path = place::path_in(&self.state_dir).map_err(failing)?;
        self.shown().path.clone_from(&path);
        Ok(path)
    }
}

impl History {
    /// Begins to keep one in `state_dir`, or none. Comes back at once; `ready` is called on another thread, once: with what is
    /// known of the jobs when the file is open, with `None` where it cannot be opened now or none is kept. Where the disk
    /// hangs it is not called.
    pub fn start(state_dir: &Path, config: Option<&HistoryConfig>, ready: Ready) -> History {
        let state = if config.is_some() { State::Opening } else { State::Off };
        let shown =
            Shown { state, why: String::new(), path: state_dir.join(place::FILE), rows: 0, held_up: Duration::ZERO };
        let shared = Arc::new(Shared {
            queue: Queue::default(),
            readers: Readers::default(),
            state_dir: state_dir.to_owned(),
            tail: config.map_or(0, |config| config.tail),
            shown: Mutex::new(shown),
        });
        let Some(config) = config.cloned() else {
            ready(None);
            return History { shared };
        };
        let thread = shared.clone();
        let spawned =
            std::thread::Builder::new().name("history".into()).spawn(move || writer::run(&thread, &config, ready));
        if let Err(error) = spawned {
            shared.tell(State::Failing, &error.to_string());
            shared.queue.close(Duration::ZERO);
            tracing::error!(code = "history", "no history is kept, jobs run all the same: {error}");
        }
        History { shared }
    }

    /// Writes a row down, some time soon. Never waits; what has no room is dropped and counted.
    pub fn note(&self, row: Row) {
        if self.shared.shown().state == State::Off {
            return;
        }
        if self.shared.queue.push(row.bounded(self.shared.tail), Timestamp::now) {
            let why = self.shared.shown().why.clone();
            let why = if why.is_empty() { "they come faster than they can be written".to_owned() } else { why };
            tracing::warn!(code = "history-dropped", "rows of the history are dropped from now on: {why}");
        }
    }

    /// Bytes of output to keep of an attempt: for [`tail_text`].
    pub fn tail(&self) -> usize {
        self.shared.tail
    }

    /// How it is.
    pub fn status(&self) -> HistoryView {
        let (waiting, dropped) = self.shared.queue.counts();
        let shown = self.shared.shown();
        HistoryView {
            state: shown.state,
            why: Some(shown.why.clone()).filter(|why| !why.is_empty()),
            file: shown.path.display().to_string(),
            rows: shown.rows,
            waiting,
            dropped,
            held_up_seconds: shown.held_up.as_secs_f64(),
        }
    }

    /// Takes no more rows, and waits at most 3 s for those that wait to be written.
    pub fn close(&self) {
        if self.shared.shown().state != State::Off {
            self.shared.queue.close(FAREWELL);
        }
    }

    /// Runs, newest first, each at the instant of its last attempt. This and what follows waits for the disk, at most
    /// [`TIME_LIMIT`] for a connection and as long for the answer: never to be called by the engine's loop.
    pub fn runs(&self, filter: &Filter) -> Result<Page<RunRow>, Unanswered> {
        self.ask(|conn| query::runs(conn, filter))
    }

    /// Slots of a job, whatever became of them; of all jobs those that did not run. Newest first, rows of slots by their newest.
    pub fn slots(&self, filter: &Filter) -> Result<Page<SlotRow>, Unanswered> {
        self.ask(|conn| query::slots(conn, filter))
    }

    /// Runs and the slots that did not run in one list, newest first.
    pub fn entries(&self, filter: &Filter) -> Result<Page<Entry>, Unanswered> {
        self.ask(|conn| query::entries(conn, filter))
    }

    /// The last run of each of these jobs, of those that have one. Without tails.
    pub fn last_runs(&self, jobs: &[JobName]) -> Result<BTreeMap<JobName, RunRow>, Unanswered> {
        self.ask(|conn| query::last_runs(conn, jobs))
    }

    /// All attempts of a run, first to last, with their tails. `id` may be that of any of them. Empty: nothing is known of it.
    pub fn run(&self, id: RunId) -> Result<Vec<AttemptRow>, Unanswered> {
        self.ask(|conn| query::run(conn, id))
    }

    /// What is known about an instant of a job.
    pub fn around(&self, job: &JobName, at: Timestamp) -> Result<Around, Unanswered> {
        self.ask(|conn| query::around(conn, job, at))
    }

    /// What happened in a stretch of time, both ends included: to everything, and to the job where one is given.
    pub fn facts(&self, job: Option<&JobName>, from: Timestamp, until: Timestamp) -> Result<Facts, Unanswered> {
        self.ask(|conn| query::facts(conn, job, from, until))
    }

    /// What is known of each job as a whole.
    pub fn tallies(&self) -> Result<BTreeMap<JobName, Tally>, Unanswered> {
        self.ask(query::tallies)
    }

    /// What a definition said.
    pub fn definition(&self, hash: u64) -> Result<Option<DefinitionRow>, Unanswered> {
        self.ask(|conn| query::definition(conn, hash))
    }

    fn ask<T>(&self, question: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T>) -> Result<T, Unanswered> {
        let shared = &self.shared;
        if shared.shown().state == State::Off {
            return Err(Unanswered::Off);
        }
        // The writer closes the connection when nobody has asked for some time.
        match shared.readers.ask(question, || shared.queue.ring()) {
            Err(Unanswered::Closed(_)) => Err(Unanswered::Closed(shared.shown().why.clone())),
            answer => answer,
        }
    }
}
