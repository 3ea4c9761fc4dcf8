//! Moving data between a pipe and something else without reading it.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom};

use nix::fcntl::splice;

use crate::prelude::*;
use crate::sys::descriptors::{closed_fd, set_nonblocking, unread};
use crate::sys::files::file;
use crate::sys::pipes::fill_pipe;
use crate::sys::sockets::Socket;
use crate::sys::splice::{NONBLOCK, NONE};

/// The cases of this module.
pub const CASES: &[Case] = &[
    spliced_file_advances_its_own_offset,
    given_offset_spares_that_of_the_file,
    pipe_to_file_writes_where_the_offset_says,
    pipe_to_pipe_moves_as_much_as_asked,
    splice_without_data_or_writer_gives_zero,
    splice_of_empty_pipe_blocks_until_data,
    either_end_nonblocking_gives_eagain,
    writing_after_a_splice_leaves_the_file_alone,
    offset_for_a_pipe_is_refused,
    offset_for_a_socket_is_refused,
    splice_needs_a_pipe,
    splice_into_the_same_pipe_is_refused,
    splice_to_an_appending_file_is_refused,
    wrong_direction_is_refused,
];

/// Without an offset, splice reads a file from where its own offset stands and moves that on.
#[case(SPLICE_2, "DESCRIPTION")]
fn spliced_file_advances_its_own_offset() -> Verdict {
    let mut file = file("abcdefgh")?;
    let (r, w) = pipe()?;
    file.seek(SeekFrom::Start(2))?;
    check!(splice(&file, None, &w, None, 3, NONE) == Ok(3));
    check!(text(&r, 16) == Ok("cde"));
    check!(file.stream_position()? == 5);
    check!(splice(&file, None, &w, None, 64, NONE) == Ok(3));
    check!(splice(&file, None, &w, None, 64, NONE) == Ok(0));
    check!(text(&r, 16) == Ok("fgh"));
    Ok(())
}

/// With an offset, splice reads a file from there, moves that on and leaves the file's own where it was.
#[case(SPLICE_2, "DESCRIPTION")]
fn given_offset_spares_that_of_the_file() -> Verdict {
    let mut file = file("abcdefgh")?;
    let (r, w) = pipe()?;
    file.seek(SeekFrom::Start(1))?;
    let mut offset = 4;
    check!(splice(&file, Some(&mut offset), &w, None, 3, NONE) == Ok(3));
    check!(text(&r, 16) == Ok("efg"));
    check!((offset, file.stream_position()?) == (7, 1));
    Ok(())
}

/// From a pipe, splice writes to a file at its own offset or at the given one, and the pipe has the data no more.
#[case(SPLICE_2, "DESCRIPTION")]
fn pipe_to_file_writes_where_the_offset_says() -> Verdict {
    let mut file = file("abcdefgh")?;
    let (r, w) = pipe()?;
    write(&w, b"XYZ")?;
    check!(splice(&r, None, &file, None, 2, NONE) == Ok(2));
    let mut offset = 7;
    check!(splice(&r, None, &file, Some(&mut offset), 64, NONE) == Ok(1));
    check!((offset, file.stream_position()?) == (8, 2));
    check!(fs::read_to_string("file")? == "XYcdefgZ");
    check!(unread(&r) == Ok(0));
    Ok(())
}

/// From pipe to pipe, splice moves as much as asked, in order, and leaves the rest.
#[case(SPLICE_2, "DESCRIPTION")]
fn pipe_to_pipe_moves_as_much_as_asked() -> Verdict {
    let ((from, w), (r, to)) = (pipe()?, pipe()?);
    write(&w, b"abc")?;
    write(&w, b"def")?;
    write(&to, b"_")?;
    check!(splice(&from, None, &to, None, 4, NONE) == Ok(4));
    check!(text(&r, 16) == Ok("_abcd"));
    check!(text(&from, 16) == Ok("ef"));
    Ok(())
}

/// From an empty pipe without a writer, splice returns 0: the end of the input.
#[case(SPLICE_2, "RETURN VALUE")]
fn splice_without_data_or_writer_gives_zero() -> Verdict {
    let ((from, w), (_r, to)) = (pipe()?, pipe()?);
    write(&w, b"last")?;
    drop(w);
    check!(splice(&from, None, &to, None, 64, NONE) == Ok(4));
    check!(splice(&from, None, &to, None, 64, NONE) == Ok(0));
    check!(splice(&from, None, &to, None, 64, NONBLOCK) == Ok(0));
    Ok(())
}

