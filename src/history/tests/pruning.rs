use super::*;

fn days(days: u64) -> Duration {
    Duration::from_secs(days * 86_400)
}

/// Seconds from [`base`] to so many days ago.
fn ago(days: i64) -> i64 {
    Timestamp::now().as_second() - base().as_second() - days * 86_400
}

#[test]
fn what_is_old_goes_but_the_newest_of_each_job_stays() {
    let dir = tempfile::tempdir().unwrap();
    let history = open(dir.path());
    let mut rows = Vec::new();
    for nth in 0..300 {
        let when = ago(100) + nth;
        rows.push(Row::Attempt(Box::new(attempt("old", when, code(0)))));
        rows.push(Row::Slot(slot("old", when, SlotVerdict::Ran(id(base(), 0)))));
        rows.push(Row::Slot(slot("skips", when, skipped("overlap"))));
    }
    for nth in 0..5 {
        rows.push(Row::Attempt(Box::new(attempt("ancient", ago(1000) + nth, code(0)))));
        rows.push(Row::Attempt(Box::new(attempt("old", ago(1) + nth, code(0)))));
    }
    let fact = |days| FactRow { at: at(ago(days)), until: None, ..queue::lost(base(), base(), 1) };
    rows.extend([100, 1].map(|days| Row::Fact(fact(days))));
    // A clock that was far ahead has dated this one: it holds up none behind it.
    rows.insert(0, Row::Slot(slot("future", ago(-4000), missed())));
    note(&history, rows);
    history.close();
    let (history, _) = open_with(dir.path(), &HistoryConfig { keep: days(90), ..config() });
    until("all is pruned", || history.status().rows <= 63);
    let count = |name| history.runs(&of(name)).unwrap().rows.len();
    assert_eq!((count("old"), count("ancient")), (20, 0));
    // The five of yesterday are among them.
    assert_eq!(history.runs(&Filter { since: Some(at(ago(2))), ..of("old") }).unwrap().rows.len(), 5);
    assert_eq!(history.slots(&of("old")).unwrap().rows.len(), 20);
    assert_eq!(history.slots(&of("skips")).unwrap().rows.len(), 20);
    assert_eq!(history.slots(&of("future")).unwrap().rows.len(), 1);
    assert_eq!(history.facts(None, at(ago(200)), at(ago(0))).unwrap().within.len(), 1);
    until("a job of which nothing is known is forgotten", || !history.tallies().unwrap().contains_key(&job("ancient")));
    assert_eq!(history.status().rows, 62);
    let conn = look(dir.path());
    let real = number(
        &conn,
        "SELECT (SELECT count(*) FROM slot) + (SELECT count(*) FROM attempt) + (SELECT count(*) FROM fact)",
    );
    assert_eq!(real, 62);
}

#[test]
fn a_definition_lives_as_long_as_its_rows() {
    let dir = tempfile::tempdir().unwrap();
    let history = open(dir.path());
    let definition = |hash, seconds| {
        Row::Definition(Box::new(DefinitionRow {
            job: job("a"),
            hash,
            seen: at(seconds),
            schedule: None,
            dialect: None,
            timezone: None,
            command: Vec::new(),
        }))
    };
    let ran = |hash, seconds| Row::Attempt(Box::new(AttemptRow { hash, ..attempt("a", seconds, code(0)) }));
    // 1 was in force until lately, 2 never ran and is long gone, 3 is in force since long.
    note(&history, [definition(1, ago(2000)), definition(2, ago(2000)), definition(3, ago(2000))]);
    note(&history, [ran(1, ago(1990)), ran(1, ago(2)), ran(3, ago(1))]);
    history.close();
    let (history, _) = open_with(dir.path(), &HistoryConfig { keep: days(90), ..config() });
    until("the second is forgotten", || history.definition(2).unwrap().is_none());
    assert!(history.definition(1).unwrap().is_some() && history.definition(3).unwrap().is_some());
}

#[test]
fn i89_rows_and_bytes_are_bounded_while_rows_come() {
    let dir = tempfile::tempdir().unwrap();
    let (history, _) = open_with(dir.path(), &HistoryConfig { rows: 1000, ..config() });
    let run = |nth: i64| Row::Attempt(Box::new(AttemptRow { tail: vec![b'x'; 4000], ..attempt("a", nth, code(0)) }));
    for nth in 0..50 {
        note(&history, (0..100).map(|of| run(nth * 100 + of)));
    }
    until("there are no more than may be", || history.status().rows <= 1000);
    let newest = history.runs(&Filter { limit: 1, ..all() }).unwrap().rows;
    assert_eq!(newest[0].last.at(), at(4999));
    history.close();
    let (history, _) = open_with(dir.path(), &HistoryConfig { size: 1 << 20, ..config() });
    let size = || std::fs::metadata(dir.path().join("history.db")).unwrap().len();
    until("the file is small", || size() <= 1 << 20);
    until("and its pruning is over", || history.status().rows < 300);
    let newest = history.runs(&Filter { limit: 1, ..all() }).unwrap().rows;
    assert_eq!(newest[0].last.at(), at(4999));
    let conn = look(dir.path());
    assert_eq!(number(&conn, "SELECT attempts FROM total"), number(&conn, "SELECT count(*) FROM attempt"));
}
