//! From method and path to a [`Call`]: the one table of routes, and nothing but types behind it.
//!
//! A path is split at `/` first, and each segment percent-decoded once and parsed to the type its place wants. So `..%2f`
//! is no way up and a doubly encoded name is simply another name.

use std::time::Duration;

use jiff::Timestamp;

use super::answer::Problem;
use super::given::Given;
pub use super::given::percent_encode;
use super::peer::{Asked, Right};
use crate::engine::Change;
use crate::job::JobName;
use crate::wire::RunId;

/// Where all routes begin.
pub const BASE: &str = "/rotad/v1";

/// A route, for tables and documentation.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// `GET` asks, the others wish.
    pub method: &'static str,
    /// What a peer must be allowed.
    pub right: Right,
    /// Behind [`BASE`]; `NAME` and `ID` stand for a job's name and a run's id.
    pub path: &'static str,
    /// Parameters that it takes, as `key=value`.
    pub query: &'static [&'static str],
    /// The shape of its body; empty: none.
    pub body: &'static str,
    /// The shape of its answer.
    pub gives: &'static str,
    /// What it does.
    pub summary: &'static str,
    call: Read,
}

/// What may be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// The daemon in a few numbers.
    Status,
    /// Every job.
    Jobs,
    /// One job.
    Job(JobName),
    /// Run a job now.
    Start {
        /// Which.
        name: JobName,
        /// Stream its output.
        follow: bool,
    },
    /// Stop the runs of a job.
    StopJob(JobName),
    /// What a job printed.
    JobOutput {
        /// Which.
        name: JobName,
        /// And prints, from now on.
        follow: bool,
        /// So many runs back.
        runs: usize,
        /// Of each run, begin with at most so many lines.
        lines: Option<usize>,
    },
    /// One run.
    Run(RunId),
    /// Stop a run.
    StopRun(RunId),
    /// What a run printed.
    RunOutput {
        /// Which.
        run: RunId,
        /// And prints, until it is over.
        follow: bool,
        /// Begin with at most so many lines.
        lines: Option<usize>,
    },
    /// Files with findings.
    Findings,
    /// Read `conf.d` anew.
    Reload,
    /// Change a definition.
    Edit {
        /// What of it.
        change: Change,
        /// In its file too.
        permanent: bool,
    },
    /// The text that defines a job.
    Text(JobName),
    /// Let no slot run for a while.
    Pause {
        /// Of which job.
        name: JobName,
        /// How long.
        end: End,
        /// Why, for people.
        reason: String,
    },
}

/// When a pause is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// So long from now.
    After(Duration),
    /// At this instant.
    At(Timestamp),
    /// When the job is resumed.
    Resumed,
}

impl End {
    /// The instant, `None` when nobody knows it; refused when it has passed.
    pub fn from(self, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
        let bad = |message: &str| Problem::new(400, "bad-query", message);
        match self {
            End::Resumed => Ok(None),
            End::After(length) => now.checked_add(length).map(Some).map_err(|_| bad("the pause is too long")),
            End::At(instant) if instant <= now => Err(bad("until has passed")),
            End::At(instant) => Ok(Some(instant)),
        }
    }
}

/// Every route there is.
pub const ROUTES: [Route; 18] = [
    ask("/status", &[], "Status", "the daemon in a few numbers", |_| Ok(Call::Status)),
    ask("/jobs", &[], "Jobs", "every job", |_| Ok(Call::Jobs)),
    ask("/jobs/NAME", &[], "Job", "one job", |given| Ok(Call::Job(given.name()?))),
    Route {
        method: "PUT",
        body: "JobFile",
        ..wish(
            "/jobs/NAME",
            &["permanent=0"],
            "Edited",
            "make a job, or replace its whole definition, by the text of its file",
            |given| {
                let change = Change::Write { name: given.name()?, text: given.text()? };
                Ok(Call::Edit { change, permanent: given.permanent()? })
            },
        )
    },
    Route {
        method: "DELETE",
        ..wish("/jobs/NAME", &["permanent=0"], "Edited", "a job no more", |given| {
            Ok(Call::Edit { change: Change::Delete(given.name()?), permanent: given.permanent()? })
        })
    },
    ask("/jobs/NAME/file", &[], "JobText", "the text that defines a job", |given| Ok(Call::Text(given.name()?))),
    wish("/jobs/NAME/disable", &["permanent=0"], "Edited", "no slots until the job is resumed", |given| {
        Ok(Call::Edit { change: Change::Disable(given.name()?), permanent: given.permanent()? })
    }),
    wish("/jobs/NAME/resume", &["permanent=0"], "Edited", "slots again, after disable or pause", |given| {
        Ok(Call::Edit { change: Change::Resume(given.name()?), permanent: given.permanent()? })
    }),
    wish("/jobs/NAME/schedule", &["schedule=TEXT", "permanent=0"], "Edited", "another schedule", |given| {
        let change = Change::Reschedule(given.name()?, given.schedule()?);
        Ok(Call::Edit { change, permanent: given.permanent()? })
    }),
    wish(
        "/jobs/NAME/pause",
        &["for=DURATION", "until=TIME", "reason=TEXT"],
        "Edited",
        "no slots for a while, or until the job is resumed; runs go on",
        |given| Ok(Call::Pause { name: given.name()?, end: given.end()?, reason: given.reason()? }),
    ),
    wish("/jobs/NAME/run", &["follow=1"], "Started", "run a job now, and stream its output if asked to", |given| {
        Ok(Call::Start { name: given.name()?, follow: given.follow()? })
    }),
    wish("/jobs/NAME/stop", &[], "Stopping", "stop every run of a job, and drop what waits in its queue", |given| {
        Ok(Call::StopJob(given.name()?))
    }),
    ask(
        "/jobs/NAME/output",
        &["follow=1", "runs=N", "lines=N"],
        "Record",
        "what the last run of a job printed, or the last N; then whatever its runs print",
        |given| {
            Ok(Call::JobOutput {
                name: given.name()?,
                follow: given.follow()?,
                runs: given.runs()?,
                lines: given.lines()?,
            })
        },
    ),
    ask("/runs/ID", &[], "Run", "one run", |given| Ok(Call::Run(given.run()?))),
    wish("/runs/ID/stop", &[], "Stopping", "stop one run", |given| Ok(Call::StopRun(given.run()?))),
    ask(
        "/runs/ID/output",
        &["follow=1", "lines=N"],
        "Record",
        "what a run printed, and prints until it is over",
        |given| Ok(Call::RunOutput { run: given.run()?, follow: given.follow()?, lines: given.lines()? }),
    ),
    ask("/findings", &[], "Findings", "the files of conf.d with something wrong or doubtful", |_| Ok(Call::Findings)),
    wish("/reload", &[], "Status", "read conf.d anew; answered once it is armed", |_| Ok(Call::Reload)),
];

