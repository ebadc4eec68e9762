//! Opens a file of `conf.d` through the opened directory, so that no name and no link leads out of it.

use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat, openat2};
use nix::sys::stat::{FileStat, Mode, fstat};

use super::names::MAX_FILES;
use super::replace::{Before, remove, replace};
use super::trust::{Keeper, Trust};
use crate::wire::{DirectoryPlace, FilePlace};

/// What was opened.
#[derive(Debug)]
pub struct Opened {
    /// A directory or a file.
    pub file: OwnedFd,
    /// Who besides root had a say in which one it is.
    pub keeper: Keeper,
}

impl From<OwnedFd> for Opened {
    /// Nobody had.
    fn from(file: OwnedFd) -> Opened {
        Opened { file, keeper: Keeper::default() }
    }
}

/// Opens and writes what the engine may not by itself. The engine asks the warden; the command line and tests use [`Path`].
/// Every call may wait for disks.
pub trait Opener {
    /// A directory as it is now.
    fn directory(&self, place: DirectoryPlace) -> io::Result<Opened>;
    /// A file that is there.
    fn file(&self, place: &FilePlace) -> io::Result<Opened>;
    /// Replaces a file as a whole, or makes it, where it is as it was `before`. Done when it answers; on an error the file
    /// is as it was, except that a write that timed out may still come to pass. [`why_not_written`](super::why_not_written) says the error in words.
    fn write(&self, place: &FilePlace, contents: &[u8], before: Before) -> io::Result<()>;
    /// Takes a file away; the rest as [`Self::write`].
    fn remove(&self, place: &FilePlace, before: Before) -> io::Result<()>;
}

/// `conf_d` alone, with the rights of this process.
#[derive(Debug, Clone)]
pub struct Path(pub PathBuf);

impl Opener for Path {
    fn directory(&self, place: DirectoryPlace) -> io::Result<Opened> {
        match place {
            DirectoryPlace::ConfD => {
                let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
                Ok(open(&self.0, flags, Mode::empty())?.into())
            }
            DirectoryPlace::OfJobsConfig => Err(Errno::ENOENT.into()),
        }
    }

    fn file(&self, _place: &FilePlace) -> io::Result<Opened> {
        // Tried before, with the same rights.
        Err(Errno::EACCES.into())
    }

    fn write(&self, place: &FilePlace, contents: &[u8], before: Before) -> io::Result<()> {
        let FilePlace::ConfD(name) = place else { return Err(Errno::ENOENT.into()) };
        let directory = self.directory(DirectoryPlace::ConfD)?.file;
        replace(directory.as_fd(), name, contents, Trust::of_user(), MAX_FILES, before)
    }

    fn remove(&self, place: &FilePlace, before: Before) -> io::Result<()> {
        let FilePlace::ConfD(name) = place else { return Err(Errno::ENOENT.into()) };
        remove(self.directory(DirectoryPlace::ConfD)?.file.as_fd(), name, Trust::of_user(), before)
    }
}

const FLAGS: OFlag = OFlag::O_RDONLY.union(OFlag::O_NONBLOCK).union(OFlag::O_NOCTTY).union(OFlag::O_CLOEXEC);

/// Opens `name` in `directory`. Links inside the directory are followed (Kubernetes mounts files that way), none that
/// leads out; where the kernel cannot promise that, no link at all. Never blocks on a pipe.
pub fn open_in(directory: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, Errno> {
    let how = OpenHow::new().flags(FLAGS).resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    for _ in 0..8 {
        match openat2(directory, name, how) {
            // A rename raced with the way down; the kernel asks to try again.
            Err(Errno::EAGAIN) => continue,
            // An old kernel, or a container's filter that does not know the call.
            Err(Errno::ENOSYS | Errno::EPERM) => {
                return openat(directory, name, FLAGS | OFlag::O_NOFOLLOW, Mode::empty());
            }
            done => return done,
        }
    }
    Err(Errno::EAGAIN)
}

/// Opens an absolute path with the rights of this process, not following a link at its end.
pub fn open_absolute(path: &std::path::Path) -> Result<OwnedFd, Errno> {
    open(path, FLAGS | OFlag::O_NOFOLLOW, Mode::empty())
}

/// The bytes of a file and its state before and after reading. One byte more than `limit` tells that there are more.
pub fn read_all(file: OwnedFd, limit: usize) -> io::Result<(Vec<u8>, FileStat, FileStat)> {
    let stat = fstat(file.as_fd())?;
    let expected = usize::try_from(stat.st_size).unwrap_or(0).min(limit);
    let mut bytes = Vec::with_capacity(expected + 1);
    let mut file = std::fs::File::from(file);
    (&mut file).take(limit as u64 + 1).read_to_end(&mut bytes)?;
    let after = fstat(file.as_fd())?;
    Ok((bytes, stat, after))
}

/// The path by which the watch is put on an opened directory: the process may hold a directory whose path it could not
/// walk itself.
pub fn path_of(directory: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()))
}
