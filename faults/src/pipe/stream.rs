//! Wrong streams: bytes lost, doubled or reordered, calls that sleep or do
//! not.

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
