//! What does the history take in, how soon does it answer, and how long does pruning hold it up? Each beside a bare loop over
//! rusqlite in the same run: one table, one index, no tally, no thread.
//!
//! `cargo bench --bench history`; `ROTAD_HISTORY_ROWS=10000000` for ten million rows (half of them runs, half slots), some GiB
//! in `TMPDIR`. Prints figures; fails where a row is dropped at 1,000 runs a second.

use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use rotad::conf::HistoryConfig;
use rotad::engine::Outcome;
use rotad::engine::core::Trigger;
use rotad::history::{AttemptRow, Filter, History, Row, SlotRow, SlotVerdict};
use rotad::job::JobName;
use rotad::wire::{Exit, RunId};
use rusqlite::Connection;

/// Jobs that take turns.
const JOBS: u64 = 1000;
/// Rows that the bare loop writes at most.
const BARE: u64 = 1_000_000;
/// Questions of each kind.
const QUESTIONS: usize = 2000;
/// Runs a second in the test of the pace, and for how many seconds.
const PACE: (u32, u32) = (1000, 10);

fn main() {
    let rows: u64 = std::env::var("ROTAD_HISTORY_ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(200_000);
    let place = tempfile::Builder::new().prefix("rotad-bench-").tempdir().expect("a directory");
    let runs = rows / 2;
    let begin = Timestamp::now() - SignedDuration::from_secs(runs as i64);
    println!("{rows} rows ({runs} runs and their slots) of {JOBS} jobs, tails of 200 bytes");
    println!("resident before: {}", resident());

    let keep = HistoryConfig { rows: 1 << 40, size: 1 << 40, ..HistoryConfig::default() };
    let history = open(place.path(), &keep);
    println!("resident with an empty history: {}", resident());
    let begun = Instant::now();
    for nth in 0..runs {
        let (attempt, slot) = rows_of(nth, begin);
        history.note(attempt);
        history.note(slot);
        while nth % 256 == 0 && history.status().waiting > 8192 {
            std::thread::sleep(Duration::from_micros(500));
        }
    }
    wait(&history);
    let took = begun.elapsed();
    let dropped = history.status().dropped;
    println!("filled at {:.0} rows/s ({took:.1?}, {dropped} dropped)", rows as f64 / took.as_secs_f64());
    println!("bare loop: {:.0} rows/s", bare(&place.path().join("bare.db"), rows.min(BARE), begin));
    let size = std::fs::metadata(place.path().join("history.db")).expect("the file").len();
    println!("file {:.0} MB, {:.0} bytes a row; resident {}", size as f64 / 1e6, size as f64 / rows as f64, resident());

    pace(&history, runs, begin);
    questions(&history, place.path(), runs, begin);
    history.close();
    drop(history);

    let begun = Instant::now();
    let history = open(place.path(), &keep);
    println!("opened with all tallies in {:.1?}", begun.elapsed());
    history.close();
    drop(history);
    pruning(place.path(), rows, runs, begin);
}

fn open(dir: &Path, config: &HistoryConfig) -> History {
    let (told, known) = mpsc::channel();
    let history = History::start(dir, Some(config), Box::new(move |tallies| told.send(tallies).expect("the bench")));
    known.recv().expect("a thread").expect("a history");
    history
}

fn wait(history: &History) {
    while history.status().waiting > 0 {
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn name(nth: u64) -> JobName {
    JobName::parse(&format!("job-{:04}", nth % JOBS)).expect("a name")
}

fn rows_of(nth: u64, begin: Timestamp) -> (Row, Row) {
    let slot = begin + SignedDuration::from_secs(nth as i64);
    let run = RunId(((slot.as_millisecond() as u64) << 22) + nth % 7);
    let success = !nth.is_multiple_of(10);
    let attempt = AttemptRow {
        run,
        attempt: 1,
        id: run,
        job: name(nth),
        slot: Some(slot),
        trigger: Trigger::Schedule,
        by: String::new(),
        hash: nth % JOBS,
        started: Some(slot + SignedDuration::from_millis(3)),
        ended: slot + SignedDuration::from_millis(500),
        outcome: Outcome::Exited { exit: Exit::Code(i32::from(!success)), success },
        cpu: Some(Duration::from_micros(1500)),
        max_rss_kib: Some(4096),
        output: [200, 0],
        dropped: 0,
        tail: vec![b'x'; 200],
        next_attempt: None,
        left: 0,
    };
    // One slot in five does not run.
    let verdict = match nth % 5 {
        0 => SlotVerdict::Skipped("overlap".into()),
        _ => SlotVerdict::Ran(run),
    };
    (Row::Attempt(Box::new(attempt)), Row::Slot(SlotRow::one(name(nth), slot, verdict, slot)))
}

/// Inserts a second of so many rows in batches of 1,024.
fn bare(path: &Path, rows: u64, begin: Timestamp) -> f64 {
    let mut conn = Connection::open(path).expect("a database");
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
         CREATE TABLE run (id INTEGER PRIMARY KEY, job TEXT, at INTEGER, outcome INTEGER, tail BLOB);
         CREATE INDEX run_of_job ON run (job, at);",
    )
    .expect("tables");
    let begun = Instant::now();
    let mut nth = 0;
    while nth < rows {
        let transaction = conn.transaction().expect("a transaction");
        {
            let mut insert = transaction.prepare_cached("INSERT INTO run VALUES (?, ?, ?, ?, ?)").expect("a statement");
            for _ in 0..1024 {
                let at = begin.as_nanosecond() as i64 + nth as i64;
                insert.execute((nth as i64, name(nth).as_str(), at, 0, [b'x'; 200].as_slice())).expect("a row");
                nth += 1;
            }
        }
        transaction.commit().expect("a commit");
    }
    nth as f64 / begun.elapsed().as_secs_f64()
}

/// What who notes rows feels at a steady pace.
fn pace(history: &History, from: u64, begin: Timestamp) {
    let (pace, seconds) = PACE;
    let before = history.status().dropped;
    let mut waits = Vec::new();
    let (begun, cpu) = (Instant::now(), cpu());
    let mut most = 0;
    for nth in 0..pace * seconds {
        let due = begun + Duration::from_secs(1) / pace * nth;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let (attempt, slot) = rows_of(from + u64::from(nth), begin);
        let noted = Instant::now();
        history.note(attempt);
        history.note(slot);
        waits.push(noted.elapsed());
        most = most.max(history.status().waiting);
    }
    let cpu = (self::cpu() - cpu) / f64::from(seconds);
    wait(history);
    let dropped = history.status().dropped - before;
    println!(
        "{pace} runs/s for {seconds} s: note() of two rows {}; at most {most} waited, {dropped} dropped, {:.0}% of a CPU",
        shares(waits),
        cpu * 100.0
    );
    assert_eq!(dropped, 0);
}

fn questions(history: &History, dir: &Path, runs: u64, begin: Timestamp) {
    let of = |nth: u64| Filter { job: Some(name(nth)), limit: 20, ..Filter::default() };
    let spread = |nth: usize| nth as u64 * (runs / QUESTIONS as u64).max(1);
    let instant = |nth: usize| begin + SignedDuration::from_secs(spread(nth) as i64);
    ask("the newest 20 runs of a job", |nth| history.runs(&of(nth as u64)).expect("runs").rows.len());
    ask("the same, failed ones", |nth| {
        history.runs(&Filter { failed: true, ..of(nth as u64) }).expect("runs").rows.len()
    });
    ask("the same, before a point in the past", |nth| {
        history.runs(&Filter { until: Some(instant(nth)), ..of(nth as u64) }).expect("runs").rows.len()
    });
    ask("20 runs and negative slots of a job", |nth| history.entries(&of(nth as u64)).expect("entries").rows.len());
    let all = Filter { limit: 20, ..Filter::default() };
    ask("20 runs and negative slots of all", |_| history.entries(&all).expect("entries").rows.len());
    ask("a run with its attempts", |nth| {
        let Row::Attempt(row) = rows_of(spread(nth), begin).0 else { return 0 };
        history.run(row.id).expect("a run").len()
    });
    ask("around an instant of a job", |nth| {
        usize::from(history.around(&name(spread(nth)), instant(nth)).expect("an answer").slot.is_some())
    });
    let conn = Connection::open(dir.join("history.db")).expect("the file");
    let sql = "SELECT id, started, ended, outcome FROM attempt WHERE last = 1 AND job = ? ORDER BY at DESC LIMIT 20";
    let mut statement = conn.prepare(sql).expect("a statement");
    ask("bare statement: the newest 20 runs of a job", |nth| {
        statement.query_map([(nth as u64 % JOBS) as i64 + 1], |row| row.get::<_, i64>(0)).expect("rows").count()
    });
    println!("resident while it is asked: {}", resident());
}

fn ask(what: &str, mut question: impl FnMut(usize) -> usize) {
    let mut rows = 0;
    let mut waits = Vec::new();
    for nth in 0..QUESTIONS {
        let begun = Instant::now();
        rows += question(nth);
        waits.push(begun.elapsed());
    }
    assert!(rows > 0, "{what}: no rows");
    println!("{what}: {}", shares(waits));
}

/// Half of the rows go while others come.
fn pruning(dir: &Path, rows: u64, runs: u64, begin: Timestamp) {
    let history = open(dir, &HistoryConfig { rows: rows / 2, size: 1 << 40, ..HistoryConfig::default() });
    let begun = Instant::now();
    let mut waits = Vec::new();
    for nth in u64::from(PACE.0 * PACE.1).. {
        if history.status().rows <= rows / 2 {
            break;
        }
        let noted = Instant::now();
        let (attempt, slot) = rows_of(runs + nth, begin);
        history.note(attempt);
        history.note(slot);
        wait(&history);
        waits.push(noted.elapsed());
    }
    let status = history.status();
    let gone = rows - status.rows;
    println!(
        "pruned {gone} rows at {:.0} rows/s; longest step {:.1} ms; a row that came meanwhile was on its way to the disk after {}",
        gone as f64 / begun.elapsed().as_secs_f64(),
        status.held_up_seconds * 1000.0,
        shares(waits)
    );
    history.close();
    let conn = Connection::open(dir.join("bare.db")).expect("the bare one");
    let begun = Instant::now();
    let half = rows.min(BARE) as i64 / 2;
    conn.execute("DELETE FROM run WHERE id < ?", [half]).expect("a deletion");
    let took = begun.elapsed();
    println!("bare DELETE of {half} rows: {:.0} rows/s, {took:.1?} in a row", half as f64 / took.as_secs_f64());
}

fn shares(mut waits: Vec<Duration>) -> String {
    waits.sort_unstable();
    let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize];
    format!("p50 {:.1?}, p99 {:.1?}, worst {:.1?}", at(0.5), at(0.99), at(1.0))
}

/// CPU time of this process, in seconds.
fn cpu() -> f64 {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).expect("getrusage");
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    seconds(usage.user_time()) + seconds(usage.system_time())
}

fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    let of = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default().trim().to_owned();
    format!("{} ({} of it anonymous)", of("VmRSS:"), of("RssAnon:"))
}
