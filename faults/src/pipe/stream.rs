//! Wrong streams: bytes lost, doubled or reordered, calls that sleep or do
//! not.

use nix::unistd::write;

use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    last_byte_of_a_page_is_lost,
    one_byte_is_written_twice,
    small_write_goes_in_two_pieces,
    small_nonblocking_write_takes_what_fits,
    large_nonblocking_write_is_all_or_nothing,
    nonblocking_read_sleeps,
    blocking_read_gives_up,
    interrupted_write_forgets_its_count,
    faulting_read_loses_what_was_there,
    seek_on_a_pipe_succeeds,
    every_pipe_carries_packets,
    more_important_writer_goes_first,
    bytes_change_places_at_the_end_of_a_page,
    read_ends_what_it_stores_with_a_nul,
    nonblocking_is_set_on_both_ends,
    write_of_nothing_is_an_end_of_file,
    second_sleeping_reader_is_not_woken,
    second_sleeping_writer_is_not_woken,
    unread_is_what_the_first_page_has,
    restart_is_forgotten,
    every_call_is_restarted,
    stop_ends_the_call,
];

/// A write that ends with a page loses its last byte and does not tell.
#[fault(PIPE_7, "I/O on pipes and FIFOs", on = [WRITE])]
fn last_byte_of_a_page_is_lost(call: &mut Call) -> Result<Effect> {
    let (_, length) = (call.pipe(0)?, call.argument(2));
    if length == 0 || !length.is_multiple_of(page_size() as u64) {
        return call.proceed();
    }
    call.set_argument(2, length - 1);
    call.then(move |call| match call.result() {
        all if all == length as i64 - 1 => call.give(length as i64),
        _ => call.proceed(),
    })
}

/// A write of one byte puts it into the pipe twice.
#[fault(PIPE_7, "I/O on pipes and FIFOs", on = [WRITE])]
fn one_byte_is_written_twice(call: &mut Call) -> Result<Effect> {
    call.pipe(0)?;
    if call.argument(2) != 1 {
        return call.proceed();
    }
    call.then(|call| match call.result() {
        1 => call.once_more(|call| call.give(1)),
        _ => call.proceed(),
    })
}

/// A blocking write of at most PIPE_BUF bytes goes in two pieces, and others come between them.
#[fault(PIPE_7, "PIPE_BUF", on = [WRITE])]
fn small_write_goes_in_two_pieces(call: &mut Call) -> Result<Effect> {
    let (pipe, [fd, buffer, length, ..]) = (call.pipe(0)?, call.arguments());
    if !(2..=PIPE_BUF as u64).contains(&length) || pipe.is_nonblocking() {
        return call.proceed();
    }
    let half = length / 2;
    call.set_argument(2, half);
    call.then(move |call| {
        if call.result() != half as i64 {
            return call.proceed();
        }
        let rest = [fd, buffer + half, length - half, 0, 0, 0];
        call.instead(libc::SYS_write, rest, move |call| match call.result() {
            written if written > 0 => call.give(half as i64 + written),
            _ => call.give(half as i64),
        })
    })
}

/// A nonblocking write of at most PIPE_BUF bytes takes what fits where there is not room for all.
#[fault(PIPE_7, "PIPE_BUF", on = [WRITE])]
fn small_nonblocking_write_takes_what_fits(call: &mut Call) -> Result<Effect> {
    let (_, [fd, buffer, length, ..]) = (call.pipe(0)?, call.arguments());
    call.then(move |call| {
        if call.result() != -(EAGAIN as i64) || !(2..=PIPE_BUF as u64).contains(&length) {
            return call.proceed();
        }
        call.instead(libc::SYS_write, [fd, buffer, 1, 0, 0, 0], |call| call.proceed())
    })
}

/// A nonblocking write above PIPE_BUF fails where there is not room for all of it.
#[fault(PIPE_7, "PIPE_BUF", on = [WRITE])]
fn large_nonblocking_write_is_all_or_nothing(call: &mut Call) -> Result<Effect> {
    let (pipe, length) = (call.pipe(0)?, call.argument(2) as usize);
    if length > PIPE_BUF && pipe.is_nonblocking() {
        let end = call.copy(pipe.number)?;
        if capacity(&end)? - unread(&end)? < length {
            return call.fail(EAGAIN);
        }
    }
    call.proceed()
}

