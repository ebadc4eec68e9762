//! What is wrong with a schedule text, or doubtful in it, and where.
//!
//! Both carry the byte range of the offending text, so that a job file's finding gets its column and the command line
//! its caret. Messages are one line without control characters: foreign text is quoted in escaped form.

use std::fmt;
use std::ops::Range;

/// Why a schedule text was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleError {
    /// One lower-case sentence for an operator.
    pub message: String,
    /// The offending bytes of the text. Empty (a place between characters) where something is missing.
    pub at: Range<usize>,
    /// What to write instead, where that can be said.
    pub hint: Option<String>,
}

impl ScheduleError {
    pub(super) fn new(at: Range<usize>, message: impl Into<String>) -> ScheduleError {
        ScheduleError { message: message.into(), at, hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> ScheduleError {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for ScheduleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " (hint: {hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ScheduleError {}

/// Something that is accepted but seldom meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// A stable code, for findings and for switching them off.
    pub code: &'static str,
    /// One lower-case sentence for an operator.
    pub message: String,
    /// The bytes of the text it is about.
    pub at: Range<usize>,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Foreign text as it may stand in a message: quoted, control characters escaped, shortened.
pub(super) fn quote(text: &str) -> String {
    const SHOWN: usize = 40;
    let escaped: String = text.chars().take(SHOWN).flat_map(escape).collect();
    let more = if text.chars().nth(SHOWN).is_some() { "…" } else { "" };
    format!("`{escaped}{more}`")
}

/// One character as it may be shown on a terminal: what would move the cursor or turn the text around is written out.
pub fn escape(c: char) -> impl Iterator<Item = char> {
    let turns = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    let shown = if c.is_control() || turns { Ok(c.escape_default()) } else { Err(std::iter::once(c)) };
    let (escaped, plain) = match shown {
        Ok(escaped) => (Some(escaped), None),
        Err(plain) => (None, Some(plain)),
    };
    escaped.into_iter().flatten().chain(plain.into_iter().flatten())
}
