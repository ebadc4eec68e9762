//! What stands between the socket and the HTTP library: it takes a connection, asks the kernel who is at its other end,
//! reads one request head within bounds and a deadline, and hands on a head that it has written itself.
//!
//! The library (tiny_http 0.12) has no limits of its own: an endless header fills memory, a large `Content-Length` is
//! allocated and read when the request is dropped, pipelined requests hold threads. None of that can pass: a connection
//! carries one request, without a body, whose only headers are ours. Then the answer is relayed until either end closes;
//! a client that goes away takes its request with it.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::socket::{getsockopt, sockopt};

use super::answer::{Answer, Problem};
use super::peer::{Peer, Right};
use super::private::Door;

/// Most connections at once.
const MAX_CONNECTIONS: usize = 128;
/// Where few descriptors may be open, one in so many is for connections: the others are for the jobs' pipes, and
/// without those the link to the warden breaks (fault H113). A connection takes up to four.
const DESCRIPTORS_FOR_ONE: u64 = 4;
/// Longest request head in bytes. A job name takes at most 3 × 128 of them.
const MAX_HEAD: usize = 16 << 10;
/// Longest time in which the head must be complete.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// Longest time that a client may leave its answer unread: long enough to stop in a pager.
const UNREAD_TIME: Duration = Duration::from_secs(600);
/// The header by which the gate tells who asks.
const PEER: &str = "Rotad-Peer";

/// Takes connections for ever.
pub fn run(listener: &UnixListener, door: &RwLock<Door>) {
    let connections = Arc::new(Mutex::new(HashMap::new()));
    let descriptors = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
    let most = usize::try_from(descriptors / DESCRIPTORS_FOR_ONE).unwrap_or(usize::MAX).clamp(2, MAX_CONNECTIONS);
    thread::scope(|scope| {
        loop {
            let client = match listener.accept() {
                Ok((client, _)) => client,
                Err(error) => {
                    // ECONNABORTED passes at once, EMFILE and ENOMEM in a while.
                    tracing::debug!(%error, "accept");
                    thread::park_timeout(Duration::from_millis(100));
                    continue;
                }
            };
            let Ok(peer) = getsockopt(&client, sockopt::PeerCredentials) else { continue };
            match Place::take(&connections, peer.uid(), most) {
                Some(place) => {
                    let work = move || {
                        let _place = place;
                        // What fails here is the client's connection, and there is nobody else to tell.
                        let _gone = pass(client, peer.uid(), door);
                    };
                    if let Err(error) = thread::Builder::new().name("api-client".into()).spawn_scoped(scope, work) {
                        tracing::warn!(%error, "no thread for a connection: it is closed");
                    }
                }
                None => {
                    let _gone = client.set_nonblocking(true).and_then(|()| refuse(&client, busy()));
                }
            }
        }
    })
}

/// One connection's place among those that are admitted, given back when it is dropped.
struct Place {
    of: u32,
    all: Arc<Mutex<HashMap<u32, usize>>>,
}

impl Place {
    /// One of `most`, of which one user gets half at most, so that one cannot keep out the others.
    fn take(all: &Arc<Mutex<HashMap<u32, usize>>>, of: u32, most: usize) -> Option<Place> {
        let mut counts = all.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.values().sum::<usize>() >= most {
            return None;
        }
        let count = counts.entry(of).or_default();
        if *count >= most / 2 {
            return None;
        }
        *count += 1;
        Some(Place { of, all: Arc::clone(all) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.of);
            }
        }
    }
}

/// Reads the head, hands on what it asks, relays the answer.
fn pass(mut client: UnixStream, uid: u32, door: &RwLock<Door>) -> io::Result<()> {
    client.set_write_timeout(Some(UNREAD_TIME))?;
    let line = match read_head(&mut client)?.and_then(|head| request_line(&head)) {
        Ok(line) => line,
        Err(problem) => return refuse(&client, problem),
    };
    // The library duplicates the descriptor of its end, and panics where it cannot.
    if (0..4).map(|_| client.try_clone()).collect::<io::Result<Vec<_>>>().is_err() {
        return refuse(&client, busy());
    }
    let mut upstream = door.read().unwrap_or_else(PoisonError::into_inner).connect()?;
    write!(upstream, "{line}\r\nConnection: close\r\n{PEER}: {}\r\n\r\n", Peer { uid, right: Right::Change }.header())?;
    relay(&mut client, &mut upstream)
}

/// The bytes up to the empty line, or why they are refused.
fn read_head(client: &mut UnixStream) -> io::Result<Result<Vec<u8>, Problem>> {
    let deadline = Instant::now() + HEAD_TIME;
    let (mut head, mut piece) = (Vec::new(), [0; 2048]);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Err(Problem::new(408, "too-slow", "the request was not complete in 10 s")));
        }
        client.set_read_timeout(Some(left))?;
        let length = match client.read(&mut piece) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => length,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => continue,
            Err(error) => return Err(error),
        };
        let seen = head.len().saturating_sub(3);
        head.extend_from_slice(&piece[..length]);
        if let Some(at) = memchr::memmem::find(&head[seen..], b"\r\n\r\n") {
            head.truncate(seen + at);
            return Ok(Ok(head));
        }
        if head.len() > MAX_HEAD {
            return Ok(Err(Problem::new(431, "head-too-long", "the head of a request has at most 16 KiB")));
        }
    }
}

