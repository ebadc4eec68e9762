//! Outcomes as words and as exit codes.

use jiff::Timestamp;
use nix::sys::signal::Signal;

use super::Exit;
use super::term::{Colour, visible};
use super::when;
use crate::engine::{Outcome, RunView};
use crate::wire;

/// `ok`, `exit 3`, `SIGSEGV (core dumped)`, `timeout`, `stopped (request)`, `could not start: …`, `lost`.
pub fn words(outcome: &Outcome) -> (String, Colour) {
    match outcome {
        Outcome::Exited { exit: wire::Exit::Code(0), success: true } => ("ok".into(), Colour::Green),
        Outcome::Exited { exit, success: true } => (format!("ok ({})", exit_words(*exit)), Colour::Green),
        Outcome::Exited { exit, success: false } => (exit_words(*exit), Colour::Red),
        Outcome::TimedOut { .. } => ("timeout".into(), Colour::Red),
        Outcome::Stopped { why, .. } => (format!("stopped ({})", visible(why)), Colour::Yellow),
        Outcome::CouldNotStart { message, .. } => (format!("could not start: {}", visible(message)), Colour::Red),
        Outcome::Lost => ("lost".into(), Colour::Red),
    }
}

fn exit_words(exit: wire::Exit) -> String {
    match exit {
        wire::Exit::Code(code) => format!("exit {code}"),
        wire::Exit::Signal { signal, core } => {
            let name = Signal::try_from(signal).map_or_else(|_| format!("signal {signal}"), |known| known.to_string());
            if core { format!("{name} (core dumped)") } else { name }
        }
    }
}

/// A run that waits for another attempt: `run 06c…: attempt 1: exit 3, the next one in 20 s`.
pub fn retry(run: &RunView, now: Timestamp) -> String {
    let (words, _) = run.outcome.as_ref().map_or_else(|| ("over".into(), Colour::Plain), words);
    let next = run.next_attempt.map(|at| format!(", the next one {}", when::distance(at, now))).unwrap_or_default();
    format!("run {}: attempt {}: {words}{next}", visible(&run.run), run.attempt)
}

/// The exit code for a run that was waited for, and a word about it where the code alone would mislead.
pub fn exit(outcome: &Outcome) -> (Exit, Option<String>) {
    match outcome {
        Outcome::Exited { exit, .. } => (of_process(*exit), None),
        Outcome::TimedOut { .. } => (Exit::TIMEOUT, Some("its time was up".into())),
        Outcome::Stopped { exit, why } => (of_process(*exit), Some(format!("it was stopped ({why})"))),
        Outcome::CouldNotStart { message, .. } => (Exit::NOT_STARTED, Some(format!("could not start: {message}"))),
        Outcome::Lost => (Exit::LOST, Some("how it ended is not known".into())),
    }
}

/// As a shell tells it: the code, or 128 + the signal.
fn of_process(exit: wire::Exit) -> Exit {
    let code = match exit {
        wire::Exit::Code(code) => code,
        wire::Exit::Signal { signal, .. } => 128 + signal,
    };
    Exit::Job(u8::try_from(code).unwrap_or(u8::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Failure, Step};

    #[test]
    fn d69_every_outcome_has_its_words_and_its_code() {
        let code = |code| wire::Exit::Code(code);
        let signal = |signal, core| wire::Exit::Signal { signal, core };
        let failure = Failure { step: Step::Exec, errno: 2 };
        for (outcome, text, number) in [
            (Outcome::Exited { exit: code(0), success: true }, "ok", 0),
            (Outcome::Exited { exit: code(3), success: true }, "ok (exit 3)", 3),
            (Outcome::Exited { exit: code(255), success: false }, "exit 255", 255),
            (Outcome::Exited { exit: signal(11, true), success: false }, "SIGSEGV (core dumped)", 139),
            (Outcome::Exited { exit: signal(9, false), success: false }, "SIGKILL", 137),
            (Outcome::TimedOut { exit: signal(15, false) }, "timeout", 124),
            (Outcome::Stopped { exit: signal(15, false), why: "request".into() }, "stopped (request)", 143),
            (Outcome::CouldNotStart { failure, message: "no".into() }, "could not start: no", 125),
            (Outcome::Lost, "lost", 70),
        ] {
            assert_eq!(words(&outcome).0, text);
            assert_eq!(exit(&outcome).0.code(), number, "{outcome:?}");
        }
    }
}
