//! A new program under running jobs: the engine goes and comes back as the program that is at the path now. The warden stays
//! what it is, and with it every job, pipe and exit code.
//!
//! ```text
//!   SIGUSR2 ──► opened, trusted ──► old engine is asked to go ──► new engine on trial ──► Ready: it stays
//!                    └► refused: nothing changes                       └► died, hung, speaks otherwise: the old program again
//! ```

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, SFlag, fstat};

use super::engine::Engine;
use super::say::Level;
use super::serve::Warden;
use super::stop::Stop;
use super::sys::Reaped;

/// The program that engines are started from.
pub struct Program {
    /// Where it was when the daemon started, and where a new one will be.
    path: PathBuf,
    /// The file: it can be executed also when something else is at the path, or nothing.
    pub file: OwnedFd,
    /// While an engine of a new program has to prove itself: the one before.
    former: Option<OwnedFd>,
}

/// Why a file is not executed.
#[derive(Debug)]
enum Doubt {
    Io(io::Error),
    NoProgram,
    Untrusted,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::NoProgram => write!(f, "it is no regular file that everybody may execute"),
            Self::Untrusted => write!(f, "it belongs to another user, or others may write to it"),
        }
    }
}

impl Program {
    /// The program that this process executes.
    pub fn own() -> io::Result<Program> {
        let file = nix::fcntl::open("/proc/self/exe", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
        let path = std::fs::read_link("/proc/self/exe")?;
        Ok(Program { path: undeleted(path), file, former: None })
    }

    /// Opens what is at the path now, for the next engine. Opened first, then checked; not a byte of it is read here.
    fn renew(&mut self) -> Result<(), Doubt> {
        let fresh = open(&self.path)?;
        let before = std::mem::replace(&mut self.file, fresh);
        self.former.get_or_insert(before);
        Ok(())
    }
}

/// The kernel says of a program that was replaced while it ran where it had been.
fn undeleted(path: PathBuf) -> PathBuf {
    match path.as_os_str().as_bytes().strip_suffix(b" (deleted)") {
        Some(was) => PathBuf::from(std::ffi::OsString::from_vec(was.to_vec())),
        None => path,
    }
}

fn open(path: &Path) -> Result<OwnedFd, Doubt> {
    let io = |errno: nix::Error| Doubt::Io(errno.into());
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let file = nix::fcntl::open(path, flags, Mode::empty()).map_err(io)?;
    let meta = fstat(&file).map_err(io)?;
    let regular = meta.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits();
    if !regular || meta.st_mode & 0o111 != 0o111 {
        return Err(Doubt::NoProgram);
    }
    let owned = meta.st_uid == 0 || meta.st_uid == nix::unistd::geteuid().as_raw();
    if owned && meta.st_mode & 0o022 == 0 { Ok(file) } else { Err(Doubt::Untrusted) }
}

impl Warden {
    /// Replaces the engine by one of the program that is at the path now.
    pub(super) fn renew(&mut self) {
        let path = self.program.path.display().to_string();
        if self.stop != Stop::No {
            return self.voice.say(Level::Info, format_args!("the daemon stops: no new program is taken up"));
        }
        if self.program.former.is_some() {
            return self.voice.say(Level::Info, format_args!("a new program is being taken up already"));
        }
        if let Err(doubt) = self.program.renew() {
            let hint = "chown root, chmod 755, then once more; the engine goes on as it is";
            return self
                .voice
                .say(Level::Error, format_args!("the program {path} is not taken up: {doubt} (hint: {hint})"));
        }
        let runs = self.runs.len();
        self.voice.say(Level::Info, format_args!("taking up the program {path}: {runs} runs go on"));
        if let Engine::Up(up) = &mut self.engine {
            up.dismiss(Instant::now());
        }
    }

    /// An engine is gone: whether that was to be, or ends the trial of a new program. `false`: neither.
    pub(super) fn renewed(&mut self, dismissed: bool, gone: &Reaped) -> bool {
        if dismissed {
            return true;
        }
        let Some(former) = self.program.former.take() else { return false };
        self.program.file = former;
        let path = self.program.path.display();
        let hint = "repair it and send SIGUSR2 again, or systemctl restart rotad when convenient";
        self.voice.say(
            Level::Error,
            format_args!(
                "the new program {path} did not come up ({:?}): back to the one before (hint: {hint})",
                gone.exit
            ),
        );
        true
    }

    /// An engine has its first snapshot armed: its program has proved itself.
    pub(super) fn approve(&mut self) {
        if self.engine_up().is_some_and(|up| !up.dismissed()) && self.program.former.take().is_some() {
            let path = self.program.path.display();
            let hint = "the warden takes it up with systemctl restart rotad, when that is convenient";
            self.voice.say(Level::Info, format_args!("the engine runs the new program {path} (hint: {hint})"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn h114_only_a_program_that_nobody_else_could_have_written_is_taken_up() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str, mode: u32| {
            let path = place.path().join(name);
            fs::write(&path, "x").unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            path
        };
        let good = at("good", 0o755);
        assert!(open(&good).is_ok());
        std::os::unix::fs::symlink(&good, place.path().join("link")).unwrap();
        nix::unistd::mkfifo(&place.path().join("fifo"), Mode::from_bits_truncate(0o755)).unwrap();
        for path in [at("shared", 0o777), at("group", 0o775), at("plain", 0o644)] {
            assert!(open(&path).is_err(), "{path:?}");
        }
        for name in ["link", "fifo", "none", "."] {
            assert!(open(&place.path().join(name)).is_err(), "{name}");
        }
        assert!(open(Path::new("/dev/null")).is_err());
    }

    #[test]
    fn a_program_that_was_replaced_is_sought_where_it_was() {
        assert_eq!(undeleted("/usr/sbin/rotad (deleted)".into()), Path::new("/usr/sbin/rotad"));
        assert_eq!(undeleted("/usr/sbin/rotad".into()), Path::new("/usr/sbin/rotad"));
    }
}
