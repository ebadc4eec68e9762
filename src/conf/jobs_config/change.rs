//! Changing one job of the file and nothing else of it.

use super::MAX_FILE;
use super::items::{index_of, jobs_in, jobs_of, shapes_of};
use crate::conf::edit::outline::{Form, Shape, line_end, line_start, outline};
use crate::conf::edit::{
    EditError, Quotes, Set, attempts, checked, differs_by, lines_of, newline, parse, same, scalar, set_in, spliced,
    split_mark, wanted, whole_lines,
};
use crate::conf::yaml::{self, Bounds, Kind, Node};
use crate::engine::Keys;
use crate::job::JobName;

/// Changes keys of a job.
pub fn set_in_item(text: &str, name: &JobName, sets: &[Set]) -> Result<String, EditError> {
    let (mark, text) = split_mark(text);
    let old = parse(text, Bounds::JOBS)?;
    let items = jobs_of(&old)?;
    let at = index_of(items, name)?;
    let item = items.get(at).ok_or(EditError::Unclear)?;
    let sets = wanted(item, sets)?;
    let edited = attempts(|careful| {
        let edited =
            set_in(text, &sets, careful, |text, root| shapes_of(&jobs_in(text, root)?.value, items.len())?.get(at))?;
        verified(&old, &edited, |new| {
            new.len() == items.len()
                && items.iter().zip(new).enumerate().all(|(here, (old, new))| match here == at {
                    true => differs_by(old, new, &sets),
                    false => same(old, new),
                })
        })
    })?;
    checked(mark, edited, MAX_FILE)
}

/// Adds a job at the end. A file without jobs, or without anything, gets its list.
pub fn append_item(text: &str, keys: &Keys) -> Result<String, EditError> {
    append_item_text(text, &(lines_of(keys, true).join("\n") + "\n"))
}

/// Adds a job at the end, by the text of a job file.
pub fn append_item_text(text: &str, item: &str) -> Result<String, EditError> {
    let (mark, text) = split_mark(text);
    let old = parse(text, Bounds::JOBS)?;
    let items = jobs_of(&old)?;
    let added = Added::read(item)?;
    let edited = appended(text, items.len(), &added).and_then(|edited| {
        verified(&old, &edited, |new| {
            new.len() == items.len() + 1
                && items.iter().chain([&added.node]).zip(new).all(|(wanted, new)| same(wanted, new))
        })
    });
    checked(mark, edited.ok_or(EditError::Unclear)?, MAX_FILE)
}

/// Replaces a job by the text of a job file.
pub fn replace_item_text(text: &str, name: &JobName, item: &str) -> Result<String, EditError> {
    let (mark, text) = split_mark(text);
    let old = parse(text, Bounds::JOBS)?;
    let items = jobs_of(&old)?;
    let at = index_of(items, name)?;
    let added = Added::read(item)?;
    let edited = replaced(text, items.len(), at, &added).and_then(|edited| {
        verified(&old, &edited, |new| {
            let wanted = items.iter().enumerate().map(|(here, item)| if here == at { &added.node } else { item });
            new.len() == items.len() && wanted.zip(new).all(|(wanted, new)| same(wanted, new))
        })
    });
    checked(mark, edited.ok_or(EditError::Unclear)?, MAX_FILE)
}

/// Takes a job out.
pub fn remove_item(text: &str, name: &JobName) -> Result<String, EditError> {
    let (mark, text) = split_mark(text);
    let old = parse(text, Bounds::JOBS)?;
    let items = jobs_of(&old)?;
    let at = index_of(items, name)?;
    let edited = removed(text, items.len(), at).and_then(|edited| {
        verified(&old, &edited, |new| {
            let wanted = items.iter().enumerate().filter(|(here, _)| *here != at).map(|(_, item)| item);
            new.len() + 1 == items.len() && wanted.zip(new).all(|(wanted, new)| same(wanted, new))
        })
    });
    checked(mark, edited.ok_or(EditError::Unclear)?, MAX_FILE)
}

