//! The one loop that owns all state, and the pure decisions that it obeys.
