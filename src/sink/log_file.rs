//! One job's log file: opened so that nobody can lay another file under it (fault E79), grown by whole batches, rotated by
//! renaming.
//!
//! The directory is opened once and every name is looked up in it, never by path. A file is taken only if it is a regular
//! file of the engine's own user with a single name; what else stands there is left alone, and the lines are dropped.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};
use nix::sys::uio::pread;
use nix::unistd::{UnlinkatFlags, ftruncate, geteuid, unlinkat};

/// An open log file.
pub struct LogFile {
    fd: OwnedFd,
    name: String,
    device: u64,
    inode: u64,
}

/// Why a log file cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The name leads to something that is no regular file.
    Kind,
    /// The file has more names than this one.
    Linked,
    /// The file belongs to somebody else.
    Owner(u32),
    /// The system says no.
    Errno(Errno),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind => write!(f, "it is no regular file"),
            Self::Linked => write!(f, "it has a second name (hard link)"),
            Self::Owner(uid) => write!(f, "it belongs to uid {uid}"),
            Self::Errno(Errno::ELOOP) => write!(f, "it is a symbolic link"),
            Self::Errno(errno) => write!(f, "{}", errno.desc()),
        }
    }
}

impl From<Errno> for Refused {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl LogFile {
    /// Opens `name` in `dir`; makes it when there is none and `create` says so.
    pub fn open(dir: BorrowedFd<'_>, name: String, create: bool) -> Result<LogFile, Refused> {
        // O_NONBLOCK: a FIFO must not hold us up before it is refused.
        let mut flags = OFlag::O_RDWR | OFlag::O_APPEND | OFlag::O_NOFOLLOW;
        flags |= OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        flags.set(OFlag::O_CREAT, create);
        let mode = Mode::S_IRUSR | Mode::S_IWUSR | Mode::S_IRGRP;
        let fd = openat(dir, name.as_str(), flags, mode)?;
        let stat = fstat(&fd)?;
        if stat.st_mode & SFlag::S_IFMT.bits() != SFlag::S_IFREG.bits() {
            return Err(Refused::Kind);
        }
        if stat.st_nlink != 1 {
            return Err(Refused::Linked);
        }
        if stat.st_uid != geteuid().as_raw() {
            return Err(Refused::Owner(stat.st_uid));
        }
        Ok(LogFile { fd, name, device: stat.st_dev, inode: stat.st_ino })
    }

    /// Device and inode.
    pub fn identity(&self) -> (u64, u64) {
        (self.device, self.inode)
    }

    /// Its size; `None` when the name no longer leads to it: somebody has moved or removed it.
    pub fn size(&self, dir: BorrowedFd<'_>) -> Option<u64> {
        let stat: FileStat = fstatat(dir, self.name.as_str(), AtFlags::AT_SYMLINK_NOFOLLOW).ok()?;
        let same = (stat.st_dev, stat.st_ino) == (self.device, self.inode);
        same.then(|| u64::try_from(stat.st_size).unwrap_or(0))
    }

    /// Its size, whatever name it has.
    pub fn own_size(&self) -> Result<u64, Errno> {
        Ok(u64::try_from(fstat(&self.fd)?.st_size).unwrap_or(0))
    }

    /// Appends all of `text`, or nothing: what was written before it failed is taken back.
    pub fn append(&self, offset: u64, text: &[u8]) -> Result<(), Errno> {
        let mut done = 0;
        while done < text.len() {
            match nix::unistd::write(&self.fd, &text[done..]) {
                Ok(count) => done += count,
                Err(Errno::EINTR) => {}
                Err(errno) => {
                    self.cut(offset)?;
                    return Err(errno);
                }
            }
        }
        Ok(())
    }

    /// Takes back what is beyond `size`.
    pub fn cut(&self, size: u64) -> Result<(), Errno> {
        ftruncate(&self.fd, size as i64)
    }

