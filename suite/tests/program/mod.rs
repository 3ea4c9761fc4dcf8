//! The program as its users call it.

#![allow(dead_code, reason = "no test needs all of it")]

use std::process::{Command, Output};

pub fn ipcspec(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ipcspec")).args(arguments).output().expect("ipcspec starts")
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("output is UTF-8")
}

/// Standard output of a call that ends with this status.
pub fn told(arguments: &[&str], status: i32) -> String {
    let output = ipcspec(arguments);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {output:?}");
    text(&output.stdout)
}

/// The one line on standard error of a call that is refused.
pub fn refused(arguments: &[&str]) -> String {
    let output = ipcspec(arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
    let told = text(&output.stderr);
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(output.stdout.is_empty(), "{output:?}");
    told
}
