//! Replaces a file as a whole: whatever is killed at whatever moment, the name stands for the old contents or for the new
//! ones. The old file's owner and mode stay; its access lists and attributes, and other names it has, do not go along.
//!
//! Where somebody else has changed the file meanwhile, it is theirs that stays ([`Before`]).
//!
//! Only in a directory that nobody else may write to, and never by way of a link: a link in `conf.d` was put there by
//! somebody who keeps the file elsewhere. Followed, the write would land outside; replaced by a file, it would cut them off
//! without a word. So it is refused.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, RenameFlags, openat, renameat, renameat2};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, fstatat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, fsync, geteuid, unlinkat};
use serde::{Deserialize, Serialize};

use super::fetch::Stamp;
use super::names::is_job_file;
use super::trust::{Trust, What};

/// What the names of half-written files begin with; the number of the writing process follows.
const HALF: &str = ".rotad-";
/// Mode of a new file.
const NEW: u32 = 0o644;

/// What must stand under the name until it is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Before {
    /// Whatever there is.
    Any,
    /// Nothing.
    Nothing,
    /// This very file, unchanged.
    This(Stamp),
}

impl Before {
    fn holds(self, found: Option<&FileStat>) -> io::Result<()> {
        let same = match (self, found) {
            (Before::Any, _) | (Before::Nothing, None) => true,
            (Before::This(stamp), Some(found)) => stamp == Stamp::of(found),
            _ => false,
        };
        if same { Ok(()) } else { Err(Errno::ESTALE.into()) }
    }
}

/// Replaces `name`, or makes it where there are fewer than `most` job files. Waits for the disk.
///
/// Errors: `EPERM` directory or file is not trusted; `ELOOP` a link; `EISDIR`, `EINVAL` no regular file, or no name;
/// `EDQUOT` too many files; `ESTALE` it is not as it was before; and what the calls say. The file is as it was then, unless the very last step failed: the new
/// name is in place but the directory could not be synced.
pub fn replace(
    directory: BorrowedFd<'_>,
    name: &str,
    contents: &[u8],
    trust: Trust,
    most: usize,
    before: Before,
) -> io::Result<()> {
    let old = look(directory, name, trust)?;
    if let Some(old) = &old {
        trust.judge(What::File, old).map_err(|_| Errno::EPERM)?;
    }
    before.holds(old.as_ref())?;
    if tidy(directory)? >= most && old.is_none() {
        return Err(Errno::EDQUOT.into());
    }
    let half = format!("{HALF}{}", std::process::id());
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let file = openat(directory, half.as_str(), flags, Mode::from_bits_truncate(0o600))?;
    let done = fill(file, contents, old.as_ref()).and_then(|()| put(directory, &half, name, old.as_ref(), before));
    if done.is_err() {
        // What cannot be taken away now is taken away by the next write.
        let _ = unlinkat(directory, half.as_str(), UnlinkatFlags::NoRemoveDir);
    }
    done.and_then(|()| Ok(fsync(directory)?))
}

/// Takes a file away: a regular one. Errors as of [`replace`].
pub fn remove(directory: BorrowedFd<'_>, name: &str, trust: Trust, before: Before) -> io::Result<()> {
    let old = look(directory, name, trust)?.ok_or(Errno::ENOENT)?;
    before.holds(Some(&old))?;
    unlinkat(directory, name, UnlinkatFlags::NoRemoveDir)?;
    Ok(fsync(directory)?)
}

/// Gives the half its name. Between a look at the name and a rename there is a moment in which somebody else's rename would
/// be undone; so the two files change places, and where it is not the expected one that came out, they change back.
fn put(directory: BorrowedFd<'_>, half: &str, name: &str, old: Option<&FileStat>, before: Before) -> io::Result<()> {
    let stat = |name: &str| match fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Err(Errno::ENOENT) => Ok(None),
        found => found.map(Some),
    };
    if before == Before::Any {
        return Ok(renameat(directory, half, directory, name)?);
    }
    before.holds(stat(name)?.as_ref())?;
    let flags = if old.is_some() { RenameFlags::RENAME_EXCHANGE } else { RenameFlags::RENAME_NOREPLACE };
    let swap = |flags| renameat2(directory, half, directory, name, flags);
    match swap(flags) {
        Ok(()) => {}
        // A file system that cannot.
        Err(Errno::EINVAL | Errno::ENOSYS) => return Ok(renameat(directory, half, directory, name)?),
        Err(Errno::EEXIST | Errno::ENOENT) => return Err(Errno::ESTALE.into()),
        Err(errno) => return Err(errno.into()),
    }
    let Some(old) = old else { return Ok(()) };
    let expected = |found: FileStat| Stamp::of(&found).moved(&Stamp::of(old));
    if stat(half)?.is_some_and(expected) {
        // The new one has its name. What cannot be taken away now is taken away by the next write.
        let _ = unlinkat(directory, half, UnlinkatFlags::NoRemoveDir);
        return Ok(());
    }
    match swap(RenameFlags::RENAME_EXCHANGE) {
        Ok(()) => Err(Errno::ESTALE.into()),
        // Their name is gone meanwhile: what they had put there is what they took away.
        Err(errno) => Err(errno.into()),
    }
}

