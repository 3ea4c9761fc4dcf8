//! Offsets: none in a pipe, and in files what splice and sendfile rely on.

use libc::{SOCK_STREAM, off_t};
use nix::sys::uio::{pread, pwrite};
use nix::unistd::{Whence, lseek};

use crate::prelude::*;
use crate::sys::descriptors::{closed_fd, read_all};
use crate::sys::files::{SEEK_HOLES, file, seek_in_no_known_way};
use crate::sys::memory::page_size;
use crate::sys::pipes::Fifo;
use crate::sys::sockets::Socket;

/// The cases of this module.
pub const CASES: &[Case] = &[
    seeking_is_refused,
    offset_counts_from_start_here_and_end,
    offset_is_shared_by_copies,
    offset_beyond_the_end_leaves_a_gap_of_zeros,
    holes_reported_hold_no_data,
    seeking_data_beyond_the_end_is_refused,
    offset_below_zero_is_refused,
    unknown_whence_is_refused,
    seeking_no_descriptor_is_refused,
];

const WHENCES: [Whence; 5] =
    [Whence::SeekSet, Whence::SeekCur, Whence::SeekEnd, Whence::SeekData, Whence::SeekHole];

/// A pipe, a FIFO and a socket have no offset: lseek, pread and pwrite fail with ESPIPE and move nothing.
#[case(LSEEK_2, "ERRORS", also = [(PIPE_7, "I/O on pipes and FIFOs")], settles = ["B07", "lseek.2 ESPIPE"])]
fn seeking_is_refused() -> Verdict {
    let ((r, w), (fifo_r, fifo_w)) = (pipe()?, Fifo::new("fifo")?.ends()?);
    let (near, far) = Socket::pair(SOCK_STREAM)?;
    let ends =
        [(r.as_fd(), w.as_fd()), (fifo_r.as_fd(), fifo_w.as_fd()), (near.as_fd(), far.as_fd())];
    for (from, to) in ends {
        write(to, b"kept")?;
        for whence in WHENCES {
            check!(lseek(from, 0, whence) == Err(ESPIPE));
            check!(lseek(to, 0, whence) == Err(ESPIPE));
        }
        check!(pread(from, &mut [0; 4], 0) == Err(ESPIPE));
        check!(pwrite(to, b"lost", 0) == Err(ESPIPE));
        check!(text(from, 16) == Ok("kept"));
    }
    Ok(())
}

/// An offset counts from the start, from where it was and from the end, and reading and writing go on from there.
#[case(LSEEK_2, "DESCRIPTION", settles = ["lseek.2 SEEK_SET", "lseek.2 SEEK_CUR", "lseek.2 SEEK_END"])]
fn offset_counts_from_start_here_and_end() -> Verdict {
    let file = file("0123456789")?;
    for (offset, whence, now, there) in [
        (3, Whence::SeekSet, 3, "34"),
        (2, Whence::SeekCur, 7, "78"),
        (-4, Whence::SeekCur, 5, "56"),
        (-1, Whence::SeekEnd, 9, "9"),
        (0, Whence::SeekEnd, 10, ""),
        (0, Whence::SeekSet, 0, "01"),
    ] {
        check!(lseek(&file, offset, whence) == Ok(now), "{offset} {whence:?}");
        check!(text(&file, 2) == Ok(there), "{offset} {whence:?}");
    }
    lseek(&file, -3, Whence::SeekEnd)?;
    write(&file, b"x")?;
    check!(lseek(&file, 0, Whence::SeekCur) == Ok(8));
    check!(std::fs::read("file")? == b"0123456x89");
    Ok(())
}

/// The offset is that of the open file description: a copy and a child move it, another open does not.
#[case(LSEEK_2, "DESCRIPTION", also = [(LSEEK_2, "NOTES")], settles = ["lseek.2 SEEK_CUR"])]
fn offset_is_shared_by_copies() -> Verdict {
    let file = file("0123456789")?;
    let (copy, other) = (dup(&file)?, std::fs::File::open("file")?);
    check!(lseek(&copy, 4, Whence::SeekSet) == Ok(4));
    check!(lseek(&other, 8, Whence::SeekSet) == Ok(8));
    Child::spawn(|| holds!(lseek(&file, 2, Whence::SeekCur) == Ok(6)))?.join()?;
    check!(text(&file, 1) == Ok("6"));
    check!(lseek(&copy, 0, Whence::SeekCur) == Ok(7));
    check!(lseek(&other, 0, Whence::SeekCur) == Ok(8));
    Ok(())
}

