//! Pauses and the hold outlive the engine and the daemon: two files in the state directory, written by a thread of its own.
//! (Two, so that a program that knows of no hold reads the pauses all the same.)
//!
//! What is to be written is held as a state, not as a queue: of each name the last word. However slow the disk is, it stays
//! as small as the pauses are many.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::request::Pause;
use crate::job::JobName;

/// Largest file that is read, in bytes.
const MAX_FILE: u64 = 32 << 20;

/// Done once what was said before it is on the disk.
type Then = Box<dyn FnOnce() + Send>;

/// The last word about each name.
type Words = BTreeMap<JobName, Option<Pause>>;

/// What was kept.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Pauses by the names of their jobs.
    pub pauses: BTreeMap<JobName, Pause>,
    /// The hold.
    pub hold: Option<Pause>,
}

/// Keeps pauses. When it is dropped, its thread ends.
pub struct Keeper {
    inbox: Arc<Inbox>,
}

#[derive(Default)]
struct Inbox {
    held: Mutex<Held>,
    bell: Condvar,
}

#[derive(Default)]
struct Held {
    words: Words,
    /// The last word about the hold.
    hold: Option<Option<Pause>>,
    then: Vec<Then>,
    over: bool,
}

impl Keeper {
    /// Reads what was kept in `state_dir`, and keeps it from now on. A file that cannot be read is moved aside and told of: a
    /// daemon that does not start helps nobody.
    pub fn start(state_dir: &Path) -> io::Result<(Self, Kept)> {
        let (file, hold_file) = (state_dir.join("pauses.json"), state_dir.join("hold.json"));
        let mut kept: BTreeMap<JobName, Pause> = restore(&file).unwrap_or_default();
        let restored = Kept { pauses: kept.clone(), hold: restore(&hold_file).unwrap_or_default() };
        let inbox = Arc::new(Inbox::default());
        let keeper = Self { inbox: inbox.clone() };
        std::thread::Builder::new().name("pauses".to_owned()).spawn(move || {
            let mut complained = false;
            let mut keep = |file: &Path, written: io::Result<()>| {
                if let (false, Err(error)) = (complained, &written) {
                    let file = file.display();
                    tracing::error!(code = "state", "{file} cannot be written, pauses will not survive: {error}");
                }
                complained = written.is_err();
            };
            while let Some(Said { words, hold, then }) = inbox.take() {
                if let Some(hold) = hold {
                    keep(&hold_file, write(&hold_file, &hold));
                }
                if !words.is_empty() {
                    for (name, word) in words {
                        match word {
                            Some(pause) => drop(kept.insert(name, pause)),
                            None => drop(kept.remove(&name)),
                        }
                    }
                    keep(&file, write(&file, &kept));
                }
                then.into_iter().for_each(|then| then());
            }
        })?;
        Ok((keeper, restored))
    }

    /// Keeps a pause, or no longer. Never waits.
    pub fn keep(&self, name: JobName, pause: Option<Pause>) {
        self.inbox.lock().words.insert(name, pause);
        self.inbox.bell.notify_one();
    }

    /// Keeps the hold, or no longer. Never waits.
    pub fn keep_hold(&self, hold: Option<Pause>) {
        self.inbox.lock().hold = Some(hold);
        self.inbox.bell.notify_one();
    }

    /// Has something done once all that was said is on the disk, or could not be written there.
    pub fn then(&self, then: impl FnOnce() + Send + 'static) {
        self.inbox.lock().then.push(Box::new(then));
        self.inbox.bell.notify_one();
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.inbox.lock().over = true;
        self.inbox.bell.notify_one();
    }
}

