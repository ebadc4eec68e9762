//! `rota logs [NAME|RUN]`: what jobs printed, as it was printed; with `--follow`, what they print from now on.
//!
//! The daemon is asked first: it keeps the last lines of the last runs, wherever they went. What it no longer has comes from
//! the journal, if that is where the lines went; so do times (`--since`), and a job that is followed over a restart of the
//! daemon.

use jiff::Timestamp;

use clap_complete::engine::ArgValueCandidates;

use super::journal::{self, Entries, Query};
use super::socket::Place;
use super::stop::job_or_run;
use super::term::{Colour, Term, complain, print};
use super::{Error, Exit, completions, outcome, when};
use crate::client::{Client, LineRecord, Output, Record, Records};
use crate::engine::{JobView, JournalView};
use crate::job::{JobName, LogTarget};
use crate::wire::RunId;

/// Arguments of `rota logs`.
#[derive(Debug, clap::Args)]
pub struct Logs {
    /// A job (its last run), or the id of a run; without it, the last run of every job
    #[arg(value_name = "NAME|RUN", add = ArgValueCandidates::new(completions::jobs))]
    subject: Option<String>,
    /// Go on with what is printed from now on: by every run of the job, or by the run until it is over
    ///
    /// A job whose lines are in the journal is followed there, so that a restart of the daemon does not end it.
    #[arg(long, short, requires = "subject")]
    follow: bool,
    /// Begin with at most so many lines
    #[arg(long, short = 'n', value_name = "LINES")]
    lines: Option<usize>,
    /// Lead each line by the time at which it was read
    #[arg(long, short)]
    timestamps: bool,
    /// From the journal: lines from this time on, of all runs
    ///
    /// Times are written as for journalctl(1): `-1h`, `yesterday`, `2026-11-20 03:00`.
    #[arg(long, value_name = "TIME", requires = "subject", conflicts_with = "lines", allow_hyphen_values = true)]
    since: Option<String>,
    /// From the journal: lines up to this time
    #[arg(long, value_name = "TIME", requires = "subject", allow_hyphen_values = true, conflicts_with = "follow")]
    until: Option<String>,
    /// Print the daemon's records as JSON, one a line
    #[arg(long)]
    json: bool,
}

impl Logs {
    /// Carries it out.
    pub fn run(self, place: &Place) -> Result<Exit, Error> {
        let client = place.client()?;
        match &self.subject {
            None => self.all(&client)?,
            Some(subject) if self.since.is_some() || self.until.is_some() => self.between(&client, subject)?,
            Some(subject) => self.one(&client, subject)?,
        }
        Ok(Exit::Ok)
    }

    /// A job or a run: from the daemon, or where that has not what is asked for, from the journal.
    fn one(&self, client: &Client, subject: &str) -> Result<(), Error> {
        let wanted = self.wanted();
        let id = RunId::parse(subject);
        let job = || client.job(subject).ok();
        if self.follow
            && let Some(job) = job().filter(|job| job.log == LogTarget::Journal)
            && let Some(journal) = journal_of(client)
        {
            return self.follow_job(&journal, &job);
        }
        let mut records =
            match job_or_run(subject, |job| client.job_output(job, 1, wanted), |run| client.run_output(run, wanted)) {
                // A job whose file is gone, a run that is forgotten: what they printed may be there still.
                Err(error) if matches!(error.code(), Some("no-such-job" | "no-such-run")) && !self.follow => {
                    let found = match (journal_of(client), id) {
                        (Some(journal), Some(run)) if error.code() == Some("no-such-run") => {
                            self.past(&journal, Query { run: Some(run), ..Query::default() })
                        }
                        (Some(journal), _) => self.past_of_job(&journal, subject),
                        (None, _) => Ok(false),
                    };
                    // Who may not read it is told what the daemon said, and that there may be more.
                    return match found {
                        Ok(true) => Ok(()),
                        Ok(false) => Err(error),
                        Err(why) => Err(error.hint(format!("the journal may know it: {why}"))),
                    };
                }
                records => records?,
            };
        let mut kept = Vec::new();
        if !self.follow {
            // The first records tell whether all that is asked for is there.
            while kept.len() < 2 {
                let Some(record) = records.next()? else { break };
                kept.push(record);
            }
            let short = match kept.as_slice() {
                [] => Some(None),
                [(Record::Run { run, .. }, _), (Record::Skipped { .. }, _)] => Some(RunId::parse(run)),
                _ => None,
            };
            if let Some(run) = short
                && self.lines != Some(0)
                && job().is_none_or(|job| job.log == LogTarget::Journal)
                && let Some(journal) = journal_of(client)
            {
                let found = match run {
                    Some(run) => self.past(&journal, Query { run: Some(run), ..Query::default() }),
                    None => self.past_of_job(&journal, subject),
                };
                match found {
                    Ok(true) => return Ok(()),
                    Ok(false) => {}
                    Err(error) => complain(&error.to_string()),
                }
            }
        }
        self.show(kept, records)
    }

