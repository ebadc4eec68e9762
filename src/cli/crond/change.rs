//! `delJob`, `disable-job`, `enable-job`, `pause-job` and `change-job`.

use std::time::Duration;

use super::super::{Error, Exit};
use super::select::Select;
use super::truth;
use crate::client::{Client, End};
use crate::schedule::go_duration;

/// Flags of `delJob`.
#[derive(Debug, clap::Args)]
pub struct Delete {
    /// The job
    #[arg(short, long, allow_hyphen_values = true)]
    name: String,
    /// Without meaning, as there: it is deleted from its file whatever this says
    #[arg(
        long,
        action = clap::ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_name = "TRUTH",
        value_parser = truth
    )]
    permanent: Option<bool>,
}

impl Delete {
    pub fn run(self, client: &Client) -> Result<(), Error> {
        let _as_there = self.permanent;
        Ok(client.delete(&self.name, true).map(drop)?)
    }
}

/// Flags of `disable-job` and `enable-job`.
#[derive(Debug, clap::Args)]
pub struct Switch {
    #[command(flatten)]
    jobs: Select,
    /// In the job's file too; without it until the daemon ends
    #[arg(
        long,
        action = clap::ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
        hide_default_value = true,
        value_name = "TRUTH",
        value_parser = truth
    )]
    permanent: bool,
}

impl Switch {
    pub fn disable(self, client: &Client) -> Result<(), Error> {
        self.jobs.each(client, "enabled", |name| client.disable(name, self.permanent))
    }

    pub fn enable(self, client: &Client) -> Result<(), Error> {
        self.jobs.each(client, "disabled", |name| client.resume(name, self.permanent))
    }
}

/// Flags of `pause-job`.
#[derive(Debug, clap::Args)]
pub struct Pause {
    #[command(flatten)]
    jobs: Select,
    /// For how long, as Go writes durations: `1h30m`
    #[arg(short = 'r', long, default_value = "1h")]
    duration: String,
}

impl Pause {
    pub fn run(self, client: &Client) -> Result<(), Error> {
        let wrong = |why: String| Error::new(Exit::Failed, why).hint("-r 90s, -r 5m or -r 1h30m");
        let length = go_duration(&self.duration).map_err(|error| wrong(format!("-r, --duration: {error}")))?;
        let length = u64::try_from(length).ok().filter(|length| *length >= 1_000_000);
        let length = length.ok_or_else(|| wrong("-r, --duration: a pause is longer than 0".into()))?;
        self.jobs.each(client, "enabled", |name| client.pause(name, End::After(Duration::from_nanos(length)), ""))
    }
}

/// Flags of `change-job`, all required.
#[derive(Debug, clap::Args)]
pub struct Change {
    /// The job
    #[arg(short, long, allow_hyphen_values = true)]
    name: String,
    /// Its new schedule
    #[arg(short, long)]
    schedule: String,
    /// In the job's file too; no is written `--permanent=false`
    #[arg(
        long,
        action = clap::ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        required = true,
        default_missing_value = "true",
        value_name = "TRUTH",
        value_parser = truth
    )]
    permanent: bool,
}

impl Change {
    pub fn run(self, client: &Client) -> Result<(), Error> {
        Ok(client.reschedule(&self.name, &self.schedule, self.permanent).map(drop)?)
    }
}
