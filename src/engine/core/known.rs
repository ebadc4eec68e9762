//! What the engine knows of a job, for whoever asks why.

use super::State;
use super::show::{run_view, verdict_view};
use crate::job::{JobName, Severity};
use crate::why::{Known, Standing};

impl State {
    /// What is known of a job, or of a name that none has.
    pub fn known(&self, name: &JobName) -> Known {
        let entry = self.jobs.get(name);
        let going = self.going.get(name);
        let waiting = going.into_iter().flat_map(|going| &going.waiting);
        Known {
            name: name.clone(),
            armed: entry.map(|entry| Standing {
                job: entry.job.clone(),
                since: entry.since(),
                anchor: entry.anchor(self.jobs.base()),
                next: entry.next,
            }),
            broken: self.broken_because(name),
            pause: self.pauses.get(name).cloned(),
            hold: self.pauses.hold().cloned(),
            waiting: waiting.filter_map(|ticket| Some((ticket.slot?, ticket.of))).collect(),
            running: going
                .into_iter()
                .flat_map(|going| &going.runs)
                .filter_map(|run| self.runs.get(run))
                .map(run_view)
                .collect(),
            verdicts: entry
                .into_iter()
                .flat_map(|entry| entry.past.verdicts())
                .map(|(slot, fate)| verdict_view(*slot, *fate))
                .collect(),
            decided: self.watched.position(),
            started: self.setting.started,
            stopping: self.stopping.is_some(),
        }
    }

    /// The first error of the file that defines the job, or would.
    fn broken_because(&self, name: &JobName) -> Option<String> {
        let stem = name.file_stem();
        let would = |file: &str| {
            file.strip_suffix(".yaml").or_else(|| file.strip_suffix(".yml")).is_some_and(|file| file == stem)
        };
        let mut files = self.files.iter().filter(|(file, view)| view.job.as_ref() == Some(name) || would(file));
        files.find_map(|(file, view)| {
            let error = view.findings.iter().find(|finding| finding.severity == Severity::Error)?;
            Some(format!("{file}: {}", error.message))
        })
    }
}
