//! The command line of rotad. See rota(1).

use std::process::ExitCode;

fn main() -> ExitCode {
    rotad::cli::main()
}
