//! Shared memory: System V segments, POSIX objects, memory files, mappings.

pub mod memfd;
pub mod mmap;
pub mod posix;
pub mod sysv;

use ipcspec_harness::Case;

/// The cases of this mechanism.
pub const CASES: &[&[Case]] = &[sysv::CASES, posix::CASES, memfd::CASES, mmap::CASES];
