//! The engine dies; the jobs do not notice, and nothing is lost.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing where something must be has failed")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use common::{Daemon, Setup, until, until_true};
use nix::sys::signal::Signal;

/// Kills of the engine.
const KILLS: usize = 50;
/// Jobs that print meanwhile.
const JOBS: usize = 200;

/// 200 jobs print numbered lines into log files and end with a code of their own while the engine is killed 50 times.
/// Every number must be in the log exactly once and in order, but for one line a kill that may be cut; every code must be
/// known; the socket must never refuse a connection.
#[test]
fn d73_fifty_kills_of_the_engine_disturb_no_job_and_lose_no_line_and_no_code() {
    let mut setup = Setup::new("");
    let log = setup.path().join("log");
    let go = setup.path().join("go");
    let config = format!("log: {{target: file, dir: {}}}", log.display());
    setup = setup.configure(&config);
    for job in 0..JOBS {
        // Prints until it is told to stop, then its count; ends with a code of its own.
        let text = format!(
            "script: |\n  i=0\n  while [ ! -e {go} ]; do\n    echo \"line $i of {job}\"; echo \"err $i of {job}\" >&2; i=$((i+1))\n    [ $((i % 40)) = 0 ] && sleep 1\n  done\n  echo \"end $i\"\n  exit {code}\n",
            go = go.display(),
            code = job % 250
        );
        setup = setup.job(&format!("job{job:03}.yaml"), &text);
    }
    let daemon = setup.start();
    let runs: Vec<String> = (0..JOBS)
        .map(|job| {
            let output = daemon.rota(&["run", &format!("job{job:03}")]);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        })
        .collect();
    until_true("all of them run", || daemon.json(&["status"])["running"] == JOBS);
    let pids = || -> BTreeMap<String, i64> {
        let jobs = daemon.json(&["list"]);
        let jobs = jobs["jobs"].as_array().or(jobs.as_array()).unwrap().clone();
        jobs.iter()
            .filter_map(|job| Some((job["name"].as_str()?.to_owned(), job["running"][0]["pid"].as_i64()?)))
            .collect()
    };
    let before = until("all have a leader", || Some(pids()).filter(|pids| pids.len() == JOBS));

    // Somebody knocks all the while.
    let (over, knocks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let socket = daemon.path().join("run/rotad.sock");
    let knocker = std::thread::spawn({
        let (over, knocks) = (over.clone(), knocks.clone());
        move || {
            while !over.load(Ordering::Relaxed) {
                UnixStream::connect(&socket).expect("the socket refused a connection");
                knocks.fetch_add(1, Ordering::Relaxed);
                std::thread::park_timeout(std::time::Duration::from_millis(2));
            }
        }
    });

    let mut random = 88_172_645_463_325_252_u64;
    for kill in 0..KILLS {
        let engine = until("an engine", || daemon.engine());
        // At any moment of its life: every other one from its first steps on, the rest at full work.
        if kill % 2 == 1 {
            daemon.ready();
        }
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let moment = std::time::Instant::now() + std::time::Duration::from_micros(random % 120_000);
        until_true("the moment has come", || std::time::Instant::now() >= moment);
        Daemon::signal(engine, Signal::SIGKILL);
        until("another engine", || daemon.engine().filter(|new| *new != engine));
    }
    daemon.ready();
    until_true("all are adopted", || daemon.json(&["status"])["running"] == JOBS);
    assert_eq!(pids(), before, "the very same processes");
    over.store(true, Ordering::Relaxed);
    knocker.join().unwrap();
    assert!(knocks.load(Ordering::Relaxed) > 100);

    // They end while an engine is away.
    let engine = daemon.engine().unwrap();
    Daemon::signal(engine, Signal::SIGSTOP);
    fs::write(&go, "").unwrap();
    until_true("all leaders are gone", || before.values().all(|pid| !fs::exists(format!("/proc/{pid}/cwd")).unwrap()));
    Daemon::signal(engine, Signal::SIGKILL);
    until("another engine", || daemon.engine().filter(|new| *new != engine));
    daemon.ready();
    until_true("all are booked", || daemon.json(&["status"])["running"] == 0);

    let (mut lines, mut cut) = (0_u64, 0_usize);
    for (job, run) in runs.iter().enumerate() {
        let view = daemon.json(&["show", &format!("job{job:03}")]);
        assert_eq!(view["last"]["run"], run.as_str());
        assert_eq!(view["last"]["exit"]["code"], job % 250, "{}", view["last"]);
        let text = fs::read_to_string(log.join(format!("job{job:03}.log"))).unwrap();
        for (word, stream) in [("line", " out "), ("err", " err ")] {
            let printed: Vec<&str> = text.lines().filter(|line| line.contains(stream)).collect();
            let numbers: Vec<u64> = printed
                .iter()
                .filter_map(|line| {
                    let mut words = line.split(stream).nth(1)?.split(' ');
                    (words.next()? == word).then(|| words.next()?.parse().ok())?
                })
                .collect();
            let last = numbers.last().copied().unwrap();
            lines += numbers.len() as u64;
            let mut distinct = numbers.clone();
            distinct.dedup();
            assert!(distinct.is_sorted(), "job {job}: order");
            let whole = last + 1;
            let missing = whole as usize - distinct.len().min(whole as usize);
            let doubled = numbers.len() - distinct.len();
            cut += missing + doubled;
        }
        let total: Option<u64> = text.lines().find_map(|line| line.split("out end ").nth(1)?.parse().ok());
        let ending: Vec<&str> = text.lines().rev().take(5).collect();
        let total = total.unwrap_or_else(|| panic!("job {job}: its last line is lost: {ending:#?} {view}"));
        let last =
            text.lines().rev().find_map(|line| line.split("out line ").nth(1)?.split(' ').next()?.parse::<u64>().ok());
        assert_eq!(last.unwrap() + 1, total, "job {job}: its last lines are there");
    }
    eprintln!("{KILLS} kills, {JOBS} jobs, {lines} lines, {cut} of them cut or doubled");
    assert!(cut <= KILLS, "{cut} lines cut or doubled by {KILLS} kills");
}

#[test]
fn d73_what_fails_to_start_while_the_engine_is_away_is_told() {
    let daemon =
        Setup::new("").job("bad.yaml", "command: /no/such/program\n").job("good.yaml", "script: echo fine\n").start();
    daemon.replace_engine();
    assert_eq!(daemon.rota(&["run", "bad", "--wait"]).status.code(), Some(125));
    assert_eq!(daemon.run("good"), (Some(0), "fine\n".to_owned()));
}

#[test]
fn a7_a17_no_slot_is_run_twice_and_none_is_lost_over_engine_deaths() {
    let setup = Setup::new("");
    let out = setup.path().join("slots");
    fs::write(&out, "").unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    fs::set_permissions(&out, open).unwrap();
    let daemon = setup
        .job(
            "tick.yaml",
            &format!(
                "schedule: '* * * * * *'\non_overlap: allow\nscript: echo $ROTA_SCHEDULED_AT >> {}\n",
                out.display()
            ),
        )
        .start();
    let slots = || -> Vec<jiff::Timestamp> {
        fs::read_to_string(&out).unwrap().lines().filter_map(|line| line.parse().ok()).collect()
    };
    until_true("it ticks", || slots().len() >= 2);
    // Not so many that the wait for the next engine gets as long as the time between two slots.
    for _ in 0..4 {
        let seen = slots().len();
        daemon.replace_engine();
        until_true("it ticks on", || slots().len() > seen);
    }
    let mut slots = slots();
    let all = slots.len();
    slots.sort();
    slots.dedup();
    assert_eq!(slots.len(), all, "a slot was run twice");
    for pair in slots.windows(2) {
        assert_eq!(pair[1].duration_since(pair[0]).as_secs(), 1, "a slot between {pair:?} was lost");
    }
}

#[test]
fn h107_a_hung_engine_is_replaced_and_the_jobs_do_not_notice() {
    let daemon = Setup::new("")
        .env("WATCHDOG_USEC", "2000000")
        .job("long.yaml", "script: |\n  echo $$; while :; do sleep 0.05; done\n")
        .start();
    assert!(daemon.rota(&["run", "long"]).status.success());
    let pid = until("it runs", || daemon.json(&["show", "long"])["running"][0]["pid"].as_i64());
    let engine = daemon.engine().unwrap();
    Daemon::signal(engine, Signal::SIGSTOP);
    until("a new engine", || daemon.engine().filter(|new| *new != engine));
    daemon.ready();
    until_true("the run is adopted", || daemon.json(&["show", "long"])["running"][0]["pid"] == pid);
    assert!(daemon.stderr().contains("does not answer"), "{}", daemon.stderr());
    assert!(daemon.rota(&["stop", "long"]).status.success());
    until_true("it is stopped", || daemon.json(&["show", "long"])["running"].as_array().unwrap().is_empty());
}

#[test]
fn h111_an_engine_that_dies_at_once_is_not_restarted_in_a_hot_loop() {
    let daemon = Setup::new("").job("a.yaml", "script: 'true'\n").start();
    let start = std::time::Instant::now();
    let mut engines = std::collections::BTreeSet::new();
    while engines.len() < 6 {
        let engine = until("an engine", || daemon.engine().filter(|engine| !engines.contains(engine)));
        engines.insert(engine);
        Daemon::signal(engine, Signal::SIGKILL);
    }
    assert!(start.elapsed() >= std::time::Duration::from_millis(300), "{:?}", start.elapsed());
    daemon.ready();
    assert_eq!(daemon.run("a").0, Some(0));
}
