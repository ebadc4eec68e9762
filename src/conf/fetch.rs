//! Gets the bytes of a file: opened, then checked, then read, and only when it is another than the one that was read before.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use jiff::Timestamp;
use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{FileStat, SFlag, fstat, fstatat};
use serde::{Deserialize, Serialize};

use super::load::{Loader, Looked};
use super::open::{Opener, open_in, read_all};
use super::trust::{Keeper, Trust, What};
use super::yaml::MAX_FILE;
use crate::job::Finding;
use crate::job::file::hash_of;
use crate::wire::{FilePlace, MAX_FILE as MAX_JOBS_CONFIG};

/// A file changed less than this ago may still be being written, in milliseconds.
const YOUNG: i64 = 50;

/// Of a file that was another before it was read to its end.
const CHANGING: &str = "changing";

/// What came of getting a file: its bytes, what stat(2) tells of it, when that was; or why it is refused.
pub(super) type Fetched = Result<(Vec<u8>, Stamp, Timestamp), Vec<Finding>>;

/// A file when it was last read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub stamp: Stamp,
    /// Of its text; absent where that was not read.
    pub hash: Option<u64>,
}

/// What stat(2) tells of a file that is still the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    identity: (u64, u64),
    size: i64,
    changed: (i64, i64),
    written: (i64, i64),
    links: u64,
    owner: u32,
}

impl Stamp {
    #[allow(clippy::unnecessary_cast)] // the widths differ between machines
    /// Of an opened file, or of what stands under a name.
    pub fn of(stat: &FileStat) -> Stamp {
        Stamp {
            identity: (stat.st_dev as u64, stat.st_ino as u64),
            size: stat.st_size as i64,
            changed: (stat.st_ctime as i64, stat.st_ctime_nsec as i64),
            written: (stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            links: stat.st_nlink as u64,
            owner: stat.st_uid,
        }
    }

    /// The name in the directory stands for the file that this was taken of, unchanged. Never said of links.
    pub fn holds(&self, directory: BorrowedFd<'_>, name: &str) -> bool {
        fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok_and(|stat| Stamp::of(&stat) == *self)
    }

    /// The same file with the same contents, under another name: a rename is a change of the inode alone.
    pub(super) fn moved(&self, other: &Stamp) -> bool {
        Stamp { changed: other.changed, ..*self } == *other
    }

    /// When the file was last changed, never in the future.
    pub(super) fn since(&self, now: Timestamp) -> Timestamp {
        let (seconds, nanoseconds) = self.changed;
        let changed = i32::try_from(nanoseconds).ok().and_then(|nano| Timestamp::new(seconds, nano).ok());
        changed.map_or(now, |changed| changed.min(now))
    }

    pub(super) fn doubt(&self, file: &str) -> Option<Finding> {
        let finding = Finding::warning("hard-link", file, "the file has another name (hard link) somewhere");
        (self.links > 1).then(|| finding.hint("who can write to the other name changes this job"))
    }
}

/// Most bytes that are read of a file.
fn most(place: &FilePlace) -> usize {
    match place {
        FilePlace::ConfD(_) => MAX_FILE,
        FilePlace::JobsConfig => MAX_JOBS_CONFIG,
    }
}

fn too_large(place: &FilePlace, name: &str) -> Finding {
    match place {
        FilePlace::ConfD(_) => super::yaml::too_large(name),
        FilePlace::JobsConfig => {
            let message = format!("the file is larger than {} MiB and was not read", MAX_JOBS_CONFIG >> 20);
            Finding::error("too-large", name, message)
        }
    }
}

impl Loader {
    /// Opens a file: by the engine's own rights, else by the warden's. Where `jobs_user` has a say in which file it is, it is
    /// opened as that user: what they could not read is not read for them, and not quoted in a finding.
    fn opened(
        &self,
        directory: BorrowedFd<'_>,
        opener: &impl Opener,
        place: &FilePlace,
        name: &str,
    ) -> io::Result<OwnedFd> {
        let keeper = self.keeper(place);
        if !keeper.leads {
            match open_in(directory, name) {
                Err(Errno::EACCES) => {}
                other => return other.map_err(io::Error::from),
            }
        }
        let opened = opener.file(place)?;
        // The way there has changed hands since the directory was opened: that is looked at first.
        if opened.keeper.leads == keeper.leads { Ok(opened.file) } else { Err(Errno::ESTALE.into()) }
    }

    fn keeper(&self, place: &FilePlace) -> Keeper {
        match place {
            FilePlace::ConfD(_) => Keeper::default(),
            FilePlace::JobsConfig => self.keeper,
        }
    }

    fn trust_in(&self, place: &FilePlace) -> Trust {
        self.trust.and(self.keeper(place).user)
    }

    /// Whether anybody but root can decide what stands in `jobs_config`, or which file that is; absent: it is to be made.
    pub(super) fn is_kept(&self, directory: BorrowedFd<'_>, file: Option<&Stamp>) -> bool {
        let roots = fstat(directory).is_ok_and(|stat| stat.st_uid == 0);
        self.keeper.leads || !roots || file.is_some_and(|file| file.owner != 0)
    }

    /// The text of a file as it is this moment, `None` where there is none, and what stat(2) tells of it. One that was
    /// replaced under the reading is read once more.
    pub fn text(
        &self,
        directory: BorrowedFd<'_>,
        opener: &impl Opener,
        place: &FilePlace,
        name: &str,
    ) -> Result<Option<(String, Stamp)>, Box<Finding>> {
        match self.try_text(directory, opener, place, name) {
            Err(finding) if finding.code == CHANGING => self.try_text(directory, opener, place, name),
            read => read,
        }
    }

