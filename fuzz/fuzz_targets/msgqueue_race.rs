//! Races of msgqueue.
#![no_main]
use ipcspec_models::{Bytes, msgqueue};

libfuzzer_sys::fuzz_target!(|bytes: Bytes| ipcspec_fuzz::in_races::<msgqueue::Queue>(&bytes));