    /// All lines between two times.
    fn between(&self, client: &Client, subject: &str) -> Result<(), Error> {
        let journal = client.status()?.journal.ok_or_else(|| {
            Error::new(Exit::Failed, "what this daemon's jobs print is not in the journal")
                .hint("--since and --until read the journal; rota logs alone asks the daemon")
        })?;
        let (since, until) = (self.since.as_deref(), self.until.as_deref());
        let times = Query { since, until, follow: self.follow, ..Query::default() };
        let of_job = Query { job: Some(subject), ..times };
        let query = match RunId::parse(subject) {
            Some(run) if client.job(subject).is_err() => Query { run: Some(run), ..times },
            _ => of_job,
        };
        if !self.past(&journal, query)? && !self.json {
            complain("the journal has no lines of that time");
        }
        Ok(())
    }

    /// A job's last run, from the journal. `false`: there is none.
    fn past_of_job(&self, journal: &JournalView, job: &str) -> Result<bool, Error> {
        match journal::last_run(journal, job)? {
            Some(run) => self.past(journal, Query { job: Some(job), run: Some(run), ..Query::default() }),
            None => Ok(false),
        }
    }

    /// All runs of a job, from now on and for as long as this is not stopped: journald does not end with the daemon.
    fn follow_job(&self, journal: &JournalView, job: &JobView) -> Result<(), Error> {
        let name = job.name.as_str();
        let query = Query { job: Some(name), follow: true, ..Query::default() };
        // Of the last run, as the daemon would; other ones only where lines are asked for by number.
        let since = match self.lines {
            Some(_) => None,
            None => journal::last_run(journal, name)?.map(|run| format!("@{}", run.milliseconds() / 1000)),
        };
        let lines = if since.is_none() && self.lines.is_none() { Some(0) } else { self.lines };
        self.print(Entries::of(journal, Query { since: since.as_deref(), lines, ..query })?).map(drop)
    }

    /// What a query finds. `false`: nothing.
    fn past(&self, journal: &JournalView, query: Query<'_>) -> Result<bool, Error> {
        self.print(Entries::of(journal, Query { lines: self.lines, ..query })?)
    }

    fn print(&self, mut entries: Entries) -> Result<bool, Error> {
        let term = Term::stdout();
        let mut before: Option<String> = None;
        while let Some((line, text)) = entries.next()? {
            if self.json {
                print(text + "\n")?;
                before = Some(String::new());
                continue;
            }
            if before.as_ref().is_some_and(|run| *run != line.run) && term.terminal {
                print(term.paint(Colour::Dim, &format!("-- run {} --", line.run)) + "\n")?;
            }
            print(self.line(&term, &line, None))?;
            before = Some(line.run);
        }
        Ok(before.is_some())
    }

    fn wanted(&self) -> Output {
        Output { follow: self.follow, lines: self.lines, from: None }
    }

    /// What the daemon has: the first records, and those that come.
    fn show(&self, first: Vec<(Record, String)>, mut records: Records<'_>) -> Result<(), Error> {
        let term = Term::stdout();
        let mut runs = 0;
        let mut silent = !self.follow && !self.json && self.lines != Some(0);
        let mut first = first.into_iter();
        while let Some((record, text)) = first.next().map_or_else(|| records.next(), |record| Ok(Some(record)))? {
            silent &= matches!(record, Record::Run { .. } | Record::Retry { .. } | Record::End { .. });
            match record {
                _ if self.json => print(text + "\n")?,
                Record::Line(line) => print(self.line(&term, &line, None))?,
                Record::Run { run, attempt, .. } => {
                    runs += 1;
                    if runs > 1 && term.terminal {
                        let attempt = if attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
                        print(term.paint(Colour::Dim, &format!("-- run {run}{attempt} --")) + "\n")?;
                    }
                }
                Record::End { end } => {
                    let words = end.outcome.as_ref().map(outcome::words);
                    if let Some((words, colour)) = words.filter(|_| self.follow && term.terminal) {
                        print(format!("-- run {}: {} --\n", end.run, term.paint(colour, &words)))?;
                    }
                }
                Record::Retry { retry } if self.follow && term.terminal => {
                    let words = outcome::retry(&retry, Timestamp::now());
                    print(term.paint(Colour::Dim, &format!("-- {words} --")) + "\n")?;
                }
                Record::Retry { .. } => {}
                Record::Skipped { skipped: 0, run } => complain(&format!("run {run}: lines before these are not kept")),
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
        for job in client.jobs()? {
            let mut records = match client.job_output(job.name.as_str(), 1, self.wanted()) {
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

/// The journal that the daemon's lines are in, if it says so.
fn journal_of(client: &Client) -> Option<JournalView> {
    client.status().ok()?.journal
}