    fn try_text(
        &self,
        directory: BorrowedFd<'_>,
        opener: &impl Opener,
        place: &FilePlace,
        name: &str,
    ) -> Result<Option<(String, Stamp)>, Box<Finding>> {
        let refused = |code, message: String| Box::new(Finding::error(code, name, message));
        let failed = |error: io::Error| refused("unreadable", format!("cannot be read: {error}"));
        let file = match self.opened(directory, opener, place, name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(failed)?,
        };
        let stat = fstat(file.as_fd()).map_err(|errno| failed(errno.into()))?;
        if let Err(why) = self.trust_in(place).judge(What::File, &stat) {
            return Err(refused(why.code, format!("refused: {}", why.message)));
        }
        let most = most(place);
        let (bytes, before, after) = read_all(file, most).map_err(failed)?;
        if Stamp::of(&before) != Stamp::of(&after) {
            return Err(refused(CHANGING, "somebody else changes it at this moment".to_owned()));
        }
        if bytes.len() > most {
            return Err(Box::new(too_large(place, name)));
        }
        let text = String::from_utf8(bytes).map_err(|_| refused("not-utf8", "the file is not UTF-8".to_owned()))?;
        Ok(Some((text, Stamp::of(&before))))
    }

    pub(super) fn fetch(
        &mut self,
        directory: BorrowedFd<'_>,
        opener: &impl Opener,
        place: &FilePlace,
        name: &str,
        written: bool,
    ) -> Looked<Fetched> {
        let read = self.opened(directory, opener, place, name).and_then(|file| self.read(place, name, file, written));
        match read {
            Ok(looked) => looked,
            Err(error) => self.failed(directory, place, name, &error),
        }
    }

    fn read(&mut self, place: &FilePlace, name: &str, file: OwnedFd, written: bool) -> io::Result<Looked<Fetched>> {
        let stat = fstat(file.as_fd())?;
        let stamp = Stamp::of(&stat);
        let now = Timestamp::now();
        if let Err(why) = self.trust_in(place).judge(What::File, &stat) {
            self.seen.insert(place.clone(), Seen { stamp, hash: None });
            let finding = Finding::error(why.code, name, format!("refused: {}", why.message)).hint(why.hint);
            return Ok(Looked::Read(Err(vec![finding])));
        }
        if !written && is_young(stamp.written, now) {
            return Ok(Looked::Young);
        }
        let most = most(place);
        if stamp.size > most as i64 {
            self.seen.insert(place.clone(), Seen { stamp, hash: None });
            return Ok(Looked::Read(Err(vec![too_large(place, name)])));
        }
        let (bytes, before, after) = read_all(file, most)?;
        if Stamp::of(&before) != Stamp::of(&after) || Stamp::of(&before).written != stamp.written {
            return Ok(Looked::Young);
        }
        let seen = Seen { stamp, hash: Some(hash_of(&bytes)) };
        if let Some(old) = self.seen.insert(place.clone(), seen)
            && old.hash == seen.hash
            && (old.stamp.links > 1) == (stamp.links > 1)
            && old.stamp.owner == stamp.owner
        {
            return Ok(Looked::Same);
        }
        Ok(Looked::Read(Ok((bytes, stamp, now))))
    }

    fn failed<R>(
        &mut self,
        directory: BorrowedFd<'_>,
        place: &FilePlace,
        name: &str,
        error: &io::Error,
    ) -> Looked<Result<R, Vec<Finding>>> {
        let errno = error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
        let broken =
            |code, message: &str, hint: &str| Looked::Read(Err(vec![Finding::error(code, name, message).hint(hint)]));
        self.seen.remove(place);
        match errno {
            Errno::ENOENT => match fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
                Ok(stat) if SFlag::from_bits_truncate(stat.st_mode).contains(SFlag::S_IFLNK) => {
                    broken("dangling-link", "the link leads nowhere", "take it away, or put back what it points at")
                }
                Err(Errno::ENOENT) => Looked::Gone,
                // It came back this very moment, and its event is on the way.
                _ => Looked::Young,
            },
            Errno::EXDEV => broken("link-outside", "the link leads out of the directory", "put the file itself here"),
            Errno::ELOOP => broken("link-refused", "the link is not followed", "put the file itself here"),
            Errno::ENXIO | Errno::ENODEV => {
                broken("not-regular", "it is a socket or device, not a regular file", "take it out of the directory")
            }
            Errno::EACCES | Errno::EPERM => {
                let hint = match self.users.as_ref().is_some_and(|config| config.as_root) {
                    true => "chown it to root and chmod it 0644 (or 0600)",
                    false => "chown it to the user who runs rotad, or chmod it 0644",
                };
                broken("unreadable", "rotad may not read it", hint)
            }
            Errno::EINVAL | Errno::ENAMETOOLONG => {
                broken("bad-file-name", "no file can be opened by this name", "rename it")
            }
            _ => {
                let message = format!("cannot be read now: {}; it will be tried again", errno.desc());
                Looked::Passing(Finding::error("unreadable", name, message))
            }
        }
    }
}

/// Written to within the last moments. A time in the future is no sign of that: clocks step.
fn is_young((seconds, nanoseconds): (i64, i64), now: Timestamp) -> bool {
    let written = seconds.saturating_mul(1000).saturating_add(nanoseconds / 1_000_000);
    (0..YOUNG).contains(&now.as_millisecond().saturating_sub(written))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn young_is_the_last_moment_only() {
        let now = Timestamp::from_millisecond(1_000_000).unwrap();
        assert!(is_young((999, 960_000_000), now));
        assert!(!is_young((999, 940_000_000), now));
        assert!(!is_young((1001, 0), now), "a file from the future");
    }
}
