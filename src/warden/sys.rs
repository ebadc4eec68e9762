//! The warden's system layer: the only place with `unsafe`. Each function is one system call with a safe signature, or the
//! smallest piece that cannot be split; none decides anything.
//!
//! The warden is a single-threaded process. That is what makes [`fork`] sound, and every function marked *child* fit to
//! run between fork and exec: it makes system calls on buffers that were ready before the fork, and allocates nothing.
#![allow(unsafe_code, reason = "the project's one place for it; each block says why it is sound")]

use std::ffi::{CStr, CString, c_char, c_int};
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

use crate::wire::Exit;

/// `CLONE_INTO_CGROUP` of linux/sched.h, which the C library's bindings give in too narrow a type.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Takes over a descriptor that the kernel has just put into this process (a message's rights, an inherited number).
///
/// The caller states that nothing else in the process owns `raw`.
pub fn own(raw: RawFd) -> OwnedFd {
    // SAFETY: per the contract above the number is open and has no other owner, so closing it is ours.
    unsafe { OwnedFd::from_raw_fd(raw) }
}

/// Which process this is after [`fork`].
pub enum Forked {
    /// The new one.
    Child,
    /// The old one, with the child's pid.
    Parent(i32),
}

/// fork(2), straight into a cgroup when one is given (clone3(2) with `CLONE_INTO_CGROUP`, Linux 5.7), so that there is no
/// moment at which the child runs outside of it.
pub fn fork(cgroup: Option<BorrowedFd<'_>>) -> io::Result<Forked> {
    let pid = match cgroup {
        // SAFETY: the process has one thread (module doc), so the child's copy of memory is consistent.
        None => i64::from(unsafe { libc::fork() }),
        Some(cgroup) => {
            // SAFETY: clone_args is plain data for which all zeroes is a valid value.
            let mut args: libc::clone_args = unsafe { mem::zeroed() };
            args.flags = CLONE_INTO_CGROUP;
            args.exit_signal = libc::SIGCHLD as u64;
            args.cgroup = cgroup.as_raw_fd() as u64;
            // SAFETY: without CLONE_VM and CLONE_THREAD this is fork: the child gets a copy of memory and of this stack.
            // The process has one thread, and the C library's fork hooks guard locks that no other thread can hold.
            unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, mem::size_of::<libc::clone_args>()) as i64 }
        }
    };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Forked::Child),
        pid => Ok(Forked::Parent(pid as i32)),
    }
}

/// *Child.* Ends the process at once, without the parent's exit handlers and buffers.
pub fn exit_now(code: c_int) -> ! {
    // SAFETY: _exit has no preconditions.
    unsafe { libc::_exit(code) }
}

/// A child that is gone.
pub struct Reaped {
    /// Its pid, free for reuse from now on.
    pub pid: i32,
    /// How it ended.
    pub exit: Exit,
    /// User CPU time, its own and that of the children it waited for.
    pub user: Duration,
    /// System CPU time of the same.
    pub system: Duration,
    /// Largest resident set of any of them in KiB.
    pub max_rss: u64,
}

/// wait4(2): the next child that is gone, if there is one. Never blocks.
pub fn reap() -> Option<Reaped> {
    loop {
        let mut status: c_int = 0;
        // SAFETY: rusage is plain data for which all zeroes is a valid value.
        let mut usage: libc::rusage = unsafe { mem::zeroed() };
        // SAFETY: both pointers are to live variables of the right type.
        let pid = unsafe { libc::wait4(-1, &raw mut status, libc::WNOHANG, &raw mut usage) };
        if pid == -1 && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted {
            continue;
        }
        if pid <= 0 {
            return None;
        }
        let exit = if libc::WIFEXITED(status) {
            Exit::Code(libc::WEXITSTATUS(status))
        } else if libc::WIFSIGNALED(status) {
            Exit::Signal { signal: libc::WTERMSIG(status), core: libc::WCOREDUMP(status) }
        } else {
            continue; // stopped or continued: not asked for, not an end
        };
        return Some(Reaped {
            pid,
            exit,
            user: duration(usage.ru_utime),
            system: duration(usage.ru_stime),
            max_rss: u64::try_from(usage.ru_maxrss).unwrap_or(0),
        });
    }
}

fn duration(time: libc::timeval) -> Duration {
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_usec).unwrap_or(0) * 1000)
}

/// Strings as `execve` takes them: the array of pointers is built before the fork.
pub struct Strings {
    owned: Vec<CString>,
    pointers: Vec<*const c_char>,
}

impl Strings {
    /// Takes the strings over; they do not move any more.
    pub fn new(owned: Vec<CString>) -> Strings {
        let pointers = owned.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect();
        Strings { owned, pointers }
    }

