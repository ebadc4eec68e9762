//! `rota check`: looks at job files as the daemon would, without one. Nothing is run and nothing is changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use jiff::tz::TimeZone;
use nix::sys::stat::fstat;

use crate::conf::{
    Config, DEFAULT_PATH, Directory, DirectoryPath, Loader, Looked, Names, Opener, Reading, Trust, What, is_job_file,
};
use crate::job::{Finding, Severity};
use crate::wire::DirectoryPlace;

/// Files from which on a terminal is shown how far the look has come.
const MANY: usize = 1000;

/// Look at job files and tell what is wrong with them, without running anything.
#[derive(Debug, clap::Args)]
pub struct Check {
    /// Job files, or directories of them [default: conf_d of rotad.yaml, else ./conf.d]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Check this rotad.yaml(5) too, and go by it [default: /etc/rotad/rotad.yaml, if it is there]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// An array of findings
    #[arg(long)]
    pub json: bool,
}

impl Check {
    /// What counts where no configuration and no path is named: what `rotad`, started here, would go by. Files that are
    /// named may be meant for another machine, whose users are not known.
    fn first_look(&self) -> Option<Config> {
        let here = self.paths.is_empty() && self.config.is_none() && !Path::new(DEFAULT_PATH).exists();
        here.then(Config::first_look).and_then(Result::ok)
    }
}

/// Runs the verb: 0 where no error was found, else 1.
pub fn run(args: Check) -> ExitCode {
    let mut report = Report::default();
    let nothing_named = args.paths.is_empty() && args.config.is_none();
    let config = report.config(&args).or_else(|| nothing_named.then(Config::installed).flatten());
    let paths = match (&config, args.paths.is_empty()) {
        (_, false) => args.paths.clone(),
        (Some(config), true) => vec![config.conf_d.clone()],
        (None, true) => vec![PathBuf::from("conf.d")],
    };
    let users = config.or_else(|| args.first_look());
    // A configuration that is itself broken says nothing of where to look.
    if !(report.errors() > 0 && args.paths.is_empty()) {
        for (directory, names) in by_directory(paths) {
            report.directory(&directory, names, users.clone());
        }
    }
    report
        .findings
        .sort_by_key(|finding| (finding.file.clone(), finding.place.as_ref().map(|at| (at.line, at.column))));
    // A reader that has seen enough closes the pipe; the exit code still tells.
    let _ = report.print(args.json);
    ExitCode::from(u8::from(report.errors() > 0))
}

/// Directories to look at, each with the names asked for; `None`: every job file in it.
fn by_directory(paths: Vec<PathBuf>) -> BTreeMap<PathBuf, Option<BTreeSet<String>>> {
    let mut groups: BTreeMap<PathBuf, Option<BTreeSet<String>>> = BTreeMap::new();
    for path in paths {
        let name = path.file_name().and_then(|name| name.to_str());
        match name.filter(|_| !path.is_dir()) {
            Some(name) => {
                let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
                let group = groups.entry(parent.to_owned()).or_insert_with(|| Some(BTreeSet::new()));
                if let Some(names) = group {
                    names.insert(name.to_owned());
                }
            }
            None => drop(groups.insert(path, None)),
        }
    }
    groups
}

/// What was found.
#[derive(Default)]
struct Report {
    findings: Vec<Finding>,
    files: usize,
}

impl Report {
    fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// The configuration that counts, checked itself.
    fn config(&mut self, args: &Check) -> Option<Config> {
        let default = Path::new(DEFAULT_PATH);
        let path = args.config.as_deref().or_else(|| default.exists().then_some(default))?;
        self.files += 1;
        match Config::load_for_check(path) {
            Ok((config, warnings)) => {
                self.findings.extend(warnings);
                Some(config)
            }
            Err(findings) => {
                self.findings.extend(findings);
                None
            }
        }
    }

    fn directory(&mut self, path: &Path, asked: Option<BTreeSet<String>>, users: Option<Config>) {
        let itself = path.display().to_string();
        let trust = if nix::unistd::geteuid().is_root() { Trust::of_root() } else { Trust::of_user() };
        let opener = DirectoryPath(path.to_owned());
        let directory = match opener.directory(DirectoryPlace::ConfD) {
            Ok(opened) => opened.file,
            Err(error) => {
                let finding = Finding::error("conf-d-missing", itself, format!("cannot be opened: {error}"));
                return self.findings.push(finding.hint("name files or directories to look at"));
            }
        };
        if let Err(why) = fstat(directory.as_fd()).map(|stat| trust.judge(What::Directory, &stat)).unwrap_or(Ok(())) {
            let message = format!("rotad would refuse the directory: {}", why.message);
            self.findings.push(Finding::error(why.code, &itself, message).hint(why.hint));
        }
        let names = match asked {
            Some(names) => names,
            None => match Names::of(directory.as_fd(), &itself) {
                Ok(names) => {
                    self.findings.extend(names.findings);
                    names.files
                }
                Err(error) => {
                    let message = format!("cannot be listed: {error}");
                    return self.findings.push(Finding::error("unreadable", itself, message));
                }
            },
        };
        self.read(path, &directory, &opener, names, &mut Loader::lint(users, trust, TimeZone::system));
    }

