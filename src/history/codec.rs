//! Between rows and columns: nothing that was written by another version, or by hand, is trusted to be in range.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Row as Columns;
use rusqlite::types::Type;

use super::row::{AttemptRow, FactKind, FactRow, SlotRow, SlotVerdict};
use crate::engine::Outcome;
use crate::engine::core::Trigger;
use crate::job::JobName;
use crate::wire::{Exit, Failure, RunId, Step};

/// Words of `slot.verdict`, by number.
pub const VERDICTS: &[&str] = &["ran", "skipped", "missed", "superseded"];
/// Words of `attempt.outcome`, by number.
pub const OUTCOMES: &[&str] = &["success", "failure", "timed-out", "stopped", "could-not-start", "lost"];
/// Words of `attempt.began`, by number.
pub const TRIGGERS: &[&str] = &["schedule", "catch-up", "request", "after"];

/// `slot.verdict` of a slot that ran.
pub const RAN: i64 = 0;
/// `slot.verdict` of a skipped one.
pub const SKIPPED: i64 = 1;
/// `slot.verdict` of a missed one.
pub const MISSED: i64 = 2;

/// Columns of [`attempt`], in their order.
pub const ATTEMPT: &str = "attempt.id, attempt.run, attempt.attempt, job.name, attempt.slot, attempt.began, attempt.by, \
     attempt.hash, attempt.started, attempt.ended, attempt.outcome, attempt.code, attempt.signal, attempt.core, attempt.step, \
     attempt.errno, attempt.why, attempt.message, attempt.cpu, attempt.rss, attempt.out, attempt.err, attempt.dropped, \
     attempt.next, attempt.left_behind, attempt.tail";
/// Columns of [`slot`], in their order.
pub const SLOT: &str =
    "job.name, slot.slot, slot.oldest, slot.count, slot.verdict, slot.why, slot.run, slot.by, slot.booked";
/// Columns of [`fact`], in their order.
pub const FACT: &str = "job.name, fact.kind, fact.at, fact.until, fact.code, fact.text, fact.by";

/// An instant as a number; what lies beyond the years 1677 to 2262 as the nearest of them.
pub fn nanoseconds(at: Timestamp) -> i64 {
    let exact = at.as_nanosecond();
    i64::try_from(exact).unwrap_or(if exact < 0 { i64::MIN } else { i64::MAX })
}

/// And back: every number is an instant.
pub fn instant(nanoseconds: i64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(nanoseconds)).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A run id as a number that rises with it.
pub fn number(run: RunId) -> i64 {
    (run.0 ^ (1 << 63)).cast_signed()
}

/// And back.
pub fn run(number: i64) -> RunId {
    RunId(number.cast_unsigned() ^ (1 << 63))
}

/// A count as a number, cut at the largest.
pub fn count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// And back; less than nothing is nothing.
pub fn uncount(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// An empty text is not kept.
pub fn some(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

/// `attempt.began`.
pub fn trigger(trigger: Trigger) -> i64 {
    match trigger {
        Trigger::Schedule => 0,
        Trigger::CatchUp => 1,
        Trigger::Request => 2,
        Trigger::After => 3,
    }
}

fn untrigger(number: i64) -> Trigger {
    match number {
        1 => Trigger::CatchUp,
        2 => Trigger::Request,
        3 => Trigger::After,
        _ => Trigger::Schedule,
    }
}

/// An outcome, a column a part.
#[derive(Debug, Default, PartialEq)]
pub struct OutcomeColumns<'a> {
    pub outcome: i64,
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub core: Option<bool>,
    pub step: Option<u8>,
    pub errno: Option<i32>,
    pub why: Option<&'a str>,
    pub message: Option<&'a str>,
}

/// The columns of an outcome.
pub fn outcome(outcome: &Outcome) -> OutcomeColumns<'_> {
    let ended = |outcome: i64, exit: &Exit| match *exit {
        Exit::Code(code) => OutcomeColumns { outcome, code: Some(code), ..Default::default() },
        Exit::Signal { signal, core } => {
            OutcomeColumns { outcome, signal: Some(signal), core: Some(core), ..Default::default() }
        }
    };
    match outcome {
        Outcome::Exited { exit, success: true } => ended(0, exit),
        Outcome::Exited { exit, success: false } => ended(1, exit),
        Outcome::TimedOut { exit } => ended(2, exit),
        Outcome::Stopped { exit, why } => OutcomeColumns { why: Some(why), ..ended(3, exit) },
        Outcome::CouldNotStart { failure, message } => OutcomeColumns {
            outcome: 4,
            step: Some(failure.step as u8),
            errno: Some(failure.errno),
            message: Some(message),
            ..Default::default()
        },
        Outcome::Lost => OutcomeColumns { outcome: 5, ..Default::default() },
    }
}

/// An outcome is a failure: not a success, and nobody wanted its end.
pub fn failed(outcome: &Outcome) -> bool {
    !outcome.success() && !matches!(outcome, Outcome::Stopped { .. })
}

