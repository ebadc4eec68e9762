//! How a run's program ended, or why it never began.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How the leader of a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Code or signal, never both, never neither.
    pub exit: Exit,
    /// When it was reaped.
    pub at: Timestamp,
    /// User CPU time of the leader and the children it waited for.
    pub user: Duration,
    /// System CPU time of the same.
    pub system: Duration,
    /// Largest resident set of any of them, in KiB.
    pub max_rss: u64,
}

/// How a process ended: a code or a signal, with the core flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// It called exit.
    Code(i32),
    /// A signal ended it.
    Signal {
        /// Which.
        signal: i32,
        /// And a core was dumped.
        core: bool,
    },
}

/// Why a program could not be started: the step that failed, and the error number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Where in the sequence.
    pub step: Step,
    /// errno(3); 0 where the warden refused by a rule of its own.
    pub errno: i32,
}

/// The steps from a plan to a running program, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Step {
    /// The message breaks a bound, or its run id is in use.
    Plan,
    /// No such user.
    User,
    /// The user is none that rotad.yaml allows.
    Allowed,
    /// The run's cgroup could not be made.
    Cgroup,
    /// Pipes could not be made.
    Pipes,
    /// fork(2).
    Fork,
    /// setsid(2).
    Session,
    /// Standard input, output and error.
    Stdio,
    /// The resource limit.
    Limit,
    /// Niceness, scheduler, I/O priority or OOM score.
    Priority,
    /// setgroups(2).
    Groups,
    /// setresgid(2).
    Gid,
    /// setresuid(2).
    Uid,
    /// The proof that the change of user cannot be undone.
    Proof,
    /// chdir(2), as the user.
    WorkDir,
    /// `PR_SET_NO_NEW_PRIVS`.
    NoNewPrivs,
    /// execve(2).
    Exec,
}

impl Step {
    /// All of them, in order.
    pub const ALL: [Step; 17] = [
        Step::Plan,
        Step::User,
        Step::Allowed,
        Step::Cgroup,
        Step::Pipes,
        Step::Fork,
        Step::Session,
        Step::Stdio,
        Step::Limit,
        Step::Priority,
        Step::Groups,
        Step::Gid,
        Step::Uid,
        Step::Proof,
        Step::WorkDir,
        Step::NoNewPrivs,
        Step::Exec,
    ];

    /// What was being done, for a sentence: `could not start: <this>: <errno's text>`.
    pub fn words(self) -> &'static str {
        match self {
            Step::Plan => "the plan breaks a bound",
            Step::User => "looking up the user",
            Step::Allowed => "the user is not in jobs_user or allowed_users",
            Step::Cgroup => "making its cgroup",
            Step::Pipes => "making its pipes",
            Step::Fork => "fork",
            Step::Session => "setsid",
            Step::Stdio => "setting up stdin, stdout and stderr",
            Step::Limit => "setting resource limits",
            Step::Priority => "setting priorities",
            Step::Groups => "setting the groups",
            Step::Gid => "changing the group",
            Step::Uid => "changing the user",
            Step::Proof => "proving the change of user",
            Step::WorkDir => "entering the working directory",
            Step::NoNewPrivs => "setting no_new_privs",
            Step::Exec => "executing the program",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.errno {
            0 if self.step == Step::User => write!(f, "no such user"),
            0 => write!(f, "{}", self.step.words()),
            errno => write!(f, "{}: {}", self.step.words(), nix::errno::Errno::from_raw(errno).desc()),
        }
    }
}
