//! Wrong message queues.

use crate::Fault;

/// The faults of this mechanism.
pub const FAULTS: &[&[Fault]] = &[];
