//! Sends requests, on threads of its own: nothing else waits for a target, and no target for another that hangs.
//!
//! A target has one request under way; a host three, and one once it fails; hosts that fail have [`FAILING`] threads of all
//! [`THREADS`] between them. Up to [`WAITING`] requests wait, a quarter of it kept for people's; of a host that fails
//! [`WAITING_FAILING`]. A request that fails is tried again after each of [`BACKOFF`] and then given up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::health::Books;
use super::http::{Caller, Failed, Request};
use super::lookup::Lookups;
use super::target::{Target, TargetId};

/// Threads that send, started as they are needed.
pub const THREADS: usize = 4;
/// Of those, so many for hosts that fail.
pub const FAILING: usize = 2;
/// Requests that wait.
pub const WAITING: usize = 1_000;
/// Bytes that wait.
pub const WAITING_BYTES: usize = 16 << 20;
/// Before a request that failed is tried again.
pub const BACKOFF: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(10), Duration::from_secs(60)];
/// Of those, so many from programs that hear of every run: ten thousand jobs may ping in one minute.
const WAITING_PROGRAMS: usize = WAITING * 3 / 4;
/// Requests to a host that fails that wait.
pub const WAITING_FAILING: usize = WAITING / 4;
/// A thread that has nothing to do ends after this.
const IDLE: Duration = Duration::from_secs(60);

/// A request on its way.
#[derive(Debug)]
struct Post {
    target: Arc<Target>,
    host: Arc<str>,
    request: Request,
    tried: usize,
}

/// The sending half of alarms.
#[derive(Debug, Clone)]
pub struct Deliver {
    shared: Arc<Shared>,
    backoff: [Duration; 3],
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    books: Books,
    lookups: Lookups,
}

#[derive(Debug, Default)]
struct Queue {
    /// By the moment from which on they may go.
    waiting: BTreeMap<(Instant, u64), Post>,
    bytes: usize,
    last: u64,
    /// Targets that have a request under way.
    going: BTreeSet<TargetId>,
    hosts: BTreeMap<Arc<str>, Host>,
    threads: usize,
    idle: usize,
}

/// A host with requests that wait or are under way, or that fails.
#[derive(Debug, Default)]
struct Host {
    waiting: usize,
    going: usize,
    failing: bool,
}

impl Deliver {
    /// Counts in `books`.
    pub fn new(books: Books) -> Self {
        let shared = Shared { queue: Mutex::default(), changed: Condvar::new(), books, lookups: Lookups::default() };
        Self { shared: Arc::new(shared), backoff: BACKOFF }
    }

    /// Takes a request; where there is no room it is counted as dropped.
    pub fn send(&self, target: &Arc<Target>, request: Request) {
        let host: Arc<str> = host(&request.call.url.0).into();
        let mut queue = self.shared.queue();
        let crowded = queue.hosts.get(&host).is_some_and(|host| host.failing && host.waiting >= WAITING_FAILING);
        let most = if target.is_program() { WAITING_PROGRAMS } else { WAITING };
        if crowded || queue.waiting.len() >= most || queue.bytes + request.body.len() > WAITING_BYTES {
            drop(queue);
            return self.shared.books.dropped(target);
        }
        queue.wait(Post { target: target.clone(), host, request, tried: 0 }, Instant::now());
        if queue.idle == 0 && queue.threads < THREADS {
            let deliver = self.clone();
            let thread = std::thread::Builder::new().name("alarms".into()).spawn(move || deliver.work());
            // Without a thread it waits for the next one that can be started.
            queue.threads += usize::from(thread.is_ok());
        }
        drop(queue);
        self.shared.changed.notify_one();
    }

    /// Waits until all that may go has gone, up to `limit`: the daemon ends.
    pub fn finish(&self, limit: Duration) {
        let end = Instant::now() + limit;
        let mut queue = self.shared.queue();
        loop {
            let now = Instant::now();
            let busy = !queue.going.is_empty() || queue.waiting.keys().next().is_some_and(|(at, _)| *at <= now);
            if !busy || now >= end {
                return;
            }
            queue = self.shared.wait(queue, (end - now).min(Duration::from_millis(50)));
        }
    }

