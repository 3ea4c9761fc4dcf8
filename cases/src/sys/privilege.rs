//! Giving up privilege in part.

use ipcspec_harness::{Cap, Verdict, worker_id};
use nix::Result;
use nix::errno::Errno;
use nix::unistd::{Uid, setresuid};

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

/// A user who has nothing yet, for what is counted by user. `number`, 0 to 3,
/// keeps apart cases that run at the same time.
pub fn lone_user(number: u32) -> Uid {
    Uid::from_raw(40_000 + 4 * (worker_id() as u32 % 5_000) + number)
}

/// Gives up root for a [`lone_user`].
pub fn become_lone_user(number: u32) -> Verdict {
    let user = lone_user(number);
    Ok(setresuid(user, user, user)?)
}

/// Goes on as another user; root's power comes back with [`return_to_root`].
pub fn leave_root_for(user: Uid) -> Result<()> {
    setresuid(user, user, Uid::from_raw(0))
}

/// Ends what [`leave_root_for`] began.
pub fn return_to_root() -> Result<()> {
    let root = Uid::from_raw(0);
    setresuid(root, root, root)
}

/// Makes this process less important by so much: `nice`.
pub fn nice(by: i32) -> Result<()> {
    Errno::clear();
    // SAFETY: takes a number.
    match unsafe { libc::nice(by) } {
        -1 if Errno::last_raw() != 0 => Err(Errno::last()),
        _ => Ok(()),
    }
}
