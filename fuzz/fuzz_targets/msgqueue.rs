//! Programs of msgqueue in turns.
#![no_main]
use ipcspec_models::{Bytes, msgqueue};

libfuzzer_sys::fuzz_target!(|bytes: Bytes| ipcspec_fuzz::in_turns::<msgqueue::Queue>(&bytes));
