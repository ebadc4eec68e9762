//! Why the daemon did not do what it was asked for.

use std::fmt;

use serde::Deserialize;

use crate::engine::Refusal;

/// What a caller may want to tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It was refused: asking again will not help. [`Error::code`] says by which rule.
    Refused,
    /// No daemon answers there.
    Unreachable,
    /// The socket may not be opened, or the daemon does not admit this user to that.
    Forbidden,
    /// Not now: the daemon is busy, stopping, or did not answer in time.
    Busy,
    /// The connection broke in the middle. What was asked for may have been done.
    Lost,
    /// The answer is none that this version knows.
    NotUnderstood,
}

/// Why something was not done: a sentence, what to do about it, and what kind of trouble it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: Kind,
    code: Option<String>,
    message: String,
    hint: Option<String>,
}

impl Error {
    pub(super) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, code: None, message: message.into(), hint: None }
    }

    pub(super) fn hint_at(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// An answer whose status is no success.
    pub(super) fn of_answer(status: u16, body: &str) -> Self {
        /// How mysql-crond's routes refuse.
        #[derive(Deserialize)]
        struct Envelope {
            message: String,
        }
        if let Ok(refusal) = serde_json::from_str::<Refusal>(body) {
            return Self::of_refusal(refusal);
        }
        let kind = match status {
            403 => Kind::Forbidden,
            408 | 503 => Kind::Busy,
            _ => Kind::Refused,
        };
        match serde_json::from_str::<Envelope>(body) {
            Ok(said) => Self::new(kind, said.message),
            Err(_) => Self::new(kind, format!("the daemon answers with HTTP status {status}")),
        }
    }

    fn of_refusal(refusal: Refusal) -> Self {
        let kind = match refusal.code.as_str() {
            "busy" | "engine-busy" | "limit" | "starting" | "stopping" | "user-database" => Kind::Busy,
            "forbidden" | "read-only" => Kind::Forbidden,
            _ => Kind::Refused,
        };
        Self { kind, code: Some(refusal.code), message: refusal.message, hint: refusal.hint }
    }

    /// What kind of trouble it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The stable word of a refusal: rotad(8) lists them. Absent where the daemon gave none.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// The sentence.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

impl From<hyper::Error> for Error {
    fn from(error: hyper::Error) -> Self {
        Error::new(Kind::Lost, format!("the connection to rotad was lost: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_of_both_tables_are_understood() {
        for (status, body, kind, code, message) in [
            (409, r#"{"code":"overlap","message":"m","hint":null}"#, Kind::Refused, Some("overlap"), "m"),
            (503, r#"{"code":"stopping","message":"m","hint":"h"}"#, Kind::Busy, Some("stopping"), "m"),
            (403, r#"{"code":"read-only","message":"m","hint":null}"#, Kind::Forbidden, Some("read-only"), "m"),
            (500, r#"{"code":500,"message":"job x not found","data":null}"#, Kind::Refused, None, "job x not found"),
            (403, r#"{"code":403,"message":"no","data":null}"#, Kind::Forbidden, None, "no"),
            (500, "", Kind::Refused, None, "the daemon answers with HTTP status 500"),
        ] {
            let error = Error::of_answer(status, body);
            assert_eq!((error.kind(), error.code(), error.message()), (kind, code, message), "{body}");
        }
    }
}
