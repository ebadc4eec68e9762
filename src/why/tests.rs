//! One test a case, with the sentence as people read it.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::*;
use crate::engine::{Pause, PauseKind, RunView, Verdict, VerdictView};
use crate::job::{JobName, read_job};
use crate::wire::RunId;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|_| format!("2026-11-20T{text}Z").parse().unwrap())
}

fn name() -> JobName {
    JobName::parse("backup").unwrap()
}

const DAILY: &str = "schedule: '30 2 * * *'\ndialect: vixie\ntimezone: UTC\ncommand: /bin/true\n";

/// A job that stands since the 1st, and a daemon that has decided everything up to 12:00.
fn known(text: &str) -> Known {
    let (job, _) = read_job("backup.yaml", text.as_bytes(), &TimeZone::UTC, Timestamp::UNIX_EPOCH).unwrap();
    let since = at("2026-11-01T00:00:00Z");
    Known {
        name: name(),
        armed: Some(Standing { job: Arc::new(job), since, anchor: since, next: Some(at("2026-11-21T02:30:00Z")) }),
        broken: None,
        pause: None,
        hold: None,
        running: Vec::new(),
        waiting: Vec::new(),
        verdicts: Vec::new(),
        decided: at("12:00:00"),
        started: at("2026-11-01T00:00:00Z"),
        stopping: false,
    }
}

fn row(verdict: &str, why: Option<&str>, run: Option<u64>) -> Row {
    let slot = at("02:30:00");
    let (verdict, why) = (verdict.to_owned(), why.map(str::to_owned));
    Row { slot, oldest: slot, count: 1, verdict, why, run: run.map(RunId) }
}

fn attempt(run: u64, number: u32, started: &str, ended: Option<&str>, outcome: &str) -> Attempt {
    Attempt {
        run: RunId(run),
        attempt: number,
        slot: Some(at("02:30:00")),
        trigger: "schedule".into(),
        started: Some(at(started)),
        ended: ended.map(at),
        outcome: outcome.into(),
        success: outcome == "succeeded",
        next: None,
    }
}

fn happened(kind: &str, code: &str, from: &str, until: Option<&str>) -> Happened {
    let (text, by) = (String::new(), String::new());
    Happened { at: at(from), until: until.map(at), kind: kind.into(), code: code.into(), text, by }
}

fn because(what: Happened, text: &str, by: &str) -> Happened {
    Happened { text: text.into(), by: by.into(), ..what }
}

fn booked(row: Row) -> Remembered {
    Remembered { row: Some(row), ..Remembered::default() }
}

#[track_caller]
fn ask(when: &str, known: &Known, past: &Remembered) -> WhyView {
    answer(&Asked { at: at(when), now: at("12:00:00"), local: TimeZone::UTC, known, past })
}

#[track_caller]
fn check(when: &str, known: &Known, past: &Remembered, code: &str, sentence: &str) -> WhyView {
    let view = ask(when, known, past);
    assert_eq!((view.code.as_str(), view.sentence.as_str()), (code, sentence));
    view
}

fn codes(view: &WhyView) -> Vec<&str> {
    view.facts.iter().map(|fact| fact.code.as_str()).collect()
}

fn pause(since: &str, until: Option<&str>, reason: &str) -> Pause {
    Pause { since: at(since), until: until.map(at), reason: reason.into(), by: "uid 1000".into(), ..blank_pause() }
}

fn blank_pause() -> Pause {
    serde_json::from_str(r#"{"id": 1, "since": "2026-11-20T00:00:00Z", "until": null, "reason": "", "by": ""}"#)
        .unwrap()
}

fn run_view(run: u64, started: &str) -> RunView {
    let text = format!(
        r#"{{"run": "{}", "job": "backup", "attempt": 1, "attempts": 1, "slot": null, "trigger": "request", "by": "uid 0",
            "state": "running", "pid": 7, "started": "{}", "ended": null, "cpu_seconds": null, "max_rss_kib": null,
            "output_bytes": {{}}, "output_dropped": 0, "left_behind": 0}}"#,
        RunId(run),
        at(started)
    );
    serde_json::from_str(&text).unwrap()
}

