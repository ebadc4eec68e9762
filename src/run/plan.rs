//! From a job to a plan: all that the warden's child does, written out beforehand. Pure.
//!
//! The environment is built from nothing, so that nothing of the daemon's own leaks into a job. Later ones win:
//!
//! 1. `PATH` and `LANG` (HOME, USER, LOGNAME and SHELL come from the warden, which knows the user),
//! 2. `environment_file`, 3. `environment`,
//! 4. `ROTA_JOB`, `ROTA_RUN_ID`, `ROTA_ATTEMPT`, `ROTA_TRIGGER`, `ROTA_SCHEDULED_AT` for a slot, and `ROTA_AFTER` and
//!    `ROTA_AFTER_RUN` for a run that follows another job; these cannot be overridden.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;

use crate::job::{Job, Limits, Program};
use crate::wire::{Limit, Plan, RunId};

/// Where programs are looked for unless the job says otherwise.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the daemon alone says to a job: no file may set it.
const OURS: &str = "ROTA_";

/// Which run of a job this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occasion<'a> {
    /// Its id.
    pub run: RunId,
    /// The slot; absent: requested.
    pub slot: Option<Timestamp>,
    /// Counted from 1.
    pub attempt: u32,
    /// What began the run, as the stable word.
    pub trigger: &'static str,
    /// The job whose end began it, and the run of it that ended.
    pub after: Option<(&'a str, RunId)>,
}

/// The plan of a run, with what its `environment_file` said. Refused, with a sentence, where a text holds a NUL byte: the
/// kernel would end it there.
pub fn plan(job: &Job, occasion: &Occasion<'_>, file: Vec<(String, String)>) -> Result<Plan, String> {
    let argv = match &job.program {
        Program::Exec { command, args } => std::iter::once(command).chain(args).cloned().collect(),
        Program::Script(text) => vec!["/bin/sh".into(), "-c".into(), text.clone()],
    };
    let plan = Plan {
        user: job.user.clone(),
        argv,
        environment: environment(job, occasion, file),
        work_dir: job.work_dir.clone().unwrap_or_else(|| PathBuf::from("/")),
        umask: job.umask,
        nice: job.nice,
        limits: limits(&job.limits),
        no_new_privs: job.no_new_privs,
    };
    if plan.argv.iter().any(|text| text.contains('\0')) {
        return Err("program and arguments must not hold a NUL byte".into());
    }
    match plan
        .environment
        .iter()
        .find(|(key, value)| key.contains(['\0', '=']) || key.is_empty() || value.contains('\0'))
    {
        Some((key, _)) => Err(format!("the environment variable {key:?} has an impossible name or holds a NUL byte")),
        None => Ok(plan),
    }
}

fn environment(job: &Job, occasion: &Occasion<'_>, file: Vec<(String, String)>) -> Vec<(String, String)> {
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    all.insert("PATH".into(), PATH.into());
    all.insert("LANG".into(), "C.UTF-8".into());
    let theirs = file.into_iter().chain(job.environment.clone());
    all.extend(theirs.filter(|(key, _)| !key.starts_with(OURS)));
    all.insert("ROTA_JOB".into(), job.name.to_string());
    all.insert("ROTA_RUN_ID".into(), occasion.run.to_string());
    all.insert("ROTA_ATTEMPT".into(), occasion.attempt.to_string());
    all.insert("ROTA_TRIGGER".into(), occasion.trigger.into());
    if let Some((job, run)) = occasion.after {
        all.insert("ROTA_AFTER".into(), job.into());
        all.insert("ROTA_AFTER_RUN".into(), run.to_string());
    }
    if let Some(slot) = occasion.slot {
        all.insert("ROTA_SCHEDULED_AT".into(), slot.to_string());
    }
    all.into_iter().collect()
}

fn limits(limits: &Limits) -> Vec<(Limit, u64)> {
    let asked = [
        (Limit::Nproc, limits.nproc),
        (Limit::Cpu, limits.cpu),
        (Limit::AddressSpace, limits.address_space),
        (Limit::FileSize, limits.file_size),
        (Limit::Stack, limits.stack),
        (Limit::Memlock, limits.memlock),
    ];
    let always = [(Limit::Nofile, limits.nofile), (Limit::Core, limits.core)];
    let asked = asked.into_iter().filter_map(|(limit, value)| Some((limit, value?)));
    always.into_iter().chain(asked).collect()
}
