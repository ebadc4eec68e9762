//! What the engine may ask of the warden, and what the warden does about it. Each order is checked as if it came from an
//! enemy: bounds, identity, state; nothing else is obeyed.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use jiff::Timestamp;
use nix::fcntl::OFlag;
use nix::unistd::pipe2;

use super::identity::Answer;
use super::launch::Launch;
use super::runs::{Run, State};
use super::say::Level;
use super::serve::Warden;
use super::sweep::{self, Trace};
use super::writing::Work;
use super::{places, sys};
use crate::conf::Keeper;
use crate::wire::{
    DirectoryPlace, Failure, FilePlace, MAX_CONTEXT, MAX_MARK, Plan, Reach, RunId, Start, Step, Stream, ToEngine,
    ToWarden, VERSION,
};

impl Warden {
    /// Does what a message asks for.
    pub(super) fn obey(&mut self, order: ToWarden, fds: Vec<OwnedFd>) {
        let greeted = self.engine_up().is_some_and(|up| up.greeted);
        if !greeted && !matches!(order, ToWarden::Hello { .. }) {
            return;
        }
        match order {
            ToWarden::Hello { version } => self.greet(version),
            ToWarden::Start(start) => self.start(*start),
            ToWarden::Spool { run, stream } => self.keep_spool(run, stream, fds),
            ToWarden::Context { run, context } => {
                if let Some(entry) = self.runs.get_mut(run).filter(|_| context.len() <= MAX_CONTEXT) {
                    entry.context = context;
                }
            }
            ToWarden::Mark { mark } => {
                if mark.len() <= MAX_MARK {
                    self.mark = Some(mark);
                }
            }
            ToWarden::Signal { run, signal, reach } => self.signal(run, signal, reach),
            ToWarden::Forget { run } => self.forget(run),
            // The way there may be somebody else's, and hang.
            ToWarden::OpenDirectory { request, place: DirectoryPlace::OfJobsConfig } => {
                self.reach(request, FilePlace::JobsConfig, Work::Directory);
            }
            ToWarden::OpenFile { request, place: FilePlace::JobsConfig } => {
                self.reach(request, FilePlace::JobsConfig, Work::File);
            }
            ToWarden::OpenDirectory { request, place: DirectoryPlace::ConfD } => {
                self.answer(request, places::open_conf_d(&self.config));
            }
            ToWarden::OpenFile { request, place } => {
                let engine = self.engine_identity.as_ref().map(|identity| identity.uid);
                let opened = places::of_file(&self.config, &place)
                    .and_then(|(_, name)| places::open_file(places::open_conf_d(&self.config)?.as_fd(), name, engine));
                self.answer(request, opened);
            }
            ToWarden::WriteFile { request, place, before } => match fds.into_iter().next() {
                Some(contents) => self.reach(request, place, Work::Write(contents, before)),
                None => self.tell(&ToEngine::NotWritten { request, errno: libc::EBADF }, &[]),
            },
            ToWarden::RemoveFile { request, place, before } => self.reach(request, place, Work::Remove(before)),
            ToWarden::Pong { count } => self.pong(count),
            ToWarden::Ready => {
                self.notifier.ready();
                self.approve();
            }
            ToWarden::Status { text } => self.notifier.status(&text, Instant::now()),
            ToWarden::Reloaded => self.notifier.reloaded(),
            ToWarden::Quit => self.quit(),
            ToWarden::Drained => self.leave(Instant::now()),
        }
    }

    fn greet(&mut self, version: u32) {
        let Some(up) = self.engine_up() else { return };
        if version == VERSION {
            up.greeted = true;
        } else {
            up.kill();
            self.voice.say(Level::Error, format_args!("the engine speaks version {version}, the warden {VERSION}"));
        }
    }

