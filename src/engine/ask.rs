//! Answering requests: views of the state, and wishes for the core.

use super::Broken;
use super::core::Effect;
use super::request::{Refusal, Reply, Request};
use super::turn::{Engine, Reload};
use super::view::RunView;
use crate::wire::RunId;

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
            Request::Entries(reply) => drop(reply.send(Err(not_yet()))),
            Request::Edit(_, reply) | Request::Pause { reply, .. } => drop(reply.send(Err(not_yet()))),
            Request::Text(_, reply) => drop(reply.send(Err(not_yet()))),
            Request::Reset(reply) => drop(reply.send(Err(not_yet()))),
            Request::Beat(beat, reply) => self.answer_beat(&beat, reply),
            Request::Quit(reply) => drop(reply.send(Err(not_yet()))),
        }
        Ok(true)
    }

    /// Does what was decided, then says so: the output of a new run is found under its id from the first byte.
    fn grant<T>(&mut self, (answer, effects): Decided<T>, reply: Reply<T>) -> Result<(), Broken> {
        self.perform(effects)?;
        drop(reply.send(answer));
        Ok(())
    }

    /// Of a run that goes on, only the capture knows how much it has printed.
    fn count_output(&self, view: &mut RunView) {
        if view.state != "over"
            && let Some(run) = RunId::parse(&view.run)
        {
            (view.output_bytes, view.output_dropped) = self.capture.tails().counts(run);
        }
    }
}

type Decided<T> = (Result<T, Refusal>, Vec<Effect>);

fn not_yet() -> Refusal {
    Refusal { code: "not-yet".into(), message: "this is not built yet".into(), hint: None }
}
