//! Pauses outlive the engine and the daemon: a file in the state directory, written by a thread of its own.
//!
//! What is to be written is held as a state, not as a queue: of each name the last word. However slow the disk is, it stays
//! as small as the pauses are many.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::request::Pause;
use crate::job::JobName;

/// Largest file that is read, in bytes.
const MAX_FILE: u64 = 32 << 20;

/// Done once what was said before it is on the disk.
type Then = Box<dyn FnOnce() + Send>;

/// The last word about each name.
type Words = BTreeMap<JobName, Option<Pause>>;

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
    then: Vec<Then>,
    over: bool,
}

impl Keeper {
    /// Reads what was kept in `state_dir`, and keeps it from now on. A file that cannot be read is moved aside and told of: a
    /// daemon that does not start helps nobody.
    pub fn start(state_dir: &Path) -> io::Result<(Self, BTreeMap<JobName, Pause>)> {
        let file = state_dir.join("pauses.json");
        let mut kept = restore(&file);
        let restored = kept.clone();
        let inbox = Arc::new(Inbox::default());
        let keeper = Self { inbox: inbox.clone() };
        std::thread::Builder::new().name("pauses".to_owned()).spawn(move || {
            let mut complained = false;
            while let Some((words, then)) = inbox.take() {
                if !words.is_empty() {
                    for (name, word) in words {
                        match word {
                            Some(pause) => drop(kept.insert(name, pause)),
                            None => drop(kept.remove(&name)),
                        }
                    }
                    let written = write(&file, &kept);
                    if let Err(error) = &written
                        && !complained
                    {
                        let file = file.display();
                        tracing::error!(code = "state", "{file} cannot be written, pauses will not survive: {error}");
                    }
                    complained = written.is_err();
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

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, Held> {
        // Nothing that is done under it can panic half way.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<(Words, Vec<Then>)> {
        let mut held = self.lock();
        loop {
            if !held.words.is_empty() || !held.then.is_empty() {
                return Some((std::mem::take(&mut held.words), std::mem::take(&mut held.then)));
            }
            if held.over {
                return None;
            }
            held = self.bell.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn restore(file: &Path) -> BTreeMap<JobName, Pause> {
    let read = File::open(file).and_then(|opened| {
        let mut text = Vec::new();
        opened.take(MAX_FILE).read_to_end(&mut text)?;
        Ok(text)
    });
    let why = match read {
        Ok(text) => match serde_json::from_slice(&text) {
            Ok(pauses) => return pauses,
            Err(error) => error.to_string(),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => return BTreeMap::new(),
        Err(error) => error.to_string(),
    };
    let aside = with_suffix(file, ".broken");
    let moved = match std::fs::rename(file, &aside) {
        Ok(()) => format!("it is now {}", aside.display()),
        Err(error) => format!("and it cannot be moved aside: {error}"),
    };
    tracing::error!(code = "state", "{} cannot be read, every pause is forgotten: {why}; {moved}", file.display());
    BTreeMap::new()
}

/// The old file or the new one, whatever happens.
fn write(file: &Path, kept: &BTreeMap<JobName, Pause>) -> io::Result<()> {
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
    use jiff::Timestamp;

    fn pause(id: u64) -> Pause {
        Pause { id, since: Timestamp::UNIX_EPOCH, until: None, reason: "a\nb".into(), by: "uid 0".into() }
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
        assert!(nothing.is_empty());
        say(&keeper, &[("a", Some(pause(1))), ("b", Some(pause(2)))]);
        say(&keeper, &[("a", None)]);
        let (_, again) = Keeper::start(dir.path()).unwrap();
        assert_eq!(again, BTreeMap::from([(name("b"), pause(2))]));
    }

    #[test]
    fn f85_a_broken_file_is_moved_aside() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("pauses.json"), "{\"a\": {\"id\"").unwrap();
        let (keeper, nothing) = Keeper::start(dir.path()).unwrap();
        assert!(nothing.is_empty());
        assert_eq!(std::fs::read(dir.path().join("pauses.json.broken")).unwrap(), b"{\"a\": {\"id\"");
        say(&keeper, &[("a", Some(pause(1)))]);
        assert_eq!(Keeper::start(dir.path()).unwrap().1.len(), 1);
    }

    #[test]
    fn a_disk_that_takes_nothing_holds_nobody_up() {
        let dir = tempfile::tempdir().unwrap();
        let (keeper, _) = Keeper::start(&dir.path().join("missing")).unwrap();
        say(&keeper, &[("a", Some(pause(1)))]);
    }
}
