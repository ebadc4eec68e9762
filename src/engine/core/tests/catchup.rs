//! Slots that are made up for, and what outlives the daemon.

use super::*;
