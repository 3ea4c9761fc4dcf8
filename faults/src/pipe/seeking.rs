//! Wrong offsets of files.

use nix::unistd::{Whence, ftruncate, lseek};

use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    here_is_where_lseek_was_last,
    seek_of_a_child_moves_nothing,
    seek_beyond_the_end_makes_the_file_longer,
    data_begins_at_a_page,
    seek_that_finds_no_data_moves,
    seek_below_zero_goes_to_the_start,
    refused_seek_is_told_as_done,
];

/// SEEK_CUR counts from where lseek was last, not from where a read or write has come since.
#[fault(LSEEK_2, "DESCRIPTION", on = [LSEEK])]
fn here_is_where_lseek_was_last(call: &mut Call) -> Result<Effect> {
    let (file, [_, offset, whence, ..]) = (call.file(0)?, call.arguments());
    let last = *call.notes().of(file.inode);
    if whence as i32 == libc::SEEK_CUR
        && let Some(last) = last
    {
        call.set_argument(1, (last + offset as i64) as u64);
        call.set_argument(2, libc::SEEK_SET as u64);
    }
    call.then(move |call| {
        if call.result() >= 0 {
            *call.notes().of(file.inode) = Some(call.result());
        }
        call.proceed()
    })
}

/// The offset that a child moves is its own: who opened the file has it where it was.
#[fault(LSEEK_2, "NOTES", on = [LSEEK])]
fn seek_of_a_child_moves_nothing(call: &mut Call) -> Result<Effect> {
    let (file, me) = (call.file(0)?, i64::from(call.process().as_raw()));
    let first = *call.notes().of(file.inode).get_or_insert(me);
    let copy = call.copy(file.number)?;
    let before = lseek(&copy, 0, Whence::SeekCur)?;
    call.then(move |call| {
        if me != first {
            lseek(&copy, before, Whence::SeekSet)?;
        }
        call.proceed()
    })
}

/// An offset beyond the end makes the file as long as that.
#[fault(LSEEK_2, "DESCRIPTION", on = [LSEEK])]
fn seek_beyond_the_end_makes_the_file_longer(call: &mut Call) -> Result<Effect> {
    let file = call.file(0)?;
    call.then(move |call| {
        let whole = call.reopen(file.number)?;
        if whole.metadata().is_ok_and(|now| (now.len() as i64) < call.result()) {
            ftruncate(&whole, call.result())?;
        }
        call.proceed()
    })
}

/// SEEK_DATA from within data goes on to the next page of it.
#[fault(LSEEK_2, "Seeking file data and holes", on = [LSEEK])]
fn data_begins_at_a_page(call: &mut Call) -> Result<Effect> {
    let [fd, offset, whence, ..] = call.arguments();
    call.file(0)?;
    let page = offset.next_multiple_of(page_size() as u64);
    call.then(move |call| {
        if whence as i32 != libc::SEEK_DATA || call.result() != offset as i64 {
            return call.proceed();
        }
        let there = [fd, page, libc::SEEK_SET as u64, 0, 0, 0];
        call.instead(libc::SYS_lseek, there, |call| call.proceed())
    })
}

/// A search for data that fails with ENXIO has moved the offset.
#[fault(LSEEK_2, "ERRORS", on = [LSEEK])]
fn seek_that_finds_no_data_moves(call: &mut Call) -> Result<Effect> {
    let (file, offset) = (call.file(0)?, call.argument(1) as i64);
    call.then(move |call| {
        if call.failed_with(ENXIO) {
            lseek(call.copy(file.number)?, offset, Whence::SeekSet)?;
        }
        call.proceed()
    })
}

/// A seek to below zero fails with EINVAL, and the offset is at the start.
#[fault(LSEEK_2, "ERRORS", on = [LSEEK])]
fn seek_below_zero_goes_to_the_start(call: &mut Call) -> Result<Effect> {
    let file = call.file(0)?;
    call.then(move |call| {
        if call.failed_with(EINVAL) {
            lseek(call.copy(file.number)?, 0, Whence::SeekSet)?;
        }
        call.proceed()
    })
}

/// Every seek that should be refused is told as one to the start.
#[fault(LSEEK_2, "ERRORS", on = [LSEEK])]
fn refused_seek_is_told_as_done(call: &mut Call) -> Result<Effect> {
    call.then(|call| call.give(call.result().max(0)))
}
