//! The state as people see it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::State;
use super::ask::{no_such_job, no_such_run};
use super::jobs::Entry;
use super::life::{Life, Output, Run, Volume};
use super::mark::Ticket;
use super::past::{Fate, Record};
use crate::engine::request::{self, Refusal};
use crate::engine::view::{AfterView, FileView, JobView, RunView, StatusView, Verdict, VerdictView};
use crate::job::{Job, JobName, LogTarget, Program, Severity};
use crate::wire::{RunId, Stream};

impl State {
    /// The daemon in a few numbers.
    pub fn show_status(&self) -> StatusView {
        let findings = || self.files.values().flat_map(|file| &file.findings);
        StatusView {
            version: env!("CARGO_PKG_VERSION").into(),
            started: self.setting.started,
            engine_restarts: self.setting.generation,
            jobs: self.jobs.iter().len(),
            paused: self.pauses.len(),
            disabled: self.jobs.iter().filter(|(_, entry)| !entry.job.enable).count(),
            held: self.pauses.hold().cloned(),
            running: self.runs.len(),
            retrying: self.retries.len(),
            broken_files: self.files.values().filter(|file| broken(file)).count(),
            warnings: findings().filter(|finding| finding.severity == Severity::Warning).count(),
            next: self
                .jobs
                .due()
                .take_while(|_| self.pauses.hold().is_none())
                .find(|(_, name)| self.pauses.get(name).is_none())
                .map(|(slot, name)| (name.clone(), *slot)),
            outcomes: self.past.outcomes.iter().map(|(word, count)| ((*word).into(), *count)).collect(),
            output_dropped: self.past.dropped,
            watch: self.watch.clone(),
            history: None,
            beats: None,
            alarms: Vec::new(),
            stopping: self.stopping.is_some(),
            journal: self.setting.journal.clone(),
        }
    }

    /// A broken file; the first by name.
    pub fn broken_file(&self) -> Option<&str> {
        self.files.iter().find(|(_, file)| broken(file)).map(|(name, _)| name.as_str())
    }

    /// Every job, by name.
    pub fn show_jobs(&self) -> Vec<JobView> {
        self.jobs.iter().map(|(name, entry)| self.job_view(name, entry)).collect()
    }

    /// One job.
    pub fn show_job(&self, name: &JobName) -> Result<JobView, Refusal> {
        let entry = self.jobs.get(name).ok_or_else(|| no_such_job(name))?;
        Ok(self.job_view(name, entry))
    }

    /// Every job as clients of mysql-crond list them: active ones in the order in which they are due, never-due ones last, then
    /// those that are disabled or paused, by name. Handles only: ten thousand cost some milliseconds at most.
    pub fn show_entries(&self) -> Vec<request::Entry> {
        let mut entries: Vec<request::Entry> = Vec::with_capacity(self.jobs.iter().len());
        entries.extend(self.jobs.iter().map(|(name, entry)| {
            let pause = self.pauses.get(name).cloned();
            let next = self.upcoming(name, entry).filter(|_| pause.is_none());
            request::Entry { id: entry.number, job: entry.job.clone(), next, previous: entry.newest, pause }
        }));
        // Stable: those that are alike stay in the order of their names.
        entries.sort_by_key(|entry| match (entry.id, entry.next) {
            (Some(id), Some(next)) => (0, next, id),
            (Some(id), None) => (1, Timestamp::MIN, id),
            (None, _) => (2, Timestamp::MIN, 0),
        });
        entries
    }

    /// The number of a job's entry while it is active.
    pub fn number_of(&self, name: &JobName) -> Option<u64> {
        self.jobs.get(name)?.number
    }

    /// The run of an attempt that goes on, is to come or is remembered, and which of its attempts it is.
    pub fn attempt(&self, id: RunId) -> Option<(RunId, u32)> {
        let going = self.runs.get(&id).map(|run| &run.ticket);
        let ticket = going.or_else(|| self.past.find(id).map(|record| &record.ticket));
        let coming = || self.retries.values().map(|retry| &retry.ticket).find(|ticket| ticket.run == id);
        ticket.or_else(coming).map(|ticket| (ticket.of, ticket.attempt))
    }

