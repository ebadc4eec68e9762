//! What the history remembers around an instant, in the words of whoever asks why: its rows, but for what is not needed.

use jiff::Timestamp;

use crate::wire::RunId;

/// What the history remembers of a job around an instant.
#[derive(Debug, Clone, Default)]
pub struct Remembered {
    /// A sentence why it cannot be asked; then nothing else is here.
    pub trouble: Option<String>,
    /// It has something of the job.
    pub known: bool,
    /// The first thing that it has, where that is after the instant.
    pub begins: Option<Timestamp>,
    /// Rows that were lost at that time.
    pub dropped: u64,
    /// The row of the slot that is asked about.
    pub row: Option<Row>,
    /// The next slot of the job after that one which has a row.
    pub newer: Option<Timestamp>,
    /// Attempts for that slot, and those that went on at that instant: oldest first.
    pub attempts: Vec<Attempt>,
    /// The definition that stood at that instant, where it is not today's.
    pub then: Option<Then>,
    /// What was noted of the job and of the daemon around that instant, and before it of each kind the last: oldest first.
    pub happened: Vec<Happened>,
}

/// A definition of a job that stands no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Then {
    /// Its schedule as it was written; absent: it had none.
    pub schedule: Option<String>,
    /// It was due at the instant that is asked about; absent: that cannot be told any more.
    pub due: Option<bool>,
    /// It was disabled: whatever was due did not run.
    pub disabled: bool,
}

/// A slot with its verdict, or a row of slots that share one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The newest.
    pub slot: Timestamp,
    /// The oldest; the same where it is one.
    pub oldest: Timestamp,
    /// How many.
    pub count: u64,
    /// `ran`, `skipped`, `missed`, `superseded`.
    pub verdict: String,
    /// The code of the rule or cause.
    pub why: Option<String>,
    /// The run that it became.
    pub run: Option<RunId>,
}

impl Row {
    /// Whether the row says something of this instant.
    pub fn covers(&self, at: Timestamp) -> bool {
        self.oldest <= at && at <= self.slot
    }
}

/// An attempt of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The run.
    pub run: RunId,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// The slot; absent: there is none.
    pub slot: Option<Timestamp>,
    /// What began the run.
    pub trigger: String,
    /// Its program started then; absent: none did.
    pub started: Option<Timestamp>,
    /// It was over then; absent: it goes on.
    pub ended: Option<Timestamp>,
    /// How it ended, as a part of a sentence: `failed with exit code 3`. Empty while it goes on.
    pub outcome: String,
    /// It did what it should.
    pub success: bool,
    /// Another attempt follows then.
    pub next: Option<Timestamp>,
}

impl Attempt {
    /// It was going on at that instant.
    pub fn goes_on_at(&self, at: Timestamp) -> bool {
        self.started.is_some_and(|started| started <= at) && self.ended.is_none_or(|ended| ended >= at)
    }
}

/// Something that was noted of a job, or of the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    /// When it was, or began.
    pub at: Timestamp,
    /// When it was over, where that was known.
    pub until: Option<Timestamp>,
    /// `armed`, `retired`, `broken`, `mended`, `paused`, `resumed`, `held`, `released`, `edited`, `away`, `clock`, `started`,
    /// `dropped`, `retry`.
    pub kind: String,
    /// A stable code: of `armed` `armed` and `changed`; of `away` its cause; of `broken` `still` where it may have been so before.
    pub code: String,
    /// For people.
    pub text: String,
    /// Who did it; may be empty.
    pub by: String,
}
