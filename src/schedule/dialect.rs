//! The four languages a schedule may be written in.
//!
//! They look alike and are not: six fields begin with seconds in one and end with years in the other, `*/2` in the day
//! field means "or" here and "and" there. So the dialect is always named, never guessed from the text.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Whose rules a schedule text follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// Go's `robfig/cron` v3: five fields, or six of which the first is seconds; `@every`; `TZ=` before the fields.
    #[default]
    Robfig,
    /// Go's `gorhill/cronexpr`: five fields, six of which the last is years, or seven; `L`, `W` and `#`.
    #[serde(alias = "gorhill")]
    Cronexpr,
    /// The crontab of cronie's `crond`: five fields, `~`, `@reboot`; missed fixed times are made up after a gap.
    Vixie,
    /// `OnCalendar=` of systemd 252: `Mon..Fri *-*-* 02:30:00 Europe/Berlin`.
    Systemd,
}

impl Dialect {
    /// All dialects, in the order in which help texts name them.
    pub const ALL: [Dialect; 4] = [Dialect::Robfig, Dialect::Cronexpr, Dialect::Vixie, Dialect::Systemd];

    /// The name as it stands in job files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Dialect::Robfig => "robfig",
            Dialect::Cronexpr => "cronexpr",
            Dialect::Vixie => "vixie",
            Dialect::Systemd => "systemd",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Dialect {
    type Err = String;

    fn from_str(name: &str) -> Result<Dialect, String> {
        match name {
            "robfig" => Ok(Dialect::Robfig),
            "cronexpr" | "gorhill" => Ok(Dialect::Cronexpr),
            "vixie" => Ok(Dialect::Vixie),
            "systemd" => Ok(Dialect::Systemd),
            _ => Err("unknown dialect; one of robfig, cronexpr, vixie, systemd".to_string()),
        }
    }
}
