//! The answer, for `--json`, for HTTP, and for people.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::engine::VerdictView;
use crate::job::JobName;
use crate::schedule::Explanation;

/// Why a job ran at an instant, or did not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WhyView {
    /// Whose.
    pub job: JobName,
    /// The instant that is spoken of.
    pub at: Timestamp,
    /// What the clock of the job's zone said then.
    pub wall: String,
    /// That zone.
    pub zone: String,
    /// A slot of the definition that stands now; absent: there is none, or it has no schedule.
    pub due: Option<bool>,
    /// The answer as a stable word: the code of the reason, `ran`, `not-due`, `changed`, `new`, `disabled`, `on-demand`,
    /// `waiting`, `ahead`, `gone`, `unknown`.
    pub code: String,
    /// The answer as one sentence.
    pub sentence: String,
    /// What the schedule says of the instant, field by field.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub explanation: Option<Explanation>,
    /// What became of the slot.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub verdict: Option<VerdictView>,
    /// What there is to know beside: of the run, of pauses, of changes.
    pub facts: Vec<WhyFact>,
    /// The job's next slot.
    pub next: Option<Timestamp>,
    /// What stands in its way.
    pub ahead: Vec<WhyFact>,
}

/// Something that has to do with the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyFact {
    /// A stable word.
    pub code: String,
    /// A sentence.
    pub text: String,
    /// When it was, or began.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<Timestamp>,
    /// When it ended, or will.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<Timestamp>,
    /// The run that it is about.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub run: Option<String>,
    /// Who did it.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub by: String,
}

impl WhyFact {
    /// A fact without times.
    pub fn new(code: &str, text: impl Into<String>) -> Self {
        Self { code: code.into(), text: text.into(), from: None, until: None, run: None, by: String::new() }
    }

    /// The same, from then until then.
    pub fn time(self, from: impl Into<Option<Timestamp>>, until: impl Into<Option<Timestamp>>) -> Self {
        Self { from: from.into(), until: until.into(), ..self }
    }

    /// The same, about a run.
    pub fn run(self, run: impl ToString) -> Self {
        Self { run: Some(run.to_string()), ..self }
    }

    /// The same, done by somebody.
    pub fn by(self, by: &str) -> Self {
        Self { by: by.to_owned(), ..self }
    }
}