/// The text of a job, as a job file would hold it.
pub fn item_text(text: &str, name: &JobName) -> Result<String, EditError> {
    let (_, text) = split_mark(text);
    let old = parse(text, Bounds::JOBS)?;
    let items = jobs_of(&old)?;
    let at = index_of(items, name)?;
    let own = taken(text, items.len(), at).filter(|own| {
        let node = yaml::parse(own);
        node.is_ok_and(|node| items.get(at).is_some_and(|item| same(item, &node)))
    });
    own.ok_or(EditError::Unclear)
}

/// The edited text, if `right` says so of its jobs and every other key is as it was.
fn verified(old: &Node, edited: &str, right: impl FnOnce(&[Node]) -> bool) -> Option<String> {
    let new = parse(edited, Bounds::JOBS).ok()?;
    let rest = |node: &Node| match &node.kind {
        Kind::Map(map) => map.iter().filter(|(key, ..)| key != "jobs").count(),
        _ => 0,
    };
    let others = match (&old.kind, &new.kind) {
        (Kind::Map(old), Kind::Map(new)) => {
            let others = |entry: &&(String, u32, Node)| entry.0 != "jobs";
            old.iter().filter(others).zip(new.iter().filter(others)).all(|(a, b)| a.0 == b.0 && same(&a.2, &b.2))
        }
        (Kind::Null, Kind::Map(_)) => true,
        _ => false,
    };
    (others && rest(old) == rest(&new) && right(jobs_of(&new).ok()?)).then(|| edited.to_owned())
}

/// The text of a job file that becomes an entry.
struct Added {
    node: Node,
    /// Its lines, without indentation in common.
    lines: Vec<String>,
}

impl Added {
    fn read(text: &str) -> Result<Added, EditError> {
        let text = yaml::decode("", text.as_bytes()).map_err(|finding| EditError::Broken(finding.message))?;
        let node = parse(text, Bounds::FILE)?;
        if !matches!(node.kind, Kind::Map(_)) {
            return Err(EditError::NotAMap);
        }
        let column = match outline(text) {
            Some(Shape { form: Form::BlockMap(column, _), .. }) => column,
            _ => 0,
        };
        let lines: Vec<&str> = text.lines().map(|line| line.trim_end_matches('\r')).collect();
        // What begins and ends a document has no place in a list.
        let lines = lines.strip_prefix(&["---"]).unwrap_or(&lines);
        let blank = |line: &&&str| line.trim().is_empty();
        let before = lines.iter().take_while(blank).count();
        let behind = lines.iter().rev().take_while(blank).count();
        let own = lines.get(before..lines.len().saturating_sub(behind)).unwrap_or_default();
        Ok(Added { node, lines: own.iter().map(|line| without(line, column).to_owned()).collect() })
    }

    /// As an entry of a list with dashes: everything behind the dash, with its lines in `column`.
    fn block(&self, column: usize, newline: &str) -> String {
        let indent = " ".repeat(column);
        let line = |(at, line): (usize, &String)| match at == 0 || line.is_empty() {
            true => line.clone(),
            false => format!("{indent}{line}"),
        };
        self.lines.iter().enumerate().map(line).collect::<Vec<_>>().join(newline)
    }

    /// As an entry of a list in brackets, on one line; its comments are lost.
    fn flow(&self) -> String {
        flow(&self.node)
    }
}

