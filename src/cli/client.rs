//! The HTTP client: one connection to the daemon's socket for each request.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};

use super::socket::Place;
use super::{Error, Exit};
use crate::api::record::Record;
use crate::api::route::BASE;
use crate::engine::Refusal;

/// Longest wait for an answer's head: a little longer than the daemon's own patience with its engine.
const PATIENCE: Duration = Duration::from_secs(15);

/// A way to ask the daemon.
pub struct Client {
    runtime: Runtime,
    socket: PathBuf,
}

impl Client {
    /// For the daemon at `place`. Nothing is sent yet.
    pub fn new(place: &Place) -> Result<Self, Error> {
        let socket = place.socket()?;
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::new(Exit::Failed, format!("cannot start: {error}")))?;
        Ok(Self { runtime, socket })
    }

    /// Asks for a view.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        parse(&self.text(Method::GET, path)?)
    }

    /// Asks for a view as the daemon wrote it.
    pub fn get_text(&self, path: &str) -> Result<String, Error> {
        self.text(Method::GET, path)
    }

    /// Wishes for something.
    pub fn post<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        parse(&self.text(Method::POST, path)?)
    }

    /// Asks for output, record by record.
    pub fn get_records(&self, path: &str) -> Result<Records<'_>, Error> {
        self.records(Method::GET, path)
    }

    /// Wishes for something and for the output that comes of it.
    pub fn post_records(&self, path: &str) -> Result<Records<'_>, Error> {
        self.records(Method::POST, path)
    }

    fn records(&self, method: Method, path: &str) -> Result<Records<'_>, Error> {
        self.runtime.block_on(async {
            let body = self.send(method, path).await?.into_body();
            Ok(Records { client: self, body, buffer: Vec::new(), at: 0 })
        })
    }

    fn text(&self, method: Method, path: &str) -> Result<String, Error> {
        self.runtime.block_on(async {
            let response = self.send(method, path).await?;
            read(response).await
        })
    }

    async fn send(&self, method: Method, path: &str) -> Result<Response<Incoming>, Error> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| self.unreachable(&error))?;
        let exchange = async {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            // Its end shows in the body.
            drop(tokio::spawn(connection));
            let request = Request::builder()
                .method(method)
                .uri(format!("{BASE}{path}"))
                .header(hyper::header::HOST, "rotad")
                .body(Empty::<Bytes>::new())
                .map_err(|error| Error::new(Exit::Usage, error.to_string()))?;
            Ok(sender.send_request(request).await?)
        };
        let response = tokio::time::timeout(PATIENCE, exchange).await.unwrap_or_else(|_| {
            Err(Error::new(Exit::Busy, "rotad did not answer in 15 s").hint("see journalctl -u rotad"))
        })?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        Err(match serde_json::from_str::<Refusal>(&read(response).await?) {
            Ok(refusal) => Error::refused(refusal),
            Err(_) => Error::new(Exit::Failed, format!("HTTP status {status}")),
        })
    }

    fn unreachable(&self, error: &io::Error) -> Error {
        let socket = self.socket.display();
        match error.kind() {
            io::ErrorKind::PermissionDenied => Error::new(Exit::Forbidden, format!("{socket}: permission denied"))
                .hint(format!("you must be root or in the group that owns the socket: ls -l {socket}")),
            _ => Error::new(Exit::Unavailable, format!("no rotad answers at {socket}: {error}"))
                .hint("is rotad running? systemctl status rotad"),
        }
    }
}

async fn read(response: Response<Incoming>) -> Result<String, Error> {
    let body = tokio::time::timeout(PATIENCE, response.into_body().collect()).await;
    let body = body.map_err(|_| Error::new(Exit::Busy, "rotad stopped in the middle of its answer"))??;
    String::from_utf8(body.to_bytes().into()).map_err(|_| Error::new(Exit::Failed, "the answer is not UTF-8"))
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| {
        Error::new(Exit::Failed, format!("the daemon's answer is not understood: {error}"))
            .hint("rota and rotad may be of different versions: rota version")
    })
}

impl From<hyper::Error> for Error {
    fn from(error: hyper::Error) -> Self {
        Error::new(Exit::Unavailable, format!("the connection to rotad was lost: {error}"))
    }
}

/// Output as it comes.
pub struct Records<'a> {
    client: &'a Client,
    body: Incoming,
    buffer: Vec<u8>,
    /// Where in the buffer the next record begins.
    at: usize,
}

impl Records<'_> {
    /// The next record and its text, waiting for it; `None` once there are no more.
    pub fn next(&mut self) -> Result<Option<(Record, String)>, Error> {
        loop {
            while let Some(length) = memchr::memchr(b'\n', &self.buffer[self.at..]) {
                let text = String::from_utf8_lossy(&self.buffer[self.at..self.at + length]).into_owned();
                self.at += length + 1;
                if !text.is_empty() {
                    return Ok(Some((parse(&text)?, text)));
                }
            }
            self.buffer.drain(..self.at);
            self.at = 0;
            match self.client.runtime.block_on(self.body.frame()) {
                Some(frame) => self.buffer.extend_from_slice(frame?.data_ref().map_or(&[][..], |piece| piece)),
                None => return Ok(None),
            }
        }
    }
}
