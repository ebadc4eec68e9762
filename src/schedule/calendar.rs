//! Matching wall time: the next civil minute and second that a schedule names, with no zone in sight.
//!
//! What a text says is kept as sets of bits, some 300 bytes with all that belongs to it: a `cron::Schedule` has a tree of
//! numbers a field, and ten thousand jobs hold theirs all the time. The time of day is sought in the bits. Which **day**
//! comes next is the `cron` crate's: it is sound on civil time, so a schedule of midnights is made for it when the day at
//! hand holds nothing more (2 µs, 11 for a text of odd lists), written with names instead of its own weekday numbers (where
//! Sunday is 1), and asked on a fake UTC clock that shows wall time. It joins its fields by AND; of a union of boxes
//! ([`Days`]) it is told the box around all of them, and the days that lie in none are passed over. Its zone handling, which
//! goes backwards when clocks are set back, is never reached. Years and seconds stay here: the crate ends in 2100 and knows
//! no fractions.

use chrono::DateTime;
use cron::Schedule;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;

use super::days::{Days, any_dom, any_dow};
use super::field::{Set, Unit};

/// Wall time as microseconds since 1970-01-01 00:00:00 on the wall.
pub(super) type Wall = i64;

pub(super) const SECOND: i64 = 1_000_000;
pub(super) const MINUTE: i64 = 60 * SECOND;
pub(super) const DAY: i64 = 24 * 60 * MINUTE;

/// `start`, `start + step` … up to `stop`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) stop: u32,
    /// At least 1.
    pub(super) step: u32,
}

impl Span {
    pub(super) fn at_or_after(&self, value: u32) -> Option<u32> {
        let steps = value.saturating_sub(self.start).div_ceil(self.step);
        let found = self.start.checked_add(steps.checked_mul(self.step)?)?;
        (found <= self.stop).then_some(found)
    }
}

/// When in the minute.
#[derive(Clone, Debug)]
pub(super) enum Seconds {
    /// Whole seconds.
    Whole(Set),
    /// Microseconds of the minute; a list of spans, because `0/0.000001` names sixty million.
    Micros(Box<[Span]>),
}

impl Seconds {
    /// Is this microsecond of the minute one of them?
    pub(super) fn has(&self, micros: i64) -> bool {
        self.at_or_after(micros) == Some(micros)
    }

    fn at_or_after(&self, micros: i64) -> Option<i64> {
        match self {
            Seconds::Whole(set) => {
                let second = u32::try_from((micros + SECOND - 1) / SECOND).ok()?;
                set.at_or_after(second).map(|value| i64::from(value) * SECOND)
            }
            Seconds::Micros(spans) => {
                let micros = u32::try_from(micros).ok()?;
                spans.iter().filter_map(|span| span.at_or_after(micros)).min().map(i64::from)
            }
        }
    }
}

/// In which years to look, and when to give up.
#[derive(Clone, Debug)]
pub(super) enum Years {
    /// Any year, but a search ends this many years after the one in which it began.
    Within(i32),
    /// These years, and none after them.
    Spans(Box<[Span]>),
}

/// What a schedule text says about wall time.
#[derive(Clone, Debug)]
pub(super) struct Calendar {
    minutes: Set,
    hours: Set,
    days: Box<[Days]>,
    seconds: Seconds,
    years: Years,
}

impl Calendar {
    /// From what the fields say. `None` if there is no time of day at all, for which no dialect has words.
    pub(super) fn new(minutes: Set, hours: Set, days: &[Days], seconds: Seconds, years: Years) -> Option<Calendar> {
        let some = !minutes.is_empty() && !hours.is_empty();
        some.then(|| Calendar { minutes, hours, days: days.into(), seconds, years })
    }

    /// The hours of the day in which it is ever due.
    pub(super) fn hours(&self) -> Set {
        self.hours
    }

    /// The year after which a search that begins at `from` gives up.
    pub(super) fn last_year(&self, from: Wall) -> i32 {
        match &self.years {
            // robfig counts from the next whole second.
            Years::Within(years) => year_of(from + SECOND - 1).saturating_add(*years),
            Years::Spans(spans) => {
                spans.iter().map(|span| span.stop).max().and_then(|year| i32::try_from(year).ok()).unwrap_or(i32::MIN)
            }
        }
    }

    /// The first match at or after `from`, in no year after `last_year`.
    pub(super) fn at_or_after(&self, from: Wall, last_year: i32) -> Option<Wall> {
        let minute = from.div_euclid(MINUTE) * MINUTE;
        let first = self.minute_at_or_after(minute, last_year)?;
        if first > minute {
            return Some(first + self.seconds.at_or_after(0)?);
        }
        if let Some(micros) = self.seconds.at_or_after(from - minute) {
            return Some(minute + micros);
        }
        let next = self.minute_at_or_after(minute + MINUTE, last_year)?;
        Some(next + self.seconds.at_or_after(0)?)
    }

    fn minute_at_or_after(&self, from: Wall, last_year: i32) -> Option<Wall> {
        let day = from.div_euclid(DAY) * DAY;
        let year = year_of(day);
        let today = year <= last_year && self.year_at_or_after(year) == Some(year) && self.holds(day);
        if let Some(time) = self.time_at_or_after(from - day).filter(|_| today) {
            return Some(day + time);
        }
        Some(self.day_at_or_after(day + DAY, last_year)? + self.time_at_or_after(0)?)
    }

