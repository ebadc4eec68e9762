//! From a plan to a running program. Read [`child`] top to bottom: it is the whole of what happens with root's rights on
//! behalf of a job, in the order in which it happens.
//!
//! Everything is prepared before the fork ([`Launch::prepare`]): strings, arrays, numbers. A failure in the child comes
//! back as (step, errno) through a pipe that closes when exec succeeds; nobody waits for that, the next fork goes ahead.

use std::convert::Infallible;
use std::ffi::{CString, c_int};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use nix::fcntl::OFlag;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::unistd::pipe2;

use super::identity::Identity;
use super::sys::{self, Forked, Strings};
use crate::wire::{Failure, Limit, Plan, Step};

/// What `PATH` is where a plan gives none.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Exit code of a child that did not get to exec. The step is told through the pipe.
const NOT_STARTED: c_int = 226;

/// The warden's own state that a child must not inherit, read once before the warden changes it.
pub struct Inheritance {
    /// Every resource limit as the daemon was started with: (resource, soft, hard).
    limits: Vec<(c_int, u64, u64)>,
    /// The warden runs as root and can change users.
    pub root: bool,
    /// It is protected from the OOM killer, its jobs must not be.
    oom_protected: bool,
    /// Read side of every job's standard input.
    null: OwnedFd,
    /// No descriptor of the warden reaches this number.
    highest: u32,
}

impl Inheritance {
    /// Reads it from this process.
    pub fn read() -> std::io::Result<Inheritance> {
        let resources = [
            Resource::RLIMIT_AS,
            Resource::RLIMIT_CORE,
            Resource::RLIMIT_CPU,
            Resource::RLIMIT_DATA,
            Resource::RLIMIT_FSIZE,
            Resource::RLIMIT_MEMLOCK,
            Resource::RLIMIT_NOFILE,
            Resource::RLIMIT_NPROC,
            Resource::RLIMIT_STACK,
        ];
        let mut limits = Vec::new();
        for resource in resources {
            let (soft, hard) = getrlimit(resource)?;
            limits.push((resource as c_int, soft, hard));
        }
        let adjusted = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default();
        let null = nix::fcntl::open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, nix::sys::stat::Mode::empty())?;
        let highest = u32::try_from(getrlimit(Resource::RLIMIT_NOFILE)?.1).unwrap_or(u32::MAX).min(1 << 20);
        Ok(Inheritance {
            limits,
            root: nix::unistd::geteuid().is_root(),
            oom_protected: adjusted.trim().parse::<i32>().is_ok_and(|adjusted| adjusted < 0),
            null,
            highest,
        })
    }

    /// The hard limit on open files that the daemon was started with.
    pub fn open_files(&self) -> u64 {
        self.limits.iter().find(|(which, ..)| *which == Resource::RLIMIT_NOFILE as c_int).map_or(1024, |limit| limit.2)
    }

    /// The limits of a run: the daemon's own with the plan's laid over.
    fn limits_for(&self, plan: &Plan) -> Vec<(c_int, u64, u64)> {
        let mut limits = self.limits.clone();
        for (which, value) in &plan.limits {
            let (resource, soft_only) = match which {
                Limit::Nofile => (Resource::RLIMIT_NOFILE, true),
                Limit::Core => (Resource::RLIMIT_CORE, true),
                Limit::Nproc => (Resource::RLIMIT_NPROC, false),
                Limit::Cpu => (Resource::RLIMIT_CPU, false),
                Limit::AddressSpace => (Resource::RLIMIT_AS, false),
                Limit::FileSize => (Resource::RLIMIT_FSIZE, false),
                Limit::Stack => (Resource::RLIMIT_STACK, false),
                Limit::Memlock => (Resource::RLIMIT_MEMLOCK, false),
            };
            for limit in limits.iter_mut().filter(|limit| limit.0 == resource as c_int) {
                let hard = if self.root { limit.2.max(*value) } else { limit.2 };
                let soft = (*value).min(hard);
                *limit = (limit.0, soft, if soft_only { hard } else { soft });
            }
        }
        limits
    }
}

/// A plan made ready: after the fork nothing is left to be computed.
pub struct Launch {
    argv: Strings,
    environment: Strings,
    /// Where the program may be, in the order of PATH.
    candidates: Vec<CString>,
    work_dir: CString,
    identity: Identity,
    groups_room: Vec<libc::gid_t>,
    limits: Vec<(c_int, u64, u64)>,
    umask: u32,
    nice: c_int,
    no_new_privs: bool,
}

/// A child that was forked and has not been heard of.
pub struct Flying {
    /// Its pid, and that of its session and process group once it has made them.
    pub pid: i32,
    /// Closes when exec succeeded; holds (step, errno) when a step failed.
    pub pipe: OwnedFd,
}

