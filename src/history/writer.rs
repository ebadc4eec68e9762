//! The thread that owns the writing connection. It alone waits for the disk and for locks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior};

use super::Shared;
use super::book::{Totals, book};
use super::place::{self, Closed, Identity};
use super::prune::{Pruning, Step};
use super::queue::{Batch, Work, lost};
use super::row::Row;
use super::tally::Tally;
use super::view::State;
use crate::conf::HistoryConfig;
use crate::job::JobName;

/// Between two tries of what failed.
const AGAIN: Duration = Duration::from_millis(500);
/// Between two tries to open what cannot be opened.
const REOPEN: Duration = Duration::from_secs(10);
/// How long rows that were written are left in the log of a history that is quiet.
const SETTLE: Duration = Duration::from_secs(20);
/// The longest sleep where nothing is to be done.
const SLEEP: Duration = Duration::from_secs(600);
/// A log of this size means that a reader keeps it from being written home: nothing is written until it can be.
const LOG_MAX: u64 = 256 << 20;

/// Who is told what is known of the jobs; `None` where there is no history to know it from.
pub type Ready = Box<dyn FnOnce(Option<BTreeMap<JobName, Tally>>) + Send>;

/// The open file.
struct Store {
    conn: Connection,
    identity: Identity,
    totals: Totals,
    pruning: Pruning,
    /// Since when there are rows in the log alone.
    dirty: Option<Instant>,
}

/// Why a batch is not written.
enum Failed {
    /// It may be another time, with this file.
    Yet(String),
    /// The file must be opened anew: why, if it is damaged.
    Gone(Closed),
}

/// Serves the queue until it is closed.
pub fn run(shared: &Arc<Shared>, config: &HistoryConfig, ready: Ready) {
    let mut ready = Some(ready);
    let mut batch = None;
    while let Some(mut store) = opened(shared, config, &mut ready) {
        let end = serve(shared, &mut store, &mut batch);
        // Before another takes its place: a reader would hold the file that was.
        shared.readers.renew(None);
        match end {
            None => break,
            Some(Closed::Broken(why)) => {
                drop(store);
                aside(shared, &why);
            }
            Some(why) => {
                shared.tell(State::Failing, &why.to_string());
                tracing::warn!(code = "history", "the history is opened anew: {why}");
            }
        }
    }
    if let Some(ready) = ready.take() {
        ready(None);
    }
    shared.queue.ended();
}

/// Opens the file, however long that takes. `None` at the end.
fn opened(shared: &Shared, config: &HistoryConfig, ready: &mut Option<Ready>) -> Option<Store> {
    let mut told = None;
    let mut asides = 0;
    loop {
        let now = Instant::now();
        match shared.find().and_then(|path| open(&path, config, now)) {
            Ok((store, tallies)) => {
                if told.is_some() {
                    tracing::info!(code = "history", "the history is kept again");
                }
                shared.counted(store.totals);
                shared.readers.renew(Some(shared.path()));
                shared.tell(State::Open, "");
                if let Some(ready) = ready.take() {
                    ready(Some(tallies));
                }
                return Some(store);
            }
            Err(Closed::Broken(why)) if asides < 2 => {
                asides += 1;
                aside(shared, &why);
                continue;
            }
            Err(why) => {
                let state = if matches!(why, Closed::Refused(..)) { State::Refused } else { State::Failing };
                shared.tell(state, &why.to_string());
                if told.as_ref() != Some(&why) {
                    let code = if let Closed::Refused(code, _) = why { code } else { "history" };
                    tracing::error!(code, "no history is kept, jobs run all the same: {why}");
                    told = Some(why);
                }
            }
        }
        if let Some(ready) = ready.take() {
            ready(None);
        }
        if !shared.queue.pause(REOPEN) {
            return None;
        }
    }
}

fn open(
    path: &std::path::Path,
    config: &HistoryConfig,
    now: Instant,
) -> Result<(Store, BTreeMap<JobName, Tally>), Closed> {
    let (conn, identity) = place::open(path)?;
    let totals = Totals::read(&conn)?;
    let tallies = super::query::tallies(&conn)?;
    let pruning = Pruning::new(config, now);
    Ok((Store { conn, identity, totals, pruning, dirty: None }, tallies))
}

fn aside(shared: &Shared, why: &str) {
    let path = shared.path();
    match place::put_aside(&path, Timestamp::now()) {
        Ok(aside) => tracing::error!(
            code = "history-broken",
            "{} cannot be used, a new history begins: {why}; it is now {}",
            path.display(),
            aside.display()
        ),
        Err(error) => tracing::error!(
            code = "history-broken",
            "{} cannot be used: {why}; and it cannot be moved aside: {error}",
            path.display()
        ),
    }
}

/// Writes until the end (`None`), or until the file must be opened anew: why. A batch that is not written is kept.
fn serve(shared: &Shared, store: &mut Store, kept: &mut Option<Batch>) -> Option<Closed> {
    let mut failing = false;
    let mut patience = Duration::ZERO;
    loop {
        let work = match kept.take() {
            Some(batch) => Work::Write(batch),
            None => shared.queue.wait(patience),
        };
        if let Err(gone) = store.look(shared) {
            if let Work::Write(batch) = work {
                *kept = Some(batch);
            }
            return Some(gone);
        }
        match work {
            Work::End => return store.end(),
            Work::Idle => {}
            Work::Write(batch) => match store.write(shared, &batch) {
                Ok(()) => {
                    if std::mem::take(&mut failing) {
                        shared.tell(State::Open, "");
                        tracing::info!(code = "history", "the history is written again");
                    }
                    told_lost(shared, &batch);
                }
                Err(failed) => {
                    *kept = Some(batch);
                    let why = match failed {
                        Failed::Gone(why) => return Some(why),
                        Failed::Yet(why) => why,
                    };
                    shared.tell(State::Failing, &why);
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(code = "history", "the history cannot be written, rows wait: {why}");
                    }
                    // Told to end, it tries once more: what does not go now is lost with the process.
                    if !shared.queue.pause(AGAIN) && !last_try(shared, store, kept) {
                        return None;
                    }
                    continue;
                }
            },
        }
        patience = match store.tidy(shared) {
            Ok(patience) => patience,
            Err(why @ Closed::Broken(_)) => return Some(why),
            // A lock, a full disk: another time.
            Err(_) => AGAIN,
        };
    }
}

