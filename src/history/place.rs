//! The file: opened by nobody else's leave, and put aside where it is none of ours to read.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::schema::{self, APPLICATION, STEPS, VERSION};

/// Its name in the state directory.
pub const FILE: &str = "history.db";
/// What SQLite puts beside it.
const BESIDE: [&str; 3] = ["", "-wal", "-shm"];
/// Broken ones that are kept.
const ASIDE_MAX: usize = 3;
/// How long an unclean end is looked into. What is not reached then is found when it is read.
const CHECK_LIMIT: Duration = Duration::from_secs(2);
/// Page cache of the writer: it appends, and the kernel has the rest.
const WRITER_CACHE_KIB: i32 = 512;
/// How long the writer waits for a lock before it lets the queue grow.
const WRITER_PATIENCE: Duration = Duration::from_millis(250);
/// Pages of the log that are written home at once: fewer, and there is a sync for little; more, and rows wait for it.
const HOME_PAGES: i64 = 256;
/// The log beside the database is cut back to this once it is written home.
const WAL_LIMIT: i64 = 8 << 20;

/// Why there is no history to write to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closed {
    /// It may or must not be used as it is. The code says why: `newer`, `link`, `wrong-owner`.
    Refused(&'static str, String),
    /// The disk, a lock: another time it may be opened.
    Failing(String),
    /// What is there is damaged, or no database.
    Broken(String),
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Closed::Refused(_, why) | Closed::Failing(why) | Closed::Broken(why) => f.write_str(why),
        }
    }
}

impl Closed {
    /// What an error of SQLite's means for the file.
    pub fn of(error: &rusqlite::Error) -> Closed {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Closed::Broken(error.to_string()),
            _ => Closed::Failing(error.to_string()),
        }
    }
}

impl From<rusqlite::Error> for Closed {
    fn from(error: rusqlite::Error) -> Closed {
        Closed::of(&error)
    }
}

/// Which file it is: device and inode.
pub type Identity = (u64, u64);

