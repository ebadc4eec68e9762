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
    pub fn code(&self) -> &str {
        &self.refusal.code
    }

    /// The sentence.
    pub fn message(&self) -> &str {
        &self.refusal.message
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }
}

/// A refusal of the engine: what is unknown is 404, what is no definition 422, what the machine did not do 500, what will
/// pass by itself 503, the rest stands against the state, 409.
impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal.code.as_str() {
            "no-such-job" | "no-such-run" => 404,
            "bad-job" | "bad-schedule" => 422,
            "not-written" => 500,
            "busy" | "limit" | "starting" | "stopping" => 503,
            _ => 409,
        };
        Self { status, refusal }
    }
}

/// An answer with a body of known length.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    status: u16,
    /// Empty: not said.
    content_type: &'static str,
    /// Where to go instead; empty: nowhere.
    location: String,
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
    /// These bytes.
    pub fn new(status: u16, content_type: &'static str, body: Vec<u8>) -> Self {
        Self { status, content_type, location: String::new(), body }
    }

    /// With a place to go to instead.
    pub fn location(self, location: String) -> Self {
        Self { location, ..self }
    }

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
        match super::record::harmless(body) {
            Ok(mut body) => {
                body.push(b'\n');
                Self::new(status, "application/json", body)
            }
            Err(error) => {
                tracing::error!(%error, "an answer could not be written as JSON");
                let body = b"{\"code\":\"internal\",\"message\":\"see the journal\",\"hint\":null}\n";
                Self::new(500, "application/json", body.into())
            }
        }
    }

    /// Bytes of the body.
    pub fn length(&self) -> usize {
        self.body.len()
    }

    /// Head and body.
    pub fn bytes(&self) -> Vec<u8> {
        [self.head().as_bytes(), &self.body].concat()
    }

    fn head(&self) -> String {
        let length = self.body.len();
        let location = match self.location.as_str() {
            "" => String::new(),
            location => format!("Location: {location}\r\n"),
        };
        let more = format!("{location}Content-Length: {length}\r\n");
        head(self.status, self.content_type, &more)
    }

    /// Writes head and body; the head alone to who asked for no more.
    pub fn write(&self, out: &mut impl Write, head_alone: bool) -> io::Result<()> {
        // Not as one: the body may be long.
        out.write_all(self.head().as_bytes())?;
        if !head_alone {
            out.write_all(&self.body)?;
        }
        out.flush()
    }
}

impl From<Problem> for Answer {
    fn from(problem: Problem) -> Self {
        Self::json(problem.status, &problem.refusal)
    }
}

/// A status line and headers, with `more` among them. An empty content type is not said.
pub fn head(status: u16, content_type: &str, more: &str) -> String {
    let reason = match status {
        200 => "OK",
        202 => "Accepted",
        301 => "Moved Permanently",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Status",
    };
    let content_type = match content_type {
        "" => String::new(),
        content_type => format!("Content-Type: {content_type}\r\n"),
    };
    format!(
        "HTTP/1.1 {status} {reason}\r\n{content_type}Cache-Control: no-store\r\n\
         X-Content-Type-Options: nosniff\r\n{more}Connection: close\r\n\r\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e75_no_answer_acts_on_a_terminal() {
        // The end of what a run printed is a part of an answer.
        let said = "ä\u{9b}3J\u{7f}\u{85}\u{1b}[2J\"\\";
        let answer = Answer::ok(&serde_json::json!({"tail": said, "n": [1, null]}));
        let text = String::from_utf8(answer.body.clone()).unwrap();
        assert!(!text.trim_end().chars().any(char::is_control), "{text:?}");
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&read["tail"], &read["n"][0]), (&said.into(), &1.into()));
    }
}
