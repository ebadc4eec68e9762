//! From facts to rows of the history. The conversion is pure; handing the rows over never waits.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;

use super::core::{Fact, Fate, Record, State, Ticket};
use super::ledger;
use super::request::{Pause, PauseKind};
use super::turn::Engine;
use super::view::{FileView, Outcome};
use crate::history::{AttemptRow, DefinitionRow, FactKind, FactRow, Row, SlotRow, SlotVerdict, Tally, tail_text};
use crate::job::{Job, JobName, Severity};
use crate::sink::Tails;
use crate::why::definition_words;

/// More definitions than this that are armed at once are noted when they first have something to be noted of.
const AT_ONCE: usize = 1_000;

/// What the history knew of each job when it was opened.
pub type Pasts = BTreeMap<JobName, Tally>;

/// What the history is told, and what it was told already.
#[derive(Debug)]
pub struct Recorder {
    /// Hashes of the definitions that it knows.
    noted: HashSet<u64>,
    /// Bytes of output that are kept of an attempt.
    tail: usize,
}

impl Recorder {
    /// One that has told nothing yet, and tells the last `tail` bytes of each attempt's output.
    pub fn new(tail: usize) -> Self {
        Self { noted: HashSet::new(), tail }
    }

    /// The rows of what happened in a step.
    pub fn rows(&mut self, facts: &[Fact], state: &State, tails: &Tails, now: Timestamp, live: bool) -> Vec<Row> {
        let mut rows = Vec::new();
        // First: what is decided anew after the clock was set back replaces what is taken back.
        for fact in facts {
            if let Fact::Clock { to, .. } = fact {
                rows.extend(state.names().map(|job| Row::TakeBack { job: job.clone(), after: *to }));
            }
        }
        let armed = facts.iter().filter(|fact| matches!(fact, Fact::Armed { .. })).count();
        for fact in facts {
            match fact {
                Fact::Verdict { job, slot, oldest, fate } => {
                    let by = match fate {
                        Fate::Paused(PauseKind::Hold, _) => {
                            state.hold_of_all().map(|hold| hold.by.clone()).unwrap_or_default()
                        }
                        Fate::Paused(..) => state.pause_of(job).map(|pause| pause.by.clone()).unwrap_or_default(),
                        _ => String::new(),
                    };
                    self.define(state.definition(job).as_deref(), now, &mut rows);
                    rows.push(slot_row(job, *slot, *oldest, *fate, by, now));
                }
                Fact::Over(record) => rows.push(self.attempt(record, tails)),
                // What a daemon finds at its start is no event.
                Fact::Armed { job, changed, .. } if live => {
                    let Some(definition) = state.definition(job) else { continue };
                    if armed <= AT_ONCE {
                        self.define(Some(&definition), now, &mut rows);
                    }
                    rows.push(armed_row(&definition, *changed, now));
                }
                fact => rows.extend(event(fact, now)),
            }
        }
        rows
    }

    /// A definition is told of once.
    fn define(&mut self, job: Option<&Job>, now: Timestamp, rows: &mut Vec<Row>) {
        if let Some(job) = job.filter(|job| !self.noted.contains(&job.hash)) {
            self.noted.insert(job.hash);
            rows.push(Row::Definition(Box::new(DefinitionRow::of(job, now))));
        }
    }

    fn attempt(&self, record: &Record, tails: &Tails) -> Row {
        let Record { job, ticket, led, outcome, booked, volume, left, hash, .. } = record;
        let ended = led.map(|(_, _, ended)| ended);
        let at = ended.map_or(*booked, |ended| ended.at);
        let tail = tails.last(ticket.run, self.tail).map(|tail| tail_text(&tail, self.tail));
        Row::Attempt(Box::new(AttemptRow {
            started: led.map(|(_, started, _)| started),
            cpu: ended.map(|ended| ended.user + ended.system),
            max_rss_kib: ended.map(|ended| ended.max_rss),
            output: volume.received,
            dropped: volume.dropped,
            tail: tail.unwrap_or_default(),
            next_attempt: record.next,
            left: *left,
            ..AttemptRow::of(job.clone(), ticket, *hash, outcome.clone(), at)
        }))
    }
}

fn slot_row(job: &JobName, slot: Timestamp, oldest: Timestamp, fate: Fate, by: String, now: Timestamp) -> Row {
    let (verdict, count) = match fate {
        Fate::Ran(run) => (SlotVerdict::Ran(run), 1),
        Fate::Skipped(rule) => (SlotVerdict::Skipped(rule.code().into()), 1),
        Fate::Missed(count, cause) => (SlotVerdict::Missed(cause.code().into()), count),
        Fate::Paused(kind, count) => (SlotVerdict::Skipped(kind.code().into()), count),
        Fate::Superseded => (SlotVerdict::Superseded, 1),
    };
    Row::Slot(SlotRow { oldest, count, by, ..SlotRow::one(job.clone(), slot, verdict, now) })
}

/// Its schedule, for people and for whoever asks why: see [`crate::why`].
fn armed_row(job: &Job, changed: bool, now: Timestamp) -> Row {
    let code = if changed { "changed" } else { "armed" };
    let text = definition_words(job);
    Row::Fact(FactRow { text, ..noted(FactKind::Armed, Some(&job.name), code, now) })
}