#[test]
fn it_ran() {
    let known = known(DAILY);
    let mut past = booked(row("ran", None, Some(7)));
    past.attempts = vec![attempt(7, 1, "02:30:00", Some("02:31:00"), "succeeded")];
    let view = check(
        "02:30:00",
        &known,
        &past,
        "ran",
        "backup ran for 2026-11-20 02:30:00: run 0000000000007 started on time and succeeded",
    );
    assert_eq!(codes(&view), ["attempt"]);
    assert_eq!(view.facts[0].text, "attempt 1 from 02:30:00 to 02:31:00: succeeded");
    assert_eq!(
        view.verdict,
        Some(VerdictView { slot: at("02:30:00"), verdict: Verdict::Ran { run: RunId(7).to_string() }, count: None })
    );
    assert_eq!((view.due, view.next), (Some(true), Some(at("2026-11-21T02:30:00Z"))));

    past.attempts = vec![
        attempt(7, 1, "02:30:40", Some("02:31:00"), "failed with exit code 3"),
        attempt(7, 2, "02:31:10", Some("02:31:20"), "timed out and ended with SIGTERM"),
    ];
    check(
        "02:30:00",
        &known,
        &past,
        "ran",
        "backup ran for 2026-11-20 02:30:00: run 0000000000007 started 40 s late and timed out and ended with SIGTERM, after 2 attempts",
    );

    past.attempts.pop();
    past.attempts[0].next = Some(at("12:00:10"));
    let failed = "backup ran for 2026-11-20 02:30:00: run 0000000000007 started 40 s late and failed with exit code 3";
    check("02:30:00", &known, &past, "ran", &format!("{failed} (attempt 1); the next attempt is due at 12:00:10"));
    past.attempts[0].next = Some(at("02:31:10"));
    check("02:30:00", &known, &past, "ran", &format!("{failed} (attempt 1); the next attempt was due at 02:31:10"));
    let dropped = because(happened("retry", "superseded", "02:31:05", None), &RunId(7).to_string(), "");
    past.happened = vec![dropped];
    let why = "its next attempt was dropped at 02:31:05: a newer run took its place";
    let view = check("02:30:00", &known, &past, "ran", &format!("{failed} (attempt 1); {why}"));
    assert_eq!(view.facts[1].text, why);
    past.attempts[0].next = None;

    past.attempts[0].trigger = "catch-up".into();
    check(
        "02:30:00",
        &known,
        &past,
        "ran",
        "backup ran for 2026-11-20 02:30:00: run 0000000000007 started as a slot that was made up for, and failed with exit code 3",
    );
    past.attempts.clear();
    check(
        "02:30:00",
        &known,
        &past,
        "ran",
        "backup ran for 2026-11-20 02:30:00 as run 0000000000007; how it ended is not in the history",
    );
}

#[test]
fn it_runs() {
    let known = Known { running: vec![run_view(7, "02:30:00")], ..known(DAILY) };
    check(
        "02:30:00",
        &known,
        &booked(row("ran", None, Some(7))),
        "ran",
        "backup runs for 2026-11-20 02:30:00: run 0000000000007 goes on, for 9 h",
    );
}

#[test]
fn the_engine_knows_what_the_history_does_not_have_yet() {
    let slot = at("02:30:00");
    let verdicts = vec![VerdictView { slot, verdict: Verdict::Skipped { why: "limit".into() }, count: None }];
    let known = Known { verdicts, ..known(DAILY) };
    check(
        "02:30:00",
        &known,
        &Remembered::default(),
        "limit",
        "backup was skipped at 2026-11-20 02:30:00: as many runs went on as may",
    );
}

