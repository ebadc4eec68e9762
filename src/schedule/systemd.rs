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

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::calendar::{Calendar, Seconds, Span, Years};
use super::component::{Scale, days_by_length, list, set, spans};
use super::days::{DayUnion, any_dom, any_dow};
use super::error::{ScheduleError, quote};
use super::field::{Set, Unit, Word, starts_with_ignore_case};
use super::zone::{ClockRule, Fold, Gap, parse_zone};
use super::{Parsed, Rhythm};

const CLOCK_RULE: ClockRule = ClockRule { gap: Gap::Skip, fold: Fold::First };

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
    let named = NAMED.iter().find(|(name, _)| name.eq_ignore_ascii_case(word.text));
    let spec = match named {
        Some((_, meaning)) => Spec::parse(Word::new(meaning))?,
        None => Spec::parse(word)?,
    };
    if spec.utc {
        zone = TimeZone::UTC;
    }
    let calendar = spec.calendar().ok_or_else(|| word.error("this schedule cannot be computed"))?;
    Ok(Parsed { rhythm: Rhythm::Calendar(calendar, CLOCK_RULE), zone, doubts: Vec::new() })
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

/// Monday first, as systemd counts.
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

#[derive(Debug, Default)]
struct Spec {
    /// Sunday is 0. Empty is any.
    weekdays: Set,
    years: Option<Box<[Span]>>,
    months: Option<Set>,
    /// The days, by the length of the month.
    days: Option<[Set; 4]>,
    hours: Option<Set>,
    minutes: Option<Set>,
    micros: Box<[Span]>,
    utc: bool,
}

impl Spec {
    fn parse(word: Word) -> Result<Spec, ScheduleError> {
        let mut spec = Spec::default();
        let word = spec.parse_weekdays(word)?;
        if let Some(seconds) = word.text.strip_prefix('@') {
            spec.parse_epoch(word.from(word.text.len() - seconds.len()))?;
            return Ok(spec);
        }
        let word = spec.parse_date(word)?;
        spec.parse_time(word)?;
        Ok(spec)
    }

