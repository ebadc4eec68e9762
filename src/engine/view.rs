//! What the engine shows of itself: the shapes of `--json` and of `/rotad/v1`, the same for both.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::request::Pause;
use crate::history::{AttemptView, HistoryView};
use crate::job::{AfterEnd, JobName, LogTarget, OnOverlap};
use crate::schedule::Dst;
use crate::wire::{Exit, Failure, Stream};

/// What a schedule says of one instant.
pub use crate::schedule::Explanation as ExplanationView;

/// How a run ended. Exactly one per run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// Its leader ended by itself, or by a signal that was not ours.
    Exited {
        /// Code or signal and core flag.
        exit: Exit,
        /// The code is one of `success_codes`.
        success: bool,
    },
    /// Its time was up and it was stopped.
    TimedOut {
        /// How the leader ended then.
        exit: Exit,
    },
    /// It was stopped on request, by replacement, or because the daemon stops.
    Stopped {
        /// How the leader ended then.
        exit: Exit,
        /// Why: `request`, `replaced`, `shutdown`.
        why: String,
    },
    /// No program ran.
    CouldNotStart {
        /// The step that failed.
        failure: Failure,
        /// The same as a sentence.
        message: String,
    },
    /// Nobody knows: warden or machine went away under it.
    Lost,
}

impl Outcome {
    /// The run did what it should.
    pub fn success(&self) -> bool {
        matches!(self, Outcome::Exited { success: true, .. })
    }
}

/// What became of a slot. Exactly one per slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// It was run, as this run.
    Ran {
        /// Its id, as text.
        run: String,
    },
    /// It was let go by a rule. `why` is a stable code: `overlap`, `stopping`, `limit`, `retired`, `request`, `paused`,
    /// `skip-next`, `held`.
    Skipped {
        /// The code.
        why: String,
    },
    /// It passed while nobody watched, and its job's `catch_up` makes up for none or for others. `why` is a stable code:
    /// `down` (the daemon did not run), `off` (the machine did not), `stopped` (the daemon's process was stopped), `clock`
    /// (the clock was set forward, or the machine was suspended).
    Missed {
        /// The code.
        why: String,
    },
    /// A newer slot of the job took its place before it could start.
    Superseded,
}

/// A verdict with its slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictView {
    /// The planned instant.
    pub slot: Timestamp,
    /// What became of it.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// For a row that stands for several missed or paused slots: how many.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub count: Option<u64>,
}

/// A run, going on or over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunView {
    /// Its id, as text.
    pub run: String,
    /// The attempt that the rest is of, counted from 1: the last, unless an earlier one was asked for.
    pub attempt: u32,
    /// Attempts of the run so far.
    pub attempts: u32,
    /// Of which job.
    pub job: JobName,
    /// The slot it carries out; absent when requested.
    pub slot: Option<Timestamp>,
    /// What began it: `schedule`, `catch-up`, `request`, `after`.
    pub trigger: String,
    /// Who asked for it, or after which job; empty for a slot.
    pub by: String,
    /// `waiting`, `starting`, `running`, `stopping`, `will-not-die`, `draining`, `retrying`, `over`.
    pub state: String,
    /// When the next attempt is due, of a run that is `retrying`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next_attempt: Option<Timestamp>,
    /// Leader, while there is one.
    pub pid: Option<i32>,
    /// When the program started.
    pub started: Option<Timestamp>,
    /// When the leader was gone.
    pub ended: Option<Timestamp>,
    /// How it ended.
    #[serde(flatten, skip_serializing_if = "Option::is_none", default)]
    pub outcome: Option<Outcome>,
    /// CPU time, user and system, in seconds.
    pub cpu_seconds: Option<f64>,
    /// Largest resident set, in KiB.
    pub max_rss_kib: Option<u64>,
    /// Bytes of output received: stdout and stderr.
    pub output_bytes: BTreeMap<Stream, u64>,
    /// Bytes of output that were not kept.
    pub output_dropped: u64,
    /// Processes that were still there when it was booked.
    pub left_behind: u32,
}

/// A run with all that is known of its attempts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunInFull {
    /// The run, as its last attempt stands for it; as an earlier one does, where that was asked for.
    #[serde(flatten)]
    pub run: RunView,
    /// The attempts that are over and in the history, first to last, each with the last lines of its output.
    #[serde(default)]
    pub ended_attempts: Vec<AttemptView>,
}

/// A job after whose end another one starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AfterView {
    /// The end that counts.
    pub end: AfterEnd,
    /// It has ended so since the other one started last: that waits for the rest.
    pub ended: bool,
    /// The two are in a circle, and this is ignored.
    pub ignored: bool,
}

