//! `rota completions`: what makes a shell complete rota's command lines. The shell asks rota itself, so that verbs, options
//! and the names of jobs are those there are.

use std::sync::mpsc;
use std::time::Duration;

use clap::ValueEnum;
use clap_complete::engine::CompletionCandidate;
use clap_complete::env::{CompleteEnv, Shells};

use super::socket::Place;
use super::term::print;
use super::{Error, Exit};

/// The variable by which a shell asks.
const ASKED: &str = "ROTA_COMPLETE";
/// Longest wait for the daemon while somebody holds the tab key.
const PATIENCE: Duration = Duration::from_secs(1);

/// Arguments of `rota completions`.
#[derive(Debug, clap::Args)]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Completions {
    /// Carries it out.
    pub fn run(self) -> Result<Exit, Error> {
        let name = match self.shell {
            Shell::Bash => "bash",
            Shell::Zsh => "zsh",
            Shell::Fish => "fish",
        };
        let unknown = || Error::new(Exit::Usage, format!("cannot complete in {name}"));
        let shells = Shells::builtins();
        let mut script = Vec::new();
        shells.completer(name).ok_or_else(unknown)?.write_registration(ASKED, "rota", "rota", "rota", &mut script)?;
        print(String::from_utf8_lossy(&script).into_owned())?;
        Ok(Exit::Ok)
    }
}

/// Answers and ends the process where a shell asks.
pub fn answer() {
    CompleteEnv::with_factory(super::definition).var(ASKED).complete();
}

/// The names of all jobs, for arguments that take one; none where no daemon answers soon.
pub fn jobs() -> Vec<CompletionCandidate> {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let jobs = Place::default().client().and_then(|client| Ok(client.jobs()?));
        // Nobody waits for it any more.
        let _ = tell.send(jobs.unwrap_or_default());
    });
    let jobs = told.recv_timeout(PATIENCE).unwrap_or_default();
    jobs.into_iter()
        .map(|job| job.name.to_string())
        .filter(|name| is_plain(name))
        .map(CompletionCandidate::new)
        .collect()
}

/// It means itself to every shell. Bash puts a candidate on the line as it is.
fn is_plain(name: &str) -> bool {
    name.chars().all(|c| c.is_alphanumeric() || "_.@%+=,-".contains(c)) && !name.starts_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_a_shell_would_read_is_not_offered() {
        for (name, plain) in [
            ("backup", true),
            ("a.b-c_d@e", true),
            ("a:b", false),
            ("every 10s", false),
            ("$(x)", false),
            ("*", false),
            ("-f", false),
        ] {
            assert_eq!(is_plain(name), plain, "{name}");
        }
    }
}
