//! Who else could change what a job of root's runs (fault C54): whoever may write to its program, or to a directory on the
//! way to it, becomes root with the next slot.
//!
//! A doubt, told when the file is read; no gate: the file may be changed after it was looked at, and what a script or a
//! program calls in turn is not seen. What the engine may not look at is not doubted.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};

use super::config::Config;
use crate::job::{Finding, Job, Program};
use crate::run::plan::PATH;

/// The doubt about a job that runs as root, if there is one.
pub fn unsafe_program(config: &Config, job: &Job) -> Option<Finding> {
    let user = job.user.as_deref().unwrap_or(&config.jobs_user);
    let Program::Exec { command, .. } = &job.program else { return None };
    if !config.as_root || user != "root" {
        return None;
    }
    let (path, who) = ways(job, command).iter().flat_map(|way| on_the_way(way)).find_map(|path| {
        let who = writer(&path)?;
        Some((path, who))
    })?;
    let message =
        format!("this job runs as root, and {who} could change what it runs: {} is theirs to write", path.display());
    let hint = "chown it to root and chmod it go-w, or run the job as another user";
    Some(Finding::warning("unsafe-program", &job.file, message).hint(hint))
}

/// The paths that are tried in order to start `command`, up to the first that is there.
fn ways(job: &Job, command: &str) -> Vec<PathBuf> {
    let below = |path: &str| job.work_dir.as_deref().unwrap_or(Path::new("/")).join(path);
    if command.contains('/') {
        return vec![below(command)];
    }
    let mut ways = Vec::new();
    let path = job.environment.get("PATH").map_or(PATH, String::as_str);
    for directory in path.split(':').filter(|directory| directory.starts_with('/')) {
        ways.push(Path::new(directory).join(command));
        if ways.last().is_some_and(|way| way.is_file()) {
            break;
        }
    }
    ways
}

/// The path and every directory above it, as written and with its links followed.
fn on_the_way(path: &Path) -> Vec<PathBuf> {
    let followed = path.canonicalize().ok();
    [Some(path.to_owned()), followed].iter().flatten().flat_map(|path| path.ancestors().map(Path::to_owned)).collect()
}

/// Who besides root may write there.
fn writer(path: &Path) -> Option<String> {
    let meta = path.metadata().ok()?;
    // In a sticky directory everybody may add, but replace only their own.
    let sticky = meta.is_dir() && meta.mode() & 0o1000 != 0;
    if meta.uid() != 0 {
        let user = User::from_uid(Uid::from_raw(meta.uid())).ok().flatten();
        return Some(user.map_or_else(|| format!("uid {}", meta.uid()), |user| format!("user '{}'", user.name)));
    }
    match meta.mode() {
        _ if sticky => None,
        mode if mode & 0o002 != 0 => Some("everybody".to_owned()),
        mode if mode & 0o020 != 0 && meta.gid() != 0 => Some(format!("group {}", meta.gid())),
        _ => None,
    }
}
