//! What schedules promise, by the numbers of the fault list (a1 … a17).

#![allow(clippy::unwrap_used)] // helpers of tests are tests

use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use rotad::schedule::{Dialect, Event, Schedule, ScheduleError, parse_zone};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn parse_in(text: &str, dialect: Dialect, zone: &str) -> Schedule {
    Schedule::parse(text, dialect, &parse_zone(zone).unwrap(), "job")
        .unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn parse(text: &str, dialect: Dialect) -> Schedule {
    parse_in(text, dialect, "UTC")
}

fn refuse(text: &str, dialect: Dialect) -> ScheduleError {
    match Schedule::parse(text, dialect, &TimeZone::UTC, "job") {
        Err(error) => error,
        Ok(_) => panic!("{dialect} accepts {text:?}"),
    }
}

fn slots(schedule: &Schedule, from: &str, n: usize) -> Vec<String> {
    let from = at(from);
    std::iter::successors(schedule.next(from, from), |&after| schedule.next(after, from))
        .take(n)
        .map(|at| at.display_with_offset(schedule.zone().to_offset(at)).to_string())
        .collect()
}

const NEW_YORK: &str = "America/New_York";

#[test]
fn a1_a_fixed_time_in_the_gap_runs_once_when_the_clock_has_jumped() {
    let schedule = parse_in("15,30,45 2 * * *", Dialect::Vixie, NEW_YORK);
    let expected = ["2026-03-08T03:00:00-04:00", "2026-03-09T02:15:00-04:00"];
    assert_eq!(slots(&schedule, "2026-03-08T05:00:00Z", 2), expected);
    // Also when asked a moment before the jump, however short.
    let jump = at("2026-03-08T07:00:00Z");
    let before = jump - SignedDuration::from_nanos(1);
    assert_eq!(schedule.next(before, before), Some(jump));
    assert_eq!(schedule.next(jump, jump), Some(at("2026-03-09T06:15:00Z")));
}

#[test]
fn a1_a_gap_and_a_slot_at_its_end_are_one_slot() {
    let schedule = parse_in("30 2,3 * * *", Dialect::Vixie, NEW_YORK);
    let expected = ["2026-03-08T03:00:00-04:00", "2026-03-08T03:30:00-04:00"];
    assert_eq!(slots(&schedule, "2026-03-08T05:00:00Z", 2), expected);
    let schedule = parse_in("0 2,3 * * *", Dialect::Vixie, NEW_YORK);
    let expected = ["2026-03-08T03:00:00-04:00", "2026-03-09T02:00:00-04:00"];
    assert_eq!(slots(&schedule, "2026-03-08T05:00:00Z", 2), expected);
}

#[test]
fn a2_a_fixed_time_in_the_fold_runs_once_in_the_first_pass() {
    let expected = ["2026-11-01T01:30:00-04:00", "2026-11-02T01:30:00-05:00"];
    for (text, dialect) in
        [("30 1 * * *", Dialect::Vixie), ("30 1 * * *", Dialect::Cronexpr), ("01:30", Dialect::Systemd)]
    {
        let schedule = parse_in(text, dialect, NEW_YORK);
        assert_eq!(slots(&schedule, "2026-11-01T03:00:00Z", 2), expected);
        // A daemon started within the second pass does not run it again.
        assert_eq!(slots(&schedule, "2026-11-01T06:10:00Z", 1), expected[1..]);
    }
    let twice = ["2026-11-01T01:30:00-04:00", "2026-11-01T01:30:00-05:00"];
    assert_eq!(slots(&parse_in("30 1 * * *", Dialect::Robfig, NEW_YORK), "2026-11-01T03:00:00Z", 2), twice);
}

#[test]
fn a3_every_ten_minutes_follows_elapsed_time_across_gap_and_fold() {
    for dialect in [Dialect::Robfig, Dialect::Vixie] {
        for from in ["2026-03-08T05:55:00Z", "2026-11-01T04:55:00Z"] {
            let schedule = parse_in("*/10 * * * *", dialect, NEW_YORK);
            let from = at(from);
            let mut after = schedule.next(from, from).unwrap();
            for _ in 0..30 {
                let next = schedule.next(after, from).unwrap();
                assert_eq!(next.duration_since(after), SignedDuration::from_mins(10), "{dialect} after {after}");
                after = next;
            }
        }
    }
}

#[test]
fn a4_odd_zones_have_a_defined_answer() {
    // Half an hour of summer time.
    let schedule = parse_in("15 2 * * *", Dialect::Vixie, "Australia/Lord_Howe");
    let expected = ["2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"];
    assert_eq!(slots(&schedule, "2026-10-03T15:00:00Z", 2), expected);
    // A day that does not exist is no gap to make up for: crond takes it for a correction of the clock.
    let schedule = parse_in("30 12 * * *", Dialect::Vixie, "Pacific/Apia");
    let expected = ["2011-12-29T12:30:00-10:00", "2011-12-31T12:30:00+14:00"];
    assert_eq!(slots(&schedule, "2011-12-29T12:00:00Z", 2), expected);
    // A midnight that does not exist.
    let schedule = parse_in("@daily", Dialect::Robfig, "Asia/Beirut");
    let expected = ["2022-03-26T00:00:00+02:00", "2022-03-28T00:00:00+03:00"];
    assert_eq!(slots(&schedule, "2022-03-25T12:00:00Z", 2), expected);
}

#[test]
fn a11_impossible_dates_never_fire_and_cost_little() {
    let from = at("2026-01-01T00:00:00Z");
    let started = Instant::now();
    for (text, dialect) in [
        ("30 2 30 2 *", Dialect::Robfig),
        ("0 30 2 30 2 *", Dialect::Robfig),
        ("30 2 30 2 *", Dialect::Cronexpr),
        ("30 2 31 4,6,9,11 *", Dialect::Cronexpr),
        ("30 2 30 2 *", Dialect::Vixie),
        ("*-02-30 02:30", Dialect::Systemd),
        ("2020-01-01", Dialect::Systemd),
        ("Mon 2027-02-28", Dialect::Systemd),
        ("* * * * * 2025", Dialect::Cronexpr),
    ] {
        assert!(parse(text, dialect).never_fires(from), "{text}");
        assert_eq!(parse(text, dialect).next(from, from), None, "{text}");
    }
    assert!(started.elapsed() < Duration::from_secs(1));
    assert!(!parse("@reboot", Dialect::Vixie).never_fires(from));
}

#[test]
fn a11_searches_end_where_the_originals_end() {
    let leap_day = parse("0 0 29 2 *", Dialect::Robfig);
    assert_eq!(slots(&leap_day, "2096-03-01T00:00:00Z", 1), [] as [&str; 0]);
    assert_eq!(slots(&leap_day, "2099-01-01T00:00:00Z", 1), ["2104-02-29T00:00:00+00:00"]);
    assert_eq!(slots(&leap_day, "2098-12-31T23:59:59Z", 1), ["2104-02-29T00:00:00+00:00"]);
    assert_eq!(slots(&leap_day, "2098-12-31T23:59:58Z", 1), [] as [&str; 0]);
    let vixie = parse("0 0 29 2 *", Dialect::Vixie);
    assert_eq!(slots(&vixie, "2096-03-01T00:00:00Z", 1), ["2104-02-29T00:00:00+00:00"]);
    // A 29 February on a Sunday: 2088, then 2128.
    let vixie = parse("0 0 29 2 */7", Dialect::Vixie);
    assert_eq!(slots(&vixie, "2088-03-01T00:00:00Z", 1), ["2128-02-29T00:00:00+00:00"]);
    assert_eq!(slots(&parse("@yearly", Dialect::Cronexpr), "2098-06-01T00:00:00Z", 3), ["2099-01-01T00:00:00+00:00"]);
    assert_eq!(slots(&parse("yearly", Dialect::Systemd), "2198-06-01T00:00:00Z", 3), ["2199-01-01T00:00:00+00:00"]);
    // And at the end of time.
    for dialect in [Dialect::Robfig, Dialect::Cronexpr, Dialect::Vixie] {
        assert_eq!(parse("* * * * *", dialect).next(Timestamp::MAX, Timestamp::MAX), None);
        assert!(parse("@hourly", dialect).next(Timestamp::MIN, Timestamp::MIN).is_some());
    }
    assert_eq!(parse("@every 9000h", Dialect::Robfig).next(Timestamp::MAX, Timestamp::MIN), None);
}

#[test]
fn a12_nonsense_is_refused_at_its_place() {
    use Dialect::*;
    for (text, dialect, wrong) in [
        ("*/0 * * * *", Robfig, "0"),
        ("*/4294967297 * * * *", Robfig, "4294967297"),
        ("*/4294967297 * * * *", Vixie, "4294967297"),
        ("0 */99999999999999999999 * * *", Cronexpr, "99999999999999999999"),
        ("0 5-1 * * *", Robfig, "5-1"),
        ("0 5-1 * * *", Vixie, "5-1"),
        ("0 5-1 * * *", Cronexpr, "5-1"),
        ("0 10~5 * * *", Vixie, "10~5"),
        ("０ * * * *", Robfig, "０"),
        ("1 ２ * * *", Vixie, "２"),
        ("5-0 * * * *", Vixie, "5-0"),
        ("0 0 * * fri-sun/2", Vixie, "fri-sun/2"),
        ("*-5 * * * *", Robfig, "-5"),
        ("+5 * * * *", Robfig, "+5"),
        ("0 0 * * 7", Robfig, "7"),
        ("0 0 * * 0-7", Cronexpr, "0-7"),
        ("0 0 L-3 * *", Cronexpr, "L"),
        ("0 0 32W * *", Cronexpr, "32W"),
        ("0 0 * * 5#6", Cronexpr, "6"),
        ("5/15 * * * *", Vixie, "5/15"),
        ("1,,2 * * * *", Robfig, ""),
        ("5, * * * *", Cronexpr, ""),
        (", * * * *", Robfig, ""),
        ("0 0 0 31 feb 5 2030-2029", Cronexpr, "2030-2029"),
        ("TZ=Nowhere/City * * * * *", Robfig, "Nowhere/City"),
        ("@every 1d", Robfig, "1d"),
        ("@every 9999999999h", Robfig, "9999999999h"),
        ("@daily x", Vixie, "x"),
        ("Mon..Fri 25:00", Systemd, "25"),
        ("*-13-01", Systemd, "13"),
        ("*-*-* 10:00 europe/berlin", Systemd, "europe/berlin"),
        ("10:00:00/0", Systemd, "/0"),
        ("Fri..Mon", Systemd, "Mon"),
    ] {
        let error = refuse(text, dialect);
        assert_eq!(text.get(error.at.clone()), Some(wrong), "{dialect} {text:?}: {error}");
        assert!(!error.to_string().contains(|c: char| c.is_control()), "{error}");
    }
    assert!(refuse(&"1,".repeat(100_000), Robfig).message.contains("longer than"));
    let error = refuse("\u{1b}[2J\n * * * *", Robfig);
    assert!(!error.to_string().contains(|c: char| c.is_control()), "{error}");
}

#[test]
fn a12_a_step_beyond_its_range_is_doubted() {
    let doubts =
        |text, dialect| -> Vec<&str> { parse(text, dialect).doubts().iter().map(|doubt| doubt.code).collect() };
    assert_eq!(doubts("*/60 * * * *", Dialect::Robfig), ["step-beyond-range"]);
    assert_eq!(doubts("*/60 * * * *", Dialect::Vixie), ["step-beyond-range"]);
    assert_eq!(doubts("*/59 */23 * * *", Dialect::Vixie), [] as [&str; 0]);
    assert_eq!(doubts("@every 500ms", Dialect::Robfig), ["every-clamped"]);
    assert_eq!(doubts("@every -1m", Dialect::Robfig), ["every-clamped"]);
    assert_eq!(doubts("@every 1500ms", Dialect::Robfig), ["every-truncated"]);
    assert_eq!(doubts("TZ= * * * * *", Dialect::Robfig), ["empty-zone"]);
}

#[test]
fn a13_both_day_fields_join_by_the_rule_of_the_dialect_and_are_doubted() {
    let friday_or_13th = ["2026-02-06", "2026-02-13", "2026-02-20", "2026-02-27", "2026-03-06", "2026-03-13"];
    for dialect in [Dialect::Robfig, Dialect::Cronexpr, Dialect::Vixie] {
        let schedule = parse("0 0 13 * 5", dialect);
        let days: Vec<String> =
            slots(&schedule, "2026-02-01T00:00:00Z", 6).iter().map(|at| at[..10].to_string()).collect();
        assert_eq!(days, friday_or_13th, "{dialect}");
        let doubt = &schedule.doubts()[0];
        assert_eq!((doubt.code, &schedule.text()[doubt.at.clone()]), ("dom-or-dow", "13 * 5"));
        assert!(parse("0 0 13 * *", dialect).doubts().is_empty());
    }
    let both = slots(&parse("Fri *-*-13", Dialect::Systemd), "2026-02-01T00:00:00Z", 2);
    assert_eq!(both, ["2026-02-13T00:00:00+00:00", "2026-03-13T00:00:00+00:00"]);
}

#[test]
fn a15_the_last_second_of_a_month_and_the_first_of_the_next() {
    let schedule = parse("* * * * * *", Dialect::Robfig);
    let expected = ["2027-01-31T23:59:59+00:00", "2027-02-01T00:00:00+00:00", "2027-02-01T00:00:01+00:00"];
    assert_eq!(slots(&schedule, "2027-01-31T23:59:58Z", 3), expected);
    // A leap second is 23:59:59 here, as it is for the kernel's clock.
    assert_eq!(slots(&schedule, "2016-12-31T23:59:60Z", 1), ["2017-01-01T00:00:00+00:00"]);
    let schedule = parse("*:*:59.999999", Dialect::Systemd);
    let expected = ["2026-12-31T23:59:59.999999+00:00", "2027-01-01T00:00:59.999999+00:00"];
    assert_eq!(slots(&schedule, "2026-12-31T23:59:59.9999989Z", 2), expected);
}

#[test]
fn every_counts_from_its_anchor_whatever_it_is_asked() {
    let schedule = parse_in("@every 90s", Dialect::Robfig, NEW_YORK);
    let anchor = at("2026-01-01T00:00:00.75Z");
    let expect = |after: &str, next: &str| assert_eq!(schedule.next(at(after), anchor), Some(at(next)), "{after}");
    expect("2025-01-01T00:00:00Z", "2026-01-01T00:01:30Z");
    expect("2026-01-01T00:00:00.75Z", "2026-01-01T00:01:30Z");
    expect("2026-01-01T00:01:29.999Z", "2026-01-01T00:01:30Z");
    expect("2026-01-01T00:01:30Z", "2026-01-01T00:03:00Z");
    expect("2026-01-02T00:00:00.5Z", "2026-01-02T00:01:30Z");
}

#[test]
fn a_tilde_picks_by_job_and_for_ever() {
    let minute = |seed: &str| {
        let schedule = Schedule::parse("~ * * * *", Dialect::Vixie, &TimeZone::UTC, seed).unwrap();
        TimeZone::UTC.to_datetime(schedule.next(Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH).unwrap()).minute()
    };
    let minutes: std::collections::BTreeSet<i8> = (0..300).map(|job| minute(&format!("job-{job}"))).collect();
    assert!(minutes.len() > 50, "300 jobs crowd on {} minutes", minutes.len());
    // These may never change: they are when jobs run.
    assert_eq!(["a", "backup", "report"].map(minute), [1, 19, 56]);
}

#[test]
fn zones_are_taken_by_their_exact_names() {
    for good in ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "EST5EDT", "local"] {
        assert!(parse_zone(good).is_ok(), "{good}");
    }
    for bad in [
        "",
        "utc",
        "europe/berlin",
        "posixrules",
        "localtime",
        "posix/Europe/Berlin",
        "right/UTC",
        "Factory",
        "../../etc/passwd",
        "/etc/localtime",
        "Europe/Berlin\0",
        "Europe",
        "EST5EDT,M3.2.0,M11.1.0",
        "Nowhere/City",
        "+05",
    ] {
        assert!(parse_zone(bad).is_err(), "{bad}");
    }
}

