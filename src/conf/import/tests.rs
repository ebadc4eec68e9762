use proptest::prelude::*;

use super::*;
use crate::job::{Job, Program};

fn import(text: &str, system: bool) -> Imported {
    let homes = BTreeMap::from([("ann".to_owned(), "/home/ann".to_owned())]);
    let user = (!system).then_some("ann");
    let crontab = Crontab { origin: "/etc/crontab", text, system, user, homes };
    import_crontab(&crontab, &TimeZone::UTC, Timestamp::UNIX_EPOCH)
}

fn job(file: &JobFile) -> Job {
    read_job(&file.file(), file.text.as_bytes(), &TimeZone::UTC, Timestamp::UNIX_EPOCH).unwrap().0
}

fn codes(imported: &Imported) -> Vec<&str> {
    imported.findings.iter().map(|finding| finding.code).collect()
}

#[test]
fn an_entry_keeps_its_meaning() {
    let text =
        "MAILTO=\"\"\nPATH=/opt/bin:/bin\nLANG=de_DE.UTF-8\n*/5 2 1 * mon /opt/x/backup.sh --all > /tmp/x 2>&1\n";
    let done = import(text, false);
    let job = job(&done.files[0]);
    assert_eq!(job.name.as_str(), "backup.sh");
    assert_eq!(job.program, Program::Script("/opt/x/backup.sh --all > /tmp/x 2>&1".into()));
    let schedule = job.schedule.as_ref().unwrap();
    assert_eq!((schedule.text(), schedule.dialect().unwrap().to_string().as_str()), ("*/5 2 1 * mon", "vixie"));
    assert_eq!(job.user.as_deref(), Some("ann"));
    assert_eq!(job.work_dir.as_deref(), Some(std::path::Path::new("/home/ann")));
    assert_eq!(job.environment["PATH"], "/opt/bin:/bin");
    assert_eq!(job.environment["LANG"], "de_DE.UTF-8");
    assert!(!job.environment.contains_key("MAILTO"));
    assert_eq!(codes(&done), ["user", "dst", "overlap"]);
}

/// Everything that is a line break, a mark or an escape to some reader of YAML.
#[test]
fn b28_what_is_imported_says_nothing_but_what_it_said() {
    for c in "\r\u{b}\u{c}\u{1b}\u{85}\u{9b}\u{2028}\u{2029}\u{202e}\u{feff}\u{fffe}".chars() {
        let command = format!("echo 'a{c}user: root{c}---{c}' # {c} b");
        let origin = format!("ann{c}user: root");
        let text = format!("* * * * * {command}\n");
        let crontab =
            Crontab { origin: &origin, text: &text, system: false, user: Some("ann"), homes: BTreeMap::new() };
        let done = import_crontab(&crontab, &TimeZone::UTC, Timestamp::UNIX_EPOCH);
        let job = job(&done.files[0]);
        assert_eq!((job.program, job.user.as_deref()), (Program::Script(command), Some("ann")), "{c:?}");
    }
}

#[test]
fn what_differs_is_told_at_its_place() {
    let text = "MAILTO=ops@example.com\n17 3 * * * root cd / && run-parts --report /etc/cron.hourly\n\
        0 4 * * * ghost mail -s x y%first%second\n0 5 * * * nobody\nbogus line\n61 * * * * root x\n";
    let done = import(text, true);
    assert_eq!(done.files.iter().map(JobFile::file).collect::<Vec<_>>(), ["run-parts.yaml", "mail.yaml"]);
    let script = "{ mail -s x y\n} <<'END_OF_INPUT'\nfirst\nsecond\nEND_OF_INPUT\n";
    assert_eq!(job(&done.files[1]).program, Program::Script(script.into()));
    let placed: Vec<(&str, usize)> =
        done.findings.iter().filter_map(|finding| Some((finding.code, finding.place.as_ref()?.line))).collect();
    let errors: Vec<(&str, usize)> = placed.iter().copied().filter(|(_, line)| *line >= 4).collect();
    assert_eq!(errors.iter().map(|(_, line)| *line).collect::<Vec<_>>(), [4, 5, 6, 6], "{errors:?}");
    for expected in [("mail", 1), ("home", 2), ("percent", 3), ("home", 3)] {
        assert!(placed.contains(&expected), "{expected:?} in {placed:?}");
    }
}

