//! Jobs: what they are, and changing that.

use hyper::Method;

use super::exchange::Ask;
use super::{Client, End, Error, job_path, own, query};
use crate::engine::{Edited, JobView, Pause, Text};

/// In memory only, where it is so.
fn lasting(permanent: bool) -> String {
    query(&[("permanent", (!permanent).then(|| "0".to_owned()))])
}

/// Every change is answered once it is armed. `permanent` ones are in the job's file by then; the others are in memory, go
/// before the file, and last until the daemon ends.
impl Client {
    /// Every job, by name.
    pub fn jobs(&self) -> Result<Vec<JobView>, Error> {
        self.get("/jobs")
    }

    /// One job.
    ///
    /// # Errors
    /// `no-such-job`.
    pub fn job(&self, name: &str) -> Result<JobView, Error> {
        self.get(&job_path(name, ""))
    }

    /// The text that defines a job, and the file in which it stands. Of a file with several jobs, the job's own part.
    ///
    /// # Errors
    /// `no-such-job`.
    pub fn file_of(&self, name: &str) -> Result<Text, Error> {
        self.get(&job_path(name, "/file"))
    }

    /// Makes a job, or replaces its whole definition, by the YAML text of a job file.
    ///
    /// # Errors
    /// `bad-job` or `bad-schedule`: the text is no definition, and nothing was changed; `not-written`; `busy`.
    pub fn define(&self, name: &str, text: &str, permanent: bool) -> Result<Edited, Error> {
        let ask = own(Method::PUT, &job_path(name, &lasting(permanent)));
        self.answer(Ask { body: text.as_bytes().to_vec(), ..ask })
    }

    /// Takes a job's definition away. Runs that go on are left alone.
    ///
    /// # Errors
    /// `no-such-job`, `not-in-file` (it stands in no file, and `permanent` was asked for), `not-written`.
    pub fn delete(&self, name: &str, permanent: bool) -> Result<Edited, Error> {
        self.answer(own(Method::DELETE, &job_path(name, &lasting(permanent))))
    }

    /// Lets no slot of the job run until it is resumed.
    ///
    /// # Errors
    /// `no-such-job`, `not-active` (it is disabled or paused already), `not-in-file`, `not-written`.
    pub fn disable(&self, name: &str, permanent: bool) -> Result<Edited, Error> {
        self.post(&job_path(name, &format!("/disable{}", lasting(permanent))))
    }

    /// Lets slots run again: of a disabled job by its definition, of a paused one by ending the pause.
    ///
    /// # Errors
    /// `no-such-job`, `not-disabled`, `not-in-file`, `not-written`.
    pub fn resume(&self, name: &str, permanent: bool) -> Result<Edited, Error> {
        self.post(&job_path(name, &format!("/resume{}", lasting(permanent))))
    }

    /// Gives an active job another schedule, by the rules of the dialect that its definition names.
    ///
    /// # Errors
    /// `no-such-job`, `not-active`, `bad-schedule`, `not-in-file`, `not-written`.
    pub fn reschedule(&self, name: &str, schedule: &str, permanent: bool) -> Result<Edited, Error> {
        let query =
            query(&[("schedule", Some(schedule.to_owned())), ("permanent", (!permanent).then(|| "0".to_owned()))]);
        self.post(&job_path(name, &format!("/schedule{query}")))
    }

    /// Lets no slot of an active job run for a while. It survives a restart; `reason` is one line for people, or empty.
    ///
    /// # Errors
    /// `no-such-job`, `not-active`, `bad-query` (an end that has passed, a reason that is no line).
    pub fn pause(&self, name: &str, end: End, reason: &str) -> Result<Edited, Error> {
        self.post(&job_path(name, &format!("/pause{}", time(end, reason))))
    }

    /// Lets the next `count` slots of an active job go, from 1 to 1,000. The pause that comes of it: it ends with the last of
    /// them.
    ///
    /// # Errors
    /// `no-such-job`, `not-active`, `never-due`, `bad-query` (no such number, a reason that is no line).
    pub fn skip_next(&self, name: &str, count: u32, reason: &str) -> Result<Pause, Error> {
        let reason = (!reason.is_empty()).then(|| reason.to_owned());
        let query = query(&[("count", Some(count.to_string())), ("reason", reason)]);
        self.post(&job_path(name, &format!("/skip-next{query}")))
    }

    /// Lets no slot of any job run for a while. It survives a restart.
    ///
    /// # Errors
    /// `held` (there is a hold already), `bad-query` (an end that has passed, a reason that is no line).
    pub fn hold(&self, end: End, reason: &str) -> Result<Pause, Error> {
        self.post(&format!("/hold{}", time(end, reason)))
    }

    /// Ends the hold, and answers with it.
    ///
    /// # Errors
    /// `not-held`.
    pub fn release(&self) -> Result<Pause, Error> {
        self.post("/release")
    }
}

/// How long, and why.
fn time(end: End, reason: &str) -> String {
    let (length, until) = match end {
        End::After(length) => (Some(format!("{}ms", length.as_millis())), None),
        End::At(instant) => (None, Some(instant.to_string())),
        End::Resumed => (None, None),
    };
    let reason = (!reason.is_empty()).then(|| reason.to_owned());
    query(&[("for", length), ("until", until), ("reason", reason)])
}