/// True where the rows that are kept could be written.
fn last_try(shared: &Shared, store: &mut Store, kept: &mut Option<Batch>) -> bool {
    let Some(batch) = kept.take() else { return true };
    let written = store.write(shared, &batch).is_ok();
    if written {
        told_lost(shared, &batch);
    }
    written
}

fn told_lost(shared: &Shared, batch: &Batch) {
    let Some((since, rows)) = shared.queue.written(batch) else { return };
    let now = Timestamp::now();
    tracing::warn!(code = "history-dropped", "rows of the history are taken again; {rows} were lost since {since}");
    shared.queue.push(Row::Fact(lost(since, now, rows)), || now);
}

impl Store {
    /// The file may have been taken away, or another put in its place.
    fn look(&self, shared: &Shared) -> Result<(), Closed> {
        match place::identity(&shared.path()) {
            Some(identity) if identity == self.identity => Ok(()),
            _ => Err(Closed::Failing("its file was taken away".into())),
        }
    }

    /// One transaction for all rows.
    fn write(&mut self, shared: &Shared, batch: &Batch) -> Result<(), Failed> {
        if self.dirty.is_some_and(|_| place::log_size(&shared.path()) > LOG_MAX) {
            self.settle("TRUNCATE").map_err(|why| Failed::Yet(why.to_string()))?;
            if place::log_size(&shared.path()) > LOG_MAX {
                return Err(Failed::Yet(
                    "another program has been reading the history for long, and its log has grown".into(),
                ));
            }
        }
        let before = self.totals;
        match self.transact(&batch.rows) {
            Ok(()) => {
                self.dirty.get_or_insert_with(Instant::now);
                shared.counted(self.totals);
                Ok(())
            }
            Err(error) => {
                self.totals = before;
                match Closed::of(&error) {
                    why @ Closed::Broken(_) => Err(Failed::Gone(why)),
                    _ if passing(&error) => Err(Failed::Yet(error.to_string())),
                    _ => self.singly(shared, batch),
                }
            }
        }
    }

    fn transact(&mut self, rows: &[Row]) -> rusqlite::Result<()> {
        let before = self.totals;
        let transaction = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for row in rows {
            book(&transaction, &mut self.totals, row)?;
        }
        self.totals.write(&transaction, before)?;
        transaction.commit()
    }

    /// One of them cannot be written, whoever tries and when: it is left out, and the others are written.
    fn singly(&mut self, shared: &Shared, batch: &Batch) -> Result<(), Failed> {
        for row in &batch.rows {
            let before = self.totals;
            let Err(error) = self.transact(std::slice::from_ref(row)) else { continue };
            self.totals = before;
            if passing(&error) {
                // Those that are written are known when they come again, all but facts.
                return Err(Failed::Yet(error.to_string()));
            }
            shared.queue.count_lost(1);
            tracing::error!(code = "history-dropped", "a row of the history cannot be written: {error}");
        }
        shared.counted(self.totals);
        Ok(())
    }

    /// One step of what is not urgent. How long to wait for rows before the next.
    fn tidy(&mut self, shared: &Shared) -> Result<Duration, Closed> {
        let idle = shared.readers.close_idle();
        if shared.queue.pressed() {
            return Ok(Duration::ZERO);
        }
        if self.pruning.step(&mut self.conn, &mut self.totals, Timestamp::now())? == Step::More {
            self.dirty.get_or_insert_with(Instant::now);
            shared.counted(self.totals);
            shared.held_up(self.pruning.longest());
            return Ok(Duration::ZERO);
        }
        let settled = self.dirty.map(|since| SETTLE.saturating_sub(since.elapsed()));
        if settled == Some(Duration::ZERO) {
            self.settle("PASSIVE")?;
        }
        Ok([settled.filter(|left| !left.is_zero()), idle].into_iter().flatten().fold(SLEEP, Duration::min))
    }

    /// Writes the log home.
    fn settle(&mut self, how: &str) -> rusqlite::Result<()> {
        self.dirty = None;
        self.conn.query_row(&format!("PRAGMA wal_checkpoint({how})"), [], |_| Ok(()))
    }

    /// The clean end.
    fn end(&mut self) -> Option<Closed> {
        // A power cut from here on takes nothing; a disk that does not take it was told of before.
        let _ = self.settle("TRUNCATE");
        None
    }
}

/// An error that may be over another time: locks, disks, memory.
fn passing(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{
        CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, FileLockingProtocolFailed, OperationInterrupted,
        OutOfMemory, PermissionDenied, ReadOnly, SchemaChanged, SystemIoFailure,
    };
    let codes = [
        CannotOpen,
        DatabaseBusy,
        DatabaseLocked,
        DiskFull,
        FileLockingProtocolFailed,
        OperationInterrupted,
        OutOfMemory,
        PermissionDenied,
        ReadOnly,
        SchemaChanged,
        SystemIoFailure,
    ];
    error.sqlite_error_code().is_some_and(|code| codes.contains(&code))
}
