//! The JSON Schemas say what the readers read: every key, every good text, and no bad one that a schema can tell. The
//! validator is python3-jsonschema, an implementation of others.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rotad::cli::schema::{Of, schema, text};
use rotad::conf::Config;
use rotad::conf::yaml::key::{Default, Group, Key, Value};
use rotad::job::{Severity, read_job};
use serde_json::{Value as Json, json};

/// What the reader says of a text: the codes of its errors.
fn errors(of: Of, text: &str) -> Vec<&'static str> {
    let read = match of {
        Of::Job => read_job("a.yaml", text.as_bytes(), &TimeZone::UTC, Timestamp::UNIX_EPOCH).map(drop),
        Of::Config => {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), text).unwrap();
            Config::load(Some(file.path())).map(drop)
        }
    };
    let findings = read.err().unwrap_or_default();
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).map(|finding| finding.code);
    // Who may be whom is another question than what may be written.
    errors.filter(|code| !["needs-root", "root-jobs", "root-engine"].contains(code)).collect()
}

/// A file that says this about one key, and what a file needs besides. Keys of maps are `log.keep`.
fn about(of: Of, path: &[&str], value: &str) -> String {
    let command = if of == Of::Job && !["command", "script"].contains(&path[0]) { "command: /x\n" } else { "" };
    let closing = "}".repeat(path.len() - 1);
    let mut text = format!("{command}{}: ", path[0]);
    path[1..].iter().for_each(|key| text += &format!("{{{key}: "));
    format!("{text}{value}{closing}\n")
}

