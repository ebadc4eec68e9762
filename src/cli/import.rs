//! `rota import crontab|mysql-crond FILE`: job files of what another scheduler runs, and what will be different.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::unistd::User;

use super::term::{complain, count, print, visible};
use super::{Error, Exit};
use crate::conf::import::{Crontab, Imported, JobFile, MysqlCrond, import_crontab, import_mysql_crond};
use crate::job::Severity;

/// Largest file that is read, in bytes.
const MAX_FILE: u64 = 8 << 20;

/// Arguments of `rota import`.
#[derive(Debug, clap::Args)]
pub struct Import {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, clap::Subcommand)]
enum From {
    /// Job files of the entries of a crontab, with the same meaning
    Crontab(FromCrontab),
    /// Job files of the jobs of mysql-crond, with the same meaning
    ///
    /// Keys that mean nothing here are kept as labels. (rotad can also go on with that file as it is: `jobs_config` in
    /// rotad.yaml(5).)
    MysqlCrond(FromMysqlCrond),
}

#[derive(Debug, clap::Args)]
struct FromMysqlCrond {
    /// Its runtime.yaml, whose `jobs_config` and `jobs_user` are followed, or the jobs-config.yaml itself; `-` for standard
    /// input
    file: PathBuf,
    #[command(flatten)]
    into: Into,
}

#[derive(Debug, clap::Args)]
struct FromCrontab {
    /// The crontab; `-` for standard input, as in `crontab -l | rota import crontab - --user ann`
    file: PathBuf,
    /// Each command has a user before it. So it is by itself in /etc/crontab and /etc/cron.d
    #[arg(long, conflicts_with = "user")]
    system: bool,
    /// Whose crontab it is: the jobs get this user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    #[command(flatten)]
    into: Into,
}

/// Where the files go.
#[derive(Debug, clap::Args)]
struct Into {
    /// Write the files into this directory; without it they are printed and nothing is written. A file that is there is
    /// never replaced
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
    /// Write `enable: false` into each, so that nothing runs twice while both schedulers do
    #[arg(long)]
    disabled: bool,
}

impl Import {
    /// Carries it out. Whatever could not be taken over makes the exit code 1.
    pub fn run(self) -> Result<Exit, Error> {
        match self.from {
            From::Crontab(args) => args.run(),
            From::MysqlCrond(args) => args.run(),
        }
    }
}

impl FromCrontab {
    fn run(self) -> Result<Exit, Error> {
        let text = read(&self.file)?;
        let origin = origin(&self.file);
        let system = self.system || (self.user.is_none() && is_system(&self.file));
        let users: BTreeSet<&str> = match (&self.user, system) {
            (Some(user), _) => BTreeSet::from([user.as_str()]),
            (None, true) => text.lines().filter_map(|line| line.split_ascii_whitespace().nth(5)).collect(),
            (None, false) => BTreeSet::new(),
        };
        let crontab = Crontab { origin: &origin, text: &text, system, user: self.user.as_deref(), homes: homes(users) };
        self.into.deliver(import_crontab(&crontab, &TimeZone::system(), Timestamp::now()))
    }
}

/// What a runtime.yaml says of its jobs. The rest of it is rotad's own to read: `rota check -c runtime.yaml`.
#[derive(Debug, serde::Deserialize)]
struct Runtime {
    jobs_config: PathBuf,
    jobs_user: Option<String>,
}

impl FromMysqlCrond {
    fn run(self) -> Result<Exit, Error> {
        let text = read(&self.file)?;
        // A file of jobs has no such key.
        let runtime = serde_yaml::from_str::<Runtime>(&text).ok();
        let (path, text, user) = match runtime {
            Some(Runtime { jobs_config, jobs_user }) => {
                let beside = self.file.parent().unwrap_or(Path::new("")).join(jobs_config);
                let text = read(&beside)?;
                (beside, text, jobs_user)
            }
            None => (self.file.clone(), text, None),
        };
        let origin = origin(&path);
        let source = MysqlCrond { origin: &origin, text: &text, jobs_user: user.as_deref() };
        self.into.deliver(import_mysql_crond(&source, &TimeZone::system(), Timestamp::now()))
    }
}

