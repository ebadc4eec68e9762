//! Changes definitions on request: in their files, or in memory alone.
//!
//! A change is judged whole before anything is touched: the text as it will be is read by the rules of job files, users and
//! schedules. Then it is written, the old file or the new one and nothing between, and read back as if somebody else had
//! written it. A change that is refused has changed nothing.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use jiff::Timestamp;

use super::directory::Reading;
use super::edit::{self, EditError, Set, Value};
use super::fetch::Stamp;
use super::jobs_config;
use super::open::Opener;
use super::overlay::Laid;
use super::replace::{Before, why_not_written};
use super::sets::sets;
use super::watch::Watch;
use crate::engine::{Change, Edit, Refusal, Text};
use crate::job::file::hash_of;
use crate::job::{Armed, Finding, JobName, Severity};
use crate::wire::FilePlace;

impl<O: Opener> Watch<O> {
    /// Changes a definition. Answers with the file that was written, if any.
    pub(super) fn change(&mut self, edit: &Edit) -> Result<Option<String>, Refusal> {
        self.judge(&edit.change)?;
        // What is removed goes from where it stands.
        let removes = matches!(edit.change, Change::Remove(..));
        let file = if removes { !self.directory.is_laid_over(edit.change.name()) } else { edit.permanent };
        match file {
            true => self.change_file(&edit.change).map(Some),
            false => self.change_memory(&edit.change).map(|()| None),
        }
    }

    /// How a job is written down.
    pub(super) fn text_of(&self, name: &JobName) -> Result<Text, Refusal> {
        if let Some(laid) = self.overlay.get(name) {
            let text = laid.text.clone().ok_or_else(|| no_such_job(name))?;
            return Ok(Text { file: None, text });
        }
        let place = self.directory.written(name).ok_or_else(|| no_such_job(name))?;
        let text = self.written_text(&place, name)?.ok_or_else(|| no_such_job(name))?;
        Ok(Text { file: Some(self.label(&place)), text })
    }

    /// The definitions that an engine before held in memory.
    pub(super) fn recall(&mut self) {
        for (name, laid) in self.overlay.iter() {
            let armed = match &laid.text {
                None => None,
                Some(text) => match self.loader.read_text(&memory(name), text, Severity::Warning, laid.since) {
                    Reading::Good { job, since, .. } => Some(Armed { job: Arc::new(*job), since }),
                    // Read before by the same rules, unless the program or the time zones are others now.
                    Reading::Broken(_) => continue,
                },
            };
            self.directory.lay_over(name, armed);
        }
    }

    /// Forgets every definition in memory.
    pub(super) fn forget_overlay(&mut self) {
        for name in self.overlay.clear() {
            self.directory.lay_bare(&name);
        }
    }

    /// Whether the job is one that can be changed so.
    fn judge(&self, change: &Change) -> Result<(), Refusal> {
        if matches!(change, Change::Define(_) | Change::Write { .. }) {
            return Ok(());
        }
        let name = change.name();
        let job = &self.directory.definition(name).ok_or_else(|| no_such_job(name))?.job;
        let enable = job.enable;
        match change {
            Change::Remove(_, hash) if *hash != job.hash => Err(changed(name)),
            Change::Disable(_) | Change::Reschedule(..) if !enable => {
                Err(refusal("not-active", format!("{name} is disabled"), Some("enable it first")))
            }
            Change::Resume(_) if enable => {
                Err(refusal("not-disabled", format!("{name} is neither disabled nor paused"), None))
            }
            _ => Ok(()),
        }
    }

