//! What is to be run: all of it decided beforehand.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::RunId;

/// A run to start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Given by the engine; refused when in use.
    pub run: RunId,
    /// What to do, in full: the child decides nothing.
    pub plan: Plan,
    /// Opaque to the warden, handed to the next engine with the run.
    pub context: Vec<u8>,
}

/// All that a child does between fork and exec, decided beforehand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The user to become; `None` is `jobs_user`. Names only, resolved by the warden.
    pub user: Option<String>,
    /// Program and arguments; at least one. A program without `/` is looked up in the PATH of `environment`.
    pub argv: Vec<String>,
    /// `KEY=VALUE`. HOME, USER, LOGNAME and SHELL come from the warden where they are not given.
    pub environment: Vec<(String, String)>,
    /// Entered after the change of user.
    pub work_dir: PathBuf,
    /// File mode mask.
    pub umask: u32,
    /// Niceness.
    pub nice: i32,
    /// Limits to set; the others are as the daemon was started with.
    pub limits: Vec<(Limit, u64)>,
    /// `PR_SET_NO_NEW_PRIVS`.
    pub no_new_privs: bool,
}

/// A resource limit that a plan may set (setrlimit(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Limit {
    /// `RLIMIT_NOFILE`; the soft limit alone.
    Nofile,
    /// `RLIMIT_CORE`; the soft limit alone.
    Core,
    /// `RLIMIT_NPROC`.
    Nproc,
    /// `RLIMIT_CPU`, seconds.
    Cpu,
    /// `RLIMIT_AS`, bytes.
    AddressSpace,
    /// `RLIMIT_FSIZE`, bytes.
    FileSize,
    /// `RLIMIT_STACK`, bytes.
    Stack,
    /// `RLIMIT_MEMLOCK`, bytes.
    Memlock,
}
