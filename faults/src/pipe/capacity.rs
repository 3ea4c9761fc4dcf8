//! Wrong sizes: how much a pipe holds, who says so, and who may change it.

use ipcspec_cases::sys::pipes::set_capacity;
use ipcspec_cases::sys::sysctl::sysctl;

use super::buffers::{put, take};
use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    size_asked_is_told_not_size_given,
    new_size_is_told_and_not_set,
    size_is_kept_by_the_end,
    refused_shrinking_loses_the_tail,
    shrinking_loses_the_last_byte,
    growing_reorders_what_is_there,
    growing_wakes_nobody,
    growing_wakes_one_writer_only,
    maximum_binds_nobody,
    soft_limit_lets_pipes_grow,
    refused_growth_is_counted,
    soft_limit_spares_new_pipes,
    soft_limit_of_one_user_binds_all,
    closed_pipes_are_counted_on,
    new_pipe_has_eight_pages,
    unread_bytes_are_counted_in_pages,
    unread_bytes_are_told_to_readers_only,
];

/// The pipe and the size that F_SETPIPE_SZ asks for.
fn size_asked(call: &Call) -> Result<(Fd, usize)> {
    match call.argument(1) as i32 {
        libc::F_SETPIPE_SZ => Ok((call.pipe(0)?, call.argument(2) as u32 as usize)),
        _ => Err(EOPNOTSUPP),
    }
}

/// The size that a pipe gets when so much is asked for.
fn rounded(asked: usize) -> usize {
    asked.div_ceil(page_size()).max(1).next_power_of_two() * page_size()
}

fn maximum() -> Result<usize> {
    sysctl("fs/pipe-max-size").map(|bytes| bytes as usize).map_err(|_| EOPNOTSUPP)
}

/// F_SETPIPE_SZ tells the size that was asked for, not the one that the pipe got.
#[fault(F_GETPIPE_SZ_2CONST, "DESCRIPTION", on = [FCNTL])]
fn size_asked_is_told_not_size_given(call: &mut Call) -> Result<Effect> {
    let (_, asked) = size_asked(call)?;
    call.then(move |call| if call.result() > 0 { call.give(asked as i64) } else { call.proceed() })
}

/// F_SETPIPE_SZ and then F_GETPIPE_SZ tell the new size, and the pipe holds what it held before.
#[fault(F_GETPIPE_SZ_2CONST, "DESCRIPTION", on = [FCNTL])]
fn new_size_is_told_and_not_set(call: &mut Call) -> Result<Effect> {
    let pipe = call.pipe(0)?;
    if let Ok((_, asked)) = size_asked(call)
        && rounded(asked) >= unread(call.copy(pipe.number)?)?
        && asked <= maximum()?
    {
        *call.notes().of(pipe.inode) = Some(rounded(asked) as i64);
        return call.give(rounded(asked) as i64);
    }
    let told = *call.notes().of(pipe.inode);
    match told {
        Some(told) if call.argument(1) as i32 == libc::F_GETPIPE_SZ => call.give(told),
        _ => call.proceed(),
    }
}

/// F_GETPIPE_SZ tells at each end what was set at that end.
#[fault(F_GETPIPE_SZ_2CONST, "DESCRIPTION", on = [FCNTL])]
fn size_is_kept_by_the_end(call: &mut Call) -> Result<Effect> {
    let pipe = call.pipe(0)?;
    let op = call.argument(1) as i32;
    if ![libc::F_GETPIPE_SZ, libc::F_SETPIPE_SZ].contains(&op) {
        return call.proceed();
    }
    call.then(move |call| {
        let (size, end) = (call.result(), 2 * pipe.inode + u64::from(pipe.is_write_end()));
        if size > 0 && op == libc::F_SETPIPE_SZ {
            *call.notes().of(end) = Some(size);
        }
        let told = *call.notes().of(end);
        if size > 0 { call.give(told.unwrap_or(16 * page_size() as i64)) } else { call.proceed() }
    })
}

