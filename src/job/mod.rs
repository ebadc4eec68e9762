//! What a job is.

pub mod file;
mod finding;
pub mod keys;
mod name;
pub mod policy;
mod spec;

pub use file::{read_job, user_name};
pub use finding::{Finding, Place, Severity};
pub use name::{JobName, MAX_NAME, NameError};
pub use policy::{MAX_CATCH_UP, After, AfterEnd, CatchUp, CatchUpRule, Retries, RetryOn};
pub use spec::{Armed, Job, Limits, LogTarget, OnOverlap, Program};
