//! The thread that keeps the definitions true, from the first reading on: it reads `conf_d` and `jobs_config`, and changes
//! them on request ([`super::change`]).
//!
//! A file is live a few milliseconds after its writer has closed it or moved it there; one that is still being written
//! never is. The thread sleeps unless there is word in its [inbox](super::inbox), with these exceptions, each with its
//! reason: a file too young to be believed in a rescan (50 ms), one that could not be read for a reason that passes
//! (backing off to 30 s), a directory that is missing (200 ms) or whose events cannot be had (2 s).
//!
//! When a directory is moved, removed or replaced ([`super::place`]), everything known stays live until the path names a
//! directory again and that one has been read.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::mpsc::Sender;

use super::config::Config;
use super::directory::{Change, Directory, Reading};
use super::inbox::{Held, Inbox};
use super::jobs_config::Identity;
use super::load::{Loader, Looked};
use super::names::{MAX_FILES, Names};
use super::open::Opener;
use super::overlay::Overlay;
use super::place::{Found, Place};
use super::wish::{Commands, Wish};
use crate::engine::{FileView, Refusal};
use crate::job::Finding;
use crate::wire::{DirectoryPlace, FilePlace};

/// Before another look at a file that may still be being written, and how many such looks.
const AGAIN: Duration = Duration::from_millis(55);
const MAX_AGAIN: u32 = 20;
/// So many looks say that `jobs_config` is gone before that is believed: programs that write it take it away first.
const GONE_AGAIN: u32 = 4;
/// Before a file is tried again that could not be read: from, to.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// What has changed.
#[derive(Debug, Default)]
pub struct Update {
    /// For jobs.
    pub changes: Vec<Change>,
    /// For files: what each has to say now, `None` when nothing any more. A directory itself is among them under its path.
    pub files: Vec<(String, Option<FileView>)>,
    /// How `conf_d` is watched, where that has changed: `inotify`, or `polling` with the reason.
    pub watch: Option<String>,
    /// What `jobs_config` says of the machine, where that has changed.
    pub identity: Option<Identity>,
    /// The first snapshot is through, or the reloads in `tokens` are.
    pub complete: bool,
    /// Reloads that are answered by this.
    pub tokens: Vec<u64>,
    /// Edits that are answered by this: the file that was written, if any, or why nothing was changed.
    pub edited: Vec<(u64, Result<Option<String>, Refusal>)>,
}

/// How files are read.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The daemon's configuration.
    pub config: Config,
    /// The zone of schedules that name none.
    pub zone: TimeZone,
    /// When the daemon started: what was defined in memory alone lives as long as it.
    pub started: Timestamp,
}

/// Starts the thread. It reads what there is, sends the first snapshot, and from then on what changes. It ends with
/// [`Command::Stop`](super::Command::Stop) or when nobody receives any more; while the receiver is slow it waits, and only
/// the latest state of each file is remembered.
pub fn watch(
    opener: impl Opener + Send + 'static,
    policy: Policy,
    out: Sender<Update>,
) -> io::Result<(Commands, JoinHandle<()>)> {
    let inbox = Arc::new(Inbox::default());
    let commands = Commands(Arc::clone(&inbox));
    let thread = std::thread::Builder::new().name("conf.d".to_owned()).spawn(move || {
        let Policy { config, zone, started } = policy;
        let overlay = Overlay::restore(&config.state_dir, started);
        let path = config.conf_d.display().to_string();
        let jobs = JobsConfigFile::of(&config);
        let loader = Loader::new(config, zone);
        let place = |which, path, only| Place::new(which, path, only, loader.trust(), Arc::clone(&inbox));
        let conf_d = place(DirectoryPlace::ConfD, path, None);
        let jobs = jobs
            .map(|(directory, file)| (place(DirectoryPlace::OfJobsConfig, directory, Some(file.name.clone())), file));
        let mut watch = Watch {
            opener,
            directory: Directory::default(),
            overlay,
            conf_d,
            jobs,
            loader,
            inbox,
            out,
            waiting: Waiting { first: true, ..Waiting::default() },
            again: BTreeMap::new(),
            retry: BTreeMap::new(),
            links: false,
            names: Vec::new(),
            told: BTreeMap::new(),
            watch: String::new(),
            update: Update::default(),
        };
        watch.run();
    })?;
    Ok((commands, thread))
}

