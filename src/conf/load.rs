//! Reads the files of an opened directory one by one: open, check what was opened, read, parse.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{FileStat, SFlag, fstat, fstatat};

use super::config::Config;
use super::directory::Reading;
use super::jobs_config::{self, Item, JobsConfig};
use super::open::{Opener, open_in, read_all};
use super::program::unsafe_program;
use super::trust::{Trust, What};
use super::yaml::MAX_FILE;
use crate::job::Finding;
use crate::job::file::{Schedules, hash_of, read_job_with};
use crate::wire::{DirectoryPlace, FilePlace, MAX_FILE as MAX_JOBS_CONFIG};

/// Most job files of a directory.
pub const MAX_FILES: usize = 20_000;
/// A file changed less than this ago may still be being written, in milliseconds.
const YOUNG: i64 = 50;

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
    users: Option<Config>,
    trust: Trust,
    zone: TimeZone,
    schedules: Schedules,
    seen: HashMap<FilePlace, Seen>,
}

/// A file when it was last read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    stamp: Stamp,
    /// Of its text; absent where that was not read.
    hash: Option<u64>,
}

/// What stat(2) tells of a file that is still the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    identity: (u64, u64),
    size: i64,
    changed: (i64, i64),
    written: (i64, i64),
    links: u64,
}

impl Stamp {
    #[allow(clippy::unnecessary_cast)] // the widths differ between machines
    fn of(stat: &FileStat) -> Stamp {
        Stamp {
            identity: (stat.st_dev as u64, stat.st_ino as u64),
            size: stat.st_size as i64,
            changed: (stat.st_ctime as i64, stat.st_ctime_nsec as i64),
            written: (stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            links: stat.st_nlink as u64,
        }
    }

    /// The name in the directory stands for the file that this was taken of, unchanged. Never said of links.
    pub fn holds(&self, directory: BorrowedFd<'_>, name: &str) -> bool {
        fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok_and(|stat| Stamp::of(&stat) == *self)
    }

    /// When the file was last changed, never in the future.
    fn since(&self, now: Timestamp) -> Timestamp {
        let (seconds, nanoseconds) = self.changed;
        let changed = i32::try_from(nanoseconds).ok().and_then(|nano| Timestamp::new(seconds, nano).ok());
        changed.map_or(now, |changed| changed.min(now))
    }

    fn doubt(&self, file: &str) -> Option<Finding> {
        let finding = Finding::warning("hard-link", file, "the file has another name (hard link) somewhere");
        (self.links > 1).then(|| finding.hint("who can write to the other name changes this job"))
    }
}

/// The name stands for a symbolic link.
pub fn is_link(directory: BorrowedFd<'_>, name: &str) -> bool {
    fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFLNK)
}

/// Opens a file: by the engine's own rights, else by the warden's.
fn opened(directory: BorrowedFd<'_>, opener: &impl Opener, place: &FilePlace, name: &str) -> io::Result<OwnedFd> {
    match open_in(directory, name) {
        Err(Errno::EACCES) => opener.file(place),
        other => other.map_err(io::Error::from),
    }
}

/// Most bytes that are read of a file.
fn most(place: &FilePlace) -> usize {
    match place {
        FilePlace::ConfD(_) => MAX_FILE,
        FilePlace::JobsConfig => MAX_JOBS_CONFIG,
    }
}

fn too_large(place: &FilePlace, name: &str) -> Finding {
    match place {
        FilePlace::ConfD(_) => super::yaml::too_large(name),
        FilePlace::JobsConfig => {
            let message = format!("the file is larger than {} MiB and was not read", MAX_JOBS_CONFIG >> 20);
            Finding::error("too-large", name, message)
        }
    }
}

/// Names that count as job files: `.yaml` and `.yml`, not hidden. What editors and package tools leave beside them
/// (`~`, `.bak`, `.swp`, `.dpkg-*`, `.rpmnew`, `.rpmsave`) ends otherwise or begins with a dot.
pub fn is_job_file(name: &str) -> bool {
    let stem = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml"));
    stem.is_some_and(|stem| !stem.is_empty() && !stem.starts_with(['.', '#']))
}

/// The job files of a directory, and what is wrong with other names.
#[derive(Debug, Default)]
pub struct Names {
    /// Names that count, at most [`MAX_FILES`]: the first in byte order.
    pub files: BTreeSet<String>,
    /// There is a symbolic link among all names.
    pub links: bool,
    /// Names that cannot be job files though they look like it, as findings.
    pub findings: Vec<Finding>,
}

impl Loader {
    /// For a daemon with this configuration; `zone` is its own.
    pub fn new(config: Config, zone: TimeZone) -> Loader {
        let trust = if config.as_root { Trust::of_root() } else { Trust::of_user() };
        Loader::lint(Some(config), trust, zone)
    }

    /// For a look without a daemon: `users` is its configuration, where there is one.
    pub fn lint(users: Option<Config>, trust: Trust, zone: TimeZone) -> Loader {
        Loader { users, trust, zone, schedules: Schedules::default(), seen: HashMap::new() }
    }

