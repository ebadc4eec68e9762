//! What monitors ask: numbers, and whether all is well.

use std::collections::BTreeMap;

use super::request::{Condition, Readiness, Refusal};
use super::turn::Engine;
use crate::history::State;
use crate::metrics::{JobReading, MAX_JOBS, Reading};

impl Engine {
    /// The numbers of this moment: little more than a copy, the text is made by whoever asked.
    pub(super) fn reading(&self) -> Reading {
        let (state, now) = (&self.state, self.now());
        let beats = self.beating.view();
        let (started, engine_restarts) = state.lineage();
        let jobs = state.next_slots(MAX_JOBS).map(|(name, next)| JobReading {
            name: name.clone(),
            next,
            tally: self.tallies.of(name),
        });
        let gauges = state.gauges(now.wall);
        let mut dropped = vec![("output_bytes", state.output_dropped())];
        dropped.push(("history_rows", self.history.status().dropped));
        dropped.extend(beats.as_ref().map(|beats| ("beats", beats.dropped)));
        Reading {
            started,
            engine_started: now.wall.checked_sub(now.mono).unwrap_or(now.wall),
            engine_restarts,
            watch: state.watch_mode().to_owned(),
            queues: self.queues(gauges.errands),
            gauges,
            tallies: self.tallies.sums().clone(),
            dropped,
            beats,
            jobs: jobs.collect(),
            jobs_not_shown: state.job_count().saturating_sub(MAX_JOBS) as u64,
        }
    }

    /// Whether slots are decided and started. What else does not work is told beside it, and changes nothing: a daemon that
    /// cannot send beats runs its jobs all the same.
    pub(super) fn readiness(&self) -> Result<Readiness, Refusal> {
        let not = |code: &str, message: &str| Err(Refusal { code: code.into(), message: message.into(), hint: None });
        if self.stopping || self.quit.is_some() {
            return not("stopping", "the daemon stops");
        }
        if !self.ready {
            return not("starting", "the first snapshot is not armed yet");
        }
        let mut parts = BTreeMap::new();
        match self.history.status().state {
            State::Off | State::Opening => {}
            state => drop(parts.insert("history".to_owned(), Condition::of(state == State::Open))),
        }
        if let Some(beats) = self.beating.view() {
            parts.insert("beats".to_owned(), Condition::of(beats.failing.is_none()));
        }
        Ok(Readiness { status: Condition::Ok, parts })
    }
}
