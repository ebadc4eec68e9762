//! From rows of the history to what is remembered around an instant.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::remembered::{Attempt, Happened, Remembered, Row, Then};
use crate::engine::outcome_words;
use crate::history::{Around, AttemptRow, FactKind, FactRow, Facts, SlotRow, SlotVerdict};
use crate::schedule::{Dialect, Schedule, parse_zone};

/// What a definition of a job says of its schedule, for the fact that it was armed.
pub fn schedule_words(schedule: Option<&Schedule>) -> String {
    match schedule {
        Some(schedule) => {
            let dialect = schedule.dialect().map_or("once", Dialect::name);
            format!("{} ({dialect}, {})", schedule.text(), schedule.zone().iana_name().unwrap_or("local"))
        }
        None => String::new(),
    }
}

/// The same, read again: the text, and whether it was due.
fn then(words: &str, at: Timestamp, seed: &str) -> Then {
    let parts = words.strip_suffix(')').and_then(|words| words.rsplit_once(" ("));
    let Some((text, how)) = parts else { return Then { schedule: None, due: Some(false) } };
    let due = how.split_once(", ").and_then(|(dialect, zone)| {
        let zone = if zone == "local" { TimeZone::system() } else { parse_zone(zone).ok()? };
        let schedule = match dialect {
            "once" => Schedule::once(text, &zone),
            dialect => Schedule::parse(text, dialect.parse().ok()?, &zone, seed),
        };
        // Nobody knows any more where an `@every` of then was counted from.
        let schedule = schedule.ok().filter(|schedule| schedule.period().is_none())?;
        let before = at.checked_sub(jiff::SignedDuration::from_nanos(1)).ok()?;
        Some(schedule.next(before, before) == Some(at))
    });
    Then { schedule: Some(text.to_owned()), due }
}

/// What the history remembers of a job around `at`. `since`: when its present definition came into force. `run` has the attempts
/// of the run that the slot became.
pub fn recall(
    around: Around,
    facts: Facts,
    run: Vec<AttemptRow>,
    job: &str,
    at: Timestamp,
    since: Option<Timestamp>,
) -> Remembered {
    let Around { slot, before, after, going, .. } = around;
    let own = facts.before.iter().chain(&facts.within).any(|fact| fact.job.is_some());
    let known = own || slot.is_some() || before.is_some() || after.is_some() || !going.is_empty();
    let newer = after.as_ref().map(|after| after.oldest);
    let happened: Vec<Happened> = facts.before.into_iter().chain(facts.within).map(happened).collect();
    let earlier = before.is_some() || happened.iter().any(|what| what.at <= at);
    let begins = newer.into_iter().chain(happened.first().map(|first| first.at)).min().filter(|_| !earlier);
    let armed = happened.iter().rfind(|what| what.kind == FactKind::Armed.word() && what.at <= at);
    let then = armed.filter(|_| since.is_some_and(|since| since > at)).map(|armed| then(&armed.text, at, job));
    let of_run: Vec<Attempt> = run.iter().map(attempt).collect();
    let others = going.iter().rev().map(|going| attempt(&going.last));
    let mut attempts: Vec<Attempt> =
        others.filter(|other| of_run.iter().all(|attempt| attempt.run != other.run)).collect();
    attempts.extend(of_run);
    let dropped = happened.iter().filter(|what| what.kind == FactKind::Dropped.word());
    let dropped = dropped.filter(|what| what.at <= at && what.until.is_none_or(|until| until >= at));
    let dropped = dropped.map(|what| what.code.parse().unwrap_or(1)).sum();
    Remembered { trouble: None, known, begins, dropped, row: slot.map(row), newer, then, attempts, happened }
}

fn row(row: SlotRow) -> Row {
    let SlotRow { slot, oldest, count, verdict, .. } = row;
    let (verdict, why, run) = match verdict {
        SlotVerdict::Ran(run) => ("ran", None, Some(run)),
        SlotVerdict::Skipped(why) => ("skipped", Some(why), None),
        SlotVerdict::Missed(why) => ("missed", Some(why), None),
        SlotVerdict::Superseded => ("superseded", None, None),
    };
    Row { slot, oldest, count, verdict: verdict.into(), why, run }
}

fn attempt(row: &AttemptRow) -> Attempt {
    Attempt {
        run: row.run,
        attempt: row.attempt,
        slot: row.slot,
        trigger: row.trigger.word().into(),
        started: row.started,
        ended: Some(row.ended),
        outcome: outcome_words(&row.outcome),
        success: row.outcome.success(),
        next: row.next_attempt,
    }
}

fn happened(row: FactRow) -> Happened {
    let FactRow { at, until, kind, code, text, by, .. } = row;
    Happened { at, until, kind: kind.word().into(), code, text, by }
}
