//! Which definition makes which job: the pure half of reading, and the one place that decides.
//!
//! A job may be defined in memory alone (the overlay), by a file of `conf.d`, and by an item of `jobs_config`; of several the
//! first in this order makes it. Definitions come and go one by one; what that means for the jobs is told in one piece by
//! [`Directory::settle`]. Its rules:
//! - A file or item that breaks keeps its last good definition; one that is gone loses it. Broken is not deleted.
//! - Of two files with the same job name the first by name (byte order) makes the job, the other is told so; the same holds
//!   for an item of `jobs_config` behind a file. When the first goes, the other takes over. The overlay wins without a word.
//! - The same text is the same definition, however often it is saved, as long as its time zone has the same rules.
//! - What takes over is responsible from then on: it makes up for nothing.
//! - One file costs `O(log n)`, and a batch tells its net effect only: a rename is no retirement.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

use super::jobs_config::Item;
use crate::engine::FileView;
use crate::job::{Armed, Finding, Job, JobName};
use crate::wire::FilePlace;

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

/// Where a definition comes from. What comes first wins.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Memory alone: `permanent: false`.
    Memory(JobName),
    /// A file of `conf.d`.
    File(String),
    /// An item of `jobs_config`.
    Item(JobName),
}

/// Everything that defines jobs, and the jobs that come of it.
#[derive(Debug, Default)]
pub struct Directory {
    sources: BTreeMap<Origin, Source>,
    /// Of each job name the sources that have a say; the first decides.
    claims: HashMap<JobName, Claims>,
    /// Files of `conf.d` known.
    files: usize,
    /// What `jobs_config` is called, and what it has to say besides its items.
    jobs_config: (String, Vec<Finding>),
    /// What was told of each file that has something to say.
    told: BTreeMap<String, FileView>,
    /// Jobs touched since the last settling, as they stood then.
    touched: BTreeMap<JobName, Option<Stand>>,
    /// Sources that were read since.
    read: BTreeSet<Origin>,
    /// Jobs whose definition in memory was dropped since.
    bared: BTreeSet<JobName>,
    /// Files of which something new may be to be said.
    looked: BTreeSet<String>,
    following: after::Following,
}

#[derive(Debug, Default)]
struct Source {
    /// Last good definition. In memory there may be none: the job is taken away.
    good: Option<Armed>,
    broken: bool,
    findings: Vec<Finding>,
    /// Place among the items of `jobs_config`.
    index: usize,
}

/// Sources in their order. Mostly one: a set of a tree would take ten times the memory.
#[derive(Debug, Default)]
struct Claims(Vec<Origin>);

impl Claims {
    fn insert(&mut self, origin: Origin) {
        if let Err(at) = self.0.binary_search(&origin) {
            self.0.reserve_exact(1);
            self.0.insert(at, origin);
        }
    }

    fn remove(&mut self, origin: &Origin) {
        self.0.retain(|claim| claim != origin);
    }
}

/// Which definition a job has.
#[derive(Debug)]
struct Stand {
    origin: Origin,
    armed: Armed,
    broken: bool,
}

impl Directory {
    /// Files of `conf.d` known.
    pub fn len(&self) -> usize {
        self.files
    }

    /// No file of `conf.d` is known.
    pub fn is_empty(&self) -> bool {
        self.files == 0
    }

    /// The file of `conf.d` is known.
    pub fn contains(&self, file: &str) -> bool {
        self.sources.contains_key(&Origin::File(file.to_owned()))
    }

    /// There are items of `jobs_config`.
    pub fn has_items(&self) -> bool {
        self.sources.keys().next_back().is_some_and(|last| matches!(last, Origin::Item(_)))
    }