    fn read(
        &mut self,
        path: &Path,
        directory: &OwnedFd,
        opener: &DirectoryPath,
        names: BTreeSet<String>,
        loader: &mut Loader,
    ) {
        let progress = names.len() > MANY && std::io::stderr().is_terminal();
        let mut jobs = Directory::default();
        for (count, name) in names.iter().enumerate() {
            if progress && count % 500 == 0 {
                eprint!("\rchecking {count} of {} files", names.len());
            }
            let looked = loader.look(directory.as_fd(), opener, name, true);
            let missing = matches!(looked, Looked::Gone);
            let reading = match looked {
                Looked::Read(reading) => reading,
                Looked::Passing(finding) => Reading::Broken(vec![finding]),
                Looked::Gone => Reading::Broken(vec![Finding::error("unreadable", name, "there is no such file")]),
                Looked::Same | Looked::Young => {
                    let finding = Finding::warning("being-written", name, "somebody writes to the file just now");
                    Reading::Broken(vec![finding])
                }
            };
            if !is_job_file(name) && !missing {
                let finding = Finding::warning("ignored", name, "rotad does not read files of this name");
                self.findings.push(shown_in(path, finding.hint("job files end in .yaml or .yml and are not hidden")));
            }
            jobs.upsert(name, reading);
        }
        if progress {
            eprint!("\r\x1b[K");
        }
        self.files += names.len();
        let (_, views) = jobs.settle(jiff::Timestamp::now());
        let findings = views.into_iter().filter_map(|(_, view)| view).flat_map(|view| view.findings);
        self.findings.extend(findings.map(|finding| shown_in(path, finding)));
    }

    fn print(&self, json: bool) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        if json {
            serde_json::to_writer_pretty(&mut out, &self.findings)?;
            return writeln!(out);
        }
        let colour = out.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        for finding in &self.findings {
            out.write_all(text(finding, colour).as_bytes())?;
        }
        writeln!(out, "{}", self.summary())
    }

    fn summary(&self) -> String {
        let [errors, warnings, notes] =
            [Severity::Error, Severity::Warning, Severity::Note].map(|severity| self.count(severity));
        let files = count(self.files, "file");
        let also = if notes > 0 { format!(", {}", count(notes, "note")) } else { String::new() };
        match (errors, warnings) {
            (0, 0) => format!("checked {files}: all good{also}"),
            _ => format!("checked {files}: {}, {}{also}", count(errors, "error"), count(warnings, "warning")),
        }
    }
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn shown_in(directory: &Path, finding: Finding) -> Finding {
    let file = match directory == Path::new(".") {
        true => finding.file,
        false => directory.join(&finding.file).display().to_string(),
    };
    Finding { file, ..finding }
}

/// A finding as a compiler tells it: sentence, place, the line with a mark under it, hint.
pub(super) fn text(finding: &Finding, colour: bool) -> String {
    let word = finding.severity.word();
    let paint = match finding.severity {
        Severity::Error => "\x1b[1;31m",
        Severity::Warning => "\x1b[1;33m",
        Severity::Note => "\x1b[1;36m",
    };
    let (paint, bold, dim, plain) = if colour { (paint, "\x1b[1m", "\x1b[1;34m", "\x1b[0m") } else { ("", "", "", "") };
    let file = finding.file.escape_debug();
    let mut text = format!("{paint}{word}[{}]{plain}{bold}: {}{plain}\n", finding.code, finding.message);
    let width = finding.place.as_ref().map_or(1, |at| at.line.to_string().len());
    let margin = " ".repeat(width);
    // Writing to a String cannot fail.
    let _ = match &finding.place {
        Some(at) => writeln!(text, "{margin}{dim}-->{plain} {file}:{}:{}", at.line, at.column),
        None => writeln!(text, "{margin}{dim}-->{plain} {file}"),
    };
    if let Some(at) = finding.place.as_ref().filter(|at| !at.snippet.is_empty()) {
        let _ = writeln!(text, "{margin} {dim}|{plain}\n{dim}{} |{plain} {}", at.line, at.snippet);
        if at.column <= at.snippet.chars().count() + 1 {
            let _ = writeln!(text, "{margin} {dim}|{plain} {}{paint}^{plain}", " ".repeat(at.column - 1));
        }
    }
    if let Some(hint) = &finding.hint {
        let _ = writeln!(text, "{margin} {dim}={plain} hint: {hint}");
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Place;

    #[test]
    fn a_finding_with_a_place() {
        let place = Place { line: 12, column: 3, snippet: "  shedule: x".to_owned() };
        let finding = Finding::error("unknown-key", "conf.d/a.yaml", "unknown key 'shedule' in a job file")
            .hint("did you mean 'schedule'?")
            .at(Some(place));
        let expected = "error[unknown-key]: unknown key 'shedule' in a job file\n  --> conf.d/a.yaml:12:3\n   |\n\
                        12 |   shedule: x\n   |   ^\n   = hint: did you mean 'schedule'?\n\n";
        assert_eq!(text(&finding, false), expected);
    }

    #[test]
    fn notes_are_neither_errors_nor_warnings() {
        let mut report = Report { findings: vec![Finding::note("dst", "a.yaml", "02:30 does not exist")], files: 1 };
        assert_eq!((report.errors(), report.summary()), (0, "checked 1 file: all good, 1 note".to_owned()));
        assert!(text(&report.findings[0], false).starts_with("note[dst]: 02:30"));
        report.findings.push(Finding::warning("never-fires", "a.yaml", "never"));
        assert_eq!((report.errors(), report.summary()), (0, "checked 1 file: 0 errors, 1 warning, 1 note".to_owned()));
    }

    #[test]
    fn files_are_looked_at_beside_their_directory() {
        let groups = by_directory(vec!["a.yaml".into(), "x/b.yaml".into(), "x/c.yaml".into(), ".".into()]);
        assert_eq!(groups.len(), 2);
        assert_eq!(groups[Path::new("x")].as_ref().unwrap().len(), 2);
        assert_eq!(groups[Path::new(".")], None);
    }
}
