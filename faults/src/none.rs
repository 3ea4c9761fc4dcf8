//! Kernels with nothing wrong, to show that interposition changes nothing.

use ipcspec_harness::fault;

use crate::{Arrival, Call, Effect, Fate, Fault};
use ipcspec_cases::pages::PTRACE_2;
use ipcspec_cases::sys::calls::{READ, WRITE};
use nix::Result;

/// Not in the catalogue.
pub const FAULTS: &[Fault] = &[nothing, nothing_in_and_out, nothing_in_signals];

/// Calls are looked at on the way in, and proceed.
#[fault(PTRACE_2, "DESCRIPTION", on = [READ, WRITE])]
fn nothing(call: &mut Call) -> Result<Effect> {
    call.proceed()
}

/// Calls are looked at on the way in and on the way out.
#[fault(PTRACE_2, "DESCRIPTION", on = [READ, WRITE])]
fn nothing_in_and_out(call: &mut Call) -> Result<Effect> {
    call.then(|call| call.proceed())
}

/// Signals are looked at.
#[fault(PTRACE_2, "DESCRIPTION", signals)]
fn nothing_in_signals(_: &mut Arrival) -> Fate {
    Fate::Deliver
}
