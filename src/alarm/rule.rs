//! Rules: of what somebody wants to hear, and where that goes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::target::Target;

/// Most rules of a job, and of rotad.yaml. Which of them have been told is a bit each.
pub const MAX_RULES: usize = 32;

/// What an alarm is about: the words of `on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum On {
    /// A run failed, and the one before it had not. Targets that are programs hear of every failed run.
    Failure,
    /// A run succeeded, and the one before it had failed.
    Recovery,
    /// A run failed again, and the last word about it is long ago.
    StillFailing,
    /// A slot was let go by a rule.
    Skipped,
    /// A slot passed while nobody watched.
    Missed,
    /// A slot was not started within a time.
    Late,
    /// There was no success within a time.
    Silent,
    /// A run takes longer than a time, or than it usually does.
    Long,
    /// A run was started.
    Start,
    /// A run succeeded.
    Success,
    /// An attempt of a run failed, and another follows.
    Attempt,
}

impl On {
    /// All of them.
    pub const ALL: [On; 11] = [
        On::Failure,
        On::Recovery,
        On::StillFailing,
        On::Skipped,
        On::Missed,
        On::Late,
        On::Silent,
        On::Long,
        On::Start,
        On::Success,
        On::Attempt,
    ];

    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            On::Failure => "failure",
            On::Recovery => "recovery",
            On::StillFailing => "still-failing",
            On::Skipped => "skipped",
            On::Missed => "missed",
            On::Late => "late",
            On::Silent => "silent",
            On::Long => "long",
            On::Start => "start",
            On::Success => "success",
            On::Attempt => "attempt",
        }
    }

    /// Reads [`Self::word`].
    pub fn parse(word: &str) -> Option<On> {
        On::ALL.into_iter().find(|on| on.word() == word)
    }

    /// It is about something that is not as it should be.
    pub fn is_trouble(self) -> bool {
        !matches!(self, On::Recovery | On::Start | On::Success)
    }
}

impl fmt::Display for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The rules of a job, or those of rotad.yaml for jobs that have none. Without any, nothing is told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notify {
    /// In the order of the file; at most [`MAX_RULES`].
    pub rules: Vec<Rule>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Of what.
    pub on: Vec<On>,
    /// The time of `late` and `silent`.
    pub within: Option<Duration>,
    /// The time of `long`.
    pub over: Option<Duration>,
    /// The factor of `long`: so many times as long as it usually takes.
    pub times: Option<u32>,
    /// Where to.
    pub to: Vec<To>,
}

impl Rule {
    /// Whether it is about this.
    pub fn is_on(&self, on: On) -> bool {
        self.on.contains(&on)
    }
}

/// Where a rule's alarms go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum To {
    /// To the target of this name in rotad.yaml.
    Named(String),
    /// To a target that stands in the rule.
    Inline(Arc<Target>),
}

impl Notify {
    /// The names of targets that its rules want.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().flat_map(|rule| &rule.to).filter_map(|to| match to {
            To::Named(name) => Some(name.as_str()),
            To::Inline(_) => None,
        })
    }
}
