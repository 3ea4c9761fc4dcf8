//! Wrong copies: tee that takes, tells or looks at the wrong thing.

use nix::fcntl::{SpliceFFlags, tee};

use super::buffers::{put, whole};
use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    tee_takes_what_it_copies,
    tee_copies_one_byte_more,
    tee_tells_what_was_asked,
    move_makes_tee_take,
    tee_ignores_which_way_an_end_goes,
    copy_goes_with_its_source,
    write_after_a_tee_gets_into_both,
];

/// Takes so many bytes out of the source.
fn consume(call: &Call, bytes: i64) -> Result<()> {
    let source = call.copy(call.source()?.number)?;
    read_all(&source, unread(&source)?.min(bytes.max(0) as usize)).map(drop)
}

/// What tee has copied is gone from the source.
#[fault(TEE_2, "DESCRIPTION", on = [TEE])]
fn tee_takes_what_it_copies(call: &mut Call) -> Result<Effect> {
    call.then(|call| {
        consume(call, call.result())?;
        call.proceed()
    })
}

/// Tee copies a byte more than it was asked to, and tells what it was asked.
#[fault(TEE_2, "DESCRIPTION", on = [TEE])]
fn tee_copies_one_byte_more(call: &mut Call) -> Result<Effect> {
    let length = call.argument(2);
    if length == 0 {
        return call.proceed();
    }
    call.set_argument(2, length + 1);
    call.then(move |call| call.give(call.result().min(length as i64)))
}

/// Tee tells how much there was of what it was asked for, though less had room.
#[fault(TEE_2, "RETURN VALUE", on = [TEE])]
fn tee_tells_what_was_asked(call: &mut Call) -> Result<Effect> {
    let (source, length) = (call.source()?, call.argument(2) as usize);
    let there = unread(call.copy(source.number)?)?.min(length) as i64;
    call.then(
        move |call| {
            if call.result() > 0 { call.give(there.max(call.result())) } else { call.proceed() }
        },
    )
}

/// With SPLICE_F_MOVE tee moves what it should copy.
#[fault(TEE_2, "DESCRIPTION", on = [TEE])]
fn move_makes_tee_take(call: &mut Call) -> Result<Effect> {
    if call.argument(3) & u64::from(libc::SPLICE_F_MOVE) == 0 {
        return call.proceed();
    }
    call.then(|call| {
        consume(call, call.result())?;
        call.proceed()
    })
}

/// Tee copies from a write end and to a read end, too.
#[fault(PIPE_7, "DESCRIPTION", on = [TEE])]
fn tee_ignores_which_way_an_end_goes(call: &mut Call) -> Result<Effect> {
    let (from, to, length) = (call.source()?, call.target()?, call.argument(2) as usize);
    call.then(move |call| {
        if !call.failed_with(EBADF) {
            return call.proceed();
        }
        let (from, to) = (call.reopen(from.number)?, call.reopen(to.number)?);
        call.give(tee(from, to, length, SpliceFFlags::SPLICE_F_NONBLOCK)? as i64)
    })
}

/// A copy in a pipe goes when the last end of the pipe that it came from is closed.
#[fault(TEE_2, "DESCRIPTION", on = [TEE, CLOSE])]
fn copy_goes_with_its_source(call: &mut Call) -> Result<Effect> {
    if call.number() == libc::SYS_tee {
        let (from, to) = (call.source()?, call.target()?);
        call.notes().keep(from.inode, call.reader(to.number)?);
        return call.proceed();
    }
    let pipe = call.pipe(0)?;
    let ready = poll::now(call.copy(pipe.number)?, poll::NONE)?;
    if ready.intersects(poll::HUP | poll::ERR) {
        let notes = call.notes();
        let copy = notes.kept(pipe.inode);
        copy.map(|copy| read_all(copy, unread(copy)?)).transpose()?;
    }
    call.proceed()
}

/// What is written to a pipe behind a copy gets into the pipe that was copied, too.
#[fault(TEE_2, "DESCRIPTION", on = [TEE, WRITE])]
fn write_after_a_tee_gets_into_both(call: &mut Call) -> Result<Effect> {
    if call.number() == libc::SYS_tee {
        let (from, to) = (call.source()?, call.target()?);
        call.notes().keep(to.inode, call.copy(from.number)?);
        return call.proceed();
    }
    let (pipe, buffer) = (call.pipe(0)?, call.argument(1));
    call.then(move |call| {
        let written = call.memory(buffer, call.result().max(0) as usize)?;
        let mut source = call.notes().kept(pipe.inode).ok_or(EBADF).and_then(whole)?;
        put(&mut source, &written);
        call.proceed()
    })
}
