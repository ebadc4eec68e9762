//! What a schedule says of one instant: due or not, and which field decides it.

use jiff::civil::DateTime;
use jiff::tz::AmbiguousOffset;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::calendar::Calendar;
use super::forecast::time_of_day;
use super::layout::Layout;
use super::once::Once;
use super::upcoming::{Kind, datetime, touched};
use super::zone::{ClockRule, changes};
use super::{Rhythm, Schedule};

/// What a schedule says of one instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The instant.
    pub at: Timestamp,
    /// The zone whose wall clock the schedule follows; `local` for one without a name.
    pub zone: String,
    /// What that clock says at the instant.
    pub wall: DateTime,
    /// Is it a slot? This is the schedule's own answer; the rest says why.
    pub due: bool,
    /// Do the fields fit by the rules, leaving aside what changes of the clock do? Of a schedule without fields, the same
    /// as `due`.
    pub fits: bool,
    /// The fields of the text, each with what the clock says. None for `@every`, `@reboot` and a single instant.
    pub fields: Vec<Field>,
    /// What counts beside the fields, a sentence each: how they are joined, where `@every` counts from.
    pub rules: Vec<String>,
    /// What a change of the clock does here, where it does something.
    pub clock: Option<String>,
    /// The slot before the instant, as far as 44 years back.
    pub before: Option<Timestamp>,
    /// The slot after it.
    pub after: Option<Timestamp>,
}

/// One field of a schedule against the wall clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// `second`, `minute`, `hour`, `day of month`, `month`, `day of week` or `year`.
    pub name: String,
    /// What the schedule says; where it says nothing, what that means.
    pub text: String,
    /// What the clock says.
    pub value: String,
    /// The second is one of the first.
    pub fits: bool,
}

impl Schedule {
    /// What the schedule says of an instant. `anchor` is where `@every` counts from.
    ///
    /// Costs some tens of [`Schedule::next`], because the slot before is searched for.
    pub fn explain(&self, at: Timestamp, anchor: Timestamp) -> Explanation {
        let wall = self.zone().to_datetime(at);
        let due = self.next(moment_before(at), anchor) == Some(at);
        let layout = Layout::of(self);
        let fields = layout.as_ref().map(|layout| layout.fields(wall)).unwrap_or_default();
        let fits = layout.as_ref().map_or(due, |layout| layout.fits(wall));
        let mut rules = layout.map(|layout| layout.rules).unwrap_or_default();
        let clock = match &self.0.rhythm {
            Rhythm::Calendar(calendar, rule) => self.clock_remark(calendar, *rule, at, fits),
            Rhythm::Every(period) => {
                rules.push(format!("every {period} s, counted from {anchor}; the wall clock does not matter"));
                None
            }
            Rhythm::Reboot => {
                rules.push("when the machine has started, and at no instant that is known beforehand".to_string());
                None
            }
            Rhythm::Once(once) => {
                rules.push(format!("once, at {}", once.at.display_with_offset(self.zone().to_offset(once.at))));
                once_remark(once).filter(|_| due)
            }
        };
        let (before, after) = (self.last_before(at, anchor), self.next(at, anchor));
        Explanation { at, zone: self.zone_name().to_string(), wall, due, fits, fields, rules, clock, before, after }
    }

    /// The last slot before `at`, within 44 years.
    fn last_before(&self, at: Timestamp, anchor: Timestamp) -> Option<Timestamp> {
        const HOURS: [i64; 7] = [1, 24, 8 * 24, 64 * 24, 512 * 24, 2922 * 24, 44 * 366 * 24];
        let slot_before = |after: Timestamp| self.next(after, anchor).filter(|slot| *slot < at);
        let begin = |hours: i64| at.checked_sub(SignedDuration::from_hours(hours)).unwrap_or(Timestamp::MIN);
        let mut low = HOURS.iter().find_map(|&hours| slot_before(begin(hours)))?;
        // `low` is a slot, after `high` none comes before `at`. The time between them is halved until nothing is left.
        let mut high = moment_before(at);
        while let Some(next) = slot_before(low) {
            low = next;
            let middle = low.checked_add(high.duration_since(low) / 2).unwrap_or(low);
            match slot_before(middle) {
                Some(slot) => low = slot,
                None => high = middle,
            }
        }
        Some(low)
    }

    /// What a change of the clock does at this instant: it has just left times out, or this time of day comes twice.
    fn clock_remark(&self, calendar: &Calendar, rule: ClockRule, at: Timestamp, fits: bool) -> Option<String> {
        let whose = match (self.dst(), self.dialect()) {
            (Some(dst), _) => format!("`dst: {dst}`"),
            (None, Some(dialect)) => format!("the rule of {dialect}"),
            (None, None) => return None,
        };
        if let Some(gap) = changes(self.zone(), moment_before(at), at).find(|change| change.is_gap()) {
            let (old, new) = (time_of_day(datetime(gap.old)?), time_of_day(datetime(gap.new)?));
            let jump = format!("clocks have just gone forward from {old} to {new}");
            let Some((first, _, count)) = touched(calendar, &gap, 2) else {
                return Some(format!("{jump}, and leave no time of the schedule out"));
            };
            let times = if count > 1 { "times from" } else { "the time" };
            let then = if rule.makes_up(gap.shift()) { "one run is made up now for" } else { "nothing runs for" };
            return Some(format!("{jump}: by {whose}, {then} {times} {}", time_of_day(first)));
        }
        let wall = self.zone().to_datetime(at);
        let AmbiguousOffset::Fold { before, after } = self.zone().to_ambiguous_timestamp(wall).offset() else {
            return None;
        };
        let which = if self.kind(at) == Kind::FoldFirst { "first" } else { "second" };
        let back = i64::from(before.seconds() - after.seconds()) * super::calendar::SECOND;
        let then = match (fits, rule.repeats(back)) {
            (false, _) => return None,
            (true, true) => "it runs both times",
            (true, false) => "it runs the first time only",
        };
        Some(format!("{} comes twice on this day, this is the {which} time: by {whose}, {then}", time_of_day(wall)))
    }
}

fn once_remark(once: &Once) -> Option<String> {
    let time = time_of_day(once.wall);
    match once.kind {
        Kind::Gap => Some(format!("{time} does not exist on this day: it runs when the clock has jumped over it")),
        Kind::FoldFirst => Some(format!("{time} comes twice on this day: it runs the first time")),
        _ => None,
    }
}

fn moment_before(at: Timestamp) -> Timestamp {
    at.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(at)
}
