//! Wrong readiness: poll, select, epoll, eventfd, O_ASYNC.

pub mod epoll;
pub mod epoll_events;
pub mod eventfd;
pub mod poll;
pub mod select;
pub mod sigio;
pub mod sigio_owner;
mod view;
pub mod waiting;

use crate::Fault;

/// The faults of this mechanism.
pub const FAULTS: &[&[Fault]] = &[
    poll::FAULTS,
    select::FAULTS,
    waiting::FAULTS,
    epoll::FAULTS,
    epoll_events::FAULTS,
    eventfd::FAULTS,
    sigio::FAULTS,
    sigio_owner::FAULTS,
];
