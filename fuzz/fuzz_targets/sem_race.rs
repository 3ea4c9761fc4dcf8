//! Races of sem.
#![no_main]
use ipcspec_models::{Bytes, sem};

libfuzzer_sys::fuzz_target!(|bytes: Bytes| ipcspec_fuzz::in_races::<sem::Set>(&bytes));