/// An F_SETPIPE_SZ that is refused with EBUSY has thrown away what would not have fitted.
#[fault(F_GETPIPE_SZ_2CONST, "ERRORS", on = [FCNTL])]
fn refused_shrinking_loses_the_tail(call: &mut Call) -> Result<Effect> {
    let (pipe, asked) = size_asked(call)?;
    call.then(move |call| {
        if call.failed_with(EBUSY) {
            let mut pipe = call.reopen(pipe.number)?;
            let data = take(&mut pipe).concat();
            put(&mut pipe, &data[..asked.min(data.len())]);
        }
        call.proceed()
    })
}

/// A pipe that is made smaller loses its last byte, though there is room for it.
#[fault(F_GETPIPE_SZ_2CONST, "DESCRIPTION", on = [FCNTL])]
fn shrinking_loses_the_last_byte(call: &mut Call) -> Result<Effect> {
    let (pipe, _) = size_asked(call)?;
    let mut pipe = call.reopen(pipe.number)?;
    let before = capacity(&pipe)? as i64;
    call.then(move |call| {
        if (1..before).contains(&call.result()) && unread(&pipe)? > 0 {
            let data = take(&mut pipe).concat();
            put(&mut pipe, &data[..data.len() - 1]);
        }
        call.proceed()
    })
}

/// A pipe that is made larger gives its data in the order of its buffers, not of its bytes.
#[fault(F_GETPIPE_SZ_2CONST, "DESCRIPTION", on = [FCNTL])]
fn growing_reorders_what_is_there(call: &mut Call) -> Result<Effect> {
    let (pipe, _) = size_asked(call)?;
    let mut pipe = call.reopen(pipe.number)?;
    let before = capacity(&pipe)? as i64;
    call.then(move |call| {
        if call.result() > before && unread(&pipe)? > page_size() {
            let mut data = take(&mut pipe).concat();
            data.rotate_left(page_size());
            put(&mut pipe, &data);
        }
        call.proceed()
    })
}

/// A full pipe that is made larger wakes nobody who waits for room: they go on when somebody uses it.
#[fault(PIPE_7, "PIPE_BUF", on = [FCNTL, READ, WRITE])]
fn growing_wakes_nobody(call: &mut Call) -> Result<Effect> {
    let pipe = call.pipe(0)?;
    let whole = call.reopen(pipe.number)?;
    if call.number() == libc::SYS_fcntl
        && let Ok((_, asked)) = size_asked(call)
        && asked > capacity(&whole)?
        && poll::now(&whole, poll::OUT)?.is_empty()
    {
        *call.notes().of(pipe.inode) = Some(asked as i64);
        return call.give(rounded(asked) as i64);
    }
    let delayed = call.notes().of(pipe.inode).take();
    if let Some(asked) = delayed {
        set_capacity(whole, asked as usize)?;
    }
    call.proceed()
}

/// Of the writers that wait for room, the first goes on when the pipe is made larger, the others do not.
#[fault(PIPE_7, "PIPE_BUF", on = [WRITE])]
fn growing_wakes_one_writer_only(call: &mut Call) -> Result<Effect> {
    let pipe = call.pipe(0)?;
    let (end, is_full) = (call.copy(pipe.number)?, call.reports_nothing(pipe, poll::OUT));
    let before = capacity(&end)?;
    call.then(move |call| {
        let has_grown = is_full && call.result() > 0 && capacity(&end)? > before;
        let nth = if has_grown { call.notes().count(pipe.inode) } else { 0 };
        if nth > 0 { call.sleep() } else { call.proceed() }
    })
}

/// Anyone may set a capacity above /proc/sys/fs/pipe-max-size.
#[fault(F_GETPIPE_SZ_2CONST, "DESCRIPTION", on = [FCNTL])]
fn maximum_binds_nobody(call: &mut Call) -> Result<Effect> {
    let (pipe, asked) = size_asked(call)?;
    call.then(move |call| {
        if !call.failed_with(EPERM) || asked <= maximum()? {
            return call.proceed();
        }
        // Where the tracer may not either, the pipe is as large as it says.
        let set = set_capacity(call.copy(pipe.number)?, asked);
        call.give(set.unwrap_or(rounded(asked)) as i64)
    })
}

