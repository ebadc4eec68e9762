//! Ending what runs: time limits, requests, escapes, and the end of the daemon itself.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing where something must be has failed")]

mod common;

use std::fs;
use std::time::{Duration, Instant};

use common::{Daemon, Setup, root_or_skip, until, until_true};
use nix::sys::signal::Signal;

/// Starts a job without waiting and answers with its run id once it runs.
fn begin(daemon: &Daemon, name: &str) -> String {
    let output = daemon.rota(&["run", name]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let out = String::from_utf8(output.stdout).unwrap();
    let run = out.split_whitespace().find(|word| word.len() == 13).unwrap_or(out.trim()).to_owned();
    until_true("it runs", || daemon.json(&["show", name])["running"][0]["pid"].is_i64());
    run
}

fn outcome(daemon: &Daemon, name: &str) -> serde_json::Value {
    until("it is over", || {
        let view = daemon.json(&["show", name]);
        (view["running"].as_array().unwrap().is_empty() && !view["last"].is_null()).then(|| view["last"].clone())
    })
}

fn alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rfind(')').is_some_and(|at| !stat[at + 2..].starts_with(['Z', 'X']))
}

/// Pids that a job has written into its output, one a line.
fn pids(daemon: &Daemon, name: &str, count: usize) -> Vec<i32> {
    until("the pids are printed", || {
        let out = String::from_utf8(daemon.rota(&["logs", name, "--json"]).stdout).unwrap();
        let pids: Vec<i32> = out
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .filter_map(|line| line["text"].as_str()?.trim().parse().ok())
            .collect();
        (pids.len() >= count).then_some(pids)
    })
}

