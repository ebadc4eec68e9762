//! The start of an engine: a child like any other, except that it knows no plan, keeps one descriptor, and dies with the
//! warden.

use std::convert::Infallible;
use std::ffi::{CString, c_int};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;

use super::identity::Identity;
use super::inheritance::Inheritance;
use super::launch::{NOT_STARTED, signals_blocked};
use super::sys::{self, Forked, Strings, child};

/// What of the warden's environment the engine gets to see.
const PASSED: [&str; 8] =
    ["PATH", "LANG", "TZ", "TERM", "NO_COLOR", "RUST_BACKTRACE", "JOURNAL_STREAM", "INVOCATION_ID"];

/// An engine about to be started.
pub struct Birth<'a> {
    /// The program file, opened at the warden's start: the path may not be reachable for the engine's user.
    pub program: &'a OwnedFd,
    /// Who it becomes; absent: nobody else (not root).
    pub identity: Option<&'a Identity>,
    /// Its end of the socketpair, which becomes descriptor 3.
    pub socket: OwnedFd,
}

impl Birth<'_> {
    /// Starts the engine; its pid. Whether it comes to life is seen by its greeting. It gets memory of its own from the
    /// start: nothing depends on its speed.
    pub fn start(self, inheritance: &Inheritance) -> io::Result<i32> {
        let argv = Strings::new(vec![c"rotad".into(), c"--engine".into()]);
        let environment = PASSED
            .iter()
            .filter_map(|key| Some((key, std::env::var_os(key)?)))
            .filter_map(|(key, value)| CString::new([key.as_bytes(), b"=", value.as_bytes()].concat()).ok())
            .collect();
        let environment = Strings::new(environment);
        let mut room = vec![0; self.identity.map_or(0, |identity| identity.groups.len()) + 1];
        let null = inheritance.null.as_raw_fd();
        let forked = signals_blocked(|| match sys::fork() {
            Ok(Forked::Child) => {
                let _ = match self.steps(null, inheritance.highest, &argv, &environment, &mut room) {
                    Err(_) => child::write(2, b"rotad: the engine could not be executed\n"),
                };
                child::exit(NOT_STARTED)
            }
            forked => forked,
        })?;
        match forked? {
            Forked::Parent(pid) => Ok(pid),
            Forked::Child => child::exit(NOT_STARTED),
        }
    }

    fn steps(
        &self,
        null: RawFd,
        highest: c_int,
        argv: &Strings,
        environment: &Strings,
        room: &mut [libc::gid_t],
    ) -> Result<Infallible, c_int> {
        // A session of its own: a signal from the terminal is for the warden alone.
        child::new_session()?;
        child::place(null, 0)?;
        child::place(self.socket.as_raw_fd(), 3)?;
        if let Some(identity) = self.identity {
            child::set_groups(&identity.groups)?;
            child::set_gid(identity.gid)?;
            child::set_uid(identity.uid)?;
            child::prove_identity(identity.uid, identity.gid, &identity.groups, room)?;
        }
        child::die_with_parent()?;
        // It executes nothing; whoever takes it over shall not gain anything by a set-uid program.
        child::set_no_new_privs()?;
        child::set_umask(0o027);
        child::close_on_exec_from(4, highest);
        child::reset_signals()?;
        Err(child::exec_file(self.program.as_raw_fd(), argv, environment))
    }
}
