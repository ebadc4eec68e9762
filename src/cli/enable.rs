//! `rota enable NAME…` and `rota resume NAME…`: slots again.

use clap_complete::engine::ArgValueCandidates;

use super::each::{done, each};
use super::socket::Place;
use super::term::print;
use super::{Error, Exit, completions};

/// Arguments of `rota enable` and `rota resume`.
#[derive(Debug, clap::Args)]
pub struct Enable {
    /// The jobs
    #[arg(value_name = "NAME", required = true, add = ArgValueCandidates::new(completions::jobs))]
    names: Vec<String>,
    /// In memory only: the job's file stays as it is, and counts again when the daemon ends
    #[arg(long)]
    temporary: bool,
}

impl Enable {
    /// Carries it out. `word` is what was done.
    pub fn run(self, place: &Place, word: &str) -> Result<Exit, Error> {
        let client = place.client()?;
        let permanent = !self.temporary;
        each(&self.names, |name| print(done(word, &client.resume(name, permanent)?, permanent)))
    }
}