/// The soft limit keeps new pipes small, and lets them grow afterwards.
#[fault(PIPE_7, "/proc files", on = [FCNTL])]
fn soft_limit_lets_pipes_grow(call: &mut Call) -> Result<Effect> {
    let (pipe, asked) = size_asked(call)?;
    call.then(move |call| {
        if !call.failed_with(EPERM) || asked > maximum()? {
            return call.proceed();
        }
        call.give(set_capacity(call.copy(pipe.number)?, asked)? as i64)
    })
}

/// A growth that the soft limit did not allow is counted all the same: the pipe may never grow again.
#[fault(PIPE_7, "BUGS", on = [FCNTL])]
fn refused_growth_is_counted(call: &mut Call) -> Result<Effect> {
    let (pipe, asked) = size_asked(call)?;
    if call.notes().has(pipe.inode) && asked > capacity(call.copy(pipe.number)?)? {
        return call.fail(EPERM);
    }
    call.then(move |call| {
        if call.failed_with(EPERM) {
            call.notes().count(pipe.inode);
        }
        call.proceed()
    })
}

/// The read end that pipe or pipe2 has just stored.
fn new_pipe(call: &Call) -> Result<Fd> {
    if call.result() == 0 { call.descriptor(call.number_at(call.argument(0))?) } else { Err(EBADF) }
}

/// A new pipe has its usual size though its user is at the soft limit.
#[fault(PIPE_7, "/proc files", on = [PIPE])]
fn soft_limit_spares_new_pipes(call: &mut Call) -> Result<Effect> {
    call.then(|call| {
        let end = call.copy(new_pipe(call)?.number)?;
        if capacity(&end)? == 2 * page_size() {
            set_capacity(&end, 16 * page_size())?;
        }
        call.proceed()
    })
}

/// Once one user has come to the soft limit, new pipes of every user are small, for ever.
#[fault(PIPE_7, "/proc files", on = [PIPE])]
fn soft_limit_of_one_user_binds_all(call: &mut Call) -> Result<Effect> {
    call.then(|call| {
        let end = call.copy(new_pipe(call)?.number)?;
        if capacity(&end)? == 2 * page_size() {
            call.notes().count(0);
        } else if call.notes().has(0) {
            set_capacity(&end, 2 * page_size())?;
        }
        call.proceed()
    })
}

/// A pipe whose last end is closed counts on against its user's limits.
#[fault(PIPE_7, "/proc files", on = [CLOSE])]
fn closed_pipes_are_counted_on(call: &mut Call) -> Result<Effect> {
    let pipe = call.pipe(0)?;
    let end = call.copy(pipe.number)?;
    // With the other side gone, nobody sees that this one stays.
    if poll::now(&end, poll::NONE)?.intersects(poll::HUP | poll::ERR) {
        call.notes().hold(end);
    }
    call.proceed()
}

/// A new pipe has room for 8 pages.
#[fault(PIPE_7, "Pipe capacity", on = [PIPE])]
fn new_pipe_has_eight_pages(call: &mut Call) -> Result<Effect> {
    call.then(|call| {
        let end = call.copy(new_pipe(call)?.number)?;
        if capacity(&end)? == 16 * page_size() {
            set_capacity(&end, 8 * page_size())?;
        }
        call.proceed()
    })
}

/// FIONREAD counts each page that is begun as a whole one.
#[fault(PIPE_7, "Pipe capacity", on = [IOCTL])]
fn unread_bytes_are_counted_in_pages(call: &mut Call) -> Result<Effect> {
    let (_, [_, op, place, ..]) = (call.pipe(0)?, call.arguments());
    if op != libc::FIONREAD {
        return call.proceed();
    }
    call.then(move |call| {
        let pages = call.number_at::<i32>(place)?.max(0) as usize;
        call.set_number_at(place, pages.next_multiple_of(page_size()) as i32)?;
        call.proceed()
    })
}

/// FIONREAD tells 0 at the write end.
#[fault(PIPE_7, "Pipe capacity", on = [IOCTL])]
fn unread_bytes_are_told_to_readers_only(call: &mut Call) -> Result<Effect> {
    let (pipe, [_, op, place, ..]) = (call.pipe(0)?, call.arguments());
    if op != libc::FIONREAD || !pipe.is_write_end() {
        return call.proceed();
    }
    call.then(move |call| {
        call.set_number_at(place, 0)?;
        call.proceed()
    })
}
