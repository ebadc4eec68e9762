//! A run's life: its plan, the capture of both pipes, its outcome.

pub mod capture;
pub(crate) mod capture_flow;
pub(crate) mod capture_pipes;
pub(crate) mod capture_ways;
pub(crate) mod lines;
pub mod plan;
pub(crate) mod spool;

pub use capture::{Capture, CaptureEvent, RunLabel};
