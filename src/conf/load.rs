//! Reads the files of an opened directory one by one: what was [fetched](super::fetch) is parsed, and judged by whom it may
//! run as.

use std::collections::HashMap;
use std::os::fd::BorrowedFd;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::config::Config;
use super::directory::Reading;
use super::fetch::Seen;
use super::jobs_config::{self, Item, JobsConfig};
use super::open::Opener;
use super::program::unsafe_program;
use super::trust::{Keeper, Trust};
use crate::job::file::{Schedules, read_job_with};
use crate::job::{Finding, Severity};
use crate::wire::{DirectoryPlace, FilePlace};

/// What came of a look at a file.
#[derive(Debug)]
pub enum Looked<R = Reading> {
    /// It is not there.
    Gone,
    /// It is as it was.
    Same,
    /// It is being written, by all appearance: to be looked at again shortly.
    Young,
    /// It was read.
    Read(R),
    /// It could not be read for a reason that passes: to be tried again later.
    Passing(Finding),
}

/// Reads files.
#[derive(Debug)]
pub struct Loader {
    /// Whom jobs may run as; absent: whoever.
    pub(super) users: Option<Config>,
    pub(super) trust: Trust,
    /// Who besides root has a say in `jobs_config`.
    pub(super) keeper: Keeper,
    own_zone: fn() -> TimeZone,
    zone: TimeZone,
    schedules: Schedules,
    pub(super) seen: HashMap<FilePlace, Seen>,
}

impl Loader {
    /// For a daemon with this configuration; `zone` tells its own.
    pub fn new(config: Config, zone: fn() -> TimeZone) -> Loader {
        let trust = if config.as_root { Trust::of_root() } else { Trust::of_user() };
        Loader::lint(Some(config), trust, zone)
    }

    /// For a look without a daemon: `users` is its configuration, where there is one.
    pub fn lint(users: Option<Config>, trust: Trust, zone: fn() -> TimeZone) -> Loader {
        let (keeper, schedules, seen) = Default::default();
        Loader { users, trust, keeper, own_zone: zone, zone: zone(), schedules, seen }
    }

    /// Whose files are believed.
    pub fn trust(&self) -> Trust {
        self.trust
    }

    /// Who has a say in `jobs_config`. With another one it is read anew.
    pub fn keep(&mut self, keeper: Keeper) {
        if self.keeper != keeper {
            self.keeper = keeper;
            self.forget_all(DirectoryPlace::OfJobsConfig);
        }
    }

    /// A file is gone: nothing is remembered of it.
    pub fn forget(&mut self, place: &FilePlace) {
        self.seen.remove(place);
    }

    /// The directory is another one, say: nothing is remembered of its files.
    pub fn forget_all(&mut self, directory: DirectoryPlace) {
        let conf_d = directory == DirectoryPlace::ConfD;
        self.seen.retain(|place, _| matches!(place, FilePlace::ConfD(_)) != conf_d);
    }

    /// Everything may mean something else now, also files that are as they were: the time zone database is read anew, and
    /// which zone is this machine's.
    pub fn refresh(&mut self) {
        jiff::tz::db().reset();
        jiff::tz::reset_system_time_zone_cache();
        self.zone = (self.own_zone)();
        self.schedules = Schedules::default();
        self.seen.clear();
    }

    /// By stat(2) alone: the file is the one that was read, unchanged. Never said of links.
    pub fn unchanged(&self, directory: BorrowedFd<'_>, place: &FilePlace, name: &str) -> bool {
        self.seen.get(place).is_some_and(|seen| seen.stamp.holds(directory, name))
    }

    /// Opens, checks and reads a job file. `written` says that its writer has closed it; without that a file of the last
    /// moments is [`Looked::Young`].
    pub fn look(&mut self, directory: BorrowedFd<'_>, opener: &impl Opener, name: &str, written: bool) -> Looked {
        let place = FilePlace::ConfD(name.to_owned());
        let (bytes, stamp, now) = match self.fetch(directory, opener, &place, name, written) {
            Looked::Read(Ok(fetched)) => fetched,
            Looked::Read(Err(findings)) => return Looked::Read(Reading::Broken(findings)),
            Looked::Gone => return Looked::Gone,
            Looked::Same => return Looked::Same,
            Looked::Young => return Looked::Young,
            Looked::Passing(finding) => return Looked::Passing(finding),
        };
        let reading = match read_job_with(name, &bytes, Severity::Error, &self.zone, now, &mut self.schedules) {
            Ok((job, mut warnings)) => {
                warnings.extend(stamp.doubt(name));
                Reading::Good { job: Box::new(job), since: stamp.since(now), warnings }
            }
            Err(findings) => Reading::Broken(findings),
        };
        Looked::Read(self.permit(reading))
    }

