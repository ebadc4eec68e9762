//! From a plan to a running program. Read [`steps`] top to bottom: it is the whole of what happens with root's rights on
//! behalf of a job, in the order in which it happens.
//!
//! Everything is prepared before the child is made ([`Launch::prepare`]): strings, arrays, numbers. The child works in the
//! warden's memory until it execs ([`sys::spawn`] says why and how), so from the change of user on that memory must be
//! closed to the user: signals are blocked until the last step, and the memory is not dumpable, which is what ptrace(2)
//! and /proc/PID/mem go by. Where that cannot be had, children get copies instead ([`Inheritance::share_memory`]).
//!
//! A failure in the child comes back as (step, errno) through a pipe that closes at exec; nobody waits for that, the next
//! start goes ahead.

use std::convert::Infallible;
use std::ffi::{CString, c_int};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::unistd::pipe2;

use super::identity::Identity;
use super::inheritance::Inheritance;
use super::sys::{self, Child, Strings, child};
use crate::wire::{Failure, Plan, Step};

/// What `PATH` is where a plan gives none.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Most arguments, variables and limits of a plan together: an empty one takes a byte of a message, but far more here.
const MAX_STRINGS: usize = 8192;
/// Longest name of a program that is looked for in PATH (`NAME_MAX`), and longest PATH: each place takes as much memory as
/// the name, so that two long ones would make gigabytes of one message.
const MAX_NAME: usize = 255;
const MAX_PATH: usize = 16 << 10;
/// Exit code of a child that did not get to exec. The step is told through the pipe.
pub(super) const NOT_STARTED: c_int = 226;

/// A plan made ready: after the start of the child nothing is left to be computed. All that the child uses is in here.
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
    /// Descriptors by number, good in the child's own table: the cgroup's door, standard streams, the way to tell.
    door: Option<RawFd>,
    stdio: [RawFd; 3],
    tell: RawFd,
    change_user: bool,
    oom_protected: bool,
    highest: c_int,
}

/// A child that was started and has not been heard of.
pub struct Flying {
    child: Child<Launch>,
    /// Closes when the child execs or ends; before that it may say (step, errno).
    pipe: OwnedFd,
    heard: Vec<u8>,
}

/// What became of a start.
pub enum Landing {
    /// Not known yet.
    Flying,
    /// The program runs.
    Landed,
    /// It does not.
    Failed(Failure),
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
        let strings = plan.argv.len() + plan.environment.len() + plan.limits.len();
        let searched = !program.contains('/');
        if strings > MAX_STRINGS || (searched && (program.len() > MAX_NAME || path.len() > MAX_PATH)) {
            return Err(Failure { step: Step::Plan, errno: libc::E2BIG });
        }
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
            door: None,
            stdio: [inheritance.null.as_raw_fd(); 3],
            tell: -1,
            change_user: inheritance.root,
            oom_protected: inheritance.oom_protected,
            highest: inheritance.highest,
        })
    }

    /// Starts the child. `outputs` are the write ends of the run's pipes, `door` is that of its cgroup.
    pub fn start(
        mut self,
        inheritance: &Inheritance,
        door: Option<OwnedFd>,
        outputs: [OwnedFd; 2],
    ) -> Result<Flying, Failure> {
        let failed = |step| move |errno: Errno| Failure { step, errno: errno as i32 };
        let (pipe, tell) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).map_err(failed(Step::Pipes))?;
        self.door = door.as_ref().map(AsRawFd::as_raw_fd);
        let [stdout, stderr] = &outputs;
        self.stdio = [inheritance.null.as_raw_fd(), stdout.as_raw_fd(), stderr.as_raw_fd()];
        self.tell = tell.as_raw_fd();
        let child =
            signals_blocked(|| sys::spawn(self, begin, inheritance.share_memory())).map_err(failed(Step::Fork))?;
        let child =
            child.map_err(|error| Failure { step: Step::Fork, errno: error.raw_os_error().unwrap_or(libc::EIO) })?;
        // `outputs`, `door` and `tell` close here; the child has its own.
        Ok(Flying { child, pipe, heard: Vec::new() })
    }
}

/// Runs `start` while no signal is delivered: none may reach a child that still has the warden's handlers.
pub(super) fn signals_blocked<T>(start: impl FnOnce() -> T) -> nix::Result<T> {
    let mut before = SigSet::empty();
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::all()), Some(&mut before))?;
    let started = start();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
    Ok(started)
}

impl Flying {
    /// The child's pid, and that of its session and process group once it has made them.
    pub fn pid(&self) -> i32 {
        self.child.pid
    }

