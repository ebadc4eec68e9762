//! Findings written out for people.

use std::fmt::Write;

use super::term::{Colour, Term, visible};
use crate::client::FindingView;

/// As a compiler would say it: the place and the sentence, the line with a mark below, the hint.
pub fn text(finding: &FindingView, term: &Term) -> String {
    let mut text = visible(&finding.file);
    if let Some(place) = &finding.place {
        // Writing to a string does not fail.
        let _ = write!(text, ":{}:{}", place.line, place.column);
    }
    let colour = match finding {
        _ if finding.is_error() => Colour::Red,
        _ if finding.is_note() => Colour::Cyan,
        _ => Colour::Yellow,
    };
    let word = term.paint(colour, &visible(&format!("{}[{}]", finding.severity, finding.code)));
    let _ = writeln!(text, ": {word}: {}", visible(&finding.message));
    if let Some(place) = &finding.place
        && !place.snippet.is_empty()
    {
        let number = place.line.to_string();
        let margin = " ".repeat(number.len());
        let before: String = place.snippet.chars().take(place.column.saturating_sub(1)).collect();
        let indent: String = before.chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let _ = writeln!(text, "  {number} | {}", visible(&place.snippet));
        let _ = writeln!(text, "  {margin} | {indent}^");
    }
    if let Some(hint) = &finding.hint {
        let _ = writeln!(text, "  hint: {}", visible(hint));
    }
    text
}
