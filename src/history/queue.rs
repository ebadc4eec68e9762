//! What waits to be written. Who brings a row never waits: where there is no room it is dropped, counted, and told of.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::row::{FactKind, FactRow, Row};

/// Most rows that wait.
pub const MOST_ROWS: usize = 16_384;
/// Most bytes that wait.
pub const MOST_BYTES: usize = 32 << 20;
/// Most rows of one transaction.
const BATCH_ROWS: usize = 1024;

/// The queue.
#[derive(Debug, Default)]
pub struct Queue {
    held: Mutex<Held>,
    bell: Condvar,
    closed: Condvar,
}

#[derive(Debug, Default)]
struct Held {
    rows: VecDeque<Row>,
    /// Of those, and of those in the writer's hands, which take up room until they are written.
    bytes: usize,
    /// Rows in the writer's hands.
    taken: usize,
    /// Rows that were dropped since the start.
    dropped: u64,
    /// Since when rows are being dropped, and how many were.
    spell: Option<(Timestamp, u64)>,
    /// The writer is wanted for something else than rows.
    rung: bool,
    closing: bool,
    closed: bool,
}

/// Rows in the writer's hands.
#[derive(Debug)]
pub struct Batch {
    /// In the order in which they came.
    pub rows: Vec<Row>,
    bytes: usize,
}

/// What the writer has to do.
#[derive(Debug)]
pub enum Work {
    /// Rows.
    Write(Batch),
    /// Nothing for as long as it wished to wait.
    Idle,
    /// No row waits and none will come.
    End,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a row, or drops it. True for the first one of a spell that is dropped.
    pub fn push(&self, row: Row, now: impl FnOnce() -> Timestamp) -> bool {
        let cost = row.cost();
        let mut held = self.lock();
        if held.closing {
            held.dropped += 1;
            return false;
        }
        // While rows are being dropped there is no room before half of it is free: else every other row would begin a spell.
        let share = if held.spell.is_some() { 2 } else { 1 };
        let full = held.rows.len() + held.taken >= MOST_ROWS / share || held.bytes + cost > MOST_BYTES / share;
        if full {
            held.dropped += 1;
            let first = held.spell.is_none();
            let (_, lost) = held.spell.get_or_insert_with(|| (now(), 0));
            *lost += 1;
            return first;
        }
        held.bytes += cost;
        held.rows.push_back(row);
        drop(held);
        self.bell.notify_one();
        false
    }

    /// Waits at most so long for rows.
    pub fn wait(&self, patience: Duration) -> Work {
        let end = Instant::now() + patience;
        let mut held = self.lock();
        loop {
            if !held.rows.is_empty() {
                let count = held.rows.len().min(BATCH_ROWS);
                let rows: Vec<Row> = held.rows.drain(..count).collect();
                held.taken = rows.len();
                if held.rows.is_empty() && held.rows.capacity() > BATCH_ROWS {
                    held.rows.shrink_to(0);
                }
                let bytes = rows.iter().map(Row::cost).sum();
                return Work::Write(Batch { rows, bytes });
            }
            if held.closing {
                return Work::End;
            }
            let left = end.saturating_duration_since(Instant::now());
            if std::mem::take(&mut held.rung) || left.is_zero() {
                return Work::Idle;
            }
            held = self.bell.wait_timeout(held, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The rows of a batch are written. A spell of dropped rows that is over then: since when, and how many.
    pub fn written(&self, batch: &Batch) -> Option<(Timestamp, u64)> {
        let mut held = self.lock();
        held.taken = 0;
        held.bytes = held.bytes.saturating_sub(batch.bytes);
        let room = held.rows.len() < MOST_ROWS / 2 && held.bytes < MOST_BYTES / 2;
        if room { held.spell.take() } else { None }
    }

    /// Wakes the writer, so that it sees what else there is to do.
    pub fn ring(&self) {
        self.lock().rung = true;
        self.bell.notify_one();
    }

    /// Half of the room is taken: writing comes before all else.
    pub fn pressed(&self) -> bool {
        let held = self.lock();
        held.rows.len() > MOST_ROWS / 2 || held.bytes > MOST_BYTES / 2
    }

    /// Rows could not be written for another reason than room.
    pub fn count_lost(&self, rows: u64) {
        self.lock().dropped += rows;
    }

    /// Rows that wait, and rows that were dropped.
    pub fn counts(&self) -> (usize, u64) {
        let held = self.lock();
        (held.rows.len() + held.taken, held.dropped)
    }

    /// Waits for `pause`, or less where the end comes. False for the end.
    pub fn pause(&self, pause: Duration) -> bool {
        let held = self.lock();
        let waited = self.bell.wait_timeout_while(held, pause, |held| !held.closing);
        !waited.unwrap_or_else(PoisonError::into_inner).0.closing
    }

    /// Takes no more rows, and waits at most so long for those that it has to be written.
    pub fn close(&self, patience: Duration) {
        let mut held = self.lock();
        held.closing = true;
        self.bell.notify_all();
        drop(self.closed.wait_timeout_while(held, patience, |held| !held.closed));
    }

    /// The writer is gone.
    pub fn ended(&self) {
        self.lock().closed = true;
        self.closed.notify_all();
    }
}

/// The fact that rows were lost, for those who ask why there are none.
pub fn lost(since: Timestamp, until: Timestamp, rows: u64) -> FactRow {
    FactRow {
        at: since,
        until: Some(until),
        kind: FactKind::Dropped,
        job: None,
        code: "history-dropped".into(),
        text: format!("{rows} rows of the history were lost: it could not be written as fast as they came"),
        by: String::new(),
    }
}
