//! One cgroup per run, where systemd has given this service a cgroup v2 tree of its own (`Delegate=yes`), also on hybrid
//! hosts where that tree has no controllers. Elsewhere there is none: a tree that was not given is not ours to change.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::sys;
use crate::wire::RunId;

/// Set in the unit beside `Delegate=yes`.
const DELEGATED: &str = "ROTAD_DELEGATED";

/// The delegated tree.
pub struct Tree {
    root: OwnedFd,
    /// Cgroups of runs that are over but not yet empty.
    lingering: Vec<String>,
}

/// The cgroup of one run.
pub struct Group {
    name: String,
    directory: OwnedFd,
}

impl Tree {
    /// The tree of this process, if it was delegated to it. Empty groups that an earlier warden left are removed.
    pub fn find() -> Option<Tree> {
        let path = own_path(
            &fs::read_to_string("/proc/self/cgroup").ok()?,
            &fs::read_to_string("/proc/self/mountinfo").ok()?,
        )?;
        let root =
            nix::fcntl::open(&path, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()).ok()?;
        // Before 251 systemd marks it in an attribute for CAP_SYS_ADMIN alone, so our unit says it once more.
        let delegated = std::env::var_os(DELEGATED).is_some_and(|value| value == "1")
            || [c"trusted.delegate", c"user.delegate"]
                .into_iter()
                .any(|name| sys::attribute(root.as_fd(), name).is_some_and(|value| value == b"1"));
        if !delegated {
            return None;
        }
        let mut tree = Tree { root, lingering: Vec::new() };
        let listed = Dir::from_fd(tree.root.try_clone().ok()?).ok()?;
        tree.lingering = listed
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.file_name().to_str().ok().map(str::to_owned))
            .filter(|name| name.strip_prefix("run-").is_some_and(|id| RunId::parse(id).is_some()))
            .collect();
        tree.tidy();
        Some(tree)
    }

    /// Makes the cgroup of a run.
    pub fn make(&mut self, run: RunId) -> io::Result<Group> {
        let name = format!("run-{run}");
        match mkdirat(&self.root, name.as_str(), Mode::from_bits_truncate(0o755)) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let directory = openat(&self.root, name.as_str(), flags, Mode::empty())?;
        Ok(Group { name, directory })
    }

    /// Removes the cgroup of a run that is over, now or once it is empty.
    pub fn remove(&mut self, group: Group) {
        self.lingering.push(group.name);
        self.tidy();
    }

    /// Tries again to remove what was not empty: called when a child is gone.
    pub fn tidy(&mut self) {
        self.lingering.retain(|name| match unlinkat(&self.root, name.as_str(), UnlinkatFlags::RemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => false,
            Err(_) => true,
        });
    }
}

impl Group {
    /// Where a process writes `0` to enter it.
    pub fn door(&self) -> io::Result<OwnedFd> {
        Ok(openat(&self.directory, "cgroup.procs", OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())?)
    }

    /// Its processes. Those of groups below it are not listed.
    pub fn processes(&self) -> Vec<i32> {
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let Ok(file) = openat(&self.directory, "cgroup.procs", flags, Mode::empty()) else { return Vec::new() };
        let mut text = String::new();
        match File::from(file).read_to_string(&mut text) {
            Ok(_) => text.lines().filter_map(|line| line.parse().ok()).collect(),
            Err(_) => Vec::new(),
        }
    }

    /// SIGKILL for everything in it and below, at once (Linux 5.14).
    pub fn kill(&self) -> io::Result<()> {
        let file = openat(&self.directory, "cgroup.kill", OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())?;
        File::from(file).write_all(b"1")
    }
}

/// The path of this process's cgroup v2 directory, from the texts of /proc/self/cgroup and /proc/self/mountinfo.
fn own_path(cgroup: &str, mountinfo: &str) -> Option<PathBuf> {
    let inside = cgroup.lines().find_map(|line| line.strip_prefix("0::"))?;
    mountinfo.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        if after.split(' ').next()? != "cgroup2" {
            return None;
        }
        let mut fields = before.split(' ').skip(3);
        let (root, mount) = (fields.next()?, fields.next()?);
        let below =
            inside.strip_prefix(root.trim_end_matches('/')).filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
        Some(Path::new(mount).join(below.trim_start_matches('/')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_path_is_found_on_unified_and_hybrid_hosts() {
        let unified = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        let hybrid = "30 24 0:27 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
                      31 24 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let inside = "31 24 0:28 /box /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let unit = "1:name=systemd:/system.slice/x\n0::/system.slice/rotad.service\n";
        for (cgroup, mounts, path) in [
            (unit, unified, Some("/sys/fs/cgroup/system.slice/rotad.service")),
            (unit, hybrid, Some("/sys/fs/cgroup/unified/system.slice/rotad.service")),
            ("0::/\n", unified, Some("/sys/fs/cgroup")),
            ("0::/box/a\n", inside, Some("/sys/fs/cgroup/a")),
            ("0::/boxer\n", inside, None),
            ("1:cpu:/\n", unified, None),
            (unit, "", None),
        ] {
            assert_eq!(own_path(cgroup, mounts).as_deref(), path.map(Path::new), "{cgroup:?} {mounts:?}");
        }
    }
}
