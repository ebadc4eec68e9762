//! From wall time to instants, across the days on which clocks change.
//!
//! A zone is walked in segments of constant offset. Inside one, `instant = wall - offset`, so nothing is ambiguous and
//! no search can stand still or go back. What happens between two segments is the dialect's rule, two words:
//!
//! | | wall times that do not exist | wall times that come twice |
//! |---|---|---|
//! | robfig | no run | both times |
//! | cronexpr, systemd | no run | the first time |
//! | vixie, minute or hour begins with `*` | no run | both times |
//! | vixie, otherwise | one run when the clock has jumped | the first time |
//!
//! crond takes a jump of three hours and more for a correction of the clock, which nothing is made up for: so a day that
//! is left out altogether (Samoa, 2011-12-30) stays without a run. A job's own `dst` ([`super::Dst`]) goes over this table
//! and knows no such bound.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::calendar::{Calendar, MINUTE, Wall};

/// What becomes of wall times that do not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gap {
    Skip,
    AtEnd,
}

/// What becomes of wall times that come twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fold {
    Both,
    First,
}

/// A dialect's rule for changes of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClockRule {
    pub(super) gap: Gap,
    pub(super) fold: Fold,
    /// A change of three hours and more is a correction of the clock: nothing is made up for, and times count anew.
    pub(super) bounded: bool,
}

impl ClockRule {
    /// The rule of a dialect.
    pub(super) const fn of_dialect(gap: Gap, fold: Fold) -> ClockRule {
        ClockRule { gap, fold, bounded: true }
    }

    /// Does a run stand for the times that a jump forward by `shift` leaves out?
    pub(super) fn makes_up(&self, shift: i64) -> bool {
        self.gap == Gap::AtEnd && (!self.bounded || shift < MADE_UP_BELOW)
    }

    /// Do times that come again when the clock is set back by `back` run again?
    pub(super) fn repeats(&self, back: i64) -> bool {
        self.fold == Fold::Both || self.bounded && back > ONCE_UP_TO
    }
}

/// crond: `timeDiff > 3 * MINUTE_COUNT`, where the difference is one minute more than the gap.
const MADE_UP_BELOW: i64 = 180 * MINUTE;
/// crond: `timeDiff < -3 * MINUTE_COUNT`, where the difference is one minute less than the fold.
const ONCE_UP_TO: i64 = 181 * MINUTE;

/// An instant found, and whether it stands for wall times that do not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) at: Timestamp,
    pub(super) made_up: bool,
}

/// The first slot strictly after `after`.
pub(super) fn next(calendar: &Calendar, rule: ClockRule, zone: &TimeZone, after: Timestamp) -> Option<Found> {
    let floor = micros_floor(after);
    let mut offset = offset_micros(zone, after);
    let mut from = floor + 1 + offset;
    if rule.fold == Fold::First {
        from = from.max(end_of_repeat(rule, zone, after, offset));
    }
    let last_year = calendar.last_year(from);
    let mut wall = calendar.at_or_after(from, last_year)?;
    for change in zone.following(after) {
        let end = micros_floor(change.timestamp());
        if wall - offset < end {
            break;
        }
        let before = offset;
        offset = seconds_to_micros(change.offset().seconds());
        let shift = offset - before;
        if shift > 0 && wall < end + offset {
            if rule.makes_up(shift) {
                return Some(Found { at: change.timestamp(), made_up: true });
            }
            wall = calendar.at_or_after(end + offset, last_year)?;
        } else if shift < 0 && rule.repeats(-shift) {
            wall = calendar.at_or_after(end + offset, last_year)?;
        }
    }
    let at = Timestamp::from_microsecond(wall - offset).ok()?;
    // By construction; asked again because a scheduler that is given the past fires without end.
    (at > after).then_some(Found { at, made_up: false })
}

