//! What is asked of the history. Every question goes by an index and reads what it answers and no more, however many rows
//! there are; the tests hold SQLite's plans against that.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::book::known;
use super::codec::{self, ATTEMPT, FACT, OUTCOMES, SLOT, instant, nanoseconds};
use super::row::{AttemptRow, DefinitionRow, FactKind, FactRow, SlotRow};
use super::tally::Tally;
use crate::job::JobName;
use crate::wire::RunId;

/// Most rows of a page.
pub const MAX_LIMIT: usize = 1000;
/// Most facts of an answer, of each kind of question.
const MAX_FACTS: i64 = 200;
/// Runs looked at before an instant for those that were going on then.
const MAX_GOING: i64 = 50;

/// Which rows of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of one job; absent: of all.
    pub job: Option<JobName>,
    /// Runs that failed, timed out, could not start or were lost, and missed slots.
    pub failed: bool,
    /// From this instant on.
    pub since: Option<Timestamp>,
    /// Before this instant.
    pub until: Option<Timestamp>,
    /// So many, [`MAX_LIMIT`] at most.
    pub limit: usize,
    /// What comes after this place of a list: [`Page::next`] of the page before.
    pub after: Option<Cursor>,
}

/// A place in a list: lists go from new to old, by instant, then slots after runs, then by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    at: i64,
    kind: u8,
    id: i64,
}

/// Kinds of a [`Cursor`].
const OF_SLOT: u8 = 0;
const OF_RUN: u8 = 1;

/// Some rows of a list, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Where the next page begins; absent: this was the last.
    pub next: Option<Cursor>,
}

/// A run, as its last attempt stands for it. In lists it has no tail.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRow {
    /// The last attempt.
    pub last: AttemptRow,
    /// When the first attempt's program started; absent: none did, or it is no longer known.
    pub first_started: Option<Timestamp>,
}

/// What happened: a run, or a slot without one.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// A run, with all its attempts.
    Run(Box<RunRow>),
    /// A slot, or a row of them, that did not become a run.
    Slot(SlotRow),
}

/// What is known about an instant of a job.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Around {
    /// The slot at this instant, or the row of slots around it.
    pub slot: Option<SlotRow>,
    /// The newest one before.
    pub before: Option<SlotRow>,
    /// The oldest one after.
    pub after: Option<SlotRow>,
    /// The run that it became.
    pub run: Option<RunRow>,
    /// Runs of the job that went on at this instant, newest first.
    pub going: Vec<RunRow>,
}

/// Facts about a stretch of time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Those that lie in it or reach into it, oldest first.
    pub within: Vec<FactRow>,
    /// Of each kind the newest that began before it: what stood when it began.
    pub before: Vec<FactRow>,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.at, self.kind, self.id)
    }
}

impl Cursor {
    /// Reads what [`fmt::Display`] wrote; `None` for anything else.
    pub fn parse(text: &str) -> Option<Cursor> {
        let mut parts = text.split('.');
        let cursor = Cursor {
            at: parts.next()?.parse().ok()?,
            kind: parts.next()?.parse().ok().filter(|kind| *kind <= OF_RUN)?,
            id: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(cursor)
    }
}

/// A filter in SQLite's terms: rows of one kind whose (instant, number) is less than this.
struct Bounds {
    job: Option<i64>,
    since: i64,
    below: (i64, i64),
    limit: i64,
}

impl Filter {
    fn rows(&self) -> usize {
        self.limit.clamp(1, MAX_LIMIT)
    }

    /// `None` where there can be no row.
    fn bounds(&self, conn: &Connection, kind: u8) -> rusqlite::Result<Option<Bounds>> {
        let job = match &self.job {
            None => None,
            Some(name) => match known(conn, name)? {
                None => return Ok(None),
                found => found,
            },
        };
        let until = self.until.map_or((i64::MAX, i64::MAX), |until| (nanoseconds(until), i64::MIN));
        let after = self.after.map_or((i64::MAX, i64::MAX), |after| match kind.cmp(&after.kind) {
            // Of one instant runs come first, so that slots of it are still to come.
            std::cmp::Ordering::Less => (after.at.saturating_add(1), i64::MIN),
            std::cmp::Ordering::Equal => (after.at, after.id),
            std::cmp::Ordering::Greater => (after.at, i64::MIN),
        });
        let since = self.since.map_or(i64::MIN, nanoseconds);
        // One more tells whether there is a next page.
        Ok(Some(Bounds { job, since, below: until.min(after), limit: self.rows() as i64 + 1 }))
    }