    /// The same for `jobs_config`, which is `name` in its directory and `label` in findings.
    pub fn look_at_jobs_config(
        &mut self,
        directory: BorrowedFd<'_>,
        opener: &impl Opener,
        (name, label): (&str, &str),
        written: bool,
    ) -> Looked<Result<JobsConfig, Vec<Finding>>> {
        let (bytes, stamp, now) = match self.fetch(directory, opener, &FilePlace::JobsConfig, name, written) {
            Looked::Read(Ok(fetched)) => fetched,
            Looked::Read(Err(findings)) => {
                let at_path = |finding| Finding { file: label.to_owned(), ..finding };
                return Looked::Read(Err(findings.into_iter().map(at_path).collect()));
            }
            Looked::Gone => return Looked::Gone,
            Looked::Same => return Looked::Same,
            Looked::Young => return Looked::Young,
            Looked::Passing(finding) => return Looked::Passing(Finding { file: label.to_owned(), ..finding }),
        };
        let read = jobs_config::read(label, &bytes, stamp.since(now), &self.zone, now, &mut self.schedules);
        Looked::Read(read.map(|mut read| {
            read.findings.extend(stamp.doubt(label));
            self.permit_items(read, self.is_kept(directory, Some(&stamp)))
        }))
    }

    /// A text as the job file `name`, by the same rules but for the weight of unknown keys; it stands since `since`.
    pub fn read_text(&mut self, name: &str, text: &str, unknown: Severity, since: Timestamp) -> Reading {
        let (bytes, now) = (text.as_bytes(), Timestamp::now());
        let reading = match read_job_with(name, bytes, unknown, &self.zone, now, &mut self.schedules) {
            Ok((job, warnings)) => Reading::Good { job: Box::new(job), since, warnings },
            Err(findings) => Reading::Broken(findings),
        };
        self.permit(reading)
    }

    /// A text as the `jobs_config`, by the same rules. `kept`: not by root alone.
    pub fn read_jobs_text(&mut self, label: &str, text: &str, kept: bool) -> Result<JobsConfig, Vec<Finding>> {
        let now = Timestamp::now();
        let read = jobs_config::read(label, text.as_bytes(), now, &self.zone, now, &mut self.schedules)?;
        Ok(self.permit_items(read, kept))
    }

    fn permit_items(&self, read: JobsConfig, kept: bool) -> JobsConfig {
        let permit = |item: Item| Item { reading: self.permit(self.confine(item.reading, kept)), ..item };
        JobsConfig { items: read.items.into_iter().map(permit).collect(), ..read }
    }

    /// Who decides what stands in `jobs_config` gets no more by it than `jobs_user` has.
    fn confine(&self, reading: Reading, kept: bool) -> Reading {
        match (reading, &self.users) {
            (Reading::Good { job, since, mut warnings }, Some(users)) if kept => match users.refuses_kept(&job) {
                Some(refusal) => {
                    warnings.push(refusal);
                    Reading::Broken(warnings)
                }
                None => Reading::Good { job, since, warnings },
            },
            (reading, _) => reading,
        }
    }

    /// Whether a job may run as the user it names, and what is doubtful about its program.
    fn permit(&self, reading: Reading) -> Reading {
        let Some(users) = &self.users else { return reading };
        match reading {
            Reading::Good { job, since, mut warnings } => match users.refuses(&job) {
                Some(refusal) => {
                    warnings.push(refusal);
                    Reading::Broken(warnings)
                }
                None => {
                    warnings.extend(unsafe_program(users, &job));
                    warnings.extend(users.doubts(&job));
                    Reading::Good { job, since, warnings }
                }
            },
            broken => broken,
        }
    }
}
