//! Pipes and FIFOs, and what splices between them.

pub mod anonymous;
pub mod fifo;
pub mod splice;

use ipcspec_harness::Case;

/// The cases of this mechanism.
pub const CASES: &[&[Case]] = &[anonymous::CASES, fifo::CASES, splice::CASES];
