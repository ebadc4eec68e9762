//! Doing what the core decides, in its order.

use super::core::{Effect, Event, Fact, Label};
use super::turn::Engine;
use super::{Broken, tell};
use crate::conf::read_environment_file;
use crate::job::LogTarget;
use crate::run::RunLabel;

impl Engine {
    /// Does the effects of a step: first, and in their order, those that the warden waits for. The rest stays within the
    /// engine and is done before the warden's answers are heard.
    pub(super) fn perform(&mut self, effects: Vec<Effect>) -> Result<(), Broken> {
        for effect in &effects {
            if let Effect::Send(message) = effect {
                self.send(message)?;
            }
        }
        let (mut facts, mut words) = (Vec::new(), Vec::new());
        for effect in effects {
            match effect {
                Effect::Send(_) => {}
                Effect::Expect(label) => self.capture.expect(self.run_label(&label)),
                Effect::ReadEnvironment { run, job } => {
                    let (opener, trust, prepared) = (self.opener.clone(), self.trust, self.prepared.clone());
                    // On a thread of its own: the disk may hang, and the core gives up on it.
                    tokio::task::spawn_blocking(move || {
                        let read = match &job.environment_file {
                            Some(path) => read_environment_file(&opener, &trust, path).map_err(|why| why.to_string()),
                            None => Ok(Vec::new()),
                        };
                        // Nobody receives when the engine ends.
                        let _ = prepared.send(Event::Environment { run, read });
                    });
                }
                Effect::Note(word) => words.push(word),
                Effect::CloseOutput(run) => self.capture.close(run),
                Effect::KeepPause(name, pause) => self.keeper.keep(name, pause),
                Effect::Remove(name, hash) => self.remove(name, hash)?,
                Effect::KeepHold(hold) => self.keeper.keep_hold(hold),
                Effect::AbandonOutput(run) => self.capture.abandon(run),
                Effect::CloseErrand(run) => self.listening.close(run),
                Effect::Reported(report) => self.hear_report(&report),
                Effect::Tell(fact) => facts.push(*fact),
            }
        }
        self.ledger.hear(words);
        if !facts.is_empty() {
            facts.iter().for_each(|fact| self.tallies.hear(fact, &self.state));
            self.note(&facts);
            self.record(&facts);
            self.beat_facts(&facts);
            self.alarm_facts(&facts);
            tell::tell(facts, &self.state, self.now().wall);
        }
        Ok(())
    }

    /// A log file of the job's own says, too, how a run ended that did not do what it should.
    fn note(&self, facts: &[Fact]) {
        for fact in facts {
            if let Fact::Over(record) = fact
                && !record.outcome.success()
                && record.log.unwrap_or(self.config.log.target) == LogTarget::File
            {
                self.capture.note(record.ticket.run, tell::note(record, self.now().wall));
            }
        }
    }

    /// With the daemon's own log target where the job names none.
    pub(super) fn run_label(&self, label: &Label) -> RunLabel {
        RunLabel {
            run: label.run,
            of: label.of,
            attempt: label.attempt,
            job: label.job.clone(),
            target: label.log.unwrap_or(self.config.log.target),
            output_limit: label.output_limit,
        }
    }
}
