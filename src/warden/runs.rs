//! The runs that the warden carries: what it keeps of each until the engine says that it is booked.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use jiff::Timestamp;

use super::cgroup::Group;
use super::launch::Flying;
use crate::wire::{Adopt, AdoptState, Ended, Failure, Plan, RunId, Stream};

/// A run.
pub struct Run {
    /// The engine's own words about it.
    pub context: Vec<u8>,
    /// How far it has come.
    pub state: State,
    /// Read ends of its pipes: stdout, stderr. Gone once it is known that nothing was started.
    pub pipes: Option<[OwnedFd; 2]>,
    /// The engine's buffers of its output.
    pub spools: BTreeMap<Stream, OwnedFd>,
    /// Its cgroup.
    pub group: Option<Group>,
}

/// How far a run has come.
pub enum State {
    /// Its user is being looked up.
    Waiting {
        /// What to do then.
        plan: Box<Plan>,
        /// Write ends of its pipes.
        outputs: [OwnedFd; 2],
    },
    /// Forked; exec has neither succeeded nor failed.
    Starting {
        /// The child.
        flying: Flying,
        /// When it was forked.
        at: Timestamp,
    },
    /// The program runs.
    Running {
        /// Its leader.
        pid: i32,
        /// When it was forked.
        at: Timestamp,
    },
    /// Its leader is gone and reaped.
    Ended {
        /// Its leader, while it lived.
        pid: i32,
        /// When it was forked.
        at: Timestamp,
        /// How it ended.
        ended: Ended,
    },
    /// No program ever ran.
    NotStarted(Failure),
}

impl Run {
    /// The leader, while it has not been reaped: only then do its pid and its group belong to it for certain.
    pub fn leader(&self) -> Option<i32> {
        match &self.state {
            State::Starting { flying, .. } => Some(flying.pid()),
            State::Running { pid, .. } => Some(*pid),
            State::Waiting { .. } | State::Ended { .. } | State::NotStarted(_) => None,
        }
    }

    /// Nothing more will be told of it.
    pub fn over(&self) -> bool {
        matches!(self.state, State::Ended { .. } | State::NotStarted(_))
    }

    /// The run as the next engine is told of it, with the descriptors that go beside it.
    pub fn adopt(&self, run: RunId) -> (Adopt, Vec<BorrowedFd<'_>>) {
        let state = match &self.state {
            State::Waiting { .. } | State::Starting { .. } => AdoptState::Starting,
            State::Running { pid, at } => AdoptState::Running { pid: *pid, at: *at },
            State::Ended { pid, at, ended } => AdoptState::Ended { pid: *pid, at: *at, ended: *ended },
            State::NotStarted(failure) => AdoptState::NotStarted(*failure),
        };
        let pipes = self.pipes.iter().flatten();
        let fds = pipes.chain(self.spools.values()).map(AsFd::as_fd).collect();
        let spools = self.spools.keys().copied().collect();
        (Adopt { run, context: self.context.clone(), state, spools }, fds)
    }
}

/// All runs, found by id or by the pid of a leader that has not been reaped.
#[derive(Default)]
pub struct Runs {
    by_id: BTreeMap<RunId, Run>,
    by_pid: HashMap<i32, RunId>,
    starting: BTreeSet<RunId>,
}

impl Runs {
    /// How many.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// None at all.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// One of them.
    pub fn get(&self, run: RunId) -> Option<&Run> {
        self.by_id.get(&run)
    }

    /// One of them, to keep something for it.
    pub fn get_mut(&mut self, run: RunId) -> Option<&mut Run> {
        self.by_id.get_mut(&run)
    }

    /// All of them, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (RunId, &Run)> {
        self.by_id.iter().map(|(run, entry)| (*run, entry))
    }

    /// Adds a run.
    pub fn insert(&mut self, run: RunId, entry: Run) {
        self.by_id.insert(run, entry);
    }

    /// The run has a leader.
    pub fn started(&mut self, run: RunId, flying: Flying, at: Timestamp) {
        if let Some(entry) = self.by_id.get_mut(&run) {
            self.by_pid.insert(flying.pid(), run);
            self.starting.insert(run);
            entry.state = State::Starting { flying, at };
        }
    }

    /// Runs that have been forked and not heard of, with the pipe that will tell.
    pub fn starting(&self) -> impl Iterator<Item = (RunId, BorrowedFd<'_>)> {
        self.starting.iter().filter_map(|run| match &self.by_id.get(run)?.state {
            State::Starting { flying, .. } => Some((*run, flying.pipe())),
            _ => None,
        })
    }

    /// A start has succeeded or failed.
    pub fn settled(&mut self, run: RunId, state: State) {
        self.starting.remove(&run);
        if let Some(entry) = self.by_id.get_mut(&run)
            && let State::Starting { flying, .. } = std::mem::replace(&mut entry.state, state)
        {
            flying.release();
        }
    }

    /// The run whose leader was reaped under this pid; the number is free from now on.
    pub fn reaped(&mut self, pid: i32) -> Option<RunId> {
        self.by_pid.remove(&pid)
    }

    /// Whether the pid is that of some run's leader, not yet reaped.
    pub fn leads(&self, pid: i32) -> bool {
        self.by_pid.contains_key(&pid)
    }

    /// Takes a run out.
    pub fn remove(&mut self, run: RunId) -> Option<Run> {
        self.by_id.remove(&run)
    }
}
