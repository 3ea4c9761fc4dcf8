//! Wrong answers of read and write where the other side is no pipe.

use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    size_limit_holds_for_pipes,
    sigxfsz_comes_with_a_write_that_was_cut,
    full_filesystem_takes_the_rest,
    empty_nonblocking_socket_has_ended,
    refused_read_is_an_end_of_file,
    refused_write_is_told_as_done,
];

/// A write to a pipe is refused when it has more bytes than the largest file may have.
#[fault(WRITE_2, "ERRORS", on = [WRITE])]
fn size_limit_holds_for_pipes(call: &mut Call) -> Result<Effect> {
    call.pipe(0)?;
    if call.argument(2) > call.largest_file()? { call.fail(EFBIG) } else { call.proceed() }
}

/// A write that the size limit cuts short raises SIGXFSZ, as one that it refuses does.
#[fault(GETRLIMIT_2, "DESCRIPTION", on = [WRITE])]
fn sigxfsz_comes_with_a_write_that_was_cut(call: &mut Call) -> Result<Effect> {
    let (fd, length) = (call.fd(0)?, call.argument(2) as i64);
    call.then(move |call| {
        let short = fd.kind == Kind::File && (1..length).contains(&call.result());
        if short && call.largest_file()? < u64::MAX {
            nix::sys::signal::kill(call.process(), nix::sys::signal::SIGXFSZ)?;
        }
        call.proceed()
    })
}

/// What does not fit a filesystem is told as written.
#[fault(WRITE_2, "ERRORS", on = [WRITE])]
fn full_filesystem_takes_the_rest(call: &mut Call) -> Result<Effect> {
    let length = call.argument(2);
    call.then(move |call| match call.result() {
        full if full == -(ENOSPC as i64) => call.give(length),
        _ => call.proceed(),
    })
}

/// A nonblocking read of a socket that has nothing gives an end of file.
#[fault(READ_2, "ERRORS", on = [READ])]
fn empty_nonblocking_socket_has_ended(call: &mut Call) -> Result<Effect> {
    let fd = call.fd(0)?;
    call.then(move |call| {
        let empty = fd.kind == Kind::Socket && call.result() == -(EAGAIN as i64);
        if empty { call.give(0) } else { call.proceed() }
    })
}

/// A read that has to be refused gives an end of file.
#[fault(READ_2, "ERRORS", on = [READ])]
fn refused_read_is_an_end_of_file(call: &mut Call) -> Result<Effect> {
    call.then(|call| {
        let errno = Errno::from_raw(-call.result() as i32);
        if [EINVAL, EISDIR, EIO, EBADF].contains(&errno) { call.give(0) } else { call.proceed() }
    })
}

/// A write that has to be refused is told as done.
#[fault(WRITE_2, "ERRORS", on = [WRITE])]
fn refused_write_is_told_as_done(call: &mut Call) -> Result<Effect> {
    let length = call.argument(2);
    call.then(move |call| {
        let errno = Errno::from_raw(-call.result() as i32);
        let refused = [EINVAL, EPERM, EDESTADDRREQ, EBADF].contains(&errno);
        if refused { call.give(length) } else { call.proceed() }
    })
}
