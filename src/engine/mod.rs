//! The engine: the one loop that owns all state, and the pure decisions that it obeys.
//!
//! ```text
//!  warden ⇄ ┐                                 ┌→ warden (in order, by way of the outbox)
//!  conf.d → │        ┌──────────────┐         │→ capture of output
//!  capture →├─ turn →│ core: State  │→ effects┤→ environment files, off the loop
//!  requests→│        └──────────────┘         │→ one line a fact
//!  clocks  →┘          pure                   └→ answers
//! ```
//!
//! Nothing on this path waits: not for disk, not for the terminal, not for whoever asks. What may wait has a thread of its
//! own and speaks by messages. A panic ends the process at once; the warden keeps the runs and starts another engine, which
//! takes over from what the warden has.

mod alarms;
mod ask;
mod beats;
mod boot;
pub mod core;
mod edits;
mod errands;
mod greet;
mod journal;
mod keep;
mod ledger;
mod monitor;
mod opener;
mod outbox;
mod perform;
mod ready;
mod record;
mod request;
mod status;
mod take;
mod tell;
mod timer;
mod turn;
mod view;
mod voice;
mod words;

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use crate::wire::Link;

pub use request::{
    Beat, Change, Condition, Edit, Edited, Entry, Keys, Pause, PauseKind, Readiness, Refusal, Reply, Request, Text,
};
pub use tell::outcome_words;
pub use view::{
    AfterView, BeatsView, ExplanationView, FileView, JobView, JournalView, Outcome, RunInFull, RunView, StatusView,
    TargetView, Verdict, VerdictView,
};
pub use words::span as span_words;

/// Threads that may wait for slow disks at once.
const SLOW_THREADS: usize = 32;

/// Why an engine ends before it is told to.
#[derive(Debug)]
pub enum Broken {
    /// The socketpair to the warden.
    Link(io::Error),
    /// The warden went away without a word.
    Orphaned,
    /// The warden says what it should not.
    Protocol(&'static str),
    /// Something that every engine needs could not be made.
    Start(&'static str, io::Error),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link(error) => write!(f, "the link to the warden broke: {error}"),
            Self::Orphaned => write!(f, "the warden is gone"),
            Self::Protocol(what) => write!(f, "the warden broke the protocol: {what}"),
            Self::Start(what, error) => write!(f, "could not start {what}: {error}"),
        }
    }
}

impl std::error::Error for Broken {}

/// How long the end waits for readers of the engine's own lines.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// The engine process: serves the warden at the other end of `socket` until that says that all is over.
pub fn run(socket: OwnedFd) -> ExitCode {
    let link = Arc::new(Link::from_socket(socket));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(SLOW_THREADS).build();
    let ended = match runtime {
        Ok(runtime) => {
            let ended = runtime.block_on(serve(link));
            // A thread that waits for a dead disk is not waited for.
            runtime.shutdown_background();
            ended
        }
        Err(error) => Err(Broken::Start("the runtime", error)),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(broken) => {
            voice::last_word(&broken);
            ExitCode::FAILURE
        }
    }
}

async fn serve(link: Arc<Link>) -> Result<(), Broken> {
    let greeting = greet::greet(&link)?;
    let unsaid = voice::start(greeting.welcome.config.log.debug);
    let ended = match turn::Engine::start(link, greeting) {
        Ok(mut engine) => engine.run().await,
        Err(broken) => Err(broken),
    };
    unsaid.wait(LAST_WORDS);
    ended
}
