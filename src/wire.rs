//! The messages between warden and engine.
