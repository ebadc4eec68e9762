//! `rota stop NAME|RUN`: stop a run, or all runs of a job.

use clap_complete::engine::ArgValueCandidates;

use super::socket::Place;
use super::term::print;
use super::{Error, Exit, completions};
use crate::client;
use crate::wire::RunId;

/// Arguments of `rota stop`.
#[derive(Debug, clap::Args)]
pub struct Stop {
    /// A job, or the id of a run
    #[arg(value_name = "NAME|RUN", add = ArgValueCandidates::new(completions::jobs))]
    subject: String,
}

impl Stop {
    /// Carries it out.
    pub fn run(self, place: &Place) -> Result<Exit, Error> {
        let client = place.client()?;
        let stopping = job_or_run(&self.subject, |name| client.stop_job(name), |run| client.stop_run(run))?;
        let text = match stopping.as_slice() {
            [] => format!("no run of '{}' goes on\n", self.subject.escape_debug()),
            runs => runs.iter().map(|run| format!("stopping {run}\n")).collect(),
        };
        print(text)?;
        Ok(Exit::Ok)
    }
}

/// Takes `subject` for a job's name; where there is no such job, for a run's id.
pub fn job_or_run<T>(
    subject: &str,
    job: impl Fn(&str) -> Result<T, client::Error>,
    run: impl Fn(RunId) -> Result<T, client::Error>,
) -> Result<T, Error> {
    match (job(subject), RunId::parse(subject)) {
        (Err(error), Some(id)) if error.code() == Some("no-such-job") => Ok(run(id)?),
        (answer, _) => Ok(answer?),
    }
}
