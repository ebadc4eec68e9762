use super::*;
use crate::wire::{Failure, Step};

#[test]
fn what_is_noted_comes_back_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let history = open(dir.path());
    let outcomes = [
        code(0),
        code(255),
        Outcome::Exited { exit: Exit::Signal { signal: 11, core: true }, success: false },
        Outcome::TimedOut { exit: Exit::Signal { signal: 9, core: false } },
        Outcome::Stopped { exit: Exit::Code(3), why: "replaced".into() },
        Outcome::CouldNotStart {
            failure: Failure { step: Step::WorkDir, errno: 2 },
            message: "entering the working directory: no such file".into(),
        },
        Outcome::Lost,
    ];
    let mut rows: Vec<AttemptRow> = Vec::new();
    for (nth, outcome) in outcomes.into_iter().enumerate() {
        let mut row = attempt("a", nth as i64 * 10, outcome);
        match nth {
            0 => row.tail = b"last\xff line\n\x1b[2J".to_vec(),
            1 => (row.trigger, row.by) = (Trigger::Request, "alice (uid 1000)".into()),
            5 => (row.started, row.cpu, row.max_rss_kib) = (None, None, None),
            6 => (row.hash, row.dropped, row.left, row.slot) = (u64::MAX, 77, 3, None),
            _ => {}
        }
        rows.push(row);
    }
    note(&history, rows.iter().cloned().map(|row| Row::Attempt(Box::new(row))));
    for row in &rows {
        assert_eq!(history.run(row.id).unwrap(), std::slice::from_ref(row));
    }
    let slots = [
        slot("a", 0, SlotVerdict::Ran(rows[0].run)),
        slot("a", 10, skipped("overlap")),
        SlotRow { by: "bob".into(), ..slot("a", 20, skipped("paused")) },
        row_of("a", 30, 60, 4, missed()),
        slot("a", 70, SlotVerdict::Superseded),
    ];
    note(&history, slots.iter().cloned().map(Row::Slot));
    let back: Vec<SlotRow> = history.slots(&of("a")).unwrap().rows;
    assert_eq!(back, slots.iter().rev().cloned().collect::<Vec<_>>());
}

#[test]
fn a_run_of_the_year_2039_and_later_comes_after_those_before() {
    let ids = [RunId(0), id(base(), 3), RunId((1 << 63) - 1), RunId(1 << 63), RunId(u64::MAX)];
    let numbers = ids.map(codec::number);
    assert!(numbers.is_sorted());
    assert_eq!(numbers.map(codec::run), ids);
}

#[test]
fn instants_beyond_what_a_number_holds_are_the_nearest() {
    for at in [Timestamp::MIN, Timestamp::MAX, base(), Timestamp::UNIX_EPOCH] {
        let back = codec::instant(codec::nanoseconds(at));
        assert_eq!(back == at, at != Timestamp::MIN && at != Timestamp::MAX, "{at}");
    }
}

#[test]
fn who_tells_twice_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let history = open(dir.path());
    let row = attempt("a", 0, code(1));
    let again = AttemptRow { outcome: code(0), ..row.clone() };
    note(&history, [row.clone(), row.clone(), again].map(|row| Row::Attempt(Box::new(row))));
    assert_eq!(history.run(row.id).unwrap(), [row]);
    let tally = &history.tallies().unwrap()[&job("a")];
    assert_eq!((tally.runs, tally.failures), (1, 1));
    note(
        &history,
        [skipped("overlap"), missed(), SlotVerdict::Superseded].map(|verdict| Row::Slot(slot("a", 0, verdict))),
    );
    assert_eq!(history.slots(&of("a")).unwrap().rows, [slot("a", 0, skipped("overlap"))]);
    assert_eq!(history.status().rows, 2);
}

