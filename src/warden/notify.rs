//! What systemd is told, for both processes. Nothing here is fatal: without systemd it is silence.

use std::time::Duration;

use sd_notify::NotifyState;

/// The line to systemd.
#[derive(Debug, Default)]
pub struct Notifier {
    reloading: bool,
}

impl Notifier {
    /// The first snapshot is armed, the socket answers.
    pub fn ready(&self) {
        tell(&[NotifyState::Ready]);
    }

    /// A reload begins.
    pub fn reloading(&mut self) {
        self.reloading = true;
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(_) => tell(&[NotifyState::Reloading]),
        }
    }

    /// It is done.
    pub fn reloaded(&mut self) {
        if std::mem::take(&mut self.reloading) {
            tell(&[NotifyState::Ready]);
        }
    }

    /// One line for `systemctl status`. A line break in it would be a command to systemd, so there is none.
    pub fn status(&self, text: &str) {
        let line: String = text.chars().filter(|c| !c.is_control()).take(512).collect();
        tell(&[NotifyState::Status(&line)]);
    }

    /// The daemon stops.
    pub fn stopping(&self) {
        tell(&[NotifyState::Stopping]);
    }

    /// Both loops have turned.
    pub fn alive(&self) {
        tell(&[NotifyState::Watchdog]);
    }
}

/// The time within which systemd wants to hear [`Notifier::alive`], if it does.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

fn tell(state: &[NotifyState<'_>]) {
    // Nobody can be told that nobody can be told.
    let _ = sd_notify::notify(state);
}
