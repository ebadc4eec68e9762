//! Stands in for `rota check`.

use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `rota check`.
#[derive(Debug, clap::Args)]
pub struct Check {
    /// Job files, or directories of them [default: conf_d of rotad.yaml, else ./conf.d]
    pub paths: Vec<PathBuf>,
    /// The configuration to check, and whose users and directory count [default: /etc/rotad/rotad.yaml, if it is there]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// An array of findings
    #[arg(long)]
    pub json: bool,
}

/// Carries it out.
pub fn run(_args: Check) -> ExitCode {
    super::Exit::Failed.into()
}
