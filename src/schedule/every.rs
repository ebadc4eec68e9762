//! `@every 1h30m`: a period counted from an anchor, in whole seconds, whatever the wall clock does.
//!
//! The grammar is Go's `time.ParseDuration`: a sign, then numbers with units, fractions allowed; no days. robfig drops
//! fractions of a second and takes anything below a second for one second; so do we, and say it.

use super::error::{Doubt, ScheduleError, quote};
use super::field::Word;

const UNITS: [(&str, i128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// The period in whole seconds, at least 1.
pub(super) fn parse(word: Word, doubts: &mut Vec<Doubt>) -> Result<i64, ScheduleError> {
    let nanos = duration(word)?;
    let seconds = i64::try_from(nanos / 1_000_000_000).unwrap_or(i64::MAX);
    let mut doubt = |code, message: String| doubts.push(Doubt { code, message, at: word.at() });
    if seconds < 1 {
        doubt("every-clamped", format!("{} is below a second: it runs every second", quote(word.text)));
        return Ok(1);
    }
    if nanos % 1_000_000_000 != 0 {
        doubt("every-truncated", format!("the fraction of a second is dropped: it runs every {seconds}s"));
    }
    Ok(seconds)
}

/// The same for a text by itself.
pub(super) fn nanoseconds(text: &str) -> Result<i64, ScheduleError> {
    let word = Word::new(text);
    i64::try_from(duration(word)?).map_err(|_| word.error("the duration is too long"))
}

/// A Go duration in nanoseconds, within 64 bits.
fn duration(word: Word) -> Result<i128, ScheduleError> {
    let invalid =
        || word.error(format!("{} is not a duration", quote(word.text))).hint("write it as in `90s`, `1h30m` or `24h`");
    let (negative, mut rest) = match word.text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, word.text.strip_prefix('+').unwrap_or(word.text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let whole = leading_digits(rest);
        rest = &rest[whole.len()..];
        let mut fraction = "";
        if let Some(after_point) = rest.strip_prefix('.') {
            fraction = leading_digits(after_point);
            rest = &after_point[fraction.len()..];
        }
        if whole.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        let unit_len = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
        let (unit, after_unit) = rest.split_at(unit_len);
        rest = after_unit;
        let Some(&(_, nanos)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            let error = invalid();
            return Err(match unit {
                "d" => error.hint("there are no days here, because a day is not always 24 hours long; write `24h`"),
                "" => error.hint("a unit is missing: h, m, s or ms"),
                _ => error,
            });
        };
        let too_long = || word.error(format!("the duration {} is too long", quote(word.text)));
        if whole.trim_start_matches('0').len() > 19 {
            return Err(too_long());
        }
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| invalid())? };
        total += whole * nanos + fraction_of(nanos, fraction);
        if total > i128::from(i64::MAX) + i128::from(negative) {
            return Err(too_long());
        }
    }
    Ok(if negative { -total } else { total })
}

/// `0.fraction × nanos`, rounded down. Digits beyond the eighteenth cannot matter.
fn fraction_of(nanos: i128, fraction: &str) -> i128 {
    let mut scale = 1i128;
    let mut value = 0i128;
    for digit in fraction.bytes().take(18) {
        value = value * 10 + i128::from(digit - b'0');
        scale *= 10;
    }
    value * nanos / scale
}

fn leading_digits(text: &str) -> &str {
    &text[..text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len())]
}

/// The first `anchor + k × period` (k at least 1) after `after`, all in whole seconds.
pub(super) fn next(period: i64, after: i64, anchor: i64) -> Option<i64> {
    let periods = after.checked_sub(anchor)?.div_euclid(period).max(0).checked_add(1)?;
    anchor.checked_add(periods.checked_mul(period)?)
}
