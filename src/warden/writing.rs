//! Files that the engine has changed, written by a child: a disk may take its time, or never answer. One at a time, so that
//! what is asked for later is what stands in the file later.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{SFlag, fstat};

use super::serve::Warden;
use super::{apart, places, sys};
use crate::conf::{self, Config, MAX_FILES, Trust, is_job_file};
use crate::wire::{FilePlace, MAX_FILE, ToEngine};

/// A child that has not written by then is given up.
const PATIENCE: Duration = Duration::from_secs(30);
/// Most that wait; the next is refused with `EBUSY`.
const MOST_WAITING: usize = 16;
/// Most children that were given up and are not gone yet, because the kernel does not let them go. With so many there is no
/// further write.
const MOST_STUCK: usize = 4;

/// What is to be done.
pub enum Work {
    /// Replace or make the file: these are its contents.
    Write(OwnedFd),
    /// Take it away.
    Remove,
}

/// A wish of an engine.
struct Wish {
    request: u32,
    /// Which engine: its successor did not ask.
    generation: u32,
    place: FilePlace,
    work: Work,
}

/// What a child is at.
struct Going {
    request: u32,
    generation: u32,
    pid: i32,
    reaped: bool,
    pipe: OwnedFd,
    until: Instant,
}

/// Writes that go on and that wait.
#[derive(Default)]
pub struct Writings {
    going: Option<Going>,
    waiting: VecDeque<Wish>,
    stuck: Vec<i32>,
}

impl Writings {
    /// Readable when the child is done.
    pub fn pipe(&self) -> Option<BorrowedFd<'_>> {
        self.going.as_ref().map(|going| going.pipe.as_fd())
    }

    /// A child is one of these.
    pub fn knows(&self, pid: i32) -> bool {
        self.stuck.contains(&pid) || self.going.as_ref().is_some_and(|going| going.pid == pid)
    }

    /// A child is gone, and its number may be another's from now on.
    pub fn reaped(&mut self, pid: i32) {
        self.stuck.retain(|stuck| *stuck != pid);
        if let Some(going) = self.going.as_mut().filter(|going| going.pid == pid) {
            going.reaped = true;
        }
    }

    /// The child has answered, or has died without an answer.
    fn is_done(&self) -> bool {
        self.pipe().is_some_and(|pipe| {
            let mut fds = [PollFd::new(pipe, PollFlags::POLLIN)];
            poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
        })
    }
}

impl Warden {
    /// Has a file written or taken away.
    pub(super) fn write(&mut self, request: u32, place: FilePlace, work: Work) {
        let full = self.writings.waiting.len() >= MOST_WAITING || self.writings.stuck.len() >= MOST_STUCK;
        if full {
            return self.tell(&ToEngine::NotWritten { request, errno: libc::EBUSY }, &[]);
        }
        let generation = self.generation;
        self.writings.waiting.push_back(Wish { request, generation, place, work });
        self.write_next();
    }

    /// Begins what waits, if nothing goes on. What an engine said before it died still counts.
    fn write_next(&mut self) {
        while self.writings.going.is_none()
            && let Some(Wish { request, generation, place, work }) = self.writings.waiting.pop_front()
        {
            let contents = match &work {
                Work::Write(contents) => Some(contents.as_fd()),
                Work::Remove => None,
            };
            let begun = apart::begin_alone(contents, || {
                carry_out(&self.config, &place, &work).map_err(|error| error.raw_os_error().unwrap_or(libc::EIO))
            });
            match begun {
                Ok((pid, pipe)) => {
                    let until = Instant::now() + PATIENCE;
                    self.writings.going = Some(Going { request, generation, pid, reaped: false, pipe, until });
                }
                Err(error) => self.tell_written(request, generation, Err(error.raw_os_error().unwrap_or(libc::EIO))),
            }
        }
    }

    /// Takes the answer of a child that has one.
    pub(super) fn settle_write(&mut self) {
        if self.writings.is_done()
            && let Some(going) = self.writings.going.take()
        {
            let answer = apart::answer(going.pipe).unwrap_or(Err(libc::EIO));
            self.tell_written(going.request, going.generation, answer);
            self.write_next();
        }
    }

    /// Gives up a child that takes too long; when the next one would.
    pub(super) fn clock_write(&mut self, now: Instant) -> Option<Instant> {
        if let Some(going) = self.writings.going.take_if(|going| now >= going.until) {
            if !going.reaped {
                let _ = sys::kill(going.pid, libc::SIGKILL);
                self.writings.stuck.push(going.pid);
            }
            self.tell_written(going.request, going.generation, Err(libc::ETIMEDOUT));
            if self.writings.stuck.len() >= MOST_STUCK {
                for wish in std::mem::take(&mut self.writings.waiting) {
                    self.tell_written(wish.request, wish.generation, Err(libc::EBUSY));
                }
            }
            self.write_next();
        }
        self.writings.going.as_ref().map(|going| going.until)
    }

    fn tell_written(&mut self, request: u32, generation: u32, answer: Result<(), i32>) {
        if generation == self.generation {
            let message = match answer {
                Ok(()) => ToEngine::Written { request },
                Err(errno) => ToEngine::NotWritten { request, errno },
            };
            self.tell(&message, &[]);
        }
    }
}

/// In the child: checks the wish as if it came from an enemy, and does it.
fn carry_out(config: &Config, place: &FilePlace, work: &Work) -> io::Result<()> {
    let (directory, name) = places::of_file(config, place)?;
    let (longest, most) = match place {
        FilePlace::ConfD(name) if !is_job_file(name) => return Err(Errno::EINVAL.into()),
        // A longer one would not be read.
        FilePlace::ConfD(_) => (conf::yaml::MAX_FILE, MAX_FILES),
        FilePlace::JobsConfig => (MAX_FILE, usize::MAX),
    };
    let trust = if config.as_root { Trust::of_root() } else { Trust::of_user() };
    let directory = places::open_directory(directory)?;
    match work {
        Work::Write(contents) => {
            let contents = copy(contents, longest)?;
            conf::replace(directory.as_fd(), name, &contents, trust, most)
        }
        Work::Remove => conf::remove(directory.as_fd(), name, trust),
    }
}

/// The contents, read once: what the engine does to its descriptor afterwards changes nothing.
fn copy(file: &OwnedFd, longest: usize) -> io::Result<Vec<u8>> {
    let stat = fstat(file)?;
    if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
        return Err(Errno::EINVAL.into());
    }
    let size = usize::try_from(stat.st_size).ok().filter(|size| *size <= longest).ok_or(Errno::EFBIG)?;
    let mut contents = vec![0; size];
    File::from(file.try_clone()?).read_exact_at(&mut contents, 0)?;
    Ok(contents)
}
