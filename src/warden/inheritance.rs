//! What the warden was started with, and what of it a job gets.

use std::ffi::c_int;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use nix::fcntl::OFlag;
use nix::sys::resource::{Resource, getrlimit};

use crate::wire::{Limit, MAX_RUNS, Plan};

/// The limit on open files of a job that does not say: clamped to what the daemon has.
const DEFAULT_NOFILE: u64 = 1024;

/// The warden's own state that a child must not inherit, read once before the warden changes it.
pub struct Inheritance {
    /// Every resource limit as the daemon was started with: (resource, soft, hard).
    limits: Vec<(c_int, u64, u64)>,
    /// The warden runs as root and can change users.
    pub root: bool,
    /// It is protected from the OOM killer, its jobs must not be.
    pub oom_protected: bool,
    /// Read side of every job's standard input.
    pub null: OwnedFd,
    /// No descriptor of the warden reaches this number.
    pub highest: c_int,
    /// `fs.suid_dumpable`, open: it may be changed at any time.
    suid_dumpable: Option<File>,
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
        let highest = c_int::try_from(getrlimit(Resource::RLIMIT_NOFILE)?.1).unwrap_or(c_int::MAX).min(1 << 20);
        let oom_protected = adjusted.trim().parse::<i32>().is_ok_and(|adjusted| adjusted < 0);
        Ok(Inheritance {
            limits,
            root: nix::unistd::geteuid().is_root(),
            oom_protected,
            null,
            highest,
            suid_dumpable: File::open("/proc/sys/fs/suid_dumpable").ok(),
        })
    }

    /// Whether the next child may work in the warden's memory.
    pub fn share_memory(&self) -> bool {
        let mut now = [0; 4];
        let length = self.suid_dumpable.as_ref().and_then(|file| file.read_at(&mut now, 0).ok()).unwrap_or(0);
        may_share(now.get(..length).unwrap_or_default(), self.oom_protected)
    }

    /// The hard limit on open files that the daemon was started with.
    pub fn open_files(&self) -> u64 {
        self.limits.iter().find(|(which, ..)| *which == Resource::RLIMIT_NOFILE as c_int).map_or(1024, |limit| limit.2)
    }

    /// Most runs at once: each may take six descriptors, and the warden keeps some to go on with. A message whose descriptors
    /// find no room would cost it the engine.
    pub fn room(&self) -> usize {
        usize::try_from(self.open_files().saturating_sub(32) / 6).unwrap_or(MAX_RUNS).min(MAX_RUNS)
    }

    /// The limits of a run: the daemon's own with the plan's laid over.
    pub fn limits_for(&self, plan: &Plan) -> Vec<(c_int, u64, u64)> {
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
                // The default must not ask for what a daemon without CAP_SYS_RESOURCE cannot give.
                let raises = self.root && !(*which == Limit::Nofile && *value <= DEFAULT_NOFILE);
                let hard = if raises { limit.2.max(*value) } else { limit.2 };
                let soft = (*value).min(hard);
                *limit = (limit.0, soft, if soft_only { hard } else { soft });
            }
        }
        limits
    }
}

/// Whether children may work in the warden's memory. Not where `fs.suid_dumpable` opens it to the user whom they become,
/// and not where they give up a protection from the OOM killer: the kernel keeps `oom_score_adj` the same for all processes
/// that share memory, so the warden would lose its own with the first run.
fn may_share(suid_dumpable: &[u8], oom_protected: bool) -> bool {
    matches!(suid_dumpable.trim_ascii(), b"0" | b"2") && !oom_protected
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h112_a_protection_from_the_oom_killer_is_not_given_up_through_shared_memory() {
        assert!(may_share(b"0\n", false) && may_share(b"2\n", false));
        assert!(!may_share(b"1\n", false) && !may_share(b"", false));
        assert!(!may_share(b"0\n", true) && !may_share(b"2\n", true));
    }
}
