//! What ten thousand schedules cost. The bounds are wide, for debug builds on busy machines; `--nocapture` shows the
//! numbers, which in a release build should be below 100 ms; a schedule has some 200 bytes.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rotad::schedule::{Dialect, Schedule, parse_zone};

/// Ordinary and all different.
fn texts() -> impl Iterator<Item = (String, Dialect)> {
    (0..10_000u32).map(|n| {
        let (minute, hour, day) = (n % 60, n / 60 % 24, n / 1440 % 7);
        match n % 5 {
            0 => (format!("{minute} {hour} * * {day}"), Dialect::Robfig),
            1 => (format!("{minute} {hour} */{} * *", day + 2), Dialect::Vixie),
            2 => (format!("{} {minute} */{} * * *", n % 59, 2 + day), Dialect::Robfig),
            3 => (format!("{minute} {hour} {}W * *", day + 8), Dialect::Cronexpr),
            _ => (format!("*-*-{} {hour}:{minute}", day + 1), Dialect::Systemd),
        }
    })
}

/// Resident memory in bytes, where the system tells it.
fn resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/statm").ok()?;
    status.split(' ').nth(1)?.parse().ok().map(|pages: usize| pages * 4096)
}

#[test]
fn ten_thousand_schedules_are_quick_and_small() {
    let zone = parse_zone("Europe/Berlin").unwrap();
    let now: Timestamp = "2026-11-20T12:34:56Z".parse().unwrap();
    let texts: Vec<(String, Dialect)> = texts().collect();
    let before = resident();
    let started = Instant::now();
    let schedules: Vec<Schedule> =
        texts.iter().map(|(text, dialect)| Schedule::parse(text, *dialect, &zone, "job").unwrap()).collect();
    let parsed = started.elapsed();
    assert!(schedules.iter().all(|schedule| schedule.next(now, now).is_some()));
    let took = started.elapsed();
    let grown = before.zip(resident()).map(|(before, after)| after.saturating_sub(before));
    println!("parse {parsed:?}, next {:?}, {grown:?} bytes", took - parsed);
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(grown.is_none_or(|bytes| bytes < 6 << 20), "{grown:?} bytes");
    // Not a test of its own: beside this one it would be measured with it.
    forecasts_are_quick(now, &zone, &schedules);
}

fn forecasts_are_quick(now: Timestamp, zone: &TimeZone, ordinary: &[Schedule]) {
    // The worst: all within the hour that one change leaves out and another lets come twice.
    let worst: Vec<Schedule> = (0..3600u32)
        .map(|n| format!("{} {} 2 * * *", n % 60, n / 60))
        .map(|text| Schedule::parse(&text, Dialect::Robfig, zone, "job").unwrap())
        .collect();
    let took = |schedules: &[Schedule]| {
        let started = Instant::now();
        let told = schedules.iter().filter(|schedule| schedule.forecast(now).is_some()).count();
        (started.elapsed(), told)
    };
    let (ordinary, some) = took(ordinary);
    let (worst, all) = took(&worst);
    println!("forecasts: ordinary {ordinary:?} ({some} told), worst {worst:?} ({all} told)");
    assert_eq!(all, 3600);
    assert!(some > 100 && some < 3000, "{some}");
    assert!(ordinary < Duration::from_secs(2) && worst < Duration::from_secs(5), "{ordinary:?}, {worst:?}");
}
