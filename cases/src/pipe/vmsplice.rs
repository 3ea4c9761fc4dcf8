//! Mapping memory into a pipe, and a pipe into memory.

use std::io::IoSlice;

use nix::fcntl::vmsplice;
use nix::unistd::{SysconfVar, sysconf};

use crate::prelude::*;
use crate::sys::descriptors::closed_fd;
use crate::sys::files::file;
use crate::sys::pipes::fill_pipe;
use crate::sys::splice::{NONBLOCK, NONE, VMSPLICE_CALL, vmsplice_out};

/// The cases of this module.
pub const CASES: &[Case] = &[
    vmsplice_maps_memory_in_and_out,
    vmsplice_to_full_pipe_gives_eagain,
    vmsplice_needs_a_pipe,
    vmsplice_of_too_many_ranges_is_refused,
];

/// Memory goes into a pipe at its write end, range after range, and comes out into memory at its read end.
#[case(VMSPLICE_2, "DESCRIPTION", needs = [Need::Facility(VMSPLICE_CALL)])]
fn vmsplice_maps_memory_in_and_out() -> Verdict {
    let (r, w) = pipe()?;
    check!(vmsplice(&w, &[IoSlice::new(b"abc"), IoSlice::new(b"def")], NONE) == Ok(6));
    check!(text(&r, 4) == Ok("abcd"));
    let mut memory = *b"....";
    check!(vmsplice_out(&r, &mut memory) == Ok(2));
    check!(memory == *b"ef..");
    Ok(())
}

/// Into a full pipe, vmsplice with SPLICE_F_NONBLOCK fails with EAGAIN.
#[case(VMSPLICE_2, "ERRORS", settles = ["vmsplice.2 EAGAIN", "vmsplice.2 SPLICE_F_NONBLOCK"], needs = [Need::Facility(VMSPLICE_CALL)])]
fn vmsplice_to_full_pipe_gives_eagain() -> Verdict {
    let (r, w) = pipe()?;
    let all = fill_pipe(&w)?;
    check!(vmsplice(&w, &[IoSlice::new(b"more")], NONBLOCK) == Err(EAGAIN));
    check!(text(&r, all)?.len() == all);
    check!(vmsplice(&w, &[IoSlice::new(b"more")], NONBLOCK) == Ok(4));
    Ok(())
}

refusals! {
    VMSPLICE_2, "ERRORS", needs = [Need::Facility(VMSPLICE_CALL)];

    /// A number that is no descriptor is refused, and so is a file.
    ["vmsplice.2 EBADF"] vmsplice_needs_a_pipe => EBADF: {
        check!(vmsplice(closed_fd(), &[IoSlice::new(b"x")], NONE) == Err(EBADF));
        vmsplice(file("content")?, &[IoSlice::new(b"x")], NONE)
    };

    /// More than IOV_MAX ranges are refused.
    ["vmsplice.2 EINVAL"] vmsplice_of_too_many_ranges_is_refused => EINVAL: {
        let most = sysconf(SysconfVar::IOV_MAX)?.ok_or("no IOV_MAX")? as usize;
        vmsplice(pipe()?.1, &vec![IoSlice::new(b"x"); most + 1], NONE)
    };
}