#[test]
fn it_was_skipped_by_a_rule() {
    let known = known(DAILY);
    for (why, words) in [
        ("limit", "as many runs went on as may"),
        ("stopping", "the daemon was stopping"),
        ("retired", "it waited for a run to end, and the job was taken away or disabled meanwhile"),
        ("request", "it waited for a run to end, and somebody stopped the job meanwhile"),
        ("something new", "something new"),
    ] {
        let sentence = format!("backup was skipped at 2026-11-20 02:30:00: {words}");
        check("02:30:00", &known, &booked(row("skipped", Some(why), None)), why, &sentence);
    }
}

#[test]
fn it_was_skipped_because_a_run_went_on() {
    let mut past = booked(row("skipped", Some("overlap"), None));
    let sentence = "backup was skipped at 2026-11-20 02:30:00: a run of it was going on";
    check("02:30:00", &known(DAILY), &past, "overlap", sentence);
    let going = Known { running: vec![run_view(9, "01:00:00")], ..known(DAILY) };
    check(
        "02:30:00",
        &going,
        &past,
        "overlap",
        "backup was skipped at 2026-11-20 02:30:00: run 0000000000009 goes on since 01:00:00",
    );
    let before = Attempt { slot: None, ..attempt(5, 1, "2026-11-19T23:00:00Z", Some("03:15:00"), "succeeded") };
    past.attempts = vec![before];
    let view = check(
        "02:30:00",
        &known(DAILY),
        &past,
        "overlap",
        "backup was skipped at 2026-11-20 02:30:00: run 0000000000005 was going on, from 2026-11-19 23:00:00 to 03:15:00",
    );
    assert_eq!(view.facts[0].run, Some(RunId(5).to_string()));
}

#[test]
fn it_was_paused_or_held() {
    let mut past = booked(row("skipped", Some("paused"), None));
    check("02:30:00", &known(DAILY), &past, "paused", "backup was skipped at 2026-11-20 02:30:00: it was paused");
    let now = Known { pause: Some(pause("01:00:00", None, "")), ..known(DAILY) };
    check(
        "02:30:00",
        &now,
        &past,
        "paused",
        "backup was skipped at 2026-11-20 02:30:00: it was paused by uid 1000 since 01:00:00",
    );
    past.happened = vec![
        because(happened("paused", "", "00:00:00", None), "old", "uid 0"),
        happened("resumed", "", "00:30:00", None),
        because(happened("paused", "", "01:00:00", Some("05:00:00")), "disk is full", "uid 1000"),
        happened("resumed", "", "04:00:00", None),
    ];
    let view = check(
        "02:30:00",
        &known(DAILY),
        &past,
        "paused",
        "backup was skipped at 2026-11-20 02:30:00: it was paused by uid 1000 from 01:00:00 to 04:00:00: disk is full",
    );
    assert_eq!((view.facts[0].until, view.facts[0].by.as_str()), (Some(at("04:00:00")), "uid 1000"));

    past.row = Some(row("skipped", Some("skip-next"), None));
    check(
        "02:30:00",
        &known(DAILY),
        &past,
        "skip-next",
        "backup was skipped at 2026-11-20 02:30:00: this was asked for by uid 1000 at 01:00:00: disk is full",
    );

    past.row = Some(row("skipped", Some("held"), None));
    past.happened = vec![because(happened("held", "", "01:00:00", None), "upgrade", "uid 0")];
    check(
        "02:30:00",
        &known(DAILY),
        &past,
        "held",
        "backup was skipped at 2026-11-20 02:30:00: all jobs were held by uid 0 since 01:00:00: upgrade",
    );
}

