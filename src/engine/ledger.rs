//! Which runs go on, on disk. A warden that dies takes its runs along, and so does the machine; the file is how the next one
//! knows of them and can say that they were lost, instead of nothing.
//!
//! One line a run, below a first line that says whose they are: the kernel's boot id and the warden's start. It is written
//! by a thread of its own, complete under another name and renamed, at most every [`PAUSE`]: a run shorter than that may
//! never be in it. It is not synced: what a power cut takes back is the last few seconds.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;

use crate::job::JobName;
use crate::wire::{MAX_RUNS, RunId};

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// Between two writings.
const PAUSE: Duration = Duration::from_millis(250);
/// How long the end of the engine waits for the last one.
const FAREWELL: Duration = Duration::from_secs(1);
/// Longest file that is read: every run with the longest name.
const LONGEST: u64 = (MAX_RUNS as u64 + 1) * 256;

/// A run as the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Which.
    pub run: RunId,
    /// Of which job.
    pub job: JobName,
    /// Its slot; absent: requested.
    pub slot: Option<Timestamp>,
    /// When its program was started.
    pub since: Timestamp,
}

/// The runs that were cut with an earlier warden.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// Oldest first.
    pub runs: Vec<Entry>,
    /// The machine went down, not the daemon alone.
    pub rebooted: bool,
}

/// The file and the thread that writes it.
pub struct Ledger {
    shared: Arc<Shared>,
    path: PathBuf,
    /// The first line.
    head: String,
    started: bool,
}

#[derive(Default)]
struct Shared {
    page: Mutex<Page>,
    changed: Condvar,
    closed: Condvar,
}

#[derive(Default)]
struct Page {
    runs: BTreeMap<RunId, Entry>,
    changed: bool,
    closing: bool,
    closed: bool,
}

impl Ledger {
    /// What an earlier warden left, and the ledger of this one. Nothing is written before [`Ledger::begin`].
    pub fn open(state_dir: &Path, warden: Timestamp) -> (Ledger, Cut) {
        let path = state_dir.join("running");
        let boot = fs::read_to_string(BOOT_ID).unwrap_or_default();
        let head = format!("{} {warden}", boot.trim());
        let mut text = String::new();
        // What is no text, or not there, says nothing of any run.
        let _ = File::open(&path).and_then(|file| file.take(LONGEST).read_to_string(&mut text));
        let cut = read(&text, &head);
        (Ledger { shared: Arc::default(), path, head, started: false }, cut)
    }

    /// Those that were cut have been told of: from now on the file has the runs of this warden.
    pub fn begin(&mut self) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let (shared, path, head) = (self.shared.clone(), self.path.clone(), self.head.clone());
        shared.page().changed = true;
        let spawned = thread::Builder::new().name("ledger".into()).spawn(move || shared.keep(&path, &head));
        if let Err(error) = spawned {
            tracing::warn!(code = "state", "runs that are cut will not be told of: {error}");
        }
    }

    /// A run goes on.
    pub fn enter(&self, entry: Entry) {
        let mut page = self.shared.page();
        page.runs.insert(entry.run, entry);
        page.changed = true;
        self.shared.changed.notify_one();
    }

    /// It is over.
    pub fn strike(&self, run: RunId) {
        let mut page = self.shared.page();
        if page.runs.remove(&run).is_some() {
            page.changed = true;
            self.shared.changed.notify_one();
        }
    }

    /// Has the last state written, if the disk takes it.
    pub fn close(&self) {
        if !self.started {
            return;
        }
        let mut page = self.shared.page();
        page.closing = true;
        self.shared.changed.notify_one();
        drop(self.shared.closed.wait_timeout_while(page, FAREWELL, |page| !page.closed));
    }
}

impl Shared {
    fn page(&self) -> MutexGuard<'_, Page> {
        self.page.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, path: &Path, head: &str) {
        let mut well = true;
        loop {
            let wait = self.changed.wait_while(self.page(), |page| !page.changed && !page.closing);
            let mut page = wait.unwrap_or_else(PoisonError::into_inner);
            page.changed = false;
            let closing = page.closing;
            let text = write(head, page.runs.values());
            drop(page);
            let written = replace(path, &text);
            if let (true, Err(error)) = (well, &written) {
                let path = path.display();
                tracing::warn!(
                    code = "state",
                    "{path} cannot be written, runs that are cut will not be told of: {error}"
                );
            }
            well = written.is_ok();
            let mut page = self.page();
            if closing {
                page.closed = true;
                return self.closed.notify_one();
            }
            drop(self.changed.wait_timeout_while(page, PAUSE, |page| !page.closing));
        }
    }
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let fresh = path.with_extension("new");
    fs::write(&fresh, text).and_then(|()| fs::rename(&fresh, path))
}

