//! Wrong shared memory: segments of System V, POSIX objects, memory files and
//! mappings.

pub mod attach;
pub mod memfd;
pub mod mmap;
pub mod posix;
pub mod segment;
mod view;

use crate::Fault;

/// The faults of this mechanism.
pub const FAULTS: &[&[Fault]] =
    &[attach::FAULTS, segment::FAULTS, posix::FAULTS, memfd::FAULTS, mmap::FAULTS];