type Read = fn(&Given<'_>) -> Result<Call, Problem>;

const fn ask(
    path: &'static str,
    query: &'static [&'static str],
    gives: &'static str,
    summary: &'static str,
    call: Read,
) -> Route {
    Route { method: "GET", right: Right::Read, path, query, body: "", gives, summary, call }
}

const fn wish(
    path: &'static str,
    query: &'static [&'static str],
    gives: &'static str,
    summary: &'static str,
    call: Read,
) -> Route {
    Route { method: "POST", right: Right::Change, ..ask(path, query, gives, summary, call) }
}

/// There is nothing at this path.
pub fn unknown() -> Problem {
    Problem::new(404, "no-such-route", "there is no such route").hint("rotad(8) lists them")
}

/// Finds what is asked for below [`BASE`], and whether the peer may ask for it.
pub fn route(asked: &Asked<'_>) -> Result<Call, Problem> {
    let Asked { method, url, body, .. } = *asked;
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let segments: Vec<&str> = path.strip_prefix(BASE).ok_or_else(unknown)?.split('/').collect();
    let here: Vec<&Route> = ROUTES.iter().filter(|route| route.fits(&segments)).collect();
    if here.is_empty() {
        return Err(unknown());
    }
    let Some(route) = here.iter().find(|route| route.method == method) else {
        let methods: Vec<&str> = here.iter().map(|route| route.method).collect();
        return Err(Problem::new(405, "wrong-method", "this route does not take that method")
            .hint(format!("use {}", methods.join(" or "))));
    };
    asked.peer.may(route.right)?;
    // Ignored, a body that says for how long would be a pause without end.
    if route.body.is_empty() && !body.is_empty() {
        return Err(Problem::new(400, "no-body", "this route takes no body")
            .hint("its parameters stand in the query: rotad(8)"));
    }
    let given = Given { body, segments, query: query.split('&').filter(|pair| !pair.is_empty()).collect() };
    if let Some(pair) = given.query.iter().find(|pair| !route.takes(pair)) {
        return Err(Problem::new(400, "bad-query", format!("this route does not take '{}'", pair.escape_debug())));
    }
    (route.call)(&given)
}

impl Route {
    fn fits(&self, segments: &[&str]) -> bool {
        let mine = self.path.split('/');
        mine.clone().count() == segments.len()
            && mine.zip(segments).all(|(mine, given)| matches!(mine, "NAME" | "ID") || mine == *given)
    }

    fn takes(&self, pair: &str) -> bool {
        let key = |pair: &str| pair.split('=').next().map(str::to_owned);
        self.query.iter().any(|known| key(known) == key(pair))
    }
}

#[cfg(test)]
mod tests {
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
            assert_eq!(refused, route.method != "GET", "{} {}", route.method, route.path);
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
            ("GET", format!("/runs/{run}/output"), Call::RunOutput { run, follow: false, lines: None }),
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
            ("POST", "/jobs/a/pause".into(), pause(End::Resumed, "")),
            (
                "POST",
                "/jobs/a/pause?for=1h30m&reason=a%20b".into(),
                pause(End::After(Duration::from_secs(5400)), "a b"),
            ),
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
            ("GET", "/rotad/v1/jobs/a%2fb", 400, "bad-name"),
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
        let ask = |method, path: &str, body: &[u8]| {
            super::route(&Asked { method, url: &format!("{BASE}{path}"), body, peer })
        };
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
}
