//! Regular files in the working directory.

use std::fs::{self, File, OpenOptions};

use ipcspec_harness::Verdict;

/// A file named `file` with this content, to read and write, its offset at
/// the start.
pub fn file(content: impl AsRef<[u8]>) -> Verdict<File> {
    fs::write("file", content)?;
    Ok(OpenOptions::new().read(true).write(true).open("file")?)
}
