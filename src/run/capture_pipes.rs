//! The capture thread: takes bytes from the jobs' pipes into their spools, and does nothing else.
//!
//! It sleeps in epoll_wait(2) without a timeout while no pipe has bytes, except while a full stream wears its patience. It
//! never waits for a sink; for the warden it waits only while handing over a new spool.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SpliceFFlags, fcntl, splice};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::EventFd;

use super::capture_flow::{Output, STREAMS};
use super::capture_ways::{Command, Pipes, Sinks};
use super::spool::Spool;
use crate::wire::{Link, RunId, ToWarden};

/// How long a job is held up by a sink that does nothing at all, in turns: a sink that is slow but alive is waited for, and
/// one turn passes at once where the whole program did not run.
const PATIENCE: (u32, Duration) = (4, Duration::from_millis(500));
/// Most bytes taken in one go, so that a job that prints without end does not starve the others.
const BITE: usize = 128 << 10;
/// Bytes that [`Command::Close`] takes of a pipe of unknown size: the largest that a job can give it unprivileged.
const LAST_BITE: usize = 1 << 20;
/// Room of a pipe that has shown itself busy, in bytes.
const BUSY_PIPE: i32 = 256 << 10;
/// Delivered bytes of a stream that stay in memory, so that the next engine can rebuild its tail.
pub const RETAINED: u64 = 64 << 10;
/// Delivered bytes beyond those that are given back at once, while the stream is busy.
const SURPLUS: u64 = 1 << 20;
/// The epoll token of the wake-up; pipes count from 1.
const WAKE: u64 = 0;

/// The pipe of one stream.
struct Mouth {
    output: Arc<Output>,
    index: usize,
    pipe: OwnedFd,
    /// epoll looks at it.
    watched: bool,
    /// It is not read for now.
    wait: Option<Wait>,
    /// Patience has ended.
    discard: bool,
    /// Its pipe has been enlarged.
    busy: bool,
}

/// The wait for room.
#[derive(Clone, Copy)]
struct Wait {
    /// The end of this turn.
    until: Instant,
    /// What the sink had done before it; `None` when it is not the sink that is waited for.
    steps: Option<u64>,
    /// Turns in a row in which nothing was done.
    idle: u32,
}

/// The thread's own.
pub struct CaptureThread {
    epoll: Epoll,
    commands: Receiver<Command>,
    wake: Arc<EventFd>,
    link: Arc<Link>,
    /// Where the lines of a run go is known by its label.
    sinks: Sinks,
    null: OwnedFd,
    mouths: HashMap<u64, Mouth>,
    tokens: HashMap<RunId, [u64; 2]>,
    /// Tokens of streams that are full.
    full: Vec<u64>,
    next: u64,
}

