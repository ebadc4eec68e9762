//! The command line, one file per verb. Text for people, `--json` on every verb that reads, exit codes from one table.
//!
//! It decides nothing: what it shows and wishes goes through the HTTP endpoint, except for `check`, which reads files,
//! and `next` of a schedule text: these need no daemon.

pub mod check;
mod client;
mod exit;
mod findings;
mod journal;
mod list;
mod logs;
pub mod next;
mod outcome;
mod reload;
mod run;
mod show;
mod socket;
mod status;
mod stop;
mod table;
mod term;
mod version;
mod when;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

pub use exit::{Error, Exit};
use socket::Place;

/// Ask and command rotad, the supervisor for scheduled and on-demand jobs.
#[derive(Debug, Parser)]
#[command(name = "rota", version, after_help = "rota(1) describes each verb and the exit codes.")]
struct Cli {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// The daemon in a few numbers
    Status(status::Status),
    /// Every job: its state, next slot and last outcome; then findings in files
    List(list::List),
    /// Everything that is known of one job
    Show(show::Show),
    /// When a schedule or a job is due next
    Next(next::Next),
    /// Run a job now
    Run(run::Run),
    /// Stop a run, or all runs of a job
    Stop(stop::Stop),
    /// What jobs printed
    Logs(logs::Logs),
    /// Check job files without a daemon
    Check(check::Check),
    /// Read conf.d anew
    Reload(reload::Reload),
    /// The versions of rota and of the running daemon
    Version(version::Version),
}

/// The whole program.
pub fn main() -> ExitCode {
    let Cli { place, verb } = Cli::parse();
    let done = match verb {
        Verb::Status(verb) => verb.run(&place),
        Verb::List(verb) => verb.run(&place),
        Verb::Show(verb) => verb.run(&place),
        Verb::Run(verb) => verb.run(&place),
        Verb::Stop(verb) => verb.run(&place),
        Verb::Logs(verb) => verb.run(&place),
        Verb::Reload(verb) => verb.run(&place),
        Verb::Version(verb) => verb.run(&place),
        Verb::Next(verb) => next::run(&verb, &place),
        Verb::Check(verb) => return check::run(verb),
    };
    match done {
        Ok(exit) => exit.into(),
        Err(error) => {
            term::complain(&error.to_string());
            error.exit().into()
        }
    }
}

/// The definition of the command line, for documentation and its tests.
pub fn definition() -> clap::Command {
    Cli::command()
}