fn event(fact: &Fact, now: Timestamp) -> Option<Row> {
    let row = match fact {
        Fact::RetryDropped { job, of, why } => {
            FactRow { text: of.to_string(), ..noted(FactKind::Retry, Some(job), why.code(), now) }
        }
        Fact::Retired(job) => noted(FactKind::Retired, Some(job), "", now),
        Fact::Paused { job, pause } => paused(FactKind::Paused, Some(job), pause),
        Fact::Resumed { job, .. } => noted(FactKind::Resumed, Some(job), "", now),
        Fact::Held(hold) => paused(FactKind::Held, None, hold),
        Fact::Released { .. } => noted(FactKind::Released, None, "", now),
        Fact::Clock { from, to } => {
            let text = format!("the clock went back from {from}");
            FactRow { text, ..noted(FactKind::Clock, None, "back", *to) }
        }
        Fact::Away { from, to, cause } => {
            FactRow { until: Some(*to), ..noted(FactKind::Away, None, cause.code(), *from) }
        }
        _ => return None,
    };
    Some(Row::Fact(row))
}

fn noted(kind: FactKind, job: Option<&JobName>, code: &str, at: Timestamp) -> FactRow {
    let (text, by) = (String::new(), String::new());
    FactRow { at, until: None, kind, job: job.cloned(), code: code.into(), text, by }
}

fn paused(kind: FactKind, job: Option<&JobName>, pause: &Pause) -> FactRow {
    let Pause { since, until, reason, by, .. } = pause;
    FactRow { until: *until, text: reason.clone(), by: by.clone(), ..noted(kind, job, pause.kind.code(), *since) }
}

/// The first error of a file.
fn error(view: Option<&FileView>) -> Option<&str> {
    let mut findings = view.into_iter().flat_map(|view| &view.findings);
    findings.find(|finding| finding.severity == Severity::Error).map(|finding| finding.message.as_str())
}

impl Engine {
    /// Hands a step's facts to the history.
    pub(super) fn record(&mut self, facts: &[Fact]) {
        let now = self.now().wall;
        let rows = self.recorder.rows(facts, &self.state, &self.capture.tails(), now, self.ready);
        rows.into_iter().for_each(|row| self.history.note(row));
    }

    /// The engine has started: with the daemon, or in place of another.
    pub(super) fn record_start(&self) {
        let code = if self.state.lineage().1 > 0 { "engine" } else { "daemon" };
        self.history.note(Row::Fact(noted(FactKind::Started, None, code, self.now().wall)));
    }

    /// The history is open, and tells what it knew; `None`: it cannot be opened now, or none is kept. Nothing is decided by it:
    /// alarms know again since when a job fails.
    pub(super) fn take_pasts(&mut self, pasts: Option<Pasts>) -> bool {
        let now = self.now();
        if let Some(pasts) = pasts {
            self.alarming.restore(&pasts, self.ready, now);
        }
        true
    }

    /// The end: what was noted is written down, if the disk takes it.
    pub(super) fn close_history(&self) {
        self.history.close();
    }

    /// Runs that ended with an earlier warden.
    pub(super) fn record_cut(&self, cut: &[ledger::Entry]) {
        let now = self.now().wall;
        for ledger::Entry { run, of, job, slot, trigger, since, .. } in cut {
            if let Some(slot) = slot {
                self.history.note(slot_row(job, *slot, *slot, Fate::Ran(*of), String::new(), now));
            }
            let ticket = Ticket { of: *of, ..Ticket::first(*run, *slot, *trigger, String::new()) };
            let row = AttemptRow::of(job.clone(), &ticket, 0, Outcome::Lost, now);
            self.history.note(Row::Attempt(Box::new(AttemptRow { started: Some(*since), ..row })));
        }
    }

    /// Files that have become broken or good: to be told before the core takes them in.
    pub(super) fn record_files(&self, files: &[(String, Option<FileView>)]) {
        let now = self.now().wall;
        for (file, view) in files {
            let before = self.state.file(file);
            let named = |view: Option<&FileView>| view.and_then(|view| view.job.clone());
            let job = named(view.as_ref()).or_else(|| named(before)).or_else(|| stem(file));
            let Some(job) = job else { continue };
            let row = match (error(before), error(view.as_ref())) {
                (None, Some(why)) => {
                    // What a daemon finds at its start was so before.
                    let code = if self.ready { "" } else { "still" };
                    FactRow { text: format!("{file}: {why}"), ..noted(FactKind::Broken, Some(&job), code, now) }
                }
                (Some(_), None) => noted(FactKind::Mended, Some(&job), "", now),
                _ => continue,
            };
            self.history.note(Row::Fact(row));
        }
    }

    /// Somebody has changed a definition.
    pub(super) fn record_edit(&self, job: &JobName, code: &str, by: &str) {
        let row = noted(FactKind::Edited, Some(job), code, self.now().wall);
        self.history.note(Row::Fact(FactRow { by: by.to_owned(), ..row }));
    }
}

/// The job that a file is for by its name.
fn stem(file: &str) -> Option<JobName> {
    JobName::parse(file.strip_suffix(".yaml").or_else(|| file.strip_suffix(".yml"))?).ok()
}
