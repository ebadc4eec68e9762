use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::*;
use crate::conf::edit::{EditError, Set, Value};
use crate::engine::Keys;
use crate::job::Program;
use crate::job::file::Schedules;

const FILE: &str = "# made by hand\njobs:\n    - name: a\n      enable: true\n      command: /bin/echo\n      args: [1, true]\n      \
    schedule: '@every 1m'\n      creator: ops\n      work_dir: \"\"\n\n    # the second\n    - name: b # why\n      enable: \
    false\n      command: /bin/date\n      args:\n        - -u\n      schedule: 0 5 * * 0\n      creator: ops\nbk_biz_id: \
    2005000002\nimmute_domain: db.example\nrole: spider\nnginx: [x]\n";

fn read_text(text: &str) -> Result<JobsConfig, Vec<Finding>> {
    read(
        "jobs.yaml",
        text.as_bytes(),
        Timestamp::UNIX_EPOCH,
        &TimeZone::UTC,
        Timestamp::UNIX_EPOCH,
        &mut Schedules::default(),
    )
}

fn name(text: &str) -> JobName {
    JobName::parse(text).unwrap()
}

fn keys(text: &str) -> Keys {
    Keys {
        name: name(text),
        enable: true,
        command: "/bin/true".to_owned(),
        args: Vec::new(),
        schedule: "@daily".to_owned(),
        creator: "ops".to_owned(),
        work_dir: String::new(),
        overlap: None,
    }
}

/// Names of good jobs, and what was found in broken ones.
fn told(config: &JobsConfig) -> Vec<String> {
    let told = |item: &Item| match &item.reading {
        Reading::Good { job, .. } => job.name.to_string(),
        Reading::Broken(findings) => {
            let place = findings[0].place.as_ref().map(|place| (place.line, place.column));
            format!("{:?} {} {place:?}", item.name, findings[0].code)
        }
    };
    config.items.iter().map(told).collect()
}

#[test]
fn a_file_of_mysql_crond_is_read() {
    let config = read_text(FILE).unwrap();
    assert_eq!(told(&config), ["a", "b"]);
    assert!(config.findings.is_empty(), "{:?}", config.findings);
    assert_eq!(config.identity.bk_biz_id, Some(2_005_000_002));
    assert_eq!(config.identity.role.as_deref(), Some("spider"));
    assert_eq!(config.identity.machine_type, None);
    let Reading::Good { job, .. } = &config.items[0].reading else { panic!() };
    assert_eq!(job.program, Program::Exec { command: "/bin/echo".into(), args: vec!["1".into(), "true".into()] });
    assert_eq!((job.file.as_str(), &job.work_dir), ("jobs.yaml", &None));
}

#[test]
fn nothing_is_no_jobs_and_what_is_no_list_is_no_answer() {
    for text in ["", "# x\n", "jobs:\n", "jobs: []\n", "bk_biz_id: 1\n"] {
        assert!(read_text(text).unwrap().items.is_empty(), "{text:?}");
    }
    for text in ["jobs: {a: b}\n", "jobs: x\n", "- a\n", "jobs: [\n", "jobs: []\njobs: []\n"] {
        assert!(read_text(text).is_err(), "{text:?}");
    }
    assert_eq!(read_text("job: []\n").unwrap().findings[0].hint.as_deref(), Some("did you mean 'jobs'?"));
}

#[test]
fn a_broken_item_is_one_broken_item_at_its_place_in_the_file() {
    let text = "jobs:\n- name: a\n  command: /a\n-\n- command: /b\n- name: c\n  command: /c\n  schedule: '61 * * * *'\n- \
        {name: d, command: /d, nice: x}\n- name: a\n  command: /again\n- just text\n- name: e\n  command: /e\n  extra: 1\n";
    let config = read_text(text).unwrap();
    assert_eq!(
        told(&config),
        [
            "a",
            "None missing-name Some((5, 3))",
            "Some(\"c\") bad-schedule Some((8, 14))",
            "Some(\"d\") bad-value Some((9, 32))",
            "None duplicate-name Some((10, 3))",
            "None wrong-type Some((12, 3))",
            "e",
        ]
    );
    assert_eq!((config.findings[0].code, config.findings[0].place.as_ref().unwrap().line), ("empty-item", 4));
    let Reading::Good { warnings, .. } = &config.items[6].reading else { panic!() };
    assert_eq!((warnings[0].code, warnings[0].place.as_ref().unwrap().line), ("unknown-key", 15));
}

