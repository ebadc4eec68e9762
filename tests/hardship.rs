//! The daemon when the machine lets it down: stopped, out of processes, out of descriptors.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing where something must be has failed")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

use common::{Daemon, Setup, until, until_true};
use jiff::Timestamp;
use nix::sys::signal::Signal;

#[test]
fn a8_a9_a_daemon_that_was_stopped_runs_no_slot_twice_and_leaves_none_without_a_verdict() {
    let setup = Setup::new("");
    let out = setup.path().join("out");
    fs::write(&out, "").unwrap();
    fs::set_permissions(&out, fs::Permissions::from_mode(0o666)).unwrap();
    let text =
        format!("schedule: '* * * * * *'\non_overlap: queue\nscript: echo $ROTA_SCHEDULED_AT >> {}\n", out.display());
    let daemon = setup.job("tick.yaml", &text).start();
    let ran =
        || -> Vec<Timestamp> { fs::read_to_string(&out).unwrap().lines().map(|line| line.parse().unwrap()).collect() };
    until_true("it runs", || ran().len() >= 2);
    let both = [daemon.pid(), daemon.engine().unwrap()];
    for pid in both {
        Daemon::signal(pid, Signal::SIGSTOP);
    }
    let before = ran().len();
    let stopped = Instant::now();
    until_true("some slots go by", || stopped.elapsed() >= Duration::from_secs(4));
    for pid in both {
        Daemon::signal(pid, Signal::SIGCONT);
    }
    let continued = Timestamp::now();
    until_true("it runs again", || ran().last().is_some_and(|slot| *slot > continued));
    assert!(ran().len() > before);
    let mut slots = ran();
    slots.sort();
    assert!(slots.windows(2).all(|pair| pair[0] < pair[1]), "a slot was run twice: {slots:?}");
    let verdicts = daemon.json(&["show", "tick"])["verdicts"].clone();
    let missed = |row: &&serde_json::Value| row["verdict"] == "missed" && row["why"] == "stopped";
    assert_eq!(verdicts.as_array().unwrap().iter().filter(missed).count(), 1, "one row tells of all: {verdicts:#}");
    let told: u64 = verdicts.as_array().unwrap().iter().map(|row| row["count"].as_u64().unwrap_or(1)).sum();
    let at = |row: &serde_json::Value| row["slot"].as_str().unwrap().parse::<Timestamp>().unwrap();
    let rows: Vec<Timestamp> = verdicts.as_array().unwrap().iter().map(at).collect();
    let (first, last) = (rows.iter().min().unwrap(), rows.iter().max().unwrap());
    assert_eq!(told, last.duration_since(*first).as_secs().unsigned_abs() + 1, "{verdicts:#}");
}

/// A daemon of a plain user, also where root runs the tests: root has no limit of processes.
fn of_a_plain_user(setup: Setup, then: &str) -> Setup {
    let script = format!("{then}exec \"$@\"");
    if !nix::unistd::geteuid().is_root() {
        return setup.through(&["sh", "-c", &script, "sh"]);
    }
    let games = nix::unistd::User::from_name("games").unwrap().unwrap();
    for path in [setup.path().to_owned(), setup.path().join("conf.d")] {
        std::os::unix::fs::chown(path, Some(games.uid.as_raw()), Some(games.gid.as_raw())).unwrap();
    }
    let [uid, gid] = [format!("--reuid={}", games.uid), format!("--regid={}", games.gid)];
    setup.through(&["setpriv", &uid, &gid, "--clear-groups", "sh", "-c", &script, "sh"])
}

