//! Standard error as a sink, and what an engine costs while nothing happens.

use std::fs;
use std::io::Read;
use std::process::Stdio;
use std::time::Duration;

use rotad::job::LogTarget;
use rotad::wire::RunId;

use super::warden::{Engine, Warden, config, until};

fn shown(warden: &mut Warden) -> String {
    let dir = tempfile::tempdir().unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let engine = warden.engine(&config(dir.path()), writer.into());
    warden.hear(&engine, |warden| warden.runs.is_empty());
    warden.kill(engine);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn e75_e76_lines_on_stderr_are_led_by_the_job_and_escaped() {
    let mut warden = Warden::default();
    warden.start(1, "a job", LogTarget::Auto, r"printf 'one\ttwo\n\033[2J\r\377\n'; printf 'open' >&2");
    let id = RunId(1);
    let text = shown(&mut warden);
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    let expected =
        [format!("a job[{id}]: \\x1b[2J\\x0d\\xff"), format!("a job[{id}]: one\ttwo"), format!("a job[{id}]: open")];
    assert_eq!(lines, expected);
}

#[test]
fn e77_nobody_reads_stderr_and_jobs_end_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let mut warden = Warden::default();
    let (mut reader, writer) = std::io::pipe().unwrap();
    warden.start(1, "loud", LogTarget::Auto, "seq 1000000");
    warden.start(2, "filed", LogTarget::File, "seq 1000");
    let engine = warden.engine(&config(dir.path()), writer.try_clone().unwrap().into());
    warden.hear(&engine, |warden| warden.runs.is_empty());
    assert_eq!(fs::read_to_string(dir.path().join("filed.log")).unwrap().lines().count(), 1000);

    // Once somebody reads again, the lines come whole again.
    warden.start(3, "later", LogTarget::Auto, "seq 100");
    warden.kill(engine);
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert!(text.starts_with(&format!("loud[{}]: 1\n", RunId(1))));
    assert_eq!(shown(&mut warden).lines().count(), 100);
}

#[test]
fn stderr_is_closed_and_jobs_end_all_the_same() {
    let mut warden = Warden::default();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let dir = tempfile::tempdir().unwrap();
    warden.start(1, "loud", LogTarget::Auto, "seq 1000000");
    let engine = warden.engine(&config(dir.path()), writer.into());
    warden.hear(&engine, |warden| warden.runs.is_empty());
    warden.kill(engine);
}

/// How often the threads of the capture have slept.
fn sleeps(engine: &Engine) -> Vec<(String, String, u64)> {
    let tasks = fs::read_dir(format!("/proc/{}/task", engine.process.id())).unwrap();
    let threads = tasks.filter_map(|task| {
        let task = task.unwrap().path();
        let name = fs::read_to_string(task.join("comm")).ok()?.trim().to_owned();
        let status = fs::read_to_string(task.join("status")).ok()?;
        let field = |name: &str| Some(status.lines().find_map(|line| line.strip_prefix(name))?.trim().to_owned());
        let sleeps = field("voluntary_ctxt_switches:")?.parse().ok()?;
        matches!(&*name, "capture" | "log-files" | "log-terminal").then_some((name, field("State:")?, sleeps))
    });
    threads.collect()
}

#[test]
fn nothing_wakes_while_nothing_is_printed() {
    let dir = tempfile::tempdir().unwrap();
    let mut warden = Warden::default();
    for (run, target) in [(1, LogTarget::File), (2, LogTarget::Auto)] {
        warden.start(run, &format!("quiet{run}"), target, "printf 'a line\nand a prompt: '; exec sleep 1000");
    }
    let engine = warden.engine(&config(dir.path()), Stdio::null());
    warden.hear(&engine, |warden| warden.runs.values().all(|run| run.spools.len() == 1));
    until("the line is in its file", || fs::read(dir.path().join("quiet1.log")).is_ok_and(|log| !log.is_empty()));
    until("all sleep", || {
        let threads = sleeps(&engine);
        threads.len() == 3 && threads.iter().all(|(_, state, _)| state.starts_with('S'))
    });
    // Nothing happens that could be waited for: time has to pass, twice.
    std::thread::sleep(Duration::from_millis(200));
    let before = sleeps(&engine);
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(sleeps(&engine), before);
    warden.kill(engine);
    for run in warden.runs.values_mut() {
        run.program.kill().unwrap();
        run.program.wait().unwrap();
    }
}
