//! A listening unix socket that nobody but this process can reach, for the HTTP library behind the [`gate`](super::gate).
//!
//! The library takes connections only from a listening socket of its own. A socket's name is all that others need to
//! connect, so this one gets a name in a fresh directory (0700), and loses both again at once: what remains is an `O_PATH`
//! descriptor, through which `/proc/self/fd` still leads to it. Nothing stays on disk, whatever way the process ends.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;

use tokio::net::UnixStream;

/// The way to the private socket.
#[derive(Clone)]
pub struct Door {
    /// Shared: the number must not come to mean another file while somebody connects by it.
    socket: Arc<OwnedFd>,
}

impl Door {
    /// A connection to the library. Fails where it would have to wait.
    pub async fn connect(&self) -> io::Result<UnixStream> {
        UnixStream::connect(format!("/proc/self/fd/{}", self.socket.as_raw_fd())).await
    }
}

/// Makes the socket and the way to it, in the first directory for passing files that can be written to.
pub fn listen() -> io::Result<(UnixListener, Door)> {
    let temporary = std::env::temp_dir();
    listen_in(&temporary).or_else(|error| listen_in(Path::new("/dev/shm")).map_err(|_| error))
}

fn listen_in(parent: &Path) -> io::Result<(UnixListener, Door)> {
    let directory = nix::unistd::mkdtemp(&parent.join("rotad-XXXXXX"))?;
    let path = directory.join("http");
    let made = UnixListener::bind(&path).and_then(|listener| {
        let socket = fs::OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_CLOEXEC).open(&path)?;
        Ok((listener, Door { socket: Arc::new(socket.into()) }))
    });
    let _absent = fs::remove_file(&path);
    fs::remove_dir(&directory)?;
    made
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn g96_the_socket_behind_the_gate_has_no_name_and_yet_a_way() {
        let (listener, door) = listen().unwrap();
        let path = listener.local_addr().unwrap().as_pathname().unwrap().to_owned();
        assert!(!path.exists() && !path.parent().unwrap().exists());
        let mut client = door.connect().await.unwrap();
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(b"x").await.unwrap();
        drop(client);
        let mut text = String::new();
        server.read_to_string(&mut text).unwrap();
        assert_eq!(text, "x");
    }
}
