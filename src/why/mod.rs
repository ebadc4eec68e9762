//! Why a job ran at an instant, or did not. Pure: what is known comes in, an answer goes out.
//!
//! ```text
//! Known (the engine, now) ─┐
//! Remembered (the history) ┼─▶ answer ─▶ WhyView: a sentence, the schedule's fields, what was found
//! Explanation (schedule)  ─┘
//! ```
//!
//! The verdict that was booked goes before everything that could be reckoned anew: definitions change, verdicts do not. What
//! is not known is said to be unknown and why; nothing is guessed.

mod absent;
mod ahead;
mod answer;
mod booked;
mod known;
mod recall;
mod remembered;
mod view;
mod words;

#[cfg(test)]
mod tests;

pub use answer::{Asked, answer};
pub use known::{Known, Standing};
pub use recall::{definition_words, recall};
pub use remembered::{Attempt, Happened, Remembered, Row, Then};
pub use view::{WhyFact, WhyView};
