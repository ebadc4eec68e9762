//! Who a run becomes: a user's ids and groups, looked up by name at the time of the run.
//!
//! The look-up may load modules and ask a directory server that hangs, so a child of its own does it: the warden stays
//! small and never waits. What it found is used again while the user files have not changed, for at most [`GOOD`].

use std::collections::HashMap;
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use nix::unistd::{User, getgrouplist};
use serde::{Deserialize, Serialize};

use super::{apart, sys};

/// An answer of this age is used as it is.
const FRESH: Duration = Duration::from_secs(60);
/// Up to this age it is used, and asked for again beside that: a directory server may have news, but a run that is due now
/// does not wait for it.
const GOOD: Duration = Duration::from_secs(600);
/// A look-up that takes longer has failed (a directory server that is away).
pub const PATIENCE: Duration = Duration::from_secs(10);
/// Files whose change makes every look-up stale at once.
const USER_FILES: [&str; 3] = ["/etc/passwd", "/etc/group", "/etc/nsswitch.conf"];

/// A user, as far as a run needs to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The name in the user database.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// All groups, the primary one among them, without repetition.
    pub groups: Vec<u32>,
    /// Home directory.
    pub home: String,
    /// Login shell.
    pub shell: String,
}

impl Identity {
    /// Asks the user database. `None`: no such user. May block for long; may load modules.
    pub fn look_up(name: &str) -> io::Result<Option<Identity>> {
        let Some(user) = User::from_name(name)? else { return Ok(None) };
        let c_name = CString::new(name).map_err(io::Error::other)?;
        let mut groups: Vec<u32> = getgrouplist(&c_name, user.gid)?.into_iter().map(|gid| gid.as_raw()).collect();
        groups.sort_unstable();
        groups.dedup();
        let text = |path: std::path::PathBuf| path.to_string_lossy().into_owned();
        Ok(Some(Identity {
            name: user.name,
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
            groups,
            home: text(user.dir),
            shell: text(user.shell),
        }))
    }
}

/// What a look-up came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The user.
    Known(Identity),
    /// There is none of that name.
    Unknown,
    /// The look-up failed, with this errno.
    Failed(i32),
}

/// A look-up on its way.
pub struct Asking {
    /// The child that does it.
    pub pid: i32,
    /// Readable when it is done.
    pub pipe: OwnedFd,
    /// When it began.
    pub since: Instant,
}

/// What is known of users, by name.
#[derive(Default)]
pub struct Identities {
    known: HashMap<String, (Answer, Instant)>,
    /// Look-ups on their way.
    pub asking: HashMap<String, Asking>,
    stamps: [(i64, i64, u64); 3],
}

impl Identities {
    /// What is known of a user, if that is still good; and whether it should be asked for again beside its use.
    pub fn known(&mut self, name: &str) -> Option<(Answer, bool)> {
        self.revise();
        let (answer, since) = self.known.get(name)?;
        let age = since.elapsed();
        let good = if matches!(answer, Answer::Known(_)) { age < GOOD } else { age < FRESH };
        good.then(|| (answer.clone(), age >= FRESH))
    }

    /// Forgets everything once the user files have changed.
    fn revise(&mut self) {
        let stamps = USER_FILES.map(stamp);
        if stamps != self.stamps {
            self.stamps = stamps;
            self.known.clear();
        }
    }

    /// Starts a look-up unless one is on its way.
    pub fn ask(&mut self, name: &str) -> io::Result<()> {
        if self.asking.contains_key(name) {
            return Ok(());
        }
        self.revise();
        let (pid, pipe) = apart::begin(|| match Identity::look_up(name) {
            Ok(Some(identity)) => Answer::Known(identity),
            Ok(None) => Answer::Unknown,
            Err(error) => Answer::Failed(error.raw_os_error().unwrap_or(libc::EIO)),
        })?;
        self.asking.insert(name.to_owned(), Asking { pid, pipe, since: Instant::now() });
        Ok(())
    }

    /// Takes the answer of a look-up whose pipe is readable.
    pub fn take(&mut self, name: &str) -> Option<Answer> {
        let asking = self.asking.remove(name)?;
        let answer = apart::answer(asking.pipe)
            .unwrap_or_else(|error| Answer::Failed(error.raw_os_error().unwrap_or(libc::EIO)));
        if !matches!(answer, Answer::Failed(_)) {
            self.known.insert(name.to_owned(), (answer.clone(), Instant::now()));
        }
        Some(answer)
    }

    /// Gives up look-ups that have taken longer than [`PATIENCE`]; their names.
    pub fn give_up(&mut self) -> Vec<String> {
        let late: Vec<String> = self
            .asking
            .iter()
            .filter(|(_, asking)| asking.since.elapsed() >= PATIENCE)
            .map(|(name, _)| name.clone())
            .collect();
        for name in &late {
            if let Some(asking) = self.asking.remove(name) {
                // A child that has not been reaped: the number is still its own.
                let _ = sys::kill(asking.pid, libc::SIGKILL);
            }
        }
        late
    }
}

/// What tells one state of a file from another: change time and inode.
fn stamp(path: &str) -> (i64, i64, u64) {
    fs::metadata(path).map(|meta| (meta.ctime(), meta.ctime_nsec(), meta.ino())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c42_root_and_nobody_are_found_with_their_groups() {
        let root = Identity::look_up("root").unwrap().unwrap();
        assert_eq!((root.uid, root.gid), (0, 0));
        assert!(root.groups.contains(&0));
        let nobody = Identity::look_up("nobody").unwrap().unwrap();
        assert!(nobody.groups.contains(&nobody.gid) && !nobody.groups.contains(&0));
    }

    #[test]
    fn c43_names_that_are_no_users() {
        for name in ["0", "0x0", "-1", "4294967295", "0day", "nobody ", "DOMAIN\\u", "", "no-such-user"] {
            assert_eq!(Identity::look_up(name).unwrap(), None, "{name:?}");
        }
    }
}
