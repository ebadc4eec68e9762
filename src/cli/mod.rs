//! The command line, one file per verb. Text for people, `--json` on every verb that reads, exit codes from one table.
//!
//! It decides nothing: what it shows and wishes goes through the HTTP endpoint, except for `check`, which reads files,
//! `next` of a schedule text, and what is known without one: `schema` and `completions`.

mod at;
mod cat;
pub mod check;
pub mod completions;
mod create;
pub mod crond;
pub mod daemon;
mod delete;
mod disable;
mod each;
mod edit;
mod enable;
mod exit;
pub mod explanation;
mod findings;
mod history;
mod hold;
mod import;
mod journal;
mod lint;
mod list;
mod logs;
pub mod next;
mod moment;
mod outcome;
mod pause;
mod reload;
mod run;
pub mod schema;
mod show;
mod show_run;
mod skip_next;
mod socket;
mod status;
mod stop;
mod table;
mod term;
mod version;
mod when;
mod why;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

pub use exit::{Error, Exit};
use socket::Place;

/// Ask and command rotad, the supervisor for scheduled and on-demand jobs
#[derive(Debug, Parser)]
#[command(name = "rota", version, after_help = "rota(1) describes each verb and the exit codes.")]
struct Cli {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    verb: Verb,
}

// The sentences are rota(1)'s too: its VERBS are made of them.
#[derive(Debug, Subcommand)]
enum Verb {
    /// The daemon in a few numbers
    ///
    /// It tells since when it runs, jobs and runs, the next slot, outcomes so far, broken files, and how `conf_d` is watched.
    Status(status::Status),
    /// Every job: its state, next slot and last outcome; then findings in files
    ///
    /// One line a job: its state, its next slot in local time, the outcome of its last run, its schedule. Below them what
    /// is wrong or doubtful in files. The states are `armed`, `disabled`, `on demand` (it has no schedule), `running`
    /// and `retrying` (a run waits for its next attempt); `broken` is added when the job's file has an error and its last good definition stays live.
    List(list::List),
    /// Everything that is known of one job, or of one run
    ///
    /// Of a job: state, command, user, schedule and next slot, the runs that go on, how the last one ended, what became of its
    /// latest slots, and the findings of its file. Of a run, by its id: what began it, and each attempt with its times, what
    /// it used, how it ended, the hash of its definition and the last lines that it printed, for as long as the history has it.
    /// A word that is the name of a job is taken for it, whatever else it could be.
    Show(show::Show),
    /// What became of slots and requests
    ///
    /// One line a run, with its outcome, how long it took, its id, and beside that what was not as planned; and in their places the
    /// slots that did not run, with the reason, and how many where one line stands for a row of them. The newest is the last
    /// line. Exit status 0, also where there is nothing to tell.
    History(history::History),
    /// Why a job ran at a time, or did not
    ///
    /// First one sentence that answers. Then what the job's schedule says of that time, field by field; then what else has to do
    /// with it: the run and its attempts, the run that stood in its way, who paused it and until when, when the daemon or the
    /// machine was not there, a file that is broken or was changed since. At last the next slot, and what stands in its way. What
    /// the history does not know is said to be unknown. Exit status 0 when there is an answer, whatever it is.
    Why(why::Why),
    /// When a schedule or a job is due next
    ///
    /// Also what changes of the clock do to it. A schedule is read as it is given and needs no daemon; that of a job is
    /// shown as the daemon has armed it.
    Next(next::Next),
    /// Run a job now
    ///
    /// Its rule for overlaps holds. Prints the id of the new run. With `-w` it prints what the run prints instead,
    /// standard output to standard output and standard error to standard error, byte for byte, and ends as the run ends.
    /// A run that is attempted again is waited for through all its attempts; standard error tells how each ended and when the
    /// next one comes.
    /// When the daemon's engine is replaced meanwhile, the waiting goes on. Lines that come faster than they can be
    /// handed on are left out, and counted on standard error. Interrupting it (Ctrl-C) ends the waiting and not the run:
    /// the run's id and how to stop it are told on standard error.
    Run(run::Run),
    /// Stop a run, or all runs of a job
    ///
    /// Of a job also what waits in its queue is dropped. A run that waits for its next attempt gets no other. Prints the ids of the runs that are being stopped. A word that is
    /// the name of a job is taken for it, whatever else it could be.
    Stop(stop::Stop),
    /// What jobs printed
    ///
    /// Exactly as it was printed: by the last run of a job, or by the run of this id; without an argument by the last run of every
    /// job, in the order of time, each line led by its job.
    ///
    /// The daemon keeps only the newest lines of the newest runs of a job for this, and none over its restart. Older ones
    /// are read from the journal if that is where they went and journalctl(1) may read it, which takes root or the group
    /// `systemd-journal`; only entries of the daemon's own engine are believed. Otherwise how many lines are missing
    /// before the first is told on standard error. A priority that led a line is not in the journal's copy of it.
    Logs(logs::Logs),
    /// Make a job: from a file, or of what is said here
    ///
    /// The text is checked, then it is sent to the daemon, which writes it into `conf_d` and arms it at once. A name that is
    /// taken is refused. `rota create tick --schedule '@every 1m' --command date -- +%s` needs no file.
    Create(create::Create),
    /// Run a program once, at a time
    ///
    /// Makes a job that is due then and never again, and is removed when it has run; prints its name. `rota at 18:00 -- sync`
    /// needs no file, `rota delete` takes it back. It runs under the same rules as any job, and outlives the daemon: a time at
    /// which the daemon is down is made up for.
    At(at::At),
    /// Change a job in an editor: `$VISUAL`, `$EDITOR`, or editor(1)
    ///
    /// The editor gets a private copy of the text that defines the job. The new text is checked, then it is sent to the
    /// daemon. When it is refused, or somebody else has changed the job meanwhile, nothing is changed, and where your text is
    /// kept is told.
    Edit(edit::Edit),
    /// The text that defines a job
    ///
    /// As it stands in the job's file, comments and all; of a file with many jobs the job's own part.
    Cat(cat::Cat),
    /// Let no slot of a job run for a while
    ///
    /// Until the time is up or the job is resumed; runs that go on are left alone. The slots that pass meanwhile are booked
    /// as skipped. A pause outlives the daemon, and changes no file.
    Pause(pause::Pause),
    /// Slots again: end a pause, or enable what is disabled
    ///
    /// The same as `enable`.
    Resume(enable::Enable),
    /// Let the next slot of a job go, or the next N
    ///
    /// Slots alone: what waits in the job's queue starts, and the job may be run by request. The skipped slots are booked as
    /// skipped. It outlives the daemon, changes no file, and is undone by `rota resume`.
    SkipNext(skip_next::SkipNext),
    /// Let no slot of any job run for a while
    ///
    /// For maintenance. Until the time is up or `rota release`. Runs that go on are left alone, and every job may be run by
    /// request. The slots that pass meanwhile are booked as skipped, and are not made up for. A hold outlives the daemon, and
    /// changes no file. There is one at a time.
    Hold(hold::Hold),
    /// End the hold: slots run again
    Release(hold::Release),
    /// Let no slot of these jobs run until they are enabled
    ///
    /// Writes `enable: false` into the job's file. They can still be run by request.
    Disable(disable::Disable),
    /// Slots again: enable what is disabled, or end a pause
    ///
    /// Writes `enable: true` into the file of a disabled job.
    Enable(enable::Enable),
    /// Delete jobs and their files
    ///
    /// On a terminal it asks before. Runs that go on are left alone: `rota stop` first, if they should end.
    Delete(delete::Delete),
    /// Check job files without a daemon
    ///
    /// Reads job files, or all those of directories, as the daemon would, and tells what is wrong or doubtful in them,
    /// and in notes what changes of the clock will do to their times. Without a path the directory `conf_d` of the
    /// configuration, or `./conf.d` where there is none. Nothing is run, nothing is changed, and no daemon is needed. Only
    /// errors make the exit code 1.
    Check(check::Check),
    /// Make job files of what another scheduler runs
    ///
    /// They are printed, or written into a directory, and whatever would mean something else here is told on standard error.
    /// Needs no daemon. The exit code is 1 when something could not be taken over.
    Import(import::Import),
    /// Read conf.d anew
    ///
    /// The time zone database too; waits until all is armed. A job changes only where its file, or the rules of its
    /// time zone, have. (The daemon notices changes by itself; this is for when you want to be sure.) Errors in files are
    /// told on standard error; the exit status is 0 all the same, because the reload has been done and the last good
    /// definitions stay live. `rota check` tests files.
    Reload(reload::Reload),
    /// Print the JSON Schema of job files, or of rotad.yaml
    ///
    /// Editors complete and check by it while you type; rotad-job(5) tells how. No daemon is needed.
    Schema(schema::Schema),
    /// Print what makes a shell complete rota's command lines
    ///
    /// It completes verbs, options and the names of jobs. The Debian package installs it; without that, for bash:
    /// `eval "$(rota completions bash)"`.
    Completions(completions::Completions),
    /// The versions of rota and of the running daemon
    ///
    /// Where no daemon answers, that of rota alone.
    Version(version::Version),
    #[command(flatten)]
    Crond(crond::Verb),
}

