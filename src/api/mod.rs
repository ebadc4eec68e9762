//! HTTP on the unix socket and on a port of 127.0.0.1: one closed set of questions and wishes, all of them answered by the
//! engine.
//!
//! It promises that no byte from outside reaches the HTTP parser before the [`gate`] has found out who sent it and has
//! bounded it, that no path, job or run is ever named by unchecked text ([`route`]), and that the engine's loop is never
//! waited for without end ([`ask`]). It keeps no state: it may be slow or gone, and jobs run on.
//!
//! ```text
//! client ── gate ─────────────────────────────────── tiny_http ── route ── ask the engine ── answer
//!            owner, admission: who, which right                      └─ tails of runs ── stream, line by line
//!            places: how many
//!            inflow, head, guard: bounds, time, foreign pages
//! ```

mod admission;
mod answer;
mod ask;
pub mod crond;
mod gate;
mod given;
pub mod openapi;
mod guard;
mod head;
mod held;
mod inflow;
pub mod monitor;
mod outflow;
mod owner;
mod past;
pub mod peer;
mod places;
mod private;
pub mod record;
pub mod route;
mod stream;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::conf::Config;
use crate::engine;
use crate::history::History;
use crate::sink::Tails;
use admission::{Admission, Names};
use answer::Answer;
use ask::Engine;
use crond::Places;
use gate::Gate;
use held::Held;
use peer::{Asked, Peer};
use private::Door;
use route::Call;

/// Starts answering on `unix`, a listening unix socket, and on every listening TCP socket of 127.0.0.1 that comes by
/// `ports`. `config` says who is admitted. Returns at once; the threads live as long as the process. Fails when the socket
/// behind the gate cannot be made or a thread cannot start.
///
/// Requests that no engine takes are answered with `engine-busy`.
pub fn serve(
    unix: OwnedFd,
    ports: mpsc::UnboundedReceiver<OwnedFd>,
    config: &Config,
    requests: mpsc::Sender<engine::Request>,
    tails: Tails,
    history: History,
) -> io::Result<()> {
    let (server, door) = open()?;
    let door = Arc::new(RwLock::new(door));
    let endpoint = Arc::new(Endpoint {
        engine: Engine::new(requests),
        tails,
        places: Places::of(config),
        held: Held::new(),
        history,
    });
    Gate::new(Admission::new(Names::of(config)), Arc::clone(&door)).start(unix, ports)?;
    thread::Builder::new().name("api".into()).spawn(move || {
        let mut server = server;
        loop {
            let error = answer_requests(&server, &endpoint);
            tracing::warn!(%error, "the HTTP endpoint could not take a connection; it opens anew");
            server = reopen(&door);
        }
    })?;
    Ok(())
}

/// The HTTP library on its private socket, and the way to it.
fn open() -> io::Result<(tiny_http::Server, Door)> {
    let (listener, door) = private::listen()?;
    Ok((tiny_http::Server::from_listener(listener, None).map_err(io::Error::other)?, door))
}

fn reopen(door: &RwLock<Door>) -> tiny_http::Server {
    loop {
        thread::sleep(Duration::from_secs(1));
        match open() {
            Ok((server, fresh)) => {
                *door.write().unwrap_or_else(PoisonError::into_inner) = fresh;
                return server;
            }
            Err(error) => tracing::error!(%error, "the HTTP endpoint could not open anew"),
        }
    }
}

/// What answers need.
struct Endpoint {
    engine: Engine,
    tails: Tails,
    places: Places,
    held: Held,
    history: History,
}

/// One thread a request; the gate bounds how many there are. Comes back when the library no longer takes connections, as
/// it does for good once a single accept(2) has failed.
fn answer_requests(server: &tiny_http::Server, endpoint: &Arc<Endpoint>) -> io::Error {
    loop {
        match server.recv() {
            Ok(request) => {
                let endpoint = Arc::clone(endpoint);
                let spawned = thread::Builder::new().name("api-request".into()).spawn(move || endpoint.answer(request));
                if let Err(error) = spawned {
                    tracing::warn!(%error, "no thread for a request: it is dropped");
                }
            }
            Err(error) => return error,
        }
    }
}

impl Endpoint {
    fn answer(&self, mut request: tiny_http::Request) {
        let chunked = *request.http_version() >= tiny_http::HTTPVersion(1, 1);
        let reply = gate::peer_of(&request).and_then(|peer| {
            let mut body = Vec::new();
            // As long as the gate has written it into the head, and it has it whole.
            request.as_reader().read_to_end(&mut body).map_err(|_| gate::cut())?;
            let _turn = self.held.turn(peer)?;
            let reply =
                self.reply(&Asked { method: request.method().as_str(), url: request.url(), body: &body, peer })?;
            let hold = match &reply {
                Reply::Whole(answer) => self.held.room(peer, answer.length())?,
                Reply::Stream(_) => None,
            };
            Ok((reply, hold))
        });
        let head_alone = *request.method() == tiny_http::Method::Head;
        let mut out = request.into_writer();
        // A client that went away has no use for an error.
        let _gone = match reply {
            Ok((Reply::Whole(answer), _hold)) => answer.write(&mut out, head_alone),
            Ok((Reply::Stream(stream), _)) => stream.write(&self.engine, &self.tails, out, chunked),
            Err(problem) => Answer::from(problem).write(&mut out, head_alone),
        };
    }

