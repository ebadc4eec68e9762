//! The places that the warden makes before it starts an engine: state and log directory, the lock, the listening socket.

use std::fmt;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg, OFlag, openat};
use nix::sys::stat::{Mode, SFlag, fstat, umask};
use nix::unistd::{Gid, Uid, chown, fchown};

use super::identity::Identity;
use crate::conf::{Config, walk};
use crate::wire::FilePlace;

/// What kept the daemon from starting.
#[derive(Debug)]
pub enum PlaceError {
    /// A path could not be made or opened.
    Io(PathBuf, io::Error),
    /// Another daemon uses the state directory.
    Held(PathBuf, Option<u32>),
    /// The directory belongs to somebody else, or others may write to it.
    Unsafe(PathBuf),
}

impl fmt::Display for PlaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Held(path, Some(pid)) => write!(f, "{} is in use by another rotad, pid {pid}", path.display()),
            Self::Held(path, None) => write!(f, "{} is in use by another rotad", path.display()),
            Self::Unsafe(path) => write!(
                f,
                "{} belongs to another user or may be written by others (hint: it must belong to root or the daemon's user, mode 0755 or less)",
                path.display()
            ),
        }
    }
}

impl std::error::Error for PlaceError {}

/// A directory: made with what is missing above it, given to `owner` when it is new.
pub fn directory(path: &Path, mode: u32, owner: Option<&Identity>) -> Result<(), PlaceError> {
    let failed = |error| PlaceError::Io(path.to_owned(), error);
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o755).create(parent).map_err(failed)?;
    }
    match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(failed(error)),
    }
    let Some(owner) = owner else { return Ok(()) };
    // Opened, not followed: what we give away is what we have just made, or nothing.
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let made = nix::fcntl::open(path, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?;
    let mine = fstat(&made).is_ok_and(|meta| meta.st_uid == nix::unistd::geteuid().as_raw());
    if mine {
        fchown(&made, Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)))
            .map_err(|errno| failed(errno.into()))?;
    }
    Ok(())
}

/// Takes the state directory for this daemon alone, for as long as the lock lives. The lock is on the directory itself: a
/// file in it could be exchanged by whoever owns the directory.
pub fn lock(state_dir: &Path) -> Result<Flock<File>, PlaceError> {
    let failed = |error| PlaceError::Io(state_dir.to_owned(), error);
    let directory = File::open(state_dir).map_err(failed)?;
    let meta = directory.metadata().map_err(failed)?;
    if !meta.is_dir() {
        return Err(failed(io::Error::from(io::ErrorKind::NotADirectory)));
    }
    Flock::lock(directory, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        nix::errno::Errno::EWOULDBLOCK => {
            let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
            PlaceError::Held(state_dir.to_owned(), holder(&locks, meta.ino()))
        }
        errno => failed(errno.into()),
    })
}

/// Who holds the lock on an inode, by the text of /proc/locks: `1: FLOCK  ADVISORY  WRITE 4321 08:01:1234 0 EOF`.
fn holder(locks: &str, inode: u64) -> Option<u32> {
    locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let held = fields.get(1) == Some(&"FLOCK") && fields.get(5)?.rsplit(':').next()?.parse() == Ok(inode);
        if held { fields.get(4)?.parse().ok() } else { None }
    })
}

/// Who may connect to the unix socket besides its owner. (What they may then do, the engine's gate decides.)
#[derive(Debug, Clone, Copy, Default)]
pub struct Access {
    /// Members of this group.
    pub group: Option<u32>,
    /// Everybody.
    pub anyone: bool,
}

/// The unix socket, listening, mode 0660 or 0666. Whatever socket an earlier daemon left there is replaced; anything else
/// is not.
pub fn listen(path: &Path, access: Access) -> Result<UnixListener, PlaceError> {
    let failed = |error| PlaceError::Io(path.to_owned(), error);
    let parent = path.parent().unwrap_or(Path::new("/"));
    let me = nix::unistd::geteuid();
    directory(parent, if me.is_root() { 0o755 } else { 0o700 }, None)?;
    let meta = fs::symlink_metadata(parent).map_err(failed)?;
    let trusted = meta.uid() == me.as_raw() || meta.uid() == 0;
    // Others may write only where the sticky bit keeps them off what is ours.
    let closed = meta.mode() & 0o022 == 0 || meta.mode() & 0o1000 != 0;
    if !meta.is_dir() || !trusted || !closed {
        return Err(PlaceError::Unsafe(parent.to_owned()));
    }
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.file_type().is_socket() => fs::remove_file(path).map_err(failed)?,
        Ok(_) => return Err(failed(io::Error::other("exists and is no socket"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let before = umask(Mode::from_bits_truncate(0o117));
    let bound = UnixListener::bind(path);
    umask(before);
    let listener = bound.map_err(failed)?;
    // Nobody connects before it listens, and it is in a directory where nobody else could have put another.
    if let Some(group) = access.group {
        chown(path, None, Some(Gid::from_raw(group))).map_err(|errno| failed(errno.into()))?;
    }
    if access.anyone {
        fs::set_permissions(path, fs::Permissions::from_mode(0o666)).map_err(failed)?;
    }
    // As long a queue as the system allows: connections wait in it while an engine is replaced.
    nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::MAXALLOWABLE)
        .map_err(|errno| failed(errno.into()))?;
    Ok(listener)
}

/// Where a file is: its directory, and its name there. Of the engine's words only the last component is used, and only
/// where it is one and not hidden; `jobs_config` is where rotad.yaml says and nowhere else.
pub fn of_file<'a>(config: &'a Config, place: &'a FilePlace) -> io::Result<(&'a Path, &'a str)> {
    match place {
        FilePlace::ConfD(name) if name.is_empty() || name.starts_with('.') || name.contains('/') => {
            Err(io::Error::from_raw_os_error(libc::EPERM))
        }
        FilePlace::ConfD(name) => Ok((&config.conf_d, name)),
        FilePlace::JobsConfig => {
            let path = config.crond.as_ref().and_then(|crond| crond.jobs_config.as_deref());
            let split = path
                .filter(|path| path.is_absolute())
                .and_then(|path| Some((path.parent()?, path.file_name()?.to_str()?)));
            split.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))
        }
    }
}