/// A job and what is going on with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobView {
    /// Its name.
    pub name: JobName,
    /// Its file in `conf.d`.
    pub file: String,
    /// `enable` of the file.
    pub enable: bool,
    /// The file is broken since: this is its last good definition.
    pub broken: bool,
    /// Schedule text, or the time of a job that runs once, as written; absent: on demand.
    pub schedule: Option<String>,
    /// Dialect of the schedule; absent for a time.
    pub dialect: Option<String>,
    /// Its own rule for the days on which clocks change, where it has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub dst: Option<Dst>,
    /// Zone of the schedule.
    pub timezone: Option<String>,
    /// Next slot that may run.
    pub next: Option<Timestamp>,
    /// Program and arguments, or the script.
    pub command: Vec<String>,
    /// The user it runs as.
    pub user: String,
    /// What an overlapping slot does.
    pub on_overlap: OnOverlap,
    /// Its own pause, while that goes on. (The hold is in [`StatusView`].)
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pause: Option<Pause>,
    /// The jobs after whose ends it starts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub after: BTreeMap<JobName, AfterView>,
    /// Runs that go on.
    pub running: Vec<RunView>,
    /// Runs that wait for their next attempt.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub retrying: Vec<RunView>,
    /// The run that ended last.
    pub last: Option<RunView>,
    /// Newest verdicts first, a few.
    pub verdicts: Vec<VerdictView>,
    /// Labels of the file.
    pub labels: BTreeMap<String, String>,
    /// Where its lines go: what it says or else the daemon does, and of `auto` what that is here.
    pub log: LogTarget,
}

/// A file of `conf.d` that has something to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileView {
    /// Its name.
    pub file: String,
    /// The job it defines now (its last good definition, where it is broken).
    pub job: Option<JobName>,
    /// What is wrong or doubtful.
    pub findings: Vec<crate::job::Finding>,
}

/// The daemon in a few numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusView {
    /// Of this program.
    pub version: String,
    /// The warden's start.
    pub started: Timestamp,
    /// Engines before this one.
    pub engine_restarts: u32,
    /// Jobs known, disabled ones among them.
    pub jobs: usize,
    /// Jobs that are never due by their files' word.
    pub disabled: usize,
    /// Jobs that are paused.
    #[serde(default)]
    pub paused: usize,
    /// The hold, while it goes on: no slot of any job runs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub held: Option<Pause>,
    /// Runs that go on.
    pub running: usize,
    /// Runs that wait for their next attempt.
    #[serde(default)]
    pub retrying: usize,
    /// Files that are broken.
    pub broken_files: usize,
    /// Warnings in good files.
    pub warnings: usize,
    /// The next slot, and whose; absent while there is a hold.
    pub next: Option<(JobName, Timestamp)>,
    /// Runs ended since the engine started, by outcome word.
    pub outcomes: BTreeMap<String, u64>,
    /// Bytes of output that were not kept, all runs.
    pub output_dropped: u64,
    /// How `conf.d` is watched: `inotify`, or `polling` with the reason.
    pub watch: String,
    /// How the history is kept.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub history: Option<HistoryView>,
    /// How beats go out; absent where none are configured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub beats: Option<BeatsView>,
    /// How alarms go out: each target of rotad.yaml, and of those that stand in rules the first that fail.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub alarms: Vec<TargetView>,
    /// The daemon is stopping.
    pub stopping: bool,
    /// The journal that takes lines of jobs, where there is one.
    pub journal: Option<JournalView>,
}

/// Who writes the entries with the lines of jobs: by these fields, which journald itself adds, they are told from forged ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalView {
    /// The engine's user id (`_UID`).
    pub uid: u32,
    /// Its unit (`_SYSTEMD_UNIT`), where it is in one.
    pub unit: Option<String>,
    /// Lines of jobs with `log: auto` go there.
    pub auto: bool,
}

/// How alarms to a target go out, counted since the engine started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetView {
    /// Its name in rotad.yaml, or for one that stands in a rule `ping of JOB`.
    pub name: String,
    /// `webhook`, `command`, `mail`, `report`, `ping`.
    pub kind: String,
    /// Messages that it took.
    pub sent: u64,
    /// Tries that failed.
    pub failed: u64,
    /// Messages that were given up after the last try.
    pub given_up: u64,
    /// Messages that found no room in the queue.
    pub dropped: u64,
    /// Why the last try failed; absent once one has succeeded since.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failing: Option<String>,
}

/// How beats go out, counted since the engine started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeatsView {
    /// Taken by the beat program.
    pub sent: u64,
    /// Tries that failed.
    pub failed: u64,
    /// Beats that were given up after the last try.
    pub given_up: u64,
    /// Beats that found no room in the queue.
    pub dropped: u64,
    /// Why the last try failed; absent once one has succeeded since.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failing: Option<String>,
}
