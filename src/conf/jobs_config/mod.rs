//! mysql-crond's one file of jobs: `jobs: [ {name, enable, command, …} ]` and some keys about the machine.

mod change;
mod items;
mod read;

use serde::{Deserialize, Serialize};

use super::directory::Reading;
use crate::job::{Finding, JobName};

pub use change::{append_item, append_item_text, item_text, remove_item, replace_item_text, set_in_item};
pub use read::read;

/// Longest file that is read, in bytes.
pub const MAX_FILE: usize = crate::wire::MAX_FILE;

/// What the file says.
#[derive(Debug, Default)]
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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

#[cfg(test)]
mod tests;
