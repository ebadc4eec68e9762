//! `rota stop NAME|RUN`: stop a run, or all runs of a job.

use serde::Deserialize;

use clap_complete::engine::ArgValueCandidates;

use super::client::Client;
use super::socket::Place;
use super::term::print;
use super::{Error, Exit, completions};
use crate::api::route::percent_encode;
use crate::wire::RunId;

/// Arguments of `rota stop`.
#[derive(Debug, clap::Args)]
pub struct Stop {
    /// A job, or the id of a run
    #[arg(value_name = "NAME|RUN", add = ArgValueCandidates::new(completions::jobs))]
    subject: String,
}

#[derive(Deserialize)]
struct Stopping {
    stopping: Vec<String>,
}

impl Stop {
    /// Carries it out.
    pub fn run(self, place: &Place) -> Result<Exit, Error> {
        let client = Client::new(place)?;
        let stopping: Stopping = job_or_run(&self.subject, |subject| client.post(&format!("{subject}/stop")))?;
        let text = match stopping.stopping.as_slice() {
            [] => format!("no run of '{}' goes on\n", self.subject.escape_debug()),
            runs => runs.iter().map(|run| format!("stopping {run}\n")).collect(),
        };
        print(text)?;
        Ok(Exit::Ok)
    }
}

/// Takes `subject` for a job's name; where there is no such job, for a run's id. The path given to `ask` names it.
pub fn job_or_run<T>(subject: &str, ask: impl Fn(&str) -> Result<T, Error>) -> Result<T, Error> {
    match (ask(&format!("/jobs/{}", percent_encode(subject))), RunId::parse(subject)) {
        (Err(error), Some(run)) if error.code() == Some("no-such-job") => ask(&format!("/runs/{run}")),
        (answer, _) => answer,
    }
}
