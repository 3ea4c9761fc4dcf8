//! Signals as they are not.

use super::Alone;
use crate::Canary;

pub(super) const CANARIES: &[Canary<Alone>] = &[];
