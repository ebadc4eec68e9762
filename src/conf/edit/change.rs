//! One change of one map, by places.

use std::ops::Range;

use super::outline::{Entry, Form, Shape, line_end, line_start, next_line};
use super::write::{self, Quotes};
use super::{Set, Value};
use crate::conf::yaml::{self, Kind};

/// The line break that a text uses.
pub fn newline(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

/// The text of a key as written.
pub fn key_of(written: &str) -> Option<String> {
    if !written.starts_with(['"', '\'', '&', '!', '*']) {
        return Some(written.to_owned());
    }
    match yaml::parse(written).ok()?.kind {
        Kind::Text(text) | Kind::Number(text) | Kind::Bool(text) => Some(text),
        Kind::Null | Kind::List(_) | Kind::Map(_) => None,
    }
}

/// The entry of a key.
pub fn entry<'s>(text: &str, map: &'s Shape, key: &str) -> Option<&'s Entry> {
    let (Form::BlockMap(_, entries) | Form::FlowMap(entries)) = &map.form else { return None };
    entries.iter().find(|entry| text.get(entry.key.clone()).and_then(key_of).as_deref() == Some(key))
}

/// Makes one change in a map. `None`: its form does not allow it. A text in `|` or `>` at the end of the map lives on the line
/// break behind it: `careful` adds a key at the start, and leaves that line break when the key behind it goes.
pub fn change(text: &str, map: &Shape, set: &Set, careful: bool) -> Option<String> {
    let found = entry(text, map, set.key);
    match (&map.form, found, &set.value) {
        (_, None, None) => Some(text.to_owned()),
        (Form::BlockMap(..), Some(entry), Some(value)) => Some(replace_in_block(text, entry, value)),
        (Form::FlowMap(_), Some(entry), Some(value)) => Some(replace_in_flow(text, entry, value)),
        (Form::BlockMap(_, entries), Some(entry), None) => take_from_block(text, entries, entry, careful),
        (Form::FlowMap(entries), Some(entry), None) => Some(take_from_flow(text, entries, entry)),
        (Form::BlockMap(column, entries), None, Some(value)) => {
            let line = format!("{}: {}", set.key, write::value(value, Quotes::Few));
            let indent = " ".repeat(*column);
            let newline = newline(text);
            if careful {
                return Some(spliced(text, map.span.start..map.span.start, &format!("{line}{newline}{indent}")));
            }
            let end = line_end(text, entries.last()?.value.span.end);
            Some(spliced(text, end..end, &format!("{newline}{indent}{line}")))
        }
        (Form::FlowMap(entries), None, Some(value)) => {
            let pair = format!("{}: {}", set.key, write::value(value, Quotes::Few));
            match entries.last() {
                Some(last) => Some(spliced(text, last.value.span.end..last.value.span.end, &format!(", {pair}"))),
                None => {
                    // Behind the bracket, which ends the map's empty contents too.
                    let close = map.span.end - 1;
                    Some(spliced(text, close..close, &pair))
                }
            }
        }
        _ => None,
    }
}

/// The text with a part of it replaced.
pub fn spliced(text: &str, part: Range<usize>, by: &str) -> String {
    let (before, after) = (text.get(..part.start).unwrap_or_default(), text.get(part.end..).unwrap_or_default());
    [before, by, after].concat()
}

fn replace_in_block(text: &str, entry: &Entry, value: &Value) -> String {
    let old = entry.value.span.clone();
    let newline = newline(text);
    if let (Value::Texts(items), Form::BlockList(column, _)) = (value, &entry.value.form)
        && !items.is_empty()
        && text.as_bytes().get(old.start) == Some(&b'-')
    {
        let indent = " ".repeat(*column);
        let lines: Vec<String> =
            items.iter().map(|item| format!("- {}", write::scalar(item, Quotes::Double))).collect();
        return spliced(text, old, &lines.join(&format!("{newline}{indent}")));
    }
    let written = write::value(value, Quotes::of(text.get(old.clone()).unwrap_or_default()));
    if old.is_empty() {
        return spliced(text, entry.colon..entry.colon, &format!(" {written}"));
    }
    if line_start(text, old.start) <= entry.colon {
        return spliced(text, old, &written);
    }
    // The value stands below its key: its lines go, what stands between stays.
    let without = spliced(text, whole_lines(text, old), "");
    spliced(&without, entry.colon..entry.colon, &format!(" {written}"))
}

fn replace_in_flow(text: &str, entry: &Entry, value: &Value) -> String {
    let old = entry.value.span.clone();
    let written = write::value(value, Quotes::of(text.get(old.clone()).unwrap_or_default()));
    let glued = old.start == entry.colon;
    spliced(text, old, &if glued { format!(" {written}") } else { written })
}

/// The lines of a part, with a line break: the one behind, or in a last line without one, the one before.
pub fn whole_lines(text: &str, part: Range<usize>) -> Range<usize> {
    let start = line_start(text, part.start);
    let end = next_line(text, part.end);
    if text.get(..end).is_some_and(|before| before.ends_with('\n')) || start == 0 {
        return start..end;
    }
    let before = text.get(..start - 1).unwrap_or_default();
    before.strip_suffix('\r').unwrap_or(before).len()..end
}

fn take_from_block(text: &str, entries: &[Entry], entry: &Entry, careful: bool) -> Option<String> {
    if entries.len() < 2 {
        return None;
    }
    let start = entry.key.start;
    let line = text.get(line_start(text, start)..start)?;
    if line.bytes().all(|byte| byte == b' ') {
        let end = entry.value.span.end;
        let lines = if careful { line_start(text, start)..next_line(text, end) } else { whole_lines(text, start..end) };
        return Some(spliced(text, lines, ""));
    }
    // Behind a dash: the next key takes its place where nothing but blanks is between.
    let next = entries.iter().find(|next| next.key.start > start)?;
    let between = text.get(entry.value.span.end..next.key.start)?;
    let end = if between.trim().is_empty() { next.key.start } else { line_end(text, entry.value.span.end) };
    Some(spliced(text, start..end, ""))
}

fn take_from_flow(text: &str, entries: &[Entry], entry: &Entry) -> String {
    let start = entry.key.start;
    let next = entries.iter().find(|next| next.key.start > start);
    let before = entries.iter().rev().find(|before| before.key.start < start);
    let part = match (next, before) {
        (Some(next), _) => start..next.key.start,
        (None, Some(before)) => before.value.span.end..entry.value.span.end,
        (None, None) => start..entry.value.span.end,
    };
    spliced(text, part, "")
}
