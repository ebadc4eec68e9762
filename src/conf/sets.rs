//! What a change means for the keys of a definition.

use super::edit::{Set, Value};
use crate::engine::{Change, Keys};
use crate::job::JobName;

impl Change {
    /// The job.
    pub fn name(&self) -> &JobName {
        match self {
            Change::Define(keys) => &keys.name,
            Change::Write { name, .. }
            | Change::Delete(name)
            | Change::Remove(name, _)
            | Change::Disable(name)
            | Change::Resume(name)
            | Change::Reschedule(name, _) => name,
        }
    }
}

/// The keys that a change sets.
pub(super) fn sets(change: &Change) -> Vec<Set> {
    let set = |key, value| Set { key, value: Some(value) };
    match change {
        Change::Define(keys) => define(keys),
        Change::Disable(_) => vec![set("enable", Value::Bool(false))],
        Change::Resume(_) => vec![set("enable", Value::Bool(true))],
        Change::Reschedule(_, schedule) => vec![
            set("schedule", Value::Text(schedule.clone())),
            Set { key: "at", value: None },
            Set { key: "when_done", value: None },
        ],
        Change::Write { .. } | Change::Delete(_) | Change::Remove(..) => Vec::new(),
    }
}

/// What mysql-crond's keys say, and no longer what would contradict them.
fn define(keys: &Keys) -> Vec<Set> {
    let set = |key, value| Set { key, value: Some(value) };
    let gone = |key| Set { key, value: None };
    let work_dir = (!keys.work_dir.is_empty()).then(|| Value::Text(keys.work_dir.clone()));
    let mut sets = vec![
        set("enable", Value::Bool(keys.enable)),
        gone("script"),
        set("command", Value::Text(keys.command.clone())),
        set("args", Value::Texts(keys.args.clone())),
        set("schedule", Value::Text(keys.schedule.clone())),
        gone("dialect"),
        gone("at"),
        gone("when_done"),
        set("creator", Value::Text(keys.creator.clone())),
        Set { key: "work_dir", value: work_dir },
    ];
    if let Some(overlap) = keys.overlap {
        sets.extend([set("overlap", Value::Bool(overlap)), gone("on_overlap")]);
    }
    sets
}
