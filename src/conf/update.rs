//! What the engine is told of definitions.

use super::directory::Change;
use super::jobs_config::Identity;
use crate::engine::{FileView, Refusal};

/// What has changed.
#[derive(Debug, Default)]
pub struct Update {
    /// For jobs.
    pub changes: Vec<Change>,
    /// For files: what each has to say now, `None` when nothing any more. A directory itself is among them under its path.
    pub files: Vec<(String, Option<FileView>)>,
    /// How `conf_d` is watched, where that has changed: `inotify`, or `polling` with the reason.
    pub watch: Option<String>,
    /// What `jobs_config` says of the machine, where that has changed.
    pub identity: Option<Identity>,
    /// The first snapshot is through, or the reloads in `tokens` are.
    pub complete: bool,
    /// Reloads that are answered by this.
    pub tokens: Vec<u64>,
    /// Edits that are answered by this: the file that was written, if any, or why nothing was changed.
    pub edited: Vec<(u64, Result<Option<String>, Refusal>)>,
}
