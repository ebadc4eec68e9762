//! The thread that keeps the snapshot of `conf_d` true, from the first reading on.
//!
//! A file is live a few milliseconds after its writer has closed it or moved it there; one that is still being written
//! never is. The thread sleeps unless there is word in its [inbox](super::inbox), with these exceptions, each with its
//! reason: a file too young to be believed in a rescan (50 ms), one that could not be read for a reason that passes
//! (backing off to 30 s), a directory that is missing (200 ms) or whose events cannot be had (2 s).
//!
//! The watch hangs on the opened directory, not on its path. When the directory is moved, removed or replaced, everything
//! known stays live until the path names a directory again and that one has been read.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use nix::sys::stat::{FileStat, fstat};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc::Sender;

use super::config::Config;
use super::directory::{Change, Directory, Reading};
use super::inbox::{Held, Inbox, note};
use super::load::{Loader, Looked, MAX_FILES};
use super::open::{Opener, path_of};
use super::trust::What;
use crate::engine::FileView;
use crate::job::Finding;
use crate::wire::DirectoryPlace;

/// Between looks for a directory that is missing.
const MISSING: Duration = Duration::from_millis(200);
/// Between looks at everything where events cannot be had.
const POLL: Duration = Duration::from_secs(2);
/// Before another look at a file that may still be being written, and how many such looks.
const AGAIN: Duration = Duration::from_millis(55);
const MAX_AGAIN: u32 = 20;
/// Before a file is tried again that could not be read: from, to.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));
/// After the last file is gone, looks at whether the directory is, too: rmdir tells nobody who holds it open.
const EMPTY: [Duration; 3] = [Duration::from_millis(20), Duration::from_millis(200), Duration::from_secs(1)];

/// What has changed.
#[derive(Debug, Default)]
pub struct Update {
    /// For jobs.
    pub changes: Vec<Change>,
    /// For files: what each has to say now, `None` when nothing any more. The directory itself is among them under its path.
    pub files: Vec<(String, Option<FileView>)>,
    /// How the directory is watched, where that has changed: `inotify`, or `polling` with the reason.
    pub watch: Option<String>,
    /// The first snapshot is through, or the reloads in `tokens` are.
    pub complete: bool,
    /// Reloads that are answered by this.
    pub tokens: Vec<u64>,
}

/// What the engine may ask of the thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Read everything anew; the token comes back in [`Update::tokens`].
    Reload(u64),
    /// See whether the path still names the directory that is watched. To be sent every ten seconds or so.
    CheckIdentity,
    /// End.
    Stop,
}

/// Where commands go. When the last one is dropped, the thread ends.
#[derive(Debug)]
pub struct Commands(Arc<Inbox>);

impl Commands {
    /// Leaves word. Never waits.
    pub fn send(&self, command: Command) {
        self.0.wish(|held| match command {
            Command::Reload(token) => held.reloads.push(token),
            Command::CheckIdentity => held.check = true,
            Command::Stop => held.stop = true,
        });
    }
}

impl Drop for Commands {
    fn drop(&mut self) {
        self.send(Command::Stop);
    }
}

/// How files are read.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The daemon's configuration.
    pub config: Config,
    /// The zone of schedules that name none.
    pub zone: TimeZone,
}

/// Starts the thread. It reads the directory, sends the first snapshot, and from then on what changes. It ends with
/// [`Command::Stop`] or when nobody receives any more; while the receiver is slow it waits, and only the latest state of
/// each file is remembered.
pub fn watch(
    opener: impl Opener + Send + 'static,
    policy: Policy,
    out: Sender<Update>,
) -> io::Result<(Commands, JoinHandle<()>)> {
    let inbox = Arc::new(Inbox::default());
    let commands = Commands(Arc::clone(&inbox));
    let thread = std::thread::Builder::new().name("conf.d".to_owned()).spawn(move || {
        let itself = policy.config.conf_d.display().to_string();
        let mut watch = Watch {
            opener,
            loader: Loader::new(policy.config, policy.zone),
            directory: Directory::default(),
            inbox,
            out,
            itself,
            place: Place::Missing { next: Instant::now() },
            waiting: Waiting { first: true, ..Waiting::default() },
            again: BTreeMap::new(),
            retry: BTreeMap::new(),
            checks: Vec::new(),
            links: false,
            told: None,
            watch: String::new(),
            update: Update::default(),
        };
        watch.run();
    })?;
    Ok((commands, thread))
}

