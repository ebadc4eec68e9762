//! What the engine says of itself: one line a fact, with its fields (`job`, `run`, `code`), by way of `tracing`.

use jiff::Timestamp;

use super::core::{Fact, Fate, Record, State, Trigger, Why};
use super::ledger::Entry;
use super::view::{FileView, JobView, Outcome};
use super::words;
use crate::job::{JobName, Severity};
use crate::wire::Exit;

/// So many definitions that change at once are told one by one; more only as a number.
const TOLD: usize = 200;

/// Tells a step's facts, in order; definitions that were armed together make one table.
pub fn tell(facts: Vec<Fact>, state: &State, now: Timestamp) {
    let (armed, facts): (Vec<Fact>, Vec<Fact>) = facts.into_iter().partition(|fact| matches!(fact, Fact::Armed { .. }));
    tell_armed(&armed, state, now);
    facts.iter().for_each(|fact| tell_one(fact, now));
}

fn tell_armed(armed: &[Fact], state: &State, now: Timestamp) {
    if armed.len() > TOLD {
        tracing::info!(code = "armed", "armed {} jobs", armed.len());
        return;
    }
    let names = armed.iter().filter_map(|fact| match fact {
        Fact::Armed { job, changed, .. } => Some((state.show_job(job).ok()?, *changed)),
        _ => None,
    });
    let views: Vec<(JobView, bool)> = names.collect();
    let width = |of: fn(&JobView) -> usize| views.iter().map(|(view, _)| of(view)).max().unwrap_or(0).min(40);
    let name = width(|view| view.name.as_str().chars().count());
    let schedule = width(|view| schedule_text(view).chars().count());
    for (view, changed) in &views {
        let word = if *changed { "changed" } else { "armed" };
        let when = match view.next {
            _ if !view.enable => "disabled".to_owned(),
            _ if view.pause.is_some() => "paused".to_owned(),
            Some(next) => format!("next {} ({})", words::clock(next, now), words::ahead(next, now)),
            None if view.schedule.is_none() => "runs when asked to".to_owned(),
            None if schedule_text(view).trim() == "@reboot" => "when the machine starts".to_owned(),
            None => "never due".to_owned(),
        };
        let text = schedule_text(view);
        tracing::info!(job = %view.name, code = word, "{word:<7} {:<name$}  {text:<schedule$}  {when}", view.name);
    }
}

fn schedule_text(view: &JobView) -> &str {
    view.schedule.as_deref().unwrap_or("-")
}

fn tell_one(fact: &Fact, now: Timestamp) {
    match fact {
        Fact::Armed { .. } => {}
        Fact::Retired(job) => tracing::info!(%job, code = "retired", "retired {job}"),
        Fact::Paused { job, pause } => {
            let until = pause.until.map_or_else(|| "it is resumed".to_owned(), |until| words::clock(until, now));
            let reason = if pause.reason.is_empty() { String::new() } else { format!(": {}", pause.reason) };
            tracing::info!(%job, code = "paused", "paused {job} until {until}, asked for by {}{reason}", pause.by);
        }
        Fact::Resumed { job, passed } => {
            let passed = match passed {
                0 => String::new(),
                1 => "; 1 slot was skipped meanwhile".to_owned(),
                passed => format!("; {passed} slots were skipped meanwhile"),
            };
            tracing::info!(%job, code = "resumed", "resumed {job}{passed}");
        }
        Fact::Verdict { job, slot, oldest, fate } => tell_verdict(job, *slot, *oldest, *fate, now),
        Fact::Started { job, ticket, pid } => {
            let run = ticket.run;
            let why = match ticket.slot {
                Some(slot) if ticket.trigger == Trigger::CatchUp => {
                    format!(", makes up for {}", words::clock(slot, now))
                }
                Some(slot) if slot.duration_since(now).abs().as_secs() > 1 => {
                    format!(", for {}", words::clock(slot, now))
                }
                Some(_) => String::new(),
                None => format!(", asked for by {}", ticket.by),
            };
            tracing::info!(%job, %run, code = "started", "started {job} (run {run}, pid {pid}{why})");
        }
        Fact::Asked { job, run, why, signal } => {
            let why = match why {
                Why::Timeout => "its time is up",
                Why::Request => "on request",
                Why::Replaced => "a newer slot takes its place",
                Why::Shutdown => "the daemon stops",
            };
            let signal = signal_name(*signal);
            tracing::info!(%job, %run, code = "stopping", "stopping {job} (run {run}, {signal}): {why}");
        }
        Fact::Killed { job, run } => {
            tracing::warn!(%job, %run, code = "killed", "killed {job} (run {run}): it did not end when asked");
        }
        Fact::WillNotDie { job, run, pid } => {
            tracing::error!(%job, %run, code = "will-not-die", "{job} (run {run}, pid {pid}) was killed and will not die");
        }
        Fact::OutputClosed { job, run } => tracing::warn!(
            %job, %run, code = "output-closed",
            "{job} (run {run}) ended, but something it started keeps its output open: it is no longer read"
        ),
        Fact::Over(record) => tell_over(record),
        Fact::Left { job, run, processes } => {
            let job = job.as_ref().map_or_else(|| "a job".to_owned(), ToString::to_string);
            tracing::warn!(%job, %run, code = "left-behind", "{job} (run {run}) left {processes} processes behind");
        }
        Fact::Adopted { job, run } => tracing::info!(%job, %run, code = "adopted", "{job} (run {run}) goes on"),
        Fact::Strange(run) => {
            tracing::warn!(%run, code = "adopted", "run {run} was started by an engine of another version");
        }
        Fact::ErrandsLeft(count) => {
            tracing::warn!(code = "errands-left", "{count} errands were still waiting when the daemon stopped");
        }
        Fact::Clock { from, to } => {
            let (from, to) = (words::clock(*from, *to), words::clock(*to, *from));
            tracing::warn!(code = "clock", "the clock went back from {from} to {to}");
        }
        Fact::Away { from, to, cause } => {
            let (from, to) = (words::clock(*from, *to), words::clock(*to, *from));
            tracing::warn!(code = "clock", why = cause.code(), "nobody watched from {from} to {to}: {}", cause.words());
        }
        Fact::Unclaimed => tracing::warn!(
            code = "state",
            "the ledger of runs is not written in time: runs start without it, and after a crash may be lost without a word"
        ),
    }
}

