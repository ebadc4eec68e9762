//! What a job is.

mod finding;
mod name;
mod spec;

pub use finding::{Finding, Place, Severity};
pub use name::{JobName, MAX_NAME, NameError};
pub use spec::{Armed, Job, Limits, LogTarget, OnOverlap, Program};