#[test]
fn it_was_missed() {
    let catching = |rule: &str| known(&format!("{DAILY}catch_up: {rule}\n"));
    for (why, words) in [
        ("down", "the daemon was not running"),
        ("off", "the machine was off"),
        ("stopped", "the daemon was stopped and did not get to run"),
        ("clock", "the machine was suspended or its clock was set"),
        ("unwatched", "nobody watched"),
    ] {
        let mut past = booked(row("missed", Some(why), None));
        past.happened = vec![happened("away", why, "02:00:00", Some("03:00:00"))];
        let missed = format!("backup missed 2026-11-20 02:30:00: {words} from 02:00:00 to 03:00:00");
        let view = check("02:30:00", &catching("none"), &past, why, &format!("{missed}, and its catch_up is none"));
        assert_eq!(codes(&view), [why]);
        check(
            "02:30:00",
            &catching("last"),
            &past,
            why,
            &format!("{missed}, and its catch_up, last, makes up for the newest slot alone, within 7 days"),
        );
        check(
            "02:30:00",
            &catching("all"),
            &past,
            why,
            &format!("{missed}, and its catch_up, all, makes up for the newest 10 alone, within 7 days"),
        );
    }
    let mut past = booked(Row { oldest: at("2026-11-18T02:30:00Z"), count: 3, ..row("missed", Some("off"), None) });
    past.row.as_mut().unwrap().slot = at("02:30:00");
    let view = ask("2026-11-19T02:30:00Z", &catching("none"), &past);
    assert_eq!(view.sentence, "backup missed 2026-11-19 02:30:00: the machine was off, and its catch_up is none");
    assert_eq!(
        view.facts[0].text,
        "one of 3 slots from 2026-11-18 02:30:00 to 2026-11-20 02:30:00 that share this verdict"
    );
}

#[test]
fn a_row_of_missed_slots_says_nothing_of_the_time_between_them() {
    let slots = Row { oldest: at("2026-11-18T02:30:00Z"), count: 3, ..row("missed", Some("down"), None) };
    let mut past = booked(slots);
    let view = ask("2026-11-19T02:31:00Z", &known(DAILY), &past);
    assert_eq!((view.code.as_str(), view.verdict), ("not-due", None), "{}", view.sentence);
    assert_eq!(ask("2026-11-18T02:30:00Z", &known(DAILY), &past).code, "down");
    // The same where another definition stood.
    let mut later = known(DAILY);
    later.armed.as_mut().unwrap().since = at("11:00:00");
    assert_eq!(ask("2026-11-19T02:31:00Z", &later, &past).code, "down", "nobody knows what was due");
    past.then = Some(Then { schedule: Some("30 2 * * *".into()), due: Some(false), disabled: false });
    past.happened = vec![happened("armed", "armed", "2026-11-01T00:00:00Z", None)];
    assert_eq!(ask("2026-11-19T02:31:00Z", &later, &past).code, "changed");
}

#[test]
fn a_daemon_that_was_away_for_a_moment_was_so_until_it_started() {
    let mut past = booked(row("missed", Some("down"), None));
    past.happened =
        vec![happened("started", "engine", "02:30:01", None), happened("started", "daemon", "02:30:20", None)];
    let until =
        "backup missed 2026-11-20 02:30:00: the daemon was not running until 02:30:20, and its catch_up is none";
    check("02:30:00", &known(DAILY), &past, "down", until);
}

#[test]
fn it_was_disabled_and_is_not_now() {
    let mut known = known(DAILY);
    known.armed.as_mut().unwrap().since = at("08:00:00");
    let mut past =
        Remembered { happened: vec![happened("armed", "changed", "01:00:00", None)], ..Remembered::default() };
    past.then = Some(Then { schedule: Some("30 2 * * *".into()), due: Some(true), disabled: true });
    let sentence =
        "backup did not run at 2026-11-20 02:30:00: it was disabled until it was changed at 2026-11-20 08:00:00";
    check("02:30:00", &known, &past, "disabled", sentence);
}

#[test]
fn it_was_changed_while_nobody_was_there() {
    let mut known = known(DAILY);
    known.armed.as_mut().unwrap().since = at("03:00:00");
    let armed = happened("armed", "armed", "01:00:00", None);
    let mut past = Remembered { happened: vec![armed], ..Remembered::default() };
    past.then = Some(Then { schedule: Some("30 2 * * *".into()), due: Some(true), disabled: false });
    assert_eq!(ask("02:30:00", &known, &past).code, "unknown");
    past.happened.push(happened("away", "down", "02:00:00", Some("04:00:00")));
    let sentence = "backup missed 2026-11-20 02:30:00: the daemon was not running from 02:00:00 to 04:00:00";
    check("02:30:00", &known, &past, "down", sentence);
}

