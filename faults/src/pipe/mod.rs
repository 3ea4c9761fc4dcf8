//! Wrong pipes and FIFOs.

pub mod atomicity;
mod buffers;
pub mod capacity;
pub mod end_of_life;
pub mod ends;
pub mod fifo;
pub mod other_files;
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
    ends::FAULTS,
    stream::FAULTS,
    atomicity::FAULTS,
    end_of_life::FAULTS,
    fifo::FAULTS,
    other_files::FAULTS,
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
