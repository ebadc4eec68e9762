use super::*;
use crate::job::{Severity, read_job};

fn root() -> Standing {
    Standing {
        root: true,
        user: "root".into(),
        uid: 0,
        has_rotad_user: false,
        config_home: "/root/.config".into(),
        state_home: "/root/.local/state".into(),
        runtime_dir: None,
    }
}

fn user() -> Standing {
    Standing {
        root: false,
        user: "alice".into(),
        uid: 1000,
        config_home: "/home/alice/.config".into(),
        state_home: "/home/alice/.local/state".into(),
        runtime_dir: Some("/run/user/1000".into()),
        has_rotad_user: true,
    }
}

fn good(text: &str) -> Config {
    read("rotad.yaml", text, &root()).unwrap_or_else(|findings| panic!("{findings:#?}")).0
}

fn codes(text: &str, standing: &Standing) -> Vec<String> {
    let findings = match read("rotad.yaml", text, standing) {
        Ok((_, warnings)) => warnings,
        Err(findings) => findings,
    };
    let place = |finding: &Finding| finding.place.as_ref().map_or((0, 0), |at| (at.line, at.column));
    findings.iter().map(|finding| format!("{}@{}:{}", finding.code, place(finding).0, place(finding).1)).collect()
}

#[test]
fn every_default_as_root() {
    let config = good("# nothing\n");
    assert_eq!(config.conf_d, Path::new("/etc/rotad/conf.d"));
    assert_eq!(config.state_dir, Path::new("/var/lib/rotad"));
    assert_eq!(config.socket, Path::new("/run/rotad/rotad.sock"));
    assert_eq!((config.port, config.jobs_user.as_str(), config.engine_user.as_str()), (9999, "nobody", "daemon"));
    assert_eq!((config.stop_timeout, config.log.max_size, config.log.keep), (Duration::from_secs(90), 100 << 20, 5));
    assert_eq!(config.log.dir, Path::new("/var/log/rotad"));
    let standing = Standing { has_rotad_user: true, ..root() };
    assert_eq!(Config::defaults(&standing).engine_user, "rotad");
}

#[test]
fn every_default_as_a_plain_user() {
    let config = Config::defaults(&user());
    assert_eq!((config.jobs_user.as_str(), config.engine_user.as_str()), ("alice", "alice"));
    assert_eq!(config.state_dir, Path::new("/home/alice/.local/state/rotad"));
    assert_eq!(config.socket, Path::new("/run/user/1000/rotad/rotad.sock"));
    let config = Config::defaults(&Standing { runtime_dir: None, ..user() });
    assert_eq!(config.socket, Path::new("/tmp/rotad-1000/rotad.sock"));
}

#[test]
fn every_key() {
    let config = good(
        "conf_d: /c\nstate_dir: /s\nsocket: /r/s\nport: 0\njobs_user: jobs\nallowed_users: [mysql, www-data]\n\
         allow_root_jobs: true\nengine_user: engine\nstop_timeout: 2m\n\
         log: {target: file, dir: /l, max_size: 10MB, keep: 2, debug: true}\n",
    );
    assert_eq!((config.port, config.allowed_users.len(), config.allow_root_jobs), (0, 2, true));
    assert_eq!(config.log.target, LogTarget::File);
    assert_eq!((config.log.max_size, config.log.keep, config.log.debug), (10_000_000, 2, true));
    let config = good("admin_group: ops\napi:\n  readers: [alice, '@dba', anyone]\n");
    assert_eq!(config.admin_group.as_deref(), Some("ops"));
    let readers = [ApiReader::User("alice".into()), ApiReader::Group("dba".into()), ApiReader::Anyone];
    assert_eq!(config.readers, readers);
    assert_eq!(good("log: journal\n").log.target, LogTarget::Journal);
    assert_eq!(good("log: none\n").log.target, LogTarget::None);
}

#[test]
fn mysql_cronds_runtime_yaml_works_unchanged() {
    let text = "ip: 10.0.0.1\nport: 9999\nbk_cloud_id: 0\nbk_monitor_beat:\n  inner_event_name: e\n  \
                inner_metrics_name: m\n  custom_event:\n    bk_data_id: 542898\n    access_token: hunter2\n    \
                report_type: agent\n    message_kind: event\n  custom_metrics:\n    bk_data_id: 543957\n    \
                access_token: hunter2\n    report_type: agent\n    message_kind: timeseries\n  \
                beat_path: /usr/local/gse/bkmonitorbeat\n  agent_address: /usr/local/gse/ipc.state.report\nlog:\n  \
                console: true\n  log_file_dir: /home/mysql/mysql-crond/logs\n  debug: false\n  source: true\n  \
                json: false\npid_path: /home/mysql/mysql-crond\njobs_user: mysql\n\
                jobs_config: /home/mysql/mysql-crond/jobs-config.yaml\nbk_biz_id: 3\nimmute_domain: db.example\nrole: spider\n";
    let (config, findings) = read("runtime.yaml", text, &root()).unwrap();
    assert_eq!(findings, []);
    assert_eq!((config.port, config.jobs_user.as_str()), (9999, "mysql"));
    assert_eq!(config.log.dir, Path::new("/home/mysql/mysql-crond/logs"));
    assert!(!format!("{config:?}").contains("hunter2"), "secrets are not shown");
    let crond = config.crond.unwrap();
    let event = crond.beat.unwrap().custom_event.unwrap();
    assert_eq!((crond.bk_cloud_id, event.bk_data_id), (Some(0), Some(542_898)));
    let identity = crond.identity;
    assert_eq!((identity.bk_biz_id, identity.immute_domain.as_deref()), (Some(3), Some("db.example")));
    assert_eq!((identity.machine_type, identity.role.as_deref()), (None, Some("spider")));
}