#[test]
fn a_run_that_went_on_is_told_of_where_nothing_was_due() {
    let asked_for =
        Attempt { slot: None, trigger: "request".into(), ..attempt(7, 1, "03:00:00", Some("03:10:00"), "succeeded") };
    let past = Remembered { attempts: vec![asked_for], ..Remembered::default() };
    let view = ask("03:05:00", &known(DAILY), &past);
    assert_eq!(view.code, "not-due");
    assert_eq!(view.facts[0].text, "run 0000000000007 went on from 03:00:00 to 03:10:00, as somebody asked for it");
    let after = ask("03:05:00", &known("command: /bin/true\nafter: {a: any}\n"), &past);
    assert_eq!((after.code.as_str(), codes(&after)), ("on-demand", vec!["run"]));
    assert!(ask("03:15:00", &known(DAILY), &past).facts.is_empty());
}

#[test]
fn a_pause_that_took_the_place_of_a_skip_is_what_is_told() {
    let mut past = booked(row("skipped", Some("paused"), None));
    past.happened = vec![
        because(happened("paused", "skip-next", "01:00:00", Some("02:00:00")), "no need", "uid 7"),
        because(happened("paused", "paused", "01:30:00", Some("04:00:00")), "disk is full", "uid 1000"),
    ];
    let sentence =
        "backup was skipped at 2026-11-20 02:30:00: it was paused by uid 1000 from 01:30:00 to 04:00:00: disk is full";
    check("02:30:00", &known(DAILY), &past, "paused", sentence);
}

#[test]
fn it_gave_way() {
    let mut past = booked(row("superseded", None, None));
    past.newer = Some(at("02:35:00"));
    check(
        "02:30:00",
        &known(DAILY),
        &past,
        "superseded",
        "backup did not run for 2026-11-20 02:30:00: it waited for a run to end, and the newer slot 02:35:00 took its place",
    );
}

#[test]
fn it_was_not_due() {
    let view = check(
        "03:45:00",
        &known(DAILY),
        &Remembered::default(),
        "not-due",
        "backup was not due at 2026-11-20 03:45:00: its schedule '30 2 * * *' asks for minute 30 (it was 45) and hour 2 (it was 3)",
    );
    assert_eq!(view.due, Some(false));
    assert_eq!(view.explanation.unwrap().before, Some(at("02:30:00")));
    check(
        "14:45:00",
        &known(DAILY),
        &Remembered::default(),
        "not-due",
        "backup is not due at 2026-11-20 14:45:00: its schedule '30 2 * * *' asks for minute 30 (it is 45) and hour 2 (it is 14)",
    );
    let every = known("schedule: '@every 1h'\ncommand: /bin/true\n");
    check(
        "02:30:00",
        &every,
        &Remembered::default(),
        "not-due",
        "backup was not due at 2026-11-20 02:30:00: every 3600 s, counted from 2026-11-01T00:00:00Z; the wall clock does not matter",
    );
}

#[test]
fn clocks_were_changed() {
    let berlin = DAILY.replace("timezone: UTC", "timezone: Europe/Berlin\ndst: skip");
    let mut known = known(&berlin);
    known.armed.as_mut().unwrap().since = at("2026-03-01T00:00:00Z");
    let view = check(
        "2026-03-29T01:00:00Z",
        &known,
        &Remembered::default(),
        "not-due",
        "backup was not due at 2026-03-29 03:00:00: clocks have just gone forward from 02:00 to 03:00: by `dst: skip`, nothing runs for the time 02:30",
    );
    assert_eq!(codes(&view), ["dst"]);
    let second = ask("2026-10-25T01:30:00Z", &known, &Remembered::default());
    assert_eq!((second.code.as_str(), second.wall.as_str()), ("not-due", "2026-10-25 02:30:00"));
    assert!(second.sentence.contains("comes twice on this day"), "{}", second.sentence);
}

