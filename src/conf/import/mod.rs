//! Other programs' definitions become job files, and whatever would mean something else here is told.
//!
//! Pure: text in, texts out. Every job file that comes out has been read back by the reader of job files before it is
//! handed on.

mod crontab;
mod line;
mod mysql_crond;

pub use crontab::{Crontab, import_crontab};
pub use mysql_crond::{MysqlCrond, import_mysql_crond};

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_yaml::{Mapping, Value};

use crate::conf::edit::{self, EditError, Set};
use crate::job::{Finding, JobName, read_job};

/// What an import comes to.
#[derive(Debug, Default)]
pub struct Imported {
    /// Job files, in the order of their source.
    pub files: Vec<JobFile>,
    /// What means something else here, or could not be taken over (an error: it is in no file).
    pub findings: Vec<Finding>,
}

/// A job file to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobFile {
    /// The job.
    pub name: JobName,
    /// YAML, with a line that says where it comes from.
    pub text: String,
}

impl JobFile {
    /// Its name in `conf_d`.
    pub fn file(&self) -> String {
        format!("{}.yaml", self.name.file_stem())
    }

    /// Makes it say `enable: false`, whatever it said.
    pub fn disable(&mut self) -> Result<(), EditError> {
        let off = [Set { key: "enable", value: Some(edit::Value::Bool(false)) }];
        self.text = edit::set_keys(&self.text, &off)?;
        Ok(())
    }
}

/// A job file in the making: its keys in the order in which people read them.
#[derive(Debug, Default)]
struct Draft {
    keys: Mapping,
}

impl Draft {
    fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.keys.insert(key.into(), value.into());
    }

    fn set_map(&mut self, key: &str, map: &BTreeMap<String, String>) {
        let pairs = map.iter().map(|(key, value)| (key.as_str().into(), value.as_str().into()));
        self.set(key, Value::Mapping(pairs.collect()));
    }

    /// The file, once it has been read back as the job `name`; or what its reader says.
    fn finish(self, name: JobName, origin: &str, zone: &TimeZone, now: Timestamp) -> Result<JobFile, Vec<Finding>> {
        let broken = |why: String| vec![Finding::error("not-taken-over", origin, why)];
        let body = serde_yaml::to_string(&self.keys).map_err(|error| broken(error.to_string()))?;
        let file = JobFile { text: format!("# From {}.\n{body}", origin.escape_debug()), name };
        let (job, _) = read_job(&file.file(), file.text.as_bytes(), zone, now)?;
        match job.name == file.name {
            true => Ok(file),
            false => Err(broken(format!("it would be read as the job {}", job.name))),
        }
    }
}

/// Names that are given once each: `backup`, `backup-2`.
#[derive(Debug, Default)]
struct Names {
    given: BTreeMap<String, usize>,
}

impl Names {
    fn give(&mut self, wanted: &str) -> Option<JobName> {
        loop {
            let count = self.given.entry(wanted.to_owned()).or_default();
            *count += 1;
            let name = if *count == 1 { wanted.to_owned() } else { format!("{wanted}-{count}") };
            // `a`, `a` and `a-2` are three.
            if name == wanted || !self.given.contains_key(&name) {
                self.given.entry(name.clone()).or_insert(1);
                return JobName::parse(&name).ok();
            }
        }
    }
}

#[cfg(test)]
mod tests;