/// From an empty pipe that has a writer, splice sleeps until there is data; into a full one, until there is room.
#[case(SPLICE_2, "RETURN VALUE", also = [(PIPE_7, "I/O on pipes and FIFOs")])]
fn splice_of_empty_pipe_blocks_until_data() -> Verdict {
    let ((from, w), (r, to)) = (pipe()?, pipe()?);
    let all = fill_pipe(&to)?;
    let mover = Child::spawn(|| holds!(splice(&from, None, &to, None, 64, NONE) == Ok(4)))?;
    mover.blocked_in(SPLICE)?;
    write(&w, b"data")?;
    mover.blocked_in(SPLICE)?;
    check!(text(&r, all)?.len() == all);
    mover.join()?;
    check!(text(&r, 16) == Ok("data"));
    Ok(())
}

/// Where it would block, splice fails with EAGAIN if told SPLICE_F_NONBLOCK or if either descriptor is nonblocking.
#[case(SPLICE_2, "ERRORS", settles = ["splice.2 EAGAIN", "splice.2 SPLICE_F_NONBLOCK"])]
fn either_end_nonblocking_gives_eagain() -> Verdict {
    let ((from, w), (_r, to)) = (pipe()?, pipe()?);
    check!(splice(&from, None, &to, None, 64, NONBLOCK) == Err(EAGAIN));
    set_nonblocking(&from, true)?;
    check!(splice(&from, None, &to, None, 64, NONE) == Err(EAGAIN));
    write(&w, b"data")?;
    fill_pipe(&to)?;
    check!(splice(&from, None, &to, None, 64, NONBLOCK) == Err(EAGAIN));
    set_nonblocking(&to, true)?;
    check!(splice(&from, None, &to, None, 64, NONE) == Err(EAGAIN));
    check!(unread(&from) == Ok(4));
    Ok(())
}

/// What is written to a pipe after a file was spliced into it does not get into that file.
#[case(SPLICE_2, "DESCRIPTION")]
fn writing_after_a_splice_leaves_the_file_alone() -> Verdict {
    file("the file's own")?;
    let (r, w) = pipe()?;
    // Every buffer of the pipe has held data that was written.
    let all = fill_pipe(&w)?;
    check!(text(&r, all)?.len() == all);
    check!(splice(File::open("file")?, None, &w, None, 1, NONE) == Ok(1));
    check!(write(&w, b"INTRUDER") == Ok(8));
    check!(fs::read_to_string("file")? == "the file's own");
    check!(text(&r, 64) == Ok("tINTRUDER"));
    Ok(())
}

refusals! {
    SPLICE_2, "ERRORS";

    /// An offset for a descriptor that is a pipe is refused, and nothing moves.
    ["splice.2 ESPIPE"] offset_for_a_pipe_is_refused => ESPIPE: {
        let ((r, w), file, mut offset) = (pipe()?, file("content")?, 0);
        check!(splice(&file, None, &w, Some(&mut offset), 4, NONE) == Err(ESPIPE));
        write(&w, b"kept")?;
        check!(splice(&r, Some(&mut offset), &file, None, 4, NONE) == Err(ESPIPE));
        check!(text(&r, 16) == Ok("kept"));
        splice(&r, Some(&mut offset), pipe()?.1, None, 4, NONE)
    };

    /// An offset for a socket, which has none, is refused.
    ["splice.2 EINVAL 4"] offset_for_a_socket_is_refused => EINVAL: {
        let ((r, w), mut offset) = (pipe()?, 0);
        let (near, _far) = Socket::pair(libc::SOCK_STREAM)?;
        check!(splice(&near, Some(&mut offset), &w, None, 4, NONE) == Err(EINVAL));
        write(&w, b"kept")?;
        splice(&r, None, &near, Some(&mut offset), 4, NONE)
    };

    /// Two descriptors of which neither is a pipe are refused.
    ["splice.2 EINVAL 3"] splice_needs_a_pipe => EINVAL: {
        splice(file("content")?, None, File::create("other")?, None, 4, NONE)
    };

    /// The two ends of one pipe are refused.
    ["splice.2 EINVAL 5"] splice_into_the_same_pipe_is_refused => EINVAL: {
        let (r, w) = pipe()?;
        write(&w, b"round")?;
        splice(&r, None, &w, None, 4, NONE)
    };

    /// A target that is open for appending is refused.
    ["splice.2 EINVAL 2"] splice_to_an_appending_file_is_refused => EINVAL: {
        let (r, w) = pipe()?;
        write(&w, b"more")?;
        splice(&r, None, OpenOptions::new().append(true).create(true).open("log")?, None, 4, NONE)
    };

    /// A number that is no descriptor, an end that is not for reading and one that is not for writing are refused.
    ["splice.2 EBADF"] wrong_direction_is_refused => EBADF: {
        let ((r, w), (other_r, other_w)) = (pipe()?, pipe()?);
        write(&w, b"kept")?;
        check!(splice(closed_fd(), None, &w, None, 4, NONE) == Err(EBADF));
        check!(splice(&r, None, closed_fd(), None, 4, NONE) == Err(EBADF));
        check!(splice(&w, None, &other_w, None, 4, NONE) == Err(EBADF));
        splice(&r, None, &other_r, None, 4, NONE)
    };
}
