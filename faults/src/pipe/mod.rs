//! Wrong pipes and FIFOs.

pub mod atomicity;
pub mod end_of_life;
pub mod ends;
pub mod fifo;
pub mod other_files;
pub mod stream;

use crate::Fault;

/// The faults of this mechanism.
pub const FAULTS: &[&[Fault]] = &[
    ends::FAULTS,
    stream::FAULTS,
    atomicity::FAULTS,
    end_of_life::FAULTS,
    fifo::FAULTS,
    other_files::FAULTS,
];
