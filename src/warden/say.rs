//! The warden's own lines on standard error: few, one line each, and with the journal's priority prefix where standard
//! error is the journal.

use std::fmt::Arguments;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// How loud a line is (syslog's numbers).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Somebody should act.
    Error = 3,
    /// Somebody should look.
    Warning = 4,
    /// What has happened.
    Info = 6,
}

/// Writes lines. A standard error that is gone or full is no reason to stop supervising.
#[derive(Debug, Clone, Copy)]
pub struct Voice {
    journal: bool,
}

impl Voice {
    /// Finds out where standard error goes.
    pub fn new() -> Voice {
        Voice { journal: stderr_is_journal() }
    }

    /// Says one line.
    pub fn say(self, level: Level, text: Arguments<'_>) {
        let prefix = if self.journal { format!("<{}>", level as u8) } else { "rotad: ".to_owned() };
        let word = match level {
            Level::Error => "error: ",
            Level::Warning => "warning: ",
            Level::Info => "",
        };
        let line = format!("{prefix}{word}{text}").replace(|c: char| c.is_control(), " ");
        let stderr = std::io::stderr();
        // A terminal that was stopped, a pipe that nobody reads, a journal that hangs: the line is lost, not the time.
        let mut fds = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
        if poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0) {
            let _ = writeln!(&stderr, "{line}");
        }
    }
}

impl Default for Voice {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether standard error is the stream to the journal that systemd made: `JOURNAL_STREAM` names its device and inode.
pub fn stderr_is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let Ok(meta) = std::fs::metadata("/proc/self/fd/2") else { return false };
    stream == format!("{}:{}", meta.dev(), meta.ino())
}
