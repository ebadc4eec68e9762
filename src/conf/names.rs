//! The names in a directory of job files: which of them count.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::BorrowedFd;

use nix::dir::Dir;

use crate::job::Finding;

/// Most job files of a directory.
pub const MAX_FILES: usize = 20_000;

/// Names that count as job files: `.yaml` and `.yml`, not hidden. What editors and package tools leave beside them
/// (`~`, `.bak`, `.swp`, `.dpkg-*`, `.rpmnew`, `.rpmsave`) ends otherwise or begins with a dot.
pub fn is_job_file(name: &str) -> bool {
    let stem = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml"));
    stem.is_some_and(|stem| !stem.is_empty() && !stem.starts_with(['.', '#']))
}

/// The job files of a directory, and what is wrong with other names.
#[derive(Debug, Default)]
pub struct Names {
    /// Names that count, at most [`MAX_FILES`]: the first in byte order.
    pub files: BTreeSet<String>,
    /// There is a symbolic link among all names.
    pub links: bool,
    /// Names that cannot be job files though they look like it, as findings.
    pub findings: Vec<Finding>,
}

impl Names {
    /// The names in a directory, which is `itself` in findings.
    pub fn of(directory: BorrowedFd<'_>, itself: &str) -> io::Result<Names> {
        // The copy shares its offset with the original: begin at the beginning whatever was read before.
        nix::unistd::lseek(directory, 0, nix::unistd::Whence::SeekSet)?;
        let mut listing = Dir::from_fd(directory.try_clone_to_owned()?)?;
        let mut names = Names::default();
        let mut left_out = 0usize;
        for entry in listing.iter() {
            let entry = entry?;
            names.links |= entry.file_type() == Some(nix::dir::Type::Symlink);
            let raw = entry.file_name().to_bytes();
            match std::str::from_utf8(raw) {
                Ok(name) if !is_job_file(name) => {}
                Ok(name) if !name.chars().any(char::is_control) => {
                    names.files.insert(name.to_owned());
                    if names.files.len() > MAX_FILES {
                        names.files.pop_last();
                        left_out += 1;
                    }
                }
                _ => {
                    let shown = raw.escape_ascii().to_string();
                    let counts = is_job_file(&String::from_utf8_lossy(raw));
                    if counts && names.findings.len() < 100 {
                        let message = format!("file '{shown}' was not read: its name holds bytes that no one can type");
                        names.findings.push(Finding::error("bad-file-name", itself, message).hint("rename it"));
                    }
                }
            }
        }
        if left_out > 0 {
            let message = format!("{left_out} files are left out: at most {MAX_FILES} are read");
            names.findings.push(Finding::error("too-many-files", itself, message));
        }
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b21_names_that_count() {
        for name in ["a.yaml", "a.yml", "mysql-monitor-20000-%40every%2010s.yaml", "a.bak.yaml"] {
            assert!(is_job_file(name), "{name}");
        }
        for name in [
            ".yaml",
            ".a.yaml",
            "a.yaml~",
            "a.yaml.bak",
            "a.yaml.dpkg-new",
            "a.yaml.rpmnew",
            "a.yaml.rpmsave",
            ".a.yaml.swp",
            "#a.yaml#",
            ".#a.yaml",
            "a.env",
            "yaml",
            "a.YAML.txt",
        ] {
            assert!(!is_job_file(name), "{name}");
        }
    }
}
