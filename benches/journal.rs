//! How soon are 100,000 lines of a job in the journal? Through rotad, beside `systemd-cat` doing the same, in turn and in the
//! same run, on a machine with a real systemd (tests/lab).
//!
//! `cargo bench --bench journal`, as root. Prints seconds and the ratio; fails on nothing but missing lines.

#![allow(clippy::unwrap_used, reason = "a benchmark")]

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "../tests/lab/mod.rs"]
mod lab;

use lab::Lab;

/// Rounds of each; the median counts.
const ROUNDS: usize = 7;
/// Lines of a round.
const LINES: usize = 100_000;

fn main() {
    let Some(lab) = Lab::with_rotad("benches/journal") else { return };
    lab.arm("flood.yaml", &format!("script: seq {LINES}\n"));
    let (mut limits, mut ours) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let tag = format!("cat{round}");
        limits.push(seconds(&lab, &format!("systemd-cat -t {tag} seq {LINES}"), &format!("-t {tag}")));
        let since = lab.ok("date +@%s.%6N");
        ours.push(seconds(&lab, "rota run flood", &format!("-t flood --since {since}")));
    }
    let (limit, our) = (median(&mut limits), median(&mut ours));
    println!("{LINES} lines into the journal, median of {ROUNDS} rounds");
    println!("{:<14}{limit:>8.2} s{:>12.0} lines/s", "systemd-cat", LINES as f64 / limit);
    println!("{:<14}{our:>8.2} s{:>12.0} lines/s", "rotad", LINES as f64 / our);
    println!("{:<14}{:>8.2}", "ratio", our / limit);
}

/// From the command's begin to the time that journald gave the last line.
fn seconds(lab: &Lab, command: &str, matches: &str) -> f64 {
    let begin: f64 = lab.ok(&format!("date +%s.%6N; {command} >/dev/null")).parse().unwrap();
    lab.until_ok(&format!("sleep 0.3; test \"$(journalctl -q {matches} -o cat -n 1)\" = {LINES}"));
    let there: usize = lab.ok(&format!("journalctl -q {matches} -o cat | wc -l")).parse().unwrap();
    assert_eq!(there, LINES, "lines are missing");
    let last = lab.ok(&format!("journalctl -q {matches} -o short-unix -n 1 | cut -d' ' -f1"));
    last.parse::<f64>().unwrap() - begin
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
