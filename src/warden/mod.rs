//! The privileged side: it opens the sockets, starts the engine and replaces it, starts programs as the users that
//! rotad.yaml allows, signals and reaps them, and keeps every run's pipes while there is no engine. One thread, no parsing
//! of foreign bytes, no opinion about jobs.
//!
//! ```text
//!   Start ──► Waiting ──► Starting ──► Running ──► Ended ──► (forgotten)
//!             look-up of   forked,     exec'd      reaped
//!             the user     exec open
//!                 └──────────┴──► NotStarted(step, errno) ──► (forgotten)
//! ```
//!
//! It promises that every run given to it is told of until the engine, or its successor, has said `Forget`; that nothing
//! runs as a user whom the configuration does not name; and that it outlives any engine. It does not promise to outlive
//! itself: when the warden is killed, systemd ends what is left of the service.

mod apart;
mod birth;
mod cgroup;
mod engine;
mod identity;
mod inheritance;
mod keeper;
mod launch;
mod notify;
mod orders;
mod pid_file;
mod places;
mod port;
mod renew;
mod runs;
pub mod say;
mod serve;
mod stop;
mod sweep;
pub mod sys;
mod tend;
mod writing;

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd};
use std::path::Path;
use std::process::ExitCode;

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::stat::Mode;

use crate::conf::{Config, LogConfig, Standing};
use crate::job::{LogTarget, Severity};
use identity::{Answer, Identities, Identity};
use inheritance::Inheritance;
use pid_file::PidFile;
use places::PlaceError;
use port::Port;
use renew::Program;
use say::{Level, Voice};
use serve::{Start, Warden};

pub use identity::Identity as User;

/// Exit codes of the daemon (sysexits.h).
mod exit {
    /// rotad.yaml is wrong.
    pub const CONFIG: u8 = 78;
    /// Another daemon runs, or a resource is not there.
    pub const TEMPORARY: u8 = 75;
    /// A user of rotad.yaml does not exist.
    pub const NO_USER: u8 = 67;
}

/// Why the daemon does not start.
enum Refusal {
    /// A place that it needs.
    Place(PlaceError),
    /// A user that it needs.
    User(String, &'static str),
    /// Something of the system.
    System(&'static str, io::Error),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place(error) => error.fmt(f),
            Self::User(name, key) => {
                write!(f, "{key}: there is no user {name:?} (hint: create it, or name another in rotad.yaml)")
            }
            Self::System(what, error) => write!(f, "{what}: {error}"),
        }
    }
}

