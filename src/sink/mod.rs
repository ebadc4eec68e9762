//! Where facts go: terminal, log file, journal, and the tail that is kept of each run.

mod deliver;
mod entry;
mod escape;
mod files;
mod follower;
mod journal;
mod log_file;
mod message_id;
mod tail;
mod tail_store;
mod terminal;
mod writer;

pub(crate) use deliver::{Order, Sink, SinkThread};
pub(crate) use entry::OWN_FACILITY;
pub(crate) use files::{Files, LOG, UNSENT};
pub use follower::{Following, Lines};
pub(crate) use journal::Journal;
pub(crate) use message_id::message_id;
pub use tail::{Line, Tail, TailEvent, Tails};
pub(crate) use terminal::Terminal;
