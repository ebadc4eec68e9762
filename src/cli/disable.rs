//! `rota disable NAME…`: no slots until enabled again.

use clap_complete::engine::ArgValueCandidates;

use super::each::{done, each};
use super::socket::Place;
use super::term::print;
use super::{Error, Exit, completions};

/// Arguments of `rota disable`.
#[derive(Debug, clap::Args)]
pub struct Disable {
    /// The jobs
    #[arg(value_name = "NAME", required = true, add = ArgValueCandidates::new(completions::jobs))]
    names: Vec<String>,
    /// In memory only: the job's file stays as it is, and counts again when the daemon ends
    #[arg(long)]
    temporary: bool,
}

impl Disable {
    /// Carries it out.
    pub fn run(self, place: &Place) -> Result<Exit, Error> {
        let client = place.client()?;
        let permanent = !self.temporary;
        each(&self.names, |name| print(done("disabled", &client.disable(name, permanent)?, permanent)))
    }
}
