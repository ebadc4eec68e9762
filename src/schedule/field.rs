//! Words of a schedule text, each with its place, and the small sets of numbers they name.
//!
//! No arithmetic happens before a number is known to lie in its field's range: crond's CVE-2024-43688 was a step that
//! overflowed an index. Digits are ASCII digits only.

use std::ops::Range;

use super::error::{Doubt, ScheduleError, quote};

/// A piece of the text and where it begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word<'a> {
    pub(super) text: &'a str,
    pub(super) start: usize,
}

impl<'a> Word<'a> {
    pub(super) fn new(text: &'a str) -> Word<'a> {
        Word { text, start: 0 }
    }

    pub(super) fn at(&self) -> Range<usize> {
        self.start..self.start + self.text.len()
    }

    pub(super) fn error(&self, message: impl Into<String>) -> ScheduleError {
        ScheduleError::new(self.at(), message)
    }

    /// The part of this word from byte `from` on (which must lie on a character boundary).
    pub(super) fn from(&self, from: usize) -> Word<'a> {
        Word { text: &self.text[from..], start: self.start + from }
    }

    /// What stands before and after the first `separator`.
    pub(super) fn split_once(&self, separator: char) -> (Word<'a>, Option<Word<'a>>) {
        match self.text.find(separator) {
            None => (*self, None),
            Some(i) => (Word { text: &self.text[..i], start: self.start }, Some(self.from(i + separator.len_utf8()))),
        }
    }

    pub(super) fn split(&self, is_separator: impl Fn(char) -> bool) -> impl Iterator<Item = Word<'a>> {
        let mut rest = Some(*self);
        std::iter::from_fn(move || {
            let word = rest?;
            match word.text.char_indices().find(|&(_, c)| is_separator(c)) {
                None => rest.take(),
                Some((i, c)) => {
                    rest = Some(word.from(i + c.len_utf8()));
                    Some(Word { text: &word.text[..i], start: word.start })
                }
            }
        })
    }

    /// The non-empty words between blanks.
    pub(super) fn fields(&self, is_blank: impl Fn(char) -> bool) -> Vec<Word<'a>> {
        self.split(is_blank).filter(|word| !word.text.is_empty()).collect()
    }

    /// The whole word as a number of at most nine digits, so that nothing after it can overflow.
    pub(super) fn number(&self) -> Option<u32> {
        let digits = self.text.trim_start_matches('0');
        let plain = !self.text.is_empty() && self.text.bytes().all(|b| b.is_ascii_digit()) && digits.len() <= 9;
        if !plain {
            None
        } else if digits.is_empty() {
            Some(0)
        } else {
            digits.parse().ok()
        }
    }

    pub(super) fn is_digits(&self) -> bool {
        !self.text.is_empty() && self.text.bytes().all(|b| b.is_ascii_digit())
    }
}

/// What a field counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) name: &'static str,
    pub(super) min: u32,
    pub(super) max: u32,
    /// Names for values, the first for `min`.
    names: &'static [&'static str],
}

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Unit {
    pub(super) const SECOND: Unit = Unit { name: "second", min: 0, max: 59, names: &[] };
    pub(super) const MINUTE: Unit = Unit { name: "minute", min: 0, max: 59, names: &[] };
    pub(super) const HOUR: Unit = Unit { name: "hour", min: 0, max: 23, names: &[] };
    pub(super) const DOM: Unit = Unit { name: "day of month", min: 1, max: 31, names: &[] };
    pub(super) const MONTH: Unit = Unit { name: "month", min: 1, max: 12, names: MONTHS };
    /// Sunday is 0.
    pub(super) const DOW: Unit = Unit { name: "day of week", min: 0, max: 6, names: DAYS };
    /// Sunday is 0 and 7.
    pub(super) const DOW7: Unit = Unit { name: "day of week", min: 0, max: 7, names: DAYS };

    pub(super) const fn year(min: u32, max: u32) -> Unit {
        Unit { name: "year", min, max, names: &[] }
    }

    pub(super) fn all(&self) -> Set {
        Set::span(self.min, self.max, 1)
    }

    /// The value of a three-letter name in any letter case.
    pub(super) fn named(&self, name: &str) -> Option<u32> {
        let index = self.names.iter().position(|known| known.eq_ignore_ascii_case(name))?;
        u32::try_from(index).ok().map(|index| index + self.min)
    }

    /// A number or a three-letter name, in range.
    pub(super) fn value(&self, word: Word) -> Result<u32, ScheduleError> {
        let Some(value) = self.named(word.text).or_else(|| word.number()) else {
            return Err(self.not_a_value(word));
        };
        if value < self.min || value > self.max {
            return Err(self.out_of_range(word));
        }
        Ok(value)
    }

    pub(super) fn not_a_value(&self, word: Word) -> ScheduleError {
        if word.text.is_empty() {
            return word.error(format!("a {} is missing here", self.name));
        }
        if word.is_digits() {
            return self.out_of_range(word);
        }
        let error = word.error(format!("{} is not a {}", quote(word.text), self.name));
        match self.names.iter().find(|name| word.text.len() > 3 && starts_with_ignore_case(word.text, name)) {
            Some(name) => error.hint(format!("three letters: `{name}`")),
            None => error,
        }
    }

    fn out_of_range(&self, word: Word) -> ScheduleError {
        word.error(format!("{} is not a {} ({} to {})", quote(word.text), self.name, self.min, self.max))
    }
}

