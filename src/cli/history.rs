//! `rota history [NAME]`: what became of slots and requests, as a table by time.

use clap_complete::engine::ArgValueCandidates;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::moment::since;
use super::socket::Place;
use super::table::{Cell, table};
use super::term::{Colour, Term, print, visible};
use super::{Error, Exit, completions, outcome, when};
use crate::client::Part;
use crate::engine::{Outcome, Verdict};
use crate::history::{AttemptView, EntryView, PastRunView, PastSlotView};

/// Arguments of `rota history`.
#[derive(Debug, clap::Args)]
pub struct History {
    /// The job; without it, all
    #[arg(add = ArgValueCandidates::new(completions::jobs))]
    name: Option<String>,
    /// Only runs that failed, timed out, could not start or were lost, and slots that were missed
    #[arg(long)]
    failed: bool,
    /// From this time on, or from so long ago on
    ///
    /// `02:30` (the last one), `yesterday`, `2026-11-20 02:30`, an instant with its offset, or a duration as in `2h`.
    #[arg(long, value_name = "TIME|DURATION")]
    since: Option<String>,
    /// Up to this time
    #[arg(long, value_name = "TIME|DURATION")]
    until: Option<String>,
    /// The newest so many
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 20)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1000))]
    lines: u16,
    /// Print the daemon's answer as JSON: newest first
    #[arg(long)]
    json: bool,
}

impl History {
    /// Carries it out.
    pub fn run(self, place: &Place) -> Result<Exit, Error> {
        let (now, zone) = (Timestamp::now(), TimeZone::system());
        let time = |text: &Option<String>| text.as_ref().map(|text| since(text, now, &zone)).transpose();
        let part = Part {
            since: time(&self.since)?,
            until: time(&self.until)?,
            failed: self.failed,
            limit: Some(usize::from(self.lines)),
            before: None,
        };
        let client = place.client()?;
        if self.json {
            print(client.history_text(self.name.as_deref(), &part)?)?;
            return Ok(Exit::Ok);
        }
        let page = client.history(self.name.as_deref(), &part)?;
        if page.rows.is_empty()
            && let Some(name) = &self.name
        {
            // A name that nobody knows is told from a job of which there is nothing to tell.
            client.job(name)?;
        }
        print(text(&Term::stdout(), page.rows, self.name.is_some(), page.next.is_some(), now))?;
        Ok(Exit::Ok)
    }
}

/// Newest last, so that it stands above the prompt.
fn text(term: &Term, rows: Vec<EntryView>, one: bool, more: bool, now: Timestamp) -> String {
    if rows.is_empty() {
        return "nothing in the history\n".into();
    }
    let rows = rows.iter().rev().map(|row| match row {
        EntryView::Run(run) => of_run(run, now),
        EntryView::Slot(slot) => of_slot(slot, now),
    });
    let mut text = match one {
        true => {
            let rows = rows.map(|[time, _, result, took, run, note]| [time, result, took, run, note]);
            table(term, ["TIME", "RESULT", "TOOK", "RUN", "NOTE"], rows.collect())
        }
        false => table(term, ["TIME", "JOB", "RESULT", "TOOK", "RUN", "NOTE"], rows.collect()),
    };
    if more {
        text.insert_str(0, &term.paint(Colour::Dim, "(older ones are left out: -n, --since)\n"));
    }
    text
}

fn plain(text: impl Into<String>) -> Cell {
    (text.into(), Colour::Plain)
}

fn of_run(run: &PastRunView, now: Timestamp) -> [Cell; 6] {
    let last = &run.last;
    let started = run.first_started.or(last.started);
    let took = started.map_or_else(|| "-".into(), |started| when::length(last.ended.duration_since(started)));
    let time = when::local(last.slot.or(started).unwrap_or(last.ended), now);
    let (words, colour) = result(&last.outcome);
    [
        plain(time),
        plain(last.job.to_string()),
        (words, colour),
        plain(took),
        plain(visible(&last.run)),
        plain(note(run, now)),
    ]
}

/// Why it could not start is a sentence, and too long for a column.
fn result(outcome: &Outcome) -> Cell {
    match outcome {
        Outcome::CouldNotStart { .. } => ("could not start".into(), Colour::Red),
        outcome => outcome::words(outcome),
    }
}

fn note(run: &PastRunView, now: Timestamp) -> String {
    let AttemptView { attempt, slot, trigger, by, next_attempt, outcome, .. } = &run.last;
    let mut notes = Vec::new();
    let late = slot.zip(run.first_started).map(|(slot, started)| started.duration_since(slot));
    match trigger.as_str() {
        "catch-up" => notes.push("made up for".to_owned()),
        "request" => notes.push(format!("asked for by {}", visible(by))),
        "after" => notes.push(visible(by)),
        _ => {}
    }
    if let Some(late) = late.filter(|late| late.as_secs() >= 1) {
        notes.push(format!("{} late", when::length(late)));
    }
    match (attempt, next_attempt) {
        (1, None) => {}
        (attempt, None) => notes.push(format!("{attempt} attempts")),
        // It was dropped, or goes on.
        (attempt, Some(next)) if *next < now => {
            notes.push(format!("attempt {attempt}, the next was due at {}", when::local(*next, now)));
        }
        (attempt, Some(next)) => notes.push(format!("attempt {attempt}, the next at {}", when::local(*next, now))),
    }
    if let Outcome::CouldNotStart { message, .. } = outcome {
        notes.push(visible(message));
    }
    notes.join(", ")
}