/// What is to be written now, and done then.
struct Said {
    words: Words,
    hold: Option<Option<Pause>>,
    then: Vec<Then>,
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, Held> {
        // Nothing that is done under it can panic half way.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<Said> {
        let mut held = self.lock();
        loop {
            if !held.words.is_empty() || held.hold.is_some() || !held.then.is_empty() {
                let (words, then) = (std::mem::take(&mut held.words), std::mem::take(&mut held.then));
                return Some(Said { words, hold: held.hold.take(), then });
            }
            if held.over {
                return None;
            }
            held = self.bell.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn restore<T: DeserializeOwned>(file: &Path) -> Option<T> {
    let read = File::open(file).and_then(|opened| {
        let mut text = Vec::new();
        opened.take(MAX_FILE).read_to_end(&mut text)?;
        Ok(text)
    });
    let why = match read {
        Ok(text) => match serde_json::from_slice(&text) {
            Ok(kept) => return Some(kept),
            Err(error) => error.to_string(),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => error.to_string(),
    };
    let aside = with_suffix(file, ".broken");
    let moved = match std::fs::rename(file, &aside) {
        Ok(()) => format!("it is now {}", aside.display()),
        Err(error) => format!("and it cannot be moved aside: {error}"),
    };
    tracing::error!(code = "state", "{} cannot be read, what it kept is forgotten: {why}; {moved}", file.display());
    None
}

/// The old file or the new one, whatever happens.
fn write(file: &Path, kept: &impl Serialize) -> io::Result<()> {
    let fresh = with_suffix(file, ".new");
    let mut text = serde_json::to_vec_pretty(kept)?;
    text.push(b'\n');
    let mut written = File::create(&fresh)?;
    written.write_all(&text)?;
    written.sync_all()?;
    std::fs::rename(&fresh, file)?;
    match file.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::PauseKind;
    use jiff::Timestamp;

    fn pause(id: u64) -> Pause {
        Pause {
            kind: PauseKind::Pause,
            id,
            since: Timestamp::UNIX_EPOCH,
            until: None,
            reason: "a\nb".into(),
            by: "uid 0".into(),
        }
    }

    fn name(text: &str) -> JobName {
        JobName::parse(text).unwrap()
    }

    /// Says it, and waits until it is on the disk.
    fn say(keeper: &Keeper, words: &[(&str, Option<Pause>)]) {
        let (done, is_done) = std::sync::mpsc::channel();
        words.iter().for_each(|(name_of, pause)| keeper.keep(name(name_of), pause.clone()));
        keeper.then(move || done.send(()).unwrap());
        is_done.recv().unwrap();
    }

    #[test]
    fn what_is_kept_is_there_again() {
        let dir = tempfile::tempdir().unwrap();
        let (keeper, nothing) = Keeper::start(dir.path()).unwrap();
        assert_eq!(nothing, Kept::default());
        keeper.keep_hold(Some(Pause { kind: PauseKind::Hold, ..pause(0) }));
        say(&keeper, &[("a", Some(pause(1))), ("b", Some(Pause { kind: PauseKind::SkipNext, ..pause(2) }))]);
        say(&keeper, &[("a", None)]);
        let (keeper, again) = Keeper::start(dir.path()).unwrap();
        assert_eq!(again.pauses, BTreeMap::from([(name("b"), Pause { kind: PauseKind::SkipNext, ..pause(2) })]));
        assert_eq!(again.hold, Some(Pause { kind: PauseKind::Hold, ..pause(0) }));
        keeper.keep_hold(None);
        say(&keeper, &[]);
        assert_eq!(Keeper::start(dir.path()).unwrap().1.hold, None);
    }

    #[test]
    fn f85_a_broken_file_is_moved_aside() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("pauses.json"), "{\"a\": {\"id\"").unwrap();
        let (keeper, nothing) = Keeper::start(dir.path()).unwrap();
        assert_eq!(nothing, Kept::default());
        assert_eq!(std::fs::read(dir.path().join("pauses.json.broken")).unwrap(), b"{\"a\": {\"id\"");
        say(&keeper, &[("a", Some(pause(1)))]);
        assert_eq!(Keeper::start(dir.path()).unwrap().1.pauses.len(), 1);
    }

    #[test]
    fn a_file_of_before_there_was_a_hold_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let old = r#"{
  "backup": {"id": 7, "since": "2026-11-20T02:30:00Z", "until": null, "reason": "disk", "by": "uid 0"},
  "a job @every 10s": {"id": 8, "since": "2026-11-20T02:30:00Z", "until": "2026-11-21T02:30:00Z", "reason": "", "by": ""}
}"#;
        std::fs::write(dir.path().join("pauses.json"), old).unwrap();
        let Kept { pauses, hold } = Keeper::start(dir.path()).unwrap().1;
        assert_eq!(pauses.keys().map(JobName::as_str).collect::<Vec<_>>(), ["a job @every 10s", "backup"]);
        assert!(pauses.values().all(|pause| pause.kind == PauseKind::Pause));
        assert_eq!((pauses[&name("backup")].reason.as_str(), hold), ("disk", None));
    }

    #[test]
    fn a_disk_that_takes_nothing_holds_nobody_up() {
        let dir = tempfile::tempdir().unwrap();
        let (keeper, _) = Keeper::start(&dir.path().join("missing")).unwrap();
        say(&keeper, &[("a", Some(pause(1)))]);
    }
}