pub(super) fn starts_with_ignore_case(text: &str, prefix: &str) -> bool {
    text.as_bytes().get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}

/// One item of a comma-separated list, as all three cron dialects write it: `*`, `5`, `1-5`, each with or without
/// `/step`. What a combination means, and whether it is allowed, is the dialect's business.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item<'a> {
    pub(super) base: Base,
    pub(super) step: Option<(u32, Word<'a>)>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Base {
    Star,
    One(u32),
    Range(u32, u32),
}

impl<'a> Item<'a> {
    pub(super) fn parse(
        word: Word<'a>,
        unit: &Unit,
        stars: &[&str],
        value: impl Fn(Word<'a>) -> Result<u32, ScheduleError>,
    ) -> Result<Item<'a>, ScheduleError> {
        if word.text.is_empty() {
            return Err(word
                .error(format!("an item of the {} list is empty", unit.name))
                .hint("remove the comma that has nothing beside it"));
        }
        let (base, step) = word.split_once('/');
        let step = step.map(|step| step_value(step)).transpose()?;
        let (low, high) = base.split_once('-');
        let base = match high {
            _ if low.text.is_empty() && high.is_some() => return Err(base.error("a range has no beginning")),
            None if stars.contains(&low.text) => Base::Star,
            None => Base::One(value(low)?),
            Some(high) if stars.contains(&low.text) => {
                let extra = Word { text: &word.text[low.text.len()..high.at().end - word.start], start: low.at().end };
                return Err(extra
                    .error(format!("`{}` takes no end of range", low.text))
                    .hint(format!("write `{}` or `first-last`", low.text)));
            }
            Some(high) => Base::Range(value(low)?, value(high)?),
        };
        Ok(Item { base, step })
    }
}

fn step_value(word: Word) -> Result<(u32, Word), ScheduleError> {
    match word.number() {
        Some(0) => Err(word.error("a step of 0 never gets anywhere").hint("a step is 1 or more")),
        Some(step) => Ok((step, word)),
        None if word.is_digits() => Err(word.error(format!("the step {} is too large", quote(word.text)))),
        None => Err(word.error(format!("{} is not a step", quote(word.text)))),
    }
}

/// Refuses `22-2`: three programs take it for three different things, none of them "over midnight".
pub(super) fn reversed(word: Word) -> ScheduleError {
    word.error(format!("the range {} ends before it begins", quote(word.text)))
        .hint("write two ranges, as in `22-23,0-2`")
}

/// Says so when a step reaches beyond its range, so that only the first value is left (`*/60` is "minute 0").
pub(super) fn doubt_step(doubts: &mut Vec<Doubt>, unit: &Unit, low: u32, high: u32, step: Option<(u32, Word)>) {
    if let Some((step, word)) = step
        && step > high - low
        && high > low
    {
        doubts.push(Doubt {
            code: "step-beyond-range",
            message: format!("a step of {step} reaches beyond {low}-{high}: only {} {low} is left", unit.name),
            at: word.at(),
        });
    }
}

/// Both day fields are set, and the dialect runs on days that match either: seldom what "Friday the 13th" meant.
pub(super) fn doubt_or(doubts: &mut Vec<Doubt>, dom: Word, dow: Word) {
    doubts.push(Doubt {
        code: "dom-or-dow",
        message: "day of month and day of week are both set: it runs on days that match either of them".to_string(),
        at: dom.start..dow.at().end,
    });
}

/// A set of numbers below 64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Set(pub(super) u64);

impl Set {
    pub(super) fn one(value: u32) -> Set {
        Set(1u64.checked_shl(value).unwrap_or(0))
    }

    /// `low`, `low + step` … up to `high`. A step of 0 is taken for 1.
    pub(super) fn span(low: u32, high: u32, step: u32) -> Set {
        (low..=high.min(63)).step_by(step.max(1) as usize).fold(Set(0), |set, value| set | Set::one(value))
    }

    pub(super) fn contains(self, value: u32) -> bool {
        self & Set::one(value) != Set(0)
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The first value that is not smaller.
    pub(super) fn at_or_after(self, value: u32) -> Option<u32> {
        let left = self.0.checked_shr(value).filter(|left| *left != 0)?;
        Some(value + left.trailing_zeros())
    }

    pub(super) fn values(self) -> impl Iterator<Item = u32> {
        (0..64).filter(move |&value| self.contains(value))
    }
}

impl std::ops::BitOr for Set {
    type Output = Set;
    fn bitor(self, other: Set) -> Set {
        Set(self.0 | other.0)
    }
}

impl std::ops::BitOrAssign for Set {
    fn bitor_assign(&mut self, other: Set) {
        self.0 |= other.0;
    }
}

impl std::ops::BitAnd for Set {
    type Output = Set;
    fn bitand(self, other: Set) -> Set {
        Set(self.0 & other.0)
    }
}
