//! The text of a job file is looked at before it is sent, and shown as `rota check` shows it.

use std::io::{self, IsTerminal, Write};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Error, Exit, check};
use crate::conf::yaml::MAX_FILE;
use crate::job::{Finding, JobName, read_job};

/// The job that a text defines. Findings are told on standard error; with errors among them it is refused. `file` is the name
/// that makes the job's where the text says none; `shown` stands before people.
pub fn lint(shown: &str, file: Option<&str>, text: &str) -> Result<JobName, Error> {
    // Without a file the text must say the name: this one makes none.
    let read = read_job(file.unwrap_or("."), text.as_bytes(), &TimeZone::system(), Timestamp::now());
    let (job, findings) = match read {
        Ok((job, warnings)) => (Some(job), warnings),
        Err(findings) => (None, findings),
    };
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    for finding in findings {
        let finding = Finding { file: shown.to_owned(), ..finding };
        let _deaf = io::stderr().write_all(check::text(&finding, colour).as_bytes());
    }
    let refused = || Error::new(Exit::Failed, format!("{shown} defines no job; nothing was sent"));
    job.map(|job| job.name).ok_or_else(refused)
}

/// The text, if it is one that fits into a job file.
pub fn utf8(shown: &str, bytes: Vec<u8>) -> Result<String, Error> {
    if bytes.len() > MAX_FILE {
        return Err(Error::new(Exit::Failed, format!("{shown} is larger than {} KiB", MAX_FILE >> 10)));
    }
    String::from_utf8(bytes).map_err(|_| Error::new(Exit::Failed, format!("{shown} is not UTF-8")))
}
