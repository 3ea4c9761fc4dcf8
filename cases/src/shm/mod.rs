//! Shared memory: System V segments, POSIX objects, memory files, mappings.

pub mod sysv;
pub mod posix;
pub mod memfd;
pub mod mmap;

use ipcspec_harness::Case;

/// The cases of this mechanism.
pub const CASES: &[&[Case]] = &[sysv::CASES, posix::CASES, memfd::CASES, mmap::CASES];
