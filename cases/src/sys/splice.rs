//! splice, tee and vmsplice.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use ipcspec_harness::{Facility, Verdict};
use nix::Result;
use nix::errno::Errno;
use nix::fcntl::{SpliceFFlags, splice, vmsplice};
use nix::unistd::pipe;

use super::answer;
use super::descriptors::read_all;
use super::pipes::fill_pipe;

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

/// `vmsplice` from the read end of a pipe to memory; the number of bytes.
pub fn vmsplice_out(r: impl AsFd, memory: &mut [u8]) -> Result<usize> {
    let range = libc::iovec { iov_base: memory.as_mut_ptr().cast(), iov_len: memory.len() };
    // SAFETY: the range is that of the slice.
    answer(unsafe { libc::vmsplice(r.as_fd().as_raw_fd(), &raw const range, 1, 0) })
        .map(|bytes| bytes as usize)
}
