//! What a job finds when it starts: user, groups, descriptors, environment, limits, signals – exactly what is promised.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing where something must be has failed")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use common::{Daemon, Setup, root_or_skip, until_true};

/// A daemon with jobs of root allowed, and a user with groups of its own.
fn daemon_as_root() -> Daemon {
    Daemon::start("jobs_user: nobody\nallowed_users: [root, daemon, games, rotad-test-many]\nallow_root_jobs: true")
}

fn script(user: &str, text: &str) -> String {
    let user = if user.is_empty() { String::new() } else { format!("user: {user}\n") };
    format!("{user}script: |\n{}\n", text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n"))
}

/// `id` by the system itself, for comparison.
fn id(args: &[&str]) -> String {
    let output = Command::new("id").args(args).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn sorted(groups: &str) -> Vec<u32> {
    let mut groups: Vec<u32> = groups.split_whitespace().map(|group| group.parse().unwrap()).collect();
    groups.sort_unstable();
    groups
}

#[test]
fn c41_c42_user_and_groups_are_the_users_own_and_nothing_else() {
    if !root_or_skip("c41_c42") {
        return;
    }
    // A user in several groups, so that losing them or leaking root's would both be seen.
    for command in [
        "groupadd -f rotad-test-a",
        "groupadd -f rotad-test-b",
        "id rotad-test-many >/dev/null 2>&1 || useradd -M -N -g nogroup -G rotad-test-a,rotad-test-b rotad-test-many",
    ] {
        assert!(Command::new("sh").args(["-c", command]).status().unwrap().success(), "{command}");
    }
    let daemon = daemon_as_root();
    for user in ["nobody", "rotad-test-many", "root"] {
        daemon.arm("who.yaml", &script(user, "id -u; id -g; id -G; grep -E '^(Uid|Gid|Groups):' /proc/self/status"));
        until_true("the definition is the new one", || daemon.json(&["show", "who"])["user"] == user);
        let (code, out) = daemon.run("who");
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(code, Some(0), "{out}");
        assert_eq!(lines[0], id(&["-u", user]));
        assert_eq!(lines[1], id(&["-g", user]));
        assert_eq!(sorted(lines[2]), sorted(&id(&["-G", user])), "{user}");
        let ids: Vec<&str> = lines[3].split_whitespace().skip(1).collect();
        assert!(ids.iter().all(|id| *id == lines[0]) && ids.len() == 4, "real, effective, saved, fs: {ids:?}");
    }
}

#[test]
fn c43_users_who_are_not_allowed_are_refused_and_root_needs_a_word_of_its_own() {
    if !root_or_skip("c43") {
        return;
    }
    let daemon = Setup::new("jobs_user: nobody\nallowed_users: [root]").start();
    for (name, user) in [("a", "daemon"), ("b", "root"), ("c", "no-such-user"), ("d", "\"0\""), ("e", "\"-1\"")] {
        daemon.job(&format!("{name}.yaml"), &format!("user: {user}\ncommand: /bin/true\n"));
    }
    until_true("five files are broken", || daemon.json(&["status"])["broken_files"] == 5);
    for name in ["a", "b", "c", "d", "e"] {
        let refused = daemon.rota(&["run", name, "--wait"]);
        assert_ne!(refused.status.code(), Some(0), "{name}");
    }
}

#[test]
fn c39_c45_a_user_who_is_gone_is_found_out_when_the_run_starts() {
    if !root_or_skip("c39") {
        return;
    }
    let add = "id rotad-test-gone >/dev/null 2>&1 || useradd -M -N -g nogroup rotad-test-gone";
    assert!(Command::new("sh").args(["-c", add]).status().unwrap().success());
    let daemon = Daemon::start("jobs_user: nobody\nallowed_users: [rotad-test-gone]");
    daemon.arm("gone.yaml", &script("rotad-test-gone", "id -un"));
    assert_eq!(daemon.run("gone"), (Some(0), "rotad-test-gone\n".to_owned()));
    assert!(Command::new("userdel").arg("rotad-test-gone").status().unwrap().success());
    let refused = daemon.rota(&["run", "gone", "--wait"]);
    let told = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(125), "{told}");
    assert!(told.contains("no such user"), "{told}");
}

#[test]
fn c47_only_the_three_standard_descriptors_are_open() {
    let daemon = Daemon::start("");
    daemon.arm("fds.yaml", "command: /bin/ls\nargs: [-l, /proc/self/fd]\n");
    let (code, out) = daemon.run("fds");
    assert_eq!(code, Some(0), "{out}");
    // The fourth is the directory that ls itself reads.
    let fds: Vec<&str> = out.lines().filter(|line| line.contains("->")).collect();
    assert_eq!(fds.len(), 4, "{out}");
    assert!(fds[0].ends_with("/dev/null"), "{out}");
    assert!(fds[1].contains("pipe:") && fds[2].contains("pipe:"), "{out}");
    assert!(fds[3].contains("/proc/"), "{out}");
}

#[test]
fn c48_the_environment_is_built_from_nothing() {
    let daemon = Setup::new("")
        .env("LD_PRELOAD_SECRET", "x")
        .env("WATCHDOG_USEC", "60000000")
        .env("LISTEN_FDS", "1")
        .env("CREDENTIALS_DIRECTORY", "/x")
        .job("plain.yaml", "command: /usr/bin/env\n")
        .job(
            "own.yaml",
            "command: env\nenvironment: {PATH: '/usr/bin:/bin', HOME: /h, A: 'b c', ROTA_JOB: forged, EMPTY: ''}\n",
        )
        .start();
    let keys = |out: &str| {
        let mut keys: Vec<String> = out.lines().filter_map(|line| Some(line.split_once('=')?.0.to_owned())).collect();
        keys.sort();
        keys
    };
    let (_, out) = daemon.run("plain");
    let promised =
        ["HOME", "LANG", "LOGNAME", "PATH", "ROTA_ATTEMPT", "ROTA_JOB", "ROTA_RUN_ID", "ROTA_TRIGGER", "SHELL", "USER"];
    assert_eq!(keys(&out), promised, "{out}");
    let (_, out) = daemon.run("own");
    assert!(out.contains("\nA=b c\n") || out.starts_with("A=b c\n"), "{out}");
    assert!(out.contains("HOME=/h\n") && out.contains("EMPTY=\n") && out.contains("ROTA_JOB=own\n"), "{out}");
    assert!(!out.contains("forged"));
}

#[test]
fn c48_a_scheduled_run_is_told_its_slot() {
    let daemon = Setup::new("").job("tick.yaml", "schedule: '* * * * * *'\nscript: echo $ROTA_SCHEDULED_AT\n").start();
    until_true("what it printed is its slot", || {
        let last = daemon.json(&["show", "tick"])["last"].clone();
        let Some(run) = last["run"].as_str() else { return false };
        let out = daemon.rota(&["logs", run]).stdout;
        out == format!("{}\n", last["slot"].as_str().unwrap()).into_bytes()
    });
}

#[test]
fn c49_signals_are_as_after_login() {
    let daemon = Setup::new("").job("signals.yaml", "command: cat\nargs: [/proc/self/status]\n").start();
    let (code, out) = daemon.run("signals");
    assert_eq!(code, Some(0));
    for field in ["SigBlk", "SigIgn", "SigCgt"] {
        let line = out.lines().find(|line| line.starts_with(field)).unwrap();
        assert!(line.ends_with("0000000000000000"), "{line}");
    }
}

#[test]
fn c50_c56_umask_directory_session_terminal_and_limits_are_set() {
    let text = "umask; pwd; ulimit -Sn; ulimit -Hc >/dev/null; ulimit -Sc; cat /proc/self/oom_score_adj; \
                cut -d' ' -f6,7 /proc/$$/stat; echo $$; nice; cat";
    let daemon = Setup::new("")
        .job("plain.yaml", &script("", text))
        .job(
            "own.yaml",
            &format!(
                "{}umask: '077'\nnice: 5\nwork_dir: /tmp\nlimits: {{nofile: 77, core: 4096}}\n",
                script("", "umask; pwd; ulimit -Sn; ulimit -Sc; nice")
            ),
        )
        .start();
    let (code, out) = daemon.run("plain");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(code, Some(0), "{out}");
    assert_eq!(&lines[..4], ["0022", "/", "1024", "0"], "{out}");
    assert_eq!(lines[4], "0", "oom_score_adj");
    let pid = lines[6];
    assert_eq!(lines[5], format!("{pid} 0"), "leader of its session, no terminal");
    assert_eq!(lines[7], "0", "nice");
    assert_eq!(lines.len(), 8, "standard input is empty");
    let (_, out) = daemon.run("own");
    assert_eq!(out.lines().collect::<Vec<_>>(), ["0077", "/tmp", "77", "8", "5"], "core in blocks of 512");
}

#[test]
fn c51_a_missing_directory_is_told_as_that_and_entered_as_the_user() {
    let mut setup = Setup::new("").job("missing.yaml", "command: /bin/true\nwork_dir: /no/such/place\n");
    let closed = setup.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    setup = setup.job("closed.yaml", &format!("command: /bin/true\nwork_dir: {}\n", closed.display()));
    let daemon = setup.start();
    let told = |name: &str| {
        let output = daemon.rota(&["run", name, "--wait"]);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, text) = told("missing");
    assert_eq!(code, Some(125), "{text}");
    assert!(text.contains("entering the working directory: No such file or directory"), "{text}");
    if root_or_skip("c51 as another user") {
        let (code, text) = told("closed");
        assert_eq!(code, Some(125), "{text}");
        assert!(text.contains("entering the working directory: Permission denied"), "{text}");
    }
}

#[test]
fn c52_what_cannot_be_executed_is_told_with_its_reason() {
    let setup = Setup::new("");
    let file = |name: &str, text: &str, mode| {
        let path = setup.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.display().to_string()
    };
    let cases = [
        ("enoent", "/no/such/program".to_owned(), "No such file"),
        ("notinpath", "no-such-program-anywhere".to_owned(), "No such file"),
        ("eacces", file("plain", "x", 0o644), "Permission denied"),
        ("enoexec", file("noexec", "\u{1}\u{2}", 0o755), "Exec format error"),
        ("shebang", file("shebang", "#!/no/such/interpreter\n", 0o755), "No such file"),
    ];
    let mut setup = setup;
    for (name, command, _) in &cases {
        setup = setup.job(&format!("{name}.yaml"), &format!("command: {command}\n"));
    }
    let daemon = setup.start();
    for (name, _, reason) in cases {
        let output = daemon.rota(&["run", name, "--wait"]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(125), "{name}: {text}");
        assert!(text.contains("executing the program") && text.contains(reason), "{name}: {text}");
        let last = daemon.json(&["show", name])["last"].clone();
        assert_eq!(last["outcome"], "could-not-start", "{last}");
        assert_eq!(last["failure"]["step"], "exec", "{last}");
    }
    // Distinct from a program that says 127 itself.
    daemon.arm("says127.yaml", "script: exit 127\n");
    assert_eq!(daemon.run("says127").0, Some(127));
}

#[test]
fn c53_arguments_reach_the_program_as_they_are() {
    let daemon = Setup::new("")
        .job(
            "args.yaml",
            "command: printf\nargs: ['[%s]', 'a b', '$HOME', \"q'q\", '50%', \"two\\nlines\", '> /tmp/x', '']\n",
        )
        .start();
    assert_eq!(daemon.run("args").1, "[a b][$HOME][q'q][50%][two\nlines][> /tmp/x][]");
}

#[test]
fn c44_a_user_out_of_processes_fails_and_does_not_stay_root() {
    if !root_or_skip("c44") {
        return;
    }
    let daemon = Setup::new("jobs_user: nobody\nallowed_users: [games]")
        .job("first.yaml", "user: games\nscript: sleep 600 & sleep 600; wait\n")
        .job("second.yaml", "user: games\ncommand: /usr/bin/id\nlimits: {nproc: 1}\n")
        .start();
    assert!(daemon.rota(&["run", "first"]).status.success());
    until_true("the first runs", || daemon.json(&["show", "first"])["running"][0]["pid"].is_i64());
    let output = daemon.rota(&["run", "second", "--wait"]);
    let (out, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!((output.status.code(), &*out), (Some(125), ""), "{told}");
    assert!(told.contains("Resource temporarily unavailable") || told.contains("Try again"), "{told}");
}

#[test]
fn c55_the_daemon_is_closed_to_the_jobs_user() {
    if !root_or_skip("c55") {
        return;
    }
    let daemon = Daemon::start("jobs_user: nobody");
    let (warden, engine) = (daemon.pid(), daemon.engine().unwrap());
    daemon.arm(
        "spy.yaml",
        &script(
            "",
            &format!("for p in {warden} {engine}; do cat /proc/$p/environ; ls /proc/$p/fd; kill -0 $p; done; true"),
        ),
    );
    let output = daemon.rota(&["run", "spy", "--wait"]);
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    let denied = String::from_utf8_lossy(&output.stderr).to_lowercase();
    assert_eq!(denied.matches("permi").count(), 6, "{denied}");
}

#[test]
fn c57_no_new_privs_is_set_when_asked_for() {
    let daemon = Setup::new("")
        .job("with.yaml", "no_new_privs: true\ncommand: grep\nargs: [NoNewPrivs, /proc/self/status]\n")
        .job("without.yaml", "no_new_privs: false\ncommand: grep\nargs: [NoNewPrivs, /proc/self/status]\n")
        .start();
    assert_eq!(daemon.run("with").1, "NoNewPrivs:\t1\n");
    assert_eq!(daemon.run("without").1, "NoNewPrivs:\t0\n");
}
