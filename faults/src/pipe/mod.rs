//! Wrong pipes and FIFOs.

mod buffers;
pub mod capacity;
pub mod end_of_life;
pub mod packets;
pub mod seeking;
pub mod sendfile;
pub mod splice;
pub mod splice_waits;
pub mod stream;
pub mod tee;
pub mod vectors;
pub mod vmsplice;

use crate::Fault;

/// The faults of this mechanism.
pub const FAULTS: &[&[Fault]] = &[
    stream::FAULTS,
    end_of_life::FAULTS,
    capacity::FAULTS,
    packets::FAULTS,
    vectors::FAULTS,
    seeking::FAULTS,
    splice::FAULTS,
    splice_waits::FAULTS,
    tee::FAULTS,
    vmsplice::FAULTS,
    sendfile::FAULTS,
];
