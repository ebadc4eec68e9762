//! Answers as they stand on the wire, and refusals: one JSON shape, `{"code", "message", "hint"}`.

use std::io::{self, Write};

use serde::Serialize;

use crate::engine::Refusal;
use crate::job::JobName;
use crate::wire::RunId;

/// A refusal with its HTTP status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    status: u16,
    refusal: Refusal,
}

impl Problem {
    /// A refusal of the endpoint itself.
    pub fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { status, refusal: Refusal { code: code.into(), message: message.into(), hint: None } }
    }

    /// The same, with what to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.refusal.hint = Some(hint.into());
        self
    }

    /// The stable word.
    #[cfg(test)]
    pub fn code(&self) -> &str {
        &self.refusal.code
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }
}

/// A refusal of the engine: what is unknown is 404, what will pass by itself 503, the rest stands against the state, 409.
impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal.code.as_str() {
            "no-such-job" | "no-such-run" => 404,
            "limit" | "stopping" => 503,
            _ => 409,
        };
        Self { status, refusal }
    }
}

/// An answer with a body of known length.
#[derive(Debug)]
pub struct Answer {
    status: u16,
    body: Vec<u8>,
}

#[derive(Serialize)]
struct Started<'a> {
    run: String,
    job: &'a JobName,
}

#[derive(Serialize)]
struct Stopping {
    stopping: Vec<String>,
}

impl Answer {
    /// What was asked for.
    pub fn ok(view: &impl Serialize) -> Self {
        Self::json(200, view)
    }

    /// A run was started: `{"run", "job"}`.
    pub fn started(run: RunId, job: &JobName) -> Self {
        Self::json(202, &Started { run: run.to_string(), job })
    }

    /// Runs are being stopped: `{"stopping": [run, …]}`.
    pub fn stopping(runs: &[RunId]) -> Self {
        Self::json(202, &Stopping { stopping: runs.iter().map(RunId::to_string).collect() })
    }

    fn json(status: u16, body: &impl Serialize) -> Self {
        match serde_json::to_vec(body) {
            Ok(mut body) => {
                body.push(b'\n');
                Self { status, body }
            }
            Err(error) => {
                tracing::error!(%error, "an answer could not be written as JSON");
                Self {
                    status: 500,
                    body: b"{\"code\":\"internal\",\"message\":\"see the journal\",\"hint\":null}\n".into(),
                }
            }
        }
    }

    /// Head and body.
    pub fn bytes(&self) -> Vec<u8> {
        let length = self.body.len();
        let mut whole = head(self.status, "application/json", &format!("Content-Length: {length}\r\n")).into_bytes();
        whole.extend_from_slice(&self.body);
        whole
    }

    /// Writes head and body.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(&self.bytes())?;
        out.flush()
    }
}

impl From<Problem> for Answer {
    fn from(problem: Problem) -> Self {
        Self::json(problem.status, &problem.refusal)
    }
}

/// A status line and headers, with `more` among them.
pub fn head(status: u16, content_type: &str, more: &str) -> String {
    let reason = match status {
        200 => "OK",
        202 => "Accepted",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        421 => "Misdirected Request",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Status",
    };
    format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}\r\nCache-Control: no-store\r\n\
         X-Content-Type-Options: nosniff\r\n{more}Connection: close\r\n\r\n"
    )
}
