//! Pipes as they are not.

use super::Pipe;
use crate::Canary;

pub(super) const CANARIES: &[Canary<Pipe>] = &[];
