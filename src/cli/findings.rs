//! Findings as the daemon tells them, written out for people.

use std::fmt::Write;

use serde::Deserialize;

use super::term::{Colour, Term, visible};
use crate::job::JobName;

/// A file with findings.
#[derive(Debug, Deserialize)]
pub struct File {
    /// The job it defines.
    pub job: Option<JobName>,
    /// What is wrong or doubtful.
    pub findings: Vec<Finding>,
}

/// [`crate::job::Finding`], read back.
#[derive(Debug, Deserialize)]
pub struct Finding {
    severity: String,
    code: String,
    file: String,
    place: Option<Place>,
    message: String,
    hint: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Place {
    line: usize,
    column: usize,
    snippet: String,
}

impl Finding {
    /// It breaks its file.
    pub fn is_error(&self) -> bool {
        self.severity == "error"
    }

    /// As a compiler would say it: the place and the sentence, the line with a mark below, the hint.
    pub fn text(&self, term: &Term) -> String {
        let mut text = visible(&self.file);
        if let Some(place) = &self.place {
            // Writing to a string does not fail.
            let _ = write!(text, ":{}:{}", place.line, place.column);
        }
        let colour = if self.is_error() { Colour::Red } else { Colour::Yellow };
        let word = term.paint(colour, &visible(&format!("{}[{}]", self.severity, self.code)));
        let _ = writeln!(text, ": {word}: {}", visible(&self.message));
        if let Some(place) = &self.place
            && !place.snippet.is_empty()
        {
            let number = place.line.to_string();
            let margin = " ".repeat(number.len());
            let before: String = place.snippet.chars().take(place.column.saturating_sub(1)).collect();
            let indent: String = before.chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            let _ = writeln!(text, "  {number} | {}", visible(&place.snippet));
            let _ = writeln!(text, "  {margin} | {indent}^");
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(text, "  hint: {}", visible(hint));
        }
        text
    }
}
