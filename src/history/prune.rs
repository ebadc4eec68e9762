//! What is let go, in steps so small that rows which come meanwhile hardly wait.
//!
//! - **Age**: what is older than `keep`, save the [`NEWEST`] slots and runs of each job, so that a job that runs once a year
//!   has a past too. Those go at [`LINGER`] times the age.
//! - **Rows** and **bytes**: the oldest, whosever it is. The bound holds roughly: what is over it goes step by step.
//!
//! Deleted rows leave room inside the file, which new ones take. The file shrinks, a little at a time, where it is over its
//! size or where a good part of it is free.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior};

use super::book::Totals;
use super::codec::{count, nanoseconds};
use crate::conf::HistoryConfig;

/// Slots and runs of each job that are kept beyond `keep`.
pub const NEWEST: i64 = 20;
/// Nothing is older than so many times `keep`.
pub const LINGER: u32 = 10;
/// How often the history is gone through for what has become too old.
pub const ROUND: Duration = Duration::from_secs(3600);
/// A step that takes longer is made smaller, one that takes a quarter of it larger.
const STEP_TIME: Duration = Duration::from_millis(8);
/// Rows looked at in a step, at least and at most.
const STEP_ROWS: (i64, i64) = (16, 512);
/// Pages given back to the file system in a step.
const STEP_PAGES: i64 = 128;

/// Where pruning is.
#[derive(Debug)]
pub struct Pruning {
    keep: Duration,
    rows: u64,
    pages: i64,
    /// Rows of the next step.
    step: i64,
    /// The age walk that goes on.
    walk: Option<Walk>,
    /// When the next begins.
    next_walk: Instant,
    /// Longest step so far.
    longest: Duration,
}

/// A walk through everything that is older than `keep`, from the oldest on.
#[derive(Debug)]
struct Walk {
    now: i64,
    horizon: i64,
    last_horizon: i64,
    table: usize,
    after: i64,
}

/// A table of the walk: its name, its instant, and what is kept of it besides.
struct Table {
    name: &'static str,
    instant: &'static str,
    /// Whether a row is among the newest of its job.
    newest: Option<&'static str>,
}

const TABLES: [Table; 3] = [
    Table {
        name: "attempt",
        instant: "ended",
        newest: Some(
            "SELECT 1 FROM attempt AS newer WHERE newer.job = old.job AND newer.last = 1 AND newer.at > old.at",
        ),
    },
    Table {
        name: "slot",
        instant: "booked",
        newest: Some("SELECT 1 FROM slot AS newer WHERE newer.job = old.job AND newer.slot > old.slot"),
    },
    Table { name: "fact", instant: "coalesce(until, at)", newest: None },
];

/// What a step did.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// There is more to do.
    More,
    /// There is none.
    Done,
}

impl Pruning {
    /// By these limits. The first walk begins at once.
    pub fn new(config: &HistoryConfig, now: Instant) -> Pruning {
        let (step, walk, longest) = (64, None, Duration::ZERO);
        let pages = count(config.size / 4096);
        Pruning { keep: config.keep, rows: config.rows, pages, step, walk, next_walk: now, longest }
    }

    /// The longest time a step took.
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// One step.
    pub fn step(&mut self, conn: &mut Connection, totals: &mut Totals, now: Timestamp) -> rusqlite::Result<Step> {
        let begun = Instant::now();
        let stepped = self.choose(conn, totals, now, begun);
        let took = begun.elapsed();
        self.longest = self.longest.max(took);
        if took > STEP_TIME {
            self.step = (self.step / 2).max(STEP_ROWS.0);
        } else if took < STEP_TIME / 4 {
            self.step = (self.step * 2).min(STEP_ROWS.1);
        }
        stepped
    }

    fn choose(
        &mut self,
        conn: &mut Connection,
        totals: &mut Totals,
        now: Timestamp,
        clock: Instant,
    ) -> rusqlite::Result<Step> {
        let pragma = |name| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let (pages, free) = (pragma("page_count")?, pragma("freelist_count")?);
        let (rows, used) = (totals.sum(), pages - free);
        // What is over, in rows: of pages as many as rows of the common size have filled.
        let per_page = rows as f64 / used.max(1) as f64;
        let over = (rows.saturating_sub(self.rows) as f64).max((used - self.pages) as f64 * per_page);
        if over > 0.0 {
            return self.oldest(conn, totals, self.step.min(over.ceil() as i64));
        }
        if free > 0 && (pages > self.pages || free > (pages / 4).max(256)) {
            // The pages are given back as the statement is stepped through.
            let mut vacuum = conn.prepare_cached(&format!("PRAGMA incremental_vacuum({STEP_PAGES})"))?;
            let mut steps = vacuum.query([])?;
            while steps.next()?.is_some() {}
            return Ok(Step::More);
        }
        if self.walk.is_none() {
            if clock < self.next_walk {
                return Ok(Step::Done);
            }
            self.next_walk = clock + ROUND;
            let before = |age: Duration| now.checked_sub(age).map_or(i64::MIN, nanoseconds);
            let (horizon, last_horizon) = (before(self.keep), before(self.keep.saturating_mul(LINGER)));
            self.walk = Some(Walk { now: nanoseconds(now), horizon, last_horizon, table: 0, after: i64::MIN });
        }
        let Some(walk) = &mut self.walk else { return Ok(Step::Done) };
        if walk.on(conn, totals, self.step)? {
            return Ok(Step::More);
        }
        self.walk = None;
        Ok(Step::Done)
    }

