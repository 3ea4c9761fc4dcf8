//! Moving data through pipes without reading it: splice, tee, vmsplice, sendfile.

use std::fs::{self, File, OpenOptions};
use std::io::{IoSlice, Seek, SeekFrom};

use nix::fcntl::{SpliceFFlags, splice, tee, vmsplice};
use nix::sys::sendfile::sendfile;
use nix::unistd::{SysconfVar, sysconf};

use crate::prelude::*;
use crate::sys::pipes::{
    VMSPLICE_CALL, closed_fd, fill_pipe, set_nonblocking, text, unread, vmsplice_out,
};
use crate::sys::sockets::Socket;

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
    tee_leaves_the_source_as_it_was,
    tee_without_data_or_writer_gives_zero,
    nonblocking_tee_gives_eagain,
    tee_to_itself_or_a_file_is_refused,
    vmsplice_maps_memory_in_and_out,
    vmsplice_to_full_pipe_gives_eagain,
    vmsplice_needs_a_pipe,
    vmsplice_of_too_many_ranges_is_refused,
    sendfile_fills_a_pipe_from_a_file,
];

const NONE: SpliceFFlags = SpliceFFlags::empty();
const NONBLOCK: SpliceFFlags = SpliceFFlags::SPLICE_F_NONBLOCK;

/// A file with this content, its offset at the start.
fn file(content: &str) -> Verdict<File> {
    fs::write("file", content)?;
    Ok(OpenOptions::new().read(true).write(true).open("file")?)
}

/// Without an offset, splice reads a file from where its own offset stands and moves that on.
#[case(SPLICE_2, "DESCRIPTION")]
fn spliced_file_advances_its_own_offset() -> Verdict {
    let mut file = file("abcdefgh")?;
    let (r, w) = pipe()?;
    file.seek(SeekFrom::Start(2))?;
    check!(splice(&file, None, &w, None, 3, NONE) == Ok(3));
    check!(text(&r, 16).as_deref() == Ok("cde"));
    check!(file.stream_position()? == 5);
    check!(splice(&file, None, &w, None, 64, NONE) == Ok(3));
    check!(splice(&file, None, &w, None, 64, NONE) == Ok(0));
    check!(text(&r, 16).as_deref() == Ok("fgh"));
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
    check!(text(&r, 16).as_deref() == Ok("efg"));
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
    check!(text(&r, 16).as_deref() == Ok("_abcd"));
    check!(text(&from, 16).as_deref() == Ok("ef"));
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
    let mover = Child::spawn(|| {
        check!(splice(&from, None, &to, None, 64, NONE) == Ok(4));
        Ok(())
    })?;
    mover.blocked_in(SPLICE)?;
    write(&w, b"data")?;
    mover.blocked_in(SPLICE)?;
    check!(text(&r, all)?.len() == all);
    mover.join()?;
    check!(text(&r, 16).as_deref() == Ok("data"));
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
    check!(text(&r, 64).as_deref() == Ok("tINTRUDER"));
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
        check!(text(&r, 16).as_deref() == Ok("kept"));
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

/// Tee gives a second pipe the data of the first, which keeps all of it; each is then read by itself.
#[case(TEE_2, "DESCRIPTION")]
fn tee_leaves_the_source_as_it_was() -> Verdict {
    let ((from, w), (r, to)) = (pipe()?, pipe()?);
    write(&w, b"abc")?;
    write(&w, b"def")?;
    check!(tee(&from, &to, 4, NONE) == Ok(4));
    check!(text(&r, 16).as_deref() == Ok("abcd"));
    check!(tee(&from, &to, 64, NONE) == Ok(6));
    check!(text(&from, 16).as_deref() == Ok("abcdef"));
    write(&to, b"!")?;
    check!(text(&r, 16).as_deref() == Ok("abcdef!"));
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

/// Memory goes into a pipe at its write end, range after range, and comes out into memory at its read end.
#[case(VMSPLICE_2, "DESCRIPTION", needs = [Need::Facility(VMSPLICE_CALL)])]
fn vmsplice_maps_memory_in_and_out() -> Verdict {
    let (r, w) = pipe()?;
    check!(vmsplice(&w, &[IoSlice::new(b"abc"), IoSlice::new(b"def")], NONE) == Ok(6));
    check!(text(&r, 4).as_deref() == Ok("abcd"));
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
    check!(text(&r, 64).as_deref() == Ok("fgabcdefgh"));
    Ok(())
}
