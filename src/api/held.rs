//! Answers that readers have not taken yet. A list of ten thousand jobs has ten megabytes, and who asks for it and does
//! not read it has it held for minutes: together they get so much and no more. Those who may change something are not
//! counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::Problem;
use super::ask::wait;
use super::peer::{Peer, Right};

/// Bytes of all such answers together.
const MOST: usize = 64 << 20;
/// Answers that are being made at once: before it is made nobody knows how long one is.
const TURNS: usize = 4;
/// Longest wait for a turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is held, and who is at it.
pub struct Held {
    bytes: Arc<AtomicUsize>,
    turns: Arc<Semaphore>,
}

/// So many bytes, until this is dropped.
#[derive(Debug)]
pub struct Hold(Arc<AtomicUsize>, usize);

impl Held {
    /// Nothing yet.
    pub fn new() -> Held {
        Held { bytes: Arc::default(), turns: Arc::new(Semaphore::new(TURNS)) }
    }

    /// A turn to make an answer for `peer`, if that needs one. Waits.
    pub fn turn(&self, peer: Peer) -> Result<Option<OwnedSemaphorePermit>, Problem> {
        if peer.right == Right::Change {
            return Ok(None);
        }
        let turn = wait(Arc::clone(&self.turns).acquire_owned(), PATIENCE);
        turn.and_then(Result::ok).map(Some).ok_or_else(busy)
    }

    /// Room for an answer of `length` bytes. One alone has it, however long it is.
    pub fn room(&self, peer: Peer, length: usize) -> Result<Option<Hold>, Problem> {
        if peer.right == Right::Change {
            return Ok(None);
        }
        let before = self.bytes.fetch_add(length, Ordering::Relaxed);
        let hold = Hold(Arc::clone(&self.bytes), length);
        if before == 0 || before + length <= MOST { Ok(Some(hold)) } else { Err(busy()) }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

fn busy() -> Problem {
    Problem::new(503, "busy", "too many answers wait to be read").hint("try again once some of them are read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g98_answers_that_nobody_reads_are_bounded() {
        let held = Held::new();
        let [reader, changer] = [Right::Read, Right::Change].map(|right| Peer { uid: 7, right });
        let long = held.room(reader, 2 * MOST).unwrap();
        assert_eq!(held.room(reader, 1).unwrap_err().code(), "busy");
        assert!(held.room(changer, MOST).unwrap().is_none());
        drop(long);
        let kept: Vec<_> = (0..4).map(|_| held.room(reader, MOST / 4).unwrap()).collect();
        assert!(held.room(reader, 1).is_err());
        drop(kept);
        assert!(held.room(reader, 1).is_ok());
        let turns: Vec<_> = (0..TURNS).map(|_| held.turn(reader).unwrap()).collect();
        assert!(held.turn(changer).unwrap().is_none());
        assert_eq!(held.turns.available_permits(), 0);
        drop(turns);
        assert!(held.turn(reader).unwrap().is_some());
    }
}
