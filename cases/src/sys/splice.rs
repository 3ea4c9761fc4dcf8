//! splice, tee and vmsplice.

use std::os::fd::{AsFd, AsRawFd};

use ipcspec_harness::Facility;
use nix::Result;
use nix::fcntl::{SpliceFFlags, vmsplice};
use nix::unistd::pipe;

use super::answer;

/// No flag.
pub const NONE: SpliceFFlags = SpliceFFlags::empty();
/// SPLICE_F_NONBLOCK
pub const NONBLOCK: SpliceFFlags = SpliceFFlags::SPLICE_F_NONBLOCK;

/// `vmsplice`, asked to map nothing.
pub const VMSPLICE_CALL: Facility = Facility {
    name: "vmsplice",
    probe: || pipe().and_then(|(_r, w)| vmsplice(w, &[], SpliceFFlags::empty())).map(drop),
};

/// `vmsplice` from the read end of a pipe to memory; the number of bytes.
pub fn vmsplice_out(r: impl AsFd, memory: &mut [u8]) -> Result<usize> {
    let range = libc::iovec { iov_base: memory.as_mut_ptr().cast(), iov_len: memory.len() };
    // SAFETY: the range is that of the slice.
    answer(unsafe { libc::vmsplice(r.as_fd().as_raw_fd(), &raw const range, 1, 0) })
        .map(|bytes| bytes as usize)
}
