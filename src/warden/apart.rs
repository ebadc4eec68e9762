//! Work in a child of its own: what it loads, parses and leaves behind in memory goes with it, and the warden stays small.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::sys::{self, Forked};

/// Longest answer of a child, in bytes.
const ANSWER: u64 = 1 << 20;

/// Starts `work` in a child. Its pid, and the pipe that will bring the answer.
pub fn begin<T: Serialize>(work: impl FnOnce() -> T) -> io::Result<(i32, OwnedFd)> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
    match sys::fork()? {
        Forked::Child => {
            let answer = postcard::to_stdvec(&work()).unwrap_or_default();
            let told = File::from(write).write_all(&answer);
            sys::exit_now(i32::from(told.is_err()));
        }
        Forked::Parent(pid) => Ok((pid, read)),
    }
}

/// The answer of a child, as soon as it has one. A child that died without one is an error.
pub fn answer<T: DeserializeOwned>(pipe: OwnedFd) -> io::Result<T> {
    let mut bytes = Vec::new();
    File::from(pipe).take(ANSWER).read_to_end(&mut bytes)?;
    postcard::from_bytes(&bytes).map_err(|_| io::Error::other("a child of the daemon died at its work"))
}
