//! Wrong copies of files.

use nix::unistd::{Whence, lseek};

use super::splice::{offset, share_page, write_to_page};
use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    given_offset_moves_the_own_one_too,
    given_offset_stays,
    own_offset_stays,
    last_byte_is_told_and_not_sent,
    write_after_a_sendfile_gets_into_the_file,
];

/// With an offset given, sendfile moves the file's own on as well.
#[fault(SENDFILE_2, "DESCRIPTION", on = [SENDFILE])]
fn given_offset_moves_the_own_one_too(call: &mut Call) -> Result<Effect> {
    let file = call.file(1)?;
    call.then(move |call| {
        if call.argument(2) != 0 && call.result() > 0 {
            lseek(call.copy(file.number)?, call.result(), Whence::SeekCur)?;
        }
        call.proceed()
    })
}

/// The offset that is given to sendfile stays as it was.
#[fault(SENDFILE_2, "DESCRIPTION", on = [SENDFILE])]
fn given_offset_stays(call: &mut Call) -> Result<Effect> {
    let (before, place) = (offset(call, call.file(1)?, 2)?, call.argument(2));
    call.then(move |call| {
        if place != 0 {
            call.set_number_at(place, before)?;
        }
        call.proceed()
    })
}

/// Without an offset, sendfile reads from the file's own and leaves that where it is.
#[fault(SENDFILE_2, "DESCRIPTION", on = [SENDFILE])]
fn own_offset_stays(call: &mut Call) -> Result<Effect> {
    let file = call.file(1)?;
    let before = offset(call, file, 2)?;
    call.then(move |call| {
        if call.argument(2) == 0 && call.result() > 0 {
            lseek(call.copy(file.number)?, before, Whence::SeekSet)?;
        }
        call.proceed()
    })
}

/// The last byte that was asked for is told and not sent.
#[fault(SENDFILE_2, "RETURN VALUE", on = [SENDFILE])]
fn last_byte_is_told_and_not_sent(call: &mut Call) -> Result<Effect> {
    let (_, count) = (call.file(1)?, call.argument(3));
    if count < 2 {
        return call.proceed();
    }
    call.set_argument(3, count - 1);
    call.then(move |call| match call.result() {
        sent if sent == count as i64 - 1 => call.give(count as i64),
        _ => call.proceed(),
    })
}

/// What is written to a pipe goes on in the file's page that sendfile brought into it last.
#[fault(SENDFILE_2, "DESCRIPTION", on = [SENDFILE, WRITE])]
fn write_after_a_sendfile_gets_into_the_file(call: &mut Call) -> Result<Effect> {
    match call.number() {
        libc::SYS_write => write_to_page(call),
        _ => share_page(call, call.pipe(0)?, call.file(1)?, 2),
    }
}
