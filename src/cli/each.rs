//! Verbs that take several names: each is tried, whatever becomes of the others.

use std::io::{self, BufRead, IsTerminal, Write};

use super::term::{complain, visible};
use super::{Error, Exit};
use crate::engine::Edited;

/// Does `act` for every name. Where one failed, that is the exit code; where several failed in different ways, 1.
pub fn each(names: &[String], act: impl Fn(&str) -> Result<(), Error>) -> Result<Exit, Error> {
    let mut exit = Exit::Ok;
    for name in names {
        let Err(error) = act(name) else { continue };
        if names.len() == 1 {
            return Err(error);
        }
        complain(&format!("{name}: {error}"));
        exit = if exit == Exit::Ok || exit == error.exit() { error.exit() } else { Exit::Failed };
    }
    Ok(exit)
}

/// What was done to a job, and for how long.
pub fn done(word: &str, edited: &Edited, permanent: bool) -> String {
    let job = &edited.name;
    match &edited.file {
        Some(file) => format!("{word} '{job}' in {}\n", visible(file)),
        None if permanent => format!("{word} '{job}'\n"),
        None => format!("{word} '{job}' until the daemon ends\n"),
    }
}

/// There is a person who can be asked.
pub fn is_attended() -> bool {
    io::stdin().is_terminal()
}

/// Asks a person, whose Enter alone means `otherwise`.
pub fn ask(question: &str, otherwise: bool) -> bool {
    let _deaf = write!(io::stderr(), "{} [{}] ", visible(question), if otherwise { "Y/n" } else { "y/N" });
    let mut line = String::new();
    if io::stdin().lock().read_line(&mut line).is_err() {
        return false;
    }
    match line.trim().to_lowercase().as_str() {
        // The terminal was closed: that is no yes.
        "" => otherwise && line.ends_with('\n'),
        answer => matches!(answer, "y" | "yes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_tried_and_the_exit_code_is_theirs() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let tried = std::cell::RefCell::new(Vec::new());
        let act = |name: &str| {
            tried.borrow_mut().push(name.to_owned());
            match name {
                "good" => Ok(()),
                "busy" => Err(Error::new(Exit::Busy, "busy")),
                _ => Err(Error::new(Exit::Failed, "bad")),
            }
        };
        assert_eq!(each(&names(&["good", "good"]), act).unwrap(), Exit::Ok);
        assert_eq!(each(&names(&["bad", "good", "bad"]), act).unwrap(), Exit::Failed);
        assert_eq!(each(&names(&["busy", "good"]), act).unwrap(), Exit::Busy);
        assert_eq!(each(&names(&["busy", "bad", "good"]), act).unwrap(), Exit::Failed);
        assert_eq!(each(&names(&["busy"]), act).unwrap_err().exit(), Exit::Busy);
        assert_eq!(tried.borrow().len(), 11);
    }
}
