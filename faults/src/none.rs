//! Kernels with nothing wrong, to show that interposition changes nothing.
#![allow(non_upper_case_globals)]

use ipcspec_harness::{Source, fault};

use crate::{Arrival, Call, Effect, Fate, Fault, On};
use ipcspec_cases::pages::PTRACE_2;
use ipcspec_cases::sys::calls::{READ, WRITE};
use nix::Result;

/// Not in the catalogue.
pub const FAULTS: &[Fault] = &[nothing, nothing_in_and_out, nothing_in_signals, everything];

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

/// Every call and every signal is looked at, and noted in the report.
pub const everything: Fault = Fault {
    module: module_path!(),
    name: "everything",
    says: "Every call and every signal is looked at.",
    source: Source { page: PTRACE_2, section: "DESCRIPTION" },
    on: On::All,
};
