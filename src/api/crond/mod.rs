//! mysql-crond's HTTP routes: its paths, envelopes and status codes, byte for byte where its clients look. Everything that
//! they do is a request to the engine, the same as behind `/rotad/v1`.
//!
//! ```text
//! body ─ json ─ form ─▶ request to the engine ─▶ {"entry_id":n} or {"code","message","data"}
//! query ─ selection ─▶ rows of the engine's entries ─▶ {"entries":[…]}
//! ```

mod beats;
mod complaint;
mod daemon;
mod edits;
pub mod entries;
mod form;
mod json;
mod lists;
pub mod selection;
mod write;

use std::path::PathBuf;

use super::answer::{Answer, Problem};
use super::ask::Engine;
use super::peer::{Asked, Peer, Right};
use crate::conf::Config;
use form::Form;

/// A route, for tables and documentation.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// `GET` asks or, in two places, wishes; `POST` wishes.
    pub method: &'static str,
    /// The whole path.
    pub path: &'static str,
    /// What a peer must be allowed.
    pub right: Right,
    /// Parameters that it takes, as `key=value`.
    pub query: &'static [&'static str],
    /// The shape of its body; empty: none.
    pub body: &'static str,
    /// The shape of its answer.
    pub gives: &'static str,
    /// What it does.
    pub summary: &'static str,
    answer: fn(&Wish<'_>) -> Result<Vec<u8>, Fault>,
}

/// Every route there is.
pub const ROUTES: [Route; 16] = [
    get("/version", "CrondVersion", "which program answers", daemon::version),
    Route {
        query: &["name=NAME", "name-match=REGEX", "status=LIST"],
        ..get("/entries", "CrondEntries", "the jobs, with the next slot of each", lists::entries)
    },
    get("/disabled", "CrondJobs", "the jobs that are disabled or paused", lists::disabled),
    get("/config/jobs-config", "CrondPath", "where jobs are defined", daemon::jobs_config),
    wish(get("/config/reload", "Empty", "forget what is not permanent and read the files anew", daemon::reload)),
    wish(get("/quit", "Empty", "end the daemon", daemon::quit)),
    wish(get("/third-party/update-instance-info", "Empty", "does nothing here", daemon::instance_info)),
    post("/disable", "CrondName", "CrondEntry", "no slots until resumed", edits::disable),
    post("/resume", "CrondName", "CrondEntry", "slots again, after disable or pause", edits::resume),
    post("/pause", "CrondPause", "CrondEntry", "no slots for a while", edits::pause),
    post("/create_or_replace", "CrondDefine", "CrondEntry", "define a job", edits::create_or_replace),
    post("/delete", "CrondName", "CrondEntry", "a job no more", edits::delete),
    post("/schedule/change", "CrondSchedule", "CrondEntry", "another schedule", edits::change),
    post("/beat/event", "CrondEvent", "Empty", "send an event to bk-monitor", beats::event),
    post("/beat/metrics", "CrondMetrics", "Empty", "send a number to bk-monitor", beats::metrics),
    get("/openapi.json", "Any", "this document", |_| Ok(super::openapi::document())),
];

type Respond = fn(&Wish<'_>) -> Result<Vec<u8>, Fault>;

const fn get(path: &'static str, gives: &'static str, summary: &'static str, answer: Respond) -> Route {
    Route { method: "GET", path, right: Right::Read, query: &[], body: "", gives, summary, answer }
}

const fn post(
    path: &'static str,
    body: &'static str,
    gives: &'static str,
    summary: &'static str,
    answer: Respond,
) -> Route {
    Route { method: "POST", path, right: Right::Change, query: &[], body, gives, summary, answer }
}

const fn wish(route: Route) -> Route {
    Route { right: Right::Change, ..route }
}

/// What these routes show of the configuration.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// Where jobs are defined: mysql-crond's one file, or `conf.d`.
    pub jobs_config: PathBuf,
}

