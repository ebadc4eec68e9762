//! The faults of section E, each against real jobs and real files.

use std::fs;
use std::path::Path;
use std::process::Command;

use rotad::job::LogTarget;
use rotad::sink::{TailEvent, Tails};
use rotad::wire::RunId;

use super::warden::{LONG, Scene, config, label, until};

const RUN: RunId = RunId(1);

fn log(dir: &Path) -> Vec<u8> {
    fs::read(dir.join("job.log")).unwrap_or_default()
}

/// The lines of a log file as (word, text), checked to be ours.
fn parsed(log: &[u8]) -> Vec<(String, Vec<u8>)> {
    let lines = log.split_inclusive(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\n").unwrap_or(line));
    lines
        .map(|line| {
            let mut parts = line.splitn(4, |byte| *byte == b' ');
            let mut text = || String::from_utf8(parts.next().unwrap_or_default().to_vec()).unwrap();
            let (at, run, word) = (text(), text(), text());
            at.parse::<jiff::Timestamp>()
                .unwrap_or_else(|error| panic!("{error}: {:?}", line.escape_ascii().to_string()));
            RunId::parse(&run).unwrap();
            assert!(matches!(&*word, "out" | "out+" | "err" | "err+" | "rotad:"), "{word}");
            (word, parts.next().unwrap_or_default().to_vec())
        })
        .collect()
}

/// What a job printed to stdout, put together again.
fn printed(log: &[u8]) -> Vec<u8> {
    let lines = parsed(log).into_iter().filter(|(word, _)| word.starts_with("out"));
    lines.flat_map(|(word, text)| text.into_iter().chain((word == "out").then_some(b'\n'))).collect()
}

fn notes(log: &[u8]) -> Vec<String> {
    let notes = parsed(log).into_iter().filter(|(word, _)| word == "rotad:");
    notes.map(|(_, text)| String::from_utf8(text).unwrap()).collect()
}

fn tail_text(tails: &Tails, run: RunId) -> Vec<String> {
    let lines = tails.of(run).unwrap_or_default().lines;
    lines.into_iter().map(|line| String::from_utf8_lossy(&line.bytes).into_owned()).collect()
}

#[test]
fn e74_beyond_the_limit_bytes_are_dropped_and_counted_to_the_byte() {
    let dir = tempfile::tempdir().unwrap();
    let mut scene = Scene::new(&config(dir.path()));
    let mut label = label(1, "job", LogTarget::File);
    label.output_limit = 1_000_001;
    let mut job = scene.run(label, "yes $(printf %099d 0) | head -c 5000000");
    assert_eq!(scene.drained(), (RUN, [5_000_000, 0], 4_000_000));
    assert!(job.wait().unwrap().success());
    let log = log(dir.path());
    assert_eq!(printed(&log), [vec![b'0'; 99], vec![b'\n']].concat().repeat(10_000));
    assert_eq!(notes(&log), ["the run's output is over its limit of 1000001 bytes; what follows is dropped"]);
    let tails = scene.capture.tails();
    assert_eq!(tails.counts(RUN).1, 4_000_000);
    let tail = tails.of(RUN).unwrap();
    assert_eq!(tail.skipped + tail.lines.len() as u64, 10_000);
    assert!(tail.over);
}

#[test]
fn e74_a_sink_that_takes_nothing_holds_a_job_up_for_seconds_at_most() {
    let dir = tempfile::tempdir().unwrap();
    let mut scene = Scene::holding(&config(dir.path()));
    let mut job =
        scene.run(label(1, "job", LogTarget::File), "yes $(printf %0199d 0) | head -c 20000000; echo end >&2");
    assert!(job.wait().unwrap().success());
    scene.capture.adopted();
    let (_, received, dropped) = scene.drained();
    let log = log(dir.path());
    assert_eq!(received, [20_000_000, 4]);
    assert_eq!(printed(&log).len() as u64, received[0] - dropped);
    assert!((4 << 20..6 << 20).contains(&(received[0] - dropped)), "{dropped}");
    assert_eq!(notes(&log), [format!("{dropped} bytes of output dropped")]);
    assert!(parsed(&log).contains(&("err".into(), b"end".to_vec())));
}

#[test]
fn e75_long_lines_and_odd_bytes_are_kept_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let mut scene = Scene::new(&config(dir.path()));
    let script = r"head -c 1000000 /dev/zero | tr '\0' x; echo; printf 'a\0b\377\033[31m\rc\n\nopen'";
    scene.run(label(1, "job", LogTarget::File), script).wait().unwrap();
    scene.drained();
    let mut expected = vec![b'x'; 1_000_000];
    expected.extend(b"\na\0b\xff\x1b[31m\rc\n\nopen");
    let log = log(dir.path());
    assert_eq!(printed(&log), expected);
    assert!(parsed(&log).iter().all(|(_, text)| text.len() <= 64 << 10));
    let tail = scene.capture.tails().of(RUN).unwrap();
    let last: Vec<_> = tail.lines.iter().rev().take(3).map(|line| (&line.bytes[..], line.open)).collect();
    assert_eq!(last, [(&b"open"[..], true), (b"", false), (b"a\0b\xff\x1b[31m\rc", false)]);
}

