//! Whose socket is at the other end of a TCP connection of this machine, by the kernel's own tables.
//!
//! # Why the answer is about *this* connection
//! The kernel is asked for the socket whose addresses are ours, mirrored. Four things could go wrong:
//! - The peer has closed. What is left of its socket (`TIME_WAIT`, an orphan in `FIN_WAIT`) belongs to nobody, and the
//!   kernel then shows uid 0. Such rows have no inode: **without an inode there is no owner**.
//! - The peer has reset the connection, and somebody else has been given its port since: a new connection, a new owner,
//!   the same addresses. So the question is asked first and *then* our own end is looked at: a reset would show there
//!   for good. While our end lives, its mirrored addresses cannot belong to any other connected socket: what another
//!   one sends to connect reaches our end, and is refused.
//! - The kernel finds a listener where there is no connection: the state is looked at, and the addresses it answers with.
//! - The peer is in another network namespace: then it has no 127.0.0.1 in common with us.
//!
//! The owner is who *made* the socket (or was given it by `fchown`, which takes root). A program that hands an open
//! connection to another user's program hands over its rights, and so does a set-uid program's open socket.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recvfrom, sendto, socket,
};

/// The kernel's tables of TCP sockets.
pub struct Owners {
    /// Asked by address. Where there is no such interface, the whole table is read instead.
    netlink: Option<OwnedFd>,
    sequence: u32,
}

/// A socket, as a table has it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    local: SocketAddrV4,
    remote: SocketAddrV4,
    state: u8,
    uid: u32,
    inode: u64,
}

/// States in which a process holds a socket that was connected by it: `ESTABLISHED`, `FIN_WAIT1`, `FIN_WAIT2` (it only
/// listens).
const HELD: [u8; 3] = [1, 4, 5];
/// `SOCK_DIAG_BY_FAMILY` of linux/sock_diag.h.
const BY_FAMILY: u16 = 20;
/// Length of a netlink header.
const HEADER: usize = 16;
/// Length of the question that follows it (`inet_diag_req_v2`).
const QUESTION: usize = 56;
/// Length of the answer (`inet_diag_msg`).
const ANSWER: usize = 72;

impl Owners {
    /// Opens the way to the kernel.
    pub fn open() -> Self {
        let (family, kind) = (AddressFamily::Netlink, SockType::Datagram);
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let netlink = socket(family, kind, flags, SockProtocol::NetlinkSockDiag);
        if let Err(errno) = &netlink {
            tracing::warn!(%errno, "no sock_diag: TCP peers are looked up in /proc/net, which is slower");
        }
        Self { netlink: netlink.ok(), sequence: 0 }
    }

    /// The user at the other end of `ours`, which is connected from `local` to `peer`. `None`: nobody that is known.
    pub fn of(&mut self, ours: &impl AsFd, local: SocketAddrV4, peer: SocketAddrV4) -> Option<u32> {
        let row = match self.ask(local, peer) {
            Some(Ok(row)) => row,
            Some(Err(error)) => {
                tracing::debug!(%error, "sock_diag");
                None
            }
            None => in_proc(local, peer),
        };
        // In this order: see above.
        row.and_then(|row| row.owner(local, peer)).filter(|_| is_connected(ours))
    }

    /// Asks by netlink. `None`: that is not to be had.
    fn ask(&mut self, local: SocketAddrV4, peer: SocketAddrV4) -> Option<io::Result<Option<Row>>> {
        let netlink = self.netlink.as_ref()?;
        self.sequence = self.sequence.wrapping_add(1);
        let answer = exchange(netlink, self.sequence, local, peer);
        if answer.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock) {
            // A kernel without this family, or a filter: no other question will fare better.
            self.netlink = None;
            return None;
        }
        Some(answer)
    }
}

