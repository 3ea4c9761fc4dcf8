//! Message queues, of System V and of POSIX.

pub mod sysv;
pub mod posix;

use ipcspec_harness::Case;

/// The cases of this mechanism.
pub const CASES: &[&[Case]] = &[sysv::CASES, posix::CASES];