    /// Whose files are believed.
    pub fn trust(&self) -> Trust {
        self.trust
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

    /// Everything may mean something else now, also files that are as they were: the time zone database is read anew.
    pub fn refresh(&mut self) {
        jiff::tz::db().reset();
        if let Some(fresh) = self.zone.iana_name().and_then(|name| TimeZone::get(name).ok()) {
            self.zone = fresh;
        }
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
        let reading = match read_job_with(name, &bytes, &self.zone, now, &mut self.schedules) {
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
            let permit = |item: Item| Item { reading: self.permit(item.reading), ..item };
            JobsConfig { items: read.items.into_iter().map(permit).collect(), ..read }
        }))
    }

    /// A text as the job file `name`, by the same rules; it stands since `since`.
    pub fn read_text(&mut self, name: &str, text: &str, since: Timestamp) -> Reading {
        let reading = match read_job_with(name, text.as_bytes(), &self.zone, Timestamp::now(), &mut self.schedules) {
            Ok((job, warnings)) => Reading::Good { job: Box::new(job), since, warnings },
            Err(findings) => Reading::Broken(findings),
        };
        self.permit(reading)
    }

    /// A text as the `jobs_config`, by the same rules.
    pub fn read_jobs_text(&mut self, label: &str, text: &str) -> Result<JobsConfig, Vec<Finding>> {
        let now = Timestamp::now();
        let read = jobs_config::read(label, text.as_bytes(), now, &self.zone, now, &mut self.schedules)?;
        let permit = |item: Item| Item { reading: self.permit(item.reading), ..item };
        Ok(JobsConfig { items: read.items.into_iter().map(permit).collect(), ..read })
    }

    /// The text of a file as it is this moment, `None` where there is none, and what stat(2) tells of it.
    pub fn text(
        &self,
        directory: BorrowedFd<'_>,
        opener: &impl Opener,
        place: &FilePlace,
        name: &str,
    ) -> Result<Option<(String, Stamp)>, Finding> {
        let failed = |error: io::Error| Finding::error("unreadable", name, format!("cannot be read: {error}"));
        let file = match opened(directory, opener, place, name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(failed)?,
        };
        let stat = fstat(file.as_fd()).map_err(|errno| failed(errno.into()))?;
        if let Err(why) = self.trust.judge(What::File, &stat) {
            return Err(Finding::error(why.code, name, format!("refused: {}", why.message)).hint(why.hint));
        }
        let most = most(place);
        let (bytes, before, after) = read_all(file, most).map_err(failed)?;
        if Stamp::of(&before) != Stamp::of(&after) {
            return Err(Finding::error("unreadable", name, "somebody writes to it at this moment"));
        }
        if bytes.len() > most {
            return Err(too_large(place, name));
        }
        let text = String::from_utf8(bytes).map_err(|_| Finding::error("not-utf8", name, "the file is not UTF-8"))?;
        Ok(Some((text, Stamp::of(&before))))
    }

    fn fetch(
        &mut self,
        directory: BorrowedFd<'_>,
        opener: &impl Opener,
        place: &FilePlace,
        name: &str,
        written: bool,
    ) -> Looked<Result<(Vec<u8>, Stamp, Timestamp), Vec<Finding>>> {
        let read = opened(directory, opener, place, name).and_then(|file| self.read(place, name, file, written));
        match read {
            Ok(looked) => looked,
            Err(error) => self.failed(directory, place, name, &error),
        }
    }

    fn read(
        &mut self,
        place: &FilePlace,
        name: &str,
        file: OwnedFd,
        written: bool,
    ) -> io::Result<Looked<Result<(Vec<u8>, Stamp, Timestamp), Vec<Finding>>>> {
        let stat = fstat(file.as_fd())?;
        let stamp = Stamp::of(&stat);
        let now = Timestamp::now();
        if let Err(why) = self.trust.judge(What::File, &stat) {
            self.seen.insert(place.clone(), Seen { stamp, hash: None });
            let finding = Finding::error(why.code, name, format!("refused: {}", why.message)).hint(why.hint);
            return Ok(Looked::Read(Err(vec![finding])));
        }
        if !written && is_young(stamp.written, now) {
            return Ok(Looked::Young);
        }
        let most = most(place);
        if stamp.size > most as i64 {
            self.seen.insert(place.clone(), Seen { stamp, hash: None });
            return Ok(Looked::Read(Err(vec![too_large(place, name)])));
        }
        let (bytes, before, after) = read_all(file, most)?;
        if Stamp::of(&before) != Stamp::of(&after) || Stamp::of(&before).written != stamp.written {
            return Ok(Looked::Young);
        }
        let seen = Seen { stamp, hash: Some(hash_of(&bytes)) };
        if let Some(old) = self.seen.insert(place.clone(), seen)
            && old.hash == seen.hash
            && (old.stamp.links > 1) == (stamp.links > 1)
        {
            return Ok(Looked::Same);
        }
        Ok(Looked::Read(Ok((bytes, stamp, now))))
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
                    Reading::Good { job, since, warnings }
                }
            },
            broken => broken,
        }
    }

    fn failed<R>(
        &mut self,
        directory: BorrowedFd<'_>,
        place: &FilePlace,
        name: &str,
        error: &io::Error,
    ) -> Looked<Result<R, Vec<Finding>>> {
        let errno = error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
        let broken =
            |code, message: &str, hint: &str| Looked::Read(Err(vec![Finding::error(code, name, message).hint(hint)]));
        self.seen.remove(place);
        match errno {
            Errno::ENOENT => match fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
                Ok(stat) if SFlag::from_bits_truncate(stat.st_mode).contains(SFlag::S_IFLNK) => {
                    broken("dangling-link", "the link leads nowhere", "take it away, or put back what it points at")
                }
                Err(Errno::ENOENT) => Looked::Gone,
                // It came back this very moment, and its event is on the way.
                _ => Looked::Young,
            },
            Errno::EXDEV => broken("link-outside", "the link leads out of the directory", "put the file itself here"),
            Errno::ELOOP => broken("link-refused", "the link is not followed", "put the file itself here"),
            Errno::ENXIO | Errno::ENODEV => {
                broken("not-regular", "it is a socket or device, not a regular file", "take it out of the directory")
            }
            Errno::EACCES | Errno::EPERM => {
                let hint = match self.users.as_ref().is_some_and(|config| config.as_root) {
                    true => "chown it to root and chmod it 0644 (or 0600)",
                    false => "chown it to the user who runs rotad, or chmod it 0644",
                };
                broken("unreadable", "rotad may not read it", hint)
            }
            Errno::EINVAL | Errno::ENAMETOOLONG => {
                broken("bad-file-name", "no file can be opened by this name", "rename it")
            }
            _ => {
                let message = format!("cannot be read now: {}; it will be tried again", errno.desc());
                Looked::Passing(Finding::error("unreadable", name, message))
            }
        }
    }

    /// The names in a directory, which is `itself` in findings.
    pub fn names(directory: BorrowedFd<'_>, itself: &str) -> io::Result<Names> {
        // The copy shares its offset with the original: begin at the beginning whatever was read before.
        nix::unistd::lseek(directory, 0, nix::unistd::Whence::SeekSet)?;
        let mut listing = Dir::from_fd(directory.try_clone_to_owned()?)?;
        let mut names = Names::default();
        let mut left_out = 0usize;
        for entry in listing.iter() {
            let entry = entry?;
            names.links |= entry.file_type() == Some(nix::dir::Type::Symlink);
            let raw = entry.file_name().to_bytes();
            match std::str::from_utf8(raw) {
                Ok(name) if !is_job_file(name) => {}
                Ok(name) if !name.chars().any(char::is_control) => {
                    names.files.insert(name.to_owned());
                    if names.files.len() > MAX_FILES {
                        names.files.pop_last();
                        left_out += 1;
                    }
                }
                _ => {
                    let shown = raw.escape_ascii().to_string();
                    let counts = is_job_file(&String::from_utf8_lossy(raw));
                    if counts && names.findings.len() < 100 {
                        let message = format!("file '{shown}' was not read: its name holds bytes that no one can type");
                        names.findings.push(Finding::error("bad-file-name", itself, message).hint("rename it"));
                    }
                }
            }
        }
        if left_out > 0 {
            let message = format!("{left_out} files are left out: at most {MAX_FILES} are read");
            names.findings.push(Finding::error("too-many-files", itself, message));
        }
        Ok(names)
    }
}

