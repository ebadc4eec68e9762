//! `OnCalendar=` of systemd 252: what its `calendarspec.c` makes of a text.
//!
//! `[weekdays] [[year-]month-day] [hour:minute[:second]] [zone]`, or a word such as `hourly`. Weekdays and dates are
//! joined by AND; `~` counts from the month's end; `a..b` and `a/step` make ranges; seconds may have six decimals; years
//! are 1970 to 2199. A time without seconds is at second 0, a date without a time at midnight.
//!
//! When clocks change: wall times that do not exist are left out, those that come twice count once. systemd itself goes
//! on in the second hour when it is *asked* within it, which makes the answer depend on the moment of the question; here
//! a slot is a slot. Two flaws of 252 are not copied: it takes some schedules for an endless loop where midnight does
//! not exist, and loses the first value where a step overshoots by two units at once (`*-*-1/8` on every 1 January).
//! Files beside the zones (`posixrules`, `localtime`) and the local zone's abbreviations are not taken as zones.

mod spec;

use jiff::tz::TimeZone;

use super::error::ScheduleError;
use super::field::{Word, starts_with_ignore_case};
use super::layout::{Layout, stands_for};
use super::zone::{ClockRule, Fold, Gap, parse_zone};
use super::{Parsed, Rhythm};
use spec::{DAYS, Spec};

const CLOCK_RULE: ClockRule = ClockRule::of_dialect(Gap::Skip, Fold::First);

const NAMED: [(&str, &str); 13] = [
    ("minutely", "*-*-* *:*:00"),
    ("hourly", "*-*-* *:00:00"),
    ("daily", "*-*-* 00:00:00"),
    ("weekly", "Mon *-*-* 00:00:00"),
    ("monthly", "*-*-01 00:00:00"),
    ("quarterly", "*-01,04,07,10-01 00:00:00"),
    ("semiannually", "*-01,07-01 00:00:00"),
    ("semi-annually", "*-01,07-01 00:00:00"),
    ("biannually", "*-01,07-01 00:00:00"),
    ("bi-annually", "*-01,07-01 00:00:00"),
    ("yearly", "*-01-01 00:00:00"),
    ("annually", "*-01-01 00:00:00"),
    ("anually", "*-01-01 00:00:00"),
];

pub(super) fn parse(text: &str, zone: &TimeZone) -> Result<Parsed, ScheduleError> {
    let (word, mut zone) = zone_suffix(Word::new(text), zone)?;
    if word.text.is_empty() {
        return Err(word.error("the schedule is empty"));
    }
    let spec = Spec::parse(named(word.text).map_or(word, Word::new))?;
    if spec.utc {
        zone = TimeZone::UTC;
    }
    let calendar = spec.calendar().ok_or_else(|| word.error("this schedule cannot be computed"))?;
    Ok(Parsed { rhythm: Rhythm::Calendar(calendar, CLOCK_RULE), zone, doubts: Vec::new() })
}

/// The text for which a name stands.
fn named(text: &str) -> Option<&'static str> {
    NAMED.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, meaning)| *meaning)
}

/// A good text field by field.
pub(super) fn layout(text: &str) -> Option<Layout> {
    let (word, _) = zone_suffix(Word::new(text), &TimeZone::UTC).ok()?;
    let name = named(word.text);
    let spec = Spec::parse(name.map_or(word, Word::new)).ok()?;
    let mut rules: Vec<String> = name.map(|meaning| stands_for(word.text, meaning)).into_iter().collect();
    if word.text.contains('@') {
        rules.push("`@` counts seconds since 1970 in UTC".to_string());
    }
    Some(Layout { parts: spec.parts(), either_day: false, rules })
}

/// Takes the zone off the end, if there is one.
fn zone_suffix<'a>(word: Word<'a>, zone: &TimeZone) -> Result<(Word<'a>, TimeZone), ScheduleError> {
    let Some(blank) = word.text.rfind(' ') else { return Ok((word, zone.clone())) };
    let name = word.from(blank + 1);
    let rest = Word { text: &word.text[..blank], start: word.start };
    if name.text.eq_ignore_ascii_case("UTC") {
        return Ok((rest, TimeZone::UTC));
    }
    let weekday = DAYS.iter().any(|day| starts_with_ignore_case(name.text, &day[..3]));
    if !name.text.starts_with(|c: char| c.is_ascii_alphabetic()) || weekday || name.text == "local" {
        return Ok((word, zone.clone()));
    }
    let zone = parse_zone(name.text).map_err(|message| name.error(message))?;
    Ok((rest, zone))
}
