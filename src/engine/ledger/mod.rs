//! What outlives the daemon, on disk: which runs go on, up to where slots are decided, and which slots are still owed. A
//! warden that dies takes its runs along, and so does the machine; by the ledger the next one knows of them, can say that
//! they were lost, and knows which slots fell in the time in which nobody watched.
//!
//! It is written by a thread of its own, complete under another name and renamed, at most every [`PAUSE`], and once in
//! [`ALIVE`] where nothing changes, so that it is known when the daemon was there last. A run that must not start before the
//! ledger has it (a **claim**) is written at once and synced: it outlives a power cut. The rest is not synced: what a power
//! cut takes back is the last few seconds.

mod page;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::wire::RunId;

pub use page::{End, Entry, Left, Page, Word, head, read};

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// Between two writings.
const PAUSE: Duration = Duration::from_millis(20);
/// Between two writings where nothing changes.
const ALIVE: Duration = Duration::from_secs(60);
/// How long the end of the engine waits for the last one.
const FAREWELL: Duration = Duration::from_secs(1);
/// Longest file that is read, in bytes: every run with the longest name, and a hundred thousand slots.
const LONGEST: u64 = 64 << 20;

/// Called on the ledger's thread with the runs whose claims were written, or could not be.
pub type Claimed = Box<dyn Fn(Vec<RunId>) + Send>;

/// The file and the thread that writes it.
pub struct Ledger {
    shared: Arc<Shared>,
    path: PathBuf,
    /// Whose it is, for the first line.
    head: String,
    claimed: Option<Claimed>,
}

#[derive(Default)]
struct Shared {
    desk: Mutex<Desk>,
    changed: Condvar,
    closed: Condvar,
}

#[derive(Default)]
struct Desk {
    page: Page,
    /// Runs that wait until the page is written.
    claims: Vec<RunId>,
    changed: bool,
    closing: bool,
    closed: bool,
}

impl Ledger {
    /// What an engine before left, and the ledger of this one. Nothing is written before [`Ledger::begin`]. A file that
    /// cannot be read is told of.
    pub fn open(state_dir: &Path, warden: Timestamp, claimed: Claimed) -> (Ledger, Left) {
        let path = state_dir.join("running");
        let head = head(&fs::read_to_string(BOOT_ID).unwrap_or_default(), warden);
        let mut bytes = Vec::new();
        let opened = File::open(&path).and_then(|file| file.take(LONGEST).read_to_end(&mut bytes));
        let left = read(&String::from_utf8_lossy(&bytes), &head);
        let why = match &opened {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Some(error.to_string()),
            Ok(_) if left.is_none() => Some("it has no first line".to_owned()),
            _ => None,
        };
        if let Some(why) = why {
            let path = path.display();
            tracing::warn!(code = "state", "{path} cannot be read, what was missed or cut is not known: {why}");
        }
        let shared = Arc::default();
        (Ledger { shared, path, head, claimed: Some(claimed) }, left.unwrap_or_default())
    }

    /// What was left has been told of: from now on the file is this engine's.
    pub fn begin(&mut self) {
        let Some(claimed) = self.claimed.take() else { return };
        let (shared, path, head) = (self.shared.clone(), self.path.clone(), self.head.clone());
        shared.desk().changed = true;
        let keep = move || shared.keep(&path, &head, &claimed);
        if let Err(error) = thread::Builder::new().name("ledger".into()).spawn(keep) {
            tracing::warn!(code = "state", "what is missed or cut will not be known: {error}");
        }
    }

    /// Takes in all that a step has to say, as one state.
    pub fn hear(&self, words: Vec<Word>) {
        if words.is_empty() {
            return;
        }
        let mut desk = self.shared.desk();
        for word in words {
            if let Word::Claim(entry) = &word {
                desk.claims.push(entry.run);
            }
            desk.page.hear(word);
        }
        desk.changed = true;
        self.shared.changed.notify_one();
    }

    /// Has the last state written, if the disk takes it.
    pub fn close(&self) {
        if self.claimed.is_some() {
            return;
        }
        let mut desk = self.shared.desk();
        desk.closing = true;
        self.shared.changed.notify_one();
        drop(self.shared.closed.wait_timeout_while(desk, FAREWELL, |desk| !desk.closed));
    }
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is something to write, and until it may be written.
    fn wait(&self, last: Option<Instant>) -> MutexGuard<'_, Desk> {
        let soon = |desk: &mut Desk| desk.claims.is_empty() && !desk.closing;
        let pause = last.map_or(Duration::ZERO, |last| PAUSE.saturating_sub(last.elapsed()));
        let paused = self.changed.wait_timeout_while(self.desk(), pause, |desk| soon(desk));
        let (desk, _) = paused.unwrap_or_else(PoisonError::into_inner);
        let idle = self.changed.wait_timeout_while(desk, ALIVE, |desk| !desk.changed && soon(desk));
        idle.unwrap_or_else(PoisonError::into_inner).0
    }

    fn keep(&self, path: &Path, head: &str, claimed: &Claimed) {
        let (mut well, mut last) = (true, None);
        loop {
            let mut desk = self.wait(last);
            desk.changed = false;
            let (claims, closing) = (std::mem::take(&mut desk.claims), desk.closing);
            let text = desk.page.write(head, Timestamp::now());
            drop(desk);
            let written = replace(path, &text, !claims.is_empty());
            last = Some(Instant::now());
            if let (true, Err(error)) = (well, &written) {
                let path = path.display();
                tracing::warn!(
                    code = "state",
                    "{path} cannot be written, what is missed or cut will not be known: {error}"
                );
            }
            well = written.is_ok();
            if !claims.is_empty() {
                claimed(claims);
            }
            if closing {
                self.desk().closed = true;
                return self.closed.notify_one();
            }
        }
    }
}

/// The old file or the new one, whatever happens; with `sync` also when the power goes.
fn replace(path: &Path, text: &str, sync: bool) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = File::create(&fresh)?;
    file.write_all(text.as_bytes())?;
    if sync {
        file.sync_data()?;
    }
    fs::rename(&fresh, path)?;
    match path.parent() {
        Some(directory) if sync => File::open(directory)?.sync_all(),
        _ => Ok(()),
    }
}
