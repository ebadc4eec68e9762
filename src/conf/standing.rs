//! Who starts the daemon and where that puts its files: root has the system's places, everybody else their own.

use std::path::PathBuf;

use nix::unistd::{Uid, User};

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
    /// `XDG_CONFIG_HOME`, or `.config` in the home directory.
    pub config_home: PathBuf,
    /// `XDG_STATE_HOME`, or `.local/state` in the home directory.
    pub state_home: PathBuf,
    /// `XDG_RUNTIME_DIR`.
    pub runtime_dir: Option<PathBuf>,
}

impl Standing {
    /// Of this process.
    pub fn of_process() -> Standing {
        let uid = Uid::effective();
        let entry = User::from_uid(uid).ok().flatten();
        let named = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = named("HOME").or_else(|| entry.as_ref().map(|user| user.dir.clone())).unwrap_or("/".into());
        Standing {
            root: uid.is_root(),
            user: entry.map_or_else(|| uid.to_string(), |user| user.name),
            uid: uid.as_raw(),
            has_rotad_user: User::from_name("rotad").is_ok_and(|user| user.is_some()),
            config_home: named("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config")),
            state_home: named("XDG_STATE_HOME").unwrap_or_else(|| home.join(".local/state")),
            runtime_dir: named("XDG_RUNTIME_DIR"),
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
