//! rotad.yaml, and how a directory of job files becomes a snapshot.

mod config;

pub use config::{Config, LogConfig};
