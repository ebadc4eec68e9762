//! Looks up hosts, in the system's own way. That has no end of its own: a name service that hangs keeps whoever asks, for ever if
//! it likes. So each look-up is a thread's that is left behind when its time is up, and there are [`MOST`] of those at most,
//! [`EACH`] for one host (I116). A number for a host is looked up by nobody.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// Look-ups that go on at once, those that nobody waits for any longer among them.
pub const MOST: usize = 32;
/// Of those, so many of one host.
pub const EACH: usize = 4;
/// Addresses of a host that are tried.
const ADDRESSES: usize = 16;

/// The look-ups that go on, by host and port. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Lookups(Arc<Mutex<BTreeMap<String, usize>>>);

/// One that goes on, as long as this lives.
struct Going {
    all: Lookups,
    place: String,
}

impl Drop for Going {
    fn drop(&mut self) {
        let mut all = self.all.all();
        if let Some(count) = all.get_mut(&self.place) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.place);
            }
        }
    }
}

impl Lookups {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None`: as many go on as may.
    fn begin(&self, place: &str) -> Option<Going> {
        let mut all = self.all();
        let own = all.get(place).copied().unwrap_or(0);
        if own >= EACH || all.values().sum::<usize>() >= MOST {
            return None;
        }
        all.insert(place.to_owned(), own + 1);
        Some(Going { all: self.clone(), place: place.to_owned() })
    }

    /// What `way` finds within a time. The thread ends when `way` does.
    fn find(
        &self,
        place: &str,
        limit: Duration,
        way: impl FnOnce(&str) -> io::Result<Vec<SocketAddr>> + Send + 'static,
    ) -> io::Result<Vec<SocketAddr>> {
        let going = self.begin(place).ok_or_else(|| io::Error::other("names are still being looked up from before"))?;
        let (found, finds) = mpsc::sync_channel(1);
        // A machine without room for a thread costs this try, and not the engine.
        std::thread::Builder::new().name("lookup".into()).spawn(move || {
            let result = way(&going.place);
            drop(going);
            drop(found.send(result));
        })?;
        finds.recv_timeout(limit).unwrap_or_else(|error| match error {
            RecvTimeoutError::Timeout => Err(io::ErrorKind::TimedOut.into()),
            RecvTimeoutError::Disconnected => Err(io::Error::other("its name could not be looked up")),
        })
    }
}

impl Resolver for Lookups {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let place = uri.scheme().zip(uri.authority());
        let place = place.and_then(|(scheme, authority)| DefaultResolver::host_and_port(scheme, authority));
        let place = place.ok_or(Error::HostNotFound)?;
        let found = match place.parse() {
            Ok(address) => vec![address],
            Err(_) => {
                let found = self.find(&place, *timeout.after, |place| Ok(place.to_socket_addrs()?.collect()));
                found.map_err(|error| match error.kind() {
                    io::ErrorKind::TimedOut => Error::Timeout(timeout.reason),
                    _ => Error::Io(error),
                })?
            }
        };
        let mut addresses = self.empty();
        for address in config.ip_family().keep_wanted(found.into_iter()).take(ADDRESSES) {
            addresses.push(address);
        }
        if addresses.is_empty() { Err(Error::HostNotFound) } else { Ok(addresses) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn i116_a_name_service_that_hangs_for_ever_costs_so_many_threads_and_no_more() {
        let lookups = Lookups::default();
        let (release, held) = mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        let find = |host: usize| {
            let held = held.clone();
            lookups.find(&format!("host{host}:80"), Duration::from_millis(1), move |_| {
                let _ = held.lock().map(|held| held.recv());
                Ok(Vec::new())
            })
        };
        let kinds = |host: usize, times: usize| -> Vec<io::ErrorKind> {
            (0..times).map(|_| find(host).unwrap_err().kind()).collect()
        };
        // A host has its share, and the others theirs.
        let first = kinds(0, 10);
        assert_eq!(first.iter().filter(|kind| **kind == io::ErrorKind::TimedOut).count(), EACH, "{first:?}");
        let others: Vec<_> = (1..100).flat_map(|host| kinds(host, 1)).collect();
        assert_eq!(others.iter().filter(|kind| **kind == io::ErrorKind::TimedOut).count(), MOST - EACH, "{others:?}");
        // Once it answers all is as before.
        drop(release);
        let end = Instant::now() + Duration::from_secs(10);
        while !lookups.all().is_empty() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        let address = "127.0.0.1:80".parse().unwrap();
        let found = lookups.find("host0:80", Duration::from_secs(10), move |_| Ok(vec![address]));
        assert_eq!(found.unwrap(), [address]);
    }
}