#[test]
fn c59_no_process_can_be_made_and_that_is_what_is_told() {
    let setup = Setup::new("")
        .job("a.yaml", "script: echo here\n")
        .job("tick.yaml", "schedule: '* * * * * *'\nscript: 'true'\n");
    let daemon = of_a_plain_user(setup, "").start();
    // By the daemon's own user: another's limits are for those who may do more than root in a container.
    let limit = |limit: &str| {
        let own = nix::unistd::User::from_name("games").unwrap().unwrap();
        let mut command = std::process::Command::new("prlimit");
        if nix::unistd::geteuid().is_root() {
            command.uid(own.uid.as_raw()).gid(own.gid.as_raw());
        }
        command.args([format!("--pid={}", daemon.pid()), format!("--nproc={limit}:")]).status().unwrap().success()
    };
    assert_eq!(daemon.run("a").1, "here\n");
    assert!(limit("1"));
    let output = daemon.rota(&["run", "a", "--wait"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(125), "{told}");
    assert!(
        told.contains("could not start") && (told.contains("temporarily unavailable") || told.contains("Try again")),
        "{told}"
    );
    until_true("the slots go on failing, one verdict each", || {
        daemon.json(&["show", "tick"])["last"]["outcome"] == "could-not-start"
    });
    assert!(limit("4096"));
    assert_eq!(daemon.run("a").1, "here\n", "it is as if nothing had been");
    until_true("so are the slots", || daemon.json(&["show", "tick"])["last"]["outcome"] == "exited");
}

#[test]
fn h113_out_of_descriptors_requests_wait_and_jobs_go_on() {
    let setup = Setup::new("");
    let out = setup.path().join("out");
    fs::write(&out, "").unwrap();
    fs::set_permissions(&out, fs::Permissions::from_mode(0o666)).unwrap();
    let lines = || fs::read_to_string(&out).unwrap().lines().count();
    let tick = format!("schedule: '* * * * * *'\nscript: echo tick >> {}\n", out.display());
    let daemon = of_a_plain_user(setup.job("tick.yaml", &tick), "ulimit -n 40; ").start();
    let engine = daemon.engine();
    let socket = daemon.path().join("run/rotad.sock");
    // Connections that never ask for anything take what there is.
    let held: Vec<UnixStream> = (0..60).filter_map(|_| UnixStream::connect(&socket).ok()).collect();
    assert!(!held.is_empty());
    let before = lines();
    until_true("slots go on", || lines() >= before + 3);
    drop(held);
    until_true("requests are answered again", || daemon.rota(&["status"]).status.success());
    assert_eq!(daemon.engine(), engine, "nothing had to be restarted");
    let verdicts = daemon.json(&["show", "tick"])["verdicts"].clone();
    assert!(verdicts.as_array().unwrap().iter().all(|row| row["verdict"] == "ran"), "{verdicts}");
}

#[test]
fn h113_more_jobs_than_descriptors_could_not_start_and_the_others_end_as_they_should() {
    const JOBS: usize = 30;
    let mut setup = Setup::new("");
    let go = setup.path().join("go");
    for number in 0..JOBS {
        setup = setup.job(
            &format!("j{number}.yaml"),
            &format!("script: |\n  while [ ! -e {} ]; do sleep 0.05; done; echo done\n", go.display()),
        );
    }
    let daemon = of_a_plain_user(setup.job("after.yaml", "script: echo after\n"), "ulimit -n 64; ").start();
    for number in 0..JOBS {
        let output = daemon.rota(&["run", &format!("j{number}")]);
        assert!(matches!(output.status.code(), Some(0 | 75)), "{}", String::from_utf8_lossy(&output.stderr));
    }
    fs::write(&go, "").unwrap();
    // Places at the gate are few here, and given back a moment after the answer.
    let ask = |verb| {
        let answer = until(verb, || Some(daemon.rota(&[verb, "--json"])).filter(|output| output.status.success()));
        serde_json::from_slice::<serde_json::Value>(&answer.stdout).unwrap()
    };
    until_true("all are over", || ask("status")["running"] == 0);
    let mut outcomes = std::collections::BTreeMap::<String, usize>::new();
    for job in ask("list").as_array().unwrap().iter().filter(|job| job["last"].is_object()) {
        *outcomes.entry(job["last"]["outcome"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert!(outcomes.contains_key("exited"), "{outcomes:?}");
    assert!(outcomes.keys().all(|word| word == "exited" || word == "could-not-start"), "{outcomes:?}");
    assert_eq!(daemon.run("after"), (Some(0), "after\n".to_owned()));
}

#[test]
fn d66_many_ends_and_one_signal_that_tells_of_them_lose_no_exit_code() {
    const JOBS: i64 = 20;
    let mut setup = Setup::new("");
    let go = setup.path().join("go");
    for code in 1..=JOBS {
        let text = format!("script: |\n  while [ ! -e {} ]; do sleep 0.02; done; exit {code}\n", go.display());
        setup = setup.job(&format!("j{code}.yaml"), &text);
    }
    let daemon = setup.start();
    let pids: Vec<i64> = (1..=JOBS)
        .map(|code| {
            let name = format!("j{code}");
            assert!(daemon.rota(&["run", &name]).status.success());
            until("it runs", || daemon.json(&["show", &name])["running"][0]["pid"].as_i64())
        })
        .collect();
    let both = [daemon.pid(), daemon.engine().unwrap()];
    both.iter().for_each(|pid| Daemon::signal(*pid, Signal::SIGSTOP));
    fs::write(&go, "").unwrap();
    let is_over = |pid: &i64| fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "));
    until_true("all have ended, and nobody has looked", || pids.iter().all(is_over));
    both.iter().for_each(|pid| Daemon::signal(*pid, Signal::SIGCONT));
    for code in 1..=JOBS {
        let name = format!("j{code}");
        let last =
            until("it is booked", || Some(daemon.json(&["show", &name])["last"].clone()).filter(|l| l.is_object()));
        assert_eq!((&last["outcome"], &last["exit"]["code"]), (&"exited".into(), &code.into()), "{last}");
    }
}
