//! Programs of sem in turns.
#![no_main]
use ipcspec_models::{Bytes, sem};

libfuzzer_sys::fuzz_target!(|bytes: Bytes| ipcspec_fuzz::in_turns::<sem::Set>(&bytes));
