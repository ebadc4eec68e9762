use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};

use super::*;
use crate::history::queue::{MOST_BYTES, MOST_ROWS};

const CHILD: &str = "ROTAD_TEST_HISTORY";

/// Not a test: the process that `f84_…` kills.
#[test]
fn writes_until_it_is_killed() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let history = open(Path::new(&dir));
    for nth in 0.. {
        history.note(Row::Attempt(Box::new(AttemptRow { tail: vec![b'x'; 300], ..attempt("a", nth * 2, code(0)) })));
        history.note(Row::Slot(slot("a", nth * 2, SlotVerdict::Ran(id(at(nth * 2), 0)))));
        let status = history.status();
        if nth % 50 == 0 {
            println!("written {}", status.rows);
            std::io::stdout().flush().unwrap();
        }
        while history.status().waiting > 2000 {
            std::thread::yield_now();
        }
    }
}

#[test]
fn f84_a_killed_writer_loses_nothing_that_it_had_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut told = 0;
    for round in 1..=4 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["history::tests::faults::writes_until_it_is_killed", "--exact", "--nocapture"])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for line in lines.map_while(Result::ok) {
            let Some((_, count)) = line.split_once("written ") else { continue };
            told = count.parse::<i64>().unwrap();
            // In a child that begins anew the first rows are known already.
            if told > round * 1500 {
                break;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(told > round * 1500, "the child ended by itself");
        assert!(place::log_size(&dir.path().join("history.db")) > 0, "it was killed with a log");
        let history = open(dir.path());
        assert_eq!(history.status().state, State::Open);
        assert!(history.status().rows as i64 >= told);
        let conn = look(dir.path());
        assert_eq!(number(&conn, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'"), 0);
        assert_eq!(number(&conn, "SELECT slots + attempts FROM total"), history.status().rows as i64);
        assert_eq!(
            number(&conn, "SELECT slots + attempts FROM total"),
            number(&conn, "SELECT (SELECT count(*) FROM slot) + (SELECT count(*) FROM attempt)")
        );
        assert_eq!(number(&conn, "SELECT runs FROM tally"), number(&conn, "SELECT count(*) FROM attempt"));
        history.close();
    }
    let aside = std::fs::read_dir(dir.path()).unwrap().flatten();
    assert_eq!(aside.filter(|entry| entry.file_name().to_string_lossy().contains("broken")).count(), 0);
}

fn asides(dir: &Path) -> Vec<String> {
    let names = std::fs::read_dir(dir).unwrap().flatten().map(|entry| entry.file_name().into_string().unwrap());
    names.filter(|name| name.contains(".broken-") && !name.ends_with("-wal") && !name.ends_with("-shm")).collect()
}

#[test]
fn f85_what_is_no_history_is_put_aside_and_one_begun() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("history.db");
    let foreign = || {
        let conn = Connection::open(&file).unwrap();
        conn.execute_batch("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1);").unwrap();
    };
    let junk = || std::fs::write(&file, vec![0x5a; 20_000]).unwrap();
    let text = || std::fs::write(&file, "SQLite format 3\0 and nothing behind it").unwrap();
    let torn = || {
        let history = open(dir.path());
        note(&history, (0..2000).map(|nth| Row::Slot(slot("a", nth * 10, skipped("overlap")))));
        history.close();
        // Pages of tables and indices with something else in them, and the sign of an end that was not clean.
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[8192..].fill(0x11);
        std::fs::write(&file, bytes).unwrap();
        std::fs::write(dir.path().join("history.db-wal"), [0; 64]).unwrap();
    };
    for (nth, spoil) in [&foreign as &dyn Fn(), &junk, &text, &torn].into_iter().enumerate() {
        spoil();
        let (history, tallies) = open_with(dir.path(), &config());
        assert_eq!((history.status().state, history.status().rows), (State::Open, 0), "{nth}");
        assert_eq!(tallies, Some(BTreeMap::new()), "{nth}");
        note(&history, [Row::Slot(slot("a", 0, missed()))]);
        assert_eq!(history.slots(&of("a")).unwrap().rows.len(), 1);
        assert_eq!(asides(dir.path()).len(), (nth + 1).min(3), "{nth}");
        history.close();
        drop(history);
        std::fs::remove_file(&file).unwrap();
    }
}

#[test]
fn f85_damage_that_is_found_while_it_runs_is_mended_too() {
    let dir = tempfile::tempdir().unwrap();
    let history = open(dir.path());
    note(&history, (0..5000).map(|nth| Row::Slot(slot("a", nth * 10, skipped("overlap")))));
    history.close();
    let file = dir.path().join("history.db");
    let history = open(dir.path());
    let mut bytes = std::fs::read(&file).unwrap();
    let pages = bytes.len() / 4096;
    assert!(pages > 50);
    bytes[40 * 4096..].fill(0x11);
    // The same file, with other bytes: whoever does that, SQLite sees it at the next page it needs.
    std::fs::OpenOptions::new().write(true).open(&file).unwrap().write_all(&bytes).unwrap();
    let before = history.status().rows;
    for nth in 0..3000 {
        history.note(Row::Slot(slot("b", nth * 10, skipped("overlap"))));
        history.note(Row::Slot(slot("a", nth * 10 + 5, skipped("overlap"))));
    }
    until("it was put aside", || asides(dir.path()).len() == 1);
    until("all is written", || history.status().waiting == 0 && history.status().state == State::Open);
    assert!(history.status().rows < before + 6000);
    let conn = look(dir.path());
    assert_eq!(number(&conn, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'"), 0);
    assert!(!history.slots(&of("b")).unwrap().rows.is_empty());
}

#[test]
fn f85_a_history_of_a_later_rotad_is_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).close();
    let conn = look(dir.path());
    conn.pragma_update(None, "user_version", schema::VERSION + 1).unwrap();
    drop(conn);
    let file = dir.path().join("history.db");
    let before = std::fs::read(&file).unwrap();
    let (history, tallies) = open_with(dir.path(), &config());
    assert_eq!(tallies, None);
    let status = history.status();
    assert_eq!(status.state, State::Refused);
    assert!(status.why.unwrap().contains("later rotad"));
    // Rows are taken all the same, and questions are answered with the reason.
    history.note(Row::Slot(slot("a", 0, missed())));
    assert!(matches!(history.runs(&all()), Err(Unanswered::Closed(why)) if why.contains("later")));
    history.close();
    assert_eq!(std::fs::read(&file).unwrap(), before);
    assert_eq!(asides(dir.path()).len(), 0);
}

#[test]
fn an_older_history_becomes_the_present_one_as_a_whole_or_not_at_all() {
    let mut conn = Connection::open_in_memory().unwrap();
    schema::migrate(&mut conn, 0, schema::STEPS).unwrap();
    let version = |conn: &Connection| number(conn, "PRAGMA user_version");
    assert_eq!(version(&conn), schema::VERSION);
    let wrong: Vec<&str> = schema::STEPS.iter().copied().chain(["CREATE TABLE more (x); nonsense"]).collect();
    assert!(schema::migrate(&mut conn, schema::VERSION, &wrong).is_err());
    assert_eq!(
        (version(&conn), number(&conn, "SELECT count(*) FROM sqlite_schema WHERE name = 'more'")),
        (schema::VERSION, 0)
    );
    let right: Vec<&str> = schema::STEPS.iter().copied().chain(["CREATE TABLE more (x)"]).collect();
    schema::migrate(&mut conn, schema::VERSION, &right).unwrap();
    assert_eq!(number(&conn, "SELECT count(*) FROM more"), 0);
    assert_eq!(version(&conn), schema::VERSION + 1);
    // Who comes second does nothing.
    schema::migrate(&mut conn, schema::VERSION, &right).unwrap();
}

#[test]
fn f86_a_lock_of_somebody_else_holds_up_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let history = open(dir.path());
    note(&history, [Row::Slot(slot("a", -1, skipped("overlap")))]);
    let other = look(dir.path());
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let total = MOST_ROWS as i64 + 5000;
    let mut longest = Duration::ZERO;
    for nth in 0..total {
        let begun = Instant::now();
        history.note(Row::Slot(slot("a", nth, skipped("overlap"))));
        longest = longest.max(begun.elapsed());
    }
    // A machine with other work may take a thread off for a while; the lock lasts longer than any of that.
    assert!(longest < Duration::from_secs(1), "{longest:?}");
    let status = history.status();
    assert_eq!((status.waiting, status.dropped), (MOST_ROWS, 5000));
    until("the lock is seen", || history.status().state == State::Failing);
    // What is there can be read meanwhile.
    assert_eq!(history.slots(&of("a")).unwrap().rows.len(), 1);
    other.execute_batch("ROLLBACK").unwrap();
    written(&history);
    until("it is well again", || history.status().state == State::Open);
    let conn = look(dir.path());
    assert_eq!(number(&conn, "SELECT count(*) FROM slot"), MOST_ROWS as i64 + 1);
    // The loss is a fact of its own, for whoever asks.
    until("the loss is written down", || number(&conn, "SELECT count(*) FROM fact WHERE kind = 'dropped'") == 1);
    let text: String = conn.query_row("SELECT text FROM fact", [], |row| row.get(0)).unwrap();
    assert!(text.starts_with("5000 rows"), "{text}");
    note(&history, [Row::Slot(slot("a", total, skipped("overlap")))]);
    assert_eq!(history.status().dropped, 5000);
}