    fn change_memory(&mut self, change: &Change) -> Result<(), Refusal> {
        let name = change.name();
        let text = match change {
            Change::Delete(_) | Change::Remove(..) => None,
            Change::Write { text, .. } => Some(text.clone()),
            _ => Some(match (self.present_text(name)?, change) {
                (Some(text), _) => edit::set_keys(&text, &sets(change)).map_err(|error| unclear(name, &error))?,
                (None, Change::Define(keys)) => edit::new_file(keys),
                (None, _) => return Err(no_such_job(name)),
            }),
        };
        let since = Timestamp::now();
        let armed = match &text {
            Some(text) if !self.overlay.has_room(name, text) => {
                return Err(refusal("busy", "no more definitions fit into memory", Some("make them permanent")));
            }
            Some(text) => Some(self.read_job(&memory(name), text, unknown_keys(change), name, since)?),
            None => None,
        };
        self.directory.lay_over(name, armed);
        self.overlay.set(name, Some(Laid { since, text }));
        Ok(())
    }

    /// Where somebody else writes the file at the same time, what they have written is changed.
    fn change_file(&mut self, change: &Change) -> Result<String, Refusal> {
        match self.try_file(change)? {
            Ok(label) => Ok(label),
            Err(_) => self.try_file(change)?.map_err(|label| {
                let message = format!("{label} is being changed by somebody else at this moment");
                refusal("not-written", message, Some("try again"))
            }),
        }
    }

    /// The label of the file that was written, or of the one that somebody else has changed meanwhile.
    fn try_file(&mut self, change: &Change) -> Result<Result<String, String>, Refusal> {
        let name = change.name();
        let makes = matches!(change, Change::Define(_) | Change::Write { .. });
        let place = match self.directory.written(name) {
            Some(place) => place,
            None if makes => self.new_place(name, change)?,
            None => return Err(self.not_in_file(name)),
        };
        let old = self.read_place(&place)?;
        let (text, stamp) = old.as_ref().map(|(text, stamp)| (text.as_str(), *stamp)).unzip();
        let new = match &place {
            FilePlace::ConfD(file) => self.new_file(file, text, change)?,
            FilePlace::JobsConfig => Some(self.new_jobs_config(text.unwrap_or_default(), stamp, change)?),
        };
        if new.as_deref() != text {
            let written = self.write(&place, stamp, new.as_deref())?;
            self.look_at_written(place.clone());
            if !written {
                return Ok(Err(self.label(&place)));
            }
        }
        self.directory.lay_bare(name);
        self.overlay.set(name, None);
        Ok(Ok(self.label(&place)))
    }

    /// The file of a job as it is to be; `None`: it goes.
    fn new_file(&mut self, file: &str, old: Option<&str>, change: &Change) -> Result<Option<String>, Refusal> {
        let name = change.name();
        let new = match (change, old) {
            (Change::Remove(_, hash), Some(old)) if *hash != hash_of(old.as_bytes()) => return Err(changed(name)),
            (Change::Delete(_) | Change::Remove(..), _) => return Ok(None),
            (Change::Write { text, .. }, _) => text.clone(),
            (Change::Define(keys), None) => edit::new_file(keys),
            (_, Some(old)) => edit::set_keys(old, &sets(change)).map_err(|error| unclear(name, &error))?,
            (_, None) => return Err(self.not_in_file(name)),
        };
        self.read_job(file, &new, Severity::Error, name, Timestamp::now())?;
        Ok(Some(new))
    }