    fn start(&mut self, start: Start) {
        let Start { run, plan, context } = start;
        let refused = if self.runs.get(run).is_some() {
            Some(Failure { step: Step::Plan, errno: libc::EEXIST })
        } else if self.runs.len() >= self.inheritance.room() {
            Some(Failure { step: Step::Pipes, errno: libc::EMFILE })
        } else {
            None
        };
        if let Some(failure) = refused {
            return self.tell(&ToEngine::NotStarted { run, failure }, &[]);
        }
        // Kept from here on, whatever becomes of it: the engine hears of it, or its successor does.
        let failure = Failure { step: Step::Plan, errno: libc::E2BIG };
        let bounded = context.len() <= MAX_CONTEXT;
        let context = if bounded { context } else { Vec::new() };
        let fresh =
            Run { context, state: State::NotStarted(failure), pipes: None, spools: Default::default(), group: None };
        self.runs.insert(run, fresh);
        if !bounded {
            return self.not_started(run, failure);
        }
        let user = plan.user.clone().unwrap_or_else(|| self.config.jobs_user.clone());
        let root = user == "root" && self.config.allow_root_jobs;
        if user != self.config.jobs_user && !self.config.allowed_users.contains(&user) && !root {
            return self.not_started(run, Failure { step: Step::Allowed, errno: 0 });
        }
        let pipes = pipe2(OFlag::O_CLOEXEC).and_then(|out| Ok((out, pipe2(OFlag::O_CLOEXEC)?)));
        let ((out_read, out_write), (err_read, err_write)) = match pipes {
            Ok(pipes) => pipes,
            Err(errno) => return self.not_started(run, Failure { step: Step::Pipes, errno: errno as i32 }),
        };
        if let Some(entry) = self.runs.get_mut(run) {
            entry.pipes = Some([out_read, err_read]);
            entry.state = State::Waiting { plan: Box::new(plan), outputs: [out_write, err_write] };
        }
        match self.identities.known(&user) {
            Some((answer, again)) => {
                self.launch(run, answer);
                if again {
                    // Where that fails the answer grows old, and the next run waits for a new one.
                    let _ = self.identities.ask(&user);
                }
            }
            None => match self.identities.ask(&user) {
                Ok(()) => self.waiting.entry(user).or_default().push(run),
                Err(error) => {
                    self.not_started(
                        run,
                        Failure { step: Step::User, errno: error.raw_os_error().unwrap_or(libc::EIO) },
                    );
                }
            },
        }
    }

    /// The user is known, or known not to be: the run goes ahead, or ends here.
    pub(super) fn launch(&mut self, run: RunId, answer: Answer) {
        let Some(entry) = self.runs.get_mut(run) else { return };
        let placeholder = State::NotStarted(Failure { step: Step::Fork, errno: 0 });
        let State::Waiting { plan, outputs } = std::mem::replace(&mut entry.state, placeholder) else { return };
        let launched = self.fork(run, &plan, answer, outputs);
        if let Err(failure) = launched {
            self.not_started(run, failure);
        }
    }

    fn fork(&mut self, run: RunId, plan: &Plan, answer: Answer, outputs: [OwnedFd; 2]) -> Result<(), Failure> {
        let identity = match answer {
            Answer::Known(identity) => identity,
            Answer::Unknown => return Err(Failure { step: Step::User, errno: 0 }),
            Answer::Failed(errno) => return Err(Failure { step: Step::User, errno }),
        };
        // By number, not by name: root has other names, and the user database may have changed since the start.
        let allowed = if self.inheritance.root {
            identity.uid != 0 || self.config.allow_root_jobs
        } else {
            identity.uid == nix::unistd::geteuid().as_raw()
        };
        if !allowed || identity.uid == u32::MAX || identity.gid == u32::MAX {
            return Err(Failure { step: Step::Allowed, errno: 0 });
        }
        let launch = Launch::prepare(plan, identity, &self.inheritance)?;
        let group =
            match &mut self.tree {
                Some(tree) => Some(tree.make(run).map_err(|error| Failure {
                    step: Step::Cgroup,
                    errno: error.raw_os_error().unwrap_or(libc::EIO),
                })?),
                None => None,
            };
        let door = group.as_ref().map(|group| group.door()).transpose();
        if let Some(entry) = self.runs.get_mut(run) {
            entry.group = group;
        }
        let door =
            door.map_err(|error| Failure { step: Step::Cgroup, errno: error.raw_os_error().unwrap_or(libc::EIO) })?;
        let flying = launch.start(&self.inheritance, door, outputs)?;
        self.runs.started(run, flying, Timestamp::now());
        Ok(())
    }

