//! The crontab of cronie's `crond`: what its `entry.c` and `cron.c` make of the five time fields of a line.
//!
//! Day of month and day of week are joined by AND if the text of either begins with `*` (so `*/2` counts, `10,*` does
//! not), else by OR. A job whose minute or hour begins with `*` follows the wall clock; any other has fixed times, which
//! are made up for when the clock jumps over them and do not repeat when it is set back. Sunday is 0 and 7, and a range
//! to 0 ends on Sunday (`fri-sun`). `~` picks one value of a range, there anew at each load, here for ever by job.
//!
//! Left out on purpose: reversed ranges (crond takes `22-2` for a set that is empty, so the job never runs), and the
//! `-` before a line, which is about logging.

use jiff::tz::TimeZone;

use super::calendar::{Calendar, Seconds, Years};
use super::days::{DayUnion, any_dom, any_dow};
use super::error::{Doubt, ScheduleError, quote};
use super::field::{Base, Item, Set, Unit, Word, doubt_or, doubt_step, reversed};
use super::layout::{Layout, Name, Part, Test, five, stands_for};
use super::zone::{ClockRule, Fold, Gap};
use super::{Parsed, Rhythm};

const WILDCARD: ClockRule = ClockRule::of_dialect(Gap::Skip, Fold::Both);
const FIXED: ClockRule = ClockRule::of_dialect(Gap::AtEnd, Fold::First);
/// crond looks no further than the current minute, so this is only where a search ends: the longest wait of a schedule
/// that ever runs is forty years, from one 29 February on a given weekday to the next one across 2100.
const SEARCHED_YEARS: i32 = 44;

pub(super) fn parse(text: &str, zone: &TimeZone, seed: &str) -> Result<Parsed, ScheduleError> {
    let mut doubts = Vec::new();
    let words = Word::new(text).fields(|c| c == ' ' || c == '\t');
    let rhythm = match words.as_slice() {
        [] => return Err(Word::new(text).error("the schedule is empty")),
        [word] if word.text.starts_with('@') => descriptor(*word)?,
        [word, more, ..] if word.text.starts_with('@') => {
            return Err(more.error(format!("nothing may stand behind {}", quote(word.text))));
        }
        [minute, hour, dom, month, dow] => fields([*minute, *hour, *dom, *month, *dow], seed, &mut doubts)?,
        other => {
            return Err(Word::new(text)
                .error(format!("5 fields are needed, here are {}", other.len()))
                .hint("minute hour day month weekday; there are no seconds"));
        }
    };
    Ok(Parsed { rhythm, zone: zone.clone(), doubts })
}

fn descriptor(word: Word) -> Result<Rhythm, ScheduleError> {
    if word.text == "@reboot" {
        return Ok(Rhythm::Reboot);
    }
    let Some(text) = named(word.text) else {
        return Err(word
            .error(format!("{} is not a schedule that has a name", quote(word.text)))
            .hint("one of @reboot, @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly"));
    };
    match Word::new(text).fields(|c| c == ' ').as_slice() {
        [minute, hour, dom, month, dow] => fields([*minute, *hour, *dom, *month, *dow], "", &mut Vec::new()),
        _ => Err(word.error("this schedule cannot be computed")),
    }
}

/// The fields for which a name stands.
fn named(text: &str) -> Option<&'static str> {
    Some(match text {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        _ => return None,
    })
}

/// A good text field by field. `None` for a text without fields.
pub(super) fn layout(text: &str, seed: &str) -> Option<Layout> {
    let written = text.trim_matches([' ', '\t']);
    let name = written.starts_with('@').then(|| named(written));
    let fields = name.unwrap_or(Some(written))?;
    let words: [Word; 5] = Word::new(fields).fields(|c| c == ' ' || c == '\t').try_into().ok()?;
    let sets = sets(words, seed, &mut Vec::new()).ok()?;
    let mut parts = vec![Part::new(Name::Second, "0", Test::Seconds(Seconds::Whole(Set::one(0))))];
    parts.extend(five(words, sets.map(Test::Values)));
    let mut rules: Vec<String> = name.map(|_| stands_for(written, fields)).into_iter().collect();
    for word in words.iter().filter(|word| word.text.contains('~')) {
        rules.push(format!("`{}` stands for a value that the job's name has picked for ever", word.text));
    }
    let starred = |index: usize| words[index].text.starts_with('*');
    Some(Layout { parts, either_day: !starred(2) && !starred(4), rules })
}