    /// The first time of day at or after a whole minute of it.
    fn time_at_or_after(&self, from: i64) -> Option<i64> {
        let minute = u32::try_from(from / MINUTE).ok()?;
        let (hour, minute) = (minute / 60, minute % 60);
        let later = || Some((self.hours.at_or_after(hour + 1)?, self.minutes.at_or_after(0)?));
        let found = self.hours.contains(hour).then(|| self.minutes.at_or_after(minute)).flatten();
        let (hour, minute) = found.map(|minute| (hour, minute)).or_else(later)?;
        Some(i64::from(hour * 60 + minute) * MINUTE)
    }

    /// Whether any box holds this day.
    fn holds(&self, day: Wall) -> bool {
        date(day).is_some_and(|date| self.days.iter().any(|days| days.has(date)))
    }

    /// The first day at or after `from`. Goes year by year, and skips those of which the crate says that they hold nothing.
    fn day_at_or_after(&self, from: Wall, last_year: i32) -> Option<Wall> {
        let mut year = year_of(from);
        let mut midnights = None;
        loop {
            year = self.year_at_or_after(year)?;
            if year > last_year {
                return None;
            }
            let midnights = match &mut midnights {
                Some(midnights) => midnights,
                none => none.insert(Schedule::try_from(cron_text(&self.days)?).ok()?),
            };
            match self.in_year(midnights, year, from.max(start_of(year)?))? {
                InYear::At(day) => return Some(day),
                InYear::NotBefore(later) => year = later,
            }
        }
    }

    fn in_year(&self, midnights: &Schedule, year: i32, begin: Wall) -> Option<InYear> {
        let stand_in = stand_in(year)?;
        let shift = start_of(year)? - start_of(stand_in)?;
        // Strictly after the second before `begin`, which is at or after `begin`.
        let clock = DateTime::from_timestamp((begin - shift).div_euclid(SECOND) - 1, 0)?;
        for found in midnights.after(&clock) {
            let found = found.timestamp() * SECOND;
            match year_of(found) {
                found_in if found_in == stand_in && self.holds(found + shift) => {
                    return Some(InYear::At(found + shift));
                }
                found_in if found_in == stand_in => {}
                found_in if stand_in == year => return Some(InYear::NotBefore(found_in)),
                _ => return Some(InYear::NotBefore(year + 1)),
            }
        }
        Some(InYear::NotBefore(if stand_in == year { CRATE_LAST_YEAR + 1 } else { year + 1 }))
    }

    fn year_at_or_after(&self, year: i32) -> Option<i32> {
        match &self.years {
            Years::Within(_) => Some(year),
            Years::Spans(spans) => {
                let year = u32::try_from(year).unwrap_or(0);
                spans.iter().filter_map(|span| span.at_or_after(year)).min().and_then(|year| i32::try_from(year).ok())
            }
        }
    }
}

/// What the boxes say of one year.
enum InYear {
    At(Wall),
    /// Nothing, and nothing before this later year.
    NotBefore(i32),
}

/// The last year the `cron` crate knows.
const CRATE_LAST_YEAR: i32 = 2100;

/// A year with the same days on the same weekdays that the `cron` crate knows: the year itself up to 2100, else one of
/// 28 in a row, among which every kind of year occurs.
fn stand_in(year: i32) -> Option<i32> {
    if (1970..=CRATE_LAST_YEAR).contains(&year) {
        return Some(year);
    }
    let weekday = |year| start_of(year).map(|start| (start / DAY).rem_euclid(7));
    (2072..2100).find(|&other| is_leap(other) == is_leap(year) && weekday(other) == weekday(year))
}

fn is_leap(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn start_of(year: i32) -> Option<Wall> {
    let day = chrono::NaiveDate::from_ymd_opt(year, 1, 1)?;
    day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp().checked_mul(SECOND)
}

/// The year of a wall time. Wall times come from instants of years -9999 to 9999, which chrono holds.
fn year_of(wall: Wall) -> i32 {
    DateTime::from_timestamp(wall.div_euclid(SECOND), 0).map_or(i32::MAX, |at| chrono::Datelike::year(&at))
}

fn date(day: Wall) -> Option<Date> {
    Some(Offset::UTC.to_datetime(Timestamp::from_microsecond(day).ok()?).date())
}

/// The midnights of the box around all boxes, in the crate's own grammar; `None` where there is no box. An unrestricted
/// field is written `*`, which the crate stores as nothing at all.
fn cron_text(days: &[Days]) -> Option<String> {
    const NAMES: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
    let around = |one: Days, other: &Days| Days {
        months: one.months | other.months,
        doms: one.doms | other.doms,
        dows: one.dows | other.dows,
        ..one
    };
    let (first, others) = days.split_first()?;
    let around = others.iter().fold(*first, around);
    let doms = numbers(around.doms, any_dom());
    let months = numbers(around.months, Unit::MONTH.all());
    let dows: Vec<&str> = around.dows.values().filter_map(|value| NAMES.get(value as usize).copied()).collect();
    let dows = if around.dows == any_dow() { "*".to_string() } else { dows.join(",") };
    Some(format!("0 0 0 {doms} {months} {dows}"))
}

/// `1-5,8`: ranges, because the crate takes three times as long to read the numbers one by one.
fn numbers(set: Set, all: Set) -> String {
    if set == all {
        return "*".to_string();
    }
    let mut text = String::new();
    let mut next = set.at_or_after(0);
    while let Some(first) = next {
        let last = (first..64).find(|value| !set.contains(value + 1)).unwrap_or(first);
        text.push_str(if text.is_empty() { "" } else { "," });
        text.push_str(&if last > first { format!("{first}-{last}") } else { first.to_string() });
        next = set.at_or_after(last + 1);
    }
    text
}

#[cfg(test)]
mod tests;
