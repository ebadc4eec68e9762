//! What a job is, once its file has been read and found good: every default applied, every text parsed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{After, CatchUp, JobName, Retries};
use crate::alarm::Notify;
use crate::schedule::Schedule;

/// A definition: what to run, and when. Immutable; a run keeps the one it started with.
#[derive(Debug)]
pub struct Job {
    /// The name it is known by everywhere.
    pub name: JobName,
    /// The file in `conf.d` that holds it.
    pub file: String,
    /// Hash of the file's bytes: the same text is the same definition, however often it is saved.
    pub hash: u64,
    /// `false`: known and shown, never due.
    pub enable: bool,
    /// Who made it (a label of mysql-crond's files).
    pub creator: String,
    /// What to run.
    pub program: Program,
    /// When; absent: on demand only.
    pub schedule: Option<Schedule>,
    /// Which missed slots are made up for.
    pub catch_up: CatchUp,
    /// Whether a run that failed is attempted again.
    pub retries: Option<Box<Retries>>,
    /// The jobs after whose ends it starts.
    pub after: Option<Box<After>>,
    /// What becomes of its file when it has run, of a job that runs once.
    pub when_done: WhenDone,
    /// What to do with a slot that comes due while a run of the job goes on.
    pub on_overlap: OnOverlap,
    /// Longest time a run may take, on the monotonic clock.
    pub timeout: Option<Duration>,
    /// The signal that asks a run to end.
    pub stop_signal: i32,
    /// Time between [`Self::stop_signal`] and `SIGKILL`.
    pub kill_after: Duration,
    /// Exit codes that count as success.
    pub success_codes: Vec<i32>,
    /// The user it runs as; absent: `jobs_user`.
    pub user: Option<String>,
    /// Laid over the basic environment.
    pub environment: BTreeMap<String, String>,
    /// A file of `KEY=VALUE` lines, read when a run starts, laid under [`Self::environment`].
    pub environment_file: Option<PathBuf>,
    /// Working directory, entered after the change of user; absent: `/`.
    pub work_dir: Option<PathBuf>,
    /// File mode mask.
    pub umask: u32,
    /// Niceness, −20 to 19.
    pub nice: i32,
    /// Resource limits.
    pub limits: Limits,
    /// `PR_SET_NO_NEW_PRIVS`: set-user-ID programs do not gain.
    pub no_new_privs: bool,
    /// Where its lines go; absent: where the daemon's `log` says.
    pub log: Option<LogTarget>,
    /// Free text for people and filters.
    pub labels: BTreeMap<String, String>,
    /// Who is told of what; absent: as rotad.yaml has it.
    pub notify: Option<Arc<Notify>>,
}

impl Job {
    /// Both say the same: the same text under the same name, read by the same rules of the time zone. Those change with
    /// the files of the tz database.
    pub fn says_the_same(&self, other: &Job) -> bool {
        let zone = |job: &Job| job.schedule.as_ref().map(|schedule| schedule.zone().clone());
        self.hash == other.hash && self.name == other.name && zone(self) == zone(other)
    }
}

/// What a job runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// `execve` of `command` with `args`: no shell, no word splitting.
    Exec {
        /// A path, or a name looked up in the job's own PATH.
        command: String,
        /// Passed on as they are.
        args: Vec<String>,
    },
    /// A text for `/bin/sh -c`.
    Script(String),
}

/// What becomes of the file of a job that runs once, when it has run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenDone {
    /// It stays: the job can still be run on demand.
    #[default]
    Keep,
    /// It is removed, and the job with it.
    Remove,
}

/// What becomes of a slot that comes due while a run of the same job goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnOverlap {
    /// The slot is skipped.
    #[default]
    Skip,
    /// One slot waits for the run to end; a newer one supersedes it.
    Queue,
    /// The run is stopped, and the slot starts once it is gone; a newer one supersedes it.
    Replace,
    /// Both run.
    Allow,
}

/// Where the lines of a job go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogTarget {
    /// The journal where the daemon's standard error is its stream, else the daemon's standard error.
    Auto,
    /// A file of the job's own in the log directory, rotated by size.
    File,
    /// Nowhere; the tail for `rota logs` is still kept.
    None,
    /// The journal wherever its socket is, else the daemon's standard error.
    Journal,
}

/// Resource limits of a run (setrlimit(2)); absent: as the daemon was started with, except where the field says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Open files (soft limit); 1024 unless said.
    pub nofile: u64,
    /// Core file size in bytes; 0 unless said.
    pub core: u64,
    /// Processes of the user.
    pub nproc: Option<u64>,
    /// CPU time in seconds.
    pub cpu: Option<u64>,
    /// Address space in bytes.
    pub address_space: Option<u64>,
    /// Largest file written, in bytes.
    pub file_size: Option<u64>,
    /// Stack in bytes.
    pub stack: Option<u64>,
    /// Locked memory in bytes.
    pub memlock: Option<u64>,
    /// Bytes of output kept of one run; what comes after is counted and dropped.
    pub output: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            nofile: 1024,
            core: 0,
            nproc: None,
            cpu: None,
            address_space: None,
            file_size: None,
            stack: None,
            memlock: None,
            output: 2 << 30,
        }
    }
}

/// A job and since when its present definition stands.
#[derive(Debug, Clone)]
pub struct Armed {
    /// The definition.
    pub job: Arc<Job>,
    /// Slots up to and including this instant are none of its own: the time its file was last changed (ctime), never in
    /// the future. `@every` counts from here or from the daemon's start, whichever is later.
    pub since: Timestamp,
}