    /// The attempt of a run that ended last, while it is remembered.
    pub fn last_attempt(&self, of: RunId) -> Option<&Record> {
        self.past.last_of(of)
    }

    /// A run that goes on, waits, or is remembered: by its own id as far as it has come, by that of a later attempt this one.
    pub fn show_run(&self, id: RunId) -> Result<RunView, Refusal> {
        let of = self.attempt(id).map_or(id, |(of, _)| of);
        let going = self.runs.values().find(|run| run.ticket.of == of && (run.ticket.run == id || of == id));
        let remembered = || if of == id { self.past.last_of(of) } else { self.past.find(id) };
        if let Some(run) = going {
            return Ok(run_view(run));
        }
        if let Some(record) = remembered() {
            return Ok(self.ended_view(record));
        }
        let waiting = self.going.iter().flat_map(|(job, going)| going.waiting.iter().map(move |ticket| (job, ticket)));
        match waiting.into_iter().find(|(_, ticket)| ticket.run == id) {
            Some((job, ticket)) => Ok(blank(ticket, job, "waiting")),
            None => Err(no_such_run(id)),
        }
    }

    /// What a file has to say.
    pub fn file(&self, file: &str) -> Option<&FileView> {
        self.files.get(file)
    }

    /// Every job's name.
    pub fn names(&self) -> impl Iterator<Item = &JobName> {
        self.jobs.iter().map(|(name, _)| name)
    }

    /// Files that have something to say.
    pub fn show_files(&self) -> Vec<FileView> {
        self.files.values().cloned().collect()
    }

    /// The next slot of a job that may run.
    pub fn next_of(&self, name: &JobName) -> Option<Timestamp> {
        self.upcoming(name, self.jobs.get(name)?)
    }

    /// The runs of a job that go on.
    pub fn runs_of(&self, name: &JobName) -> Vec<RunView> {
        let runs = self.going.get(name).into_iter().flat_map(|going| &going.runs);
        runs.filter_map(|id| self.runs.get(id)).map(run_view).collect()
    }

    /// The definition of a job.
    pub fn definition(&self, name: &JobName) -> Option<Arc<Job>> {
        self.jobs.get(name).map(|entry| entry.job.clone())
    }

    /// The next slot that runs.
    fn upcoming(&self, name: &JobName, entry: &Entry) -> Option<Timestamp> {
        let rest = self.pauses.rest(name);
        match rest.now() {
            Some(_) => self.jobs.following(name, rest.end(self.watched.position())?, &self.watched),
            None => entry.next,
        }
    }

    /// An ended attempt. What it says of the run is that of the last one.
    fn ended_view(&self, record: &Record) -> RunView {
        let Ticket { of, attempt, .. } = record.ticket;
        let retry = self.retries.get(&of).filter(|retry| retry.ticket.attempt == attempt + 1);
        let going = self.runs.values().find(|run| run.ticket.of == of).map(|run| run.ticket.attempt);
        let attempts = going.or_else(|| self.past.last_of(of).map(|last| last.ticket.attempt)).unwrap_or(attempt);
        let view = RunView { attempts, ..record_view(record) };
        match retry {
            Some(retry) => RunView { state: "retrying".into(), next_attempt: Some(retry.at), ..view },
            None => view,
        }
    }

