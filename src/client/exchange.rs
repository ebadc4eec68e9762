//! One request and its answer, over a connection of its own; and answers that come piece by piece.

use std::io;
use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::{Client, Error, Kind};
use crate::api::record::Record;

/// Longest wait for an answer's head: a little longer than the daemon's own patience with its engine.
const PATIENCE: Duration = Duration::from_secs(15);

/// What is asked for: a line of HTTP, and a body.
#[derive(Debug)]
pub struct Ask {
    pub method: Method,
    /// The whole path, and what stands in the query.
    pub url: String,
    pub body: Vec<u8>,
}

impl Client {
    /// Asks, and reads the whole answer.
    pub(super) fn text(&self, ask: Ask) -> Result<String, Error> {
        self.runtime.block_on(async { read(send(&self.socket, ask).await?).await })
    }

    /// The same, understood.
    pub(super) fn answer<T: DeserializeOwned>(&self, ask: Ask) -> Result<T, Error> {
        parse(&self.text(ask)?)
    }

    /// Asks for output, record by record.
    pub(super) fn records(&self, ask: Ask) -> Result<Records<'_>, Error> {
        let body = self.runtime.block_on(send(&self.socket, ask))?.into_body();
        Ok(Records { client: self, body, buffer: Vec::new(), at: 0 })
    }
}

async fn send(socket: &Path, ask: Ask) -> Result<Response<Incoming>, Error> {
    let stream = UnixStream::connect(socket).await.map_err(|error| unreachable(socket, &error))?;
    let exchange = async {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // Its end shows in the body.
        drop(tokio::spawn(connection));
        let request = Request::builder()
            .method(ask.method)
            .uri(ask.url)
            .header(hyper::header::HOST, "rotad")
            .body(Full::new(Bytes::from(ask.body)))
            .map_err(|error| Error::new(Kind::Refused, error.to_string()))?;
        Ok::<_, Error>(sender.send_request(request).await?)
    };
    let response = tokio::time::timeout(PATIENCE, exchange).await.unwrap_or_else(|_| {
        let message = format!("rotad did not answer in {} s", PATIENCE.as_secs());
        Err(Error::new(Kind::Busy, message).hint_at("see journalctl -u rotad"))
    })?;
    match response.status() {
        status if status.is_success() => Ok(response),
        status => Err(Error::of_answer(status.as_u16(), &read(response).await?)),
    }
}

fn unreachable(socket: &Path, error: &io::Error) -> Error {
    let socket = socket.display();
    match error.kind() {
        io::ErrorKind::PermissionDenied => Error::new(Kind::Forbidden, format!("{socket}: permission denied"))
            .hint_at(format!("you must be root or in the group that owns the socket: ls -l {socket}")),
        _ => Error::new(Kind::Unreachable, format!("no rotad answers at {socket}: {error}"))
            .hint_at("is rotad running? systemctl status rotad"),
    }
}

async fn read(response: Response<Incoming>) -> Result<String, Error> {
    let body = tokio::time::timeout(PATIENCE, response.into_body().collect()).await;
    let body = body.map_err(|_| Error::new(Kind::Busy, "rotad stopped in the middle of its answer"))??;
    String::from_utf8(body.to_bytes().into()).map_err(|_| Error::new(Kind::NotUnderstood, "the answer is not UTF-8"))
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| {
        Error::new(Kind::NotUnderstood, format!("the daemon's answer is not understood: {error}"))
            .hint_at("rota and rotad may be of different versions: rota version")
    })
}

/// Output as it comes. Dropping it ends the stream, and no run.
#[derive(Debug)]
pub struct Records<'a> {
    client: &'a Client,
    body: Incoming,
    buffer: Vec<u8>,
    /// Where in the buffer the next record begins.
    at: usize,
}

impl Records<'_> {
    /// The next record and its text, waiting for it as long as it takes; `None` once there are no more.
    ///
    /// # Errors
    /// [`Kind::Lost`] when the connection breaks, as it does when the daemon's engine is replaced;
    /// [`Kind::NotUnderstood`].
    #[allow(clippy::should_implement_trait, reason = "an iterator of results invites to skip the errors")]
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
