//! Regular files in the working directory, and filesystems there.

use std::fs::{self, File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd};

use ipcspec_harness::{Facility, Failure, Verdict};
use nix::Result;
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::{Whence, lseek, write};

use super::answer;

/// A file named `file` with this content, to read and write, its offset at
/// the start.
pub fn file(content: impl AsRef<[u8]>) -> Verdict<File> {
    fs::write("file", content)?;
    Ok(OpenOptions::new().read(true).write(true).open("file")?)
}

/// What this process and its children mount from now on is seen by them
/// alone. The case declares it with `Need::CanUnshare(Namespaces::MOUNT)`.
pub fn own_mounts() -> Verdict {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let (none, private) = (None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE);
    mount(none, "/", none, private, none)
        .map_err(|_| Failure::skipped(vec!["private mounts".to_owned()]))
}

/// A new directory with a tmpfs that is mounted with these options, seen by
/// this process and its children alone. The case declares it with
/// `Need::CanUnshare(Namespaces::MOUNT)`.
pub fn filesystem(name: &str, options: &str) -> Verdict {
    own_mounts()?;
    fs::create_dir(name)?;
    match mount(Some("tmpfs"), name, Some("tmpfs"), MsFlags::empty(), Some(options)) {
        Err(Errno::EINVAL) => Err(Failure::absent(&format!("tmpfs with {options}"), "EINVAL")),
        answer => Ok(answer?),
    }
}

/// Mounts read-only from now on what is mounted there.
pub fn make_read_only(name: &str) -> Verdict {
    let (none, read_only) = (None::<&str>, MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY);
    Ok(mount(none, name, none, read_only, none)?)
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
