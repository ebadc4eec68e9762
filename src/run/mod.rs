//! A run's life: its plan, the capture of both pipes, its outcome.
