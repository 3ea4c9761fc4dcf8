//! Sockets: what can be made, local, Internet, raw.

pub mod domains;
pub mod inet;
pub mod raw;
pub mod unix;

use ipcspec_harness::Case;

/// The cases of this mechanism.
pub const CASES: &[&[Case]] = &[domains::CASES, unix::CASES, inet::CASES, raw::CASES];