impl Launch {
    /// Makes a plan ready for `identity`. Fails with [`Step::Plan`] on what no program can be given.
    pub fn prepare(plan: &Plan, identity: Identity, inheritance: &Inheritance) -> Result<Launch, Failure> {
        let bad = |_| Failure { step: Step::Plan, errno: libc::EINVAL };
        let argv: Vec<CString> =
            plan.argv.iter().map(|text| CString::new(text.as_str())).collect::<Result<_, _>>().map_err(bad)?;
        let given =
            |key: &str| plan.environment.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str());
        let path = given("PATH").unwrap_or(PATH);
        let program = plan.argv.first().ok_or(Failure { step: Step::Plan, errno: libc::EINVAL })?;
        let candidates = candidates(program, path).map_err(bad)?;
        let of_user = [
            ("HOME", &identity.home),
            ("USER", &identity.name),
            ("LOGNAME", &identity.name),
            ("SHELL", &identity.shell),
        ];
        let environment = of_user
            .iter()
            .filter(|(key, _)| given(key).is_none())
            .map(|(key, value)| (*key, value.as_str()))
            .chain(plan.environment.iter().map(|(key, value)| (key.as_str(), value.as_str())))
            .map(|(key, value)| CString::new(format!("{key}={value}")))
            .collect::<Result<_, _>>()
            .map_err(bad)?;
        Ok(Launch {
            argv: Strings::new(argv),
            environment: Strings::new(environment),
            candidates,
            work_dir: CString::new(plan.work_dir.as_os_str().as_bytes()).map_err(bad)?,
            groups_room: vec![0; identity.groups.len() + 1],
            identity,
            limits: inheritance.limits_for(plan),
            umask: plan.umask & 0o777,
            nice: plan.nice.clamp(-20, 19),
            no_new_privs: plan.no_new_privs,
        })
    }

    /// Forks the child. `stdout` and `stderr` are the write ends of the run's pipes.
    pub fn fork(
        mut self,
        inheritance: &Inheritance,
        cgroup: Option<BorrowedFd<'_>>,
        stdout: OwnedFd,
        stderr: OwnedFd,
    ) -> Result<Flying, Failure> {
        let failed = |step| move |errno: nix::errno::Errno| Failure { step, errno: errno as i32 };
        let (told, tell) = pipe2(OFlag::O_CLOEXEC).map_err(failed(Step::Pipes))?;
        // No signal may reach the child while it still has the warden's handlers.
        let mut before = SigSet::empty();
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::all()), Some(&mut before)).map_err(failed(Step::Fork))?;
        let forked = sys::fork(cgroup);
        if let Ok(Forked::Child) = forked {
            let (step, errno) = match child(&mut self, inheritance, [&inheritance.null, &stdout, &stderr]) {
                Err(failure) => failure,
            };
            let mut bytes = [step as u8, 0, 0, 0, 0];
            bytes[1..].copy_from_slice(&errno.to_le_bytes());
            sys::tell(tell.as_raw_fd(), &bytes);
            sys::exit_now(NOT_STARTED);
        }
        let restored = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None);
        match forked {
            Ok(Forked::Parent(pid)) => {
                restored.map_err(failed(Step::Fork))?;
                Ok(Flying { pid, pipe: told })
            }
            Ok(Forked::Child) => sys::exit_now(NOT_STARTED),
            Err(error) => Err(Failure { step: Step::Fork, errno: error.raw_os_error().unwrap_or(libc::EIO) }),
        }
    }
}

/// What the child does between fork and exec. Returns only when a step failed.
fn child(launch: &mut Launch, inheritance: &Inheritance, stdio: [&OwnedFd; 3]) -> Result<Infallible, (Step, c_int)> {
    let at = |step| move |errno| (step, errno);
    sys::new_session().map_err(at(Step::Session))?;
    for (to, from) in (0..).zip(stdio) {
        sys::place(from.as_raw_fd(), to).map_err(at(Step::Stdio))?;
    }

    if inheritance.oom_protected {
        sys::write_file(c"/proc/self/oom_score_adj", b"0").map_err(at(Step::Priority))?;
    }
    sys::set_priorities(launch.nice).map_err(at(Step::Priority))?;
    for (resource, soft, hard) in &launch.limits {
        sys::set_limit(*resource, *soft, *hard).map_err(at(Step::Limit))?;
    }

    let identity = &launch.identity;
    if inheritance.root {
        sys::set_groups(&identity.groups).map_err(at(Step::Groups))?;
        sys::set_gid(identity.gid).map_err(at(Step::Gid))?;
        sys::set_uid(identity.uid).map_err(at(Step::Uid))?;
        sys::prove_identity(identity.uid, identity.gid, &identity.groups, &mut launch.groups_room)
            .map_err(at(Step::Proof))?;
    }

    sys::set_umask(launch.umask);
    sys::change_directory(&launch.work_dir).map_err(at(Step::WorkDir))?;
    if launch.no_new_privs {
        sys::set_no_new_privs().map_err(at(Step::NoNewPrivs))?;
    }
    sys::close_on_exec_from(3, inheritance.highest).map_err(at(Step::Stdio))?;
    sys::reset_signals().map_err(at(Step::Exec))?;

    // As execvp(3): go on past what is not there, remember what may not be executed.
    let mut errno = libc::ENOENT;
    for candidate in &launch.candidates {
        match sys::exec(candidate, &launch.argv, &launch.environment) {
            libc::ENOENT | libc::ENOTDIR => {}
            libc::EACCES => errno = libc::EACCES,
            other => return Err((Step::Exec, other)),
        }
    }
    Err((Step::Exec, errno))
}

