//! Who starts the daemon and where that puts its files: root has the system's places, everybody else their own.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, Uid, User, access};

/// Who starts the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// By root.
    pub root: bool,
    /// The name of the user; the number as text where there is no name.
    pub user: String,
    /// Number of the user.
    pub uid: u32,
    /// There is a system user `rotad`.
    pub has_rotad_user: bool,
    /// `XDG_CONFIG_HOME`, or `.config` in the home directory; where neither can be written, the directory of rotad.yaml.
    pub config_home: PathBuf,
    /// `XDG_STATE_HOME`, or `.local/state` in the home directory, likewise.
    pub state_home: PathBuf,
    /// `XDG_RUNTIME_DIR`, where it is the user's.
    pub runtime_dir: Option<PathBuf>,
}

impl Standing {
    /// Of this process. A user of a service is started by scripts that leave them without a home, or with another's
    /// (`su`, `runuser`), so the environment is believed where they may write there.
    pub fn of_process() -> Standing {
        Standing::beside(None)
    }

    /// The same, of a process that is given this rotad.yaml.
    pub fn beside(file: Option<&Path>) -> Standing {
        let uid = Uid::effective();
        let entry = User::from_uid(uid).ok().flatten();
        let named = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let homes = [named("HOME"), entry.as_ref().map(|user| user.dir.clone())];
        let file = file.and_then(|file| std::path::absolute(file).ok());
        let beside = file.and_then(|file| file.parent().map(Path::to_owned));
        let home = |variable, name| {
            let below = homes.iter().flatten().map(|home: &PathBuf| home.join(name));
            let mut places = named(variable).into_iter().chain(below);
            let first = places.clone().next();
            places.find(|place| can_be_made(place)).or(beside.clone()).or(first).unwrap_or_else(|| "/".into())
        };
        let is_own = |path: &PathBuf| path.metadata().is_ok_and(|meta| meta.uid() == uid.as_raw());
        Standing {
            root: uid.is_root(),
            user: entry.map_or_else(|| uid.to_string(), |user| user.name),
            uid: uid.as_raw(),
            has_rotad_user: User::from_name("rotad").is_ok_and(|user| user.is_some()),
            config_home: home("XDG_CONFIG_HOME", ".config"),
            state_home: home("XDG_STATE_HOME", ".local/state"),
            runtime_dir: named("XDG_RUNTIME_DIR").filter(is_own),
        }
    }

    /// conf_d, state_dir and socket.
    pub(super) fn places(&self) -> (PathBuf, PathBuf, PathBuf) {
        if self.root {
            return ("/etc/rotad/conf.d".into(), "/var/lib/rotad".into(), "/run/rotad/rotad.sock".into());
        }
        let socket = match &self.runtime_dir {
            Some(runtime) => runtime.join("rotad/rotad.sock"),
            None => format!("/tmp/rotad-{}/rotad.sock", self.uid).into(),
        };
        (self.config_home.join("rotad/conf.d"), self.state_home.join("rotad"), socket)
    }

    /// Whom the engine runs as.
    pub(super) fn engine_user(&self) -> String {
        match (self.root, self.has_rotad_user) {
            (false, _) => self.user.clone(),
            (true, true) => "rotad".to_owned(),
            (true, false) => "daemon".to_owned(),
        }
    }
}

/// Whether this user may make the directory, or write in it.
fn can_be_made(path: &Path) -> bool {
    let there = path.ancestors().find(|path| path.exists());
    there.is_some_and(|there| there.is_dir() && access(there, AccessFlags::W_OK | AccessFlags::X_OK).is_ok())
}
