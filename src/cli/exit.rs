//! Exit codes, and errors that carry one. rota(1) has the same table.

use std::fmt;
use std::io;
use std::process::ExitCode;

use crate::client::{self, Kind};

/// How `rota` ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Ok,
    /// 1: refused: no such job, already running, errors in files.
    Failed,
    /// 2: the command line makes no sense. (Clap uses the same number.)
    Usage,
    /// 69: no daemon answers.
    Unavailable,
    /// 75: not now: the daemon is busy or stopping.
    Busy,
    /// 77: the socket may not be opened, its daemon does not admit this user to that, or the journal not be read.
    Forbidden,
    /// What a run that was waited for ended with: its own code, 128 + the signal, or one of the next three.
    Job(u8),
}

impl Exit {
    /// 124: the run was stopped because its time was up.
    pub const TIMEOUT: Exit = Exit::Job(124);
    /// 125: the run could not be started.
    pub const NOT_STARTED: Exit = Exit::Job(125);
    /// 70: how the run ended is not known.
    pub const LOST: Exit = Exit::Job(70);

    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Exit::Ok => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Unavailable => 69,
            Exit::Busy => 75,
            Exit::Forbidden => 77,
            Exit::Job(code) => code,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

/// Why a verb was not carried out: a sentence, what to do, and the exit code.
#[derive(Debug)]
pub struct Error {
    exit: Exit,
    code: Option<String>,
    message: String,
    hint: Option<String>,
}

impl Error {
    /// An error without a hint.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, code: None, message: message.into(), hint: None }
    }

    /// The same, with what to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same for who knows 0 and 1 alone.
    pub fn plain(self) -> Self {
        Self { exit: Exit::Failed, ..self }
    }

    /// The same, with one more thing to know.
    pub fn and(mut self, more: impl fmt::Display) -> Self {
        self.message = format!("{}\n      {more}", self.message);
        self
    }

    /// The stable word of a refusal.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// How to end.
    pub fn exit(&self) -> Exit {
        self.exit
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n      hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

/// What the daemon did not do.
impl From<client::Error> for Error {
    fn from(error: client::Error) -> Self {
        let exit = match error.kind() {
            Kind::Refused | Kind::NotUnderstood => Exit::Failed,
            Kind::Unreachable | Kind::Lost => Exit::Unavailable,
            Kind::Forbidden => Exit::Forbidden,
            Kind::Busy => Exit::Busy,
        };
        let (code, hint) = (error.code().map(str::to_owned), error.hint().map(str::to_owned));
        Self { exit, code, message: error.message().to_owned(), hint }
    }
}

/// Output that cannot be written.
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Error::new(Exit::Failed, format!("cannot write: {error}"))
    }
}
