//! Signals that tell of readiness: O_ASYNC and its owner.

use std::os::fd::{AsFd, AsRawFd};

use nix::Result;

use super::answer;

/// `F_SETOWN` to this process, then `O_ASYNC`: signals tell of input.
pub fn signal_input(r: impl AsFd) -> Result<()> {
    let fd = r.as_fd().as_raw_fd();
    // SAFETY: the arguments are numbers.
    unsafe {
        answer(libc::fcntl(fd, libc::F_SETOWN, libc::getpid()))?;
        let flags = answer(libc::fcntl(fd, libc::F_GETFL))?;
        answer(libc::fcntl(fd, libc::F_SETFL, flags | libc::O_ASYNC)).map(drop)
    }
}
