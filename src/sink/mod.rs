//! Where facts go: terminal, log file, journal, and the tail that is kept of each run.

mod deliver;
mod escape;
mod files;
mod follower;
mod log_file;
mod tail;
mod tail_store;
mod terminal;
mod writer;

pub(crate) use deliver::{Order, Sink, SinkThread};
pub(crate) use files::Files;
pub use follower::{Following, Lines};
pub use tail::{Line, Tail, TailEvent, Tails};
pub(crate) use terminal::Terminal;