#[test]
fn upcoming_tells_gaps_folds_and_losses() {
    let kinds = |text, dialect, from: &str, n| -> Vec<String> {
        let events = parse_in(text, dialect, NEW_YORK).upcoming(at(from), at(from), n);
        events
            .iter()
            .map(|event| match event {
                Event::Slot(slot) => format!("{:?} {}", slot.kind, slot.at),
                Event::Lost(lost) => format!("lost {} to {}: {} at {}", lost.first, lost.last, lost.count, lost.at),
            })
            .collect()
    };
    assert_eq!(
        kinds("30 2 * * *", Dialect::Robfig, "2026-03-07T12:00:00Z", 1),
        ["lost 2026-03-08T02:30:00 to 2026-03-08T02:30:00: 1 at 2026-03-08T07:00:00Z", "Plain 2026-03-09T06:30:00Z"]
    );
    assert_eq!(
        kinds("*/15 * * * *", Dialect::Robfig, "2026-03-08T06:50:00Z", 1),
        ["lost 2026-03-08T02:00:00 to 2026-03-08T02:45:00: 4 at 2026-03-08T07:00:00Z", "Plain 2026-03-08T07:00:00Z"]
    );
    assert_eq!(kinds("30 2 * * *", Dialect::Vixie, "2026-03-07T12:00:00Z", 1), ["Gap 2026-03-08T07:00:00Z"]);
    assert_eq!(
        kinds("30 1 * * *", Dialect::Robfig, "2026-11-01T00:00:00Z", 3),
        ["FoldFirst 2026-11-01T05:30:00Z", "FoldSecond 2026-11-01T06:30:00Z", "Plain 2026-11-02T06:30:00Z"]
    );
    assert_eq!(kinds("30 1 * * *", Dialect::Vixie, "2026-11-01T00:00:00Z", 1), ["FoldFirst 2026-11-01T05:30:00Z"]);
    // A single date that does not exist.
    assert_eq!(
        kinds("2026-03-08 02:30", Dialect::Systemd, "2026-01-01T00:00:00Z", 3),
        ["lost 2026-03-08T02:30:00 to 2026-03-08T02:30:00: 1 at 2026-03-08T07:00:00Z"]
    );
}

