//! Where the watches on the directories and the engine leave word for the thread that reads them.
//!
//! It holds states, not events: a file is *to be looked at* or *being written*, a rescan is wanted or not. Whatever comes
//! in, and however fast, it stays small; past [`MAX_NAMES`] names it becomes one wish for a rescan.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind};
use notify::{Event, EventKind};

use super::wish::Wish;
use crate::wire::{DirectoryPlace, FilePlace};

/// From the last word about a file to the look at it: an editor that writes, closes and renames is done by then.
const SETTLE: Duration = Duration::from_millis(2);
/// A file last written to this long ago and never closed is looked at after all, when the engine asks for a check.
const FORGOTTEN: Duration = Duration::from_secs(60);
/// Most names kept.
const MAX_NAMES: usize = 4096;

/// The inbox.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    held: Mutex<Held>,
    bell: Condvar,
}

/// What is in it. Also what is taken out of it.
#[derive(Debug, Default)]
pub(super) struct Held {
    names: HashMap<FilePlace, Word>,
    /// Files to be looked at, and whether their creation alone is known.
    pub due: Vec<(FilePlace, bool)>,
    /// Of `conf_d`.
    pub conf_d: Signs,
    /// Of the directory of `jobs_config`.
    pub of_jobs: Signs,
    /// What the engine asks for, in its order.
    pub wishes: Vec<Wish>,
    /// The engine asks whether the directories are still those that the paths name.
    pub check: bool,
    /// The thread is to end.
    pub stop: bool,
}

/// What is known of a directory.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Signs {
    /// Some name that is no job file was made, moved or taken away.
    pub others: bool,
    /// Everything is to be looked at: events were lost.
    pub rescan: bool,
    /// The directory itself was moved, removed or changed.
    pub itself: bool,
}

impl Signs {
    fn any(self) -> bool {
        self.others || self.rescan || self.itself
    }
}

/// What is known of a name.
#[derive(Debug, Clone, Copy)]
enum Word {
    /// Something was completed at this moment.
    Look { at: Instant, created: bool },
    /// Somebody writes to it; last at this moment.
    Writing { at: Instant },
}

/// What an event means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Note {
    /// Nothing: among others every event that our own reading causes.
    Nothing,
    /// The file was completed, moved or removed.
    Look(String),
    /// The file has other rights or another owner.
    Rights(String),
    /// The file was made: empty and to be written, or a link and complete.
    Created(String),
    /// Bytes came.
    Writing(String),
    /// It is about a name that is no job file.
    Other,
    /// It is about the directory itself.
    Itself,
    /// Events were lost.
    Lost,
}

