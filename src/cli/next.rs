//! Stands in for `rota next`.

use std::process::ExitCode;

/// Arguments of `rota next`.
#[derive(Debug, clap::Args)]
pub struct Next {}

/// Carries it out.
pub fn run(_args: &Next) -> ExitCode {
    super::Exit::Failed.into()
}
