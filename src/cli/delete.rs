//! `rota delete NAME…`: jobs no more.

use clap_complete::engine::ArgValueCandidates;

use super::each::{ask, done, each, is_attended};
use super::socket::Place;
use super::term::print;
use super::{Error, Exit, completions};

/// Arguments of `rota delete`.
#[derive(Debug, clap::Args)]
pub struct Delete {
    /// The jobs
    #[arg(value_name = "NAME", required = true, add = ArgValueCandidates::new(completions::jobs))]
    names: Vec<String>,
    /// Do not ask. Without a terminal nobody is asked
    #[arg(long, short)]
    yes: bool,
    /// In memory only: the job's file stays, and counts again when the daemon ends
    #[arg(long)]
    temporary: bool,
}

impl Delete {
    /// Carries it out.
    pub fn run(self, place: &Place) -> Result<Exit, Error> {
        let client = place.client()?;
        let names = self.names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
        if !self.yes && is_attended() && !ask(&format!("delete {names}?"), false) {
            return Err(Error::new(Exit::Failed, "nothing was deleted"));
        }
        let permanent = !self.temporary;
        each(&self.names, |name| print(done("deleted", &client.delete(name, permanent)?, permanent)))
    }
}
