//! What goes to the warden: in order, and never waited for.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use crate::wire::{Link, ToWarden, encode};

/// Messages that may wait. More means that the warden has not read for very long: the engine gives up, and the next one
/// starts from what the warden has.
const MOST: usize = 64 << 10;

/// Messages on their way.
pub struct Outbox {
    link: Arc<Link>,
    waiting: VecDeque<(Vec<u8>, Option<OwnedFd>)>,
}

impl Outbox {
    /// Into this link.
    pub fn new(link: Arc<Link>) -> Self {
        Self { link, waiting: VecDeque::new() }
    }

    /// Sends a message, with a descriptor beside it where there is one, behind those that wait.
    pub fn send(&mut self, message: &ToWarden, beside: Option<OwnedFd>) -> io::Result<()> {
        let packet = encode(message).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        if self.waiting.len() >= MOST {
            return Err(io::Error::other("the warden does not take messages"));
        }
        self.waiting.push_back((packet, beside));
        self.flush()
    }

    /// Sends what there is room for.
    pub fn flush(&mut self) -> io::Result<()> {
        while let Some((packet, beside)) = self.waiting.front() {
            let fds: Vec<BorrowedFd<'_>> = beside.iter().map(AsFd::as_fd).collect();
            match self.link.send_packet(packet, &fds, false) {
                Ok(()) => drop(self.waiting.pop_front()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Messages that wait for room.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether messages wait for room.
    pub fn is_full(&self) -> bool {
        !self.waiting.is_empty()
    }
}
