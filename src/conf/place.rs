//! Where a directory is, and how its changes are learnt.
//!
//! The watch hangs on the opened directory, not on its path. Whether the path still names it is asked when there is a sign
//! that it may not, and every ten seconds or so.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::stat::{FileStat, fstat};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use super::inbox::{Inbox, Note, Signs, note};
use super::names::is_job_file;
use super::open::{Opened, Opener, path_of};
use super::trust::{Keeper, Trust, What};
use crate::job::Finding;
use crate::wire::DirectoryPlace;

/// Between looks for a directory that is missing.
const MISSING: Duration = Duration::from_millis(200);
/// Between looks at everything where events cannot be had.
const POLL: Duration = Duration::from_secs(2);
/// After the last file is gone, looks at whether the directory is, too: rmdir tells nobody who holds it open.
const EMPTY: [Duration; 3] = [Duration::from_millis(20), Duration::from_millis(200), Duration::from_secs(1)];

/// A directory that is watched.
pub(super) struct Place {
    which: DirectoryPlace,
    /// Its path, under which its own findings are told.
    pub path: String,
    /// The only name in it that is of interest; absent: those of job files.
    only: Option<String>,
    trust: Trust,
    inbox: Arc<Inbox>,
    state: State,
    /// When to see whether the directory is still the one that the path names.
    checks: Vec<Instant>,
}

enum State {
    /// Nowhere; look again then.
    Missing { next: Instant },
    /// In this directory.
    Open { directory: Arc<OwnedFd>, identity: (u64, u64), keeper: Keeper, events: Events },
}

/// How changes are learnt.
enum Events {
    /// From the kernel, until this is dropped.
    Inotify(#[allow(dead_code)] RecommendedWatcher),
    /// By looking.
    Polling { why: String, hint: &'static str, next: Instant },
}

/// What is to be done about the files of a directory.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing.
    Same,
    /// They are to be looked at: there are no events.
    Look,
    /// Read them all: it was opened anew.
    Fresh {
        /// It is another directory than before.
        other: bool,
    },
    /// They stay as they are.
    Missing(Option<Finding>),
}

impl Place {
    pub fn new(which: DirectoryPlace, path: String, only: Option<String>, trust: Trust, inbox: Arc<Inbox>) -> Place {
        let state = State::Missing { next: Instant::now() };
        Place { which, path, only, trust, inbox, state, checks: Vec::new() }
    }

    /// The directory, where there is one.
    pub fn directory(&self) -> Option<Arc<OwnedFd>> {
        match &self.state {
            State::Missing { .. } => None,
            State::Open { directory, .. } => Some(Arc::clone(directory)),
        }
    }

    /// Who besides root had a say in which directory it is.
    pub fn keeper(&self) -> Keeper {
        match &self.state {
            State::Missing { .. } => Keeper::default(),
            State::Open { keeper, .. } => *keeper,
        }
    }

    /// The directory was taken away while it was held open.
    pub fn is_deleted(&self) -> bool {
        self.directory().is_some_and(|directory| fstat(directory.as_fd()).is_ok_and(|stat| stat.st_nlink == 0))
    }

    /// What has become of it. `sure`: somebody asks who wants to be sure.
    pub fn turn(&mut self, signs: Signs, sure: bool, opener: &impl Opener) -> Found {
        let now = Instant::now();
        let check = sure || signs.itself || self.checks.iter().any(|at| *at <= now);
        self.checks.retain(|at| *at > now);
        let mut look = false;
        match &mut self.state {
            State::Missing { next } if *next <= now || sure || signs.itself => return self.open(opener),
            State::Missing { .. } => return Found::Missing(None),
            State::Open { events: Events::Polling { next, .. }, .. } if *next <= now => {
                *next = now + POLL;
                look = true;
            }
            State::Open { .. } => {}
        }
        match (check || look).then(|| self.identify(opener)) {
            None | Some(Found::Same) if look => Found::Look,
            None => Found::Same,
            Some(found) => found,
        }
    }

    /// Opens the directory that the path names now.
    pub fn open(&mut self, opener: &impl Opener) -> Found {
        match opener.directory(self.which) {
            Ok(opened) => self.adopt(opened),
            Err(error) => self.missing(&error),
        }
    }

    /// Whether the path still names the directory that is open. If not, what it names now is adopted.
    pub fn identify(&mut self, opener: &impl Opener) -> Found {
        let State::Open { identity: known, keeper, events, .. } = &self.state else { return Found::Missing(None) };
        let fresh = opener.directory(self.which).and_then(|opened| {
            let stat = fstat(opened.file.as_fd())?;
            Ok((opened, stat))
        });
        match fresh {
            Ok((opened, stat)) => {
                let trusted = self.trust.and(opened.keeper.user).judge(What::Directory, &stat).is_ok();
                let same = identity(&stat) == *known && opened.keeper == *keeper;
                let events_come = matches!(events, Events::Inotify(_));
                if same && trusted && (events_come || self.is_deaf(&opened.file)) {
                    return Found::Same;
                }
                self.adopt(opened)
            }
            Err(error) if passes(&error) => {
                self.check_again();
                Found::Same
            }
            Err(error) => self.missing(&error),
        }
    }

    /// Look at the directory once more in a second.
    pub fn check_again(&mut self) {
        self.checks.push(Instant::now() + EMPTY[2]);
    }

    /// It has become empty: it may be on its way out.
    pub fn check_soon(&mut self) {
        let now = Instant::now();
        self.checks = EMPTY.iter().map(|wait| now + *wait).collect();
    }

