//! The table read with real paths and with junk.

use proptest::prelude::*;

use super::super::peer::Peer;
use super::*;

fn name(text: &str) -> JobName {
    JobName::parse(text).unwrap()
}

fn route(method: &str, url: &str) -> Result<Call, Problem> {
    super::route(&Asked { method, url, body: &[], peer: Peer { uid: 0, right: Right::Change } })
}

#[test]
fn g96_who_may_only_look_is_refused_every_wish() {
    let peer = Peer { uid: 1000, right: Right::Read };
    for route in ROUTES {
        let url = format!("{BASE}{}", route.path.replace("NAME", "a").replace("ID", &RunId(7).to_string()));
        let refused = super::route(&Asked { method: route.method, url: &url, body: &[], peer });
        let refused = refused.is_err_and(|problem| (problem.status(), problem.code()) == (403, "read-only"));
        // What a job file holds is no more for them than what changes something.
        let wanted = route.method != "GET" || route.path.ends_with("/file");
        assert_eq!(refused, wanted, "{} {}", route.method, route.path);
    }
}

#[test]
fn calls_that_are_understood() {
    let run = RunId(77);
    let edit = |change, permanent| Call::Edit { change, permanent };
    let pause = |end, reason: &str| Call::Pause { name: name("a"), end, reason: reason.into() };
    for (method, path, call) in [
        ("GET", "/status".to_owned(), Call::Status),
        ("GET", "/jobs".into(), Call::Jobs),
        ("GET", "/jobs/a%20b%40%2A".into(), Call::Job(name("a b@*"))),
        ("GET", "/jobs/jobs".into(), Call::Job(name("jobs"))),
        ("GET", "/jobs/a%252fb".into(), Call::Job(name("a%2fb"))),
        ("GET", "/jobs/0%20%2a%2f5".into(), Call::Job(name("0 */5"))),
        ("POST", "/jobs/a/run".into(), Call::Start { name: name("a"), follow: false }),
        ("POST", "/jobs/a/run?follow=1".into(), Call::Start { name: name("a"), follow: true }),
        ("POST", "/jobs/a/stop".into(), Call::StopJob(name("a"))),
        (
            "GET",
            "/jobs/a/output?follow=1&runs=3&lines=9".into(),
            Call::JobOutput { name: name("a"), follow: true, runs: 3, lines: Some(9) },
        ),
        ("GET", format!("/runs/{run}"), Call::Run(run)),
        ("POST", format!("/runs/{run}/stop"), Call::StopRun(run)),
        ("GET", format!("/runs/{run}/output"), Call::RunOutput { run, follow: false, lines: None, from: None }),
        ("PUT", "/jobs/a".into(), edit(Change::Write { name: name("a"), text: String::new() }, true)),
        ("DELETE", "/jobs/a?permanent=0".into(), edit(Change::Delete(name("a")), false)),
        ("GET", "/jobs/a/file".into(), Call::Text(name("a"))),
        ("POST", "/jobs/a/disable".into(), edit(Change::Disable(name("a")), true)),
        ("POST", "/jobs/a/resume?permanent=1".into(), edit(Change::Resume(name("a")), true)),
        (
            "POST",
            "/jobs/a/schedule?schedule=%2a/5+*%20*%20*%20*".into(),
            edit(Change::Reschedule(name("a"), "*/5+* * * *".into()), true),
        ),
        ("POST", "/jobs/a/skip-next".into(), Call::SkipNext { name: name("a"), count: 1, reason: String::new() }),
        (
            "POST",
            "/jobs/a/skip-next?count=1000&reason=b".into(),
            Call::SkipNext { name: name("a"), count: 1000, reason: "b".into() },
        ),
        ("POST", "/hold".into(), Call::Hold { end: End::Resumed, reason: String::new() }),
        (
            "POST",
            "/hold?for=2h&reason=new%20disks".into(),
            Call::Hold { end: End::After(Duration::from_secs(7200)), reason: "new disks".into() },
        ),
        ("POST", "/release".into(), Call::Release),
        ("POST", "/jobs/a/pause".into(), pause(End::Resumed, "")),
        ("POST", "/jobs/a/pause?for=1h30m&reason=a%20b".into(), pause(End::After(Duration::from_secs(5400)), "a b")),
        (
            "POST",
            "/jobs/a/pause?until=2030-01-01T08:00:00+08:00".into(),
            pause(End::At("2030-01-01T00:00:00Z".parse().unwrap()), ""),
        ),
        ("GET", "/findings".into(), Call::Findings),
        ("POST", "/reload".into(), Call::Reload),
    ] {
        assert_eq!(route(method, &format!("{BASE}{path}")), Ok(call), "{method} {path}");
    }
}