    fn job_view(&self, name: &JobName, entry: &Entry) -> JobView {
        let job = &entry.job;
        let going = self.going.get(name);
        let pause = self.pauses.get(name).cloned();
        let running = going.map(|going| going.runs.iter().filter_map(|id| self.runs.get(id)).map(run_view).collect());
        JobView {
            name: name.clone(),
            file: job.file.clone(),
            enable: job.enable,
            broken: entry.broken,
            schedule: job.schedule.as_ref().map(|schedule| schedule.text().to_owned()),
            dialect: job.schedule.as_ref().and_then(|schedule| schedule.dialect()).map(|dialect| dialect.to_string()),
            dst: job.schedule.as_ref().and_then(|schedule| schedule.dst()),
            timezone: job.schedule.as_ref().map(|schedule| schedule.zone().iana_name().unwrap_or("local").to_owned()),
            next: self.upcoming(name, entry),
            pause,
            command: match &job.program {
                Program::Exec { command, args } => std::iter::once(command).chain(args).cloned().collect(),
                Program::Script(text) => vec![text.clone()],
            },
            after: job
                .after
                .iter()
                .flat_map(|after| after.iter())
                .map(|(upstream, end)| {
                    let (ended, ignored) = (self.has_ended(name, upstream), self.is_circular(name, upstream));
                    (upstream.clone(), AfterView { end: *end, ended, ignored })
                })
                .collect(),
            user: job.user.clone().unwrap_or_else(|| self.setting.jobs_user.clone()),
            on_overlap: job.on_overlap,
            running: running.unwrap_or_default(),
            retrying: self.retries_of(name).iter().filter_map(|of| self.show_run(*of).ok()).collect(),
            last: entry.past.last.as_deref().map(|record| self.ended_view(record)),
            verdicts: entry.past.verdicts().map(|(slot, fate)| verdict_view(*slot, *fate)).collect(),
            labels: job.labels.clone(),
            log: match job.log.unwrap_or(self.setting.log) {
                LogTarget::Auto if self.setting.journal.as_ref().is_some_and(|journal| journal.auto) => {
                    LogTarget::Journal
                }
                LogTarget::Journal if self.setting.journal.is_none() => LogTarget::Auto,
                target => target,
            },
        }
    }
}

fn broken(file: &FileView) -> bool {
    file.findings.iter().any(|finding| finding.severity == Severity::Error)
}

pub(super) fn verdict_view(slot: Timestamp, fate: Fate) -> VerdictView {
    let (verdict, count) = match fate {
        Fate::Ran(run) => (Verdict::Ran { run: run.to_string() }, None),
        Fate::Skipped(rule) => (Verdict::Skipped { why: rule.code().into() }, None),
        Fate::Missed(count, cause) => (Verdict::Missed { why: cause.code().into() }, (count > 1).then_some(count)),
        Fate::Paused(kind, count) => (Verdict::Skipped { why: kind.code().into() }, (count > 1).then_some(count)),
        Fate::Superseded => (Verdict::Superseded, None),
    };
    VerdictView { slot, verdict, count }
}

pub(super) fn run_view(run: &Run) -> RunView {
    let leader = run.leader();
    let ended = match run.state {
        Life::Draining { ended, .. } => Some(ended),
        _ => None,
    };
    let volume = match run.output {
        Output::Drained(volume) => volume,
        Output::Open => Volume::default(),
    };
    RunView {
        pid: leader.map(|leader| leader.pid),
        started: leader.map(|leader| leader.at),
        ended: ended.map(|ended| ended.at),
        output_bytes: bytes(volume),
        output_dropped: volume.dropped,
        ..blank(&run.ticket, &run.job, run.word())
    }
}

fn record_view(record: &Record) -> RunView {
    let ended = record.led.map(|(_, _, ended)| ended);
    RunView {
        started: record.led.map(|(_, at, _)| at),
        ended: ended.map(|ended| ended.at),
        outcome: Some(record.outcome.clone()),
        cpu_seconds: ended.map(|ended| (ended.user + ended.system).as_secs_f64()),
        max_rss_kib: ended.map(|ended| ended.max_rss),
        output_bytes: bytes(record.volume),
        output_dropped: record.volume.dropped,
        left_behind: record.left,
        ..blank(&record.ticket, &record.job, "over")
    }
}

fn bytes(volume: Volume) -> BTreeMap<Stream, u64> {
    [Stream::Stdout, Stream::Stderr].into_iter().zip(volume.received).collect()
}

fn blank(ticket: &Ticket, job: &JobName, state: &str) -> RunView {
    RunView {
        run: ticket.of.to_string(),
        attempt: ticket.attempt,
        attempts: ticket.attempt,
        job: job.clone(),
        slot: ticket.slot,
        trigger: ticket.trigger.word().into(),
        by: ticket.by.clone(),
        state: state.into(),
        next_attempt: None,
        pid: None,
        started: None,
        ended: None,
        outcome: None,
        cpu_seconds: None,
        max_rss_kib: None,
        output_bytes: BTreeMap::new(),
        output_dropped: 0,
        left_behind: 0,
    }
}