/// A nonblocking read of an empty pipe sleeps.
#[fault(PIPE_7, "I/O on pipes and FIFOs", on = [READ])]
fn nonblocking_read_sleeps(call: &mut Call) -> Result<Effect> {
    call.pipe(0)?;
    call.then(|call| if call.result() == -(EAGAIN as i64) { call.sleep() } else { call.proceed() })
}

/// A blocking read of an empty pipe fails with EAGAIN.
#[fault(PIPE_7, "I/O on pipes and FIFOs", on = [READ])]
fn blocking_read_gives_up(call: &mut Call) -> Result<Effect> {
    let pipe = call.pipe(0)?;
    let ready = poll::now(call.copy(pipe.number)?, poll::IN)?;
    if ready.is_empty() { call.fail(EAGAIN) } else { call.proceed() }
}

/// A blocking write that a handler cut short is told as EINTR, not by its count.
#[fault(WRITE_2, "RETURN VALUE", on = [WRITE])]
fn interrupted_write_forgets_its_count(call: &mut Call) -> Result<Effect> {
    let (pipe, length) = (call.pipe(0)?, call.argument(2) as i64);
    call.then(move |call| {
        let short = (1..length).contains(&call.result());
        if short && !pipe.is_nonblocking() { call.fail(EINTR) } else { call.proceed() }
    })
}

/// A read into memory that is not there takes a byte from the pipe all the same.
#[fault(READ_2, "ERRORS", on = [READ])]
fn faulting_read_loses_what_was_there(call: &mut Call) -> Result<Effect> {
    let pipe = call.pipe(0)?;
    call.then(move |call| {
        if call.result() == -(EFAULT as i64) {
            read_all(call.copy(pipe.number)?, 1)?;
        }
        call.proceed()
    })
}

/// Seeking on a pipe succeeds and does nothing.
#[fault(LSEEK_2, "ERRORS", on = [LSEEK])]
fn seek_on_a_pipe_succeeds(call: &mut Call) -> Result<Effect> {
    call.pipe(0)?;
    call.give(0)
}

/// A pipe is in packet mode though nobody asked for that.
#[fault(PIPE_7, "I/O on pipes and FIFOs", on = [PIPE])]
fn every_pipe_carries_packets(call: &mut Call) -> Result<Effect> {
    let flags = if call.number() == libc::SYS_pipe2 { call.argument(1) } else { 0 };
    let arguments = [call.argument(0), flags | libc::O_DIRECT as u64, 0, 0, 0, 0];
    call.instead(libc::SYS_pipe2, arguments, |call| call.proceed())
}

/// What a more important process writes is read before what less important ones had written.
#[fault(PIPE_7, "DESCRIPTION", on = [WRITE])]
fn more_important_writer_goes_first(call: &mut Call) -> Result<Effect> {
    let (pipe, niceness) = (call.pipe(0)?, call.niceness()?);
    let before = call.notes().of(pipe.inode).replace(niceness);
    let bytes = unread(call.copy(pipe.number)?)?;
    if bytes == 0 || before.is_none_or(|before| niceness >= before) {
        return call.proceed();
    }
    let waiting = read_all(call.opened_anew(pipe.number, false)?, bytes)?;
    call.then(move |call| {
        write(call.copy(pipe.number)?, &waiting)?;
        call.proceed()
    })
}

/// A write across the end of a page swaps the bytes on either side of it.
#[fault(PIPE_7, "DESCRIPTION", on = [WRITE])]
fn bytes_change_places_at_the_end_of_a_page(call: &mut Call) -> Result<Effect> {
    let (_, [_, buffer, length, ..], page) = (call.pipe(0)?, call.arguments(), page_size() as u64);
    if length > page {
        let edge = buffer + page - 1;
        let mut bytes = call.memory(edge, 2)?;
        bytes.reverse();
        call.set_memory(edge, &bytes)?;
    }
    call.proceed()
}

/// A read that does not fill its buffer stores a NUL behind what it read.
#[fault(READ_2, "DESCRIPTION", on = [READ])]
fn read_ends_what_it_stores_with_a_nul(call: &mut Call) -> Result<Effect> {
    call.pipe(0)?;
    call.then(|call| {
        let count = call.result();
        if count > 0 {
            call.set_memory(call.argument(1) + count as u64, &[0])?;
        }
        call.proceed()
    })
}

