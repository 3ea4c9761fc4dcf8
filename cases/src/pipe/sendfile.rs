//! Copying a file into a pipe.

use std::io::Seek;

use nix::sys::sendfile::sendfile;

use crate::prelude::*;
use crate::sys::files::file;

/// The cases of this module.
pub const CASES: &[Case] = &[sendfile_fills_a_pipe_from_a_file];

/// Sendfile copies from a file to a pipe, from the given offset or the file's own, and moves that one on.
#[case(SENDFILE_2, "DESCRIPTION")]
fn sendfile_fills_a_pipe_from_a_file() -> Verdict {
    let mut file = file("abcdefgh")?;
    let (r, w) = pipe()?;
    let mut offset = 5;
    check!(sendfile(&w, &file, Some(&mut offset), 2) == Ok(2));
    check!((offset, file.stream_position()?) == (7, 0));
    check!(sendfile(&w, &file, None, 64) == Ok(8));
    check!(file.stream_position()? == 8);
    check!(text(&r, 64) == Ok("fgabcdefgh"));
    Ok(())
}
