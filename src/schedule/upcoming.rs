//! The slots to come, as people want to see them: with what a change of the clock does to each.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use super::calendar::Calendar;
use super::zone::{Gap, jumps};
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
            let kind = if found.made_up { Kind::Gap } else { kind_of(self.zone(), found.at) };
            events.push(Event::Slot(Slot { at: found.at, kind }));
            after = found.at;
        }
        events
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
        for jump in jumps(self.zone(), after, until) {
            if rule.gap == Gap::AtEnd && super::zone::is_made_up(&jump) {
                continue;
            }
            let Some((first, last, count)) = matches_between(calendar, jump.from, jump.to) else { continue };
            events.push(Event::Lost(Lost {
                first,
                last,
                count,
                at: jump.at,
                jump: SignedDuration::from_micros(jump.to - jump.from),
            }));
        }
    }
}

/// The wall times of `from..to` that match: first, last, how many.
fn matches_between(calendar: &Calendar, from: i64, to: i64) -> Option<(DateTime, DateTime, usize)> {
    let last_year = calendar.last_year(from);
    let mut wall = calendar.at_or_after(from, last_year).filter(|&wall| wall < to)?;
    let first = wall;
    let mut count = 1;
    while count < Lost::MOST
        && let Some(next) = calendar.at_or_after(wall + 1, last_year).filter(|&next| next < to)
    {
        wall = next;
        count += 1;
    }
    Some((datetime(first)?, datetime(wall)?, count))
}

fn datetime(wall: i64) -> Option<DateTime> {
    Some(TimeZone::UTC.to_datetime(Timestamp::from_microsecond(wall).ok()?))
}

fn kind_of(zone: &TimeZone, at: Timestamp) -> Kind {
    match zone.to_ambiguous_timestamp(zone.to_datetime(at)).offset() {
        AmbiguousOffset::Fold { before, .. } if zone.to_offset(at) == before => Kind::FoldFirst,
        AmbiguousOffset::Fold { .. } => Kind::FoldSecond,
        _ => Kind::Plain,
    }
}
