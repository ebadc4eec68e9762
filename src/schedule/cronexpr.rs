//! `github.com/gorhill/cronexpr`: what its `cronexpr_parse.go` and `cronexpr_next.go` make of a text.
//!
//! Five fields; six are five and a year; seven are seconds, five and a year (1970 to 2099, after which nothing runs).
//! `?` is `*`. Day of month and day of week are joined by OR unless one of them has a bare star among its items; `*/1`
//! is no bare star. `L`, `LW` and `15W` in the day of month, `5L` and `5#3` in the day of week. Names may be long.
//! A step is at most the field's largest value.
//!
//! Left out on purpose, each refused with an error: ranges that are empty there and so never run (`fri-sun`, `5-7`,
//! `22-2`, which even panics), empty items of a list, and fields after the seventh (ignored there). `01` is 1 in every
//! field, and nothing loops when clocks change; both are bugs of the original.

use super::calendar::{Calendar, Seconds, Span, Years};
use super::days::{DayUnion, any_dom, any_dow};
use super::error::{Doubt, ScheduleError, quote};
use super::field::{Base, Item, Set, Unit, Word, doubt_or, reversed};
use super::zone::{ClockRule, Fold, Gap};
use super::{Parsed, Rhythm};
use jiff::tz::TimeZone;

const CLOCK_RULE: ClockRule = ClockRule { gap: Gap::Skip, fold: Fold::First };
const YEAR_MIN: u32 = 1970;
const YEAR_MAX: u32 = 2099;
const STARS: [&str; 2] = ["*", "?"];

pub(super) fn parse(text: &str, zone: &TimeZone) -> Result<Parsed, ScheduleError> {
    let mut doubts = Vec::new();
    let word = Word::new(text);
    let trimmed = text.trim_matches(is_blank);
    let named = match trimmed {
        "@yearly" | "@annually" => Some("0 0 0 1 1 * *"),
        "@monthly" => Some("0 0 0 1 * * *"),
        "@weekly" => Some("0 0 0 * * 0 *"),
        "@daily" => Some("0 0 0 * * * *"),
        "@hourly" => Some("0 0 * * * * *"),
        _ if trimmed.starts_with('@') => {
            return Err(word
                .error(format!("{} is not a schedule that has a name", quote(trimmed)))
                .hint("one of @yearly, @annually, @monthly, @weekly, @daily, @hourly; in small letters"));
        }
        _ => None,
    };
    let calendar = match named {
        Some(fields) => calendar(Word::new(fields), &mut Vec::new())?,
        None => calendar(word, &mut doubts)?,
    };
    Ok(Parsed { rhythm: Rhythm::Calendar(calendar, CLOCK_RULE), zone: zone.clone(), doubts })
}

fn is_blank(c: char) -> bool {
    c.is_ascii_whitespace()
}

fn calendar(text: Word, doubts: &mut Vec<Doubt>) -> Result<Calendar, ScheduleError> {
    let words = text.fields(is_blank);
    let (second, words, year) = match words.as_slice() {
        [] => return Err(text.error("the schedule is empty")),
        [minute, hour, dom, month, dow] => (None, [minute, hour, dom, month, dow], None),
        [minute, hour, dom, month, dow, year] => (None, [minute, hour, dom, month, dow], Some(year)),
        [second, minute, hour, dom, month, dow, year] => (Some(second), [minute, hour, dom, month, dow], Some(year)),
        other => {
            return Err(text
                .error(format!("5, 6 or 7 fields are needed, here are {}", other.len()))
                .hint("minute hour day month weekday; a sixth is the year; with seven the first is seconds"));
        }
    };
    let seconds = match second {
        Some(word) => plain(*word, &Unit::SECOND)?,
        None => Set::one(0),
    };
    let minutes = plain(*words[0], &Unit::MINUTE)?;
    let hours = plain(*words[1], &Unit::HOUR)?;
    let months = plain(*words[3], &Unit::MONTH)?;
    let doms = DomField::parse(*words[2])?;
    let dows = DowField::parse(*words[4])?;
    let years = match year {
        Some(word) => years(*word)?,
        None => vec![Span { start: YEAR_MIN, stop: YEAR_MAX, step: 1 }],
    };

    let mut days = DayUnion::new(months);
    if doms.star && dows.star {
        days.add(any_dom(), any_dow());
    }
    if !doms.star {
        doms.add_to(&mut days);
    }
    if !dows.star {
        dows.add_to(&mut days);
    }
    if !doms.star && !dows.star {
        doubt_or(doubts, *words[2], *words[4]);
    }
    Calendar::new(minutes, hours, &days.boxes(), Seconds::Whole(seconds), Years::Spans(years.into()))
        .ok_or_else(|| text.error("this schedule cannot be computed"))
}

/// A field without specialities. A bare star anywhere makes it full.
fn plain(word: Word, unit: &Unit) -> Result<Set, ScheduleError> {
    word.split(|c| c == ',').try_fold(Set::default(), |set, word| Ok(set | item(word, unit)?.0))
}

/// The set an item names, and whether it is a bare star.
fn item(word: Word, unit: &Unit) -> Result<(Set, bool), ScheduleError> {
    let item = Item::parse(word, unit, &STARS, |value| value_of(unit, value))?;
    // A week has the days 0 to 6; the 7 that Sunday may also be called ends no range.
    let last = if *unit == Unit::DOW7 { 6 } else { unit.max };
    let step = match item.step {
        None => 1,
        Some((step, _)) if step <= last => step,
        Some((_, at)) => return Err(at.error(format!("a step is at most {last} in the {}", unit.name))),
    };
    let (low, high) = match item.base {
        Base::Star if item.step.is_some() && word.text.starts_with('?') => {
            return Err(word.error("`?` takes no step").hint("write `*` instead"));
        }
        Base::Star => (unit.min, last),
        Base::One(value) if item.step.is_some() => (value % (last + 1), last),
        Base::One(value) => (value, value),
        Base::Range(_, high) if high > last => {
            return Err(word.error("7 is Sunday, but ends no range").hint("Sunday is 0: `5-7` is `5,6,0`"));
        }
        Base::Range(low, high) if low <= high => (low, high),
        Base::Range(..) => return Err(reversed(word)),
    };
    let set = Set::span(low, high, step);
    Ok((sunday_is_0(set, unit), matches!(item.base, Base::Star) && item.step.is_none()))
}

