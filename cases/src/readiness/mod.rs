//! Readiness of all mechanisms: poll, select, epoll.

pub mod epoll;
pub mod poll;
pub mod select;

use ipcspec_harness::Case;

/// The cases of this mechanism.
pub const CASES: &[&[Case]] = &[poll::CASES, select::CASES, epoll::CASES];