/// The daemon, from its command line to its end.
pub fn run(config_file: Option<&Path>, without_heart_beat: bool) -> ExitCode {
    let voice = Voice::new();
    // Apart: neither the YAML reader nor what user look-ups load stays in this process.
    let configured: io::Result<Result<Config, u8>> =
        apart::begin(|| configure(config_file, voice)).and_then(|(_, pipe)| apart::answer(pipe));
    let mut config = match configured {
        Ok(Ok(found)) => found,
        Ok(Err(code)) => return ExitCode::from(code),
        Err(error) => {
            voice.say(Level::Error, format_args!("reading the configuration: {error}"));
            return ExitCode::from(exit::CONFIG);
        }
    };
    if let Some(beat) = config.crond.as_mut().and_then(|crond| crond.beat.as_mut()) {
        beat.without_heart_beat = without_heart_beat;
    }
    let socket = config.socket.clone();
    let pid_file = PidFile::of(&config, voice);
    match prepare(config, voice)
        .and_then(|start| Warden::new(start).map_err(|error| Refusal::System("registering signals", error)))
    {
        Ok(mut warden) => {
            pid_file.iter().for_each(PidFile::write);
            let served = warden.serve();
            // While the lock is still held: nobody else's socket can be there.
            let _ = std::fs::remove_file(socket);
            pid_file.iter().for_each(PidFile::remove);
            if served { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(refusal) => {
            voice.say(Level::Error, format_args!("{refusal}"));
            ExitCode::from(match refusal {
                Refusal::User(..) => exit::NO_USER,
                Refusal::Place(PlaceError::Unsafe(_)) => exit::CONFIG,
                // A full disk, a place that is not mounted yet: worth another try.
                Refusal::Place(_) | Refusal::System(..) => exit::TEMPORARY,
            })
        }
    }
}

/// Reads rotad.yaml, or decides on a first look where there is none.
fn configure(file: Option<&Path>, voice: Voice) -> Result<Config, u8> {
    let default = Path::new("/etc/rotad/rotad.yaml");
    let file = file.or_else(|| default.exists().then_some(default));
    let Some(file) = file else {
        if let Some(config) = Config::installed() {
            let (conf_d, default) = (config.conf_d.display(), default.display());
            voice.say(Level::Info, format_args!("there is no {default}: every default holds, jobs from {conf_d}"));
            return Ok(config);
        }
        let config = Config::first_look().map_err(|findings| {
            findings.iter().for_each(|finding| voice.say(Level::Error, format_args!("{finding}")));
            exit::CONFIG
        })?;
        voice.say(Level::Info, format_args!("first look: no configuration, jobs from {}", config.conf_d.display()));
        return Ok(config);
    };
    let (result, findings) = match Config::load(Some(file)) {
        Ok((config, findings)) => {
            make_own_conf_d(&config, file);
            (Ok(config), findings)
        }
        Err(findings) => (Err(exit::CONFIG), findings),
    };
    for finding in &findings {
        let level = match finding.severity {
            Severity::Error => Level::Error,
            Severity::Warning => Level::Warning,
            Severity::Note => Level::Info,
        };
        voice.say(level, format_args!("{finding}"));
    }
    result
}

/// A plain user who names no `conf_d` gets the usual one, so that there is a place to put a job into. One that is named is
/// never made: it may be a disk that is not there yet.
fn make_own_conf_d(config: &Config, file: &Path) {
    let usual = Config::defaults(&Standing::beside(Some(file))).conf_d;
    if !config.as_root && config.conf_d == usual {
        // Where that fails, the engine tells that it is missing.
        let _ = places::directory(&config.conf_d, 0o755, None);
    }
}

/// From a configuration to a warden that can serve: everything that can fail, fails here and with a reason.
fn prepare(config: Config, voice: Voice) -> Result<Start, Refusal> {
    let system = |what| move |error| Refusal::System(what, error);
    keep_standard_streams().map_err(system("opening /dev/null"))?;
    let inheritance = Inheritance::read().map_err(system("reading resource limits"))?;
    let mut identities = Identities::default();
    let engine_identity = users(&config, &inheritance, &mut identities, voice)?;

    // Files of jobs and messages need many descriptors; the jobs themselves get the limit we were given.
    let files = inheritance.open_files();
    if setrlimit(Resource::RLIMIT_NOFILE, files, files).is_err() {
        voice.say(Level::Warning, format_args!("the limit on open files could not be raised"));
    }
    nix::sys::prctl::set_child_subreaper(true).map_err(|errno| Refusal::System("becoming subreaper", errno.into()))?;
    if inheritance.root {
        // Nobody but root looks into this process.
        nix::sys::prctl::set_dumpable(false).map_err(|errno| Refusal::System("prctl", errno.into()))?;
    }

    places::directory(&config.state_dir, 0o750, engine_identity.as_ref()).map_err(Refusal::Place)?;
    let lock = places::lock(&config.state_dir).map_err(Refusal::Place)?;
    let LogConfig { dir, target, .. } = &config.log;
    if let Err(error) = places::directory(dir, 0o750, engine_identity.as_ref()) {
        let level = if *target == LogTarget::File { Level::Error } else { Level::Warning };
        voice.say(level, format_args!("log directory {error}"));
    }
    let group = config.admin_group.as_deref().and_then(|name| admin_group(name, voice));
    let access = places::Access { group, anyone: !config.readers.is_empty() };
    let listener = places::listen(&config.socket, access).map_err(Refusal::Place)?;
    let port = Port::new(config.port, config.first_look);
    let program = Program::own().map_err(system("opening this program"))?;
    Ok(Start { config, inheritance, engine_identity, identities, program, listener, port, lock, voice })
}

/// The number of `admin_group`. One that is not there admits nobody, and is no reason not to run jobs.
fn admin_group(name: &str, voice: Voice) -> Option<u32> {
    let look_up = || nix::unistd::Group::from_name(name).map(|group| group.map(|group| group.gid.as_raw()));
    let found = apart::begin(|| look_up().map_err(|errno| errno as i32)).and_then(|(pid, pipe)| {
        let mut fds = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, PollTimeout::try_from(identity::PATIENCE).unwrap_or(PollTimeout::MAX)) == Ok(0) {
            let _ = sys::kill(pid, libc::SIGKILL);
            return Err(io::ErrorKind::TimedOut.into());
        }
        apart::answer::<Result<Option<u32>, i32>>(pipe)
    });
    let why = match found {
        Ok(Ok(Some(gid))) => return Some(gid),
        Ok(Ok(None)) => "there is no such group".to_owned(),
        Ok(Err(errno)) => io::Error::from_raw_os_error(errno).to_string(),
        Err(error) => error.to_string(),
    };
    voice.say(
        Level::Error,
        format_args!(
            "admin_group: {name}: {why}: the socket is not opened to it (hint: groupadd {name}, then restart)"
        ),
    );
    None
}

/// Who the engine becomes; and whether the users that rotad.yaml names are there.
fn users(
    config: &Config,
    inheritance: &Inheritance,
    identities: &mut Identities,
    voice: Voice,
) -> Result<Option<Identity>, Refusal> {
    if !inheritance.root {
        return Ok(None);
    }
    // Through a child, like every look-up: its modules stay out of this process.
    let mut find = |name: &str, key| {
        identities.ask(name).map_err(|error| Refusal::System("looking up users", error))?;
        match identities.take(name) {
            Some(Answer::Known(identity)) => Ok(identity),
            Some(Answer::Failed(errno)) => {
                Err(Refusal::System("looking up users", io::Error::from_raw_os_error(errno)))
            }
            Some(Answer::Unknown) | None => Err(Refusal::User(name.to_owned(), key)),
        }
    };
    let engine = find(&config.engine_user, "engine_user")?;
    let jobs = find(&config.jobs_user, "jobs_user")?;
    if config.jobs_user == "nobody" {
        voice.say(Level::Info, format_args!("jobs run as nobody (hint: name a user with jobs_user in rotad.yaml)"));
    }
    if engine.uid == 0 {
        voice.say(Level::Warning, format_args!("the engine runs as root: give it a user with engine_user"));
    } else if engine.uid == jobs.uid {
        voice.say(Level::Warning, format_args!("engine_user and jobs_user are one: a job can disturb the engine"));
    }
    Ok(Some(engine))
}

/// Descriptors 0 to 2 are open, whatever the daemon was started with: what is opened later must not become one of them.
fn keep_standard_streams() -> io::Result<()> {
    loop {
        let null = nix::fcntl::open("/dev/null", OFlag::O_RDWR, Mode::empty())?;
        if null.as_raw_fd() > 2 {
            return Ok(());
        }
        // Stays open for good, under the number that was missing.
        let _ = null.into_raw_fd();
    }
}
