//! PIPE_BUF: which writes come out in one piece.

use crate::prelude::*;
use crate::sys::descriptors::{pattern, read_all, set_nonblocking, unread};
use crate::sys::pipes::{PIPE_BUF, capacity, fill_pipe};

/// The cases of this module.
pub const CASES: &[Case] = &[
    small_writes_do_not_interleave,
    small_writes_stay_whole_between_large_ones,
    small_write_waits_for_room_for_all_of_it,
    sleeping_write_does_not_hold_up_one_that_fits,
    small_nonblocking_write_is_all_or_nothing,
    small_nonblocking_write_takes_the_last_room,
    atomicity_ends_at_pipe_buf,
    large_write_returns_when_all_is_written,
    large_write_is_not_held_back_for_room_for_all,
    large_nonblocking_write_takes_what_fits,
];

/// Reads so many records of this length, and looks that each is one byte
/// again and again: those of several writers have not mixed.
pub(super) fn every_record_is_of_one_byte(r: &OwnedFd, length: usize, records: usize) -> Verdict {
    for round in 0..records {
        let record = read_all(r, length)?;
        check!(record.len() == length, "record {round}");
        check!(record.iter().all(|byte| *byte == record[0]), "record {round} of {length}");
    }
    Ok(())
}

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
        every_record_is_of_one_byte(&r, length, 300)?;
        writers.join()?;
    }
    Ok(())
}

/// Beside large writes by other processes, small ones come out in one piece, and of each writer every byte, once and in order.
#[case(PIPE_7, "PIPE_BUF", settles = ["pipe.7 O_NONBLOCK 1", "pipe.7 PIPE_BUF 1"])]
fn small_writes_stay_whole_between_large_ones() -> Verdict {
    const TOTAL: usize = 60 * PIPE_BUF;
    let (r, w) = pipe()?;
    // Each byte tells its writer and its place in what that one wrote; 61 of
    // them are no part of a page.
    let byte = |name: usize, place: usize| ((name << 6) + place % 61) as u8;
    let lengths = [PIPE_BUF - 1, PIPE_BUF, TOTAL / 3];
    let writers = Children::spawn(3, |name| {
        close_copy(&r)?;
        let data: Vec<_> = (0..TOTAL).map(|place| byte(name, place)).collect();
        data.chunks(lengths[name]).try_for_each(|part| holds!(write(&w, part) == Ok(part.len())))
    })?;
    drop(w);
    let all = read_all(&r, 3 * TOTAL + 1)?;
    check!(all.len() == 3 * TOTAL);
    let mut done = [0; 3];
    let mut before = usize::MAX;
    for (place, got) in all.iter().enumerate() {
        let name = usize::from(got >> 6);
        check!(*got == byte(name, done[name]), "byte {place}");
        if name != before && before < 2 {
            let whole = done[before] % lengths[before] == 0 || done[before] == TOTAL;
            check!(whole, "writer {before} was interrupted at byte {place}");
        }
        done[name] += 1;
        before = name;
    }
    writers.join()
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

/// While a write sleeps for want of room, a smaller one of another process that fits succeeds, and both come out whole.
#[case(PIPE_7, "PIPE_BUF", settles = ["pipe.7 PIPE_BUF 2"])]
fn sleeping_write_does_not_hold_up_one_that_fits() -> Verdict {
    let (r, w) = pipe()?;
    let before = capacity(&w)? - 10;
    write(&w, &vec![b'.'; before])?;
    let writer = Child::spawn(|| holds!(write(&w, &[b'x'; PIPE_BUF]) == Ok(PIPE_BUF)))?;
    writer.blocked_in(WRITE)?;
    Child::spawn(|| holds!(write(&w, b"ten bytes.") == Ok(10)))?.join()?;
    writer.blocked_in(WRITE)?;
    read_all(&r, before)?;
    check!(read_all(&r, 10)? == b"ten bytes.");
    check!(read_all(&r, PIPE_BUF)? == [b'x'; PIPE_BUF]);
    writer.join()
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

/// A nonblocking write that is just as large as the room succeeds, however little that is, and the next finds a full pipe.
#[case(PIPE_7, "PIPE_BUF", settles = ["pipe.7 O_NONBLOCK 2", "pipe.7 PIPE_BUF 2"])]
fn small_nonblocking_write_takes_the_last_room() -> Verdict {
    let (r, w) = pipe2(OFlag::O_NONBLOCK)?;
    let all = capacity(&w)?;
    for room in [1, PIPE_BUF / 2, PIPE_BUF - 1, PIPE_BUF] {
        let data = pattern(all);
        check!(write(&w, &data[..all - room]) == Ok(all - room), "room for {room}");
        check!(write(&w, &data[all - room..]) == Ok(room), "room for {room}");
        check!(write(&w, b"x") == Err(EAGAIN), "room for {room}");
        check!(read_all(&r, all)? == data, "room for {room}");
    }
    Ok(())
}

/// With room for one byte less, a nonblocking write of PIPE_BUF bytes moves nothing, and one of a byte more may move a part.
#[case(PIPE_7, "PIPE_BUF", settles = ["B04", "pipe.7 PIPE_BUF 2", "pipe.7 PIPE_BUF 4"])]
fn atomicity_ends_at_pipe_buf() -> Verdict {
    for length in [PIPE_BUF - 1, PIPE_BUF, PIPE_BUF + 1] {
        let (r, w) = pipe2(OFlag::O_NONBLOCK)?;
        let before = capacity(&w)? - length + 1;
        let data = pattern(length);
        check!(write(&w, &vec![b'.'; before]) == Ok(before));
        let told = write(&w, &data);
        let allowed = match told {
            Err(errno) => errno == EAGAIN && length <= PIPE_BUF,
            Ok(count) => (1..=PIPE_BUF).contains(&count) && length > PIPE_BUF,
        };
        check!(allowed, "{length} bytes: {told:?}");
        let count = told.unwrap_or(0);
        check!(unread(&r) == Ok(before + count), "{length} bytes");
        read_all(&r, before)?;
        check!(read_all(&r, count)? == data[..count], "{length} bytes");
    }
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

/// A blocking write that is larger than the pipe gives its first bytes to a reader that waits for them.
#[case(PIPE_7, "I/O on pipes and FIFOs", also = [(PIPE_7, "PIPE_BUF")], settles = ["pipe.7 PIPE_BUF 3"])]
fn large_write_is_not_held_back_for_room_for_all() -> Verdict {
    let (r, w) = pipe()?;
    let all = capacity(&w)?;
    let data = pattern(all + PIPE_BUF);
    let reader =
        Child::spawn(|| holds!(read_all(&r, all + PIPE_BUF) == Ok(pattern(all + PIPE_BUF))))?;
    reader.blocked_in(READ)?;
    let writer = Child::spawn(|| holds!(write(&w, &data) == Ok(data.len())))?;
    writer.join()?;
    reader.join()
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
