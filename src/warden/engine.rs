//! The engine as the warden sees it: a process that is started, asked whether it is alive, and replaced.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::notify;
use super::sys;
use crate::wire::{self, Link, ToEngine};

/// An engine that lived so long gets its successor at once; one that dies sooner is waited for, longer each time.
const LIVED: Duration = Duration::from_secs(1);
/// The first and the longest wait.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// Time between two questions whether the engine is alive, where no watchdog says otherwise.
const PING: Duration = Duration::from_secs(10);
/// An engine that has not answered for so many intervals is hung.
const PATIENCE: u32 = 2;
/// Time for an engine to write out what it has.
pub const FAREWELL: Duration = Duration::from_secs(5);
/// Messages that wait for a slow engine; with so many nothing more is read from it.
pub const OUTBOX: usize = 20_000;

/// The engine process, or the wait for the next.
pub enum Engine {
    /// None runs.
    Down {
        /// When the next is due.
        next: Instant,
    },
    /// One runs.
    Up(Box<Up>),
}

/// An engine that runs.
pub struct Up {
    /// The process.
    pub pid: i32,
    /// Our end of the socketpair.
    pub link: Link,
    /// What could not be sent yet, in order, with descriptors of its own.
    outbox: VecDeque<(Vec<u8>, Vec<OwnedFd>)>,
    /// It has said Hello in our version.
    pub greeted: bool,
    /// It has closed its end: polled, that would be an event for ever.
    pub mute: bool,
    /// It was asked to go, and is killed then if it has not.
    leaves: Option<Instant>,
    since: Instant,
    count: u64,
    asked: Option<Instant>,
    next: Instant,
}

/// What the clock says about an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulse {
    /// Nothing to do before then.
    Wait(Instant),
    /// Ask now.
    Ask,
    /// It has not answered for too long.
    Hung,
}

impl Up {
    /// An engine that has just been forked.
    pub fn new(pid: i32, link: Link, now: Instant) -> Up {
        Up {
            pid,
            link,
            outbox: VecDeque::new(),
            greeted: false,
            mute: false,
            leaves: None,
            since: now,
            count: 0,
            asked: None,
            next: now + interval(),
        }
    }

    /// Sends a message, or queues it behind those that wait.
    pub fn tell(&mut self, message: &ToEngine, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let packet = encode(message)?;
        if self.outbox.is_empty() {
            match self.link.send_packet(&packet, fds, false) {
                Err(error) if full(&error) => {}
                other => return other,
            }
        }
        let fds = fds.iter().map(BorrowedFd::try_clone_to_owned).collect::<io::Result<_>>()?;
        self.outbox.push_back((packet, fds));
        Ok(())
    }

