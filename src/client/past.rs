//! What was: the history, and why.

use hyper::Method;
use jiff::Timestamp;

use super::{Client, Error, job_path, own, query};
use crate::engine::RunInFull;
use crate::history::{EntryView, PageView, PastRunView, PastSlotView};
use crate::why::WhyView;
use crate::wire::RunId;

/// Which part of the history is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// From this instant on.
    pub since: Option<Timestamp>,
    /// Before this instant.
    pub until: Option<Timestamp>,
    /// Only runs that failed, timed out, could not start or were lost, and missed slots.
    pub failed: bool,
    /// The newest so many, 1000 at most; absent: 100.
    pub limit: Option<usize>,
    /// Older ones than those of a page: its `next`.
    pub before: Option<String>,
}

impl Part {
    fn query(&self) -> String {
        query(&[
            ("since", self.since.map(|since| since.to_string())),
            ("until", self.until.map(|until| until.to_string())),
            ("failed", self.failed.then(|| "1".to_owned())),
            ("limit", self.limit.map(|limit| limit.to_string())),
            ("before", self.before.clone()),
        ])
    }

    fn path(&self, job: Option<&str>, what: &str) -> String {
        match job {
            Some(job) => job_path(job, &format!("/{what}{}", self.query())),
            None => format!("/{what}{}", self.query()),
        }
    }
}

/// Where to ask why, below the base.
pub fn why_path(job: &str, at: Option<Timestamp>) -> String {
    job_path(job, &format!("/why{}", query(&[("at", at.map(|at| at.to_string()))])))
}

/// Where no history can be asked, the error is `no-history`, and says why.
impl Client {
    /// What became of slots and requests, newest first: of a job, or of all.
    ///
    /// # Errors
    /// `no-history`, `bad-query`.
    pub fn history(&self, job: Option<&str>, part: &Part) -> Result<PageView<EntryView>, Error> {
        self.get(&part.path(job, "history"))
    }

    /// The same, as the daemon wrote it.
    ///
    /// # Errors
    /// As of [`Client::history`].
    pub fn history_text(&self, job: Option<&str>, part: &Part) -> Result<String, Error> {
        self.text(own(Method::GET, &part.path(job, "history")))
    }

    /// The verdicts on a job's slots, newest first.
    ///
    /// # Errors
    /// `no-history`, `bad-query`.
    pub fn slots(&self, job: &str, part: &Part) -> Result<PageView<PastSlotView>, Error> {
        self.get(&part.path(Some(job), "slots"))
    }

    /// The runs of a job that are over, newest first.
    ///
    /// # Errors
    /// `no-history`, `bad-query`.
    pub fn past_runs(&self, job: &str, part: &Part) -> Result<PageView<PastRunView>, Error> {
        self.get(&part.path(Some(job), "runs"))
    }

    /// A run with its attempts, for as long as engine or history know it.
    ///
    /// # Errors
    /// `no-such-run`.
    pub fn run_in_full(&self, run: RunId) -> Result<RunInFull, Error> {
        self.get(&format!("/runs/{run}"))
    }

    /// Why a job ran at an instant, or did not; where none is given, at its newest slot.
    ///
    /// # Errors
    /// `no-such-job`, where the history does not know it either.
    pub fn why(&self, job: &str, at: Option<Timestamp>) -> Result<WhyView, Error> {
        self.get(&why_path(job, at))
    }
}
