//! `rota skip-next NAME`: let the next slots of a job go.

use clap_complete::engine::ArgValueCandidates;
use jiff::Timestamp;

use super::socket::Place;
use super::term::print;
use super::{Error, Exit, completions, when};
use crate::engine::core::MAX_SKIP;

/// Arguments of `rota skip-next`.
#[derive(Debug, clap::Args)]
pub struct SkipNext {
    /// The job
    #[arg(add = ArgValueCandidates::new(completions::jobs))]
    name: String,
    /// So many slots
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_SKIP)))]
    count: u32,
    /// Why, for people: one line
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
}

impl SkipNext {
    /// Carries it out.
    pub fn run(self, place: &Place) -> Result<Exit, Error> {
        let client = place.client()?;
        let skipped = client.skip_next(&self.name, self.count, &self.reason)?;
        let job = client.job(&self.name)?;
        let now = Timestamp::now();
        let last = skipped.until.map_or_else(String::new, |at| format!(" {}", when::both(at, now)));
        let slots = if self.count == 1 { "the slot" } else { "the slots" };
        let up_to = if self.count == 1 { "at" } else { "up to" };
        let next = job.next.map_or_else(|| "never again".into(), |at| when::both(at, now));
        print(format!("skips {slots} of '{}' {up_to}{last}; next: {next}\n", job.name))?;
        Ok(Exit::Ok)
    }
}
