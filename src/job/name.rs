//! The name of a job: a validated type, so that no path, log line or header is ever built from unchecked text.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Longest name, in bytes. Percent-escaped it must still fit a file name with room for a suffix (255 bytes).
pub const MAX_NAME: usize = 128;

/// The name of a job. Any text without control characters, because real ones hold a schedule
/// (`mysql-monitor-20000-@every 10s`, `mysql-monitor-20000-0 */5 * * * *`); not empty, nothing that reads as a way to another
/// place (`../x`, `/x`, `a//b`), no blank at either end, at most [`MAX_NAME`] bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobName(Arc<str>);

/// Why a text is no job name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameError {
    /// Nothing there.
    Empty,
    /// Over [`MAX_NAME`] bytes.
    TooLong,
    /// A control character, or one that nobody would see, at this byte.
    Forbidden(usize),
    /// `.`, `..` or nothing, alone or between `/`: these mean places and not names.
    Place,
    /// A blank at the start or the end, which nobody would see.
    Blank,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "a job name must not be empty"),
            Self::TooLong => write!(f, "a job name has at most {MAX_NAME} bytes"),
            Self::Forbidden(at) => write!(f, "a job name holds no control characters (byte {at})"),
            Self::Place => write!(f, "a job name is no path: nothing, '.' or '..' cannot stand beside a '/' or alone"),
            Self::Blank => write!(f, "a job name does not start or end with a blank"),
        }
    }
}

impl std::error::Error for NameError {}

impl JobName {
    /// Checks `text` and makes it a name.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > MAX_NAME {
            return Err(NameError::TooLong);
        }
        if let Some((at, _)) = text.char_indices().find(|(_, c)| c.is_control() || is_invisible(*c)) {
            return Err(NameError::Forbidden(at));
        }
        if text.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(NameError::Place);
        }
        if text.trim() != text {
            return Err(NameError::Blank);
        }
        Ok(Self(text.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The stem of a file named after the job: what a file name should not hold is written `%XX`. Never empty, never
    /// hidden, never a path.
    pub fn file_stem(&self) -> String {
        let mut stem = String::with_capacity(self.0.len());
        for (at, c) in self.0.char_indices() {
            if c.is_alphanumeric() || matches!(c, '-' | '_') || (c == '.' && at > 0) {
                stem.push(c);
            } else {
                let mut bytes = [0; 4];
                c.encode_utf8(&mut bytes).bytes().for_each(|byte| stem.push_str(&format!("%{byte:02X}")));
            }
        }
        stem
    }
}

/// Characters that change how a line is shown without being seen: line and paragraph separators, bidi overrides.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

impl TryFrom<String> for JobName {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

impl From<JobName> for String {
    fn from(name: JobName) -> String {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b34_b35_names_that_are_no_names() {
        let long = "x".repeat(MAX_NAME + 1);
        for (text, why) in [
            ("", NameError::Empty),
            (".", NameError::Place),
            ("..", NameError::Place),
            ("../x", NameError::Place),
            ("/x", NameError::Place),
            ("x/", NameError::Place),
            ("a/../b", NameError::Place),
            ("a//b", NameError::Place),
            ("a\nb", NameError::Forbidden(1)),
            ("a\0b", NameError::Forbidden(1)),
            ("a\u{202e}b", NameError::Forbidden(1)),
            (" a", NameError::Blank),
            (long.as_str(), NameError::TooLong),
        ] {
            assert_eq!(JobName::parse(text), Err(why), "{text:?}");
        }
    }

    #[test]
    fn real_names_pass_and_become_file_stems() {
        for (text, stem) in [
            ("backup", "backup"),
            ("mysql-monitor-20000-@every 10s", "mysql-monitor-20000-%40every%2010s"),
            (".hidden", "%2Ehidden"),
            ("m-0 */5 * * * *", "m-0%20%2A%2F5%20%2A%20%2A%20%2A%20%2A"),
            ("a.b", "a.b"),
            ("CON", "CON"),
            ("50%", "50%25"),
        ] {
            assert_eq!(JobName::parse(text).unwrap().file_stem(), stem);
        }
    }
}
