//! Files that the engine has changed: written by a child, one at a time, because a disk may take its time or never answer.

use std::os::fd::OwnedFd;

use super::serve::Warden;
use crate::wire::{FilePlace, ToEngine};

impl Warden {
    /// Has a file written, or taken away where there are no contents.
    pub(super) fn write(&mut self, request: u32, place: FilePlace, contents: Option<OwnedFd>) {
        let _ = (place, contents);
        self.tell(&ToEngine::NotWritten { request, errno: libc::ENOSYS }, &[]);
    }
}
