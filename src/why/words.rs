//! Times in the job's zone, and lengths, as parts of sentences.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// The wall clock by which an answer speaks.
#[derive(Debug, Clone)]
pub struct Clock {
    zone: TimeZone,
    /// Times of the same day as this need no date.
    day: Timestamp,
}

impl Clock {
    /// The clock of a zone, for sentences about `day`.
    pub fn new(zone: TimeZone, day: Timestamp) -> Self {
        Self { zone, day }
    }

    /// With its date.
    pub fn full(&self, at: Timestamp) -> String {
        at.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
    }

    /// With its date where that is another.
    pub fn time(&self, at: Timestamp) -> String {
        let (zoned, day) = (at.to_zoned(self.zone.clone()), self.day.to_zoned(self.zone.clone()));
        let form = if zoned.date() == day.date() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
        zoned.strftime(form).to_string()
    }

    /// `from 02:00:00 to 03:00:00`; one that has not ended is `since`.
    pub fn span(&self, from: Timestamp, until: Option<Timestamp>) -> String {
        match until {
            Some(until) => format!("from {} to {}", self.time(from), self.time(until)),
            None => format!("since {}", self.time(from)),
        }
    }
}

/// `40 s`, `4 min`, `5 h`, `3 days`.
pub fn length(duration: SignedDuration) -> String {
    let seconds = duration.abs().as_secs();
    match seconds {
        0 => format!("{} ms", duration.abs().as_millis()),
        1..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// `: disk is full`, or nothing where nobody said.
pub fn because(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(": {reason}") }
}

/// ` by uid 0`, or nothing where nobody knows.
pub fn by(who: &str) -> String {
    if who.is_empty() { String::new() } else { format!(" by {who}") }
}
