//! The messages themselves.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Ended, Failure, RunId, Start, Stream};
use crate::conf::{Before, Config, Keeper};

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
    /// Open a directory as it is now. Answered by `Opened` or `NotOpened`.
    OpenDirectory {
        /// Chosen by the engine, handed back.
        request: u32,
        /// Which.
        place: DirectoryPlace,
    },
    /// Open a regular file that the engine may not read itself. Answered by `Opened` or `NotOpened`.
    OpenFile {
        /// Chosen by the engine, handed back.
        request: u32,
        /// Which.
        place: FilePlace,
    },
    /// Replace a file as a whole, or make it: one descriptor with its contents (a regular file or memfd, at most
    /// [`MAX_FILE`](super::MAX_FILE) bytes) comes with it. Answered by `Written` or `NotWritten`; until then the file is the
    /// old one or the new one, never anything between.
    WriteFile {
        /// Chosen by the engine, handed back.
        request: u32,
        /// Which.
        place: FilePlace,
        /// What must stand there: else `ESTALE`.
        before: Before,
    },
    /// Take a file away. Answered by `Written` or `NotWritten`.
    RemoveFile {
        /// Chosen by the engine, handed back.
        request: u32,
        /// Which.
        place: FilePlace,
        /// What must stand there: else `ESTALE`.
        before: Before,
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
    /// Somebody with the right to asks for the end of the daemon: as `SIGTERM`, once.
    Quit,
    /// All runs that `Drain` waits for are over.
    Drained,
}

/// A directory that the warden opens for the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DirectoryPlace {
    /// `conf_d`.
    ConfD,
    /// The directory that holds the `jobs_config` of rotad.yaml.
    OfJobsConfig,
}

/// A file that the warden opens or writes for the engine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum FilePlace {
    /// A file straight in `conf_d`: one path component. Written are only names that count as job files.
    ConfD(String),
    /// The `jobs_config` of rotad.yaml.
    JobsConfig,
}

/// Which processes of a run a signal reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reach {
    /// The process group, while its leader lives.
    Group,
    /// Whatever is left of the run: its cgroup, or what the subreaper finds of it.
    Everything,
}

/// What the warden tells the engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToEngine {
    /// First message: the configuration, and the listening sockets as descriptors: the unix socket, then the TCP port
    /// where it could be had.
    Welcome(Box<Welcome>),
    /// The TCP port could be had now: the listening socket as descriptor.
    Port,
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
        /// Who besides root has a say in which one it is.
        keeper: Keeper,
    },
    /// Answer to `OpenDirectory` or `OpenFile`.
    NotOpened {
        /// Of the request.
        request: u32,
        /// Of the call that failed; `EPERM` where the warden itself refused.
        errno: i32,
    },
    /// Answer to `WriteFile` or `RemoveFile`: it is done, and on the disk.
    Written {
        /// Of the request.
        request: u32,
    },
    /// Answer to `WriteFile` or `RemoveFile`: nothing has changed, except that after `ETIMEDOUT` (a disk that hangs) the
    /// change may still come to pass.
    NotWritten {
        /// Of the request.
        request: u32,
        /// Of the call that failed; `EPERM` where the warden itself refused, `EBUSY` where too many writes wait.
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
