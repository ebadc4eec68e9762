//! `rota edit NAME`: the text of a job in an editor, and back.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap_complete::engine::ArgValueCandidates;
use signal_hook::consts::{SIGINT, SIGQUIT};

use super::each::{ask, done, is_attended};
use super::lint::{lint, utf8};
use super::socket::Place;
use super::term::{complain, print};
use super::{Error, Exit, completions};
use crate::client::Client;
use crate::conf::yaml::MAX_FILE;
use crate::engine::{Edited, Text};
use crate::job::JobName;

/// What edits where nobody says, in this order.
const EDITORS: [&str; 3] = ["editor", "vi", "nano"];

/// Arguments of `rota edit`.
#[derive(Debug, clap::Args)]
pub struct Edit {
    /// The job
    #[arg(add = ArgValueCandidates::new(completions::jobs))]
    name: String,
    /// In memory only: the job's file stays as it is, and counts again when the daemon ends
    #[arg(long)]
    temporary: bool,
}

impl Edit {
    /// Carries it out. Whatever is refused, the text that was written is kept, and where is told.
    pub fn run(self, place: &Place) -> Result<Exit, Error> {
        let client = place.client()?;
        let fetched = client.file_of(&self.name)?;
        let name = JobName::parse(&self.name).map_err(|error| Error::new(Exit::Failed, error.to_string()))?;
        let copy = Copy::new(&name, &fetched.text)?;
        let permanent = !self.temporary;
        loop {
            let sent = edited(&copy, &fetched).and_then(|text| match text {
                None => Ok(None),
                Some(text) => send(&client, &name, &fetched, &text, permanent).map(Some),
            });
            match sent {
                Ok(edited) => {
                    copy.remove();
                    print(
                        edited.map_or_else(
                            || "nothing was changed\n".into(),
                            |edited| done("changed", &edited, permanent),
                        ),
                    )?;
                    return Ok(Exit::Ok);
                }
                // A person may correct it at once.
                Err(error) if is_attended() => {
                    complain(&error.to_string());
                    if !ask("edit it again?", true) {
                        return Err(copy.kept(Error::new(error.exit(), "nothing was changed")));
                    }
                }
                Err(error) => return Err(copy.kept(error)),
            }
        }
    }
}

/// The text as the editor leaves it; `None`: as it was.
fn edited(copy: &Copy, fetched: &Text) -> Result<Option<String>, Error> {
    run_editor(&copy.file)?;
    let text = copy.read()?;
    Ok((text != fetched.text).then_some(text))
}

/// Has the text checked, and put in place of the one that was fetched.
fn send(client: &Client, name: &JobName, fetched: &Text, text: &str, permanent: bool) -> Result<Edited, Error> {
    let file = format!("{}.yaml", name.file_stem());
    let said = lint(&format!("'{name}'"), Some(&file), text)?;
    if said != *name {
        return Err(Error::new(Exit::Failed, format!("the text defines a job '{said}', not '{name}'"))
            .hint("a job is renamed by making a new one and deleting the old one"));
    }
    match client.file_of(name.as_str()) {
        Ok(now) if now == *fetched => {}
        Err(error) if error.code() != Some("no-such-job") => return Err(error.into()),
        _ => {
            return Err(Error::new(Exit::Failed, format!("somebody else has changed '{name}' meanwhile"))
                .hint("rota cat shows what it is now; rota create --replace puts a text in its place all the same"));
        }
    }
    Ok(client.define(name.as_str(), text, permanent)?)
}

/// `$VISUAL`, `$EDITOR` (read by the shell: they may hold options), or what there is.
fn run_editor(file: &Path) -> Result<(), Error> {
    let named =
        ["VISUAL", "EDITOR"].into_iter().find_map(|key| std::env::var(key).ok().filter(|text| !text.is_empty()));
    let editor = named.or_else(|| EDITORS.into_iter().find(|name| is_in_path(name)).map(str::to_owned));
    let editor = editor.ok_or_else(|| Error::new(Exit::Failed, "there is no editor").hint("set EDITOR"))?;
    // Ctrl-C is the editor's while it runs.
    for signal in [SIGINT, SIGQUIT] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    let failed = |why: String| Error::new(Exit::Failed, format!("the editor '{editor}' {why}; nothing was sent"));
    let status = Command::new("/bin/sh").args(["-c", &format!("{editor} \"$1\""), "rota-edit"]).arg(file).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(failed(format!("ended with {status}"))),
        Err(error) => Err(failed(format!("cannot be started: {error}"))),
    }
}

fn is_in_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

/// A private copy: nobody else may look into its directory.
struct Copy {
    directory: PathBuf,
    file: PathBuf,
}

impl Copy {
    fn new(name: &JobName, text: &str) -> Result<Copy, Error> {
        let failed = |error: std::io::Error| Error::new(Exit::Failed, format!("no copy can be made: {error}"));
        let directory = nix::unistd::mkdtemp(&std::env::temp_dir().join("rota-edit-XXXXXX"));
        let directory = directory.map_err(|error| failed(error.into()))?;
        // Editors know by it what they show; a long name has more bytes escaped than a file may have.
        let stem = Some(name.file_stem()).filter(|stem| stem.len() <= 200).unwrap_or_else(|| "job".into());
        let file = directory.join(format!("{stem}.yaml"));
        let copy = Copy { directory, file };
        let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&copy.file);
        match written.and_then(|mut file| file.write_all(text.as_bytes())) {
            Ok(()) => Ok(copy),
            Err(error) => {
                copy.remove();
                Err(failed(error))
            }
        }
    }

    fn read(&self) -> Result<String, Error> {
        let shown = self.file.display().to_string();
        let mut bytes = Vec::new();
        let read = File::open(&self.file).and_then(|file| file.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes));
        read.map_err(|error| Error::new(Exit::Failed, format!("{shown} cannot be read: {error}")))?;
        utf8(&shown, bytes)
    }

    fn remove(&self) {
        // What an editor left beside it goes along.
        let _left = fs::remove_dir_all(&self.directory);
    }

    fn kept(&self, error: Error) -> Error {
        error.and(format!("your text is kept in {}", self.file.display()))
    }
}
