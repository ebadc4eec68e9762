//! The parts of a calendar expression: weekdays, date, time.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::schedule::calendar::{Calendar, Seconds, Span, Years};
use crate::schedule::component::{Scale, days_by_length, list, set, spans};
use crate::schedule::days::{DayUnion, Days, any_dom, any_dow};
use crate::schedule::error::{ScheduleError, quote};
use crate::schedule::field::{Set, Unit, Word, starts_with_ignore_case};
use crate::schedule::layout::{Name, Part, Test};

/// Monday first, as systemd counts.
pub(super) const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

#[derive(Debug, Default)]
pub(super) struct Spec<'a> {
    /// Sunday is 0. Empty is any.
    weekdays: Set,
    years: Option<Box<[Span]>>,
    months: Option<Set>,
    /// The days, by the length of the month.
    days: Option<[Set; 4]>,
    hours: Option<Set>,
    minutes: Option<Set>,
    micros: Box<[Span]>,
    pub(super) utc: bool,
    texts: Texts<'a>,
}

/// What is written of each; absent where nothing is.
#[derive(Clone, Debug, Default)]
struct Texts<'a> {
    weekdays: Option<&'a str>,
    year: Option<&'a str>,
    month: Option<&'a str>,
    day: Option<&'a str>,
    hour: Option<&'a str>,
    minute: Option<&'a str>,
    second: Option<&'a str>,
}

