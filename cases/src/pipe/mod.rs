//! Pipes and FIFOs, and moving data through them without reading it.

pub mod atomicity;
pub mod capacity;
pub mod end_of_life;
pub mod ends;
pub mod fifo_data;
pub mod fifo_name;
pub mod fifo_open;
pub mod other_files;
pub mod packets;
pub mod seeking;
pub mod sendfile;
pub mod shared_pages;
pub mod splice;
pub mod splice_waits;
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
    other_files::CASES,
    capacity::CASES,
    packets::CASES,
    vectors::CASES,
    seeking::CASES,
    fifo_open::CASES,
    fifo_data::CASES,
    fifo_name::CASES,
    splice::CASES,
    splice_waits::CASES,
    tee::CASES,
    vmsplice::CASES,
    shared_pages::CASES,
    sendfile::CASES,
];