#[test]
fn another_jobs_edit_is_no_change_of_this_one() {
    let hash = |text: &str| match &read_text(text).unwrap().items[0].reading {
        Reading::Good { job, .. } => job.hash,
        Reading::Broken(findings) => panic!("{findings:?}"),
    };
    let edited = set_in_item(FILE, &name("b"), &[Set { key: "enable", value: Some(Value::Bool(true)) }]).unwrap();
    assert_eq!(hash(FILE), hash(&edited));
    let edited = set_in_item(FILE, &name("a"), &[Set { key: "enable", value: Some(Value::Bool(false)) }]).unwrap();
    assert_ne!(hash(FILE), hash(&edited));
}

#[test]
fn keys_of_one_job_are_changed() {
    let set = |key, value: &str| Set { key, value: Some(Value::Text(value.to_owned())) };
    let edited =
        set_in_item(FILE, &name("b"), &[set("schedule", "@daily"), set("name", "b2"), set("user", "x")]).unwrap();
    let expected = FILE
        .replace("0 5 * * 0", "'@daily'")
        .replace("name: b #", "name: b2 #")
        .replace("creator: ops\nbk", "creator: ops\n      user: x\nbk");
    assert_eq!(edited, expected);
    let flow = "{\"jobs\": [{\"name\": \"a\", \"enable\": true}, {\"name\": \"b\"}]}";
    let edited = set_in_item(flow, &name("b"), &[set("command", "/x")]).unwrap();
    assert_eq!(edited, "{\"jobs\": [{\"name\": \"a\", \"enable\": true}, {\"name\": \"b\", command: /x}]}");
    assert_eq!(set_in_item(FILE, &name("z"), &[]), Err(EditError::NoSuchJob("z".to_owned())));
    let first = set_in_item(FILE, &name("a"), &[Set { key: "enable", value: None }]).unwrap();
    assert_eq!(first, FILE.replacen("      enable: true\n", "", 1));
}

#[test]
fn jobs_come_and_go_in_every_form_of_the_list() {
    let new = "name: new\n{i}enable: true\n{i}command: /bin/true\n{i}args: []\n{i}schedule: '@daily'\n{i}creator: ops";
    let block = |indent: usize| new.replace("{i}", &" ".repeat(indent));
    for (before, after) in [
        ("", format!("jobs:\n  - {}\n", block(4))),
        ("# c", format!("# c\njobs:\n  - {}\n", block(4))),
        ("jobs:\n", format!("jobs:\n  - {}\n", block(4))),
        ("jobs: [] # none\nrole: x\n", format!("jobs: # none\n  - {}\nrole: x\n", block(4))),
        ("role: x\n# end\n", format!("role: x\njobs:\n  - {}\n# end\n", block(4))),
        ("jobs:\n- {name: a}\nrole: x", format!("jobs:\n- {{name: a}}\n- {}\nrole: x", block(2))),
        (
            "jobs:\n    - name: a # c\n      x: |\n        b\n",
            format!("jobs:\n    - name: a # c\n      x: |\n        b\n    - {}\n", block(6)),
        ),
    ] {
        let edited = append_item(before, &keys("new")).unwrap();
        assert_eq!(edited, after, "{before:?}");
        let config = read_text(&edited).unwrap();
        assert!(matches!(&config.items.last().unwrap().reading, Reading::Good { .. }), "{edited}");
        let back = remove_item(&edited, &name("new")).unwrap();
        assert_eq!(read_text(&back).unwrap().items.len(), config.items.len() - 1);
        if config.items.len() > 1 {
            assert_eq!(back, before);
        }
    }
    let edited = append_item("{\"jobs\": [{\"name\": \"a\"}], \"role\": 1}", &keys("new")).unwrap();
    assert!(edited.starts_with("{\"jobs\": [{\"name\": \"a\"}, {name: \"new\", "), "{edited}");
    assert_eq!(remove_item(&edited, &name("new")).unwrap(), "{\"jobs\": [{\"name\": \"a\"}], \"role\": 1}");
    assert_eq!(remove_item("jobs: [{name: a}]\n", &name("a")).unwrap(), "jobs: []\n");
    assert!(append_item("{role: x}", &keys("new")).unwrap().starts_with("{role: x, jobs: [{name: \"new\""));
    assert!(append_item("{}", &keys("new")).unwrap().starts_with("{jobs: [{name: \"new\""));
    assert!(append_item("{jobs: []}", &keys("new")).unwrap().starts_with("{jobs: [{name: \"new\""));
    assert_eq!(remove_item("jobs:\n  - name: a\n    x: 1 # c\nrole: x\n", &name("a")).unwrap(), "jobs: []\nrole: x\n");
    let rest = "# made by hand\njobs:\n\n    # the second\n    - name: b";
    assert!(remove_item(FILE, &name("a")).unwrap().starts_with(rest));
}

