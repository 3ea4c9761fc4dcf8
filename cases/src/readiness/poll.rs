//! TODO

use crate::prelude::*;

/// The cases of this module.
pub const CASES: &[Case] = &[];
