//! Pipes and FIFOs, and moving data through them without reading it.

pub mod atomicity;
pub mod capacity;
pub mod end_of_life;
pub mod ends;
pub mod fifo;
pub mod packets;
pub mod seeking;
pub mod sendfile;
pub mod splice;
pub mod stream;
pub mod tee;
pub mod vectors;
pub mod vmsplice;

use ipcspec_harness::Case;

/// The cases of this mechanism.
pub const CASES: &[&[Case]] = &[
    ends::CASES,
    stream::CASES,
    end_of_life::CASES,
    atomicity::CASES,
    capacity::CASES,
    packets::CASES,
    vectors::CASES,
    seeking::CASES,
    fifo::CASES,
    splice::CASES,
    tee::CASES,
    vmsplice::CASES,
    sendfile::CASES,
];