    /// `jobs_config` as it is to be.
    fn new_jobs_config(&mut self, old: &str, stamp: Option<Stamp>, change: &Change) -> Result<String, Refusal> {
        let name = change.name();
        let new = match change {
            Change::Delete(_) | Change::Remove(..) => jobs_config::remove_item(old, name),
            Change::Write { text, .. } => {
                self.read_job(&memory(name), text, Severity::Error, name, Timestamp::now())?;
                let named = [Set { key: "name", value: Some(Value::Text(name.to_string())) }];
                let text = edit::set_keys(text, &named).map_err(|error| unclear(name, &error))?;
                match jobs_config::replace_item_text(old, name, &text) {
                    Err(EditError::NoSuchJob(_)) => jobs_config::append_item_text(old, &text),
                    replaced => replaced,
                }
            }
            Change::Define(keys) => match jobs_config::set_in_item(old, name, &sets(change)) {
                Err(EditError::NoSuchJob(_)) => jobs_config::append_item(old, keys),
                set => set,
            },
            _ => jobs_config::set_in_item(old, name, &sets(change)),
        };
        let new = match new {
            Err(EditError::NoSuchJob(_)) => return Err(self.not_in_file(name)),
            new => new.map_err(|error| unclear(name, &error))?,
        };
        let label = self.label(&FilePlace::JobsConfig);
        let (directory, _) = self.find(&FilePlace::JobsConfig)?;
        let kept = self.loader.is_kept(directory.as_fd(), stamp.as_ref());
        let read = self.loader.read_jobs_text(&label, &new, kept).map_err(bad_job)?;
        let item = read.items.into_iter().find(|item| item.name.as_ref() == Some(name));
        match (item.map(|item| item.reading), change) {
            (_, Change::Delete(_) | Change::Remove(..)) | (Some(Reading::Good { .. }), _) => Ok(new),
            (Some(Reading::Broken(findings)), _) => Err(bad_job(findings)),
            (None, _) => Err(self.not_in_file(name)),
        }
    }

    /// Reads a text as the definition of `name`.
    fn read_job(
        &mut self,
        file: &str,
        text: &str,
        unknown: Severity,
        name: &JobName,
        since: Timestamp,
    ) -> Result<Armed, Refusal> {
        match self.loader.read_text(file, text, unknown, since) {
            Reading::Broken(findings) => Err(bad_job(findings)),
            Reading::Good { job, .. } if job.name != *name => {
                let message = format!("the text defines a job '{}', not '{name}'", job.name);
                Err(refusal("bad-job", message, Some("a job is renamed by making a new one and deleting the old one")))
            }
            Reading::Good { job, since, .. } => Ok(Armed { job: Arc::new(*job), since }),
        }
    }

    /// How a job is written down now, in memory or in its file.
    fn present_text(&self, name: &JobName) -> Result<Option<String>, Refusal> {
        match (self.overlay.get(name), self.directory.written(name)) {
            (Some(laid), _) => Ok(laid.text.clone()),
            (None, Some(place)) => self.written_text(&place, name),
            (None, None) => Ok(None),
        }
    }

    fn written_text(&self, place: &FilePlace, name: &JobName) -> Result<Option<String>, Refusal> {
        let Some((text, _)) = self.read_place(place)? else { return Ok(None) };
        match place {
            FilePlace::ConfD(_) => Ok(Some(text)),
            FilePlace::JobsConfig => match jobs_config::item_text(&text, name) {
                Err(EditError::NoSuchJob(_)) => Ok(None),
                item => item.map(Some).map_err(|error| unclear(name, &error)),
            },
        }
    }

    /// Where a job that stands nowhere is to be written.
    fn new_place(&self, name: &JobName, change: &Change) -> Result<FilePlace, Refusal> {
        if self.jobs.is_some() {
            return Ok(FilePlace::JobsConfig);
        }
        let file = format!("{}.yaml", name.file_stem());
        let place = FilePlace::ConfD(file.clone());
        let free = match self.directory.job_of(&file) {
            Some(_) => false,
            // A file that never made a job: it is replaced by who writes the whole of it, and by nobody else.
            None => matches!(change, Change::Write { .. }) || self.read_place(&place)?.is_none(),
        };
        if !free {
            let message = format!("the file '{file}' is there already and makes another job, or none");
            return Err(refusal("not-written", message, Some("rename or remove it")));
        }
        Ok(place)
    }

    fn read_place(&self, place: &FilePlace) -> Result<Option<(String, Stamp)>, Refusal> {
        let (directory, file) = self.find(place)?;
        let text = self.loader.text(directory.as_fd(), &self.opener, place, &file);
        text.map_err(|finding| refusal("not-written", finding.to_string(), None))
    }

