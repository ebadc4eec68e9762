//! Changes the text of a job file and nothing else of it: comments, blank lines, order, quoting and unknown keys stay byte
//! for byte. Pure: text in, text out.
//!
//! What stands where is told by [`outline`], a small reader of YAML's shapes that knows places but no values. It is never
//! trusted: before and after, the real parser reads the text, and an edit counts only when the two trees differ by exactly
//! what was wanted.

mod change;
mod compare;
pub(super) mod outline;
mod write;

use std::fmt;

use crate::conf::yaml::{self, Bounds, Kind, Node};
use crate::engine::Keys;
pub(super) use change::{entry, newline, spliced, whole_lines};
use compare::holds;
pub(super) use compare::{differs_by, same};
use outline::{Shape, outline};
pub(super) use write::{Quotes, scalar, value as written};

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
    /// The file would be longer than is read, in bytes.
    TooLarge(usize),
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
            Self::TooLarge(most) => write!(f, "the file would be longer than {} KiB", most >> 10),
        }
    }
}

impl std::error::Error for EditError {}

/// Changes top-level keys of a job file.
pub fn set_keys(text: &str, sets: &[Set]) -> Result<String, EditError> {
    let (mark, text) = split_mark(text);
    let old = parse(text, Bounds::FILE)?;
    let sets = wanted(&old, sets)?;
    let edited = attempts(|careful| {
        let edited = set_in(text, &sets, careful, |_, root| Some(root))?;
        let new = yaml::parse(&edited).ok()?;
        differs_by(&old, &new, &sets).then_some(edited)
    })?;
    checked(mark, edited, yaml::MAX_FILE)
}

/// The text of a new job file.
pub fn new_file(keys: &Keys) -> String {
    let mut text = lines_of(keys, false).join("\n");
    text.push('\n');
    text
}

/// The changes that make a job say what these keys say: keys of a `command` go in, those that would contradict them go out,
/// all others stay.
pub fn sets_of(keys: &Keys) -> Vec<Set> {
    let some = |text: &str| (!text.is_empty()).then(|| Value::Text(text.to_owned()));
    let mut sets = vec![
        Set { key: "name", value: some(keys.name.as_str()) },
        Set { key: "enable", value: Some(Value::Bool(keys.enable)) },
        Set { key: "command", value: Some(Value::Text(keys.command.clone())) },
        Set { key: "args", value: Some(Value::Texts(keys.args.clone())) },
        Set { key: "schedule", value: Some(Value::Text(keys.schedule.clone())) },
        Set { key: "creator", value: some(&keys.creator) },
        Set { key: "work_dir", value: some(&keys.work_dir) },
        Set { key: "script", value: None },
        // Of mysql-crond's jobs, which is the default.
        Set { key: "dialect", value: None },
        Set { key: "at", value: None },
        Set { key: "when_done", value: None },
    ];
    if let Some(overlap) = keys.overlap {
        sets.push(Set { key: "overlap", value: Some(Value::Bool(overlap)) });
        sets.push(Set { key: "on_overlap", value: None });
    }
    sets
}

/// The `key: value` lines of a new job; with `all`, those that mysql-crond asks for though they say nothing.
pub(super) fn lines_of(keys: &Keys, all: bool) -> Vec<String> {
    let line = |set: Set| {
        let value = set.value?;
        let nothing = matches!(&value, Value::Texts(items) if items.is_empty());
        (all || !nothing).then(|| format!("{}: {}", set.key, written(&value, Quotes::Few)))
    };
    sets_of(keys).into_iter().filter_map(line).collect()
}

/// A byte order mark, and the text behind it.
pub(super) fn split_mark(text: &str) -> (&str, &str) {
    text.strip_prefix('\u{feff}').map_or(("", text), |rest| ("\u{feff}", rest))
}

/// The tree of a text.
pub(super) fn parse(text: &str, bounds: Bounds) -> Result<Node, EditError> {
    yaml::parse_within(text, bounds).map_err(|error| EditError::Broken(error.to_string()))
}

/// The changes that are still to be made: what a key says already stays as it is written.
pub(super) fn wanted<'s>(map: &Node, sets: &'s [Set]) -> Result<Vec<&'s Set>, EditError> {
    let Kind::Map(entries) = &map.kind else { return Err(EditError::NotAMap) };
    for set in sets {
        if entries.iter().filter(|(key, ..)| key == set.key).count() > 1 {
            return Err(EditError::Twice(set.key.to_owned()));
        }
        let nul = match &set.value {
            Some(Value::Text(text)) => text.contains('\0'),
            Some(Value::Texts(items)) => items.iter().any(|item| item.contains('\0')),
            Some(Value::Bool(_)) | None => false,
        };
        if nul {
            return Err(EditError::Forbidden);
        }
    }
    Ok(sets.iter().filter(|set| !holds(map, set)).collect())
}

/// Tries the plain way, and where that changes what stands above, the careful one ([`change::change`]).
pub(super) fn attempts(attempt: impl Fn(bool) -> Option<String>) -> Result<String, EditError> {
    attempt(false).or_else(|| attempt(true)).ok_or(EditError::Unclear)
}

/// Makes changes in the map that `find` finds, one after the other.
pub(super) fn set_in(
    text: &str,
    sets: &[&Set],
    careful: bool,
    find: impl for<'a> Fn(&str, &'a Shape) -> Option<&'a Shape>,
) -> Option<String> {
    let mut edited = text.to_owned();
    for set in sets {
        edited = change::change(&edited, find(&edited, &outline(&edited)?)?, set, careful)?;
    }
    Some(edited)
}

/// The whole text, if that is not too long.
pub(super) fn checked(mark: &str, text: String, most: usize) -> Result<String, EditError> {
    match mark.len() + text.len() {
        length if length > most => Err(EditError::TooLarge(most)),
        _ => Ok(mark.to_owned() + &text),
    }
}

#[cfg(test)]
mod tests;
