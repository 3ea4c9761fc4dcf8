//! A stream of bytes: order, and reads and writes that sleep, fail or are interrupted.

use nix::unistd::setpgid;

use crate::prelude::*;
use crate::sys::descriptors::{
    lent, pattern, read_all, read_to, read_to_nowhere, set_nonblocking, unread, write_from,
    write_from_nowhere,
};
use crate::sys::memory::{Memory, page_size};
use crate::sys::pipes::{PIPE_BUF, capacity, fill_pipe};
use crate::sys::poll;
use crate::sys::privilege::nice;
use crate::sys::signals::{Action, Signals, block, catch, restart};

/// The cases of this module.
pub const CASES: &[Case] = &[
    reads_know_no_message_boundaries,
    bytes_come_in_the_order_of_the_writes,
    every_byte_reaches_one_reader,
    data_outlives_its_writer,
    writing_needs_no_reader_at_work,
    read_of_empty_pipe_blocks_until_data,
    write_to_full_pipe_blocks_until_room,
    one_write_feeds_every_sleeping_reader,
    one_read_makes_room_for_every_sleeping_writer,
    data_passes_by_a_stopped_or_killed_reader,
    room_passes_by_a_stopped_or_killed_writer,
    nonblocking_ends_give_eagain,
    nonblocking_holds_for_every_copy_of_an_end,
    signal_before_data_gives_eintr,
    restarted_calls_go_on_as_if_nothing_had_been,
    interrupted_write_is_completed_by_another,
    stop_in_the_middle_of_a_write_loses_nothing,
    fork_in_the_middle_of_a_write_changes_nothing,
    read_of_no_bytes_takes_nothing,
    write_of_no_bytes_is_no_end_of_file,
    bad_buffer_moves_nothing,
    failed_write_leaves_no_trace,
    write_from_memory_that_ends_moves_what_it_tells,
    read_to_memory_that_ends_moves_what_it_tells,
    read_stores_nothing_beside_the_buffer,
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

/// Where several read, each byte reaches one of them, and none is lost.
#[case(PIPE_7, "DESCRIPTION")]
fn every_byte_reaches_one_reader() -> Verdict {
    let (r, w) = pipe()?;
    let data = pattern(20 * PIPE_BUF + 1);
    let seen: Vec<_> = (0..=u8::MAX).map(|_| Counter::new()).collect::<Result<_, _>>()?;
    let readers = Children::spawn(3, |which| {
        close_copy(&w)?;
        let mut buffer = vec![0; [7, 100, PIPE_BUF][which]];
        loop {
            match read(&r, &mut buffer)? {
                0 => return Ok(()),
                count => {
                    for byte in &buffer[..count] {
                        seen[usize::from(*byte)].add(1);
                    }
                }
            }
        }
    })?;
    for (number, part) in data.chunks(1000).enumerate() {
        check!(write(&w, part) == Ok(part.len()), "write {number}");
    }
    drop(w);
    readers.join()?;
    for (byte, times) in seen.iter().enumerate() {
        let written = data.iter().filter(|written| usize::from(**written) == byte).count();
        check!(times.get() == written as u64, "byte {byte}");
    }
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

/// One write wakes as many sleeping readers as it has data for.
#[case(PIPE_7, "I/O on pipes and FIFOs", settles = ["B03"])]
fn one_write_feeds_every_sleeping_reader() -> Verdict {
    let (r, w) = pipe()?;
    let readers = Children::spawn(3, |_| holds!(text(&r, 1) == Ok("x")))?;
    readers.blocked_in(READ)?;
    write(&w, b"xxx")?;
    readers.join()
}

/// Room that is read free at once wakes every writer for which it is enough.
#[case(PIPE_7, "I/O on pipes and FIFOs", settles = ["B03"])]
fn one_read_makes_room_for_every_sleeping_writer() -> Verdict {
    let (r, w) = pipe()?;
    let all = fill_pipe(&w)?;
    let writers = Children::spawn(3, |_| holds!(write(&w, &[b'x'; PIPE_BUF]) == Ok(PIPE_BUF)))?;
    writers.blocked_in(WRITE)?;
    read_all(&r, all)?;
    writers.join()?;
    check!(unread(&r) == Ok(3 * PIPE_BUF));
    Ok(())
}

/// Of three sleeping readers one is stopped and one killed: what is written then is for the third, and nobody else took of it.
#[case(PIPE_7, "I/O on pipes and FIFOs", settles = ["B03"])]
fn data_passes_by_a_stopped_or_killed_reader() -> Verdict {
    let (r, w) = pipe()?;
    let reader = |wanted: &'static str| {
        let reader = Child::spawn(|| {
            alone()?;
            holds!(text(&r, 8) == Ok(wanted))
        })?;
        reader.blocked_in(READ)?;
        Verdict::Ok(reader)
    };
    let (stopped, killed, third) = (reader("second")?, reader("")?, reader("first")?);
    stopped.kill(SIGSTOP)?;
    stopped.wait_stopped()?;
    drop(killed);
    write(&w, b"first")?;
    third.join()?;
    stopped.kill(SIGCONT)?;
    stopped.blocked_in(READ)?;
    write(&w, b"second")?;
    stopped.join()
}

/// Of three sleeping writers one is stopped and one killed: the room that comes then is the third's, and only its data is there.
#[case(PIPE_7, "I/O on pipes and FIFOs", settles = ["B03"])]
fn room_passes_by_a_stopped_or_killed_writer() -> Verdict {
    let (r, w) = pipe()?;
    let all = fill_pipe(&w)?;
    let writer = |data: &'static str| {
        let writer = Child::spawn(|| {
            alone()?;
            say(&w, data)
        })?;
        writer.blocked_in(WRITE)?;
        Verdict::Ok(writer)
    };
    let (stopped, killed, third) = (writer("second")?, writer("never")?, writer("first")?);
    stopped.kill(SIGSTOP)?;
    stopped.wait_stopped()?;
    drop(killed);
    read_all(&r, all)?;
    third.join()?;
    check!(text(&r, 16) == Ok("first"));
    stopped.kill(SIGCONT)?;
    stopped.join()?;
    check!(text(&r, 16) == Ok("second"));
    Ok(())
}

