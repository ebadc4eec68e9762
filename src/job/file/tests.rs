use super::*;
use crate::job::{Retries, RetryOn, Severity};

fn read(text: &str) -> Result<(Job, Vec<Finding>), Vec<Finding>> {
    read_job("backup.yaml", text.as_bytes(), &TimeZone::UTC, Timestamp::UNIX_EPOCH)
}

fn good(text: &str) -> Job {
    read(text).unwrap_or_else(|findings| panic!("{findings:#?}")).0
}

/// `code@line:column` of each finding.
fn codes(text: &str) -> Vec<String> {
    let findings = match read(text) {
        Ok((_, warnings)) => warnings,
        Err(findings) => findings,
    };
    let place = |finding: &Finding| finding.place.as_ref().map(|at| format!("@{}:{}", at.line, at.column));
    findings.iter().map(|finding| format!("{}{}", finding.code, place(finding).unwrap_or_default())).collect()
}

fn hint(text: &str) -> String {
    read(text).unwrap_err()[0].hint.clone().unwrap_or_default()
}

#[test]
fn every_default() {
    let job = good("command: /bin/true\n");
    assert_eq!(job.name.as_str(), "backup");
    assert_eq!(job.program, Program::Exec { command: "/bin/true".into(), args: vec![] });
    assert!(job.enable && job.schedule.is_none() && job.timeout.is_none() && job.user.is_none());
    assert_eq!((job.stop_signal, job.kill_after), (15, Duration::from_secs(10)));
    assert_eq!((job.umask, job.nice, job.success_codes), (0o022, 0, vec![0]));
    assert_eq!(job.on_overlap, OnOverlap::Skip);
}

#[test]
fn every_key() {
    let job = good(
        "name: mysql-monitor-20000-@every 10s\nenable: false\ncreator: dba\ncommand: /opt/m\nargs: [1, true, 0x10, 1.0, ~x, a]\n\
         schedule: '@every 10s'\ndialect: robfig\ntimezone: UTC\non_overlap: queue\ntimeout: 1h30m\nstop_signal: SIGINT\n\
         kill_after: 250ms\nsuccess_codes: [0, 3]\nuser: mysql\nwork_dir: /var\nenvironment: {A: 1, B: true, C: 'x y'}\n\
         environment_file: m.env\numask: 027\nnice: -5\nlimits: {nofile: 4096, core: unlimited, cpu: 1m, file_size: 1G}\n\
         no_new_privs: true\nlog: journal\nlabels: {team: db}\n",
    );
    assert_eq!(job.name.as_str(), "mysql-monitor-20000-@every 10s");
    let args = ["1", "true", "0x10", "1.0", "~x", "a"].map(str::to_owned).to_vec();
    assert_eq!(job.program, Program::Exec { command: "/opt/m".into(), args });
    assert_eq!((job.stop_signal, job.kill_after), (2, Duration::from_millis(250)));
    assert_eq!(job.environment.get("B").map(String::as_str), Some("true"));
    assert_eq!((job.umask, job.nice), (0o027, -5));
    assert_eq!((job.limits.nofile, job.limits.core, job.limits.cpu), (4096, libc::RLIM_INFINITY, Some(60)));
    assert_eq!(job.timeout, Some(Duration::from_secs(5400)));
}

#[test]
fn mysql_crond_files_keep_their_meaning() {
    let text = "name: a\nenable: true\ncommand: sh\nargs: []\nschedule: \"*/5 * * * *\"\ncreator: x\nwork_dir: /\noverlap: true\n";
    assert_eq!(good(text).on_overlap, OnOverlap::Allow);
    assert_eq!(good(&text.replace("overlap: true", "overlap: false")).on_overlap, OnOverlap::Skip);
}

