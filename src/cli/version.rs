//! `rota version`: of this program, and of the daemon if one answers.

use serde::Serialize;

use super::socket::Place;
use super::term::{print, visible};
use super::{Error, Exit};

/// Arguments of `rota version`.
#[derive(Debug, clap::Args)]
pub struct Version {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Versions {
    rota: &'static str,
    rotad: Option<String>,
}

impl Version {
    /// Carries it out.
    pub fn run(self, place: &Place) -> Result<Exit, Error> {
        let status = place.client().and_then(|client| Ok(client.status()?));
        let versions = Versions { rota: env!("CARGO_PKG_VERSION"), rotad: status.ok().map(|status| status.version) };
        if self.json {
            let text = serde_json::to_string(&versions).map_err(std::io::Error::from)?;
            print(text + "\n")?;
        } else {
            let rotad = versions.rotad.as_deref().map_or_else(|| "does not answer".into(), visible);
            print(format!("rota  {}\nrotad {rotad}\n", versions.rota))?;
        }
        Ok(Exit::Ok)
    }
}
