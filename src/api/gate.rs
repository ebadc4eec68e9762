//! What stands between the sockets and the HTTP library. It takes a connection, asks the kernel who is at its other end,
//! admits or refuses before it has looked at a single byte, reads one request within bounds and a time, keeps out what a
//! foreign web page may have sent, and hands on a head that it has written itself, with a body of exactly the length that
//! this head says.
//!
//! The library (tiny_http 0.12) has no limits of its own: an endless header fills memory, a large `Content-Length` is
//! allocated and read when the request is dropped, pipelined requests hold threads. None of that can pass: a connection
//! carries one request, whose only headers are ours. Then the answer is relayed until either end closes; a client that
//! goes away takes its request with it.
//!
//! All of this is one thread, whatever the number of connections; the library has two threads for each request that has
//! come through, and [`Places`] says how many those are.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit};
use nix::sys::socket::{getsockopt, sockopt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::admission::{Admission, Who};
use super::answer::{Answer, Problem};
use super::guard::Way;
use super::head::Head;
use super::inflow;
use super::owner::{Owners, is_connected};
use super::peer::{Peer, Right};
use super::places::{Place, Places, Rank};
use super::private::Door;
use crate::warden::sys;

/// Most requests at once.
const MAX_REQUESTS: usize = 256;
/// Where few descriptors may be open, one in so many is for requests: the others are for the jobs' pipes, and without
/// those the link to the warden breaks (fault H113). A request takes up to four.
const DESCRIPTORS_FOR_ONE: u64 = 4;
/// Longest time that a client may leave its answer unread: long enough to stop in a pager.
const UNREAD_TIME: Duration = Duration::from_secs(600);
/// Time that a client has to ask before it is refused, and to close after its answer.
const MANNERS: Duration = Duration::from_secs(1);
/// How often it is looked whether a client that waits for its answer is still there.
const LOOK: Duration = Duration::from_millis(500);
/// Stands for a peer that nobody owns; no user has this number.
const NOBODY: u32 = u32::MAX;
/// The header by which the gate tells who asks.
const PEER: &str = "Rotad-Peer";

/// A connection, whichever socket it came by.
trait Client: AsyncRead + AsyncWrite + AsFd + Unpin + Send + Sync + 'static {}
impl Client for TcpStream {}
impl Client for UnixStream {}

/// The gate: who may come in, how many, and where to.
pub struct Gate {
    admission: Admission,
    places: Arc<Places>,
    door: Arc<RwLock<Door>>,
}

impl Gate {
    /// A gate before the library behind `door`.
    pub fn new(admission: Admission, door: Arc<RwLock<Door>>) -> Arc<Self> {
        let descriptors = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
        let most = usize::try_from(descriptors / DESCRIPTORS_FOR_ONE).unwrap_or(usize::MAX).min(MAX_REQUESTS);
        Arc::new(Self { admission, places: Places::new(most), door })
    }

    /// Starts the thread of the gate, which takes connections for ever: of the unix socket, and of every listening TCP
    /// socket that comes by `ports`.
    pub fn start(self: Arc<Self>, unix: OwnedFd, mut ports: mpsc::UnboundedReceiver<OwnedFd>) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let unix = std::os::unix::net::UnixListener::from(unix);
        unix.set_nonblocking(true)?;
        let run = async move {
            match UnixListener::from_std(unix) {
                Ok(unix) => drop(tokio::spawn(Arc::clone(&self).take_unix(unix))),
                Err(error) => tracing::error!(code = "endpoint", "the unix socket is not served: {error}"),
            }
            while let Some(port) = ports.recv().await {
                let port = std::net::TcpListener::from(port);
                match port.set_nonblocking(true).and_then(|()| TcpListener::from_std(port)) {
                    Ok(port) => drop(tokio::spawn(Arc::clone(&self).take_tcp(port))),
                    Err(error) => tracing::error!(code = "endpoint", "the TCP port is not served: {error}"),
                }
            }
            std::future::pending::<()>().await;
        };
        thread::Builder::new().name("api-gate".into()).spawn(move || runtime.block_on(run))?;
        Ok(())
    }

    async fn take_unix(self: Arc<Self>, listener: UnixListener) {
        loop {
            let Some((client, _)) = accepted(listener.accept().await).await else { continue };
            let Ok(peer) = getsockopt(&client, sockopt::PeerCredentials) else { continue };
            let groups = sys::peer_groups(client.as_fd()).unwrap_or_default();
            let groups = groups.into_iter().chain([peer.gid()]).collect();
            self.admit(client, Who { uid: peer.uid(), groups: Some(groups) }, Way::Unix);
        }
    }

    async fn take_tcp(self: Arc<Self>, listener: TcpListener) {
        let mut owners = Owners::open();
        loop {
            let Some((client, peer)) = accepted(listener.accept().await).await else { continue };
            let (Ok(SocketAddr::V4(local)), SocketAddr::V4(peer)) = (client.local_addr(), peer) else { continue };
            // An answer in several pieces is not held back.
            let _slower = client.set_nodelay(true);
            match owners.of(&client, local, peer) {
                Some(uid) => self.admit(client, Who { uid, groups: None }, Way::Tcp(local.port())),
                // Most often because it is gone.
                None => self.refuse(client, NOBODY, forbidden()),
            }
        }
    }

    /// Finds out what a peer may.
    fn admit(self: &Arc<Self>, client: impl Client, who: Who, way: Way) {
        if let Some(right) = self.admission.known(&who) {
            return self.seat(client, who.uid, right, way);
        }
        let Some(place) = self.places.take(Rank::Unknown, who.uid) else { return };
        let gate = Arc::clone(self);
        tokio::spawn(async move {
            let right = gate.admission.ask(&who).await;
            drop(place);
            match right {
                Ok(right) => gate.seat(client, who.uid, right, way),
                Err(problem) => gate.refuse(client, who.uid, problem),
            }
        });
    }

    fn seat(self: &Arc<Self>, client: impl Client, uid: u32, right: Option<Right>, way: Way) {
        let Some(right) = right else { return self.refuse(client, uid, forbidden()) };
        match self.places.take(self.admission.rank(uid, right), uid) {
            Some(place) => {
                let gate = Arc::clone(self);
                // What fails here is the client's connection, and there is nobody else to tell.
                tokio::spawn(async move { gate.serve(client, Peer { uid, right }, way, place).await.ok() });
            }
            None => self.refuse(client, uid, busy()),
        }
    }

    /// Tells somebody why not. Where there are many to be told, they learn nothing.
    fn refuse(self: &Arc<Self>, mut client: impl Client, uid: u32, problem: Problem) {
        let Some(place) = self.places.take(Rank::Leaving, uid) else { return };
        tokio::spawn(async move {
            let _place = place;
            // Clients take an answer to a question that they have not asked yet for a broken connection.
            let _unread = timeout(MANNERS, client.read(&mut [0; 1024])).await;
            tell(&mut client, problem).await?;
            leave(client).await
        });
    }

    /// One request.
    async fn serve(&self, mut client: impl Client, peer: Peer, way: Way, place: Place) -> io::Result<()> {
        if let Err(problem) = self.pass(&mut client, peer, way).await? {
            tell(&mut client, problem).await?;
        }
        drop(place);
        match self.places.take(Rank::Leaving, peer.uid) {
            Some(_place) => leave(client).await,
            None => Ok(()),
        }
    }

    /// Reads it, hands it on, relays the answer; or says why not.
    async fn pass(&self, client: &mut impl Client, peer: Peer, way: Way) -> io::Result<Result<(), Problem>> {
        let (text, behind) = match inflow::head(client).await? {
            Ok(read) => read,
            Err(problem) => return Ok(Err(problem)),
        };
        let head = match Head::parse(&text).and_then(|head| way.guard(&head).map(|()| head)) {
            Ok(head) => head,
            Err(problem) => return Ok(Err(problem)),
        };
        let keep = peer.right == Right::Change && !matches!(head.method, "GET" | "HEAD");
        let body = match inflow::body(client, &head, behind, keep).await? {
            Ok(body) => body,
            Err(problem) => return Ok(Err(problem)),
        };
        // The library duplicates the descriptor of its end, and panics where it cannot.
        if (0..4).map(|_| client.as_fd().try_clone_to_owned()).collect::<io::Result<Vec<_>>>().is_err() {
            return Ok(Err(busy()));
        }
        let door = self.door.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Ok(mut upstream) = door.connect().await else { return Ok(Err(busy())) };
        let Head { method, target, version, .. } = head;
        let (length, peer) = (body.len(), peer.header());
        let head = format!(
            "{method} {target} {version}\r\nConnection: close\r\nContent-Length: {length}\r\n{PEER}: {peer}\r\n\r\n"
        );
        upstream.write_all(&[head.as_bytes(), &body].concat()).await?;
        drop(body);
        relay(client, &mut upstream).await.map(Ok)
    }
}

