//! Jobs made, changed and taken away with `rota`, by a real daemon.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Output, Stdio};

use common::{Daemon, Setup, until_true};

const AWKWARD: &str = "mysql-monitor-20000-@every 10s";

fn start() -> Daemon {
    Setup::new("").start()
}

/// As whoever asks, so that it runs without root too.
fn jobs(daemon: &Daemon) -> Vec<String> {
    let jobs = daemon.json(&["list"]);
    jobs.as_array().unwrap().iter().map(|job| job["name"].as_str().unwrap().to_owned()).collect()
}

#[track_caller]
fn ends(output: &Output, code: i32) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}{err}");
    (out, err)
}

#[track_caller]
fn does(daemon: &Daemon, args: &[&str]) -> String {
    ends(&daemon.rota(args), 0).0
}

#[track_caller]
fn refuses(daemon: &Daemon, args: &[&str], code: i32, why: &str) {
    let (_, err) = ends(&daemon.rota(args), code);
    assert!(err.contains(why), "{args:?}: {err}");
}

fn fed(daemon: &Daemon, args: &[&str], text: &str) -> Output {
    let mut child =
        daemon.rota_command(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// `rota edit` with this script as the editor; `$1` is the file.
fn edit(daemon: &Daemon, name: &str, more: &[&str], script: &str) -> Output {
    let editor = daemon.path().join("editor.sh");
    fs::write(&editor, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&editor, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = daemon.rota_command(&[&["edit", name], more].concat());
    // Options of the editor are words of the shell.
    command.env("VISUAL", format!("sh {}", editor.display())).env("TMPDIR", daemon.path());
    command.output().unwrap()
}

fn copies(daemon: &Daemon) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(daemon.path()).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.display().to_string().contains("rota-edit-")).collect()
}

#[test]
fn a_job_is_made_shown_switched_and_deleted() {
    let daemon = start();
    for name in ["tick", AWKWARD, "*"] {
        let made =
            does(&daemon, &["create", name, "--schedule", "@every 1h", "--command", "/bin/echo", "--", "-n", "a b"]);
        assert!(made.starts_with(&format!("created '{name}' in ")), "{made}");
        assert_eq!(daemon.run(name), (Some(0), "a b".into()));
        assert!(does(&daemon, &["cat", name]).contains("schedule: '@every 1h'"));
        assert_eq!(daemon.json(&["cat", name])["text"], does(&daemon, &["cat", name]));
        does(&daemon, &["disable", name]);
        assert_eq!(daemon.json(&["show", name])["enable"], false);
        refuses(&daemon, &["disable", name], 1, "is disabled");
        does(&daemon, &["enable", name]);
        assert_eq!(daemon.json(&["show", name])["enable"], true);
        assert!(does(&daemon, &["pause", name, "1h30m", "--reason", "not now"]).contains("until"));
        let pause = daemon.json(&["show", name])["pause"].clone();
        assert_eq!(pause["reason"], "not now");
        assert!(pause["until"].is_string());
        does(&daemon, &["resume", name]);
        assert!(daemon.json(&["show", name]).get("pause").is_none());
        does(&daemon, &["pause", name]);
        assert!(daemon.json(&["show", name])["pause"]["until"].is_null());
        does(&daemon, &["enable", name]);
        does(&daemon, &["pause", name, "--until", "2100-01-01 08:00"]);
        assert!(daemon.json(&["show", name])["pause"]["until"].as_str().unwrap().starts_with("2100-01-01T0"));
    }
    refuses(&daemon, &["pause", "tick", "soon"], 2, "a duration is written like");
    does(&daemon, &["resume", "tick"]);
    refuses(&daemon, &["pause", "tick", "--until", "2001-01-01 08:00"], 1, "until has passed");
    refuses(&daemon, &["resume", "nope"], 1, "nope");
    let before = fs::read_dir(daemon.conf_d()).unwrap().count();
    assert_eq!(before, 3);
    // One is not there: the others go all the same.
    refuses(&daemon, &["delete", "tick", "nope", "*"], 1, "rota: nope: ");
    assert_eq!(jobs(&daemon), [AWKWARD]);
    does(&daemon, &["delete", "--yes", AWKWARD]);
    assert_eq!(fs::read_dir(daemon.conf_d()).unwrap().count(), 0);
}

#[test]
fn what_is_temporary_leaves_the_file_alone() {
    let daemon = start();
    daemon.arm("a.yaml", "# mine\nschedule: '@every 1h'\ncommand: 'true'\n");
    let told = does(&daemon, &["disable", "a", "--temporary"]);
    assert_eq!(told, "disabled 'a' until the daemon ends\n");
    assert_eq!(daemon.json(&["show", "a"])["enable"], false);
    assert!(!fs::read_to_string(daemon.conf_d().join("a.yaml")).unwrap().contains("enable"));
    does(&daemon, &["create", "b", "--temporary", "--script", "echo b"]);
    assert_eq!(daemon.run("b").1, "b\n");
    assert!(!daemon.conf_d().join("b.yaml").exists());
    refuses(&daemon, &["delete", "b"], 1, "not found");
    does(&daemon, &["delete", "b", "--temporary"]);
    assert_eq!(jobs(&daemon), ["a"]);
}

#[test]
fn create_takes_files_checks_them_and_replaces_nothing_unasked() {
    let daemon = start();
    let file = daemon.path().join("from.yaml");
    fs::write(&file, "# why it is there\ncommand: /bin/echo\nargs: [one]\n").unwrap();
    let path = file.to_str().unwrap();
    does(&daemon, &["create", path]);
    assert_eq!(fs::read_to_string(daemon.conf_d().join("from.yaml")).unwrap(), fs::read_to_string(&file).unwrap());
    fs::write(&file, "command: /bin/echo\nargs: [two]\n").unwrap();
    refuses(&daemon, &["create", path], 1, "there is a job 'from' already");
    assert_eq!(daemon.run("from").1, "one\n");
    does(&daemon, &["create", "--replace", path]);
    assert_eq!(daemon.run("from").1, "two\n");
    ends(&fed(&daemon, &["create", "-"], "name: from stdin\nscript: echo three\n"), 0);
    assert_eq!(daemon.run("from stdin").1, "three\n");
    let (_, err) = ends(&fed(&daemon, &["create", "-"], "script: echo three\n"), 1);
    assert!(err.contains("standard input") && err.contains("give the job a name"), "{err}");
    let (_, err) = ends(&fed(&daemon, &["create", "-"], "name: x\nshedule: '@daily'\ncommand: y\n"), 1);
    assert!(err.contains("error[unknown-key]") && err.contains("standard input:2:1"), "{err}");
    refuses(&daemon, &["create", "nothing-there"], 1, "--command or --script");
    refuses(&daemon, &["create", "x", "--command", "y", "--schedule", "61 * * * *"], 1, "schedule");
    refuses(&daemon, &["create", "a/../b", "--command", "y"], 1, "nothing was sent");
    refuses(&daemon, &["create", "a", "--schedule", "@daily"], 2, "needs --command or --script");
    // What only the daemon knows.
    refuses(&daemon, &["create", "x", "--command", "y", "--user", "no-such-user"], 1, "no-such-user");
    assert_eq!(jobs(&daemon), ["from", "from stdin"]);
}

#[test]
fn edit_sends_what_the_editor_leaves() {
    let daemon = start();
    ends(&fed(&daemon, &["create", "-"], &format!("# kept\nname: '{AWKWARD}'\nscript: echo one\n")), 0);
    let (out, _) =
        ends(&edit(&daemon, AWKWARD, &[], "test \"$(stat -c %a \"$1\")\" = 600 && sed -i s/one/two/ \"$1\""), 0);
    assert!(out.starts_with("changed "), "{out}");
    assert_eq!(daemon.run(AWKWARD).1, "two\n");
    assert!(does(&daemon, &["cat", AWKWARD]).starts_with("# kept\n"));
    assert_eq!(ends(&edit(&daemon, AWKWARD, &[], "true"), 0).0, "nothing was changed\n");
    assert_eq!(copies(&daemon), [] as [&Path; 0], "the copy is gone");
    ends(&edit(&daemon, AWKWARD, &["--temporary"], "sed -i s/two/three/ \"$1\""), 0);
    assert_eq!(daemon.run(AWKWARD).1, "three\n");
    let (_, err) = ends(&edit(&daemon, "nope", &[], "true"), 1);
    assert!(err.contains("nope"), "{err}");
}

#[test]
fn edit_keeps_a_text_that_is_refused_and_overwrites_nobody() {
    let daemon = start();
    daemon.arm("a.yaml", "script: echo one\n");
    for (script, why) in [
        ("echo 'timeout: soon' >> \"$1\"", "error[bad-value]"),
        ("echo 'name: b' >> \"$1\"", "the text defines a job 'b', not 'a'"),
        ("echo 'user: no-such-user' >> \"$1\"", "no-such-user"),
        ("echo '# x' >> \"$1\"; exit 3", "ended with exit status: 3"),
        ("printf '\\377' >> \"$1\"", "is not UTF-8"),
    ] {
        let (_, err) = ends(&edit(&daemon, "a", &[], script), 1);
        assert!(err.contains(why), "{script}: {err}");
        let kept = err.lines().find_map(|line| line.split_once("your text is kept in ")).unwrap().1;
        assert!(fs::read(kept).unwrap().len() > "script: echo one\n".len(), "{script}");
        assert_eq!(does(&daemon, &["cat", "a"]), "script: echo one\n");
        fs::remove_dir_all(Path::new(kept).parent().unwrap()).unwrap();
    }
    let other = daemon.conf_d().join("a.yaml");
    let script =
        format!("echo '# mine' >> \"$1\"; echo 'script: echo other' > {0}.new; mv {0}.new {0}", other.display());
    let (_, err) = ends(&edit(&daemon, "a", &[], &script), 1);
    assert!(err.contains("somebody else has changed 'a' meanwhile") && err.contains("kept in"), "{err}");
    until_true("the other text counts", || daemon.run("a").1 == "other\n");
}

#[test]
fn the_verbs_of_mysql_crond() {
    let config = Setup::new("");
    let jobs_config = config.path().join("jobs-config.yaml");
    fs::write(&jobs_config, "jobs:\n  # theirs\n  - name: old\n    enable: true\n    command: /bin/true\n    args: []\n    schedule: '@every 1h'\n    creator: dba\nbk_biz_id: 7\n").unwrap();
    let daemon = config.configure(&format!("jobs_config: {}", jobs_config.display())).start();
    let file = || fs::read_to_string(&jobs_config).unwrap();
    let config = daemon.path().join("rotad.yaml");
    let crond = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_rota"));
        command.args(args).arg("-c").arg(&config).output().unwrap()
    };
    let silent = |args: &[&str]| assert_eq!(ends(&crond(args), 0), (String::new(), String::new()), "{args:?}");
    let entry = |name: &str| daemon.json(&["show", name]);
    silent(&["addJob", "-n", AWKWARD, "-m", "/bin/echo", "-a", "-x,b", "-a", "c", "-s", "@every 10m", "-r", "me"]);
    assert_eq!(entry(AWKWARD)["command"], serde_json::json!(["/bin/echo", "-x", "b", "c"]));
    assert!(file().contains(AWKWARD) && file().contains("# theirs") && file().contains("bk_biz_id: 7"));
    silent(&["addJob", "-n", "off", "-m", "true", "-s", "@daily", "-r", "me", "-e=false", "-d", "/tmp"]);
    assert_eq!(entry("off")["enable"], false);
    let body = r#"{"name":"by body","enable":true,"command":"x","args":["1"],"schedule":"@daily","creator":"me"}"#;
    silent(&["addJob", "--body", body]);
    let (_, err) = ends(&crond(&["addJob", "-n", "x", "-m", "y", "-s", "@daily"]), 1);
    assert!(err.contains("-r, --creator is missing"), "{err}");
    ends(&crond(&["addJob", "-n", "x"]), 1);
    ends(&crond(&["addJob", "-n", "x", "--body", body]), 1);
    ends(&crond(&["addJob", "--body", "{"]), 1);
    ends(&crond(&["addJob", "-n", "x", "-m", "y", "-s", "61 * * * *", "-r", "me"]), 1);

    let (grid, _) = ends(&crond(&["list", "-m", "mysql-.*", "--detail"]), 0);
    assert!(grid.contains(&format!("| {AWKWARD} | @every 10m | /bin/echo | -x b c |")), "{grid}");
    assert_eq!(grid.lines().count(), 5, "{grid}");
    let (grid, _) = ends(&crond(&["list", "--status", "disabled"]), 0);
    assert!(grid.contains("\u{1b}[35mfalse\u{1b}[0m") && grid.contains("| off "), "{grid}");
    assert_eq!(grid.lines().count(), 5, "{grid}");
    let (_, err) = ends(&crond(&["list", "-m", "["]), 1);
    assert!(err.contains("regex"), "{err}");

    silent(&["disable-job", "-n", "old"]);
    assert!(!file().contains("enable: false\n    command: /bin/true"), "not permanent");
    silent(&["enable-job", "-m", "ol.*"]);
    silent(&["disable-job", "-n", "old", "--permanent"]);
    assert!(file().contains("enable: false\n    command: /bin/true"));
    silent(&["enable-job", "-n", "old", "--permanent=true"]);
    silent(&["pause-job", "-m", "mysql-monitor-.*|by body", "-r", "2h"]);
    assert!(entry(AWKWARD)["pause"]["until"].is_string() && entry("by body")["pause"]["until"].is_string());
    assert!(entry("old").get("pause").is_none());
    silent(&["enable-job", "-m", ".*y.*"]);
    silent(&["pause-job", "-n", "old"]);
    for args in [
        &["pause-job", "-n", "old"][..],
        &["pause-job", "-n", "by body", "-r", "-1h"],
        &["pause-job", "-n", "by body", "-r", "1 hour"],
        &["disable-job", "-m", "nothing.*"],
        &["disable-job"],
        &["disable-job", "-n", "a", "-m", "b"],
        &["enable-job", "-n", "by body"],
        &["change-job", "-n", "by body", "-s", "@daily"],
        &["change-job", "-n", "by body", "-s", "61 * * * *", "--permanent"],
        &["delJob"],
        &["delJob", "-n", "nope"],
    ] {
        let (_, err) = ends(&crond(args), 1);
        assert!(!err.is_empty(), "{args:?}");
    }
    let (_, err) = ends(&crond(&["disable-job", "-m", "nothing.*"]), 1);
    assert!(err.starts_with("rota: no job match nothing.*\n"), "{err}");
    silent(&["change-job", "-n", "by body", "-s", "@every 3h", "--permanent"]);
    assert!(file().contains("@every 3h"));
    silent(&["change-job", "-n", "by body", "-s", "@every 4h", "--permanent=false"]);
    assert!(!file().contains("@every 4h"));
    silent(&["delJob", "-n", "by body", "--permanent=false"]);
    assert!(!file().contains("by body"), "always permanent");
    assert_eq!(jobs(&daemon), [AWKWARD, "off", "old"]);
    ends(&rota(&["addJob", "-n", "x", "-m", "y", "-s", "@daily", "-r", "me", "--socket", "/nowhere"]), 1);
    ends(&rota(&["frobnicate"]), 2);
}

