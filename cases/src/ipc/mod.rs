//! What the System V mechanisms share: keys, permissions, namespaces.

pub mod keys;
pub mod namespaces;
pub mod permissions;

use ipcspec_harness::Case;

/// The cases of this mechanism.
pub const CASES: &[&[Case]] = &[keys::CASES, permissions::CASES, namespaces::CASES];
