//! What may be asked of the engine: one closed set for HTTP and the command line.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::view::{FileView, JobView, RunView, StatusView};
use crate::job::Job;
use crate::job::JobName;
use crate::metrics::Reading;
use crate::why::Known;
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
    /// What is known of a job, for whoever asks why. A name that no job has is no error.
    Why(JobName, Reply<Known>),
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
    /// Stop every run of a job, and drop what waits: in its queue, and for another attempt. Answers with the runs that end.
    StopJob(JobName, Reply<Vec<RunId>>),
    /// Stop one run.
    StopRun(RunId, Reply<Vec<RunId>>),
    /// Read `conf.d` anew; answered when it is armed.
    Reload(Reply<StatusView>),
    /// Every job, in the order in which they are due, never-due ones last. Cheap: nothing is copied but handles.
    Entries(Reply<Vec<Entry>>),
    /// Change a definition.
    Edit(Edit, Reply<Edited>),
    /// The text that defines a job, as it stands in its file.
    Text(JobName, Reply<Text>),
    /// Let no slot of a job run for a while. Runs that go on are left alone. Survives a restart.
    Pause {
        /// Which job: an enabled one that is not paused.
        name: JobName,
        /// Until then; absent: until it is resumed.
        until: Option<Timestamp>,
        /// For people; empty when nobody said.
        reason: String,
        /// Who asks.
        by: String,
        /// The entry it had.
        reply: Reply<Edited>,
    },
    /// Let the next slots of a job go. A pause that ends with the last of them; answers with it.
    SkipNext {
        /// Which job: an enabled one that is due at some time and not paused.
        name: JobName,
        /// How many slots, at least 1.
        count: u32,
        /// For people; empty when nobody said.
        reason: String,
        /// Who asks.
        by: String,
        /// The pause that it has now.
        reply: Reply<Pause>,
    },
    /// Let no slot of any job run for a while: maintenance. Runs that go on are left alone. Survives a restart.
    Hold {
        /// Until then; absent: until it is released.
        until: Option<Timestamp>,
        /// For people; empty when nobody said.
        reason: String,
        /// Who asks.
        by: String,
        /// The hold that there is now.
        reply: Reply<Pause>,
    },
    /// End the hold. Answers with the one that there was.
    Release(Reply<Pause>),
    /// Forget every definition that was made with `permanent: false`, then read all files anew. Answered when it is armed;
    /// refused with `broken` (and the findings as sentence) when a file is broken – what can be armed is armed all the same.
    Reset(Reply<StatusView>),
    /// Have a beat sent to bk-monitor. Answered once the beat program has taken it; it is tried once, the caller may repeat.
    /// Refused with `beat-failed`, `no-beat` or `busy`.
    Beat(Beat, Reply<()>),
    /// The numbers for monitors. Cheap: some milliseconds of the loop with ten thousand jobs.
    Metrics(Reply<Box<Reading>>),
    /// The loop answers. Never refused.
    Alive(Reply<()>),
    /// Jobs are armed and their slots are started. Refused with `starting` or `stopping`. This and [`Request::Alive`] are
    /// answered before the first snapshot is armed, too; everything else waits for it.
    Ready(Reply<Readiness>),
    /// End the daemon, as `SIGTERM` does. Answered before it begins.
    Quit(Reply<()>),
}

/// A message to bk-monitor that a caller asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Beat {
    /// Something happened.
    Event {
        /// Name of the event.
        name: String,
        /// For people.
        content: String,
        /// Laid over the daemon's own dimensions.
        dimension: serde_json::Map<String, serde_json::Value>,
    },
    /// A number.
    Metrics {
        /// Name of the metric.
        name: String,
        /// What it is.
        value: i64,
        /// Laid over the daemon's own dimensions.
        dimension: serde_json::Map<String, serde_json::Value>,
    },
}

/// A change of a definition, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// What to change.
    pub change: Change,
    /// `true`: written to the job's file, and live only once it is. `false`: in memory, until the daemon ends or
    /// [`Request::Reset`].
    pub permanent: bool,
    /// Who asks: `uid 1000`.
    pub by: String,
}