    /// Nothing runs and nothing will. Kept until it is forgotten.
    pub(super) fn not_started(&mut self, run: RunId, failure: Failure) {
        self.runs.settled(run, State::NotStarted(failure));
        if let Some(entry) = self.runs.get_mut(run) {
            entry.pipes = None;
            entry.spools.clear();
            if let (Some(tree), Some(group)) = (&mut self.tree, entry.group.take()) {
                tree.remove(group);
            }
        }
        self.tell(&ToEngine::NotStarted { run, failure }, &[]);
    }

    fn keep_spool(&mut self, run: RunId, stream: Stream, fds: Vec<OwnedFd>) {
        if let (Some(entry), Some(spool)) = (self.runs.get_mut(run), fds.into_iter().next()) {
            entry.spools.insert(stream, spool);
        }
    }

    fn signal(&mut self, run: RunId, signal: i32, reach: Reach) {
        if !(1..=31).contains(&signal) {
            return;
        }
        let Some(entry) = self.runs.get(run) else { return };
        if matches!(entry.state, State::Waiting { .. }) {
            return self.not_started(run, Failure { step: Step::User, errno: libc::ECANCELED });
        }
        if let Some(leader) = entry.leader() {
            // Before the child has made its group there is only the child.
            if sys::kill(-leader, signal).is_err() {
                let _ = sys::kill(leader, signal);
            }
        }
        if reach == Reach::Group {
            return;
        }
        match &entry.group {
            Some(group) if signal == libc::SIGKILL && group.kill().is_ok() => {}
            _ => drop(sweep::signal(self.trace(run), signal)),
        }
    }

    /// What a run's processes can be recognised by.
    pub(super) fn trace(&self, run: RunId) -> Trace {
        let leader = self.runs.get(run).and_then(|entry| match &entry.state {
            State::Starting { flying, .. } => Some(flying.pid()),
            State::Running { pid, .. } => Some(*pid),
            // While a process has it as its session or group the number is given to nobody: who is under it now is new.
            State::Ended { pid, .. } => Some(*pid).filter(|pid| sys::kill(*pid, 0) == Err(libc::ESRCH)),
            State::Waiting { .. } | State::NotStarted(_) => None,
        });
        Trace { run, leader }
    }

    fn forget(&mut self, run: RunId) {
        if !self.runs.get(run).is_some_and(Run::over) {
            return;
        }
        let processes = self.left_of(run);
        if let Some(entry) = self.runs.remove(run)
            && let (Some(tree), Some(group)) = (&mut self.tree, entry.group)
        {
            tree.remove(group);
        }
        self.tell(&ToEngine::Left { run, processes }, &[]);
    }

    /// Counts what is left of a run that is over. /proc is searched only where there may be something to find.
    fn left_of(&self, run: RunId) -> u32 {
        let Some(entry) = self.runs.get(run) else { return 0 };
        if let Some(group) = &entry.group {
            return u32::try_from(group.processes().len()).unwrap_or(u32::MAX);
        }
        let State::Ended { pid, .. } = entry.state else { return 0 };
        if sys::kill(-pid, 0).is_ok() || self.strangers() { sweep::count(self.trace(run)) } else { 0 }
    }

    /// Whether the warden has children that it did not start: escaped from a run by a double fork.
    fn strangers(&self) -> bool {
        let pid = std::process::id();
        let children = std::fs::read_to_string(format!("/proc/self/task/{pid}/children")).unwrap_or_default();
        children.split_ascii_whitespace().filter_map(|child| child.parse().ok()).any(|child| !self.knows(child))
    }

    fn answer(&mut self, request: u32, opened: std::io::Result<OwnedFd>) {
        match opened {
            Ok(file) => self.tell(&ToEngine::Opened { request, keeper: Keeper::default() }, &[file.as_fd()]),
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(libc::EIO);
                self.tell(&ToEngine::NotOpened { request, errno }, &[]);
            }
        }
    }

    fn pong(&mut self, count: u64) {
        if self.engine_up().is_some_and(|up| up.answered(count)) {
            self.notifier.alive(Instant::now());
        }
    }

    /// Says something to the engine, if there is one.
    pub(super) fn tell(&mut self, message: &ToEngine, fds: &[BorrowedFd<'_>]) {
        if let Some(up) = self.engine_up() {
            up.tell_or_kill(message, fds);
        }
    }
}
