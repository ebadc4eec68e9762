use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, channel};

use super::*;
use crate::engine::core::{Span, Stretch, Trigger};
use crate::job::JobName;
use crate::wire::MAX_RUNS;

/// As a daemon before there were marks in it has left it.
const FIRST_VERSION: &str = "6c0f1b6e-0000-4000-8000-3f6d00c0ffee 2026-11-20T02:00:00.5Z
0000000000002 2026-11-20T02:30:00.125Z 2026-11-20T02:30:00.125Z backup
0000000000003 2026-11-20T02:30:00.125Z - a job @every 10s
";

fn time(text: &str) -> Timestamp {
    format!("2026-11-20T{text}Z").parse().unwrap()
}

fn name(text: &str) -> JobName {
    JobName::parse(text).unwrap()
}

fn entry(run: u64, job: &str) -> Entry {
    let since = time("02:30:00.125");
    let slot = run.is_multiple_of(2).then_some(since);
    let trigger = if slot.is_some() { Trigger::Schedule } else { Trigger::Request };
    Entry { run: RunId(run), of: RunId(run), job: name(job), slot, trigger, since, over: false }
}

fn span(since: &str, until: &str) -> Span {
    Span { since: time(since), until: time(until) }
}

/// A ledger in `dir`, what was left there, and the runs that it lets start.
fn open(dir: &Path, warden: &str) -> (Ledger, Left, Receiver<Vec<RunId>>) {
    let (say, said) = channel();
    let (ledger, left) = Ledger::open(dir, time(warden), Box::new(move |runs| say.send(runs).unwrap()));
    (ledger, left, said)
}

/// A page with something of everything.
fn words() -> Vec<Word> {
    let stretch = |number, from, to| Stretch { number, from: time(from), to: time(to) };
    vec![
        Word::Enter(entry(2, "backup")),
        Word::Claim(Entry { of: RunId(1), trigger: Trigger::CatchUp, ..entry(4, "made up for") }),
        Word::Mark {
            // A run of an engine before that was found in the future has a stretch of the same number as the present one.
            stretches: vec![stretch(5, "03:00:00", "03:30:00"), stretch(5, "02:00:00", "02:30:01")],
            doubts: vec![span("01:30:00", "01:40:00")],
            last_run: RunId(7),
        },
        Word::Owed(name("a job @every 10s"), vec![time("02:10:00"), time("02:20:00")]),
        Word::Made(name("backup"), vec![span("01:45:00", "01:50:00")]),
    ]
}

#[test]
fn d73_what_was_cut_is_found_by_the_next_warden_and_by_no_engine_of_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, left, _) = open(dir.path(), "02:00:00");
    assert_eq!(left, Left::default());
    ledger.begin();
    let entries = [entry(2, "backup"), entry(3, "a job @every 10s")];
    let over = entry(4, "over");
    ledger.hear(entries.iter().chain([&over]).cloned().map(Word::Enter).collect());
    ledger.hear(vec![Word::Strike(RunId(4))]);
    ledger.close();
    assert!(open(dir.path(), "02:00:00").1.own, "a successor has them from the warden");
    let (unused, left, _) = open(dir.path(), "03:00:00");
    assert_eq!((left.runs, left.rebooted, left.own), (entries.to_vec(), false, false));
    unused.close();
    // Whoever dies before it has told leaves them to the next.
    let (mut ledger, left, _) = open(dir.path(), "03:00:00");
    assert_eq!(left.runs.len(), 2);
    ledger.begin();
    ledger.close();
    assert_eq!(open(dir.path(), "02:00:00").1.runs, []);
}

#[test]
fn what_is_said_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, _, claims) = open(dir.path(), "02:00:00");
    ledger.begin();
    ledger.hear(words());
    assert_eq!(claims.recv().unwrap(), [RunId(4)], "a claim is on the disk before it is answered");
    let (_, left, _) = open(dir.path(), "03:00:00");
    assert!(left.seen.is_some_and(|seen| seen <= Timestamp::now()));
    assert_eq!((left.end, left.last_run, left.rebooted, left.own), (End::Open, RunId(7), false, false));
    assert_eq!(left.stretches.iter().map(|stretch| stretch.number).collect::<Vec<_>>(), [5, 5]);
    assert_eq!(left.doubts, [span("01:30:00", "01:40:00")]);
    assert_eq!(left.runs.len(), 2);
    assert_eq!((left.runs[1].of, left.runs[1].trigger), (RunId(1), Trigger::CatchUp));
    let owed = BTreeSet::from([time("02:10:00"), time("02:20:00")]);
    assert_eq!(left.owed, BTreeMap::from([(name("a job @every 10s"), owed)]));
    assert_eq!(left.made, BTreeMap::from([(name("backup"), vec![span("01:45:00", "01:50:00")])]));
    ledger.hear(vec![Word::Owed(name("a job @every 10s"), vec![]), Word::End(End::Closed)]);
    ledger.close();
    let (_, left, _) = open(dir.path(), "03:00:00");
    assert_eq!((left.end, left.owed.len()), (End::Closed, 0));
}

#[test]
fn the_first_version_is_read_for_ever() {
    let left = read(FIRST_VERSION, "6c0f1b6e-0000-4000-8000-3f6d00c0ffee 2026-11-20T03:00:00Z").unwrap();
    assert_eq!(left, Left { runs: vec![entry(2, "backup"), entry(3, "a job @every 10s")], ..Left::default() });
    assert!(read(FIRST_VERSION, "another 2026-11-20T03:00:00Z").unwrap().rebooted);
}

#[test]
fn f84_a_torn_or_forged_ledger_says_only_what_is_certain() {
    let mut page = Page::default();
    words().into_iter().for_each(|word| page.hear(word));
    let text = page.write("boot-1 then", time("02:30:02"));
    let whole = |text: &str| read(text, "boot-2 now");
    let good = whole(&text).unwrap();
    assert!(good.rebooted && good.stretches.len() == 2);
    for cut in 0..text.len() - 1 {
        let left = whole(&text[..cut]).unwrap_or_default();
        assert!(left.runs.len() <= 2);
        assert_eq!((left.stretches, left.doubts, left.seen, left.end), (vec![], vec![], None, End::Open), "{cut}");
        assert!(left.owed.is_empty() && left.made.is_empty(), "a half of it is no mark");
    }
    let junk = "run\nrun x\nowed\nowed soon a\nmade 1 2 3\nstretch 9 x y\nstretch 1 2026-11-20T02:00:00Z 2026-11-20T01:00:00Z\n";
    let forged = text.replace("end\n", &format!("{junk}\n\u{0}\nend\n"));
    assert_eq!(whole(&forged).unwrap(), good);
    for nothing in ["", "x", "rotad-ledger 3 "] {
        assert_eq!(whole(nothing), None);
    }
    let many = "run 0000000000004 0000000000004 2026-11-20T02:30:00Z - request x\n".repeat(MAX_RUNS * 2);
    assert_eq!(whole(&format!("rotad-ledger 2 a b\n{many}end\n")).unwrap().runs.len(), MAX_RUNS);
}

#[test]
fn f86_a_ledger_without_a_disk_is_no_reason_to_stop() {
    let (mut ledger, left, claims) = open(Path::new("/proc/none"), "02:00:00");
    assert_eq!(left, Left::default());
    ledger.begin();
    ledger.hear(vec![Word::Claim(entry(2, "backup"))]);
    assert_eq!(claims.recv().unwrap(), [RunId(2)], "told all the same");
    ledger.close();
}
