//! `github.com/robfig/cron` v3 with optional seconds: what its `parser.go` and `spec.go` make of a text.
//!
//! Five fields, or six of which the first is seconds. `?` is `*`. Day of month and day of week are joined by OR, unless
//! one of them has an item that is a star without a step above 1. `N/step` runs to the field's end. Sunday is 0 only.
//! A text may begin with `TZ=zone ` or `CRON_TZ=zone `. A search ends five years ahead.
//!
//! Left out on purpose, each refused with an error: `*-5` (the end is ignored there), `+5`, empty items of a list, and
//! `TZ=UTC` with nothing behind it (which panics there). Its bugs where midnight does not exist are not copied either.

use jiff::tz::TimeZone;

use super::calendar::{Calendar, Seconds, Years};
use super::days::{DayUnion, any_dow};
use super::error::{Doubt, ScheduleError, quote};
use super::field::{Base, Item, Set, Unit, Word, doubt_or, doubt_step, reversed};
use super::layout::{Layout, Name, Part, Test, five, stands_for};
use super::zone::{ClockRule, Fold, Gap, parse_zone};
use super::{Parsed, Rhythm, every};

const CLOCK_RULE: ClockRule = ClockRule::of_dialect(Gap::Skip, Fold::Both);
const SEARCHED_YEARS: i32 = 5;

pub(super) fn parse(text: &str, zone: &TimeZone) -> Result<Parsed, ScheduleError> {
    let mut doubts = Vec::new();
    let (rest, zone) = zone_prefix(Word::new(text), zone, &mut doubts)?;
    let rhythm = if rest.text.starts_with('@') { descriptor(rest, &mut doubts)? } else { fields(rest, &mut doubts)? };
    Ok(Parsed { rhythm, zone, doubts })
}

fn zone_prefix<'a>(
    text: Word<'a>,
    zone: &TimeZone,
    doubts: &mut Vec<Doubt>,
) -> Result<(Word<'a>, TimeZone), ScheduleError> {
    let Some(prefix) = ["TZ=", "CRON_TZ="].into_iter().find(|prefix| text.text.starts_with(prefix)) else {
        return Ok((text, zone.clone()));
    };
    let (name, rest) = text.from(prefix.len()).split_once(' ');
    let Some(rest) = rest else {
        return Err(text.error("a time zone, but no schedule behind it").hint(format!("`{prefix}zone * * * * *`")));
    };
    let trimmed = rest.text.trim_start();
    let rest = rest.from(rest.text.len() - trimmed.len());
    let rest = Word { text: trimmed.trim_end(), start: rest.start };
    let zone = match name.text {
        "" => {
            doubts.push(Doubt {
                code: "empty-zone",
                message: format!("`{prefix}` names no time zone, which means UTC"),
                at: text.start..name.start,
            });
            TimeZone::UTC
        }
        "Local" => zone.clone(),
        _ => parse_zone(name.text).map_err(|message| name.error(message))?,
    };
    Ok((rest, zone))
}

fn descriptor(word: Word, doubts: &mut Vec<Doubt>) -> Result<Rhythm, ScheduleError> {
    if let Some(period) = word.text.strip_prefix("@every ") {
        return every::parse(word.from(word.text.len() - period.len()), doubts).map(Rhythm::Every);
    }
    let Some(fields) = named(word.text) else {
        let error = word.error(format!("{} is not a schedule that has a name", quote(word.text)));
        return Err(if word.text == "@every" {
            error.hint("`@every 5m`")
        } else {
            error.hint("one of @yearly, @monthly, @weekly, @daily, @hourly, `@every 5m`; in small letters")
        });
    };
    self::fields(Word::new(fields), &mut Vec::new())
}

/// The fields for which a name stands.
fn named(text: &str) -> Option<&'static str> {
    Some(match text {
        "@yearly" | "@annually" => "0 0 0 1 1 *",
        "@monthly" => "0 0 0 1 * *",
        "@weekly" => "0 0 0 * * 0",
        "@daily" | "@midnight" => "0 0 0 * * *",
        "@hourly" => "0 0 * * * *",
        _ => return None,
    })
}

fn fields(text: Word, doubts: &mut Vec<Doubt>) -> Result<Rhythm, ScheduleError> {
    let Lists { seconds, minutes, hours, doms, months, dows, words } = lists(text, doubts)?;
    let mut days = DayUnion::new(months.set);
    if doms.star || dows.star {
        days.add(doms.set, dows.set);
    } else {
        days.add(doms.set, any_dow());
        days.add(super::days::any_dom(), dows.set);
        doubt_or(doubts, words[3], words[5]);
    }
    let years = Years::Within(SEARCHED_YEARS);
    let calendar = Calendar::new(minutes.set, hours.set, &days.boxes(), Seconds::Whole(seconds.set), years)
        .ok_or_else(|| text.error("this schedule cannot be computed"))?;
    Ok(Rhythm::Calendar(calendar, CLOCK_RULE))
}