    /// A thread: sends what may go, as long as there is something.
    fn work(&self) {
        let mut caller = Caller::new(self.shared.lookups.clone());
        while let Some(post) = self.next() {
            let result = caller.call(&post.request);
            let again = match &result {
                Ok(()) => None,
                Err(Failed { again, .. }) => self.backoff.get(post.tried).filter(|_| *again).copied(),
            };
            // Counted first: who sees that nothing is under way sees the counts, too.
            match &result {
                Ok(()) => self.shared.books.sent(&post.target),
                Err(Failed { why, .. }) => self.shared.books.failed(&post.target, why, again.is_some()),
            }
            let mut queue = self.shared.queue();
            queue.going.remove(&post.target.id());
            if let Some(host) = queue.hosts.get_mut(&post.host) {
                host.going -= 1;
                host.failing = result.is_err();
            }
            let host = post.host.clone();
            if let Some(pause) = again {
                queue.wait(Post { tried: post.tried + 1, ..post }, Instant::now() + pause);
            }
            let dropped = queue.thin(&host);
            if queue.hosts.get(&host).is_some_and(|host| host.waiting + host.going == 0 && !host.failing) {
                queue.hosts.remove(&host);
            }
            queue.forget_hosts();
            drop(queue);
            dropped.iter().for_each(|post| self.shared.books.dropped(&post.target));
            self.shared.changed.notify_all();
        }
    }

    /// The next request, once one may go; `None` when there is nothing to do for long.
    fn next(&self) -> Option<Post> {
        let mut queue = self.shared.queue();
        let asked = Instant::now();
        loop {
            let now = Instant::now();
            if let Some(post) = queue.take(now) {
                return Some(post);
            }
            if now.duration_since(asked) >= IDLE && queue.waiting.is_empty() {
                queue.threads -= 1;
                return None;
            }
            let next = queue.waiting.range((now, u64::MAX)..).next().map(|((at, _), _)| at.duration_since(now));
            queue.idle += 1;
            queue = self.shared.wait(queue, next.unwrap_or(IDLE).min(IDLE));
            queue.idle -= 1;
        }
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, queue: MutexGuard<'a, Queue>, limit: Duration) -> MutexGuard<'a, Queue> {
        self.changed.wait_timeout(queue, limit).unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Queue {
    fn wait(&mut self, post: Post, at: Instant) {
        self.last += 1;
        self.bytes += post.request.body.len();
        self.hosts.entry(post.host.clone()).or_default().waiting += 1;
        self.waiting.insert((at, self.last), post);
    }

    /// The first request whose target, host and thread are free.
    fn take(&mut self, now: Instant) -> Option<Post> {
        let failing = self.hosts.values().filter(|host| host.failing).map(|host| host.going).sum::<usize>();
        let free = |post: &Post| {
            let host = self.hosts.get(&post.host);
            let room = host.is_none_or(|host| match host.failing {
                true => host.going == 0 && failing < FAILING,
                false => host.going < THREADS - 1,
            });
            room && !self.going.contains(&post.target.id())
        };
        let ready = self.waiting.range(..=(now, u64::MAX));
        let key = ready.filter(|(_, post)| free(post)).map(|(key, _)| *key).next()?;
        let post = self.waiting.remove(&key)?;
        self.bytes -= post.request.body.len();
        self.going.insert(post.target.id());
        let host = self.hosts.entry(post.host.clone()).or_default();
        (host.waiting, host.going) = (host.waiting - 1, host.going + 1);
        Some(post)
    }

    /// Takes out what waits for a host that fails beyond what may: the newest, since it is the least overdue.
    fn thin(&mut self, host: &Arc<str>) -> Vec<Post> {
        let over = self
            .hosts
            .get(host)
            .filter(|host| host.failing)
            .map_or(0, |host| host.waiting.saturating_sub(WAITING_FAILING));
        let of_host = self.waiting.iter().rev().filter(|(_, post)| post.host == *host);
        let keys: Vec<_> = of_host.take(over).map(|(key, _)| *key).collect();
        let posts: Vec<Post> = keys.iter().filter_map(|key| self.waiting.remove(key)).collect();
        self.bytes -= posts.iter().map(|post| post.request.body.len()).sum::<usize>();
        if let Some(host) = self.hosts.get_mut(host) {
            host.waiting -= posts.len();
        }
        posts
    }

    /// Hosts that fail and have nothing to send are remembered, a few.
    fn forget_hosts(&mut self) {
        if self.hosts.len() > WAITING {
            self.hosts.retain(|_, host| host.waiting + host.going > 0);
        }
    }
}

/// Scheme, host and port.
fn host(url: &str) -> &str {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url.get(start..).and_then(|rest| rest.find(['/', '?'])).map_or(url.len(), |at| start + at);
    url.get(..end).unwrap_or(url)
}

#[cfg(test)]
mod tests;
