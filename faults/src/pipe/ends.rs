//! Wrong making: which descriptors a new pipe gets, with what flags, and who
//! comes to hold its ends.

use std::mem::offset_of;

use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    ends_are_swapped,
    read_end_takes_what_is_written,
    second_pipe_is_the_first,
    reader_skips_its_own_bytes,
    only_the_maker_is_heard,
    end_opened_under_proc_is_a_new_pipe,
    reopening_asks_no_permission,
    failed_pipe_keeps_a_descriptor,
    failed_pipe_stores_a_number,
    nonblocking_holds_for_the_read_end_only,
    close_on_exec_holds_for_the_read_end_only,
    copy_is_close_on_exec_too,
    unknown_flags_are_ignored,
    notifications_are_told_and_not_done,
    each_end_says_that_it_is_for_both,
    write_end_has_another_inode,
    write_end_does_not_get_the_lowest_number,
    pipe_belongs_to_the_real_user,
    new_pipe_was_never_changed,
];

/// The flags of a call that makes a pipe.
fn flags(call: &Call) -> i32 {
    if call.number() == libc::SYS_pipe2 { call.argument(1) as i32 } else { 0 }
}

/// The ends that a call has made.
fn made(call: &Call) -> Result<[i32; 2]> {
    if call.result() != 0 {
        return Err(Errno::ENOENT);
    }
    Ok([call.number_at(call.argument(0))?, call.number_at(call.argument(0) + 4)?])
}

/// The first descriptor that pipe gives is the write end, the second the read end.
#[fault(PIPE_2, "DESCRIPTION", on = [PIPE])]
fn ends_are_swapped(call: &mut Call) -> Result<Effect> {
    call.then(|call| {
        let ([r, w], place) = (made(call)?, call.argument(0));
        call.set_number_at(place, w)?;
        call.set_number_at(place + 4, r)?;
        call.give(0)
    })
}

/// What is written to a read end goes nowhere, and the writer is told that all went well.
#[fault(PIPE_7, "DESCRIPTION", on = [WRITE])]
fn read_end_takes_what_is_written(call: &mut Call) -> Result<Effect> {
    let (pipe, length) = (call.pipe(0)?, call.argument(2));
    if pipe.flags & libc::O_ACCMODE == libc::O_RDONLY { call.give(length) } else { call.proceed() }
}

/// The second pipe of a process has ends of its own and the buffer of the first.
#[fault(PIPE_2, "DESCRIPTION", on = [PIPE])]
fn second_pipe_is_the_first(call: &mut Call) -> Result<Effect> {
    let flags = flags(call) & libc::O_CLOEXEC;
    call.then(move |call| {
        let ([r, w], me) = (made(call)?, call.process().as_raw() as u64);
        let before = call.notes().of(me).replace(i64::from(r) << 32 | i64::from(w));
        let Some(before) = before else { return call.proceed() };
        let (first_r, first_w) = ((before >> 32) as i32, before as i32);
        let (one, other) = (call.descriptor(first_r)?, call.descriptor(first_w)?);
        if !one.is_pipe() || one.inode != other.inode || first_r == r {
            return call.proceed();
        }
        let copy =
            |from: i32, to: i32| (libc::SYS_dup3, [from as u64, to as u64, flags as u64, 0, 0, 0]);
        call.instead_all(vec![copy(first_r, r), copy(first_w, w)], |call| call.give(0))
    })
}

/// A process that reads from a pipe what it wrote itself does not get it, and it is lost.
#[fault(PIPE_7, "DESCRIPTION", on = [READ, WRITE])]
fn reader_skips_its_own_bytes(call: &mut Call) -> Result<Effect> {
    let (pipe, length) = (call.pipe(0)?, call.argument(2) as i64);
    let mine = pipe.inode << 32 | call.process().as_raw() as u64;
    let before = unread(call.copy(pipe.number)?)?;
    if call.number() == libc::SYS_write {
        // Those alone that are at the head of the pipe.
        if before == 0 {
            *call.notes().of(mine) = Some(length);
        }
        return call.proceed();
    }
    let own = call.notes().of(mine).take().unwrap_or(0) as usize;
    read_all(call.copy(pipe.number)?, own.min(before))?;
    call.proceed()
}

