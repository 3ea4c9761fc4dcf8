//! poll of one descriptor.

use std::os::fd::AsFd;

use nix::Result;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// POLLIN
pub const IN: PollFlags = PollFlags::POLLIN;
/// POLLOUT
pub const OUT: PollFlags = PollFlags::POLLOUT;
/// POLLHUP
pub const HUP: PollFlags = PollFlags::POLLHUP;
/// POLLERR
pub const ERR: PollFlags = PollFlags::POLLERR;
/// No event.
pub const NONE: PollFlags = PollFlags::empty();

/// What poll reports of one descriptor, sleeping no longer than `timeout`.
pub fn wait(fd: impl AsFd, events: PollFlags, timeout: PollTimeout) -> Result<PollFlags> {
    let mut fds = [PollFd::new(fd.as_fd(), events)];
    poll(&mut fds, timeout)?;
    Ok(fds[0].revents().unwrap_or(PollFlags::all()))
}

/// What poll reports of one descriptor now.
pub fn now(fd: impl AsFd, events: PollFlags) -> Result<PollFlags> {
    wait(fd, events, PollTimeout::ZERO)
}
