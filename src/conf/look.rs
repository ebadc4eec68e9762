//! A look at a file: what came of it, and when to look again.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use super::directory::Reading;
use super::jobs_config::Identity;
use super::load::Looked;
use super::names::MAX_FILES;
use super::open::Opener;
use super::place::Found;
use super::watch::{JobsConfigFile, Scan, Watch};
use crate::wire::{DirectoryPlace, FilePlace};

/// Before another look at a file that may still be being written, and how many such looks.
const AGAIN: Duration = Duration::from_millis(55);
pub(super) const MAX_AGAIN: u32 = 20;
/// So many looks say that `jobs_config` is gone before that is believed: programs that write it take it away first.
const GONE_AGAIN: u32 = 4;
/// Before a file is tried again that could not be read: from, to.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// Why a file is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// Its writer has closed it.
    Closed,
    /// It was made.
    Created,
    /// It was found, and looked at so many times before.
    Again(u32),
    /// It could not be read, and this long was waited.
    Retry(Duration),
}

impl Look {
    /// Nobody writes to it, however young it is.
    fn is_sure(self) -> bool {
        !matches!(self, Look::Again(_))
    }
}

impl<O: Opener> Watch<O> {
    pub(super) fn look_at(&mut self, due: Vec<(FilePlace, Look)>) {
        let mut gone = Vec::new();
        for (place, look) in due {
            match &place {
                FilePlace::ConfD(name) => {
                    if self.look_at_file(name, look) {
                        gone.push(name.clone());
                    }
                }
                FilePlace::JobsConfig => self.look_at_jobs_config(look),
            }
        }
        if gone.is_empty() {
            return;
        }
        // Its files go first when a directory goes: then it is the directory that is gone, and they stay.
        if self.conf_d.is_deleted() {
            let found = self.conf_d.identify(&self.opener);
            let fresh = matches!(found, Found::Fresh { .. });
            self.note(DirectoryPlace::ConfD, found, &mut Vec::new());
            if fresh {
                self.scan(Scan::All);
            }
            return;
        }
        for name in gone {
            let place = FilePlace::ConfD(name);
            self.loader.forget(&place);
            self.retry.remove(&place);
            if let FilePlace::ConfD(name) = &place {
                self.directory.remove(name);
            }
        }
        if self.directory.is_empty() {
            self.conf_d.check_soon();
        }
    }

    /// Looks at a job file. `true`: it is gone.
    fn look_at_file(&mut self, name: &str, look: Look) -> bool {
        let Some(directory) = self.conf_d.directory() else { return false };
        let made = look == Look::Created && is_empty(directory.as_fd(), name);
        if made || (!self.directory.contains(name) && self.directory.len() >= MAX_FILES) {
            // Made and not yet written: its close comes.
            return false;
        }
        let looked = self.loader.look(directory.as_fd(), &self.opener, name, look.is_sure());
        let place = FilePlace::ConfD(name.to_owned());
        match looked {
            Looked::Gone => return true,
            Looked::Same => drop(self.retry.remove(&place)),
            Looked::Young => self.look_again(place, look),
            Looked::Read(reading) => {
                self.retry.remove(&place);
                self.directory.upsert(name, reading);
            }
            Looked::Passing(finding) => {
                self.directory.upsert(name, Reading::Broken(vec![finding]));
                self.try_again(place, look);
            }
        }
        false
    }

    fn look_at_jobs_config(&mut self, look: Look) {
        let place = FilePlace::JobsConfig;
        let Some((directory, JobsConfigFile { name, label })) =
            self.jobs.as_ref().and_then(|(place, file)| Some((place.directory()?, file.clone())))
        else {
            return;
        };
        if look == Look::Created && is_empty(directory.as_fd(), &name) {
            return;
        }
        let names = (name.as_str(), label.as_str());
        match self.loader.look_at_jobs_config(directory.as_fd(), &self.opener, names, look.is_sure()) {
            Looked::Gone => {
                let count = if let Look::Again(count) = look { count } else { 0 };
                if self.directory.has_items() && count < GONE_AGAIN {
                    self.again.insert(place, (Instant::now() + AGAIN, count + 1));
                } else if !self.jobs.as_ref().is_some_and(|(place, _)| place.is_deleted()) {
                    self.loader.forget(&place);
                    self.retry.remove(&place);
                    self.directory.set_jobs_config(&label, Some(Vec::new()), Vec::new());
                    self.update.identity = Some(Identity::default());
                }
            }
            Looked::Same => drop(self.retry.remove(&place)),
            Looked::Young => self.look_again(place, look),
            Looked::Read(Ok(read)) => {
                self.retry.remove(&place);
                self.directory.set_jobs_config(&label, Some(read.items), read.findings);
                self.update.identity = Some(read.identity);
            }
            Looked::Read(Err(findings)) => {
                self.retry.remove(&place);
                self.directory.set_jobs_config(&label, None, findings);
            }
            Looked::Passing(finding) => {
                self.directory.set_jobs_config(&label, None, vec![finding]);
                self.try_again(place, look);
            }
        }
    }

    /// The file is as its writer, which is this thread, has left it.
    pub(super) fn look_at_written(&mut self, place: FilePlace) {
        self.look_at(vec![(place, Look::Closed)]);
    }

    fn look_again(&mut self, place: FilePlace, look: Look) {
        let count = if let Look::Again(count) = look { count } else { 0 };
        self.again.insert(place, (Instant::now() + AGAIN, count + 1));
    }

    fn try_again(&mut self, place: FilePlace, look: Look) {
        let wait = if let Look::Retry(wait) = look { (wait * 2).min(RETRY.1) } else { RETRY.0 };
        self.retry.insert(place, (Instant::now() + wait, wait));
    }
}

/// A regular file without a byte in it and without another name.
fn is_empty(directory: BorrowedFd<'_>, name: &str) -> bool {
    use nix::sys::stat::{SFlag, fstatat};
    let stat = fstatat(directory, name, nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW);
    stat.is_ok_and(|stat| {
        SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG
            && stat.st_size == 0
            && stat.st_nlink < 2
    })
}
