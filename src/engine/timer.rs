//! The alarm on the wall clock. It goes off at an instant, and whenever somebody sets the clock, so that a step, a suspend
//! and an engine that was away are one case: time passed.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use jiff::Timestamp;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::unix::AsyncFd;

use super::ready;

/// Set for this when nothing is due, so that a clock that is set is still noticed: the year 2200.
const NEVER: i64 = 7_258_118_400;

/// The alarm.
pub struct Alarm {
    timer: AsyncFd<Timer>,
    set: Option<Timestamp>,
}

struct Timer(TimerFd);

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Alarm {
    /// Not set yet. To be made inside the runtime.
    pub fn new() -> io::Result<Self> {
        let timer = TimerFd::new(ClockId::CLOCK_REALTIME, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)?;
        Ok(Self { timer: ready::watch(Timer(timer))?, set: None })
    }

    /// Has it go off at `instant`, or only when the clock is set.
    pub fn set(&mut self, instant: Option<Timestamp>) -> io::Result<()> {
        let never = Timestamp::from_second(NEVER).unwrap_or(Timestamp::MAX);
        let instant = instant.unwrap_or(never).clamp(Timestamp::UNIX_EPOCH, never);
        if self.set == Some(instant) {
            return Ok(());
        }
        // At zero the kernel takes the timer for disarmed; one nanosecond after 1970 is just as past.
        let nanosecond = i64::from(instant.subsec_nanosecond()).max(1);
        let at = Expiration::OneShot(TimeSpec::new(instant.as_second(), nanosecond));
        let flags = TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET;
        self.timer.get_ref().0.set(at, flags)?;
        self.set = Some(instant);
        Ok(())
    }

    /// Waits until it has gone off. Cancelling loses nothing.
    pub async fn wait(&mut self) {
        // An alarm that cannot be waited for would silence every schedule: the loop turns instead, and sets it anew.
        if let Ok(mut ready) = self.timer.readable().await {
            // Also when the clock was set (`ECANCELED`): what that means is seen by looking at the clock.
            let _ = self.timer.get_ref().0.wait();
            ready.clear_ready();
        }
        self.set = None;
    }
}