/// O_NONBLOCK that is set on one end of a pipe is set on the other end too.
#[fault(OPEN_2, "Open file descriptions", on = [FCNTL])]
fn nonblocking_is_set_on_both_ends(call: &mut Call) -> Result<Effect> {
    let (pipe, [_, command, flags, ..]) = (call.pipe(0)?, call.arguments());
    let other = call.ends(&pipe, !pipe.is_write_end());
    match other.first() {
        Some(other) if command as i32 == libc::F_SETFL => {
            let arguments = [*other as u64, command, flags, 0, 0, 0];
            call.then(move |call| call.instead(libc::SYS_fcntl, arguments, |call| call.proceed()))
        }
        _ => call.proceed(),
    }
}

/// A write of no bytes to an empty pipe gives the next read an end of file.
#[fault(PIPE_7, "I/O on pipes and FIFOs", on = [READ, WRITE])]
fn write_of_nothing_is_an_end_of_file(call: &mut Call) -> Result<Effect> {
    let (pipe, length) = (call.pipe(0)?, call.argument(2));
    if call.number() == libc::SYS_write {
        *call.notes().of(pipe.inode) = (length == 0).then_some(0);
        return call.proceed();
    }
    match call.notes().of(pipe.inode).take() {
        Some(nothing) => call.give(nothing),
        None => call.proceed(),
    }
}

/// Of several readers that sleep only the first is woken by what is written.
#[fault(PIPE_7, "I/O on pipes and FIFOs", on = [READ])]
fn second_sleeping_reader_is_not_woken(call: &mut Call) -> Result<Effect> {
    let pipe = call.pipe(0)?;
    let ready = poll::now(call.copy(pipe.number)?, poll::IN)?;
    if pipe.is_nonblocking() || !ready.is_empty() {
        return call.proceed();
    }
    let before = call.notes().count(pipe.inode);
    call.then_always(move |call| {
        *call.notes().of(pipe.inode) = Some(before);
        let count = call.result();
        if before == 0 || count <= 0 {
            return call.proceed();
        }
        let bytes = call.memory(call.argument(1), count as usize)?;
        write(call.opened_anew(pipe.number, true)?, &bytes)?;
        call.sleep()
    })
}

/// Of several writers that sleep only the first is woken, though there is room for all.
#[fault(PIPE_7, "I/O on pipes and FIFOs", on = [WRITE])]
fn second_sleeping_writer_is_not_woken(call: &mut Call) -> Result<Effect> {
    let (pipe, length) = (call.pipe(0)?, call.argument(2) as usize);
    let end = call.copy(pipe.number)?;
    if pipe.is_nonblocking() || capacity(&end)? - unread(&end)? >= length {
        return call.proceed();
    }
    let before = call.notes().count(pipe.inode);
    call.then_always(move |call| {
        *call.notes().of(pipe.inode) = Some(before);
        if before == 0 || call.result() <= 0 { call.proceed() } else { call.sleep() }
    })
}

/// FIONREAD tells no more than a page of what is unread.
#[fault(PIPE_7, "Pipe capacity", on = [IOCTL])]
fn unread_is_what_the_first_page_has(call: &mut Call) -> Result<Effect> {
    let (_, [_, request, place, ..]) = (call.pipe(0)?, call.arguments());
    call.then(move |call| {
        if request as libc::Ioctl == libc::FIONREAD && call.result() == 0 {
            let bytes: i32 = call.number_at(place)?;
            call.set_number_at(place, bytes.min(page_size() as i32))?;
        }
        call.proceed()
    })
}

/// A call that a handler interrupts fails with EINTR, with SA_RESTART too.
#[fault(SIGNAL_7, "Interruption of system calls and library functions by signal handlers", signals)]
fn restart_is_forgotten(signal: &mut Arrival) -> Fate {
    if signal.is_caught() { Fate::Interrupt } else { Fate::Deliver }
}

/// A call that a handler interrupts goes on afterwards, without SA_RESTART too.
#[fault(SIGNAL_7, "Interruption of system calls and library functions by signal handlers", signals)]
fn every_call_is_restarted(signal: &mut Arrival) -> Fate {
    if signal.is_caught() { Fate::Restart } else { Fate::Deliver }
}

/// A call in which the process is stopped fails with EINTR when that is continued.
#[fault(SIGNAL_7, "Interruption of system calls and library functions by stop signals", signals)]
fn stop_ends_the_call(signal: &mut Arrival) -> Fate {
    if signal.signal() == libc::SIGSTOP { Fate::Interrupt } else { Fate::Deliver }
}
