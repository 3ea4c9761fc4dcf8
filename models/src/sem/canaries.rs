//! Semaphores as they are not.

use super::Set;
use crate::Canary;

pub(super) const CANARIES: &[Canary<Set>] = &[];
