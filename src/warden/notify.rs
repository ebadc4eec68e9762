//! What systemd is told, for both processes (sd_notify(3)). Nothing here waits and nothing is fatal: without systemd it is
//! silence, and a systemd that is busy is told a moment later.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// Between two lines for `systemctl status`: an engine may ask for as many as it likes, the newest is said.
const STATUS_PAUSE: Duration = Duration::from_millis(250);
/// Longest such line, in characters.
const STATUS_LENGTH: usize = 512;
/// When what systemd had no room for is tried again.
const RETRY: Duration = Duration::from_millis(100);
/// How much time a long start or stop asks for at once, and how often: whoever hangs no longer asks.
const EXTENSION: Duration = Duration::from_secs(30);
const EXTEND_EVERY: Duration = Duration::from_secs(10);
/// Most messages kept for a systemd that is busy.
const WAITING: usize = 8;

/// The line to systemd, and what it was told last.
#[derive(Debug)]
pub struct Notifier {
    way: Option<(UnixDatagram, SocketAddr)>,
    phase: Phase,
    /// The line to be said next, and when that may be.
    status: Option<String>,
    next_status: Instant,
    waiting: VecDeque<String>,
    extended: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing is armed yet.
    Starting,
    /// `READY=1` was said.
    Serving,
    /// So many reloads are under way.
    Reloading(u32),
    /// The end.
    Stopping,
}

impl Notifier {
    /// To where `NOTIFY_SOCKET` says: a path, or `@` and a name that is no path.
    pub fn from_environment() -> Notifier {
        Notifier::new(std::env::var("NOTIFY_SOCKET").ok().and_then(|name| address(&name)), Instant::now())
    }

    fn new(address: Option<SocketAddr>, now: Instant) -> Notifier {
        let socket = UnixDatagram::unbound().and_then(|socket| socket.set_nonblocking(true).map(|()| socket)).ok();
        Notifier {
            way: socket.zip(address),
            phase: Phase::Starting,
            status: None,
            next_status: now,
            waiting: VecDeque::new(),
            extended: None,
        }
    }

    /// An engine has its first snapshot armed, and the socket answers. Said once: what its successors arm is no news.
    pub fn ready(&mut self) {
        if matches!(self.phase, Phase::Starting | Phase::Reloading(_)) {
            self.phase = Phase::Serving;
            self.tell(NotifyState::Ready.to_string());
        }
    }

    /// A reload begins.
    pub fn reloading(&mut self) {
        match &mut self.phase {
            Phase::Reloading(count) => *count = count.saturating_add(1),
            Phase::Serving => {
                self.phase = Phase::Reloading(1);
                let now = NotifyState::monotonic_usec_now().map(|now| format!("\n{now}")).unwrap_or_default();
                self.tell(format!("{}{now}", NotifyState::Reloading));
            }
            // The first snapshot, or the end, is on its way and says more.
            Phase::Starting | Phase::Stopping => {}
        }
    }

    /// It is done.
    pub fn reloaded(&mut self) {
        match &mut self.phase {
            Phase::Reloading(count @ 2..) => *count -= 1,
            Phase::Reloading(_) => self.ready(),
            _ => {}
        }
    }

    /// One line for `systemctl status`. A line break in it would be a command to systemd, so there is none.
    pub fn status(&mut self, text: &str, now: Instant) {
        self.status = Some(text.chars().filter(|c| !c.is_control()).take(STATUS_LENGTH).collect());
        self.clock(now);
    }

    /// The daemon stops, which may take longer than systemd was told to wait.
    pub fn stopping(&mut self, now: Instant) {
        if self.phase != Phase::Stopping {
            self.phase = Phase::Stopping;
            self.extended = None;
            self.tell(NotifyState::Stopping.to_string());
            self.clock(now);
        }
    }

    /// Both loops have turned. A start that takes long gets more time by that.
    pub fn alive(&mut self, now: Instant) {
        // One that systemd has no room for is not kept: another comes.
        self.send(&NotifyState::Watchdog.to_string());
        if self.phase == Phase::Starting {
            self.extend(now);
        }
    }

    /// Says what is due; when to come again.
    pub fn clock(&mut self, now: Instant) -> Option<Instant> {
        while let Some(text) = self.waiting.front() {
            if !self.send(text) {
                return Some(now + RETRY);
            }
            self.waiting.pop_front();
        }
        if let Some(status) = self.status.take_if(|_| now >= self.next_status) {
            self.next_status = now + STATUS_PAUSE;
            if !self.send(&NotifyState::Status(&status).to_string()) {
                self.status = Some(status);
            }
        }
        let extend = (self.phase == Phase::Stopping && self.way.is_some()).then(|| self.extend(now));
        let status = self.status.is_some().then_some(self.next_status);
        extend.into_iter().chain(status).min()
    }

    /// Asks for more time, if it is time to.
    fn extend(&mut self, now: Instant) -> Instant {
        let due = self.extended.map_or(now, |at| at + EXTEND_EVERY);
        if now < due {
            return due;
        }
        self.extended = Some(now);
        let time = u32::try_from(EXTENSION.as_micros()).unwrap_or(u32::MAX);
        self.tell(NotifyState::ExtendTimeoutUsec(time).to_string());
        now + EXTEND_EVERY
    }

