//! What goes out, against what mysql-crond was seen to send.

use jiff::SignedDuration;

use super::*;
use crate::conf::Beat as Configured;
use crate::engine::core::ErrandEnd;
use crate::wire::Exit;

const STARTED: Timestamp = Timestamp::constant(1_795_176_000, 0);

fn crond() -> Crond {
    let channel = |id, token: &str, kind: &str| {
        Some(Channel {
            bk_data_id: Some(id),
            access_token: Some(Secret(token.into())),
            report_type: Some("agent".into()),
            message_kind: Some(kind.into()),
        })
    };
    Crond {
        ip: Some("127.0.0.1".into()),
        bk_cloud_id: Some(0),
        beat: Some(Configured {
            custom_event: channel(542_898, "evtok", "event"),
            custom_metrics: channel(543_957, "mettok", "timeseries"),
            beat_path: Some("/opt/bkmonitorbeat".into()),
            agent_address: Some("/opt/agent".into()),
            ..Configured::default()
        }),
        identity: Identity { bk_biz_id: Some(404), ..Identity::default() },
        ..Crond::default()
    }
}

/// So many seconds after the daemon's start.
fn after(seconds: i64) -> Now {
    let wall = STARTED + SignedDuration::from_secs(seconds);
    Now { wall, mono: Duration::from_secs((seconds + 1000).cast_unsigned()) }
}

fn beats(change: impl FnOnce(&mut Crond)) -> Option<Result<Beats, Incomplete>> {
    let mut crond = crond();
    change(&mut crond);
    Beats::new(&crond, STARTED, after(0))
}

fn good() -> Beats {
    beats(|_| {}).unwrap().unwrap()
}

fn body(errand: &Errand) -> Value {
    serde_json::from_str(errand.argv.last().unwrap()).unwrap()
}

fn content(errand: &Errand) -> String {
    body(errand)["data"][0]["event"]["content"].as_str().unwrap().to_owned()
}

fn name(text: &str) -> JobName {
    JobName::parse(text).unwrap()
}

#[test]
fn as_mysql_crond_sends_them() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("../../tests/data/beats.json")).unwrap();
    assert_eq!(cases.len(), 6);
    for case in cases {
        let id = case["id"].as_str().unwrap();
        let request = &case["request"];
        let text = |key: &str| request[key].as_str().unwrap().to_owned();
        let dimension = || request["dimension"].as_object().cloned().unwrap_or_default();
        let errand = match case["path"].as_str() {
            Some("/beat/event") => {
                let beat = Beat::Event { name: text("name"), content: text("content"), dimension: dimension() };
                good().asked(&beat, STARTED)
            }
            Some("/beat/metrics") => {
                let value = request["value"].as_i64().unwrap();
                good().asked(&Beat::Metrics { name: text("name"), value, dimension: dimension() }, STARTED)
            }
            _ if id == "mc-job-skip-event" => good().skipped(&name("s"), after(0)).unwrap(),
            _ => good().failed(&name("f"), "fork/exec /no/such/bin: no such file or directory", b"", 0, STARTED),
        };
        let errand = errand.unwrap();
        assert_eq!(errand.argv[0], "/opt/bkmonitorbeat");
        let argv: Vec<Value> = errand.argv[1..11].iter().map(|word| Value::from(word.as_str())).collect();
        let wanted: Vec<Value> = case["argv"].as_array().unwrap().clone();
        let wanted: Vec<Value> =
            wanted.into_iter().map(|word| if word == "${AGENT}" { "/opt/agent".into() } else { word }).collect();
        assert_eq!(argv, wanted, "{id}");
        let (mut sent, mut wanted) = (body(&errand), case["body"].clone());
        assert_eq!(sent["data"][0]["timestamp"].take(), 1_795_176_000_000_i64, "{id}");
        wanted["data"][0]["timestamp"].take();
        let said = wanted.pointer("/data/0/event/content").and_then(Value::as_str).unwrap_or_default();
        if let Some(part) = said.strip_prefix("$contains:") {
            assert!(content(&errand).contains(part), "{id}");
            wanted["data"][0]["event"]["content"] = content(&errand).into();
        }
        assert_eq!(sent, wanted, "{id}");
    }
}

#[test]
fn the_text_of_an_event_to_the_byte() {
    let errand = good().failed(&name("a"), "exit status 7", b"<b>\n", 0, STARTED).unwrap();
    assert_eq!(
        errand.argv[11],
        r#"{"bk_data_id":542898,"access_token":"evtok","data":[{"event_name":"mysql-crond-event","event":{"content":"execute job a failed: exit status 7 [\u003cb\u003e\n]"},"target":"127.0.0.1","timestamp":1795176000000,"dimension":{"appid":"404","bk_biz_id":"404","bk_cloud_id":"0","bk_target_cloud_id":"0","bk_target_ip":"127.0.0.1","job_name":"a","server_ip":"127.0.0.1"},"metrics":null}]}"#
    );
}

#[test]
fn callers_dimensions_are_laid_over_and_identity_comes_from_the_file_of_jobs_first() {
    let mut beats = beats(|crond| {
        crond.identity.role = Some("master".into());
        crond.identity.machine_type = Some("backend".into());
    })
    .unwrap()
    .unwrap();
    beats.identify(Identity { bk_biz_id: Some(7), role: Some("slave".into()), ..Identity::default() });
    let dimension =
        serde_json::json!({"appid": 12345678901234567_i64, "bk_cloud_id": null}).as_object().unwrap().clone();
    let errand = beats.asked(&Beat::Metrics { name: "m".into(), value: 1, dimension }, STARTED).unwrap();
    assert!(errand.argv[11].contains(
        r#""dimension":{"appid":12345678901234568,"bk_biz_id":"7","bk_cloud_id":null,"bk_target_cloud_id":"0","bk_target_ip":"127.0.0.1","machine_type":"backend","role":"slave","server_ip":"127.0.0.1"}"#
    ));
    assert!(errand.urgent);
}