fn sunday_is_0(set: Set, unit: &Unit) -> Set {
    if *unit == Unit::DOW7 && set.contains(7) { Set(set.0 & 0x7f | 1) } else { set }
}

/// At most two digits, or a name of three letters or in full.
fn value_of(unit: &Unit, word: Word) -> Result<u32, ScheduleError> {
    const LONG: [&str; 19] = [
        "january",
        "february",
        "march",
        "april",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
        "sunday",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "may",
    ];
    if word.is_digits() && word.text.len() > 2 {
        return Err(unit.not_a_value(word));
    }
    let long = LONG.iter().any(|name| name.eq_ignore_ascii_case(word.text));
    let short = Word { text: if long { &word.text[..3] } else { word.text }, start: word.start };
    unit.value(short).map_err(|_| unit.not_a_value(word))
}

#[derive(Default)]
struct DomField {
    star: bool,
    plain: Set,
    workdays: Set,
    last: bool,
    last_workday: bool,
}

impl DomField {
    fn parse(word: Word) -> Result<DomField, ScheduleError> {
        let mut field = DomField::default();
        for word in word.split(|c| c == ',') {
            if word.text.eq_ignore_ascii_case("l") {
                field.last = true;
            } else if word.text.eq_ignore_ascii_case("lw") {
                field.last_workday = true;
            } else if let Some(day) = word.text.strip_suffix(['W', 'w']) {
                let day = value_of(&Unit::DOM, Word { text: day, start: word.start }).map_err(|_| {
                    word.error(format!("{} is not a day with a W", quote(word.text))).hint("one day, as in `15W`")
                })?;
                field.workdays |= Set::one(day);
            } else {
                let (set, star) = item(word, &Unit::DOM)?;
                field.plain |= set;
                field.star |= star;
            }
        }
        Ok(field)
    }

    fn add_to(&self, days: &mut DayUnion) {
        days.add(self.plain, any_dow());
        if self.last {
            days.add_by_length(any_dow(), Set::one);
        }
        if !self.workdays.is_empty() {
            days.add_workdays(self.workdays);
        }
        if self.last_workday {
            days.add_last_workday();
        }
    }
}

#[derive(Default)]
struct DowField {
    star: bool,
    plain: Set,
    last: Set,
    /// `5#3`: index 2 holds the days that count in the third week.
    nth: [Set; 5],
}

impl DowField {
    fn parse(word: Word) -> Result<DowField, ScheduleError> {
        let unit = &Unit::DOW7;
        let mut field = DowField::default();
        for word in word.split(|c| c == ',') {
            let (day, nth) = word.split_once('#');
            if let Some(nth) = nth {
                let day = value_of(unit, day)?;
                let week = match nth.text.as_bytes() {
                    &[digit @ b'1'..=b'5'] => usize::from(digit - b'1'),
                    _ => return Err(nth.error(format!("{} is not a week of a month (1 to 5)", quote(nth.text)))),
                };
                field.nth[week] |= Set::one(day % 7);
            } else if let Some(day) =
                word.text.strip_suffix(['L', 'l']).filter(|day| unit.named(day).is_some() || day_like(day))
            {
                let day = value_of(unit, Word { text: day, start: word.start })?;
                field.last |= Set::one(day % 7);
            } else {
                let (set, star) = item(word, unit)?;
                field.plain |= set;
                field.star |= star;
            }
        }
        Ok(field)
    }

    fn add_to(&self, days: &mut DayUnion) {
        days.add(any_dom(), self.plain);
        days.add_by_length(self.last, |length| Set::span(length - 6, length, 1));
        for (week, dows) in (0..).zip(self.nth) {
            days.add(Set::span(week * 7 + 1, week * 7 + 7, 1) & any_dom(), dows);
        }
    }
}

/// Is this the day of `dayL`, and not an ordinary word that ends in an L?
fn day_like(day: &str) -> bool {
    day.bytes().all(|b| b.is_ascii_digit()) && !day.is_empty() || day.to_ascii_lowercase().ends_with("day")
}

fn years(word: Word) -> Result<Vec<Span>, ScheduleError> {
    const UNIT: Unit = Unit::year(YEAR_MIN, YEAR_MAX);
    let all = Span { start: YEAR_MIN, stop: YEAR_MAX, step: 1 };
    word.split(|c| c == ',')
        .map(|word| {
            let item = Item::parse(word, &UNIT, &STARS, |value| UNIT.value(value))?;
            let step = match item.step {
                None => 1,
                Some((step, _)) if step <= 59 || (YEAR_MIN..=YEAR_MAX).contains(&step) => step,
                Some((_, at)) => return Err(at.error("a step is at most 59 in the year")),
            };
            Ok(match item.base {
                Base::Star => Span { step, ..all },
                Base::One(year) if item.step.is_some() => Span { start: year, stop: YEAR_MAX, step },
                Base::One(year) => Span { start: year, stop: year, step: 1 },
                Base::Range(start, stop) if start <= stop => Span { start, stop, step },
                Base::Range(..) => return Err(reversed(word)),
            })
        })
        .collect()
}