    /// Names of all files of `conf.d`, in their order.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.sources.keys().filter_map(|origin| match origin {
            Origin::File(name) => Some(name.as_str()),
            Origin::Memory(_) | Origin::Item(_) => None,
        })
    }

    /// A file is there, and this came of reading it.
    pub fn upsert(&mut self, name: &str, reading: Reading) {
        self.place(Origin::File(name.to_owned()), reading, 0);
    }

    /// A file is gone.
    pub fn remove(&mut self, name: &str) {
        self.drop_source(&Origin::File(name.to_owned()));
    }

    /// `jobs_config` was read; `None`: nothing can be known of its items, which stay as they are. While an item has no name
    /// that can be read, items that are missing may be that one, and stay, too.
    pub fn set_jobs_config(&mut self, label: &str, items: Option<Vec<Item>>, mut findings: Vec<Finding>) {
        self.looked.insert(label.to_owned());
        label.clone_into(&mut self.jobs_config.0);
        if let Some(items) = items {
            let nameless = items.iter().any(|item| item.name.is_none());
            let names: BTreeSet<&JobName> = items.iter().filter_map(|item| item.name.as_ref()).collect();
            let missing = |origin: &&Origin| matches!(origin, Origin::Item(name) if !names.contains(name));
            let missing: Vec<Origin> = self.sources.keys().filter(missing).cloned().collect();
            for origin in missing {
                match nameless {
                    true => self.place(origin, Reading::Broken(Vec::new()), usize::MAX),
                    false => self.drop_source(&origin),
                }
            }
            for (index, Item { name, reading }) in items.into_iter().enumerate() {
                match (name, reading) {
                    (Some(name), reading) => self.place(Origin::Item(name), reading, index),
                    (None, Reading::Broken(broken)) => findings.extend(broken),
                    (None, Reading::Good { warnings, .. }) => findings.extend(warnings),
                }
            }
        }
        self.jobs_config.1 = findings;
    }

    /// A job has a definition in memory from now on, `None`: it is taken away.
    pub fn lay_over(&mut self, name: &JobName, armed: Option<Armed>) {
        let origin = Origin::Memory(name.clone());
        self.touch_job(name);
        self.take(&origin);
        self.claims.entry(name.clone()).or_default().insert(origin.clone());
        self.read.insert(origin.clone());
        self.sources.insert(origin, Source { good: armed, ..Source::default() });
    }

    /// A job has none in memory any more.
    pub fn lay_bare(&mut self, name: &JobName) {
        self.bared.insert(name.clone());
        self.drop_source(&Origin::Memory(name.clone()));
    }

    /// The definition of a job now.
    pub fn definition(&self, job: &JobName) -> Option<&Armed> {
        self.stand_of(job).map(|(_, armed, _)| armed)
    }

    /// The job has a definition in memory, or is taken away there.
    pub fn is_laid_over(&self, job: &JobName) -> bool {
        self.sources.contains_key(&Origin::Memory(job.clone()))
    }

    /// The file that makes the job, or would if it were not for memory.
    pub fn written(&self, job: &JobName) -> Option<FilePlace> {
        match self.written_origin(job)? {
            Origin::File(name) => Some(FilePlace::ConfD(name.clone())),
            Origin::Item(_) | Origin::Memory(_) => Some(FilePlace::JobsConfig),
        }
    }

    /// The job that a file of `conf.d` defines.
    pub fn job_of(&self, file: &str) -> Option<&JobName> {
        let source = self.sources.get(&Origin::File(file.to_owned()))?;
        source.good.as_ref().map(|good| &good.job.name)
    }

    /// A source was read.
    fn place(&mut self, origin: Origin, reading: Reading, index: usize) {
        self.touch(&origin);
        let Source { good, .. } = self.take(&origin);
        let source = match reading {
            Reading::Broken(findings) => Source { good, broken: true, findings, index },
            Reading::Good { job, since, warnings } => {
                let same = good.filter(|old| old.job.says_the_same(&job));
                let good = same.unwrap_or_else(|| Armed { job: Arc::new(*job), since });
                Source { good: Some(good), broken: false, findings: warnings, index }
            }
        };
        if let Some(good) = &source.good {
            let job = good.job.name.clone();
            self.touch_job(&job);
            self.claims.entry(job).or_default().insert(origin.clone());
        }
        self.files += usize::from(matches!(origin, Origin::File(_)));
        self.read.insert(origin.clone());
        self.sources.insert(origin, source);
    }

    fn drop_source(&mut self, origin: &Origin) {
        self.touch(origin);
        self.take(origin);
    }

    /// Takes a source out, with its claim.
    fn take(&mut self, origin: &Origin) -> Source {
        let Some(source) = self.sources.remove(origin) else { return Source::default() };
        self.files -= usize::from(matches!(origin, Origin::File(_)));
        if let Some(job) = name_of(origin, &source).cloned()
            && let Some(claims) = self.claims.get_mut(&job)
        {
            claims.remove(origin);
            if claims.0.is_empty() {
                self.claims.remove(&job);
            }
        }
        source
    }

    /// Remembers how the source's job stands before it changes.
    fn touch(&mut self, origin: &Origin) {
        self.looked.extend(self.label(origin));
        if let Some(job) = self.sources.get(origin).and_then(|source| name_of(origin, source)).cloned() {
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
        let (origin, armed, broken) = self.stand_of(job)?;
        Some(Stand { origin: origin.clone(), armed: armed.clone(), broken })
    }

    fn stand_of(&self, job: &JobName) -> Option<(&Origin, &Armed, bool)> {
        let origin = self.claims.get(job)?.0.first()?;
        let source = self.sources.get(origin)?;
        Some((origin, source.good.as_ref()?, source.broken))
    }

    fn written_origin(&self, job: &JobName) -> Option<&Origin> {
        self.claims.get(job)?.0.iter().find(|origin| !matches!(origin, Origin::Memory(_)))
    }

    /// The file under which a source's findings are told.
    fn label(&self, origin: &Origin) -> Option<String> {
        match origin {
            Origin::Memory(_) => None,
            Origin::File(name) => Some(name.clone()),
            Origin::Item(_) => Some(self.jobs_config.0.clone()),
        }
    }
}

/// The job that a source has a say in.
fn name_of<'a>(origin: &'a Origin, source: &'a Source) -> Option<&'a JobName> {
    match origin {
        Origin::Memory(name) => Some(name),
        Origin::File(_) | Origin::Item(_) => source.good.as_ref().map(|good| &good.job.name),
    }
}

mod after;
mod settle;
#[cfg(test)]
mod tests;
