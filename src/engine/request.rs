//! What may be asked of the engine: one closed set for HTTP and the command line. None of it defines a command.

use tokio::sync::oneshot;

use super::view::{FileView, JobView, RunView, StatusView};
use crate::job::JobName;
use crate::wire::RunId;

/// A question or a wish, with the place for its answer.
#[derive(Debug)]
pub enum Request {
    /// The daemon in a few numbers.
    Status(Reply<StatusView>),
    /// Every job, by name.
    Jobs(Reply<Vec<JobView>>),
    /// One job.
    Job(JobName, Reply<JobView>),
    /// One run, going on or remembered.
    Run(RunId, Reply<RunView>),
    /// Files with findings.
    Files(Reply<Vec<FileView>>),
    /// Run a job now, by its overlap rule. `by` says who asks. Answers once the run has its id; the caller finds its output
    /// under that id from the first byte.
    Start {
        /// Which job.
        name: JobName,
        /// Who asks: `uid 1000`.
        by: String,
        /// The new run.
        reply: Reply<RunId>,
    },
    /// Stop every run of a job, and drop what waits in its queue. Answers with the runs that are being stopped.
    StopJob(JobName, Reply<Vec<RunId>>),
    /// Stop one run.
    StopRun(RunId, Reply<Vec<RunId>>),
    /// Read `conf.d` anew; answered when it is armed.
    Reload(Reply<StatusView>),
}

/// Where an answer goes.
pub type Reply<T> = oneshot::Sender<Result<T, Refusal>>;

/// Why a request was refused: a stable code, a sentence, a hint.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Refusal {
    /// `no-such-job`, `no-such-run`, `overlap`, `limit`, `stopping`, `disabled`.
    pub code: String,
    /// What is the matter.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}