#[test]
fn ran_takes_the_place_of_any_other_verdict_and_gives_it_to_none() {
    let dir = tempfile::tempdir().unwrap();
    let history = open(dir.path());
    let ran = |seconds, count| slot("a", seconds, SlotVerdict::Ran(id(base(), count)));
    note(&history, [Row::Slot(row_of("a", 0, 40, 5, missed())), Row::Slot(ran(40, 1)), Row::Slot(ran(20, 2))]);
    let rows = history.slots(&of("a")).unwrap().rows;
    let shown: Vec<(bool, u64)> =
        rows.iter().map(|row| (matches!(row.verdict, SlotVerdict::Ran(_)), row.count)).collect();
    assert_eq!(shown, [(true, 1), (false, 3), (true, 1)]);
    assert!(rows[1].slot < at(40) && rows[1].slot > at(20));
    // One verdict a slot: the first run stands.
    note(&history, [Row::Slot(ran(40, 9)), Row::Slot(slot("a", 40, missed()))]);
    assert_eq!(history.slots(&of("a")).unwrap().rows[0], ran(40, 1));
    assert_eq!(history.status().rows, 3);
    // Of two slots the older is left, of one none.
    note(
        &history,
        [Row::Slot(row_of("b", 0, 10, 2, missed())), Row::Slot(slot("b", 10, SlotVerdict::Ran(id(base(), 1))))],
    );
    assert_eq!(history.slots(&of("b")).unwrap().rows[1], SlotRow { booked: at(10), ..slot("b", 0, missed()) });
    note(&history, [Row::Slot(slot("b", 0, SlotVerdict::Ran(id(base(), 2))))]);
    assert_eq!(history.slots(&of("b")).unwrap().rows.len(), 2);
    let conn = look(dir.path());
    assert_eq!(number(&conn, "SELECT slots FROM total"), number(&conn, "SELECT count(*) FROM slot"));
}

#[test]
fn slots_of_one_pause_are_one_row() {
    let dir = tempfile::tempdir().unwrap();
    let history = open(dir.path());
    note(&history, (0..100).map(|nth| Row::Slot(slot("a", nth, skipped("paused")))));
    assert_eq!(history.slots(&of("a")).unwrap().rows, [row_of("a", 0, 99, 100, skipped("paused"))]);
    // What skips one by one stays so; a run between two rows keeps them apart.
    note(&history, [100, 101].map(|nth| Row::Slot(slot("a", nth, skipped("overlap")))));
    note(&history, [Row::Slot(slot("a", 102, missed())), Row::Slot(slot("a", 103, SlotVerdict::Ran(id(base(), 0))))]);
    note(&history, [Row::Slot(slot("a", 104, missed())), Row::Slot(row_of("a", 105, 110, 6, missed()))]);
    let counts: Vec<u64> = history.slots(&of("a")).unwrap().rows.iter().map(|row| row.count).collect();
    assert_eq!(counts, [7, 1, 1, 1, 1, 100]);
}

#[test]
fn missed_slots_are_taken_back_with_the_clock() {
    let dir = tempfile::tempdir().unwrap();
    let history = open(dir.path());
    note(
        &history,
        [
            Row::Slot(slot("a", 0, SlotVerdict::Ran(id(base(), 0)))),
            Row::Slot(row_of("a", 10, 100, 10, missed())),
            Row::Slot(slot("a", 110, skipped("overlap"))),
            Row::Slot(slot("a", 120, missed())),
            Row::Slot(slot("b", 120, missed())),
            Row::TakeBack { job: job("a"), after: at(55) },
            Row::TakeBack { job: job("unknown"), after: at(55) },
        ],
    );
    let rows = history.slots(&of("a")).unwrap().rows;
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0], slot("a", 110, skipped("overlap")));
    assert_eq!(rows[1], SlotRow { booked: at(100), ..row_of("a", 10, 55, 5, missed()) });
    assert_eq!(history.slots(&of("b")).unwrap().rows.len(), 1);
    let conn = look(dir.path());
    assert_eq!(number(&conn, "SELECT slots FROM total"), number(&conn, "SELECT count(*) FROM slot"));
    note(&history, [Row::TakeBack { job: job("a"), after: at(5) }]);
    assert_eq!(history.tallies().unwrap()[&job("a")].newest_slot, Some(at(110)));
}

