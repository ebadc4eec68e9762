//! Whose files are believed. Whoever can write a job file decides what runs, so the questions are asked of the opened
//! descriptor, never of a path (CVE-2007-1856 and its kin; faults B27–B32).

use nix::sys::stat::{FileStat, Mode, SFlag};
use nix::unistd::{Gid, Group, Uid, User};

pub use way::Keeper;
pub(crate) use way::walk;

mod way;

/// Whose files are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trust {
    /// Besides root.
    owner: Uid,
    /// A plain user's private group: one that nobody else is in, so that umask 002 is no harm.
    private_group: Option<Gid>,
    /// Whose `jobs_config` is believed, too.
    keeper: Option<Uid>,
}

/// What was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A regular file is wanted.
    File,
    /// A directory is wanted.
    Directory,
}

/// Why it is not believed: code, sentence, hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distrust {
    /// A stable word.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}

impl Trust {
    /// For a daemon that root has started: root's files, and those of the process itself.
    pub fn of_root() -> Trust {
        Trust { owner: Uid::effective(), private_group: None, keeper: None }
    }

    /// For a daemon of a plain user: their files and root's.
    pub fn of_user() -> Trust {
        let uid = Uid::effective();
        let private = User::from_uid(uid).ok().flatten().and_then(|user| {
            let group = Group::from_gid(user.gid).ok().flatten()?;
            (!uid.is_root() && group.name == user.name && group.mem.iter().all(|member| *member == user.name))
                .then_some(group.gid)
        });
        Trust { owner: uid, private_group: private, keeper: None }
    }

    /// Root alone: rotad.yaml of a system service.
    pub fn of_root_alone() -> Trust {
        Trust { owner: Uid::from_raw(0), private_group: None, keeper: None }
    }

    /// The same, and files of this user.
    pub fn and(self, user: Option<u32>) -> Trust {
        Trust { keeper: user.map(Uid::from_raw).filter(|uid| !uid.is_root()), ..self }
    }

    /// Judges what was opened.
    pub fn judge(&self, what: What, stat: &FileStat) -> Result<(), Distrust> {
        let wanted = match what {
            What::File => (SFlag::S_IFREG, "not-regular", "regular file"),
            What::Directory => (SFlag::S_IFDIR, "not-directory", "directory"),
        };
        let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
        if kind != wanted.0 {
            return Err(Distrust {
                code: wanted.1,
                message: format!("it is {}, not a {}", word(kind), wanted.2),
                hint: "take it out of the directory".to_owned(),
            });
        }
        let owner = Uid::from_raw(stat.st_uid);
        if !owner.is_root() && owner != self.owner && self.keeper != Some(owner) {
            let who = match self.keeper.unwrap_or(self.owner) {
                uid if uid.is_root() => "root".to_owned(),
                uid => format!("root or {}", name(uid)),
            };
            return Err(Distrust {
                code: "wrong-owner",
                message: format!("it belongs to {}, who could change what it runs; only {who} may own it", name(owner)),
                hint: "chown it to root".to_owned(),
            });
        }
        let mode = Mode::from_bits_truncate(stat.st_mode);
        let group = mode.contains(Mode::S_IWGRP) && self.private_group != Some(Gid::from_raw(stat.st_gid));
        if group || mode.contains(Mode::S_IWOTH) {
            let who = if mode.contains(Mode::S_IWOTH) { "everybody" } else { "its group" };
            let bits = stat.st_mode & 0o7777;
            return Err(Distrust {
                code: "writable",
                message: format!("{who} may write to it (mode {bits:04o}), and so decide what it runs"),
                hint: "chmod go-w".to_owned(),
            });
        }
        Ok(())
    }
}

fn name(uid: Uid) -> String {
    match User::from_uid(uid) {
        Ok(Some(user)) => user.name,
        _ => format!("uid {uid}"),
    }
}

fn word(kind: SFlag) -> &'static str {
    match kind {
        SFlag::S_IFREG => "a regular file",
        SFlag::S_IFDIR => "a directory",
        SFlag::S_IFIFO => "a pipe",
        SFlag::S_IFSOCK => "a socket",
        SFlag::S_IFCHR | SFlag::S_IFBLK => "a device",
        SFlag::S_IFLNK => "a link",
        _ => "something else",
    }
}