    /// Ends a last line that has no newline: a note that a kill cut, or somebody else's bytes.
    pub fn mend(&self) -> Result<(), Errno> {
        let size = self.own_size()?;
        let mut last = [b'\n'];
        if size > 0 {
            pread(&self.fd, &mut last, size as i64 - 1)?;
        }
        if last == *b"\n" { Ok(()) } else { self.append(size, b"\n") }
    }
}

impl AsFd for LogFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Makes room for a new `name`: it becomes `name.1`, that `name.2`, and so on; `name.keep` goes. With `keep` 0 it goes itself.
pub fn rotate(dir: BorrowedFd<'_>, name: &str, keep: u32) -> Result<(), Errno> {
    let numbered = |number: u32| if number == 0 { name.to_owned() } else { format!("{name}.{number}") };
    if keep == 0 {
        return unlinkat(dir, name, UnlinkatFlags::NoRemoveDir);
    }
    // From the first free number downwards, so that a gap in the row is filled and nothing newer is lost for it.
    let there = |number: &u32| fstatat(dir, numbered(*number).as_str(), AtFlags::AT_SYMLINK_NOFOLLOW).is_ok();
    let last = (1..keep).find(|number| !there(number)).unwrap_or(keep);
    for number in (0..last).rev() {
        renameat(dir, numbered(number).as_str(), dir, numbered(number + 1).as_str())?;
    }
    Ok(())
}

/// The directory of log files, made when there is none.
pub fn open_dir(path: &std::path::Path) -> io::Result<OwnedFd> {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    let open = || {
        let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        std::fs::OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)
    };
    match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            std::fs::DirBuilder::new().recursive(true).mode(0o750).create(path)?;
            open().map(OwnedFd::from)
        }
        other => other.map(OwnedFd::from),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn place() -> (tempfile::TempDir, OwnedFd) {
        let dir = tempfile::tempdir().unwrap();
        let fd = open_dir(dir.path()).unwrap();
        (dir, fd)
    }

    #[test]
    fn e79_only_a_plain_file_of_our_own_is_written_to() {
        let (dir, fd) = place();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("victim"), "precious").unwrap();
        std::os::unix::fs::symlink(at("victim"), at("link.log")).unwrap();
        fs::hard_link(at("victim"), at("hard.log")).unwrap();
        nix::unistd::mkfifo(&at("fifo.log"), Mode::S_IRWXU).unwrap();
        fs::create_dir(at("dir.log")).unwrap();
        for (name, why) in [
            ("link.log", Refused::Errno(Errno::ELOOP)),
            ("hard.log", Refused::Linked),
            ("fifo.log", Refused::Kind),
            ("dir.log", Refused::Errno(Errno::EISDIR)),
        ] {
            assert_eq!(LogFile::open(fd.as_fd(), name.into(), true).err(), Some(why), "{name}");
        }
        if geteuid().is_root() {
            fs::write(at("other.log"), "").unwrap();
            std::os::unix::fs::chown(at("other.log"), Some(65534), None).unwrap();
            assert_eq!(LogFile::open(fd.as_fd(), "other.log".into(), true).err(), Some(Refused::Owner(65534)));
        }
        assert_eq!(fs::read(at("victim")).unwrap(), b"precious");
    }

    #[test]
    fn e81_e82_rotation_keeps_so_many_and_fills_gaps() {
        let (dir, fd) = place();
        let at = |name: &str| dir.path().join(name);
        for round in 1..=4 {
            fs::write(at("x.log"), round.to_string()).unwrap();
            rotate(fd.as_fd(), "x.log", 2).unwrap();
        }
        assert_eq!(fs::read(at("x.log.1")).unwrap(), b"4");
        assert_eq!(fs::read(at("x.log.2")).unwrap(), b"3");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        fs::remove_file(at("x.log.1")).unwrap();
        fs::write(at("x.log"), "5").unwrap();
        rotate(fd.as_fd(), "x.log", 2).unwrap();
        assert_eq!(fs::read(at("x.log.1")).unwrap(), b"5");
        assert_eq!(fs::read(at("x.log.2")).unwrap(), b"3");
        fs::write(at("x.log"), "6").unwrap();
        rotate(fd.as_fd(), "x.log", 0).unwrap();
        assert!(!at("x.log").exists());
    }

    #[test]
    fn a_torn_last_line_is_ended() {
        let (dir, fd) = place();
        fs::write(dir.path().join("x.log"), "whole\ntorn").unwrap();
        let file = LogFile::open(fd.as_fd(), "x.log".into(), false).unwrap();
        file.mend().unwrap();
        file.mend().unwrap();
        assert_eq!(fs::read(dir.path().join("x.log")).unwrap(), b"whole\ntorn\n");
    }
}
