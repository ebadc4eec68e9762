//! `at: 2026-12-01T02:30`: one instant and no other.
//!
//! With an offset (RFC 3339) it is that instant. Without one it is a wall time of the job's zone: one that does not exist
//! is due when the clock has jumped over it, one that comes twice the first time.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

use super::error::{ScheduleError, quote};
use super::field::Word;
use super::upcoming::Kind;

/// An instant, and what the wall time is that it was written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Once {
    pub(super) at: Timestamp,
    /// As written, in the zone or in the offset that was given.
    pub(super) wall: DateTime,
    /// Always plain where an offset was given.
    pub(super) kind: Kind,
}

const FORMS: &str = "write it as in `2026-12-01T02:30`, or with its offset: `2026-12-01T02:30:00+01:00`";

pub(super) fn parse(text: &str, zone: &TimeZone) -> Result<Once, ScheduleError> {
    let word = Word::new(text);
    let refused = || word.error(format!("{} is not a date and a time", quote(text))).hint(FORMS);
    let (local, offset) = split_offset(text);
    if !is_date_and_time(local, offset.is_some()) {
        return Err(refused());
    }
    // jiff takes `:60` for a leap second, and what it takes for one is another second.
    let wall: DateTime = local.parse().map_err(|_| refused())?;
    if local.get(17..19) == Some("60") {
        return Err(refused());
    }
    let outside = |_| word.error("this is no instant of the years that can be computed");
    if let Some(offset) = offset {
        let offset = seconds_of(offset).and_then(|seconds| Offset::from_seconds(seconds).ok()).ok_or_else(refused)?;
        return Ok(Once { at: offset.to_timestamp(wall).map_err(outside)?, wall, kind: Kind::Plain });
    }
    let ambiguous = zone.to_ambiguous_timestamp(wall);
    let (kind, at) = match ambiguous.offset() {
        AmbiguousOffset::Unambiguous { .. } => (Kind::Plain, ambiguous.earlier().map_err(outside)?),
        AmbiguousOffset::Fold { .. } => (Kind::FoldFirst, ambiguous.earlier().map_err(outside)?),
        AmbiguousOffset::Gap { .. } => {
            // Read by the offset after the gap, it lies before the jump; and no other change lies between.
            let before = ambiguous.earlier().map_err(outside)?;
            let jump = zone.following(before).next().ok_or_else(refused)?;
            (Kind::Gap, jump.timestamp())
        }
    };
    Ok(Once { at, wall, kind })
}

/// The text without its offset, and `Z` or `+01:00`.
fn split_offset(text: &str) -> (&str, Option<&str>) {
    // Behind the date, in which `-` stands too.
    let at = text.char_indices().skip(10).find(|&(_, c)| matches!(c, 'Z' | '+' | '-')).map(|(at, _)| at);
    match at {
        Some(at) => (&text[..at], Some(&text[at..])),
        None => (text, None),
    }
}

/// `2026-12-01T02:30`, with seconds, and with decimals of them where they may be.
fn is_date_and_time(text: &str, decimals: bool) -> bool {
    const SHAPE: &[u8] = b"0000-00-00T00:00:00";
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
    let shaped = whole.bytes().zip(SHAPE).all(|(byte, shape)| match shape {
        b'0' => byte.is_ascii_digit(),
        b'T' => byte == b'T' || byte == b' ',
        _ => byte == *shape,
    });
    let digits = |text: &str| (1..=6).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let fraction = fraction.is_none_or(|fraction| decimals && whole.len() == SHAPE.len() && digits(fraction));
    shaped && matches!(whole.len(), 16 | 19) && fraction
}

/// `Z`, `+01:00`.
fn seconds_of(offset: &str) -> Option<i32> {
    if offset == "Z" {
        return Some(0);
    }
    let sign = if offset.starts_with('-') { -1 } else { 1 };
    let number = |from: usize| {
        let digits = offset.get(from..from + 2).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        digits.and_then(|digits| digits.parse::<i32>().ok())
    };
    let (hours, minutes) = (number(1)?, number(4)?);
    let good = offset.len() == 6 && offset.as_bytes().get(3) == Some(&b':') && hours < 24 && minutes < 60;
    good.then_some(sign * (hours * 3600 + minutes * 60))
}