#[test]
fn another_shell_and_zone_and_names_given_twice() {
    let text = "SHELL=/bin/bash\nCRON_TZ=Asia/Tokyo\n@hourly a\n@daily a\n@reboot a-2\n";
    let done = import(text, false);
    let jobs: Vec<Job> = done.files.iter().map(job).collect();
    assert_eq!(jobs.iter().map(|job| job.name.as_str()).collect::<Vec<_>>(), ["a", "a-2", "a-2-2"]);
    let args = vec!["-c".to_owned(), "a".to_owned()];
    assert_eq!(jobs[0].program, Program::Exec { command: "/bin/bash".into(), args });
    assert_eq!(jobs[0].schedule.as_ref().unwrap().zone().iana_name(), Some("Asia/Tokyo"));
    assert!(jobs[2].schedule.as_ref().unwrap().is_reboot());
}

#[test]
fn the_end_of_an_input_is_not_in_it() {
    let done = import("0 0 * * * cat%END_OF_INPUT%x\n", false);
    let Program::Script(script) = job(&done.files[0]).program else { panic!("a script") };
    let output = std::process::Command::new("/bin/sh").args(["-c", &script]).output().unwrap();
    assert_eq!(output.stdout, b"END_OF_INPUT\nx\n");
}

fn import_crond(text: &str) -> Imported {
    let source = MysqlCrond { origin: "/etc/jobs-config.yaml", text, jobs_user: Some("mysql") };
    import_mysql_crond(&source, &TimeZone::UTC, Timestamp::UNIX_EPOCH)
}

