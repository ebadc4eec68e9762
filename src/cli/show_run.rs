//! `rota show RUN`: a run and its attempts.

use std::fmt::Write;

use jiff::Timestamp;

use super::term::{Term, visible};
use super::{outcome, when};
use crate::engine::{RunInFull, RunView};
use crate::history::AttemptView;

/// The run, then one part for each attempt that is over, with the last lines of what it printed.
pub fn text(term: &Term, full: &RunInFull, now: Timestamp) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{key:<10} {value}");
    };
    let RunInFull { run, ended_attempts } = full;
    line("run", &visible(&run.run));
    line("job", run.job.as_str());
    line("state", &state(term, run));
    if let Some(slot) = run.slot {
        line("slot", &when::both(slot, now));
    }
    line("began by", &began(run));
    if let Some(next) = run.next_attempt {
        line("next", &format!("attempt {} at {}", run.attempts.saturating_add(1), when::both(next, now)));
    }
    let told = |attempt: u32| ended_attempts.iter().any(|ended| ended.attempt == attempt);
    if let Some(started) = run.started.filter(|_| !told(run.attempt)) {
        line("started", &when::both(started, now));
    }
    if let Some(pid) = run.pid {
        line("pid", &pid.to_string());
    }
    for ended in ended_attempts {
        let _ = write!(text, "\n{}", attempt(term, ended, now));
    }
    text
}

fn state(term: &Term, run: &RunView) -> String {
    match &run.outcome {
        Some(outcome) => {
            let (words, colour) = outcome::words(outcome);
            let attempts = if run.attempts > 1 { format!(", {} attempts", run.attempts) } else { String::new() };
            let state = if run.state == "over" { String::new() } else { format!(", {}", visible(&run.state)) };
            format!("{}{attempts}{state}", term.paint(colour, &words))
        }
        None => visible(&run.state),
    }
}

fn began(run: &RunView) -> String {
    match run.trigger.as_str() {
        "schedule" => "its schedule".into(),
        "catch-up" => "its schedule: the slot was missed and made up for".into(),
        "request" if run.by.is_empty() => "a request".into(),
        "request" => format!("a request of {}", visible(&run.by)),
        "after" => format!("the end of other jobs: {}", visible(&run.by)),
        other => visible(other),
    }
}

fn attempt(term: &Term, ended: &AttemptView, now: Timestamp) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(text, "{key:<10} {value}");
    };
    let (words, colour) = outcome::words(&ended.outcome);
    line("attempt", &format!("{}: {}", ended.attempt, term.paint(colour, &words)));
    if let Some(started) = ended.started {
        line("started", &when::local(started, now));
        let took = when::length(ended.ended.duration_since(started));
        line("ended", &format!("{}, after {took}", when::local(ended.ended, now)));
    } else {
        line("ended", &when::local(ended.ended, now));
    }
    let mut used = Vec::new();
    used.extend(ended.cpu_seconds.map(|seconds| format!("{seconds:.2} s CPU")));
    used.extend(ended.max_rss_kib.map(|kib| format!("{} MiB", kib.div_ceil(1024))));
    if !used.is_empty() {
        line("used", &used.join(", "));
    }
    if ended.output_dropped > 0 {
        line("output", &format!("{} bytes not kept", ended.output_dropped));
    }
    if ended.left_behind > 0 {
        line("left", &format!("{} processes", ended.left_behind));
    }
    line("defined by", &visible(&ended.definition));
    for printed in ended.tail.iter().flat_map(|tail| tail.lines()) {
        line("printed", &visible(printed));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_shown_with_each_attempt_and_what_it_printed_does_nothing() {
        let attempt = |number: u32, outcome: &str| {
            format!(
                r#"{{"run": "0000000000007", "attempt": {number}, "id": "000000000000{number}", "job": "backup",
                "slot": "2026-11-20T02:30:00Z", "trigger": "schedule", "definition": "00000000000000ff",
                "started": "2026-11-20T02:30:00Z", "ended": "2026-11-20T02:30:09Z", {outcome}, "cpu_seconds": 0.5,
                "max_rss_kib": 1500, "output_bytes": {{}}, "output_dropped": 0, "left_behind": 0,
                "tail": "one\n\u001b[2J\n"}}"#
            )
        };
        let run = r#""run": "0000000000007", "attempt": 2, "attempts": 2, "job": "backup", "slot": "2026-11-20T02:30:00Z",
            "trigger": "schedule", "by": "", "state": "over", "pid": null, "started": null, "ended": null,
            "outcome": "exited", "exit": {"code": 0}, "success": true, "cpu_seconds": null, "max_rss_kib": null,
            "output_bytes": {}, "output_dropped": 0, "left_behind": 0"#;
        let failed = attempt(1, r#""outcome": "exited", "exit": {"code": 3}, "success": false"#);
        let ok = attempt(2, r#""outcome": "exited", "exit": {"code": 0}, "success": true"#);
        let full = serde_json::from_str(&format!("{{{run}, \"ended_attempts\": [{failed}, {ok}]}}")).unwrap();
        let pipe = Term { terminal: false, colour: false, width: None };
        let shown = text(&pipe, &full, "2026-11-20T02:31:00Z".parse().unwrap());
        for part in [
            "run        0000000000007\njob        backup\nstate      ok, 2 attempts\n",
            "began by   its schedule\n\nattempt    1: exit 3\n",
            ", after 9 s\nused       0.50 s CPU, 2 MiB\ndefined by 00000000000000ff\nprinted    one\nprinted    \\u{1b}[2J\n\nattempt    2: ok\n",
        ] {
            assert!(shown.contains(part), "{part:?} in {shown}");
        }
    }
}
