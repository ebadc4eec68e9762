use proptest::prelude::*;

use super::*;
use crate::history::query;

#[test]
fn pages_join_to_the_whole_list_in_the_order_of_time() {
    let dir = tempfile::tempdir().unwrap();
    let history = open(dir.path());
    let mut rows = Vec::new();
    for nth in 0..60 {
        let name = ["a", "b"][nth as usize % 2];
        match nth % 3 {
            0 => rows.push(Row::Slot(slot(name, nth / 2, skipped("overlap")))),
            1 => rows.push(Row::Attempt(Box::new(attempt(name, nth / 2, code(i32::from(nth % 2 == 0)))))),
            _ => rows.push(Row::Slot(slot(name, nth / 2, SlotVerdict::Ran(id(base(), 0))))),
        }
    }
    note(&history, rows);
    for filter in [all(), of("a"), of("b"), Filter { failed: true, ..all() }, of("nobody")] {
        let whole = history.entries(&filter).unwrap();
        assert_eq!(whole.next, None);
        let times: Vec<Timestamp> = whole
            .rows
            .iter()
            .map(|entry| match entry {
                Entry::Run(run) => run.last.at(),
                Entry::Slot(slot) => slot.slot,
            })
            .collect();
        assert!(times.is_sorted_by(|newer, older| newer >= older));
        for limit in [1, 2, 7, 59] {
            let mut joined = Vec::new();
            let mut after = None;
            loop {
                let page = history.entries(&Filter { limit, after, ..filter.clone() }).unwrap();
                assert!(page.rows.len() <= limit);
                joined.extend(page.rows);
                // As it goes over HTTP.
                after = page.next.map(|next| Cursor::parse(&next.to_string()).unwrap());
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(joined, whole.rows, "{filter:?} by {limit}");
        }
    }
    let whole = history.entries(&all()).unwrap().rows.len();
    assert_eq!(whole, 40);
}

#[test]
fn filters_hold() {
    let dir = tempfile::tempdir().unwrap();
    let history = open(dir.path());
    let stopped = Outcome::Stopped { exit: Exit::Code(1), why: "request".into() };
    let outcomes = [code(0), code(1), Outcome::TimedOut { exit: Exit::Code(0) }, stopped, Outcome::Lost];
    for (nth, outcome) in outcomes.into_iter().enumerate() {
        history.note(Row::Attempt(Box::new(attempt("a", nth as i64, outcome))));
    }
    note(&history, [Row::Slot(slot("a", 10, missed())), Row::Slot(slot("a", 11, skipped("limit")))]);
    let starts = |filter: &Filter| -> Vec<i64> {
        let seconds = |entry: &Entry| match entry {
            Entry::Run(run) => run.last.at(),
            Entry::Slot(slot) => slot.slot,
        };
        history
            .entries(filter)
            .unwrap()
            .rows
            .iter()
            .map(|entry| seconds(entry).as_second() - base().as_second())
            .collect()
    };
    assert_eq!(starts(&Filter { failed: true, ..of("a") }), [10, 4, 2, 1]);
    assert_eq!(starts(&Filter { since: Some(at(2)), until: Some(at(11)), ..all() }), [10, 4, 3, 2]);
    assert_eq!(starts(&Filter { limit: 0, ..all() }), [11]);
    assert_eq!(starts(&Filter { limit: usize::MAX, ..all() }).len(), 7);
    assert_eq!(history.runs(&Filter { failed: true, ..of("a") }).unwrap().rows.len(), 3);
}

#[test]
fn a_run_is_its_attempts() {
    let dir = tempfile::tempdir().unwrap();
    let history = open(dir.path());
    let first = AttemptRow { next_attempt: Some(at(10)), tail: b"1".to_vec(), ..attempt("a", 0, code(1)) };
    let next = |nth: u32, seconds| AttemptRow {
        run: first.run,
        attempt: nth,
        slot: first.slot,
        ..attempt("a", seconds, code(1))
    };
    let (second, third) = (next(2, 10), AttemptRow { outcome: code(0), ..next(3, 20) });
    // Even where they come in another order.
    note(&history, [&second, &third, &first].map(|row| Row::Attempt(Box::new(row.clone()))));
    let whole = [first.clone(), second.clone(), third.clone()];
    for id in [first.id, second.id, third.id] {
        assert_eq!(history.run(id).unwrap(), whole);
    }
    let runs = history.runs(&all()).unwrap().rows;
    assert_eq!(runs, [RunRow { last: third, first_started: Some(at(0)) }]);
    assert_eq!(history.runs(&Filter { failed: true, ..all() }).unwrap().rows, []);
    assert_eq!(history.run(RunId(1)).unwrap(), []);
}

#[test]
fn an_instant_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let history = open(dir.path());
    let long = AttemptRow { ended: at(150), ..attempt("a", 60, code(0)) };
    note(
        &history,
        [
            Row::Slot(row_of("a", 0, 50, 6, missed())),
            Row::Slot(slot("a", 60, SlotVerdict::Ran(long.run))),
            Row::Attempt(Box::new(long.clone())),
            Row::Attempt(Box::new(attempt("a", 30, code(0)))),
            Row::Slot(slot("a", 120, skipped("overlap"))),
        ],
    );
    let run = RunRow { last: long, first_started: Some(at(60)) };
    let around = history.around(&job("a"), at(120)).unwrap();
    assert_eq!(around.slot, Some(slot("a", 120, skipped("overlap"))));
    assert_eq!((around.before.map(|row| row.slot), around.after), (Some(at(60)), None));
    assert_eq!((around.run, around.going.as_slice()), (None, [run.clone()].as_slice()));
    let around = history.around(&job("a"), at(60)).unwrap();
    assert_eq!((around.run, around.before.map(|row| row.count)), (Some(run), Some(6)));
    // In the midst of a row, and between two.
    assert_eq!(history.around(&job("a"), at(20)).unwrap().slot, Some(row_of("a", 0, 50, 6, missed())));
    let between = history.around(&job("a"), at(55)).unwrap();
    assert_eq!(
        (between.slot, between.before.map(|row| row.slot), between.after.map(|row| row.slot)),
        (None, Some(at(50)), Some(at(60)))
    );
    assert_eq!(history.around(&job("nobody"), at(0)).unwrap(), Around::default());
}

