//! mysql-crond's own routes, for who speaks of jobs in its words: a whole definition in seven keys, selection by expression.

use hyper::Method;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::exchange::Ask;
use super::{Client, Error, Kind, query};

/// Which rows are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selected {
    /// Jobs whose whole name this expression matches; empty: all.
    pub name_match: String,
    /// `enabled`, `disabled`, `all`, or several with commas between; empty: enabled and disabled.
    pub status: String,
}

/// A row of the list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Row {
    /// Of its entry; -1: none.
    #[serde(rename = "ID")]
    pub id: i64,
    /// The job.
    pub job: RowJob,
    /// Its next slot as text, on the daemon's clock.
    pub next_time: Option<String>,
}

/// A job in mysql-crond's keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct RowJob {
    /// Its name.
    pub name: String,
    /// It is neither disabled nor paused.
    pub enable: bool,
    /// The program.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// When it is due.
    pub schedule: String,
    /// Who made it.
    pub creator: String,
    /// Where it runs; empty: not said.
    pub work_dir: String,
}

/// A definition in mysql-crond's keys. Read from JSON, what is missing is empty, or no.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Define {
    /// Its name.
    pub name: String,
    /// Due at all.
    pub enable: bool,
    /// The program.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// When it is due, in the dialect `robfig`.
    pub schedule: String,
    /// Who makes it; there must be one.
    pub creator: String,
    /// Where it runs; empty: not said.
    pub work_dir: String,
}

#[derive(Serialize)]
struct Defining<'a> {
    job: &'a Define,
    permanent: bool,
}

impl Client {
    /// The rows of `GET /entries`.
    ///
    /// # Errors
    /// The expression is none; else as every method.
    pub fn entries(&self, selected: &Selected) -> Result<Vec<Row>, Error> {
        #[derive(Deserialize)]
        struct Entries {
            entries: Option<Vec<Row>>,
        }
        let given = |text: &String| (!text.is_empty()).then(|| text.clone());
        let query = query(&[("name-match", given(&selected.name_match)), ("status", given(&selected.status))]);
        let ask = Ask { method: Method::GET, url: format!("/entries{query}"), body: Vec::new() };
        Ok(self.answer::<Entries>(ask)?.entries.unwrap_or_default())
    }

    /// Makes a job, or changes what these keys say of it; other keys of its file stay as they are.
    ///
    /// # Errors
    /// What is missing or wrong, in mysql-crond's words.
    pub fn create_or_replace(&self, job: &Define, permanent: bool) -> Result<(), Error> {
        let body = serde_json::to_vec(&Defining { job, permanent });
        let body = body.map_err(|error| Error::new(Kind::Refused, error.to_string()))?;
        let ask = Ask { method: Method::POST, url: "/create_or_replace".into(), body };
        self.answer::<IgnoredAny>(ask).map(drop)
    }
}
