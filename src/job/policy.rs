//! What a job wants beside its slots: those that were missed, another attempt, and to follow other jobs.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::JobName;

/// Most slots that are made up for after one time that nobody watched.
pub const MAX_CATCH_UP: u32 = 100;
/// Most attempts after the first.
pub const MAX_RETRIES: u32 = 100;

/// Which slots are made up for that fell in time that nobody watched: the daemon was down, the machine suspended, the clock
/// stepped, the process stopped. One rule for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatchUp {
    /// How many.
    pub rule: CatchUpRule,
    /// None that is older than this when it is found.
    pub window: Duration,
    /// Of `all`, the newest so many.
    pub max: u32,
}

/// How many missed slots are made up for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CatchUpRule {
    /// None: they are missed.
    #[default]
    None,
    /// The newest; older ones are missed.
    Last,
    /// All, oldest first and one after the other, up to [`CatchUp::max`].
    All,
}

impl CatchUp {
    /// Nothing is made up for.
    pub const NONE: CatchUp = CatchUp { rule: CatchUpRule::None, window: Duration::from_secs(7 * 86_400), max: 10 };
}

/// Whether and when a run that failed is attempted again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retries {
    /// Attempts after the first.
    pub max: u32,
    /// Between the end of the first attempt and the start of the second.
    pub delay: Duration,
    /// Each further delay is so many hundredths of the one before: 200 doubles it.
    pub backoff: u32,
    /// The longest delay.
    pub max_delay: Duration,
    /// After which outcomes.
    pub on: RetryOn,
}

/// After which outcomes a run is attempted again. One that was stopped never is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryOn {
    /// It failed: any exit code that is no success, any signal.
    pub failure: bool,
    /// Its time was up.
    pub timeout: bool,
    /// It could not start.
    pub could_not_start: bool,
    /// It ended with one of these codes, whatever else is said.
    pub codes: Vec<u8>,
}

impl Default for RetryOn {
    fn default() -> Self {
        Self { failure: true, timeout: true, could_not_start: true, codes: Vec::new() }
    }
}

impl Retries {
    /// What holds where the file says nothing more than how many.
    pub fn of(max: u32) -> Self {
        Self {
            max,
            delay: Duration::from_secs(10),
            backoff: 200,
            max_delay: Duration::from_secs(3600),
            on: RetryOn::default(),
        }
    }

    /// How long after the end of attempt number `attempt` (from 1) the next one starts.
    pub fn delay_after(&self, attempt: u32) -> Duration {
        let mut delay = self.delay;
        for _ in 1..attempt {
            if self.backoff <= 100 || delay.is_zero() || delay >= self.max_delay {
                break;
            }
            delay = delay.saturating_mul(self.backoff) / 100;
        }
        delay.min(self.max_delay)
    }
}

/// The jobs after whose ends a job starts, each with the end that counts. It starts once all of them have ended so since it
/// started last.
pub type After = BTreeMap<JobName, AfterEnd>;

/// Which end of a job counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AfterEnd {
    /// Its last attempt was a success.
    Success,
    /// It was not.
    Failure,
    /// Either.
    Any,
}

impl AfterEnd {
    /// Whether an end counts that was a success, or not.
    pub fn counts(self, success: bool) -> bool {
        match self {
            AfterEnd::Success => success,
            AfterEnd::Failure => !success,
            AfterEnd::Any => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d72_delays_grow_to_their_limit_and_never_overflow() {
        let seconds = |retries: &Retries, attempt| retries.delay_after(attempt).as_secs();
        let doubled = Retries::of(5);
        assert_eq!([1, 2, 3, 4, 99].map(|attempt| seconds(&doubled, attempt)), [10, 20, 40, 80, 3600]);
        let level = Retries { backoff: 100, ..Retries::of(5) };
        assert_eq!([1, 2, 100].map(|attempt| seconds(&level, attempt)), [10, 10, 10]);
        let wild = Retries { delay: Duration::MAX, max_delay: Duration::MAX, backoff: u32::MAX, ..Retries::of(5) };
        assert_eq!(wild.delay_after(u32::MAX), Duration::MAX);
        let none = Retries { delay: Duration::ZERO, ..Retries::of(1) };
        assert_eq!(none.delay_after(u32::MAX), Duration::ZERO);
    }
}
