//! Who keeps a file: whoever can write to a directory on the way to it decides which file is found there.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat, readlinkat};
use nix::sys::stat::{Mode, SFlag, fstat};
use serde::{Deserialize, Serialize};

/// Most links on the way, as of the kernel.
const MAX_LINKS: usize = 40;

/// Who besides root has a say in what was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keeper {
    /// The user whose files are believed here besides root's.
    pub user: Option<u32>,
    /// They own something on the way, and so decide which file or directory it leads to.
    pub leads: bool,
}

/// Goes the way to a directory, link by link, and says whether `user` owns anything on it: the directories, the one at the
/// end among them, and the links. The descriptor is of a directory, for its path alone (`O_PATH`).
///
/// What belongs to others than root and `user`, or may be written by others, is `EPERM`. Only above the last directory the
/// sticky bit helps: others may add names there, and exchange none.
pub(crate) fn walk(path: &Path, user: Option<u32>) -> io::Result<(OwnedFd, bool)> {
    const FLAGS: OFlag = OFlag::O_PATH.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);
    let root = || open("/", FLAGS | OFlag::O_DIRECTORY, Mode::empty());
    let (mut at, mut links, mut leads) = (root()?, 0, false);
    let mut ahead: VecDeque<OsString> = names(path);
    loop {
        let next = ahead.pop_front();
        let stat = fstat(&at)?;
        let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
        let sticky = next.is_some() && stat.st_mode & 0o1000 != 0;
        if (stat.st_uid != 0 && Some(stat.st_uid) != user) || (stat.st_mode & 0o022 != 0 && !sticky) {
            return Err(Errno::EPERM.into());
        }
        if kind != SFlag::S_IFDIR {
            return Err(Errno::ENOTDIR.into());
        }
        leads |= stat.st_uid != 0;
        let Some(name) = next else { return Ok((at, leads)) };
        let found = openat(&at, name.as_os_str(), FLAGS, Mode::empty())?;
        let stat = fstat(&found)?;
        if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFLNK {
            at = found;
            continue;
        }
        links += 1;
        if links > MAX_LINKS {
            return Err(Errno::ELOOP.into());
        }
        if stat.st_uid != 0 && Some(stat.st_uid) != user {
            return Err(Errno::EPERM.into());
        }
        leads |= stat.st_uid != 0;
        let target = readlinkat(&found, "")?;
        if Path::new(&target).is_absolute() {
            at = root()?;
        }
        let mut further = names(Path::new(&target));
        further.append(&mut ahead);
        ahead = further;
    }
}

fn names(path: &Path) -> VecDeque<OsString> {
    let name = |part: Component<'_>| match part {
        Component::Normal(_) | Component::ParentDir => Some(part.as_os_str().to_owned()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    };
    path.components().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    #[test]
    fn who_keeps_a_way() {
        if !nix::unistd::geteuid().is_root() {
            return eprintln!("who_keeps_a_way skipped: why: it needs root");
        }
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        let mode = |name: &str, mode| fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).unwrap();
        let way = |name: &str| walk(&at(name), Some(4242)).map(|(_, leads)| leads).map_err(|e| e.raw_os_error());
        let (refused, theirs, roots) = (Err(Some(libc::EPERM)), Ok(true), Ok(false));
        for name in ["root", "root/below", "theirs", "theirs/below", "other", "other/below", "open", "open/below"] {
            fs::create_dir(at(name)).unwrap();
        }
        chown(at("theirs"), Some(4242), None).unwrap();
        chown(at("other"), Some(4243), None).unwrap();
        mode("open", 0o777);
        symlink(at("root/below"), at("link")).unwrap();
        symlink("../root/below", at("theirs/link")).unwrap();
        symlink("loop", at("loop")).unwrap();
        fs::write(at("file"), "").unwrap();
        let table = [
            ("root/below", roots),
            ("root/../root/below", roots),
            ("link", roots),
            ("theirs", theirs),
            ("theirs/below", theirs),
            ("theirs/link", theirs),
            ("root/../theirs/../root", theirs),
            ("other", refused),
            ("other/below", refused),
            ("open", refused),
            ("open/below", refused),
            ("loop", Err(Some(libc::ELOOP))),
            ("file", Err(Some(libc::ENOTDIR))),
            ("none", Err(Some(libc::ENOENT))),
        ];
        for (name, expected) in table {
            assert_eq!(way(name), expected, "{name}");
        }
        // Others may add names to a sticky directory; what root has put there stays.
        mode("open", 0o1777);
        assert_eq!(way("open/below"), roots);
        assert_eq!(way("open"), refused);
        std::os::unix::fs::lchown(at("link"), Some(4242), None).unwrap();
        assert_eq!(way("link"), theirs, "who has made the link");
        std::os::unix::fs::lchown(at("link"), Some(4243), None).unwrap();
        assert_eq!(way("link"), refused);
        mode("theirs", 0o775);
        assert_eq!(way("theirs/below"), refused, "a group");
        assert!(walk(&at("root"), None).is_ok_and(|(_, leads)| !leads));
        assert!(walk(&at("other"), None).is_err());
    }
}
