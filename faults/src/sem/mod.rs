//! Wrong semaphores.

pub mod control;
pub mod operations;
pub mod posix;
pub mod undo;
mod view;
pub mod wakeups;

use crate::Fault;

/// The faults of this mechanism.
pub const FAULTS: &[&[Fault]] =
    &[operations::FAULTS, wakeups::FAULTS, undo::FAULTS, control::FAULTS, posix::FAULTS];