/// Every key with the way to it.
fn walk(of: Of) -> Vec<(Vec<&'static str>, &'static Key)> {
    fn below(way: &[&'static str], groups: &'static [Group], out: &mut Vec<(Vec<&'static str>, &'static Key)>) {
        for key in groups.iter().flat_map(|group| group.keys) {
            let way = [way, &[key.name]].concat();
            out.push((way.clone(), key));
            below(&way, key.value.keys().unwrap_or_default(), out);
        }
    }
    let mut out = Vec::new();
    below(&[], if of == Of::Job { rotad::job::keys::KEYS } else { rotad::conf::keys::KEYS }, &mut out);
    out
}

#[test]
fn every_key_is_read_and_its_example_and_its_default_are_good() {
    for of in [Of::Job, Of::Config] {
        for (way, key) in walk(of) {
            assert_ne!(errors(of, &about(of, &way, "[[x]]")), [""; 0], "{way:?} is read by nobody");
            assert_ne!(errors(of, &about(of, &way, "~")), [""; 0], "{way:?}");
            assert_ne!((key.example, key.meaning), ("", ""), "{way:?}");
            assert!(key.meaning.ends_with('.'), "{way:?}");
            let default = if let Default::Value(value) = key.default { value } else { key.example };
            let words = if let Value::Word(words) = key.value { words } else { &[] };
            for value in words.iter().map(|(word, _)| *word).chain([key.example, default]) {
                assert_eq!(errors(of, &about(of, &way, value)), [""; 0], "{way:?}: {value}");
            }
        }
    }
}

/// Texts, and whether they are good. A schema can tell all of them.
fn job_texts() -> Vec<(String, bool)> {
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(root().join("conf.d")).unwrap() {
        texts.push((std::fs::read_to_string(entry.unwrap().path()).unwrap(), true));
    }
    for good in [
        "name: mysql-monitor-20000-0 */5 * * * *\nenable: false\ncreator: dba\ncommand: /opt/m\n\
         args: [1, true, 0x10, 1.0, ~x, a]\nschedule: '@every 10s'\ndialect: robfig\ntimezone: UTC\non_overlap: queue\n\
         timeout: 1h30m\nstop_signal: SIGINT\nkill_after: 250ms\nsuccess_codes: [0, 3]\nuser: mysql\nwork_dir: /var\n\
         environment: {A: 1, B: true, C: 'x y'}\nenvironment_file: m.env\numask: 027\nnice: -5\n\
         limits: {nofile: 4096, core: unlimited, cpu: 1m, file_size: 1G}\nno_new_privs: true\nlog: journal\n\
         labels: {team: db}\n",
        "name: a\nenable: true\ncommand: sh\nargs: []\nschedule: \"*/5 * * * *\"\ncreator: x\nwork_dir: /\noverlap: true\n",
        "script: |\n  a\n  b\nsuccess_codes: 3\numask: 0\ntimeout: 90\nstop_signal: 15\n",
        "command: 7\nname: 7\nnice: '19'\nkill_after: 1h 30min\nlimits: {output: 4 KiB, nofile: '4096'}\n",
        "command: x\nuser: host$\nname: a\nenvironment_file: /etc/a.yaml\n",
        "command: x\nuser: a\nname: a.b-c é\ntimezone: America/Argentina/Buenos_Aires\ndialect: gorhill\nschedule: '0 0 * * *'\n",
        "command: x\nnotify: none\n",
        "command: x\nnotify: []\n",
        "command: x\nnotify:\n- {on: failure, to: ops}\n- {on: [late, silent], within: 5m, to: [a, b]}\n\
         - {on: long, over: 2h, times: 2, to: {mail: [a@b, c]}}\n\
         - {on: [start, success], to: {ping: 'https://x/y', headers: {A: b}, timeout: 2s}}\n\
         - {on: attempt, to: {webhook: 'http://x', template: 'a {{job}}'}}\n- {on: failure, to: {command: [/x, -y]}}\n\
         - {on: missed, to: {beat: event}}\n- {on: skipped, to: {report: 'http://x:1/report'}}\n",
    ] {
        texts.push((good.to_owned(), true));
    }
    for bad in [
        "- a\n",
        "x\n",
        "schedule: '@daily'\n",
        "args: [a]\n",
        "script: x\nargs: [a]\n",
        "command: /x\nscript: y\n",
        "command: ~\n",
        "command: [a]\n",
    ] {
        texts.push((bad.to_owned(), false));
    }
    for bad in [
        "args: a",
        "args: [[a]]",
        "args: [~]",
        "name: ''",
        "name: ..",
        "name: ' a'",
        "name: 'a '",
        "enable: yes",
        "enable: 1",
        "overlap: true\non_overlap: skip",
        "schedule: '@daily'\nat: 2026-12-01T02:30",
        "at: tomorrow",
        "at: 2026-12-01T02:30:00.5",
        "dst: twice",
        "at: 2026-12-01T02:30\nwhen_done: burn",
        "on_overlap: wait",
        "umask: 0o1000",
        "umask: 'x'",
        "umask: '0888'",
        "timeout: 9x",
        "timeout: -1",
        "timeout: 1.5h",
        "timeout: ''",
        "timeout: 1h30",
        "kill_after: s",
        "stop_signal: ''",
        "stop_signal: 64",
        "stop_signal: -1",
        "success_codes: [256]",
        "success_codes: [-1]",
        "success_codes: x",
        "work_dir: tmp",
        "environment_file: ../x",
        "environment_file: a/../x",
        "environment_file: ''",
        "environment_file: b.yaml",
        "environment_file: b.yml",
        "environment: [a]",
        "environment: {1B: 3}",
        "environment: {A: [1]}",
        "environment: {'': 3}",
        "labels: {a: {b: c}}",
        "labels: x",
        "nice: 20",
        "nice: -21",
        "nice: x",
        "user: 0",
        "user: '0'",
        "user: -1",
        "user: 0x0",
        "user: ''",
        "user: a/b",
        "user: Root",
        "user: abcdefghijklmnopqrstuvwxyz1234567",
        "limits: {nofiles: 3}",
        "limits: {nofile: 0}",
        "limits: {core: -1}",
        "limits: {core: 1X}",
        "limits: {output: unlimited}",
        "limits: 4",
        "log: syslog",
        "log: {target: file}",
        "no_new_privs: 'no'",
        "retry: 3",
        "dialect: cron",
        "timezone: ''",
        "schedule: [a]",
        "notify: all",
        "notify: {on: failure, to: a}",
        "notify: [failure]",
        "notify: [{on: failed, to: a}]",
        "notify: [{on: failure, too: a, to: a}]",
        "notify: [{on: failure, to: {ping: 'file:///x'}}]",
        "notify: [{on: failure, to: {mail: -oQ/tmp}}]",
        "notify: [{on: failure, to: {beat: metrics}}]",
        "notify: [{on: long, times: 1, to: a}]",
        "notify: [{on: late, within: 5x, to: a}]",
    ] {
        texts.push((format!("command: /x\n{bad}\n"), false));
    }
    texts
}

fn config_texts() -> Vec<(String, bool)> {
    let good = [
        "",
        "# nothing\n",
        "conf_d: /c\nstate_dir: /s\nsocket: /r/s\nport: 0\njobs_user: jobs\nallowed_users: [mysql, www-data]\n\
         allow_root_jobs: true\nengine_user: engine\nstop_timeout: 2m\n\
         log: {target: file, dir: /l, max_size: 10MB, keep: 2, debug: true}\n",
        "log: journal\n",
        "targets: {ops: {webhook: 'https://x/y', headers: {A: b}}, dba: {mail: a@b}}\nnotify: [{on: failure, to: [ops, dba]}]\n",
        "notify: none\nsendmail: /x\n",
        "log: none\n",
        "history: none\n",
        "history: {keep: 1w, rows: 5000, size: 10MiB, tail: 0}\n",
        "port: '9999'\n",
        "allowed_users: []\n",
        "ip: 10.0.0.1\nport: 9999\nbk_cloud_id: 0\nbk_monitor_beat:\n  inner_event_name: e\n  inner_metrics_name: m\n  \
         custom_event: {bk_data_id: 542898, access_token: a, report_type: agent, message_kind: event}\n  \
         custom_metrics: {bk_data_id: 543957, access_token: a, report_type: agent, message_kind: timeseries}\n  \
         beat_path: /b\n  agent_address: /a\nlog: {console: true, log_file_dir: /l, debug: false, source: true, json: false}\n\
         pid_path: /p\njobs_user: mysql\njobs_config: /j.yaml\n",
    ];
    let bad = [
        "- a\n",
        "prot: 1\n",
        "targets: [a]\n",
        "targets: {a: b}\n",
        "targets: {-a: {mail: b}}\n",
        "targets: {a: {maill: b}}\n",
        "targets: {a: {webhook: ftp://x}}\n",
        "sendmail: x\n",
        "port: 65536\n",
        "port: -1\n",
        "port: ~\n",
        "conf_d: conf.d\n",
        "conf_d: 1\n",
        "stop_timeout: x\n",
        "jobs_user: '0'\n",
        "jobs_user: 0\n",
        "allowed_users: mysql\n",
        "allowed_users: [0]\n",
        "allowed_users: ['a b']\n",
        "log: syslog\n",
        "log: {max_size: x}\n",
        "log: {keep: 1001}\n",
        "log: {to: x}\n",
        "log: [a]\n",
        "history: some\n",
        "history: {rows: 999}\n",
        "history: {to: x}\n",
        "bk_monitor_beat: {beat: x}\n",
        "bk_cloud_id: x\n",
        "bk_monitor_beat: {custom_event: {id: 1}}\n",
        "allow_root_jobs: yes\n",
    ];
    let good = good.into_iter().map(|text| (text.to_owned(), true));
    good.chain(bad.into_iter().map(|text| (text.to_owned(), false))).collect()
}

#[test]
fn the_schemas_agree_with_the_readers() {
    let Some(python) = python() else {
        eprintln!("the_schemas_agree_with_the_readers skipped: why: python3-jsonschema is not installed");
        return;
    };
    for (of, texts) in [(Of::Job, job_texts()), (Of::Config, config_texts())] {
        let examples = walk(of).into_iter().flat_map(|(way, key)| {
            let default = if let Default::Value(value) = key.default { value } else { key.example };
            [key.example, default].map(|value| (about(of, &way, value), true))
        });
        let texts: Vec<(String, bool)> = texts.into_iter().chain(examples).collect();
        let files: Vec<Json> = texts.iter().map(|(text, _)| serde_yaml::from_str(text).unwrap()).collect();
        let verdicts = validate(python, &json!({"schema": schema(of), "files": files}));
        assert_eq!(verdicts.len(), texts.len());
        for ((text, good), why) in texts.iter().zip(verdicts) {
            assert_eq!(errors(of, text).is_empty(), *good, "the reader: {text}");
            assert_eq!(why.is_none(), *good, "the schema: {text}{why:?}");
        }
    }
}

/// A python3 that has jsonschema.
fn python() -> Option<&'static str> {
    ["python3", "/usr/bin/python3"].into_iter().find(|python| {
        Command::new(python)
            .args(["-c", "import jsonschema"])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|it| it.success())
    })
}