/// An offset beyond the end leaves the size as it is, and what is written there leaves a gap that reads as zeros.
#[case(LSEEK_2, "DESCRIPTION", settles = ["lseek.2 SEEK_END"])]
fn offset_beyond_the_end_leaves_a_gap_of_zeros() -> Verdict {
    let file = file("start")?;
    let gap = 3 * page_size();
    let there = lseek(&file, gap as off_t, Whence::SeekEnd)?;
    check!(there as usize == 5 + gap);
    check!(file.metadata()?.len() == 5);
    check!(text(&file, 8) == Ok(""));
    write(&file, b"end")?;
    check!(file.metadata()?.len() as usize == 5 + gap + 3);
    lseek(&file, 0, Whence::SeekSet)?;
    let all = read_all(&file, 5 + gap + 3)?;
    check!(all == [b"start".as_slice(), &vec![0; gap], b"end"].concat());
    Ok(())
}

/// SEEK_DATA stays in data, no hole that SEEK_HOLE and SEEK_DATA report holds any, and the last hole is the end.
#[case(LSEEK_2, "Seeking file data and holes", settles = ["lseek.2 SEEK_DATA", "lseek.2 SEEK_HOLE"], needs = [Need::Facility(SEEK_HOLES)])]
fn holes_reported_hold_no_data() -> Verdict {
    let file = file(vec![b'a'; page_size()])?;
    let (page, second) = (page_size() as off_t, 64 * page_size() as off_t);
    let end = second + page;
    pwrite(&file, &vec![b'b'; page_size()], second)?;
    for data in [0, 1, page - 1, second, end - 1] {
        check!(lseek(&file, data, Whence::SeekData) == Ok(data));
        check!(lseek(&file, 0, Whence::SeekCur) == Ok(data));
    }
    let hole = lseek(&file, 1, Whence::SeekHole)?;
    check!((page..second).contains(&hole) || hole == end);
    check!(lseek(&file, 0, Whence::SeekCur) == Ok(hole));
    if hole != end {
        check!(lseek(&file, hole, Whence::SeekHole) == Ok(hole));
        let data = lseek(&file, hole, Whence::SeekData)?;
        check!((hole..=second).contains(&data));
    }
    check!(lseek(&file, second + 1, Whence::SeekHole) == Ok(end));
    Ok(())
}

/// SEEK_DATA and SEEK_HOLE from beyond the end fail with ENXIO, and the offset stays.
#[case(LSEEK_2, "ERRORS", also = [(LSEEK_2, "Seeking file data and holes")], settles = ["lseek.2 ENXIO"], needs = [Need::Facility(SEEK_HOLES)])]
fn seeking_data_beyond_the_end_is_refused() -> Verdict {
    let file = file("0123456789")?;
    lseek(&file, 3, Whence::SeekSet)?;
    for offset in [11, 1 << 30] {
        check!(lseek(&file, offset, Whence::SeekData) == Err(ENXIO), "{offset}");
        check!(lseek(&file, offset, Whence::SeekHole) == Err(ENXIO), "{offset}");
    }
    check!(text(&file, 2) == Ok("34"));
    Ok(())
}

/// An offset that would be below zero, counted from anywhere, fails with EINVAL, and the offset stays.
#[case(LSEEK_2, "ERRORS", settles = ["lseek.2 EINVAL"])]
fn offset_below_zero_is_refused() -> Verdict {
    let file = file("0123456789")?;
    lseek(&file, 3, Whence::SeekSet)?;
    for (offset, whence) in [
        (-1, Whence::SeekSet),
        (-4, Whence::SeekCur),
        (-11, Whence::SeekEnd),
        (off_t::MIN, Whence::SeekCur),
    ] {
        check!(lseek(&file, offset, whence) == Err(EINVAL), "{offset} {whence:?}");
    }
    check!(text(&file, 2) == Ok("34"));
    Ok(())
}

refusals! {
    LSEEK_2, "ERRORS";

    /// A directive that lseek does not know is refused.
    ["lseek.2 EINVAL"] unknown_whence_is_refused => EINVAL: seek_in_no_known_way(file("content")?);

    /// A number that is no descriptor is refused.
    ["lseek.2 EBADF"] seeking_no_descriptor_is_refused => EBADF: lseek(closed_fd(), 0, Whence::SeekCur);
}
