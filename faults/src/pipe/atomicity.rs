//! Wrong sizes: writes that are cut, held up or mixed.

use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    small_write_waits_behind_a_large_one,
    large_write_returns_when_the_pipe_is_full,
    large_write_waits_for_room_for_all_of_it,
    atomicity_ends_one_byte_early,
];

/// A write that fits waits behind one that sleeps for want of room.
#[fault(PIPE_7, "PIPE_BUF", on = [WRITE])]
fn small_write_waits_behind_a_large_one(call: &mut Call) -> Result<Effect> {
    let (pipe, length) = (call.pipe(0)?, call.argument(2) as usize);
    let end = call.copy(pipe.number)?;
    if pipe.is_nonblocking() || capacity(&end)? - unread(&end)? >= length {
        let sleeps = call.notes().of(pipe.inode).is_some_and(|sleepers| sleepers > 0);
        return if sleeps { call.sleep() } else { call.proceed() };
    }
    call.notes().count(pipe.inode);
    call.then_always(move |call| {
        *call.notes().of(pipe.inode) = Some(0);
        call.proceed()
    })
}

/// A blocking write above PIPE_BUF returns when the pipe is full, with a part written.
#[fault(PIPE_7, "PIPE_BUF", on = [WRITE])]
fn large_write_returns_when_the_pipe_is_full(call: &mut Call) -> Result<Effect> {
    let (pipe, length) = (call.pipe(0)?, call.argument(2) as usize);
    let end = call.copy(pipe.number)?;
    let room = capacity(&end)? - unread(&end)?;
    if length > PIPE_BUF && !pipe.is_nonblocking() && (1..length).contains(&room) {
        call.set_argument(2, room as u64);
    }
    call.proceed()
}

/// A blocking write that is larger than the pipe waits for room for all of it, which never comes.
#[fault(PIPE_7, "PIPE_BUF", on = [WRITE])]
fn large_write_waits_for_room_for_all_of_it(call: &mut Call) -> Result<Effect> {
    let (pipe, length) = (call.pipe(0)?, call.argument(2) as usize);
    let all = capacity(call.copy(pipe.number)?)?;
    if length > all && !pipe.is_nonblocking() { call.sleep() } else { call.proceed() }
}

/// A nonblocking write of just PIPE_BUF bytes takes what fits, as larger ones do.
#[fault(PIPE_7, "PIPE_BUF", on = [WRITE])]
fn atomicity_ends_one_byte_early(call: &mut Call) -> Result<Effect> {
    let (pipe, length) = (call.pipe(0)?, call.argument(2) as usize);
    let end = call.copy(pipe.number)?;
    let room = capacity(&end)? - unread(&end)?;
    if length == PIPE_BUF && pipe.is_nonblocking() && (1..length).contains(&room) {
        call.set_argument(2, room as u64);
    }
    call.proceed()
}
