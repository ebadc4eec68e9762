//! Files that the engine has changed, written by a child: a disk may take its time, or never answer. One at a time, so that
//! what is asked for later is what stands in the file later. `jobs_config` is opened by one, too: it may be `jobs_user`'s, as
//! whom a [child](super::keeper) goes there.

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
use super::{apart, keeper, places, sys};
use crate::conf::{self, Before, Config, Keeper, MAX_FILES, Trust, is_job_file};
use crate::wire::{FilePlace, Link, MAX_FILE, ToEngine};

/// A child that has not written by then is given up.
const PATIENCE: Duration = Duration::from_secs(30);
/// Most writes that wait; the next is refused with `EBUSY`.
const MOST_WAITING: usize = 16;
/// The same for what is to be opened: the engine reads all the same when too many writes wait.
const MOST_OPENING: usize = 16;
/// Most children that were given up and are not gone yet, because the kernel does not let them go. With so many there is no
/// further write.
const MOST_STUCK: usize = 4;

/// What is to be done.
pub enum Work {
    /// Replace or make the file: these are its contents.
    Write(OwnedFd, Before),
    /// Take it away.
    Remove(Before),
    /// Open its directory.
    Directory,
    /// Open it.
    File,
}

impl Work {
    fn writes(&self) -> bool {
        matches!(self, Work::Write(..) | Work::Remove(_))
    }
}

/// What came of it: whose place it is and what was opened there, or an errno.
type Done = Result<(Keeper, Option<OwnedFd>), i32>;

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
    link: Link,
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
        self.going.as_ref().map(|going| going.link.as_fd())
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
    /// Has a file opened, written or taken away.
    pub(super) fn reach(&mut self, request: u32, place: FilePlace, work: Work) {
        let writes = work.writes();
        let most = if writes { MOST_WAITING } else { MOST_OPENING };
        let waiting = self.writings.waiting.iter().filter(|wish| wish.work.writes() == writes).count();
        if waiting >= most || self.writings.stuck.len() >= MOST_STUCK {
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
                Work::Write(contents, _) => Some(contents.as_fd()),
                Work::Remove(_) | Work::Directory | Work::File => None,
            };
            let engine = self.engine_identity.as_ref().map(|identity| identity.uid);
            let begun = apart::begin_alone(contents, || match carry_out(&self.config, engine, &place, &work) {
                Ok((keeper, opened)) => (Ok(keeper), opened),
                Err(error) => (Err(error.raw_os_error().unwrap_or(libc::EIO)), None),
            });
            match begun {
                Ok((pid, link)) => {
                    let until = Instant::now() + PATIENCE;
                    self.writings.going = Some(Going { request, generation, pid, reaped: false, link, until });
                }
                Err(error) => self.tell_done(request, generation, Err(error.raw_os_error().unwrap_or(libc::EIO))),
            }
        }
    }

    /// Takes the answer of a child that has one.
    pub(super) fn settle_write(&mut self) {
        if self.writings.is_done()
            && let Some(going) = self.writings.going.take()
        {
            let done = match apart::answer_alone::<Result<Keeper, i32>>(&going.link, &mut self.buffer) {
                Ok((Ok(keeper), opened)) => Ok((keeper, opened)),
                Ok((Err(errno), _)) => Err(errno),
                Err(_) => Err(libc::EIO),
            };
            self.tell_done(going.request, going.generation, done);
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
            self.tell_done(going.request, going.generation, Err(libc::ETIMEDOUT));
            if self.writings.stuck.len() >= MOST_STUCK {
                for wish in std::mem::take(&mut self.writings.waiting) {
                    self.tell_done(wish.request, wish.generation, Err(libc::EBUSY));
                }
            }
            self.write_next();
        }
        self.writings.going.as_ref().map(|going| going.until)
    }

    fn tell_done(&mut self, request: u32, generation: u32, done: Done) {
        if generation == self.generation {
            match done {
                Ok((keeper, Some(opened))) => self.tell(&ToEngine::Opened { request, keeper }, &[opened.as_fd()]),
                Ok((_, None)) => self.tell(&ToEngine::Written { request }, &[]),
                Err(errno) => self.tell(&ToEngine::NotWritten { request, errno }, &[]),
            }
        }
    }
}

/// In the child: checks the wish as if it came from an enemy, and does it.
fn carry_out(
    config: &Config,
    engine: Option<u32>,
    place: &FilePlace,
    work: &Work,
) -> io::Result<(Keeper, Option<OwnedFd>)> {
    let (path, name) = places::of_file(config, place)?;
    let (longest, most) = match place {
        FilePlace::ConfD(name) if !is_job_file(name) => return Err(Errno::EINVAL.into()),
        // A longer one would not be read.
        FilePlace::ConfD(_) => (conf::yaml::MAX_FILE, MAX_FILES),
        FilePlace::JobsConfig => (MAX_FILE, usize::MAX),
    };
    // The contents first: whoever this child becomes may not be allowed to read them.
    let contents = match work {
        Work::Write(contents, _) => copy(contents, longest)?,
        Work::Remove(_) | Work::Directory | Work::File => Vec::new(),
    };
    let (directory, keeper) = match place {
        FilePlace::JobsConfig if config.as_root => keeper::go(path, &config.jobs_user)?,
        FilePlace::JobsConfig => (places::open_directory(path)?, Keeper::default()),
        FilePlace::ConfD(_) => (places::open_conf_d(config)?, Keeper::default()),
    };
    let trust = if config.as_root { Trust::of_root().and(keeper.user) } else { Trust::of_user() };
    let opened = match work {
        Work::Write(_, before) => {
            conf::replace(directory.as_fd(), name, &contents, trust, most, *before).map(|()| None)
        }
        Work::Remove(before) => conf::remove(directory.as_fd(), name, trust, *before).map(|()| None),
        Work::Directory => Ok(Some(directory)),
        Work::File => places::open_file(directory.as_fd(), name, keeper.user.or(engine)).map(Some),
    };
    Ok((keeper, opened?))
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
