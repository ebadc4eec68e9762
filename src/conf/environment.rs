//! Environment files: `KEY=VALUE` lines, as systemd reads them but without its line continuation. They hold passwords, so
//! no finding quotes them.

#![expect(clippy::result_large_err, reason = "a finding is made once per broken file, never in a loop that counts")]

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::stat::fstat;

use super::open::{Opener, open_absolute, open_in, read_all};
use super::trust::{Trust, What};
use super::yaml::MAX_FILE;
use crate::job::file::{MAX_ENVIRONMENT, variable_name};
use crate::job::{Finding, Place};
use crate::wire::{DirectoryPlace, FilePlace};

/// Reads the environment file of a job. A relative `path` is a name in `conf.d`; an absolute one is opened with the rights
/// of this process. Both must be what a job file must be: regular, root's or our own, writable by nobody else.
pub fn read_environment_file(
    opener: &impl Opener,
    trust: &Trust,
    path: &Path,
) -> Result<Vec<(String, String)>, Finding> {
    let shown = path.display().to_string();
    let failed = |error: std::io::Error| {
        Finding::error("environment-file", &shown, format!("the environment file cannot be read: {error}"))
    };
    let file = open(opener, path).map_err(failed)?;
    let stat = fstat(file.as_fd()).map_err(|errno| failed(errno.into()))?;
    trust.judge(What::File, &stat).map_err(|why| {
        Finding::error(why.code, &shown, format!("the environment file is refused: {}", why.message)).hint(why.hint)
    })?;
    let (bytes, _, _) = read_all(file, MAX_FILE).map_err(failed)?;
    parse_environment(&shown, &bytes)
}

fn open(opener: &impl Opener, path: &Path) -> std::io::Result<OwnedFd> {
    if path.is_absolute() {
        return Ok(open_absolute(path)?);
    }
    let name = path.to_str().ok_or(Errno::EINVAL)?;
    match open_in(opener.directory(DirectoryPlace::ConfD)?.file.as_fd(), name) {
        Err(Errno::EACCES) => Ok(opener.file(&FilePlace::ConfD(name.to_owned()))?.file),
        other => Ok(other?),
    }
}

/// The lines of an environment file. Blank lines and those that begin with `#` or `;` are nothing; a value may stand in
/// single quotes (taken as it is) or double quotes (`\"`, `\\`, `` \` `` and `\$` are the bare characters); the last of a
/// repeated name counts; nothing is expanded.
pub fn parse_environment(file: &str, bytes: &[u8]) -> Result<Vec<(String, String)>, Finding> {
    if bytes.len() > MAX_FILE {
        return Err(super::yaml::too_large(file));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Finding::error("not-utf8", file, "the file is not UTF-8"))?;
    let mut pairs = BTreeMap::new();
    for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let wrong = |why: &str| {
            let place = Place { line: number + 1, column: 1, snippet: String::new() };
            Finding::error("environment-file", file, why).at(Some(place))
        };
        let (name, value) = line.split_once('=').ok_or_else(|| wrong("a line is written KEY=VALUE"))?;
        if variable_name(name).is_err() {
            return Err(wrong("this is no variable name: letters, digits and '_', no blank before '='"));
        }
        let value = unquote(value).ok_or_else(|| wrong("a quote is not closed, or text follows it"))?;
        if value.contains('\0') {
            return Err(wrong("a NUL character"));
        }
        pairs.insert(name.to_owned(), value);
    }
    if pairs.iter().map(|(name, value): (&String, &String)| name.len() + value.len() + 2).sum::<usize>()
        > MAX_ENVIRONMENT
    {
        let message = format!("an environment has at most {} KiB", MAX_ENVIRONMENT >> 10);
        return Err(Finding::error("too-large", file, message));
    }
    Ok(pairs.into_iter().collect())
}

fn unquote(value: &str) -> Option<String> {
    if let Some(inner) = value.strip_prefix('\'') {
        return inner.strip_suffix('\'').filter(|inner| !inner.contains('\'')).map(str::to_owned);
    }
    let Some(inner) = value.strip_prefix('"') else { return Some(value.trim().to_owned()) };
    let mut plain = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return chars.as_str().is_empty().then_some(plain),
            '\\' => match chars.next()? {
                escaped @ ('"' | '\\' | '`' | '$') => plain.push(escaped),
                other => plain.extend(['\\', other]),
            },
            c => plain.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_quotes() {
        let text = "# c\n; c\n\nA=1\nB = no\n";
        let finding = parse_environment("x.env", text.as_bytes()).unwrap_err();
        assert_eq!(finding.place.unwrap().line, 5);
        let text = "A=1\r\nB=\"a \\\"b\\\" \\n $HOME\"\nC='x \"y'\nA=2 \nEMPTY=\n";
        let pairs = parse_environment("x.env", text.as_bytes()).unwrap();
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(pairs, [("A", "2"), ("B", "a \"b\" \\n $HOME"), ("C", "x \"y"), ("EMPTY", "")]);
    }

    #[test]
    fn b28_no_finding_quotes_a_secret() {
        for text in ["hunter2", "PASS='hunter2", "1PASS=hunter2", "PASS=\"hunter2\" x"] {
            let finding = parse_environment("x.env", text.as_bytes()).unwrap_err();
            assert!(!format!("{finding:?}").contains("hunter2"), "{finding}");
        }
    }
}