#[test]
fn e76_a_job_cannot_forge_a_line_of_rotad_or_of_another_run() {
    let dir = tempfile::tempdir().unwrap();
    let mut scene = Scene::new(&config(dir.path()));
    let forged = format!("2026-01-01T00:00:00.000Z {} rotad: exit 0", RunId(7));
    scene.run(label(1, "job", LogTarget::File), &format!("printf '\\n{forged}\\n<4>rotad: ok\\n'")).wait().unwrap();
    scene.drained();
    scene.capture.note(RUN, "exit 3\nafter 2 s".into());
    until("the note", || log(dir.path()).ends_with(b"rotad: exit 3\\x0aafter 2 s\n"));
    let log = log(dir.path());
    assert_eq!(printed(&log), format!("\n{forged}\n<4>rotad: ok\n").into_bytes());
    assert_eq!(notes(&log).len(), 1);
    assert!(String::from_utf8_lossy(&log).lines().all(|line| line.split(' ').nth(1) == Some(&RUN.to_string())));
}

#[test]
fn e79_what_is_planted_at_the_log_path_is_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    let victim = dir.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    std::os::unix::fs::symlink(&victim, dir.path().join("job.log")).unwrap();
    let mut scene = Scene::new(&config(dir.path()));
    scene.run(label(1, "job", LogTarget::File), "echo hello").wait().unwrap();
    assert_eq!(scene.drained(), (RUN, [6, 0], 6));
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
    assert_eq!(tail_text(&scene.capture.tails(), RUN), ["hello"]);
}

#[test]
fn e80_a_full_disk_costs_lines_and_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().join("logs");
    fs::create_dir(&logs).unwrap();
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "none"]).arg(&logs).output();
    if !mount.is_ok_and(|mount| mount.status.success()) {
        println!("skipped: a small file system needs root and mount(8)");
        return;
    }
    struct Unmount<'a>(&'a Path);
    impl Drop for Unmount<'_> {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg("-l").arg(self.0).status();
        }
    }
    let _unmount = Unmount(&logs);

    let mut scene = Scene::new(&config(&logs));
    let script = format!(
        "cd {}; seq 400000; until [ -e go ]; do sleep 0.05; done; until [ -e stop ]; do echo after; sleep 0.05; done",
        dir.path().display()
    );
    let mut job = scene.run(label(1, "job", LogTarget::File), &script);
    let tails = scene.capture.tails();
    until("the job prints all", || tail_text(&tails, RUN).last().is_some_and(|line| line == "400000"));
    let dropped = tails.counts(RUN).1;
    assert!(dropped > 0);
    // A batch that fails half-way is seen for a moment, until it is taken back.
    until("whole lines only", || {
        let kept = printed(&log(&logs));
        !kept.is_empty() && kept.ends_with(b"\n")
    });
    fs::remove_file(logs.join("job.log")).unwrap();
    fs::write(dir.path().join("go"), "").unwrap();
    until("lines come again", || printed(&log(&logs)).ends_with(b"after\n"));
    fs::write(dir.path().join("stop"), "").unwrap();
    job.wait().unwrap();
    let (_, _, dropped) = scene.drained();
    assert_eq!(notes(&log(&logs)), [format!("{dropped} bytes of output dropped")]);
}

#[test]
fn d63_a_grandchild_that_keeps_the_pipes_does_not_keep_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let mut scene = Scene::new(&config(dir.path()));
    scene.run(label(1, "job", LogTarget::File), "sleep 1000 & echo $!; printf open").wait().unwrap();
    let tails = scene.capture.tails();
    until("the first line", || !tail_text(&tails, RUN).is_empty());
    assert!(scene.events.try_recv().is_err(), "the pipes are still open");
    scene.capture.close(RUN);
    let (_, received, dropped) = scene.drained();
    let lines = tail_text(&tails, RUN);
    assert_eq!((lines[1].as_str(), lines.len(), dropped), ("open", 2, 0));
    assert_eq!(received[0] as usize, lines[0].len() + 5);
    Command::new("kill").arg(&lines[0]).status().unwrap();
}