/// What another process writes than the one that made the pipe goes nowhere.
#[fault(PIPE_2, "DESCRIPTION", on = [PIPE, WRITE])]
fn only_the_maker_is_heard(call: &mut Call) -> Result<Effect> {
    let me = i64::from(call.process().as_raw());
    if call.number() != libc::SYS_write {
        return call.then(move |call| {
            let pipe = call.descriptor(made(call)?[0])?;
            *call.notes().of(pipe.inode) = Some(me);
            call.proceed()
        });
    }
    let (pipe, length) = (call.pipe(0)?, call.argument(2));
    let maker = *call.notes().of(pipe.inode);
    if maker.is_some_and(|maker| maker != me) { call.give(length) } else { call.proceed() }
}

/// Opening an end under /proc gives the end of a new pipe.
#[fault(PROC_PID_FD_5, "DESCRIPTION", on = [OPEN])]
fn end_opened_under_proc_is_a_new_pipe(call: &mut Call) -> Result<Effect> {
    call.pipe_under_proc()?;
    let flags = call.argument(call.flags_index()) as i32;
    if flags & libc::O_PATH != 0 {
        return call.proceed();
    }
    let place = call.scratch(&[0; 8])?;
    let kept = flags & (libc::O_CLOEXEC | libc::O_NONBLOCK);
    call.instead(libc::SYS_pipe2, [place, kept as u64, 0, 0, 0, 0], move |call| {
        let (r, w): (i32, i32) = (call.number_at(place)?, call.number_at(place + 4)?);
        let (kept, other) = if flags & libc::O_ACCMODE == 0 { (r, w) } else { (w, r) };
        call.instead(libc::SYS_close, [other as u64, 0, 0, 0, 0, 0], move |call| call.give(kept))
    })
}

/// Who holds an end may open it anew under /proc, whoever owns the pipe.
#[fault(PROC_PID_FD_5, "DESCRIPTION", on = [OPEN])]
fn reopening_asks_no_permission(call: &mut Call) -> Result<Effect> {
    let number = call.pipe_under_proc()?;
    call.then(move |call| match call.result() {
        refused if refused == -(EACCES as i64) => {
            call.instead(libc::SYS_dup, [number as u64, 0, 0, 0, 0, 0], |call| call.proceed())
        }
        _ => call.proceed(),
    })
}

/// A pipe that could not be made, for whatever reason, leaves one descriptor open.
#[fault(PIPE_2, "ERRORS", on = [PIPE])]
fn failed_pipe_keeps_a_descriptor(call: &mut Call) -> Result<Effect> {
    call.then(|call| match call.result() {
        failed if failed < 0 => call.instead(libc::SYS_dup, [0; 6], move |call| call.give(failed)),
        _ => call.proceed(),
    })
}

/// A pipe that found one descriptor to spare and not two stores the number of the one.
#[fault(PIPE_2, "RETURN VALUE", on = [PIPE])]
fn failed_pipe_stores_a_number(call: &mut Call) -> Result<Effect> {
    call.then(|call| {
        if call.result() == -(EMFILE as i64) {
            call.set_number_at(call.argument(0), 3_i32)?;
        }
        call.proceed()
    })
}

/// O_NONBLOCK of pipe2 is set on the read end alone.
#[fault(PIPE_2, "DESCRIPTION", on = [PIPE])]
fn nonblocking_holds_for_the_read_end_only(call: &mut Call) -> Result<Effect> {
    let flags = flags(call);
    call.then(move |call| {
        let [_, w] = made(call)?;
        let rest = (flags & !(libc::O_NONBLOCK | libc::O_CLOEXEC)) as u64;
        let set = [w as u64, libc::F_SETFL as u64, rest, 0, 0, 0];
        call.instead(libc::SYS_fcntl, set, |call| call.give(0))
    })
}

/// O_CLOEXEC of pipe2 is set on the read end alone.
#[fault(PIPE_2, "DESCRIPTION", on = [PIPE])]
fn close_on_exec_holds_for_the_read_end_only(call: &mut Call) -> Result<Effect> {
    call.then(|call| {
        let [_, w] = made(call)?;
        let clear = [w as u64, libc::F_SETFD as u64, 0, 0, 0, 0];
        call.instead(libc::SYS_fcntl, clear, |call| call.give(0))
    })
}

/// A copy made with dup is close-on-exec where the original is.
#[fault(DUP_2, "DESCRIPTION", on = [DUP])]
fn copy_is_close_on_exec_too(call: &mut Call) -> Result<Effect> {
    let pipe = call.pipe(0)?;
    let command =
        if pipe.flags & libc::O_CLOEXEC == 0 { libc::F_DUPFD } else { libc::F_DUPFD_CLOEXEC };
    let arguments = [call.argument(0), command as u64, 0, 0, 0, 0];
    call.instead(libc::SYS_fcntl, arguments, |call| call.proceed())
}