    /// Says it, in order with what waits.
    fn tell(&mut self, text: String) {
        if !self.waiting.is_empty() || !self.send(&text) {
            self.waiting.truncate(WAITING - 1);
            self.waiting.push_back(text);
        }
    }

    /// `false`: there was no room. Nobody can be told that nobody can be told.
    fn send(&self, text: &str) -> bool {
        let Some((socket, address)) = &self.way else { return true };
        match socket.send_to_addr(text.as_bytes(), address) {
            Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
            Ok(_) => true,
        }
    }
}

fn address(name: &str) -> Option<SocketAddr> {
    match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name).ok(),
        None => SocketAddr::from_pathname(name).ok().filter(|_| name.starts_with('/')),
    }
}

/// The time within which systemd wants to hear [`Notifier::alive`], if it does.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(socket: &UnixDatagram) -> Vec<String> {
        socket.set_nonblocking(true).unwrap();
        let mut buffer = [0; 4096];
        std::iter::from_fn(|| {
            socket.recv(&mut buffer).ok().map(|length| String::from_utf8(buffer[..length].to_vec()).unwrap())
        })
        .collect()
    }

    fn pair() -> (UnixDatagram, Notifier, Instant) {
        let name = format!("@rotad-notify-{}-{:?}", std::process::id(), std::thread::current().id());
        let address = address(&name).unwrap();
        let now = Instant::now();
        (UnixDatagram::bind_addr(&address).unwrap(), Notifier::new(Some(address), now), now)
    }

    #[test]
    fn h108_an_abstract_socket_is_found_and_a_missing_one_is_silence() {
        let (systemd, mut notifier, now) = pair();
        notifier.ready();
        assert_eq!(heard(&systemd), ["READY=1"]);
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("notify");
        let mut gone = Notifier::new(address(path.to_str().unwrap()), now);
        gone.ready();
        gone.stopping(now);
        assert!(gone.waiting.is_empty(), "what nobody will hear is not kept");
        for name in ["", "relative", "vsock:2:1", &format!("/{}", "x".repeat(200)), &format!("@{}", "x".repeat(200))] {
            assert!(address(name).is_none(), "{name}");
        }
    }

    #[test]
    fn h106_ready_is_said_once_and_again_after_every_reload() {
        let (systemd, mut notifier, now) = pair();
        notifier.reloading();
        notifier.reloaded();
        assert!(heard(&systemd).is_empty(), "before the first snapshot there is nothing to reload");
        for _ in 0..1000 {
            notifier.ready();
        }
        assert_eq!(heard(&systemd), ["READY=1"]);
        notifier.reloading();
        notifier.reloading();
        notifier.reloaded();
        let said = heard(&systemd);
        assert!(said.len() == 1 && said[0].starts_with("RELOADING=1\nMONOTONIC_USEC="), "{said:?}");
        notifier.reloaded();
        notifier.reloaded();
        assert_eq!(heard(&systemd), ["READY=1"]);
        // The engine died with the reload: its successor has read everything.
        notifier.reloading();
        notifier.ready();
        notifier.stopping(now);
        notifier.reloading();
        notifier.ready();
        assert_eq!(heard(&systemd)[1..], ["READY=1", "STOPPING=1", "EXTEND_TIMEOUT_USEC=30000000"]);
    }

    #[test]
    fn of_many_status_lines_the_last_is_said() {
        let (systemd, mut notifier, now) = pair();
        for count in 0..1000 {
            notifier.status(&format!("{count}\nMAINPID=1"), now);
        }
        assert_eq!(heard(&systemd), ["STATUS=0MAINPID=1"]);
        let due = notifier.clock(now).unwrap();
        assert_eq!(notifier.clock(due), None);
        assert_eq!(heard(&systemd), ["STATUS=999MAINPID=1"]);
    }

    #[test]
    fn h109_a_long_stop_asks_for_time_again_and_again_and_a_start_as_long_as_it_lives() {
        let (systemd, mut notifier, now) = pair();
        notifier.alive(now);
        notifier.alive(now + EXTEND_EVERY / 2);
        notifier.alive(now + EXTEND_EVERY);
        let extend = "EXTEND_TIMEOUT_USEC=30000000";
        assert_eq!(heard(&systemd), ["WATCHDOG=1", extend, "WATCHDOG=1", "WATCHDOG=1", extend]);
        notifier.ready();
        notifier.alive(now + EXTEND_EVERY * 3);
        assert_eq!(heard(&systemd), ["READY=1", "WATCHDOG=1"]);
        notifier.stopping(now);
        assert_eq!(heard(&systemd), ["STOPPING=1", extend]);
        let due = notifier.clock(now).unwrap();
        assert!(due < now + EXTENSION);
        notifier.clock(due);
        assert_eq!(heard(&systemd), [extend]);
    }

    #[test]
    fn a_busy_systemd_is_told_later_in_order() {
        let (systemd, mut notifier, now) = pair();
        while notifier.send("WATCHDOG=1") {}
        notifier.ready();
        notifier.stopping(now);
        assert!(notifier.clock(now).is_some());
        heard(&systemd);
        notifier.clock(now + RETRY);
        assert_eq!(heard(&systemd)[..2], ["READY=1", "STOPPING=1"]);
    }
}
