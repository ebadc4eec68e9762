//! mysql-crond's verbs, for scripts that were written for it: `alias mysql-crond=rota`. What they do is a request like that
//! of rota's own verbs; they are silent when it is done, and end with 0 or 1.

mod add;
mod change;
mod grid;
mod select;

use super::socket::Place;
use super::{Error, Exit};

pub use grid::Grid;

// The sentences are rota(1)'s too: its MYSQL-CROND is made of them.
/// Their names and flags are as there.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Make a job, or change what these flags say of it; always permanent
    #[command(name = "addJob", hide = true)]
    Add(add::Add),
    /// Delete a job; always permanent
    #[command(name = "delJob", hide = true)]
    Delete(change::Delete),
    /// No slots until the job is enabled again
    ///
    /// With `-m` of all enabled jobs that match; the first one that is refused ends it.
    #[command(name = "disable-job", hide = true)]
    Disable(change::Switch),
    /// Slots again, after disable-job or pause-job
    ///
    /// With `-m` of all disabled or paused jobs that match; the first one that is refused ends it.
    #[command(name = "enable-job", hide = true)]
    Enable(change::Switch),
    /// No slots for a while
    ///
    /// With `-m` of all enabled jobs that match; the first one that is refused ends it. Unlike there a restart does not
    /// end a pause.
    #[command(name = "pause-job", hide = true)]
    Pause(change::Pause),
    /// Another schedule
    #[command(name = "change-job", hide = true)]
    Change(change::Change),
}

impl Verb {
    /// Carries it out.
    pub fn run(self, place: &Place) -> Result<Exit, Error> {
        let done = place.client().and_then(|client| match self {
            Verb::Add(verb) => verb.run(&client),
            Verb::Delete(verb) => verb.run(&client),
            Verb::Disable(verb) => verb.disable(&client),
            Verb::Enable(verb) => verb.enable(&client),
            Verb::Pause(verb) => verb.run(&client),
            Verb::Change(verb) => verb.run(&client),
        });
        done.map(|()| Exit::Ok).map_err(Error::plain)
    }
}

/// It is the name of one of them.
pub fn is_verb(name: &str) -> bool {
    <Verb as clap::Subcommand>::has_subcommand(name)
}

/// A truth as Go's flags take it: alone it is `true`, else `--flag=false`.
fn truth(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("true or false".to_owned()),
    }
}