/// A directory as it is now, opened for the engine, which may lack the right to reach it.
pub fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    Ok(nix::fcntl::open(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?)
}

/// `conf_d`, opened on a way that is root's alone where root runs the daemon: who owns a directory above it could put a link
/// to anywhere in its place, and root would read and write there. At a first look it is where root stands that counts.
pub fn open_conf_d(config: &Config) -> io::Result<OwnedFd> {
    if !config.as_root || config.first_look {
        return open_directory(&config.conf_d);
    }
    let (way, _) = walk(&config.conf_d, None)?;
    Ok(openat(way.as_fd(), ".", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?)
}

/// A file that the engine may not read itself: a regular file straight in the directory, of root, the daemon's user or
/// `other`, that nobody else may write. Opened first, then checked; not a byte of it is read here.
pub fn open_file(directory: BorrowedFd<'_>, name: &str, other: Option<u32>) -> io::Result<OwnedFd> {
    let refused = || io::Error::from_raw_os_error(libc::EPERM);
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let file = openat(directory, name, flags, Mode::empty())?;
    let meta = fstat(&file)?;
    let regular = meta.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits();
    let owned = [Some(0), Some(nix::unistd::geteuid().as_raw()), other].contains(&Some(meta.st_uid));
    if !regular || !owned || meta.st_mode & 0o022 != 0 {
        return Err(refused());
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn f91_the_holder_of_a_lock_is_named() {
        let locks = "1: POSIX  ADVISORY  WRITE 11 00:2f:77 0 EOF\n2: FLOCK  ADVISORY  WRITE 4321 08:01:77 0 EOF\n";
        assert_eq!(holder(locks, 77), Some(4321));
        assert_eq!(holder(locks, 78), None);
        let place = tempfile::tempdir().unwrap();
        let held = lock(place.path()).unwrap();
        let second = lock(place.path()).unwrap_err();
        assert!(matches!(second, PlaceError::Held(_, Some(pid)) if pid == std::process::id()), "{second}");
        drop(held);
        lock(place.path()).unwrap();
    }

    #[test]
    fn the_socket_replaces_a_socket_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("run/rotad.sock");
        let listen = |access| listen(&path, access);
        drop(listen(Access { group: None, anyone: true }).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o666);
        let group = nix::unistd::getegid().as_raw();
        let listener = listen(Access { group: Some(group), anyone: false }).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o660);
        assert_eq!(fs::metadata(&path).unwrap().gid(), group);
        drop(listener);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        assert!(listen(Access::default()).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn b27_b28_b30_the_warden_opens_only_what_a_job_file_may_be() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        fs::write(at("good.yaml"), "x").unwrap();
        fs::write(at("open.yaml"), "x").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode;
        fs::set_permissions(at("good.yaml"), mode(0o600)).unwrap();
        fs::set_permissions(at("open.yaml"), mode(0o666)).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", at("link.yaml")).unwrap();
        nix::unistd::mkfifo(&at("fifo.yaml"), Mode::from_bits_truncate(0o600)).unwrap();
        fs::create_dir(at("dir.yaml")).unwrap();
        let directory = open_directory(place.path()).unwrap();
        let open_file = |name| open_file(directory.as_fd(), name, None);
        assert!(open_file("good.yaml").is_ok());
        for name in ["open.yaml", "link.yaml", "fifo.yaml", "dir.yaml", "none.yaml"] {
            assert!(open_file(name).is_err(), "{name}");
        }
        let config = Config { conf_d: place.path().to_owned(), ..Config::first_look().unwrap() };
        for name in ["", "..", "../x", "/etc/shadow", ".good.yaml"] {
            assert!(of_file(&config, &FilePlace::ConfD(name.to_owned())).is_err(), "{name}");
        }
        assert!(of_file(&config, &FilePlace::JobsConfig).is_err(), "none is configured");
    }
}
