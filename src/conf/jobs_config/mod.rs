//! mysql-crond's one file of jobs: `jobs: [ {name, enable, command, …} ]` and some keys about the machine.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::directory::Reading;
use super::edit::{EditError, Set};
use crate::engine::Keys;
use crate::job::file::Schedules;
use crate::job::{Finding, JobName};

/// What the file says.
#[derive(Debug)]
pub struct JobsConfig {
    /// Its jobs, in their order.
    pub items: Vec<Item>,
    /// What it says of the machine.
    pub identity: Identity,
    /// What is doubtful in the file as a whole.
    pub findings: Vec<Finding>,
}

/// One entry of `jobs`.
#[derive(Debug)]
pub struct Item {
    /// Whose it is; absent where it has no good name, or one that an item before it has.
    pub name: Option<JobName>,
    /// What came of it.
    pub reading: Reading,
}

/// What the file says of the machine: dimensions of beats.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// Number of the business.
    pub bk_biz_id: Option<i64>,
    /// Domain of the cluster.
    pub immute_domain: Option<String>,
    /// Kind of machine.
    pub machine_type: Option<String>,
    /// Role of the instance.
    pub role: Option<String>,
}

/// Reads the file. `since` is when it was last changed, never in the future. Nothing in it is no jobs. An error is about
/// the file as a whole: then nothing is known about any of its jobs.
pub fn read(
    file: &str,
    bytes: &[u8],
    since: Timestamp,
    zone: &TimeZone,
    now: Timestamp,
    schedules: &mut Schedules,
) -> Result<JobsConfig, Vec<Finding>> {
    let _ = (file, bytes, since, zone, now, schedules);
    Err(Vec::new())
}

/// Changes keys of a job.
pub fn set_in_item(text: &str, name: &JobName, sets: &[Set]) -> Result<String, EditError> {
    let _ = (text, name, sets);
    Err(EditError::Unclear)
}

/// Adds a job at the end.
pub fn append_item(text: &str, keys: &Keys) -> Result<String, EditError> {
    let _ = (text, keys);
    Err(EditError::Unclear)
}

/// Adds a job at the end, by the text of a job file.
pub fn append_item_text(text: &str, item: &str) -> Result<String, EditError> {
    let _ = (text, item);
    Err(EditError::Unclear)
}

/// Replaces a job by the text of a job file.
pub fn replace_item_text(text: &str, name: &JobName, item: &str) -> Result<String, EditError> {
    let _ = (text, name, item);
    Err(EditError::Unclear)
}

/// Takes a job out.
pub fn remove_item(text: &str, name: &JobName) -> Result<String, EditError> {
    let _ = (text, name);
    Err(EditError::Unclear)
}

/// The text of a job, as a job file would hold it.
pub fn item_text(text: &str, name: &JobName) -> Result<String, EditError> {
    let _ = (text, name);
    Err(EditError::Unclear)
}
