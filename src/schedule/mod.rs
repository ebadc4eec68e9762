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
mod dst;
mod error;
mod every;
mod explain;
mod field;
mod forecast;
mod layout;
mod once;
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
pub use dst::Dst;
pub use error::{Doubt, ScheduleError, escape};
pub use explain::{Explanation, Field};
pub use upcoming::{Event, Kind, Lost, Slot};
pub use zone::parse_zone;

use calendar::Calendar;
use once::Once;
use zone::{ClockRule, Found};

/// The longest text that is read. systemd's longest list fits; a megabyte of commas does not.
const LONGEST_TEXT: usize = 4096;

/// When a job is due. Cheap to clone.
#[derive(Clone)]
pub struct Schedule(Arc<Inner>);

struct Inner {
    text: Box<str>,
    /// Absent: one instant, in nobody's dialect.
    dialect: Option<Dialect>,
    /// What `~` drew from, where the text has one.
    seed: Option<Box<str>>,
    zone: TimeZone,
    /// The job's own rule, which `rhythm` follows already.
    dst: Option<Dst>,
    rhythm: Rhythm,
    doubts: Box<[Doubt]>,
}

/// A Go duration (`1h30m`, `-1.5s`, `100us`) in nanoseconds.
pub fn go_duration(text: &str) -> Result<i64, ScheduleError> {
    every::nanoseconds(text)
}

/// What a text was found to mean.
#[derive(Clone)]
enum Rhythm {
    /// Wall times, and what becomes of them when clocks change.
    Calendar(Calendar, ClockRule),
    /// Every so many seconds.
    Every(i64),
    /// When the machine has started.
    Reboot,
    /// At one instant.
    Once(Once),
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
        let seed = text.contains('~').then(|| seed.into());
        let (text, dialect, doubts) = (text.into(), Some(dialect), doubts.into());
        Ok(Schedule(Arc::new(Inner { text, dialect, seed, zone, dst: None, rhythm, doubts })))
    }

    /// Reads the time of a job that runs once: `2026-12-01T02:30`, `2026-12-01 02:30:00` in `zone`, or RFC 3339 with its
    /// offset. A time that does not exist is due when the clock has jumped over it, one that comes twice the first time.
    pub fn once(text: &str, zone: &TimeZone) -> Result<Schedule, ScheduleError> {
        let rhythm = Rhythm::Once(once::parse(text, zone)?);
        let (text, zone, doubts) = (text.into(), zone.clone(), Box::default());
        Ok(Schedule(Arc::new(Inner { text, dialect: None, seed: None, zone, dst: None, rhythm, doubts })))
    }

    /// The same with another rule for the days on which clocks change. Says nothing to what does not follow the wall
    /// clock: see [`follows_the_wall`](Self::follows_the_wall).
    pub fn with_dst(&self, dst: Dst) -> Schedule {
        let Rhythm::Calendar(calendar, _) = &self.0.rhythm else { return self.clone() };
        let Inner { text, dialect, seed, zone, doubts, .. } = &*self.0;
        Schedule(Arc::new(Inner {
            text: text.clone(),
            dialect: *dialect,
            seed: seed.clone(),
            zone: zone.clone(),
            dst: Some(dst),
            rhythm: Rhythm::Calendar(calendar.clone(), dst.rule()),
            doubts: doubts.clone(),
        }))
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
            Rhythm::Once(once) => (once.at > after).then_some(Found { at: once.at, made_up: once.kind == Kind::Gap }),
            Rhythm::Reboot => None,
        }
    }

    /// Is it due at one instant and at no other ([`Schedule::once`])?
    pub fn is_once(&self) -> bool {
        matches!(self.0.rhythm, Rhythm::Once(_))
    }

    /// Does it name times of day, so that changes of the clock matter to it? `@every`, `@reboot` and an instant do not.
    pub fn follows_the_wall(&self) -> bool {
        matches!(self.0.rhythm, Rhythm::Calendar(..))
    }

    /// The job's own rule for the days on which clocks change, where it has one.
    pub fn dst(&self) -> Option<Dst> {
        self.0.dst
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

    /// Whose rules the text follows; nobody's where it is one instant.
    pub fn dialect(&self) -> Option<Dialect> {
        self.0.dialect
    }

    /// The name of its zone, `local` where it has none.
    fn zone_name(&self) -> &str {
        self.zone().iana_name().unwrap_or("local")
    }

    /// The period in seconds, of a schedule that has no other rule.
    pub fn period(&self) -> Option<i64> {
        match self.0.rhythm {
            Rhythm::Every(seconds) => Some(seconds),
            _ => None,
        }
    }

    /// robfig's own sets, where its rules are followed and the text has fields: of second, minute, hour, day of month,
    /// month and day of week. Bit i is set for the value i, bit 63 for a star.
    pub fn robfig_masks(&self) -> Option<[u64; 6]> {
        match self.0.rhythm {
            Rhythm::Calendar(..) if self.0.dialect == Some(Dialect::Robfig) => robfig::masks(&self.0.text),
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
        let dialect = self.dialect().map_or("once", Dialect::name);
        write!(f, "Schedule({:?}, {dialect}, {zone})", self.text())
    }
}