/// Leads a process group of its own, for a process that will be stopped: the
/// case's group is an orphaned one, of which job control has ideas.
fn alone() -> nix::Result<()> {
    setpgid(getpid(), getpid())
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

/// O_NONBLOCK that a child sets on its copy of one end holds for every copy of that end, and not for the other end.
#[case(FORK_2, "DESCRIPTION", also = [(DUP_2, "DESCRIPTION"), (PIPE_7, "I/O on pipes and FIFOs")])]
fn nonblocking_holds_for_every_copy_of_an_end() -> Verdict {
    let (r, w) = pipe()?;
    let copy = dup(&r)?;
    Child::spawn(|| Ok(set_nonblocking(&r, true)?))?.join()?;
    for end in [&r, &copy] {
        Child::spawn(|| holds!(text(end, 8) == Err(EAGAIN)))?.join()?;
    }
    let all = capacity(&w)?;
    write(&w, &vec![b'.'; all])?;
    let writer = Child::spawn(|| holds!(write(&w, b"x") == Ok(1)))?;
    writer.blocked_in(WRITE)?;
    check!(read_all(&copy, all)?.len() == all);
    writer.join()
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

/// With SA_RESTART a read and a write that had moved nothing go on after the handler, and move each byte once.
#[case(SIGNAL_7, "Interruption of system calls and library functions by signal handlers")]
fn restarted_calls_go_on_as_if_nothing_had_been() -> Verdict {
    let ((empty, w), (r, full)) = (pipe()?, pipe()?);
    let all = fill_pipe(&full)?;
    let (in_read, in_write) = (restart(SIGUSR1)?, restart(SIGUSR2)?);
    let reader = Child::spawn(|| holds!(text(&empty, 8) == Ok("once")))?;
    reader.sleeps_on_in(READ, SIGUSR1, in_read)?;
    write(&w, b"once")?;
    reader.join()?;
    let writer = Child::spawn(|| holds!(write(&full, b"once") == Ok(4)))?;
    writer.sleeps_on_in(WRITE, SIGUSR2, in_write)?;
    read_all(&r, all)?;
    writer.join()?;
    check!((unread(&empty), unread(&r)) == (Ok(0), Ok(4)));
    check!(text(&r, 8) == Ok("once"));
    Ok(())
}

/// A write that a handler interrupts tells how much it wrote, with SA_RESTART too, and a write of the rest completes the stream.
#[case(WRITE_2, "RETURN VALUE", also = [(WRITE_2, "NOTES")])]
fn interrupted_write_is_completed_by_another() -> Verdict {
    for flags in [0, libc::SA_RESTART] {
        let (r, w) = pipe()?;
        let all = capacity(&w)?;
        let data = pattern(2 * all + 1);
        let handled = Latch::new()?;
        Action::run(move |_| handled.open()).flags(flags).on(SIGUSR1)?;
        let writer = Child::spawn(|| {
            check!(write(&w, &data) == Ok(all), "sa_flags {flags:#x}");
            holds!(write(&w, &data[all..]) == Ok(all + 1))
        })?;
        writer.sleeps_on_in(WRITE, SIGUSR1, handled)?;
        check!(unread(&r) == Ok(all), "sa_flags {flags:#x}");
        check!(read_all(&r, data.len())? == data, "sa_flags {flags:#x}");
        writer.join()?;
    }
    Ok(())
}

/// A write in the middle of which the process is stopped and continued writes all or tells how much, and each byte once.
#[case(WRITE_2, "RETURN VALUE", also = [(SIGNAL_7, "Interruption of system calls and library functions by stop signals")])]
fn stop_in_the_middle_of_a_write_loses_nothing() -> Verdict {
    let (r, w) = pipe()?;
    let all = capacity(&w)?;
    let data = pattern(3 * all);
    let writer = Child::spawn(|| {
        let mut done = 0;
        while done < data.len() {
            // A stop may cut it short, an error it may not be.
            let told = write(&w, &data[done..]);
            check!(matches!(told, Ok(1..)), "after {done} bytes: {told:?}");
            done += told?;
        }
        Ok(())
    })?;
    for piece in data.chunks(all).take(2) {
        writer.blocked_in(WRITE)?;
        writer.stop_and_continue()?;
        writer.blocked_in(WRITE)?;
        check!(read_all(&r, all)? == piece);
    }
    check!(read_all(&r, all)? == data[2 * all..]);
    writer.join()
}

/// A fork while another thread is in the middle of a write neither ends that write nor repeats it.
#[case(FORK_2, "DESCRIPTION")]
fn fork_in_the_middle_of_a_write_changes_nothing() -> Verdict {
    let (r, w) = pipe()?;
    let all = capacity(&w)?;
    let data = pattern(3 * all);
    let (end, expected) = (lent(&w), data.clone());
    let writer = Thread::spawn(move || {
        // The child's SIGCHLD, ignored as it is, is none of this thread's: to
        // one that is traced it would be a signal.
        block(Signals::ALL)?;
        holds!(write(end, &data) == Ok(3 * all))
    })?;
    writer.blocked_in(WRITE)?;
    let child = Child::spawn(|| {
        close_copy(&w)?;
        let mut buffer = vec![0; all];
        check!(read(&r, &mut buffer[..1]) == Ok(1));
        holds!(buffer[0] == expected[0])
    })?;
    child.join()?;
    check!(read_all(&r, 3 * all - 1)? == expected[1..]);
    writer.join()?;
    drop(w);
    check!(text(&r, 8) == Ok(""));
    Ok(())
}

/// A read of no bytes returns 0 at once from an empty pipe, and takes nothing from one that has some.
#[case(READ_2, "DESCRIPTION")]
fn read_of_no_bytes_takes_nothing() -> Verdict {
    let (r, w) = pipe()?;
    let read_nothing = || Child::spawn(|| holds!(read(&r, &mut [0; 8][..0]) == Ok(0)))?.join();
    read_nothing()?;
    write(&w, b"data")?;
    read_nothing()?;
    check!(text(&r, 8) == Ok("data"));
    drop(w);
    read_nothing()
}

/// A write of no bytes, whatever it returns, is no data and no end of file to a reader.
#[case(PIPE_7, "I/O on pipes and FIFOs", also = [(WRITE_2, "RETURN VALUE")])]
fn write_of_no_bytes_is_no_end_of_file() -> Verdict {
    let (r, w) = pipe()?;
    // write(2) leaves the result open, and so does this case.
    let write_nothing = || write(&w, b"").unwrap_or(0);
    let reader = Child::spawn(|| holds!(text(&r, 8) == Ok("data")))?;
    reader.blocked_in(READ)?;
    write_nothing();
    reader.blocked_in(READ)?;
    write(&w, b"data")?;
    reader.join()?;
    set_nonblocking(&r, true)?;
    write_nothing();
    check!((unread(&r), poll::now(&r, poll::IN)) == (Ok(0), Ok(poll::NONE)));
    check!(text(&r, 8) == Err(EAGAIN));
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

/// A write that fails for its buffer leaves the pipe as empty as it was: nothing counted, nothing to poll, no room lost.
#[case(WRITE_2, "ERRORS", also = [(PIPE_7, "Pipe capacity"), (POLL_2, "DESCRIPTION")])]
fn failed_write_leaves_no_trace() -> Verdict {
    let (r, w) = pipe2(OFlag::O_NONBLOCK)?;
    for bytes in [1, PIPE_BUF, PIPE_BUF + 1] {
        check!(write_from_nowhere(&w, bytes) == Err(EFAULT), "{bytes} bytes");
        check!(unread(&r) == Ok(0), "{bytes} bytes");
        check!(poll::now(&r, poll::IN) == Ok(poll::NONE), "{bytes} bytes");
        check!(text(&r, 8) == Err(EAGAIN), "{bytes} bytes");
    }
    let all = capacity(&w)?;
    check!(write(&w, &vec![b'x'; all]) == Ok(all));
    Ok(())
}

/// A write from memory that ends too early puts in the pipe exactly the bytes whose number it tells, or none and EFAULT.
#[case(WRITE_2, "RETURN VALUE", also = [(WRITE_2, "ERRORS")])]
fn write_from_memory_that_ends_moves_what_it_tells() -> Verdict {
    let (r, w) = pipe()?;
    for there in edges() {
        let data = pattern(there);
        let memory = Memory::guarded(there)?;
        memory.fill(&data);
        let told = write_from(&w, memory, there + 10);
        check!(matches!(told, Err(EFAULT) | Ok(1..)), "{there} bytes: {told:?}");
        let count = told.unwrap_or(0);
        check!(count <= there);
        check!(unread(&r) == Ok(count), "{there} bytes");
        check!(read_all(&r, count)? == data[..count], "{there} bytes");
        check!(write_from(&w, memory, there) == Ok(there));
        check!(read_all(&r, there)? == data, "{there} bytes");
    }
    Ok(())
}

/// A read to memory that ends too early takes from the pipe exactly the bytes whose number it tells, or none and EFAULT.
#[case(READ_2, "RETURN VALUE", also = [(READ_2, "ERRORS")])]
fn read_to_memory_that_ends_moves_what_it_tells() -> Verdict {
    let (r, w) = pipe()?;
    for there in edges() {
        let data = pattern(there + 10);
        let memory = Memory::guarded(there)?;
        write(&w, &data)?;
        let told = read_to(&r, memory, there + 10);
        check!(matches!(told, Err(EFAULT) | Ok(1..)), "{there} bytes: {told:?}");
        let count = told.unwrap_or(0);
        check!(count <= there);
        check!(memory.bytes()[..count] == data[..count], "{there} bytes");
        check!(unread(&r) == Ok(there + 10 - count), "{there} bytes");
        check!(read_all(&r, there + 10 - count)? == data[count..], "{there} bytes");
    }
    Ok(())
}

/// Lengths about the edges of pages.
fn edges() -> [usize; 5] {
    let page = page_size();
    [1, page / 2, page - 1, page, page + 1]
}

/// A read fills its buffer from the first byte up to a guard page, and stores nothing before it, nor beyond what it asked for.
#[case(READ_2, "DESCRIPTION")]
fn read_stores_nothing_beside_the_buffer() -> Verdict {
    let (r, w) = pipe()?;
    for length in edges() {
        let memory = Memory::guarded(length + 16)?;
        let data = pattern(length + 1);
        for start in [0, 8, 16] {
            memory.fill(&vec![0xff; length + 16]);
            check!(write(&w, &data) == Ok(length + 1));
            let count = read_to(&r, memory.part(start..start + length), length)?;
            check!(count <= length);
            let mut expected = vec![0xff; length + 16];
            expected[start..start + count].copy_from_slice(&data[..count]);
            check!(memory.bytes() == expected, "{length} bytes at {start}");
            check!(read_all(&r, length + 1 - count)? == data[count..]);
        }
    }
    Ok(())
}