/// The identity of what is at `path` now.
pub fn identity(path: &Path) -> Option<Identity> {
    fs::symlink_metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

/// The way to the file with no link in it: SQLite follows none of those we let it open.
pub fn path_in(state_dir: &Path) -> io::Result<PathBuf> {
    Ok(fs::canonicalize(state_dir)?.join(FILE))
}

/// Opens the history for writing, or makes it. Waits for the disk, for [`CHECK_LIMIT`] and [`WRITER_PATIENCE`] at most beside.
pub fn open(path: &Path) -> Result<(Connection, Identity), Closed> {
    let failing = |error: io::Error| Closed::Failing(format!("{}: {error}", path.display()));
    judge(path)?;
    if !path.exists() {
        // A log without its database belongs to none.
        BESIDE[1..].iter().for_each(|end| drop(fs::remove_file(with(path, end))));
        create(path).map_err(failing)?;
    }
    close_to_others(path).map_err(failing)?;
    let unclean = fs::metadata(with(path, "-wal")).is_ok_and(|meta| meta.len() > 0);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NOFOLLOW | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(path, flags)?;
    let identity = identity(path).ok_or_else(|| failing(io::ErrorKind::NotFound.into()))?;
    conn.busy_timeout(WRITER_PATIENCE)?;
    conn.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    let version: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let application: i64 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application != APPLICATION && (application, version, tables) != (0, 0, 0) {
        return Err(Closed::Broken("it is a database of another program".into()));
    }
    if version > VERSION {
        let why = format!(
            "{} is of a later rotad (version {version}, this one writes {VERSION}); it is left as it is",
            path.display()
        );
        return Err(Closed::Refused("newer", why));
    }
    if version == 0 {
        // Before the first table, or never.
        conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    // No commit waits for the disk, only the writing home of the log does, after 256 pages or twenty seconds. A
    // killed process loses nothing: what is committed is the kernel's. A power cut may lose the last commits since then, never
    // a part of one, for each page of the log has a checksum. That is enough here: what runs and what has been decided is not
    // decided by the history, so that the lost rows are missing and nothing runs twice for them; and a commit that waited for
    // the disk would cost ten times as much.
    conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    conn.pragma_update(None, "synchronous", "NORMAL")?;
    conn.pragma_update_and_check(None, "journal_size_limit", WAL_LIMIT, |_| Ok(()))?;
    conn.pragma_update_and_check(None, "wal_autocheckpoint", HOME_PAGES, |_| Ok(()))?;
    conn.pragma_update(None, "trusted_schema", false)?;
    conn.set_prepared_statement_cache_capacity(48);
    if unclean {
        check(&mut conn)?;
    }
    if version < VERSION {
        schema::migrate(&mut conn, version, STEPS)?;
    }
    Ok((conn, identity))
}

/// What must not be opened: a link, something that is no file, a file of somebody else's.
fn judge(path: &Path) -> Result<(), Closed> {
    for end in BESIDE {
        let path = with(path, end);
        let meta = match fs::symlink_metadata(&path) {
            Ok(meta) => meta,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(Closed::Failing(format!("{}: {error}", path.display()))),
        };
        let shown = path.display();
        if !meta.is_file() {
            let what = if meta.is_symlink() { "a symbolic link" } else { "no regular file" };
            return Err(Closed::Refused("link", format!("{shown} is {what}; move it away")));
        }
        let own = nix::unistd::geteuid().as_raw();
        if meta.uid() != own {
            let why = format!("{shown} belongs to user {}, not to {own}; chown it or move it away", meta.uid());
            return Err(Closed::Refused("wrong-owner", why));
        }
    }
    Ok(())
}

/// Lines of jobs are in it: nobody else's to read.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).custom_flags(libc::O_NOFOLLOW).open(path)
}

/// A copy that was put back, or an odd umask: lines of jobs are nobody else's to read then, either. A group that was given it
/// may read on.
fn close_to_others(path: &Path) -> io::Result<()> {
    for file in BESIDE.map(|end| with(path, end)) {
        let mode = match fs::symlink_metadata(&file) {
            Ok(meta) if meta.is_file() => meta.mode() & 0o7777,
            Ok(_) => continue,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if mode & !0o640 != 0 {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode & 0o640))?;
        }
    }
    Ok(())
}

/// Looks for damage, as long as there is time.
fn check(conn: &mut Connection) -> Result<(), Closed> {
    let end = Instant::now() + CHECK_LIMIT;
    conn.progress_handler(1000, Some(move || Instant::now() > end))?;
    let found = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    conn.progress_handler(0, None::<fn() -> bool>)?;
    match found {
        Ok(found) if found == "ok" => Ok(()),
        Ok(found) => Err(Closed::Broken(found)),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Puts a broken history aside under the time, with what is beside it, and lets the oldest of such go. Where to.
pub fn put_aside(path: &Path, now: Timestamp) -> io::Result<PathBuf> {
    let stamp = now.strftime("%Y%m%dT%H%M%S.%3fZ").to_string();
    let aside = with(path, &format!(".broken-{stamp}"));
    fs::rename(path, &aside)?;
    for end in &BESIDE[1..] {
        let _ = fs::rename(with(path, end), with(&aside, end));
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(aside) };
    let prefix = format!("{}.broken-", name.to_string_lossy());
    let names = fs::read_dir(parent)?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut stamps: Vec<String> = names.filter(|name| name.starts_with(&prefix)).collect();
    stamps.retain(|name| BESIDE[1..].iter().all(|end| !name.ends_with(end)));
    stamps.sort_unstable();
    for old in &stamps[..stamps.len().saturating_sub(ASIDE_MAX)] {
        BESIDE.iter().for_each(|end| drop(fs::remove_file(parent.join(format!("{old}{end}")))));
    }
    Ok(aside)
}

/// The size of the log beside the database, in bytes.
pub fn log_size(path: &Path) -> u64 {
    fs::metadata(with(path, "-wal")).map_or(0, |meta| meta.len())
}

fn with(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}
