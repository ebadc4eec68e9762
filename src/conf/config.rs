//! rotad.yaml, read, checked and with every default in its place.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::job::LogTarget;

/// What the daemon is told once, at its start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// The directory of job files.
    pub conf_d: PathBuf,
    /// What must outlive the daemon.
    pub state_dir: PathBuf,
    /// The unix socket of the HTTP endpoint.
    pub socket: PathBuf,
    /// The TCP port of the HTTP endpoint on 127.0.0.1.
    pub port: u16,
    /// The user that jobs run as unless they say otherwise.
    pub jobs_user: String,
    /// Users that jobs may name besides.
    pub allowed_users: Vec<String>,
    /// Root may be one of them.
    pub allow_root_jobs: bool,
    /// The user of the engine.
    pub engine_user: String,
    /// Time from the first signal to `SIGKILL` when the daemon stops.
    pub stop_timeout: Duration,
    /// Where lines go.
    pub log: LogConfig,
}

/// Where the lines of jobs go, unless they say otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogConfig {
    /// The default target.
    pub target: LogTarget,
    /// The directory of log files.
    pub dir: PathBuf,
    /// A log file is rotated once it is larger, in bytes.
    pub max_size: u64,
    /// Rotated files kept beside the live one.
    pub keep: u32,
    /// Tell more.
    pub debug: bool,
}
