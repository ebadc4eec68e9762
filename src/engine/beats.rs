//! From facts to beats: what the core tells, together with what the run printed, is ordered as errands; how those end is
//! counted, and whoever asked for one is answered.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use super::core::{Errand, ErrandEnd, ErrandId, Event, Fact, Fate, Now, Record, Report, Rule};
use super::request::{Beat, Refusal, Reply};
use super::turn::Engine;
use super::view::{BeatsView, FileView, Outcome, StatusView};
use crate::beat::health::Told;
use crate::beat::{Beats, Unfit, words};
use crate::conf::{Crond, Identity};
use crate::job::{Finding, JobName};
use crate::sink::Tails;
use crate::wire::Stream;

/// The file that findings about beats are told of.
const FILE: &str = "rotad.yaml";

/// Beats, and who waits for one.
#[derive(Debug, Default)]
pub struct Beating {
    pub(super) beats: Option<Beats>,
    asked: BTreeMap<ErrandId, Reply<()>>,
}

impl Beating {
    /// As rotad.yaml has it. Where that is no good, it is said, and the daemon runs on without.
    pub fn new(crond: Option<&Crond>, started: jiff::Timestamp, now: Now) -> Self {
        let beats = crond.and_then(|crond| Beats::new(crond, started, now)).and_then(|beats| match beats {
            Ok(beats) => {
                if let Some(lack) = beats.lacks() {
                    tracing::error!(code = "no-beat", "{lack}");
                }
                Some(beats)
            }
            Err(incomplete) => {
                tracing::error!(code = "no-beat", "{incomplete}");
                None
            }
        });
        Self { beats, asked: BTreeMap::new() }
    }

    /// What the file of jobs says of the machine.
    pub fn identify(&mut self, said: Identity) {
        if let Some(beats) = &mut self.beats {
            beats.identify(said);
        }
    }

    /// How they go out; `None` where none are configured.
    pub fn view(&self) -> Option<BeatsView> {
        self.beats.as_ref().map(Beats::view)
    }

    /// When the loop must turn for their sake (monotonic).
    pub fn due(&self) -> Option<Duration> {
        self.beats.as_ref()?.due()
    }
}

impl Engine {
    /// Looks at the beat program, on a thread of its own: the disk may hang.
    pub(super) fn check_beat_program(&self) {
        let Some(beats) = &self.beating.beats else { return };
        let (path, told) = (beats.program().to_owned(), self.prepared.clone());
        tokio::task::spawn_blocking(move || {
            if let Some(finding) = doubt(&path) {
                tracing::warn!(file = FILE, code = finding.code, "{finding}");
                let view = FileView { file: FILE.into(), job: None, findings: vec![finding] };
                // Nobody receives when the engine ends.
                let _ = told.send(Event::Files(vec![(FILE.into(), Some(view))]));
            }
        });
    }

    /// Orders beats about what has happened.
    pub(super) fn beat_facts(&mut self, facts: &[Fact]) {
        if self.beating.beats.is_none() {
            return;
        }
        for fact in facts {
            match fact {
                // What is attempted again has not failed yet.
                Fact::Over(record) if record.next.is_none() => self.beat_failed(record),
                Fact::RetryDropped { of, .. } => {
                    if let Some(record) = self.state.last_attempt(*of).cloned() {
                        self.beat_failed(&record);
                    }
                }
                Fact::Verdict { job, fate: Fate::Skipped(Rule::Overlap), .. } => self.beat_skipped(job),
                _ => {}
            }
        }
    }

    /// Orders beats that are due.
    pub(super) fn pass_beats(&mut self) {
        let now = self.now();
        let Some(beats) = self.beating.beats.as_mut().filter(|beats| beats.due().is_some_and(|due| due <= now.mono))
        else {
            return;
        };
        let (due, heart) = (beats.pass(now), beats.heart(now));
        for beat in due {
            self.order_beat(beat);
        }
        if let Some(id) = heart.and_then(|beat| self.order_beat(beat))
            && let Some(beats) = &mut self.beating.beats
        {
            beats.heart_ordered(id);
        }
    }

    /// Sends what somebody asks for; answered once that is done.
    pub(super) fn answer_beat(&mut self, beat: &Beat, reply: Reply<()>) {
        let now = self.now();
        let Some(beats) = &self.beating.beats else {
            return refuse(reply, "no-beat", "rotad.yaml has no good bk_monitor_beat".into());
        };
        match beats.asked(beat, now.wall) {
            Err(why @ Unfit::NoAddress) => refuse(reply, "no-beat", why.to_string()),
            Err(why @ Unfit::TooLong(_)) => refuse(reply, "beat-failed", why.to_string()),
            Ok(errand) => match self.state.order(errand, now) {
                Ok(id) => drop(self.beating.asked.insert(id, reply)),
                Err(_) => refuse(reply, "busy", "as many beats wait as may".into()),
            },
        }
    }

