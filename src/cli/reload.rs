//! `rota reload`: read conf.d anew, and say what came of it.

use jiff::Timestamp;

use super::findings;
use super::socket::Place;
use super::term::{Term, complain, count, print};
use super::{Error, Exit, when};

/// Arguments of `rota reload`.
#[derive(Debug, clap::Args)]
pub struct Reload {}

impl Reload {
    /// Carries it out. Broken files are told on standard error; they do not undo the reload, so the exit code is 0.
    pub fn run(self, place: &Place) -> Result<Exit, Error> {
        let client = place.client()?;
        let status = client.reload()?;
        let now = Timestamp::now();
        let next = status.next.map_or_else(String::new, |(job, at)| format!(", next {job} at {}", when::both(at, now)));
        print(format!("{} ({} disabled){next}\n", count(status.jobs, "job"), status.disabled))?;
        if status.broken_files > 0 {
            let broken = count(status.broken_files, "broken file");
            complain(&format!("{broken}: the last good definition stays live, where there is one"));
            let plain = Term { terminal: false, colour: false, width: None };
            let files = client.findings()?;
            for finding in files.iter().flat_map(|file| &file.findings).filter(|finding| finding.is_error()) {
                complain(findings::text(finding, &plain).trim_end());
            }
        }
        Ok(Exit::Ok)
    }
}
