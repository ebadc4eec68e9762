//! The TCP port of the HTTP endpoint, on 127.0.0.1 and nowhere else. The warden keeps it, so that connections wait while an
//! engine is replaced. Jobs do not need it: where somebody else has it, that is said, and it is tried for until it is free.

use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::sys::socket::{Backlog, listen};

use super::say::{Level, Voice};

/// Time between two attempts.
const AGAIN: Duration = Duration::from_secs(5);

/// The port, had or wanted.
pub enum Port {
    /// rotad.yaml wants none.
    None,
    /// Not had yet.
    Wanted {
        /// Which.
        number: u16,
        /// When to try; absent before the first attempt.
        due: Option<Instant>,
        /// Nobody has asked for it: the daemon was started without a configuration.
        first_look: bool,
    },
    /// Had.
    Open(TcpListener),
}

impl Port {
    /// The port of a configuration; nothing is opened yet.
    pub fn new(number: u16, first_look: bool) -> Port {
        if number == 0 { Port::None } else { Port::Wanted { number, due: None, first_look } }
    }

    /// Opens it if that is due. `true`: it was opened just now.
    pub fn open(&mut self, now: Instant, voice: Voice) -> bool {
        let Port::Wanted { number, due, first_look } = *self else { return false };
        if due.is_some_and(|due| now < due) {
            return false;
        }
        let opened = TcpListener::bind((Ipv4Addr::LOCALHOST, number)).and_then(|listener| {
            // As long a queue as the system allows: connections wait in it while an engine is replaced.
            listen(&listener, Backlog::MAXALLOWABLE)?;
            Ok(listener)
        });
        match opened {
            Ok(listener) => {
                if due.is_some() {
                    voice.say(Level::Info, format_args!("127.0.0.1:{number} is free now: the HTTP endpoint has it"));
                }
                *self = Port::Open(listener);
                true
            }
            Err(error) => {
                if due.is_none() {
                    let level = if first_look { Level::Info } else { Level::Error };
                    voice.say(
                        level,
                        format_args!(
                            "127.0.0.1:{number}: {error}: jobs run, HTTP is on the unix socket only until the port is free \
                             (hint: ss -ltnp 'sport = :{number}' shows who has it; port in rotad.yaml names another, 0 none)"
                        ),
                    );
                }
                *self = Port::Wanted { number, due: Some(now + AGAIN), first_look };
                false
            }
        }
    }

    /// When to try again.
    pub fn due(&self) -> Option<Instant> {
        match self {
            Port::Wanted { due, .. } => *due,
            Port::None | Port::Open(_) => None,
        }
    }

    /// The listening socket.
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Port::Open(listener) => Some(listener.as_fd()),
            Port::None | Port::Wanted { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g102_a_port_that_somebody_has_is_taken_once_it_is_free() {
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let number = other.local_addr().unwrap().port();
        let (now, voice) = (Instant::now(), Voice::new());
        let mut port = Port::new(number, true);
        assert!(!port.open(now, voice) && port.socket().is_none());
        assert_eq!(port.due(), Some(now + AGAIN));
        drop(other);
        assert!(!port.open(now, voice), "not before it is due");
        assert!(port.open(now + AGAIN, voice) && port.socket().is_some());
        assert!(!port.open(now + AGAIN, voice), "once");
        assert_eq!(port.due(), None);
    }

    #[test]
    fn port_0_is_none() {
        let mut port = Port::new(0, false);
        assert!(!port.open(Instant::now(), Voice::new()) && port.socket().is_none() && port.due().is_none());
    }
}
