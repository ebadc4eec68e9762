//! What the engine says of itself: one line a fact, with its fields (`job`, `run`, `code`), by way of `tracing`.

use jiff::Timestamp;

use super::core::{Dropped, Fact, Fate, Record, State, Trigger, Why};
use super::ledger::Entry;
use super::request::{Pause, PauseKind};
use super::view::{FileView, JobView, Outcome};
use super::words;
use crate::job::{JobName, Severity};
use crate::wire::{Exit, RunId};

/// So many definitions that change at once are told one by one; more only as a number.
const TOLD: usize = 200;

/// Tells a step's facts, in order; definitions that were armed together make one table.
pub fn tell(facts: Vec<Fact>, state: &State, now: Timestamp) {
    let (armed, facts): (Vec<Fact>, Vec<Fact>) = facts.into_iter().partition(|fact| matches!(fact, Fact::Armed { .. }));
    tell_armed(&armed, state, now);
    facts.iter().for_each(|fact| tell_one(fact, state, now));
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
            _ if view.pause.as_ref().is_some_and(|pause| pause.kind == PauseKind::Pause) => "paused".to_owned(),
            Some(next) => format!("next {} ({})", words::clock(next, now), words::ahead(next, now)),
            None if view.schedule.is_none() && !view.after.is_empty() => {
                let names: Vec<&str> = view.after.keys().map(JobName::as_str).collect();
                format!("after {}", names.join(", "))
            }
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

fn tell_one(fact: &Fact, state: &State, now: Timestamp) {
    let known = |run: RunId| state.attempt(run).map_or((run, 1), |(of, attempt)| (of, attempt));
    match fact {
        Fact::Armed { .. } => {}
        Fact::Retired(job) => tracing::info!(%job, code = "retired", "retired {job}"),
        Fact::Paused { job, pause } => {
            let until = pause.until.map_or_else(|| "it is resumed".to_owned(), |until| words::clock(until, now));
            let (code, asked) = (pause.kind.code(), asked(pause));
            match pause.kind {
                PauseKind::SkipNext => tracing::info!(%job, code, "skips the slots of {job} up to {until}{asked}"),
                PauseKind::Pause | PauseKind::Hold => tracing::info!(%job, code, "paused {job} until {until}{asked}"),
            }
        }
        Fact::Held(hold) => {
            let until = hold.until.map_or_else(|| "it is released".to_owned(), |until| words::clock(until, now));
            tracing::warn!(code = "held", "no slot of any job runs until {until}{}", asked(hold));
        }
        Fact::Released { passed } => {
            let passed = slots_meanwhile(*passed);
            tracing::warn!(code = "released", "slots run again{passed}");
        }
        Fact::Resumed { job, passed } => {
            let passed = slots_meanwhile(*passed);
            tracing::info!(%job, code = "resumed", "resumed {job}{passed}");
        }
        Fact::Verdict { job, slot, oldest, fate } => tell_verdict(job, *slot, *oldest, *fate, now),
        Fact::Started { job, ticket, pid } => {
            let (run, attempt) = (ticket.of, ticket.attempt);
            let why = match ticket.slot {
                _ if attempt > 1 => String::new(),
                Some(slot) if ticket.trigger == Trigger::CatchUp => {
                    format!(", makes up for {}", words::clock(slot, now))
                }
                Some(slot) if slot.duration_since(now).abs().as_secs() > 1 => {
                    format!(", for {}", words::clock(slot, now))
                }
                Some(_) => String::new(),
                None if ticket.trigger == Trigger::After => format!(", {}", ticket.by),
                None => format!(", asked for by {}", ticket.by),
            };
            let which = which(run, attempt);
            tracing::info!(%job, %run, attempt, code = "started", "started {job} ({which}, pid {pid}{why})");
        }
        Fact::Asked { job, run, why, signal } => {
            let why = match why {
                Why::Timeout => "its time is up",
                Why::Request => "on request",
                Why::Replaced => "a newer slot takes its place",
                Why::Shutdown => "the daemon stops",
            };
            let signal = signal_name(*signal);
            let (run, attempt) = known(*run);
            let which = which(run, attempt);
            tracing::info!(%job, %run, attempt, code = "stopping", "stopping {job} ({which}, {signal}): {why}");
        }
        Fact::Killed { job, run } => {
            let (run, attempt) = known(*run);
            let which = which(run, attempt);
            tracing::warn!(%job, %run, attempt, code = "killed", "killed {job} ({which}): it did not end when asked");
        }
        Fact::WillNotDie { job, run, pid } => {
            let (run, attempt) = known(*run);
            let which = which(run, attempt);
            tracing::error!(
                %job, %run, attempt, code = "will-not-die",
                "{job} ({which}, pid {pid}) was killed and will not die"
            );
        }
        Fact::OutputClosed { job, run } => {
            let (run, attempt) = known(*run);
            let which = which(run, attempt);
            tracing::warn!(
                %job, %run, attempt, code = "output-closed",
                "{job} ({which}) ended, but something it started keeps its output open: it is no longer read"
            );
        }
        Fact::Over(record) => tell_over(record, now),
        Fact::RetryDropped { job, of, why } => tell_dropped(job, *of, *why, state),
        Fact::Left { job, run, processes } => {
            let job = job.as_ref().map_or_else(|| "a job".to_owned(), ToString::to_string);
            let (run, attempt) = known(*run);
            let which = which(run, attempt);
            tracing::warn!(
                %job, %run, attempt, code = "left-behind",
                "{job} ({which}) left {processes} processes behind"
            );
        }
        Fact::Adopted { job, run } => {
            let (run, attempt) = known(*run);
            let which = which(run, attempt);
            tracing::info!(%job, %run, attempt, code = "adopted", "{job} ({which}) goes on");
        }
        Fact::Strange(run) => {
            tracing::warn!(%run, code = "adopted", "run {run} was started by an engine of another version");
        }
        Fact::ErrandsLeft(count) => {
            tracing::warn!(code = "errands-left", "{count} errands were still waiting when the daemon stopped");
        }
        Fact::TooManyEnds(kept) => tracing::warn!(
            code = "too-many-ends",
            "jobs wait for others after more than {kept} ends: an engine that takes over now knows of the newest {kept}"
        ),
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

fn asked(pause: &Pause) -> String {
    let reason = if pause.reason.is_empty() { String::new() } else { format!(": {}", pause.reason) };
    format!(", asked for by {}{reason}", pause.by)
}

fn slots_meanwhile(passed: u64) -> String {
    match passed {
        0 => String::new(),
        1 => "; 1 slot was skipped meanwhile".to_owned(),
        passed => format!("; {passed} slots were skipped meanwhile"),
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
        Fate::Paused(kind, count) => {
            let why = kind.code();
            tracing::debug!(%job, code = "skipped", why, count, "skipped {job} at {at}: {why}")
        }
        Fate::Superseded => tracing::info!(%job, code = "superseded", "{job} at {at} gave way to a newer slot"),
    }
}

/// Which run, and of a later attempt which: `run 06c…, attempt 2`.
fn which(run: RunId, attempt: u32) -> String {
    if attempt > 1 { format!("run {run}, attempt {attempt}") } else { format!("run {run}") }
}

fn tell_over(record: &Record, now: Timestamp) {
    let Record { job, ticket, outcome, .. } = record;
    let (run, attempt) = (ticket.of, ticket.attempt);
    let of = attempts(record).map(|words| format!(", {words}")).unwrap_or_default();
    let next = next_attempt(record, now).map(|words| format!("; {words}")).unwrap_or_default();
    let sentence = format!("{job} {} (run {run}{of}{}){next}", outcome_words(outcome), took(record));
    let code = super::core::outcome_word(outcome);
    match outcome {
        Outcome::Exited { success: true, .. } | Outcome::Stopped { .. } => {
            tracing::info!(%job, %run, attempt, code, "{sentence}")
        }
        Outcome::CouldNotStart { .. } | Outcome::Lost => tracing::error!(%job, %run, attempt, code, "{sentence}"),
        Outcome::Exited { .. } | Outcome::TimedOut { .. } => tracing::warn!(%job, %run, attempt, code, "{sentence}"),
    }
}

/// Which attempt it was, of a run that may have several: `attempt 1 of 4`.
fn attempts(record: &Record) -> Option<String> {
    let attempt = record.ticket.attempt;
    (record.most > 1 || attempt > 1).then(|| format!("attempt {attempt} of {}", record.most.max(attempt)))
}

/// When the next attempt follows, if one does.
fn next_attempt(record: &Record, now: Timestamp) -> Option<String> {
    record.next.map(|at| match at.duration_since(now).as_secs() {
        ..1 => "next attempt now".into(),
        _ => format!("next attempt {}", words::ahead(at, now)),
    })
}

fn tell_dropped(job: &JobName, run: RunId, why: Dropped, state: &State) {
    let words = match why {
        Dropped::Superseded => "a newer run takes its place",
        Dropped::Paused => "the job is paused",
        Dropped::Held => "there is a hold of all jobs",
        Dropped::Retired => "the job was taken away or disabled",
        Dropped::Request => "on request",
        Dropped::Stopping => "the daemon stops",
    };
    let last = state.last_attempt(run);
    let attempt = last.map_or(1, |record| record.ticket.attempt);
    let last = last.map(|record| format!("; it {}", outcome_words(&record.outcome))).unwrap_or_default();
    tracing::info!(
        %job, %run, attempt, code = "retry-dropped", why = why.code(),
        "{job} is not attempted again (run {run}, after attempt {attempt}): {words}{last}"
    );
}

/// How an attempt ended, for a log file of the job's own.
pub fn note(record: &Record, now: Timestamp) -> String {
    let more: Vec<String> = attempts(record).into_iter().chain(next_attempt(record, now)).collect();
    let more = if more.is_empty() { String::new() } else { format!(" ({})", more.join("; ")) };
    format!("{}{more}", outcome_words(&record.outcome))
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
            Severity::Note => tracing::info!(file = %finding.file, code = finding.code, "{finding}"),
        }
    }
}
