//! Descriptors: reading and writing by them, their flags, limits and copies.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use ipcspec_harness::{Facility, Verdict};
use libc::c_int;
use nix::Result;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use nix::sys::stat::Mode;
use nix::unistd::{read, write};

use super::answer;
use super::memory::Memory;

/// `pidfd_getfd`, asked for this process's own standard input.
pub const PIDFD_GETFD: Facility =
    Facility { name: "pidfd_getfd", probe: || foreign_fd(std::process::id() as i32, 0).map(drop) };

/// Switches `O_NONBLOCK` of an open file description.
pub fn set_nonblocking(fd: impl AsFd, on: bool) -> Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(&fd, FcntlArg::F_GETFL)?);
    let flags = if on { flags | OFlag::O_NONBLOCK } else { flags - OFlag::O_NONBLOCK };
    fcntl(&fd, FcntlArg::F_SETFL(flags)).map(drop)
}

/// Writes some words in one write.
pub fn say(w: impl AsFd, words: &str) -> Verdict {
    match write(w, words.as_bytes())? {
        written if written == words.len() => Ok(()),
        written => Err(format!("wrote {written} bytes of {}", words.len()))?,
    }
}

/// One read of up to so many bytes, as text: `Ok("")` is the end of file. It
/// lives as long as the case's process, so that a check compares it with a
/// literal.
pub fn text(r: impl AsFd, bytes: usize) -> Result<&'static str> {
    Ok(String::from_utf8_lossy(&read_once(r, bytes)?).into_owned().leak())
}

/// One read of up to so many bytes.
pub fn read_once(r: impl AsFd, bytes: usize) -> Result<Vec<u8>> {
    let mut buffer = vec![0; bytes];
    let count = read(r, &mut buffer)?;
    buffer.truncate(count);
    Ok(buffer)
}

/// Reads exactly so many bytes, in as many reads as it takes; fewer when the
/// end comes first.
pub fn read_all(r: impl AsFd, bytes: usize) -> Result<Vec<u8>> {
    let mut all = vec![0; bytes];
    let mut done = 0;
    while done < bytes {
        match read(&r, &mut all[done..])? {
            0 => break,
            more => done += more,
        }
    }
    all.truncate(done);
    Ok(all)
}

/// So many bytes of which no two neighbouring stretches are alike.
pub fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|index| (index % 251) as u8).collect()
}

/// Bytes that could be read now: `FIONREAD`. A pipe tells them on either end.
pub fn unread(end: impl AsFd) -> Result<usize> {
    let mut bytes: c_int = -1;
    // SAFETY: FIONREAD stores an int.
    answer(unsafe { libc::ioctl(end.as_fd().as_raw_fd(), libc::FIONREAD, &raw mut bytes) })?;
    usize::try_from(bytes).map_err(|_| Errno::ERANGE)
}

/// A descriptor number that is not open in this process.
pub fn closed_fd() -> BorrowedFd<'static> {
    // SAFETY: only the kernel looks at it, and says EBADF: no process can
    // have so many descriptors.
    unsafe { BorrowedFd::borrow_raw(c_int::MAX) }
}

/// Closes a descriptor; its number, which is now that of nothing.
pub fn just_closed(fd: OwnedFd) -> BorrowedFd<'static> {
    let number = fd.as_raw_fd();
    drop(fd);
    // SAFETY: only the kernel looks at it, and says EBADF or POLLNVAL.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// A descriptor that another thread uses while this one may close it.
pub fn lent(fd: &OwnedFd) -> BorrowedFd<'static> {
    // SAFETY: only the kernel looks at it, and what it does with a number
    // that is closed meanwhile is what the case is about.
    unsafe { BorrowedFd::borrow_raw(fd.as_raw_fd()) }
}

/// `CLOSE_RANGE_CLOEXEC`, asked for a range in which nothing is open.
pub const CLOSE_RANGE_CLOEXEC: Facility =
    Facility { name: "CLOSE_RANGE_CLOEXEC", probe: || close_range_on_exec(u32::MAX) };

