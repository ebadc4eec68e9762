//! The engine's own events as entries of the journal, with fields: `journalctl ROTA_JOB=backup` finds them.
//!
//! `tracing-journald` writes to a socket that blocks when journald does not read, so it lives on the thread that speaks, and
//! never meets the loop.

use tracing::level_filters::LevelFilter;
use tracing::subscriber::DefaultGuard;
use tracing::{Level, event};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::layer::SubscriberExt;

/// An event on its way to whoever speaks.
#[derive(Debug, Default)]
pub struct Said {
    /// How loud; absent only before it is known.
    pub level: Option<Level>,
    /// The sentence.
    pub text: String,
    /// Of which job.
    pub job: Option<String>,
    /// Of which run.
    pub run: Option<String>,
    /// The stable word for what happened.
    pub code: Option<String>,
}

/// The journal's socket, while it is this thread's own.
pub struct Journal(#[allow(dead_code, reason = "what it guards ends with it")] DefaultGuard);

impl Journal {
    /// Connects. `None` where there is no journald: its stream on standard error is left.
    pub fn connect() -> Option<Journal> {
        let priorities = PriorityMappings { info: Priority::Informational, ..PriorityMappings::new() };
        let layer = tracing_journald::layer().ok()?.with_field_prefix(None).with_syslog_identifier("rotad".to_owned());
        let subscriber =
            tracing_subscriber::registry().with(LevelFilter::TRACE).with(layer.with_priority_mappings(priorities));
        Some(Journal(tracing::subscriber::set_default(subscriber)))
    }

    /// Writes one entry. May block for as long as journald does not read.
    pub fn write(&self, said: &Said) {
        let (text, code) = (said.text.as_str(), said.code.as_deref());
        let (job, run) = (said.job.as_deref(), said.run.as_deref());
        match said.level.unwrap_or(Level::INFO) {
            Level::ERROR => event!(Level::ERROR, ROTA_JOB = job, ROTA_RUN_ID = run, ROTA_CODE = code, "{text}"),
            Level::WARN => event!(Level::WARN, ROTA_JOB = job, ROTA_RUN_ID = run, ROTA_CODE = code, "{text}"),
            Level::INFO => event!(Level::INFO, ROTA_JOB = job, ROTA_RUN_ID = run, ROTA_CODE = code, "{text}"),
            _ => event!(Level::DEBUG, ROTA_JOB = job, ROTA_RUN_ID = run, ROTA_CODE = code, "{text}"),
        }
    }
}
