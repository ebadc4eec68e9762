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
        /// Begin with this line, counted from 1: `lines` is counted from there.
        from: Option<u64>,
    },
    /// What became of slots and requests, newest first.
    History {
        /// Of which job; of all where there is none.
        job: Option<JobName>,
        /// Which of it.
        filter: Filter,
    },
    /// What became of the slots of a job, newest first.
    Slots(JobName, Filter),
    /// The attempts of a job's runs that are over, newest first.
    Runs(JobName, Filter),
    /// Why a job ran at an instant, or did not.
    Why {
        /// Which.
        name: JobName,
        /// When; absent: its newest slot.
        at: Option<Timestamp>,
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
    /// Let the next slots go.
    SkipNext {
        /// Of which job.
        name: JobName,
        /// How many.
        count: u32,
        /// Why, for people.
        reason: String,
    },
    /// Let no slot of any job run for a while.
    Hold {
        /// How long.
        end: End,
        /// Why, for people.
        reason: String,
    },
    /// End that.
    Release,
}

/// Which part of the history is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// From this instant on.
    pub since: Option<Timestamp>,
    /// Up to this instant.
    pub until: Option<Timestamp>,
    /// Only what did not go well.
    pub failed: bool,
    /// So many at most.
    pub limit: usize,
    /// Those that follow the last one of an answer before, by its `next`.
    pub before: Option<String>,
}

/// When a pause is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// So long from now.
    After(Duration),
    /// At this instant.
    At(Timestamp),
    /// When the job is resumed, or the hold released.
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

/// What says which part of the history.
const PART: &[&str] = &["since=TIME", "until=TIME", "failed=1", "limit=N", "before=PLACE"];

/// Every route there is.
pub const ROUTES: [Route; 26] = [
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
    Route {
        // A file of mode 0600 may hold passwords; whoever could write them may read them.
        right: Right::Change,
        ..ask("/jobs/NAME/file", &[], "JobText", "the text that defines a job", |given| Ok(Call::Text(given.name()?)))
    },
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
    wish(
        "/jobs/NAME/skip-next",
        &["count=N", "reason=TEXT"],
        "Pause",
        "let the next slot of a job go, or the next N; runs go on",
        |given| Ok(Call::SkipNext { name: given.name()?, count: given.count()?, reason: given.reason()? }),
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
    ask("/runs/ID", &[], "RunInFull", "one run, with its attempts", |given| Ok(Call::Run(given.run()?))),
    wish("/runs/ID/stop", &[], "Stopping", "stop one run", |given| Ok(Call::StopRun(given.run()?))),
    ask(
        "/runs/ID/output",
        &["follow=1", "lines=N", "from=N"],
        "Record",
        "what a run printed, and prints until it is over; its last N lines, or N of them from line N on",
        |given| {
            let (run, from) = (given.run()?, given.from()?);
            Ok(Call::RunOutput { run, follow: given.follow()?, lines: given.lines()?, from })
        },
    ),
    ask("/history", PART, "History", "what became of slots and requests of all jobs, newest first", |given| {
        Ok(Call::History { job: None, filter: given.filter()? })
    }),
    ask("/jobs/NAME/history", PART, "History", "what became of a job's slots and requests, newest first", |given| {
        Ok(Call::History { job: Some(given.name()?), filter: given.filter()? })
    }),
    ask("/jobs/NAME/slots", PART, "Slots", "the verdicts on a job's slots, newest first", |given| {
        Ok(Call::Slots(given.name()?, given.filter()?))
    }),
    ask("/jobs/NAME/runs", PART, "Runs", "the runs of a job that are over, newest first", |given| {
        Ok(Call::Runs(given.name()?, given.filter()?))
    }),
    ask(
        "/jobs/NAME/why",
        &["at=TIME"],
        "Why",
        "why a job ran at an instant or did not; without one, at its newest slot",
        |given| Ok(Call::Why { name: given.name()?, at: given.at()? }),
    ),
    ask("/findings", &[], "Findings", "the files of conf.d with something wrong or doubtful", |_| Ok(Call::Findings)),
    wish(
        "/hold",
        &["for=DURATION", "until=TIME", "reason=TEXT"],
        "Pause",
        "no slots of any job for a while, or until released; runs go on, and jobs run on request",
        |given| Ok(Call::Hold { end: given.end()?, reason: given.reason()? }),
    ),
    wish("/release", &[], "Pause", "end the hold", |_| Ok(Call::Release)),
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
mod tests;
