//! splice, tee, vmsplice and sendfile.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use ipcspec_harness::{Facility, Verdict};
use nix::Result;
use nix::errno::Errno;
use nix::fcntl::{OFlag, SpliceFFlags, splice, vmsplice};
use nix::pty::posix_openpt;
use nix::sys::sendfile::sendfile;
use nix::unistd::pipe;

use super::answer;
use super::descriptors::read_all;
use super::memory::Memory;
use super::pipes::fill_pipe;
use super::sockets::Socket;

/// No flag.
pub const NONE: SpliceFFlags = SpliceFFlags::empty();
/// SPLICE_F_NONBLOCK
pub const NONBLOCK: SpliceFFlags = SpliceFFlags::SPLICE_F_NONBLOCK;
/// SPLICE_F_MOVE
pub const MOVE: SpliceFFlags = SpliceFFlags::SPLICE_F_MOVE;
/// SPLICE_F_MORE
pub const MORE: SpliceFFlags = SpliceFFlags::SPLICE_F_MORE;
/// SPLICE_F_GIFT
pub const GIFT: SpliceFFlags = SpliceFFlags::SPLICE_F_GIFT;
/// The flags that are hints, alone and together.
pub const HINTS: [SpliceFFlags; 4] = [MOVE, MORE, GIFT, MOVE.union(MORE).union(GIFT)];

/// `vmsplice`, asked to map nothing.
pub const VMSPLICE_CALL: Facility = Facility {
    name: "vmsplice",
    probe: || pipe().and_then(|(_r, w)| vmsplice(w, &[], SpliceFFlags::empty())).map(drop),
};

/// /dev/zero as a source of `splice`, which may refuse a file that does not
/// support it.
pub const SPLICE_FROM_ZERO: Facility = Facility {
    name: "splice from /dev/zero",
    probe: || {
        let zero = File::open("/dev/zero").map_err(|_| Errno::ENOENT)?;
        pipe().and_then(|(_r, w)| splice(zero, None, w, None, 1, NONE)).map(drop)
    },
};

/// /dev/null as a target of `splice`, which may refuse a file that does not
/// support it.
pub const SPLICE_TO_NULL: Facility =
    Facility { name: "splice to /dev/null", probe: || splice_nothing_to("/dev/null") };

/// /dev/zero as a target of `splice`.
pub const SPLICE_TO_ZERO: Facility =
    Facility { name: "splice to /dev/zero", probe: || splice_nothing_to("/dev/zero") };

fn splice_nothing_to(device: &str) -> Result<()> {
    let sink = File::options().write(true).open(device).map_err(|_| Errno::ENOENT)?;
    let (r, _) = pipe()?;
    splice(r, None, sink, None, 1, NONE).map(drop)
}

/// Splices exactly so many bytes, in as many calls as it takes; fewer when the
/// input ends first.
pub fn splice_all(from: impl AsFd, to: impl AsFd, bytes: usize) -> Result<usize> {
    let mut done = 0;
    while done < bytes {
        match splice(&from, None, &to, None, bytes - done, NONE)? {
            0 => break,
            more => done += more,
        }
    }
    Ok(done)
}

/// An empty pipe of which every buffer has held data that was written: what a
/// kernel notes of a buffer then must not outlive that data.
pub fn used_pipe() -> Verdict<(OwnedFd, OwnedFd)> {
    let (r, w) = pipe()?;
    read_all(&r, fill_pipe(&w)?)?;
    Ok((r, w))
}

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
    answer(unsafe { libc::sendfile64(out, file, offset.pointer(), count) }).map(|n| n as usize)
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
