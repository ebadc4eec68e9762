//! Pure time: what a schedule text means, and when it is next due.