#[test]
fn dialects_have_one_spelling_and_one_alias() {
    for dialect in Dialect::ALL {
        assert_eq!(dialect.to_string().parse(), Ok(dialect));
        let json = serde_json::to_string(&dialect).unwrap();
        assert_eq!(json, format!("\"{dialect}\""));
        assert_eq!(serde_json::from_str::<Dialect>(&json).unwrap(), dialect);
    }
    assert_eq!("gorhill".parse(), Ok(Dialect::Cronexpr));
    assert_eq!(serde_json::from_str::<Dialect>("\"gorhill\"").unwrap(), Dialect::Cronexpr);
    assert!("Robfig".parse::<Dialect>().is_err());
    assert_eq!(Dialect::default(), Dialect::Robfig);
}

const ZONES: [&str; 8] = [
    "UTC",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Asia/Tehran",
    "Pacific/Apia",
    "Africa/Casablanca",
    "Europe/Dublin",
];

/// Text that looks like a schedule: whole words of the dialects, or single characters of them.
fn junk() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "*",
        "?",
        "/",
        "-",
        ",",
        "~",
        "#",
        "L",
        "W",
        "LW",
        ":",
        "..",
        ".",
        "@",
        "@every ",
        "@daily",
        "TZ=UTC ",
        " ",
        " ",
        "  ",
        "\t",
        "0",
        "1",
        "5",
        "7",
        "12",
        "29",
        "30",
        "31",
        "59",
        "60",
        "99",
        "2026",
        "2199",
        "4294967297",
        "99999999999999999999",
        "mon",
        "Fri",
        "Sunday",
        "jan",
        "FEB",
        "UTC",
        "Europe/Berlin",
        "*-*-*",
        "Mon..Fri",
        "0/15",
        "*/5",
        "1-5",
        "h",
        "ms",
        "1h30m",
        "-1",
        "+5",
        "０",
        "é",
        "\0",
        "\u{1b}",
        "\n",
        "* * * * *",
        "0 0 * * ",
    ];
    let worded = prop::collection::vec(prop::sample::select(PIECES), 0..24).prop_map(|pieces| pieces.concat());
    let fields = prop::collection::vec(prop::sample::select(PIECES), 5..8).prop_map(|pieces| pieces.join(" "));
    let short = |text: &String| text.len() <= 200;
    prop_oneof![any::<String>().prop_filter("long", short), worded.prop_filter("long", short), fields]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a12_junk_never_panics_or_hangs(
        text in junk(),
        from in -62_000_000_000i64..253_000_000_000,
        zone in prop::sample::select(&ZONES[..]),
    ) {
        let zone = parse_zone(zone).unwrap();
        let from = Timestamp::from_second(from).unwrap();
        for dialect in Dialect::ALL {
            let started = Instant::now();
            match Schedule::parse(&text, dialect, &zone, "job") {
                Err(error) => {
                    prop_assert!(text.get(error.at.clone()).is_some(), "{:?} of {:?}", error.at, text);
                    prop_assert!(!error.to_string().contains(|c: char| c.is_control()), "{}", error);
                }
                Ok(schedule) => {
                    schedule.upcoming(from, from, 3);
                    for doubt in schedule.doubts() {
                        prop_assert!(text.get(doubt.at.clone()).is_some(), "{:?} of {:?}", doubt, text);
                    }
                }
            }
            // A debug build on a busy machine; a search without bounds would take minutes.
            prop_assert!(started.elapsed() < Duration::from_secs(5), "{} {:?}", dialect, text);
        }
    }
}

