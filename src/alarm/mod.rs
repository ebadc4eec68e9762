//! Alarms: who is told of what happens to jobs, and how.
//!
//! ```text
//!  facts → happenings → rules ─→ group ──→ text ─┬→ deliver → http   webhook, ping, report
//!                      (pure)    (pure)   (pure) └→ errand           mail, command, beat
//! ```
//!
//! An alarm changes no outcome and holds up no job: what is sent over the network is sent on threads of its own, what is a
//! program is an errand. All queues are bounded, and a target that fails is an item of its own in `rota status`.

pub mod deliver;
pub mod group;
mod happening;
pub mod health;
pub mod http;
pub mod keys;
mod lookup;
pub mod mail;
pub mod read;
pub mod report;
mod rule;
pub mod rules;
pub mod send;
mod target;
pub mod text;
mod template;
#[cfg(test)]
pub(crate) mod tests;
mod watch;

pub use happening::{Alarm, Due, Happening, Told, What};
pub use rule::{MAX_RULES, Notify, On, Rule, To};
pub use target::{Call, Kind, TIMEOUT, Target, TargetId};
pub use template::Template;
