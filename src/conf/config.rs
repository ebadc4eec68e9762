//! rotad.yaml, read, checked and with every default in its place.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::crond::Crond;
use super::standing::Standing;
use super::yaml::shown;
use crate::alarm::{Notify, Target};
use crate::job::{Finding, Job, LogTarget};

/// Where the configuration is unless `-c` says otherwise.
pub const DEFAULT_PATH: &str = "/etc/rotad/rotad.yaml";

/// What the daemon is told once, at its start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// The directory of job files.
    pub conf_d: PathBuf,
    /// What must outlive the daemon.
    pub state_dir: PathBuf,
    /// The unix socket of the HTTP endpoint.
    pub socket: PathBuf,
    /// The TCP port of the HTTP endpoint on 127.0.0.1; 0: none.
    pub port: u16,
    /// The user that jobs run as unless they say otherwise.
    pub jobs_user: String,
    /// Users that jobs may name besides.
    pub allowed_users: Vec<String>,
    /// Root may be one of them.
    pub allow_root_jobs: bool,
    /// The user of the engine.
    pub engine_user: String,
    /// The group whose members may use the endpoint as root may.
    pub admin_group: Option<String>,
    /// Who may look at jobs and output through the endpoint, besides those who may change them.
    pub readers: Vec<Reader>,
    /// Time from the first signal to `SIGKILL` when the daemon stops.
    pub stop_timeout: Duration,
    /// Where lines go.
    pub log: LogConfig,
    /// What is kept of the past; absent: nothing.
    pub history: Option<HistoryConfig>,
    /// The daemon was started by root: it can change users. Otherwise every job runs as the user who started it.
    pub as_root: bool,
    /// There is no rotad.yaml: somebody takes a first look at the `conf.d` where they stand.
    pub first_look: bool,
    /// What a `runtime.yaml` of mysql-crond says besides.
    pub crond: Option<Crond>,
    /// Where alarms go, and what is told of jobs that do not say it.
    pub alarms: Alarms,
}

/// What rotad.yaml says of alarms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarms {
    /// By name.
    pub targets: BTreeMap<String, Arc<Target>>,
    /// The rules of jobs that have none of their own.
    pub notify: Arc<Notify>,
    /// The program that sends mail.
    pub sendmail: PathBuf,
}

impl Default for Alarms {
    fn default() -> Self {
        Self { targets: BTreeMap::new(), notify: Arc::default(), sendmail: "/usr/sbin/sendmail".into() }
    }
}

/// An entry of `api.readers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reader {
    /// `anyone`: every user of this machine.
    Anyone,
    /// A user, by name.
    User(String),
    /// `@group`: its members.
    Group(String),
}

/// Where the lines of jobs go, unless they say otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogConfig {
    /// The default target.
    pub target: LogTarget,
    /// The directory of log files.
    pub dir: PathBuf,
    /// A log file is rotated once it is larger, in bytes.
    pub max_size: u64,
    /// Rotated files kept beside the live one.
    pub keep: u32,
    /// Tell more.
    pub debug: bool,
}

/// What is kept of the past, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryConfig {
    /// How long slots, runs and facts are kept.
    pub keep: Duration,
    /// Most rows.
    pub rows: u64,
    /// Size of the file, in bytes, roughly.
    pub size: u64,
    /// Bytes of output that are kept of each attempt: its end.
    pub tail: usize,
}

impl Default for HistoryConfig {
    fn default() -> Self {
        Self { keep: Duration::from_secs(90 * 86_400), rows: 1_000_000, size: 1 << 30, tail: 4 << 10 }
    }
}

impl Config {
    /// Reads `path`, or [`DEFAULT_PATH`]: the configuration and its warnings, or what is wrong with it.
    pub fn load(path: Option<&Path>) -> Result<(Config, Vec<Finding>), Vec<Finding>> {
        let path = path.unwrap_or(Path::new(DEFAULT_PATH));
        super::rotad_yaml::load(path, &Standing::beside(Some(path)))
    }

    /// Reads a configuration for a look at job files: as the daemon would that its owner starts.
    pub fn load_for_check(path: &Path) -> Result<(Config, Vec<Finding>), Vec<Finding>> {
        use std::os::unix::fs::MetadataExt;
        let roots = std::fs::metadata(path).is_ok_and(|meta| meta.uid() == 0);
        let process = Standing::beside(Some(path));
        super::rotad_yaml::load(path, &Standing { root: process.root || roots, ..process })
    }

    /// Every default, where the directory of [`DEFAULT_PATH`] is there and the file is not: the daemon is installed, and
    /// whatever happened to its configuration, it does not look for jobs where it happens to be started.
    pub fn installed() -> Option<Config> {
        let path = Path::new(DEFAULT_PATH);
        let there = !path.exists() && path.parent().is_some_and(Path::is_dir);
        there.then(|| Config::defaults(&Standing::of_process()))
    }