/// What the pipe of a child said: `None` when exec succeeded.
pub fn heard(bytes: &[u8]) -> Option<Failure> {
    match bytes {
        [step, errno @ ..] if errno.len() == 4 => Some(Failure {
            step: Step::ALL.get(usize::from(*step)).copied().unwrap_or(Step::Exec),
            errno: i32::from_le_bytes([errno[0], errno[1], errno[2], errno[3]]),
        }),
        _ => None,
    }
}

/// Where `program` may be: itself when it holds a `/`, else in every directory of `path`. Empty and relative entries of
/// PATH would mean the working directory, which belongs to somebody else: they are left out.
fn candidates(program: &str, path: &str) -> Result<Vec<CString>, std::ffi::NulError> {
    if program.contains('/') || program.is_empty() {
        return Ok(vec![CString::new(program)?]);
    }
    path.split(':')
        .filter(|place| place.starts_with('/'))
        .map(|place| CString::new(format!("{place}/{program}")))
        .collect()
}

/// The engine: a child like any other, except that it keeps one descriptor, knows no plan, and dies with the warden.
pub struct EngineLaunch<'a> {
    /// The program file, opened at the warden's start: the path may not be reachable for the engine's user.
    pub program: &'a OwnedFd,
    /// Who it becomes; absent: nobody else (not root).
    pub identity: Option<&'a Identity>,
    /// Its end of the socketpair, which becomes descriptor 3.
    pub socket: OwnedFd,
}

impl EngineLaunch<'_> {
    /// Forks the engine; its pid.
    pub fn fork(self, inheritance: &Inheritance) -> std::io::Result<i32> {
        let argv = Strings::new(vec![c"rotad".into(), c"--engine".into()]);
        let passed = ["PATH", "LANG", "TZ", "TERM", "NO_COLOR", "RUST_BACKTRACE", "JOURNAL_STREAM", "INVOCATION_ID"];
        let environment = passed
            .iter()
            .filter_map(|key| Some((key, std::env::var_os(key)?)))
            .filter_map(|(key, value)| CString::new([key.as_bytes(), b"=", value.as_bytes()].concat()).ok())
            .collect();
        let environment = Strings::new(environment);
        let mut room = vec![0; self.identity.map_or(0, |identity| identity.groups.len()) + 1];
        let mut before = SigSet::empty();
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::all()), Some(&mut before))?;
        let forked = sys::fork(None);
        if let Ok(Forked::Child) = forked {
            let errno = match self.child(inheritance, &argv, &environment, &mut room) {
                Err(errno) => errno,
            };
            let text = b"rotad: the engine could not be executed\n";
            sys::tell(2, text);
            sys::exit_now(if errno == libc::EACCES { 126 } else { 127 });
        }
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
        match forked? {
            Forked::Parent(pid) => Ok(pid),
            Forked::Child => sys::exit_now(NOT_STARTED),
        }
    }

    fn child(
        &self,
        inheritance: &Inheritance,
        argv: &Strings,
        environment: &Strings,
        room: &mut [libc::gid_t],
    ) -> Result<Infallible, c_int> {
        // A session of its own: a signal from the terminal is for the warden alone.
        sys::new_session()?;
        sys::place(inheritance.null.as_raw_fd(), 0)?;
        sys::place(self.socket.as_raw_fd(), 3)?;
        if let Some(identity) = self.identity {
            sys::set_groups(&identity.groups)?;
            sys::set_gid(identity.gid)?;
            sys::set_uid(identity.uid)?;
            sys::prove_identity(identity.uid, identity.gid, &identity.groups, room)?;
        }
        sys::die_with_parent()?;
        sys::set_umask(0o027);
        sys::close_on_exec_from(4, inheritance.highest)?;
        sys::reset_signals()?;
        Err(sys::exec_file(self.program.as_fd(), argv, environment))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c53_programs_are_looked_for_in_absolute_places_only() {
        let text = |program: &str, path: &str| -> Vec<String> {
            candidates(program, path).unwrap().into_iter().map(|place| place.into_string().unwrap()).collect()
        };
        assert_eq!(text("ls", "/bin::.:rel:/usr/bin"), ["/bin/ls", "/usr/bin/ls"]);
        assert_eq!(text("./ls", "/bin"), ["./ls"]);
        assert!(candidates("a\0b", "/bin").is_err());
    }

    #[test]
    fn c52_a_failed_step_reads_back() {
        for (at, step) in Step::ALL.into_iter().enumerate() {
            assert_eq!(at, step as usize, "the order of Step::ALL is that of its numbers");
            let mut bytes = vec![step as u8];
            bytes.extend(libc::ENOENT.to_le_bytes());
            assert_eq!(heard(&bytes), Some(Failure { step, errno: libc::ENOENT }));
        }
        assert_eq!(heard(&[]), None);
    }
}
