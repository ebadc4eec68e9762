//! Pure time: what a schedule text means, and when it is next due.
//!
//! ```text
//! text ─ dialect ─▶ fields ─ days ─▶ boxes ─ calendar ─▶ wall times ─ zone ─▶ slots
//! ```
//!
//! Four dialects ([`Dialect`]) are read by a layer of our own, because each must mean exactly what its original means
//! and no library speaks them. What they name is lowered to times of day and a union of boxes of days that the `cron` crate
//! iterates, and a zone is walked in segments of constant offset, so that nothing repeats or stands still when clocks change.
//!
//! Promised: time comes in as an argument; no clock is read; a slot is always strictly later than the instant it was
//! asked for; no text panics or costs unbounded work or memory; the same text, zone and seed give the same slots on
//! every machine with the same zone database.

mod calendar;
mod component;
mod cronexpr;
mod days;
mod dialect;
mod error;
mod every;
mod field;
mod robfig;
mod systemd;
mod upcoming;
mod vixie;
mod zone;

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

pub use dialect::Dialect;
pub use error::{Doubt, ScheduleError, escape};
pub use upcoming::{Event, Kind, Lost, Slot};
pub use zone::parse_zone;

use calendar::Calendar;
use zone::{ClockRule, Found};

/// The longest text that is read. systemd's longest list fits; a megabyte of commas does not.
const LONGEST_TEXT: usize = 4096;

/// When a job is due. Cheap to clone.
#[derive(Clone)]
pub struct Schedule(Arc<Inner>);

struct Inner {
    text: Box<str>,
    dialect: Dialect,
    zone: TimeZone,
    rhythm: Rhythm,
    doubts: Box<[Doubt]>,
}

/// A Go duration (`1h30m`, `-1.5s`, `100us`) in nanoseconds.
pub fn go_duration(text: &str) -> Result<i64, ScheduleError> {
    every::nanoseconds(text)
}

/// What a text was found to mean.
enum Rhythm {
    /// Wall times, and what becomes of them when clocks change.
    Calendar(Calendar, ClockRule),
    /// Every so many seconds.
    Every(i64),
    /// When the machine has started.
    Reboot,
}

/// What a dialect's reader gives.
struct Parsed {
    rhythm: Rhythm,
    zone: TimeZone,
    doubts: Vec<Doubt>,
}

impl Schedule {
    /// Reads a schedule text.
    ///
    /// `zone` is the job's zone; a zone within the text wins. `seed`, the job's name, decides what vixie's `~` picks, so
    /// that a reload does not move the job.
    pub fn parse(text: &str, dialect: Dialect, zone: &TimeZone, seed: &str) -> Result<Schedule, ScheduleError> {
        if text.len() > LONGEST_TEXT {
            let message = format!("the schedule is longer than {LONGEST_TEXT} bytes");
            return Err(ScheduleError::new(0..text.len(), message));
        }
        let Parsed { rhythm, zone, doubts } = match dialect {
            Dialect::Robfig => robfig::parse(text, zone),
            Dialect::Cronexpr => cronexpr::parse(text, zone),
            Dialect::Vixie => vixie::parse(text, zone, seed),
            Dialect::Systemd => systemd::parse(text, zone),
        }?;
        Ok(Schedule(Arc::new(Inner { text: text.into(), dialect, zone, rhythm, doubts: doubts.into() })))
    }

    /// The first slot strictly after `after`. `None`: never again (or, with `@reboot`, at no instant that is known).
    ///
    /// `anchor` is where `@every` counts from, in whole seconds.
    pub fn next(&self, after: Timestamp, anchor: Timestamp) -> Option<Timestamp> {
        self.find(after, anchor).map(|found| found.at)
    }

    fn find(&self, after: Timestamp, anchor: Timestamp) -> Option<Found> {
        match &self.0.rhythm {
            Rhythm::Calendar(calendar, rule) => zone::next(calendar, *rule, &self.0.zone, after),
            Rhythm::Every(period) => {
                let second = |at: Timestamp| zone::micros_floor(at).div_euclid(calendar::SECOND);
                let at = every::next(*period, second(after), second(anchor))?;
                Some(Found { at: Timestamp::from_second(at).ok()?, made_up: false })
            }
            Rhythm::Reboot => None,
        }
    }

    /// Is it due when the machine starts (`@reboot`), and at no other time?
    pub fn is_reboot(&self) -> bool {
        matches!(self.0.rhythm, Rhythm::Reboot)
    }

    /// Will it never be due after `from`, as far as the dialect looks (five years for robfig, at least forty else)?
    pub fn never_fires(&self, from: Timestamp) -> bool {
        !self.is_reboot() && self.next(from, from).is_none()
    }

    /// The zone whose wall clock it follows.
    pub fn zone(&self) -> &TimeZone {
        &self.0.zone
    }

    /// The text as it was written.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// Whose rules the text follows.
    pub fn dialect(&self) -> Dialect {
        self.0.dialect
    }

    /// The period in seconds, of a schedule that has no other rule.
    pub fn period(&self) -> Option<i64> {
        match self.0.rhythm {
            Rhythm::Every(seconds) => Some(seconds),
            Rhythm::Calendar(..) | Rhythm::Reboot => None,
        }
    }

    /// robfig's own sets, where its rules are followed and the text has fields: of second, minute, hour, day of month,
    /// month and day of week. Bit i is set for the value i, bit 63 for a star.
    pub fn robfig_masks(&self) -> Option<[u64; 6]> {
        match self.0.rhythm {
            Rhythm::Calendar(..) if self.0.dialect == Dialect::Robfig => robfig::masks(&self.0.text),
            _ => None,
        }
    }

    /// What is accepted in the text but seldom meant.
    pub fn doubts(&self) -> &[Doubt] {
        &self.0.doubts
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zone = self.zone().iana_name().unwrap_or("?");
        write!(f, "Schedule({:?}, {}, {zone})", self.text(), self.dialect())
    }
}