fn rota(args: &[&str]) -> Output {
    std::process::Command::new(env!("CARGO_BIN_EXE_rota")).args(args).output().unwrap()
}

#[test]
fn an_entry_of_jobs_config_is_edited_as_a_job_file() {
    let setup = Setup::new("");
    let jobs_config = setup.path().join("jobs-config.yaml");
    let text = "jobs:\n- name: a\n  enable: true\n  command: /bin/echo\n  args: [one]\n  schedule: '@every 1h'\n  # why\n  creator: dba\nbk_biz_id: 7\n";
    fs::write(&jobs_config, text).unwrap();
    let daemon = setup.configure(&format!("jobs_config: {}", jobs_config.display())).start();
    assert!(does(&daemon, &["cat", "a"]).starts_with("name: a\n"), "{}", does(&daemon, &["cat", "a"]));
    ends(&edit(&daemon, "a", &[], "sed -i s/one/two/ \"$1\""), 0);
    assert_eq!(fs::read_to_string(&jobs_config).unwrap(), text.replace("one", "two"));
    let (_, err) = ends(&edit(&daemon, "a", &[], "sed -i 's/schedule: .*/schedule: nonsense/' \"$1\""), 1);
    assert!(err.contains("kept in"), "{err}");
    assert_eq!(daemon.json(&["show", "a"])["schedule"], "@every 1h");
}

