//! The messages between warden and engine: a closed set, versioned and bounded.
//!
//! They travel over one `SOCK_SEQPACKET` socketpair, one message a packet, in order, with file descriptors beside them.
//! The warden takes the engine for possibly hostile: what it receives is decoded here into closed types, and everything
//! that grows is bounded by the constants below before it is kept.
//!
//! Order is the contract by which nothing is lost with the engine. The warden keeps of each run what the engine gave it
//! ([`Start::context`], [`ToWarden::Spool`]) until [`ToWarden::Forget`], and of the engine as a whole the last
//! [`ToWarden::Mark`]. The engine sends `Start` for every slot up to an instant, then the `Mark` for that instant, and
//! forgets a run only after the mark that covers its slot. So whatever the moment of its death, the next engine finds every
//! slot either at or before the mark, or among the runs handed to it, or not yet started: never twice, never lost.

mod link;

pub use link::{Link, Received};

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::conf::Config;

/// Raised with every change of a message. The two ends refuse each other when it differs.
pub const VERSION: u32 = 1;
/// Longest message in bytes. Linux takes a packet of up to the send buffer's size, 208 KiB unless tuned.
pub const MAX_MESSAGE: usize = 160 << 10;
/// Most file descriptors beside one message.
pub const MAX_FDS: usize = 4;
/// Most runs the warden carries at once.
pub const MAX_RUNS: usize = 8192;
/// Longest context of a run, in bytes.
pub const MAX_CONTEXT: usize = 16 << 10;
/// Longest mark, in bytes.
pub const MAX_MARK: usize = 4 << 10;

/// The identity of a run: unique and rising for the life of the installation. Milliseconds since 1970 in the upper 42
/// bits, a count in the lower 22; written in 13 characters of Crockford's base 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunId(pub u64);

const BASE32: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl RunId {
    /// The first id that may be given at `now` after `last` was given.
    pub fn after(last: RunId, now: Timestamp) -> RunId {
        let fresh = u64::try_from(now.as_millisecond()).unwrap_or(0) << 22;
        // A hostile engine may have left the highest id to its successor, which must not die of it.
        RunId(fresh.max(last.0.wrapping_add(1)))
    }

    /// Reads what [`fmt::Display`] wrote; `None` for anything else.
    pub fn parse(text: &str) -> Option<RunId> {
        if text.len() != 13 {
            return None;
        }
        text.bytes()
            .try_fold(0u64, |id, byte| {
                let digit = BASE32.iter().position(|known| *known == byte.to_ascii_lowercase())?;
                id.checked_mul(32)?.checked_add(u64::try_from(digit).ok()?)
            })
            .map(RunId)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0u8; 13];
        let mut rest = self.0;
        for place in text.iter_mut().rev() {
            *place = BASE32[(rest % 32) as usize];
            rest /= 32;
        }
        f.pad(std::str::from_utf8(&text).unwrap_or_default())
    }
}

/// A run's two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What the engine asks of the warden.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToWarden {
    /// First message of an engine.
    Hello {
        /// Its [`VERSION`].
        version: u32,
    },
    /// Start a run. Answered by `Started` or `NotStarted`, later `Ended`.
    Start(Box<Start>),
    /// Keep this spool (one descriptor) for a stream of a run, for the engine that comes after.
    Spool {
        /// Whose.
        run: RunId,
        /// Which of its outputs.
        stream: Stream,
    },
    /// Keep these bytes for the run instead of those it was started with.
    Context {
        /// Whose.
        run: RunId,
        /// At most [`MAX_CONTEXT`].
        context: Vec<u8>,
    },
    /// Keep these bytes for the engine that comes after.
    Mark {
        /// At most [`MAX_MARK`].
        mark: Vec<u8>,
    },
    /// Signal a run.
    Signal {
        /// Whose processes.
        run: RunId,
        /// 1 to 31.
        signal: i32,
        /// Which of them.
        reach: Reach,
    },
    /// The run is over and booked. Its cgroup goes, and with it the last the warden knows of it. Answered by `Left`.
    Forget {
        /// A run that has ended.
        run: RunId,
    },
    /// Open `conf_d` as it is now. Answered by `Opened` or `NotOpened`.
    OpenDirectory {
        /// Chosen by the engine, handed back.
        request: u32,
    },
    /// Open a regular file of `conf_d` that the engine may not read itself. Answered by `Opened` or `NotOpened`.
    OpenFile {
        /// Chosen by the engine, handed back.
        request: u32,
        /// One path component.
        name: String,
    },
    /// The engine's loop has turned since `Ping`.
    Pong {
        /// Of the ping.
        count: u64,
    },
    /// The first snapshot is armed and requests are answered.
    Ready,
    /// One line for `systemctl status`.
    Status {
        /// Control characters are taken out by the warden.
        text: String,
    },
    /// A reload that the warden asked for is done.
    Reloaded,
    /// All runs that `Drain` waits for are over.
    Drained,
}

/// Which processes of a run a signal reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reach {
    /// The process group, while its leader lives.
    Group,
    /// Whatever is left of the run: its cgroup, or what the subreaper finds of it.
    Everything,
}

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

