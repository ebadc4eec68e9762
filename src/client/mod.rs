//! The daemon as a Rust value: one method for each route of `/rotad/v1` and for what monitors ask, over its unix socket. `rota` is made of it.
//!
//! ```no_run
//! use rotad::client::{Client, End, Output};
//!
//! let daemon = Client::usual()?;
//! daemon.define("tick", "schedule: '@every 1m'\ncommand: date\n", true)?;
//! let run = daemon.start("tick")?;
//! let mut lines = daemon.run_output(run, Output { follow: true, ..Output::default() })?;
//! while let Some((record, _)) = lines.next()? {
//!     println!("{record:?}");
//! }
//! daemon.pause("tick", End::Resumed, "not on Sundays")?;
//! # Ok::<(), rotad::client::Error>(())
//! ```
//!
//! Calls block. One value may be asked as often as one likes; each question has a connection of its own, so nothing has to
//! be done about a daemon that was restarted. Names of jobs are given as text and checked by the daemon. Who may ask for
//! what is in rotad(8); what is refused comes back as an [`Error`] with the code that the page lists.

mod answers;
mod crond;
mod error;
mod exchange;
mod jobs;
mod past;
mod places;
mod runs;

use std::path::{Path, PathBuf};

use hyper::Method;
use serde::de::DeserializeOwned;
use tokio::runtime::{Builder, Runtime};

pub use answers::{FileFindings, FindingView, PlaceView};
pub use crond::{Define, Row, RowJob, Selected};
pub use error::{Error, Kind};
pub use exchange::Records;
pub use past::{Part, why_path};
pub use places::{SYSTEM, usual_socket};
pub use runs::Output;

pub use crate::api::record::{LineRecord, Record};
pub use crate::api::route::End;
pub use crate::engine::{Condition, Readiness};

use crate::api::route::{BASE, percent_encode};
use crate::engine::StatusView;
use exchange::Ask;

/// A way to ask the daemon.
#[derive(Debug)]
pub struct Client {
    runtime: Runtime,
    socket: PathBuf,
}

impl Client {
    /// For the daemon at this socket. Nothing is sent yet.
    ///
    /// # Errors
    /// The process has no descriptors left.
    pub fn at(socket: impl Into<PathBuf>) -> Result<Self, Error> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::new(Kind::Unreachable, format!("cannot start: {error}")))?;
        Ok(Self { runtime, socket: socket.into() })
    }

    /// For the daemon of this machine or this user: [`usual_socket`].
    ///
    /// # Errors
    /// [`Kind::Unreachable`] when there is no socket in the usual places.
    pub fn usual() -> Result<Self, Error> {
        Self::at(usual_socket()?)
    }

    /// The socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The daemon in a few numbers.
    ///
    /// # Errors
    /// As every method: unreachable, forbidden, busy, refused. Below, only what else there is is named.
    pub fn status(&self) -> Result<StatusView, Error> {
        self.get("/status")
    }

    /// Whether jobs are armed and started, and how the parts do that jobs run without.
    ///
    /// # Errors
    /// [`Kind::Busy`]: `starting`, `stopping`, or the engine does not answer.
    pub fn ready(&self) -> Result<Readiness, Error> {
        self.answer(asked_at("/health/ready"))
    }

    /// Whether the engine answers.
    ///
    /// # Errors
    /// [`Kind::Busy`]: it does not.
    pub fn alive(&self) -> Result<(), Error> {
        self.text(asked_at("/health/alive")).map(drop)
    }

    /// Whether the endpoint answers; the engine is not asked.
    pub fn ping(&self) -> Result<(), Error> {
        self.text(asked_at("/ping")).map(drop)
    }

    /// The numbers for monitors, as OpenMetrics text.
    pub fn metrics(&self) -> Result<String, Error> {
        self.text(asked_at("/metrics"))
    }

    /// Has `conf.d` and the time zones read anew. Answered once all is armed.
    pub fn reload(&self) -> Result<StatusView, Error> {
        self.post("/reload")
    }

    /// The files with something wrong or doubtful in them.
    pub fn findings(&self) -> Result<Vec<FileFindings>, Error> {
        self.get("/findings")
    }

    /// What a `GET` below `/rotad/v1` answers, as the daemon wrote it: for whoever hands JSON on.
    pub fn raw(&self, path: &str) -> Result<String, Error> {
        self.text(own(Method::GET, path))
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.answer(own(Method::GET, path))
    }

    fn post<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.answer(own(Method::POST, path))
    }
}

/// A question or wish below the base, without a body.
fn own(method: Method, path: &str) -> Ask {
    Ask { method, url: format!("{BASE}{path}"), body: Vec::new() }
}

/// A question at a whole path.
fn asked_at(path: &str) -> Ask {
    Ask { method: Method::GET, url: path.to_owned(), body: Vec::new() }
}

/// Where a job stands below the base; `rest` is behind its name.
pub fn job_path(name: &str, rest: &str) -> String {
    format!("/jobs/{}{rest}", percent_encode(name))
}

/// `?a=1&b=2` of pairs whose values are there, encoded; nothing where there is none.
fn query(pairs: &[(&str, Option<String>)]) -> String {
    let given = pairs.iter().filter_map(|(key, value)| Some((key, value.as_ref()?)));
    let given: Vec<String> = given.map(|(key, value)| format!("{key}={}", percent_encode(value))).collect();
    if given.is_empty() { String::new() } else { format!("?{}", given.join("&")) }
}

#[cfg(test)]
mod tests;