/// What stands under the name now, in a directory that may be written to.
fn look(directory: BorrowedFd<'_>, name: &str, trust: Trust) -> io::Result<Option<FileStat>> {
    if name.is_empty() || name == "." || name == ".." || name.chars().any(|c| c == '/' || c.is_control()) {
        return Err(Errno::EINVAL.into());
    }
    trust.judge(What::Directory, &fstat(directory)?).map_err(|_| Errno::EPERM)?;
    let stat = match fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Err(Errno::ENOENT) => return Ok(None),
        found => found?,
    };
    match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
        SFlag::S_IFREG => Ok(Some(stat)),
        SFlag::S_IFLNK => Err(Errno::ELOOP.into()),
        SFlag::S_IFDIR => Err(Errno::EISDIR.into()),
        _ => Err(Errno::EINVAL.into()),
    }
}

/// Takes away what a killed write has left, and counts the job files.
fn tidy(directory: BorrowedFd<'_>) -> io::Result<usize> {
    // Opened anew: a duplicate would share its offset with whoever lists the directory too.
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut listing = Dir::from_fd(openat(directory, ".", flags, Mode::empty())?)?;
    let mut count = 0;
    for entry in listing.iter() {
        let entry = entry?;
        let name = entry.file_name();
        match name.to_str() {
            Ok(name) if is_job_file(name) => count += 1,
            Ok(text) if text.strip_prefix(HALF).is_some_and(|rest| rest.parse::<u32>().is_ok()) => {
                match unlinkat(directory, name, UnlinkatFlags::NoRemoveDir) {
                    Err(Errno::ENOENT) => {}
                    done => done?,
                }
            }
            _ => {}
        }
    }
    Ok(count)
}

/// Writes the contents to the disk, with owner and mode in place before the first byte.
fn fill(file: OwnedFd, contents: &[u8], old: Option<&FileStat>) -> io::Result<()> {
    let mut mode = NEW;
    if let Some(old) = old {
        let new = fstat(&file)?;
        if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid) {
            let given = fchown(file.as_fd(), Some(Uid::from_raw(old.st_uid)), Some(Gid::from_raw(old.st_gid)));
            let ours = old.st_uid == geteuid().as_raw();
            mode = match given {
                // A group that its owner is not in. Another one gets no more than everybody.
                Err(Errno::EPERM) if ours => (old.st_mode & 0o707) | (old.st_mode & 0o007) << 3,
                given => given.map(|()| old.st_mode & 0o777)?,
            };
        } else {
            mode = old.st_mode & 0o777;
        }
    }
    fchmod(file.as_fd(), Mode::from_bits_truncate(mode))?;
    let mut file = std::fs::File::from(file);
    file.write_all(contents)?;
    file.sync_all()
}

/// Why a file could not be written or taken away, as a sentence, and what to do.
pub fn why_not_written(error: &io::Error) -> (String, Option<&'static str>) {
    let (why, hint) = match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EPERM) => (
            "the directory or the file belongs to another user, or others may write to it",
            Some("chown both to root (jobs_config and its directory: to jobs_user or root) and chmod them go-w"),
        ),
        Some(Errno::EACCES) => {
            ("rotad may not write there", Some("check owner and mode of the directory, and ReadWritePaths of the unit"))
        }
        Some(Errno::EROFS) => {
            ("the file system is read-only", Some("add the directory to ReadWritePaths of the unit, or remount it"))
        }
        Some(Errno::ELOOP) => {
            ("it is a symbolic link, which is not written through", Some("change the file it leads to"))
        }
        Some(Errno::EISDIR) => ("it is a directory", Some("take it out of the way")),
        Some(Errno::EINVAL) => ("no file can be written by this name", Some("give the job another name")),
        Some(Errno::ENAMETOOLONG) => ("the file's name is too long", Some("give the job a shorter name")),
        Some(Errno::EDQUOT) => ("no more files fit: the limit of job files or a disk quota is reached", None),
        Some(Errno::ESTALE) => ("somebody else changes it at this moment", Some("try again")),
        Some(Errno::ENOSPC) => ("the disk is full", Some("make room and try again")),
        Some(Errno::EFBIG) => ("the file would be too large to be read", Some("move scripts into files of their own")),
        Some(Errno::EBUSY) => ("too many writes wait already", Some("try again")),
        Some(Errno::ETIMEDOUT) => (
            "the disk did not answer in time; the change may still come to pass",
            Some("look at the file before you try again"),
        ),
        Some(errno) => (errno.desc(), None),
        None => return (error.to_string(), None),
    };
    (why.to_owned(), hint)
}
