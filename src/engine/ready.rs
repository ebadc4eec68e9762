//! Readiness of descriptors that tokio has no type for.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use tokio::io::unix::AsyncFd;

/// Has the runtime say when `inner` can be read or written. To be called inside the runtime.
///
/// What tokio warns of is a type whose descriptor is closed or exchanged while it is registered. The types that come here
/// lend one that they own ([`AsFd`]) for as long as they live, and live in the [`AsyncFd`].
#[expect(deprecated, reason = "its successor is unsafe for the sake of types that own no descriptor; see above")]
pub fn watch<T: AsFd + AsRawFd>(inner: T) -> io::Result<AsyncFd<T>> {
    AsyncFd::new(inner)
}
