//! Where facts go: terminal, log file, journal, and the tail that is kept of each run.

mod tail;

pub use tail::{Line, Tail, TailEvent, Tails};
