//! What the recorded cases do not show: many at once, and what a failure leaves behind.

use std::thread;

use serde_json::{Value, json};

use super::common::until_true;
use super::crond::Crond;

const TWO: &str = "# kept\njobs:\n  - {name: a, enable: true, command: echo, args: [hi], schedule: \"@every 1h\", creator: ob}\n  \
    - {name: c, enable: true, command: echo, args: [], schedule: \"@every 1h\", creator: ob}\nbk_biz_id: 404\n";

fn define(name: &str, schedule: &str, permanent: bool) -> Value {
    let job =
        json!({"name": name, "enable": true, "command": "echo", "args": [], "schedule": schedule, "creator": "ob"});
    json!({"job": job, "permanent": permanent})
}

#[test]
fn sixty_permanent_jobs_at_once_all_land() {
    let crond = Crond::start(TWO, 0);
    thread::scope(|scope| {
        for at in 0..60 {
            let crond = &crond;
            scope.spawn(move || {
                let entry =
                    crond.wish("/create_or_replace", &define(&format!("job {at} @every 10s"), "@every 1h", true));
                assert!(entry > 0);
            });
        }
    });
    assert_eq!(crond.names("").len(), 62);
    let file: Value = serde_yaml::from_str(&crond.jobs()).unwrap();
    assert_eq!(file["jobs"].as_array().unwrap().len(), 62);
    assert!(crond.jobs().contains("# kept"));
}

#[test]
fn a_replacement_with_a_bad_schedule_leaves_job_and_file_untouched() {
    let crond = Crond::start(TWO, 0);
    let before = crond.ask("GET", "/entries", None).body;
    for permanent in [true, false] {
        let body = define("a", "61 * * * *", permanent).to_string();
        let response = crond.ask("POST", "/create_or_replace", Some(&body));
        assert_eq!(response.status, 500);
        assert!(response.body.contains("end of range (61) above maximum (59): 61"), "{}", response.body);
    }
    assert_eq!(crond.ask("GET", "/entries", None).body, before, "the same entries with the same numbers");
    assert_eq!(crond.jobs(), TWO);
}

#[test]
fn a_reload_with_a_broken_job_keeps_all_others() {
    let crond = Crond::start(TWO, 0);
    crond.write_jobs(&TWO.replace("name: a, enable: true", "name: a, enable: perhaps").replace(
        "bk_biz_id",
        "  - {name: d, enable: true, command: echo, args: [], schedule: \"@every 1h\", creator: ob}\nbk_biz_id",
    ));
    let response = crond.ask("GET", "/config/reload", None);
    assert_eq!((response.status, response.body.as_str()), (500, ""));
    assert_eq!(crond.names(""), ["a", "c", "d"], "the last good one, the other one and the new one");
    crond.write_jobs("jobs: [\n");
    assert_eq!(crond.ask("GET", "/config/reload", None).status, 500);
    assert_eq!(crond.names(""), ["a", "c", "d"]);
    crond.write_jobs(TWO);
    assert_eq!(crond.ask("GET", "/config/reload", None).body, "{}");
    until_true("the file says what there is", || crond.names("") == ["a", "c"]);
}

#[test]
fn the_forms_of_the_go_client() {
    let crond = Crond::start(TWO, 0);
    // Its lists may be null: Go's nil.
    let nil = r#"{"job":{"name":"n","command":"x","args":null,"schedule":"@every 1h","creator":"o","enable":true,"work_dir":""},"permanent":true}"#;
    assert_eq!(crond.ask("POST", "/create_or_replace", Some(nil)).status, 400);
    let name = "mysql-monitor-20000-@every 10s";
    assert!(crond.wish("/create_or_replace", &define(name, "@every 10s", true)) > 2);
    assert_eq!(crond.names("?name-match=mysql-monitor-.%2A"), [name]);
    assert_eq!(crond.names("?name=mysql-monitor-20000-%40every+10s"), [name]);
    assert!(crond.wish("/pause", &json!({"name": name, "duration": 3_600_000_000_000_i64})) > 0);
    assert_eq!(crond.names("?status=all").len(), 4);
    assert_eq!(crond.wish("/delete", &json!({"name": name, "permanent": true})), 0);
    assert_eq!(crond.names("?status=all"), ["a", "c"]);
    assert!(!crond.jobs().contains(name));
    let response = crond.ask("POST", "/beat/metrics", Some(r#"{"name":"m","value":7,"dimension":null}"#));
    assert_eq!((response.status, response.body.as_str()), (200, "{}"));
    assert_eq!(crond.beats().len(), 1);
    // The oldest client sent a body with its questions.
    assert_eq!(crond.ask("GET", "/disabled", Some("null")).body, r#"{"jobs":null}"#);
}

#[test]
fn a_name_with_a_schedule_in_it_is_a_name() {
    let name = "mysql-monitor-20000-0 */5 * * * *";
    let line = format!(
        "  - {{name: \"{name}\", enable: true, command: echo, args: [], schedule: \"@every 1h\", creator: ob}}\n"
    );
    let text = TWO.replace("bk_biz_id", &format!("{line}bk_biz_id"));
    let crond = Crond::start(&text, 0);
    assert_eq!(crond.names(""), ["a", "c", name]);
    for permanent in [false, true] {
        assert!(crond.wish("/disable", &json!({"name": name, "permanent": permanent})) > 0);
        assert!(crond.wish("/resume", &json!({"name": name, "permanent": permanent})) > 0);
        assert!(crond.wish("/create_or_replace", &define(name, "@every 2h", permanent)) > 0);
    }
    let run = crond.daemon.run(name);
    assert_eq!(run.0, Some(0), "{run:?}");
    assert_eq!(crond.wish("/delete", &json!({"name": name, "permanent": true})), 0);
    assert_eq!(crond.jobs(), TWO);
}

#[test]
fn a_key_that_nobody_knows_keeps_no_job_from_being_changed_in_memory() {
    let text = TWO.replace("creator: ob}\n  - {name: c", "creator: ob, tag: x}\n  - {name: c");
    assert_ne!(text, TWO);
    let crond = Crond::start(&text, 0);
    let named = json!({"name": "a", "permanent": false});
    assert!(crond.wish("/disable", &named) > 0);
    crond.daemon.replace_engine();
    assert_eq!(crond.names("?status=disabled"), ["a"]);
    assert!(crond.wish("/resume", &named) > 0);
    assert!(crond.wish("/schedule/change", &json!({"name": "a", "schedule": "@every 3h", "permanent": false})) > 0);
    assert!(crond.wish("/create_or_replace", &define("a", "@every 4h", false)) > 0);
    assert_eq!(crond.wish("/delete", &named), 0);
    assert_eq!(crond.jobs(), text);
}

#[test]
fn a_question_for_the_head_gets_no_body() {
    let crond = Crond::start(TWO, 0);
    let response = crond.ask("HEAD", "/entries", None);
    assert_eq!((response.status, response.body.as_str()), (404, ""));
}

#[test]
fn a_job_that_is_replaced_by_a_disabled_one_has_no_entry() {
    let crond = Crond::start(TWO, 0);
    for permanent in [false, true] {
        let mut body = define("a", "@every 2h", permanent);
        assert!(crond.wish("/create_or_replace", &body) > 0);
        body["job"]["enable"] = json!(false);
        assert_eq!(crond.wish("/create_or_replace", &body), 0);
        assert_eq!(crond.names("?status=disabled"), ["a"]);
    }
}
