//! Wrong message queues, of System V and of POSIX.

pub mod notification;
pub mod posix;
pub mod status;
pub mod sysv;
mod view;

use crate::Fault;

/// The faults of this mechanism.
pub const FAULTS: &[&[Fault]] =
    &[sysv::FAULTS, status::FAULTS, posix::FAULTS, notification::FAULTS];
