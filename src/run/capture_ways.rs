//! The ways between the threads of the capture: who tells whom what. All of them are queues; none is waited for.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::capture_flow::Output;
use crate::job::LogTarget;
use crate::sink::Order;
use crate::wire::RunId;

/// What the capture thread is told.
pub enum Command {
    /// These are the pipes of a run, stdout first.
    Take(Arc<Output>, [OwnedFd; 2]),
    /// Take what is there now, then end both streams of the run.
    Close(RunId),
    /// A full stream of the run has room again.
    Room(RunId),
    /// The program of an adopted run runs by now, and this is its process id.
    Lead(RunId, i32),
    /// End the thread.
    Stop,
}

/// The way to the capture thread; clones lead to the same.
#[derive(Clone)]
pub struct Pipes {
    commands: Sender<Command>,
    wake: Arc<EventFd>,
}

impl Pipes {
    /// The way to a thread that is yet to be made, and its other end.
    pub fn new() -> io::Result<(Pipes, Receiver<Command>)> {
        let (commands, receiver) = channel();
        let wake = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?);
        Ok((Pipes { commands, wake }, receiver))
    }

    /// Readable when there is a command.
    pub fn wake(&self) -> &Arc<EventFd> {
        &self.wake
    }

    /// Queues a command and wakes the thread.
    pub fn send(&self, command: Command) {
        // Both fail only once the thread has ended, when nobody cares for the command.
        let _ = self.commands.send(command);
        let _ = self.wake.write(1);
    }
}

/// The ways to the sink threads.
#[derive(Clone)]
pub struct Sinks {
    /// Log files, and runs that go nowhere.
    pub files: Sender<Order>,
    /// The daemon's standard error.
    pub terminal: Sender<Order>,
    /// The journal.
    pub journal: Sender<Order>,
    /// What their threads have done so far, in this order.
    pub steps: [Arc<AtomicU64>; 3],
}

impl Sinks {
    /// The one of this run.
    pub fn of(&self, output: &Output) -> &Sender<Order> {
        match output.label.target {
            LogTarget::File | LogTarget::None => &self.files,
            LogTarget::Auto => &self.terminal,
            LogTarget::Journal => &self.journal,
        }
    }

    /// How much the thread of this run's sink has done so far: it is alive while this changes.
    pub fn steps(&self, output: &Output) -> u64 {
        let index = match output.label.target {
            LogTarget::File | LogTarget::None => 0,
            LogTarget::Auto => 1,
            LogTarget::Journal => 2,
        };
        self.steps[index].load(Ordering::Relaxed)
    }

    /// Something has changed about the run.
    pub fn wake(&self, output: &Output) {
        if !output.queued.swap(true, Ordering::AcqRel) {
            let _ = self.of(output).send(Order::Ready(output.label.run));
        }
    }
}
