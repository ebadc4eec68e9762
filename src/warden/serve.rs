//! The warden's loop: one thread that waits for signals, the engine's messages, and the pipes of children that are about
//! to exec. It decides nothing about jobs and waits for nobody.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use nix::errno::Errno;
use nix::fcntl::Flock;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;

use super::cgroup::Tree;
use super::engine::{self, Engine, OUTBOX};
use super::identity::{Answer, Identities, Identity, PATIENCE};
use super::inheritance::Inheritance;
use super::launch::Landing;
use super::notify::Notifier;
use super::port::Port;
use super::renew::Program;
use super::runs::{Runs, State};
use super::say::{Level, Voice};
use super::stop::Stop;
use super::sys::{self, Reaped};
use super::writing::Writings;
use crate::conf::Config;
use crate::wire::{Ended, RunId, ToEngine};

/// Children reaped before the others are looked after again: whoever forks fast enough would be all there is otherwise.
const BURIALS: usize = 1024;
/// So many engines in a row may fail before they greet; then nothing can come of it.
const STILLBORN: u32 = 3;

/// All that the warden knows.
pub struct Warden {
    pub(super) config: Config,
    pub(super) inheritance: Inheritance,
    pub(super) engine_identity: Option<Identity>,
    pub(super) tree: Option<Tree>,
    pub(super) runs: Runs,
    pub(super) identities: Identities,
    /// Runs whose user is being looked up.
    pub(super) waiting: HashMap<String, Vec<RunId>>,
    pub(super) writings: Writings,
    pub(super) notifier: Notifier,
    pub(super) voice: Voice,
    /// What the engine left for its successor.
    pub(super) mark: Option<Vec<u8>>,
    pub(super) engine: Engine,
    pub(super) generation: u32,
    /// Engines in a row that died young.
    pub(super) young: u32,
    /// An engine has greeted; before that, how many have not.
    pub(super) proven: bool,
    pub(super) stillborn: u32,
    pub(super) stop: Stop,
    pub(super) started: Timestamp,
    pub(super) program: Program,
    pub(super) listener: UnixListener,
    pub(super) port: Port,
    signals: SignalDelivery<UnixStream, SignalOnly>,
    /// There may be more dead children than one turn has reaped.
    unreaped: bool,
    /// Where messages are received.
    pub(super) buffer: Vec<u8>,
    _lock: Flock<File>,
}

/// What a warden starts with, checked and opened.
pub struct Start {
    /// As read from rotad.yaml.
    pub config: Config,
    /// Read before anything was changed.
    pub inheritance: Inheritance,
    /// Who the engine becomes.
    pub engine_identity: Option<Identity>,
    /// What is known of users from the start.
    pub identities: Identities,
    /// This very program.
    pub program: Program,
    /// The unix socket.
    pub listener: UnixListener,
    /// The TCP port, not yet opened.
    pub port: Port,
    /// On the state directory.
    pub lock: Flock<File>,
    /// Where to say things.
    pub voice: Voice,
}

impl Warden {
    /// Registers the signals and makes the state. No engine runs yet.
    pub fn new(start: Start) -> io::Result<Warden> {
        let (read, write) = UnixStream::pair()?;
        // SIGUSR1 means nothing here, and must not end the daemon either.
        let wanted = [SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2];
        let signals = SignalDelivery::with_pipe(read, write, SignalOnly, wanted)?;
        Ok(Warden {
            tree: Tree::find(),
            config: start.config,
            inheritance: start.inheritance,
            engine_identity: start.engine_identity,
            runs: Runs::default(),
            identities: start.identities,
            waiting: HashMap::new(),
            writings: Writings::default(),
            notifier: Notifier::from_environment(),
            voice: start.voice,
            mark: None,
            engine: Engine::Down { next: Instant::now() },
            generation: 0,
            young: 0,
            proven: false,
            stillborn: 0,
            stop: Stop::No,
            started: Timestamp::now(),
            program: start.program,
            listener: start.listener,
            port: start.port,
            signals,
            unreaped: false,
            buffer: Vec::new(),
            _lock: start.lock,
        })
    }

    /// Serves until the daemon is told to stop. `false`: it had to give up.
    pub fn serve(&mut self) -> bool {
        while self.stop != Stop::Gone {
            if self.stillborn >= STILLBORN {
                self.voice.say(Level::Error, format_args!("the engine does not start: giving up"));
                return false;
            }
            let planned = self.clock();
            let ready = self.wait(planned);
            let now = Instant::now();
            if planned.is_some_and(|planned| now > planned + engine::interval()) {
                // Not late but away: this process was stopped, or the machine slept.
                self.engine_up().into_iter().for_each(|up| up.excuse(now));
            }
            match ready {
                Ok(ready) => self.turn(ready),
                Err(error) => self.voice.say(Level::Error, format_args!("waiting: {error}")),
            }
        }
        true
    }

    /// Does what is due by the clock; the instant of the next such thing.
    fn clock(&mut self) -> Option<Instant> {
        let now = Instant::now();
        for user in self.identities.give_up() {
            self.settle_user(&user, Answer::Failed(libc::ETIMEDOUT));
        }
        match self.stop {
            Stop::Draining { deadline, .. } if now >= deadline => {
                self.voice.say(Level::Warning, format_args!("stop_timeout is over: killing what is left"));
                self.leave(now);
            }
            Stop::Leaving { deadline } if now >= deadline => self.stop = Stop::Gone,
            _ => {}
        }
        let write = self.clock_write(now);
        let port = self.clock_port(now);
        let engine = self.clock_engine(now);
        let stop = match self.stop {
            Stop::Draining { deadline, .. } | Stop::Leaving { deadline } => Some(deadline),
            Stop::No => None,
            Stop::Gone => Some(now),
        };
        let look_up = self.identities.asking.values().map(|asking| asking.since + PATIENCE).min();
        let notify = self.notifier.clock(now);
        [engine, port, stop, look_up, write, notify].into_iter().flatten().min()
    }

