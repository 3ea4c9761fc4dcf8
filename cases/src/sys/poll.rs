//! poll and ppoll, of one descriptor and of whole arrays.

use std::os::fd::{AsFd, AsRawFd};

use ipcspec_harness::{Child, Counter, Verdict};
use libc::{c_int, nfds_t, pollfd};
use nix::Result;
use nix::poll::{PollFlags, PollTimeout};
use nix::sys::time::TimeSpec;

use super::answer;
use super::memory::Memory;
use super::signals::Signals;

/// POLLIN
pub const IN: PollFlags = PollFlags::POLLIN;
/// POLLPRI
pub const PRI: PollFlags = PollFlags::POLLPRI;
/// POLLOUT
pub const OUT: PollFlags = PollFlags::POLLOUT;
/// POLLRDNORM
pub const RDNORM: PollFlags = PollFlags::POLLRDNORM;
/// POLLRDBAND
pub const RDBAND: PollFlags = PollFlags::POLLRDBAND;
/// POLLWRNORM
pub const WRNORM: PollFlags = PollFlags::POLLWRNORM;
/// POLLWRBAND
pub const WRBAND: PollFlags = PollFlags::POLLWRBAND;
/// POLLRDHUP, which nix does not know.
pub const RDHUP: PollFlags = PollFlags::from_bits_retain(libc::POLLRDHUP);
/// POLLHUP
pub const HUP: PollFlags = PollFlags::POLLHUP;
/// POLLERR
pub const ERR: PollFlags = PollFlags::POLLERR;
/// POLLNVAL
pub const NVAL: PollFlags = PollFlags::POLLNVAL;
/// No event.
pub const NONE: PollFlags = PollFlags::empty();
/// Every event that can be asked for.
pub const ANY: PollFlags =
    IN.union(PRI).union(OUT).union(RDHUP).union(RDNORM).union(RDBAND).union(WRNORM).union(WRBAND);

/// What poll reports of one descriptor, sleeping no longer than `timeout`.
pub fn wait(fd: impl AsFd, events: PollFlags, timeout: PollTimeout) -> Result<PollFlags> {
    let mut fds = [entry(&fd, events)];
    poll_for(&mut fds, timeout.into())?;
    Ok(reported(&fds[0]))
}

/// What poll reports of one descriptor now.
pub fn now(fd: impl AsFd, events: PollFlags) -> Result<PollFlags> {
    wait(fd, events, PollTimeout::ZERO)
}

/// What poll reports of one descriptor as soon as it reports anything.
pub fn event(fd: impl AsFd, events: PollFlags) -> Result<PollFlags> {
    wait(fd, events, PollTimeout::NONE)
}

/// The same in a child of its own, so that an event which never comes is a
/// violation.
pub fn soon(fd: impl AsFd, events: PollFlags) -> Verdict<PollFlags> {
    let told = Counter::new()?;
    let poller = Child::spawn(|| {
        told.set(u64::from(event(&fd, events)?.bits() as u16));
        Ok(())
    })?;
    poller.join()?;
    Ok(PollFlags::from_bits_retain(told.get() as i16))
}

/// An element of poll's array that reports nothing yet.
pub fn entry(fd: &impl AsFd, events: PollFlags) -> pollfd {
    pollfd { fd: fd.as_fd().as_raw_fd(), events: events.bits(), revents: 0 }
}

/// What poll left in an element.
pub fn reported(entry: &pollfd) -> PollFlags {
    PollFlags::from_bits_retain(entry.revents)
}

/// `poll`; the timeout is in milliseconds.
pub fn poll_for(fds: &mut [pollfd], timeout: c_int) -> Result<c_int> {
    // SAFETY: the array is as long as told.
    answer(unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as nfds_t, timeout) })
}

/// `poll` of so many elements at the beginning of `array`, whose bytes need
/// not be there; timeout 0.
pub fn poll_array(array: Memory, elements: usize) -> Result<c_int> {
    // SAFETY: the kernel alone follows the pointer.
    answer(unsafe { libc::poll(array.pointer(), elements as nfds_t, 0) })
}

/// `ppoll` of the C library.
pub fn ppoll(
    fds: &mut [pollfd],
    timeout: Option<&TimeSpec>,
    mask: Option<Signals>,
) -> Result<c_int> {
    let timeout = timeout.map_or(std::ptr::null(), |time| std::ptr::from_ref(time.as_ref()));
    let mask = mask.map(Signals::as_c);
    let mask = mask.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the array is as long as told; time and set are read.
    answer(unsafe { libc::ppoll(fds.as_mut_ptr(), fds.len() as nfds_t, timeout, mask) })
}

/// The system call `ppoll`, past the C library, without a mask. The timeout
/// comes back as the call leaves it.
pub fn ppoll_raw(fds: &mut [pollfd], timeout: &mut TimeSpec) -> Result<c_int> {
    let (array, count) = (fds.as_mut_ptr(), fds.len());
    let (time, no_mask) = (std::ptr::from_mut(timeout.as_mut()), std::ptr::null::<u64>());
    // SAFETY: the array is as long as told; the time is read and written.
    answer(unsafe { libc::syscall(libc::SYS_ppoll, array, count, time, no_mask, 8_usize) })
        .map(|count| count as c_int)
}
