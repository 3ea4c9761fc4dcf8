//! x
use crate::Fault;
/// x
pub const FAULTS: &[&[Fault]] = &[];
