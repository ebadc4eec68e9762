//! What is left of a run when its leader is gone and there is no cgroup to ask: processes of its session or group, and
//! those that left both but still carry its ROTA_RUN_ID. Only descendants of the warden count (it is the subreaper, so
//! whoever escapes by double fork becomes its child), and each is signalled through a pidfd after its start time was
//! compared: a number that was given to somebody else in between is never hit.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::AsFd;

use super::sys;
use crate::wire::RunId;

/// Longest environment that is searched for the mark.
const ENVIRONMENT: u64 = 256 << 10;
/// A fork bomb may outrun so many passes; what is left then is reported.
const PASSES: usize = 10;

/// A process as /proc/PID/stat tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Process {
    pid: i32,
    zombie: bool,
    parent: i32,
    group: i32,
    session: i32,
    /// In clock ticks since boot: with the pid, the identity of a process.
    start: u64,
}

/// Which processes belong to a run.
#[derive(Debug, Clone, Copy)]
pub struct Trace {
    /// The run.
    pub run: RunId,
    /// The pid that its leader has or had; absent once another run's leader has got the same number.
    pub leader: Option<i32>,
}

/// Counts what is left of a run.
pub fn count(trace: Trace) -> u32 {
    u32::try_from(find(trace).len()).unwrap_or(u32::MAX)
}

/// Signals everything that is left of a run. SIGKILL is repeated until nothing is found; the number that was still there.
pub fn signal(trace: Trace, signal: i32) -> u32 {
    let passes = if signal == libc::SIGKILL { PASSES } else { 1 };
    for _ in 0..passes {
        let found = find(trace);
        if found.is_empty() {
            return 0;
        }
        for process in found {
            // Open first, then compare: once the pidfd is ours the number cannot change its meaning.
            let Ok(handle) = sys::pidfd(process.pid) else { continue };
            if read(process.pid).is_some_and(|now| now.start == process.start) {
                let _ = sys::signal_pidfd(handle.as_fd(), signal);
            }
        }
    }
    count(trace)
}

fn find(trace: Trace) -> Vec<Process> {
    let me = std::process::id().cast_signed();
    let all: HashMap<i32, Process> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, read(pid)?)))
        .collect();
    let descends = |process: &Process| {
        let mut at = process.parent;
        // A chain of parents is short; a loop cannot be, but a torn reading could look like one.
        for _ in 0..all.len() {
            if at == me {
                return true;
            }
            match all.get(&at) {
                Some(parent) => at = parent.parent,
                None => return false,
            }
        }
        false
    };
    let mark = format!("ROTA_RUN_ID={}", trace.run);
    all.values()
        .filter(|process| !process.zombie && process.pid != me && descends(process))
        .filter(|process| {
            trace.leader.is_some_and(|leader| process.session == leader || process.group == leader)
                || carries(process.pid, &mark)
        })
        .copied()
        .collect()
}

fn read(pid: i32) -> Option<Process> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The program's name stands in parentheses and may hold any character, so the last parenthesis ends it.
fn parse(stat: &str) -> Option<Process> {
    let (pid, _) = stat.split_once(' ')?;
    let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_ascii_whitespace().collect();
    Some(Process {
        pid: pid.parse().ok()?,
        zombie: matches!(*fields.first()?, "Z" | "X"),
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        start: fields.get(19)?.parse().ok()?,
    })
}

fn carries(pid: i32, mark: &str) -> bool {
    let mut bytes = Vec::new();
    let read =
        File::open(format!("/proc/{pid}/environ")).and_then(|file| file.take(ENVIRONMENT).read_to_end(&mut bytes));
    read.is_ok() && bytes.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_program_name_does_not_shift_the_fields() {
        let stat = "42 (a) S 1 (b) R 7 8 9 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 555 0 0";
        let process = parse(stat).unwrap();
        assert_eq!((process.parent, process.group, process.session, process.start), (7, 8, 9, 555));
        assert!(parse("").is_none() && parse("42 (x").is_none() && parse("42 (x) S 1").is_none());
    }
}