    /// Waits for something to do. Answers which children's pipes and which look-ups are ready; signals and the engine
    /// are looked after in every turn.
    fn wait(&self, until: Option<Instant>) -> io::Result<(Vec<RunId>, Vec<String>)> {
        let mut fds = vec![PollFd::new(self.signals.get_read().as_fd(), PollFlags::POLLIN)];
        if let Engine::Up(up) = &self.engine
            && !up.mute
        {
            let mut wanted = PollFlags::empty();
            wanted.set(PollFlags::POLLIN, up.waiting() < OUTBOX);
            wanted.set(PollFlags::POLLOUT, up.waiting() > 0);
            fds.push(PollFd::new(up.link.as_fd(), wanted));
        }
        fds.extend(self.writings.pipe().map(|pipe| PollFd::new(pipe, PollFlags::POLLIN)));
        let fixed = fds.len();
        let mut starting = Vec::new();
        for (run, pipe) in self.runs.starting() {
            starting.push(run);
            fds.push(PollFd::new(pipe, PollFlags::POLLIN));
        }
        let mut asking = Vec::new();
        for (user, question) in &self.identities.asking {
            asking.push(user.clone());
            fds.push(PollFd::new(question.pipe.as_fd(), PollFlags::POLLIN));
        }
        let timeout =
            match until.filter(|_| !self.unreaped).map(|until| until.saturating_duration_since(Instant::now())) {
                None if self.unreaped => PollTimeout::ZERO,
                None => PollTimeout::NONE,
                // Rounded up: woken a millisecond early it would turn in vain.
                Some(left) => PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX),
            };
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let ready = |at: usize| fds.get(fixed + at).is_some_and(|fd| fd.any().unwrap_or(false));
        let users =
            (starting.len()..).zip(&asking).filter(|(at, _)| ready(*at)).map(|(_, user)| user.clone()).collect();
        let runs = starting.iter().enumerate().filter(|(at, _)| ready(*at)).map(|(_, run)| *run).collect();
        Ok((runs, users))
    }

    fn turn(&mut self, (starting, users): (Vec<RunId>, Vec<String>)) {
        for run in starting {
            self.settle_start(run);
        }
        let arrived: Vec<i32> = self.signals.pending().collect();
        for signal in arrived {
            match signal {
                SIGHUP => self.reload(),
                SIGUSR2 => self.renew(),
                SIGTERM | SIGINT => {
                    self.stop_or_hasten(signal_hook::low_level::signal_name(signal).unwrap_or("a signal"));
                }
                _ => {}
            }
        }
        let mut buried = 0;
        while buried < BURIALS
            && let Some(gone) = sys::reap()
        {
            self.bury(gone);
            buried += 1;
        }
        self.unreaped = buried == BURIALS;
        if let (1.., Some(tree)) = (buried, &mut self.tree) {
            tree.tidy();
        }
        for user in users {
            if let Some(answer) = self.identities.take(&user) {
                self.settle_user(&user, answer);
            }
        }
        self.settle_write();
        self.hear_engine();
    }

    /// Sees what became of a start.
    fn settle_start(&mut self, run: RunId) {
        let Some(entry) = self.runs.get_mut(run) else { return };
        let State::Starting { flying, at } = &mut entry.state else { return };
        let (pid, at) = (flying.pid(), *at);
        match flying.land() {
            Landing::Flying => {}
            Landing::Failed(failure) => self.not_started(run, failure),
            Landing::Landed => {
                self.runs.settled(run, State::Running { pid, at });
                let pipes = self.runs.get(run).and_then(|entry| entry.pipes.as_ref());
                if let (Engine::Up(up), Some(pipes)) = (&mut self.engine, pipes) {
                    let fds: Vec<BorrowedFd<'_>> = pipes.iter().map(AsFd::as_fd).collect();
                    up.tell_or_kill(&ToEngine::Started { run, pid, at }, &fds);
                }
            }
        }
    }

    fn settle_user(&mut self, user: &str, answer: Answer) {
        for run in self.waiting.remove(user).unwrap_or_default() {
            self.launch(run, answer.clone());
        }
    }

    /// A child is gone: the engine, a look-up, the leader of a run, or a stranger that came to us as the subreaper.
    fn bury(&mut self, gone: Reaped) {
        if self.engine_up().is_some_and(|up| up.pid == gone.pid) {
            return self.bury_engine(&gone);
        }
        self.writings.reaped(gone.pid);
        let Some(run) = self.runs.reaped(gone.pid) else { return };
        self.settle_start(run);
        let Some(entry) = self.runs.get_mut(run) else { return };
        if let State::Running { pid, at } = entry.state
            && pid == gone.pid
        {
            let Reaped { exit, user, system, max_rss, .. } = gone;
            let ended = Ended { exit, at: Timestamp::now(), user, system, max_rss };
            entry.state = State::Ended { pid, at, ended };
            self.tell(&ToEngine::Ended { run, ended }, &[]);
        }
    }

    /// Whether a child is one that the warden started.
    pub(super) fn knows(&self, pid: i32) -> bool {
        self.runs.leads(pid)
            || matches!(&self.engine, Engine::Up(up) if up.pid == pid)
            || self.identities.asking.values().any(|asking| asking.pid == pid)
            || self.writings.knows(pid)
    }
}
