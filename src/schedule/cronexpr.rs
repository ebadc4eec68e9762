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

mod special;

use jiff::tz::TimeZone;

use super::calendar::{Calendar, Seconds, Span, Years};
use super::days::{DayUnion, any_dom, any_dow};
use super::error::{Doubt, ScheduleError, quote};
use super::field::{Base, Item, Set, Unit, Word, doubt_or, reversed};
use super::layout::{Layout, Name, Part, Test, five, stands_for};
use super::zone::{ClockRule, Fold, Gap};
use super::{Parsed, Rhythm};
use special::{DomField, DowField};

const CLOCK_RULE: ClockRule = ClockRule::of_dialect(Gap::Skip, Fold::First);
const YEAR_MIN: u32 = 1970;
const YEAR_MAX: u32 = 2099;
const STARS: [&str; 2] = ["*", "?"];

pub(super) fn parse(text: &str, zone: &TimeZone) -> Result<Parsed, ScheduleError> {
    let mut doubts = Vec::new();
    let word = Word::new(text);
    let trimmed = text.trim_matches(is_blank);
    let named = named(trimmed);
    if named.is_none() && trimmed.starts_with('@') {
        return Err(word
            .error(format!("{} is not a schedule that has a name", quote(trimmed)))
            .hint("one of @yearly, @annually, @monthly, @weekly, @daily, @hourly; in small letters"));
    }
    let calendar = match named {
        Some(fields) => calendar(Word::new(fields), &mut Vec::new())?,
        None => calendar(word, &mut doubts)?,
    };
    Ok(Parsed { rhythm: Rhythm::Calendar(calendar, CLOCK_RULE), zone: zone.clone(), doubts })
}

/// The fields for which a name stands.
fn named(text: &str) -> Option<&'static str> {
    Some(match text {
        "@yearly" | "@annually" => "0 0 0 1 1 * *",
        "@monthly" => "0 0 0 1 * * *",
        "@weekly" => "0 0 0 * * 0 *",
        "@daily" => "0 0 0 * * * *",
        "@hourly" => "0 0 * * * * *",
        _ => return None,
    })
}

fn is_blank(c: char) -> bool {
    c.is_ascii_whitespace()
}

/// What the fields say.
struct Fields<'a> {
    seconds: Set,
    minutes: Set,
    hours: Set,
    doms: DomField,
    months: Set,
    dows: DowField,
    years: Vec<Span>,
    /// The words for them, in this order; what they mean where they are not written.
    words: [Word<'a>; 7],
}

impl Fields<'_> {
    /// A day must fit what is no star of the two; where neither is, one of them is enough.
    fn either_day(&self) -> bool {
        !self.doms.star && !self.dows.star
    }
}

fn fields(text: Word<'_>) -> Result<Fields<'_>, ScheduleError> {
    let words = text.fields(is_blank);
    let (second, words, year) = match *words.as_slice() {
        [] => return Err(text.error("the schedule is empty")),
        [minute, hour, dom, month, dow] => (None, [minute, hour, dom, month, dow], None),
        [minute, hour, dom, month, dow, year] => (None, [minute, hour, dom, month, dow], Some(year)),
        [second, minute, hour, dom, month, dow, year] => (Some(second), [minute, hour, dom, month, dow], Some(year)),
        ref other => {
            return Err(text
                .error(format!("5, 6 or 7 fields are needed, here are {}", other.len()))
                .hint("minute hour day month weekday; a sixth is the year; with seven the first is seconds"));
        }
    };
    let [minute, hour, dom, month, dow] = words;
    let (second, year) = (second.unwrap_or(Word::new("0")), year.unwrap_or(Word::new("*")));
    Ok(Fields {
        seconds: plain(second, &Unit::SECOND)?,
        minutes: plain(minute, &Unit::MINUTE)?,
        hours: plain(hour, &Unit::HOUR)?,
        months: plain(month, &Unit::MONTH)?,
        doms: DomField::parse(dom)?,
        dows: DowField::parse(dow)?,
        years: years(year)?,
        words: [second, minute, hour, dom, month, dow, year],
    })
}

fn calendar(text: Word, doubts: &mut Vec<Doubt>) -> Result<Calendar, ScheduleError> {
    let fields = fields(text)?;
    let mut days = DayUnion::new(fields.months);
    if fields.doms.star && fields.dows.star {
        days.add(any_dom(), any_dow());
    }
    if !fields.doms.star {
        fields.doms.add_to(&mut days);
    }
    if !fields.dows.star {
        fields.dows.add_to(&mut days);
    }
    if fields.either_day() {
        doubt_or(doubts, fields.words[3], fields.words[5]);
    }
    let (seconds, years) = (Seconds::Whole(fields.seconds), Years::Spans(fields.years.into()));
    Calendar::new(fields.minutes, fields.hours, &days.boxes(), seconds, years)
        .ok_or_else(|| text.error("this schedule cannot be computed"))
}

/// A good text field by field.
pub(super) fn layout(text: &str) -> Option<Layout> {
    let written = text.trim_matches(is_blank);
    let name = named(written);
    let fields = fields(Word::new(name.unwrap_or(written))).ok()?;
    let either_day = fields.either_day();
    let days_of = |add: &dyn Fn(&mut DayUnion)| {
        let mut days = DayUnion::new(Unit::MONTH.all());
        add(&mut days);
        Test::Days(days.boxes())
    };
    let doms = match fields.doms.star {
        true => Test::Values(any_dom()),
        false => days_of(&|days| fields.doms.add_to(days)),
    };
    let dows = match fields.dows.star {
        true => Test::Values(any_dow()),
        false => days_of(&|days| fields.dows.add_to(days)),
    };
    let [second, minute, hour, dom, month, dow, year] = fields.words;
    let [minutes, hours, months] = [fields.minutes, fields.hours, fields.months].map(Test::Values);
    let mut parts = vec![Part::new(Name::Second, second.text, Test::Seconds(Seconds::Whole(fields.seconds)))];
    parts.extend(five([minute, hour, dom, month, dow], [minutes, hours, doms, months, dows]));
    parts.push(Part::new(Name::Year, year.text, Test::Years(fields.years)));
    let rules = name.map(|fields| stands_for(written, fields)).into_iter().collect();
    Some(Layout { parts, either_day, rules })
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