    /// `false`: somebody else has changed the file, or is about to.
    fn write(&mut self, place: &FilePlace, old: Option<Stamp>, new: Option<&str>) -> Result<bool, Refusal> {
        if self.inbox.is_written(place) {
            return Ok(false);
        }
        let before = old.map_or(Before::Nothing, Before::This);
        let written = match new {
            Some(text) => self.opener.write(place, text.as_bytes(), before),
            None => self.opener.remove(place, before),
        };
        match written {
            Ok(()) => Ok(true),
            Err(error) if error.raw_os_error() == Some(nix::libc::ESTALE) => Ok(false),
            Err(error) => {
                let (why, hint) = why_not_written(&error);
                Err(refusal("not-written", format!("{} could not be written: {why}", self.label(place)), hint))
            }
        }
    }

    /// The directory of a file, and its name there.
    fn find(&self, place: &FilePlace) -> Result<(Arc<OwnedFd>, String), Refusal> {
        let found = match place {
            FilePlace::ConfD(name) => self.conf_d.directory().map(|directory| (directory, name.clone())),
            FilePlace::JobsConfig => {
                self.jobs.as_ref().and_then(|(place, file)| Some((place.directory()?, file.name.clone())))
            }
        };
        found.ok_or_else(|| {
            let message = format!("{}: its directory is missing or refused", self.label(place));
            refusal("not-written", message, Some("rota status says why"))
        })
    }

    /// What a file is called before people.
    fn label(&self, place: &FilePlace) -> String {
        match place {
            FilePlace::ConfD(name) => name.clone(),
            FilePlace::JobsConfig => self.jobs.as_ref().map_or_else(String::new, |(_, file)| file.label.clone()),
        }
    }

    fn not_in_file(&self, name: &JobName) -> Refusal {
        let place = match self.jobs {
            Some(_) => self.label(&FilePlace::JobsConfig),
            None => format!("{}/{}.yaml", self.conf_d.path, name.file_stem()),
        };
        let message = format!("target job {name} not found in {place}");
        refusal(
            "not-in-file",
            message,
            Some("it is defined in memory alone: change it there, or define it permanently"),
        )
    }
}

/// The weight of unknown keys in a definition in memory. Who writes a whole text is told of them; an item of `jobs_config`
/// may have had them before.
fn unknown_keys(change: &Change) -> Severity {
    if matches!(change, Change::Write { .. }) { Severity::Error } else { Severity::Warning }
}

fn changed(name: &JobName) -> Refusal {
    refusal("changed", format!("{name} has another definition by now"), None)
}

/// What a definition in memory is called in place of a file. The last part makes the name of a job that has none else.
fn memory(name: &JobName) -> String {
    format!("memory/{}.yaml", name.file_stem())
}

/// A definition that is refused. A bad schedule is told in the words of its own rules.
fn bad_job(findings: Vec<Finding>) -> Refusal {
    if let Some(schedule) = findings.iter().find(|finding| finding.code == "bad-schedule") {
        let message = schedule.message.strip_prefix("'schedule': ").unwrap_or(&schedule.message);
        return refusal("bad-schedule", message, schedule.hint.as_deref());
    }
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
    let lines: Vec<String> = errors.map(Finding::to_string).collect();
    refusal("bad-job", lines.join("\n"), None)
}

fn unclear(name: &JobName, error: &EditError) -> Refusal {
    let hint = "mend the file by hand, or replace its whole text";
    refusal("bad-job", format!("the definition of {name} cannot be changed: {error}"), Some(hint))
}

fn no_such_job(name: &JobName) -> Refusal {
    refusal("no-such-job", format!("there is no job {name}"), Some("rota list shows all of them"))
}

fn refusal(code: &str, message: impl Into<String>, hint: Option<&str>) -> Refusal {
    Refusal { code: code.into(), message: message.into(), hint: hint.map(Into::into) }
}