    /// Readable when there is something to [`Self::land`].
    pub fn pipe(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }

    /// Finds out what became of the start. Never waits: a child may be stopped at any point by its own user.
    pub fn land(&mut self) -> Landing {
        let mut bytes = [0; 8];
        loop {
            match nix::unistd::read(&self.pipe, &mut bytes) {
                Ok(0) => return heard(&self.heard).map_or(Landing::Landed, Landing::Failed),
                Ok(length) => self.heard.extend(bytes.iter().take(length)),
                Err(Errno::EINTR) => {}
                Err(_) => return Landing::Flying,
            }
        }
    }

    /// The child has landed or failed: its memory goes.
    pub fn release(self) {
        self.child.release();
    }
}

/// Where the child begins.
fn begin(launch: &mut Launch) -> ! {
    let Err((step, errno)) = steps(launch);
    let [a, b, c, d] = errno.to_le_bytes();
    // Nobody to tell where that fails.
    let _ = child::write(launch.tell, &[step as u8, a, b, c, d]);
    child::exit(NOT_STARTED)
}

/// What the child does before the program runs. Returns only when a step failed.
fn steps(launch: &mut Launch) -> Result<Infallible, (Step, c_int)> {
    let at = |step| move |errno| (step, errno);
    if let Some(door) = launch.door {
        child::write(door, b"0").map_err(at(Step::Cgroup))?;
    }
    child::new_session().map_err(at(Step::Session))?;
    for (to, from) in (0..).zip(launch.stdio) {
        child::place(from, to).map_err(at(Step::Stdio))?;
    }

    if launch.oom_protected {
        child::write_file(c"/proc/self/oom_score_adj", b"0").map_err(at(Step::Priority))?;
    }
    child::set_priorities(launch.nice).map_err(at(Step::Priority))?;
    for (resource, soft, hard) in &launch.limits {
        child::set_limit(*resource, *soft, *hard).map_err(at(Step::Limit))?;
    }

    if launch.change_user {
        let identity = &launch.identity;
        child::set_groups(&identity.groups).map_err(at(Step::Groups))?;
        child::set_gid(identity.gid).map_err(at(Step::Gid))?;
        child::set_uid(identity.uid).map_err(at(Step::Uid))?;
        child::close_memory().map_err(at(Step::Uid))?;
        child::prove_identity(identity.uid, identity.gid, &identity.groups, &mut launch.groups_room)
            .map_err(at(Step::Proof))?;
    }

    child::set_umask(launch.umask);
    child::change_directory(&launch.work_dir).map_err(at(Step::WorkDir))?;
    if launch.no_new_privs {
        child::set_no_new_privs().map_err(at(Step::NoNewPrivs))?;
    }
    child::close_on_exec_from(3, launch.highest);
    child::reset_signals().map_err(at(Step::Exec))?;

    // As execvp(3): go on past what is not there, remember what may not be executed.
    let mut errno = libc::ENOENT;
    for candidate in &launch.candidates {
        match child::exec(candidate, &launch.argv, &launch.environment) {
            libc::ENOENT | libc::ENOTDIR => {}
            libc::EACCES => errno = libc::EACCES,
            other => return Err((Step::Exec, other)),
        }
    }
    Err((Step::Exec, errno))
}

/// What the pipe of a child said: `None` when exec succeeded.
fn heard(bytes: &[u8]) -> Option<Failure> {
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
    fn a_plan_that_would_grow_out_of_proportion_is_refused() {
        let plan = |argv: Vec<String>, path: String| Plan {
            user: None,
            argv,
            environment: vec![("PATH".into(), path)],
            work_dir: "/".into(),
            umask: 0o022,
            nice: 0,
            limits: Vec::new(),
            no_new_privs: false,
        };
        let inheritance = Inheritance::read().unwrap();
        let identity = || Identity::look_up("root").unwrap().unwrap();
        let prepare = |plan: Plan| Launch::prepare(&plan, identity(), &inheritance).err();
        let refused = Some(Failure { step: Step::Plan, errno: libc::E2BIG });
        assert_eq!(prepare(plan(vec!["true".into()], "/bin:/usr/bin".into())), None);
        assert_eq!(prepare(plan(vec![format!("/{}", "x".repeat(50_000))], "/:".repeat(20_000))), None);
        assert_eq!(prepare(plan(vec!["x".repeat(50_000)], "/:".repeat(500))), refused);
        assert_eq!(prepare(plan(vec!["x".into()], "/:".repeat(20_000))), refused);
        assert_eq!(prepare(plan(vec!["/x".into(); 100_000], String::new())), refused);
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
