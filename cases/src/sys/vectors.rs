//! Reads and writes of several ranges of memory at once, right or wrong.

use std::os::fd::{AsFd, AsRawFd};

use ipcspec_harness::{Facility, Verdict};
use libc::{c_int, iovec};
use nix::Result;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::{SysconfVar, pipe, sysconf, write};

use super::answer;
use super::memory::Memory;

/// No flag.
pub const PLAIN: c_int = 0;
/// The offset that stands for the file's own.
pub const OWN_OFFSET: i64 = -1;
/// A flag that no kernel knows.
pub const UNKNOWN: c_int = 1 << 30;
/// `RWF_NOWAIT`
pub const NOWAIT: c_int = libc::RWF_NOWAIT;
/// `RWF_APPEND`
pub const APPEND: c_int = libc::RWF_APPEND;
/// `RWF_NOAPPEND`
pub const NOAPPEND: c_int = libc::RWF_NOAPPEND;
/// `RWF_DONTCACHE`
pub const DONTCACHE: c_int = libc::RWF_DONTCACHE;

/// `RWF_NOWAIT` on pipes.
pub const NOWAIT_PIPES: Facility = Facility {
    name: "RWF_NOWAIT on pipes",
    probe: || {
        let (r, w) = pipe()?;
        write(&w, b"x")?;
        preadv2(&r, &[Memory::anonymous(1, libc::MAP_PRIVATE)?], OWN_OFFSET, NOWAIT).map(drop)
    },
};

/// `RWF_APPEND`.
pub const APPEND_FLAG: Facility = Facility { name: "RWF_APPEND", probe: || write_one_with(APPEND) };

/// `RWF_NOAPPEND`.
pub const NOAPPEND_FLAG: Facility =
    Facility { name: "RWF_NOAPPEND", probe: || write_one_with(NOAPPEND) };

fn write_one_with(flag: c_int) -> Result<()> {
    let byte = Memory::anonymous(1, libc::MAP_PRIVATE)?;
    pwritev2(memfd_create("probe", MFdFlags::empty())?, &[byte], OWN_OFFSET, flag).map(drop)
}

/// The most ranges that one call takes.
pub fn iov_max() -> Verdict<usize> {
    Ok(sysconf(SysconfVar::IOV_MAX)?.ok_or("no IOV_MAX")? as usize)
}

fn ranges(memory: &[Memory]) -> Vec<iovec> {
    let range = |range: &Memory| iovec { iov_base: range.pointer(), iov_len: range.length };
    memory.iter().map(range).collect()
}

/// `readv` into ranges that may be no memory at all.
pub fn readv(fd: impl AsFd, memory: &[Memory]) -> Result<usize> {
    let ranges = ranges(memory);
    // SAFETY: the kernel stores into memory of the case, or refuses.
    answer(unsafe { libc::readv(fd.as_fd().as_raw_fd(), ranges.as_ptr(), ranges.len() as c_int) })
        .map(|bytes| bytes as usize)
}

/// `writev` from ranges that may be no memory at all.
pub fn writev(fd: impl AsFd, memory: &[Memory]) -> Result<usize> {
    let ranges = ranges(memory);
    // SAFETY: the kernel loads only.
    answer(unsafe { libc::writev(fd.as_fd().as_raw_fd(), ranges.as_ptr(), ranges.len() as c_int) })
        .map(|bytes| bytes as usize)
}

/// `readv` with a count of ranges below zero.
pub fn readv_of_fewer_than_none(fd: impl AsFd) -> Result<usize> {
    // SAFETY: refused before any range is looked at.
    answer(unsafe { libc::readv(fd.as_fd().as_raw_fd(), std::ptr::null(), -1) })
        .map(|bytes| bytes as usize)
}

/// `writev` with a count of ranges below zero.
pub fn writev_of_fewer_than_none(fd: impl AsFd) -> Result<usize> {
    // SAFETY: refused before any range is looked at.
    answer(unsafe { libc::writev(fd.as_fd().as_raw_fd(), std::ptr::null(), -1) })
        .map(|bytes| bytes as usize)
}

/// `preadv2`.
pub fn preadv2(fd: impl AsFd, memory: &[Memory], offset: i64, flags: c_int) -> Result<usize> {
    let (fd, ranges) = (fd.as_fd().as_raw_fd(), ranges(memory));
    // SAFETY: the kernel stores into memory of the case, or refuses.
    answer(unsafe { libc::preadv64v2(fd, ranges.as_ptr(), ranges.len() as c_int, offset, flags) })
        .map(|bytes| bytes as usize)
}

/// `pwritev2`.
pub fn pwritev2(fd: impl AsFd, memory: &[Memory], offset: i64, flags: c_int) -> Result<usize> {
    let (fd, ranges) = (fd.as_fd().as_raw_fd(), ranges(memory));
    // SAFETY: the kernel loads only.
    answer(unsafe { libc::pwritev64v2(fd, ranges.as_ptr(), ranges.len() as c_int, offset, flags) })
        .map(|bytes| bytes as usize)
}
