//! The daemon: the warden, or, when it was started by one, the engine.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// Supervise scheduled and on-demand jobs.
///
/// Without -c and without /etc/rotad/rotad.yaml it takes a first look: the jobs of ./conf.d, shown on the terminal.
#[derive(Parser)]
#[command(name = "rotad", version)]
struct Args {
    /// Configuration file [default: /etc/rotad/rotad.yaml]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Send no heartbeat to bk-monitor
    #[arg(long)]
    without_heart_beat: bool,
    /// Be the engine of the warden at the other end of descriptor 3.
    #[arg(long, hide = true, conflicts_with = "config")]
    engine: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if args.engine {
        rotad::engine::run(rotad::warden::sys::own(3))
    } else {
        rotad::warden::run(args.config.as_deref(), args.without_heart_beat)
    }
}
