//! Stands in for `rota check`.

use std::process::ExitCode;

/// Arguments of `rota check`.
#[derive(Debug, clap::Args)]
pub struct Check {}

/// Carries it out.
pub fn run(_args: Check) -> ExitCode {
    super::Exit::Failed.into()
}