#[test]
fn it_was_changed_since() {
    let mut known = known(DAILY);
    known.armed.as_mut().unwrap().since = at("08:00:00");
    let mut past = Remembered {
        happened: vec![
            happened("armed", "armed", "2026-11-10T00:00:00Z", None),
            happened("armed", "changed", "08:00:00", None),
        ],
        then: Some(Then { schedule: Some("0 5 * * *".into()), due: Some(false), disabled: false }),
        ..Remembered::default()
    };
    let view = check(
        "02:30:00",
        &known,
        &past,
        "changed",
        "backup was not due at 2026-11-20 02:30:00: its schedule was '0 5 * * *' until it was changed at 2026-11-20 08:00:00",
    );
    assert_eq!(codes(&view), ["changed"]);
    past.then = Some(Then { schedule: None, due: Some(false), disabled: false });
    check(
        "02:30:00",
        &known,
        &past,
        "changed",
        "backup was not due at 2026-11-20 02:30:00: it had no schedule until it was changed at 2026-11-20 08:00:00",
    );
    past.then = Some(Then { schedule: Some("30 2 * * *".into()), due: Some(true), disabled: false });
    check(
        "02:30:00",
        &known,
        &past,
        "unknown",
        "what became of backup at 2026-11-20 02:30:00 is not known: by '30 2 * * *', which was its schedule until 2026-11-20 08:00:00, it was due",
    );
    past.then = None;
    check(
        "02:30:00",
        &known,
        &past,
        "unknown",
        "what became of backup at 2026-11-20 02:30:00 is not known: it was changed at 2026-11-20 08:00:00, and it is due at that time by its definition of today",
    );
    past.then = Some(Then { schedule: Some("0 5 * * *".into()), due: Some(false), disabled: false });
    past.row = Some(row("ran", None, Some(7)));
    let view = ask("02:30:00", &known, &past);
    assert_eq!((view.code.as_str(), codes(&view)), ("ran", vec!["changed"]), "the verdict goes first");
}

#[test]
fn it_did_not_exist_yet() {
    let mut known = known(DAILY);
    known.armed.as_mut().unwrap().since = at("08:00:00");
    let mut past = Remembered { happened: vec![happened("armed", "armed", "08:00:01", None)], ..Remembered::default() };
    check(
        "02:30:00",
        &known,
        &past,
        "new",
        "there was no job backup at 2026-11-20 02:30:00: it is known since 2026-11-20 08:00:00",
    );
    past.happened[0].code = "changed".into();
    check(
        "02:30:00",
        &known,
        &past,
        "unknown",
        "what became of backup at 2026-11-20 02:30:00 is not known: its definition stands only since 2026-11-20 08:00:00",
    );
    let trouble = Remembered {
        trouble: Some("the history cannot be read: a newer rotad has written it".into()),
        ..Remembered::default()
    };
    let view = check(
        "02:30:00",
        &known,
        &trouble,
        "unknown",
        "what became of backup at 2026-11-20 02:30:00 is not known: its definition stands only since 2026-11-20 08:00:00",
    );
    assert_eq!(view.facts[0].text, "the history cannot be read: a newer rotad has written it");
}

#[test]
fn it_is_disabled_or_has_no_schedule() {
    let past = Remembered {
        happened: vec![because(happened("edited", "disable", "2026-11-01T00:00:00Z", None), "", "uid 1000")],
        ..Remembered::default()
    };
    let view = check(
        "02:30:00",
        &known(&format!("{DAILY}enable: false\n")),
        &past,
        "disabled",
        "backup did not run at 2026-11-20 02:30:00: it is disabled since 2026-11-01 00:00:00 by uid 1000",
    );
    assert_eq!(view.ahead[0].text, "it is disabled since 2026-11-01 00:00:00");
    check(
        "02:30:00",
        &known("command: /bin/true\n"),
        &Remembered::default(),
        "on-demand",
        "backup was not due at 2026-11-20 02:30:00: it has no schedule, it runs when asked to",
    );
    check(
        "02:30:00",
        &known("command: /bin/true\nafter: {a: success, b: any}\n"),
        &Remembered::default(),
        "on-demand",
        "backup was not due at 2026-11-20 02:30:00: it has no schedule, it runs after a and b, or when asked to",
    );
}

