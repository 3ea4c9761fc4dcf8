//! eventfd: counters, and what only the kernel adds to them.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use ipcspec_harness::{Facility, Need};
use libc::c_ulong;
use nix::Result;
use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::unistd::{read, write};

use super::answer;

/// The largest value of a counter.
pub const MOST: u64 = u64::MAX - 1;

/// `eventfd(value, flags)`.
pub fn event(value: u32, flags: EfdFlags) -> Result<OwnedFd> {
    EventFd::from_value_and_flags(value, flags).map(OwnedFd::from)
}

/// Adds to the counter, in one write of eight bytes.
pub fn add(event: impl AsFd, value: u64) -> Result<()> {
    match write(event, &value.to_ne_bytes())? {
        8 => Ok(()),
        _ => Err(Errno::EMSGSIZE),
    }
}

/// What one read of eight bytes gives.
pub fn take(event: impl AsFd) -> Result<u64> {
    let mut value = [0; 8];
    match read(event, &mut value)? {
        8 => Ok(u64::from_ne_bytes(value)),
        _ => Err(Errno::EMSGSIZE),
    }
}

/// The system call `eventfd`, which knows no flags.
pub const OLD_CALL: Need = Need::Arch(&["x86_64", "x86"]);

/// The system call `eventfd`, with every flag set where `eventfd2` has them.
#[cfg(not(target_arch = "aarch64"))]
pub fn old_event(value: u32) -> Result<OwnedFd> {
    use std::os::fd::FromRawFd;
    // SAFETY: takes no pointer; what it gives is a new descriptor that
    // nothing else owns.
    unsafe {
        let fd = answer(libc::syscall(libc::SYS_eventfd, value, EfdFlags::all().bits()))?;
        Ok(OwnedFd::from_raw_fd(fd as libc::c_int))
    }
}

/// The system call `eventfd`, which newer architectures do not have.
#[cfg(target_arch = "aarch64")]
pub fn old_event(_value: u32) -> Result<OwnedFd> {
    Err(Errno::ENOSYS)
}

/// The kernel's own asynchronous input and output: `io_setup`.
pub const KERNEL_AIO: Facility = Facility { name: "io_setup", probe: || Aio::new().map(drop) };

/// A context for one asynchronous operation.
#[derive(Debug)]
struct Aio(c_ulong);

impl Aio {
    fn new() -> Result<Self> {
        let mut context: c_ulong = 0;
        // SAFETY: one word is written.
        answer(unsafe { libc::syscall(libc::SYS_io_setup, 1, &raw mut context) })?;
        Ok(Self(context))
    }
}

impl Drop for Aio {
    fn drop(&mut self) {
        // SAFETY: the context is destroyed once; returns when all is over.
        unsafe { libc::syscall(libc::SYS_io_destroy, self.0) };
    }
}

/// `struct iocb`, as far as zeroes do not say it.
#[repr(C)]
#[derive(Default)]
struct Operation {
    data_and_key: [u64; 2],
    code: u16,
    priority: i16,
    file: u32,
    buffer: u64,
    bytes: u64,
    offset: i64,
    reserved: u64,
    flags: u32,
    event: u32,
}

/// `IOCB_FLAG_RESFD`
const SIGNAL_EVENT: u32 = 1;

/// Has the kernel read a byte of the file asynchronously and signal the event
/// when that is over; returns after that.
pub fn kernel_signals(file: impl AsFd, event: impl AsFd) -> Result<()> {
    let aio = Aio::new()?;
    let mut byte = 0_u8;
    let operation = Operation {
        file: file.as_fd().as_raw_fd() as u32,
        buffer: (&raw mut byte).expose_provenance() as u64,
        bytes: 1,
        flags: SIGNAL_EVENT,
        event: event.as_fd().as_raw_fd() as u32,
        ..Operation::default()
    };
    let list = [&raw const operation];
    // SAFETY: one operation, whose buffer outlives the context.
    answer(unsafe { libc::syscall(libc::SYS_io_submit, aio.0, 1, list.as_ptr()) })?;
    let mut done = [0_u64; 4];
    let no_limit = std::ptr::null::<libc::timespec>();
    // SAFETY: room for one io_event.
    answer(unsafe {
        libc::syscall(libc::SYS_io_getevents, aio.0, 1, 1, done.as_mut_ptr(), no_limit)
    })
    .map(drop)
}
