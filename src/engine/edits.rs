//! Definitions on their way: changes and reloads from a request to the thread that keeps the definitions, and what has changed
//! back from it.
//!
//! What a definition says is judged there, pauses are judged here. The core takes the change in before it is answered: who
//! has the answer finds the job as it was to be.

use std::collections::BTreeMap;

use super::Broken;
use super::core::State;
use super::request::{Change, Edit, Edited, Refusal, Reply};
use super::turn::Engine;
use super::view::StatusView;
use crate::conf::{Command, busy};
use crate::job::{JobName, Severity};
use tokio::sync::oneshot;

/// Edits that may be on their way.
const MAX_EDITS: usize = 256;
/// Findings that a refused reset tells.
const TOLD: usize = 20;

/// What comes back of an edit: its token, and the file that was written or why nothing was changed.
pub(super) type Answer = (u64, Result<Option<String>, Refusal>);

/// Who asked for a reload.
pub(super) enum Reload {
    /// The warden: it is told.
    Warden,
    /// A request: it is answered.
    Request(Reply<StatusView>),
    /// The same; what was defined in memory alone is forgotten, and pauses end.
    Reset(Reply<StatusView>),
}

/// Edits that are on their way, by token.
#[derive(Debug, Default)]
pub(super) struct Edits(BTreeMap<u64, Pending>);

#[derive(Debug)]
struct Pending {
    name: JobName,
    /// Whoever says what the job is to be ends its pause.
    unpauses: bool,
    /// What was asked for, and by whom.
    what: (&'static str, String),
    reply: Reply<Edited>,
}

impl Edits {
    /// The numbers that the entries of edited jobs have.
    pub(super) fn numbers(&self, edited: &[Answer], state: &State) -> BTreeMap<u64, u64> {
        let number = |(token, _): &Answer| Some((*token, state.number_of(&self.0.get(token)?.name)?));
        edited.iter().filter_map(number).collect()
    }
}

impl Engine {
    /// Sends an edit on its way, or refuses it.
    pub(super) fn edit(&mut self, edit: Edit, reply: Reply<Edited>) -> Result<(), Broken> {
        let name = edit.change.name().clone();
        let refused = match &edit.change {
            // Its own wishes are no more than there are jobs, and nobody would come back with one that is refused.
            Change::Remove(..) => None,
            _ if self.edits.0.len() >= MAX_EDITS => Some(busy()),
            Change::Disable(_) | Change::Reschedule(..) if self.state.pause_of(&name).is_some() => {
                self.state.active(&name).err()
            }
            _ => None,
        };
        if let Some(refusal) = refused {
            drop(reply.send(Err(refusal)));
            return Ok(());
        }
        if matches!(edit.change, Change::Resume(_)) && self.state.is_only_paused(&name) {
            // Its definition needs no change.
            self.unpause(&name)?;
            let entry = self.state.number_of(&name).unwrap_or_default();
            self.keeper.then(move || drop(reply.send(Ok(Edited { name, entry, file: None }))));
            return Ok(());
        }
        let unpauses = !matches!(edit.change, Change::Disable(_) | Change::Reschedule(..));
        let what = (word(&edit.change), edit.by.clone());
        let token = self.next_token();
        self.edits.0.insert(token, Pending { name, unpauses, what, reply });
        self.commands.send(Command::Edit(token, edit));
        Ok(())
    }

    /// Removes a job that ran once and is done. Nobody asked for it, so whoever reads the journal is told.
    pub(super) fn remove(&mut self, name: JobName, hash: u64) -> Result<(), Broken> {
        let (reply, answer) = oneshot::channel();
        let change = Change::Remove(name.clone(), hash);
        self.edit(Edit { change, permanent: true, by: "rotad".into() }, reply)?;
        tokio::spawn(async move {
            match answer.await {
                Ok(Ok(Edited { file, .. })) => {
                    let file = file.map(|file| format!(" ({})", file.escape_debug())).unwrap_or_default();
                    tracing::info!(job = %name, code = "removed", "removed {name}: it is done{file}");
                }
                Ok(Err(Refusal { code, .. })) if matches!(code.as_str(), "changed" | "no-such-job") => {}
                Ok(Err(Refusal { message, .. })) => {
                    tracing::warn!(job = %name, code = "not-removed", "{name} is done and could not be removed: {message}");
                }
                // The engine ends; the next one looks again.
                Err(_) => {}
            }
        });
        Ok(())
    }

    /// Has everything read anew.
    pub(super) fn reload(&mut self, who: Reload) {
        let token = self.next_token();
        let reset = matches!(who, Reload::Reset(_));
        self.reloads.insert(token, who);
        self.commands.send(if reset { Command::Reset(token) } else { Command::Reload(token) });
    }

    /// Answers edits; `had` are the numbers that the jobs had before.
    pub(super) fn take_edited(&mut self, edited: Vec<Answer>, had: BTreeMap<u64, u64>) -> Result<(), Broken> {
        for (token, result) in edited {
            let Some(Pending { name, unpauses, what, reply }) = self.edits.0.remove(&token) else { continue };
            if result.is_ok() {
                self.record_edit(&name, what.0, &what.1);
            }
            if result.is_ok() && unpauses {
                self.unpause(&name)?;
            }
            let entry = self.state.number_of(&name).or(had.get(&token).copied()).unwrap_or_default();
            let answer = result.map(|file| Edited { name, entry, file });
            self.keeper.then(move || drop(reply.send(answer)));
        }
        Ok(())
    }

    /// Everything was read anew and nothing is defined in memory alone: pauses end, too.
    pub(super) fn take_reset(&mut self, reply: Reply<StatusView>) -> Result<(), Broken> {
        let effects = self.state.unpause_all(self.now());
        self.perform(effects)?;
        let views = self.state.show_files();
        let findings = views.iter().flat_map(|view| &view.findings);
        let errors: Vec<String> =
            findings.filter(|finding| finding.severity == Severity::Error).map(ToString::to_string).collect();
        let answer = match errors.as_slice() {
            [] => Ok(self.show_status()),
            errors => Err(Refusal {
                code: "broken".into(),
                message: errors.iter().take(TOLD).map(String::as_str).collect::<Vec<_>>().join("\n"),
                hint: Some("what can be armed is armed, what is broken stays as it was".into()),
            }),
        };
        self.keeper.then(move || drop(reply.send(answer)));
        Ok(())
    }

    fn unpause(&mut self, name: &JobName) -> Result<(), Broken> {
        let effects = self.state.unpause(name, self.now());
        self.perform(effects)
    }
}

/// The stable word for a change.
fn word(change: &Change) -> &'static str {
    match change {
        Change::Define(_) | Change::Write { .. } => "defined",
        Change::Delete(_) => "deleted",
        Change::Remove(..) => "removed",
        Change::Disable(_) => "disabled",
        Change::Resume(_) => "enabled",
        Change::Reschedule(..) => "rescheduled",
    }
}
