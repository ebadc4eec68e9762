//! Pure time: what a schedule text means, and when it is next due.

use jiff::Timestamp;

/// What a schedule text means.
#[derive(Debug, Clone)]
pub struct Schedule;

impl Schedule {
    /// The first slot strictly after `after`.
    pub fn next(&self, _after: Timestamp, _anchor: Timestamp) -> Option<Timestamp> {
        None
    }
    /// Due once per boot.
    pub fn is_reboot(&self) -> bool {
        false
    }
}
