//! The log files of all jobs: a few open at a time, and what to do when one cannot be written.
//!
//! A disk that is full or broken costs lines, never a job (fault E80): the batch is taken back and dropped with its count,
//! standard error hears of it once, and after [`REST`] it is tried again.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::Order;
use super::log_file::{LogFile, Refused, open_dir, rotate};
use super::writer::Writer;
use crate::conf::LogConfig;
use crate::job::JobName;
use crate::run::spool::{Intent, State};

/// Most log files held open.
const MOST_OPEN: usize = 64;
/// Most files whose trouble is remembered.
const MOST_TROUBLES: usize = 4096;
/// From this size on a batch is written by a thread of its own, while the next one is made.
const LARGE: usize = 64 << 10;
/// Time before a file that failed is tried again.
const REST: Duration = Duration::from_secs(1);

/// Ends the name of a job's log file.
pub const LOG: &str = ".log";
/// Ends the name of the file with those of a job's lines that the journal did not take. One thread alone writes a file, and
/// these names never meet.
pub const UNSENT: &str = ".unsent";

/// All log files of one kind.
pub struct Files {
    path: PathBuf,
    suffix: &'static str,
    max_size: u64,
    keep: u32,
    dir: Option<OwnedFd>,
    /// Used last at the end.
    open: Vec<(JobName, Arc<LogFile>)>,
    /// Files that cannot be written, until when they are let be.
    troubles: HashMap<JobName, Instant>,
    /// The way to standard error.
    say: Sender<Order>,
    writer: Option<Writer>,
    /// Whose batch the writer has.
    flying: Option<JobName>,
}

/// What has become of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// It is in the file.
    Done,
    /// Nothing of it is.
    Failed,
    /// It is on its way.
    Flying,
}

impl Files {
    /// In the directory that `config` names, with [`LOG`] or [`UNSENT`]; nothing is opened before it is needed.
    pub fn new(config: &LogConfig, suffix: &'static str, say: Sender<Order>) -> Files {
        let (dir, open, troubles, writer, flying) = Default::default();
        let (path, max_size, keep) = (config.dir.clone(), config.max_size, config.keep);
        Files { path, suffix, max_size, keep, dir, open, troubles, say, writer, flying }
    }

    /// Appends `text` to the job's file: all of it, or nothing. `announce` hears the place before a byte is written. What is
    /// [`Begun::Flying`] must be met with [`Files::finish`] before anything else is begun; its text has been taken away.
    #[must_use]
    pub fn append(&mut self, job: &JobName, text: &mut Vec<u8>, announce: impl FnOnce(Place)) -> Begun {
        if self.troubles.get(job).is_some_and(|until| Instant::now() < *until) {
            return Begun::Failed;
        }
        let (file, offset) = match self.place(job) {
            Ok(place) => place,
            Err(refused) => return self.fail(job, refused),
        };
        let (device, inode) = file.identity();
        announce(Place { device, inode, offset, length: text.len() as u64 });
        if text.len() >= LARGE {
            if self.writer.is_none() {
                self.writer = Writer::start();
            }
            if let Some(writer) = &mut self.writer {
                writer.begin(file, offset, text);
                self.flying = Some(job.clone());
                return Begun::Flying;
            }
        }
        match file.append(offset, text) {
            Ok(()) => self.succeed(job),
            Err(errno) => self.fail(job, errno.into()),
        }
    }

    /// How the batch that was flying has ended: never [`Begun::Flying`].
    pub fn finish(&mut self) -> Begun {
        let (Some(job), Some(writer)) = (self.flying.take(), &mut self.writer) else { return Begun::Failed };
        match writer.finish() {
            Ok(()) => self.succeed(&job),
            Err(errno) => self.fail(&job, errno.into()),
        }
    }

    /// The same as [`Files::append`], and waits for it: never [`Begun::Flying`].
    #[must_use]
    pub fn append_now(&mut self, job: &JobName, text: &mut Vec<u8>, announce: impl FnOnce(Place)) -> Begun {
        match self.append(job, text, announce) {
            Begun::Flying => self.finish(),
            begun => begun,
        }
    }