#[test]
fn f86_a_reader_who_never_ends_holds_up_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let history = open(dir.path());
    note(&history, [Row::Slot(slot("a", 0, missed()))]);
    let other = look(dir.path());
    other.execute_batch("BEGIN").unwrap();
    assert_eq!(number(&other, "SELECT count(*) FROM slot"), 1);
    note(&history, (1..5000).map(|nth| Row::Slot(slot("a", nth, skipped("overlap")))));
    assert_eq!(history.status().rows, 5000);
    assert_eq!(number(&other, "SELECT count(*) FROM slot"), 1);
}

#[test]
fn f86_large_rows_are_bounded_by_their_bytes() {
    let queue = Queue::default();
    let row = || Row::Attempt(Box::new(AttemptRow { tail: vec![0; 60_000], ..attempt("a", 0, code(0)) }));
    let pushed = (0..).take_while(|_| !queue.push(row(), base)).count();
    assert!(pushed < MOST_BYTES / 60_000 && pushed > MOST_BYTES / 70_000, "{pushed}");
    assert_eq!(queue.counts(), (pushed, 1));
    // A spell is told of once, until half of the room is free again.
    assert!(!queue.push(row(), base));
    let queue::Work::Write(batch) = queue.wait(Duration::ZERO) else { panic!() };
    assert_eq!(batch.rows.len(), pushed);
    assert!(!queue.push(row(), base), "what the writer holds takes up room");
    assert_eq!(queue.written(&batch), Some((base(), 3)));
    assert!(!queue.push(row(), base));
    assert_eq!(queue.counts(), (1, 3));
}

