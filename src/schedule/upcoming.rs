//! The slots to come, as people want to see them: with what a change of the clock does to each.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use super::calendar::Calendar;
use super::zone::{Change, changes};
use super::{Rhythm, Schedule};

/// What a slot's wall time is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It exists once.
    Plain,
    /// It does not exist: the slot is made up for when the clock has jumped over it.
    Gap,
    /// It comes twice; this is the first time.
    FoldFirst,
    /// It comes twice; this is the second time.
    FoldSecond,
}

/// An instant at which the schedule is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The instant.
    pub at: Timestamp,
    /// What its wall time is.
    pub kind: Kind,
}

/// Wall times that the schedule names but that do not exist, and for which nothing runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The first of them.
    pub first: DateTime,
    /// The last of them, or of those that were counted.
    pub last: DateTime,
    /// How many there are, counted up to [`Lost::MOST`].
    pub count: usize,
    /// When the clock jumped.
    pub at: Timestamp,
    /// By how much.
    pub jump: SignedDuration,
}

impl Lost {
    /// Counting ends here.
    pub const MOST: usize = 1000;
}

/// A line of a table of what is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is due.
    Slot(Slot),
    /// It would be due, but the clock jumps over it.
    Lost(Lost),
}

impl Schedule {
    /// The next `n` slots after `after`, and the losses among them, in order of time.
    ///
    /// A loss after the last slot is not told. Costs about `n` times [`Schedule::next`].
    pub fn upcoming(&self, after: Timestamp, anchor: Timestamp, n: usize) -> Vec<Event> {
        let mut events = Vec::new();
        let mut after = after;
        for _ in 0..n {
            let Some(found) = self.find(after, anchor) else {
                self.push_last_loss(after, &mut events);
                break;
            };
            self.push_losses(after, found.at, &mut events);
            let kind = if found.made_up { Kind::Gap } else { self.kind(found.at) };
            events.push(Event::Slot(Slot { at: found.at, kind }));
            after = found.at;
        }
        events
    }

    /// What the wall clock makes of an instant.
    pub(super) fn kind(&self, at: Timestamp) -> Kind {
        let zone = self.zone();
        match zone.to_ambiguous_timestamp(zone.to_datetime(at)).offset() {
            AmbiguousOffset::Fold { before, .. } if zone.to_offset(at) == before => Kind::FoldFirst,
            AmbiguousOffset::Fold { .. } => Kind::FoldSecond,
            _ => Kind::Plain,
        }
    }

    /// Nothing comes any more; perhaps because the one time that would, falls into a gap.
    fn push_last_loss(&self, after: Timestamp, events: &mut Vec<Event>) {
        let Rhythm::Calendar(calendar, _) = &self.0.rhythm else { return };
        let wall = super::zone::micros_floor(after).saturating_add(1) + super::zone::offset_micros(self.zone(), after);
        let Some(wall) = calendar.at_or_after(wall, calendar.last_year(wall)) else { return };
        // No offset is further from UTC than a day, no jump longer.
        let Ok(until) = Timestamp::from_microsecond(wall.saturating_add(2 * super::calendar::DAY)) else { return };
        self.push_losses(after, until.max(after), events);
    }

    fn push_losses(&self, after: Timestamp, until: Timestamp, events: &mut Vec<Event>) {
        let Rhythm::Calendar(calendar, rule) = &self.0.rhythm else { return };
        let gaps = changes(self.zone(), after, until).filter(|change| change.is_gap());
        for gap in gaps.filter(|gap| !rule.makes_up(gap.shift())) {
            let Some((first, last, count)) = touched(calendar, &gap, Lost::MOST) else { continue };
            let jump = SignedDuration::from_micros(gap.shift());
            events.push(Event::Lost(Lost { first, last, count, at: gap.at, jump }));
        }
    }
}

/// The times of the calendar that a change of the clock leaves out or lets come twice: first, last, how many; counted up
/// to `most`.
pub(super) fn touched(calendar: &Calendar, change: &Change, most: usize) -> Option<(DateTime, DateTime, usize)> {
    let (from, to) = change.span();
    let last_year = calendar.last_year(from);
    let mut wall = calendar.at_or_after(from, last_year).filter(|&wall| wall < to)?;
    let first = wall;
    let mut count = 1;
    while count < most
        && let Some(next) = calendar.at_or_after(wall + 1, last_year).filter(|&next| next < to)
    {
        wall = next;
        count += 1;
    }
    Some((datetime(first)?, datetime(wall)?, count))
}

pub(super) fn datetime(wall: i64) -> Option<DateTime> {
    Some(TimeZone::UTC.to_datetime(Timestamp::from_microsecond(wall).ok()?))
}
