//! A stream of bytes: order, and reads and writes that sleep, fail or are interrupted.

use crate::prelude::*;
use crate::sys::descriptors::{
    read_all, read_to_nowhere, set_nonblocking, unread, write_from_nowhere,
};
use crate::sys::pipes::{capacity, fill_pipe};
use crate::sys::privilege::nice;
use crate::sys::signals::catch;

/// The cases of this module.
pub const CASES: &[Case] = &[
    reads_know_no_message_boundaries,
    bytes_come_in_the_order_of_the_writes,
    data_outlives_its_writer,
    writing_needs_no_reader_at_work,
    read_of_empty_pipe_blocks_until_data,
    write_to_full_pipe_blocks_until_room,
    nonblocking_ends_give_eagain,
    signal_before_data_gives_eintr,
    signal_after_some_data_gives_a_short_write,
    bad_buffer_moves_nothing,
];

/// A pipe is a stream: reads are cut as the reader asks, not as the writes were.
#[case(PIPE_7, "I/O on pipes and FIFOs", settles = ["B01"])]
fn reads_know_no_message_boundaries() -> Verdict {
    let (r, w) = pipe()?;
    for part in ["ab", "cd", "efgh"] {
        write(&w, part.as_bytes())?;
    }
    check!(text(&r, 3) == Ok("abc"));
    check!(text(&r, 1) == Ok("d"));
    check!(text(&r, 32) == Ok("efgh"));
    Ok(())
}

/// What is written first is read first, whoever wrote it and with whatever priority.
#[case(PIPE_7, "DESCRIPTION", settles = ["B02"])]
fn bytes_come_in_the_order_of_the_writes() -> Verdict {
    let (r, w) = pipe()?;
    for (name, priority) in [("low ", 19), ("high ", 0), ("low again", 10)] {
        let writer = || {
            nice(priority)?;
            say(&w, name)
        };
        Child::spawn(writer)?.join()?;
    }
    check!(text(&r, 64) == Ok("low high low again"));
    Ok(())
}

/// What a process wrote is still in the pipe when that process has exited.
#[case(PIPE_2, "DESCRIPTION", settles = ["A03"])]
fn data_outlives_its_writer() -> Verdict {
    let (r, w) = pipe()?;
    Child::spawn(move || say(&w, "legacy"))?.join()?;
    check!(text(&r, 16) == Ok("legacy"));
    check!(text(&r, 16) == Ok(""));
    Ok(())
}

/// A write returns once the data is buffered, up to the whole capacity, though nobody reads.
#[case(PIPE_2, "DESCRIPTION", also = [(PIPE_7, "Pipe capacity")], settles = ["A07"])]
fn writing_needs_no_reader_at_work() -> Verdict {
    let (r, w) = pipe()?;
    let all = capacity(&w)?;
    let writer = Child::spawn(move || {
        check!(write(&w, &vec![b'x'; all]) == Ok(all));
        Ok(())
    })?;
    writer.join()?;
    check!(unread(&r) == Ok(all));
    Ok(())
}

/// A read of an empty pipe sleeps until there is data, and takes what is there.
#[case(PIPE_7, "I/O on pipes and FIFOs", settles = ["B03"])]
fn read_of_empty_pipe_blocks_until_data() -> Verdict {
    let (r, w) = pipe()?;
    let reader = Child::spawn(|| holds!(text(&r, 64) == Ok("data")))?;
    reader.blocked_in(READ)?;
    write(&w, b"data")?;
    reader.join()
}

/// A write to a full pipe sleeps until enough has been read for it.
#[case(PIPE_7, "I/O on pipes and FIFOs", also = [(PIPE_7, "Pipe capacity")], settles = ["A07", "B03"])]
fn write_to_full_pipe_blocks_until_room() -> Verdict {
    let (r, w) = pipe()?;
    let all = fill_pipe(&w)?;
    let writer = Child::spawn(|| holds!(write(&w, b"more") == Ok(4)))?;
    writer.blocked_in(WRITE)?;
    check!(unread(&r) == Ok(all));
    check!(read_all(&r, all)?.len() == all);
    writer.join()?;
    check!(text(&r, 64) == Ok("more"));
    Ok(())
}

/// With O_NONBLOCK, reading an empty pipe and writing to a full one fail with EAGAIN.
#[case(PIPE_7, "I/O on pipes and FIFOs", also = [(READ_2, "ERRORS"), (WRITE_2, "ERRORS")], settles = ["read.2 EAGAIN 1", "write.2 EAGAIN 1"])]
fn nonblocking_ends_give_eagain() -> Verdict {
    let (r, w) = pipe2(OFlag::O_NONBLOCK)?;
    check!(text(&r, 8) == Err(EAGAIN));
    let all = fill_pipe(&w)?;
    set_nonblocking(&w, true)?;
    check!(write(&w, b"x") == Err(EAGAIN));
    check!(read_all(&r, all)?.len() == all);
    check!(text(&r, 8) == Err(EAGAIN));
    check!(write(&w, b"x") == Ok(1));
    Ok(())
}

/// A handler that runs before any byte has moved makes a read or a write fail with EINTR.
#[case(READ_2, "ERRORS", also = [(WRITE_2, "ERRORS")], settles = ["read.2 EINTR", "write.2 EINTR"])]
fn signal_before_data_gives_eintr() -> Verdict {
    catch(SIGUSR1)?;
    let ((empty, w), (_r, full)) = (pipe()?, pipe()?);
    fill_pipe(&full)?;
    let reader = Child::spawn(|| holds!(text(&empty, 8) == Err(EINTR)))?;
    reader.interrupt_in(READ, SIGUSR1)?;
    let writer = Child::spawn(|| holds!(write(&full, b"x") == Err(EINTR)))?;
    writer.interrupt_in(WRITE, SIGUSR1)?;
    check!(unread(&w) == Ok(0));
    Ok(())
}

/// A handler that runs after some bytes were written makes the write return their number.
#[case(WRITE_2, "RETURN VALUE")]
fn signal_after_some_data_gives_a_short_write() -> Verdict {
    catch(SIGUSR1)?;
    let (r, w) = pipe()?;
    let all = capacity(&w)?;
    let writer = Child::spawn(|| {
        check!(write(&w, &vec![b'x'; 2 * all]) == Ok(all));
        Ok(())
    })?;
    writer.interrupt_in(WRITE, SIGUSR1)?;
    check!(unread(&r) == Ok(all));
    Ok(())
}

/// A buffer outside the address space gives EFAULT; nothing is written, and nothing that was there is lost.
#[case(READ_2, "ERRORS", also = [(WRITE_2, "ERRORS")], settles = ["read.2 EFAULT", "write.2 EFAULT"])]
fn bad_buffer_moves_nothing() -> Verdict {
    let (r, w) = pipe()?;
    check!(write_from_nowhere(&w, 4) == Err(EFAULT));
    check!(unread(&r) == Ok(0));
    check!(write(&w, b"kept") == Ok(4));
    check!(read_to_nowhere(&r, 4) == Err(EFAULT));
    check!(text(&r, 16) == Ok("kept"));
    Ok(())
}