#[test]
fn g99_junk_is_refused_by_type_and_never_becomes_a_path() {
    for (method, url, status, code) in [
        ("GET", "/", 404, "no-such-route"),
        ("GET", "/rotad/v1", 404, "no-such-route"),
        ("GET", "/rotad/v1/", 404, "no-such-route"),
        ("GET", "/rotad/v1/jobs/", 400, "bad-name"),
        ("GET", "/rotad/v1/../../etc/passwd", 404, "no-such-route"),
        ("GET", "/rotad/v1/jobs/..", 400, "bad-name"),
        ("GET", "/rotad/v1/jobs/..%2f..%2fetc", 400, "bad-name"),
        ("GET", "/rotad/v1/jobs/a/b/c", 404, "no-such-route"),
        ("GET", "/rotad/v1/jobs/a%2f%2e%2e%2fb", 400, "bad-name"),
        ("GET", "/rotad/v1/jobs/%00", 400, "bad-name"),
        ("GET", "/rotad/v1/jobs/%ff", 400, "bad-name"),
        ("GET", "/rotad/v1/jobs/%", 400, "bad-name"),
        ("GET", "/rotad/v1/jobs/%+1", 400, "bad-name"),
        ("GET", "/rotad/v1/runs/x", 400, "bad-run"),
        ("GET", "/rotad/v1/runs/..%2f..%2fetc%2f", 400, "bad-run"),
        ("PATCH", "/rotad/v1/jobs/a", 405, "wrong-method"),
        ("PUT", "/rotad/v1/jobs/..%2fa", 400, "bad-name"),
        ("POST", "/rotad/v1/jobs/a/disable?permanent=yes", 400, "bad-query"),
        ("POST", "/rotad/v1/jobs/a/schedule", 400, "bad-query"),
        ("POST", "/rotad/v1/jobs/a/schedule?schedule=", 400, "bad-query"),
        ("POST", "/rotad/v1/jobs/a/skip-next?count=0", 400, "bad-query"),
        ("POST", "/rotad/v1/jobs/a/skip-next?count=1001", 400, "bad-query"),
        ("POST", "/rotad/v1/jobs/a/skip-next?count=-1", 400, "bad-query"),
        ("POST", "/rotad/v1/hold?for=1h&until=2030-01-01T00:00:00Z", 400, "bad-query"),
        ("GET", "/rotad/v1/hold", 405, "wrong-method"),
        ("POST", "/rotad/v1/jobs/a/pause?for=0s", 400, "bad-query"),
        ("POST", "/rotad/v1/jobs/a/pause?for=-1h", 400, "bad-query"),
        ("POST", "/rotad/v1/jobs/a/pause?for=99999999h", 400, "bad-query"),
        ("POST", "/rotad/v1/jobs/a/pause?for=1h&until=2030-01-01T00:00:00Z", 400, "bad-query"),
        ("POST", "/rotad/v1/jobs/a/pause?until=tomorrow", 400, "bad-query"),
        ("POST", "/rotad/v1/jobs/a/pause?reason=%0a", 400, "bad-query"),
        ("GET", "/rotad/v1/reload", 405, "wrong-method"),
        ("POST", "/rotad/v1/status", 405, "wrong-method"),
        ("GET", "/rotad/v1/status?x=1", 400, "bad-query"),
        ("GET", "/rotad/v1/jobs/a/output?follow=yes", 400, "bad-query"),
        ("GET", "/rotad/v1/jobs/a/output?lines=-1", 400, "bad-query"),
        ("GET", "/rotad/v1/jobs/a/output?runs=101", 400, "bad-query"),
        ("GET", "/rotad/v1/jobs/a/output?runs=99999999999999999999", 400, "bad-query"),
    ] {
        let problem = route(method, url).unwrap_err();
        assert_eq!((problem.status(), problem.code()), (status, code), "{method} {url}");
    }
}

#[test]
fn bodies_go_where_a_file_is_wanted_and_nowhere_else() {
    let peer = Peer { uid: 0, right: Right::Change };
    let ask =
        |method, path: &str, body: &[u8]| super::route(&Asked { method, url: &format!("{BASE}{path}"), body, peer });
    let change = Change::Write { name: name("a"), text: "command: x".into() };
    assert_eq!(ask("PUT", "/jobs/a", b"command: x"), Ok(Call::Edit { change, permanent: true }));
    for (method, path, body, status) in [
        ("POST", "/reload", &b"{}"[..], 400),
        ("PUT", "/jobs/a", b"\xff", 400),
        ("PUT", "/jobs/a", &[b' '; (64 << 10) + 1], 413),
    ] {
        assert_eq!(ask(method, path, body).unwrap_err().status(), status, "{method} {path}");
    }
}

#[test]
fn a_pause_ends_later_than_it_begins() {
    let now = Timestamp::UNIX_EPOCH;
    let second = Duration::from_secs(1);
    assert_eq!(End::After(second).from(now), Ok(Some(now + second)));
    assert_eq!(End::Resumed.from(now), Ok(None));
    assert_eq!(End::At(now).from(now).unwrap_err().code(), "bad-query");
    assert_eq!(End::After(second).from(Timestamp::MAX).unwrap_err().code(), "bad-query");
}

proptest! {
    #[test]
    fn g99_every_name_comes_back_from_its_path(text in "\\PC{1,40}") {
        if let Ok(name) = JobName::parse(&text) {
            let url = format!("{BASE}/jobs/{}", percent_encode(&text));
            prop_assert_eq!(route("GET", &url), Ok(Call::Job(name)));
        }
    }

    #[test]
    fn g99_no_url_breaks_it(method in "[A-Z]{1,8}", url in "/rotad/v1/[ -~]{0,60}") {
        let _either = route(&method, &url);
    }
}