#[test]
fn a_job_is_known_by_its_tally_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let history = open(dir.path());
    for nth in 0..30 {
        let took = AttemptRow {
            ended: at(nth * 100) + SignedDuration::from_millis(nth + 1),
            ..attempt("a", nth * 100, code(0))
        };
        history.note(Row::Attempt(Box::new(took)));
    }
    let stopped = Outcome::Stopped { exit: Exit::Code(0), why: "request".into() };
    let retried = AttemptRow { next_attempt: Some(at(4100)), ..attempt("a", 4000, code(1)) };
    let again = AttemptRow { run: retried.run, attempt: 2, ..attempt("a", 4100, code(1)) };
    for row in [attempt("a", 3000, code(1)), attempt("a", 3100, stopped), retried.clone(), again] {
        history.note(Row::Attempt(Box::new(row)));
    }
    note(&history, [Row::Slot(slot("quiet", 5, missed()))]);
    history.close();
    let (_history, tallies) = open_with(dir.path(), &config());
    let tallies = tallies.unwrap();
    let tally = &tallies[&job("a")];
    assert_eq!(tally.last, Some((retried.run, "failure", at(4101))));
    assert_eq!((tally.runs, tally.failures, tally.failing_since), (33, 2, Some(at(3001))));
    assert_eq!(tally.last_success, Some(at(2900) + SignedDuration::from_millis(30)));
    assert_eq!(tally.spans, (11..=30).collect::<Vec<u32>>());
    let usual = [50, 95, 100].map(|share| tally.usual(share).unwrap().as_millis());
    assert_eq!(usual, [20, 29, 30]);
    let quiet = &tallies[&job("quiet")];
    assert_eq!((quiet.newest_slot, quiet.last, quiet.usual(50)), (Some(at(5)), None, None));
}

#[test]
fn definitions_are_kept_once() {
    let dir = tempfile::tempdir().unwrap();
    let history = open(dir.path());
    let row = DefinitionRow {
        job: job("a"),
        hash: u64::MAX - 1,
        seen: at(0),
        schedule: Some("0 3 * * *".into()),
        dialect: Some("vixie".into()),
        timezone: Some("Asia/Shanghai".into()),
        command: vec!["/bin/echo".into(), "a \"b\"\n".into()],
    };
    let later = DefinitionRow { seen: at(9), ..row.clone() };
    note(&history, [row.clone(), later.clone(), row].map(|row| Row::Definition(Box::new(row))));
    assert_eq!(history.definition(u64::MAX - 1).unwrap(), Some(later));
    assert_eq!(history.definition(1).unwrap(), None);
    assert_eq!(number(&look(dir.path()), "SELECT count(*) FROM definition"), 1);
}

#[test]
fn rows_are_cut_to_their_bounds() {
    let big = "ü".repeat(40_000);
    let row = AttemptRow { by: big.clone(), tail: vec![b'x'; 10_000], ..attempt("a", 0, code(0)) };
    let Row::Attempt(row) = Row::Attempt(Box::new(row)).bounded(4096) else { panic!() };
    assert_eq!((row.by.len(), row.tail.len()), (256, 4096));
    let command = vec![big.clone(), "b".into(), "c".into()];
    let row = DefinitionRow {
        job: job("a"),
        hash: 0,
        seen: base(),
        schedule: Some(big.clone()),
        dialect: None,
        timezone: None,
        command,
    };
    let Row::Definition(row) = Row::Definition(Box::new(row)).bounded(0) else { panic!() };
    assert_eq!((row.command.len(), row.command[0].len(), row.schedule.unwrap().len()), (1, 4096, 1024));
    let fact = FactRow {
        at: base(),
        until: None,
        kind: FactKind::Broken,
        job: None,
        code: big.clone(),
        text: format!("x{big}"),
        by: String::new(),
    };
    let Row::Fact(fact) = Row::Fact(fact).bounded(0) else { panic!() };
    assert_eq!((fact.code.len(), fact.text.len()), (64, 1023));
}

#[test]
fn a_tail_is_of_whole_lines_unless_one_is_too_long() {
    use crate::sink::{Line, Tail};
    use crate::wire::Stream;
    let line = |text: &str, open| Line { at: base(), stream: Stream::Stdout, bytes: text.into(), open };
    let tail =
        |lines: Vec<Line>, limit| String::from_utf8(tail_text(&Tail { lines, ..Tail::default() }, limit)).unwrap();
    let three = || vec![line("one", false), line("two", false), line("three", true)];
    assert_eq!(tail(three(), 100), "one\ntwo\nthree");
    assert_eq!(tail(three(), 12), "two\nthree");
    assert_eq!(tail(three(), 9), "two\nthree");
    assert_eq!(tail(three(), 8), "three");
    assert_eq!(tail(three(), 3), "ree");
    assert_eq!(tail(three(), 0), "");
    assert_eq!(tail(vec![], 10), "");
}

