//! The way to a directory that may be `jobs_user`'s, for a child of the warden: as root only where nobody but root decides
//! where the way leads, else as that user. Then it opens, reads and writes nothing that they could not themselves, and a
//! directory that is exchanged for a link while it works leads it nowhere.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

use super::identity::Identity;
use super::places;
use super::sys::child;
use crate::conf::{Keeper, walk};

/// Opens the directory and tells who keeps it. Where that is not root alone, this process is `jobs_user` from here on.
///
/// Errors: `EPERM`: something on the way belongs to others than root and `jobs_user`, or may be written by others.
pub fn go(path: &Path, jobs_user: &str) -> io::Result<(OwnedFd, Keeper)> {
    // Nobody is no one in particular: what is theirs may be anybody's.
    let identity = match jobs_user {
        "nobody" => None,
        name => Identity::look_up(name)?.filter(|identity| identity.uid != 0),
    };
    let user = identity.as_ref().map(|identity| identity.uid);
    let (way, leads) = walk(path, user)?;
    let keeper = Keeper { user, leads };
    match identity {
        Some(identity) if leads => {
            become_user(&identity)?;
            Ok((places::open_directory(path)?, keeper))
        }
        _ => {
            let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
            Ok((openat(way.as_fd(), ".", flags, Mode::empty())?, keeper))
        }
    }
}

/// For good: all ids and groups, and the proof of them. This memory is a copy of the warden's, and stays closed to the user.
pub fn become_user(identity: &Identity) -> io::Result<()> {
    let Identity { uid, gid, groups, .. } = identity;
    let mut scratch = vec![0; groups.len() + 1];
    let became = child::set_groups(groups)
        .and_then(|()| child::set_gid(*gid))
        .and_then(|()| child::set_uid(*uid))
        .and_then(|()| child::close_memory())
        .and_then(|()| child::prove_identity(*uid, *gid, groups, &mut scratch));
    became.map_err(io::Error::from_raw_os_error)
}
