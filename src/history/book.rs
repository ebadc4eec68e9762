//! Rows into tables, in a transaction of the caller's. Every text is a bound parameter.
//!
//! Who comes twice (an engine that died before it could forget tells its successor, who tells it again) changes nothing:
//! - of an attempt the first row stands, and the tally counts it once;
//! - of a slot the first verdict stands, except that `ran` takes the place of any other: there is a run to show for it. Where
//!   the slot is one of a row of slots, the row counts one less;
//! - missed slots, and slots in a pause or a hold, lengthen the job's newest row where that says the same.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::codec::{self, MISSED, RAN, SKIPPED, count, nanoseconds, number, some};
use super::row::{AttemptRow, DefinitionRow, FactRow, Row, SlotRow};
use super::tally::Tally;
use crate::job::JobName;

/// Reasons for which slots come in long rows.
const ROWS_OF: [&str; 3] = ["paused", "held", "skip-next"];

/// How many rows there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Of slots.
    pub slots: i64,
    /// Of attempts.
    pub attempts: i64,
    /// Of facts.
    pub facts: i64,
}

impl Totals {
    /// As the last transaction left them.
    pub fn read(conn: &Connection) -> rusqlite::Result<Totals> {
        conn.query_row("SELECT slots, attempts, facts FROM total", [], |row| {
            Ok(Totals { slots: row.get(0)?, attempts: row.get(1)?, facts: row.get(2)? })
        })
    }

    /// Written where they differ from those `before`.
    pub fn write(&self, conn: &Connection, before: Totals) -> rusqlite::Result<()> {
        if *self != before {
            let mut update = conn.prepare_cached("UPDATE total SET slots = ?, attempts = ?, facts = ?")?;
            update.execute((self.slots, self.attempts, self.facts))?;
        }
        Ok(())
    }

    /// All together.
    pub fn sum(&self) -> u64 {
        u64::try_from(self.slots + self.attempts + self.facts).unwrap_or(0)
    }
}

/// Books one row.
pub fn book(conn: &Connection, totals: &mut Totals, row: &Row) -> rusqlite::Result<()> {
    match row {
        Row::Slot(row) => slot(conn, totals, row),
        Row::Attempt(row) => attempt(conn, totals, row),
        Row::Fact(row) => fact(conn, totals, row),
        Row::Definition(row) => definition(conn, row),
        Row::TakeBack { job, after } => take_back(conn, totals, job, *after),
    }
}

/// The number of a job, if it has one.
pub fn known(conn: &Connection, job: &JobName) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached("SELECT id FROM job WHERE name = ?")?.query_row([job.as_str()], |row| row.get(0)).optional()
}

fn job(conn: &Connection, name: &JobName) -> rusqlite::Result<i64> {
    match known(conn, name)? {
        Some(id) => Ok(id),
        None => conn.prepare_cached("INSERT INTO job (name) VALUES (?)")?.insert([name.as_str()]),
    }
}

/// A row of the table.
struct Standing {
    id: i64,
    slot: i64,
    oldest: i64,
    count: i64,
    verdict: i64,
    why: Option<String>,
    by: Option<String>,
}

impl Standing {
    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Standing> {
        Ok(Standing {
            id: row.get(0)?,
            slot: row.get(1)?,
            oldest: row.get(2)?,
            count: row.get(3)?,
            verdict: row.get(4)?,
            why: row.get(5)?,
            by: row.get(6)?,
        })
    }
}

fn slot(conn: &Connection, totals: &mut Totals, row: &SlotRow) -> rusqlite::Result<()> {
    let job = job(conn, &row.job)?;
    let (verdict, why, _) = codec::verdict(&row.verdict);
    let at = nanoseconds(row.slot);
    let done = match verdict {
        RAN => make_room(conn, totals, job, at)?,
        _ => lengthen(conn, job, row, verdict, why)?,
    };
    if !done {
        totals.slots += insert(conn, job, row)?;
    }
    conn.prepare_cached(
        "INSERT INTO tally (job, runs, failures, slot, spans) VALUES (?, 0, 0, ?, x'') \
         ON CONFLICT (job) DO UPDATE SET slot = max(coalesce(slot, excluded.slot), excluded.slot)",
    )?
    .execute((job, at))?;
    Ok(())
}