struct Watch<O> {
    opener: O,
    loader: Loader,
    directory: Directory,
    inbox: Arc<Inbox>,
    out: Sender<Update>,
    /// The directory's path, under which its own findings are told.
    itself: String,
    place: Place,
    waiting: Waiting,
    /// Files that may still be being written: when to look, and how often that was done.
    again: BTreeMap<String, (Instant, u32)>,
    /// Files that could not be read: when to try, and how long to wait the next time.
    retry: BTreeMap<String, (Instant, Duration)>,
    /// When to see whether the directory is still the one that the path names.
    checks: Vec<Instant>,
    /// There are links among the names: what is no job file may be what one points at.
    links: bool,
    /// What was last told of the directory itself.
    told: Option<FileView>,
    /// How it is watched, as last told.
    watch: String,
    update: Update,
}

/// Where the files are.
enum Place {
    /// Nowhere; look again then.
    Missing { next: Instant },
    /// In this directory.
    Open { directory: OwnedFd, identity: (u64, u64), events: Events, names: Vec<Finding> },
}

/// How changes are learnt.
enum Events {
    /// From the kernel, until this is dropped.
    Inotify(#[allow(dead_code)] RecommendedWatcher),
    /// By looking.
    Polling { why: String, hint: &'static str, next: Instant },
}

/// Who waits for the reading to be complete.
#[derive(Default)]
struct Waiting {
    first: bool,
    tokens: Vec<u64>,
}

/// How much a scan looks at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scan {
    /// What stat(2) says has changed.
    Changed,
    /// Every file.
    All,
}

impl<O: Opener> Watch<O> {
    fn run(&mut self) {
        self.open();
        while self.send() {
            let mut word = self.inbox.take(self.deadline());
            if word.stop {
                return;
            }
            let reload = !word.reloads.is_empty();
            self.waiting.tokens.append(&mut word.reloads);
            self.turn(word, reload);
        }
    }

    fn turn(&mut self, word: Held, reload: bool) {
        let now = Instant::now();
        let check = self.checks.iter().any(|at| *at <= now);
        self.checks.retain(|at| *at > now);
        match &mut self.place {
            Place::Missing { next } if *next <= now || reload || word.check || word.itself => return self.open(),
            Place::Missing { .. } => return,
            Place::Open { events: Events::Polling { next, .. }, .. } if *next <= now => {
                *next = now + POLL;
                if self.identify() {
                    self.scan(Scan::Changed);
                }
            }
            Place::Open { .. } => {}
        }
        if (word.itself || word.check || check || reload) && !self.identify() {
            return;
        }
        if reload {
            // Asked for by somebody who wants to be sure: also of the time zones (fault A5).
            self.loader.refresh();
            self.scan(Scan::All);
        } else if word.rescan || word.others && self.links {
            self.scan(Scan::Changed);
        }
        let mut due: Vec<(String, Look)> = Vec::new();
        due.extend(
            word.due.into_iter().map(|(name, created)| (name, if created { Look::Created } else { Look::Closed })),
        );
        due.extend(
            take_due(&mut self.again, now, |(at, _)| *at)
                .into_iter()
                .map(|(name, (_, count))| (name, if count < MAX_AGAIN { Look::Again(count) } else { Look::Closed })),
        );
        due.extend(
            take_due(&mut self.retry, now, |(at, _)| *at)
                .into_iter()
                .map(|(name, (_, wait))| (name, Look::Retry(wait))),
        );
        self.look_at(due);
    }

    /// When to wake without being told.
    fn deadline(&self) -> Option<Instant> {
        let place = match &self.place {
            Place::Missing { next } | Place::Open { events: Events::Polling { next, .. }, .. } => Some(*next),
            Place::Open { .. } => None,
        };
        let again = self.again.values().map(|(at, _)| *at);
        let retry = self.retry.values().map(|(at, _)| *at);
        place.into_iter().chain(again).chain(retry).chain(self.checks.iter().copied()).min()
    }

    /// Opens the directory that the path names now, and reads it. What was known stays until that has succeeded.
    fn open(&mut self) {
        match self.opener.directory(DirectoryPlace::ConfD) {
            Ok(directory) => self.adopt(directory),
            Err(error) => self.missing(missing(&self.itself, &error)),
        }
    }

    fn missing(&mut self, finding: Finding) {
        self.place = Place::Missing { next: Instant::now() + MISSING };
        self.again.clear();
        self.retry.clear();
        self.checks.clear();
        self.tell(vec![finding]);
    }