/// What to change of a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Make the job, or replace what these keys say; every other key of its file stays as it is.
    Define(Keys),
    /// Make the job, or replace the whole text of its file.
    Write {
        /// Its name; the text must agree.
        name: JobName,
        /// YAML of a job file.
        text: String,
    },
    /// No longer any definition of the job.
    Delete(JobName),
    /// The same, where the definition is still the one with this hash; else refused with `changed`. For a job that runs once and
    /// has.
    Remove(JobName, u64),
    /// Enabled and not paused: `enable: false`. Else refused with `not-active`.
    Disable(JobName),
    /// Disabled: `enable: true`; paused: the pause ends. Else refused with `not-disabled`.
    Resume(JobName),
    /// Another schedule for an enabled job that is not paused; else refused with `not-active`.
    Reschedule(JobName, String),
}

/// The keys of mysql-crond's jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// Of the job.
    pub name: JobName,
    /// Due at all.
    pub enable: bool,
    /// Program.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// By the rules of the `robfig` dialect.
    pub schedule: String,
    /// Who made it.
    pub creator: String,
    /// Where it runs; empty: not said.
    pub work_dir: String,
    /// Runs may overlap; absent: not said.
    pub overlap: Option<bool>,
}

/// What came of an edit.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Edited {
    /// The job.
    pub name: JobName,
    /// Its entry: of what is armed now the new one, else the one it had; 0 where there is none.
    pub entry: u64,
    /// The file that was written; absent: none.
    pub file: Option<String>,
}

/// The text that defines a job.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Text {
    /// The file it stands in; absent: only in memory.
    pub file: Option<String>,
    /// It. Of a file with several jobs, the job's own part.
    pub text: String,
}

/// A job as a client of mysql-crond lists it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Number of the entry while it is active: grows with every arming in the life of the daemon and is never given again.
    /// Absent: disabled or paused.
    pub id: Option<u64>,
    /// The definition.
    pub job: Arc<Job>,
    /// Next slot.
    pub next: Option<Timestamp>,
    /// The slot before, where one is known.
    pub previous: Option<Timestamp>,
    /// It is paused.
    pub pause: Option<Pause>,
}

/// What a pause is, and so why its slots are let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PauseKind {
    /// No slot of a job, for a time.
    #[default]
    Pause,
    /// Its next slots.
    SkipNext,
    /// No slot of any job, for a time.
    Hold,
}

impl PauseKind {
    /// The stable code of a slot that was let go by it.
    pub fn code(self) -> &'static str {
        match self {
            PauseKind::Pause => "paused",
            PauseKind::SkipNext => "skip-next",
            PauseKind::Hold => "held",
        }
    }
}

/// A pause that goes on, or the hold.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Pause {
    /// Which of them. Those of before there were several are pauses.
    #[serde(default)]
    pub kind: PauseKind,
    /// Its entry, as mysql-crond counts them; 0 of the hold.
    pub id: u64,
    /// Since when.
    pub since: Timestamp,
    /// Its end; absent: when somebody resumes the job.
    pub until: Option<Timestamp>,
    /// For people; may be empty.
    pub reason: String,
    /// Who asked for it.
    pub by: String,
}

/// Whether a part of the daemon does its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// It does.
    Ok,
    /// Its last try failed.
    Failing,
}

impl Condition {
    /// From a plain yes or no.
    pub fn of(well: bool) -> Self {
        if well { Self::Ok } else { Self::Failing }
    }
}

/// The daemon does its work, and how its parts do theirs.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Readiness {
    /// Of the whole: jobs are armed, their slots are started.
    pub status: Condition,
    /// Of what jobs run without, by name: `beats`, where they are configured.
    pub parts: BTreeMap<String, Condition>,
}

/// Where an answer goes.
pub type Reply<T> = oneshot::Sender<Result<T, Refusal>>;

/// Why a request was refused: a stable code, a sentence, a hint.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Refusal {
    /// `no-such-job`, `no-such-run`, `overlap`, `limit`, `starting`, `stopping`; of edits also `not-active`, `not-disabled`, `not-in-file`
    /// (a permanent edit of a job that stands in no file), `bad-job` (the definition is refused; the message has the findings),
    /// `bad-schedule` (its schedule is), `not-written` (the file could not be written), `busy` (too many edits wait);
    /// `never-due` (there is no next slot to skip), `held` (there is a hold already), `not-held` (there is none);
    /// of beats `beat-failed`, `no-beat` (none is configured), `busy` (too many wait).
    pub code: String,
    /// What is the matter.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}