    fn parse_weekdays<'a>(&mut self, word: Word<'a>) -> Result<Word<'a>, ScheduleError> {
        let mut rest = word;
        let mut range_from: Option<u32> = None;
        let mut first = true;
        loop {
            let Some((day, length)) = weekday(rest) else {
                if first {
                    return Ok(word);
                }
                return Err(word_here(rest).error(format!("{} is not a weekday", quote(word_here(rest).text))));
            };
            let here = Word { text: &rest.text[..length], start: rest.start };
            match range_from {
                Some(from) if from > day => {
                    return Err(here
                        .error("this range of weekdays ends before it begins")
                        .hint("a week begins on Monday; write two ranges"));
                }
                Some(from) => self.add_weekdays(from, day),
                None => self.add_weekdays(day, day),
            }
            rest = rest.from(length);
            let (separator, ranged) = match rest.text.as_bytes() {
                [] => return Ok(rest),
                [b' ', ..] => return Ok(skip_blanks(rest)),
                [b'.', b'.', ..] => (2, true),
                [b'-', ..] => (1, true),
                [b',', ..] => (1, false),
                _ => return Err(word_here(rest).error(format!("{} is out of place here", quote(word_here(rest).text)))),
            };
            if ranged && range_from.is_some() {
                return Err(here.error("a range of weekdays has two ends"));
            }
            range_from = ranged.then_some(day);
            rest = rest.from(separator);
            if rest.text.is_empty() || rest.text.starts_with(' ') {
                return match range_from {
                    None => Ok(skip_blanks(rest)),
                    Some(_) => Err(here.error("this range of weekdays has no end")),
                };
            }
            first = false;
        }
    }

    fn add_weekdays(&mut self, from: u32, to: u32) {
        for day in from..=to {
            self.weekdays |= Set::one((day + 1) % 7);
        }
    }

    /// `@seconds`: one instant.
    fn parse_epoch(&mut self, word: Word) -> Result<(), ScheduleError> {
        let in_range = |seconds: &i64| (0..=7_258_118_399).contains(seconds);
        let seconds = if word.is_digits() { word.text.parse::<i64>().ok().filter(in_range) } else { None };
        let at = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
        let Some(at) = at else {
            return Err(word.error(format!("{} is not a count of seconds up to the year 2199", quote(word.text))));
        };
        let at = TimeZone::UTC.to_datetime(at);
        let one = |value: i8| Set::one(u32::from(value.unsigned_abs()));
        let point = |value: u32| Box::from([Span { start: value, stop: value, step: 1 }]);
        self.utc = true;
        self.years = Some(point(u32::from(at.year().unsigned_abs())));
        self.months = Some(one(at.month()));
        self.days = Some([one(at.day()); 4]);
        self.hours = Some(one(at.hour()));
        self.minutes = Some(one(at.minute()));
        self.micros = point(u32::from(at.second().unsigned_abs()) * 1_000_000);
        Ok(())
    }

    /// A date, if one comes first. Gives what follows it.
    fn parse_date<'a>(&mut self, word: Word<'a>) -> Result<Word<'a>, ScheduleError> {
        if word.text.is_empty() {
            return Ok(word);
        }
        let (first, rest) = list(word, false)?;
        if rest.text.is_empty() || rest.text.starts_with(':') {
            return Ok(word);
        }
        let (second_from_end, rest) = date_separator(rest)?;
        let (second, rest) = list(rest, false)?;
        let (years, months, days, from_end, rest) = if rest.text.is_empty() || rest.text.starts_with(' ') {
            (None, first, second, second_from_end, rest)
        } else if second_from_end {
            return Err(word_here(rest).error("nothing follows a day that is counted from the month's end"));
        } else {
            let (third_from_end, rest) = date_separator(rest)?;
            let (third, rest) = list(rest, false)?;
            (first, second, third, third_from_end, rest)
        };
        if !rest.text.is_empty() && !rest.text.starts_with(' ') {
            return Err(word_here(rest).error(format!("{} is out of place here", quote(word_here(rest).text))));
        }
        self.years = years.map(|list| spans(&list, &Scale::YEAR)).transpose()?;
        self.months = months.map(|list| set(&list, &Scale::MONTH)).transpose()?;
        self.days = days.map(|list| days_by_length(&list, from_end)).transpose()?;
        Ok(skip_blanks(rest))
    }

    fn parse_time(&mut self, word: Word) -> Result<(), ScheduleError> {
        let zero = || Some(Set::one(0));
        self.micros = Box::from([Span { start: 0, stop: 0, step: 1 }]);
        if word.text.is_empty() {
            (self.hours, self.minutes) = (zero(), zero());
            return Ok(());
        }
        let (hours, rest) = list(word, false)?;
        self.hours = hours.map(|list| set(&list, &Scale::HOUR)).transpose()?;
        let (minutes, rest) = list(colon(rest)?, false)?;
        self.minutes = minutes.map(|list| set(&list, &Scale::MINUTE)).transpose()?;
        if rest.text.is_empty() {
            return Ok(());
        }
        let (seconds, rest) = list(colon(rest)?, true)?;
        self.micros = spans(&seconds.unwrap_or_default(), &Scale::SECOND)?;
        if rest.text.is_empty() {
            Ok(())
        } else {
            Err(rest.error(format!("{} is out of place here", quote(rest.text))))
        }
    }

    fn calendar(self) -> Option<Calendar> {
        let all_years = Span { start: Scale::YEAR.min, stop: Scale::YEAR.max, step: 1 };
        let weekdays = if self.weekdays.is_empty() { any_dow() } else { self.weekdays };
        let mut days = DayUnion::new(self.months.unwrap_or(Unit::MONTH.all()));
        match self.days {
            None => days.add(any_dom(), weekdays),
            Some(sets) if sets.iter().all(|set| *set == sets[0]) => days.add(sets[0], weekdays),
            Some(sets) => days.add_by_length(weekdays, |length| sets[(31 - length.clamp(28, 31)) as usize]),
        }
        Calendar::new(
            self.minutes.unwrap_or(Unit::MINUTE.all()),
            self.hours.unwrap_or(Unit::HOUR.all()),
            &days.boxes(),
            Seconds::Micros(self.micros),
            Years::Spans(self.years.unwrap_or(Box::from([all_years]))),
        )
    }
}

fn date_separator(word: Word) -> Result<(bool, Word), ScheduleError> {
    match word.text.as_bytes().first() {
        Some(b'~') => Ok((true, word.from(1))),
        Some(b'-') => Ok((false, word.from(1))),
        _ => Err(word_here(word)
            .error(format!("{} is out of place here", quote(word_here(word).text)))
            .hint("a date is `year-month-day` or `month-day`, a time `hour:minute`")),
    }
}

fn colon(word: Word) -> Result<Word, ScheduleError> {
    match word.text.strip_prefix(':') {
        Some(_) => Ok(word.from(1)),
        None => Err(word_here(word).error("a time is written `hour:minute` or `hour:minute:second`")),
    }
}

/// A weekday at the beginning, Monday being 0, and the length of its name.
fn weekday(word: Word) -> Option<(u32, usize)> {
    let (index, name) = (0..).zip(DAYS).find(|(_, name)| starts_with_ignore_case(word.text, &name[..3]))?;
    Some((index, if starts_with_ignore_case(word.text, name) { name.len() } else { 3 }))
}

fn skip_blanks(word: Word) -> Word {
    word.from(word.text.len() - word.text.trim_start_matches(' ').len())
}

/// The first character, or the empty place at the end: what an error points at.
fn word_here(word: Word) -> Word {
    Word { text: &word.text[..word.text.chars().next().map_or(0, char::len_utf8)], start: word.start }
}