impl<'a> Spec<'a> {
    pub(super) fn parse(word: Word<'a>) -> Result<Spec<'a>, ScheduleError> {
        let mut spec = Spec::default();
        let rest = spec.parse_weekdays(word)?;
        spec.texts.weekdays = written(word, rest);
        let word = rest;
        if let Some(seconds) = word.text.strip_prefix('@') {
            spec.parse_epoch(word.from(word.text.len() - seconds.len()))?;
            let all = Some(word.text);
            spec.texts = Texts {
                weekdays: spec.texts.weekdays,
                year: all,
                month: all,
                day: all,
                hour: all,
                minute: all,
                second: all,
            };
            return Ok(spec);
        }
        let word = spec.parse_date(word)?;
        spec.parse_time(word)?;
        Ok(spec)
    }

    fn parse_weekdays(&mut self, word: Word<'a>) -> Result<Word<'a>, ScheduleError> {
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
    fn parse_date(&mut self, word: Word<'a>) -> Result<Word<'a>, ScheduleError> {
        if word.text.is_empty() {
            return Ok(word);
        }
        let (first, rest) = list(word, false)?;
        if rest.text.is_empty() || rest.text.starts_with(':') {
            return Ok(word);
        }
        let first_text = written(word, rest);
        let here = rest;
        let (second_from_end, rest) = date_separator(rest)?;
        let second_word = if second_from_end { here } else { rest };
        let (second, rest) = list(rest, false)?;
        let second_text = written(second_word, rest);
        let (years, months, days, from_end, rest) = if rest.text.is_empty() || rest.text.starts_with(' ') {
            (self.texts.month, self.texts.day) = (first_text, second_text);
            (None, first, second, second_from_end, rest)
        } else if second_from_end {
            return Err(word_here(rest).error("nothing follows a day that is counted from the month's end"));
        } else {
            let here = rest;
            let (third_from_end, rest) = date_separator(rest)?;
            let third_word = if third_from_end { here } else { rest };
            let (third, rest) = list(rest, false)?;
            (self.texts.year, self.texts.month) = (first_text, second_text);
            self.texts.day = written(third_word, rest);
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

    fn parse_time(&mut self, word: Word<'a>) -> Result<(), ScheduleError> {
        let zero = || Some(Set::one(0));
        self.micros = Box::from([Span { start: 0, stop: 0, step: 1 }]);
        if word.text.is_empty() {
            (self.hours, self.minutes) = (zero(), zero());
            return Ok(());
        }
        let (hours, rest) = list(word, false)?;
        self.texts.hour = written(word, rest);
        self.hours = hours.map(|list| set(&list, &Scale::HOUR)).transpose()?;
        let word = colon(rest)?;
        let (minutes, rest) = list(word, false)?;
        self.texts.minute = written(word, rest);
        self.minutes = minutes.map(|list| set(&list, &Scale::MINUTE)).transpose()?;
        if rest.text.is_empty() {
            return Ok(());
        }
        let word = colon(rest)?;
        let (seconds, rest) = list(word, true)?;
        self.texts.second = written(word, rest);
        self.micros = spans(&seconds.unwrap_or_default(), &Scale::SECOND)?;
        if rest.text.is_empty() {
            Ok(())
        } else {
            Err(rest.error(format!("{} is out of place here", quote(rest.text))))
        }
    }

    /// The days of the month as boxes, each also on a weekday that fits.
    fn days(&self, months: Set, weekdays: Set) -> Vec<Days> {
        let mut days = DayUnion::new(months);
        match self.days {
            None => days.add(any_dom(), weekdays),
            Some(sets) if sets.iter().all(|set| *set == sets[0]) => days.add(sets[0], weekdays),
            Some(sets) => days.add_by_length(weekdays, |length| sets[(31 - length.clamp(28, 31)) as usize]),
        }
        days.boxes()
    }

    fn weekdays(&self) -> Set {
        if self.weekdays.is_empty() { any_dow() } else { self.weekdays }
    }

    fn years(&self) -> Box<[Span]> {
        let all = Span { start: Scale::YEAR.min, stop: Scale::YEAR.max, step: 1 };
        self.years.clone().unwrap_or(Box::from([all]))
    }

    pub(super) fn calendar(self) -> Option<Calendar> {
        let days = self.days(self.months.unwrap_or(Unit::MONTH.all()), self.weekdays());
        let years = Years::Spans(self.years());
        Calendar::new(
            self.minutes.unwrap_or(Unit::MINUTE.all()),
            self.hours.unwrap_or(Unit::HOUR.all()),
            &days,
            Seconds::Micros(self.micros),
            years,
        )
    }

    /// The fields one by one, in the order in which they are written.
    pub(super) fn parts(self) -> Vec<Part> {
        let texts = &self.texts;
        // Without a time it is midnight, without seconds the whole minute; the rest is any.
        let time = if texts.hour.is_some() { "*" } else { "0" };
        let doms = match self.days {
            None => Test::Values(any_dom()),
            Some(_) => Test::Days(self.days(Unit::MONTH.all(), any_dow())),
        };
        let values = |set: Option<Set>, unit: &Unit| Test::Values(set.unwrap_or(unit.all()));
        let mut parts = vec![
            Part::new(Name::DayOfWeek, texts.weekdays.unwrap_or("*"), Test::Values(self.weekdays())),
            Part::new(Name::Year, texts.year.unwrap_or("*"), Test::Years(self.years().into())),
            Part::new(Name::Month, texts.month.unwrap_or("*"), values(self.months, &Unit::MONTH)),
            Part::new(Name::DayOfMonth, texts.day.unwrap_or("*"), doms),
            Part::new(Name::Hour, texts.hour.unwrap_or(time), values(self.hours, &Unit::HOUR)),
            Part::new(Name::Minute, texts.minute.unwrap_or(time), values(self.minutes, &Unit::MINUTE)),
        ];
        let second = texts.second.unwrap_or("0");
        parts.push(Part::new(Name::Second, second, Test::Seconds(Seconds::Micros(self.micros))));
        parts
    }
}

/// What stands before `rest`, without the blanks; absent where nothing does.
fn written<'a>(word: Word<'a>, rest: Word<'a>) -> Option<&'a str> {
    let text = word.text.get(..rest.start - word.start).unwrap_or_default().trim_end();
    (!text.is_empty()).then_some(text)
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