/// What the warden tells the engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToEngine {
    /// First message: the configuration, and the listening unix socket as descriptor.
    Welcome(Box<Welcome>),
    /// A run of an engine before: its contexts and descriptors (stdout, stderr, then the spools that `spools` names).
    Adopt(Box<Adopt>),
    /// No more runs to adopt.
    Adopted,
    /// The program runs. Descriptors: the read ends of its stdout and stderr.
    Started {
        /// Which run.
        run: RunId,
        /// Leader of its session and process group.
        pid: i32,
        /// When the fork returned.
        at: Timestamp,
    },
    /// It does not, and never did.
    NotStarted {
        /// Which run.
        run: RunId,
        /// What failed.
        failure: Failure,
    },
    /// The leader is gone and reaped.
    Ended {
        /// Which run.
        run: RunId,
        /// How.
        ended: Ended,
    },
    /// Answer to `Forget`: processes of the run that are still there, where that could be counted.
    Left {
        /// Which run.
        run: RunId,
        /// How many.
        processes: u32,
    },
    /// Answer to `OpenDirectory` or `OpenFile`, with the descriptor.
    Opened {
        /// Of the request.
        request: u32,
    },
    /// Answer to `OpenDirectory` or `OpenFile`.
    NotOpened {
        /// Of the request.
        request: u32,
        /// Of the call that failed; `EPERM` where the warden itself refused.
        errno: i32,
    },
    /// Answer with `Pong` from the loop.
    Ping {
        /// To hand back.
        count: u64,
    },
    /// Read `conf_d` anew, then say `Reloaded`.
    Reload,
    /// Start nothing more; stop what runs within `grace`, then say `Drained`. Sent again with a shorter grace to hasten.
    Drain {
        /// Until `SIGKILL`.
        grace: Duration,
    },
}

/// What an engine begins with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// The warden's [`VERSION`].
    pub version: u32,
    /// As the warden has read and checked it.
    pub config: Config,
    /// 0 for the first engine of this warden.
    pub generation: u32,
    /// When the warden started.
    pub started: Timestamp,
    /// What the engine before left with `Mark`.
    pub mark: Option<Vec<u8>>,
    /// Runs are put into cgroups of their own.
    pub cgroups: bool,
    /// This is a first look: no configuration, `./conf.d`.
    pub first_look: bool,
}

/// A run handed to the next engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adopt {
    /// Which.
    pub run: RunId,
    /// As last given by an engine.
    pub context: Vec<u8>,
    /// Where it is.
    pub state: AdoptState,
    /// The streams whose spools come with it.
    pub spools: Vec<Stream>,
}

/// How far a run has come while no engine watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AdoptState {
    /// Forked; whether exec succeeded is told later by `Started` (without descriptors) or `NotStarted`.
    Starting,
    /// It runs.
    Running {
        /// Its leader.
        pid: i32,
        /// Since when.
        at: Timestamp,
    },
    /// Its leader is gone.
    Ended {
        /// Its leader's pid, as it was.
        pid: i32,
        /// Since when it ran.
        at: Timestamp,
        /// How it ended.
        ended: Ended,
    },
    /// It never ran.
    NotStarted(Failure),
}

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

/// A packet that is no message, or too long for one.
#[derive(Debug)]
pub struct BadMessage(pub String);

impl fmt::Display for BadMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bad message between warden and engine: {}", self.0)
    }
}

impl std::error::Error for BadMessage {}

/// A message as a packet.
pub fn encode<M: Serialize>(message: &M) -> Result<Vec<u8>, BadMessage> {
    let packet = postcard::to_stdvec(message).map_err(|error| BadMessage(error.to_string()))?;
    if packet.len() > MAX_MESSAGE {
        return Err(BadMessage(format!("{} bytes, at most {MAX_MESSAGE}", packet.len())));
    }
    Ok(packet)
}

/// A packet as a message. Every byte must belong to it.
pub fn decode<'a, M: Deserialize<'a>>(packet: &'a [u8]) -> Result<M, BadMessage> {
    match postcard::take_from_bytes(packet) {
        Ok((message, [])) => Ok(message),
        Ok((_, rest)) => Err(BadMessage(format!("{} bytes after its end", rest.len()))),
        Err(error) => Err(BadMessage(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_ids_rise_and_read_back() {
        let now: Timestamp = "2026-11-20T13:00:00Z".parse().unwrap();
        let first = RunId::after(RunId(0), now);
        let second = RunId::after(first, now);
        assert!(second > first);
        assert!(RunId::after(second, now - jiff::SignedDuration::from_hours(1)) > second);
        assert_eq!(RunId::after(RunId(u64::MAX), now), first);
        for id in [RunId(0), first, second, RunId(u64::MAX)] {
            assert_eq!(RunId::parse(&id.to_string()), Some(id));
        }
        for junk in ["", "0", "zzzzzzzzzzzzz", "../../../../x", "0000000000000 "] {
            assert_eq!(RunId::parse(junk), None, "{junk:?}");
        }
    }

    #[test]
    fn junk_is_no_message() {
        assert!(decode::<ToWarden>(&[]).is_err());
        assert!(decode::<ToWarden>(&[250]).is_err());
        assert!(decode::<ToWarden>(&[1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).is_err(), "a length beyond the packet");
        let mut packet = encode(&ToWarden::Ready).unwrap();
        assert_eq!(decode::<ToWarden>(&packet).unwrap(), ToWarden::Ready);
        packet.push(0);
        assert!(decode::<ToWarden>(&packet).is_err(), "a byte too many");
    }

    #[test]
    fn too_long_is_refused_before_it_is_sent() {
        assert!(encode(&ToWarden::Mark { mark: vec![0; MAX_MESSAGE] }).is_err());
    }
}
