//! One end of the socketpair: whole messages in and out, with their file descriptors.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, sendmsg, setsockopt, socketpair, sockopt,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::warden::sys;

use super::{BadMessage, MAX_MESSAGE, decode, encode};

/// One end of the socketpair between warden and engine. The descriptor itself blocks; each call says whether it waits.
#[derive(Debug)]
pub struct Link {
    socket: OwnedFd,
}

/// What [`Link::receive`] brings.
#[derive(Debug)]
pub enum Received<M> {
    /// A message and the descriptors beside it.
    Message(M, Vec<OwnedFd>),
    /// Nothing now (only when not waiting).
    Nothing,
    /// The other end is gone.
    Closed,
}

impl Link {
    /// Both ends, close-on-exec.
    pub fn pair() -> io::Result<(Link, Link)> {
        let (one, other) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
        for end in [&one, &other] {
            // Room for some plans on their way; the kernel takes what its limit allows.
            setsockopt(end, sockopt::SndBuf, &(1 << 20))?;
        }
        Ok((Link { socket: one }, Link { socket: other }))
    }

    /// An end that was inherited.
    pub fn from_socket(socket: OwnedFd) -> Link {
        Link { socket }
    }

    /// The descriptor alone, to be inherited.
    pub fn into_socket(self) -> OwnedFd {
        self.socket
    }

    /// Nothing more will be sent: the other end sees [`Received::Closed`] after what is on its way.
    pub fn close_sending(&self) {
        // A link whose other end is gone needs no farewell.
        let _ = nix::sys::socket::shutdown(self.socket.as_raw_fd(), nix::sys::socket::Shutdown::Write);
    }

    /// Sends one message. With `wait` false a full socket answers [`io::ErrorKind::WouldBlock`] and nothing was sent.
    pub fn send<M: Serialize>(&self, message: &M, fds: &[BorrowedFd<'_>], wait: bool) -> io::Result<()> {
        let packet = encode(message).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        self.send_packet(&packet, fds, wait)
    }

    /// Sends what [`encode`] made.
    pub fn send_packet(&self, packet: &[u8], fds: &[BorrowedFd<'_>], wait: bool) -> io::Result<()> {
        let raw: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&raw)];
        let control: &[ControlMessage<'_>] = if raw.is_empty() { &[] } else { &rights };
        let mut flags = MsgFlags::MSG_NOSIGNAL;
        if !wait {
            flags |= MsgFlags::MSG_DONTWAIT;
        }
        loop {
            match sendmsg::<()>(self.socket.as_raw_fd(), &[IoSlice::new(packet)], control, flags, None) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Receives one message. A packet that is cut, or that is no message, is an error of kind
    /// [`io::ErrorKind::InvalidData`]; its descriptors are closed.
    pub fn receive<M: DeserializeOwned>(&self, wait: bool, buffer: &mut Vec<u8>) -> io::Result<Received<M>> {
        if buffer.len() != MAX_MESSAGE {
            // Fresh from the system: pages that no message reaches are never touched, and weigh nothing.
            *buffer = vec![0; MAX_MESSAGE];
        }
        let (length, cut, fds) = loop {
            match sys::receive(self.socket.as_fd(), buffer, wait) {
                Ok(packet) => break packet,
                // Told once, when the other end has gone without hearing us out. What it said before is still to come.
                Err(Errno::EINTR | Errno::ECONNRESET) => continue,
                Err(Errno::EAGAIN) => return Ok(Received::Nothing),
                Err(errno) => return Err(errno.into()),
            }
        };
        if length == 0 {
            return Ok(Received::Closed);
        }
        let bad = |error: BadMessage| io::Error::new(io::ErrorKind::InvalidData, error);
        if cut {
            return Err(bad(BadMessage("longer than a message".into())));
        }
        decode(&buffer[..length]).map(|message| Received::Message(message, fds)).map_err(bad)
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Link {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ToWarden;

    #[test]
    fn messages_and_descriptors_arrive_whole_and_in_order() {
        let (one, other) = Link::pair().unwrap();
        let mut buffer = Vec::new();
        one.send(&ToWarden::Pong { count: 1 }, &[], true).unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        one.send(&ToWarden::Ready, &[file.as_fd(), file.as_fd()], true).unwrap();
        match other.receive::<ToWarden>(true, &mut buffer).unwrap() {
            Received::Message(ToWarden::Pong { count: 1 }, fds) => assert!(fds.is_empty()),
            unexpected => panic!("{unexpected:?}"),
        }
        match other.receive::<ToWarden>(false, &mut buffer).unwrap() {
            Received::Message(ToWarden::Ready, fds) => assert_eq!(fds.len(), 2),
            unexpected => panic!("{unexpected:?}"),
        }
        assert!(matches!(other.receive::<ToWarden>(false, &mut buffer).unwrap(), Received::Nothing));
        drop(one);
        assert!(matches!(other.receive::<ToWarden>(false, &mut buffer).unwrap(), Received::Closed));
    }

    #[test]
    fn the_longest_message_passes_and_a_longer_one_is_refused_by_both_ends() {
        let (one, other) = Link::pair().unwrap();
        let mut buffer = Vec::new();
        let long = ToWarden::Mark { mark: vec![7; MAX_MESSAGE - 16] };
        one.send(&long, &[], true).unwrap();
        assert!(
            matches!(other.receive::<ToWarden>(true, &mut buffer).unwrap(), Received::Message(message, _) if message == long)
        );
        one.send_packet(&vec![0; MAX_MESSAGE + 1], &[], true).unwrap();
        assert_eq!(other.receive::<ToWarden>(true, &mut buffer).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
    #[test]
    fn what_was_said_before_a_death_is_heard_also_when_the_dead_had_not_listened() {
        let (one, other) = Link::pair().unwrap();
        let mut buffer = Vec::new();
        one.send(&ToWarden::Ready, &[], true).unwrap();
        for count in 0..3 {
            other.send(&ToWarden::Pong { count }, &[], true).unwrap();
        }
        drop(other);
        for expected in 0..3 {
            match one.receive::<ToWarden>(false, &mut buffer).unwrap() {
                Received::Message(ToWarden::Pong { count }, _) => assert_eq!(count, expected),
                unexpected => panic!("{unexpected:?}"),
            }
        }
        assert!(matches!(one.receive::<ToWarden>(false, &mut buffer).unwrap(), Received::Closed));
    }

    #[test]
    fn descriptors_of_a_refused_packet_are_closed() {
        let (one, other) = Link::pair().unwrap();
        let (pipe, end) = nix::unistd::pipe().unwrap();
        let end = std::fs::File::from(end);
        one.send(&ToWarden::Ready, &[end.as_fd(); crate::wire::MAX_FDS + 1], true).unwrap();
        one.send_packet(&[250], &[end.as_fd()], true).unwrap();
        drop(end);
        for _ in 0..2 {
            assert!(other.receive::<ToWarden>(true, &mut Vec::new()).is_err());
        }
        // Nobody holds the other end of the pipe any more: end of file, not a wait.
        let mut fds = [nix::poll::PollFd::new(pipe.as_fd(), nix::poll::PollFlags::POLLIN)];
        nix::poll::poll(&mut fds, nix::poll::PollTimeout::ZERO).unwrap();
        assert_eq!(fds[0].revents(), Some(nix::poll::PollFlags::POLLHUP));
    }
}
