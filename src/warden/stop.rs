//! The daemon's own signals: reload, and the end in its steps.

use std::time::{Duration, Instant};

use super::engine::Engine;
use super::say::Level;
use super::serve::Warden;
use super::{sweep, sys};
use crate::wire::{RunId, ToEngine};

/// Time beyond `stop_timeout` after which the warden ends a stop itself.
pub(super) const OVERTIME: Duration = Duration::from_secs(5);
/// Time for the engine to write out what it has, once all runs are over.
const FAREWELL: Duration = Duration::from_secs(5);

/// How far the daemon's own end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Nobody has asked.
    No,
    /// The engine stops the runs; at the deadline the warden does.
    Draining { deadline: Instant, hastened: bool },
    /// All runs are over; the engine writes out what it has.
    Leaving { deadline: Instant },
    /// The loop ends.
    Gone,
}

impl Warden {
    pub(super) fn reload(&mut self) {
        self.notifier.reloading();
        self.tell(&ToEngine::Reload, &[]);
    }

    /// The engine was asked to end the daemon. Asked again, nothing is hastened: that is for signals.
    pub(super) fn quit(&mut self) {
        if self.stop == Stop::No {
            self.stop_or_hasten("asked to quit");
        }
    }

    pub(super) fn stop_or_hasten(&mut self, word: &str) {
        let now = Instant::now();
        let grace = match self.stop {
            Stop::No => self.config.stop_timeout,
            // Once more: no more time for anybody.
            Stop::Draining { hastened: false, .. } => Duration::ZERO,
            _ => return,
        };
        let hastened = self.stop != Stop::No;
        self.stop = Stop::Draining { deadline: now + grace + OVERTIME, hastened };
        self.notifier.stopping();
        let hint = if hastened || self.runs.is_empty() { "" } else { " (once more to kill them at once)" };
        self.voice.say(Level::Info, format_args!("{word}: stopping {} runs{hint}", self.runs.len()));
        self.tell(&ToEngine::Drain { grace }, &[]);
    }

    /// The end of a stop: whatever is left is killed, and the engine may go.
    pub(super) fn leave(&mut self, now: Instant) {
        if !matches!(self.stop, Stop::Draining { .. }) {
            return;
        }
        let left: Vec<RunId> = self.runs.iter().map(|(run, _)| run).collect();
        for run in left {
            if let Some(entry) = self.runs.get(run) {
                if let Some(leader) = entry.leader() {
                    let _ = sys::kill(-leader, libc::SIGKILL);
                }
                match &entry.group {
                    Some(group) if group.kill().is_ok() => {}
                    _ => drop(sweep::signal(self.trace(run), libc::SIGKILL)),
                }
            }
        }
        self.stop = Stop::Leaving { deadline: now + FAREWELL };
        if let Engine::Up(up) = &mut self.engine {
            let _ = up.flush();
            up.link.close_sending();
        }
    }
}
