//! Which stretches of wall time have been watched.
//!
//! A slot is due on the wall clock, and the wall clock jumps. What was decided once stays decided: the stretches of time in
//! which slots were decided are kept, so that a clock stepped back does not run them again, and a clock that was wrong for a
//! while and is set right does not block anything, because only time that was really lived through counts as watched.
//!
//! ```text
//!            past                     present
//!   ──(═════════]────────(══════]────(═══════]───────▶ wall clock
//!       watched   a gap            from      to
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How late a slot may be discovered and still run. Later than this nobody watched when it was due, and it is missed.
pub const LATE_LIMIT: SignedDuration = SignedDuration::from_secs(60);

/// Watched stretches that are kept; the oldest go first. Each costs at most some 70 bytes of the mark.
const MAX_STRETCHES: usize = 16;

/// The present moment on both clocks: slots live on the wall clock, durations on the monotonic one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// The wall clock, which may jump either way.
    pub wall: Timestamp,
    /// The monotonic clock, since an arbitrary start; it never goes back.
    pub mono: Duration,
}

/// What the wall clock did since it was last looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockJump {
    /// It went on as the monotonic clock did, or nearly.
    Steady,
    /// It is behind what has been watched, but so little that time stands still until it has caught up.
    Still,
    /// It was set back by more than [`LATE_LIMIT`]: a new stretch begins, and what was watched before stays decided.
    Back,
    /// It is ahead by more than [`LATE_LIMIT`] of what passed here: set forward, a suspend, or an engine that was away.
    Gap,
}

/// Why nobody watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// The daemon did not run.
    Down,
    /// The machine did not run.
    Off,
    /// The daemon's process was there and did not run: stopped, or starved.
    Stopped,
    /// The clock was set forward, or the machine was suspended.
    Clock,
}

impl Cause {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Cause::Down => "down",
            Cause::Off => "off",
            Cause::Stopped => "stopped",
            Cause::Clock => "clock",
        }
    }

    /// What [`Self::code`] gave.
    pub fn parse(code: &str) -> Option<Self> {
        [Cause::Down, Cause::Off, Cause::Stopped, Cause::Clock].into_iter().find(|cause| cause.code() == code)
    }

    /// As a part of a sentence.
    pub fn words(self) -> &'static str {
        match self {
            Cause::Down => "the daemon was not running",
            Cause::Off => "the machine was off",
            Cause::Stopped => "the daemon's process was stopped",
            Cause::Clock => "the machine was suspended or its clock was set",
        }
    }
}

/// A watched stretch of wall time: after `from`, up to and including `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// Rises with every new stretch.
    pub number: u32,
    /// Exclusive.
    pub from: Timestamp,
    /// Inclusive.
    pub to: Timestamp,
}

impl Stretch {
    /// Whether a slot lies in it.
    pub fn holds(&self, slot: Timestamp) -> bool {
        self.from < slot && slot <= self.to
    }
}

/// Everything that has been watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    past: VecDeque<Stretch>,
    present: Stretch,
    /// The clocks when they were last looked at by this engine.
    looked: Option<Now>,
    /// Around strays before and after now, until the first [`Self::reach`].
    behind: Option<(Timestamp, Timestamp)>,
    ahead: Option<(Timestamp, Timestamp)>,
}

impl Watched {
    /// Nothing has been watched yet; slots after `position` are still to be decided.
    pub fn from(position: Timestamp) -> Self {
        let present = Stretch { number: 0, from: position, to: position };
        Self { past: VecDeque::new(), present, looked: None, behind: None, ahead: None }
    }

    /// As [`Self::stretches`] gave it to an engine before. `None` when there is not one.
    pub fn restore(mut stretches: Vec<Stretch>) -> Option<Self> {
        let present = stretches.pop()?;
        Some(Self { past: stretches.into(), present, looked: None, behind: None, ahead: None })
    }

    /// The stretches, oldest first, as they stood at `held`.
    pub fn stretches(&self, held: Option<Place>) -> Vec<Stretch> {
        let mut all: Vec<Stretch> = self.past.iter().copied().chain([self.present]).collect();
        if let Some(Place { stretch: number, at }) = held {
            all.retain(|stretch| stretch.number <= number);
            match all.last_mut().filter(|last| last.number == number) {
                Some(last) => last.to = at.clamp(last.from, last.to),
                // A stretch in which nothing was decided is not kept, but time went on from there.
                None => all.push(Stretch { number, from: at, to: at }),
            }
        }
        all
    }

    /// Up to where slots are decided.
    pub fn here(&self) -> Place {
        Place { stretch: self.present.number, at: self.present.to }
    }

    /// Why slots are found late, by how far either clock went since they were last looked at. `None`: this engine has not
    /// looked at them yet.
    pub fn cause(&self, now: Now) -> Option<Cause> {
        let looked = self.looked?;
        let mono = SignedDuration::try_from(now.mono.saturating_sub(looked.mono)).unwrap_or(SignedDuration::MAX);
        let wall = now.wall.duration_since(looked.wall);
        Some(if wall.saturating_sub(mono) > wall / 2 { Cause::Clock } else { Cause::Stopped })
    }