/// What is wrong with each file; the schema itself must be a good one.
fn validate(python: &str, asked: &Json) -> Vec<Option<String>> {
    const PROGRAM: &str = "import json, sys, jsonschema\n\
        asked = json.load(sys.stdin)\n\
        kind = jsonschema.Draft202012Validator\n\
        kind.check_schema(asked['schema'])\n\
        validator = kind(asked['schema'])\n\
        print(json.dumps([next((e.message for e in validator.iter_errors(f)), None) for f in asked['files']]))\n";
    let mut child =
        Command::new(python).args(["-c", PROGRAM]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(asked.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_schema_knows_the_keys_that_the_reader_knows() {
    for (of, groups) in [(Of::Job, rotad::job::keys::KEYS), (Of::Config, rotad::conf::keys::KEYS)] {
        let schema = schema(of);
        let known: BTreeSet<&str> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        let read: BTreeSet<&str> = groups.iter().flat_map(|group| group.keys).map(|key| key.name).collect();
        assert_eq!(known, read);
        assert_eq!(schema["additionalProperties"], false);
        for key in groups.iter().flat_map(|group| group.keys) {
            assert!(!schema["properties"][key.name]["examples"][0].is_null(), "{}", key.name);
        }
    }
    assert_eq!(schema(Of::Job)["properties"]["kill_after"]["default"], "10s");
    assert_eq!(schema(Of::Job)["properties"]["enable"]["default"], true);
}

/// What the package installs is what `rota schema` prints. ROTAD_WRITE=1 writes it.
#[test]
fn the_files_are_what_rota_prints() {
    for (of, name, argument) in [(Of::Job, "job", "job"), (Of::Config, "config", "config")] {
        let path = root().join(format!("schema/{name}.schema.json"));
        if std::env::var_os("ROTAD_WRITE").is_some() {
            std::fs::write(&path, text(of)).unwrap();
        }
        let output = Command::new(env!("CARGO_BIN_EXE_rota")).args(["schema", argument]).output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(printed, text(of));
        assert!(
            std::fs::read_to_string(&path).is_ok_and(|file| file == printed),
            "{name}: ROTAD_WRITE=1 writes it anew"
        );
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}