/// Schedules of all dialects that fire now and then.
const TEXTS: &[(&str, Dialect)] = &[
    ("* * * * * *", Dialect::Robfig),
    ("*/7 * * * *", Dialect::Robfig),
    ("30 1,2 * * *", Dialect::Robfig),
    ("0 0 29 2 *", Dialect::Robfig),
    ("@every 61s", Dialect::Robfig),
    ("*/10 * * * * * *", Dialect::Cronexpr),
    ("30 1-3 * * *", Dialect::Cronexpr),
    ("0 0 15W,L * 2#1", Dialect::Cronexpr),
    ("30 2 * * *", Dialect::Vixie),
    ("*/30 1-3 * * *", Dialect::Vixie),
    ("0 0 29 2 *", Dialect::Vixie),
    ("*:*:0/0.7", Dialect::Systemd),
    ("1..3:0/20", Dialect::Systemd),
    ("*-02~1 02:30", Dialect::Systemd),
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a17_next_is_strictly_later_and_never_passes_a_slot_over(
        (text, dialect) in prop::sample::select(TEXTS),
        zone in prop::sample::select(&ZONES[..]),
        from in 1_290_000_000_000_000_000i128..1_900_000_000_000_000_000,
        within in 0.0..1.0f64,
    ) {
        let schedule = parse_in(text, dialect, zone);
        let from = Timestamp::from_nanosecond(from).unwrap();
        let mut after = from;
        for _ in 0..8 {
            let Some(next) = schedule.next(after, from) else { break };
            prop_assert!(next > after, "{} {}: {} after {}", text, zone, next, after);
            // Asked from anywhere before that slot, the answer is the same slot.
            let between = (next.as_nanosecond() - after.as_nanosecond()) as f64 * within;
            let between = Timestamp::from_nanosecond(after.as_nanosecond() + between as i128).unwrap().min(next - SignedDuration::from_nanos(1));
            prop_assert_eq!(schedule.next(between, from), Some(next), "{} {} from {}", text, zone, between);
            after = next;
        }
    }
}

#[test]
fn robfigs_own_sets() {
    let masks = |text: &str| parse(text, Dialect::Robfig).robfig_masks();
    let star = 1u64 << 63;
    // As the running original lists them.
    let every_five =
        [1, 37191016277640225, 9223372036871553023, 9223372041149743102, 9223372036854783998, 9223372036854775935];
    assert_eq!(masks("*/5 * * * *"), Some(every_five));
    assert_eq!(masks("CRON_TZ=Europe/Berlin  0 */5 ? * * ?"), Some(every_five));
    assert_eq!(masks("@weekly").map(|masks| [masks[0], masks[1], masks[2], masks[5]]), Some([1, 1, 1, 1]));
    assert_eq!(
        masks("0 5 */1 */2 1-3").map(|masks| masks[3..].to_vec()),
        Some(vec![0xffff_fffe | star, 0b1010_1010_1010, 0b1110,])
    );
    assert_eq!(masks("@every 5m"), None);
    assert_eq!(parse("@every 1m30s", Dialect::Robfig).period(), Some(90));
    assert_eq!(parse("*/5 * * * *", Dialect::Vixie).robfig_masks(), None, "its days mean something else");
}