    /// One table of routes for each beginning of a path: our own, what monitors ask, and else mysql-crond's.
    fn reply(&self, asked: &Asked<'_>) -> Result<Reply, answer::Problem> {
        if asked.url.starts_with(route::BASE) {
            return self.carry_out(route::route(asked)?, asked.peer);
        }
        match monitor::answer(asked, &self.engine) {
            Some(answer) => answer.map(Reply::Whole),
            None => Ok(Reply::Whole(crond::answer(asked, &self.engine, &self.places))),
        }
    }

    fn carry_out(&self, call: Call, peer: Peer) -> Result<Reply, answer::Problem> {
        use engine::Request;
        let (engine, history) = (&self.engine, &self.history);
        let whole = |answer| Ok(Reply::Whole(answer));
        match call {
            Call::Status => whole(Answer::ok(&engine.ask(Request::Status)?)),
            Call::Jobs => {
                let mut jobs = engine.ask(Request::Jobs)?;
                past::remember_last(history, &mut jobs);
                whole(Answer::ok(&jobs))
            }
            Call::Job(name) => {
                let mut job = engine.ask(|reply| Request::Job(name, reply))?;
                past::remember_last(history, std::slice::from_mut(&mut job));
                whole(Answer::ok(&job))
            }
            Call::Run(run) => whole(Answer::ok(&past::run(engine, history, run)?)),
            Call::History { job, filter } => whole(past::entries(history, job, &filter)?),
            Call::Slots(job, filter) => whole(past::slots(history, job, &filter)?),
            Call::Runs(job, filter) => whole(past::runs(history, job, &filter)?),
            Call::Why { name, at } => whole(Answer::ok(&past::why(engine, history, &name, at)?)),
            Call::Findings => whole(Answer::ok(&engine.ask(Request::Files)?)),
            Call::Reload => whole(Answer::ok(&engine.ask(Request::Reload)?)),
            Call::StopJob(name) => whole(Answer::stopping(&engine.ask(|reply| Request::StopJob(name, reply))?)),
            Call::StopRun(run) => whole(Answer::stopping(&engine.ask(|reply| Request::StopRun(run, reply))?)),
            Call::Edit { change, permanent } => {
                let edit = engine::Edit { change, permanent, by: peer.to_string() };
                whole(Answer::ok(&engine.ask(|reply| Request::Edit(edit, reply))?))
            }
            Call::Text(name) => whole(Answer::ok(&engine.ask(|reply| Request::Text(name, reply))?)),
            Call::Pause { name, end, reason } => {
                let (until, by) = (end.from(Timestamp::now())?, peer.to_string());
                whole(Answer::ok(&engine.ask(|reply| Request::Pause { name, until, reason, by, reply })?))
            }
            Call::SkipNext { name, count, reason } => {
                let by = peer.to_string();
                whole(Answer::ok(&engine.ask(|reply| Request::SkipNext { name, count, reason, by, reply })?))
            }
            Call::Hold { end, reason } => {
                let (until, by) = (end.from(Timestamp::now())?, peer.to_string());
                whole(Answer::ok(&engine.ask(|reply| Request::Hold { until, reason, by, reply })?))
            }
            Call::Release => whole(Answer::ok(&engine.ask(Request::Release)?)),
            Call::Start { name, follow } => {
                let job = name.clone();
                let run = engine.ask(|reply| Request::Start { name, by: peer.to_string(), reply })?;
                match follow {
                    true => Ok(Reply::Stream(stream::Stream::run(run, job, true))),
                    false => whole(Answer::started(run, &job)),
                }
            }
            Call::RunOutput { run, follow, lines, from } => {
                let stream = match engine.ask(|reply| Request::Run(run, reply)) {
                    Ok(view) if view.state != "over" || !self.tails.attempts_of(run).is_empty() => {
                        stream::Stream::run(run, view.job, follow)
                    }
                    known => match (past::output(history, run), known) {
                        (Some((view, copies)), _) => stream::Stream::copy(view, copies),
                        (None, Ok(view)) => stream::Stream::run(run, view.job, follow),
                        (None, Err(problem)) => return Err(problem),
                    },
                };
                Ok(Reply::Stream(stream.lines(lines).from(from)))
            }
            Call::JobOutput { name, follow, runs, lines } => {
                let view = engine.ask(|reply| Request::Job(name, reply))?;
                Ok(Reply::Stream(stream::Stream::job(view.name, follow, runs).lines(lines)))
            }
        }
    }
}

enum Reply {
    Whole(Answer),
    Stream(stream::Stream),
}

#[cfg(test)]
mod tests;
