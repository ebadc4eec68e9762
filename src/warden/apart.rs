//! Work in a child of its own: what it loads, parses and leaves behind in memory goes with it, and the warden stays small.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::sys::{self, Forked};
use crate::wire::{Link, Received};

/// Longest answer of a child, in bytes.
const ANSWER: u64 = 1 << 20;

/// Starts `work` in a child. Its pid, and the pipe that will bring the answer.
pub fn begin<T: Serialize>(work: impl FnOnce() -> T) -> io::Result<(i32, OwnedFd)> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
    match sys::fork()? {
        Forked::Child => tell(write, &work()),
        Forked::Parent(pid) => Ok((pid, read)),
    }
}

/// The same, in a child that may live long or hang: it keeps none of the warden's descriptors but the standard streams and
/// `keep`, so that no pipe of a run and no lock stays open with it. What it opens comes beside its answer.
pub fn begin_alone<T: Serialize>(
    keep: Option<BorrowedFd<'_>>,
    work: impl FnOnce() -> (T, Option<OwnedFd>),
) -> io::Result<(i32, Link)> {
    let (here, there) = Link::pair()?;
    match sys::fork()? {
        Forked::Child => {
            let kept = [Some(there.as_raw_fd()), keep.map(|keep| keep.as_raw_fd())];
            let listed = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
            let open: Vec<i32> = listed.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
            for fd in open.into_iter().filter(|fd| *fd > 2 && !kept.contains(&Some(*fd))) {
                // The one of the listing is closed already.
                let _ = nix::unistd::close(fd);
            }
            let (answer, opened) = work();
            let opened: Vec<BorrowedFd<'_>> = opened.iter().map(AsFd::as_fd).collect();
            sys::exit_now(i32::from(there.send(&answer, &opened, false).is_err()));
        }
        Forked::Parent(pid) => Ok((pid, here)),
    }
}

/// What such a child has answered, if it has; one that died without a word is an error.
pub fn answer_alone<T: DeserializeOwned>(link: &Link, buffer: &mut Vec<u8>) -> io::Result<(T, Option<OwnedFd>)> {
    match link.receive(false, buffer)? {
        Received::Message(answer, opened) => Ok((answer, opened.into_iter().next())),
        Received::Nothing | Received::Closed => Err(io::Error::other("a child of the daemon died at its work")),
    }
}

/// Hands over the answer and ends.
fn tell<T: Serialize>(pipe: OwnedFd, answer: &T) -> ! {
    let answer = postcard::to_stdvec(answer).unwrap_or_default();
    let told = File::from(pipe).write_all(&answer);
    sys::exit_now(i32::from(told.is_err()));
}

/// The answer of a child, as soon as it has one. A child that died without one is an error.
pub fn answer<T: DeserializeOwned>(pipe: OwnedFd) -> io::Result<T> {
    let mut bytes = Vec::new();
    File::from(pipe).take(ANSWER).read_to_end(&mut bytes)?;
    postcard::from_bytes(&bytes).map_err(|_| io::Error::other("a child of the daemon died at its work"))
}