/// What a file is called in comments and findings.
fn origin(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}

impl Into {
    /// Prints or writes the files, and tells what differs.
    fn deliver(&self, mut done: Imported) -> Result<Exit, Error> {
        if self.disabled {
            let disabled = done.files.iter_mut().try_for_each(JobFile::disable);
            disabled.map_err(|error| Error::new(Exit::Failed, format!("--disabled cannot be written: {error}")))?;
        }
        let mut refused = 0;
        for file in &done.files {
            match &self.into {
                None => print(format!("# {}\n---\n{}", file.file(), file.text))?,
                Some(directory) => match place(directory, file) {
                    Ok(true) => print(format!("{}\n", visible(&directory.join(file.file()).display().to_string())))?,
                    Ok(false) => {}
                    Err(error) => {
                        refused += 1;
                        complain(&error.to_string());
                    }
                },
            }
        }
        done.findings.iter().for_each(|finding| complain(&finding.to_string()));
        let failed = done.findings.iter().filter(|finding| finding.severity == Severity::Error).count();
        if !done.files.is_empty() && !self.disabled && self.into.is_some() {
            complain(
                "the jobs are armed as soon as their files are in conf_d: take them out of the other scheduler first",
            );
        }
        if failed + refused > 0 {
            complain(&format!("{} not taken over", count(failed + refused, "definition")));
            return Ok(Exit::Failed);
        }
        Ok(Exit::Ok)
    }
}

/// Makes the file. `false`: it is there already, with the same text.
fn place(directory: &Path, file: &JobFile) -> Result<bool, Error> {
    let path = directory.join(file.file());
    let shown = visible(&path.display().to_string());
    match fs::read(&path) {
        Ok(there) if there == file.text.as_bytes() => return Ok(false),
        Ok(_) => {
            let hint = "move it away, or give the job of one of them another name";
            return Err(Error::new(Exit::Failed, format!("{shown} is there and says something else")).hint(hint));
        }
        Err(_) => {}
    }
    // Under a name that no daemon reads, until it is complete.
    let fresh = directory.join(format!(".{}.new", file.file()));
    let written = write_new(&fresh, file.text.as_bytes()).and_then(|()| move_into_place(&fresh, &path));
    if written.is_err() {
        let _gone = fs::remove_file(&fresh);
    }
    written.map_err(|error| Error::new(Exit::Failed, format!("{shown} cannot be made: {error}")))?;
    Ok(true)
}

/// A file that came there meanwhile stays as well.
fn move_into_place(fresh: &Path, path: &Path) -> io::Result<()> {
    Ok(renameat2(AT_FDCWD, fresh, AT_FDCWD, path, RenameFlags::RENAME_NOREPLACE)?)
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn read(path: &Path) -> Result<String, Error> {
    let shown = visible(&path.display().to_string());
    let failed = |error: io::Error| Error::new(Exit::Failed, format!("{shown} cannot be read: {error}"));
    let mut bytes = Vec::new();
    match path == Path::new("-") {
        true => io::stdin().take(MAX_FILE + 1).read_to_end(&mut bytes),
        false => fs::File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes)),
    }
    .map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Error::new(Exit::Failed, format!("{shown} is larger than 8 MiB")));
    }
    String::from_utf8(bytes).map_err(|_| Error::new(Exit::Failed, format!("{shown} is not UTF-8")))
}

fn is_system(path: &Path) -> bool {
    path == Path::new("/etc/crontab") || path.parent() == Some(Path::new("/etc/cron.d"))
}

fn homes(users: BTreeSet<&str>) -> BTreeMap<String, String> {
    let home = |name: &str| Some((name.to_owned(), User::from_name(name).ok()??.dir.to_str()?.to_owned()));
    users.into_iter().filter_map(home).collect()
}
