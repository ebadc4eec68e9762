//! `rota cat NAME`: the text that defines a job.

use clap_complete::engine::ArgValueCandidates;

use super::socket::Place;
use super::term::{Term, print, visible};
use super::{Error, Exit, completions};
use crate::client::job_path;

/// Arguments of `rota cat`.
#[derive(Debug, clap::Args)]
pub struct Cat {
    /// The job
    #[arg(add = ArgValueCandidates::new(completions::jobs))]
    name: String,
    /// Print the daemon's answer as JSON: the file and the text
    #[arg(long)]
    json: bool,
}

impl Cat {
    /// Carries it out.
    pub fn run(self, place: &Place) -> Result<Exit, Error> {
        let client = place.client()?;
        if self.json {
            print(client.raw(&job_path(&self.name, "/file"))?)?;
            return Ok(Exit::Ok);
        }
        let text = client.file_of(&self.name)?.text;
        match Term::stdout().terminal {
            true => print(text.lines().map(|line| visible(line) + "\n").collect::<String>())?,
            false => print(text)?,
        }
        Ok(Exit::Ok)
    }
}
