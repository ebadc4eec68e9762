//! What a job is.

pub mod circle;
pub mod file;
mod finding;
pub mod keys;
mod name;
pub mod policy;
mod spec;

pub use file::{read_job, user_name};
pub use finding::{Finding, Place, Severity};
pub use name::{JobName, MAX_NAME, NameError};
pub use policy::{After, AfterEnd, CatchUp, CatchUpRule, MAX_CATCH_UP, Retries, RetryOn};
pub use spec::{Armed, Job, Limits, LogTarget, OnOverlap, Program, WhenDone};
