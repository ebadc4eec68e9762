//! `rota why NAME [TIME]`: why a job ran at a time, or did not.

use std::fmt::Write;

use clap_complete::engine::ArgValueCandidates;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::moment::moment;
use super::socket::Place;
use super::term::{Colour, Term, print, visible};
use super::{Error, Exit, completions, explanation, when};
use crate::client::why_path;
use crate::why::{WhyFact, WhyView};

/// Arguments of `rota why`.
#[derive(Debug, clap::Args)]
pub struct Why {
    /// The job
    #[arg(add = ArgValueCandidates::new(completions::jobs))]
    name: String,
    /// The time on the local clock; without it, the job's newest slot
    ///
    /// `02:30` (the last one), `yesterday 02:30`, `2026-11-20 02:30`, or an instant with its offset. A time without seconds is that
    /// of the first slot in the minute, where there is one.
    time: Vec<String>,
    /// Print the daemon's answer as JSON
    #[arg(long)]
    json: bool,
}

impl Why {
    /// Carries it out.
    pub fn run(self, place: &Place) -> Result<Exit, Error> {
        let now = Timestamp::now();
        let at = match self.time.as_slice() {
            [] => None,
            words => Some(moment(&words.join(" "), now, &TimeZone::system())?),
        };
        let client = place.client()?;
        if self.json {
            print(client.raw(&why_path(&self.name, at))?)?;
            return Ok(Exit::Ok);
        }
        print(text(&Term::stdout(), &client.why(&self.name, at)?, now))?;
        Ok(Exit::Ok)
    }
}

/// The sentence, then the schedule's fields, then what else there is to know.
fn text(term: &Term, view: &WhyView, now: Timestamp) -> String {
    let colour = match view.code.as_str() {
        "ran" | "ahead" => Colour::Plain,
        "unknown" => Colour::Red,
        _ => Colour::Yellow,
    };
    let mut text = format!("{}\n", term.paint(colour, &visible(&view.sentence)));
    if let Some(explanation) = &view.explanation {
        let _ = write!(text, "\n{}", explanation::text(explanation, term));
    }
    if !view.facts.is_empty() {
        text.push('\n');
    }
    let mut fact = |key: &str, fact: &WhyFact| {
        let _ = writeln!(text, "{key:<9} {}", visible(&fact.text));
    };
    view.facts.iter().for_each(|known| fact("fact", known));
    if let Some(next) = view.next {
        let _ = writeln!(text, "\n{:<9} {}", "next", when::both(next, now));
        for way in &view.ahead {
            let _ = writeln!(text, "{:<9} {}", "but", visible(&way.text));
        }
    }
    text
}