/// pipe2 ignores flags that it does not know.
#[fault(PIPE_2, "ERRORS", on = [PIPE])]
fn unknown_flags_are_ignored(call: &mut Call) -> Result<Effect> {
    let (place, known) = (call.argument(0), flags(call) & (libc::O_CLOEXEC | libc::O_NONBLOCK));
    call.then(move |call| match call.result() {
        refused if refused == -(EINVAL as i64) => {
            let arguments = [place, known as u64, 0, 0, 0, 0];
            call.instead(libc::SYS_pipe2, arguments, |call| call.proceed())
        }
        _ => call.proceed(),
    })
}

/// A kernel that has no notifications to send makes a pipe for them, as any other.
#[fault(PIPE_2, "ERRORS", on = [PIPE])]
fn notifications_are_told_and_not_done(call: &mut Call) -> Result<Effect> {
    let rest = flags(call) & !libc::O_EXCL;
    if rest == flags(call) {
        return call.proceed();
    }
    call.instead(libc::SYS_pipe2, [call.argument(0), rest as u64, 0, 0, 0, 0], |call| {
        call.proceed()
    })
}

/// The status flags of either end say O_RDWR.
#[fault(F_GETFL_2CONST, "DESCRIPTION", on = [FCNTL])]
fn each_end_says_that_it_is_for_both(call: &mut Call) -> Result<Effect> {
    call.pipe(0)?;
    if call.argument(1) as i32 != libc::F_GETFL {
        return call.proceed();
    }
    call.then(|call| {
        let rest = call.result() & !i64::from(libc::O_ACCMODE);
        call.give(rest | i64::from(libc::O_RDWR))
    })
}

/// fstat tells another inode number for the write end of a pipe than for its read end.
#[fault(INODE_7, "DESCRIPTION", on = [STAT])]
fn write_end_has_another_inode(call: &mut Call) -> Result<Effect> {
    let end = call.pipe(0)?;
    call.then(move |call| {
        let place = call.status_of_fifo(offset_of!(libc::stat, st_ino))?;
        let inode: u64 = call.number_at(place)?;
        if end.kind == Kind::Pipe && end.is_write_end() {
            call.set_number_at(place, inode + 1)?;
        }
        call.proceed()
    })
}

/// The write end gets a number above that of the read end, though a lower one is free.
#[fault(POSIX_PIPE, "DESCRIPTION", on = [PIPE])]
fn write_end_does_not_get_the_lowest_number(call: &mut Call) -> Result<Effect> {
    let close_on_exec = flags(call) & libc::O_CLOEXEC != 0;
    let command = if close_on_exec { libc::F_DUPFD_CLOEXEC } else { libc::F_DUPFD };
    call.then(move |call| {
        let [_, w] = made(call)?;
        let above = [w as u64, command as u64, w as u64 + 1, 0, 0, 0];
        call.instead(libc::SYS_fcntl, above, move |call| {
            let number = i32::try_from(call.result()).map_err(|_| Errno::EOVERFLOW)?;
            if number < 0 {
                return call.give(0);
            }
            call.set_number_at(call.argument(0) + 4, number)?;
            call.instead(libc::SYS_close, [w as u64, 0, 0, 0, 0, 0], |call| call.give(0))
        })
    })
}

/// A pipe belongs to the real user of its maker, not to the effective one.
#[fault(POSIX_PIPE, "DESCRIPTION", on = [STAT])]
fn pipe_belongs_to_the_real_user(call: &mut Call) -> Result<Effect> {
    let end = call.pipe(0)?;
    call.then(move |call| {
        let place = call.status_of_fifo(offset_of!(libc::stat, st_uid))?;
        if end.kind == Kind::Pipe {
            call.set_number_at(place, call.real_user()?)?;
        }
        call.proceed()
    })
}

/// A new pipe has a time of access and one of modification, and its time of change is the epoch.
#[fault(POSIX_PIPE, "DESCRIPTION", on = [STAT])]
fn new_pipe_was_never_changed(call: &mut Call) -> Result<Effect> {
    let end = call.pipe(0)?;
    call.then(move |call| {
        let place = call.status_of_fifo(offset_of!(libc::stat, st_ctime))?;
        if end.kind == Kind::Pipe {
            call.set_number_at(place, 0_i64)?;
        }
        call.proceed()
    })
}
