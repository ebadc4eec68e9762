//! rotad: a supervisor for scheduled and on-demand jobs, in the manner of the operating system.
//!
//! The modules stand in the order in which a job flows through them:
//!
//! ```text
//! conf.d file → job → snapshot → slots → decision → plan → process → lines and outcome → terminal, journal, file
//! ```
//!
//! Two processes carry it. The **warden** (root, one thread) starts, signals and reaps processes and keeps every run's
//! pipes; the **engine** (unprivileged) reads files, decides, captures output and answers requests. See `docs/design.md`.

pub mod job;
pub mod conf;
pub mod schedule;
pub mod engine;
pub mod run;
pub mod warden;
pub mod wire;
pub mod sink;
pub mod history;
pub mod metrics;
pub mod beat;
pub mod why;
pub mod alarm;
pub mod api;
pub mod client;
pub mod cli;
