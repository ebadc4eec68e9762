//! `addJob`.

use super::super::{Error, Exit};
use super::truth;
use crate::client::{Client, Define};

/// Flags of `addJob`.
#[derive(Debug, clap::Args)]
pub struct Add {
    /// The job
    #[arg(short, long, required_unless_present = "body", conflicts_with = "body", allow_hyphen_values = true)]
    name: Option<String>,
    /// The program
    #[arg(short = 'm', long, required_unless_present = "body", conflicts_with = "body")]
    command: Option<String>,
    /// Its arguments, with commas between; may be said several times
    #[arg(short, long, value_delimiter = ',', allow_hyphen_values = true)]
    args: Vec<String>,
    /// When it is due
    #[arg(short, long, default_value = "", hide_default_value = true)]
    schedule: String,
    /// Where it runs
    #[arg(short = 'd', long = "work_dir", value_name = "DIR", default_value = "", hide_default_value = true)]
    work_dir: String,
    /// Who makes it; there must be one
    #[arg(short = 'r', long, value_name = "WHO", default_value = "", hide_default_value = true)]
    creator: String,
    /// Due at all; no is written `--enable=false`
    #[arg(
        short,
        long,
        action = clap::ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value = "true",
        default_missing_value = "true",
        value_name = "TRUTH",
        value_parser = truth
    )]
    enable: bool,
    /// The job as JSON instead of these flags: the object that `/create_or_replace` takes as `job`
    #[arg(long, value_name = "JSON")]
    body: Option<String>,
}

impl Add {
    pub fn run(self, client: &Client) -> Result<(), Error> {
        let job = match self.body {
            Some(body) => serde_json::from_str(&body).map_err(|error| {
                Error::new(Exit::Failed, format!("--body is no definition of a job: {error}"))
                    .hint(r#"--body '{"name": "a", "enable": true, "command": "x", "args": [], "schedule": "@daily", "creator": "me"}'"#)
            })?,
            None => Define {
                name: self.name.unwrap_or_default(),
                enable: self.enable,
                command: self.command.unwrap_or_default(),
                args: self.args,
                schedule: self.schedule,
                creator: self.creator,
                work_dir: self.work_dir,
            },
        };
        for (value, flag) in [(&job.schedule, "-s, --schedule"), (&job.creator, "-r, --creator")] {
            if value.is_empty() {
                return Err(Error::new(Exit::Failed, format!("{flag} is missing: every job of mysql-crond has it"))
                    .hint("rota create makes jobs without them"));
            }
        }
        Ok(client.create_or_replace(&job, true)?)
    }
}