fn insert(conn: &Connection, job: i64, row: &SlotRow) -> rusqlite::Result<i64> {
    let (verdict, why, run) = codec::verdict(&row.verdict);
    let mut insert = conn.prepare_cached(
        "INSERT OR IGNORE INTO slot (job, slot, oldest, count, verdict, why, run, by, booked) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    let (slot, oldest, booked) = (nanoseconds(row.slot), nanoseconds(row.oldest), nanoseconds(row.booked));
    let inserted = insert.execute((job, slot, oldest, count(row.count), verdict, why, run, some(&row.by), booked))?;
    Ok(count(inserted as u64))
}

/// A slot ran: what says otherwise gives way. True where a row of that slot says that it ran already.
fn make_room(conn: &Connection, totals: &mut Totals, job: i64, at: i64) -> rusqlite::Result<bool> {
    let mut next = conn.prepare_cached(
        "SELECT id, slot, oldest, count, verdict, why, by FROM slot WHERE job = ? AND slot >= ? ORDER BY slot LIMIT 1",
    )?;
    let Some(row) = next.query_row((job, at), Standing::read).optional()? else { return Ok(false) };
    if row.verdict == RAN {
        return Ok(row.slot == at);
    }
    if row.slot != at {
        if row.oldest <= at && row.count > 1 {
            conn.prepare_cached("UPDATE slot SET count = count - 1 WHERE id = ?")?.execute([row.id])?;
        }
        return Ok(false);
    }
    // The newest of a row: which is the newest now is not known, but it was before this one.
    let newest = if row.count == 2 { row.oldest } else { at - 1 };
    let mut shorten = conn.prepare_cached("UPDATE OR IGNORE slot SET slot = ?, count = count - 1 WHERE id = ?")?;
    if row.count < 2 || shorten.execute((newest, row.id))? == 0 {
        conn.prepare_cached("DELETE FROM slot WHERE id = ?")?.execute([row.id])?;
        totals.slots -= 1;
    }
    Ok(false)
}

/// Lengthens the job's newest row by one that says the same. True where that was done.
fn lengthen(conn: &Connection, job: i64, row: &SlotRow, verdict: i64, why: Option<&str>) -> rusqlite::Result<bool> {
    if verdict != MISSED && !(verdict == SKIPPED && why.is_some_and(|why| ROWS_OF.contains(&why))) {
        return Ok(false);
    }
    let mut newest = conn.prepare_cached(
        "SELECT id, slot, oldest, count, verdict, why, by FROM slot WHERE job = ? ORDER BY slot DESC LIMIT 1",
    )?;
    let Some(last) = newest.query_row([job], Standing::read).optional()? else { return Ok(false) };
    let same = (last.verdict, last.why.as_deref(), last.by.as_deref()) == (verdict, why, some(&row.by));
    if !same || last.slot >= nanoseconds(row.oldest) {
        return Ok(false);
    }
    let mut update = conn.prepare_cached("UPDATE slot SET slot = ?, count = ?, booked = ? WHERE id = ?")?;
    let sum = last.count.saturating_add(count(row.count));
    update.execute((nanoseconds(row.slot), sum, nanoseconds(row.booked), last.id))?;
    Ok(true)
}

/// Missed slots after `after` are yet to come. A row that begins before it is cut there; how many of its slots were before is
/// not known, and is reckoned from the times.
fn take_back(conn: &Connection, totals: &mut Totals, name: &JobName, after: Timestamp) -> rusqlite::Result<()> {
    let Some(job) = known(conn, name)? else { return Ok(()) };
    let after = nanoseconds(after);
    conn.prepare_cached(
        "UPDATE OR IGNORE slot SET slot = ?2, \
         count = max(1, CAST(count * (CAST(?2 - oldest AS REAL) / max(slot - oldest, 1)) AS INTEGER)) \
         WHERE job = ?1 AND slot > ?2 AND verdict = 2 AND oldest <= ?2",
    )?
    .execute((job, after))?;
    let gone =
        conn.prepare_cached("DELETE FROM slot WHERE job = ? AND slot > ? AND verdict = 2")?.execute((job, after))?;
    totals.slots -= count(gone as u64);
    conn.prepare_cached("UPDATE tally SET slot = (SELECT max(slot) FROM slot WHERE job = ?1) WHERE job = ?1")?
        .execute([job])?;
    Ok(())
}

fn attempt(conn: &Connection, totals: &mut Totals, row: &AttemptRow) -> rusqlite::Result<()> {
    let job = job(conn, &row.job)?;
    let (id, run, nth) = (number(row.id), number(row.run), i64::from(row.attempt));
    let mut later =
        conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM attempt WHERE run = ? AND attempt > 1 AND attempt > ?)")?;
    let later: bool = later.query_row((run, nth), |row| row.get(0))?;
    let columns = codec::outcome(&row.outcome);
    let micros = row.cpu.map(|cpu| count(u64::try_from(cpu.as_micros()).unwrap_or(u64::MAX)));
    let inserted = conn
        .prepare_cached(
            "INSERT OR IGNORE INTO attempt (id, run, attempt, last, job, at, slot, began, by, hash, started, ended, outcome, \
             code, signal, core, step, errno, why, message, cpu, rss, out, err, dropped, next, left_behind, tail) VALUES \
             (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            id,
            run,
            nth,
            !later,
            job,
            nanoseconds(row.at()),
            row.slot.map(nanoseconds),
            codec::trigger(row.trigger),
            some(&row.by),
            row.hash.cast_signed(),
            row.started.map(nanoseconds),
            nanoseconds(row.ended),
            columns.outcome,
            columns.code,
            columns.signal,
            columns.core,
            columns.step,
            columns.errno,
            columns.why,
            columns.message,
            micros,
            row.max_rss_kib.map(count),
            count(row.output[0]),
            count(row.output[1]),
            count(row.dropped),
            row.next_attempt.map(nanoseconds),
            row.left,
            Some(&row.tail).filter(|tail| !tail.is_empty()),
        ])?;
    if inserted == 0 {
        return Ok(());
    }
    totals.attempts += 1;
    if nth > 1 {
        // Either of two ways to an earlier attempt has an index of its own.
        for earlier in ["id = ?1", "run = ?1 AND attempt > 1"] {
            conn.prepare_cached(&format!("UPDATE attempt SET last = 0 WHERE {earlier} AND attempt < ?2 AND last = 1"))?
                .execute((run, nth))?;
        }
    }
    tally(conn, job, row)
}