fn write<'a>(head: &str, runs: impl Iterator<Item = &'a Entry>) -> String {
    let mut text = format!("{head}\n");
    for Entry { run, job, slot, since } in runs {
        let slot = slot.map_or_else(|| "-".to_owned(), |slot| slot.to_string());
        // A name may hold blanks, so it comes last; a String takes everything.
        let _ = writeln!(text, "{run} {since} {slot} {job}");
    }
    text
}

/// The runs of another warden. A line that is cut or makes no sense is left out.
fn read(text: &str, head: &str) -> Cut {
    let mut lines = text.lines();
    let Some(theirs) = lines.next().filter(|theirs| *theirs != head) else { return Cut::default() };
    let boot = |head: &str| head.split(' ').next().map(str::to_owned);
    let runs = lines.filter_map(|line| {
        let mut words = line.splitn(4, ' ');
        let run = RunId::parse(words.next()?)?;
        let since = words.next()?.parse().ok()?;
        let slot = match words.next()? {
            "-" => None,
            slot => Some(slot.parse().ok()?),
        };
        Some(Entry { run, job: JobName::parse(words.next()?).ok()?, slot, since })
    });
    Cut { runs: runs.take(MAX_RUNS).collect(), rebooted: boot(theirs) != boot(head) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(run: u64, job: &str) -> Entry {
        let since: Timestamp = "2026-11-20T02:30:00.125Z".parse().unwrap();
        let slot = run.is_multiple_of(2).then_some(since);
        Entry { run: RunId(run), job: JobName::parse(job).unwrap(), slot, since }
    }

    #[test]
    fn d73_what_was_cut_is_found_by_the_next_warden_and_by_no_engine_of_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second): (Timestamp, Timestamp) =
            ("2026-11-20T02:00:00Z".parse().unwrap(), "2026-11-20T03:00:00Z".parse().unwrap());
        let (mut ledger, cut) = Ledger::open(dir.path(), first);
        assert_eq!(cut, Cut::default());
        ledger.begin();
        let entries = [entry(2, "backup"), entry(3, "a job @every 10s")];
        for entry in entries.iter().chain([&entry(4, "over")]) {
            ledger.enter(entry.clone());
        }
        ledger.strike(RunId(4));
        ledger.close();
        assert_eq!(Ledger::open(dir.path(), first).1, Cut::default(), "a successor has them from the warden");
        let (unused, cut) = Ledger::open(dir.path(), second);
        assert_eq!(cut, Cut { runs: entries.to_vec(), rebooted: false });
        unused.close();
        // Whoever dies before it has told leaves them to the next.
        let (mut ledger, cut) = Ledger::open(dir.path(), second);
        assert_eq!(cut.runs.len(), 2);
        ledger.begin();
        ledger.close();
        assert_eq!(Ledger::open(dir.path(), first).1.runs, []);
    }

    #[test]
    fn a_torn_or_forged_ledger_says_what_can_be_read() {
        let good = entry(2, "backup");
        let text = write("boot-1 then", [&good].into_iter());
        let whole = |text: &str| read(text, "boot-2 now");
        assert_eq!(whole(&text), Cut { runs: vec![good.clone()], rebooted: true });
        assert_eq!(whole(&format!("{text}junk\n0000000000004 2026\n0000000000004 x - a\n\n")).runs, [good]);
        for cut in 0..text.len() {
            assert!(whole(&text[..cut]).runs.len() <= 1);
        }
        assert_eq!(whole(""), Cut::default());
        let many = format!("a b\n{}", "0000000000004 2026-11-20T02:30:00Z - x\n".repeat(MAX_RUNS * 2));
        assert_eq!(whole(&many).runs.len(), MAX_RUNS);
    }

    #[test]
    fn a_ledger_without_a_disk_is_no_reason_to_stop() {
        let (mut ledger, cut) = Ledger::open(Path::new("/proc/none"), "2026-11-20T02:00:00Z".parse().unwrap());
        assert_eq!(cut, Cut::default());
        ledger.begin();
        ledger.enter(entry(2, "backup"));
        ledger.close();
    }
}
