//! What the next changes of the clock will do to a schedule, told before they come.

use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp};

use super::calendar::{Calendar, DAY, MINUTE};
use super::field::{Set, Unit};
use super::once::Once;
use super::upcoming::{Kind, datetime, touched};
use super::zone::{Change, ClockRule, changes};
use super::{Rhythm, Schedule};

/// How far ahead it is looked: every rule of summer time has come round once by then.
const AHEAD: SignedDuration = SignedDuration::from_hours(400 * 24);
/// Changes that are looked at. Nowhere do clocks change more than four times a year.
const MOST_CHANGES: usize = 8;
const HOUR: i64 = 60 * MINUTE;

impl Schedule {
    /// One sentence, lower case, on what changes of the clock within 400 days after `now` do to it: the first that leaves
    /// times out, and the first that lets it run twice at the same time of day.
    ///
    /// `None` where they do neither; where it is due in every hour of the day, of which one more or less is as any other;
    /// and where a [`dst`](Schedule::dst) of its own says what is wanted.
    pub fn forecast(&self, now: Timestamp) -> Option<String> {
        match &self.0.rhythm {
            Rhythm::Calendar(calendar, rule) if self.0.dst.is_none() => self.forecast_of(calendar, *rule, now),
            Rhythm::Once(once) if once.at > now => self.forecast_once(once),
            _ => None,
        }
    }

    fn forecast_of(&self, calendar: &Calendar, rule: ClockRule, now: Timestamp) -> Option<String> {
        if calendar.hours() == Unit::HOUR.all() {
            return None;
        }
        let until = now.checked_add(AHEAD).unwrap_or(Timestamp::MAX);
        let (mut clauses, mut gap_told, mut fold_told) = (Vec::new(), false, false);
        for change in changes(self.zone(), now, until).take(MOST_CHANGES) {
            let told = if change.is_gap() { &mut gap_told } else { &mut fold_told };
            let nothing = !change.is_gap() && !rule.repeats(change.shift());
            if *told || nothing || (calendar.hours() & hours_of(&change)).is_empty() {
                continue;
            }
            // The first, and whether there are others: counting them may take long.
            let Some((first, _, count)) = touched(calendar, &change, 2) else { continue };
            *told = true;
            let zone = if clauses.is_empty() { format!(" in {}", self.zone_name()) } else { String::new() };
            clauses.push(clause(&change, rule, first, count > 1, &zone));
        }
        (!clauses.is_empty()).then(|| clauses.join("; "))
    }

    fn forecast_once(&self, once: &Once) -> Option<String> {
        let (time, date, zone) = (time_of_day(once.wall), once.wall.date(), self.zone_name());
        match once.kind {
            Kind::Gap => {
                let runs = time_of_day(self.zone().to_datetime(once.at));
                Some(format!("{time} does not exist on {date} in {zone}, where clocks go forward: it runs at {runs}"))
            }
            Kind::FoldFirst => {
                Some(format!("{time} comes twice on {date} in {zone}, where clocks go back: it runs the first time"))
            }
            _ => None,
        }
    }
}

fn clause(change: &Change, rule: ClockRule, first: DateTime, others: bool, zone: &str) -> String {
    let (time, date) = (time_of_day(first), first.date());
    let (exist, come, others) = match others {
        true => ("do not exist", "come twice", " and others"),
        false => ("does not exist", "comes twice", ""),
    };
    if !change.is_gap() {
        return format!("{time}{others} {come} on {date}{zone}, where clocks go back: it runs both times");
    }
    let then = match datetime(change.new).filter(|_| rule.makes_up(change.shift())) {
        Some(end) => format!("one run at {} instead", time_of_day(end)),
        None => "no run".to_string(),
    };
    format!("{time}{others} {exist} on {date}{zone}, where clocks go forward: {then}")
}

/// `02:30`, with seconds where there are any.
pub(super) fn time_of_day(at: DateTime) -> String {
    let time = at.time();
    let plain = time.second() == 0 && time.subsec_nanosecond() == 0;
    time.strftime(if plain { "%H:%M" } else { "%H:%M:%S%.f" }).to_string()
}

/// The hours of the day that a change leaves out or repeats, in part or wholly.
fn hours_of(change: &Change) -> Set {
    let (from, to) = change.span();
    if to - from >= DAY {
        return Unit::HOUR.all();
    }
    let hour = |wall: i64| wall.div_euclid(HOUR);
    let of_day = |hour: i64| Set::one(u32::try_from(hour.rem_euclid(24)).unwrap_or(0));
    (hour(from)..=hour(to - 1)).fold(Set::default(), |set, hour| set | of_day(hour))
}
