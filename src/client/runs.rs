//! Runs: starting and stopping them, and what they print.

use hyper::Method;
use serde::Deserialize;

use super::{Client, Error, Kind, Records, job_path, own, query};
use crate::engine::RunView;
use crate::wire::RunId;

/// How much of an output is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Output {
    /// Go on with what is printed from now on: of a job for ever, of a run until it is over.
    pub follow: bool,
    /// Of each run, begin with at most so many lines; absent: with all that are kept.
    pub lines: Option<usize>,
    /// Of one run alone, begin with this line, counted from 1; then `lines` counts from there.
    pub from: Option<u64>,
}

impl Output {
    fn query(self, runs: Option<usize>) -> String {
        query(&[
            ("follow", self.follow.then(|| "1".to_owned())),
            ("runs", runs.map(|runs| runs.to_string())),
            ("lines", self.lines.map(|lines| lines.to_string())),
            ("from", self.from.map(|from| from.to_string())),
        ])
    }
}

#[derive(Deserialize)]
struct Started {
    run: String,
}

#[derive(Deserialize)]
struct Stopping {
    stopping: Vec<String>,
}

impl Client {
    /// Runs a job now, by its overlap rule. The new run's id.
    ///
    /// # Errors
    /// `no-such-job`, `overlap`, `limit`, `stopping`.
    pub fn start(&self, name: &str) -> Result<RunId, Error> {
        self.post::<Started>(&job_path(name, "/run")).and_then(|started| id(&started.run))
    }

    /// The same, with the run's output from its first byte to its end. The first record tells the run's id.
    ///
    /// # Errors
    /// As of [`Client::start`].
    pub fn start_and_follow(&self, name: &str) -> Result<Records<'_>, Error> {
        self.records(own(Method::POST, &job_path(name, "/run?follow=1")))
    }

    /// Stops every run of a job, and drops what waits in its queue. The runs that are being stopped.
    ///
    /// # Errors
    /// `no-such-job`.
    pub fn stop_job(&self, name: &str) -> Result<Vec<RunId>, Error> {
        self.stopping(&job_path(name, "/stop"))
    }

    /// What the last `runs` runs of a job printed, oldest first; 0: none, only what comes.
    ///
    /// # Errors
    /// `no-such-job`.
    pub fn job_output(&self, name: &str, runs: usize, output: Output) -> Result<Records<'_>, Error> {
        let runs = (runs != 1).then_some(runs);
        self.records(own(
            Method::GET,
            &job_path(name, &format!("/output{}", Output { from: None, ..output }.query(runs))),
        ))
    }

    /// One run, going on or remembered.
    ///
    /// # Errors
    /// `no-such-run`.
    pub fn run(&self, run: RunId) -> Result<RunView, Error> {
        self.get(&format!("/runs/{run}"))
    }

    /// Stops one run. Empty: it was over.
    ///
    /// # Errors
    /// `no-such-run`.
    pub fn stop_run(&self, run: RunId) -> Result<Vec<RunId>, Error> {
        self.stopping(&format!("/runs/{run}/stop"))
    }

    /// What a run printed.
    ///
    /// # Errors
    /// `no-such-run`.
    pub fn run_output(&self, run: RunId, output: Output) -> Result<Records<'_>, Error> {
        self.records(own(Method::GET, &format!("/runs/{run}/output{}", output.query(None))))
    }

    fn stopping(&self, path: &str) -> Result<Vec<RunId>, Error> {
        self.post::<Stopping>(path)?.stopping.iter().map(|run| id(run)).collect()
    }
}

fn id(text: &str) -> Result<RunId, Error> {
    RunId::parse(text).ok_or_else(|| Error::new(Kind::NotUnderstood, "the daemon's answer has no id of a run"))
}