    /// An engine before decided this slot and did not live to say so: it was there then, whatever the clock has done since.
    pub fn add_stray(&mut self, slot: Timestamp, now: Now) {
        let stray = if slot > now.wall { &mut self.ahead } else { &mut self.behind };
        let (from, to) = stray.get_or_insert((just_before(slot), slot));
        (*from, *to) = (just_before(slot).min(*from), slot.max(*to));
    }

    /// Slots up to here are decided.
    pub fn position(&self) -> Timestamp {
        self.present.to
    }

    /// Where watched time is at `wall`.
    pub fn place(&self, wall: Timestamp) -> Place {
        Place { stretch: self.present.number, at: self.present.to.max(wall) }
    }

    /// Whether a slot lies in time that was watched.
    pub fn holds(&self, slot: Timestamp) -> bool {
        self.end_around(slot, Known::ALWAYS).is_some()
    }

    /// The end of a watched stretch around `slot`, of those that count for a job.
    pub fn end_around(&self, slot: Timestamp, known: Known) -> Option<Timestamp> {
        let counts = |stretch: &&Stretch| stretch.holds(slot) && known.covers(stretch.number, slot);
        self.past.iter().chain([&self.present]).filter(counts).map(|stretch| stretch.to).max()
    }

    /// What the clock did since it was last looked at.
    pub fn jump(&self, now: Now) -> ClockJump {
        if now.wall < self.present.to.checked_sub(LATE_LIMIT).unwrap_or(Timestamp::MIN) {
            return ClockJump::Back;
        }
        if now.wall < self.present.to {
            return ClockJump::Still;
        }
        let passed = match self.looked {
            Some(looked) => {
                let mono =
                    SignedDuration::try_from(now.mono.saturating_sub(looked.mono)).unwrap_or(SignedDuration::MAX);
                now.wall.duration_since(looked.wall).saturating_sub(mono)
            }
            None => now.wall.duration_since(self.present.to),
        };
        if passed > LATE_LIMIT { ClockJump::Gap } else { ClockJump::Steady }
    }

    /// The clock was set back to `now`: what was watched stays so, and a new stretch begins.
    pub fn begin_again(&mut self, now: Now) {
        self.turn_over(now.wall);
        self.present.to = now.wall;
        self.looked = Some(now);
    }

    /// Every slot up to `now` is decided. With `gap` the time before the last [`LATE_LIMIT`] was not watched.
    pub fn reach(&mut self, now: Now, gap: bool) {
        if let Some((from, to)) = self.ahead.take() {
            self.keep(Stretch { number: self.present.number, from, to });
        }
        let late = just_before(now.wall.checked_sub(LATE_LIMIT).unwrap_or(Timestamp::MIN));
        let from = self.behind.take().map_or(late, |(from, _)| from.min(late));
        if gap && from > self.present.to {
            self.turn_over(from);
        }
        self.present.to = self.present.to.max(now.wall);
        self.looked = Some(now);
    }

    fn turn_over(&mut self, from: Timestamp) {
        if self.present.from < self.present.to {
            self.keep(self.present);
        }
        self.present = Stretch { number: self.present.number.saturating_add(1), from, to: from };
    }

    fn keep(&mut self, stretch: Stretch) {
        self.past.push_back(stretch);
        while self.past.len() >= MAX_STRETCHES {
            self.past.pop_front();
        }
    }
}

/// The instant before.
pub fn just_before(instant: Timestamp) -> Timestamp {
    instant.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(instant)
}

/// A place in watched time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The number of the stretch.
    pub stretch: u32,
    /// The instant.
    pub at: Timestamp,
}

/// Which watched time counts for a job: what was watched before it was known says nothing about its slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The job's name is known since here.
    since: Place,
    /// Its present definition stands since here: in that stretch, slots up to here are looked at anew.
    fresh: Place,
}

impl Known {
    /// The job of an engine before, whose decisions cover it.
    pub const ALWAYS: Known = {
        let never = Place { stretch: 0, at: Timestamp::MIN };
        Known { since: never, fresh: Place { stretch: u32::MAX, at: Timestamp::MIN } }
    };

    /// A job that was not there before.
    pub fn from(place: Place) -> Self {
        Self { since: place, fresh: place }
    }

    /// The same job with another definition.
    pub fn redefined(self, place: Place) -> Self {
        Self { fresh: place, ..self }
    }

    /// The same once the clock was set back: what was watched under its definition counts as all else.
    pub fn settled(self) -> Self {
        Self { fresh: Known::ALWAYS.fresh, ..self }
    }

    fn covers(self, stretch: u32, slot: Timestamp) -> bool {
        let known = stretch > self.since.stretch || (stretch == self.since.stretch && slot > self.since.at);
        known && !(stretch == self.fresh.stretch && slot <= self.fresh.at)
    }
}
