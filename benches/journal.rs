//! How soon are 100,000 lines of a job in the journal? Through rotad, beside `systemd-cat` doing the same, in turn and in the
//! same run, on a machine with a real systemd (tests/lab). `systemd-cat` knows no fields; what they cost journald shows a
//! bare loop that sends entries like rotad's.
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
    if let Some(tag) = std::env::args().nth(1).filter(|arg| arg.starts_with("bare")) {
        return bare(&tag);
    }
    let Some(lab) = Lab::with_rotad("benches/journal") else { return };
    lab.write("/root/bare", std::fs::read("/proc/self/exe").unwrap(), 0o755);
    let (mut limits, mut loops, mut ours) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let tag = format!("cat{round}");
        limits.push(seconds(&lab, &format!("systemd-cat -t {tag} seq {LINES}"), &format!("-t {tag}")));
        loops.push(seconds(&lab, &format!("/root/bare bare{round}"), &format!("-t bare{round}")));
        let job = format!("flood{round}");
        lab.arm(&format!("{job}.yaml"), &format!("script: seq {LINES}\n"));
        ours.push(seconds(&lab, &format!("rota run {job}"), &format!("-t {job}")));
    }
    let limit = median(&mut limits);
    println!("{LINES} lines into the journal, median of {ROUNDS} rounds");
    for (name, time) in [("systemd-cat", limit), ("bare loop", median(&mut loops)), ("rotad", median(&mut ours))] {
        println!("{name:<14}{time:>8.2} s{:>12.0} lines/s{:>8.2}", LINES as f64 / time, time / limit);
    }
}

/// Sends as many entries with as many fields, and does nothing else.
fn bare(tag: &str) {
    let socket = std::os::unix::net::UnixDatagram::unbound().unwrap();
    socket.connect("/run/systemd/journal/socket").unwrap();
    for line in 1..=LINES {
        let entry = format!(
            "SYSLOG_IDENTIFIER={tag}\nROTA_JOB={tag}\nROTA_RUN_ID=0123456789abc\nROTA_ATTEMPT=1\nROTA_STREAM=stdout\n\
             ROTA_PID=1\nPRIORITY=6\nSYSLOG_FACILITY=9\nMESSAGE={line}\n"
        );
        socket.send(entry.as_bytes()).unwrap();
    }
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