pub(super) struct Watch<O> {
    pub(super) opener: O,
    pub(super) directory: Directory,
    pub(super) overlay: Overlay,
    pub(super) conf_d: Place,
    /// Where `jobs_config` is, where there is to be one.
    pub(super) jobs: Option<(Place, JobsConfigFile)>,
    pub(super) loader: Loader,
    pub(super) inbox: Arc<Inbox>,
    out: Sender<Update>,
    waiting: Waiting,
    /// Files that may still be being written: when to look, and how often that was done.
    again: BTreeMap<FilePlace, (Instant, u32)>,
    /// Files that could not be read: when to try, and how long to wait the next time.
    retry: BTreeMap<FilePlace, (Instant, Duration)>,
    /// There are links among the names of `conf_d`: what is no job file may be what one points at.
    links: bool,
    /// What is wrong with names in `conf_d`.
    names: Vec<Finding>,
    /// What was last told of the directories themselves.
    told: BTreeMap<String, FileView>,
    /// How `conf_d` is watched, as last told.
    watch: String,
    pub(super) update: Update,
}

/// `jobs_config`.
#[derive(Debug, Clone)]
pub(super) struct JobsConfigFile {
    /// Its name in its directory.
    pub name: String,
    /// Its path, under which its findings are told.
    pub label: String,
}