/// What an event on the directory watched as `root` means, of which the names that `counts` says are of interest.
pub(super) fn note(event: &Event, root: &Path, counts: impl Fn(&str) -> bool) -> Note {
    if event.need_rescan() {
        return Note::Lost;
    }
    let touches = matches!(
        event.kind,
        EventKind::Create(_)
            | EventKind::Modify(_)
            | EventKind::Remove(_)
            | EventKind::Access(AccessKind::Close(AccessMode::Write))
    );
    if !touches {
        return Note::Nothing;
    }
    // Of a rename seen whole (two paths) both halves have come before.
    let [path] = event.paths.as_slice() else { return Note::Nothing };
    if path == root {
        return Note::Itself;
    }
    let name = match path.file_name().map(|name| name.to_str()) {
        // Names that no one can type are told of by a rescan.
        Some(Some(name)) if name.chars().any(char::is_control) => return Note::Lost,
        Some(None) => return Note::Lost,
        Some(Some(name)) => name,
        None => return Note::Nothing,
    };
    let writing = matches!(event.kind, EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Any | ModifyKind::Other));
    if !counts(name) {
        let closed = matches!(event.kind, EventKind::Access(_));
        return if writing || closed { Note::Nothing } else { Note::Other };
    }
    match event.kind {
        _ if writing => Note::Writing(name.to_owned()),
        EventKind::Create(CreateKind::File) => Note::Created(name.to_owned()),
        EventKind::Modify(ModifyKind::Metadata(_)) => Note::Rights(name.to_owned()),
        _ => Note::Look(name.to_owned()),
    }
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, Held> {
        // What is held is a set of independent flags: no panic leaves it half changed.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves word of an event. Rings only when there is something to do.
    pub fn put(&self, directory: DirectoryPlace, note: Note) {
        let mut held = self.lock();
        let place = |name: String| match directory {
            DirectoryPlace::ConfD => FilePlace::ConfD(name),
            DirectoryPlace::OfJobsConfig => FilePlace::JobsConfig,
        };
        let at = Instant::now();
        let (name, word) = match note {
            Note::Nothing => return,
            Note::Writing(name) => {
                held.keep(place(name), Word::Writing { at });
                return;
            }
            // Who sets the rights before closing has not closed yet.
            Note::Rights(name) if matches!(held.names.get(&place(name.clone())), Some(Word::Writing { .. })) => return,
            Note::Look(name) | Note::Rights(name) => (Some(name), Word::Look { at, created: false }),
            Note::Created(name) => (Some(name), Word::Look { at, created: true }),
            Note::Other => {
                held.signs(directory).others = true;
                (None, Word::Look { at, created: false })
            }
            Note::Itself => {
                held.signs(directory).itself = true;
                (None, Word::Look { at, created: false })
            }
            Note::Lost => {
                held.lost();
                (None, Word::Look { at, created: false })
            }
        };
        if let Some(name) = name {
            held.keep(place(name), word);
        }
        drop(held);
        self.bell.notify_one();
    }

    /// Changes what is held, and rings.
    pub fn wish(&self, change: impl FnOnce(&mut Held)) {
        change(&mut self.lock());
        self.bell.notify_one();
    }

    /// Somebody has the file open and writes.
    pub fn is_written(&self, place: &FilePlace) -> bool {
        matches!(self.lock().names.get(place), Some(Word::Writing { .. }))
    }

    /// Waits until there is something to do or `until` is there, and takes it.
    pub fn take(&self, until: Option<Instant>) -> Held {
        let mut held = self.lock();
        loop {
            let now = Instant::now();
            let settles = held.settles();
            let due = settles.is_some_and(|at| at <= now) || until.is_some_and(|at| at <= now);
            let signs = held.conf_d.any() || held.of_jobs.any();
            if due || signs || held.check || held.stop || !held.wishes.is_empty() {
                return held.split(now);
            }
            let next = [settles, until].into_iter().flatten().min();
            held = match next {
                Some(next) => {
                    let wait = self.bell.wait_timeout(held, next.saturating_duration_since(now));
                    wait.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.bell.wait(held).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

impl Held {
    fn signs(&mut self, directory: DirectoryPlace) -> &mut Signs {
        match directory {
            DirectoryPlace::ConfD => &mut self.conf_d,
            DirectoryPlace::OfJobsConfig => &mut self.of_jobs,
        }
    }

    fn keep(&mut self, place: FilePlace, word: Word) {
        if self.names.len() >= MAX_NAMES && !self.names.contains_key(&place) {
            self.lost();
            return;
        }
        self.names.insert(place, word);
    }

    fn lost(&mut self) {
        self.names.clear();
        self.conf_d.rescan = true;
        self.of_jobs.rescan = true;
    }

    fn settles(&self) -> Option<Instant> {
        let looks = self.names.values().filter_map(|word| match word {
            Word::Look { at, .. } => Some(*at + SETTLE),
            Word::Writing { .. } => None,
        });
        looks.min()
    }

    /// Takes out what can be done now and leaves the rest.
    fn split(&mut self, now: Instant) -> Held {
        let check = self.check;
        let mut rest = HashMap::new();
        let mut due = Vec::new();
        for (name, word) in self.names.drain() {
            match word {
                Word::Look { at, created } if at + SETTLE <= now => due.push((name, created)),
                Word::Writing { at } if check && at + FORGOTTEN <= now => due.push((name, false)),
                word => {
                    rest.insert(name, word);
                }
            }
        }
        let kept = Held { names: rest, ..Held::default() };
        Held { due, ..std::mem::replace(self, kept) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::names::is_job_file;
    use super::*;
    use notify::event::{DataChange, Flag, MetadataKind, RemoveKind, RenameMode};

    fn event(kind: EventKind, path: &str) -> Event {
        Event::new(kind).add_path(path.into())
    }

    #[test]
    fn b24_events_and_what_they_mean() {
        let root = Path::new("/proc/self/fd/7");
        let a = "/proc/self/fd/7/a.yaml";
        let look = || Note::Look("a.yaml".to_owned());
        for (kind, path, meaning) in [
            (EventKind::Access(AccessKind::Open(AccessMode::Any)), a, Note::Nothing),
            (EventKind::Access(AccessKind::Close(AccessMode::Read)), a, Note::Nothing),
            (EventKind::Access(AccessKind::Close(AccessMode::Write)), a, look()),
            (EventKind::Modify(ModifyKind::Data(DataChange::Any)), a, Note::Writing("a.yaml".to_owned())),
            (EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any)), a, Note::Rights("a.yaml".to_owned())),
            (EventKind::Modify(ModifyKind::Name(RenameMode::To)), a, look()),
            (EventKind::Modify(ModifyKind::Name(RenameMode::From)), a, look()),
            (EventKind::Remove(RemoveKind::File), a, look()),
            (EventKind::Create(CreateKind::File), a, Note::Created("a.yaml".to_owned())),
            (EventKind::Modify(ModifyKind::Name(RenameMode::To)), "/proc/self/fd/7/..data", Note::Other),
            (EventKind::Access(AccessKind::Close(AccessMode::Write)), "/proc/self/fd/7/x.swp", Note::Nothing),
            (EventKind::Modify(ModifyKind::Name(RenameMode::From)), "/proc/self/fd/7", Note::Itself),
            (EventKind::Remove(RemoveKind::Folder), "/proc/self/fd/7", Note::Itself),
        ] {
            assert_eq!(note(&event(kind, path), root, is_job_file), meaning, "{kind:?} {path}");
        }
        assert_eq!(note(&Event::new(EventKind::Other).set_flag(Flag::Rescan), root, is_job_file), Note::Lost);
    }

    #[test]
    fn b19_a_file_being_written_is_not_due() {
        let inbox = Inbox::default();
        inbox.put(DirectoryPlace::ConfD, Note::Created("a.yaml".into()));
        inbox.put(DirectoryPlace::ConfD, Note::Writing("a.yaml".into()));
        let taken = inbox.take(Some(Instant::now() + 4 * SETTLE));
        assert!(taken.due.is_empty());
        assert!(inbox.is_written(&FilePlace::ConfD("a.yaml".into())));
        inbox.put(DirectoryPlace::ConfD, Note::Look("a.yaml".into()));
        assert_eq!(inbox.take(None).due, [(FilePlace::ConfD("a.yaml".to_owned()), false)]);
    }

    #[test]
    fn b37_any_number_of_names_stays_small() {
        let inbox = Inbox::default();
        for number in 0..MAX_NAMES + 10 {
            inbox.put(DirectoryPlace::ConfD, Note::Look(format!("{number}.yaml")));
        }
        let taken = inbox.take(None);
        assert!(taken.conf_d.rescan && taken.of_jobs.rescan);
        assert!(taken.due.len() <= MAX_NAMES);
    }
}
