//! Where the daemon's socket is.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Error, Exit};

/// The socket of a daemon that systemd started.
const SYSTEM: &str = "/run/rotad/rotad.sock";

/// How to reach the daemon.
#[derive(Debug, Default, clap::Args)]
pub struct Place {
    /// The daemon's socket
    #[arg(long, value_name = "PATH", global = true, conflicts_with = "config")]
    socket: Option<PathBuf>,
    /// Take the socket from the key `socket` of this rotad.yaml(5)
    #[arg(short = 'c', long = "config", value_name = "FILE", global = true)]
    config: Option<PathBuf>,
}

impl Place {
    /// The socket that was named; else that of the environment; else the first of the usual ones at which somebody
    /// answers. Where nobody does, the first that is there, so that the reason is told of that one.
    pub fn socket(&self) -> Result<PathBuf, Error> {
        if let Some(socket) = &self.socket {
            return Ok(socket.clone());
        }
        if let Some(config) = &self.config {
            return Ok(configured(config)?.unwrap_or_else(|| SYSTEM.into()));
        }
        if let Some(socket) = std::env::var_os("ROTAD_SOCKET").filter(|path| !path.is_empty()) {
            return Ok(socket.into());
        }
        let usual = usual();
        let there: Vec<&PathBuf> = usual.iter().filter(|path| path.exists() && is_trusted(path)).collect();
        first_that_answers(&there).ok_or_else(|| {
            let tried: Vec<String> = usual.iter().map(|path| path.display().to_string()).collect();
            Error::new(Exit::Unavailable, format!("no rotad is running here (looked for {})", tried.join(", ")))
                .hint("is rotad running? systemctl status rotad; another socket: --socket PATH or ROTAD_SOCKET")
        })
    }
}

/// A socket outlives its daemon, and the system's daemon is not for everybody: neither hides a daemon of one's own.
fn first_that_answers(there: &[&PathBuf]) -> Option<PathBuf> {
    let answers = |path: &&&PathBuf| there.len() == 1 || UnixStream::connect(path).is_ok();
    there.iter().find(answers).or(there.first()).map(|path| path.to_path_buf())
}

fn usual() -> Vec<PathBuf> {
    let mut usual = vec![PathBuf::from(SYSTEM)];
    if let Some(runtime) = std::env::var_os("XDG_RUNTIME_DIR").filter(|path| !path.is_empty()) {
        usual.push(Path::new(&runtime).join("rotad/rotad.sock"));
    }
    usual.push(format!("/tmp/rotad-{}/rotad.sock", nix::unistd::getuid()).into());
    usual
}

/// The directory of the socket is root's or ours, and no link: in /tmp anybody may have made it to play the daemon.
fn is_trusted(socket: &Path) -> bool {
    let directory = socket.parent().and_then(|path| fs::symlink_metadata(path).ok());
    directory.is_some_and(|at| {
        let owner = socket == Path::new(SYSTEM) || at.uid() == 0 || at.uid() == nix::unistd::getuid().as_raw();
        at.is_dir() && owner && at.mode() & 0o002 == 0
    })
}

/// The socket that a rotad.yaml names.
fn configured(path: &Path) -> Result<Option<PathBuf>, Error> {
    #[derive(Deserialize)]
    struct Socket {
        socket: Option<PathBuf>,
    }
    let unreadable = |why: String| Error::new(Exit::Usage, format!("cannot read {}: {why}", path.display()));
    let mut text = String::new();
    let file = fs::File::open(path).map_err(|error| unreadable(error.to_string()))?;
    file.take(64 << 10).read_to_string(&mut text).map_err(|error| unreadable(error.to_string()))?;
    let socket: Option<Socket> = serde_yaml::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
    Ok(socket.and_then(|config| config.socket))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_socket_in_a_directory_that_anybody_made_is_not_trusted() {
        let scratch = tempfile::tempdir().unwrap();
        let good = scratch.path().join("good");
        let open = scratch.path().join("open");
        let link = scratch.path().join("link");
        fs::create_dir(&good).unwrap();
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        symlink(&good, &link).unwrap();
        assert!(is_trusted(&good.join("rotad.sock")));
        assert!(!is_trusted(&open.join("rotad.sock")));
        assert!(!is_trusted(&link.join("rotad.sock")));
        assert!(!is_trusted(&scratch.path().join("none/rotad.sock")));
    }

    #[test]
    fn a_socket_that_nobody_listens_at_hides_no_other() {
        let scratch = tempfile::tempdir().unwrap();
        let [dead, alive] = ["dead", "alive"].map(|name| scratch.path().join(name));
        drop(UnixListener::bind(&dead).unwrap());
        let _listener = UnixListener::bind(&alive).unwrap();
        assert_eq!(first_that_answers(&[&dead, &alive]), Some(alive.clone()));
        assert_eq!(first_that_answers(&[&alive, &dead]), Some(alive));
        assert_eq!(first_that_answers(&[&dead, &dead]), Some(dead), "its error is told");
        assert_eq!(first_that_answers(&[]), None);
    }

    #[test]
    fn the_socket_of_a_configuration() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (text, socket) in
            [("", None), ("jobs_user: x\n", None), ("jobs_user: x\nsocket: /a/b\n", Some(PathBuf::from("/a/b")))]
        {
            fs::write(file.path(), text).unwrap();
            assert_eq!(configured(file.path()).unwrap(), socket);
        }
        fs::write(file.path(), "socket: [").unwrap();
        assert_eq!(configured(file.path()).unwrap_err().exit(), Exit::Usage);
    }
}
