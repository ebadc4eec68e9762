//! `rota hold [DURATION]` and `rota release`: no slots of any job for a while.

use jiff::Timestamp;

use super::pause::Span;
use super::socket::Place;
use super::term::print;
use super::{Error, Exit, when};

/// Arguments of `rota hold`.
#[derive(Debug, clap::Args)]
pub struct Hold {
    #[command(flatten)]
    time: Span,
}

impl Hold {
    /// Carries it out.
    pub fn run(self, place: &Place) -> Result<Exit, Error> {
        let now = Timestamp::now();
        let end = self.time.end(now)?;
        let hold = place.client()?.hold(end, &self.time.reason)?;
        let until = hold.until.map_or_else(|| ": rota release".to_owned(), |at| format!(" {}", when::both(at, now)));
        print(format!("no slot of any job runs until{until}\n"))?;
        Ok(Exit::Ok)
    }
}

/// Arguments of `rota release`.
#[derive(Debug, clap::Args)]
pub struct Release {}

impl Release {
    /// Carries it out.
    pub fn run(self, place: &Place) -> Result<Exit, Error> {
        place.client()?.release()?;
        print("slots run again\n")?;
        Ok(Exit::Ok)
    }
}