#[test]
fn f86_a_full_disk_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    if !nix::unistd::geteuid().is_root() {
        eprintln!("f86_a_full_disk_is_waited_for skipped: why: only root can mount a small tmpfs");
        return;
    }
    let mount = dir.path();
    let flags = nix::mount::MsFlags::empty();
    if let Err(error) = nix::mount::mount(Some("tmpfs"), mount, Some("tmpfs"), flags, Some("size=6m")) {
        eprintln!("f86_a_full_disk_is_waited_for skipped: why: {error}");
        return;
    }
    let history = open(mount);
    note(&history, [Row::Slot(slot("a", 0, missed()))]);
    std::fs::write(mount.join("big"), []).unwrap();
    let mut big = std::fs::File::create(mount.join("big")).unwrap();
    while big.write_all(&[0; 4096]).is_ok() {}
    for nth in 1..=3000 {
        history.note(Row::Attempt(Box::new(attempt("a", nth, code(0)))));
    }
    until("that is seen", || history.status().state == State::Failing);
    assert!(history.status().waiting > 0);
    big.set_len(0).unwrap();
    written(&history);
    until("it is well again", || history.status().state == State::Open);
    assert_eq!((history.status().rows, history.status().dropped), (3001, 0));
    history.close();
    drop((history, big));
    nix::mount::umount2(mount, nix::mount::MntFlags::MNT_DETACH).unwrap();
}

#[test]
fn f86_a_directory_that_cannot_be_written_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let (history, tallies) = open_with(&state, &config());
    assert_eq!((tallies, history.status().state), (None, State::Failing));
    history.note(Row::Slot(slot("a", 0, missed())));
    std::fs::create_dir(&state).unwrap();
    // It is tried again every ten seconds.
    until("it is open", || history.status().state == State::Open);
    written(&history);
    assert_eq!(history.slots(&of("a")).unwrap().rows.len(), 1);
}

#[test]
fn f88_hostile_texts_are_texts() {
    let dir = tempfile::tempdir().unwrap();
    let history = open(dir.path());
    let hostile =
        ["x'); DROP TABLE slot; --", "%s%n", "\"; DELETE FROM attempt; \"", "a\\' OR 1=1", "🦀 ütf", "?1 :a @b $c"];
    for (nth, text) in hostile.into_iter().enumerate() {
        let nth = nth as i64;
        let row = AttemptRow {
            by: text.into(),
            tail: format!("{text}\0\x1b[31m\r\n").into_bytes(),
            outcome: Outcome::Stopped { exit: Exit::Code(0), why: text.into() },
            ..attempt(text, nth, code(0))
        };
        note(&history, [Row::Attempt(Box::new(row.clone())), Row::Slot(slot(text, nth, skipped(text)))]);
        note(
            &history,
            [Row::Fact(FactRow {
                job: Some(job(text)),
                text: text.into(),
                by: "\0".into(),
                ..queue::lost(at(nth), at(nth), 1)
            })],
        );
        assert_eq!(history.run(row.id).unwrap(), [row]);
        assert_eq!(history.slots(&of(text)).unwrap().rows, [slot(text, nth, skipped(text))]);
        assert_eq!(history.facts(Some(&job(text)), at(nth), at(nth)).unwrap().within[0].text, text);
    }
    assert_eq!(number(&look(dir.path()), "SELECT count(*) FROM attempt"), hostile.len() as i64);
    // A reader can write nothing, whatever it is made to say.
    let wrote = history.ask(|conn| conn.execute("DELETE FROM attempt", []));
    assert!(matches!(wrote, Err(Unanswered::Failed(_))), "{wrote:?}");
}

