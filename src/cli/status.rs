//! `rota status`: the daemon in a few numbers.

use std::fmt::Write;

use jiff::Timestamp;

use super::socket::Place;
use super::term::{Colour, Term, count, print, visible};
use super::{Error, Exit, show, when};
use crate::engine::StatusView;
use crate::history::{HistoryView, State};

/// Arguments of `rota status`.
#[derive(Debug, clap::Args)]
pub struct Status {
    /// Print the daemon's answer as JSON
    #[arg(long)]
    json: bool,
}

impl Status {
    /// Carries it out.
    pub fn run(self, place: &Place) -> Result<Exit, Error> {
        let client = place.client()?;
        if self.json {
            print(client.raw("/status")?)?;
        } else {
            print(text(&Term::stdout(), &client.status()?, Timestamp::now()))?;
        }
        Ok(Exit::Ok)
    }
}

/// The status for people.
pub fn text(term: &Term, status: &StatusView, now: Timestamp) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{key:<9} {value}");
    };
    let since =
        format!("up {} (since {})", when::length(now.duration_since(status.started)), when::local(status.started, now));
    line("rotad", &format!("{}, {since}", visible(&status.version)));
    if status.stopping {
        line("state", &term.paint(Colour::Yellow, "stopping: nothing more is started"));
    }
    if let Some(hold) = &status.held {
        let text = format!("no slot of any job runs {}", show::paused(hold, now));
        line("held", &term.paint(Colour::Yellow, &text));
    }
    let paused = if status.paused > 0 { format!(", {} paused", status.paused) } else { String::new() };
    let retrying = if status.retrying > 0 { format!(", {} retrying", status.retrying) } else { String::new() };
    let (jobs, disabled, running) = (status.jobs, status.disabled, status.running);
    line("jobs", &format!("{jobs} ({disabled} disabled{paused}), {running} running{retrying}"));
    match &status.next {
        Some((job, at)) => line("next", &format!("{job} at {}", when::both(*at, now))),
        None if status.held.is_some() => line("next", "nothing while there is a hold"),
        None => line("next", "nothing is due"),
    }
    let runs: Vec<String> = status.outcomes.iter().map(|(word, count)| format!("{count} {}", visible(word))).collect();
    let none = if status.engine_restarts > 0 { "none since the engine started anew" } else { "none so far" };
    line("runs", &if runs.is_empty() { none.into() } else { runs.join(", ") });
    if status.output_dropped > 0 {
        let dropped = format!("{} bytes of output were not kept", status.output_dropped);
        line("output", &term.paint(Colour::Yellow, &dropped));
    }
    if let Some(history) = &status.history {
        let (words, colour) = history_words(history);
        line("history", &term.paint(colour, &words));
    }
    if let Some(beats) = &status.beats {
        let mut said = format!("{} sent", beats.sent);
        for (number, word) in [(beats.failed, "tries failed"), (beats.given_up, "given up"), (beats.dropped, "dropped")]
        {
            if number > 0 {
                said.push_str(&format!(", {number} {word}"));
            }
        }
        match &beats.failing {
            Some(why) => {
                line("beats", &term.paint(Colour::Red, &visible(&format!("{said}; they do not go out: {why}"))))
            }
            None => line("beats", &said),
        }
    }
    for target in &status.alarms {
        let mut said = format!("{} ({}): {} sent", target.name, target.kind, target.sent);
        for (number, word) in
            [(target.failed, "tries failed"), (target.given_up, "given up"), (target.dropped, "dropped")]
        {
            if number > 0 {
                said.push_str(&format!(", {number} {word}"));
            }
        }
        match &target.failing {
            Some(why) => {
                line("alarms", &term.paint(Colour::Red, &visible(&format!("{said}; they do not go out: {why}"))))
            }
            None => line("alarms", &visible(&said)),
        }
    }
    if status.engine_restarts > 0 {
        line(
            "engine",
            &term.paint(Colour::Yellow, &format!("started anew {}", count(status.engine_restarts as usize, "time"))),
        );
    }
    let colour = match (status.broken_files, status.warnings) {
        (0, 0) => Colour::Green,
        (0, _) => Colour::Yellow,
        _ => Colour::Red,
    };
    let see = if colour == Colour::Green { "" } else { " (see rota list)" };
    let files = format!("{} broken, {}{see}", status.broken_files, count(status.warnings, "warning"));
    line("files", &term.paint(colour, &files));
    line("watch", &visible(&status.watch));
    text
}

fn history_words(history: &HistoryView) -> (String, Colour) {
    let rows = count(usize::try_from(history.rows).unwrap_or(usize::MAX), "row");
    let (mut words, mut colour) = match (history.state, &history.why) {
        (State::Off, _) => ("none is kept".to_owned(), Colour::Plain),
        (State::Opening, _) => ("is being opened".to_owned(), Colour::Plain),
        (State::Open, _) => (rows, Colour::Plain),
        (State::Failing, why) => (format!("fails: {}", visible(why.as_deref().unwrap_or_default())), Colour::Red),
        (State::Refused, why) => (format!("refused: {}", visible(why.as_deref().unwrap_or_default())), Colour::Red),
    };
    if history.dropped > 0 {
        words.push_str(&format!(", {} dropped", history.dropped));
        colour = if colour == Colour::Red { colour } else { Colour::Yellow };
    }
    (words, colour)
}
