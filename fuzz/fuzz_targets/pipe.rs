//! Programs of pipe in turns.
#![no_main]
use ipcspec_models::{Bytes, pipe};

libfuzzer_sys::fuzz_target!(|bytes: Bytes| ipcspec_fuzz::in_turns::<pipe::Pipe>(&bytes));