    /// No configuration at all: every default, and the jobs in `./conf.d`.
    pub fn first_look() -> Result<Config, Vec<Finding>> {
        let here = std::env::current_dir().map_err(|error| {
            vec![Finding::error("unreadable", ".", format!("the working directory cannot be found: {error}"))]
        })?;
        Ok(Config { conf_d: here.join("conf.d"), first_look: true, ..Config::defaults(&Standing::of_process()) })
    }

    /// What holds where rotad.yaml says nothing.
    pub fn defaults(standing: &Standing) -> Config {
        let (conf_d, state_dir, socket) = standing.places();
        let log_dir = if standing.root { PathBuf::from("/var/log/rotad") } else { state_dir.join("log") };
        Config {
            conf_d,
            state_dir,
            socket,
            port: 9999,
            jobs_user: if standing.root { "nobody".to_owned() } else { standing.user.clone() },
            allowed_users: Vec::new(),
            allow_root_jobs: false,
            engine_user: standing.engine_user(),
            admin_group: None,
            readers: Vec::new(),
            stop_timeout: Duration::from_secs(90),
            log: LogConfig { target: LogTarget::Auto, dir: log_dir, max_size: 100 << 20, keep: 5, debug: false },
            history: Some(HistoryConfig::default()),
            as_root: standing.root,
            first_look: false,
            crond: None,
            alarms: Alarms::default(),
        }
    }

    /// Why an item of a `jobs_config` that is not root's alone is refused: it asks for more than `jobs_user` has.
    pub fn refuses_kept(&self, job: &Job) -> Option<Finding> {
        let wish = match &job.user {
            _ if !self.as_root => return None,
            Some(user) if *user != self.jobs_user => format!("user '{user}'"),
            // Read with rights that jobs_user may not have.
            _ if job.environment_file.is_some() => "an environment_file".to_owned(),
            _ if job.nice < 0 => format!("niceness {}", job.nice),
            _ => return None,
        };
        let message = format!(
            "the job asks for {wish}, but others than root can change this file: its jobs have the rights of '{}' and no more",
            self.jobs_user
        );
        let hint = "put the job into a file of conf_d, or chown this one and every directory above it to root";
        Some(Finding::error("user-not-allowed", &job.file, message).hint(hint))
    }

    /// Targets that a job's rules name and rotad.yaml does not have: the job is armed all the same, and those alarms go
    /// nowhere.
    pub fn doubts(&self, job: &Job) -> Option<Finding> {
        let names = job.notify.iter().flat_map(|notify| notify.names());
        let unknown: BTreeSet<&str> = names.filter(|name| !self.alarms.targets.contains_key(*name)).collect();
        if unknown.is_empty() {
            return None;
        }
        let unknown = unknown.into_iter().map(shown).collect::<Vec<_>>().join("', '");
        let message = format!("'notify' names '{unknown}', which is no target of rotad.yaml: those alarms go nowhere");
        let hint = match self.alarms.targets.is_empty() {
            true => "add it to 'targets' in rotad.yaml and restart rotad".to_owned(),
            false => {
                let known = self.alarms.targets.keys().take(20).map(String::as_str).collect::<Vec<_>>();
                format!("known targets: {}", known.join(" "))
            }
        };
        Some(Finding::warning("unknown-target", &job.file, message).hint(hint))
    }

    /// Why a job may not run as the user it names; `None` when it may. The warden asks the same again of every run.
    pub fn refuses(&self, job: &Job) -> Option<Finding> {
        let user = job.user.as_deref()?;
        let error =
            |message: String, hint: String| Some(Finding::error("user-not-allowed", &job.file, message).hint(hint));
        if !self.as_root {
            return match user == self.jobs_user {
                true => None,
                false => error(
                    format!(
                        "the job asks for user '{user}', but a daemon not started by root runs jobs as '{}' only",
                        self.jobs_user
                    ),
                    "take the user line out, or run rotad as a system service".to_owned(),
                ),
            };
        }
        if user == "root" && !self.allow_root_jobs {
            return error(
                "the job asks for user 'root', which rotad.yaml does not allow".to_owned(),
                "set 'allow_root_jobs: true' in rotad.yaml and restart rotad, if that is meant".to_owned(),
            );
        }
        if user == "root" || user == self.jobs_user || self.allowed_users.iter().any(|allowed| allowed == user) {
            return None;
        }
        error(
            format!("the job asks for user '{user}', who is neither jobs_user nor one of allowed_users in rotad.yaml"),
            format!("add '{user}' to allowed_users in rotad.yaml and restart rotad"),
        )
    }
}
