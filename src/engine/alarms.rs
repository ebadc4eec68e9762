//! From facts to alarms: what the core tells becomes what the rules are told; what they decide is sent, over HTTP by threads
//! of its own and by programs as errands; how that ends is counted.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::core::{ErrandEnd, ErrandId, Fact, Fate, Now, Record, Report, Rule, outcome_word};
use super::record::Pasts;
use super::tell::outcome_words;
use super::turn::Engine;
use super::view::{Outcome, TargetView};
use crate::alarm::deliver::Deliver;
use crate::alarm::group::{Groups, Message};
use crate::alarm::health::Books;
use crate::alarm::report::Task;
use crate::alarm::rules::{Rules, Tally};
use crate::alarm::send::{self, Sending};
use crate::alarm::text::{self, Speaker};
use crate::alarm::{Alarm, Due, Happening, Kind, On, Target, Told, What};
use crate::beat::words::exit_words;
use crate::conf::Config;
use crate::job::{Job, JobName, Program};
use crate::wire::{Exit, RunId};

/// How long the end waits for requests that are under way.
const FAREWELL: Duration = Duration::from_secs(1);
/// Longest part of what a program printed that failed, in characters.
const SAID: usize = 300;

/// All that alarms need.
#[derive(Debug)]
pub struct Alarming {
    rules: Rules,
    groups: Groups,
    books: Books,
    deliver: Deliver,
    speaker: Speaker,
    sendmail: PathBuf,
    ip: String,
    /// Errands that are under way, and for whom.
    ordered: BTreeMap<ErrandId, Arc<Target>>,
}

impl Alarming {
    /// As rotad.yaml has it.
    pub fn new(config: &Config) -> Self {
        let books = Books::default();
        let named = config.alarms.targets.values();
        // Beats have a line of their own in the status.
        named.filter(|target| target.kind != Kind::Beat).for_each(|target| books.name(target));
        let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
        let host = text::one_line(&host, 64);
        let ip = config.crond.as_ref().and_then(|crond| crond.ip.clone()).unwrap_or_else(|| host.clone());
        Self {
            rules: Rules::new(config.alarms.targets.clone(), config.alarms.notify.clone()),
            groups: Groups::default(),
            deliver: Deliver::new(books.clone()),
            books,
            speaker: Speaker { host, zone: TimeZone::system() },
            sendmail: config.alarms.sendmail.clone(),
            ip,
            ordered: BTreeMap::new(),
        }
    }

    /// The history is open: how it stood with each job. `armed`: the first snapshot is.
    pub fn restore(&mut self, pasts: &Pasts, armed: bool, now: Now) {
        for (job, past) in pasts {
            let tally =
                Tally { failing_since: past.failing_since, failures: past.failures, succeeded: past.last_success };
            match armed {
                true => self.rules.restore_late(job, tally, now),
                false => self.rules.restore(job.clone(), tally),
            }
        }
    }

    /// When the loop must turn for their sake (monotonic).
    pub fn due(&self) -> Option<Duration> {
        self.rules.due().into_iter().chain(self.groups.due()).min()
    }

    /// How it goes with each target.
    pub fn views(&self) -> Vec<TargetView> {
        self.books.views()
    }

    /// The daemon ends: what is under way gets a moment.
    pub fn finish(&self) {
        self.deliver.finish(FAREWELL);
    }
}

impl Engine {
    /// Tells the rules what has happened, and sends what they decide.
    pub(super) fn alarm_facts(&mut self, facts: &[Fact]) {
        for fact in facts {
            match fact {
                Fact::Armed { job, .. } | Fact::Paused { job, .. } | Fact::Resumed { job, .. } => self.alarm_armed(job),
                Fact::Retired(job) => self.happened(job, What::Removed),
                Fact::Verdict { job, slot, fate, .. } if self.alarming.rules.watches(job) => {
                    self.alarm_verdict(job, *slot, *fate);
                }
                Fact::Started { job, ticket, .. } if self.alarming.rules.watches(job) => {
                    let started = Some(self.now().wall);
                    let told = Told { run: ticket.run.to_string(), slot: ticket.slot, started, ..Told::default() };
                    let reason = "was started".to_owned();
                    self.happened(job, What::Started(Told { reason, ..told }));
                }
                Fact::Over(record) if self.alarming.rules.watches(&record.job) => self.alarm_over(record),
                _ => {}
            }
        }
    }

