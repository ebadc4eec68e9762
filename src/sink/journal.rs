//! The journal as a sink: each line of a job an entry of its own, by the native protocol.
//!
//! The socket is systemd's and not journald's: what is sent while journald restarts waits in it. A journald that does not
//! read, or is not there at all, is waited for at most [`PATIENCE`], by this sink alone; then its lines go to files in the
//! log directory, until the journal takes an entry again, which is the one that tells how many went elsewhere (fault E77).

use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::MFdFlags;
use nix::sys::socket::{ControlMessage, MsgFlags, send, sendmsg, setsockopt, sockopt};

use super::entry::Entry;
use super::files::{Begun, Files, Place};
use crate::run::RunLabel;
use crate::run::lines::Frame;
use crate::run::spool::{Intent, memory_file};
use crate::wire::Stream;

/// Where journald takes entries.
const SOCKET: &str = "/run/systemd/journal/socket";
/// Longest line in one entry; a longer one becomes several, all but the last marked as open.
pub const LONGEST: usize = 1 << 20;
/// How long an entry waits for journald: longer than a restart takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest sleep within it.
const SLICE: Duration = Duration::from_millis(100);
/// Time between two looks whether the journal is back.
pub const REST: Duration = Duration::from_secs(1);
/// Room for entries that journald has not read yet, where the system allows so much.
const ROOM: usize = 8 << 20;

/// The journal.
pub struct Journal {
    way: Way,
    entry: Entry,
    files: Files,
    away: Option<Away>,
    text: Vec<u8>,
}

/// The way to journald.
struct Way {
    socket: Option<UnixDatagram>,
    /// Counts up while this waits, so that nobody takes the sink for dead.
    steps: Arc<AtomicU64>,
}

/// Since the journal does not take lines.
struct Away {
    since: Instant,
    looked: Instant,
    /// Lines in files.
    filed: u64,
    /// Lines that are nowhere.
    dropped: u64,
}

impl Journal {
    /// With `files` for what the journal does not take. `steps` is counted up while it waits. Connects when there is a line.
    pub fn new(files: Files, steps: Arc<AtomicU64>) -> Journal {
        let way = Way { socket: None, steps };
        Journal { way, entry: Entry::default(), files, away: None, text: Vec::new() }
    }

    /// There is a journal on this machine.
    pub fn is_there() -> bool {
        Path::new(SOCKET).exists()
    }

    /// What follows is of this stream of a run.
    pub fn lead(&mut self, label: &RunLabel, pid: Option<i32>, stream: Stream) {
        self.entry.lead(label, pid, stream);
    }

    /// A line; `start` where it begins one and does not go on with one. Where the journal does not take it, `elsewhere` makes
    /// the same line for a file, and `announce` hears its place there. `false`: it is dropped.
    #[must_use]
    pub fn line(
        &mut self,
        (label, stream): (&RunLabel, Stream),
        frame: Frame<'_>,
        start: bool,
        elsewhere: impl FnOnce(&mut Vec<u8>),
        announce: impl FnOnce(Place),
    ) -> bool {
        let away = match &mut self.away {
            Some(away) => away,
            none => match self.way.send(self.entry.line(stream, frame.bytes, start, frame.open), PATIENCE) {
                Ok(()) => return true,
                Err(_) => {
                    let now = Instant::now();
                    none.insert(Away { since: now, looked: now, filed: 0, dropped: 0 })
                }
            },
        };
        self.text.clear();
        elsewhere(&mut self.text);
        let filed = self.files.append_now(&label.job, &mut self.text, announce) == Begun::Done;
        if filed {
            away.filed += 1
        } else {
            away.dropped += 1
        }
        filed
    }

    /// A word of rotad's own about a run. `false`: it could not be said.
    #[must_use]
    pub fn note(&mut self, label: &RunLabel, code: &str, text: &str) -> bool {
        let mut entry = Entry::default();
        self.away.is_none() && self.way.send(entry.own(Some(label), code, text), PATIENCE).is_ok()
    }

