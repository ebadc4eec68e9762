//! Where a daemon's socket is looked for when nobody says.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::{Error, Kind};

/// The socket of a daemon that systemd started.
pub const SYSTEM: &str = "/run/rotad/rotad.sock";

/// The variable that names a socket.
const NAMED: &str = "ROTAD_SOCKET";

/// The socket that `ROTAD_SOCKET` names; else the first of the usual ones at which somebody answers. Where nobody does, the
/// first that is there, so that the reason is told of that one.
pub fn usual_socket() -> Result<PathBuf, Error> {
    if let Some(socket) = std::env::var_os(NAMED).filter(|path| !path.is_empty()) {
        return Ok(socket.into());
    }
    let usual = usual();
    let there: Vec<&PathBuf> = usual.iter().filter(|path| path.exists() && is_trusted(path)).collect();
    first_that_answers(&there).ok_or_else(|| {
        let tried: Vec<String> = usual.iter().map(|path| path.display().to_string()).collect();
        Error::new(Kind::Unreachable, format!("no rotad is running here (looked for {})", tried.join(", ")))
            .hint_at("is rotad running? systemctl status rotad; another socket: --socket PATH or ROTAD_SOCKET")
    })
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
}
