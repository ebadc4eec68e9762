//! The heartbeat: one number a minute, from the engine's own loop. It stands in for nothing when the loop hangs: that is its
//! point.

use std::time::Duration;

use jiff::Timestamp;

use crate::engine::core::{ErrandId, Now};

/// Between two heartbeats.
pub const INTERVAL: Duration = Duration::from_secs(60);

/// When the next one is due.
#[derive(Debug)]
pub struct Heart {
    /// Monotonic.
    next: Duration,
    /// The one that has not been reported yet: another beside it would say nothing more.
    going: Option<ErrandId>,
}

impl Heart {
    /// Beats at whole minutes after `started`, the daemon's start, whichever engine sends them.
    pub fn new(started: Timestamp, now: Now) -> Self {
        let since = Duration::try_from(now.wall.duration_since(started)).unwrap_or_default();
        // Less than a minute has few enough nanoseconds.
        let into = Duration::from_nanos((since.as_nanos() % INTERVAL.as_nanos()) as u64);
        Self { next: now.mono + (INTERVAL - into), going: None }
    }

    /// When [`Self::beat`] has something to say (monotonic).
    pub fn due(&self) -> Duration {
        self.next
    }

    /// Whether to send one now. One that is late is not made up for.
    pub fn beat(&mut self, mono: Duration) -> bool {
        let due = self.next <= mono;
        while self.next <= mono {
            self.next += INTERVAL;
        }
        due && self.going.is_none()
    }

    /// It was ordered as this errand.
    pub fn ordered(&mut self, id: ErrandId) {
        self.going = Some(id);
    }

    /// An errand has been reported.
    pub fn reported(&mut self, id: ErrandId) {
        self.going.take_if(|going| *going == id);
    }
}