    fn adopt(&mut self, directory: OwnedFd) {
        let stat = match fstat(directory.as_fd()) {
            Ok(stat) => stat,
            Err(errno) => return self.missing(missing(&self.itself, &errno.into())),
        };
        if let Err(why) = self.loader.trust().judge(What::Directory, &stat) {
            let message = format!("the directory is refused and no file in it is read: {}", why.message);
            return self.missing(Finding::error(why.code, &self.itself, message).hint(why.hint));
        }
        let identity = identity(&stat);
        if !matches!(&self.place, Place::Open { identity: known, .. } if *known == identity) {
            self.loader.forget_all();
            self.again.clear();
            self.retry.clear();
        }
        // First the watch, then the reading: what happens between the two is seen by both.
        let events = self.events(&directory);
        self.place = Place::Open { directory, identity, events, names: Vec::new() };
        self.scan(Scan::All);
    }

    fn events(&self, directory: &OwnedFd) -> Events {
        let root = path_of(directory.as_fd());
        let inbox = Arc::clone(&self.inbox);
        let watched = root.clone();
        let started = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            inbox.put(event.map_or(super::inbox::Note::Lost, |event| note(&event, &root)));
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

    /// Whether the path still names the directory that is open. If not, what it names now is adopted.
    fn identify(&mut self) -> bool {
        let Place::Open { identity: known, events, .. } = &self.place else { return false };
        let fresh = self.opener.directory(DirectoryPlace::ConfD).and_then(|directory| {
            let stat = fstat(directory.as_fd())?;
            Ok((directory, stat))
        });
        match fresh {
            Ok((directory, stat)) => {
                let trusted = self.loader.trust().judge(What::Directory, &stat).is_ok();
                if identity(&stat) == *known && trusted && matches!(events, Events::Inotify(_)) {
                    return true;
                }
                if identity(&stat) == *known && trusted {
                    return self.listen(directory);
                }
                self.adopt(directory);
                false
            }
            Err(error) if passes(&error) => {
                self.checks.push(Instant::now() + EMPTY[2]);
                true
            }
            Err(error) => {
                self.missing(missing(&self.itself, &error));
                false
            }
        }
    }

    /// Tries once more to get events where there were none.
    fn listen(&mut self, fresh: OwnedFd) -> bool {
        if matches!(self.events(&fresh), Events::Inotify(_)) {
            self.adopt(fresh);
            return false;
        }
        true
    }

    /// Looks at all files.
    fn scan(&mut self, scan: Scan) {
        let Place::Open { directory, names: told, .. } = &mut self.place else { return };
        let names = match Loader::names(directory.as_fd(), &self.itself) {
            Ok(names) => names,
            Err(error) => {
                let message = format!("the directory cannot be listed now: {error}; it will be tried again");
                *told = vec![Finding::error("unreadable", &self.itself, message)];
                self.checks.push(Instant::now() + EMPTY[2]);
                self.tell_place();
                return;
            }
        };
        *told = names.findings;
        self.links = names.links;
        let mut due: Vec<(String, Look)> = Vec::new();
        for gone in self.directory.files().filter(|name| !names.files.contains(*name)) {
            due.push((gone.to_owned(), Look::Closed));
        }
        for name in names.files {
            if scan == Scan::Changed && self.loader.unchanged(directory.as_fd(), &name) || self.inbox.is_written(&name)
            {
                continue;
            }
            due.push((name, Look::Again(0)));
        }
        self.look_at(due);
        self.tell_place();
    }

    fn look_at(&mut self, due: Vec<(String, Look)>) {
        let Place::Open { directory, .. } = &self.place else { return };
        let mut gone = Vec::new();
        for (name, look) in due {
            if look == Look::Created && is_empty(directory, &name) {
                // Made and not yet written: its close comes.
                continue;
            }
            if !self.directory.contains(&name) && self.directory.len() >= MAX_FILES {
                continue;
            }
            let now = Instant::now();
            let again = match look {
                Look::Again(count) => Some(count),
                Look::Closed | Look::Created | Look::Retry(_) => None,
            };
            match self.loader.look(directory.as_fd(), &self.opener, &name, again.is_none()) {
                Looked::Gone => gone.push(name),
                Looked::Same => {
                    self.retry.remove(&name);
                }
                Looked::Young => {
                    self.again.insert(name, (now + AGAIN, again.unwrap_or(0) + 1));
                }
                Looked::Read(reading) => {
                    self.retry.remove(&name);
                    self.directory.upsert(&name, reading);
                }
                Looked::Passing(finding) => {
                    let wait = if let Look::Retry(wait) = look { (wait * 2).min(RETRY.1) } else { RETRY.0 };
                    self.directory.upsert(&name, Reading::Broken(vec![finding]));
                    self.retry.insert(name, (now + wait, wait));
                }
            }
        }
        if gone.is_empty() {
            return;
        }
        // Its files go first when a directory goes: then it is the directory that is gone, and they stay.
        if fstat(directory.as_fd()).is_ok_and(|stat| stat.st_nlink == 0) {
            self.identify();
            return;
        }
        for name in gone {
            self.loader.forget(&name);
            self.retry.remove(&name);
            self.directory.remove(&name);
        }
        if self.directory.is_empty() {
            let now = Instant::now();
            self.checks = EMPTY.iter().map(|wait| now + *wait).collect();
        }
    }

    /// Says what there is to say of the directory itself.
    fn tell_place(&mut self) {
        let Place::Open { events, names, .. } = &self.place else { return };
        let mut findings = names.clone();
        if let Events::Polling { why, hint, .. } = events {
            let message = format!("changes are looked for every 2 s, because {why}");
            findings.push(Finding::warning("polling", &self.itself, message).hint(*hint));
        }
        self.tell(findings);
    }

    fn tell(&mut self, findings: Vec<Finding>) {
        let watch = match &self.place {
            Place::Missing { .. } => "polling: the directory is missing or refused".to_owned(),
            Place::Open { events: Events::Inotify(_), .. } => "inotify".to_owned(),
            Place::Open { events: Events::Polling { why, .. }, .. } => format!("polling: {why}"),
        };
        if self.watch != watch {
            self.watch.clone_from(&watch);
            self.update.watch = Some(watch);
        }
        let view = (!findings.is_empty()).then(|| FileView { file: self.itself.clone(), job: None, findings });
        if view != self.told {
            self.update.files.push((self.itself.clone(), view.clone()));
            self.told = view;
        }
    }

    /// Sends what has changed. `false`: nobody receives any more.
    fn send(&mut self) -> bool {
        let (changes, files) = self.directory.settle();
        let mut update = std::mem::take(&mut self.update);
        update.changes = changes;
        update.files.extend(files);
        if self.again.is_empty() && (self.waiting.first || !self.waiting.tokens.is_empty()) {
            update.complete = true;
            update.tokens = std::mem::take(&mut self.waiting.tokens);
            self.waiting.first = false;
        }
        let something = update.complete || update.watch.is_some();
        if !something && update.changes.is_empty() && update.files.is_empty() {
            return !self.out.is_closed();
        }
        self.out.blocking_send(update).is_ok()
    }
}

/// Why a file is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// Its writer has closed it.
    Closed,
    /// It was made.
    Created,
    /// It was found, and looked at so many times before.
    Again(u32),
    /// It could not be read, and this long was waited.
    Retry(Duration),
}

fn take_due<V>(waiting: &mut BTreeMap<String, V>, now: Instant, at: impl Fn(&V) -> Instant) -> Vec<(String, V)> {
    let due: Vec<String> = waiting.iter().filter(|(_, value)| at(value) <= now).map(|(name, _)| name.clone()).collect();
    due.into_iter().filter_map(|name| waiting.remove_entry(&name)).collect()
}

#[allow(clippy::unnecessary_cast)] // the widths differ between machines
fn identity(stat: &FileStat) -> (u64, u64) {
    (stat.st_dev as u64, stat.st_ino as u64)
}

/// A regular file without a byte in it and without another name.
fn is_empty(directory: &OwnedFd, name: &str) -> bool {
    use nix::sys::stat::{SFlag, fstatat};
    let stat = fstatat(directory, name, nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW);
    stat.is_ok_and(|stat| {
        SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG
            && stat.st_size == 0
            && stat.st_nlink < 2
    })
}

fn passes(error: &io::Error) -> bool {
    use nix::libc::{EINTR, EIO, EMFILE, ENFILE, ENOMEM, ESTALE};
    error.raw_os_error().is_some_and(|errno| [EINTR, EIO, EMFILE, ENFILE, ENOMEM, ESTALE].contains(&errno))
}

fn missing(itself: &str, error: &io::Error) -> Finding {
    let message = format!("the directory of job files cannot be opened: {error}; jobs known so far stay as they are");
    Finding::error("conf-d-missing", itself, message).hint("create it, or name another as conf_d in rotad.yaml")
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
