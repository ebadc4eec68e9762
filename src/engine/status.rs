//! The line in `systemctl status`. It is renewed when something changes, and when the warden asks whether the engine lives:
//! the loop turns then anyway, so that "in 4 min" stays true without a turn of its own.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::core::State;
use super::words;

/// The line is renewed so often at most.
const INTERVAL: Duration = Duration::from_secs(1);

/// What was said last, and when.
#[derive(Debug, Default)]
pub struct Status {
    said: Option<(Instant, String)>,
    /// Something may have changed since.
    due: Option<Instant>,
}

impl Status {
    /// When the loop should ask for the line though nothing happens.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// The line, when it is time to say it and it has changed. To be asked after every turn.
    pub fn text(&mut self, state: &State, now: Instant, ready: bool) -> Option<String> {
        if let Some((at, _)) = &self.said
            && now < *at + INTERVAL
        {
            self.due = Some(*at + INTERVAL);
            return None;
        }
        self.due = None;
        if !ready {
            return None;
        }
        let text = line(state, Timestamp::now());
        let changed = self.said.as_ref().is_none_or(|(_, said)| *said != text);
        self.said = Some((now, text.clone()));
        changed.then_some(text)
    }
}

fn line(state: &State, now: Timestamp) -> String {
    let view = state.show_status();
    let count = |number: usize, one: &str, many: &str| format!("{number} {}", if number == 1 { one } else { many });
    let mut text = format!("{}, {} running", count(view.jobs, "job", "jobs"), view.running);
    match (view.broken_files, state.broken_file()) {
        (1, Some(file)) => text.push_str(&format!(", broken: {file}")),
        (0, _) => {}
        (files, _) => text.push_str(&format!(", {files} broken files")),
    }
    match view.next {
        _ if view.stopping => text.push_str("; stopping"),
        _ if let Some(hold) = &view.held => {
            let until = hold.until.map_or_else(|| "it is released".to_owned(), |until| words::clock(until, now));
            text.push_str(&format!("; held until {until}"));
        }
        Some((name, at)) => {
            text.push_str(&format!("; next: {name} at {} {}", words::clock(at, now), ahead(at, now)));
        }
        None => text.push_str("; nothing is due"),
    }
    text
}

/// How far ahead it is, in steps so large that they are still true when the warden asks again.
fn ahead(at: Timestamp, now: Timestamp) -> String {
    match at.duration_since(now).as_secs() {
        ..60 => "within a minute".into(),
        60..120 => "in a minute".into(),
        _ => words::ahead(at, now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_span_holds_until_the_warden_asks_again() {
        let now: Timestamp = "2026-11-20T02:00:00Z".parse().unwrap();
        for (seconds, text) in [
            (-1, "within a minute"),
            (59, "within a minute"),
            (60, "in a minute"),
            (119, "in a minute"),
            (120, "in 2 min"),
            (7199, "in 119 min"),
            (7200, "in 2 h"),
            (1_000_000, "in 11 days"),
        ] {
            assert_eq!(ahead(now + jiff::SignedDuration::from_secs(seconds), now), text, "{seconds}");
        }
    }
}
