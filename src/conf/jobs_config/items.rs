//! The list of jobs as it stands in the text.

use crate::conf::edit::outline::{Entry, Form, Shape};
use crate::conf::edit::{EditError, entry};
use crate::conf::yaml::{Kind, Node};
use crate::job::JobName;

use super::read::named;

/// The `jobs` of a tree; none where the key is not there or says nothing.
pub fn jobs_of(root: &Node) -> Result<&[Node], EditError> {
    let map = match &root.kind {
        Kind::Map(map) => map,
        Kind::Null => return Ok(&[]),
        _ => return Err(EditError::NotAMap),
    };
    let mut found = map.iter().filter(|(key, ..)| key == "jobs").map(|(.., node)| &node.kind);
    match (found.next(), found.next()) {
        (None | Some(Kind::Null), None) => Ok(&[]),
        (Some(Kind::List(items)), None) => Ok(items),
        (_, Some(_)) => Err(EditError::Twice("jobs".to_owned())),
        (Some(_), None) => Err(EditError::Unclear),
    }
}

/// Which of them is this job.
pub fn index_of(items: &[Node], name: &JobName) -> Result<usize, EditError> {
    let mut found = items.iter().enumerate().filter(|(_, item)| named(item).as_ref() == Some(name)).map(|(at, _)| at);
    match (found.next(), found.next()) {
        (Some(at), None) => Ok(at),
        (None, _) => Err(EditError::NoSuchJob(name.to_string())),
        (Some(_), Some(_)) => Err(EditError::Twice(name.to_string())),
    }
}

/// The entry `jobs` of an outline.
pub fn jobs_in<'s>(text: &str, root: &'s Shape) -> Option<&'s Entry> {
    entry(text, root, "jobs")
}

/// The items of an outline, where there are as many as the tree has.
pub fn shapes_of(jobs: &Shape, count: usize) -> Option<&[Shape]> {
    match &jobs.form {
        Form::BlockList(_, items) | Form::FlowList(items) if items.len() == count => Some(items),
        _ => None,
    }
}