#[test]
fn b33_everything_wrong_is_told_at_once_with_its_place() {
    let text = "command: /bin/true\nshedule: '@daily'\ntimeout: 9x\nenable: yes\nenvironment:\n  A: 1\n  A: 2\n  1B: 3\n\
                limits:\n  nofiles: 3\nnice: 20\nnice: 1\n";
    assert_eq!(
        codes(text),
        [
            "duplicate-key@12:1",
            "unknown-key@2:1",
            "wrong-type@4:9",
            "bad-value@3:10",
            "duplicate-key@7:3",
            "bad-value@8:3",
            "bad-value@11:7",
            "unknown-key@10:3",
        ]
    );
}

#[test]
fn what_is_refused() {
    for (text, expected) in [
        ("", "empty"),
        ("# nothing\n", "empty"),
        ("- a\n", "wrong-type@1:1"),
        ("schedule: '@daily'\n", "missing-command@1:1"),
        ("args: [a]\n", "conflict@1:1"),
        ("script: x\nargs: [a]\n", "conflict@2:1"),
        ("command: /x\nscript: y\n", "conflict@2:1"),
        ("command: ''\n", "bad-value@1:10"),
        ("command: ~\n", "no-value@1:10"),
        ("command: /x\nargs: a\n", "wrong-type@2:7"),
        ("command: /x\nargs:\n- [a]\n", "wrong-type@3:3"),
        ("command: /x\nname: ''\n", "bad-value@2:7"),
        ("command: /x\noverlap: true\non_overlap: skip\n", "conflict@2:1"),
        ("command: /x\numask: 22\n", "bad-value@2:8"),
        ("command: /x\numask: 0o1000\n", "bad-value@2:8"),
        ("command: /x\ntimeout: 0\n", "bad-value@2:10"),
        ("command: /x\nstop_signal: STOP\n", "bad-value@2:14"),
        ("command: /x\nstop_signal: 64\n", "bad-value@2:14"),
        ("command: /x\nsuccess_codes: [256]\n", "bad-value@2:16"),
        ("command: /x\nwork_dir: tmp\n", "bad-value@2:11"),
        ("command: /x\nenvironment_file: ../x\n", "bad-value@2:19"),
        ("command: /x\nenvironment_file: b.yaml\n", "bad-value@2:19"),
        ("command: /x\ntimezone: Mars/Olympus\nschedule: '@daily'\n", "bad-value@2:11"),
        ("command: /x\nschedule: '0 x * * *'\n", "bad-schedule@2:14"),
        ("command: /x\nschedule: 0 x * * *\n", "bad-schedule@2:13"),
        ("command: /x\nschedule: !cron x\n", "yaml-syntax@2:11"),
        ("command: /x\n--- \ncommand: /y\n", "yaml-syntax"),
        ("command: \"a\\0b\"\n", "yaml-syntax@1:10"),
        ("<<: {a: b}\ncommand: /x\n", "unknown-key@1:1"),
        ("command: /x\nretry: 3\n", "unknown-key@2:1"),
    ] {
        assert_eq!(codes(text).first().map(String::as_str), Some(expected), "{text:?}: {:?}", read(text));
        assert!(read(text).is_err(), "{text:?}");
    }
}

#[test]
fn c43_users_by_shape() {
    for user in ["0", "0x0", "-1", "4294967295", "0day", "'www-data '", "DOM\\u", "Root", "''", "a/b", "é"] {
        assert_eq!(codes(&format!("command: /x\nuser: {user}\n")), ["bad-value@2:7"], "{user}");
    }
    for user in ["www-data", "_apt", "host$", "a.b", "root"] {
        assert_eq!(good(&format!("command: /x\nuser: {user}\n")).user.as_deref(), Some(user));
    }
}

#[test]
fn yaml_traps_are_explained() {
    for (text, word) in [
        ("command: /x\nschedule: */5 * * * *\n", "schedule: '*/5 * * * *'"),
        ("command: /x\nschedule: * * * * *\n", "schedule: '* * * * *'"),
        ("command: /x\nschedule: @daily\n", "schedule: '@daily'"),
        ("command: /x\nlimits:\n\tcore: 1\n", "tabs"),
        ("command: /x\nenable: yes\n", "enable: true"),
        ("command: /x\ncreator: a: b\n", "quoted"),
        ("command: /x\numask: 22\n", "leading zero"),
        ("command: /x\nargs:\n  - *\n", "quote it"),
        ("command: /x -a b\n", "args"),
    ] {
        assert!(hint(text).contains(word), "{text:?}: {:?}", read(text).unwrap_err());
    }
}

