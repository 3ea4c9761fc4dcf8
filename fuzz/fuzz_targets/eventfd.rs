//! Programs of eventfd in turns.
#![no_main]
use ipcspec_models::{Bytes, eventfd};

libfuzzer_sys::fuzz_target!(|bytes: Bytes| ipcspec_fuzz::in_turns::<eventfd::Event>(&bytes));