impl CaptureThread {
    /// Made on the caller's thread, so that it can be told what fails.
    pub fn new(link: Arc<Link>, sinks: Sinks, pipes: (Pipes, Receiver<Command>)) -> io::Result<CaptureThread> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(pipes.0.wake().as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, WAKE))?;
        let null = std::fs::OpenOptions::new().write(true).open("/dev/null")?.into();
        let (mouths, tokens) = Default::default();
        Ok(CaptureThread {
            epoll,
            commands: pipes.1,
            wake: pipes.0.wake().clone(),
            link,
            sinks,
            null,
            mouths,
            tokens,
            full: Vec::new(),
            next: WAKE + 1,
        })
    }

    /// Until [`Command::Stop`].
    pub fn run(mut self) {
        let mut events = [EpollEvent::empty(); 64];
        loop {
            let count = match self.epoll.wait(&mut events, self.timeout()) {
                Ok(count) => count,
                Err(Errno::EINTR) => continue,
                // The descriptor is ours and the buffer too: EINTR is all that epoll_wait(2) leaves to fail.
                Err(_) => return,
            };
            for event in &events[..count] {
                match event.data() {
                    WAKE => {
                        let _ = self.wake.read();
                        while let Ok(command) = self.commands.try_recv() {
                            match command {
                                Command::Take(output, pipes) => self.open(&output, pipes),
                                Command::Close(run) => self.close(run),
                                Command::Room(run) => self.resume(run),
                                Command::Lead(run, pid) => self.lead(run, pid),
                                Command::Stop => return,
                            }
                        }
                    }
                    token => self.serve(token, event.events().contains(EpollFlags::EPOLLIN)),
                }
            }
            self.lose_patience();
        }
    }

    fn timeout(&self) -> EpollTimeout {
        let first = self.full.iter().filter_map(|token| Some(self.mouths.get(token)?.wait?.until)).min();
        first.map_or(EpollTimeout::NONE, |until| {
            let left = until.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
            EpollTimeout::try_from(left).unwrap_or(EpollTimeout::ZERO)
        })
    }

    fn open(&mut self, output: &Arc<Output>, pipes: [OwnedFd; 2]) {
        let tokens = [self.next, self.next + 1];
        self.next += 2;
        self.tokens.insert(output.label.run, tokens);
        for ((index, token), pipe) in tokens.into_iter().enumerate().zip(pipes) {
            let output = output.clone();
            let mouth = Mouth { output, index, pipe, watched: false, wait: None, discard: false, busy: false };
            self.mouths.insert(token, mouth);
            self.watch(token);
        }
    }

    fn watch(&mut self, token: u64) {
        let Some(mouth) = self.mouths.get_mut(&token) else { return };
        mouth.wait = None;
        self.full.retain(|full| *full != token);
        if mouth.watched {
            return;
        }
        match self.epoll.add(mouth.pipe.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, token)) {
            Ok(()) => mouth.watched = true,
            // Not a pipe, or no memory for a watch: a stream that cannot be followed is over, and its run must not hang.
            Err(_) => self.end(token),
        }
    }

    fn unwatch(&mut self, token: u64) {
        if let Some(mouth) = self.mouths.get_mut(&token).filter(|mouth| mouth.watched) {
            // The warden's duplicate keeps the pipe open, so that closing ours would not end the watch.
            let _ = self.epoll.delete(mouth.pipe.as_fd());
            mouth.watched = false;
        }
    }

    /// A pipe has bytes, or its end.
    fn serve(&mut self, token: u64, bytes: bool) {
        let Some(mouth) = self.mouths.get_mut(&token) else { return };
        let flow = &mouth.output.flows[mouth.index];
        let homeless = bytes && flow.spool.get().is_none() && !begin(mouth, &self.link) && !mouth.discard;
        let room = if mouth.discard || flow.spool.get().is_none() { BITE as u64 } else { flow.room() };
        if homeless || room == 0 {
            let steps = (!homeless).then(|| self.sinks.steps(&mouth.output));
            mouth.wait = Some(Wait { until: Instant::now() + PATIENCE.1, steps, idle: 0 });
            self.full.push(token);
            // A line that does not end need not be waited for any longer.
            self.sinks.wake(&mouth.output);
            self.unwatch(token);
            return;
        }
        if take(mouth, &self.null, BITE.min(room as usize)) == Some(0) {
            self.end(token);
        } else {
            self.sinks.wake(&mouth.output);
        }
    }

    fn lose_patience(&mut self) {
        let now = Instant::now();
        let mut lost = Vec::new();
        for token in &self.full {
            let Some(mouth) = self.mouths.get_mut(token) else { continue };
            let Some(wait) = mouth.wait.as_mut().filter(|wait| wait.until <= now) else { continue };
            let homeless = wait.steps.is_none();
            let steps = wait.steps.map(|_| self.sinks.steps(&mouth.output));
            wait.idle = if wait.steps == steps { wait.idle + 1 } else { 0 };
            (wait.steps, wait.until) = (steps, now + PATIENCE.1);
            if wait.idle >= PATIENCE.0 {
                mouth.output.flows[mouth.index].give_up();
                mouth.discard = true;
                lost.push(*token);
            } else if homeless && begin(mouth, &self.link) {
                lost.push(*token);
            }
        }
        for token in lost {
            self.watch(token);
        }
    }

    fn resume(&mut self, run: RunId) {
        for token in self.tokens.get(&run).copied().into_iter().flatten() {
            if self.full.contains(&token) {
                self.watch(token);
            }
        }
    }

    fn lead(&mut self, run: RunId, pid: i32) {
        let first = self.tokens.get(&run).and_then(|tokens| tokens.iter().find_map(|token| self.mouths.get(token)));
        // Said twice it stays what it was.
        let _ = first.map(|mouth| mouth.output.pid.set(pid));
    }

    fn close(&mut self, run: RunId) {
        for token in self.tokens.get(&run).copied().into_iter().flatten() {
            if let Some(mouth) = self.mouths.get_mut(&token) {
                let flow = &mouth.output.flows[mouth.index];
                if flow.spool.get().is_none() && readable(&mouth.pipe) {
                    begin(mouth, &self.link);
                }
                // All that can be in it now, and no more: somebody may go on printing for ever.
                let size = fcntl(&mouth.pipe, FcntlArg::F_GETPIPE_SZ).map_or(0, |size| size.unsigned_abs() as usize);
                let mut left = size.max(LAST_BITE);
                while let Some(taken @ 1..) = take(mouth, &self.null, left) {
                    left -= taken;
                    if left == 0 {
                        break;
                    }
                }
                self.end(token);
            }
        }
    }

    fn end(&mut self, token: u64) {
        self.unwatch(token);
        self.full.retain(|full| *full != token);
        let Some(mouth) = self.mouths.remove(&token) else { return };
        mouth.output.flows[mouth.index].end();
        self.sinks.wake(&mouth.output);
        let run = mouth.output.label.run;
        let over = |tokens: &[u64; 2]| tokens.iter().all(|token| !self.mouths.contains_key(token));
        if self.tokens.get(&run).is_some_and(over) {
            self.tokens.remove(&run);
        }
    }
}