#[test]
fn warnings_do_not_disarm() {
    let (job, warnings) = read("command: /x\nschedule: '30 2 30 2 *'\n").unwrap();
    assert!(job.schedule.is_some());
    assert_eq!((warnings[0].code, warnings[0].severity), ("never-fires", Severity::Warning));
    assert_eq!(codes("command: /x\ntimezone: UTC\n"), ["no-effect@2:1"]);
}

#[test]
fn i116_what_clocks_will_do_is_a_note() {
    let (job, findings) = read("command: /x\nschedule: '30 2 * * *'\ntimezone: Europe/Berlin\n").unwrap();
    assert_eq!(job.schedule.as_ref().unwrap().dst(), None);
    assert_eq!(findings.len(), 0, "in 1970 there was no summer time");
    let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
    let mut schedules = Schedules::default();
    let mut findings = |text: &str, now| {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        read_job_with("backup.yaml", text.as_bytes(), Severity::Error, &zone, now, &mut schedules).unwrap().1
    };
    for _ in 0..2 {
        let told = findings("command: /x\nschedule: '30 2 * * *'\n", now);
        assert_eq!((told.len(), told[0].code, told[0].severity), (1, "dst", Severity::Note), "{told:?}");
        assert!(told[0].message.starts_with("02:30 does not exist on 2027-03-28 in Europe/Berlin"), "{told:?}");
        assert!(told[0].hint.as_ref().unwrap().contains("'dst: once'"), "{told:?}");
        assert_eq!(told[0].place.as_ref().map(|at| (at.line, at.column)), Some((2, 11)));
    }
    // The same text years later: other dates.
    let later: Timestamp = "2028-11-20T12:00:00Z".parse().unwrap();
    assert!(findings("command: /x\nschedule: '30 2 * * *'\n", later)[0].message.contains("2029-03-25"));
    for rule in ["skip", "once", "both"] {
        assert_eq!(findings(&format!("command: /x\nschedule: '30 2 * * *'\ndst: {rule}\n"), now), []);
    }
    assert_eq!(findings("command: /x\nschedule: '30 4 * * *'\n", now), []);
    assert_eq!(findings("command: /x\nat: 2027-03-28 02:30\n", now)[0].code, "dst");
}

#[test]
fn the_rule_for_changes_of_the_clock() {
    let rule = |text: &str| good(&format!("command: /x\n{text}\n")).schedule.unwrap().dst();
    assert_eq!(rule("schedule: '30 2 * * *'\ndst: once"), Some(crate::schedule::Dst::Once));
    // Equal texts with different rules are different schedules.
    let mut schedules = Schedules::default();
    for word in ["skip", "both", "skip"] {
        let text = format!("command: /x\nschedule: '30 2 * * *'\ndst: {word}\n");
        let zone = TimeZone::UTC;
        let read =
            read_job_with("a.yaml", text.as_bytes(), Severity::Error, &zone, Timestamp::UNIX_EPOCH, &mut schedules);
        assert_eq!(read.unwrap().0.schedule.unwrap().dst().unwrap().name(), word);
    }
    assert_eq!(codes("command: /x\nschedule: '30 2 * * *'\ndst: twice\n"), ["bad-value@3:6"]);
    for (rest, code) in [
        ("schedule: '@every 1h'\ndst: once\n", "no-effect@3:1"),
        ("dialect: vixie\ndst: once\nschedule: '@reboot'\n", "no-effect@3:1"),
        ("at: 2026-12-01T02:30Z\ndst: once\n", "no-effect@3:1"),
        ("dst: once\n", "no-effect@2:1"),
    ] {
        assert_eq!(codes(&format!("command: /x\n{rest}")), [code], "{rest}");
    }
}

