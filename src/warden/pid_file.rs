//! `pid_path` of mysql-crond's runtime.yaml: its scripts find the daemon by the file that it kept there. Written and taken
//! away by a child, which becomes `jobs_user` where the directory is theirs.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::say::{Level, Voice};
use super::{apart, keeper, places, sys};
use crate::conf::{self, Before, Config, Trust, open_in};

/// What mysql-crond calls it, after its own program: the name that scripts ask for.
pub const NAME: &str = "mysql-crond.pid";
/// A disk that takes longer has no pid file.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where the file is to be.
pub struct PidFile {
    directory: PathBuf,
    as_root: bool,
    jobs_user: String,
    text: String,
    voice: Voice,
}

impl PidFile {
    /// Of this process, where the configuration asks for one.
    pub fn of(config: &Config, voice: Voice) -> Option<PidFile> {
        Some(PidFile {
            directory: config.crond.as_ref()?.pid_path.clone()?,
            as_root: config.as_root,
            jobs_user: config.jobs_user.clone(),
            text: format!("{}\n", std::process::id()),
            voice,
        })
    }

    /// Writes it. The daemon does without where that fails.
    pub fn write(&self) {
        let done = apart_for(|| {
            let (directory, trust) = self.reach()?;
            let write =
                |before| conf::replace(directory.as_fd(), NAME, self.text.as_bytes(), trust, usize::MAX, before);
            match write(Before::Any) {
                // Left by a daemon of root's, in a directory that is not root's: its owner is not kept.
                Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
                    conf::remove(directory.as_fd(), NAME, trust, Before::Any)?;
                    write(Before::Nothing)
                }
                done => done,
            }
        });
        if let Err(error) = done {
            let (why, hint) = conf::why_not_written(&error);
            let hint = hint.map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
            self.voice.say(
                Level::Warning,
                format_args!("pid_path: {}/{NAME} is not written: {why}{hint}", self.directory.display()),
            );
        }
    }

    /// Takes it away, unless it is another daemon's by now.
    pub fn remove(&self) {
        // One that stays names a process that is gone, as mysql-crond's always did.
        let _ = apart_for(|| {
            let (directory, trust) = self.reach()?;
            let (text, ..) = conf::read_all(open_in(directory.as_fd(), NAME)?, 64)?;
            match text == self.text.as_bytes() {
                true => conf::remove(directory.as_fd(), NAME, trust, Before::Any),
                false => Ok(()),
            }
        });
    }

    fn reach(&self) -> io::Result<(OwnedFd, Trust)> {
        if !self.as_root {
            return Ok((places::open_directory(&self.directory)?, Trust::of_user()));
        }
        let (directory, keeper) = keeper::go(&self.directory, &self.jobs_user)?;
        Ok((directory, Trust::of_root().and(keeper.user)))
    }
}

/// Does it in a child, and waits for that only so long.
fn apart_for(work: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let work = || work().map_err(|error| error.raw_os_error().unwrap_or(libc::EIO));
    let (pid, pipe) = apart::begin(work)?;
    let mut fds = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
    if poll(&mut fds, PollTimeout::try_from(PATIENCE).unwrap_or(PollTimeout::MAX)) == Ok(0) {
        let _ = sys::kill(pid, libc::SIGKILL);
        return Err(io::Error::from_raw_os_error(libc::ETIMEDOUT));
    }
    apart::answer::<Result<(), i32>>(pipe)?.map_err(io::Error::from_raw_os_error)
}
