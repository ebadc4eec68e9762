//! The line in `systemctl status`. It names instants and not spans, so that it need not be renewed while nothing happens.

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
    if view.broken_files > 0 {
        text.push_str(&format!(", {}", count(view.broken_files, "broken file", "broken files")));
    }
    match view.next {
        _ if view.stopping => text.push_str("; stopping"),
        Some((name, at)) => text.push_str(&format!("; next: {name} at {}", words::clock(at, now))),
        None => text.push_str("; nothing is due"),
    }
    text
}
