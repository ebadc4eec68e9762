//! rotad.yaml, and how a directory of job files becomes a snapshot.
