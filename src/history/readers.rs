//! Connections that only read, for threads that answer requests: a few, opened when they are asked for and closed when
//! nobody has for a while.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags};

/// Most at once. Who comes then waits.
const MOST: usize = 4;
/// Longest time that a question may take, and that who asks waits for a connection.
pub const TIME_LIMIT: Duration = Duration::from_secs(5);
/// How long one is kept that nobody uses.
const IDLE: Duration = Duration::from_secs(10);
/// Page cache of each.
const CACHE_KIB: i32 = 256;
/// Steps of SQLite's machine between two looks at the clock: some microseconds.
const STEPS: i32 = 1000;

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unanswered {
    /// `history: none`.
    Off,
    /// The history is not open: why.
    Closed(String),
    /// As many questions are being answered as may be.
    Busy,
    /// It took longer than [`TIME_LIMIT`].
    TooSlow,
    /// SQLite says so.
    Failed(String),
}

impl Unanswered {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Unanswered::Off => "no-history",
            Unanswered::Closed(_) => "history-closed",
            Unanswered::Busy => "history-busy",
            Unanswered::TooSlow => "history-slow",
            Unanswered::Failed(_) => "history",
        }
    }
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unanswered::Off => write!(f, "no history is kept: rotad.yaml says 'history: none'"),
            Unanswered::Closed(why) if why.is_empty() => write!(f, "the history is not open yet"),
            Unanswered::Closed(why) => write!(f, "the history cannot be read: {why}"),
            Unanswered::Busy => write!(f, "the history is being read by as many as may"),
            Unanswered::TooSlow => write!(f, "the history took longer than {} s to answer", TIME_LIMIT.as_secs()),
            Unanswered::Failed(why) => write!(f, "the history cannot be read: {why}"),
        }
    }
}

impl std::error::Error for Unanswered {}

impl From<rusqlite::Error> for Unanswered {
    fn from(error: rusqlite::Error) -> Unanswered {
        match error.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) => Unanswered::TooSlow,
            _ => Unanswered::Failed(error.to_string()),
        }
    }
}

/// All connections.
#[derive(Debug, Default)]
pub struct Readers {
    held: Mutex<Held>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct Held {
    /// The file that is open; absent: none is.
    path: Option<PathBuf>,
    /// Of the file.
    generation: u64,
    idle: Vec<(Connection, Instant)>,
    lent: usize,
}

impl Readers {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another file, or none.
    pub fn renew(&self, path: Option<PathBuf>) {
        let mut held = self.lock();
        held.path = path;
        held.generation += 1;
        let idle = std::mem::take(&mut held.idle);
        drop(held);
        drop(idle);
    }

    /// Asks `question` with one of them. Waits for the disk, at most [`TIME_LIMIT`] for each of place and answer. `opened` is
    /// called where there is one more than before, to be closed some time.
    pub fn ask<T>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T>,
        opened: impl FnOnce(),
    ) -> Result<T, Unanswered> {
        let held = self.lock();
        let waited = self.freed.wait_timeout_while(held, TIME_LIMIT, |held| held.lent >= MOST);
        let (mut held, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return Err(Unanswered::Busy);
        }
        let Some(path) = held.path.clone() else { return Err(Unanswered::Closed(String::new())) };
        let generation = held.generation;
        held.lent += 1;
        let idle = held.idle.pop();
        let fresh = idle.is_none();
        drop(held);
        let mut kept = None;
        let answer = match idle.map_or_else(|| open(&path), |(conn, _)| Ok(conn)) {
            Ok(mut conn) => {
                let end = Instant::now() + TIME_LIMIT;
                let answer =
                    conn.progress_handler(STEPS, Some(move || Instant::now() >= end)).and_then(|()| question(&conn));
                kept = Some(conn);
                answer
            }
            Err(error) => Err(error),
        };
        let mut held = self.lock();
        held.lent -= 1;
        if held.generation == generation
            && let Some(conn) = kept.take()
        {
            held.idle.push((conn, Instant::now()));
        }
        drop(held);
        self.freed.notify_one();
        if fresh {
            opened();
        }
        Ok(answer?)
    }

    /// How many wait for a question.
    #[cfg(test)]
    pub fn idle(&self) -> usize {
        self.lock().idle.len()
    }

    /// Closes those that nobody uses. (SQLite keeps the descriptor of the file for the next: while the writer has a lock,
    /// closing any would end it.) When to look again; absent: there are none.
    pub fn close_idle(&self) -> Option<Duration> {
        let mut held = self.lock();
        let (old, young) = std::mem::take(&mut held.idle).into_iter().partition(|(_, since)| since.elapsed() >= IDLE);
        held.idle = young;
        let next = held.idle.iter().map(|(_, since)| IDLE.saturating_sub(since.elapsed())).min();
        drop(held);
        let _: Vec<(Connection, Instant)> = old;
        next
    }
}

fn open(path: &std::path::Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NOFOLLOW | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(Duration::from_secs(1))?;
    conn.pragma_update(None, "query_only", true)?;
    conn.pragma_update(None, "trusted_schema", false)?;
    conn.pragma_update(None, "cache_size", -CACHE_KIB)?;
    conn.set_prepared_statement_cache_capacity(8);
    Ok(conn)
}