fn of_slot(row: &PastSlotView, now: Timestamp) -> [Cell; 6] {
    let (words, colour) = match &row.verdict {
        Verdict::Ran { .. } => ("ran".to_owned(), Colour::Plain),
        Verdict::Skipped { why } => (format!("skipped ({})", visible(why)), Colour::Yellow),
        Verdict::Missed { why } => (format!("missed ({})", visible(why)), Colour::Red),
        Verdict::Superseded => ("superseded".to_owned(), Colour::Yellow),
    };
    let mut note = match (row.count, row.oldest) {
        (Some(count), Some(oldest)) => format!("{count} slots from {}", when::local(oldest, now)),
        (Some(count), None) => format!("{count} slots"),
        (None, _) => String::new(),
    };
    if !row.by.is_empty() {
        let sep = if note.is_empty() { "" } else { ", " };
        note.push_str(&format!("{sep}by {}", visible(&row.by)));
    }
    let run = match &row.verdict {
        Verdict::Ran { run } => visible(run),
        _ => "-".into(),
    };
    let time = when::local(row.slot, now);
    [plain(time), plain(row.job.to_string()), (words, colour), plain("-"), plain(run), plain(note)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> EntryView {
        serde_json::from_str(text).unwrap()
    }

    const RETRIED: &str = r#""run": "0000000000007", "id": "0000000000007", "job": "backup", "definition": "0",
        "attempt": 1, "slot": null, "trigger": "schedule", "started": null, "ended": "2026-11-20T02:31:05Z", "outcome": "lost",
        "next_attempt": "2026-11-20T02:31:30Z", "cpu_seconds": null, "max_rss_kib": null, "output_bytes": {},
        "output_dropped": 0, "left_behind": 0"#;

    fn rows() -> Vec<EntryView> {
        let attempt = r#""run": "0000000000007", "id": "0000000000007", "job": "backup", "definition": "0", "ended": "2026-11-20T02:31:05Z",
            "cpu_seconds": 1.5, "max_rss_kib": 1, "output_bytes": {}, "output_dropped": 0, "left_behind": 0"#;
        vec![
            entry(r#"{"entry": "slot", "job": "a\u001b", "slot": "2026-11-20T03:00:00Z", "oldest": "2026-11-20T02:00:00Z",
                "count": 61, "verdict": "missed", "why": "down", "booked": "2026-11-20T03:00:10Z"}"#.replace("\\u001b", "b").as_str()),
            entry(&format!(r#"{{"entry": "run", {attempt}, "attempt": 3, "slot": "2026-11-20T02:30:00Z", "trigger": "schedule",
                "started": "2026-11-20T02:31:00Z", "first_started": "2026-11-20T02:30:40Z", "outcome": "exited",
                "exit": {{"code": 3}}, "success": false}}"#)),
            entry(&format!(r#"{{"entry": "run", {attempt}, "attempt": 1, "slot": null, "trigger": "request", "by": "uid \u001b0",
                "started": null, "first_started": null, "outcome": "lost"}}"#)),
            entry(r#"{"entry": "slot", "job": "backup", "slot": "2026-11-20T02:00:00Z", "verdict": "skipped", "why": "paused",
                "by": "uid 0", "booked": "2026-11-20T03:00:10Z"}"#),
        ]
    }

    #[test]
    fn one_table_newest_last() {
        let pipe = Term { terminal: false, colour: false, width: None };
        let now = "2026-11-20T12:00:00Z".parse().unwrap();
        let shown = text(&pipe, rows(), false, true, now);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[0], "(older ones are left out: -n, --since)");
        let words = |line: &str| line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ");
        assert_eq!(words(lines[1]), "JOB RESULT TOOK RUN NOTE");
        assert_eq!(words(lines[2]), "backup skipped (paused) - - by uid 0");
        assert_eq!(words(lines[3]), "backup lost - 0000000000007 asked for by uid \\u{1b}0");
        assert_eq!(words(lines[4]), "backup exit 3 25 s 0000000000007 40 s late, 3 attempts");
        assert!(words(lines[5]).starts_with("ab missed (down) - - 61 slots from "), "{}", lines[5]);
        let retried = |now: &str| {
            let row = format!(r#"{{"entry": "run", {RETRIED}, "first_started": null}}"#);
            text(&pipe, vec![entry(&row)], true, false, now.parse().unwrap())
        };
        assert!(retried("2026-11-20T02:31:10Z").contains("attempt 1, the next at "), "it waits");
        assert!(retried("2026-11-20T02:32:00Z").contains("attempt 1, the next was due at "), "nobody waits any more");
        assert_eq!(text(&pipe, Vec::new(), true, false, now), "nothing in the history\n");
        assert!(!text(&pipe, rows(), true, false, now).contains("backup"), "its name is known");
    }
}
