//! The one loop that owns all state, and the pure decisions that it obeys.

pub mod core;
mod request;
mod view;

pub use request::{Refusal, Reply, Request};
pub use view::{FileView, JobView, Outcome, RunView, StatusView, Verdict, VerdictView};
