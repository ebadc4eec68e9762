//! System calls for a child that works in the warden's memory, between [`super::spawn`] and exec.
//!
//! Raw calls, not the C library's: those keep `errno` in memory that the warden uses at the same time, and its `setuid`
//! would speak to threads that are not there. Each takes buffers that were ready beforehand and allocates nothing. Errors
//! are error numbers.

use std::ffi::{CStr, c_int};
use std::os::fd::RawFd;

use syscalls::{Errno, Sysno, syscall};

use super::Strings;

type Result = std::result::Result<(), c_int>;

/// Ends the process at once.
pub fn exit(code: c_int) -> ! {
    loop {
        // SAFETY: no memory is involved, and it does not return.
        let _ = unsafe { syscall!(Sysno::exit_group, code) };
    }
}

/// execve(2). Returns only when it failed.
pub fn exec(path: &CStr, argv: &Strings, environment: &Strings) -> c_int {
    // SAFETY: path is NUL-terminated; both arrays end with a null pointer and point into strings that `Strings` keeps.
    failed(unsafe { syscall!(Sysno::execve, path.as_ptr(), argv.pointers(), environment.pointers()) })
}

/// execveat(2) of an open program file. Returns only when it failed.
pub fn exec_file(file: RawFd, argv: &Strings, environment: &Strings) -> c_int {
    let itself = libc::AT_EMPTY_PATH;
    // SAFETY: as in `exec`; the path is the empty string, so the descriptor itself names the program.
    failed(unsafe { syscall!(Sysno::execveat, file, c"".as_ptr(), argv.pointers(), environment.pointers(), itself) })
}

/// dup2(2) to a standard stream or another fixed number; the copy stays open over exec.
pub fn place(from: RawFd, to: RawFd) -> Result {
    if from == to {
        // SAFETY: no memory is involved; clears close-on-exec.
        return done(unsafe { syscall!(Sysno::fcntl, to, libc::F_SETFD, 0) });
    }
    // SAFETY: no memory is involved; the child's table of descriptors is its own.
    done(unsafe { syscall!(Sysno::dup3, from, to, 0) })
}

/// setsid(2).
pub fn new_session() -> Result {
    // SAFETY: no memory is involved.
    done(unsafe { syscall!(Sysno::setsid) })
}

/// setrlimit(2).
pub fn set_limit(resource: c_int, soft: u64, hard: u64) -> Result {
    let limit = [soft, hard];
    // SAFETY: rlimit64 is two 64-bit numbers; the old value is not asked for.
    done(unsafe { syscall!(Sysno::prlimit64, 0, resource, limit.as_ptr(), 0) })
}

/// Niceness as given, scheduler and I/O priority back to the system's defaults.
pub fn set_priorities(nice: c_int) -> Result {
    let ordinary: [c_int; 1] = [0]; // sched_param: one priority
    let process = 1; // IOPRIO_WHO_PROCESS
    // SAFETY: the one pointer is to a live array of the size of sched_param.
    unsafe {
        done(syscall!(Sysno::sched_setscheduler, 0, libc::SCHED_OTHER, ordinary.as_ptr()))?;
        done(syscall!(Sysno::setpriority, libc::PRIO_PROCESS, 0, nice))?;
        done(syscall!(Sysno::ioprio_set, process, 0, 0))
    }
}

/// setgroups(2).
pub fn set_groups(groups: &[libc::gid_t]) -> Result {
    // SAFETY: pointer and length are those of one slice.
    done(unsafe { syscall!(Sysno::setgroups, groups.len(), groups.as_ptr()) })
}

/// setresgid(2), all three.
pub fn set_gid(gid: libc::gid_t) -> Result {
    // SAFETY: no memory is involved.
    done(unsafe { syscall!(Sysno::setresgid, gid, gid, gid) })
}

/// setresuid(2), all three. The kernel takes the new credentials for this process alone.
pub fn set_uid(uid: libc::uid_t) -> Result {
    // SAFETY: no memory is involved.
    done(unsafe { syscall!(Sysno::setresuid, uid, uid, uid) })
}

