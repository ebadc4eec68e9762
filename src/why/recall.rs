//! From rows of the history to what is remembered around an instant.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::remembered::{Attempt, Happened, Remembered, Row, Then};
use crate::engine::outcome_words;
use crate::history::{Around, AttemptRow, FactKind, FactRow, Facts, SlotRow, SlotVerdict};
use crate::job::Job;
use crate::schedule::{Dialect, Schedule, parse_zone};

/// What follows the schedule of a job that is disabled.
const DISABLED: &str = "disabled";

/// What a definition of a job says of its slots, for the fact that it was armed.
pub fn definition_words(job: &Job) -> String {
    let schedule = schedule_words(job.schedule.as_ref());
    match (job.enable, schedule.is_empty()) {
        (true, _) => schedule,
        (false, true) => DISABLED.to_owned(),
        (false, false) => format!("{schedule}, {DISABLED}"),
    }
}

fn schedule_words(schedule: Option<&Schedule>) -> String {
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
    if let Some(words) = words.strip_suffix(DISABLED) {
        let words = words.strip_suffix(", ").unwrap_or(words);
        return Then { disabled: true, ..then(words, at, seed) };
    }
    let parts = words.strip_suffix(')').and_then(|words| words.rsplit_once(" ("));
    let Some((text, how)) = parts else { return Then { schedule: None, due: Some(false), disabled: false } };
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
    Then { schedule: Some(text.to_owned()), due, disabled: false }
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
    // The text begins with the number.
    let dropped = dropped.map(|what| what.text.split(' ').next().and_then(|rows| rows.parse().ok()).unwrap_or(1)).sum();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Outcome;
    use crate::engine::core::{Ticket, Trigger};
    use crate::history::RunRow;
    use crate::job::JobName;
    use crate::wire::{Exit, RunId};

    fn at(text: &str) -> Timestamp {
        format!("2026-11-20T{text}Z").parse().unwrap()
    }

    fn job() -> JobName {
        JobName::parse("backup").unwrap()
    }

    fn fact(kind: FactKind, when: &str, code: &str, text: &str) -> FactRow {
        let (code, text, by) = (code.into(), text.into(), String::new());
        FactRow { at: at(when), until: None, kind, job: Some(job()), code, text, by }
    }

    fn ran(run: u64, slot: Option<&str>, started: &str, ended: &str) -> AttemptRow {
        let ticket = Ticket::first(RunId(run), slot.map(at), Trigger::Schedule, String::new());
        let outcome = Outcome::Exited { exit: Exit::Code(3), success: false };
        AttemptRow { started: Some(at(started)), ..AttemptRow::of(job(), &ticket, 0, outcome, at(ended)) }
    }

    fn going(last: AttemptRow) -> RunRow {
        RunRow { first_started: last.started, last }
    }

    #[track_caller]
    fn remembered(around: Around, facts: Facts, run: Vec<AttemptRow>, since: Option<&str>) -> Remembered {
        recall(around, facts, run, "backup", at("02:30:00"), since.map(at))
    }

    #[test]
    fn the_definition_of_then_is_read_from_what_was_noted_of_it() {
        for (words, schedule, due) in [
            ("30 2 * * * (vixie, UTC), disabled", Some("30 2 * * *"), Some(true)),
            ("disabled", None, Some(false)),
            ("30 2 * * * (vixie, UTC)", Some("30 2 * * *"), Some(true)),
            ("30 3 * * * (vixie, Europe/Berlin)", Some("30 3 * * *"), Some(true)),
            ("30 2 * * * (vixie, Europe/Berlin)", Some("30 2 * * *"), Some(false)),
            ("@every 1h (robfig, UTC)", Some("@every 1h"), None),
            ("30 2 * * * (of tomorrow, UTC)", Some("30 2 * * *"), None),
            ("", None, Some(false)),
        ] {
            let armed = fact(FactKind::Armed, "01:00:00", "armed", words);
            let facts = || Facts { before: vec![armed.clone()], within: Vec::new() };
            let then = remembered(Around::default(), facts(), Vec::new(), Some("08:00:00")).then;
            let disabled = words.ends_with("disabled");
            assert_eq!(then, Some(Then { schedule: schedule.map(Into::into), due, disabled }), "{words}");
            let same = remembered(Around::default(), facts(), Vec::new(), Some("01:00:00")).then;
            assert_eq!(same, None, "it is today's");
        }
        let zone = parse_zone("Europe/Berlin").unwrap();
        let schedule = Schedule::parse("30 2 * * *", Dialect::Vixie, &zone, "").unwrap();
        assert_eq!(schedule_words(Some(&schedule)), "30 2 * * * (vixie, Europe/Berlin)");
    }

    #[test]
    fn attempts_of_the_slot_and_of_runs_beside_it_come_once() {
        let own = ran(7, Some("02:30:00"), "02:30:00", "02:31:00");
        let other = ran(5, None, "01:00:00", "03:00:00");
        let around = Around { going: vec![going(own.clone()), going(other)], ..Around::default() };
        let past = remembered(around, Facts::default(), vec![own], None);
        assert_eq!(past.attempts.iter().map(|attempt| attempt.run.0).collect::<Vec<_>>(), [5, 7]);
        assert_eq!(past.attempts[1].outcome, "failed with exit code 3");
    }

    #[test]
    fn where_the_history_begins_and_what_it_lost() {
        let slot = |when: &str| SlotRow::one(job(), at(when), SlotVerdict::Superseded, at(when));
        let after = Around { after: Some(slot("05:00:00")), ..Around::default() };
        let past = remembered(after.clone(), Facts::default(), Vec::new(), None);
        assert_eq!((past.known, past.begins, past.newer), (true, Some(at("05:00:00")), Some(at("05:00:00"))));
        let between = Around { before: Some(slot("01:00:00")), ..after };
        assert_eq!(remembered(between, Facts::default(), Vec::new(), None).begins, None);
        let lost =
            FactRow { until: Some(at("02:40:00")), job: None, ..fact(FactKind::Dropped, "02:00:00", "x", "12 rows") };
        let past = remembered(Around::default(), Facts { within: vec![lost], before: Vec::new() }, Vec::new(), None);
        assert_eq!((past.known, past.dropped), (false, 12));
        assert!(!remembered(Around::default(), Facts::default(), Vec::new(), None).known);
    }
}
