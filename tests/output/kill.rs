//! The engine is killed while jobs print, and nothing of what they print is lost or comes twice.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use rotad::job::LogTarget;

use super::warden::{Warden, config};

const KILLS: u64 = 40;
const JOBS: u64 = 6;

/// Pseudo-random numbers, other ones each time.
fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

fn size(dir: &Path) -> u64 {
    fs::read_dir(dir).unwrap().filter_map(|entry| Some(entry.unwrap().metadata().ok()?.len())).sum()
}

/// All lines of a job's files, oldest first.
fn lines(dir: &Path, job: &str) -> Vec<String> {
    let rotated = (1..).map(|number| dir.join(format!("{job}.log.{number}"))).take_while(|path| path.exists());
    let mut files: Vec<_> = rotated.collect();
    files.reverse();
    files.push(dir.join(format!("{job}.log")));
    files
        .iter()
        .flat_map(|file| fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

#[test]
fn a_killed_engine_loses_and_doubles_no_line_of_log_files_while_they_rotate() {
    const LINES: u64 = 400_000;
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    (config.max_size, config.keep) = (2 << 20, 1000);
    let mut warden = Warden::default();
    for run in 1..=JOBS {
        warden.start(run, &format!("job{run}"), LogTarget::File, &format!("seq {LINES} & seq {LINES} >&2; wait"));
    }
    let mut kills = 0;
    for _ in 0..KILLS {
        let goal = size(dir.path()) + random() % (4 << 20);
        let engine = warden.engine(&config, Stdio::inherit());
        warden.hear(&engine, |warden| warden.runs.is_empty() || size(dir.path()) >= goal);
        kills += u64::from(!warden.runs.is_empty());
        warden.kill(engine);
    }
    let engine = warden.engine(&config, Stdio::inherit());
    warden.hear(&engine, |warden| warden.runs.is_empty());
    warden.kill(engine);
    assert!(kills >= 30, "only {kills} kills while jobs printed");

    for run in 1..=JOBS {
        let mut expected = BTreeMap::from([("out", 1), ("err", 1)]);
        for line in lines(dir.path(), &format!("job{run}")) {
            let words: Vec<_> = line.split(' ').collect();
            let [_, _, stream, number] = words[..] else { panic!("cut: {line:?}") };
            let next = expected.get_mut(stream).unwrap_or_else(|| panic!("{line:?}"));
            assert_eq!(number, next.to_string(), "job{run} {stream}");
            *next += 1;
        }
        assert_eq!(expected, BTreeMap::from([("out", LINES + 1), ("err", LINES + 1)]), "job{run}");
    }
}

#[test]
fn a_killed_engine_doubles_at_most_one_line_on_the_terminal() {
    const LINES: u64 = 60_000;
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let mut warden = Warden::default();
    for run in 1..=JOBS {
        warden.start(run, &format!("job{run}"), LogTarget::Auto, &format!("seq {LINES}"));
    }
    let shown = Arc::new(Mutex::new(Vec::new()));
    let (mut reader, writer) = std::io::pipe().unwrap();
    let all = shown.clone();
    let screen = std::thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(count @ 1..) = std::io::Read::read(&mut reader, &mut buffer) {
            all.lock().unwrap().extend_from_slice(&buffer[..count]);
        }
    });
    let mut kills = 0;
    for _ in 0..KILLS {
        let engine = warden.engine(&config, writer.try_clone().unwrap().into());
        let goal = shown.lock().unwrap().len() as u64 + random() % (200 << 10);
        warden.hear(&engine, |warden| warden.runs.is_empty() || shown.lock().unwrap().len() as u64 >= goal);
        kills += usize::from(!warden.runs.is_empty());
        warden.kill(engine);
    }
    let engine = warden.engine(&config, writer.into());
    warden.hear(&engine, |warden| warden.runs.is_empty());
    warden.kill(engine);
    screen.join().unwrap();
    assert!(kills >= 30, "only {kills} kills while jobs printed");

    let text = String::from_utf8(std::mem::take(&mut *shown.lock().unwrap())).unwrap();
    let mut last = BTreeMap::new();
    let mut odd = 0;
    for line in text.lines() {
        let Some((job, number)) = line.split_once("]: ").and_then(|(job, number)| Some((job, number.parse().ok()?)))
        else {
            odd += 1;
            continue;
        };
        let last: &mut u64 = last.entry(job.to_owned()).or_default();
        if number == *last + 1 {
            *last = number;
        } else {
            odd += 1;
        }
    }
    assert_eq!(last.values().copied().collect::<Vec<_>>(), vec![LINES; JOBS as usize], "{odd} odd lines");
    assert!(odd <= kills, "{odd} lines cut or doubled by {kills} kills");
}