impl Places {
    /// As configured.
    pub fn of(config: &Config) -> Places {
        let jobs_config = config.crond.as_ref().and_then(|crond| crond.jobs_config.as_ref());
        Places { jobs_config: jobs_config.unwrap_or(&config.conf_d).clone() }
    }
}

/// What a route is told.
struct Wish<'a> {
    engine: &'a Engine,
    places: &'a Places,
    peer: Peer,
    query: &'a str,
    body: &'a [u8],
}

impl Wish<'_> {
    /// The body, or the refusal that gin's binding makes of it.
    fn form(&self) -> Result<Form, Fault> {
        Form::read(self.body).map_err(Fault::bound)
    }

    /// A parameter of the query: the first of that name, `+` and `%XX` resolved; empty where there is none.
    fn parameter(&self, key: &str) -> String {
        let pairs = self.query.split('&').filter(|pair| !pair.contains(';'));
        pairs
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .find(|(name, _)| *name == key)
            .and_then(|(_, value)| super::given::percent_decode(&value.replace('+', " ")))
            .unwrap_or_default()
    }
}

/// A refusal in mysql-crond's form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    status: u16,
    message: String,
    shape: Shape,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// `{"code","message","data"}`.
    Envelope,
    /// The same, but called text: gin's binder has sent that header by then.
    Bound,
    /// Nothing at all.
    Empty,
}

impl Fault {
    fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), shape: Shape::Envelope }
    }

    /// The body was not what the route takes.
    fn bound(message: String) -> Self {
        Self { status: 400, message: format!("request param: {message}"), shape: Shape::Bound }
    }

    /// Of a route that says nothing but the status.
    fn silent(self) -> Self {
        Self { shape: Shape::Empty, ..self }
    }
}

/// What the domain refuses is 500, whatever it is; who may not is told so.
impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        let status = if problem.status() == 403 { 403 } else { 500 };
        Fault::new(status, problem.message())
    }
}

impl From<Fault> for Answer {
    fn from(Fault { status, message, shape }: Fault) -> Answer {
        #[derive(serde::Serialize)]
        struct Envelope {
            code: u16,
            message: String,
            data: (),
        }
        let body = || write::value(&Envelope { code: status, message, data: () });
        match shape {
            Shape::Envelope => Answer::new(status, JSON, body()),
            Shape::Bound => Answer::new(status, "text/plain; charset=utf-8", body()),
            Shape::Empty => Answer::new(status, "", Vec::new()),
        }
    }
}

const JSON: &str = "application/json; charset=utf-8";

/// Answers a request outside of `/rotad/v1`.
pub fn answer(asked: &Asked<'_>, engine: &Engine, places: &Places) -> Answer {
    let (path, query) = asked.url.split_once('?').unwrap_or((asked.url, ""));
    let find = |path: &str| ROUTES.iter().find(|route| route.method == asked.method && route.path == path);
    if let Some(route) = find(path) {
        let wish = Wish { engine, places, peer: asked.peer, query, body: asked.body };
        return match asked.peer.may(route.right).map_err(Fault::from).and_then(|()| (route.answer)(&wish)) {
            Ok(body) => Answer::new(200, JSON, body),
            Err(fault) => {
                // Some of them tell nothing on the wire. Who may only look writes nothing into the log, however often.
                if asked.peer.right == Right::Change {
                    let Asked { method, peer, .. } = asked;
                    tracing::info!(code = "crond-refused", "{method} {path} for {peer}: {}", fault.message);
                }
                fault.into()
            }
        };
    }
    match path.strip_suffix('/').and_then(find) {
        Some(route) => {
            let query = if query.is_empty() { String::new() } else { format!("?{query}") };
            let answer = match route.method {
                "GET" => {
                    let body = format!("<a href=\"{}\">Moved Permanently</a>.\n\n", route.path);
                    Answer::new(301, "text/html; charset=utf-8", body.into())
                }
                _ => Answer::new(307, "", Vec::new()),
            };
            answer.location(format!("{}{query}", route.path))
        }
        None => Answer::new(404, "text/plain", b"404 page not found".into()),
    }
}

#[cfg(test)]
mod tests;