#[test]
fn what_is_refused() {
    for (text, expected) in [
        ("prot: 1\n", "unknown-key@1:1"),
        ("port: 1\nport: 2\n", "duplicate-key@2:1"),
        ("port: 65536\n", "bad-value@1:7"),
        ("port: -1\n", "bad-value@1:7"),
        ("conf_d: conf.d\n", "bad-value@1:9"),
        ("jobs_config: jobs.yaml\n", "bad-value@1:14"),
        ("bk_biz_id: x\n", "bad-value@1:12"),
        ("stop_timeout: 25h\n", "bad-value@1:15"),
        ("jobs_user: '0'\n", "bad-value@1:12"),
        ("jobs_user: root\n", "root-jobs@1:12"),
        ("engine_user: root\n", "root-engine@1:1"),
        ("allowed_users: mysql\n", "wrong-type@1:16"),
        ("allowed_users: [0]\n", "bad-value@1:16"),
        ("admin_group: '0'\n", "bad-value@1:14"),
        ("api: {reader: [alice]}\n", "unknown-key@1:7"),
        ("api: {readers: alice}\n", "wrong-type@1:16"),
        ("api: {readers: ['@']}\n", "bad-value@1:16"),
        ("api: {readers: ['1000']}\n", "bad-value@1:16"),
        ("log: syslog\n", "bad-value@1:6"),
        ("log: {max_size: 1}\n", "bad-value@1:17"),
        ("bk_monitor_beat: {beat: x}\n", "unknown-key@1:19"),
        ("- a\n", "wrong-type@1:1"),
    ] {
        assert_eq!(codes(text, &root()), [expected], "{text:?}");
        assert!(read("rotad.yaml", text, &root()).is_err());
    }
    let long = format!("socket: /{}\n", "x".repeat(MAX_SOCKET));
    assert_eq!(codes(&long, &root()), ["bad-value@1:9"]);
    let finding = &read("rotad.yaml", "prot: 1\n", &root()).unwrap_err()[0];
    assert_eq!(finding.hint.as_deref(), Some("did you mean 'port'?"));
}

#[test]
fn users_that_could_signal_the_engine_are_a_warning() {
    assert_eq!(codes("jobs_user: daemon\n", &root()), ["shared-user@1:12"]);
    assert_eq!(codes("jobs_user: root\nallow_root_jobs: true\n", &root()), Vec::<String>::new());
}

#[test]
fn h115_a_plain_user_runs_jobs_as_nobody_else() {
    assert_eq!(codes("jobs_user: mysql\n", &user()), ["needs-root@1:12"]);
    assert_eq!(codes("jobs_user: alice\n", &user()), Vec::<String>::new());
    let config = Config::defaults(&user());
    assert_eq!(config.refuses(&job("user: mysql\n")).unwrap().code, "user-not-allowed");
    assert!(config.refuses(&job("user: alice\n")).is_none());
    assert!(config.refuses(&job("")).is_none());
}

#[test]
fn c43_users_that_jobs_may_name() {
    let config = good("jobs_user: jobs\nallowed_users: [mysql, root]\n");
    for (text, allowed) in
        [("", true), ("user: jobs\n", true), ("user: mysql\n", true), ("user: bob\n", false), ("user: root\n", false)]
    {
        assert_eq!(config.refuses(&job(text)).is_none(), allowed, "{text}");
    }
    let config = good("allow_root_jobs: true\n");
    assert!(config.refuses(&job("user: root\n")).is_none());
    let refusal = good("").refuses(&job("user: bob\n")).unwrap();
    assert_eq!((refusal.code, refusal.severity), ("user-not-allowed", Severity::Error));
}

fn job(text: &str) -> crate::job::Job {
    let text = format!("command: /x\n{text}");
    read_job("a.yaml", text.as_bytes(), &jiff::tz::TimeZone::UTC, jiff::Timestamp::UNIX_EPOCH).unwrap().0
}

#[test]
fn b30_the_file_must_be_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let here = tempfile::tempdir().unwrap();
    let path = here.path().join("rotad.yaml");
    std::fs::write(&path, "port: 1234\n").unwrap();
    let standing = Standing::of_process();
    assert_eq!(load(&path, &standing).unwrap().0.port, 1234);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(load(&path, &standing).unwrap_err()[0].code, "writable");
    assert_eq!(load(here.path(), &standing).unwrap_err()[0].code, "not-regular");
    assert_eq!(load(&here.path().join("x"), &standing).unwrap_err()[0].code, "unreadable");
    if standing.root {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
        assert_eq!(load(&path, &standing).unwrap_err()[0].code, "wrong-owner");
    } else {
        println!("skipped in part: only root can give files away");
    }
}

#[test]
fn history_is_none_or_how_much() {
    let history = |text: &str| good(text).history;
    let default = HistoryConfig::default();
    assert_eq!((default.keep, default.rows), (Duration::from_secs(90 * 86_400), 1_000_000));
    assert_eq!((default.size, default.tail), (1 << 30, 4096));
    assert_eq!(history("port: 1\n"), Some(default.clone()));
    assert_eq!(history("history: {}\n"), Some(default.clone()));
    assert_eq!(history("history: none\n"), None);
    let all = HistoryConfig { keep: Duration::from_secs(604_800), rows: 5000, size: 10 << 20, tail: 0 };
    assert_eq!(history("history: {keep: 1w, rows: 5000, size: 10MiB, tail: 0}\n"), Some(all));
    for bad in
        ["some", "[none]", "{keep: 59m}", "{rows: 999}", "{rows: x}", "{size: 1KiB}", "{tail: 65KiB}", "{to: x}", "~"]
    {
        assert_eq!(codes(&format!("history: {bad}\n"), &root()).len(), 1, "{bad}");
    }
}