    /// The strings.
    pub fn all(&self) -> &[CString] {
        &self.owned
    }
}

/// *Child.* execve(2). Returns only when it failed.
pub fn exec(path: &CStr, argv: &Strings, environment: &Strings) -> c_int {
    // SAFETY: path is NUL-terminated; both arrays end with a null pointer and point into strings that `Strings` keeps.
    unsafe { libc::execve(path.as_ptr(), argv.pointers.as_ptr(), environment.pointers.as_ptr()) };
    errno()
}

/// *Child.* execveat(2) of an open program file. Returns only when it failed.
pub fn exec_file(file: BorrowedFd<'_>, argv: &Strings, environment: &Strings) -> c_int {
    // SAFETY: as in `exec`; the path is the empty string, so the descriptor itself names the program.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            file.as_raw_fd(),
            c"".as_ptr(),
            argv.pointers.as_ptr(),
            environment.pointers.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    errno()
}

/// *Child.* dup2(2) to a standard stream or another fixed number; the copy stays open over exec.
pub fn place(from: RawFd, to: RawFd) -> Result<(), c_int> {
    if from == to {
        // SAFETY: clears close-on-exec on a number that the caller has open.
        return check(unsafe { libc::fcntl(to, libc::F_SETFD, 0) });
    }
    // SAFETY: the child has no owners left for `to`: it goes on to exec or exits, and drops nothing.
    check(unsafe { libc::dup2(from, to) })
}

/// *Child.* setsid(2).
pub fn new_session() -> Result<(), c_int> {
    // SAFETY: no preconditions.
    check(unsafe { libc::setsid() })
}

/// *Child.* setrlimit(2).
pub fn set_limit(resource: c_int, soft: u64, hard: u64) -> Result<(), c_int> {
    let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
    // SAFETY: the pointer is to a live variable; a resource number that does not exist is refused by the kernel.
    check(unsafe { libc::setrlimit(resource as _, &raw const limit) })
}

/// *Child.* Niceness as given, scheduler and I/O priority back to the system's defaults.
pub fn set_priorities(nice: c_int) -> Result<(), c_int> {
    let ordinary = libc::sched_param { sched_priority: 0 };
    // SAFETY: plain system calls on the calling process; the pointer is to a live variable.
    unsafe {
        check(libc::sched_setscheduler(0, libc::SCHED_OTHER, &raw const ordinary))?;
        check(libc::setpriority(libc::PRIO_PROCESS, 0, nice))?;
        let whoami_process = 1; // IOPRIO_WHO_PROCESS
        check(libc::syscall(libc::SYS_ioprio_set, whoami_process, 0, 0) as c_int)
    }
}

/// *Child.* setgroups(2).
pub fn set_groups(groups: &[libc::gid_t]) -> Result<(), c_int> {
    // SAFETY: pointer and length are those of one slice.
    check(unsafe { libc::setgroups(groups.len(), groups.as_ptr()) })
}

/// *Child.* setresgid(2), all three.
pub fn set_gid(gid: libc::gid_t) -> Result<(), c_int> {
    // SAFETY: no preconditions.
    check(unsafe { libc::setresgid(gid, gid, gid) })
}

/// *Child.* setresuid(2), all three.
pub fn set_uid(uid: libc::uid_t) -> Result<(), c_int> {
    // SAFETY: no preconditions.
    check(unsafe { libc::setresuid(uid, uid, uid) })
}

/// *Child.* Proves that this process is `uid`, `gid` and `groups` for good: all three ids of each kind, the very list of
/// groups, and no way back to root. `scratch` has room for one group more than `groups`.
pub fn prove_identity(
    uid: libc::uid_t,
    gid: libc::gid_t,
    groups: &[libc::gid_t],
    scratch: &mut [libc::gid_t],
) -> Result<(), c_int> {
    let (mut real, mut effective, mut saved) = (0, 0, 0);
    // SAFETY: three pointers to live variables.
    check(unsafe { libc::getresuid(&raw mut real, &raw mut effective, &raw mut saved) })?;
    if (real, effective, saved) != (uid, uid, uid) {
        return Err(libc::EPERM);
    }
    // SAFETY: three pointers to live variables.
    check(unsafe { libc::getresgid(&raw mut real, &raw mut effective, &raw mut saved) })?;
    if (real, effective, saved) != (gid, gid, gid) {
        return Err(libc::EPERM);
    }
    let room = c_int::try_from(scratch.len()).unwrap_or(c_int::MAX);
    // SAFETY: the kernel writes at most `room` entries into the slice, and fails when there are more.
    let found = unsafe { libc::getgroups(room, scratch.as_mut_ptr()) };
    check(found)?;
    let found = &scratch[..usize::try_from(found).unwrap_or(0)];
    if found.len() != groups.len() || !groups.iter().all(|group| found.contains(group)) {
        return Err(libc::EPERM);
    }
    // SAFETY: no preconditions; it is meant to fail.
    if uid != 0 && unsafe { libc::setresuid(libc::uid_t::MAX, 0, libc::uid_t::MAX) } == 0 {
        return Err(libc::EPERM);
    }
    Ok(())
}