#[test]
fn the_jobs_of_mysql_crond_are_imported_and_run() {
    let setup = Setup::new("");
    let at = |name: &str| setup.path().join(name);
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name;
    fs::write(at("runtime.yaml"), "ip: 127.0.0.1\njobs_config: jobs-config.yaml\n").unwrap();
    let text = format!(
        "jobs:\n- name: {AWKWARD}\n  enable: true\n  command: /bin/echo\n  args: ['$HOME', '*']\n  \
         schedule: '@every 1h'\n  creator: {user}\n  work_dir: ''\n  team: db\n- name: b\n  command: x\n  schedule: never\n"
    );
    fs::write(at("jobs-config.yaml"), text).unwrap();
    let into = at("conf.d").display().to_string();
    let runtime = at("runtime.yaml").display().to_string();
    let (out, err) = ends(&rota(&["import", "mysql-crond", &runtime, "--into", &into]), 1);
    assert_eq!(out.lines().count(), 1, "{out}");
    for text in
        ["jobs-config.yaml:12:13: error[bad-schedule]", "shell-words", "unknown-key", "1 definition not taken over"]
    {
        assert!(err.contains(text), "{text}: {err}");
    }
    let daemon = setup.start();
    assert_eq!(jobs(&daemon), [AWKWARD]);
    assert_eq!(daemon.run(AWKWARD), (Some(0), "$HOME *\n".into()));
    assert_eq!(daemon.json(&["show", AWKWARD])["labels"]["team"], "db");
    let jobs_config = daemon.path().join("jobs-config.yaml").display().to_string();
    let (out, _) = ends(&rota(&["import", "mysql-crond", &jobs_config, "--disabled"]), 1);
    assert!(out.contains("enable: false") && !out.contains("enable: true"), "{out}");
}
