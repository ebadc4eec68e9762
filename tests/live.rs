//! Files come, change and go while the daemon runs: what is armed, what stays, what is told.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing where something must be has failed")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use common::{Daemon, Setup, root_or_skip, until, until_true};

fn known(daemon: &Daemon, name: &str) -> bool {
    daemon.rota(&["show", name, "--json"]).status.success()
}

fn command(daemon: &Daemon, name: &str) -> String {
    daemon.json(&["show", name])["command"].to_string()
}

#[test]
fn b20_b21_a_broken_file_keeps_its_job_and_a_deleted_file_ends_it() {
    let daemon = Setup::new("").job("a.yaml", "script: echo one\n").start();
    assert_eq!(daemon.run("a").1, "one\n");
    daemon.job("a.yaml", "script: echo two\nshedule: '@daily'\n");
    until_true("the file is told to be broken", || daemon.json(&["status"])["broken_files"] == 1);
    let view = daemon.json(&["show", "a"]);
    assert_eq!(view["broken"], true);
    assert_eq!(daemon.run("a").1, "one\n", "the last good definition is live");
    let listed = String::from_utf8(daemon.rota(&["list"]).stdout).unwrap();
    assert!(listed.contains("unknown-key") && listed.contains("schedule"), "{listed}");
    daemon.job("a.yaml", "script: echo three\n");
    until_true("it is mended", || daemon.json(&["show", "a"])["broken"] == false);
    assert_eq!(daemon.run("a").1, "three\n");
    fs::rename(daemon.conf_d().join("a.yaml"), daemon.conf_d().join("a.yaml.bak")).unwrap();
    until_true("it is gone", || !known(&daemon, "a"));
}

#[test]
fn b22_two_files_of_one_name_the_first_wins_and_the_other_takes_over() {
    let daemon = Setup::new("")
        .job("1.yaml", "name: same\nscript: echo first\n")
        .job("2.yaml", "name: same\nscript: echo second\n")
        .start();
    assert_eq!(daemon.run("same").1, "first\n");
    let listed = String::from_utf8(daemon.rota(&["list"]).stdout).unwrap();
    assert!(listed.contains("duplicate-name"), "{listed}");
    fs::remove_file(daemon.conf_d().join("1.yaml")).unwrap();
    until_true("the second takes over", || command(&daemon, "same").contains("second"));
}

