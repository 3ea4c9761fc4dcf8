//! A directory that goes with its test.

#![allow(dead_code, reason = "no test needs all of it")]

use std::path::Path;

use tempfile::TempDir;

pub struct Scratch(TempDir);

impl Scratch {
    pub fn new() -> Self {
        Self(TempDir::with_prefix("ipcspec-test-").expect("a directory for the test"))
    }

    pub fn place(&self) -> &Path {
        self.0.path()
    }

    /// Where `name` is in it, which need not be there.
    pub fn path(&self, name: &str) -> String {
        self.place().join(name).display().to_string()
    }

    /// Writes a file, and says where it is.
    pub fn file(&self, name: &str, content: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, content).expect("a file for the test");
        path
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("a file of the test")
    }
}