impl JobsConfigFile {
    /// As rotad.yaml has it, with the path of its directory.
    fn of(config: &Config) -> Option<(String, JobsConfigFile)> {
        let path = config.crond.as_ref()?.jobs_config.as_ref()?;
        let name = path.file_name()?.to_str()?.to_owned();
        Some((path.parent()?.display().to_string(), JobsConfigFile { name, label: path.display().to_string() }))
    }
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
        self.recall();
        self.turn(Held::default());
        while self.send() {
            let word = self.inbox.take(self.deadline());
            if word.stop {
                return;
            }
            self.turn(word);
        }
    }

    fn turn(&mut self, word: Held) {
        let now = Instant::now();
        let reload = word.wishes.iter().any(|wish| matches!(wish, Wish::Reload { .. }));
        if word.wishes.iter().any(|wish| matches!(wish, Wish::Reload { forget: true, .. })) {
            self.forget_overlay();
        }
        if reload {
            // Asked for by somebody who wants to be sure: also of the time zones (fault A5).
            self.loader.refresh();
        }
        let mut due: Vec<(FilePlace, Look)> = Vec::new();
        let look = |created| if created { Look::Created } else { Look::Closed };
        due.extend(word.due.into_iter().map(|(place, created)| (place, look(created))));
        let look = |count| if count < MAX_AGAIN { Look::Again(count) } else { Look::Closed };
        due.extend(take_due(&mut self.again, now, |(at, _)| *at).map(|(place, (_, count))| (place, look(count))));
        due.extend(take_due(&mut self.retry, now, |(at, _)| *at).map(|(place, (_, wait))| (place, Look::Retry(wait))));
        let sure = word.check || reload;

        let found = self.conf_d.turn(word.conf_d, sure, &self.opener);
        let changed = word.conf_d.rescan || (word.conf_d.others && self.links);
        let scan = match &found {
            Found::Missing(_) => None,
            Found::Fresh { .. } => Some(Scan::All),
            Found::Same | Found::Look if reload => Some(Scan::All),
            Found::Look => Some(Scan::Changed),
            Found::Same => changed.then_some(Scan::Changed),
        };
        self.note(DirectoryPlace::ConfD, found, &mut due);
        if let Some(scan) = scan {
            self.scan(scan);
        }
        if let Some((place, _)) = &mut self.jobs {
            let found = place.turn(word.of_jobs, sure, &self.opener);
            let changed = word.of_jobs.rescan || word.of_jobs.others || reload;
            let look = !matches!(found, Found::Missing(_)) && (changed || !matches!(found, Found::Same));
            self.note(DirectoryPlace::OfJobsConfig, found, &mut due);
            if look && !self.inbox.is_written(&FilePlace::JobsConfig) {
                due.push((FilePlace::JobsConfig, Look::Again(0)));
            }
        }
        self.look_at(due);
        self.tell_places();
        for wish in word.wishes {
            match wish {
                Wish::Reload { token, .. } => self.waiting.tokens.push(token),
                Wish::Edit(token, edit) => {
                    let edited = self.change(&edit);
                    self.update.edited.push((token, edited));
                }
                Wish::Text(name, reply) => drop(reply.send(self.text_of(&name))),
            }
        }
    }

    /// A directory was found anew, or lost: what was planned for its files holds no longer.
    fn note(&mut self, directory: DirectoryPlace, found: Found, due: &mut Vec<(FilePlace, Look)>) {
        let mut drop_plans = || {
            due.retain(|(place, _)| directory_of(place) != directory);
            self.again.retain(|place, _| directory_of(place) != directory);
            self.retry.retain(|place, _| directory_of(place) != directory);
        };
        match found {
            Found::Same | Found::Look | Found::Fresh { other: false } => {}
            Found::Fresh { other: true } => {
                drop_plans();
                self.loader.forget_all(directory);
            }
            Found::Missing(finding) => {
                drop_plans();
                if let Some(finding) = finding {
                    self.tell(finding.file.clone(), vec![finding]);
                }
            }
        }
    }

    /// When to wake without being told.
    fn deadline(&self) -> Option<Instant> {
        let places =
            self.conf_d.deadline().into_iter().chain(self.jobs.as_ref().and_then(|(place, _)| place.deadline()));
        let again = self.again.values().map(|(at, _)| *at);
        let retry = self.retry.values().map(|(at, _)| *at);
        places.chain(again).chain(retry).min()
    }

    /// Looks at all files of `conf_d`.
    fn scan(&mut self, scan: Scan) {
        let Some(directory) = self.conf_d.directory() else { return };
        let names = match Names::of(directory.as_fd(), &self.conf_d.path) {
            Ok(names) => names,
            Err(error) => {
                let message = format!("the directory cannot be listed now: {error}; it will be tried again");
                self.names = vec![Finding::error("unreadable", &self.conf_d.path, message)];
                self.conf_d.check_again();
                return;
            }
        };
        self.names = names.findings;
        self.links = names.links;
        let mut due: Vec<(FilePlace, Look)> = Vec::new();
        for gone in self.directory.files().filter(|name| !names.files.contains(*name)) {
            due.push((FilePlace::ConfD(gone.to_owned()), Look::Closed));
        }
        for name in names.files {
            let place = FilePlace::ConfD(name.clone());
            let same = scan == Scan::Changed && self.loader.unchanged(directory.as_fd(), &place, &name);
            if !same && !self.inbox.is_written(&place) {
                due.push((place, Look::Again(0)));
            }
        }
        self.look_at(due);
    }

    fn look_at(&mut self, due: Vec<(FilePlace, Look)>) {
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

    /// Says what there is to say of the directories themselves.
    fn tell_places(&mut self) {
        let watch = self.conf_d.watch();
        if self.watch != watch {
            self.watch.clone_from(&watch);
            self.update.watch = Some(watch);
        }
        if self.conf_d.directory().is_some() {
            let findings = self.names.iter().cloned().chain(self.conf_d.doubt()).collect();
            self.tell(self.conf_d.path.clone(), findings);
        }
        let jobs = self.jobs.as_ref().filter(|(place, _)| place.directory().is_some());
        if let Some((path, doubt)) = jobs.map(|(place, _)| (place.path.clone(), place.doubt())) {
            self.tell(path, doubt.into_iter().collect());
        }
    }

    fn tell(&mut self, path: String, findings: Vec<Finding>) {
        let view = (!findings.is_empty()).then(|| FileView { file: path.clone(), job: None, findings });
        if view.as_ref() != self.told.get(&path) {
            match &view {
                Some(view) => self.told.insert(path.clone(), view.clone()),
                None => self.told.remove(&path),
            };
            self.update.files.push((path, view));
        }
    }

    /// Sends what has changed. `false`: nobody receives any more.
    fn send(&mut self) -> bool {
        let (changes, files) = self.directory.settle(Timestamp::now());
        let mut update = std::mem::take(&mut self.update);
        update.changes = changes;
        update.files.extend(files);
        if self.again.is_empty() && (self.waiting.first || !self.waiting.tokens.is_empty()) {
            update.complete = true;
            update.tokens = std::mem::take(&mut self.waiting.tokens);
            self.waiting.first = false;
        }
        let something = update.complete || update.watch.is_some() || update.identity.is_some();
        if !something && update.changes.is_empty() && update.files.is_empty() && update.edited.is_empty() {
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

impl Look {
    /// Nobody writes to it, however young it is.
    fn is_sure(self) -> bool {
        !matches!(self, Look::Again(_))
    }
}

fn directory_of(place: &FilePlace) -> DirectoryPlace {
    match place {
        FilePlace::ConfD(_) => DirectoryPlace::ConfD,
        FilePlace::JobsConfig => DirectoryPlace::OfJobsConfig,
    }
}

fn take_due<V>(
    waiting: &mut BTreeMap<FilePlace, V>,
    now: Instant,
    at: impl Fn(&V) -> Instant,
) -> impl Iterator<Item = (FilePlace, V)> {
    let due = |(place, value): (&FilePlace, &V)| (at(value) <= now).then(|| place.clone());
    let due: Vec<FilePlace> = waiting.iter().filter_map(due).collect();
    due.into_iter().filter_map(|place| waiting.remove_entry(&place))
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