fn tally(conn: &Connection, job: i64, row: &AttemptRow) -> rusqlite::Result<()> {
    let mut standing =
        conn.prepare_cached("SELECT runs, success, failing, failures, spans, hash FROM tally WHERE job = ?")?;
    let standing = standing.query_row([job], |row| {
        let spans: Vec<u8> = row.get(4)?;
        let tally = Tally {
            runs: codec::uncount(row.get(0)?),
            last_success: codec::time(row, 1)?,
            failing_since: codec::time(row, 2)?,
            failures: codec::uncount(row.get(3)?),
            spans: Tally::decode_spans(&spans),
            ..Tally::default()
        };
        Ok((tally, row.get::<_, Option<i64>>(5)?))
    });
    let (mut tally, hash) = standing.optional()?.unwrap_or_default();
    tally.take(row);
    let now = row.hash.cast_signed();
    if let Some(before) = hash.filter(|hash| *hash != now) {
        // Rows of the definition before are kept for some time from now, and it with them.
        conn.prepare_cached("UPDATE definition SET seen = max(seen, ?) WHERE hash = ?")?
            .execute((nanoseconds(row.ended), before))?;
    }
    conn.prepare_cached(
        "INSERT INTO tally (job, runs, run, outcome, ended, success, failing, failures, hash, spans) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (job) DO UPDATE SET runs = excluded.runs, run = excluded.run, \
         outcome = excluded.outcome, ended = excluded.ended, success = excluded.success, failing = excluded.failing, \
         failures = excluded.failures, hash = excluded.hash, spans = excluded.spans",
    )?
    .execute(params![
        job,
        count(tally.runs),
        number(row.run),
        codec::outcome(&row.outcome).outcome,
        nanoseconds(row.ended),
        tally.last_success.map(nanoseconds),
        tally.failing_since.map(nanoseconds),
        count(tally.failures),
        now,
        tally.encode_spans(),
    ])?;
    Ok(())
}

fn fact(conn: &Connection, totals: &mut Totals, row: &FactRow) -> rusqlite::Result<()> {
    let job = row.job.as_ref().map_or(Ok(0), |name| job(conn, name))?;
    let mut insert =
        conn.prepare_cached("INSERT INTO fact (job, kind, at, until, code, text, by) VALUES (?, ?, ?, ?, ?, ?, ?)")?;
    let until = row.until.map(nanoseconds);
    insert.execute((job, row.kind.word(), nanoseconds(row.at), until, &row.code, &row.text, &row.by))?;
    totals.facts += 1;
    Ok(())
}

fn definition(conn: &Connection, row: &DefinitionRow) -> rusqlite::Result<()> {
    let job = job(conn, &row.job)?;
    let command = serde_json::to_string(&row.command).unwrap_or_default();
    let mut upsert = conn.prepare_cached(
        "INSERT INTO definition (hash, job, seen, schedule, dialect, timezone, command) VALUES (?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (hash) DO UPDATE SET seen = max(seen, excluded.seen)",
    )?;
    let (hash, seen) = (row.hash.cast_signed(), nanoseconds(row.seen));
    upsert.execute((hash, job, seen, &row.schedule, &row.dialect, &row.timezone, command))?;
    Ok(())
}
