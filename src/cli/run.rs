//! `rota run NAME`: run a job now; with `--wait`, as if it ran here.

use std::io::{self, Write};
use std::thread;

use serde::Deserialize;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::client::Client;
use super::socket::Place;
use super::term::{complain, print};
use super::{Error, Exit, outcome};
use crate::api::record::{LineRecord, Record};
use crate::api::route::percent_encode;
use crate::wire::Stream;

/// Arguments of `rota run`.
#[derive(Debug, clap::Args)]
pub struct Run {
    /// The job
    name: String,
    /// Print what it prints, and end as it ends
    #[arg(long, short)]
    wait: bool,
}

#[derive(Deserialize)]
struct Started {
    run: String,
}

impl Run {
    /// Carries it out.
    pub fn run(self, place: &Place) -> Result<Exit, Error> {
        let client = Client::new(place)?;
        let path = format!("/jobs/{}/run", percent_encode(&self.name));
        if self.wait {
            return wait(&client, &format!("{path}?follow=1"));
        }
        let started: Started = client.post(&path)?;
        print(format!("{}\n", started.run))?;
        Ok(Exit::Ok)
    }
}

fn wait(client: &Client, path: &str) -> Result<Exit, Error> {
    let mut records = client.post_records(path)?;
    let mut id = None;
    while let Some((record, _)) = records.next().map_err(|error| lost(error, id.as_deref()))? {
        match record {
            Record::Run { run, .. } => {
                if id.is_none() {
                    detach_on_signal(run.clone())?;
                }
                id = Some(run);
            }
            Record::Line(line) => pass_on(&line),
            Record::Dropped { dropped, .. } => {
                complain(&format!("{dropped} lines came faster than they could be shown"))
            }
            Record::Skipped { skipped, .. } => complain(&format!("{skipped} lines came before these")),
            Record::Gone { gone } => return Err(Error::new(Exit::LOST, format!("how run {gone} ended is not known"))),
            Record::End { end } => {
                let Some(ended) = &end.outcome else { continue };
                let (exit, word) = outcome::exit(ended);
                if let Some(word) = word {
                    complain(&format!("run {} of '{}': {word}", end.run, end.job));
                }
                return Ok(exit);
            }
        }
    }
    Err(lost(Error::new(Exit::Unavailable, "the connection to rotad was lost"), id.as_deref()))
}

fn lost(error: Error, run: Option<&str>) -> Error {
    match run {
        Some(run) => error.hint(format!("run {run} may go on: rota list, rota logs {run}")),
        None => error,
    }
}

/// Writes a line where the job wrote it, as it wrote it. A reader that went away does not end the wait.
fn pass_on(line: &LineRecord) {
    let mut bytes = line.bytes();
    if !line.open {
        bytes.push(b'\n');
    }
    let _deaf = match line.stream {
        Stream::Stdout => io::stdout().write_all(&bytes).and_then(|()| io::stdout().flush()),
        Stream::Stderr => io::stderr().write_all(&bytes),
    };
}

/// A job is the daemon's, not this terminal's: Ctrl-C ends the waiting alone, and says so.
fn detach_on_signal(run: String) -> Result<(), Error> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        if let Some(signal) = signals.forever().next() {
            complain(&format!("detached: run {run} goes on\n      hint: rota stop {run}"));
            std::process::exit(128 + signal);
        }
    })?;
    Ok(())
}