#[test]
fn its_file_is_broken() {
    let broken = Some("backup.yaml: there is no key 'shedule'".to_owned());
    let known = Known { broken: broken.clone(), ..known(DAILY) };
    let mut past = booked(row("ran", None, Some(7)));
    past.happened = vec![
        happened("broken", "", "2026-11-18T00:00:00Z", None),
        happened("mended", "", "2026-11-18T01:00:00Z", None),
        happened("broken", "", "01:00:00", None),
        happened("broken", "", "02:00:00", None),
    ];
    let view = ask("02:30:00", &known, &past);
    let words = "its file is broken since 01:00:00, and the definition from before counts: backup.yaml: there is no key 'shedule'";
    assert_eq!(view.facts.last().unwrap().text, words);
    assert_eq!(view.ahead.last().unwrap().text, words);

    let mut restarted = past.clone();
    restarted
        .happened
        .extend([happened("started", "daemon", "06:00:00", None), happened("broken", "still", "06:00:01", None)]);
    assert_eq!(ask("02:30:00", &known, &restarted).ahead.last().unwrap().text, words);
    restarted.happened.drain(..4);
    assert!(ask("02:30:00", &known, &restarted).ahead.last().unwrap().text.contains("since 06:00:01 or before"));

    past.happened.push(happened("mended", "", "06:00:00", None));
    past.happened[2].text = "backup.yaml: no".into();
    let view = ask("02:30:00", &self::known(DAILY), &past);
    assert_eq!(
        view.facts.last().unwrap().text,
        "its file was broken from 01:00:00 to 06:00:00, and the definition from before counted: backup.yaml: no"
    );

    let never = Known { broken, armed: None, ..self::known(DAILY) };
    check(
        "02:30:00",
        &never,
        &Remembered::default(),
        "broken",
        "there is no job backup: its file is broken: backup.yaml: there is no key 'shedule'",
    );
}

#[test]
fn it_is_gone() {
    let known = Known { armed: None, ..known(DAILY) };
    let gone = |when| Remembered { happened: vec![happened("retired", "", when, None)], ..Remembered::default() };
    check(
        "02:30:00",
        &known,
        &gone("01:00:00"),
        "gone",
        "there was no job backup at 2026-11-20 02:30:00: it was taken away at 2026-11-20 01:00:00",
    );
    check(
        "02:30:00",
        &known,
        &gone("05:00:00"),
        "gone",
        "backup was taken away at 2026-11-20 05:00:00, and the history has nothing of a slot at 2026-11-20 02:30:00",
    );
    check("02:30:00", &known, &Remembered::default(), "gone", "there is no job backup any more");
    let ran = Remembered { row: Some(row("skipped", Some("limit"), None)), ..gone("05:00:00") };
    check("02:30:00", &known, &ran, "limit", "backup was skipped at 2026-11-20 02:30:00: as many runs went on as may");
}

