//! `rota create`: a new job, from a file or from the command line.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde_yaml::{Mapping, Value};

use super::each::done;
use super::lint::{lint, utf8};
use super::socket::Place;
use super::term::{print, visible};
use super::{Error, Exit};
use crate::client::Client;
use crate::conf::yaml::MAX_FILE;
use crate::job::JobName;

/// Arguments of `rota create`.
#[derive(Debug, clap::Args)]
pub struct Create {
    /// The new job's name, if `--command` or `--script` says what it runs; else a job file, or `-` for standard input
    #[arg(value_name = "NAME|FILE")]
    subject: String,
    /// The program. Its arguments stand behind `--`
    #[arg(long, value_name = "PROGRAM")]
    command: Option<String>,
    /// A text for /bin/sh instead
    #[arg(long, value_name = "TEXT", conflicts_with = "command")]
    script: Option<String>,
    /// When it is due. Without it, when it is asked to run
    #[arg(long, value_name = "TEXT")]
    schedule: Option<String>,
    /// The user that it runs as
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Replace a job of this name, if there is one
    #[arg(long)]
    replace: bool,
    /// In memory only, until the daemon ends
    #[arg(long)]
    temporary: bool,
    /// Arguments of the program
    #[arg(last = true, value_name = "ARGS", requires = "command")]
    args: Vec<String>,
}

impl Create {
    /// Carries it out.
    pub fn run(self, place: &Place) -> Result<Exit, Error> {
        let (name, text) = match self.command.is_some() || self.script.is_some() {
            true => self.spoken()?,
            false => self.read()?,
        };
        let client = place.client()?;
        if !self.replace {
            is_new(&client, &name)?;
        }
        let permanent = !self.temporary;
        print(done("created", &client.define(name.as_str(), &text, permanent)?, permanent))?;
        Ok(Exit::Ok)
    }

    /// What the command line says.
    fn spoken(&self) -> Result<(JobName, String), Error> {
        let mut keys = Mapping::new();
        let mut set = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                keys.insert(key.into(), value);
            }
        };
        let text = |text: &Option<String>| text.as_deref().map(Value::from);
        set("name", Some(self.subject.as_str().into()));
        set("command", text(&self.command));
        set("args", (!self.args.is_empty()).then(|| self.args.clone().into()));
        set("script", text(&self.script));
        set("schedule", text(&self.schedule));
        set("user", text(&self.user));
        let text = serde_yaml::to_string(&keys).map_err(|error| Error::new(Exit::Failed, error.to_string()))?;
        let name = lint("the new job", None, &text)?;
        Ok((name, text))
    }

    /// What the file says.
    fn read(&self) -> Result<(JobName, String), Error> {
        if self.schedule.is_some() || self.user.is_some() {
            let error = Error::new(Exit::Usage, "a new job needs --command or --script");
            return Err(error.hint("the schedule and the user of a job file stand in it"));
        }
        let (shown, file) = match self.subject.as_str() {
            "-" => ("standard input".to_owned(), None),
            path => (visible(path), Path::new(path).file_name().and_then(|name| name.to_str())),
        };
        let mut bytes = Vec::new();
        let most = MAX_FILE as u64 + 1;
        match self.subject.as_str() {
            "-" => io::stdin().take(most).read_to_end(&mut bytes),
            path => File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes)),
        }
        .map_err(|error| {
            Error::new(Exit::Failed, format!("{shown} cannot be read: {error}"))
                .hint("for a job of this name, say what it runs: --command or --script")
        })?;
        let text = utf8(&shown, bytes)?;
        let name = lint(&shown, file, &text)?;
        Ok((name, text))
    }
}

fn is_new(client: &Client, name: &JobName) -> Result<(), Error> {
    match client.job(name.as_str()) {
        Err(error) if error.code() == Some("no-such-job") => Ok(()),
        Err(error) => Err(error.into()),
        Ok(_) => Err(Error::new(Exit::Failed, format!("there is a job '{name}' already"))
            .hint("rota edit changes it, --replace puts this one in its place")),
    }
}
