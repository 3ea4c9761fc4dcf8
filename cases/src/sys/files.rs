//! Regular files in the working directory.

use std::fs::{self, File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd};

use ipcspec_harness::{Facility, Verdict};
use nix::Result;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::{Whence, lseek, write};

use super::answer;

/// A file named `file` with this content, to read and write, its offset at
/// the start.
pub fn file(content: impl AsRef<[u8]>) -> Verdict<File> {
    fs::write("file", content)?;
    Ok(OpenOptions::new().read(true).write(true).open("file")?)
}

/// `SEEK_DATA` and `SEEK_HOLE`.
pub const SEEK_HOLES: Facility = Facility {
    name: "SEEK_DATA and SEEK_HOLE",
    probe: || {
        let memory = memfd_create("probe", MFdFlags::empty())?;
        write(&memory, b"x")?;
        lseek(&memory, 0, Whence::SeekData).map(drop)
    },
};

/// `lseek` with a directive that does not exist.
pub fn seek_in_no_known_way(fd: impl AsFd) -> Result<()> {
    // SAFETY: takes numbers.
    answer(unsafe { libc::lseek(fd.as_fd().as_raw_fd(), 0, 99) }).map(drop)
}
