//! What monitors ask for, at the paths where they look: numbers, and whether the daemon lives and does its work. The third
//! table of routes; mysql-crond has nothing at these paths.

use super::answer::{Answer, Problem};
use super::ask::Engine;
use super::peer::{Asked, Right};
use crate::engine::Request;
use crate::metrics;

/// A route, for tables and documentation.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// `GET`; `HEAD` is taken for it.
    pub method: &'static str,
    /// The whole path.
    pub path: &'static str,
    /// What a peer must be allowed.
    pub right: Right,
    /// What sort of text it answers.
    pub content_type: &'static str,
    /// The shape of its answer.
    pub gives: &'static str,
    /// What it does.
    pub summary: &'static str,
    answer: fn(&Engine) -> Result<Vec<u8>, Problem>,
}

/// Every route there is.
pub const ROUTES: [Route; 4] = [
    Route {
        content_type: "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ..get("/metrics", "OpenMetrics", "numbers for a monitor, as OpenMetrics text", numbers)
    },
    Route {
        content_type: "text/plain; charset=utf-8",
        ..get("/ping", "Pong", "the endpoint answers", |_| Ok(b"pong".into()))
    },
    get("/health/alive", "Alive", "the engine answers", alive),
    get("/health/ready", "Ready", "jobs are armed and started; else 503 with the reason", ready),
];

type Respond = fn(&Engine) -> Result<Vec<u8>, Problem>;

const fn get(path: &'static str, gives: &'static str, summary: &'static str, answer: Respond) -> Route {
    Route { method: "GET", path, right: Right::Read, content_type: "application/json", gives, summary, answer }
}

/// Answers a request for one of these paths; `None` for any other. A query is ignored: monitors add what they like.
pub fn answer(asked: &Asked<'_>, engine: &Engine) -> Option<Result<Answer, Problem>> {
    let path = asked.url.split('?').next().unwrap_or_default();
    let route = ROUTES.iter().find(|route| route.path == path)?;
    if !["GET", "HEAD"].contains(&asked.method) {
        let problem = Problem::new(405, "wrong-method", "this route does not take that method").hint("use GET");
        return Some(Err(problem));
    }
    let answer = asked.peer.may(route.right).and_then(|()| (route.answer)(engine));
    Some(answer.map(|body| Answer::new(200, route.content_type, body)))
}

fn numbers(engine: &Engine) -> Result<Vec<u8>, Problem> {
    let reading = engine.ask(Request::Metrics)?;
    let internal = |error| {
        tracing::error!(%error, "the numbers could not be written as text");
        Problem::new(500, "internal", "see the journal")
    };
    metrics::text(*reading).map(String::into_bytes).map_err(internal)
}

fn alive(engine: &Engine) -> Result<Vec<u8>, Problem> {
    engine.ask(Request::Alive)?;
    Ok(b"{\"status\":\"ok\"}\n".into())
}

fn ready(engine: &Engine) -> Result<Vec<u8>, Problem> {
    let ready = engine.ask(Request::Ready)?;
    let mut body = serde_json::to_vec(&ready).unwrap_or_default();
    body.push(b'\n');
    Ok(body)
}