    /// Lets the oldest rows of the table go whose oldest is the oldest.
    fn oldest(&self, conn: &mut Connection, totals: &mut Totals, rows: i64) -> rusqlite::Result<Step> {
        let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut oldest: Option<(i64, usize)> = None;
        for (at, table) in TABLES.iter().enumerate() {
            let sql = format!("SELECT {} FROM {} ORDER BY id LIMIT 1", table.instant, table.name);
            let mut rows = transaction.prepare_cached(&sql)?;
            let mut rows = rows.query([])?;
            if let Some(row) = rows.next()? {
                let instant: i64 = row.get(0)?;
                oldest = oldest.into_iter().chain([(instant, at)]).min();
            }
        }
        let Some((_, at)) = oldest else { return Ok(Step::Done) };
        let name = TABLES[at].name;
        let sql = format!("DELETE FROM {name} WHERE id IN (SELECT id FROM {name} ORDER BY id LIMIT ?)");
        let gone = transaction.prepare_cached(&sql)?.execute([rows])?;
        let before = *totals;
        *totals = less(*totals, at, gone);
        totals.write(&transaction, before)?;
        transaction.commit().inspect_err(|_| *totals = before)?;
        Ok(Step::More)
    }
}

fn less(mut totals: Totals, table: usize, gone: usize) -> Totals {
    let gone = count(gone as u64);
    match table {
        0 => totals.attempts -= gone,
        1 => totals.slots -= gone,
        _ => totals.facts -= gone,
    }
    totals
}

impl Walk {
    /// Goes on by at most `step` rows. False at the end.
    fn on(&mut self, conn: &mut Connection, totals: &mut Totals, step: i64) -> rusqlite::Result<bool> {
        let Some(table) = TABLES.get(self.table) else {
            return self.rest(conn).map(|()| false);
        };
        let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (name, instant) = (table.name, table.instant);
        // Rows that a clock far ahead has dated are passed by: younger ones may stand behind them.
        let sql = format!("SELECT id, {instant} < ?1 OR {instant} > ?2 FROM {name} WHERE id > ?3 ORDER BY id LIMIT ?4");
        let mut ended = true;
        let mut last = self.after;
        {
            let mut rows = transaction.prepare_cached(&sql)?;
            let mut rows = rows.query((self.horizon, self.now, self.after, step))?;
            let mut seen = 0;
            while let Some(row) = rows.next()? {
                if !row.get::<_, bool>(1)? {
                    break;
                }
                last = row.get(0)?;
                seen += 1;
                ended = seen < step;
            }
        }
        let spared = table.newest.map_or(String::new(), |newer| {
            format!(" AND ({instant} < ?4 OR EXISTS ({newer} LIMIT 1 OFFSET {}))", NEWEST - 1)
        });
        let sql = format!("DELETE FROM {name} AS old WHERE id > ?1 AND id <= ?2 AND {instant} < ?3{spared}");
        let mut delete = transaction.prepare_cached(&sql)?;
        let gone = match spared.is_empty() {
            true => delete.execute((self.after, last, self.horizon))?,
            false => delete.execute((self.after, last, self.horizon, self.last_horizon))?,
        };
        drop(delete);
        let before = *totals;
        *totals = less(*totals, self.table, gone);
        totals.write(&transaction, before)?;
        transaction.commit().inspect_err(|_| *totals = before)?;
        (self.table, self.after) = if ended { (self.table + 1, i64::MIN) } else { (self.table, last) };
        Ok(true)
    }

    /// Definitions that no row can have any more, and names of jobs that nothing is known of. Few, and all at once.
    fn rest(&self, conn: &Connection) -> rusqlite::Result<()> {
        conn.execute(
            "DELETE FROM definition WHERE seen < ? AND hash NOT IN (SELECT hash FROM tally WHERE hash IS NOT NULL)",
            [self.last_horizon],
        )?;
        conn.execute(
            "DELETE FROM tally WHERE coalesce(ended, ?1) <= ?1 AND coalesce(slot, ?1) <= ?1 \
             AND NOT EXISTS (SELECT 1 FROM attempt WHERE attempt.job = tally.job AND last = 1) \
             AND NOT EXISTS (SELECT 1 FROM slot WHERE slot.job = tally.job)",
            [self.last_horizon],
        )?;
        conn.execute(
            "DELETE FROM job WHERE NOT EXISTS (SELECT 1 FROM tally WHERE tally.job = job.id) \
             AND NOT EXISTS (SELECT 1 FROM fact WHERE fact.job = job.id) \
             AND NOT EXISTS (SELECT 1 FROM definition WHERE definition.job = job.id) \
             AND NOT EXISTS (SELECT 1 FROM attempt WHERE attempt.job = job.id AND last = 1) \
             AND NOT EXISTS (SELECT 1 FROM slot WHERE slot.job = job.id)",
            [],
        )?;
        Ok(())
    }
}
