//! Message queues, of System V and of POSIX.

pub mod posix;
pub mod sysv;

use ipcspec_harness::Case;

/// The cases of this mechanism.
pub const CASES: &[&[Case]] = &[sysv::CASES, posix::CASES];
