//! Giving a second pipe what is in the first.

use nix::fcntl::tee;

use crate::prelude::*;
use crate::sys::descriptors::{set_nonblocking, unread};
use crate::sys::files::file;
use crate::sys::pipes::fill_pipe;
use crate::sys::splice::{NONBLOCK, NONE};

/// The cases of this module.
pub const CASES: &[Case] = &[
    tee_leaves_the_source_as_it_was,
    tee_without_data_or_writer_gives_zero,
    nonblocking_tee_gives_eagain,
    tee_to_itself_or_a_file_is_refused,
];

/// Tee gives a second pipe the data of the first, which keeps all of it; each is then read by itself.
#[case(TEE_2, "DESCRIPTION")]
fn tee_leaves_the_source_as_it_was() -> Verdict {
    let ((from, w), (r, to)) = (pipe()?, pipe()?);
    write(&w, b"abc")?;
    write(&w, b"def")?;
    check!(tee(&from, &to, 4, NONE) == Ok(4));
    check!(text(&r, 16) == Ok("abcd"));
    check!(tee(&from, &to, 64, NONE) == Ok(6));
    check!(text(&from, 16) == Ok("abcdef"));
    write(&to, b"!")?;
    check!(text(&r, 16) == Ok("abcdef!"));
    Ok(())
}

/// Without data and without a writer, tee returns 0.
#[case(TEE_2, "RETURN VALUE")]
fn tee_without_data_or_writer_gives_zero() -> Verdict {
    let ((from, w), (_r, to)) = (pipe()?, pipe()?);
    drop(w);
    check!(tee(&from, &to, 64, NONE) == Ok(0));
    check!(tee(&from, &to, 64, NONBLOCK) == Ok(0));
    Ok(())
}

/// Where it would block, for data or for room, tee fails with EAGAIN if told SPLICE_F_NONBLOCK or if that descriptor is nonblocking.
#[case(TEE_2, "ERRORS", settles = ["tee.2 EAGAIN", "tee.2 SPLICE_F_NONBLOCK"])]
fn nonblocking_tee_gives_eagain() -> Verdict {
    let ((from, w), (_r, to)) = (pipe()?, pipe()?);
    check!(tee(&from, &to, 64, NONBLOCK) == Err(EAGAIN));
    set_nonblocking(&from, true)?;
    check!(tee(&from, &to, 64, NONE) == Err(EAGAIN));
    write(&w, b"data")?;
    fill_pipe(&to)?;
    check!(tee(&from, &to, 64, NONBLOCK) == Err(EAGAIN));
    set_nonblocking(&to, true)?;
    check!(tee(&from, &to, 64, NONE) == Err(EAGAIN));
    check!(unread(&from) == Ok(4));
    Ok(())
}

refusals! {
    TEE_2, "ERRORS";

    /// The two ends of one pipe are refused, and so is what is not a pipe on either side.
    ["tee.2 EINVAL"] tee_to_itself_or_a_file_is_refused => EINVAL: {
        let ((r, w), file) = (pipe()?, file("content")?);
        write(&w, b"data")?;
        check!(tee(&r, &file, 4, NONE) == Err(EINVAL));
        check!(tee(&file, &w, 4, NONE) == Err(EINVAL));
        tee(&r, &w, 4, NONE)
    };
}