/// The sets of minute, hour, day of month, month, and day of week (Sunday is 0).
fn sets(words: [Word; 5], seed: &str, doubts: &mut Vec<Doubt>) -> Result<[Set; 5], ScheduleError> {
    const UNITS: [Unit; 5] = [Unit::MINUTE, Unit::HOUR, Unit::DOM, Unit::MONTH, Unit::DOW7];
    let mut sets = [Set::default(); 5];
    for (index, (word, unit)) in words.iter().zip(UNITS).enumerate() {
        sets[index] = list(*word, &unit, &Pick { seed, field: index }, doubts)?;
    }
    if sets[4].contains(7) {
        sets[4] = Set(sets[4].0 & 0x7f | 1);
    }
    Ok(sets)
}

fn fields(words: [Word; 5], seed: &str, doubts: &mut Vec<Doubt>) -> Result<Rhythm, ScheduleError> {
    let [minutes, hours, doms, months, dows] = sets(words, seed, doubts)?;
    let starred = |index: usize| words[index].text.starts_with('*');

    let mut days = DayUnion::new(months);
    if starred(2) || starred(4) {
        days.add(doms, dows);
    } else {
        days.add(doms, any_dow());
        days.add(any_dom(), dows);
        doubt_or(doubts, words[2], words[4]);
    }
    let rule = if starred(0) || starred(1) { WILDCARD } else { FIXED };
    let seconds = Seconds::Whole(Set::one(0));
    let calendar = Calendar::new(minutes, hours, &days.boxes(), seconds, Years::Within(SEARCHED_YEARS))
        .ok_or_else(|| words[0].error("this schedule cannot be computed"))?;
    Ok(Rhythm::Calendar(calendar, rule))
}

fn list(word: Word, unit: &Unit, pick: &Pick, doubts: &mut Vec<Doubt>) -> Result<Set, ScheduleError> {
    let mut set = Set::default();
    for (index, word) in word.split(|c| c == ',').enumerate() {
        if word.text.contains('~') {
            set |= Set::one(random(word, unit, pick, index)?);
            continue;
        }
        let item = Item::parse(word, unit, &["*"], |value| value_of(unit, value))?;
        let (low, high) = match item.base {
            Base::Star => (unit.min, unit.max),
            Base::One(_) if item.step.is_some() => {
                return Err(word
                    .error(format!("{} has a step, but no range", quote(word.text)))
                    .hint("write `first-last/step`"));
            }
            Base::One(value) => (value, value),
            Base::Range(low, high) if low <= high => (low, high),
            // crond: a range that ends on 0 ends on Sunday, the 7, but only without a step.
            Base::Range(low, 0) if *unit == Unit::DOW7 && item.step.is_none() => (low, 7),
            Base::Range(..) => return Err(reversed(word)),
        };
        doubt_step(doubts, unit, low, high, item.step);
        set |= Set::span(low, high, item.step.map_or(1, |(step, _)| step));
    }
    Ok(set)
}

fn value_of(unit: &Unit, word: Word) -> Result<u32, ScheduleError> {
    unit.value(word).map_err(|error| match word.text {
        "?" => error.hint("write `*`; `?` belongs to other dialects"),
        _ => error,
    })
}

/// What makes one `~` pick differently from the next, and alike for ever.
struct Pick<'a> {
    seed: &'a str,
    field: usize,
}

/// `~`, `5~`, `~10`, `5~10`: one value of the range.
fn random(word: Word, unit: &Unit, pick: &Pick, index: usize) -> Result<u32, ScheduleError> {
    let (low, high) = word.split_once('~');
    let end = |word: Option<Word>, default| match word {
        Some(word) if !word.text.is_empty() => unit.value(word),
        _ => Ok(default),
    };
    let low = end(Some(low), unit.min)?;
    let high = end(high, unit.max)?;
    let Some(width) = high.checked_sub(low) else { return Err(reversed(word)) };
    let hash = hash(&[pick.seed.as_bytes(), &[pick.field as u8, index as u8], word.text.as_bytes()]);
    Ok(low + u32::try_from(hash % u64::from(width + 1)).unwrap_or(0))
}

/// FNV-1a with a final mix. Not the standard library's hash: that may change from one release to the next, and with it
/// the minute at which every such job runs.
fn hash(pieces: &[&[u8]]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for byte in pieces.iter().flat_map(|piece| piece.iter().chain(&[0xff])) {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(0xd6e8_feb8_6659_fd93);
    hash ^ hash >> 32
}
