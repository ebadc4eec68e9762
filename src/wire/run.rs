//! Which run, and which of its outputs.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The identity of a run: unique and rising for the life of the installation. Milliseconds since 1970 in the upper 42
/// bits, a count in the lower 22; written in 13 characters of Crockford's base 32.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunId(pub u64);

const BASE32: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl RunId {
    /// The first id that may be given at `now` after `last` was given.
    pub fn after(last: RunId, now: Timestamp) -> RunId {
        let fresh = u64::try_from(now.as_millisecond()).unwrap_or(0) << 22;
        // A hostile engine may have left the highest id to its successor, which must not die of it.
        RunId(fresh.max(last.0.wrapping_add(1)))
    }

    /// When it was given, in milliseconds since 1970.
    pub fn milliseconds(self) -> u64 {
        self.0 >> 22
    }

    /// Reads what [`fmt::Display`] wrote; `None` for anything else.
    pub fn parse(text: &str) -> Option<RunId> {
        if text.len() != 13 {
            return None;
        }
        text.bytes()
            .try_fold(0u64, |id, byte| {
                let digit = BASE32.iter().position(|known| *known == byte.to_ascii_lowercase())?;
                id.checked_mul(32)?.checked_add(u64::try_from(digit).ok()?)
            })
            .map(RunId)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0u8; 13];
        let mut rest = self.0;
        for place in text.iter_mut().rev() {
            *place = BASE32[(rest % 32) as usize];
            rest /= 32;
        }
        f.pad(std::str::from_utf8(&text).unwrap_or_default())
    }
}

/// A run's two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_ids_rise_and_read_back() {
        let now: Timestamp = "2026-11-20T13:00:00Z".parse().unwrap();
        let first = RunId::after(RunId(0), now);
        let second = RunId::after(first, now);
        assert!(second > first);
        assert!(RunId::after(second, now - jiff::SignedDuration::from_hours(1)) > second);
        assert_eq!(RunId::after(RunId(u64::MAX), now), first);
        for id in [RunId(0), first, second, RunId(u64::MAX)] {
            assert_eq!(RunId::parse(&id.to_string()), Some(id));
        }
        for junk in ["", "0", "zzzzzzzzzzzzz", "../../../../x", "0000000000000 "] {
            assert_eq!(RunId::parse(junk), None, "{junk:?}");
        }
    }
}
