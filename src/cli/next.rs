//! Stands in for `rota next`.

use std::process::ExitCode;

/// Arguments of `rota next`.
#[derive(Debug, clap::Args)]
pub struct Next {
    /// The schedule, as one argument: '*/15 * * * *'
    #[arg(value_name = "SCHEDULE", allow_hyphen_values = true)]
    pub expr: String,
    /// Whose rules the schedule follows
    #[arg(long, value_name = "DIALECT", default_value = "robfig")]
    pub dialect: String,
    /// IANA name of the time zone, UTC or local [default: local]
    #[arg(long, value_name = "ZONE")]
    pub timezone: Option<String>,
    /// Start after this instant, as in 2026-03-08T00:00:00Z [default: now]
    #[arg(long, value_name = "RFC3339")]
    pub from: Option<String>,
    /// How many to show, at most 10000
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    pub count: u16,
    /// Print a JSON array of instants
    #[arg(long)]
    pub json: bool,
}

/// Carries it out.
pub fn run(_args: &Next) -> ExitCode {
    super::Exit::Failed.into()
}