    /// A try of a beat has ended.
    pub(super) fn hear_report(&mut self, report: &Report) {
        if self.hear_alarm_report(report) {
            return;
        }
        let Some(beats) = &mut self.beating.beats else { return };
        let told = beats.reported(report);
        if let Some(reply) = self.beating.asked.remove(&report.id) {
            if report.end.success() {
                drop(reply.send(Ok(())));
            } else {
                let code = if report.end == ErrandEnd::Waited { "busy" } else { "beat-failed" };
                refuse(reply, code, beats.why(report));
            }
        }
        self.tell_beats(told);
    }

    /// The daemon in a few numbers, beats among them.
    pub(super) fn show_status(&self) -> StatusView {
        let (history, beats, alarms) = (Some(self.history.status()), self.beating.view(), self.alarming.views());
        StatusView { history, beats, alarms, ..self.state.show_status() }
    }

    fn beat_failed(&mut self, record: &Record) {
        if self.stopping && matches!(record.outcome, Outcome::CouldNotStart { .. }) {
            // Nothing failed: it was about to start, or waited for another.
            return;
        }
        let job = self.state.definition(&record.job);
        let Some(why) = words::failure(&record.outcome, job.as_deref()) else { return };
        let Some(beats) = &self.beating.beats else { return };
        let (stderr, gone) = stderr_of(record, &self.capture.tails());
        let beat = beats.failed(&record.job, &why, &stderr, gone, record.booked);
        self.order_beat(beat);
    }

    fn beat_skipped(&mut self, job: &JobName) {
        let now = self.now();
        if let Some(beat) = self.beating.beats.as_mut().and_then(|beats| beats.skipped(job, now)) {
            self.order_beat(beat);
        }
    }

    pub(super) fn order_beat(&mut self, beat: Result<Errand, Unfit>) -> Option<ErrandId> {
        let now = self.now();
        let ordered = beat.map(|errand| self.state.order(errand, now));
        let beats = self.beating.beats.as_mut()?;
        let (id, told) = match ordered {
            Ok(ordered) => (ordered.ok(), beats.ordered(ordered)),
            Err(unfit) => (None, beats.unfit(unfit)),
        };
        self.tell_beats(told);
        id
    }

    fn tell_beats(&self, told: Option<Told>) {
        match told {
            Some(Told::Fails(why)) => tracing::warn!(
                code = "beat-failed",
                "beats do not go out: {why} (hint: see beat_path and agent_address in rotad.yaml, and rota status)"
            ),
            Some(Told::Works(lost)) => {
                tracing::info!(code = "beats", "beats go out again; {lost} were lost meanwhile");
                // Whatever was the matter with the program is mended.
                let _ = self.prepared.send(Event::Files(vec![(FILE.into(), None)]));
            }
            Some(Told::Drops) => {
                tracing::warn!(code = "beat-dropped", "as many beats wait as may: more are dropped and counted");
            }
            None => {}
        }
    }
}

fn refuse(reply: Reply<()>, code: &str, message: String) {
    // Who no longer listens needs no answer.
    let _ = reply.send(Err(Refusal { code: code.into(), message, hint: None }));
}

/// The end of what a run printed on standard error, and how many bytes came before that.
fn stderr_of(record: &Record, tails: &Tails) -> (Vec<u8>, u64) {
    let mut bytes = Vec::new();
    for line in tails.of(record.ticket.run).into_iter().flat_map(|tail| tail.lines) {
        if line.stream == Stream::Stderr {
            bytes.extend_from_slice(&line.bytes);
            if !line.open {
                bytes.push(b'\n');
            }
        }
    }
    let gone = record.volume.received[1].saturating_sub(bytes.len() as u64);
    (bytes, gone)
}

/// What is the matter with the beat program. What the engine may not look at is not doubted: it runs as another user.
fn doubt(path: &str) -> Option<Finding> {
    let hint = "install bk-monitor's agent there, or name the program with bk_monitor_beat.beat_path";
    let what = match Path::new(path).metadata() {
        Ok(meta) if !meta.is_file() => "is no regular file".to_owned(),
        Ok(meta) if meta.mode() & 0o111 == 0 => "may not be executed by anybody".to_owned(),
        Err(error) if error.kind() != std::io::ErrorKind::PermissionDenied => error.to_string(),
        _ => return None,
    };
    Some(Finding::warning("beat-path", FILE, format!("beats cannot be sent: {path}: {what}")).hint(hint))
}