#[test]
fn an_entry_of_mysql_crond_keeps_its_meaning() {
    let text = "\
jobs:
    - name: mysql-monitor-20000-@every 10s
      enable: true
      command: /home/mysql/mysql-monitor
      args: [items-config.yaml, -x, \"1\", 2]
      schedule: '@every 10s'
      creator: dba
      work_dir: \"\"
      overlap: true
      bk_team: db
      nested: {a: 1}
    - name: off
      enable: false
      command: x
      args: [\"> /tmp/x 2>&1\"]
      schedule: 0 3 * * *
      creator: dba
      work_dir: /tmp
bk_biz_id: 7
immute_domain: db.example
";
    let done = import_crond(text);
    let jobs: Vec<Job> = done.files.iter().map(job).collect();
    assert_eq!(jobs.iter().map(|job| job.name.as_str()).collect::<Vec<_>>(), ["mysql-monitor-20000-@every 10s", "off"]);
    let args = ["items-config.yaml", "-x", "1", "2"].map(str::to_owned).to_vec();
    assert_eq!(jobs[0].program, Program::Exec { command: "/home/mysql/mysql-monitor".into(), args });
    assert_eq!(jobs[0].schedule.as_ref().unwrap().dialect().unwrap().to_string(), "robfig");
    assert_eq!(jobs[0].on_overlap, crate::job::OnOverlap::Allow);
    assert_eq!((jobs[0].user.as_deref(), jobs[0].creator.as_str()), (Some("mysql"), "dba"));
    assert_eq!(jobs[0].labels["bk_team"], "db");
    assert!(jobs[0].enable && !jobs[1].enable);
    assert_eq!(jobs[1].work_dir.as_deref(), Some(std::path::Path::new("/tmp")));
    let whole = ["identity", "user", "environment", "overlap", "background"];
    assert_eq!(codes(&done), [&["unknown-key", "unknown-key", "work-dir", "shell-words"][..], &whole].concat());
    let places: Vec<_> = done.findings.iter().filter_map(|finding| Some(finding.place.as_ref()?.line)).collect();
    assert_eq!(places, [2, 2, 2, 12]);
    let identity = done.findings.iter().find(|finding| finding.code == "identity").unwrap();
    assert!(identity.message.ends_with("bk_biz_id: 7, immute_domain: db.example"), "{identity}");
}

#[test]
fn entries_of_mysql_crond_that_are_broken_are_left_out() {
    let item = |name: &str, schedule: &str| {
        format!(
            "- {{name: {name}, enable: true, command: x, args: [], schedule: '{schedule}', creator: o, work_dir: /}}\n"
        )
    };
    let text = [
        "jobs:\n".to_owned(),
        item("a", "@daily"),
        item("b", "61 * * * *"),
        item("c", "@hourly"),
        item("a", "@hourly"),
        "-\n".into(),
    ];
    let done = import_crond(&text.concat());
    // Which of two is meant, nobody knows.
    assert_eq!(done.files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), ["c"]);
    let errors = done.findings.iter().filter(|finding| finding.severity == crate::job::Severity::Error);
    let errors: Vec<_> = errors.map(|finding| (finding.code, finding.place.as_ref().unwrap().line)).collect();
    assert_eq!(errors, [("not-taken-over", 2), ("bad-schedule", 3), ("duplicate-name", 5)], "{:?}", done.findings);
    for text in ["", "jobs:\n", "bk_biz_id: 1\n"] {
        assert!(import_crond(text).files.is_empty());
    }
    assert!(import_crond("jobs: [").findings.iter().any(|finding| finding.severity == crate::job::Severity::Error));
}

#[test]
fn what_looks_like_a_shell_is_doubted() {
    for (arg, doubted) in [
        (">", true),
        ("2>&1", true),
        ("> file 2>&1", true),
        ("&&", true),
        ("$HOME/x", true),
        ("${A}", true),
        ("/tmp/*.log", true),
        ("`date`", true),
        ("-c", false),
        ("a*b", false),
        ("100$", false),
        ("--where=id > 3", true),
        ("user@host", false),
    ] {
        let text = format!("jobs:\n- {{name: a, command: x, args: ['{arg}'], schedule: '@daily', work_dir: /}}\n");
        assert_eq!(codes(&import_crond(&text)).contains(&"shell-words"), doubted, "{arg}");
        assert!(!codes(&import_crond(&text.replace("command: x", "command: /bin/sh"))).contains(&"shell-words"));
    }
}

#[test]
fn a_file_that_was_enabled_is_disabled_once() {
    let mut done = import_crond("jobs:\n- {name: a, enable: true, command: x, args: [], schedule: '@daily'}\n");
    done.files[0].disable().unwrap();
    assert!(!job(&done.files[0]).enable);
}

proptest! {
    /// Whatever a command is, the job runs it as it stands; whatever a text is, nothing panics.
    #[test]
    fn every_command_comes_through(command in "[^%\\\\\\p{C}\\s][^%\\\\\\p{C}]{0,60}") {
        let done = import(&format!("0 0 * * * {command}\n"), false);
        prop_assert_eq!(done.files.len(), 1, "{:?}", done.findings);
        prop_assert_eq!(job(&done.files[0]).program, Program::Script(command));
    }

    #[test]
    fn f_any_text_is_taken_apart_without_a_panic(text in "(\\PC|\n|%|\t){0,200}", system: bool) {
        let _done = import(&text, system);
    }

    #[test]
    fn f_any_file_of_jobs_is_taken_apart_without_a_panic(text in "(\\PC|\n| |-|name:|jobs:|args:){0,200}") {
        let _done = import_crond(&text);
        let _entry = import_crond(&format!("jobs:\n- name: a\n  {text}\n"));
    }
}