fn unoutcome(columns: &Columns<'_>, from: usize) -> rusqlite::Result<Outcome> {
    let exit = || -> rusqlite::Result<Exit> {
        let (code, signal): (Option<i32>, Option<i32>) = (columns.get(from + 1)?, columns.get(from + 2)?);
        let core: Option<bool> = columns.get(from + 3)?;
        Ok(match signal {
            Some(signal) => Exit::Signal { signal, core: core.unwrap_or(false) },
            None => Exit::Code(code.unwrap_or(0)),
        })
    };
    Ok(match columns.get::<_, i64>(from)? {
        0 => Outcome::Exited { exit: exit()?, success: true },
        1 => Outcome::Exited { exit: exit()?, success: false },
        2 => Outcome::TimedOut { exit: exit()? },
        3 => Outcome::Stopped { exit: exit()?, why: text(columns, from + 6)? },
        4 => {
            let step: Option<i64> = columns.get(from + 4)?;
            let step = step.and_then(|step| usize::try_from(step).ok()).and_then(|step| Step::ALL.get(step).copied());
            let errno: Option<i32> = columns.get(from + 5)?;
            let failure = Failure { step: step.unwrap_or(Step::Exec), errno: errno.unwrap_or(0) };
            Outcome::CouldNotStart { failure, message: text(columns, from + 7)? }
        }
        _ => Outcome::Lost,
    })
}

/// Reads the columns of [`ATTEMPT`].
pub fn attempt(columns: &Columns<'_>) -> rusqlite::Result<AttemptRow> {
    let micros: Option<i64> = columns.get(18)?;
    let kib: Option<i64> = columns.get(19)?;
    let tail: Option<Vec<u8>> = columns.get(25)?;
    Ok(AttemptRow {
        id: run(columns.get(0)?),
        run: run(columns.get(1)?),
        attempt: u32::try_from(columns.get::<_, i64>(2)?).unwrap_or(u32::MAX),
        job: name(columns, 3)?,
        slot: time(columns, 4)?,
        trigger: untrigger(columns.get(5)?),
        by: text(columns, 6)?,
        hash: columns.get::<_, i64>(7)?.cast_unsigned(),
        started: time(columns, 8)?,
        ended: instant(columns.get(9)?),
        outcome: unoutcome(columns, 10)?,
        cpu: micros.map(|micros| Duration::from_micros(uncount(micros))),
        max_rss_kib: kib.map(uncount),
        output: [uncount(columns.get(20)?), uncount(columns.get(21)?)],
        dropped: uncount(columns.get(22)?),
        next_attempt: time(columns, 23)?,
        left: u32::try_from(columns.get::<_, i64>(24)?).unwrap_or(u32::MAX),
        tail: tail.unwrap_or_default(),
    })
}

/// The number and reason of a verdict, and its run.
pub fn verdict(verdict: &SlotVerdict) -> (i64, Option<&str>, Option<i64>) {
    match verdict {
        SlotVerdict::Ran(run) => (RAN, None, Some(number(*run))),
        SlotVerdict::Skipped(why) => (SKIPPED, Some(why), None),
        SlotVerdict::Missed(why) => (MISSED, Some(why), None),
        SlotVerdict::Superseded => (3, None, None),
    }
}

/// Reads the columns of [`SLOT`].
pub fn slot(columns: &Columns<'_>) -> rusqlite::Result<SlotRow> {
    let verdict = match columns.get::<_, i64>(4)? {
        RAN => SlotVerdict::Ran(run(columns.get::<_, Option<i64>>(6)?.unwrap_or(0))),
        SKIPPED => SlotVerdict::Skipped(text(columns, 5)?),
        MISSED => SlotVerdict::Missed(text(columns, 5)?),
        _ => SlotVerdict::Superseded,
    };
    Ok(SlotRow {
        job: name(columns, 0)?,
        slot: instant(columns.get(1)?),
        oldest: instant(columns.get(2)?),
        count: uncount(columns.get(3)?),
        verdict,
        by: text(columns, 7)?,
        booked: instant(columns.get(8)?),
    })
}

/// Reads the columns of [`FACT`]; `None`: a kind of a later version.
pub fn fact(columns: &Columns<'_>) -> rusqlite::Result<Option<FactRow>> {
    let Some(kind) = FactKind::parse(&columns.get::<_, String>(1)?) else { return Ok(None) };
    Ok(Some(FactRow {
        job: columns.get::<_, Option<String>>(0)?.and_then(|name| JobName::parse(&name).ok()),
        kind,
        at: instant(columns.get(2)?),
        until: time(columns, 3)?,
        code: text(columns, 4)?,
        text: text(columns, 5)?,
        by: text(columns, 6)?,
    }))
}

/// A job's name in column `at`.
pub fn name(columns: &Columns<'_>, at: usize) -> rusqlite::Result<JobName> {
    let text: String = columns.get(at)?;
    let wrong = |error| rusqlite::Error::FromSqlConversionFailure(at, Type::Text, Box::new(error));
    JobName::parse(&text).map_err(wrong)
}

/// An instant in column `at`.
pub fn time(columns: &Columns<'_>, at: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(columns.get::<_, Option<i64>>(at)?.map(instant))
}

fn text(columns: &Columns<'_>, at: usize) -> rusqlite::Result<String> {
    Ok(columns.get::<_, Option<String>>(at)?.unwrap_or_default())
}
