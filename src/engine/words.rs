//! Times and spans as people say them.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A clock time in the machine's zone; with the day where it is not the same as that of `now`.
pub fn clock(at: Timestamp, now: Timestamp) -> String {
    let zone = TimeZone::system();
    let (at, now) = (at.to_zoned(zone.clone()), now.to_zoned(zone));
    let form = if at.date() == now.date() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
    at.strftime(form).to_string()
}

/// A span, rounded down to what matters.
pub fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0 if span.as_millis() > 0 => format!("{} ms", span.as_millis()),
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// How far ahead `at` is: `in 3 h`.
pub fn ahead(at: Timestamp, now: Timestamp) -> String {
    match Duration::try_from(at.duration_since(now)) {
        // What is due in 59.9 s is due in a minute.
        Ok(left) => format!("in {}", span(Duration::from_secs((left + Duration::from_millis(500)).as_secs()))),
        Err(_) => "now".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        for (seconds, text) in [
            (0.0, "0 s"),
            (0.25, "250 ms"),
            (59.0, "59 s"),
            (240.0, "4 min"),
            (10_800.0, "3 h"),
            (864_000.0, "10 days"),
        ] {
            assert_eq!(span(Duration::from_secs_f64(seconds)), text);
        }
    }
}
