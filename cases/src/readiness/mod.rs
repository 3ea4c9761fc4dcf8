//! Readiness of all mechanisms: poll, select, epoll, eventfd, O_ASYNC.

pub mod epoll_events;
pub mod epoll_interest;
pub mod epoll_nesting;
pub mod epoll_wait;
pub mod eventfd;
pub mod poll;
pub mod select;
pub mod sigio;

use ipcspec_harness::Case;

/// The cases of this mechanism.
pub const CASES: &[&[Case]] = &[
    poll::CASES,
    select::CASES,
    epoll_interest::CASES,
    epoll_events::CASES,
    epoll_wait::CASES,
    epoll_nesting::CASES,
    eventfd::CASES,
    sigio::CASES,
];
