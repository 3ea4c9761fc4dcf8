//! Races of pipe.
#![no_main]
use ipcspec_models::{Bytes, pipe};

libfuzzer_sys::fuzz_target!(|bytes: Bytes| ipcspec_fuzz::in_races::<pipe::Pipe>(&bytes));