#[test]
fn b38_a_run_keeps_the_definition_it_started_with_and_a_reload_does_not_wait_for_it() {
    let setup = Setup::new("");
    let go = setup.path().join("go");
    let text = |word: &str| format!("script: |\n  while [ ! -e {} ]; do sleep 0.02; done; echo {word}\n", go.display());
    let daemon = setup.job("a.yaml", &text("old")).start();
    let run = daemon.rota_command(&["run", "a", "--wait"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    until_true("it runs", || daemon.json(&["show", "a"])["running"][0]["pid"].is_i64());
    daemon.job("a.yaml", "script: echo new\n");
    assert!(daemon.rota(&["reload"]).status.success());
    assert!(command(&daemon, "a").contains("new"));
    assert_eq!(daemon.json(&["show", "a"])["running"].as_array().unwrap().len(), 1);
    fs::remove_file(daemon.conf_d().join("a.yaml")).unwrap();
    fs::write(&go, "").unwrap();
    let output = run.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "old\n");
}

#[test]
fn a14_an_edit_never_fires_a_slot_of_its_past() {
    let setup = Setup::new("");
    let out = setup.path().join("out");
    fs::write(&out, "").unwrap();
    fs::set_permissions(&out, fs::Permissions::from_mode(0o666)).unwrap();
    let daemon = setup.start();
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    // Due a minute ago, and again tomorrow.
    let past = now.checked_sub(jiff::Span::new().minutes(1)).unwrap();
    let job = |word: &str| {
        format!(
            "schedule: '{} {} {} * * *'\ntimezone: UTC\nscript: echo {word} >> {}\n",
            past.second(),
            past.minute(),
            past.hour(),
            out.display()
        )
    };
    daemon.arm("a.yaml", &job("one"));
    daemon.job("a.yaml", &job("two"));
    until_true("the second definition is armed", || command(&daemon, "a").contains("two"));
    daemon.arm("probe.yaml", "schedule: '* * * * * *'\nscript: 'true'\n");
    until_true("slots are being decided", || !daemon.json(&["show", "probe"])["last"].is_null());
    daemon.replace_engine();
    until_true("also after a new engine", || !daemon.json(&["show", "probe"])["last"].is_null());
    assert_eq!(fs::read_to_string(&out).unwrap(), "");
}

#[test]
fn b23_what_the_kernel_forgot_to_tell_is_found_all_the_same() {
    let most = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse::<u32>().unwrap();
    if most > 1 << 18 {
        eprintln!("b23 skipped: why: the queue of inotify holds {most} events here");
        return;
    }
    let daemon = Setup::new("").job("old.yaml", "script: echo old\n").start();
    // Nobody empties the queue of events meanwhile.
    let both = [daemon.pid(), daemon.engine().unwrap()];
    let signal = |signal| both.iter().for_each(|pid| Daemon::signal(*pid, signal));
    let files = ["one", "two"].map(|name| daemon.conf_d().join(name));
    files.iter().for_each(|file| fs::write(file, "").unwrap());
    signal(nix::sys::signal::Signal::SIGSTOP);
    // Equal events one after the other would become one.
    for turn in 0..most / 2 + 1000 {
        let mode = fs::Permissions::from_mode(0o600 + (turn & 1) * 0o44);
        files.iter().for_each(|file| fs::set_permissions(file, mode.clone()).unwrap());
    }
    daemon.job("new.yaml", "script: echo new\n");
    fs::remove_file(daemon.conf_d().join("old.yaml")).unwrap();
    signal(nix::sys::signal::Signal::SIGCONT);
    until_true("the new file is armed", || known(&daemon, "new"));
    until_true("the old one is gone", || !known(&daemon, "old"));
}

#[test]
fn b30_files_that_others_may_write_are_refused_and_files_of_root_alone_are_read() {
    let daemon = Setup::new("").start();
    let file = daemon.conf_d().join("open.yaml");
    fs::write(&file, "script: echo secret-word\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    // Rights may be wrong for a moment before chmod: what counts is the end.
    until_true("it is refused", || !known(&daemon, "open") && daemon.json(&["status"])["broken_files"] == 1);
    let listed = String::from_utf8(daemon.rota(&["list"]).stdout).unwrap();
    assert!(listed.contains("open.yaml") && !listed.contains("secret-word"), "{listed}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    // A change of mode is no completed write: a reload looks again.
    assert!(daemon.rota(&["reload"]).status.success());
    assert_eq!(daemon.run("open").1, "secret-word\n", "mode 0600 of root is what careful people write");
}

#[test]
fn b28_a_link_to_a_secret_is_not_followed_and_not_quoted() {
    if !root_or_skip("b28") {
        return;
    }
    let daemon = Setup::new("").start();
    std::os::unix::fs::symlink("/etc/shadow", daemon.conf_d().join("link.yaml")).unwrap();
    until_true("it is refused", || daemon.json(&["status"])["broken_files"] == 1);
    let told = format!("{}{}", String::from_utf8(daemon.rota(&["list"]).stdout).unwrap(), daemon.stderr());
    assert!(!told.contains("root:"), "{told}");
}

#[test]
fn c54_a_program_of_root_that_others_could_change_is_doubted() {
    if !root_or_skip("c54") {
        return;
    }
    let setup = Setup::new("allow_root_jobs: true\nallowed_users: [games]");
    let place = setup.path().join("bin");
    fs::create_dir(&place).unwrap();
    let program = place.join("tool");
    fs::copy("/bin/true", &program).unwrap();
    let mode = |path: &std::path::Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let job = |user: &str| format!("user: {user}\ncommand: {}\n", program.display());
    let daemon = setup.job("root.yaml", &job("root")).job("other.yaml", &job("games")).start();
    let told = || {
        assert!(daemon.rota(&["reload"]).status.success());
        String::from_utf8(daemon.rota(&["list"]).stdout).unwrap()
    };
    assert!(!told().contains("unsafe-program"), "{}", told());
    for (path, bad) in [(&program, 0o777), (&place, 0o777)] {
        mode(path, bad);
        assert!(
            told().contains("root.yaml: warning[unsafe-program]: this job runs as root, and everybody"),
            "{}",
            told()
        );
        assert!(!told().contains("other.yaml"), "{}", told());
        mode(path, 0o755);
    }
    std::os::unix::fs::chown(&place, Some(5), None).unwrap();
    assert!(told().contains("and user 'games' could"), "{}", told());
    assert_eq!(daemon.run("root").0, Some(0), "a doubt, no refusal");
    std::os::unix::fs::chown(&place, Some(0), None).unwrap();
    assert!(!told().contains("unsafe-program"), "{}", told());
}

#[test]
fn b25_b36_the_directory_may_be_missing_come_go_and_be_replaced() {
    let setup = Setup::new("");
    fs::remove_dir(setup.path().join("conf.d")).unwrap();
    let daemon = setup.start();
    assert_eq!(daemon.json(&["status"])["jobs"], 0);
    fs::create_dir(daemon.conf_d()).unwrap();
    daemon.arm("a.yaml", "script: echo a\n");
    // Moved away: the job stays. Another in its place: the job of that one.
    let away = daemon.path().join("away");
    fs::rename(daemon.conf_d(), &away).unwrap();
    assert_eq!(daemon.run("a").1, "a\n", "last good");
    let new = daemon.path().join("new");
    fs::create_dir(&new).unwrap();
    fs::write(new.join("b.yaml"), "script: echo b\n").unwrap();
    fs::rename(&new, daemon.conf_d()).unwrap();
    until_true("the new directory is read", || known(&daemon, "b") && !known(&daemon, "a"));
    daemon.arm("c.yaml", "script: echo c\n");
}

#[test]
fn b37_five_hundred_files_a_second_starve_nobody() {
    let daemon = Setup::new("").job("tick.yaml", "schedule: '* * * * * *'\nscript: 'true'\n").start();
    let start = Instant::now();
    for file in 0..1500 {
        daemon.job(&format!("f{file:04}.yaml"), &format!("script: echo {file}\n"));
        let due = start + Duration::from_millis(2 * file);
        until_true("half a millisecond", || Instant::now() >= due);
    }
    until_true("all are armed", || daemon.json(&["status"])["jobs"] == 1501);
    let verdicts = daemon.json(&["show", "tick"])["verdicts"].clone();
    assert!(verdicts.as_array().unwrap().iter().all(|verdict| verdict["verdict"] == "ran"), "{verdicts}");
    for file in 0..1500 {
        fs::remove_file(daemon.conf_d().join(format!("f{file:04}.yaml"))).unwrap();
    }
    until_true("all are gone", || daemon.json(&["status"])["jobs"] == 1);
}

#[test]
fn a16_many_jobs_of_one_second_are_all_started() {
    let setup = Setup::new("");
    let out = setup.path().join("out");
    fs::write(&out, "").unwrap();
    fs::set_permissions(&out, fs::Permissions::from_mode(0o666)).unwrap();
    let daemon = setup.start();
    let slot =
        jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).checked_add(jiff::Span::new().seconds(8)).unwrap();
    const JOBS: usize = 1000;
    for job in 0..JOBS {
        daemon.job(
            &format!("j{job}.yaml"),
            &format!(
                "schedule: '{} {} {} * * *'\ntimezone: UTC\nscript: echo {job} >> {}\n",
                slot.second(),
                slot.minute(),
                slot.hour(),
                out.display()
            ),
        );
    }
    until_true("all have run", || fs::read_to_string(&out).unwrap().lines().count() >= JOBS);
    until_true("all are booked", || daemon.json(&["status"])["running"] == 0);
    let mut ran: Vec<usize> = fs::read_to_string(&out).unwrap().lines().map(|line| line.parse().unwrap()).collect();
    ran.sort_unstable();
    assert_eq!(ran, (0..JOBS).collect::<Vec<_>>(), "each of them, and once");
}

#[test]
fn the_first_look_shows_what_is_armed_what_is_printed_and_what_is_dropped_in() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("conf.d")).unwrap();
    fs::write(place.path().join("conf.d/hello.yaml"), "schedule: '* * * * * *'\nscript: echo hello there\n").unwrap();
    if fs::exists("/etc/rotad/rotad.yaml").unwrap() {
        eprintln!("first look skipped: why: this machine has a configuration");
        return;
    }
    let told = place.path().join("told");
    let file = fs::File::create(&told).unwrap();
    // As another user where that is possible: neither root nor systemd is needed.
    let program = env!("CARGO_BIN_EXE_rotad");
    let mut command = std::process::Command::new(program);
    command
        .current_dir(place.path())
        .env("XDG_STATE_HOME", place.path().join("state"))
        .env("XDG_RUNTIME_DIR", place.path().join("run"))
        .env_remove("NOTIFY_SOCKET")
        .stderr(file)
        .stdin(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    let said = || fs::read_to_string(&told).unwrap();
    let all = |words: &[&str]| words.iter().all(|word| said().contains(word));
    until("it prints", || {
        if let Some(ended) = child.try_wait().unwrap() {
            panic!("ended with {ended}: {}", said());
        }
        all(&["first look", "hello there"]).then_some(())
    });
    if nix::unistd::geteuid().is_root() {
        assert!(all(&["nobody"]), "{}", said());
    }
    fs::write(place.path().join("conf.d/late.yaml"), "schedule: '* * * * * *'\nscript: echo dropped in\n").unwrap();
    until_true("the new file is picked up", || all(&["late", "dropped in"]));
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id().cast_signed()), nix::sys::signal::Signal::SIGINT)
        .unwrap();
    let ended = until("it ends", || child.try_wait().unwrap());
    assert!(ended.success(), "{}", said());
}