#[test]
fn a_time_that_comes_once() {
    let job = good("command: /x\nat: 2026-12-01T02:30\ntimezone: Asia/Tokyo\nwhen_done: remove\n");
    let schedule = job.schedule.unwrap();
    assert!(schedule.is_once() && job.when_done == WhenDone::Remove);
    let slot: Timestamp = "2026-11-30T17:30:00Z".parse().unwrap();
    assert_eq!(schedule.next(Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH), Some(slot));
    for written in ["2026-12-01 02:30", "'2026-12-01 02:30:00'", "2026-12-01T02:30:00Z", "\"2026-12-01T03:30+01:00\""] {
        let job = good(&format!("command: /x\nat: {written}\n"));
        assert_eq!(job.when_done, WhenDone::Keep);
        let next = job.schedule.unwrap().next(Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
        assert_eq!(next, Some("2026-12-01T02:30:00Z".parse().unwrap()), "{written}");
    }
    assert_eq!(codes("command: /x\nschedule: '@daily'\nat: 2026-12-01T02:30\n"), ["conflict@3:1"]);
    assert_eq!(codes("command: /x\nat: 2026-12-01\n"), ["bad-schedule@2:5"]);
    assert_eq!(codes("command: /x\nat: 1969-12-01T02:30\n"), ["at-passed@2:5"]);
    assert_eq!(codes("command: /x\nat: 1970-01-01T00:00\n"), ["at-passed@2:5"]);
    assert_eq!(codes("command: /x\ndialect: vixie\nat: 2026-12-01T02:30\n"), ["no-effect@2:1"]);
    assert_eq!(codes("command: /x\nschedule: '@daily'\nwhen_done: remove\n"), ["no-effect@3:1"]);
    assert_eq!(codes("command: /x\nat: 2026-12-01T02:30\nwhen_done: burn\n"), ["bad-value@3:12"]);
}

#[test]
fn b33_caps() {
    let many = format!("command: /x\nargs: [{}]\n", "a,".repeat(2000));
    assert_eq!(codes(&many), ["too-large@2:7"]);
    let wide = format!("command: /x\nenvironment: {{A: {}}}\n", "x".repeat(40_000));
    assert_eq!(codes(&wide), ["too-large@2:14"]);
    let deep = format!("command: /x\nargs: {}\n", "[".repeat(20_000));
    assert!(codes(&deep)[0].starts_with("yaml-syntax"));
    let hidden = format!("command: /x\nargs: {}\n", "[{".repeat(30_000));
    assert!(read(&hidden).unwrap_err()[0].message.contains("brackets"), "told before the parser sees it");
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..9 {
        bomb += &format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 9].join(","));
    }
    assert!(codes(&bomb)[0].starts_with("yaml-syntax"));
    let text = format!("s: &s {}\nargs: [{}]\n", "x".repeat(30_000), vec!["*s"; 5000].join(","));
    assert!(codes(&text)[0].starts_with("yaml-syntax"), "{:?}", codes(&text));
    let unknown: String = (0..3000).map(|n| format!("k{n}: 1\n")).collect();
    let findings = read(&unknown).unwrap_err();
    assert!(findings.len() <= 25 && findings.iter().any(|finding| finding.code == "more"));
}

#[test]
fn crlf_and_byte_order_mark() {
    assert_eq!(good("\u{feff}command: /x\r\nschedule: '* * * * *'\r\n").name.as_str(), "backup");
}

#[test]
fn names_from_files() {
    for (file, name) in [
        ("a.b.yaml", Some("a.b")),
        ("mysql-monitor-20000-%40every%2010s.yml", Some("mysql-monitor-20000-@every 10s")),
        ("100%.yaml", Some("100%")),
        ("some/where/x.yaml", Some("x")),
        ("%FF.yaml", None),
        ("m-0%20%2A%2F5.yaml", Some("m-0 */5")),
        ("%00.yaml", None),
    ] {
        let read = read_job(file, b"command: /x\n", &TimeZone::UTC, Timestamp::UNIX_EPOCH);
        assert_eq!(read.ok().map(|(job, _)| job.name.as_str().to_owned()).as_deref(), name, "{file}");
    }
}

