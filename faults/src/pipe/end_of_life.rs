//! Wrong ends: who is told that the other side has gone, and how.

use std::fs;

use nix::sys::signal::{Signal, kill};

use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    end_of_file_never_comes,
    end_of_file_comes_to_one_process_only,
    end_of_file_comes_before_the_last_bytes,
    any_close_of_a_write_end_is_the_end,
    exit_leaves_write_ends_open,
    sigpipe_never_comes,
    sigpipe_comes_once,
    sigpipe_ends_who_ignores_it,
    write_without_reader_vanishes,
    partial_write_is_told_as_epipe,
    second_blocked_writer_is_not_told,
    end_in_flight_is_not_counted,
    end_in_flight_is_never_closed,
    path_to_an_end_holds_it_open,
    what_was_in_a_closed_pipe_is_kept,
    sigpipe_comes_to_the_whole_process,
];

/// A reader that has read everything sleeps on when the last writer has gone.
#[fault(PIPE_7, "I/O on pipes and FIFOs", on = [READ])]
fn end_of_file_never_comes(call: &mut Call) -> Result<Effect> {
    call.pipe(0)?;
    let length = call.argument(2);
    call.then(move |call| match call.result() {
        0 if length > 0 => call.sleep(),
        _ => call.proceed(),
    })
}

/// Of all processes that read from a pipe only the first is told of the end of file.
#[fault(PIPE_7, "I/O on pipes and FIFOs", on = [READ])]
fn end_of_file_comes_to_one_process_only(call: &mut Call) -> Result<Effect> {
    let (pipe, length) = (call.pipe(0)?, call.argument(2));
    call.then(move |call| {
        let me = i64::from(call.process().as_raw());
        if call.result() != 0 || length == 0 {
            return call.proceed();
        }
        let first = *call.notes().of(pipe.inode).get_or_insert(me);
        if first == me { call.proceed() } else { call.sleep() }
    })
}

/// When the last writer has gone, what it left is gone too.
#[fault(PIPE_7, "I/O on pipes and FIFOs", on = [READ])]
fn end_of_file_comes_before_the_last_bytes(call: &mut Call) -> Result<Effect> {
    let pipe = call.pipe(0)?;
    let end = call.copy(pipe.number)?;
    if poll::now(&end, poll::IN)?.contains(poll::HUP) {
        read_all(&end, unread(&end)?)?;
    }
    call.proceed()
}

/// A reader is told of the end of file when any process closes its write end, not the last one.
#[fault(PIPE_7, "I/O on pipes and FIFOs", on = [READ, CLOSE])]
fn any_close_of_a_write_end_is_the_end(call: &mut Call) -> Result<Effect> {
    let pipe = call.pipe(0)?;
    if call.number() == libc::SYS_close {
        if pipe.is_write_end() {
            call.notes().count(pipe.inode);
        }
        return call.proceed();
    }
    let closed = call.notes().has(pipe.inode);
    if closed && unread(call.copy(pipe.number)?)? == 0 { call.give(0) } else { call.proceed() }
}

/// The write ends of a process that exits stay open.
#[fault(EXIT_GROUP_2, "DESCRIPTION", on = [EXIT_GROUP])]
fn exit_leaves_write_ends_open(call: &mut Call) -> Result<Effect> {
    let numbers = fs::read_dir(format!("/proc/{}/fd", call.thread())).map_err(|_| Errno::ESRCH)?;
    for number in numbers.flatten() {
        let Ok(number) = number.file_name().to_string_lossy().parse() else { continue };
        if call.descriptor(number).is_ok_and(|fd| fd.is_pipe() && fd.is_write_end()) {
            let copy = call.copy(number)?;
            call.notes().hold(copy);
        }
    }
    call.proceed()
}

/// A write without a reader fails with EPIPE and raises no SIGPIPE.
#[fault(PIPE_7, "I/O on pipes and FIFOs", signals)]
fn sigpipe_never_comes(signal: &mut Arrival) -> Fate {
    if signal.signal() == libc::SIGPIPE { Fate::Drop } else { Fate::Deliver }
}

/// Each process gets SIGPIPE once; from the second time on EPIPE is all it is told.
#[fault(PIPE_7, "I/O on pipes and FIFOs", signals)]
fn sigpipe_comes_once(signal: &mut Arrival) -> Fate {
    let process = signal.process().as_raw() as u64;
    if signal.signal() == libc::SIGPIPE && signal.notes().count(process) > 0 {
        return Fate::Drop;
    }
    Fate::Deliver
}

