//! Readiness of all mechanisms: poll, select, epoll, eventfd, O_ASYNC.

pub mod epoll;
pub mod eventfd;
pub mod poll;
pub mod select;
pub mod sigio;
pub mod sigio_owner;

use ipcspec_harness::Case;

/// The cases of this mechanism.
pub const CASES: &[&[Case]] =
    &[poll::CASES, select::CASES, epoll::CASES, eventfd::CASES, sigio::CASES, sigio_owner::CASES];