#[test]
fn f89_a_question_that_takes_too_long_is_broken_off() {
    let dir = tempfile::tempdir().unwrap();
    let history = open(dir.path());
    let begun = Instant::now();
    let endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n";
    let answer = history.ask(|conn| conn.query_row(endless, [], |row| row.get::<_, i64>(0)));
    assert_eq!(answer, Err(Unanswered::TooSlow));
    assert!(begun.elapsed() >= TIME_LIMIT);
    // The connection is as good as before.
    assert_eq!(history.runs(&all()).unwrap().rows, []);
}

#[test]
fn f90_a_link_or_a_file_of_somebody_else_is_not_opened() {
    let dir = tempfile::tempdir().unwrap();
    let victim = dir.path().join("victim");
    std::fs::write(&victim, "precious").unwrap();
    for name in ["history.db", "history.db-wal", "history.db-shm"] {
        let state = dir.path().join(format!("state of {name}"));
        std::fs::create_dir(&state).unwrap();
        symlink(&victim, state.join(name)).unwrap();
        let (history, tallies) = open_with(&state, &config());
        assert_eq!((tallies, history.status().state), (None, State::Refused), "{name}");
        assert!(history.status().why.unwrap().contains("symbolic link"));
        history.close();
    }
    assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
    // The way there may have links: it is the administrator's.
    let (real, link) = (dir.path().join("real"), dir.path().join("link"));
    std::fs::create_dir(&real).unwrap();
    symlink(&real, &link).unwrap();
    let history = open(&link);
    assert_eq!(history.status().state, State::Open);
    let mode = std::fs::metadata(real.join("history.db")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "lines of jobs are in it");
    history.close();
    if !nix::unistd::geteuid().is_root() {
        eprintln!("the rest of f90 skipped: why: only root can give a file away");
        return;
    }
    std::os::unix::fs::chown(real.join("history.db"), Some(65_534), None).unwrap();
    let (history, _) = open_with(&real, &config());
    assert_eq!(history.status().state, State::Refused);
    history.close();
}

#[test]
fn f90_a_history_that_others_could_read_is_closed_to_them() {
    let dir = tempfile::tempdir().unwrap();
    let mode = |name: &str| std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o7777;
    for (before, after) in [(0o644, 0o640), (0o666, 0o640), (0o640, 0o640), (0o600, 0o600)] {
        let history = open(dir.path());
        history.close();
        // As it comes from a backup.
        std::fs::set_permissions(dir.path().join("history.db"), PermissionsExt::from_mode(before)).unwrap();
        let history = open(dir.path());
        note(&history, [Row::Slot(slot("a", 0, missed()))]);
        assert_eq!(["history.db", "history.db-wal", "history.db-shm"].map(mode), [after; 3], "{before:o}");
        history.close();
        std::fs::set_permissions(dir.path().join("history.db"), PermissionsExt::from_mode(0o600)).unwrap();
    }
}

#[test]
fn a_history_that_is_taken_away_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    let history = open(dir.path());
    note(&history, [Row::Slot(slot("a", 0, missed()))]);
    assert_eq!(history.slots(&of("a")).unwrap().rows.len(), 1);
    std::fs::rename(dir.path().join("history.db"), dir.path().join("saved")).unwrap();
    note(&history, [Row::Slot(slot("b", 0, missed()))]);
    until("it is open again", || history.status().state == State::Open);
    assert_eq!(history.slots(&of("a")).unwrap().rows, []);
    assert_eq!(history.slots(&of("b")).unwrap().rows.len(), 1);
    history.close();
    assert_eq!(number(&look(dir.path()), "SELECT count(*) FROM slot"), 1);
}

#[test]
fn the_end_waits_for_what_is_queued() {
    let dir = tempfile::tempdir().unwrap();
    let history = open(dir.path());
    (0..3000).for_each(|nth| history.note(Row::Slot(slot("a", nth, skipped("overlap")))));
    history.close();
    history.note(Row::Slot(slot("a", -1, missed())));
    assert_eq!(number(&look(dir.path()), "SELECT count(*) FROM slot"), 3000);
    assert_eq!(history.status().dropped, 1);
    // And never for ever: somebody holds the lock.
    let history = open(dir.path());
    let other = look(dir.path());
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    history.note(Row::Slot(slot("b", 0, missed())));
    let begun = Instant::now();
    history.close();
    assert!(begun.elapsed() < Duration::from_secs(10));
}
