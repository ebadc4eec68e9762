//! What the jobs print, from their pipes to files, terminal and tails: real pipes, real files, real kills.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../common/mod.rs"]
mod common;
mod faults;
mod follow;
mod kill;
mod terminal;
mod warden;
