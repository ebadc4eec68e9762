//! What does `GET /entries` of 10,000 jobs cost? Choosing and writing the rows, beside a serde_json of the same rows without
//! a thought for Go, and beside a bare copy of the bytes, in the same run.
//!
//! `cargo bench --bench entries`. Prints milliseconds; fails on nothing.

use std::hint::black_box;
use std::time::Instant;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use rotad::api::crond::{entries, selection::Selection};
use rotad::engine::Entry;
use rotad::job::read_job;

const JOBS: u64 = 10_000;
const ROUNDS: usize = 21;

fn main() {
    let now = Timestamp::now();
    let zone = rotad::schedule::parse_zone("Asia/Shanghai").expect("a zone");
    let known: Vec<Entry> = (1..=JOBS).map(|at| entry(at, now)).collect();
    let list = |name: &str, pattern: &str| {
        let selection = Selection::new(name, pattern, "").expect("a selection");
        entries::entries(&selection.rows(&known).expect("rows in time"), &zone)
    };
    let bytes = list("", "");
    let value: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
    println!("{JOBS} jobs, {:.1} MB", bytes.len() as f64 / 1e6);
    measure("rows as mysql-crond's clients read them", || list("", "").len());
    measure("the same, chosen by an expression", || list("", "mysql-.*-backup [0-9]+").len());
    let masks = || known.iter().filter_map(|entry| entry.job.schedule.as_ref()?.robfig_masks()).count();
    measure("of it, robfig's sets of the schedules", masks);
    measure("serde_json of the same value", || serde_json::to_vec(&value).expect("JSON").len());
    measure("a copy of the bytes", || black_box(bytes.clone()).len());
}

fn entry(at: u64, now: Timestamp) -> Entry {
    let schedule = ["@every 1h", "*/5 * * * *", "30 3 * * 1-5"][at as usize % 3];
    let text = format!(
        "name: mysql-20000-backup {at}\ncommand: /home/mysql/dbbackup/backup\nargs: [--config, /etc/backup.yaml, '> log']\n\
         schedule: '{schedule}'\ncreator: dba\nwork_dir: /home/mysql\n"
    );
    let job = read_job("a.yaml", text.as_bytes(), &TimeZone::UTC, Timestamp::UNIX_EPOCH).expect("a job").0;
    let next = Some(now + SignedDuration::from_secs(at as i64));
    Entry { id: Some(at), job: job.into(), next, previous: Some(now), pause: None }
}

fn measure(what: &str, mut work: impl FnMut() -> usize) {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let begin = Instant::now();
            black_box(work());
            begin.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    println!("{what:<42}{:>9.2} ms", rounds[ROUNDS / 2]);
}