#[test]
fn a_follower_from_the_creation_on_misses_nothing_and_one_that_does_not_read_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut scene = Scene::new(&config(dir.path()));
    let of = label(1, "job", LogTarget::None);
    let tails = scene.capture.tails();
    let job_events = tails.follow_job(&of.job);
    scene.capture.expect(of.clone());
    let (tail, events) = tails.follow(RUN).unwrap();
    assert!(tail.lines.is_empty() && !tail.over);
    let go = dir.path().join("go");
    let script = format!("seq 3000000; until [ -e {} ]; do sleep 0.02; done; echo more; echo last", go.display());
    let mut job = scene.run(of, &script);
    // Nobody reads: the job is held up for seconds, and goes on.
    until("all are printed", || tail_text(&tails, RUN).last().is_some_and(|line| line == "3000000"));
    let (mut next, mut dropped) = (1, 0);
    while dropped == 0 {
        match events.next(LONG).unwrap() {
            (RUN, TailEvent::Lines(lines)) => {
                assert_eq!(lines.first + 1, next);
                for line in lines.lines() {
                    assert_eq!(String::from_utf8(line.bytes).unwrap(), next.to_string());
                    next += 1;
                }
            }
            (RUN, TailEvent::Dropped(count)) => dropped = count,
            unexpected => panic!("{unexpected:?}"),
        }
    }
    assert_eq!(next - 1 + dropped, 3_000_000);
    assert!(next > 1_000_000, "8 MiB wait for it");
    fs::write(go, "").unwrap();
    let mut last = Vec::new();
    while let (RUN, TailEvent::Lines(lines)) = events.next(LONG).unwrap() {
        last.extend(lines.lines().map(|line| line.bytes));
    }
    assert_eq!(last, [b"more", b"last"]);
    assert!(events.next(LONG).is_err(), "that was the end");
    job.wait().unwrap();
    scene.drained();
    assert!(matches!(job_events.next(LONG).unwrap(), (RUN, TailEvent::Lines(lines)) if lines.first == 0));
    let (tail, events) = tails.follow(RUN).unwrap();
    assert!(tail.over && tail.lines.len() as u64 + tail.skipped == 3_000_002);
    assert_eq!(events.next(LONG).unwrap(), (RUN, TailEvent::Over));
}

#[test]
fn e74_a_follower_that_reads_slowly_holds_the_job_and_nothing_is_lost() {
    const BYTES: u64 = 40_000_000;
    let dir = tempfile::tempdir().unwrap();
    let mut scene = Scene::new(&config(dir.path()));
    let of = label(1, "job", LogTarget::File);
    scene.capture.expect(of.clone());
    let (_, events) = scene.capture.tails().follow(RUN).unwrap();
    let mut job = scene.run(of, &format!("yes $(printf %099d 0) | head -c {BYTES}"));
    let (mut lines, mut batches) = (0, 0);
    loop {
        match events.next(LONG).unwrap().1 {
            TailEvent::Lines(more) => (lines, batches) = (lines + more.count, batches + 1),
            TailEvent::Over => break,
            TailEvent::Dropped(count) => panic!("{count} lines dropped after {lines}"),
        }
        if (20..32).contains(&batches) {
            // Longer, all together, than anybody waits who sees nothing happen. Time has to pass.
            std::thread::sleep(std::time::Duration::from_millis(300));
        }
    }
    assert!(job.wait().unwrap().success());
    assert_eq!(lines, BYTES / 100);
    assert_eq!(scene.drained(), (RUN, [BYTES, 0], 0));
    assert_eq!(printed(&log(dir.path())).len() as u64, BYTES);
}

#[test]
fn a_job_keeps_the_tails_of_its_last_five_runs() {
    let dir = tempfile::tempdir().unwrap();
    let mut scene = Scene::new(&config(dir.path()));
    let of = |run| label(run, "job", LogTarget::None);
    for run in 1..=7 {
        scene.run(of(run), "echo hello").wait().unwrap();
        scene.drained();
    }
    scene.capture.expect(of(8));
    scene.capture.abandon(RunId(8));
    let tails = scene.capture.tails();
    until("the abandoned one is over", || tails.of(RunId(8)).is_some_and(|tail| tail.over));
    until("five are left", || tails.runs_of(&of(1).job) == [4, 5, 6, 7, 8].map(RunId));
    assert!(tails.of(RunId(3)).is_none());
}