    fn page<T>(&self, mut rows: Vec<(Cursor, T)>) -> Page<T> {
        let more = rows.len() > self.rows();
        rows.truncate(self.rows());
        let next = rows.last().filter(|_| more).map(|(cursor, _)| *cursor);
        Page { rows: rows.into_iter().map(|(_, row)| row).collect(), next }
    }
}

/// Runs, newest first, each at the instant of its last attempt.
pub fn runs(conn: &Connection, filter: &Filter) -> rusqlite::Result<Page<RunRow>> {
    Ok(filter.page(run_rows(conn, filter)?))
}

/// Slots of a job, whatever became of them; of all jobs those that did not run. Newest first, rows of slots by their newest.
pub fn slots(conn: &Connection, filter: &Filter) -> rusqlite::Result<Page<SlotRow>> {
    Ok(filter.page(slot_rows(conn, filter, filter.job.is_some())?))
}

/// Runs and slots that did not run in one list, newest first.
pub fn entries(conn: &Connection, filter: &Filter) -> rusqlite::Result<Page<Entry>> {
    let mut runs = run_rows(conn, filter)?.into_iter().peekable();
    let mut slots = slot_rows(conn, filter, false)?.into_iter().peekable();
    let mut rows = Vec::new();
    loop {
        let run_first = match (runs.peek(), slots.peek()) {
            (Some((run, _)), Some((slot, _))) => run > slot,
            (run, _) => run.is_some(),
        };
        let next = match run_first {
            true => runs.next().map(|(at, row)| (at, Entry::Run(Box::new(row)))),
            false => slots.next().map(|(at, row)| (at, Entry::Slot(row))),
        };
        let Some(next) = next else { return Ok(filter.page(rows)) };
        rows.push(next);
    }
}

/// The columns of a list of runs.
fn run_columns() -> String {
    let columns = ATTEMPT.replace("attempt.tail", "NULL");
    format!(
        "SELECT {columns}, first.started, attempt.at FROM attempt INDEXED BY {{}} \
         LEFT JOIN job ON job.id = attempt.job LEFT JOIN attempt AS first ON first.id = attempt.run"
    )
}

fn run_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<(Cursor, RunRow)> {
    let cursor = Cursor { at: row.get(27)?, kind: OF_RUN, id: row.get(0)? };
    Ok((cursor, RunRow { last: codec::attempt(row)?, first_started: codec::time(row, 26)? }))
}

/// The statement for a list of runs.
pub(super) fn runs_sql(job: bool, failed: bool) -> String {
    let index = match (job, failed) {
        (true, false) => "run_of_job",
        (false, false) => "run_by_time",
        (true, true) => "run_failed_of_job",
        (false, true) => "run_failed",
    };
    let of_job = if job { "attempt.job = ?5 AND" } else { "" };
    let bad = if failed { "AND attempt.outcome IN (1, 2, 4, 5)" } else { "" };
    format!(
        "{} WHERE {of_job} attempt.last = 1 {bad} AND attempt.at >= ?1 AND (attempt.at, attempt.id) < (?2, ?3) \
         ORDER BY attempt.at DESC, attempt.id DESC LIMIT ?4",
        run_columns().replace("{}", index)
    )
}

fn run_rows(conn: &Connection, filter: &Filter) -> rusqlite::Result<Vec<(Cursor, RunRow)>> {
    let Some(bounds) = filter.bounds(conn, OF_RUN)? else { return Ok(Vec::new()) };
    listed(conn, &runs_sql(bounds.job.is_some(), filter.failed), &bounds, run_row)
}

/// The statement for a list of slots.
pub(super) fn slots_sql(job: bool, failed: bool, all: bool) -> String {
    let (index, which) = match (job, failed, all) {
        (true, true, _) => ("slot_missed_of_job", "AND slot.verdict = 2"),
        (false, true, _) => ("slot_missed", "AND slot.verdict = 2"),
        (true, false, true) => ("slot_of_job", ""),
        (true, false, false) => ("slot_negative_of_job", "AND slot.verdict <> 0"),
        (false, false, _) => ("slot_negative", "AND slot.verdict <> 0"),
    };
    let of_job = if job { "slot.job = ?5 AND" } else { "" };
    format!(
        "SELECT {SLOT}, slot.id FROM slot INDEXED BY {index} LEFT JOIN job ON job.id = slot.job \
         WHERE {of_job} slot.slot >= ?1 AND (slot.slot, slot.id) < (?2, ?3) {which} \
         ORDER BY slot.slot DESC, slot.id DESC LIMIT ?4"
    )
}

fn slot_rows(conn: &Connection, filter: &Filter, all: bool) -> rusqlite::Result<Vec<(Cursor, SlotRow)>> {
    let Some(bounds) = filter.bounds(conn, OF_SLOT)? else { return Ok(Vec::new()) };
    listed(conn, &slots_sql(bounds.job.is_some(), filter.failed, all), &bounds, |row| {
        Ok((Cursor { at: row.get(1)?, kind: OF_SLOT, id: row.get(9)? }, codec::slot(row)?))
    })
}

fn listed<T>(
    conn: &Connection,
    sql: &str,
    bounds: &Bounds,
    read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    let mut statement = conn.prepare_cached(sql)?;
    let Bounds { job, since, below: (at, id), limit } = bounds;
    match job {
        Some(job) => statement.query_map((since, at, id, limit, job), read)?.collect(),
        None => statement.query_map((since, at, id, limit), read)?.collect(),
    }
}

/// The last run of each of these jobs, of those that have one.
pub fn last_runs(conn: &Connection, jobs: &[JobName]) -> rusqlite::Result<BTreeMap<JobName, RunRow>> {
    let sql = runs_sql(true, false);
    let mut lasts = BTreeMap::new();
    for name in jobs {
        let Some(job) = known(conn, name)? else { continue };
        let mut last = conn.prepare_cached(&sql)?;
        let row = last.query_row((i64::MIN, i64::MAX, i64::MAX, 1, job), run_row).optional()?;
        lasts.extend(row.map(|(_, row)| (name.clone(), row)));
    }
    Ok(lasts)
}

/// The statements for the attempts of a run.
pub(super) fn run_sql() -> [String; 2] {
    let of = |which| format!("SELECT {ATTEMPT} FROM attempt LEFT JOIN job ON job.id = attempt.job WHERE {which}");
    [of("attempt.id = ?"), of("attempt.run = ? AND attempt.attempt > 1 ORDER BY attempt.id")]
}

/// All attempts of a run, first to last, with their tails. `id` may be that of any of them. Empty: nothing is known of it.
pub fn run(conn: &Connection, id: RunId) -> rusqlite::Result<Vec<AttemptRow>> {
    let [one, others] = run_sql();
    let one = |id: RunId| conn.prepare_cached(&one)?.query_row([codec::number(id)], codec::attempt).optional();
    let asked = one(id)?;
    let run = asked.as_ref().map_or(id, |attempt| attempt.run);
    let first = if run == id { asked } else { one(run)? };
    let mut attempts: Vec<AttemptRow> = first.into_iter().collect();
    let mut others = conn.prepare_cached(&others)?;
    for attempt in others.query_map([codec::number(run)], codec::attempt)? {
        attempts.push(attempt?);
    }
    Ok(attempts)
}

/// The statements for the slots and runs around an instant.
pub(super) fn around_sql() -> [String; 4] {
    let slot = |which| {
        format!(
            "SELECT {SLOT} FROM slot INDEXED BY slot_of_job LEFT JOIN job ON job.id = slot.job \
             WHERE slot.job = ?1 AND slot.slot {which} LIMIT 1"
        )
    };
    [
        slot(">= ?2 ORDER BY slot.slot"),
        slot("> ?2 ORDER BY slot.slot"),
        slot("< ?2 ORDER BY slot.slot DESC"),
        format!(
            "{} WHERE attempt.job = ?1 AND attempt.last = 1 AND attempt.at <= ?2 ORDER BY attempt.at DESC LIMIT {MAX_GOING}",
            run_columns().replace("{}", "run_of_job")
        ),
    ]
}

/// What is known about an instant of a job.
pub fn around(conn: &Connection, job: &JobName, at: Timestamp) -> rusqlite::Result<Around> {
    let Some(job) = known(conn, job)? else { return Ok(Around::default()) };
    let [here, next, previous, going] = around_sql();
    let slot = |sql: &str, at: i64| conn.prepare_cached(sql)?.query_row((job, at), codec::slot).optional();
    let here = slot(&here, nanoseconds(at))?.filter(|row| row.oldest <= at);
    let (oldest, newest) = here.as_ref().map_or((at, at), |row| (row.oldest, row.slot));
    let run = match here.as_ref().map(|row| &row.verdict) {
        Some(super::SlotVerdict::Ran(run)) => self::run(conn, *run)?,
        _ => Vec::new(),
    };
    let first_started = run.first().and_then(|first| first.started);
    let mut statement = conn.prepare_cached(&going)?;
    let mut before = Vec::new();
    for row in statement.query_map((job, nanoseconds(at)), |row| run_row(row).map(|(_, row)| row))? {
        before.push(row?);
    }
    before.retain(|row| row.last.ended >= at);
    Ok(Around {
        before: slot(&previous, nanoseconds(oldest))?,
        after: slot(&next, nanoseconds(newest))?,
        slot: here,
        run: run.into_iter().next_back().map(|last| RunRow { last, first_started }),
        going: before,
    })
}

/// The statements for facts: those that began within, those that reach into it, the newest of a kind before it.
pub(super) fn facts_sql() -> [String; 3] {
    let of = |index, which| {
        format!(
            "SELECT {FACT} FROM fact INDEXED BY {index} LEFT JOIN job ON job.id = fact.job WHERE fact.job = ?1 AND {which}"
        )
    };
    [
        of("fact_of_job", "fact.at >= ?2 AND fact.at <= ?3 ORDER BY fact.at LIMIT ?4"),
        of("fact_until", "fact.until >= ?2 AND fact.at < ?2 AND fact.until IS NOT NULL ORDER BY fact.until LIMIT ?3"),
        of("fact_of_kind", "fact.kind = ?3 AND fact.at < ?2 ORDER BY fact.at DESC LIMIT 1"),
    ]
}

/// What is known of a stretch of time: of everything, and of the job where one is given.
pub fn facts(conn: &Connection, job: Option<&JobName>, from: Timestamp, until: Timestamp) -> rusqlite::Result<Facts> {
    let job = job.map_or(Ok(None), |name| known(conn, name))?;
    let (from, until) = (nanoseconds(from), nanoseconds(until));
    let [within, into, before] = facts_sql();
    let mut facts = Facts::default();
    for job in [Some(0), job].into_iter().flatten() {
        let mut into = conn.prepare_cached(&into)?;
        for row in into.query_map([job, from, MAX_FACTS], codec::fact)? {
            facts.within.extend(row?);
        }
        let mut within = conn.prepare_cached(&within)?;
        for row in within.query_map([job, from, until, MAX_FACTS], codec::fact)? {
            facts.within.extend(row?);
        }
        let mut before = conn.prepare_cached(&before)?;
        for kind in FactKind::ALL {
            let row = before.query_row((job, from, kind.word()), codec::fact).optional()?;
            facts.before.extend(row.flatten());
        }
    }
    facts.within.sort_by_key(|fact| fact.at);
    facts.before.sort_by_key(|fact| fact.at);
    Ok(facts)
}

/// What is known of each job as a whole.
pub fn tallies(conn: &Connection) -> rusqlite::Result<BTreeMap<JobName, Tally>> {
    let mut all = conn.prepare(
        "SELECT job.name, tally.runs, tally.run, tally.outcome, tally.ended, tally.success, tally.failing, tally.failures, \
         tally.slot, tally.spans FROM tally CROSS JOIN job ON job.id = tally.job",
    )?;
    let tallies = all.query_map([], |row| {
        let outcome: Option<i64> = row.get(3)?;
        let word = outcome.and_then(|at| OUTCOMES.get(usize::try_from(at).ok()?).copied());
        let run: Option<i64> = row.get(2)?;
        let spans: Vec<u8> = row.get(9)?;
        let last = run.zip(word).zip(codec::time(row, 4)?).map(|((run, word), ended)| (codec::run(run), word, ended));
        let tally = Tally {
            runs: codec::uncount(row.get(1)?),
            last,
            last_success: codec::time(row, 5)?,
            failing_since: codec::time(row, 6)?,
            failures: codec::uncount(row.get(7)?),
            newest_slot: codec::time(row, 8)?,
            spans: Tally::decode_spans(&spans),
        };
        Ok((codec::name(row, 0)?, tally))
    })?;
    tallies.collect()
}

/// What a definition said.
pub fn definition(conn: &Connection, hash: u64) -> rusqlite::Result<Option<DefinitionRow>> {
    let mut one = conn.prepare_cached(
        "SELECT job.name, seen, schedule, dialect, timezone, command FROM definition JOIN job ON job.id = definition.job \
         WHERE hash = ?",
    )?;
    one.query_row([hash.cast_signed()], |row| {
        let command: String = row.get(5)?;
        Ok(DefinitionRow {
            job: codec::name(row, 0)?,
            hash,
            seen: instant(row.get(1)?),
            schedule: row.get(2)?,
            dialect: row.get(3)?,
            timezone: row.get(4)?,
            command: serde_json::from_str(&command).unwrap_or_default(),
        })
    })
    .optional()
}
