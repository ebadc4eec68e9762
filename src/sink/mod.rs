//! Where facts go: terminal, log file, journal.
