//! `rota run NAME`: run a job now; with `--wait`, as if it ran here.

use std::io::{self, Write};
use std::thread;

use jiff::Timestamp;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use clap_complete::engine::ArgValueCandidates;

use super::socket::Place;
use super::term::{complain, count, print};
use super::{Error, Exit, completions, outcome};
use crate::client::{Client, LineRecord, Output, Record, Records};
use crate::engine::RunView;
use crate::wire::{RunId, Stream};

/// Most engines that one run is waited for with.
const ENGINES: usize = 16;

/// Arguments of `rota run`.
#[derive(Debug, clap::Args)]
pub struct Run {
    /// The job
    #[arg(add = ArgValueCandidates::new(completions::jobs))]
    name: String,
    /// Print what the run prints, and end as it ends
    #[arg(long, short)]
    wait: bool,
}

impl Run {
    /// Carries it out.
    pub fn run(self, place: &Place) -> Result<Exit, Error> {
        let client = place.client()?;
        if self.wait {
            return wait(&client, &self.name);
        }
        print(format!("{}\n", client.start(&self.name)?))?;
        Ok(Exit::Ok)
    }
}

/// Reads the run's output until its end. An engine that dies takes its connections along and not the runs: the next one
/// is asked for the rest.
fn wait(client: &Client, name: &str) -> Result<Exit, Error> {
    let mut records = client.start_and_follow(name)?;
    let mut waiting = Waiting { run: None, dropped: 0 };
    for _ in 0..ENGINES {
        let error = match waiting.read(&mut records) {
            Err(error) if error.exit() == Exit::Unavailable => error,
            done => return done,
        };
        let Some(run) = &waiting.run else { return Err(error) };
        complain(&format!("{error}\n      still waiting for run {run}; what it prints meanwhile is not shown"));
        let rest = Output { follow: true, lines: Some(0), from: None };
        records = match RunId::parse(run) {
            Some(run) => client.run_output(run, rest).map_err(|error| gone(error.into(), run))?,
            None => return Err(error),
        };
    }
    Err(Error::new(Exit::Unavailable, "rotad does not come up again").hint("see journalctl -u rotad"))
}

fn gone(error: Error, run: RunId) -> Error {
    error.hint(format!("run {run} may go on: rota list, rota logs {run}"))
}

/// A run that is waited for.
struct Waiting {
    run: Option<String>,
    dropped: u64,
}

impl Waiting {
    /// Passes on what comes, to the end.
    fn read(&mut self, records: &mut Records<'_>) -> Result<Exit, Error> {
        while let Some((record, _)) = records.next()? {
            match record {
                Record::Run { run, .. } => {
                    if self.run.is_none() {
                        detach_on_signal(run.clone())?;
                    }
                    self.run = Some(run);
                }
                Record::Line(line) => pass_on(&line),
                Record::Dropped { dropped, .. } => self.dropped += dropped,
                Record::Skipped { skipped, .. } => self.dropped += skipped,
                Record::Retry { retry } => complain(&outcome::retry(&retry, Timestamp::now())),
                Record::Gone { gone } => {
                    return Err(Error::new(Exit::LOST, format!("how run {gone} ended is not known")));
                }
                Record::End { end } => return Ok(self.end(&end)),
            }
        }
        Err(Error::new(Exit::Unavailable, "the connection to rotad was lost"))
    }

    fn end(&self, end: &RunView) -> Exit {
        if self.dropped > 0 {
            let lines = count(usize::try_from(self.dropped).unwrap_or(usize::MAX), "line");
            complain(&format!(
                "{lines} came too fast to be shown\n      hint: 'log: file' in the job's file keeps all"
            ));
        }
        let (exit, word) = end.outcome.as_ref().map_or((Exit::LOST, None), outcome::exit);
        if let Some(word) = word {
            complain(&format!("run {} of '{}': {word}", end.run, end.job));
        }
        exit
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