fn flow(node: &Node) -> String {
    match &node.kind {
        Kind::Null => "null".to_owned(),
        Kind::Bool(text) | Kind::Number(text) => text.clone(),
        Kind::Text(text) => scalar(text, Quotes::Double),
        Kind::List(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Kind::Map(map) => {
            let pair = |(key, _, value): &(String, u32, Node)| format!("{}: {}", scalar(key, Quotes::Few), flow(value));
            format!("{{{}}}", map.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
    }
}

/// A line without its first `column` blanks.
fn without(line: &str, column: usize) -> &str {
    let blanks = line.bytes().take_while(|byte| *byte == b' ').count().min(column);
    line.get(blanks..).unwrap_or(line)
}

fn appended(text: &str, count: usize, added: &Added) -> Option<String> {
    let root = outline(text)?;
    let newline = newline(text);
    let list = |column: usize| format!("{}- {}", " ".repeat(column), added.block(column + 2, newline));
    match (jobs_in(text, &root), &root.form) {
        // Nothing but comments.
        (None, Form::Scalar) => {
            let gap = if text.is_empty() || text.ends_with('\n') { "" } else { newline };
            Some(format!("{text}{gap}jobs:{newline}{}{newline}", list(2)))
        }
        (None, Form::BlockMap(column, _)) => {
            let end = line_end(text, root.span.end);
            let key = format!("{newline}{}jobs:{newline}{}", " ".repeat(*column), list(column + 2));
            Some(spliced(text, end..end, &key))
        }
        (None, Form::FlowMap(entries)) => {
            let (at, comma) = entries.last().map_or((root.span.end - 1, ""), |last| (last.value.span.end, ", "));
            Some(spliced(text, at..at, &format!("{comma}jobs: [{}]", added.flow())))
        }
        (Some(jobs), form) => match (shapes_of(&jobs.value, count), form) {
            (Some([.., last]), _) => match &jobs.value.form {
                Form::BlockList(column, _) => {
                    let end = line_end(text, last.span.end);
                    Some(spliced(text, end..end, &format!("{newline}{}", list(*column))))
                }
                _ => Some(spliced(text, last.span.end..last.span.end, &format!(", {}", added.flow()))),
            },
            // `jobs:` or `jobs: []` becomes a list with dashes, below what else stands on that line.
            (_, Form::BlockMap(column, _)) if count == 0 => {
                let end = line_end(text, jobs.value.span.end);
                let below = spliced(text, end..end, &format!("{newline}{}", list(column + 2)));
                Some(spliced(&below, jobs.colon..jobs.value.span.end, ""))
            }
            (_, Form::FlowMap(_)) if count == 0 => {
                Some(spliced(text, jobs.colon..jobs.value.span.end, &format!(" [{}]", added.flow())))
            }
            _ => None,
        },
        _ => None,
    }
}

fn replaced(text: &str, count: usize, at: usize, added: &Added) -> Option<String> {
    let root = outline(text)?;
    let jobs = jobs_in(text, &root)?;
    let span = shapes_of(&jobs.value, count)?.get(at)?.span.clone();
    let new = match jobs.value.form {
        Form::BlockList(..) => {
            let column = span.start - line_start(text, span.start);
            added.block(column, newline(text))
        }
        _ => added.flow(),
    };
    Some(spliced(text, span, &new))
}

fn removed(text: &str, count: usize, at: usize) -> Option<String> {
    let root = outline(text)?;
    let jobs = jobs_in(text, &root)?;
    let items = shapes_of(&jobs.value, count)?;
    let span = items.get(at)?.span.clone();
    if let Form::BlockList(..) = jobs.value.form {
        // From its dash on, which may stand on a line above.
        let behind = if at == 0 { jobs.value.span.start } else { items.get(at - 1)?.span.end };
        let dash = behind + dash_in(text.get(behind..span.start)?)?;
        if count > 1 {
            return Some(spliced(text, whole_lines(text, dash..span.end), ""));
        }
        let without = spliced(text, whole_lines(text, dash..span.end), "");
        return Some(spliced(&without, jobs.colon..jobs.colon, " []"));
    }
    let part = match (items.get(at + 1), at.checked_sub(1).and_then(|before| items.get(before))) {
        (Some(next), _) => span.start..next.span.start,
        (None, Some(before)) => before.span.end..span.end,
        (None, None) => span,
    };
    Some(spliced(text, part, ""))
}

/// The dash that begins an entry, with nothing but comments before it.
fn dash_in(between: &str) -> Option<usize> {
    let mut at = 0;
    for line in between.split_inclusive('\n') {
        if line.trim_start_matches(' ').starts_with('-') {
            return Some(at + line.len() - line.trim_start_matches(' ').len());
        }
        at += line.len();
    }
    None
}

fn taken(text: &str, count: usize, at: usize) -> Option<String> {
    let root = outline(text)?;
    let jobs = jobs_in(text, &root)?;
    let item = shapes_of(&jobs.value, count)?.get(at)?;
    let (column, end) = match (&jobs.value.form, &item.form) {
        (Form::BlockList(..), Form::BlockMap(column, _)) => (*column, line_end(text, item.span.end)),
        _ => (0, item.span.end),
    };
    let mut own = String::new();
    for line in text.get(item.span.start..end)?.lines() {
        own.push_str(without(line.trim_end_matches('\r'), column));
        own.push('\n');
    }
    Some(own)
}