#[test]
fn facts_that_lie_in_reach_into_and_stood_before() {
    let dir = tempfile::tempdir().unwrap();
    let history = open(dir.path());
    let fact = |kind, name: Option<&str>, from: i64, until: Option<i64>| FactRow {
        at: at(from),
        until: until.map(at),
        kind,
        job: name.map(job),
        code: "code".into(),
        text: "text".into(),
        by: "by".into(),
    };
    let away = fact(FactKind::Away, None, 100, Some(200));
    let broken = fact(FactKind::Broken, Some("a"), 10, None);
    let older = fact(FactKind::Broken, Some("a"), 5, None);
    let paused = fact(FactKind::Paused, Some("a"), 150, Some(1000));
    let clock = fact(FactKind::Clock, None, 160, None);
    let rows = [&away, &broken, &older, &paused, &clock, &fact(FactKind::Held, Some("b"), 150, None)];
    note(&history, rows.map(|row| Row::Fact(row.clone())));
    let ask = |from, until| history.facts(Some(&job("a")), at(from), at(until)).unwrap();
    assert_eq!(ask(150, 300).within, [away.clone(), paused.clone(), clock.clone()]);
    assert_eq!(ask(150, 300).before, [broken.clone(), away.clone()]);
    assert_eq!(ask(500, 600).within, [paused]);
    assert_eq!(ask(0, 10).within, [older, broken]);
    assert_eq!(ask(0, 3), Facts::default());
    assert_eq!(history.facts(None, at(0), at(300)).unwrap().within, [away, clock]);
}

#[test]
fn connections_are_kept_for_the_next_question_and_no_longer() {
    let dir = tempfile::tempdir().unwrap();
    let history = open(dir.path());
    let idle = || history.shared.readers.idle();
    assert_eq!(idle(), 0);
    for _ in 0..20 {
        history.runs(&all()).unwrap();
    }
    assert_eq!(idle(), 1);
    until("it is closed again", || idle() == 0);
}

#[test]
fn f89_every_question_goes_by_an_index() {
    let dir = tempfile::tempdir().unwrap();
    let history = open(dir.path());
    written(&history);
    let conn = look(dir.path());
    let plan = |sql: &str| -> String {
        let mut explain = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let count = explain.parameter_count();
        let zeros = rusqlite::params_from_iter(std::iter::repeat_n(0, count));
        let lines: Vec<String> = explain.query_map(zeros, |row| row.get(3)).unwrap().map(Result::unwrap).collect();
        lines.join("\n")
    };
    let mut asked: Vec<String> = Vec::new();
    for job in [true, false] {
        for failed in [true, false] {
            asked.push(query::runs_sql(job, failed));
            asked.extend([true, false].map(|all| query::slots_sql(job, failed, all)));
        }
    }
    asked.extend(query::run_sql());
    asked.extend(query::around_sql());
    asked.extend(query::facts_sql());
    for sql in asked {
        let plan = plan(&sql);
        assert!(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{sql}\n{plan}");
        // Lists begin where the page does, not at the list's front.
        if sql.contains("?3) ORDER") || sql.contains("(?2, ?3)") {
            assert!(
                plan.contains("at<?")
                    || plan.contains("slot<?")
                    || plan.contains("(at,rowid)<")
                    || plan.contains("(slot,rowid)<"),
                "{sql}\n{plan}"
            );
        }
    }
    // And it would be seen: what has no index is scanned.
    assert!(plan("SELECT * FROM attempt WHERE by = ?").contains("SCAN"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn cursors_read_back_and_nothing_else_does(at: i64, kind in 0u8..=1, id: i64, junk in "[0-9.x-]{0,30}") {
        let text = format!("{at}.{kind}.{id}");
        prop_assert_eq!(Cursor::parse(&text).unwrap().to_string(), text);
        if let Some(cursor) = Cursor::parse(&junk) {
            prop_assert_eq!(Cursor::parse(&cursor.to_string()), Some(cursor));
        }
    }
}