/// Written to within the last moments. A time in the future is no sign of that: clocks step.
fn is_young((seconds, nanoseconds): (i64, i64), now: Timestamp) -> bool {
    let written = seconds.saturating_mul(1000).saturating_add(nanoseconds / 1_000_000);
    (0..YOUNG).contains(&now.as_millisecond().saturating_sub(written))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b21_names_that_count() {
        for name in ["a.yaml", "a.yml", "mysql-monitor-20000-%40every%2010s.yaml", "a.bak.yaml"] {
            assert!(is_job_file(name), "{name}");
        }
        for name in [
            ".yaml",
            ".a.yaml",
            "a.yaml~",
            "a.yaml.bak",
            "a.yaml.dpkg-new",
            "a.yaml.rpmnew",
            "a.yaml.rpmsave",
            ".a.yaml.swp",
            "#a.yaml#",
            ".#a.yaml",
            "a.env",
            "yaml",
            "a.YAML.txt",
        ] {
            assert!(!is_job_file(name), "{name}");
        }
    }

    #[test]
    fn young_is_the_last_moment_only() {
        let now = Timestamp::from_millisecond(1_000_000).unwrap();
        assert!(is_young((999, 960_000_000), now));
        assert!(!is_young((999, 940_000_000), now));
        assert!(!is_young((1001, 0), now), "a file from the future");
    }
}
