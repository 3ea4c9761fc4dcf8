//! Signals: what sends them, what they do, what holds them back.

pub mod actions;
pub mod delivery;
pub mod pending;
pub mod sources;
pub mod terminal;

use ipcspec_harness::Case;

/// The cases of this mechanism.
pub const CASES: &[&[Case]] =
    &[actions::CASES, delivery::CASES, pending::CASES, sources::CASES, terminal::CASES];