    /// The same, once it is up. An engine that cannot be told (there are no descriptors left, say) would wait for ever: it
    /// is ended, and its successor told everything anew. One that is already gone is seen by the reaper.
    pub fn tell_or_kill(&mut self, message: &ToEngine, fds: &[BorrowedFd<'_>]) {
        if self.tell(message, fds).is_err_and(|error| error.kind() != io::ErrorKind::BrokenPipe) {
            self.kill();
        }
    }

    /// Sends what waits, as far as there is room.
    pub fn flush(&mut self) -> io::Result<()> {
        while let Some((packet, fds)) = self.outbox.front() {
            let fds: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
            match self.link.send_packet(packet, &fds, false) {
                Err(error) if full(&error) => return Ok(()),
                Err(error) => return Err(error),
                Ok(()) => drop(self.outbox.pop_front()),
            }
        }
        Ok(())
    }

    /// Messages that wait.
    pub fn waiting(&self) -> usize {
        self.outbox.len()
    }

    /// What is due by the clock.
    pub fn pulse(&self, now: Instant) -> Pulse {
        if let Some(leaves) = self.leaves {
            return if now >= leaves { Pulse::Hung } else { Pulse::Wait(leaves) };
        }
        match self.asked {
            Some(asked) if now >= asked + interval() * PATIENCE => Pulse::Hung,
            Some(asked) => Pulse::Wait(asked + interval() * PATIENCE),
            None if now >= self.next => Pulse::Ask,
            None => Pulse::Wait(self.next),
        }
    }

    /// Asks.
    pub fn ask(&mut self, now: Instant) {
        self.count += 1;
        self.asked = Some(now);
        self.tell_or_kill(&ToEngine::Ping { count: self.count }, &[]);
    }

    /// It has answered. `false` for an answer to no question.
    pub fn answered(&mut self, count: u64) -> bool {
        let Some(asked) = self.asked.filter(|_| count == self.count) else { return false };
        self.asked = None;
        self.next = asked + interval();
        true
    }

    /// The warden itself did not run for a while (stopped, suspended): the engine gets its full time again.
    pub fn excuse(&mut self, now: Instant) {
        if let Some(leaves) = &mut self.leaves {
            *leaves = now + FAREWELL;
        }
        if let Some(asked) = &mut self.asked {
            *asked = now;
        }
    }

    /// Asks it to go: it writes out what it has, and its successor is told of everything that goes on.
    pub fn dismiss(&mut self, now: Instant) {
        // What does not go through now is known to the warden, and so to the successor.
        let _ = self.flush();
        self.outbox.clear();
        self.link.close_sending();
        self.leaves = Some(now + FAREWELL);
    }

    /// Whether it was asked to go.
    pub fn dismissed(&self) -> bool {
        self.leaves.is_some()
    }

    /// Ends it. Its death is seen by the reaper like any other.
    pub fn kill(&self) {
        let _ = sys::kill(self.pid, libc::SIGKILL);
    }
}

/// When the engine after this one is due, and how many have now died young in a row.
pub fn successor(up: &Up, young: u32, now: Instant) -> (Instant, u32) {
    if now.duration_since(up.since) >= LIVED {
        return (now, 0);
    }
    // The first to die young may have been shot; its successor comes at once as well.
    let wait = if young == 0 { Duration::ZERO } else { (BACKOFF.0 * 2u32.saturating_pow(young - 1)).min(BACKOFF.1) };
    (now + wait, young + 1)
}

/// Time between two questions: a fifth of the watchdog's time. A hung engine is known after one interval and [`PATIENCE`]
/// more, so that it is replaced well before systemd would end the warden, and all jobs with it.
pub fn interval() -> Duration {
    notify::watchdog().map_or(PING, |time| (time / (PATIENCE + 3)).min(PING))
}

fn encode<M: Serialize>(message: &M) -> io::Result<Vec<u8>> {
    wire::encode(message).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// The socket is full, or too many descriptors are on their way (`ETOOMANYREFS`): it will pass.
fn full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(libc::ETOOMANYREFS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn up(now: Instant) -> (Up, Link) {
        let (ours, theirs) = Link::pair().unwrap();
        (Up::new(1, ours, now), theirs)
    }

    #[test]
    fn h107_an_engine_that_does_not_answer_is_hung_and_a_stopped_warden_excuses_it() {
        let now = Instant::now();
        let (mut engine, _other) = up(now);
        assert_eq!(engine.pulse(now), Pulse::Wait(now + interval()));
        let asked = now + interval();
        assert_eq!(engine.pulse(asked), Pulse::Ask);
        engine.ask(asked);
        assert!(!engine.answered(7), "an answer to no question");
        let late = asked + interval() * PATIENCE;
        assert_eq!(engine.pulse(late), Pulse::Hung);
        engine.excuse(late);
        assert_eq!(engine.pulse(late), Pulse::Wait(late + interval() * PATIENCE));
        assert!(engine.answered(1));
        assert!(matches!(engine.pulse(late), Pulse::Wait(_)));
    }

    #[test]
    fn h107_an_engine_that_cannot_be_told_is_replaced_and_one_that_is_gone_is_left_to_the_reaper() {
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let (ours, other) = Link::pair().unwrap();
        let mut engine = Up::new(child.id().cast_signed(), ours, Instant::now());
        drop(other);
        engine.tell_or_kill(&ToEngine::Reload, &[]);
        assert!(child.try_wait().unwrap().is_none());
        // Whatever keeps a message from being sent: here it is too long.
        let adopt = wire::Adopt {
            run: wire::RunId(1),
            context: vec![0; wire::MAX_MESSAGE],
            state: wire::AdoptState::Starting,
            spools: Vec::new(),
        };
        engine.tell_or_kill(&ToEngine::Adopt(Box::new(adopt)), &[]);
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&child.wait().unwrap()), Some(libc::SIGKILL));
    }

    #[test]
    fn engines_that_die_young_are_waited_for() {
        let now = Instant::now();
        let (engine, _other) = up(now);
        let (mut young, mut waits) = (0, Vec::new());
        for _ in 0..12 {
            let (next, count) = successor(&engine, young, now);
            young = count;
            waits.push(next - now);
        }
        assert_eq!(waits[0], Duration::ZERO);
        assert!(waits.is_sorted() && waits[1] > Duration::ZERO && waits[11] == BACKOFF.1);
        assert_eq!(successor(&engine, young, now + LIVED), (now + LIVED, 0));
    }

    #[test]
    fn what_a_full_socket_does_not_take_comes_later_in_order() {
        let (mut engine, other) = up(Instant::now());
        for count in 0..3000 {
            engine.tell(&ToEngine::Ping { count }, &[]).unwrap();
        }
        assert!(engine.waiting() > 0, "the socket took everything: the test proves nothing");
        let (mut buffer, mut seen) = (Vec::new(), 0);
        while seen < 3000 {
            match other.receive::<ToEngine>(false, &mut buffer).unwrap() {
                wire::Received::Message(ToEngine::Ping { count }, _) => {
                    assert_eq!(count, seen);
                    seen += 1;
                }
                wire::Received::Nothing => engine.flush().unwrap(),
                unexpected => panic!("{unexpected:?}"),
            }
        }
    }
}
