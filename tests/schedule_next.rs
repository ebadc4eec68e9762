//! What `rota next` prints, without the process around it.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

use clap::Parser;
use jiff::Timestamp;
use rotad::cli::next::{Next, render};

#[derive(Debug, Parser)]
struct Rota {
    #[command(flatten)]
    next: Next,
}

fn run(args: &[&str]) -> Result<String, String> {
    let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
    let rota = Rota::try_parse_from(["rota"].iter().chain(args)).map_err(|error| format!("usage: {error}"))?;
    render(&rota.next, now).map(|output| output.notes + &output.text)
}

#[test]
fn json_is_an_array_of_instants_and_nothing_else() {
    let args = ["@every 1m", "--json", "--timezone", "UTC", "--from", "2026-01-01T00:00:17Z", "-n", "2"];
    assert_eq!(run(&args).unwrap(), "[\"2026-01-01T00:01:17Z\",\"2026-01-01T00:02:17Z\"]\n");
    let args =
        ["CRON_TZ=Asia/Shanghai 0 0 13 * 5", "--json", "--timezone", "UTC", "--from", "2026-01-01T00:00:00Z", "-n1"];
    assert_eq!(run(&args).unwrap(), "[\"2026-01-02T00:00:00+08:00\"]\n");
    let args = ["*:*:0/0.5", "--dialect", "systemd", "--json", "--timezone", "Europe/London", "-n", "2"];
    assert_eq!(run(&args).unwrap(), "[\"2026-11-20T12:00:00.5+00:00\",\"2026-11-20T12:00:01+00:00\"]\n");
    for never in [["0 0 30 2 *", "robfig"], ["@reboot", "vixie"], ["2020-01-01", "systemd"]] {
        assert_eq!(run(&[never[0], "--dialect", never[1], "--json"]).unwrap(), "[]\n");
    }
    assert_eq!(run(&["* * * * *", "--json", "-n", "0"]).unwrap(), "[]\n");
}

#[test]
fn the_table_tells_what_clocks_do() {
    let table = |expr, dialect, from, n| {
        run(&[expr, "--dialect", dialect, "--timezone", "America/New_York", "--from", from, "-n", n]).unwrap()
    };
    assert_eq!(
        table("30 2 * * *", "robfig", "2026-03-07T00:00:00Z", "2"),
        "Sat 2026-03-07 02:30:00  -05:00 EST  in 7h 30m\n\
         -- 02:30 does not exist on 2026-03-08 (clocks go forward), no run\n\
         Mon 2026-03-09 02:30:00  -04:00 EDT  in 2d 6h\n"
    );
    assert_eq!(
        table("30 2 * * *", "vixie", "2026-03-07T12:00:00Z", "1"),
        "Sun 2026-03-08 03:00:00  -04:00 EDT  in 19h  made up: the clock has just jumped over its time\n"
    );
    assert_eq!(
        table("30 1 * * *", "robfig", "2026-11-01T00:00:00Z", "3"),
        "Sun 2026-11-01 01:30:00  -04:00 EDT  in 5h 30m  first of two such times\n\
         Sun 2026-11-01 01:30:00  -05:00 EST  in 6h 30m  second of two such times\n\
         Mon 2026-11-02 01:30:00  -05:00 EST  in 1d 6h\n"
    );
    assert_eq!(table("0 0 30 2 *", "robfig", "2026-01-01T00:00:00.5Z", "3"), "never after 2025-12-31T19:00:00-05:00\n");
    assert_eq!(table("@reboot", "vixie", "2026-01-01T00:00:00Z", "3"), "when the machine starts\n");
    let doubtful = table("0 0 13 * 5", "gorhill", "2026-01-01T00:00:00Z", "1");
    assert!(doubtful.starts_with("rota next: note: day of month and day of week are both set"), "{doubtful}");
}

#[test]
fn a12_an_error_is_a_line_and_a_caret() {
    assert_eq!(
        run(&["0 22-2 * * *"]).unwrap_err(),
        "rota next: the range `22-2` ends before it begins (hint: write two ranges, as in `22-23,0-2`)\n  \
         0 22-2 * * *\n    ^^^^\n"
    );
    assert_eq!(run(&[""]).unwrap_err(), "rota next: the schedule is empty\n\n  ^\n");
    assert_eq!(run(&["5,6, * * * *"]).unwrap_err().lines().last(), Some("      ^"));
    let long = format!("{}x * * * *", "1,".repeat(1000));
    let error = run(&[&long]).unwrap_err();
    assert!(error.lines().all(|line| line.len() < 200), "{error}");
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(&lines[1][lines[2].find('^').unwrap()..][..1], "x", "{error}");
    let hostile = run(&["\u{1b}[2J\u{202e}0 * * * *\u{7}"]).unwrap_err();
    assert!(!hostile.contains(['\u{1b}', '\u{202e}', '\u{7}']), "{hostile:?}");
}

#[test]
fn other_mistakes_say_which() {
    let error = |args: &[&str]| run(args).unwrap_err();
    assert!(
        error(&["* * * * *", "--from", "yesterday\u{1b}"]).starts_with("rota next: --from: `yesterday\\u{1b}` is not")
    );
    assert!(error(&["* * * * *", "--timezone", "europe/berlin"]).contains("did you mean `Europe/Berlin`?"));
    assert!(error(&["* * * * *", "--dialect", "quartz"]).starts_with("usage: "));
    assert!(error(&["* * * * *", "-n", "10001"]).starts_with("usage: "));
}

#[test]
fn the_table_follows_a_rule_of_ones_own() {
    let table = |dst, from, n| {
        run(&["30 2 * * *", "--dst", dst, "--timezone", "Europe/Berlin", "--from", from, "-n", n]).unwrap()
    };
    assert_eq!(
        table("once", "2027-03-28T00:00:00Z", "1"),
        "Sun 2027-03-28 03:00:00  +02:00 CEST  in 1h  made up: the clock has just jumped over its time\n"
    );
    assert!(table("skip", "2027-03-28T00:00:00Z", "1").starts_with("-- 02:30 does not exist on 2027-03-28"));
    assert_eq!(
        table("skip", "2026-10-25T00:00:00Z", "2"),
        "Sun 2026-10-25 02:30:00  +02:00 CEST  in 30m    first of two such times\n\
         Mon 2026-10-26 02:30:00  +01:00 CET   in 1d 1h\n"
    );
    assert!(table("both", "2026-10-25T00:00:00Z", "2").contains("second of two such times"));
    assert!(run(&["* * * * *", "--dst", "twice"]).unwrap_err().starts_with("usage: "));
}
