//! The engine's own events as entries of the journal, with fields: `journalctl ROTA_JOB=backup` finds them, and
//! `journalctl -x` explains those that have a `MESSAGE_ID`.
//!
//! `tracing-journald` writes to a socket that blocks when journald does not read, so it lives on the thread that speaks, and
//! never meets the loop.

use tracing::level_filters::LevelFilter;
use tracing::subscriber::DefaultGuard;
use tracing::{Level, event};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::layer::SubscriberExt;

use super::view::JournalView;
use crate::sink::{OWN_FACILITY, message_id};
use crate::warden::say::stderr_is_journal;

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
    /// Of which of its attempts.
    pub attempt: Option<String>,
    /// The stable word for what happened.
    pub code: Option<String>,
    /// In which file it is; then the code is that of a finding.
    pub file: Option<String>,
}

impl Said {
    /// What explains it in the catalog. Of what files have to say that is one thing for all errors, whatever their codes.
    fn message_id(&self) -> Option<&'static str> {
        match (&self.file, &self.code) {
            (Some(_), _) => message_id("broken-file").filter(|_| self.level == Some(Level::ERROR)),
            (None, Some(code)) => message_id(code),
            (None, None) => None,
        }
    }
}

/// The journal's socket, while it is this thread's own.
pub struct Journal(#[allow(dead_code, reason = "what it guards ends with it")] DefaultGuard);

impl Journal {
    /// Connects. `None` where there is no journald: its stream on standard error is left.
    pub fn connect() -> Option<Journal> {
        let priorities = PriorityMappings { info: Priority::Informational, ..PriorityMappings::new() };
        let layer = tracing_journald::layer().ok()?.with_field_prefix(None).with_syslog_identifier("rotad".to_owned());
        let layer = layer.with_custom_fields([("SYSLOG_FACILITY", OWN_FACILITY.to_string())]);
        let subscriber =
            tracing_subscriber::registry().with(LevelFilter::TRACE).with(layer.with_priority_mappings(priorities));
        Some(Journal(tracing::subscriber::set_default(subscriber)))
    }

    /// Writes one entry. May block for as long as journald does not read.
    pub fn write(&self, said: &Said) {
        macro_rules! entry {
            ($level:expr) => {
                event!(
                    $level,
                    ROTA_JOB = said.job.as_deref(),
                    ROTA_RUN_ID = said.run.as_deref(),
                    ROTA_ATTEMPT = said.attempt.as_deref(),
                    ROTA_CODE = said.code.as_deref(),
                    ROTA_FILE = said.file.as_deref(),
                    MESSAGE_ID = said.message_id(),
                    "{}",
                    said.text
                )
            };
        }
        match said.level.unwrap_or(Level::INFO) {
            Level::ERROR => entry!(Level::ERROR),
            Level::WARN => entry!(Level::WARN),
            Level::INFO => entry!(Level::INFO),
            _ => entry!(Level::DEBUG),
        }
    }
}

/// The journal that takes lines of jobs from this process; `None` where there is none.
pub fn find() -> Option<JournalView> {
    let auto = stderr_is_journal();
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let view = || JournalView { uid: nix::unistd::geteuid().as_raw(), unit: unit(&groups), auto };
    (auto || crate::sink::Journal::is_there()).then(view)
}

/// The unit that a process with these cgroups is in, as journald reads it (`_SYSTEMD_UNIT`).
fn unit(groups: &str) -> Option<String> {
    // In the mixed layout systemd's tree has a name, and the unified one beside it the same paths.
    let path = |line: &str| line.splitn(3, ':').nth(2).map(str::to_owned);
    let own = |line: &&str| line.starts_with("0::") || line.contains(":name=systemd:");
    let paths: Vec<String> = groups.lines().filter(own).filter_map(path).collect();
    let mut parts = paths.iter().flat_map(|path| path.split('/'));
    parts.find(|part| part.ends_with(".service") && part.len() > ".service".len()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_is_in_the_cgroups() {
        for (groups, expected) in [
            ("0::/system.slice/rotad.service\n", Some("rotad.service")),
            ("0::/system.slice/rotad.service/engine\n", Some("rotad.service")),
            ("12:cpu:/x.service\n1:name=systemd:/system.slice/a\\x2db.service\n0::/\n", Some("a\\x2db.service")),
            ("0::/user.slice/user-0.slice/session-1.scope\n", None),
            ("0::/user.slice/user@7.service/app.slice/rotad.service\n", Some("user@7.service")),
            ("0::/.service/", None),
            ("", None),
        ] {
            assert_eq!(unit(groups).as_deref(), expected, "{groups}");
        }
    }
}
