//! Wrong pipes and FIFOs.

pub mod end_of_life;
pub mod stream;

use crate::Fault;

/// The faults of this mechanism.
pub const FAULTS: &[&[Fault]] = &[stream::FAULTS, end_of_life::FAULTS];
