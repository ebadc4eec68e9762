//! From method and path to a [`Call`]: the one table of routes, and nothing but types behind it.
//!
//! A path is split at `/` first, and each segment percent-decoded once and parsed to the type its place wants. So `..%2f`
//! is no way up and a doubly encoded name is simply another name.

use super::answer::Problem;
use super::peer::{Asked, Right};
use crate::job::JobName;
use crate::wire::RunId;

/// Where all routes begin.
pub const BASE: &str = "/rotad/v1";
/// Most runs of a job whose output is given at once.
const MAX_RUNS: usize = 100;

/// A route, for tables and documentation.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// `GET` asks, `POST` wishes.
    pub method: &'static str,
    /// What a peer must be allowed.
    pub right: Right,
    /// Behind [`BASE`]; `NAME` and `ID` stand for a job's name and a run's id.
    pub path: &'static str,
    /// Parameters that it takes, as `key=value`.
    pub query: &'static [&'static str],
    /// What it does.
    pub summary: &'static str,
    call: fn(&Given<'_>) -> Result<Call, Problem>,
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
}

/// Every route there is.
pub const ROUTES: [Route; 11] = [
    Route {
        method: "GET",
        right: Right::Read,
        path: "/status",
        query: &[],
        summary: "the daemon in a few numbers",
        call: |_| Ok(Call::Status),
    },
    Route {
        method: "GET",
        right: Right::Read,
        path: "/jobs",
        query: &[],
        summary: "every job",
        call: |_| Ok(Call::Jobs),
    },
    Route {
        method: "GET",
        right: Right::Read,
        path: "/jobs/NAME",
        query: &[],
        summary: "one job",
        call: |given| Ok(Call::Job(given.name()?)),
    },
    Route {
        method: "POST",
        right: Right::Change,
        path: "/jobs/NAME/run",
        query: &["follow=1"],
        summary: "run a job now, and stream its output if asked to",
        call: |given| Ok(Call::Start { name: given.name()?, follow: given.follow()? }),
    },
    Route {
        method: "POST",
        right: Right::Change,
        path: "/jobs/NAME/stop",
        query: &[],
        summary: "stop every run of a job, and drop what waits in its queue",
        call: |given| Ok(Call::StopJob(given.name()?)),
    },
    Route {
        method: "GET",
        right: Right::Read,
        path: "/jobs/NAME/output",
        query: &["follow=1", "runs=N", "lines=N"],
        summary: "what the last run of a job printed, or the last N; then whatever its runs print",
        call: |given| {
            Ok(Call::JobOutput {
                name: given.name()?,
                follow: given.follow()?,
                runs: given.runs()?,
                lines: given.lines()?,
            })
        },
    },
    Route {
        method: "GET",
        right: Right::Read,
        path: "/runs/ID",
        query: &[],
        summary: "one run",
        call: |given| Ok(Call::Run(given.run()?)),
    },
    Route {
        method: "POST",
        right: Right::Change,
        path: "/runs/ID/stop",
        query: &[],
        summary: "stop one run",
        call: |given| Ok(Call::StopRun(given.run()?)),
    },
    Route {
        method: "GET",
        right: Right::Read,
        path: "/runs/ID/output",
        query: &["follow=1", "lines=N"],
        summary: "what a run printed, and prints until it is over",
        call: |given| Ok(Call::RunOutput { run: given.run()?, follow: given.follow()?, lines: given.lines()? }),
    },
    Route {
        method: "GET",
        right: Right::Read,
        path: "/findings",
        query: &[],
        summary: "the files of conf.d with something wrong or doubtful",
        call: |_| Ok(Call::Findings),
    },
    Route {
        method: "POST",
        right: Right::Change,
        path: "/reload",
        query: &[],
        summary: "read conf.d anew; answered once it is armed",
        call: |_| Ok(Call::Reload),
    },
];

/// There is nothing at this path.
pub fn unknown() -> Problem {
    Problem::new(404, "no-such-route", "there is no such route").hint("rotad(8) lists them")
}

/// Finds what is asked for below [`BASE`], and whether the peer may ask for it.
pub fn route(asked: &Asked<'_>) -> Result<Call, Problem> {
    let Asked { method, url, .. } = *asked;
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
    let given = Given { segments, query: query.split('&').filter(|pair| !pair.is_empty()).collect() };
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

/// What a request gives besides its route.
struct Given<'a> {
    segments: Vec<&'a str>,
    query: Vec<&'a str>,
}

impl Given<'_> {
    /// The segment in the place of `NAME` or `ID`: always the third, counting the empty one before the first `/`.
    fn subject(&self) -> Result<String, Problem> {
        let segment = self.segments.get(2).copied().unwrap_or_default();
        percent_decode(segment).ok_or_else(|| Problem::new(400, "bad-name", "the path is not percent-encoded UTF-8"))
    }

    fn name(&self) -> Result<JobName, Problem> {
        JobName::parse(&self.subject()?).map_err(|error| Problem::new(400, "bad-name", error.to_string()))
    }

    fn run(&self) -> Result<RunId, Problem> {
        RunId::parse(&self.subject()?)
            .ok_or_else(|| Problem::new(400, "bad-run", "a run's id has 13 letters and digits"))
    }

    fn value(&self, key: &str) -> Option<&str> {
        self.query.iter().rev().find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))
    }

    fn follow(&self) -> Result<bool, Problem> {
        match self.value("follow") {
            None | Some("0") => Ok(false),
            Some("1") => Ok(true),
            Some(_) => Err(Problem::new(400, "bad-query", "follow is 0 or 1")),
        }
    }

    fn lines(&self) -> Result<Option<usize>, Problem> {
        let bad = |_| Problem::new(400, "bad-query", "lines is a number");
        self.value("lines").map(|lines| lines.parse().map_err(bad)).transpose()
    }

    fn runs(&self) -> Result<usize, Problem> {
        let bad = || Problem::new(400, "bad-query", format!("runs is a number from 0 to {MAX_RUNS}"));
        let runs = self.value("runs").map_or(Ok(1), str::parse).map_err(|_| bad())?;
        if runs <= MAX_RUNS { Ok(runs) } else { Err(bad()) }
    }
}

/// A segment with its `%XX` resolved, once; `None` when one is malformed or the whole is not UTF-8.
fn percent_decode(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// A job's name as a segment of a path.
pub fn percent_encode(name: &str) -> String {
    let mut segment = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => segment.push(char::from(byte)),
            byte => segment.push_str(&format!("%{byte:02X}")),
        }
    }
    segment
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
            ("PUT", "/rotad/v1/jobs/a", 405, "wrong-method"),
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
