//! Instants of the past as people write them.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::{Error, Exit};
use crate::conf::units;

/// An instant with its offset, a day and time on the local clock, or a time alone, which is the last one before `now`. What
/// is later stands for what is yet to come.
pub fn moment(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, Error> {
    read(text.trim(), now, zone).ok_or_else(|| {
        Error::new(Exit::Usage, format!("'{}' is no time", text.escape_debug()))
            .hint("02:30, '2026-11-30 08:00', yesterday, '2 h' ago as 2h, or 2026-11-30T08:00:00+01:00")
    })
}

/// The same, or how long ago.
pub fn since(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, Error> {
    match units::duration(text) {
        Ok(ago) => now.checked_sub(ago).map_err(|_| Error::new(Exit::Usage, "that is too long ago")),
        Err(_) => moment(text, now, zone),
    }
}

fn read(text: &str, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Some(instant);
    }
    let today = now.to_zoned(zone.clone()).date();
    let local = |civil: DateTime| civil.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp());
    match text {
        "now" => return Some(now),
        "today" => return local(today.to_datetime(Time::midnight())),
        "yesterday" => return local(today.checked_sub(1.day()).ok()?.to_datetime(Time::midnight())),
        _ => {}
    }
    if let Some(time) = text.strip_prefix("yesterday ") {
        return local(today.checked_sub(1.day()).ok()?.to_datetime(time.trim().parse().ok()?));
    }
    // First: a time is also read from what has a date before it.
    match (text.parse::<DateTime>(), text.parse::<Time>()) {
        (Ok(civil), _) => local(civil),
        (Err(_), Ok(time)) => {
            let days = [Some(today), today.checked_sub(1.day()).ok()];
            let found = days.into_iter().flatten().filter_map(|day: Date| local(day.to_datetime(time)));
            found.into_iter().find(|at| *at <= now)
        }
        (Err(_), Err(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_past() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let now: Timestamp = "2026-11-20T16:00:00Z".parse().unwrap();
        for (text, at) in [
            ("16:30", "2026-11-20T15:30:00Z"),
            ("17:00", "2026-11-20T16:00:00Z"),
            ("18:00", "2026-11-19T17:00:00Z"),
            ("02:30:05", "2026-11-20T01:30:05Z"),
            ("yesterday", "2026-11-18T23:00:00Z"),
            ("yesterday 02:30", "2026-11-19T01:30:00Z"),
            ("today", "2026-11-19T23:00:00Z"),
            ("2026-11-02 08:00", "2026-11-02T07:00:00Z"),
            ("2026-11-02", "2026-11-01T23:00:00Z"),
            ("2030-01-01 00:00", "2029-12-31T23:00:00Z"),
            ("2026-11-02T08:00:00+08:00", "2026-11-02T00:00:00Z"),
            ("now", "2026-11-20T16:00:00Z"),
        ] {
            assert_eq!(moment(text, now, &zone).unwrap(), at.parse().unwrap(), "{text}");
        }
        assert_eq!(since("2h", now, &zone).unwrap(), "2026-11-20T14:00:00Z".parse().unwrap());
        assert_eq!(since("16:30", now, &zone).unwrap(), "2026-11-20T15:30:00Z".parse().unwrap());
        for text in ["", "tomorrow", "25:00", "yesterday x", "\u{1b}"] {
            assert_eq!(moment(text, now, &zone).unwrap_err().exit(), Exit::Usage, "{text}");
        }
    }
}
