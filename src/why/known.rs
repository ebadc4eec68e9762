//! What is to be known to say why: what the engine knows now, and what the history remembers.

use std::sync::Arc;

use jiff::Timestamp;

use crate::engine::{Pause, RunView, VerdictView};
use crate::job::{Job, JobName};
use crate::wire::RunId;

/// What the engine knows of a job now. Cheap: handles and a few small values.
#[derive(Debug, Clone)]
pub struct Known {
    /// Whose.
    pub name: JobName,
    /// Its definition; absent: there is no such job.
    pub armed: Option<Standing>,
    /// What is wrong with its file, where that is broken: the file and the first error.
    pub broken: Option<String>,
    /// Its pause.
    pub pause: Option<Pause>,
    /// The hold of all jobs.
    pub hold: Option<Pause>,
    /// Its runs that go on.
    pub running: Vec<RunView>,
    /// Slots that wait for them to end, each with the id that its run will have.
    pub waiting: Vec<(Timestamp, RunId)>,
    /// Its latest verdicts, newest first: what the history may not have yet.
    pub verdicts: Vec<VerdictView>,
    /// Slots up to here are decided.
    pub decided: Timestamp,
    /// When the daemon started.
    pub started: Timestamp,
    /// It is stopping: nothing more is started.
    pub stopping: bool,
}

/// A definition as it stands.
#[derive(Debug, Clone)]
pub struct Standing {
    /// It.
    pub job: Arc<Job>,
    /// Slots up to here are none of its own.
    pub since: Timestamp,
    /// Where its `@every` counts from.
    pub anchor: Timestamp,
    /// Its next slot that may run.
    pub next: Option<Timestamp>,
}