/// *Child.* umask(2).
pub fn set_umask(mask: libc::mode_t) {
    // SAFETY: no preconditions, cannot fail.
    unsafe { libc::umask(mask) };
}

/// *Child.* chdir(2).
pub fn change_directory(path: &CStr) -> Result<(), c_int> {
    // SAFETY: path is NUL-terminated.
    check(unsafe { libc::chdir(path.as_ptr()) })
}

/// *Child.* `PR_SET_NO_NEW_PRIVS`.
pub fn set_no_new_privs() -> Result<(), c_int> {
    // SAFETY: plain prctl with integer arguments.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })
}

/// *Child.* SIGKILL for this process when the thread that forked it dies.
pub fn die_with_parent() -> Result<(), c_int> {
    // SAFETY: plain prctl with integer arguments.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) })
}

/// *Child.* Every descriptor from `first` on closes at exec. All of ours are made so anyway; this holds for those that
/// the warden itself was given.
pub fn close_on_exec_from(first: u32, highest: u32) -> Result<(), c_int> {
    // SAFETY: plain system call with integer arguments; sets a flag on descriptors, closes none.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if done == 0 {
        return Ok(());
    }
    for fd in first..highest {
        // SAFETY: sets a flag; a number that is not open is refused with EBADF, which is fine.
        unsafe { libc::fcntl(fd as c_int, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    Ok(())
}

/// *Child.* Default action for every signal, then an empty mask. In this order: a signal that waited must not find one of
/// the warden's handlers.
pub fn reset_signals() -> Result<(), c_int> {
    // SAFETY: sigaction and sigset_t are plain data; zero is the default action with no flags. Numbers that may not be
    // changed (KILL, STOP, those of the C library) are refused, which is fine.
    unsafe {
        let default: libc::sigaction = mem::zeroed();
        for signal in 1..65 {
            libc::sigaction(signal, &raw const default, ptr::null_mut());
        }
        let mut none: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&raw mut none);
        check(libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut()))
    }
}

/// *Child.* Writes a few bytes to a pipe; nothing can be done where that fails.
pub fn tell(fd: RawFd, bytes: &[u8]) {
    // SAFETY: pointer and length are those of one slice.
    unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
}

/// *Child.* Writes `text` into the file at `path`.
pub fn write_file(path: &CStr, text: &[u8]) -> Result<(), c_int> {
    // SAFETY: path is NUL-terminated; the descriptor is used and closed here only.
    unsafe {
        let fd = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        check(fd)?;
        let written = libc::write(fd, text.as_ptr().cast(), text.len());
        let failed = errno();
        libc::close(fd);
        if written == -1 { Err(failed) } else { Ok(()) }
    }
}

/// An extended attribute of an open file; `None` when it is not there.
pub fn attribute(file: BorrowedFd<'_>, name: &CStr) -> Option<Vec<u8>> {
    let mut value = [0u8; 64];
    // SAFETY: name is NUL-terminated; pointer and length are those of one array.
    let length = unsafe { libc::fgetxattr(file.as_raw_fd(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    usize::try_from(length).ok().map(|length| value[..length].to_vec())
}

/// pidfd_open(2): a handle on a process that cannot come to mean another.
pub fn pidfd(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: plain system call with integer arguments.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if fd == -1 { Err(io::Error::last_os_error()) } else { Ok(own(fd as RawFd)) }
}

/// pidfd_send_signal(2).
pub fn signal_pidfd(process: BorrowedFd<'_>, signal: c_int) -> io::Result<()> {
    // SAFETY: plain system call; no siginfo is passed.
    let done = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, process.as_raw_fd(), signal, ptr::null::<libc::siginfo_t>(), 0)
    };
    if done == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// kill(2). `pid` is a child that has not been reaped, or minus the group of one. Signal 0 asks whether it is there.
pub fn kill(pid: i32, signal: c_int) -> Result<(), c_int> {
    // SAFETY: no memory is involved.
    check(unsafe { libc::kill(pid, signal) })
}

fn errno() -> c_int {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

fn check(result: c_int) -> Result<(), c_int> {
    if result == -1 { Err(errno()) } else { Ok(()) }
}
