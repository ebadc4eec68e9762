//! How the warden tends the engine: starts it, asks whether it lives, hears it out, buries it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use super::birth::Birth;
use super::engine::{self, Engine, OUTBOX, Pulse, Up};
use super::say::Level;
use super::serve::Warden;
use super::stop::{OVERTIME, Stop};
use super::sys::Reaped;
use crate::wire::{Link, Received, ToEngine, ToWarden, VERSION, Welcome};

/// Messages taken from the engine, and time given to them, before signals and children are looked after again.
const BURST: usize = 64;
const BURST_TIME: Duration = Duration::from_millis(50);

impl Warden {
    pub(super) fn clock_engine(&mut self, now: Instant) -> Option<Instant> {
        match &mut self.engine {
            Engine::Down { .. } if matches!(self.stop, Stop::Leaving { .. } | Stop::Gone) => {
                self.stop = Stop::Gone;
                Some(now)
            }
            Engine::Down { next } if now < *next => Some(*next),
            Engine::Down { .. } => {
                if let Err(error) = self.start_engine(now) {
                    self.voice.say(Level::Error, format_args!("starting the engine: {error}"));
                    self.engine = Engine::Down { next: now + Duration::from_secs(1) };
                }
                self.clock_engine_wait(now)
            }
            Engine::Up(up) => {
                match up.pulse(now) {
                    Pulse::Wait(_) => {}
                    Pulse::Ask => up.ask(now),
                    Pulse::Hung => {
                        up.kill();
                        up.excuse(now);
                        self.voice.say(Level::Error, format_args!("the engine does not answer: replacing it"));
                    }
                }
                self.clock_engine_wait(now)
            }
        }
    }

    /// Tries for the TCP port; when to try again, where it is somebody else's. An engine that is up is given it.
    pub(super) fn clock_port(&mut self, now: Instant) -> Option<Instant> {
        if self.port.open(now, self.voice)
            && let (Engine::Up(up), Some(socket)) = (&mut self.engine, self.port.socket())
        {
            up.tell_or_kill(&ToEngine::Port, &[socket]);
        }
        self.port.due()
    }

    pub(super) fn clock_engine_wait(&self, now: Instant) -> Option<Instant> {
        match &self.engine {
            Engine::Down { next } => Some(*next),
            Engine::Up(up) => match up.pulse(now) {
                Pulse::Wait(until) => Some(until),
                Pulse::Ask | Pulse::Hung => Some(now),
            },
        }
    }

    /// Takes what the engine has said, a burst at most.
    pub(super) fn hear_engine(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let until = Instant::now() + BURST_TIME;
        for _ in 0..BURST {
            if Instant::now() >= until {
                break;
            }
            let Engine::Up(up) = &mut self.engine else { break };
            if up.flush().is_err() || up.waiting() >= OUTBOX {
                break;
            }
            match up.link.receive::<ToWarden>(false, &mut buffer) {
                Ok(Received::Message(order, fds)) => self.obey(order, fds),
                Ok(Received::Nothing) => break,
                // It is ending, and the reaper will see it; or it lives on without a link, and will be found hung.
                Ok(Received::Closed) => {
                    up.mute = true;
                    break;
                }
                Err(error) => {
                    up.kill();
                    self.voice.say(Level::Error, format_args!("{error}: replacing the engine"));
                    break;
                }
            }
        }
        self.buffer = buffer;
    }

    pub(super) fn bury_engine(&mut self, gone: &Reaped) {
        let now = Instant::now();
        // What it said before it died still counts: it is in our queue.
        while let Engine::Up(up) = &mut self.engine {
            match up.link.receive::<ToWarden>(false, &mut Vec::new()) {
                Ok(Received::Message(order, fds)) => self.obey(order, fds),
                _ => break,
            }
        }
        // The engine's loop turns no more, but what can be done about it is being done: no reason to end the jobs as well.
        self.notifier.alive(now);
        let Engine::Up(up) = &self.engine else { return };
        let (next, young) = engine::successor(up, self.young, now);
        // Once one has lived, its successors can: they are started for as long as it takes.
        self.proven |= up.greeted;
        let dismissed = up.dismissed();
        self.stillborn = if self.proven { 0 } else { self.stillborn + 1 };
        if self.renewed(dismissed, gone) {
            self.engine = Engine::Down { next: now };
            return;
        }
        self.young = young;
        self.engine = Engine::Down { next };
        if !matches!(self.stop, Stop::Leaving { .. } | Stop::Gone) {
            let count = self.runs.len();
            self.voice.say(
                Level::Error,
                format_args!("the engine ended ({:?}): starting another, {count} runs go on", gone.exit),
            );
        }
    }

    pub(super) fn start_engine(&mut self, now: Instant) -> io::Result<()> {
        let (ours, theirs) = Link::pair()?;
        let identity = self.engine_identity.as_ref();
        let birth = Birth { program: &self.program.file, identity, socket: theirs.into_socket() };
        let pid = birth.start(&self.inheritance)?;
        let mut up = Up::new(pid, ours, now);
        let welcome = ToEngine::Welcome(Box::new(Welcome {
            version: VERSION,
            config: self.config.clone(),
            generation: self.generation,
            started: self.started,
            mark: self.mark.clone(),
            cgroups: self.tree.is_some(),
        }));
        let sockets: Vec<BorrowedFd<'_>> = [self.listener.as_fd()].into_iter().chain(self.port.socket()).collect();
        up.tell(&welcome, &sockets)?;
        for (run, entry) in self.runs.iter() {
            let (adopt, fds) = entry.adopt(run);
            up.tell(&ToEngine::Adopt(Box::new(adopt)), &fds)?;
        }
        up.tell(&ToEngine::Adopted, &[])?;
        if let Stop::Draining { deadline, .. } = self.stop {
            up.tell(&ToEngine::Drain { grace: deadline.saturating_duration_since(now).saturating_sub(OVERTIME) }, &[])?;
        }
        self.generation += 1;
        self.engine = Engine::Up(Box::new(up));
        Ok(())
    }

    pub(super) fn engine_up(&mut self) -> Option<&mut Up> {
        match &mut self.engine {
            Engine::Up(up) => Some(up),
            Engine::Down { .. } => None,
        }
    }
}
