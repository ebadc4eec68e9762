//! `rota pause NAME [DURATION]`: no slots for a while.

use std::time::Duration;

use clap_complete::engine::ArgValueCandidates;
use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::socket::Place;
use super::term::print;
use super::{Error, Exit, completions, when};
use crate::client::End;
use crate::conf::units;

/// Arguments of `rota pause`.
#[derive(Debug, clap::Args)]
pub struct Pause {
    /// The job
    #[arg(add = ArgValueCandidates::new(completions::jobs))]
    name: String,
    #[command(flatten)]
    time: Span,
}

/// How long something holds, and why.
#[derive(Debug, clap::Args)]
pub struct Span {
    /// For how long, as in 90s, 5m or 1h30m; without it, until it is ended by hand
    #[arg(value_parser = length)]
    duration: Option<Duration>,
    /// Until this time
    ///
    /// On the local clock, as in `18:00` or `2026-11-30 08:00`, or with its offset, as in `2026-11-30T08:00:00+01:00`.
    #[arg(long, value_name = "TIME", conflicts_with = "duration")]
    until: Option<String>,
    /// Why, for people: one line
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub reason: String,
}

impl Span {
    /// When it is over.
    pub fn end(&self, now: Timestamp) -> Result<End, Error> {
        Ok(match (self.duration, &self.until) {
            (Some(length), _) => End::After(length),
            (None, Some(until)) => End::At(instant(until, now, &TimeZone::system())?),
            (None, None) => End::Resumed,
        })
    }
}

fn length(text: &str) -> Result<Duration, String> {
    units::duration(text)
}

impl Pause {
    /// Carries it out.
    pub fn run(self, place: &Place) -> Result<Exit, Error> {
        let now = Timestamp::now();
        let end = self.time.end(now)?;
        let client = place.client()?;
        let edited = client.pause(&self.name, end, &self.time.reason)?;
        let until = match end {
            End::At(at) => format!(" until {}", when::both(at, now)),
            // What the daemon was told; its clock is the one that counts, and the same.
            End::After(length) => match now.checked_add(length) {
                Ok(at) => format!(" until {}", when::both(at, now)),
                Err(_) => String::new(),
            },
            End::Resumed => format!(" until: rota resume {}", edited.name),
        };
        print(format!("paused '{}'{until}\n", edited.name))?;
        Ok(Exit::Ok)
    }
}

/// An instant as people write it. A time of day alone is the next one.
pub fn instant(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, Error> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(instant);
    }
    let today = now.to_zoned(zone.clone()).date();
    let local = |civil: DateTime| civil.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp());
    // First: a time is also read from what has a date before it.
    let found = match (text.parse::<DateTime>(), text.parse::<Time>()) {
        (Ok(civil), _) => local(civil),
        (Err(_), Ok(time)) => {
            let days = [Some(today), today.checked_add(1.day()).ok()];
            let found = days.into_iter().flatten().filter_map(|day| local(day.to_datetime(time)));
            found.into_iter().find(|at| *at > now)
        }
        (Err(_), Err(_)) => None,
    };
    found.ok_or_else(|| {
        Error::new(Exit::Usage, format!("'{text}' is no time"))
            .hint("--until 18:00, --until '2026-11-30 08:00' or --until 2026-11-30T08:00:00+01:00")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_people_write_them() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let now: Timestamp = "2026-11-20T16:00:00Z".parse().unwrap();
        for (text, at) in [
            ("18:00", "2026-11-20T17:00:00Z"),
            ("17:00", "2026-11-21T16:00:00Z"),
            ("08:30", "2026-11-21T07:30:00Z"),
            ("2026-11-30 08:00", "2026-11-30T07:00:00Z"),
            ("2026-11-30T08:00:00+08:00", "2026-11-30T00:00:00Z"),
            ("2026-11-30T08:00:00Z", "2026-11-30T08:00:00Z"),
        ] {
            assert_eq!(instant(text, now, &zone).unwrap(), at.parse().unwrap(), "{text}");
        }
        for text in ["", "tomorrow", "25:00", "1h"] {
            assert_eq!(instant(text, now, &zone).unwrap_err().exit(), Exit::Usage, "{text}");
        }
    }
}
