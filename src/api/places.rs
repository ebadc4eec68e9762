//! How many connections there may be, and whose. Each rank has places of its own, so that readers and strangers, however
//! many, take none from those who may change something.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a connection is held for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rank {
    /// Who is being looked up. Costs a descriptor, and no thread.
    Unknown,
    /// Who is told why not, or has been answered and does not close. Likewise.
    Leaving,
    /// Who may only read.
    Reader,
    /// Who may change.
    Changer,
    /// Root, and the daemon's own user.
    Own,
}

/// How many of each.
pub struct Places {
    /// Requests at once.
    most: usize,
    taken: Mutex<HashMap<(Rank, u32), usize>>,
}

impl Places {
    /// For `most` requests at once, at least 8; as many may wait to be known, or leave, beside them.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most: most.max(8), taken: Mutex::default() })
    }

    /// Of a rank: all, and for one user. Those that ask for something are `most` together.
    fn room(&self, rank: Rank) -> (usize, usize) {
        let of = |eighths: usize| self.most * eighths / 8;
        match rank {
            Rank::Unknown | Rank::Leaving => (of(8), of(2)),
            Rank::Reader => (of(2), of(1)),
            Rank::Changer => (of(3), of(2)),
            Rank::Own => (of(3), of(3)),
        }
    }

    /// A place for a connection of `uid`, where there is one.
    pub fn take(self: &Arc<Self>, rank: Rank, uid: u32) -> Option<Place> {
        let (all, each) = self.room(rank);
        let mut taken = self.taken();
        let of_rank: usize = taken.iter().filter(|((of, _), _)| *of == rank).map(|(_, count)| count).sum();
        let count = taken.get(&(rank, uid)).copied().unwrap_or(0);
        if of_rank >= all || count >= each {
            return None;
        }
        taken.insert((rank, uid), count + 1);
        Some(Place { of: (rank, uid), places: Arc::clone(self) })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<(Rank, u32), usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place that is taken, given back when it is dropped.
pub struct Place {
    of: (Rank, u32),
    places: Arc<Places>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        if let Some(count) = taken.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.of);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(places: &Arc<Places>, rank: Rank, uids: std::ops::Range<u32>) -> Vec<Place> {
        uids.flat_map(|uid| std::iter::from_fn(move || places.take(rank, uid))).collect()
    }

    #[test]
    fn g98_no_rank_takes_the_places_of_another() {
        let places = Places::new(128);
        let readers = fill(&places, Rank::Reader, 1..100);
        let leaving = fill(&places, Rank::Leaving, 1..100);
        let unknown = fill(&places, Rank::Unknown, 1..100);
        assert_eq!((readers.len(), leaving.len(), unknown.len()), (32, 128, 128));
        let changers = fill(&places, Rank::Changer, 1..100);
        let own = fill(&places, Rank::Own, 0..1);
        assert_eq!(readers.len() + changers.len() + own.len(), 128);
        drop((readers, leaving, unknown, changers, own));
        assert!(places.taken().is_empty(), "every place is given back");
    }

    #[test]
    fn g98_one_user_cannot_take_every_place() {
        for most in [8, 128] {
            let places = Places::new(most);
            for rank in [Rank::Reader, Rank::Changer, Rank::Unknown, Rank::Leaving] {
                let mine = fill(&places, rank, 1000..1001);
                assert!(!mine.is_empty() && places.take(rank, 1001).is_some(), "{rank:?} of {most}");
            }
        }
    }
}
