//! Sockets: local, Internet, raw.

pub mod inet;
pub mod raw;
pub mod unix;

use ipcspec_harness::Case;

/// The cases of this mechanism.
pub const CASES: &[&[Case]] = &[unix::CASES, inet::CASES, raw::CASES];
