//! The messages between warden and engine: a closed set, versioned and bounded.
//!
//! They travel over one `SOCK_SEQPACKET` socketpair, one message a packet, in order, with file descriptors beside them.
//! The warden takes the engine for possibly hostile: what it receives is decoded here into closed types, and everything
//! that grows is bounded by the constants below before it is kept.
//!
//! Order is the contract by which nothing is lost with the engine. The warden keeps of each run what the engine gave it
//! ([`Start::context`], [`ToWarden::Spool`]) until [`ToWarden::Forget`], and of the engine as a whole the last
//! [`ToWarden::Mark`]. The engine sends `Start` for every slot up to an instant, then the `Mark` for that instant, and
//! forgets a run only after the mark that covers its slot. So whatever the moment of its death, the next engine finds every
//! slot either at or before the mark, or among the runs handed to it, or not yet started: never twice, never lost.

mod ended;
mod link;
mod messages;
mod plan;
mod run;

pub use ended::{Ended, Exit, Failure, Step};
pub use link::{Link, Received};
pub use messages::{Adopt, AdoptState, DirectoryPlace, FilePlace, Reach, ToEngine, ToWarden, Welcome};
pub use plan::{Limit, Plan, Start};
pub use run::{RunId, Stream};

use std::fmt;

use serde::{Deserialize, Serialize};

/// Raised with every change of a message. The two ends refuse each other when it differs.
pub const VERSION: u32 = 5;
/// Longest message in bytes. Linux takes a packet of up to the send buffer's size, 208 KiB unless tuned.
pub const MAX_MESSAGE: usize = 160 << 10;
/// Most file descriptors beside one message.
pub const MAX_FDS: usize = 4;
/// Most runs the warden carries at once.
pub const MAX_RUNS: usize = 8192;
/// Longest context of a run, in bytes.
pub const MAX_CONTEXT: usize = 16 << 10;
/// Longest file that is written for the engine, in bytes. A `jobs_config` of 10,000 jobs takes some 3 MB.
pub const MAX_FILE: usize = 8 << 20;
/// Longest mark, in bytes.
pub const MAX_MARK: usize = 4 << 10;

/// A packet that is no message, or too long for one.
#[derive(Debug)]
pub struct BadMessage(pub String);

impl fmt::Display for BadMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bad message between warden and engine: {}", self.0)
    }
}

impl std::error::Error for BadMessage {}

/// A message as a packet.
pub fn encode<M: Serialize>(message: &M) -> Result<Vec<u8>, BadMessage> {
    let packet = postcard::to_stdvec(message).map_err(|error| BadMessage(error.to_string()))?;
    if packet.len() > MAX_MESSAGE {
        return Err(BadMessage(format!("{} bytes, at most {MAX_MESSAGE}", packet.len())));
    }
    Ok(packet)
}

/// A packet as a message. Every byte must belong to it.
pub fn decode<'a, M: Deserialize<'a>>(packet: &'a [u8]) -> Result<M, BadMessage> {
    match postcard::take_from_bytes(packet) {
        Ok((message, [])) => Ok(message),
        Ok((_, rest)) => Err(BadMessage(format!("{} bytes after its end", rest.len()))),
        Err(error) => Err(BadMessage(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn junk_is_no_message() {
        assert!(decode::<ToWarden>(&[]).is_err());
        assert!(decode::<ToWarden>(&[250]).is_err());
        assert!(decode::<ToWarden>(&[1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).is_err(), "a length beyond the packet");
        let mut packet = encode(&ToWarden::Ready).unwrap();
        assert_eq!(decode::<ToWarden>(&packet).unwrap(), ToWarden::Ready);
        packet.push(0);
        assert!(decode::<ToWarden>(&packet).is_err(), "a byte too many");
    }

    #[test]
    fn too_long_is_refused_before_it_is_sent() {
        assert!(encode(&ToWarden::Mark { mark: vec![0; MAX_MESSAGE] }).is_err());
    }
}
