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
    failed_sendfile_moves_the_offset,
    interrupted_sendfile_moves_the_offset,
    socket_loses_what_was_not_asked_for,
    failing_source_is_at_its_end,
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
        sent if sent + 1 == count as i64 => call.give(count as i64),
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

/// A sendfile that fails, for whatever reason, has moved the offset by a byte.
#[fault(SENDFILE_2, "DESCRIPTION", on = [SENDFILE])]
fn failed_sendfile_moves_the_offset(call: &mut Call) -> Result<Effect> {
    call.then(|call| {
        let place = call.argument(2);
        if call.result() < 0 {
            match call.number_at::<i64>(place) {
                Ok(given) if call.set_number_at(place, given + 1).is_ok() => {}
                _ => drop(lseek(call.copy(call.file(1)?.number)?, 1, Whence::SeekCur)?),
            }
        }
        call.proceed()
    })
}

/// A signal that ends the sleep of sendfile leaves the file's own offset behind what was to be sent.
#[fault(SENDFILE_2, "DESCRIPTION", signals)]
fn interrupted_sendfile_moves_the_offset(signal: &mut Arrival) -> Fate {
    let move_on = |call: Call| {
        let file = call.copy(call.file(1)?.number)?;
        lseek(file, call.argument(3) as i64, Whence::SeekCur)
    };
    let call = signal.interrupted();
    if let Some(call) = call.filter(|call| call.number() == libc::SYS_sendfile) {
        let _ = move_on(call);
    }
    Fate::Deliver
}

/// What a socket has beyond the count of bytes that are sent from it is dropped.
#[fault(SENDFILE_2, "DESCRIPTION", on = [SENDFILE])]
fn socket_loses_what_was_not_asked_for(call: &mut Call) -> Result<Effect> {
    let source = call.fd(1)?;
    if source.kind != Kind::Socket {
        return call.proceed();
    }
    call.then(move |call| {
        if call.result() > 0 {
            let source = call.copy(source.number)?;
            read_all(&source, unread(&source)?)?;
        }
        call.proceed()
    })
}

/// A source that cannot be read is told as one that is at its end.
#[fault(SENDFILE_2, "ERRORS", on = [SENDFILE])]
fn failing_source_is_at_its_end(call: &mut Call) -> Result<Effect> {
    call.then(|call| if call.failed_with(EIO) { call.give(0) } else { call.proceed() })
}