/// The request line of a head, checked byte for byte; the headers are looked at for a body and forgotten.
fn request_line(head: &[u8]) -> Result<String, Problem> {
    let bad = |what: &str| Problem::new(400, "bad-request", what);
    let head = std::str::from_utf8(head).map_err(|_| bad("the head of the request is not UTF-8"))?;
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap_or_default();
    let parts: Vec<&str> = line.split(' ').collect();
    let [method, target, version] = parts[..] else { return Err(bad("the request line has not three parts")) };
    if method.is_empty() || method.len() > 16 || !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err(bad("that is no method"));
    }
    if !target.starts_with('/') || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(bad("that is no path"));
    }
    if !matches!(version, "HTTP/1.0" | "HTTP/1.1") {
        return Err(Problem::new(505, "http-version", "only HTTP/1.0 and HTTP/1.1 are spoken here"));
    }
    for header in lines {
        let (name, value) = header.split_once(':').ok_or_else(|| bad("a header has no colon"))?;
        let body = name.trim().eq_ignore_ascii_case("Transfer-Encoding")
            || (name.trim().eq_ignore_ascii_case("Content-Length") && value.trim() != "0");
        if body {
            return Err(Problem::new(413, "no-body", "no route takes a body").hint("send Content-Length: 0"));
        }
    }
    Ok(line.to_owned())
}

/// Copies the answer until it ends or the client is gone.
fn relay(client: &mut UnixStream, upstream: &mut UnixStream) -> io::Result<()> {
    let mut piece = [0; 16 << 10];
    loop {
        let (gone, ready) = {
            let mut both = [
                // Nothing more is read from the client; POLLHUP and POLLERR come unasked.
                PollFd::new(client.as_fd(), PollFlags::empty()),
                PollFd::new(upstream.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut both, PollTimeout::NONE) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            (both[0].any().unwrap_or(true), both[1].any().unwrap_or(true))
        };
        if gone {
            return Ok(());
        }
        if ready {
            match upstream.read(&mut piece)? {
                0 => return Ok(()),
                length => client.write_all(&piece[..length])?,
            }
        }
    }
}

fn refuse(mut client: &UnixStream, problem: Problem) -> io::Result<()> {
    Answer::from(problem).write(&mut client)
}

fn busy() -> Problem {
    Problem::new(503, "busy", "too many connections").hint("try again once some of them are closed")
}

/// Who asks, as the gate has written it. A request without it has not come through the gate.
pub fn peer_of(request: &tiny_http::Request) -> Result<Peer, Problem> {
    let header = request.headers().iter().find(|header| header.field.equiv(PEER));
    let peer = header.and_then(|header| Peer::parse(header.value.as_str()));
    peer.ok_or_else(|| Problem::new(403, "forbidden", "nobody knows who asks"))
}

/// A request of which only a part has come through.
pub fn cut() -> Problem {
    Problem::new(400, "bad-request", "the body is not complete")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn g98_only_a_plain_request_line_passes() {
        assert_eq!(request_line(b"GET /x HTTP/1.1\r\nHost: evil\r\nRotad-Peer: uid 0").unwrap(), "GET /x HTTP/1.1");
        for (head, code) in [
            (&b""[..], "bad-request"),
            (b"GET /x", "bad-request"),
            (b"GET  /x HTTP/1.1", "bad-request"),
            (b"get /x HTTP/1.1", "bad-request"),
            (b"GET http://evil/x HTTP/1.1", "bad-request"),
            (b"GET /\x00 HTTP/1.1", "bad-request"),
            (b"GET /\n HTTP/1.1", "bad-request"),
            (b"GET /\xff HTTP/1.1", "bad-request"),
            (b"GET /x HTTP/1.1\r\nnonsense", "bad-request"),
            (b"GET /x HTTP/2.0", "http-version"),
            (b"POST /x HTTP/1.1\r\nContent-Length: 18446744073709551615", "no-body"),
            (b"POST /x HTTP/1.1\r\nContent-Length: -5", "no-body"),
            (b"POST /x HTTP/1.1\r\nContent-Length: 0\r\ncontent-length : 7", "no-body"),
            (b"POST /x HTTP/1.1\r\nTransfer-Encoding: xchunked", "no-body"),
        ] {
            assert_eq!(request_line(head).unwrap_err().code(), code, "{:?}", String::from_utf8_lossy(head));
        }
    }

    #[test]
    fn g98_one_user_cannot_take_every_place() {
        let all = Arc::default();
        let mine: Vec<Place> = std::iter::from_fn(|| Place::take(&all, 1000, MAX_CONNECTIONS)).take(1000).collect();
        assert_eq!(mine.len(), MAX_CONNECTIONS / 2);
        assert!(Place::take(&all, 0, MAX_CONNECTIONS).is_some());
        drop(mine);
        assert!(all.lock().unwrap().is_empty(), "every place is given back");
    }

    proptest! {
        #[test]
        fn g98_no_head_makes_more_than_one_line(head in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(line) = request_line(&head) {
                prop_assert!(line.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()));
            }
        }
    }
}