/// `close_range` with `CLOSE_RANGE_CLOEXEC`, from this descriptor to the last.
pub fn close_on_exec_from(fd: impl AsFd) -> Result<()> {
    close_range_on_exec(fd.as_fd().as_raw_fd() as u32)
}

fn close_range_on_exec(first: u32) -> Result<()> {
    const CLOEXEC: u32 = 1 << 2;
    // SAFETY: takes numbers, and closes nothing of this process.
    answer(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, CLOEXEC) }).map(drop)
}

/// A copy of another process's descriptor, taken with `pidfd_getfd`.
pub fn foreign_fd(process: i32, fd: c_int) -> Result<OwnedFd> {
    // SAFETY: both calls take numbers; what they give is ours alone.
    unsafe {
        let pidfd = answer(libc::syscall(libc::SYS_pidfd_open, process, 0))?;
        let pidfd = OwnedFd::from_raw_fd(pidfd as c_int);
        let copy = answer(libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), fd, 0))?;
        Ok(OwnedFd::from_raw_fd(copy as c_int))
    }
}

/// Opens anew what a descriptor of this process refers to, by its name under
/// `/proc/self/fd`.
pub fn reopen(fd: impl AsFd, flags: OFlag) -> Result<OwnedFd> {
    open(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()).as_str(), flags, Mode::empty())
}

/// `read` of up to so many bytes to where this memory begins; it may end
/// earlier.
pub fn read_to(fd: impl AsFd, memory: Memory, bytes: usize) -> Result<usize> {
    // SAFETY: the case mapped the memory, and a guard page is behind it.
    answer(unsafe { libc::read(fd.as_fd().as_raw_fd(), memory.pointer(), bytes) })
        .map(|n| n as usize)
}

/// `write` of so many bytes from where this memory begins; it may end
/// earlier.
pub fn write_from(fd: impl AsFd, memory: Memory, bytes: usize) -> Result<usize> {
    // SAFETY: the kernel only reads, as far as there is memory.
    answer(unsafe { libc::write(fd.as_fd().as_raw_fd(), memory.pointer(), bytes) })
        .map(|n| n as usize)
}

/// An address that no process can have mapped: that of the last 4 KiB. A
/// program of 32 bits may have its stack just below.
fn nowhere() -> *mut libc::c_void {
    std::ptr::without_provenance_mut(usize::MAX - 0xfff)
}

/// `read` of so many bytes to an address outside the address space.
pub fn read_to_nowhere(fd: impl AsFd, bytes: usize) -> Result<usize> {
    // SAFETY: nothing is mapped there that the kernel could overwrite.
    answer(unsafe { libc::read(fd.as_fd().as_raw_fd(), nowhere(), bytes) }).map(|n| n as usize)
}

/// `write` of so many bytes from an address outside the address space.
pub fn write_from_nowhere(fd: impl AsFd, bytes: usize) -> Result<usize> {
    // SAFETY: the kernel only reads, and finds nothing there.
    answer(unsafe { libc::write(fd.as_fd().as_raw_fd(), nowhere(), bytes) }).map(|n| n as usize)
}

/// Leaves this process room for so many further descriptors until dropped:
/// `RLIMIT_NOFILE`. Every number below the lowest free one has to be in use.
#[derive(Debug)]
pub struct DescriptorLimit {
    soft: rlim_t,
    hard: rlim_t,
}

impl DescriptorLimit {
    /// Sets the limit.
    pub fn leave(room: rlim_t) -> Result<Self> {
        let lowest = open(".", OFlag::O_PATH, Mode::empty())?.as_raw_fd();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
        setrlimit(Resource::RLIMIT_NOFILE, lowest as rlim_t + room, hard)?;
        Ok(Self { soft, hard })
    }
}

impl Drop for DescriptorLimit {
    fn drop(&mut self) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, self.soft, self.hard);
    }
}
