//! Matching wall time: the next civil minute and second that a schedule names, with no zone in sight.
//!
//! The `cron` crate iterates the days, hours and minutes. It is sound on civil time and joins its fields by AND, so each
//! box of days ([`Days`]) becomes one `cron::Schedule`, written with names instead of its own weekday numbers (where
//! Sunday is 1), and is asked on a fake UTC clock that shows wall time. Its zone handling, which goes backwards when
//! clocks are set back, is never reached. Years and seconds stay here: the crate ends in 2100 and knows no fractions.

use chrono::DateTime;
use cron::Schedule;

use super::days::{Days, YearKind, any_dom, any_dow};
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
                set.values().find(|&value| value >= second).map(|value| i64::from(value) * SECOND)
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
    parts: Box<[Part]>,
    hours: Set,
    seconds: Seconds,
    years: Years,
}

#[derive(Clone, Debug)]
struct Part {
    schedule: Schedule,
    leap: YearKind,
}

impl Calendar {
    /// Lowers the fields to `cron` schedules. `None` if the crate refuses one, which its grammar gives it no reason to.
    pub(super) fn new(minutes: Set, hours: Set, days: &[Days], seconds: Seconds, years: Years) -> Option<Calendar> {
        let parts: Option<Vec<Part>> = days
            .iter()
            .map(|days| {
                let text = cron_text(minutes, hours, days);
                Some(Part { schedule: Schedule::try_from(text).ok()?, leap: days.leap })
            })
            .collect();
        Some(Calendar { parts: parts?.into_boxed_slice(), hours, seconds, years })
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

    /// Goes year by year, and skips those of which the crate says that they hold nothing.
    fn minute_at_or_after(&self, from: Wall, last_year: i32) -> Option<Wall> {
        let mut year = year_of(from);
        loop {
            year = self.year_at_or_after(year)?;
            if year > last_year {
                return None;
            }
            let begin = from.max(start_of(year)?);
            let mut found = None;
            let mut promising = i32::MAX;
            for part in &self.parts {
                match part.in_year(year, begin)? {
                    InYear::At(minute) => found = Some(found.map_or(minute, |old: Wall| old.min(minute))),
                    InYear::NotBefore(later) => promising = promising.min(later),
                }
            }
            if found.is_some() {
                return found;
            }
            year = promising.max(year.checked_add(1)?);
        }
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

/// What one part says of one year.
enum InYear {
    At(Wall),
    /// Nothing, and nothing before this later year.
    NotBefore(i32),
}

impl Part {
    fn in_year(&self, year: i32, begin: Wall) -> Option<InYear> {
        let fits = match self.leap {
            YearKind::Any => true,
            YearKind::Leap => is_leap(year),
            YearKind::Common => !is_leap(year),
        };
        if !fits {
            return Some(InYear::NotBefore(year + 1));
        }
        let stand_in = stand_in(year)?;
        let shift = start_of(year)? - start_of(stand_in)?;
        // Strictly after the second before `begin`, which is at or after `begin`.
        let clock = DateTime::from_timestamp((begin - shift).div_euclid(SECOND) - 1, 0)?;
        let Some(found) = self.schedule.after(&clock).next() else {
            return Some(InYear::NotBefore(if stand_in == year { CRATE_LAST_YEAR + 1 } else { year + 1 }));
        };
        let found = found.timestamp() * SECOND;
        Some(match year_of(found) {
            found_in if found_in == stand_in => InYear::At(found + shift),
            found_in if stand_in == year && self.leap == YearKind::Any => InYear::NotBefore(found_in),
            _ => InYear::NotBefore(year + 1),
        })
    }
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

/// One box in the crate's own grammar. An unrestricted field is written `*`, which the crate stores as nothing at all:
/// ten thousand jobs must not hold a hundred year numbers each.
fn cron_text(minutes: Set, hours: Set, days: &Days) -> String {
    const NAMES: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
    let numbers = |set: Set, all: Set| list(set, all, |value, text| text.push_str(&value.to_string()));
    let dows = list(days.dows, any_dow(), |value, text| text.push_str(NAMES[value as usize % 7]));
    [
        "*".to_string(),
        numbers(minutes, Unit::MINUTE.all()),
        numbers(hours, Unit::HOUR.all()),
        numbers(days.doms, any_dom()),
        numbers(days.months, Unit::MONTH.all()),
        dows,
    ]
    .join(" ")
}

fn list(set: Set, all: Set, write: impl Fn(u32, &mut String)) -> String {
    if set == all {
        return "*".to_string();
    }
    let mut text = String::new();
    for value in set.values() {
        if !text.is_empty() {
            text.push(',');
        }
        write(value, &mut text);
    }
    text
}
