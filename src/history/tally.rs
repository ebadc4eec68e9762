//! What is known of a job as a whole, so that at the start one look at a small table tells it of all jobs.

use std::time::Duration;

use jiff::Timestamp;

use super::codec::failed;
use super::row::AttemptRow;
use crate::engine::core::outcome_word;
use crate::wire::RunId;

/// Durations of successes that are remembered.
pub const SPANS: usize = 20;

/// The sum of a job's past.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Runs that are over, of all time.
    pub runs: u64,
    /// The run that ended last: its id, the word of its outcome, and when.
    pub last: Option<(RunId, &'static str, Timestamp)>,
    /// When the last success ended.
    pub last_success: Option<Timestamp>,
    /// When the first of the failures in a row ended; absent: it does not fail.
    pub failing_since: Option<Timestamp>,
    /// Failed runs since the last success. Stopped runs are neither; of a run that is attempted again the last attempt counts.
    pub failures: u64,
    /// The newest slot that has a verdict.
    pub newest_slot: Option<Timestamp>,
    /// How long the last successes took, oldest first, in whole milliseconds.
    pub spans: Vec<u32>,
}

impl Tally {
    /// Takes an ended attempt in.
    pub fn take(&mut self, row: &AttemptRow) {
        self.last = Some((row.run, outcome_word(&row.outcome), row.ended));
        if row.next_attempt.is_some() {
            return;
        }
        self.runs = self.runs.saturating_add(1);
        if row.outcome.success() {
            (self.last_success, self.failing_since, self.failures) = (Some(row.ended), None, 0);
            if let Some(started) = row.started {
                let span = row.ended.as_millisecond().saturating_sub(started.as_millisecond()).max(0);
                self.spans.push(u32::try_from(span).unwrap_or(u32::MAX));
                let over = self.spans.len().saturating_sub(SPANS);
                self.spans.drain(..over);
            }
        } else if failed(&row.outcome) {
            self.failing_since = self.failing_since.or(Some(row.ended));
            self.failures = self.failures.saturating_add(1);
        }
    }

    /// What `hundredths` of the last successes did not exceed: 50 is the median, 95 nearly all. `None` without any.
    pub fn usual(&self, hundredths: u32) -> Option<Duration> {
        let mut spans = self.spans.clone();
        spans.sort_unstable();
        let rank = (spans.len() * hundredths.min(100) as usize).div_ceil(100).max(1);
        spans.get(rank - 1).map(|span| Duration::from_millis(u64::from(*span)))
    }

    /// [`Self::spans`] as bytes.
    pub(super) fn encode_spans(&self) -> Vec<u8> {
        self.spans.iter().flat_map(|span| span.to_le_bytes()).collect()
    }

    /// And back; bytes that are too few for a span are none.
    pub(super) fn decode_spans(bytes: &[u8]) -> Vec<u32> {
        let spans = bytes.chunks_exact(4).filter_map(|span| Some(u32::from_le_bytes(span.try_into().ok()?)));
        spans.take(SPANS).collect()
    }
}
