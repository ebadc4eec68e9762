//! The daemon: the warden, or, when it was started by one, the engine.

use std::process::ExitCode;

use clap::Parser;
use rotad::cli::daemon::Args;

fn main() -> ExitCode {
    let args = Args::parse();
    if args.engine {
        rotad::engine::run(rotad::warden::sys::own(3))
    } else {
        rotad::warden::run(args.config.as_deref(), args.without_heart_beat)
    }
}
