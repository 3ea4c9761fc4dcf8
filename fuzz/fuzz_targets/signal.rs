//! Programs of signal in turns.
#![no_main]
use ipcspec_models::{Bytes, signal};

libfuzzer_sys::fuzz_target!(|bytes: Bytes| ipcspec_fuzz::in_turns::<signal::Alone>(&bytes));
