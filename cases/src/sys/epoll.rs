//! epoll, where nix asks for more than the kernel does.

use std::os::fd::{AsFd, AsRawFd};

use nix::Result;

use super::answer;

/// `epoll_ctl(epoll, EPOLL_CTL_ADD, fd)` for input; for what may be no epoll
/// instance.
pub fn epoll_add(epoll: impl AsFd, fd: impl AsFd) -> Result<()> {
    let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 0 };
    let (epoll, fd) = (epoll.as_fd().as_raw_fd(), fd.as_fd().as_raw_fd());
    // SAFETY: the event is on this stack.
    answer(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &raw mut event) }).map(drop)
}
