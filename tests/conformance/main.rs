//! mysql-crond's requests, replayed against a real daemon that was started with mysql-crond's own `runtime.yaml`. The cases
//! were recorded from the running original. Where the original is wrong, the case says what is better and asks for that.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../common/mod.rs"]
mod common;
mod crond;
mod replay;
mod shape;
mod together;