#[test]
fn names_survive_the_way_to_a_file_and_back() {
    proptest::proptest!(|(text in "\\PC{1,40}")| {
        if let Ok(name) = JobName::parse(&text) {
            let file = format!("{}.yaml", name.file_stem());
            let read = read_job(&file, b"command: /x\n", &TimeZone::UTC, Timestamp::UNIX_EPOCH);
            proptest::prop_assert_eq!(&read.unwrap().0.name, &name);
        }
    });
}

#[test]
fn b33_any_bytes_are_read_without_a_panic() {
    let line = "(name|command|args|schedule|limits|environment|umask|[a-z]{1,5}): ?[-\\[\\]{}&*!|>'\"%@`a-z0-9 ,:#\\n~]{0,20}\n";
    proptest::proptest!(|(text in proptest::collection::vec(line, 0..8), cut in 0usize..200)| {
        let text = text.concat();
        let bytes = &text.as_bytes()[..text.len().min(cut)];
        if let Err(findings) = read_job("x.yaml", bytes, &TimeZone::UTC, Timestamp::UNIX_EPOCH) {
            proptest::prop_assert!(!findings.is_empty());
            for finding in findings {
                proptest::prop_assert!(!finding.to_string().contains('\n'), "{:?}", finding);
            }
        }
    });
}

#[test]
fn d72_retries_as_a_number_or_a_map() {
    let retries = |text: &str| good(&format!("command: /x\nretries: {text}\n")).retries.map(|retries| *retries);
    assert_eq!(good("command: /x\n").retries, None);
    assert_eq!(retries("0"), None);
    assert_eq!(retries("{max: 0, delay: 1m}"), None);
    assert_eq!(retries("3"), Some(Retries::of(3)));
    assert_eq!(retries("{max: 100}"), Some(Retries::of(100)));
    let all = retries("{max: 2, delay: 1m, backoff: 1.5, max_delay: 30m, on: [timeout, 75, 0]}").unwrap();
    assert_eq!(
        (all.max, all.delay, all.backoff, all.max_delay),
        (2, Duration::from_secs(60), 150, Duration::from_secs(1800))
    );
    let on = RetryOn { failure: false, timeout: true, could_not_start: false, codes: vec![75, 0] };
    assert_eq!(all.on, on);
    let one = |on: &str| retries(&format!("{{max: 1, on: {on}}}")).unwrap().on;
    let nothing = || RetryOn { failure: false, timeout: false, could_not_start: false, codes: vec![] };
    assert_eq!(one("failure"), RetryOn { failure: true, ..nothing() });
    assert_eq!(one("could-not-start"), RetryOn { could_not_start: true, ..nothing() });
    assert_eq!(one("255"), RetryOn { codes: vec![255], ..nothing() });
    assert_eq!(retries("{max: 1, backoff: 1}").unwrap().backoff, 100);
    assert_eq!(retries("{max: 1, backoff: 100}").unwrap().backoff, 10_000);
    assert_eq!(retries("{max: 1, delay: 0s}").unwrap().delay_after(9), Duration::ZERO);
}

#[test]
fn what_retries_are_not() {
    for (text, at) in [
        ("101", "bad-value@2:10"),
        ("-1", "bad-value@2:10"),
        ("often", "bad-value@2:10"),
        ("{max: 101}", "bad-value@2:16"),
        ("{max: 1, delay: soon}", "bad-value@2:26"),
        ("{max: 1, max_delay: 367d}", "bad-value@2:30"),
        ("{max: 1, backoff: 0.5}", "bad-value@2:28"),
        ("{max: 1, backoff: 101}", "bad-value@2:28"),
        ("{max: 1, on: 256}", "bad-value@2:23"),
        ("{max: 1, on: [failure, success]}", "bad-value@2:23"),
        ("{max: 1, on: [-1]}", "bad-value@2:23"),
    ] {
        assert_eq!(codes(&format!("command: /x\nretries: {text}\n")), [at], "{text}");
    }
    assert_eq!(codes("command: /x\nretries: {max: 1, often: 2}\n").len(), 1, "an unknown key");
}
