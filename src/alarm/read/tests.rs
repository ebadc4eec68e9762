use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::*;
use crate::job::{Job, read_job};

fn job(text: &str) -> Result<Job, Vec<Finding>> {
    let text = format!("command: /x\nname: a\n{text}");
    read_job("a.yaml", text.as_bytes(), &TimeZone::UTC, Timestamp::UNIX_EPOCH).map(|(job, _)| job)
}

fn rules(text: &str) -> Vec<Rule> {
    job(text).unwrap().notify.unwrap().rules.clone()
}

#[test]
fn rules_as_they_are_written() {
    assert_eq!(job("").unwrap().notify, None);
    assert_eq!(rules("notify: none\n"), []);
    assert_eq!(rules("notify: []\n"), []);
    let text = "notify:\n  - {on: failure, to: ops}\n  - {on: late, within: 5m, to: [pager, ops, pager]}\n  \
                - {on: [long, silent], within: 26h, over: 2h, times: 3, to: ops}\n  \
                - {on: [start, success, failure, start], to: {ping: 'https://hc-ping.com/UUID', headers: {X-Key: k}, timeout: 2s}}\n";
    let rules = rules(text);
    assert_eq!((rules[0].on.as_slice(), rules[0].to.as_slice()), (&[On::Failure][..], &[To::Named("ops".into())][..]));
    assert_eq!((rules[1].within, rules[1].to.len()), (Some(Duration::from_secs(300)), 2));
    assert_eq!((rules[2].over, rules[2].times), (Some(Duration::from_secs(7200)), Some(3)));
    assert_eq!(rules[3].on, [On::Failure, On::Start, On::Success]);
    let [To::Inline(target)] = rules[3].to.as_slice() else { panic!("one that stands here") };
    let Kind::Ping(call) = &target.kind else { panic!("a ping") };
    assert_eq!((target.name.as_str(), call.timeout, call.headers.len()), ("ping of a", Duration::from_secs(2), 1));
}

#[test]
fn what_is_wrong_has_its_place_and_shows_no_secret() {
    for (text, code) in [
        ("notify: s3cret", "bad-value@3:9"),
        ("notify: {on: failure}", "bad-value@3:9"),
        ("notify: [s3cret]", "wrong-type@3:10"),
        ("notify: [{on: failed, to: s3cret}]", "bad-value@3:15"),
        ("notify: [{on: [], to: a}]", "bad-value@3:15"),
        ("notify: [{to: a}]", "incomplete@3:10"),
        ("notify: [{on: failure}]", "incomplete@3:10"),
        ("notify: [{on: failure, to: []}]", "bad-value@3:28"),
        ("notify: [{on: silent, to: a}]", "incomplete@3:10"),
        ("notify: [{on: long, to: a}]", "incomplete@3:10"),
        ("notify: [{on: failure, within: 5m, to: a}]", "conflict@3:24"),
        ("notify: [{on: long, times: 1, to: a}]", "bad-value@3:28"),
        ("notify: [{on: late, within: 0s, to: a}]", "bad-value@3:29"),
        ("notify: [{on: failure, too: {ping: 's3cret'}, to: a}]", "unknown-key@3:24"),
        ("notify: [{on: failure, to: {ping: 'ftp://s3cret/'}}]", "bad-value@3:35"),
        ("notify: [{on: failure, to: {ping: 'http://u:s3cret@h/'}}]", "bad-value@3:35"),
        ("notify: [{on: failure, to: {webhook: 'http://s3cret/', template: '{{jobs}}'}}]", "bad-value@3:66"),
        ("notify: [{on: failure, to: {webhook: 'http://s3cret/', tmplate: x}}]", "unknown-key@3:56"),
        ("notify: [{on: failure, to: {ping: 'http://s3cret/', template: x}}]", "conflict@3:53"),
        ("notify: [{on: failure, to: {ping: 'http://s3cret/', headers: {X-A: \"s3cret\\nX: y\"}}}]", "bad-value@3:63"),
        ("notify: [{on: failure, to: {ping: 'http://s3cret/', mail: a}}]", "incomplete@3:28"),
        ("notify: [{on: failure, to: {}}]", "incomplete@3:28"),
        ("notify: [{on: failure, to: {mail: -oQ/tmp}}]", "bad-value@3:35"),
        ("notify: [{on: failure, to: {mail: \"a@b\\r\\nBcc: c@d\"}}]", "bad-value@3:35"),
        ("notify: [{on: failure, to: {mail: [a, '-b']}}]", "bad-value@3:35"),
        ("notify: [{on: failure, to: {command: page}}]", "wrong-type@3:38"),
        ("notify: [{on: failure, to: {command: [page]}}]", "bad-value@3:38"),
        ("notify: [{on: failure, to: {beat: metrics}}]", "bad-value@3:35"),
    ] {
        let findings = job(text).unwrap_err();
        let found = findings.iter().map(|finding| {
            let place = finding.place.as_ref().unwrap();
            assert!(place.snippet.is_empty(), "{finding:?}");
            format!("{}@{}:{}", finding.code, place.line, place.column)
        });
        assert_eq!(found.collect::<Vec<_>>(), [code], "{text}");
        assert!(!format!("{findings:?}").contains("s3cret"), "{findings:?}");
    }
    // What the parser refuses, too.
    let findings = job("notify: [{on: failure, to: {ping: 'https://s3cret/'}}\n").unwrap_err();
    assert!(!format!("{findings:?}").contains("s3cret"), "{findings:?}");
    let many = format!("notify: [{}]", "{on: failure, to: a}, ".repeat(33));
    assert_eq!(job(&many).unwrap_err()[0].code, "too-large");
}