/// One question and its answer. The kernel answers within the call that asks.
fn exchange(netlink: &OwnedFd, sequence: u32, local: SocketAddrV4, peer: SocketAddrV4) -> io::Result<Option<Row>> {
    let question = question(sequence, local, peer);
    sendto(netlink.as_raw_fd(), &question, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    let mut buffer = [0; 512];
    loop {
        let (length, from) = recvfrom::<NetlinkAddr>(netlink.as_raw_fd(), &mut buffer)?;
        let answer = &buffer[..length];
        // Of the kernel, and to this question.
        if from.is_some_and(|from| from.pid() == 0) && number(answer, 8) == Some(sequence) {
            return answer_of(answer);
        }
    }
}

fn question(sequence: u32, local: SocketAddrV4, peer: SocketAddrV4) -> Vec<u8> {
    let length = (HEADER + QUESTION) as u32;
    let mut bytes = Vec::with_capacity(HEADER + QUESTION);
    bytes.extend(length.to_ne_bytes());
    bytes.extend(BY_FAMILY.to_ne_bytes());
    bytes.extend((libc::NLM_F_REQUEST as u16).to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend(0u32.to_ne_bytes());
    // An IPv6 socket that speaks IPv4 is found as what it speaks.
    bytes.extend([libc::AF_INET as u8, libc::IPPROTO_TCP as u8, 0, 0]);
    bytes.extend(u32::MAX.to_ne_bytes());
    bytes.extend(peer.port().to_be_bytes());
    bytes.extend(local.port().to_be_bytes());
    for address in [peer.ip(), local.ip()] {
        bytes.extend(address.octets());
        bytes.extend([0; 12]);
    }
    // Any interface; no cookie.
    bytes.extend(0u32.to_ne_bytes());
    bytes.extend([0xff; 8]);
    bytes
}

fn answer_of(bytes: &[u8]) -> io::Result<Option<Row>> {
    let malformed = || io::Error::from(io::ErrorKind::InvalidData);
    let kind = bytes.get(4..6).and_then(|kind| Some(u16::from_ne_bytes(kind.try_into().ok()?)));
    if kind == Some(libc::NLMSG_ERROR as u16) {
        let errno = number(bytes, HEADER).ok_or_else(malformed)?.cast_signed().wrapping_neg();
        return if errno == libc::ENOENT { Ok(None) } else { Err(io::Error::from_raw_os_error(errno)) };
    }
    if kind != Some(BY_FAMILY) || bytes.len() < HEADER + ANSWER {
        return Err(malformed());
    }
    let row = &bytes[HEADER..];
    let port = |at: usize| u16::from_be_bytes([row[at], row[at + 1]]);
    let address = |at: usize| {
        let bytes: [u8; 16] = row[at..at + 16].try_into().map_err(|_| malformed())?;
        match i32::from(row[0]) {
            libc::AF_INET => Ok(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3])),
            // An IPv6 socket that speaks IPv4.
            _ => Ipv6Addr::from(bytes).to_ipv4_mapped().ok_or_else(malformed),
        }
    };
    Ok(Some(Row {
        local: SocketAddrV4::new(address(8)?, port(4)),
        remote: SocketAddrV4::new(address(24)?, port(6)),
        state: row[1],
        uid: number(row, 64).ok_or_else(malformed)?,
        inode: number(row, 68).ok_or_else(malformed)?.into(),
    }))
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// The same from the tables as text.
fn in_proc(local: SocketAddrV4, peer: SocketAddrV4) -> Option<Row> {
    // IPv6 sockets that speak IPv4 are in the other one.
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| {
        let text = fs::read_to_string(table).ok()?;
        // Several can have the addresses: what is left of closed ones, and one that is connected.
        text.lines().filter_map(row).find(|row| row.owner(local, peer).is_some())
    })
}

/// `sl local_address rem_address st tx:rx tr:tm retrnsmt uid timeout inode`
fn row(line: &str) -> Option<Row> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    Some(Row {
        local: address(fields.get(1)?)?,
        remote: address(fields.get(2)?)?,
        state: u8::from_str_radix(fields.get(3)?, 16).ok()?,
        uid: fields.get(7)?.parse().ok()?,
        inode: fields.get(9)?.parse().ok()?,
    })
}

/// `0100007F:270F`: words in the machine's order, the port as a number.
fn address(text: &str) -> Option<SocketAddrV4> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| Some(u32::from_str_radix(address.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    let ip = match address.len() {
        8 => Ipv4Addr::from(word(0)?),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?].concat();
            Ipv6Addr::from(<[u8; 16]>::try_from(words).ok()?).to_ipv4_mapped()?
        }
        _ => return None,
    };
    Some(SocketAddrV4::new(ip, port))
}

impl Row {
    /// Who holds it, when it is the mirror of our end and held by anybody.
    fn owner(&self, local: SocketAddrV4, peer: SocketAddrV4) -> Option<u32> {
        let mirrored = (self.local, self.remote) == (peer, local);
        (mirrored && self.inode != 0 && HELD.contains(&self.state)).then_some(self.uid)
    }
}

/// Whether our end still is what it was when it was accepted. (A peer that only has stopped sending is still there.)
pub fn is_connected(ours: &impl AsFd) -> bool {
    let mut fds = [PollFd::new(ours.as_fd(), PollFlags::empty())];
    poll(&mut fds, PollTimeout::ZERO).is_ok() && fds[0].any() == Some(false)
}

#[cfg(test)]
mod tests;
