//! Times for people: the local clock, and how far away it is.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// `15:04:05` today, `2026-11-21 15:04:05` on any other day, in the local zone.
pub fn local(at: Timestamp, now: Timestamp) -> String {
    in_zone(at, now, TimeZone::system())
}

fn in_zone(at: Timestamp, now: Timestamp, zone: TimeZone) -> String {
    let (at, now) = (at.to_zoned(zone.clone()), now.to_zoned(zone));
    let format = if at.date() == now.date() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
    at.strftime(format).to_string()
}

/// `in 4 min`, `3 h ago`; less than a second away `now`, or `just now`.
pub fn distance(at: Timestamp, now: Timestamp) -> String {
    let away = at.duration_since(now);
    match away.as_secs() {
        0 if away.is_negative() => "just now".into(),
        0 => "now".into(),
        seconds if seconds > 0 => format!("in {}", length(away)),
        _ => format!("{} ago", length(-away)),
    }
}

/// `15:04:05, in 4 min`.
pub fn both(at: Timestamp, now: Timestamp) -> String {
    format!("{}, {}", local(at, now), distance(at, now))
}

/// A duration in its largest unit: `40 s`, `4 min`, `5 h`, `3 days`.
pub fn length(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        let now: Timestamp = "2026-11-20T13:00:00Z".parse().unwrap();
        for (seconds, text) in [
            (0, "now"),
            (40, "in 40 s"),
            (60, "in 1 min"),
            (-300, "5 min ago"),
            (7200, "in 2 h"),
            (-172_799, "47 h ago"),
            (86_400 * 9, "in 9 days"),
        ] {
            assert_eq!(distance(now + SignedDuration::from_secs(seconds), now), text);
        }
        assert_eq!(distance(now - SignedDuration::from_millis(20), now), "just now");
        assert_eq!(length(SignedDuration::from_millis(120)), "120 ms");
    }

    #[test]
    fn the_day_is_told_when_it_is_another() {
        let now: Timestamp = "2026-11-20T13:00:00Z".parse().unwrap();
        let later: Timestamp = "2026-11-20T23:30:00Z".parse().unwrap();
        assert_eq!(in_zone(later, now, TimeZone::UTC), "23:30:00");
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        assert_eq!(in_zone(later, now, berlin), "2026-11-21 00:30:00");
    }
}
