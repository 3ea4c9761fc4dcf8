//! Wrong signals.

pub mod actions;
pub mod delivery;
pub mod interruption;
pub mod pending;
pub mod sources;
pub mod terminal;
mod view;

use crate::Fault;

/// The faults of this mechanism.
pub const FAULTS: &[&[Fault]] = &[
    actions::FAULTS,
    delivery::FAULTS,
    interruption::FAULTS,
    pending::FAULTS,
    sources::FAULTS,
    terminal::FAULTS,
];