    /// Sends what time alone has made due.
    pub(super) fn pass_alarms(&mut self) {
        let now = self.now();
        if self.alarming.rules.due().is_some_and(|due| due <= now.mono) {
            let dues = self.alarming.rules.pass(now);
            dues.into_iter().for_each(|due| self.raise(due));
        }
        let messages = match self.stopping {
            // There will be no later.
            true => self.alarming.groups.flush(now.mono),
            false if self.alarming.groups.due().is_some_and(|due| due <= now.mono) => {
                self.alarming.groups.pass(now.mono)
            }
            false => return,
        };
        messages.iter().for_each(|message| self.send_message(message));
    }

    /// A try of an errand has ended. `false`: it was none of an alarm.
    pub(super) fn hear_alarm_report(&mut self, report: &Report) -> bool {
        let Some(target) = self.alarming.ordered.get(&report.id).cloned() else { return false };
        if !report.again {
            self.alarming.ordered.remove(&report.id);
        }
        match report.end.success() {
            true => self.alarming.books.sent(&target),
            false => self.alarming.books.failed(&target, &why(report, &target), report.again),
        }
        true
    }

    fn alarm_armed(&mut self, job: &JobName) {
        let Some(definition) = self.state.definition(job) else { return };
        let active = definition.enable && self.state.pause_of(job).is_none();
        self.happened(job, What::Armed { notify: definition.notify.clone(), active });
        if self.alarming.rules.wants(job, On::Late) {
            self.happened(job, What::Due(self.state.next_of(job).filter(|_| active)));
        }
        if self.alarming.rules.wants(job, On::Long) {
            for run in self.state.runs_of(job).into_iter().filter(|run| run.started.is_some()) {
                let told = Told { run: run.run, slot: run.slot, started: run.started, ..Told::default() };
                self.happened(job, What::GoesOn(told));
            }
        }
    }

    fn alarm_verdict(&mut self, job: &JobName, slot: Timestamp, fate: Fate) {
        let what = match fate {
            // Not started yet: until it is, or the newer one in its place, it may be late.
            Fate::Ran(_) | Fate::Superseded => None,
            Fate::Skipped(rule @ (Rule::Overlap | Rule::Limit)) => Some(What::Skipped(slot, rule.code())),
            Fate::Missed(count, cause) => Some(What::Missed(slot, count, cause.code())),
            _ => Some(What::Decided(slot)),
        };
        if let Some(what) = what {
            self.happened(job, what);
        }
        if self.alarming.rules.wants(job, On::Late) {
            self.happened(job, What::Due(self.state.next_of(job)));
        }
    }

    fn alarm_over(&mut self, record: &Record) {
        let code = match &record.outcome {
            Outcome::Exited { exit, .. } | Outcome::TimedOut { exit } | Outcome::Stopped { exit, .. } => match exit {
                Exit::Code(code) => Some(*code),
                Exit::Signal { .. } => None,
            },
            Outcome::CouldNotStart { .. } | Outcome::Lost => None,
        };
        let told = Told {
            run: record.ticket.run.to_string(),
            slot: record.ticket.slot,
            started: record.led.map(|(_, started, _)| started),
            outcome: outcome_word(&record.outcome),
            code,
            reason: outcome_words(&record.outcome),
            ..Told::default()
        };
        let what = match &record.outcome {
            Outcome::Exited { success: true, .. } => What::Succeeded(told),
            Outcome::Stopped { .. } => What::Ended(told),
            // Nothing failed: it was about to start when the daemon was to end.
            Outcome::CouldNotStart { .. } if self.stopping => What::Ended(told),
            _ => What::Failed(told),
        };
        self.happened(&record.job, what);
    }

    fn happened(&mut self, job: &JobName, what: What) {
        let now = self.now();
        let dues = self.alarming.rules.take(Happening { job: job.clone(), at: now.wall, what }, now);
        dues.into_iter().for_each(|due| self.raise(due));
    }

