//! Why a run failed, in the words in which mysql-crond, a Go program, says it: alarms are matched against them.

use std::io;

use nix::libc;

use crate::engine::Outcome;
use crate::job::{Job, Program};
use crate::wire::{Exit, Failure, Step};

/// Longest, in characters: a path may be long, and the run's own words matter more.
const LONGEST: usize = 1024;

/// Why a run failed; `None` where it did not, or was stopped by somebody. `job` is its definition, where there still is one.
pub fn failure(outcome: &Outcome, job: Option<&Job>) -> Option<String> {
    let words = match outcome {
        Outcome::Exited { success: true, .. } | Outcome::Stopped { .. } => return None,
        Outcome::Exited { exit, .. } => exit_words(*exit),
        Outcome::TimedOut { exit } => format!("timed out: {}", exit_words(*exit)),
        Outcome::CouldNotStart { failure, message } => start_words(*failure, message, job),
        Outcome::Lost => "lost: nobody knows how it ended".into(),
    };
    Some(words.chars().take(LONGEST).collect())
}

/// How a program ended.
pub fn exit_words(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exit status {code}"),
        Exit::Signal { signal, core } => {
            let core = if core { " (core dumped)" } else { "" };
            match usize::try_from(signal).ok().and_then(|signal| SIGNALS.get(signal)).filter(|word| !word.is_empty()) {
                Some(word) => format!("signal: {word}{core}"),
                None => format!("signal: signal {signal}{core}"),
            }
        }
    }
}

const SIGNALS: [&str; 16] = [
    "",
    "hangup",
    "interrupt",
    "quit",
    "illegal instruction",
    "trace/breakpoint trap",
    "aborted",
    "bus error",
    "floating point exception",
    "killed",
    "user defined signal 1",
    "segmentation fault",
    "user defined signal 2",
    "broken pipe",
    "alarm clock",
    "terminated",
];

fn start_words(failure: Failure, message: &str, job: Option<&Job>) -> String {
    let program = job.map(|job| match &job.program {
        Program::Exec { command, .. } => command.as_str(),
        Program::Script(_) => "/bin/sh",
    });
    let (Some(program), true) = (program, failure.errno != 0) else { return message.to_owned() };
    let why = errno_words(failure.errno);
    match failure.step {
        Step::WorkDir => {
            let place = job.and_then(|job| job.work_dir.as_deref()).unwrap_or("/".as_ref());
            format!("chdir {}: {why}", place.display())
        }
        Step::Exec if !program.contains('/') && matches!(failure.errno, libc::ENOENT | libc::EACCES) => {
            format!("exec: {program:?}: executable file not found in $PATH")
        }
        Step::Fork | Step::Gid | Step::Uid | Step::Groups | Step::Exec => format!("fork/exec {program}: {why}"),
        _ => message.to_owned(),
    }
}

/// As the C library says it, and Go in small letters.
fn errno_words(errno: i32) -> String {
    let text = io::Error::from_raw_os_error(errno).to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_says_it() {
        let exited = |exit| failure(&Outcome::Exited { exit, success: false }, None);
        let signal = |signal, core| exited(Exit::Signal { signal, core }).unwrap();
        assert_eq!(exited(Exit::Code(7)).unwrap(), "exit status 7");
        assert_eq!(signal(9, false), "signal: killed");
        assert_eq!(signal(11, true), "signal: segmentation fault (core dumped)");
        assert_eq!(signal(35, false), "signal: signal 35");
        assert_eq!(failure(&Outcome::Exited { exit: Exit::Code(3), success: true }, None), None);
        assert_eq!(failure(&Outcome::Stopped { exit: Exit::Code(3), why: "request".into() }, None), None);
        assert!(failure(&Outcome::Lost, None).is_some());
    }

    #[test]
    fn what_could_not_start() {
        let said = |step, errno, command: &str| {
            let mut job = crate::engine::core::tests::job("a", "", crate::job::OnOverlap::Skip);
            job.program = Program::Exec { command: command.into(), args: vec![] };
            job.work_dir = Some("/no/where".into());
            let outcome = Outcome::CouldNotStart { failure: Failure { step, errno }, message: "as it is".into() };
            failure(&outcome, Some(&job)).unwrap()
        };
        assert_eq!(said(Step::Exec, libc::ENOENT, "/no/such/bin"), "fork/exec /no/such/bin: no such file or directory");
        assert_eq!(said(Step::Exec, libc::EACCES, "/bin"), "fork/exec /bin: permission denied");
        assert_eq!(said(Step::Exec, libc::ENOENT, "x"), "exec: \"x\": executable file not found in $PATH");
        assert_eq!(said(Step::Uid, libc::EPERM, "/bin/a"), "fork/exec /bin/a: operation not permitted");
        assert_eq!(said(Step::WorkDir, libc::ENOENT, "/bin/a"), "chdir /no/where: no such file or directory");
        assert_eq!(said(Step::User, 0, "/bin/a"), "as it is");
    }
}
