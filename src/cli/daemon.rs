//! The command line of the daemon itself.

use std::path::PathBuf;

use clap::{CommandFactory, Parser};

/// Supervise scheduled and on-demand jobs
///
/// Without `-c` and where there is no `/etc/rotad` it takes a first look: the jobs of `./conf.d`, shown on the terminal.
#[derive(Debug, Parser)]
#[command(name = "rotad", version, after_help = "rotad(8) describes the daemon, rotad-job(5) the files of jobs.")]
pub struct Args {
    /// The configuration, a rotad.yaml(5) [default: /etc/rotad/rotad.yaml]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Send no heartbeat to bk-monitor; see BEATS
    #[arg(long)]
    pub without_heart_beat: bool,
    /// Be the engine of the warden at the other end of descriptor 3
    #[arg(long, hide = true, conflicts_with = "config")]
    pub engine: bool,
}

/// The definition of the command line, for documentation and its tests.
pub fn definition() -> clap::Command {
    Args::command()
}
