//! The daemon's standard error as a sink: a terminal, the journal's stream, or whatever it was redirected to.
//!
//! The lines of all jobs meet here, so each is led by its job's name and escaped. Nobody may be reading: a write waits
//! [`PATIENCE`] once, after that nothing is waited for until something could be written again.

use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send};
use nix::sys::stat::{SFlag, fstat};

use super::escape::escape;
use crate::job::JobName;
use crate::run::RunLabel;
use crate::run::lines::Frame;
use crate::warden::say::stderr_is_journal;
use crate::wire::Stream;

/// How long a write waits for a reader.
const PATIENCE: Duration = Duration::from_secs(1);
/// Written at once where the descriptor may block: what poll(2) promises room for in a pipe.
const PORTION: usize = 4096;

/// The daemon's standard error.
pub struct Terminal {
    out: OwnedFd,
    way: Way,
    style: Style,
    /// Nobody has read for [`PATIENCE`].
    stuck: bool,
    /// A line was begun and not ended.
    torn: bool,
    text: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// send(2), which can be told not to wait.
    Socket,
    /// A description of our own, which does not block.
    Own,
    /// Shared with others, and not ours to change: poll(2) first, then a small write.
    Shared,
}

#[derive(Clone, Copy, PartialEq)]
enum Style {
    /// For eyes: `job │ line`.
    Screen {
        /// With colour.
        colour: bool,
    },
    /// `job[run]: line`.
    Plain,
    /// rotad's own lines alone, behind the priority that the journal reads. Those of jobs take another way there.
    Journal,
}

impl Terminal {
    /// What standard error is now.
    pub fn stderr() -> io::Result<Terminal> {
        let stderr = io::stderr();
        let style = if stderr.is_terminal() {
            let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
                && std::env::var_os("TERM").is_some_and(|term| term != "dumb");
            Style::Screen { colour }
        } else if stderr_is_journal() {
            Style::Journal
        } else {
            Style::Plain
        };
        let (out, way) = open(stderr.as_fd())?;
        Ok(Terminal { out, way, style, stuck: false, torn: false, text: Vec::new() })
    }

    /// A line of a job. `false`: it could not be written and is dropped.
    #[must_use]
    pub fn line(&mut self, label: &RunLabel, stream: Stream, frame: Frame<'_>) -> bool {
        self.lead(label, stream);
        escape(frame.bytes, &mut self.text);
        self.put()
    }

    /// A line of rotad's own about a run.
    #[must_use]
    pub fn note(&mut self, label: &RunLabel, text: &str) -> bool {
        self.text.clear();
        match self.style {
            Style::Screen { colour } => {
                self.name(&label.job, colour);
                self.text.extend_from_slice(" ═ rotad: ".as_bytes());
            }
            Style::Plain | Style::Journal => {
                self.text.extend_from_slice(format!("{}[{}] rotad: ", label.job, label.of).as_bytes())
            }
        }
        escape(text.as_bytes(), &mut self.text);
        self.put()
    }

    /// A line of rotad's own about itself. Lost when nobody reads.
    pub fn say(&mut self, text: &str) {
        self.text.clear();
        self.text.extend_from_slice(if self.style == Style::Journal { b"<4>rotad: " } else { b"rotad: " });
        escape(text.as_bytes(), &mut self.text);
        self.put();
    }

    fn lead(&mut self, label: &RunLabel, stream: Stream) {
        self.text.clear();
        let Style::Screen { colour } = self.style else {
            return self.text.extend_from_slice(format!("{}[{}]: ", label.job, label.of).as_bytes());
        };
        self.name(&label.job, colour);
        let bar = match (colour, stream) {
            (false, _) => " │ ",
            (true, Stream::Stdout) => " \x1b[2m│\x1b[0m ",
            (true, Stream::Stderr) => " \x1b[31m│\x1b[0m ",
        };
        self.text.extend_from_slice(bar.as_bytes());
    }

    /// A job keeps its colour.
    fn name(&mut self, job: &JobName, colour: bool) {
        if !colour {
            return self.text.extend_from_slice(job.as_str().as_bytes());
        }
        let hue = job.as_str().bytes().fold(0u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte)) % 5;
        self.text.extend_from_slice(format!("\x1b[{}m{job}\x1b[0m", 32 + hue).as_bytes());
    }

    /// Writes the text and a newline.
    fn put(&mut self) -> bool {
        self.text.push(b'\n');
        if self.torn {
            self.text.insert(0, b'\n');
        }
        let deadline = Instant::now() + if self.stuck { Duration::ZERO } else { PATIENCE };
        let mut done = 0;
        while done < self.text.len() {
            match self.write(&self.text[done..], deadline) {
                Ok(count) => done += count,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) if wait(self.out.as_fd(), deadline) => {}
                // Nobody reads, or nobody is there: what cannot be told here can be told nowhere.
                Err(_) => {
                    self.stuck = true;
                    self.torn |= done > 0;
                    return false;
                }
            }
        }
        (self.stuck, self.torn) = (false, false);
        true
    }

    fn write(&self, bytes: &[u8], deadline: Instant) -> Result<usize, Errno> {
        match self.way {
            Way::Socket => send(self.out.as_raw_fd(), bytes, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL),
            Way::Own => nix::unistd::write(&self.out, bytes),
            Way::Shared if !wait(self.out.as_fd(), deadline) => Err(Errno::ETIMEDOUT),
            Way::Shared => nix::unistd::write(&self.out, &bytes[..bytes.len().min(PORTION)]),
        }
    }
}

/// A descriptor to write to that does not block, where one can be had. O_NONBLOCK on the inherited one would change it for
/// everybody who shares it, the operator's shell too.
fn open(stderr: BorrowedFd<'_>) -> io::Result<(OwnedFd, Way)> {
    let kind = fstat(stderr).map(|stat| SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()));
    let own = || {
        let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let path = format!("/proc/self/fd/{}", stderr.as_raw_fd());
        std::fs::OpenOptions::new().write(true).custom_flags(flags.bits()).open(path).ok()
    };
    let way = match kind {
        Ok(SFlag::S_IFSOCK) => Way::Socket,
        Ok(SFlag::S_IFIFO | SFlag::S_IFCHR) => match own() {
            Some(file) => return Ok((file.into(), Way::Own)),
            None => Way::Shared,
        },
        _ => Way::Shared,
    };
    Ok((stderr.try_clone_to_owned()?, way))
}

/// `true` once there is room, `false` at the deadline.
fn wait(fd: BorrowedFd<'_>, deadline: Instant) -> bool {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
        let mut fds = [PollFd::new(fd, PollFlags::POLLOUT)];
        match poll(&mut fds, timeout) {
            Err(Errno::EINTR) => {}
            // With POLLERR and POLLHUP the write tells what is the matter.
            Ok(1..) => return true,
            _ => return false,
        }
    }
}
