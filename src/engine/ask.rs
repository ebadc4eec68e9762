//! Answering requests: views of the state, and wishes for the core.

use std::time::{Duration, Instant};

use super::Broken;
use super::core::Effect;
use super::edits::Reload;
use super::request::{Edited, Refusal, Reply, Request};
use super::turn::Engine;
use super::view::RunView;
use crate::conf::Command;
use crate::wire::RunId;

/// From the answer to a request to quit until it is done: the answer has its way to go.
const FAREWELL: Duration = Duration::from_millis(200);

impl Engine {
    /// Answers, or sees to it that somebody will. Who asked and no longer listens gets no answer.
    pub(super) fn answer(&mut self, request: Request) -> Result<bool, Broken> {
        match request {
            Request::Status(reply) => drop(reply.send(Ok(self.show_status()))),
            Request::Jobs(reply) => {
                let mut jobs = self.state.show_jobs();
                jobs.iter_mut().flat_map(|job| &mut job.running).for_each(|run| self.count_output(run));
                drop(reply.send(Ok(jobs)));
            }
            Request::Job(name, reply) => {
                let mut job = self.state.show_job(&name);
                job.iter_mut().flat_map(|job| &mut job.running).for_each(|run| self.count_output(run));
                drop(reply.send(job));
            }
            Request::Run(run, reply) => {
                let mut run = self.state.show_run(run);
                run.iter_mut().for_each(|run| self.count_output(run));
                drop(reply.send(run));
            }
            Request::Why(name, reply) => drop(reply.send(Ok(self.state.known(&name)))),
            Request::Files(reply) => drop(reply.send(Ok(self.state.show_files()))),
            Request::Start { name, by, reply } => {
                let decided = self.state.start(&name, &by, self.now());
                self.grant(decided, reply)?;
            }
            Request::StopJob(name, reply) => {
                let decided = self.state.stop_job(&name, self.now());
                self.grant(decided, reply)?;
            }
            Request::StopRun(run, reply) => {
                let decided = self.state.stop_run(run, self.now());
                self.grant(decided, reply)?;
            }
            Request::Reload(reply) => self.reload(Reload::Request(reply)),
            Request::Entries(reply) => drop(reply.send(Ok(self.state.show_entries()))),
            Request::Edit(edit, reply) => self.edit(edit, reply)?,
            Request::Pause { name, until, reason, by, reply } => {
                let (had, effects) = self.state.pause(&name, until, &reason, &by, self.now());
                self.keep_then((had.map(|entry| Edited { name, entry, file: None }), effects), reply)?;
            }
            Request::SkipNext { name, count, reason, by, reply } => {
                let decided = self.state.skip_next(&name, count, &reason, &by, self.now());
                self.keep_then(decided, reply)?;
            }
            Request::Hold { until, reason, by, reply } => {
                let decided = self.state.hold(until, &reason, &by, self.now());
                self.keep_then(decided, reply)?;
            }
            Request::Release(reply) => {
                let decided = self.state.release(self.now());
                self.keep_then(decided, reply)?;
            }
            Request::Text(name, reply) => self.commands.send(Command::Text(name, reply)),
            Request::Reset(reply) => self.reload(Reload::Reset(reply)),
            Request::Beat(beat, reply) => self.answer_beat(&beat, reply),
            Request::Metrics(reply) => drop(reply.send(Ok(Box::new(self.reading())))),
            Request::Alive(reply) => drop(reply.send(Ok(()))),
            Request::Ready(reply) => drop(reply.send(self.readiness())),
            Request::Quit(reply) => {
                drop(reply.send(Ok(())));
                self.quit.get_or_insert(Instant::now() + FAREWELL);
            }
        }
        Ok(true)
    }

    /// Does what was decided, then says so: the output of a new run is found under its id from the first byte.
    fn grant<T>(&mut self, (answer, effects): Decided<T>, reply: Reply<T>) -> Result<(), Broken> {
        self.perform(effects)?;
        drop(reply.send(answer));
        Ok(())
    }

    /// Does what was decided, and says so once it would survive.
    fn keep_then<T: Send + 'static>(&mut self, (answer, effects): Decided<T>, reply: Reply<T>) -> Result<(), Broken> {
        self.perform(effects)?;
        self.keeper.then(move || drop(reply.send(answer)));
        Ok(())
    }

    /// Of a run that goes on, only the capture knows how much it has printed.
    fn count_output(&self, view: &mut RunView) {
        let (tails, of) = (self.capture.tails(), RunId::parse(&view.run));
        let attempts =
            of.filter(|_| !matches!(view.state.as_str(), "over" | "retrying")).map(|of| tails.attempts_of(of));
        let is_it = |run: &RunId| tails.attempt(*run).is_some_and(|(_, attempt)| attempt == view.attempt);
        if let Some(run) = attempts.and_then(|attempts| attempts.into_iter().find(is_it)) {
            (view.output_bytes, view.output_dropped) = tails.counts(run);
        }
    }
}

type Decided<T> = (Result<T, Refusal>, Vec<Effect>);
