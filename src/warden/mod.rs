//! The privileged side: launch, signal, reap, adopt.
