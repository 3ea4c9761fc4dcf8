//! PIPE_BUF: which writes come out in one piece.

use crate::prelude::*;
use crate::sys::descriptors::{pattern, read_all, set_nonblocking, unread};
use crate::sys::pipes::{PIPE_BUF, capacity, fill_pipe};

/// The cases of this module.
pub const CASES: &[Case] = &[
    small_writes_do_not_interleave,
    small_write_waits_for_room_for_all_of_it,
    small_nonblocking_write_is_all_or_nothing,
    large_write_returns_when_all_is_written,
    large_nonblocking_write_takes_what_fits,
];

/// Writes of at most PIPE_BUF bytes by several processes come out whole, each in one piece.
#[case(PIPE_7, "PIPE_BUF", settles = ["pipe.7 O_NONBLOCK 1", "pipe.7 PIPE_BUF 1"])]
fn small_writes_do_not_interleave() -> Verdict {
    // Records of the other lengths cross the borders of pages.
    for length in [PIPE_BUF, PIPE_BUF - 1, PIPE_BUF / 3 * 2] {
        let (r, w) = pipe()?;
        let writers = Children::spawn(3, |name| {
            let record = vec![b'a' + name as u8; length];
            (0..100).try_for_each(|_| holds!(write(&w, &record) == Ok(length)))
        })?;
        drop(w);
        for round in 0..300 {
            let record = read_all(&r, length)?;
            check!(record.len() == length, "record {round}");
            check!(record.iter().all(|byte| *byte == record[0]), "record {round} of {length}");
        }
        writers.join()?;
    }
    Ok(())
}

/// A blocking write of at most PIPE_BUF bytes that has not room for all of it puts none of it in the pipe yet.
#[case(PIPE_7, "PIPE_BUF", settles = ["pipe.7 O_NONBLOCK 1", "pipe.7 PIPE_BUF 1"])]
fn small_write_waits_for_room_for_all_of_it() -> Verdict {
    let (r, w) = pipe()?;
    let before = capacity(&w)? - PIPE_BUF + 1;
    write(&w, &vec![b'.'; before])?;
    let writer = Child::spawn(|| {
        check!(write(&w, &[b'x'; PIPE_BUF]) == Ok(PIPE_BUF));
        Ok(())
    })?;
    writer.blocked_in(WRITE)?;
    check!(unread(&r) == Ok(before));
    read_all(&r, before)?;
    writer.join()?;
    check!(unread(&r) == Ok(PIPE_BUF));
    Ok(())
}

/// A nonblocking write of at most PIPE_BUF bytes writes all or, where there is not room for all, nothing.
#[case(PIPE_7, "PIPE_BUF", settles = ["B04", "pipe.7 O_NONBLOCK 2", "pipe.7 PIPE_BUF 2"])]
fn small_nonblocking_write_is_all_or_nothing() -> Verdict {
    let (r, w) = pipe2(OFlag::O_NONBLOCK)?;
    for room in [1, PIPE_BUF / 2, PIPE_BUF - 1] {
        let before = capacity(&w)? - room;
        check!(write(&w, &vec![b'.'; before]) == Ok(before));
        check!(write(&w, &vec![b'x'; room + 1]) == Err(EAGAIN), "room for {room}");
        check!(unread(&r) == Ok(before), "room for {room}");
        read_all(&r, before)?;
    }
    check!(write(&w, &[b'x'; PIPE_BUF]) == Ok(PIPE_BUF));
    check!(unread(&r) == Ok(PIPE_BUF));
    Ok(())
}

/// A blocking write above PIPE_BUF returns only when all of it is written, however often it had to wait.
#[case(PIPE_7, "PIPE_BUF", settles = ["pipe.7 O_NONBLOCK 3", "pipe.7 PIPE_BUF 3"])]
fn large_write_returns_when_all_is_written() -> Verdict {
    let (r, w) = pipe()?;
    let all = 3 * capacity(&w)? + 1;
    let data = pattern(all);
    let writer = Child::spawn(|| holds!(write(&w, &data) == Ok(all)))?;
    for piece in data.chunks(capacity(&w)?).take(2) {
        writer.blocked_in(WRITE)?;
        check!(read_all(&r, piece.len())? == piece);
    }
    check!(read_all(&r, capacity(&w)? + 1)? == data[2 * capacity(&w)?..]);
    writer.join()
}

/// A nonblocking write above PIPE_BUF writes the part that fits, and fails with EAGAIN on a full pipe.
#[case(PIPE_7, "PIPE_BUF", settles = ["B04", "pipe.7 O_NONBLOCK 4", "pipe.7 PIPE_BUF 4"])]
fn large_nonblocking_write_takes_what_fits() -> Verdict {
    let (r, w) = pipe2(OFlag::O_NONBLOCK)?;
    let all = capacity(&w)?;
    let data = pattern(2 * all);
    let written = write(&w, &data)?;
    check!(written >= 1);
    check!(written <= all);
    check!(unread(&r) == Ok(written));
    fill_pipe(&w)?;
    set_nonblocking(&w, true)?;
    check!(write(&w, &data) == Err(EAGAIN));
    check!(read_all(&r, written)? == data[..written]);
    Ok(())
}