    /// When [`Journal::look`] has something to look for.
    pub fn patience(&self) -> Option<Duration> {
        self.away.as_ref().map(|away| REST.saturating_sub(away.looked.elapsed()))
    }

    /// Where the journal was away: is it back? It is once it has taken the word of how many lines went elsewhere.
    pub fn look(&mut self) {
        let Some(away) = self.away.as_mut().filter(|away| away.looked.elapsed() >= REST) else { return };
        away.looked = Instant::now();
        let (seconds, place) = (away.since.elapsed().as_secs(), self.files.place_of_all());
        let Away { filed, dropped, .. } = away;
        let text = format!(
            "the journal took no lines of jobs for {seconds} s: {filed} of them are in {place}, {dropped} were dropped"
        );
        let mut entry = Entry::default();
        if self.way.send(entry.own(None, "journal-away", &text), Duration::ZERO).is_ok() {
            self.away = None;
        }
    }

    /// Whether a line that an engine before was about to write to a file is in it.
    pub fn written(&mut self, label: &RunLabel, intent: &Intent) -> bool {
        self.files.written(&label.job, intent)
    }
}

impl Way {
    /// Sends one entry. Waits for room, or for a socket to connect to, as long as `patience` lasts.
    fn send(&mut self, entry: &[u8], patience: Duration) -> Result<(), Errno> {
        let mut deadline = None;
        loop {
            let errno = match self.try_send(entry) {
                Ok(()) => return Ok(()),
                Err(Errno::EINTR) => continue,
                Err(errno) => errno,
            };
            let until = *deadline.get_or_insert_with(|| Instant::now() + patience);
            let left = until.saturating_duration_since(Instant::now()).min(SLICE);
            match errno {
                _ if left.is_zero() => return Err(errno),
                Errno::EAGAIN => self.room(left),
                // Nobody listens there now; soon somebody may.
                Errno::ECONNREFUSED | Errno::ECONNRESET | Errno::ENOTCONN | Errno::EPIPE | Errno::ENOENT => {
                    self.socket = None;
                    thread::sleep(left);
                }
                // It would not become better.
                errno => return Err(errno),
            }
            self.steps.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn try_send(&mut self, entry: &[u8]) -> Result<(), Errno> {
        let socket = match &mut self.socket {
            Some(socket) => socket,
            none => none.insert(connect()?),
        };
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        match send(socket.as_raw_fd(), entry, flags) {
            // More than goes into a datagram.
            Err(Errno::EMSGSIZE | Errno::ENOBUFS) => {
                let file = sealed(entry)?;
                let fds = [file.as_raw_fd()];
                let message = [ControlMessage::ScmRights(&fds)];
                sendmsg::<()>(socket.as_raw_fd(), &[] as &[IoSlice<'_>], &message, flags, None).map(drop)
            }
            sent => sent.map(drop),
        }
    }

    /// Waits until there may be room.
    fn room(&self, most: Duration) {
        let Some(socket) = &self.socket else { return };
        let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
        // Whatever comes of it: sending is tried again.
        let _ = poll(&mut fds, PollTimeout::try_from(most).unwrap_or(PollTimeout::ZERO));
    }
}

fn connect() -> Result<UnixDatagram, Errno> {
    let errno = |error: std::io::Error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
    let socket = UnixDatagram::unbound().map_err(errno)?;
    // Less room is no harm.
    let _ = setsockopt(&socket, sockopt::SndBuf, &ROOM);
    socket.connect(SOCKET).map_err(errno)?;
    Ok(socket)
}

/// An entry in a file that nobody can change any more: journald takes no other.
fn sealed(entry: &[u8]) -> Result<OwnedFd, Errno> {
    let file = memory_file("rotad-entry", MFdFlags::MFD_ALLOW_SEALING)?;
    let mut done = 0;
    while done < entry.len() {
        match nix::unistd::write(&file, &entry[done..]) {
            Ok(count) => done += count,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(file)
}
