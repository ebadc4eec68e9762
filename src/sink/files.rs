//! The log files of all jobs: a few open at a time, and what to do when one cannot be written.
//!
//! A disk that is full or broken costs lines, never a job (fault E80): the batch is taken back and dropped with its count,
//! standard error hears of it once, and after [`REST`] it is tried again.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::Order;
use super::log_file::{LogFile, Refused, open_dir, rotate};
use crate::conf::LogConfig;
use crate::job::JobName;
use crate::run::spool::{Intent, State};

/// Most log files held open.
const MOST_OPEN: usize = 64;
/// Most files whose trouble is remembered.
const MOST_TROUBLES: usize = 4096;
/// Time before a file that failed is tried again.
const REST: Duration = Duration::from_secs(1);

/// All log files.
pub struct Files {
    path: PathBuf,
    max_size: u64,
    keep: u32,
    dir: Option<OwnedFd>,
    /// Used last at the end.
    open: Vec<(JobName, LogFile)>,
    /// Files that cannot be written, until when they are let be.
    troubles: HashMap<JobName, Instant>,
    /// The way to standard error.
    say: Sender<Order>,
}

impl Files {
    /// In the directory that `config` names; nothing is opened before it is needed.
    pub fn new(config: &LogConfig, say: Sender<Order>) -> Files {
        let (open, troubles) = Default::default();
        Files { path: config.dir.clone(), max_size: config.max_size, keep: config.keep, dir: None, open, troubles, say }
    }

    /// Appends `text` to the job's file: all of it or nothing, `false`. `announce` hears the place before a byte is written.
    #[must_use]
    pub fn append(&mut self, job: &JobName, text: &[u8], announce: impl FnOnce(Place)) -> bool {
        if self.troubles.get(job).is_some_and(|until| Instant::now() < *until) {
            return false;
        }
        match self.try_append(job, text, announce) {
            Ok(()) => {
                self.troubles.remove(job);
                true
            }
            Err(refused) => {
                self.open.retain(|(open, _)| open != job);
                // The directory may have been replaced; the next try opens it anew.
                self.dir = None;
                if self.troubles.len() >= MOST_TROUBLES {
                    self.troubles.clear();
                }
                if self.troubles.insert(job.clone(), Instant::now() + REST).is_none() {
                    self.say(job, &format!("{refused}; output of {job} is dropped until it can be written"));
                }
                false
            }
        }
    }

    fn try_append(&mut self, job: &JobName, text: &[u8], announce: impl FnOnce(Place)) -> Result<(), Refused> {
        let mut offset = self.reach(job)?;
        if self.max_size > 0 && offset > self.max_size {
            let dir = self.dir.as_ref().ok_or(Errno::ENOENT)?;
            match rotate(dir.as_fd(), &name(job), self.keep) {
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
        let (device, inode) = file.identity();
        announce(Place { device, inode, offset, length: text.len() as u64 });
        Ok(file.append(offset, text)?)
    }

    /// Puts the job's file at the end of `open` and answers its size.
    fn reach(&mut self, job: &JobName) -> Result<u64, Refused> {
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
        let file = LogFile::open(dir.as_fd(), name(job), true)?;
        file.mend()?;
        let size = file.own_size()?;
        if self.open.len() >= MOST_OPEN {
            self.open.remove(0);
        }
        self.open.push((job.clone(), file));
        Ok(size)
    }

    /// Whether the batch that an engine before was about to write is in the file. A part of it is taken back. Where nobody
    /// can tell any more, because the file was moved, cut or made unreadable, the answer is yes: nothing comes twice.
    pub fn written(&mut self, job: &JobName, intent: &Intent) -> bool {
        let Ok(dir) = open_dir(&self.path) else { return true };
        let Ok(file) = LogFile::open(dir.as_fd(), name(job), false) else { return true };
        let Ok(size) = file.own_size() else { return true };
        let there = file.identity() != (intent.device, intent.inode)
            || size < intent.offset
            || size >= intent.offset + intent.length;
        there || file.cut(intent.offset).is_err()
    }

    fn say(&self, job: &JobName, text: &str) {
        let path = self.path.join(name(job));
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

fn name(job: &JobName) -> String {
    format!("{}.log", job.file_stem())
}