    /// Sends an alarm on its way to each of its targets.
    fn raise(&mut self, due: Due) {
        let Due { mut alarm, to } = due;
        alarm.next_slot = self.state.next_of(&alarm.job);
        if alarm.on != On::Start
            && let Some(run) = alarm.told.as_ref().and_then(|told| RunId::parse(&told.run))
        {
            alarm.tail = self.tail_of(run);
        }
        let mono = self.now().mono;
        for target in to {
            match &target.kind {
                Kind::Beat => self.raise_beat(&alarm),
                Kind::Report(_) | Kind::Ping(_) => {
                    let task = self.task_of(&alarm.job);
                    for request in send::alarm(&alarm, &target.kind, &task, &self.alarming.speaker) {
                        self.alarming.deliver.send(&target, request);
                    }
                }
                Kind::Webhook { .. } | Kind::Command(_) | Kind::Mail(_) => {
                    self.alarming.groups.add(&target, alarm.clone(), mono);
                }
            }
        }
    }

    /// bk-monitor is told of failed runs and skipped slots anyway, in mysql-crond's words.
    fn raise_beat(&mut self, alarm: &Alarm) {
        if matches!(alarm.on, On::Failure | On::Skipped) {
            return;
        }
        let beat = self.beating.beats.as_ref();
        if let Some(beat) = beat.map(|beats| beats.alarm(&alarm.job, &text::sentence(alarm), &alarm.tail, alarm.at)) {
            self.order_beat(beat);
        }
    }

    fn send_message(&mut self, message: &Message) {
        let now = self.now();
        match send::message(message, &self.alarming.speaker, &self.alarming.sendmail) {
            Some(Sending::Request(request)) => self.alarming.deliver.send(&message.target, request),
            Some(Sending::Errand(errand)) => match self.state.order(errand, now) {
                Ok(id) => drop(self.alarming.ordered.insert(id, message.target.clone())),
                Err(_) => self.alarming.books.dropped(&message.target),
            },
            None => {}
        }
    }

    /// The end of what a run printed, both streams as they came.
    fn tail_of(&self, run: RunId) -> String {
        let lines = self.capture.tails().of(run).map(|tail| tail.lines).unwrap_or_default();
        let mut length = 0;
        let newest = lines.iter().rev().take_while(|line| {
            let fits = length <= text::TAIL;
            length += line.bytes.len() + 1;
            fits
        });
        let first = lines.len() - newest.count();
        let mut bytes = Vec::new();
        for line in lines.iter().skip(first) {
            bytes.extend_from_slice(&line.bytes);
            bytes.push(b'\n');
        }
        text::tail(&bytes, text::TAIL)
    }

    fn task_of(&self, job: &JobName) -> Task {
        let ip = self.alarming.ip.clone();
        self.state
            .definition(job)
            .map(|job| Task { ip: ip.clone(), ..task(&job) })
            .unwrap_or(Task { ip, ..Task::default() })
    }
}

/// What GopherCron would know of a job.
fn task(job: &Job) -> Task {
    let command = match &job.program {
        Program::Exec { command, args } => [std::slice::from_ref(command), args].concat().join(" "),
        Program::Script(text) => text.clone(),
    };
    Task {
        command: command.chars().take(4096).collect(),
        cron: job.schedule.as_ref().map(|schedule| schedule.text().to_owned()).unwrap_or_default(),
        timeout: job.timeout.map(|timeout| timeout.as_secs()).unwrap_or(0),
        project_id: job.labels.get("project_id").and_then(|id| id.parse().ok()).unwrap_or(0),
        project_title: job.labels.get("project_title").cloned().unwrap_or_default(),
        ip: String::new(),
    }
}

/// Why a try failed, as a part of a sentence. A command may hold a key: none of its arguments gets out with what it printed.
fn why(report: &Report, target: &Target) -> String {
    let end = match report.end {
        ErrandEnd::Exited(exit) => exit_words(exit),
        ErrandEnd::TimedOut => format!("it did not end within {} s and was stopped", send::ERRAND.as_secs()),
        ErrandEnd::Waited => "too many others were being sent".to_owned(),
        ErrandEnd::NotStarted(failure) => format!("it could not be started: {failure}"),
    };
    let mut said = String::from_utf8_lossy(&report.tail).into_owned();
    if let Kind::Command(words) = &target.kind {
        let secret = words.iter().skip(1).filter(|word| word.len() >= 4);
        secret.for_each(|word| said = said.replace(word.as_str(), "(argument)"));
    }
    let said = said.trim();
    let skip = said.chars().count().saturating_sub(SAID);
    let said: String = text::one_line(said, usize::MAX).chars().skip(skip).collect();
    if said.is_empty() { end } else { format!("{end}: {said}") }
}
