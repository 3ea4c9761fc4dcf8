//! splice, tee, vmsplice and sendfile.

use std::os::fd::{AsFd, AsRawFd};

use ipcspec_harness::Facility;
use nix::Result;
use nix::errno::Errno;
use nix::fcntl::{OFlag, SpliceFFlags, vmsplice};
use nix::pty::posix_openpt;
use nix::sys::sendfile::sendfile;
use nix::unistd::pipe;

use super::answer;
use super::memory::Memory;
use super::sockets::Socket;

/// No flag.
pub const NONE: SpliceFFlags = SpliceFFlags::empty();
/// SPLICE_F_NONBLOCK
pub const NONBLOCK: SpliceFFlags = SpliceFFlags::SPLICE_F_NONBLOCK;

/// `vmsplice`, asked to map nothing.
pub const VMSPLICE_CALL: Facility = Facility {
    name: "vmsplice",
    probe: || pipe().and_then(|(_r, w)| vmsplice(w, &[], SpliceFFlags::empty())).map(drop),
};

/// `vmsplice` of these ranges: into the pipe by its write end, out of it by
/// its read end. The number of bytes.
pub fn vmsplice_ranges(end: impl AsFd, ranges: &[Memory], flags: SpliceFFlags) -> Result<usize> {
    let ranges: Vec<_> = ranges
        .iter()
        .map(|range| libc::iovec { iov_base: range.pointer(), iov_len: range.length })
        .collect();
    // SAFETY: memory of the case, or what the kernel finds not to be.
    answer(unsafe {
        libc::vmsplice(end.as_fd().as_raw_fd(), ranges.as_ptr(), ranges.len(), flags.bits())
    })
    .map(|bytes| bytes as usize)
}

/// `sendfile` with its offset in memory of the case, or in none.
pub fn sendfile_by(out: impl AsFd, file: impl AsFd, offset: Memory, count: usize) -> Result<usize> {
    let (out, file) = (out.as_fd().as_raw_fd(), file.as_fd().as_raw_fd());
    // SAFETY: memory of the case, or what the kernel finds not to be.
    answer(unsafe { libc::sendfile(out, file, offset.pointer(), count) }).map(|n| n as usize)
}

/// `sendfile` from a socket to a pipe.
pub const SOCKET_TO_PIPE: Facility = Facility {
    name: "sendfile from a socket to a pipe",
    probe: || {
        let ((_r, w), (from, to)) = (pipe()?, Socket::pair(libc::SOCK_STREAM)?);
        to.send(b"x")?;
        sendfile(w, from, None, 1).map(drop)
    },
};

/// `sendfile` from a terminal to a pipe.
pub const TERMINAL_TO_PIPE: Facility = Facility {
    name: "sendfile from a terminal to a pipe",
    probe: || {
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_NONBLOCK;
        match sendfile(pipe()?.1, posix_openpt(flags)?, None, 1) {
            Err(Errno::EINVAL) => Err(Errno::EINVAL),
            _ => Ok(()),
        }
    },
};