/// The whole program.
pub fn main() -> ExitCode {
    completions::answer();
    let Cli { place, verb } = Cli::try_parse().unwrap_or_else(|error| misused(&error));
    let done = match verb {
        Verb::Status(verb) => verb.run(&place),
        Verb::List(verb) => verb.run(&place),
        Verb::Show(verb) => verb.run(&place),
        Verb::History(verb) => verb.run(&place),
        Verb::Why(verb) => verb.run(&place),
        Verb::Run(verb) => verb.run(&place),
        Verb::Stop(verb) => verb.run(&place),
        Verb::Logs(verb) => verb.run(&place),
        Verb::Reload(verb) => verb.run(&place),
        Verb::Version(verb) => verb.run(&place),
        Verb::At(verb) => verb.run(&place),
        Verb::Create(verb) => verb.run(&place),
        Verb::Edit(verb) => verb.run(&place),
        Verb::Cat(verb) => verb.run(&place),
        Verb::Pause(verb) => verb.run(&place),
        Verb::SkipNext(verb) => verb.run(&place),
        Verb::Hold(verb) => verb.run(&place),
        Verb::Release(verb) => verb.run(&place),
        Verb::Resume(verb) => verb.run(&place, "resumed"),
        Verb::Disable(verb) => verb.run(&place),
        Verb::Enable(verb) => verb.run(&place, "enabled"),
        Verb::Delete(verb) => verb.run(&place),
        Verb::Crond(verb) => verb.run(&place),
        Verb::Schema(verb) => verb.run(),
        Verb::Completions(verb) => verb.run(),
        Verb::Import(verb) => verb.run(),
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

/// Says how it is used, or what was asked for. mysql-crond ends with 1 where rota ends with 2.
fn misused(error: &clap::Error) -> ! {
    let _deaf = error.print();
    let asked = definition().ignore_errors(true).try_get_matches();
    let theirs = asked.is_ok_and(|asked| asked.subcommand_name().is_some_and(crond::is_verb));
    let code = if error.use_stderr() && theirs { 1 } else { error.exit_code() };
    std::process::exit(code)
}

/// The definition of the command line, for documentation and its tests.
pub fn definition() -> clap::Command {
    Cli::command()
}
