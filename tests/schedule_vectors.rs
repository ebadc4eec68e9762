//! Answers taken from the originals by running them, one row a question. See `tests/data/schedule-vectors.json`.
//!
//! `recommend: reject` is junk that an original accepts and we refuse; `random` gives a range instead of instants;
//! `peer_bug` rows hold the right answer instead of the original's.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rotad::schedule::{Dialect, Schedule, parse_zone};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
struct Row {
    id: String,
    dialect: String,
    expr: String,
    tz: String,
    from: String,
    next: Vec<String>,
    #[serde(default)]
    error: bool,
    #[serde(default)]
    never: bool,
    #[serde(default)]
    boot_only: bool,
    recommend: Option<String>,
    random: Option<Random>,
}

#[derive(Debug, Deserialize)]
struct Random {
    minute_min: i8,
    minute_max: i8,
}

/// Dialects of other programs, which rotad does not speak.
const OTHERS: [(&str, &str); 3] = [
    ("vixie-head", "vixie cron 4, where `*/60` is every minute: cronie is the crond that is installed"),
    ("debian-cron", "Debian's cron 3.0, whose parser skips what it does not understand"),
    ("cron-rs", "the `cron` crate's own grammar, used here below the dialects only"),
];

fn rows() -> Vec<Row> {
    serde_json::from_str(include_str!("data/schedule-vectors.json")).unwrap()
}

#[test]
fn every_vector_holds() {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for row in rows() {
        *counts.entry(row.dialect.clone()).or_default() += 1;
        if OTHERS.iter().any(|(name, _)| *name == row.dialect) {
            continue;
        }
        if let Err(why) = check(&row) {
            wrong.push(format!("{} {:?} ({}): {why}", row.id, row.expr, row.tz));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    let counts: Vec<(&str, usize)> = counts.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    let expected = [
        ("cron-rs", 8),
        ("debian-cron", 2),
        ("gorhill", 47),
        ("robfig", 52),
        ("systemd", 31),
        ("vixie", 51),
        ("vixie-head", 3),
    ];
    assert_eq!(counts, expected, "the vector file changed: look at the new rows, then here");
}

fn check(row: &Row) -> Result<(), String> {
    let dialect: Dialect = row.dialect.parse()?;
    let zone = parse_zone(&row.tz)?;
    let from: Timestamp = row.from.parse().map_err(|error| format!("from: {error}"))?;
    let parsed = Schedule::parse(&row.expr, dialect, &zone, &row.id);
    if row.error || row.recommend.as_deref() == Some("reject") {
        return match parsed {
            Err(error) if error.at.end <= row.expr.len() && error.at.start <= error.at.end => Ok(()),
            Err(error) => Err(format!("refused, but at {:?}", error.at)),
            Ok(schedule) => Err(format!("accepted, next is {:?}", schedule.next(from, from))),
        };
    }
    let schedule = parsed.map_err(|error| format!("refused: {error}"))?;
    if row.boot_only {
        let at_boot_only = schedule.is_reboot() && schedule.next(from, from).is_none() && !schedule.never_fires(from);
        return at_boot_only.then_some(()).ok_or_else(|| "not at boot only".to_string());
    }
    if let Some(random) = &row.random {
        return check_random(row, random, dialect, from);
    }
    if row.never != schedule.never_fires(from) {
        return Err(format!("never is {}", schedule.never_fires(from)));
    }
    let mut after = from;
    let mut expected: Vec<Timestamp> =
        row.next.iter().map(|at| at.parse().map_err(|error| format!("next: {error}"))).collect::<Result<_, _>>()?;
    // crond is seen to start a job once for each minute that it makes up for; one slot is one run.
    expected.dedup();
    for expected in expected {
        let next = schedule.next(after, from).ok_or(format!("nothing after {after}, expected {expected}"))?;
        if next != expected {
            return Err(format!("after {after}: {next}, expected {expected}"));
        }
        after = next;
    }
    Ok(())
}

fn check_random(row: &Row, random: &Random, dialect: Dialect, from: Timestamp) -> Result<(), String> {
    for seed in ["a", "b", "c", "backup", ""] {
        let minute = |expr: &str| -> Result<i8, String> {
            let schedule =
                Schedule::parse(expr, dialect, &TimeZone::UTC, seed).map_err(|error| format!("refused: {error}"))?;
            let next = schedule.next(from, from).ok_or("never")?;
            Ok(TimeZone::UTC.to_datetime(next).minute())
        };
        let picked = minute(&row.expr)?;
        if !(random.minute_min..=random.minute_max).contains(&picked) {
            return Err(format!("minute {picked}"));
        }
        if minute(&row.expr)? != picked {
            return Err("another minute at the next load".to_string());
        }
    }
    Ok(())
}
