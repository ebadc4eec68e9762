//! The two fields that name days in ways of their own.

use super::{item, value_of};
use crate::schedule::days::{DayUnion, any_dom, any_dow};
use crate::schedule::error::{ScheduleError, quote};
use crate::schedule::field::{Set, Unit, Word};

/// The day of month: `L`, `LW`, `15W` and plain days.
#[derive(Default)]
pub(super) struct DomField {
    pub(super) star: bool,
    plain: Set,
    workdays: Set,
    last: bool,
    last_workday: bool,
}

impl DomField {
    pub(super) fn parse(word: Word) -> Result<DomField, ScheduleError> {
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

    pub(super) fn add_to(&self, days: &mut DayUnion) {
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

/// The day of week: `5L`, `5#3` and plain days.
#[derive(Default)]
pub(super) struct DowField {
    pub(super) star: bool,
    plain: Set,
    last: Set,
    /// `5#3`: index 2 holds the days that count in the third week.
    nth: [Set; 5],
}

impl DowField {
    pub(super) fn parse(word: Word) -> Result<DowField, ScheduleError> {
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

    pub(super) fn add_to(&self, days: &mut DayUnion) {
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