/// A process that ignores SIGPIPE is ended by it.
#[fault(SIGNAL_7, "Signal dispositions", signals)]
fn sigpipe_ends_who_ignores_it(signal: &mut Arrival) -> Fate {
    if signal.signal() == libc::SIGPIPE && signal.is_ignored() { Fate::Kill } else { Fate::Deliver }
}

/// What is written without a reader goes nowhere, and the writer is told that all went well.
#[fault(WRITE_2, "ERRORS", on = [WRITE])]
fn write_without_reader_vanishes(call: &mut Call) -> Result<Effect> {
    let (pipe, length) = (call.pipe(0)?, call.argument(2));
    let end = call.copy(pipe.number)?;
    if poll::now(&end, poll::OUT)?.contains(poll::ERR) {
        call.give(length as i64)
    } else {
        call.proceed()
    }
}

/// A write that was cut short when the last reader went is told as EPIPE, not by its count.
#[fault(WRITE_2, "RETURN VALUE", on = [WRITE])]
fn partial_write_is_told_as_epipe(call: &mut Call) -> Result<Effect> {
    let (pipe, length) = (call.pipe(0)?, call.argument(2) as i64);
    call.then(move |call| {
        let short = (1..length).contains(&call.result());
        if short && !pipe.is_nonblocking() { call.fail(EPIPE) } else { call.proceed() }
    })
}

/// Of all writers that sleep when the last reader goes only the first is woken.
#[fault(PIPE_7, "I/O on pipes and FIFOs", signals)]
fn second_blocked_writer_is_not_told(signal: &mut Arrival) -> Fate {
    let nth = if signal.signal() == libc::SIGPIPE { signal.notes().count(0) } else { 0 };
    if nth > 0 && !signal.is_caught() { Fate::Sleep } else { Fate::Deliver }
}

/// An end that nobody has but a socket, in which it lies unread, is as good as closed.
#[fault(UNIX_7, "Ancillary messages", on = [SEND, READ, WRITE])]
fn end_in_flight_is_not_counted(call: &mut Call) -> Result<Effect> {
    if call.number() == libc::SYS_sendmsg {
        for pipe in call.descriptors_sent()?.into_iter().map(|number| call.descriptor(number)) {
            call.notes().count(pipe?.inode);
        }
        return call.proceed();
    }
    let pipe = call.pipe(0)?;
    let reads = call.number() == libc::SYS_read;
    if !call.notes().has(pipe.inode) || !call.ends(&pipe, reads).is_empty() {
        return call.proceed();
    }
    match unread(call.copy(pipe.number)?)? {
        0 if reads => call.give(0),
        _ if reads => call.proceed(),
        _ => call.fail(EPIPE),
    }
}

/// An end that is closed while it lies unread in a socket stays open when that socket is gone.
#[fault(UNIX_7, "Ancillary messages", on = [SEND])]
fn end_in_flight_is_never_closed(call: &mut Call) -> Result<Effect> {
    for number in call.descriptors_sent()? {
        let copy = call.copy(number)?;
        call.notes().hold(copy);
    }
    call.proceed()
}

/// Opening an end with O_PATH holds that end open.
#[fault(OPEN_2, "DESCRIPTION", on = [OPEN])]
fn path_to_an_end_holds_it_open(call: &mut Call) -> Result<Effect> {
    let number = call.pipe_under_proc()?;
    if call.argument(call.flags_index()) as i32 & libc::O_PATH != 0 {
        let copy = call.copy(number)?;
        call.notes().hold(copy);
    }
    call.proceed()
}

/// A pipe that is closed with something in it keeps that for who may open it anew.
#[fault(PIPE_7, "I/O on pipes and FIFOs", on = [CLOSE])]
fn what_was_in_a_closed_pipe_is_kept(call: &mut Call) -> Result<Effect> {
    let pipe = call.pipe(0)?;
    if !pipe.is_write_end() && unread(call.copy(pipe.number)?)? > 0 {
        let copy = call.copy(pipe.number)?;
        call.notes().hold(copy);
    }
    call.proceed()
}

/// SIGPIPE comes to the thread that wrote, and once more to its process.
#[fault(POSIX_WRITE, "ERRORS", on = [WRITE])]
fn sigpipe_comes_to_the_whole_process(call: &mut Call) -> Result<Effect> {
    call.pipe(0)?;
    call.then(|call| {
        if call.result() == -(EPIPE as i64) {
            kill(call.process(), Signal::SIGPIPE)?;
        }
        call.proceed()
    })
}