    fn succeed(&mut self, job: &JobName) -> Begun {
        if !self.troubles.is_empty() {
            self.troubles.remove(job);
        }
        Begun::Done
    }

    fn fail(&mut self, job: &JobName, why: Refused) -> Begun {
        self.open.retain(|(open, _)| open != job);
        // The directory may have been replaced; the next try opens it anew.
        self.dir = None;
        if self.troubles.len() >= MOST_TROUBLES {
            self.troubles.clear();
        }
        if self.troubles.insert(job.clone(), Instant::now() + REST).is_none() {
            self.say(job, &format!("{why}; output of {job} is dropped until it can be written"));
        }
        Begun::Failed
    }

    /// The job's file, rotated if it is due, and its size.
    fn place(&mut self, job: &JobName) -> Result<(Arc<LogFile>, u64), Refused> {
        let mut offset = self.reach(job)?;
        if self.max_size > 0 && offset > self.max_size {
            let dir = self.dir.as_ref().ok_or(Errno::ENOENT)?;
            match rotate(dir.as_fd(), &self.name(job), self.keep) {
                Ok(()) => {
                    self.open.pop();
                    offset = self.reach(job)?;
                }
                // Better a file that is too large than lines lost.
                Err(errno) if offset <= self.max_size.saturating_mul(2) => {
                    self.say(job, &format!("it could not be rotated: {}", errno.desc()));
                }
                Err(errno) => return Err(errno.into()),
            }
        }
        let (_, file) = self.open.last().ok_or(Errno::ENOENT)?;
        Ok((file.clone(), offset))
    }

    /// Puts the job's file at the end of `open` and answers its size.
    fn reach(&mut self, job: &JobName) -> Result<u64, Refused> {
        let name = self.name(job);
        let dir = match &mut self.dir {
            Some(dir) => dir,
            none => none.insert(
                open_dir(&self.path)
                    .map_err(|error| Refused::Errno(error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)))?,
            ),
        };
        if let Some(at) = self.open.iter().rposition(|(open, _)| open == job) {
            let found = self.open.remove(at);
            if let Some(size) = found.1.size(dir.as_fd()) {
                self.open.push(found);
                return Ok(size);
            }
        }
        let file = LogFile::open(dir.as_fd(), name, true)?;
        file.mend()?;
        let size = file.own_size()?;
        if self.open.len() >= MOST_OPEN {
            self.open.remove(0);
        }
        self.open.push((job.clone(), Arc::new(file)));
        Ok(size)
    }

    /// Whether the batch that an engine before was about to write is in the file. A part of it is taken back. Where nobody
    /// can tell any more, because the file was moved, cut or made unreadable, the answer is yes: nothing comes twice.
    pub fn written(&mut self, job: &JobName, intent: &Intent) -> bool {
        let Ok(dir) = open_dir(&self.path) else { return true };
        let Ok(file) = LogFile::open(dir.as_fd(), self.name(job), false) else { return true };
        let Ok(size) = file.own_size() else { return true };
        let there = file.identity() != (intent.device, intent.inode)
            || size < intent.offset
            || size >= intent.offset + intent.length;
        there || file.cut(intent.offset).is_err()
    }

    /// The directory and the names in it, for people.
    pub fn place_of_all(&self) -> String {
        self.path.join(format!("*{}", self.suffix)).display().to_string()
    }

    fn name(&self, job: &JobName) -> String {
        format!("{}{}", job.file_stem(), self.suffix)
    }

    fn say(&self, job: &JobName, text: &str) {
        let path = self.path.join(self.name(job));
        let _ = self.say.send(Order::Say(format!("{}: {text}", path.display())));
    }
}

/// Where a batch is about to be written.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    device: u64,
    inode: u64,
    offset: u64,
    length: u64,
}

impl Place {
    /// For the spool's record.
    pub fn intent(self, after: State) -> Intent {
        Intent { device: self.device, inode: self.inode, offset: self.offset, length: self.length, after }
    }
}