/// Gives a stream its spool. The warden has it before a byte is in it; `false`: it could not be made or handed over.
fn begin(mouth: &Mouth, link: &Link) -> bool {
    let Ok(spool) = Spool::create() else { return false };
    let message = ToWarden::Spool { run: mouth.output.label.run, stream: STREAMS[mouth.index] };
    if let Err(error) = link.send(&message, &[spool.as_fd()], true) {
        // Without a warden there is no next engine to lose bytes to; the one that there is goes on. Otherwise the link has
        // too much on its way, or the kernel no memory.
        let gone = [Errno::EPIPE, Errno::ECONNRESET, Errno::ENOTCONN, Errno::ECONNREFUSED];
        if !gone.iter().any(|errno| error.raw_os_error() == Some(*errno as i32)) {
            return false;
        }
    }
    let _ = mouth.output.flows[mouth.index].spool.set(spool);
    true
}

/// `Some(0)`: the end. `None`: nothing now.
fn take(mouth: &mut Mouth, null: &OwnedFd, most: usize) -> Option<usize> {
    let flow = &mouth.output.flows[mouth.index];
    match flow.take(mouth.pipe.as_fd(), most, mouth.discard) {
        Ok((taken, discarded)) => {
            mouth.discard = discarded;
            flow.free(RETAINED, SURPLUS);
            if taken >= 64 << 10 && !mouth.busy {
                mouth.busy = true;
                // Fewer turns for a job that prints much. Refused where the user's pipes hold too much already: no harm.
                let _ = fcntl(&mouth.pipe, FcntlArg::F_SETPIPE_SZ(BUSY_PIPE));
            }
            Some(taken)
        }
        Err(Errno::EAGAIN | Errno::EINTR) => None,
        // No memory for them: they are counted, and the job goes on.
        Err(_) => match splice(&mouth.pipe, None, null, None, most, SpliceFFlags::SPLICE_F_NONBLOCK) {
            Ok(lost) => {
                flow.lose(lost as u64);
                Some(lost)
            }
            Err(Errno::EAGAIN | Errno::EINTR) => None,
            Err(_) => Some(0),
        },
    }
}

fn readable(pipe: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO).is_ok()
        && fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLIN))
}
