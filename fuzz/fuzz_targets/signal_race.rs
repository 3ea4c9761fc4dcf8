//! Races of signal.
#![no_main]
use ipcspec_models::{Bytes, signal};

libfuzzer_sys::fuzz_target!(|bytes: Bytes| ipcspec_fuzz::in_races::<signal::Alone>(&bytes));
