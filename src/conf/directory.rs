//! Which file makes which job: the pure half of reading a directory.
//!
//! Files come and go one by one; what that means for the jobs is told in one piece by [`Directory::settle`]. Its rules:
//! - A file that breaks keeps its last good definition; a file that is gone loses it. Broken is not deleted.
//! - Two files with the same job name: the first by name (byte order) makes the job, the other is told so. When the first
//!   goes, the other takes over.
//! - The same text is the same definition, however often it is saved, as long as its time zone has the same rules.
//! - One file costs `O(log n)`, and a batch tells its net effect only: a rename is no retirement.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

use crate::engine::FileView;
use crate::job::{Armed, Finding, Job, JobName};

/// What came of reading a file.
#[derive(Debug)]
pub enum Reading {
    /// A job.
    Good {
        /// It.
        job: Box<Job>,
        /// When the file was last changed, never in the future.
        since: Timestamp,
        /// What is doubtful.
        warnings: Vec<Finding>,
    },
    /// None. The last good definition stays.
    Broken(Vec<Finding>),
}

/// What has changed for a job.
#[derive(Debug, Clone)]
pub enum Change {
    /// The job is new or has a new definition, from a file that is not broken.
    Armed(Armed),
    /// The definition stays; the file it came from is broken since (`true`), or is good again with the same text. After an
    /// [`Change::Armed`] it tells that the file that has taken over is broken.
    Broken(JobName, bool),
    /// No file makes the job any more.
    Retired(JobName),
}

/// All files of the directory and the jobs they make.
#[derive(Debug, Default)]
pub struct Directory {
    files: BTreeMap<String, File>,
    /// Of each job name the files that would make it; the first does.
    claims: HashMap<JobName, BTreeSet<String>>,
    /// What was told of each file that has something to say.
    told: BTreeMap<String, FileView>,
    /// Jobs touched since the last settling, as they stood then.
    touched: BTreeMap<JobName, Option<Stand>>,
    /// Files touched since.
    looked: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct File {
    /// Last good definition.
    good: Option<Armed>,
    broken: bool,
    findings: Vec<Finding>,
}

/// Which definition a job has.
#[derive(Debug)]
struct Stand {
    file: String,
    job: Arc<Job>,
    broken: bool,
}

impl Directory {
    /// Files known.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// No file is known.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The file is known.
    pub fn contains(&self, file: &str) -> bool {
        self.files.contains_key(file)
    }

    /// Names of all files, in their order.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// A file is there, and this came of reading it.
    pub fn upsert(&mut self, name: &str, reading: Reading) {
        self.touch(name);
        let File { good, findings: _, broken: _ } = self.take(name);
        let file = match reading {
            Reading::Broken(findings) => File { good, broken: true, findings },
            Reading::Good { job, since, warnings } => {
                let same = good.filter(|old| old.job.says_the_same(&job));
                let good = same.unwrap_or_else(|| Armed { job: Arc::new(*job), since });
                File { good: Some(good), broken: false, findings: warnings }
            }
        };
        if let Some(good) = &file.good {
            let job = good.job.name.clone();
            self.touch_job(&job);
            self.claims.entry(job).or_default().insert(name.to_owned());
        }
        self.files.insert(name.to_owned(), file);
    }

    /// A file is gone.
    pub fn remove(&mut self, name: &str) {
        self.touch(name);
        self.take(name);
    }

    /// What all that has come to since the last call: jobs that changed, and files whose findings changed (`None`: nothing
    /// to say any more).
    pub fn settle(&mut self) -> (Vec<Change>, Vec<(String, Option<FileView>)>) {
        let mut changes = Vec::new();
        for (job, before) in std::mem::take(&mut self.touched) {
            let now = self.stand(&job);
            let moved = before.as_ref().map(|stand| &stand.file) != now.as_ref().map(|stand| &stand.file);
            if moved && let Some(claims) = self.claims.get(&job) {
                self.looked.extend(claims.iter().cloned());
            }
            match (before, now) {
                (None, None) => {}
                (Some(_), None) => changes.push(Change::Retired(job)),
                (Some(before), Some(now)) if before.file == now.file && before.job.says_the_same(&now.job) => {
                    if before.broken != now.broken {
                        changes.push(Change::Broken(job, now.broken));
                    }
                }
                (_, Some(now)) => {
                    changes.extend(self.files.get(&now.file).and_then(|file| file.good.clone()).map(Change::Armed));
                    changes.extend(now.broken.then(|| Change::Broken(job, true)));
                }
            }
        }
        let mut views = Vec::new();
        for name in std::mem::take(&mut self.looked) {
            let view = self.view(&name);
            if view.as_ref() == self.told.get(&name) {
                continue;
            }
            match &view {
                Some(view) => self.told.insert(name.clone(), view.clone()),
                None => self.told.remove(&name),
            };
            views.push((name, view));
        }
        (changes, views)
    }

    /// Takes a file out, with its claim.
    fn take(&mut self, name: &str) -> File {
        let file = self.files.remove(name).unwrap_or_default();
        if let Some(good) = &file.good
            && let Some(claims) = self.claims.get_mut(&good.job.name)
        {
            claims.remove(name);
            if claims.is_empty() {
                self.claims.remove(&good.job.name);
            }
        }
        file
    }

    /// Remembers how the file's job stands before it changes.
    fn touch(&mut self, name: &str) {
        self.looked.insert(name.to_owned());
        if let Some(job) = self.files.get(name).and_then(|file| file.good.as_ref()).map(|good| good.job.name.clone()) {
            self.touch_job(&job);
        }
    }

    fn touch_job(&mut self, job: &JobName) {
        if !self.touched.contains_key(job) {
            let stand = self.stand(job);
            self.touched.insert(job.clone(), stand);
        }
    }

    fn stand(&self, job: &JobName) -> Option<Stand> {
        let name = self.claims.get(job)?.first()?;
        let file = self.files.get(name)?;
        Some(Stand { file: name.clone(), job: Arc::clone(&file.good.as_ref()?.job), broken: file.broken })
    }

    /// What a file has to say.
    fn view(&self, name: &str) -> Option<FileView> {
        let file = self.files.get(name)?;
        let mut findings = file.findings.clone();
        let mut job = file.good.as_ref().map(|good| good.job.name.clone());
        if let Some(claimed) = &job
            && let Some(first) = self.claims.get(claimed).and_then(BTreeSet::first).filter(|first| *first != name)
        {
            let message = format!("job '{claimed}' is already made by file '{}'", first.escape_debug());
            let finding = Finding::error("duplicate-name", name, message);
            findings.push(finding.hint("give one of them another name, or take one of the files away"));
            job = None;
        }
        (!findings.is_empty()).then(|| FileView { file: name.to_owned(), job, findings })
    }
}

#[cfg(test)]
mod tests;