#[test]
fn the_text_of_a_job_goes_out_and_in() {
    let own = item_text(FILE, &name("b")).unwrap();
    assert_eq!(
        own,
        "name: b # why\nenable: false\ncommand: /bin/date\nargs:\n  - -u\nschedule: 0 5 * * 0\ncreator: ops\n"
    );
    assert_eq!(replace_item_text(FILE, &name("b"), &own).unwrap(), FILE);
    let text = "---\n# all new\nname: b\nscript: |\n  echo 1\n\n  echo 2\n# the end\n";
    let edited = replace_item_text(FILE, &name("b"), text).unwrap();
    assert!(
        edited.ends_with(
            "\n    - # all new\n      name: b\n      script: |\n        echo 1\n\n        echo 2\n      # the end\nbk_biz_id: \
            2005000002\nimmute_domain: db.example\nrole: spider\nnginx: [x]\n"
        ),
        "{edited}"
    );
    let Reading::Good { job, .. } = &read_text(&edited).unwrap().items[1].reading else { panic!() };
    assert_eq!(job.program, Program::Script("echo 1\n\necho 2\n".to_owned()));
    let crlf = FILE.replace('\n', "\r\n");
    let edited = replace_item_text(&crlf, &name("b"), text).unwrap();
    assert_eq!(edited.matches('\n').count(), edited.matches("\r\n").count());
    assert_eq!(item_text("jobs: [{name: a, x: 1}]", &name("a")).unwrap(), "{name: a, x: 1}\n");
    assert!(matches!(replace_item_text(FILE, &name("b"), "[1]"), Err(EditError::NotAMap)));
    assert!(matches!(append_item_text(FILE, &"[".repeat(300)), Err(EditError::Broken(_))));
}

#[test]
fn ten_thousand_jobs_are_read_and_changed() {
    let mut text = String::from("jobs:\n");
    for count in 0..10_000 {
        text.push_str(&format!(
            "    - name: mysql-monitor-{count}-@every 10s\n      enable: true\n      command: /home/mysql/mysql-monitor/run\n      \
             args:\n        - --config\n        - /etc/monitor-{count}.yaml\n        - hardcode-run\n      schedule: \
             '@every {}s'\n      creator: ops\n      work_dir: /home/mysql\n      nice: {}\n",
            count % 600 + 1,
            if count % 2 == 0 { "x" } else { "1" },
        ));
    }
    text.push_str("bk_biz_id: 1\n");
    let start = std::time::Instant::now();
    let config = read_text(&text).unwrap();
    eprintln!("{} bytes read in {:?}", text.len(), start.elapsed());
    assert_eq!(config.items.len(), 10_000);
    let Reading::Broken(findings) = &config.items[9998].reading else { panic!() };
    assert_eq!(findings[0].place.as_ref().unwrap().line, 2 + 9998 * 11 + 10);
    let start = std::time::Instant::now();
    let last = name("mysql-monitor-9999-@every 10s");
    let edited = set_in_item(&text, &last, &[Set { key: "enable", value: Some(Value::Bool(false)) }]).unwrap();
    eprintln!("changed in {:?}", start.elapsed());
    assert_eq!(edited.len(), text.len() + 1);
}