#[test]
fn an_operator_reads_it_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let history = open(dir.path());
    let row = AttemptRow { tail: b"said\n".to_vec(), ..attempt("a b", 0, Outcome::TimedOut { exit: Exit::Code(1) }) };
    let of_2050 =
        AttemptRow { run: id(t("2050-01-01T00:00:00Z"), 5), id: id(t("2050-01-01T00:00:00Z"), 5), ..row.clone() };
    note(&history, [row.clone(), of_2050.clone()].map(|row| Row::Attempt(Box::new(row))));
    note(
        &history,
        [Row::Slot(slot("a b", 0, SlotVerdict::Ran(row.run))), Row::Slot(slot("a b", 60, skipped("limit")))],
    );
    let fact = queue::lost(at(0), at(9), 3);
    note(&history, [Row::Fact(fact)]);
    let conn = look(dir.path());
    let text = |sql: &str| -> String { conn.query_row(sql, [], |row| row.get(0)).unwrap() };
    let runs = "SELECT run || ' ' || job || ' ' || slot || ' ' || outcome || ' ' || \"trigger\" || ' ' || cpu_seconds || ' ' || tail FROM runs";
    assert_eq!(text(runs), format!("{} a b 2026-11-20T12:00:00.000Z timed-out schedule 1.234567 said\n", row.run));
    assert_eq!(text("SELECT max(id) FROM attempts"), of_2050.id.to_string());
    assert_eq!(
        text("SELECT group_concat(slot || ' ' || verdict || ' ' || coalesce(why, run), '; ') FROM slots"),
        format!("2026-11-20T12:00:00.000Z ran {}; 2026-11-20T12:01:00.000Z skipped limit", row.run)
    );
    assert_eq!(
        text("SELECT kind || ' ' || at || ' ' || until FROM facts"),
        "dropped 2026-11-20T12:00:00.000Z 2026-11-20T12:00:09.000Z"
    );
    assert_eq!(
        text("SELECT job || ' ' || last_run || ' ' || last_outcome || ' ' || failures FROM jobs"),
        format!("a b {} timed-out 2", of_2050.run)
    );
}

#[test]
fn views_have_the_words_of_the_living() {
    let view: AttemptView = AttemptRow { tail: b"x".to_vec(), ..attempt("a", 0, code(3)) }.into();
    let json = serde_json::to_value(&view).unwrap();
    assert_eq!(json["outcome"], "exited");
    assert_eq!(json["exit"]["code"], 3);
    assert_eq!(json["started"], "2026-11-20T12:00:00Z");
    assert_eq!(json["output_bytes"]["stderr"], 20);
    assert_eq!(json["trigger"], "schedule");
    assert_eq!(serde_json::from_value::<AttemptView>(json).unwrap(), view);
    let entry: EntryView = Entry::Slot(row_of("a", 0, 9, 3, skipped("paused"))).into();
    let json = serde_json::to_value(&entry).unwrap();
    assert_eq!(
        (json["entry"].as_str(), json["verdict"].as_str(), json["why"].as_str()),
        (Some("slot"), Some("skipped"), Some("paused"))
    );
    assert_eq!((json["count"].as_u64(), json["oldest"].as_str()), (Some(3), Some("2026-11-20T12:00:00Z")));
    assert_eq!(serde_json::from_value::<EntryView>(json).unwrap(), entry);
}

#[test]
fn none_is_kept_where_none_is_wanted() {
    let dir = tempfile::tempdir().unwrap();
    let (told, known) = mpsc::channel();
    let history = History::start(dir.path(), None, Box::new(move |tallies| told.send(tallies).unwrap()));
    assert_eq!(known.recv().unwrap(), None);
    history.note(Row::Slot(slot("a", 0, missed())));
    assert_eq!(history.runs(&all()), Err(Unanswered::Off));
    assert_eq!((history.status().state, history.status().waiting), (State::Off, 0));
    history.close();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
