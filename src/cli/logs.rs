//! `rota logs [NAME|RUN]`: what jobs printed, as it was printed; with `--follow`, what they print from now on.

use jiff::Timestamp;

use clap_complete::engine::ArgValueCandidates;

use super::client::{Client, Records};
use super::socket::Place;
use super::stop::job_or_run;
use super::term::{Colour, Term, complain, print};
use super::{Error, Exit, completions, outcome, when};
use crate::api::record::{LineRecord, Record};
use crate::api::route::percent_encode;
use crate::engine::JobView;
use crate::job::JobName;

/// Arguments of `rota logs`.
#[derive(Debug, clap::Args)]
pub struct Logs {
    /// A job (its last run), or the id of a run; without it, the last run of every job
    #[arg(value_name = "NAME|RUN", add = ArgValueCandidates::new(completions::jobs))]
    subject: Option<String>,
    /// Go on with what is printed from now on: by every run of the job, or by the run until it is over
    #[arg(long, short, requires = "subject")]
    follow: bool,
    /// Begin with at most so many lines
    #[arg(long, short = 'n', value_name = "LINES")]
    lines: Option<usize>,
    /// Lead each line by the time at which it was read
    #[arg(long, short)]
    timestamps: bool,
    /// Print the daemon's records as JSON, one a line
    #[arg(long)]
    json: bool,
}

impl Logs {
    /// Carries it out.
    pub fn run(self, place: &Place) -> Result<Exit, Error> {
        let client = Client::new(place)?;
        match &self.subject {
            None => self.all(&client)?,
            Some(subject) => {
                let query = self.query();
                let records = job_or_run(subject, |subject| client.get_records(&format!("{subject}/output{query}")))?;
                self.show(records)?;
            }
        }
        Ok(Exit::Ok)
    }

    fn query(&self) -> String {
        let follow = self.follow.then(|| "follow=1".to_owned());
        let lines = self.lines.map(|lines| format!("lines={lines}"));
        let pairs: Vec<String> = [follow, lines].into_iter().flatten().collect();
        if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
    }

    fn show(&self, mut records: Records<'_>) -> Result<(), Error> {
        let term = Term::stdout();
        let mut runs = 0;
        let mut silent = !self.follow && !self.json && self.lines != Some(0);
        while let Some((record, text)) = records.next()? {
            silent &= matches!(record, Record::Run { .. } | Record::End { .. });
            match record {
                _ if self.json => print(text + "\n")?,
                Record::Line(line) => print(self.line(&term, &line, None))?,
                Record::Run { run, .. } => {
                    runs += 1;
                    if runs > 1 && term.terminal {
                        print(term.paint(Colour::Dim, &format!("-- run {run} --")) + "\n")?;
                    }
                }
                Record::End { end } => {
                    let words = end.outcome.as_ref().map(outcome::words);
                    if let Some((words, colour)) = words.filter(|_| self.follow && term.terminal) {
                        print(format!("-- run {}: {} --\n", end.run, term.paint(colour, &words)))?;
                    }
                }
                Record::Skipped { skipped, run } => complain(&format!("run {run}: {skipped} lines before these")),
                Record::Dropped { dropped, run } => {
                    complain(&format!("run {run}: {dropped} lines were not shown in time"))
                }
                Record::Gone { gone } => complain(&format!("run {gone} is no longer known")),
            }
        }
        if silent {
            complain("nothing that it printed is kept");
        }
        Ok(())
    }

    /// The last run of every job, in the order of time.
    fn all(&self, client: &Client) -> Result<(), Error> {
        let term = Term::stdout();
        let mut lines: Vec<(Timestamp, JobName, LineRecord, String)> = Vec::new();
        for job in client.get::<Vec<JobView>>("/jobs")? {
            let path = format!("/jobs/{}/output{}", percent_encode(job.name.as_str()), self.query());
            let mut records = match client.get_records(&path) {
                Err(error) if error.code() == Some("no-such-job") => continue,
                records => records?,
            };
            while let Some((record, text)) = records.next()? {
                if let Record::Line(line) = record {
                    lines.push((line.at, job.name.clone(), line, text));
                }
            }
        }
        lines.sort_by_key(|(at, ..)| *at);
        let first = lines.len().saturating_sub(self.lines.unwrap_or(usize::MAX));
        for (_, job, line, text) in &lines[first..] {
            if self.json { print(format!("{text}\n"))? } else { print(self.line(&term, line, Some(job)))? }
        }
        Ok(())
    }

    fn line(&self, term: &Term, line: &LineRecord, job: Option<&JobName>) -> Vec<u8> {
        let mut bytes = Vec::new();
        if self.timestamps {
            bytes.extend(format!("{} ", when::local(line.at, Timestamp::now())).into_bytes());
        }
        if let Some(job) = job {
            bytes.extend(format!("{job}: ").into_bytes());
        }
        bytes.extend(term.line(&line.bytes()));
        // What a job left open is closed for people, and where other lines follow.
        if !line.open || term.terminal || job.is_some() {
            bytes.push(b'\n');
        }
        bytes
    }
}