/// If `after` lies in a segment that began by setting the clock back: the wall time up to which that segment repeats.
fn end_of_repeat(rule: ClockRule, zone: &TimeZone, after: Timestamp, offset: i64) -> Wall {
    let just_after = after.checked_add(jiff::SignedDuration::from_nanos(1)).unwrap_or(after);
    let Some(change) = zone.preceding(just_after).next() else { return Wall::MIN };
    let start = micros_floor(change.timestamp());
    let Ok(moment_before) = Timestamp::from_microsecond(start - 1) else { return Wall::MIN };
    let before = offset_micros(zone, moment_before);
    let again = before > offset && !rule.repeats(before - offset);
    if again { start + before } else { Wall::MIN }
}

/// A change of the clock: at `at` it went from `old` to `new`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub(super) at: Timestamp,
    pub(super) old: Wall,
    pub(super) new: Wall,
}

impl Change {
    /// The wall times that it left out, or lets come twice: from the first to before the second.
    pub(super) fn span(&self) -> (Wall, Wall) {
        (self.old.min(self.new), self.old.max(self.new))
    }

    /// The clock went forward.
    pub(super) fn is_gap(&self) -> bool {
        self.new > self.old
    }

    /// By how much, never negative.
    pub(super) fn shift(&self) -> i64 {
        (self.new - self.old).abs()
    }
}

/// The changes of a zone's clock after `after` and not after `until`.
pub(super) fn changes(zone: &TimeZone, after: Timestamp, until: Timestamp) -> impl Iterator<Item = Change> {
    let mut before = offset_micros(zone, after);
    zone.following(after).take_while(move |change| change.timestamp() <= until).filter_map(move |change| {
        let offset = seconds_to_micros(change.offset().seconds());
        let at = micros_floor(change.timestamp());
        let change = Change { at: change.timestamp(), old: at + before, new: at + offset };
        before = offset;
        (change.new != change.old).then_some(change)
    })
}

/// An instant as whole microseconds, rounded towards the past.
pub(super) fn micros_floor(at: Timestamp) -> i64 {
    let floor = at.as_nanosecond().div_euclid(1000);
    i64::try_from(floor).unwrap_or(i64::MIN / 2)
}

pub(super) fn offset_micros(zone: &TimeZone, at: Timestamp) -> i64 {
    seconds_to_micros(zone.to_offset(at).seconds())
}

fn seconds_to_micros(seconds: i32) -> i64 {
    i64::from(seconds) * 1_000_000
}

/// The zone of `TZ` or `/etc/localtime`. Where there is neither, as in small containers, localtime(5) says UTC; where
/// there is one that cannot be read, nothing is guessed.
fn system_zone() -> Result<TimeZone, String> {
    let is_unset = || std::env::var_os("TZ").is_none() && !std::path::Path::new("/etc/localtime").exists();
    match TimeZone::try_system() {
        Ok(zone) => Ok(zone),
        Err(_) if is_unset() => Ok(TimeZone::UTC),
        Err(error) => Err(format!("the system's time zone cannot be told: {error}")),
    }
}

/// A time zone by its IANA name, `UTC`, or `local` for the system's own.
///
/// The name is taken exactly: files beside the zones (`posixrules`, `localtime`), copies (`posix/…`, `right/…`) and
/// other spellings are refused, so that a job file means the same on every machine.
pub fn parse_zone(name: &str) -> Result<TimeZone, String> {
    if name == "UTC" {
        return Ok(TimeZone::UTC);
    }
    if name == "local" {
        return system_zone();
    }
    let quoted = super::error::quote(name);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '+');
    let beside = ["posixrules", "localtime", "Factory", "posix", "right"];
    if name.is_empty() {
        return Err("the name of the time zone is empty".to_string());
    }
    if name.len() > 64 || !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(plain) {
        return Err(format!("{quoted} is not the name of a time zone, such as `Europe/Berlin`"));
    }
    if name.split('/').any(|part| beside.iter().any(|other| part.eq_ignore_ascii_case(other))) {
        return Err(format!("{quoted} is not a time zone of its own; name one such as `Europe/Berlin`"));
    }
    let zone = TimeZone::get(name).map_err(|_| format!("there is no time zone {quoted}"))?;
    match zone.iana_name() {
        Some(known) if known == name => Ok(zone),
        Some(known) => Err(format!("there is no time zone {quoted}; did you mean `{known}`?")),
        None => Err(format!("there is no time zone {quoted}")),
    }
}
