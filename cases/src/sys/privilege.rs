//! Giving up privilege in part.

use ipcspec_harness::Cap;
use nix::Result;

use super::answer;

/// Takes one capability out of the effective set of this thread: root that
/// gives up one power keeps the others.
pub fn give_up(cap: Cap) -> Result<()> {
    // Version 3: header, then two times effective, permitted, inheritable.
    let mut header = [0x2008_0522_u32, 0];
    let mut data = [[0_u32; 3]; 2];
    // SAFETY: header and data have the layout of version 3.
    answer(unsafe { libc::syscall(libc::SYS_capget, header.as_mut_ptr(), data.as_mut_ptr()) })?;
    data[cap as usize / 32][0] &= !(1 << (cap as u32 % 32));
    // SAFETY: as above.
    answer(unsafe { libc::syscall(libc::SYS_capset, header.as_mut_ptr(), data.as_ptr()) }).map(drop)
}