    /// When to wake without being told.
    pub fn deadline(&self) -> Option<Instant> {
        let next = match &self.state {
            State::Missing { next } | State::Open { events: Events::Polling { next, .. }, .. } => Some(*next),
            State::Open { .. } => None,
        };
        next.into_iter().chain(self.checks.iter().copied()).min()
    }

    /// What is doubtful about the way it is watched.
    pub fn doubt(&self) -> Option<Finding> {
        let State::Open { events: Events::Polling { why, hint, .. }, .. } = &self.state else { return None };
        let message = format!("changes are looked for every 2 s, because {why}");
        Some(Finding::warning("polling", &self.path, message).hint(*hint))
    }

    /// How it is watched: `inotify`, or `polling` with the reason.
    pub fn watch(&self) -> String {
        match &self.state {
            State::Missing { .. } => "polling: the directory is missing or refused".to_owned(),
            State::Open { events: Events::Inotify(_), .. } => "inotify".to_owned(),
            State::Open { events: Events::Polling { why, .. }, .. } => format!("polling: {why}"),
        }
    }

    fn adopt(&mut self, Opened { file: directory, keeper }: Opened) -> Found {
        let stat = match fstat(directory.as_fd()) {
            Ok(stat) => stat,
            Err(errno) => return self.missing(&errno.into()),
        };
        if let Err(why) = self.trust.and(keeper.user).judge(What::Directory, &stat) {
            let message = format!("the directory is refused and no file in it is read: {}", why.message);
            return self.lost(Finding::error(why.code, &self.path, message).hint(why.hint));
        }
        let identity = identity(&stat);
        let other = !matches!(&self.state, State::Open { identity: old, keeper: kept, .. }
            if *old == identity && *kept == keeper);
        // First the watch, then the reading: what happens between the two is seen by both.
        let events = self.events(&directory);
        self.state = State::Open { directory: Arc::new(directory), identity, keeper, events };
        Found::Fresh { other }
    }

    fn missing(&mut self, error: &io::Error) -> Found {
        let finding = match self.which {
            DirectoryPlace::ConfD => {
                let message =
                    format!("the directory of job files cannot be opened: {error}; jobs known so far stay as they are");
                let hint = match error.raw_os_error() {
                    Some(nix::libc::EPERM) => format!(
                        "every directory above it must belong to root and be writable by nobody else: namei -l {}",
                        self.path
                    ),
                    _ => "create it, or name another as conf_d in rotad.yaml".to_owned(),
                };
                Finding::error("conf-d-missing", &self.path, message).hint(hint)
            }
            DirectoryPlace::OfJobsConfig => {
                let message = format!(
                    "the directory of jobs_config cannot be opened: {error}; jobs known so far stay as they are"
                );
                let hint = match error.raw_os_error() {
                    Some(nix::libc::EPERM) => format!(
                        "it and every directory above must belong to root or jobs_user and be writable by nobody else: \
                         namei -l {}",
                        self.path
                    ),
                    _ => "create it, or name another jobs_config in rotad.yaml".to_owned(),
                };
                Finding::error("jobs-config-missing", &self.path, message).hint(hint)
            }
        };
        self.lost(finding)
    }

    fn lost(&mut self, finding: Finding) -> Found {
        self.state = State::Missing { next: Instant::now() + MISSING };
        self.checks.clear();
        Found::Missing(Some(finding))
    }

    fn events(&self, directory: &OwnedFd) -> Events {
        let root = path_of(directory.as_fd());
        let (inbox, which, only) = (Arc::clone(&self.inbox), self.which, self.only.clone());
        let watched = root.clone();
        let counts = move |name: &str| only.as_ref().map_or_else(|| is_job_file(name), |only| only == name);
        let started = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            inbox.put(which, event.map_or(Note::Lost, |event| note(&event, &root, &counts)));
        });
        let started = started.and_then(|mut watcher| {
            watcher.watch(&watched, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        match started {
            Ok(watcher) => Events::Inotify(watcher),
            Err(error) => {
                let (why, hint) = reason(&error);
                Events::Polling { why, hint, next: Instant::now() + POLL }
            }
        }
    }

    /// Tries once more to get events where there were none.
    fn is_deaf(&self, fresh: &OwnedFd) -> bool {
        !matches!(self.events(fresh), Events::Inotify(_))
    }
}

#[allow(clippy::unnecessary_cast)] // the widths differ between machines
fn identity(stat: &FileStat) -> (u64, u64) {
    (stat.st_dev as u64, stat.st_ino as u64)
}

fn passes(error: &io::Error) -> bool {
    use nix::libc::{EINTR, EIO, EMFILE, ENFILE, ENOMEM, ESTALE};
    error.raw_os_error().is_some_and(|errno| [EINTR, EIO, EMFILE, ENFILE, ENOMEM, ESTALE].contains(&errno))
}

/// Why there are no events, and what helps.
fn reason(error: &notify::Error) -> (String, &'static str) {
    use nix::libc::{EACCES, EMFILE};
    let limits = "raise fs.inotify.max_user_instances and fs.inotify.max_user_watches with sysctl";
    let errno = match &error.kind {
        notify::ErrorKind::Io(error) => error.raw_os_error(),
        _ => None,
    };
    match (&error.kind, errno) {
        (notify::ErrorKind::MaxFilesWatch, _) => ("the limit of inotify watches is reached".to_owned(), limits),
        (_, Some(EMFILE)) => ("the limit of inotify instances is reached".to_owned(), limits),
        (_, Some(EACCES)) => (
            "the engine's user may not read the directory".to_owned(),
            "give it read and search permission (chmod 0755, or chgrp and 0750); the files in it may stay 0600",
        ),
        _ => (format!("inotify cannot be used ({error})"), limits),
    }
}
