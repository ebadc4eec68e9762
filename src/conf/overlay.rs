//! What is defined in memory alone (`permanent: false`), kept for as long as the daemon lives: an engine that is replaced finds
//! it again in a file of the state directory, the next daemon throws it away.
//!
//! The file is a line a change, so that a change costs one line however much is held; a line that was cut off by a dying
//! engine was never answered and is passed over.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::names::MAX_FILES;
use crate::job::JobName;

/// Most bytes of text that are held.
const MAX_BYTES: usize = 16 << 20;
/// Most bytes of the file that are read.
const MAX_READ: u64 = 256 << 20;
/// Lines beyond those that are needed before the file is written anew.
const SPARE: usize = 1_000;

/// The overlay.
#[derive(Debug)]
pub(super) struct Overlay {
    file: PathBuf,
    started: Timestamp,
    held: BTreeMap<JobName, Laid>,
    /// Of the texts held.
    bytes: usize,
    /// In the file.
    lines: usize,
}

/// A definition in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Laid {
    /// It stands since then.
    pub since: Timestamp,
    /// YAML of a job file; absent: the job is taken away.
    pub text: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Head {
    started: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Line {
    name: JobName,
    laid: Option<Laid>,
}

impl Overlay {
    /// What an engine before has left in `state_dir`, where the daemon is still the one that was started then.
    pub fn restore(state_dir: &Path, started: Timestamp) -> Overlay {
        let file = state_dir.join("overlay.jsonl");
        let mut overlay = Overlay { file, started, held: BTreeMap::new(), bytes: 0, lines: 0 };
        match overlay.read() {
            Ok(true) => {}
            Ok(false) => overlay.say(std::fs::remove_file(&overlay.file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => overlay.say(Err(error)),
        }
        if overlay.lines > 0 {
            // A line that was cut off must not spoil the one that comes after it.
            overlay.say(overlay.rewrite());
        }
        overlay
    }

    /// Names and definitions.
    pub fn iter(&self) -> impl Iterator<Item = (&JobName, &Laid)> {
        self.held.iter()
    }

    /// What is defined of a job.
    pub fn get(&self, name: &JobName) -> Option<&Laid> {
        self.held.get(name)
    }

    /// There is room for a text.
    pub fn has_room(&self, name: &JobName, text: &str) -> bool {
        let known = self.held.contains_key(name);
        (known || self.held.len() < MAX_FILES) && self.bytes + text.len() <= MAX_BYTES
    }

    /// Defines a job, or no longer. Waits for the disk; where that fails the definition holds all the same, but no engine
    /// after this one will know it.
    pub fn set(&mut self, name: &JobName, laid: Option<Laid>) {
        if laid.is_none() && !self.held.contains_key(name) {
            return;
        }
        let line = Line { name: name.clone(), laid: laid.clone() };
        self.put(name.clone(), laid);
        let written = if self.lines == 0 || self.lines > 2 * self.held.len() + SPARE {
            self.rewrite().map(|()| self.lines = self.held.len() + 1)
        } else {
            self.append(&line).map(|()| self.lines += 1)
        };
        if written.is_err() {
            // The next one writes all of it.
            self.lines = 0;
        }
        self.say(written);
    }

    /// Forgets everything, and says what it was.
    pub fn clear(&mut self) -> Vec<JobName> {
        let names = std::mem::take(&mut self.held).into_keys().collect();
        (self.bytes, self.lines) = (0, 0);
        match std::fs::remove_file(&self.file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => self.say(removed),
        }
        names
    }

    fn put(&mut self, name: JobName, laid: Option<Laid>) {
        let size = |laid: &Laid| laid.text.as_ref().map_or(0, String::len);
        self.bytes += laid.as_ref().map_or(0, size);
        let old = match laid {
            Some(laid) => self.held.insert(name, laid),
            None => self.held.remove(&name),
        };
        self.bytes -= old.as_ref().map_or(0, size);
    }

    /// `false`: the file is of another daemon.
    fn read(&mut self) -> io::Result<bool> {
        let mut lines = BufReader::new(File::open(&self.file)?.take(MAX_READ)).lines();
        let head: Option<Head> = lines.next().transpose()?.and_then(|line| serde_json::from_str(&line).ok());
        if head.is_none_or(|head| head.started != self.started) {
            return Ok(false);
        }
        self.lines = 1;
        for line in lines {
            self.lines += 1;
            if let Ok(Line { name, laid }) = serde_json::from_str(&line?) {
                self.put(name, laid);
            }
        }
        Ok(true)
    }

    fn append(&self, line: &Line) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        OpenOptions::new().append(true).open(&self.file)?.write_all(&text)
    }

    fn rewrite(&self) -> io::Result<()> {
        let fresh = self.file.with_extension("new");
        let mut text = serde_json::to_vec(&Head { started: self.started })?;
        text.push(b'\n');
        for (name, laid) in &self.held {
            serde_json::to_writer(&mut text, &Line { name: name.clone(), laid: Some(laid.clone()) })?;
            text.push(b'\n');
        }
        // It need not outlive the machine: no fsync.
        std::fs::write(&fresh, text)?;
        std::fs::rename(&fresh, &self.file)
    }

    fn say(&self, done: io::Result<()>) {
        if let Err(error) = done {
            let file = self.file.display();
            tracing::error!(code = "state", "{file}: changes in memory may be lost with the engine: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: usize) -> JobName {
        JobName::parse(&format!("job{number}")).unwrap()
    }

    fn laid(text: &str) -> Option<Laid> {
        Some(Laid { since: Timestamp::UNIX_EPOCH, text: Some(text.into()) })
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn an_engine_finds_what_the_one_before_held_and_a_daemon_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let mut overlay = Overlay::restore(dir.path(), at(1));
        overlay.set(&name(1), laid("a: 1\nb: 2\n"));
        overlay.set(&name(2), Some(Laid { since: at(5), text: None }));
        overlay.set(&name(3), laid("x"));
        overlay.set(&name(3), None);
        overlay.set(&name(4), None);
        let again = Overlay::restore(dir.path(), at(1));
        assert_eq!(again.held, overlay.held);
        assert_eq!((again.held.len(), again.bytes), (2, 10));
        assert!(Overlay::restore(dir.path(), at(2)).held.is_empty());
        assert!(Overlay::restore(dir.path(), at(1)).held.is_empty(), "gone for good");
    }

    #[test]
    fn a_line_that_was_cut_off_spoils_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut overlay = Overlay::restore(dir.path(), at(1));
        overlay.set(&name(1), laid("a"));
        overlay.set(&name(2), laid("b"));
        let file = dir.path().join("overlay.jsonl");
        let text = std::fs::read(&file).unwrap();
        std::fs::write(&file, &text[..text.len() - 5]).unwrap();
        let mut again = Overlay::restore(dir.path(), at(1));
        assert_eq!(again.held.keys().collect::<Vec<_>>(), [&name(1)]);
        again.set(&name(3), laid("c"));
        assert_eq!(Overlay::restore(dir.path(), at(1)).held.len(), 2);
    }

    #[test]
    fn the_file_stays_small() {
        let dir = tempfile::tempdir().unwrap();
        let mut overlay = Overlay::restore(dir.path(), at(1));
        for number in 0..2 * SPARE {
            overlay.set(&name(number % 2), laid(&number.to_string()));
        }
        let lines = std::fs::read_to_string(dir.path().join("overlay.jsonl")).unwrap().lines().count();
        assert!(lines < SPARE + 10, "{lines}");
        assert_eq!(Overlay::restore(dir.path(), at(1)).held, overlay.held);
    }

    #[test]
    fn texts_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let mut overlay = Overlay::restore(dir.path(), at(1));
        let text = "x".repeat(MAX_BYTES - 10);
        assert!(overlay.has_room(&name(1), &text));
        overlay.set(&name(1), laid(&text));
        assert!(!overlay.has_room(&name(2), "more than ten bytes"));
        assert_eq!(overlay.clear(), [name(1)]);
        assert!(overlay.has_room(&name(2), &text));
    }
}
