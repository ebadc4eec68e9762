//! `rota list`: every job, one line each, and below them what is wrong or doubtful in files.

use jiff::Timestamp;

use super::crond::Grid;
use super::findings;
use super::socket::Place;
use super::table::{Cell, table};
use super::term::{Colour, Term, print, visible};
use super::{Error, Exit, outcome, show, when};
use crate::client::FileFindings;
use crate::engine::{JobView, Outcome, Pause, PauseKind, RunView};

/// Arguments of `rota list`.
#[derive(Debug, clap::Args)]
pub struct List {
    /// Print the daemon's answer as JSON: an array of jobs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    grid: Grid,
}

impl List {
    /// Carries it out.
    pub fn run(self, place: &Place) -> Result<Exit, Error> {
        if self.grid.is_wanted() {
            return self.grid.run(place);
        }
        let client = place.client()?;
        if self.json {
            print(client.raw("/jobs")?)?;
            return Ok(Exit::Ok);
        }
        let term = Term::stdout();
        let now = Timestamp::now();
        print(
            held(&term, client.status()?.held.as_ref(), now) + &text(&term, &client.jobs()?, &client.findings()?, now),
        )?;
        Ok(Exit::Ok)
    }
}

/// The hold, in a line of its own; nothing where there is none.
pub fn held(term: &Term, hold: Option<&Pause>, now: Timestamp) -> String {
    let Some(hold) = hold else { return String::new() };
    let text = format!("no slot of any job runs {}", show::paused(hold, now));
    format!("{}\n\n", term.paint(Colour::Yellow, &text))
}

fn text(term: &Term, jobs: &[JobView], files: &[FileFindings], now: Timestamp) -> String {
    let mut text = match jobs {
        [] => "no jobs\n".to_owned(),
        jobs => {
            let rows = jobs.iter().map(|job| row(job, now)).collect();
            table(term, ["JOB", "STATE", "NEXT", "LAST", "SCHEDULE"], rows)
        }
    };
    let told = || files.iter().flat_map(|file| &file.findings);
    // Warnings last: an error keeps a file from taking effect. Notes are told with their job.
    let warnings = told().filter(|finding| !finding.is_error() && !finding.is_note());
    for finding in told().filter(|finding| finding.is_error()).chain(warnings) {
        text.push('\n');
        text.push_str(&findings::text(finding, term));
    }
    text
}

fn row(job: &JobView, now: Timestamp) -> [Cell; 5] {
    [
        (job.name.to_string(), Colour::Plain),
        state(job),
        (job.next.map_or_else(|| "-".into(), |at| when::both(at, now)), Colour::Plain),
        job.last.as_ref().map_or_else(|| ("-".into(), Colour::Plain), |run| last(run, now)),
        (job.schedule.as_deref().map_or_else(|| "-".into(), visible), Colour::Plain),
    ]
}

/// `armed`, `paused`, `skips next`, `disabled`, `after`, `on demand`; in its place `running` or `retrying`, if it is; after it
/// `broken`, if its file is.
pub fn state(job: &JobView) -> (String, Colour) {
    let (mut words, mut colour) = match job {
        _ if !job.running.is_empty() => (vec!["running"], Colour::Cyan),
        _ if !job.retrying.is_empty() => (vec!["retrying"], Colour::Yellow),
        _ if !job.enable => (vec!["disabled"], Colour::Dim),
        JobView { pause: Some(Pause { kind: PauseKind::SkipNext, .. }), .. } => (vec!["skips next"], Colour::Yellow),
        _ if job.pause.is_some() => (vec!["paused"], Colour::Yellow),
        _ if job.schedule.is_none() && !job.after.is_empty() => (vec!["after"], Colour::Plain),
        _ if job.schedule.is_none() => (vec!["on demand"], Colour::Plain),
        _ => (vec!["armed"], Colour::Plain),
    };
    if job.broken {
        words.push("broken");
        colour = Colour::Red;
    }
    (words.join(", "), colour)
}

/// How a run ended, and when. Why it could not start is a sentence, and too long for a column.
pub fn last(run: &RunView, now: Timestamp) -> Cell {
    let (words, colour) = match &run.outcome {
        Some(Outcome::CouldNotStart { .. }) => ("could not start".into(), Colour::Red),
        Some(outcome) => outcome::words(outcome),
        None => (visible(&run.state), Colour::Plain),
    };
    match run.ended {
        Some(ended) => (format!("{words}, {}", when::distance(ended, now)), colour),
        None => (words, colour),
    }
}
