//! The tables, their indices, and how older ones become the present ones.
//!
//! Instants are nanoseconds since 1970, run ids are shifted by 2^63 so that they rise as SQLite's signed numbers do, words are
//! small numbers. The views (`runs`, `attempts`, `slots`, `facts`, `jobs`) say the same in words, for people with sqlite3(1).
//!
//! What each index is for stands beside it. None is for a wish that no query has: at ten million rows each costs some
//! hundred megabytes.

use rusqlite::{Connection, TransactionBehavior};

/// `PRAGMA application_id`: "rota".
pub const APPLICATION: i64 = 0x726f_7461;
/// `PRAGMA user_version` of the present tables: the number of steps.
pub const VERSION: i64 = STEPS.len() as i64;

/// From each version to the next, beginning with an empty file. A step that was released is never changed.
pub const STEPS: &[&str] = &[FIRST];

const FIRST: &str = "
CREATE TABLE job (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;

CREATE TABLE definition (
    hash INTEGER PRIMARY KEY,
    job INTEGER NOT NULL,
    seen INTEGER NOT NULL,          -- when it was last known to be in force
    schedule TEXT, dialect TEXT, timezone TEXT,
    command TEXT NOT NULL           -- words, as JSON
) STRICT;

CREATE TABLE slot (
    id INTEGER PRIMARY KEY,         -- in the order of booking
    job INTEGER NOT NULL,
    slot INTEGER NOT NULL,          -- of a row of slots the newest
    oldest INTEGER NOT NULL,
    count INTEGER NOT NULL,
    verdict INTEGER NOT NULL,       -- 0 ran, 1 skipped, 2 missed, 3 superseded
    why TEXT,
    run INTEGER,
    by TEXT,
    booked INTEGER NOT NULL
) STRICT;
-- A slot has one verdict; slots of a job by time.
CREATE UNIQUE INDEX slot_of_job ON slot (job, slot);
-- Those that did not run: of a job, of all, and the missed ones among them, by time.
CREATE INDEX slot_negative_of_job ON slot (job, slot) WHERE verdict <> 0;
CREATE INDEX slot_negative ON slot (slot) WHERE verdict <> 0;
CREATE INDEX slot_missed_of_job ON slot (job, slot) WHERE verdict = 2;
CREATE INDEX slot_missed ON slot (slot) WHERE verdict = 2;

CREATE TABLE attempt (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    last INTEGER NOT NULL,          -- 1: no later attempt of the run is known; such a row stands for the run
    job INTEGER NOT NULL,
    at INTEGER NOT NULL,            -- started, or else ended
    slot INTEGER,
    began INTEGER NOT NULL,         -- 0 schedule, 1 catch-up, 2 request, 3 after
    by TEXT,
    hash INTEGER NOT NULL,
    started INTEGER,
    ended INTEGER NOT NULL,
    outcome INTEGER NOT NULL,       -- 0 success, 1 failure, 2 timed-out, 3 stopped, 4 could-not-start, 5 lost
    code INTEGER, signal INTEGER, core INTEGER,
    step INTEGER, errno INTEGER,    -- of could-not-start
    why TEXT, message TEXT,
    cpu INTEGER,                    -- microseconds
    rss INTEGER,                    -- KiB
    out INTEGER NOT NULL, err INTEGER NOT NULL, dropped INTEGER NOT NULL,
    next INTEGER,
    left_behind INTEGER NOT NULL,
    tail BLOB
) STRICT;
-- The attempts of a run; the first has its id.
CREATE INDEX attempt_of_run ON attempt (run) WHERE attempt > 1;
-- Runs by time: of a job, of all, and the failed ones among them.
CREATE INDEX run_of_job ON attempt (job, at) WHERE last = 1;
CREATE INDEX run_by_time ON attempt (at) WHERE last = 1;
CREATE INDEX run_failed_of_job ON attempt (job, at) WHERE last = 1 AND outcome IN (1, 2, 4, 5);
CREATE INDEX run_failed ON attempt (at) WHERE last = 1 AND outcome IN (1, 2, 4, 5);

CREATE TABLE fact (
    id INTEGER PRIMARY KEY,
    job INTEGER NOT NULL,           -- 0: all of them
    kind TEXT NOT NULL,
    at INTEGER NOT NULL,
    until INTEGER,
    code TEXT NOT NULL, text TEXT NOT NULL, by TEXT NOT NULL
) STRICT;
-- What began in a stretch of time; what had begun before it and went on; what each kind said last.
CREATE INDEX fact_of_job ON fact (job, at);
CREATE INDEX fact_until ON fact (job, until) WHERE until IS NOT NULL;
CREATE INDEX fact_of_kind ON fact (job, kind, at);

CREATE TABLE tally (
    job INTEGER PRIMARY KEY,
    runs INTEGER NOT NULL,
    run INTEGER, outcome INTEGER, ended INTEGER,
    success INTEGER,
    failing INTEGER,
    failures INTEGER NOT NULL,
    slot INTEGER,
    hash INTEGER,
    spans BLOB NOT NULL             -- of the last successes, oldest first: milliseconds, four bytes each, little-endian
) STRICT;

-- How many rows there are, without counting them.
CREATE TABLE total (one INTEGER PRIMARY KEY CHECK (one = 1), slots INTEGER NOT NULL, attempts INTEGER NOT NULL,
    facts INTEGER NOT NULL) STRICT;
INSERT INTO total VALUES (1, 0, 0, 0);
";

/// Brings the tables from `version` to that of the last of `steps`, and makes the views anew. All or nothing.
pub fn migrate(conn: &mut Connection, version: i64, steps: &[&str]) -> rusqlite::Result<()> {
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another engine may have been quicker.
    let now: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if now == version {
        for step in steps.iter().skip(usize::try_from(version).unwrap_or(0)) {
            transaction.execute_batch(step)?;
        }
        transaction.execute_batch(&views())?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", steps.len() as i64)?;
    }
    transaction.commit()
}

/// A run id in base 32, as [`crate::wire::RunId`] writes it.
fn run_text(column: &str) -> String {
    let digit = |place: u32| {
        let value = match place {
            // Four bits, the upper one turned by the shift.
            12 => format!("((({column} >> 60) & 15) + 8) & 15"),
            _ => format!("({column} >> {}) & 31", place * 5),
        };
        format!("substr('0123456789abcdefghjkmnpqrstvwxyz', ({value}) + 1, 1)")
    };
    (0..13).rev().map(digit).collect::<Vec<_>>().join("||")
}

fn time_text(column: &str) -> String {
    format!("strftime('%Y-%m-%dT%H:%M:%fZ', {column} / 1000000000.0, 'unixepoch')")
}

fn words(column: &str, words: &[&str]) -> String {
    let arms: String = words.iter().enumerate().map(|(at, word)| format!(" WHEN {at} THEN '{word}'")).collect();
    format!("CASE {column}{arms} END")
}

fn views() -> String {
    let t = time_text;
    let outcome = |column: &str| words(column, super::codec::OUTCOMES);
    let attempt = format!(
        "SELECT {id} AS id, {run} AS run, attempt, job.name AS job, {slot} AS slot, {began} AS \"trigger\", by, \
         {started} AS started, {ended} AS ended, {outcome} AS outcome, code, signal, core, why, message, \
         cpu / 1000000.0 AS cpu_seconds, rss AS max_rss_kib, out AS stdout_bytes, err AS stderr_bytes, dropped, \
         {next} AS next_attempt, left_behind, CAST(tail AS TEXT) AS tail, \
         definition.schedule AS schedule, definition.command AS command \
         FROM attempt LEFT JOIN job ON job.id = attempt.job LEFT JOIN definition USING (hash)",
        id = run_text("attempt.id"),
        run = run_text("run"),
        slot = t("slot"),
        began = words("began", super::codec::TRIGGERS),
        started = t("started"),
        ended = t("ended"),
        outcome = outcome("outcome"),
        next = t("next"),
    );
    format!(
        "DROP VIEW IF EXISTS attempts; DROP VIEW IF EXISTS runs; DROP VIEW IF EXISTS slots; DROP VIEW IF EXISTS facts; \
         DROP VIEW IF EXISTS jobs; \
         CREATE VIEW attempts AS {attempt}; \
         CREATE VIEW runs AS {attempt} WHERE last = 1; \
         CREATE VIEW slots AS SELECT job.name AS job, {slot} AS slot, {oldest} AS oldest, count, {verdict} AS verdict, why, \
         CASE WHEN run IS NOT NULL THEN {run} END AS run, by, {booked} AS booked \
         FROM slot LEFT JOIN job ON job.id = slot.job; \
         CREATE VIEW facts AS SELECT {at} AS at, {until} AS until, kind, job.name AS job, code, text, by \
         FROM fact LEFT JOIN job ON job.id = fact.job; \
         CREATE VIEW jobs AS SELECT job.name AS job, runs, CASE WHEN run IS NOT NULL THEN {run} END AS last_run, \
         {last} AS last_outcome, {ended} AS last_ended, {success} AS last_success, {failing} AS failing_since, \
         failures FROM tally JOIN job ON job.id = tally.job;",
        slot = t("slot"),
        oldest = t("oldest"),
        verdict = words("verdict", super::codec::VERDICTS),
        run = run_text("run"),
        booked = t("booked"),
        at = t("at"),
        until = t("until"),
        last = outcome("outcome"),
        ended = t("ended"),
        success = t("success"),
        failing = t("failing"),
    )
}