struct List {
    set: Set,
    star: bool,
}

/// What the fields say.
struct Lists<'a> {
    seconds: List,
    minutes: List,
    hours: List,
    doms: List,
    months: List,
    dows: List,
    /// The words for them, in this order; `0` for seconds that are not written.
    words: [Word<'a>; 6],
}

fn lists<'a>(text: Word<'a>, doubts: &mut Vec<Doubt>) -> Result<Lists<'a>, ScheduleError> {
    let words = text.fields(|c| c.is_ascii_whitespace() || c == '\u{b}');
    let (seconds, [minutes, hours, doms, months, dows]) = match words.as_slice() {
        [] => return Err(text.error("the schedule is empty")),
        [minute, hour, dom, month, dow] => (None, [minute, hour, dom, month, dow]),
        [second, minute, hour, dom, month, dow] => (Some(second), [minute, hour, dom, month, dow]),
        other => {
            return Err(text
                .error(format!("5 or 6 fields are needed, here are {}", other.len()))
                .hint("minute hour day month weekday, with seconds before them if needed"));
        }
    };
    let mut field = |word: &Word, unit| list(*word, unit, doubts);
    Ok(Lists {
        seconds: match seconds {
            Some(word) => field(word, &Unit::SECOND)?,
            None => List { set: Set::one(0), star: false },
        },
        minutes: field(minutes, &Unit::MINUTE)?,
        hours: field(hours, &Unit::HOUR)?,
        doms: field(doms, &Unit::DOM)?,
        months: field(months, &Unit::MONTH)?,
        dows: field(dows, &Unit::DOW)?,
        words: [seconds.copied().unwrap_or(Word::new("0")), *minutes, *hours, *doms, *months, *dows],
    })
}

/// A good text as robfig's own sets of second, minute, hour, day of month, month and day of week: bit i is set for the
/// value i, bit 63 for a star. `None` for a text without fields.
pub(super) fn masks(text: &str) -> Option<[u64; 6]> {
    let written = without_zone(text)?;
    let fields = if written.starts_with('@') { named(written)? } else { written };
    let lists = lists(Word::new(fields), &mut Vec::new()).ok()?;
    let mask = |list: List| list.set.0 | (u64::from(list.star) << 63);
    Some([lists.seconds, lists.minutes, lists.hours, lists.doms, lists.months, lists.dows].map(mask))
}

fn without_zone(text: &str) -> Option<&str> {
    match text.strip_prefix("TZ=").or_else(|| text.strip_prefix("CRON_TZ=")) {
        Some(zone) => Some(zone.split_once(' ')?.1.trim()),
        None => Some(text),
    }
}

/// A good text field by field. `None` for a text without fields.
pub(super) fn layout(text: &str) -> Option<Layout> {
    let written = without_zone(text)?;
    let name = written.starts_with('@').then(|| named(written));
    let fields = name.unwrap_or(Some(written))?;
    let Lists { seconds, minutes, hours, doms, months, dows, words } =
        lists(Word::new(fields), &mut Vec::new()).ok()?;
    let either_day = !doms.star && !dows.star;
    let [second, rest @ ..] = words;
    let mut parts = vec![Part::new(Name::Second, second.text, Test::Seconds(Seconds::Whole(seconds.set)))];
    parts.extend(five(rest, [minutes, hours, doms, months, dows].map(|list| Test::Values(list.set))));
    let rules = name.map(|_| stands_for(written, fields)).into_iter().collect();
    Some(Layout { parts, either_day, rules })
}

fn list(word: Word, unit: &Unit, doubts: &mut Vec<Doubt>) -> Result<List, ScheduleError> {
    let mut list = List { set: Set::default(), star: false };
    for word in word.split(|c| c == ',') {
        let item = Item::parse(word, unit, &["*", "?"], |value| value_of(unit, value))?;
        let step = item.step.map_or(1, |(step, _)| step);
        let (low, high) = match item.base {
            Base::Star => (unit.min, unit.max),
            Base::One(low) if item.step.is_some() => (low, unit.max),
            Base::One(value) => (value, value),
            Base::Range(low, high) if low <= high => (low, high),
            Base::Range(..) => return Err(reversed(word)),
        };
        doubt_step(doubts, unit, low, high, item.step);
        list.star |= matches!(item.base, Base::Star) && step == 1;
        list.set |= Set::span(low, high, step);
    }
    Ok(list)
}

fn value_of(unit: &Unit, word: Word) -> Result<u32, ScheduleError> {
    unit.value(word).map_err(|error| match word.text {
        "7" if *unit == Unit::DOW => error.hint("Sunday is 0 here"),
        text if text.starts_with('+') => error.hint("write the number without a sign"),
        _ => error,
    })
}