/// Proves that this process is `uid`, `gid` and `groups` for good: all three ids of each kind, the very list of groups, and
/// no way back to root. `scratch` has room for one group more than `groups`.
pub fn prove_identity(
    uid: libc::uid_t,
    gid: libc::gid_t,
    groups: &[libc::gid_t],
    scratch: &mut [libc::gid_t],
) -> Result {
    let mut ids: [u32; 3] = [0; 3];
    let [real, effective, saved] = ids.each_mut().map(|id| &raw mut *id);
    // SAFETY: three pointers to live numbers, here and below.
    done(unsafe { syscall!(Sysno::getresuid, real, effective, saved) })?;
    if ids != [uid; 3] {
        return Err(libc::EPERM);
    }
    let [real, effective, saved] = ids.each_mut().map(|id| &raw mut *id);
    // SAFETY: as above.
    done(unsafe { syscall!(Sysno::getresgid, real, effective, saved) })?;
    if ids != [gid; 3] {
        return Err(libc::EPERM);
    }
    // SAFETY: the kernel writes at most as many entries as the slice has, and fails when there are more.
    let found = unsafe { syscall!(Sysno::getgroups, scratch.len(), scratch.as_mut_ptr()) }.map_err(Errno::into_raw)?;
    let found = scratch.get(..found).unwrap_or_default();
    if found.len() != groups.len() || !groups.iter().all(|group| found.contains(group)) {
        return Err(libc::EPERM);
    }
    let same = u32::MAX;
    // SAFETY: no memory is involved; it is meant to fail.
    if uid != 0 && unsafe { syscall!(Sysno::setresuid, same, 0, same) }.is_ok() {
        return Err(libc::EPERM);
    }
    Ok(())
}

/// Nobody may trace or dump this memory (`PR_SET_DUMPABLE`): it is still the warden's.
pub fn close_memory() -> Result {
    // SAFETY: no memory is involved.
    done(unsafe { syscall!(Sysno::prctl, libc::PR_SET_DUMPABLE, 0, 0, 0, 0) })
}

/// umask(2).
pub fn set_umask(mask: u32) {
    // SAFETY: no memory is involved; it cannot fail.
    let _ = unsafe { syscall!(Sysno::umask, mask) };
}

/// chdir(2).
pub fn change_directory(path: &CStr) -> Result {
    // SAFETY: path is NUL-terminated.
    done(unsafe { syscall!(Sysno::chdir, path.as_ptr()) })
}

/// `PR_SET_NO_NEW_PRIVS`.
pub fn set_no_new_privs() -> Result {
    // SAFETY: no memory is involved.
    done(unsafe { syscall!(Sysno::prctl, libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })
}

/// SIGKILL for this process when the thread that made it dies.
pub fn die_with_parent() -> Result {
    // SAFETY: no memory is involved.
    done(unsafe { syscall!(Sysno::prctl, libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) })
}

/// Every descriptor from `first` on closes at exec. All of ours are made so anyway; this holds for those that the warden
/// itself was given. No descriptor reaches `highest`, for kernels before 5.11.
pub fn close_on_exec_from(first: c_int, highest: c_int) {
    // SAFETY: no memory is involved; sets a flag, closes nothing.
    if unsafe { syscall!(Sysno::close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) }.is_ok() {
        return;
    }
    for fd in first..highest {
        // SAFETY: as above; a number that is not open is refused, which is fine.
        let _ = unsafe { syscall!(Sysno::fcntl, fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}

/// Default action for every signal, then an empty mask. In this order: a signal that waited must not find one of the
/// warden's handlers.
pub fn reset_signals() -> Result {
    const SET: usize = 8; // bytes of the kernel's signal set
    let default = [0_u64; 4]; // the kernel's sigaction: SIG_DFL, no flags, no restorer, empty mask
    for signal in 1..65 {
        // SAFETY: the pointer is to as many bytes as the kernel's sigaction has. KILL and STOP are refused, which is fine.
        let _ = unsafe { syscall!(Sysno::rt_sigaction, signal, default.as_ptr(), 0, SET) };
    }
    let none = 0_u64;
    // SAFETY: the pointer is to a set of SET bytes; the old set is not asked for.
    done(unsafe { syscall!(Sysno::rt_sigprocmask, libc::SIG_SETMASK, &raw const none, 0, SET) })
}

/// Writes a few bytes to a pipe or a file.
pub fn write(fd: RawFd, bytes: &[u8]) -> Result {
    // SAFETY: pointer and length are those of one slice.
    done(unsafe { syscall!(Sysno::write, fd, bytes.as_ptr(), bytes.len()) })
}

/// Writes `text` into the file at `path`.
pub fn write_file(path: &CStr, text: &[u8]) -> Result {
    let flags = libc::O_WRONLY | libc::O_CLOEXEC;
    // SAFETY: path is NUL-terminated.
    let fd = unsafe { syscall!(Sysno::openat, libc::AT_FDCWD, path.as_ptr(), flags) }.map_err(Errno::into_raw)?;
    // A number of the child's own table; exec closes it.
    write(RawFd::try_from(fd).map_err(|_| libc::EBADF)?, text)
}

fn done(result: std::result::Result<usize, Errno>) -> Result {
    result.map(drop).map_err(Errno::into_raw)
}

fn failed(result: std::result::Result<usize, Errno>) -> c_int {
    result.err().map_or(libc::EIO, Errno::into_raw)
}
