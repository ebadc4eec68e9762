//! What a job wants of the days on which clocks change, where its dialect's own rule is not what it wants.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::zone::{ClockRule, Fold, Gap};

/// A rule for wall times that do not exist and for those that come twice, in the place of the dialect's.
///
/// However many times of a schedule one jump of the clock leaves out, one run is made up for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dst {
    /// A time that does not exist has no run; one that comes twice runs the first time.
    Skip,
    /// A time that does not exist runs when the clock has jumped over it; one that comes twice runs the first time.
    Once,
    /// A time that does not exist runs when the clock has jumped over it; one that comes twice runs both times.
    Both,
}

impl Dst {
    /// All of them, in the order in which help texts name them.
    pub const ALL: [Dst; 3] = [Dst::Skip, Dst::Once, Dst::Both];

    /// The word as it stands in job files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Dst::Skip => "skip",
            Dst::Once => "once",
            Dst::Both => "both",
        }
    }

    /// Whoever says what they want gets it, however far the clock moves.
    pub(super) fn rule(self) -> ClockRule {
        let gap = if self == Dst::Skip { Gap::Skip } else { Gap::AtEnd };
        let fold = if self == Dst::Both { Fold::Both } else { Fold::First };
        ClockRule { gap, fold, bounded: false }
    }
}

impl fmt::Display for Dst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Dst {
    type Err = String;

    fn from_str(name: &str) -> Result<Dst, String> {
        Dst::ALL.into_iter().find(|dst| dst.name() == name).ok_or_else(|| "one of skip, once, both".to_string())
    }
}
