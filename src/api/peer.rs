//! Who asks, what they may, and what they ask for: all that a route is told.

use std::fmt;

use super::answer::Problem;

/// What a peer may do, and what a route asks for. Who may change may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Right {
    /// Look at jobs, runs and output.
    Read,
    /// Whatever leaves the daemon or a job in another state than before.
    Change,
}

impl Right {
    /// In heads and documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Change => "change",
        }
    }
}

/// The user at the other end, by the kernel's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// User id.
    pub uid: u32,
    /// What that user may.
    pub right: Right,
}

impl Peer {
    /// Refuses what the peer may not.
    pub fn may(&self, right: Right) -> Result<(), Problem> {
        if right <= self.right {
            return Ok(());
        }
        Err(Problem::new(403, "read-only", format!("{self} may look, but change nothing"))
            .hint("rotad.yaml(5): admin_group names who may"))
    }

    /// As the gate writes it into a head: `1000 change`.
    pub fn header(&self) -> String {
        format!("{} {}", self.uid, self.right.word())
    }

    /// What [`Self::header`] wrote; `None` for anything else.
    pub fn parse(header: &str) -> Option<Peer> {
        let (uid, right) = header.split_once(' ')?;
        let right = [Right::Read, Right::Change].into_iter().find(|known| known.word() == right)?;
        Some(Peer { uid: uid.parse().ok()?, right })
    }
}

/// As runs and edits note who asked: `uid 1000`.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "uid {}", self.uid)
    }
}

/// A request that the gate let through.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// `GET`, `POST`, … as it was sent.
    pub method: &'a str,
    /// Path and query as they were sent, from the first `/` on.
    pub url: &'a str,
    /// The whole body. Empty with `GET` and `HEAD`, whatever was sent, and for who may only read.
    pub body: &'a [u8],
    /// Who asks.
    pub peer: Peer,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_change_may_read_and_not_the_other_way() {
        let peer = |right| Peer { uid: 7, right };
        assert_eq!(peer(Right::Change).may(Right::Read), Ok(()));
        assert_eq!(peer(Right::Read).may(Right::Read), Ok(()));
        let problem = peer(Right::Read).may(Right::Change).unwrap_err();
        assert_eq!((problem.status(), problem.code()), (403, "read-only"));
    }

    #[test]
    fn what_the_gate_writes_is_what_the_route_reads() {
        for peer in [Peer { uid: 0, right: Right::Change }, Peer { uid: u32::MAX - 1, right: Right::Read }] {
            assert_eq!(Peer::parse(&peer.header()), Some(peer));
        }
        for header in ["", "0", "0 root", "-1 read", "uid 0", "0 change "] {
            assert_eq!(Peer::parse(header), None, "{header:?}");
        }
    }
}