#[test]
fn nobody_knows() {
    let known = known(DAILY);
    let unknown =
        |why: &str| format!("what became of backup at 2026-11-20 02:30:00 is not known: it was due, and {why}");
    let past =
        Remembered { trouble: Some("the history cannot be read: disk I/O error".into()), ..Remembered::default() };
    let view = check("02:30:00", &known, &past, "unknown", &unknown("the history cannot be read: disk I/O error"));
    assert_eq!(codes(&view), ["no-history"]);
    let past = Remembered { begins: Some(at("05:00:00")), ..Remembered::default() };
    check("02:30:00", &known, &past, "unknown", &unknown("the history begins at 2026-11-20 05:00:00"));
    let past = Remembered { dropped: 12, ..Remembered::default() };
    check(
        "02:30:00",
        &known,
        &past,
        "unknown",
        &unknown("12 rows were dropped because the history could not be written"),
    );
    check("02:30:00", &known, &Remembered::default(), "unknown", &unknown("nothing was noted of it"));
    let past =
        Remembered { happened: vec![happened("away", "down", "02:00:00", Some("03:00:00"))], ..Remembered::default() };
    check(
        "02:30:00",
        &known,
        &past,
        "down",
        "backup missed 2026-11-20 02:30:00: the daemon was not running from 02:00:00 to 03:00:00",
    );
}

#[test]
fn it_waits() {
    let waiting = vec![(at("02:30:00"), RunId(8))];
    let known = Known { waiting, running: vec![run_view(5, "01:00:00")], ..known(DAILY) };
    let view = check(
        "02:30:00",
        &known,
        &Remembered::default(),
        "waiting",
        "backup waits to run for 2026-11-20 02:30:00: a run of it goes on, and run 0000000000008 comes after it",
    );
    assert_eq!(view.facts[0].text, "run 0000000000005 goes on");
    let known = Known { decided: at("02:29:59"), ..self::known(DAILY) };
    check(
        "02:30:00",
        &known,
        &Remembered::default(),
        "waiting",
        "backup is due at 2026-11-20 02:30:00, and that is being decided just now",
    );
}

#[test]
fn what_is_yet_to_come() {
    let tomorrow = "2026-11-21T02:30:00Z";
    let past = Remembered::default();
    check(tomorrow, &known(DAILY), &past, "ahead", "backup is due at 2026-11-21 02:30:00, in 14 h");
    let paused = Known { pause: Some(pause("11:00:00", Some("2026-11-21T06:00:00Z"), "disk")), ..known(DAILY) };
    check(
        tomorrow,
        &paused,
        &past,
        "paused",
        "backup will not run at 2026-11-21 02:30:00, in 14 h: it is paused by uid 1000 until 2026-11-21 06:00:00: disk",
    );
    let paused = Known { pause: Some(pause("11:00:00", Some("13:00:00"), "disk")), ..known(DAILY) };
    let view = check(tomorrow, &paused, &past, "ahead", "backup is due at 2026-11-21 02:30:00, in 14 h");
    assert_eq!(codes(&view), ["paused"], "it is over by then, and told all the same");
    let skip = Pause { kind: PauseKind::SkipNext, ..pause("11:00:00", Some(tomorrow), "moving house") };
    check(
        tomorrow,
        &Known { pause: Some(skip), ..known(DAILY) },
        &past,
        "skip-next",
        "backup will not run at 2026-11-21 02:30:00, in 14 h: its slots up to 2026-11-21 02:30:00 are skipped, as was asked for by uid 1000: moving house",
    );
    let hold = Pause { kind: PauseKind::Hold, ..pause("11:00:00", None, "") };
    let held = Known { hold: Some(hold), ..known(DAILY) };
    check(
        tomorrow,
        &held,
        &past,
        "held",
        "backup will not run at 2026-11-21 02:30:00, in 14 h: all jobs are held by uid 1000 without an end",
    );
    check(
        tomorrow,
        &known(&format!("{DAILY}enable: false\n")),
        &past,
        "disabled",
        "backup will not run at 2026-11-21 02:30:00, in 14 h: it is disabled since 2026-11-01 00:00:00",
    );
    check(
        tomorrow,
        &Known { stopping: true, ..known(DAILY) },
        &past,
        "stopping",
        "backup will not run at 2026-11-21 02:30:00, in 14 h: the daemon is stopping: nothing more is started",
    );
    let view = ask(tomorrow, &Known { running: vec![run_view(5, "01:00:00")], ..known(DAILY) }, &past);
    assert_eq!(view.ahead[0].text, "run 0000000000005 goes on, and a slot is skipped while it does");
}