/// What was accepted. Where that failed, time has passed: ECONNABORTED is over at once, EMFILE and ENOMEM in a while.
async fn accepted<T>(accepted: io::Result<T>) -> Option<T> {
    if let Err(error) = &accepted {
        tracing::debug!(%error, "accept");
        sleep(Duration::from_millis(100)).await;
    }
    accepted.ok()
}

/// Copies the answer until it ends or the client is gone.
async fn relay(client: &mut impl Client, upstream: &mut UnixStream) -> io::Result<()> {
    let mut piece = vec![0; 16 << 10];
    loop {
        let length = tokio::select! {
            read = upstream.read(&mut piece) => read?,
            () = gone(client) => 0,
        };
        if length == 0 {
            return Ok(());
        }
        timeout(UNREAD_TIME, client.write_all(&piece[..length])).await??;
    }
}

/// Comes back once the client has left. (Nothing more is read from it, so nothing else tells.)
async fn gone(client: &impl Client) {
    while is_connected(client) {
        sleep(LOOK).await;
    }
}

async fn tell(client: &mut impl Client, problem: Problem) -> io::Result<()> {
    timeout(MANNERS, client.write_all(&Answer::from(problem).bytes())).await?
}

/// Closes. What the client has sent beside its request is read away first: else the kernel would reset the connection, and
/// the client might lose its answer.
async fn leave(mut client: impl Client) -> io::Result<()> {
    client.shutdown().await?;
    let mut rest = client.take(inflow::MAX_BODY);
    let _cut = timeout(MANNERS, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
    Ok(())
}

/// The same for everybody, whatever they were about to ask.
fn forbidden() -> Problem {
    Problem::new(403, "forbidden", "rotad is not for this user")
        .hint("admin_group and api.readers in rotad.yaml(5) say who may")
}

fn busy() -> Problem {
    Problem::new(503, "busy", "too many connections").hint("try again once some of them are closed")
}

/// Who asks, as the gate has written it. A request without it has not come through the gate.
pub fn peer_of(request: &tiny_http::Request) -> Result<Peer, Problem> {
    let header = request.headers().iter().find(|header| header.field.equiv(PEER));
    header.and_then(|header| Peer::parse(header.value.as_str())).ok_or_else(forbidden)
}

/// A request of which only a part has come through.
pub fn cut() -> Problem {
    Problem::new(400, "bad-request", "the body is not complete")
}