#[test]
fn d61_a_job_that_ignores_term_is_killed_after_its_time() {
    let daemon = Setup::new("")
        .job("deaf.yaml", "timeout: 1s\nkill_after: 1s\nscript: |\n  trap '' TERM\n  while :; do sleep 0.05; done\n")
        .start();
    let start = Instant::now();
    let output = daemon.rota(&["run", "deaf", "--wait"]);
    assert!(start.elapsed() >= Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(output.status.code(), Some(124), "{}", String::from_utf8_lossy(&output.stderr));
    let last = outcome(&daemon, "deaf");
    assert_eq!(last["outcome"], "timed-out", "{last}");
    assert_eq!(last["exit"]["signal"]["signal"], 9, "{last}");
}

#[test]
fn d61_the_signal_of_the_job_comes_first() {
    let daemon = Setup::new("")
        .job(
            "polite.yaml",
            "stop_signal: USR1\nscript: |\n  trap 'echo bye; exit 7' USR1\n  echo up\n  while :; do sleep 0.05; done\n",
        )
        .start();
    begin(&daemon, "polite");
    until_true("the trap is set", || String::from_utf8_lossy(&daemon.rota(&["logs", "polite"]).stdout).contains("up"));
    assert!(daemon.rota(&["stop", "polite"]).status.success());
    let last = outcome(&daemon, "polite");
    assert_eq!((last["outcome"].as_str(), last["exit"]["code"].as_i64()), (Some("stopped"), Some(7)), "{last}");
    assert!(String::from_utf8_lossy(&daemon.rota(&["logs", "polite"]).stdout).contains("bye"));
}

#[test]
fn d62_who_left_the_session_is_found_and_killed_with_the_run() {
    let daemon = Setup::new("")
        .job(
            "escape.yaml",
            "kill_after: 500ms\nscript: |\n  setsid sh -c 'echo $$; exec sleep 1000' &\n  (setsid sh -c 'echo $$; sleep 1000; true' & )\n  echo $$\n  wait; sleep 1000\n",
        )
        .start();
    begin(&daemon, "escape");
    let pids = pids(&daemon, "escape", 3);
    assert!(pids.iter().all(|pid| alive(*pid)));
    assert!(daemon.rota(&["stop", "escape"]).status.success());
    until_true("all three are gone", || !pids.iter().any(|pid| alive(*pid)));
    assert_eq!(outcome(&daemon, "escape")["outcome"], "stopped");
}

#[test]
fn d62_what_a_job_leaves_behind_is_counted() {
    let daemon = Setup::new("")
        .job("leave.yaml", "script: |\n  setsid sleep 600 >/dev/null 2>&1 </dev/null & echo $!\n")
        .start();
    assert_eq!(daemon.run("leave").0, Some(0));
    let left = pids(&daemon, "leave", 1)[0];
    until_true("one process is reported", || outcome(&daemon, "leave")["left_behind"] == 1);
    assert!(alive(left), "a run that ended by itself leaves its daemons alone");
    Daemon::signal(left, Signal::SIGKILL);
}

#[test]
fn d63_a_grandchild_that_holds_the_pipe_does_not_keep_the_run_open() {
    let daemon = Setup::new("").job("hold.yaml", "script: |\n  sleep 600 & echo $!\n  exit 3\n").start();
    let start = Instant::now();
    let (code, out) = daemon.run("hold");
    assert_eq!(code, Some(3));
    assert!(start.elapsed() < Duration::from_secs(30));
    Daemon::signal(out.trim().parse().unwrap(), Signal::SIGKILL);
}

#[test]
fn d65_orphans_are_reaped_and_no_exit_code_is_stolen() {
    let daemon = Setup::new("")
        .job(
            "orphans.yaml",
            "script: |\n  for i in 1 2 3 4 5 6 7 8; do (sh -c 'sleep 0.0$0; exit 9' $i &) ; done\n  exit 42\n",
        )
        .start();
    for _ in 0..10 {
        assert_eq!(daemon.run("orphans").0, Some(42));
    }
    until_true("no zombies are left", || {
        let pid = daemon.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        children.split_whitespace().count() == 1
    });
}

#[test]
fn d67_the_time_limit_counts_while_a_job_is_stopped() {
    let daemon = Setup::new("")
        .job(
            "frozen.yaml",
            "timeout: 1s\nscript: |\n  trap 'exit 5' TERM\n  kill -STOP $$\n  while :; do sleep 0.05; done\n",
        )
        .start();
    let output = daemon.rota(&["run", "frozen", "--wait"]);
    assert_eq!(output.status.code(), Some(124), "{}", String::from_utf8_lossy(&output.stderr));
    let last = outcome(&daemon, "frozen");
    assert_eq!(last["exit"]["code"], 5, "continued so that its own trap could run: {last}");
}

#[test]
fn d69_code_signal_and_core_flag_are_told_apart() {
    let daemon = Setup::new("")
        .job("code.yaml", "script: exit 255\n")
        .job("signal.yaml", "script: kill -SEGV $$\n")
        .job("allowed.yaml", "script: exit 3\nsuccess_codes: [0, 3]\n")
        .start();
    assert_eq!(daemon.run("code").0, Some(255));
    let last = outcome(&daemon, "code");
    assert_eq!((last["exit"]["code"].as_i64(), last["success"].as_bool()), (Some(255), Some(false)), "{last}");
    assert_eq!(daemon.run("signal").0, Some(128 + 11));
    let last = outcome(&daemon, "signal");
    assert_eq!(last["exit"]["signal"]["signal"], 11, "{last}");
    assert!(last["exit"]["signal"]["core"].is_boolean(), "{last}");
    assert_eq!(daemon.run("allowed").0, Some(3));
    assert_eq!(outcome(&daemon, "allowed")["success"], true);
}

#[test]
fn d71_replace_never_runs_two() {
    let setup = Setup::new("");
    // Each run looks whether the one before it is still there, and leaves its own pid for the next.
    let (pid, two) = (setup.path().join("pid"), setup.path().join("two"));
    for file in [&pid, &two] {
        fs::write(file, "").unwrap();
        fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    }
    let script = format!(
        "trap '' TERM; old=$(cat {pid}); [ -z \"$old\" ] || ! kill -0 $old || echo $old >> {two}; echo $$ > {pid}; \
         while :; do sleep 0.05; done",
        pid = pid.display(),
        two = two.display()
    );
    let daemon = setup
        .job(
            "turn.yaml",
            &format!("schedule: '* * * * * *'\non_overlap: replace\nkill_after: 300ms\nscript: |\n  {script}\n"),
        )
        .start();
    let mut pids = std::collections::BTreeSet::new();
    until_true("it was replaced three times", || {
        let view = daemon.json(&["show", "turn"]);
        assert!(view["running"].as_array().unwrap().len() <= 1, "{view}");
        pids.extend(fs::read_to_string(&pid).unwrap().trim().parse::<i32>());
        pids.len() >= 4
    });
    assert_eq!(outcome_of_last(&daemon, "turn"), ("stopped".to_owned(), "replaced".to_owned()));
    assert_eq!(fs::read_to_string(&two).unwrap(), "", "a run found the one before it alive");
}

/// Outcome and reason of the run of a job that ended last.
fn outcome_of_last(daemon: &Daemon, name: &str) -> (String, String) {
    let last = daemon.json(&["show", name])["last"].clone();
    let word = |key: &str| last[key].as_str().unwrap_or_default().to_owned();
    (word("outcome"), word("why"))
}

#[test]
fn overlap_skip_is_the_default_and_every_slot_has_its_verdict() {
    let daemon = Setup::new("").job("long.yaml", "schedule: '* * * * * *'\nscript: sleep 2.5\n").start();
    let verdicts = until("some slots were skipped", || {
        let view = daemon.json(&["show", "long"]);
        let verdicts = view["verdicts"].as_array().unwrap().clone();
        let count = |word: &str| verdicts.iter().filter(|verdict| verdict["verdict"] == word).count();
        (count("ran") >= 2 && count("skipped") >= 2).then_some(verdicts)
    });
    let mut slots: Vec<&str> = verdicts.iter().map(|verdict| verdict["slot"].as_str().unwrap()).collect();
    slots.reverse();
    let all = slots.len();
    slots.dedup();
    assert_eq!(slots.len(), all, "one verdict a slot");
    assert!(slots.is_sorted());
    for skipped in verdicts.iter().filter(|verdict| verdict["verdict"] == "skipped") {
        assert_eq!(skipped["why"], "overlap");
    }
}

#[test]
fn h109_term_drains_and_a_second_one_hastens() {
    let mut daemon = Setup::new("stop_timeout: 60s")
        .job("kind.yaml", "script: |\n  trap 'exit 0' TERM\n  echo $$\n  while :; do sleep 0.05; done\n")
        .job("deaf.yaml", "kill_after: 50s\nscript: |\n  trap '' TERM\n  echo $$\n  while :; do sleep 0.05; done\n")
        .start();
    begin(&daemon, "kind");
    begin(&daemon, "deaf");
    let (kind, deaf) = (pids(&daemon, "kind", 1)[0], pids(&daemon, "deaf", 1)[0]);
    Daemon::signal(daemon.pid(), Signal::SIGTERM);
    until_true("the kind one ends at once", || !alive(kind));
    assert!(alive(deaf), "the deaf one still has time");
    let refused = daemon.rota(&["run", "kind"]);
    assert!(!refused.status.success(), "nothing new is started");
    Daemon::signal(daemon.pid(), Signal::SIGTERM);
    assert!(daemon.wait().success(), "{}", daemon.stderr());
    assert!(!alive(deaf));
}

#[test]
fn h109_the_stop_timeout_is_the_longest_that_a_stop_takes() {
    let mut daemon = Setup::new("stop_timeout: 1s")
        .job("deaf.yaml", "kill_after: 1h\nscript: |\n  trap '' TERM\n  echo $$\n  while :; do sleep 0.05; done\n")
        .start();
    begin(&daemon, "deaf");
    let deaf = pids(&daemon, "deaf", 1)[0];
    let start = Instant::now();
    assert!(daemon.stop().success(), "{}", daemon.stderr());
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert!(!alive(deaf));
}

#[test]
fn h110_hup_reloads_and_other_signals_do_not_end_the_daemon() {
    let daemon = Setup::new("").job("a.yaml", "script: echo a\n").start();
    Daemon::signal(daemon.pid(), Signal::SIGHUP);
    Daemon::signal(daemon.pid(), Signal::SIGPIPE);
    assert_eq!(daemon.run("a"), (Some(0), "a\n".to_owned()));
}

#[test]
fn f91_a_second_daemon_on_the_same_state_is_refused_with_the_holders_pid() {
    let daemon = Daemon::start("");
    let state = daemon.path().join("state");
    let mut second = Setup::new(&format!("state_dir: {}", state.display())).spawn();
    assert_eq!(second.wait().code(), Some(75));
    assert!(second.stderr().contains(&format!("pid {}", daemon.pid())), "{}", second.stderr());
}

#[test]
fn c60_d62_with_a_delegated_cgroup_every_run_has_its_own_and_dies_with_it() {
    if !root_or_skip("c60") {
        return;
    }
    let mount = fs::read_to_string("/proc/mounts").unwrap();
    let Some(mount) = mount.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2")) else {
        eprintln!("c60 skipped: why: no cgroup v2 is mounted");
        return;
    };
    let mount = mount.split(' ').nth(1).unwrap();
    let tree = format!("{mount}/rotad-test-{}", std::process::id());
    fs::create_dir(&tree).unwrap();
    // What systemd does for Delegate=yes.
    let enter = format!(
        "python3 -c 'import os; os.setxattr(\"{tree}\", \"trusted.delegate\", b\"1\")' && echo $$ > {tree}/cgroup.procs && exec \"$@\""
    );
    let daemon = Setup::new("").through(&["sh", "-c", &enter, "sh"]).job(
        "bomb.yaml",
        "kill_after: 300ms\nscript: |\n  cat /proc/self/cgroup >&2\n  env -i setsid sh -c 'trap \"\" TERM; echo $$; while :; do sleep 0.05; done' & wait\n",
    );
    let mut daemon = daemon.start();
    let run = begin(&daemon, "bomb");
    let escaped = pids(&daemon, "bomb", 1)[0];
    let seen = fs::read_to_string(format!("/proc/{escaped}/cgroup")).unwrap();
    assert!(seen.contains(&format!("run-{run}")), "{seen}");
    assert!(daemon.rota(&["stop", "bomb"]).status.success());
    until_true("gone with its cgroup", || !alive(escaped));
    until_true("the cgroup is removed", || !fs::exists(format!("{tree}/run-{run}")).unwrap());
    assert!(daemon.stop().success());
    until_true("the tree is empty", || fs::remove_dir(&tree).is_ok());
}
