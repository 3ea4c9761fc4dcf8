//! Sockets: local, Internet, raw.

pub mod unix;
pub mod inet;
pub mod raw;

use ipcspec_harness::Case;

/// The cases of this mechanism.
pub const CASES: &[&[Case]] = &[unix::CASES, inet::CASES, raw::CASES];
