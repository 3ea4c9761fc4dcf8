//! A target that must fail: its model is wrong on purpose.
#![no_main]
use ipcspec_models::{Bytes, eventfd};

libfuzzer_sys::fuzz_target!(|bytes: Bytes| ipcspec_fuzz::must_fail::<eventfd::Event>(&bytes));
