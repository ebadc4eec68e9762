//! The localhost HTTP endpoint.
