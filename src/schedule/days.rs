//! Which days a schedule matches, as a union of boxes: months × days of month × weekdays, in leap years or not.
//!
//! A box is exactly what one `cron::Schedule` can express, because that crate joins day of month and day of week by AND.
//! Everything the dialects add is a union of such boxes: `13 or FRI` is two, the last Friday is one for each length of
//! month, the working day nearest the 15th is `15 and Mon–Fri`, `14 and FRI`, `16 and MON`.

use jiff::civil::Date;

use super::field::{Set, Unit};

/// In which years a box counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum YearKind {
    Any,
    Leap,
    Common,
}

/// A box of days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Days {
    pub(super) months: Set,
    pub(super) doms: Set,
    /// Sunday is 0.
    pub(super) dows: Set,
    pub(super) leap: YearKind,
}

impl Days {
    /// Does it hold this day?
    pub(super) fn has(&self, date: Date) -> bool {
        let number = |value: i8| u32::from(value.unsigned_abs());
        let year = match self.leap {
            YearKind::Any => true,
            YearKind::Leap => date.in_leap_year(),
            YearKind::Common => !date.in_leap_year(),
        };
        year && self.months.contains(number(date.month()))
            && self.doms.contains(number(date.day()))
            && self.dows.contains(number(date.weekday().to_sunday_zero_offset()))
    }
}

/// The months of one length: `(length, months, years in which it is so)`.
const LENGTHS: [(u32, Set, YearKind); 4] = [
    (31, Set(1 << 1 | 1 << 3 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 12), YearKind::Any),
    (30, Set(1 << 4 | 1 << 6 | 1 << 9 | 1 << 11), YearKind::Any),
    (29, Set(1 << 2), YearKind::Leap),
    (28, Set(1 << 2), YearKind::Common),
];

const MON: Set = Set(1 << 1);
const FRI: Set = Set(1 << 5);
const MON_TO_FRI: Set = Set(0b0011_1110);

/// A union of boxes under construction, for the given months.
#[derive(Debug)]
pub(super) struct DayUnion {
    months: Set,
    boxes: Vec<Days>,
}

impl DayUnion {
    pub(super) fn new(months: Set) -> DayUnion {
        DayUnion { months, boxes: Vec::new() }
    }

    /// Days that are both in `doms` and in `dows`.
    pub(super) fn add(&mut self, doms: Set, dows: Set) {
        self.push(Days { months: self.months, doms, dows, leap: YearKind::Any });
    }

    /// Like [`add`](Self::add), but the days of month depend on how many days the month has.
    pub(super) fn add_by_length(&mut self, dows: Set, doms: impl Fn(u32) -> Set) {
        let february_is_alike = doms(28) == doms(29) & Set::span(1, 28, 1) && !doms(29).contains(29);
        for (length, months, leap) in LENGTHS {
            let leap = if february_is_alike { YearKind::Any } else { leap };
            self.push(Days { months: months & self.months, doms: doms(length) & Set::span(1, length, 1), dows, leap });
        }
    }

    /// The working days nearest to the days `doms`, without leaving the month (`15W`).
    pub(super) fn add_workdays(&mut self, doms: Set) {
        self.add_nearest_workdays(|length| doms & Set::span(1, length, 1));
    }

    /// The last working day of the month (`LW`).
    pub(super) fn add_last_workday(&mut self) {
        self.add_nearest_workdays(Set::one);
    }

    fn add_nearest_workdays(&mut self, targets: impl Fn(u32) -> Set) {
        self.add_by_length(MON_TO_FRI, &targets);
        // A Saturday moves to the Friday before it, the 1st to Monday the 3rd; a Sunday to the Monday after it, the last
        // day to the Friday before it.
        self.add_by_length(FRI, |length| {
            targets(length).values().fold(Set(0), |days, day| {
                let from_saturday = if day > 1 { Set::one(day - 1) } else { Set(0) };
                let from_sunday = if day == length { Set::one(day - 2) } else { Set(0) };
                days | from_saturday | from_sunday
            })
        });
        self.add_by_length(MON, |length| {
            targets(length).values().fold(Set(0), |days, day| {
                let from_saturday = if day == 1 { Set::one(3) } else { Set(0) };
                let from_sunday = if day < length { Set::one(day + 1) } else { Set(0) };
                days | from_saturday | from_sunday
            })
        });
    }

    /// Boxes that differ in their months alone become one; empty boxes vanish.
    fn push(&mut self, new: Days) {
        if new.months.is_empty() || new.doms.is_empty() || new.dows.is_empty() {
            return;
        }
        let same = |old: &&mut Days| old.doms == new.doms && old.dows == new.dows && old.leap == new.leap;
        match self.boxes.iter_mut().find(same) {
            Some(old) => old.months |= new.months,
            None => self.boxes.push(new),
        }
    }

    pub(super) fn boxes(self) -> Vec<Days> {
        self.boxes
    }
}

/// All weekdays.
pub(super) fn any_dow() -> Set {
    Unit::DOW.all()
}

/// All days of the month.
pub(super) fn any_dom() -> Set {
    Unit::DOM.all()
}
