//! The warden's system layer: the only place with `unsafe`. Each function is one system call with a safe signature, or the
//! smallest piece that cannot be split; none decides anything.
//!
//! The warden is a single-threaded process. That is what makes [`fork`] sound. Jobs are started by [`spawn`], whose
//! children share the warden's memory for the moment until they exec, and use nothing but [`child`].
#![allow(unsafe_code, reason = "the project's one place for it; each block says why it is sound")]

pub mod child;

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

use nix::errno::Errno;

use crate::wire::{Exit, MAX_FDS};

/// Room for [`MAX_FDS`] descriptors beside a packet, in words.
// SAFETY: CMSG_SPACE is arithmetic.
const CONTROL: usize = unsafe { libc::CMSG_SPACE((MAX_FDS * mem::size_of::<RawFd>()) as u32) } as usize / 8;

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

/// fork(2): for children that need memory of their own, because they allocate.
pub fn fork() -> io::Result<Forked> {
    // SAFETY: the process has one thread (module doc), so the child's copy of memory is consistent.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Forked::Child),
        pid => Ok(Forked::Parent(pid)),
    }
}

/// Stack of a child, in bytes: it calls a few functions deep and keeps its buffers elsewhere.
const STACK: usize = 64 << 10;

/// A child that works on `T` in the warden's memory, beside the warden, until it execs or ends.
pub struct Child<T> {
    /// The process.
    pub pid: i32,
    memory: *mut Memory<T>,
}

struct Memory<T> {
    stack: Box<[MaybeUninit<u8>]>,
    work: T,
    run: fn(&mut T) -> !,
}

/// clone(2) without a copy of memory, which costs more than all the rest of a start; and without waiting for the exec, as
/// vfork would: a program on a file system that hangs must not hold up the warden.
///
/// The child gets its own descriptors, directory, signal actions and credentials, and shares the memory. So `run` may only
/// use what it is given and the calls of [`child`]. With `share` false it gets a copy after all.
pub fn spawn<T>(work: T, run: fn(&mut T) -> !, share: bool) -> io::Result<Child<T>> {
    let stack = Box::<[u8]>::new_uninit_slice(STACK);
    let memory = Box::into_raw(Box::new(Memory { stack, work, run }));
    let flags = libc::SIGCHLD | if share { libc::CLONE_VM } else { 0 };
    // SAFETY: `memory` is live and nobody else uses it: the warden touches it again only in `release`, or frees it below
    // when there is no child. The stack grows down from its end, aligned to 16 bytes as both ABIs ask. `enter` gets back
    // the type that it was made for.
    let pid = unsafe {
        let top = (*memory).stack.as_mut_ptr().add(STACK);
        let top = top.sub(top.addr() % 16);
        libc::clone(enter::<T>, top.cast(), flags, memory.cast())
    };
    if pid == -1 {
        let error = io::Error::last_os_error();
        // SAFETY: no child was made, so the memory is still ours alone.
        drop(unsafe { Box::from_raw(memory) });
        return Err(error);
    }
    Ok(Child { pid, memory })
}

/// Where a child begins.
extern "C" fn enter<T>(memory: *mut c_void) -> c_int {
    // SAFETY: `spawn` passed a live Memory<T>, which belongs to this child until it execs or ends.
    let memory = unsafe { &mut *memory.cast::<Memory<T>>() };
    (memory.run)(&mut memory.work)
}

impl<T> Child<T> {
    /// Frees the memory. The caller has seen the end of file of a close-on-exec descriptor that only the child held: the
    /// kernel closes those after the child has left this memory, at exec as at exit.
    pub fn release(self) {
        // SAFETY: it came from Box::into_raw in `spawn`, and by the contract above the child no longer uses it. Not called
        // (a child that is lost track of), the memory is leaked, never reused.
        drop(unsafe { Box::from_raw(self.memory) });
    }
}

/// Ends the process at once, without exit handlers: for children of [`fork`].
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
    _owned: Vec<CString>,
    pointers: Vec<*const c_char>,
}

impl Strings {
    /// Takes the strings over; they do not move any more.
    pub fn new(owned: Vec<CString>) -> Strings {
        let pointers = owned.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect();
        Strings { _owned: owned, pointers }
    }

    /// The array, as long as this value lives.
    fn pointers(&self) -> *const *const c_char {
        self.pointers.as_ptr()
    }
}

/// An extended attribute of an open file; `None` when it is not there.
pub fn attribute(file: BorrowedFd<'_>, name: &CStr) -> Option<Vec<u8>> {
    let mut value = [0u8; 64];
    // SAFETY: name is NUL-terminated; pointer and length are those of one array.
    let length = unsafe { libc::fgetxattr(file.as_raw_fd(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    usize::try_from(length).ok().map(|length| value[..length].to_vec())
}

/// recvmsg(2) of one packet: its length, whether it was cut, and its descriptors, all of them owned also when it was cut:
/// nix hands out none then, and those that did fit would stay open for good.
#[allow(clippy::unnecessary_cast, reason = "the widths differ between C libraries")]
pub fn receive(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    wait: bool,
) -> std::result::Result<(usize, bool, Vec<OwnedFd>), Errno> {
    // In words of 8 bytes, as the alignment of cmsghdr asks.
    let mut control = [0u64; CONTROL];
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: msghdr is plain data for which all zeroes is a valid value.
    let mut head: libc::msghdr = unsafe { mem::zeroed() };
    head.msg_iov = &raw mut part;
    head.msg_iovlen = 1;
    head.msg_control = control.as_mut_ptr().cast();
    head.msg_controllen = mem::size_of_val(&control) as _;
    let flags = libc::MSG_CMSG_CLOEXEC | if wait { 0 } else { libc::MSG_DONTWAIT };
    // SAFETY: every pointer in `head` is to a live buffer of the length given beside it.
    let length = Errno::result(unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut head, flags) })?;
    let mut fds = Vec::new();
    // SAFETY: the kernel has filled `head`; the macros stay within its control buffer. Each number in a message of rights
    // is a descriptor that was made for this call.
    unsafe {
        let mut at = libc::CMSG_FIRSTHDR(&raw const head);
        while let Some(message) = at.as_ref() {
            if (message.cmsg_level, message.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
                let bytes = (message.cmsg_len as usize).saturating_sub(libc::CMSG_LEN(0) as usize);
                let rights = libc::CMSG_DATA(at).cast::<RawFd>();
                fds.extend((0..bytes / mem::size_of::<RawFd>()).map(|each| own(rights.add(each).read_unaligned())));
            }
            at = libc::CMSG_NXTHDR(&raw const head, at);
        }
    }
    let cut = head.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0;
    Ok((usize::try_from(length).unwrap_or(0), cut, fds))
}

/// Supplementary groups of the process that has connected to a unix socket, as they were then (`SO_PEERGROUPS`).
pub fn peer_groups(socket: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    let mut groups = vec![0u32; 64];
    loop {
        let mut length = mem::size_of_val(&groups[..]) as libc::socklen_t;
        let (level, name) = (libc::SOL_SOCKET, libc::SO_PEERGROUPS);
        // SAFETY: the kernel writes at most `length` bytes, which is what the vector holds.
        let done =
            unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, groups.as_mut_ptr().cast(), &raw mut length) };
        let count = length as usize / mem::size_of::<u32>();
        match io::Error::last_os_error() {
            _ if done == 0 => {
                groups.truncate(count);
                return Ok(groups);
            }
            // It tells how many there are.
            error if error.raw_os_error() == Some(libc::ERANGE) && count > groups.len() => groups.resize(count, 0),
            error => return Err(error),
        }
    }
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