#[test]
fn what_is_not_whole_sends_nothing_and_says_why() {
    assert!(beats(|crond| crond.beat = None).is_none());
    let why = |change: fn(&mut Configured, &mut Option<String>)| {
        beats(|crond| change(crond.beat.as_mut().unwrap(), &mut crond.ip)).unwrap().map(drop).unwrap_err().0
    };
    assert!(why(|beat, _| beat.beat_path = None).starts_with("beat_path"));
    assert!(why(|beat, _| beat.beat_path = Some("./beat".into())).starts_with("beat_path"));
    assert!(why(|beat, _| beat.agent_address = None).starts_with("agent_address"));
    assert_eq!(why(|_, ip| *ip = None), "ip");
    assert!(why(|beat, _| (beat.custom_event, beat.custom_metrics) = (None, None)).starts_with("custom_event"));
    let beats = beats(|crond| crond.beat.as_mut().unwrap().custom_event.as_mut().unwrap().bk_data_id = Some(0));
    let beats = beats.unwrap().unwrap();
    assert_eq!(beats.failed(&name("a"), "", b"", 0, STARTED), Err(Unfit::NoAddress));
}

#[test]
fn i118_a_megabyte_of_stderr_goes_out_with_its_end() {
    let stderr = [b"\xff<x>".repeat(1 << 18), b"the last words".to_vec()].concat();
    let errand = good().failed(&name("a"), "exit status 1", &stderr, 0, STARTED).unwrap();
    assert!(errand.argv[11].len() < 128 << 10);
    let said = content(&errand);
    assert!(said.starts_with("execute job a failed: exit status 1 [(") && said.ends_with("the last words]"), "{said}");
}

#[test]
fn a_heartbeat_a_minute_and_none_beside_one_that_hangs() {
    let mut beats = good();
    assert_eq!(beats.due(), Some(after(60).mono));
    assert!(beats.heart(after(59)).is_none());
    let beat = beats.heart(after(60)).unwrap().unwrap();
    let body = body(&beat);
    assert_eq!(body["data"][0]["metrics"], serde_json::json!({"mysql_crond_heart_beat": 1}));
    assert_eq!(body["data"][0]["dimension"].as_object().unwrap().len(), 6);
    assert!(beat.urgent);
    beats.heart_ordered(ErrandId(5));
    assert!(beats.heart(after(60)).is_none());
    assert!(beats.heart(after(120)).is_none(), "the one before hangs");
    let end = ErrandEnd::Exited(Exit::Code(0));
    assert_eq!(beats.reported(&Report { id: ErrandId(5), end, tail: vec![], again: false }), None);
    assert!(beats.heart(after(60 * 1000 + 7)).is_some());
    assert_eq!(beats.due(), Some(after(60 * 1001).mono), "what was slept through is not made up for");
}

#[test]
fn heartbeats_go_on_at_the_same_minutes_with_the_next_engine_and_can_be_done_without() {
    let later = |seconds| Beats::new(&crond(), STARTED, after(seconds)).unwrap().unwrap().due().unwrap();
    assert_eq!(later(150), after(180).mono);
    assert_eq!(later(-5), after(55).mono, "a clock set back");
    let without = beats(|crond| crond.beat.as_mut().unwrap().without_heart_beat = true);
    assert_eq!(without.unwrap().unwrap().due(), None);
    let named = beats(|crond| crond.beat.as_mut().unwrap().inner_metrics_name = Some("mine".into()));
    let beat = named.unwrap().unwrap().heart(after(60)).unwrap().unwrap();
    assert_eq!(body(&beat)["data"][0]["metrics"]["mine"], 1);
}

#[test]
fn skipped_slots_are_told_at_once_and_then_together() {
    let mut beats = good();
    let said = |beats: &mut Beats, second| {
        let mut told: Vec<String> =
            beats.pass(after(second)).iter().map(|beat| content(beat.as_ref().unwrap())).collect();
        told.extend(beats.skipped(&name("s"), after(second)).map(|beat| content(&beat.unwrap())));
        told
    };
    assert_eq!(said(&mut beats, 0), ["s skipt for last round use too much time"]);
    for second in 1..10 {
        assert!(said(&mut beats, second).is_empty());
    }
    assert_eq!(beats.due(), Some(after(10).mono));
    assert_eq!(said(&mut beats, 10), ["s skipt for last round use too much time (9 times)"]);
}

#[test]
fn nothing_shows_a_token() {
    let beats = good();
    let errand = beats.failed(&name("a"), "", b"", 0, STARTED).unwrap();
    for shown in [format!("{beats:?}"), format!("{errand:?}"), format!("{:?}", crond())] {
        assert!(!shown.contains("evtok") && !shown.contains("mettok"), "{shown}");
    }
}

#[test]
fn i116_half_a_configuration_is_told() {
    let lacks = |change: fn(&mut Configured)| {
        let beats = beats(|crond| change(crond.beat.as_mut().unwrap())).unwrap().unwrap();
        beats.lacks().map(|lack| lack.split(':').next().unwrap())
    };
    assert_eq!(lacks(|_| {}), None);
    assert_eq!(lacks(|beat| beat.custom_event.as_mut().unwrap().access_token = None), Some("alarms are not sent"));
    assert_eq!(lacks(|beat| beat.custom_metrics.as_mut().unwrap().bk_data_id = Some(0)), Some("no heartbeat is sent"));
}