fn tell_verdict(job: &JobName, slot: Timestamp, oldest: Timestamp, fate: Fate, now: Timestamp) {
    let at = words::clock(slot, now);
    match fate {
        Fate::Ran(run) => tracing::debug!(%job, %run, code = "ran", "{job} at {at} is run {run}"),
        Fate::Skipped(rule) => {
            tracing::warn!(%job, code = "skipped", why = rule.code(), "skipped {job} at {at}: {}", rule.code());
        }
        Fate::Missed(1, cause) => {
            let (why, words) = (cause.code(), cause.words());
            tracing::warn!(%job, code = "missed", why, "missed {job} at {at}: {words}");
        }
        Fate::Missed(count, cause) => {
            let least = if count >= super::core::COUNT_LIMIT { "at least " } else { "" };
            let (oldest, why, words) = (words::clock(oldest, now), cause.code(), cause.words());
            tracing::warn!(%job, code = "missed", why, count, "missed {job} {least}{count} times, {oldest} to {at}: {words}");
        }
        // One line at the end of the pause says how many.
        Fate::Paused(count) => {
            tracing::debug!(%job, code = "skipped", why = "paused", count, "skipped {job} at {at}: paused")
        }
        Fate::Superseded => tracing::info!(%job, code = "superseded", "{job} at {at} gave way to a newer slot"),
    }
}

fn tell_over(record: &Record) {
    let Record { job, ticket, outcome, .. } = record;
    let run = ticket.run;
    let sentence = format!("{job} {} (run {run}{})", outcome_words(outcome), took(record));
    let code = super::core::outcome_word(outcome);
    match outcome {
        Outcome::Exited { success: true, .. } | Outcome::Stopped { .. } => {
            tracing::info!(%job, %run, code, "{sentence}")
        }
        Outcome::CouldNotStart { .. } | Outcome::Lost => tracing::error!(%job, %run, code, "{sentence}"),
        Outcome::Exited { .. } | Outcome::TimedOut { .. } => tracing::warn!(%job, %run, code, "{sentence}"),
    }
}

/// Tells of runs that ended with an earlier warden: as many as fit one by one, the rest as a number.
pub fn tell_cut(cut: &[Entry], rebooted: bool, now: Timestamp) {
    let why = if rebooted { "the machine went down" } else { "the daemon was killed" };
    for Entry { of: run, job, since, .. } in cut.iter().take(TOLD) {
        let since = words::clock(*since, now);
        tracing::error!(%job, %run, code = "lost", "{job} was lost (run {run}, since {since}): {why} while it ran");
    }
    if cut.len() > TOLD {
        tracing::error!(code = "lost", "{} more runs were lost: {why} while they ran", cut.len() - TOLD);
    }
}

/// How a run ended, as a part of a sentence: `failed with exit code 3`.
pub fn outcome_words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Exited { success: true, exit: Exit::Code(0) } => "succeeded".into(),
        Outcome::Exited { success: true, exit } => format!("succeeded with {}", exit_words(*exit)),
        Outcome::Exited { exit, .. } => format!("failed with {}", exit_words(*exit)),
        Outcome::TimedOut { exit } => format!("timed out and ended with {}", exit_words(*exit)),
        Outcome::Stopped { exit, why } => format!("was stopped ({why}) and ended with {}", exit_words(*exit)),
        Outcome::CouldNotStart { message, .. } => format!("could not start: {message}"),
        Outcome::Lost => "was lost".into(),
    }
}

fn exit_words(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exit code {code}"),
        Exit::Signal { signal, core } => format!("{}{}", signal_name(signal), if core { ", core dumped" } else { "" }),
    }
}

fn signal_name(signal: i32) -> String {
    nix::sys::signal::Signal::try_from(signal).map_or_else(|_| format!("signal {signal}"), |signal| signal.to_string())
}

fn took(record: &Record) -> String {
    let lived = record.led.and_then(|(_, at, ended)| std::time::Duration::try_from(ended.at.duration_since(at)).ok());
    lived.map(|lived| format!(", {}", words::span(lived))).unwrap_or_default()
}

/// Tells what files have to say.
pub fn tell_files(files: &[(String, Option<FileView>)]) {
    for finding in files.iter().filter_map(|(_, view)| view.as_ref()).flat_map(|view| &view.findings) {
        match finding.severity {
            Severity::Error => tracing::error!(file = %finding.file, code = finding.code, "{finding}"),
            Severity::Warning => tracing::warn!(file = %finding.file, code = finding.code, "{finding}"),
        }
    }
}
