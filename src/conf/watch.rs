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
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::mpsc::Sender;

use super::config::Config;
use super::directory::Directory;
use super::inbox::{Held, Inbox};
use super::load::Loader;
use super::look::{Look, MAX_AGAIN};
use super::names::Names;
use super::open::Opener;
use super::overlay::Overlay;
use super::place::{Found, Place};
use super::update::Update;
use super::wish::{Commands, Wish};
use crate::engine::FileView;
use crate::job::Finding;
use crate::wire::{DirectoryPlace, FilePlace};

/// How files are read.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The daemon's configuration.
    pub config: Config,
    /// Tells the zone of schedules that name none; asked again whenever files are to be read anew.
    pub zone: fn() -> TimeZone,
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
    pub(super) again: BTreeMap<FilePlace, (Instant, u32)>,
    /// Files that could not be read: when to try, and how long to wait the next time.
    pub(super) retry: BTreeMap<FilePlace, (Instant, Duration)>,
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
pub(super) enum Scan {
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
            if place.directory().is_some() {
                self.loader.keep(place.keeper());
            }
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
                    // Told one by one: who came first is answered first, and what an edit makes is not hidden by the next.
                    if !self.send() {
                        return;
                    }
                }
                Wish::Text(name, reply) => drop(reply.send(self.text_of(&name))),
            }
        }
    }

    /// A directory was found anew, or lost: what was planned for its files holds no longer.
    pub(super) fn note(&mut self, directory: DirectoryPlace, found: Found, due: &mut Vec<(FilePlace, Look)>) {
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
    pub(super) fn scan(&mut self, scan: Scan) {
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
