//! Readiness of all mechanisms: poll, select, epoll, eventfd, O_ASYNC.

pub mod epoll_events;
pub mod epoll_interest;
pub mod epoll_nesting;
pub mod epoll_wait;
pub mod eventfd;
pub mod masks;
pub mod poll;
pub mod poll_sockets;
pub mod poll_wakeups;
pub mod select;
pub mod sigio;
pub mod sigio_owner;
pub mod states;
pub mod timeouts;

use ipcspec_harness::Case;

/// The cases of this mechanism.
pub const CASES: &[&[Case]] = &[
    poll::CASES,
    poll_wakeups::CASES,
    poll_sockets::CASES,
    select::CASES,
    timeouts::CASES,
    masks::CASES,
    epoll_interest::CASES,
    epoll_events::CASES,
    epoll_wait::CASES,
    epoll_nesting::CASES,
    eventfd::CASES,
    sigio::CASES,
    sigio_owner::CASES,
];
