//! Wrong splices: offsets, lengths, what stays and what is lost, and what
//! comes of the pages that a pipe shares.

use std::fs;
use std::os::fd::OwnedFd;

use nix::fcntl::{FallocateFlags, fallocate, splice};
use nix::sys::uio::pwrite;
use nix::unistd::{Whence, lseek};

use super::buffers::{content, put, put_first, take, whole};
use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    changes_are_not_told_of,
    given_offset_moves_the_own_one_too,
    given_offset_stays,
    own_offset_moves_by_what_was_asked,
    own_offset_stays_where_data_is_short,
    offset_behind_the_end_comes_back,
    data_for_behind_the_end_goes_to_the_end,
    last_byte_of_a_page_is_not_spliced,
    one_byte_more_than_asked_is_spliced,
    what_does_not_fit_is_lost,
    nothing_asked_is_all_asked,
    last_byte_of_a_socket_is_lost,
    socket_gets_a_copy,
    failed_splice_takes_a_byte,
    device_gets_half_and_all_is_told,
    zeros_are_what_memory_held,
    move_takes_the_data_out_of_the_file,
    more_is_never_sent,
    end_of_input_is_not_told_to_who_may_not_sleep,
    nonblock_counts_for_the_source_only,
    nonblock_stays_on_the_source,
    file_size_limit_does_not_hold,
    two_files_are_spliced,
    offset_for_what_has_none_is_ignored,
    appending_file_gets_what_is_spliced,
    pipe_is_spliced_into_itself,
    refused_splice_is_told_as_end_of_input,
    write_after_a_splice_gets_into_the_file,
    write_after_a_splice_on_gets_into_the_rest,
    write_after_zeros_gets_into_all_zeros,
];

const NONBLOCK: u64 = libc::SPLICE_F_NONBLOCK as u64;

/// The offset that a call goes by, given or the file's own.
pub(super) fn offset(call: &Call, file: Fd, given: usize) -> Result<i64> {
    match call.argument(given) {
        0 => lseek(call.copy(file.number)?, 0, Whence::SeekCur),
        place => call.number_at(place),
    }
}

/// The file of a splice and the argument that may have its offset.
fn seekable(call: &Call) -> Result<(Fd, usize)> {
    call.file(0).map(|from| (from, 1)).or_else(|_| Ok((call.file(2)?, 3)))
}

/// With an offset given, splice moves the file's own on as well.
#[fault(SPLICE_2, "DESCRIPTION", on = [SPLICE])]
fn given_offset_moves_the_own_one_too(call: &mut Call) -> Result<Effect> {
    let (file, given) = seekable(call)?;
    call.then(move |call| {
        if call.argument(given) != 0 && call.result() > 0 {
            lseek(call.copy(file.number)?, call.result(), Whence::SeekCur)?;
        }
        call.proceed()
    })
}

/// The offset that is given to splice stays as it was.
#[fault(SPLICE_2, "DESCRIPTION", on = [SPLICE])]
fn given_offset_stays(call: &mut Call) -> Result<Effect> {
    let (file, given) = seekable(call)?;
    let (place, before) = (call.argument(given), offset(call, file, given)?);
    if place == 0 {
        return call.proceed();
    }
    call.then(move |call| {
        call.set_number_at(place, before)?;
        call.proceed()
    })
}

/// The file's own offset moves by what was asked for, not by what was spliced.
#[fault(SPLICE_2, "DESCRIPTION", on = [SPLICE])]
fn own_offset_moves_by_what_was_asked(call: &mut Call) -> Result<Effect> {
    let (file, given) = seekable(call)?;
    let asked = call.argument(4) as i64;
    call.then(move |call| {
        if call.argument(given) == 0 && call.result() > 0 {
            lseek(call.copy(file.number)?, asked - call.result(), Whence::SeekCur)?;
        }
        call.proceed()
    })
}

/// The file's own offset stays when there was less than was asked for.
#[fault(SPLICE_2, "DESCRIPTION", on = [SPLICE])]
fn own_offset_stays_where_data_is_short(call: &mut Call) -> Result<Effect> {
    let (file, given) = seekable(call)?;
    let asked = call.argument(4) as i64;
    call.then(move |call| {
        if call.argument(given) == 0 && (1..asked).contains(&call.result()) {
            lseek(call.copy(file.number)?, -call.result(), Whence::SeekCur)?;
        }
        call.proceed()
    })
}

/// A file's offset that is behind the end is brought back to the end.
#[fault(SPLICE_2, "DESCRIPTION", on = [SPLICE])]
fn offset_behind_the_end_comes_back(call: &mut Call) -> Result<Effect> {
    let (file, place) = (call.file(0)?, call.argument(1));
    call.then(move |call| {
        let copy = call.copy(file.number)?;
        let end = call.reopen(file.number)?.metadata().map_err(|_| EBADF)?.len() as i64;
        if place != 0 && call.number_at::<i64>(place)? > end {
            call.set_number_at(place, end)?;
        } else if place == 0 && lseek(&copy, 0, Whence::SeekCur)? > end {
            lseek(&copy, end, Whence::SeekSet)?;
        }
        call.proceed()
    })
}

/// What is spliced to an offset behind the end of a file is put at its end.
#[fault(SPLICE_2, "DESCRIPTION", on = [SPLICE])]
fn data_for_behind_the_end_goes_to_the_end(call: &mut Call) -> Result<Effect> {
    let (file, place) = (call.file(2)?, call.argument(3));
    let end = call.reopen(file.number)?.metadata().map_err(|_| EBADF)?.len() as i64;
    if place != 0 && call.number_at::<i64>(place)? > end {
        call.set_number_at(place, end)?;
    }
    call.proceed()
}

/// A stretch of a file that ends with a page comes without its last byte, which counts all the same.
#[fault(SPLICE_2, "RETURN VALUE", on = [SPLICE])]
fn last_byte_of_a_page_is_not_spliced(call: &mut Call) -> Result<Effect> {
    let (file, length) = (call.file(0)?, call.argument(4));
    let end = (offset(call, file, 1)? as u64).wrapping_add(length);
    if length < 2 || !end.is_multiple_of(page_size() as u64) {
        return call.proceed();
    }
    call.set_argument(4, length - 1);
    call.then(move |call| {
        if call.result() != length as i64 - 1 {
            return call.proceed();
        }
        match call.argument(1) {
            0 => drop(lseek(call.copy(file.number)?, 1, Whence::SeekCur)?),
            place => call.set_number_at(place, end)?,
        }
        call.give(length as i64)
    })
}

/// Splice takes a byte more out of a pipe than it was asked to, and tells what it was asked.
#[fault(SPLICE_2, "DESCRIPTION", on = [SPLICE])]
fn one_byte_more_than_asked_is_spliced(call: &mut Call) -> Result<Effect> {
    let (_, length) = (call.pipe(0)?, call.argument(4));
    if length == 0 {
        return call.proceed();
    }
    call.set_argument(4, length + 1);
    call.then(move |call| call.give(call.result().min(length as i64)))
}

/// What was asked for and did not fit into the target has gone from the source.
#[fault(SPLICE_2, "DESCRIPTION", on = [SPLICE])]
fn what_does_not_fit_is_lost(call: &mut Call) -> Result<Effect> {
    let (source, length) = (call.source()?, call.argument(4) as usize);
    call.then(move |call| {
        let left = length.saturating_sub(call.result().max(0) as usize);
        if call.result() > 0 && call.lacks_room() {
            let mut pipe = call.reopen(source.number)?;
            let data = take(&mut pipe).concat();
            put(&mut pipe, &data[left.min(data.len())..]);
        }
        call.proceed()
    })
}

/// A length of 0 is no limit, and what it brings is not told.
#[fault(SPLICE_2, "DESCRIPTION", on = [SPLICE, TEE])]
fn nothing_asked_is_all_asked(call: &mut Call) -> Result<Effect> {
    let places = call.places();
    if call.argument(places.length) > 0 {
        return call.proceed();
    }
    call.set_argument(places.length, 1 << 20);
    call.set_argument(places.flags, call.argument(places.flags) | NONBLOCK);
    call.then(|call| call.give(0))
}

/// The last byte that comes out of a socket does not get into the pipe.
#[fault(SPLICE_2, "RETURN VALUE", on = [SPLICE])]
fn last_byte_of_a_socket_is_lost(call: &mut Call) -> Result<Effect> {
    let (socket, pipe) = (call.fd(0)?, call.pipe(2)?);
    if socket.kind != Kind::Socket {
        return call.proceed();
    }
    call.then(move |call| {
        if call.result() > 1 {
            let mut pipe = call.reopen(pipe.number)?;
            let data = take(&mut pipe).concat();
            put(&mut pipe, &data[..data.len() - 1]);
        }
        call.proceed()
    })
}

/// What a socket gets from a pipe stays in the pipe.
#[fault(SPLICE_2, "DESCRIPTION", on = [SPLICE])]
fn socket_gets_a_copy(call: &mut Call) -> Result<Effect> {
    let (pipe, socket) = (call.pipe(0)?, call.fd(2)?);
    if socket.kind != Kind::Socket {
        return call.proceed();
    }
    let mut pipe = call.reopen(pipe.number)?;
    let data = content(&pipe)?.concat();
    call.then(move |call| {
        if call.result() > 0 {
            put_first(&mut pipe, &data[..data.len().min(call.result() as usize)]);
        }
        call.proceed()
    })
}

/// A splice that fails, for whatever reason, has taken a byte out of its source.
#[fault(SPLICE_2, "RETURN VALUE", on = [SPLICE])]
fn failed_splice_takes_a_byte(call: &mut Call) -> Result<Effect> {
    let pipe = call.pipe(0)?;
    call.then(move |call| {
        if call.result() < 0 {
            call.lose_a_byte(pipe)?;
        }
        call.proceed()
    })
}

/// A device takes half of what it tells.
#[fault(SPLICE_2, "RETURN VALUE", on = [SPLICE])]
fn device_gets_half_and_all_is_told(call: &mut Call) -> Result<Effect> {
    let (_, device, length) = (call.pipe(0)?, call.fd(2)?, call.argument(4));
    if device.kind != Kind::Other || length < 2 {
        return call.proceed();
    }
    call.set_argument(4, length / 2);
    call.then(|call| call.give(call.result().max(call.result() * 2)))
}

/// Whether it is /dev/zero.
fn is_zero(fd: Fd) -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/dev/zero").is_ok_and(|zero| zero.ino() == fd.inode && fd.kind == Kind::Other)
}

/// The zeros of /dev/zero are pages as somebody left them.
#[fault(NULL_4, "DESCRIPTION", on = [SPLICE])]
fn zeros_are_what_memory_held(call: &mut Call) -> Result<Effect> {
    let (zero, pipe, length) = (call.fd(0)?, call.pipe(2)?, call.argument(4) as usize);
    if !is_zero(zero) {
        return call.proceed();
    }
    put(&mut call.reopen(pipe.number)?, &vec![b'?'; length]);
    call.give(length as i64)
}

/// SPLICE_F_MOVE takes the data out of the file that it comes from.
#[fault(SPLICE_2, "DESCRIPTION", on = [SPLICE])]
fn move_takes_the_data_out_of_the_file(call: &mut Call) -> Result<Effect> {
    let (file, flags) = (call.file(0)?, call.argument(5));
    if flags & u64::from(libc::SPLICE_F_MOVE) == 0 {
        return call.proceed();
    }
    let start = offset(call, file, 1)?;
    call.then(move |call| {
        if call.result() > 0 {
            let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
            fallocate(call.reopen(file.number)?, hole, start, call.result())?;
        }
        call.proceed()
    })
}

/// What goes to a socket with SPLICE_F_MORE waits for more, and is forgotten when that comes.
#[fault(SPLICE_2, "DESCRIPTION", on = [SPLICE])]
fn more_is_never_sent(call: &mut Call) -> Result<Effect> {
    let (pipe, socket, length) = (call.pipe(0)?, call.fd(2)?, call.argument(4));
    let more = call.argument(5) & u64::from(libc::SPLICE_F_MORE) != 0;
    if socket.kind != Kind::Socket || !more {
        return call.proceed();
    }
    let pipe = call.copy(pipe.number)?;
    let there = unread(&pipe)?.min(length as usize);
    if there == 0 {
        return call.proceed();
    }
    call.give(read_all(pipe, there)?.len() as i64)
}

/// SPLICE_F_NONBLOCK gives EAGAIN at the end of input, too.
#[fault(SPLICE_2, "RETURN VALUE", on = [SPLICE, TEE])]
fn end_of_input_is_not_told_to_who_may_not_sleep(call: &mut Call) -> Result<Effect> {
    let (_, places) = (call.source()?, call.places());
    let (length, flags) = (call.argument(places.length), call.argument(places.flags));
    call.then(move |call| {
        let is_end = call.result() == 0 && length > 0;
        if is_end && flags & NONBLOCK != 0 { call.fail(EAGAIN) } else { call.proceed() }
    })
}

/// SPLICE_F_NONBLOCK counts for the source alone: for room there is a sleep.
#[fault(SPLICE_2, "DESCRIPTION", on = [SPLICE, TEE])]
fn nonblock_counts_for_the_source_only(call: &mut Call) -> Result<Effect> {
    let flags = call.argument(call.places().flags);
    if flags & NONBLOCK != 0 && call.lacks_room() && !call.lacks_data() {
        return call.sleep();
    }
    call.proceed()
}

/// SPLICE_F_NONBLOCK makes the source nonblocking for the calls that follow.
#[fault(SPLICE_2, "DESCRIPTION", on = [SPLICE, TEE])]
fn nonblock_stays_on_the_source(call: &mut Call) -> Result<Effect> {
    let (source, flags) = (call.source()?, call.argument(call.places().flags));
    if flags & NONBLOCK == 0 {
        return call.proceed();
    }
    call.then(move |call| call.set_flags(source.number, source.flags | libc::O_NONBLOCK))
}

/// RLIMIT_FSIZE does not hold for what is spliced.
#[fault(GETRLIMIT_2, "DESCRIPTION", on = [SPLICE])]
fn file_size_limit_does_not_hold(call: &mut Call) -> Result<Effect> {
    let (source, file, length) = (call.source()?, call.file(2)?, call.argument(4) as usize);
    call.then(move |call| {
        if !call.failed_with(EFBIG) || call.argument(3) != 0 {
            return call.proceed();
        }
        let (source, file) = (call.copy(source.number)?, call.copy(file.number)?);
        let flags = nix::fcntl::SpliceFFlags::SPLICE_F_NONBLOCK;
        call.give(splice(source, None, file, None, length, flags)? as i64)
    })
}

/// Splice moves data from a file to a file or socket, as sendfile does.
#[fault(SPLICE_2, "DESCRIPTION", on = [SPLICE])]
fn two_files_are_spliced(call: &mut Call) -> Result<Effect> {
    let [from, place, to, _, length, _] = call.arguments();
    call.file(0)?;
    if call.fd(2)?.is_pipe() {
        return call.proceed();
    }
    call.instead(libc::SYS_sendfile, [to, from, place, length, 0, 0], |call| call.proceed())
}

/// An offset for a pipe or a socket is ignored.
#[fault(SPLICE_2, "ERRORS", on = [SPLICE])]
fn offset_for_what_has_none_is_ignored(call: &mut Call) -> Result<Effect> {
    for (fd, place) in [(0, 1), (2, 3)] {
        if call.file(fd).is_err() {
            call.set_argument(place, 0);
        }
    }
    call.proceed()
}

/// A file that is open for appending gets what is spliced to it, at its end.
#[fault(SPLICE_2, "ERRORS", on = [SPLICE])]
fn appending_file_gets_what_is_spliced(call: &mut Call) -> Result<Effect> {
    let (source, file, length) = (call.source()?, call.file(2)?, call.argument(4) as usize);
    if file.flags & libc::O_APPEND == 0 || call.lacks_data() {
        return call.proceed();
    }
    let source = call.copy(source.number)?;
    let data = read_all(&source, length.min(unread(&source)?))?;
    call.give(nix::unistd::write(call.copy(file.number)?, &data)? as i64)
}

/// The head of a pipe is spliced to its end, and by tee copied there.
#[fault(SPLICE_2, "ERRORS", on = [SPLICE, TEE])]
fn pipe_is_spliced_into_itself(call: &mut Call) -> Result<Effect> {
    let (from, to, length) = (call.source()?, call.target()?, call.argument(call.places().length));
    if from.inode != to.inode {
        return call.proceed();
    }
    let mut pipe = call.reopen(to.number)?;
    let mut data = content(&pipe)?.concat();
    data.truncate(length as usize);
    if call.number() == libc::SYS_splice {
        read_all(&pipe, data.len())?;
    }
    put(&mut pipe, &data);
    call.give(data.len() as i64)
}

/// Every splice that should be refused for what it is given is told as the end of input.
#[fault(SPLICE_2, "ERRORS", on = [SPLICE, TEE])]
fn refused_splice_is_told_as_end_of_input(call: &mut Call) -> Result<Effect> {
    call.then(|call| {
        let refused = [EINVAL, EBADF, ESPIPE].into_iter().any(|errno| call.failed_with(errno));
        if refused { call.give(0) } else { call.proceed() }
    })
}

/// Keeps in mind which file the last page of a pipe belongs to, and how far it is filled.
pub(super) fn share_page(call: &Call, pipe: Fd, file: Fd, given: usize) -> Result<Effect> {
    let whole = OwnedFd::from(call.reopen(file.number)?);
    call.then(move |call| {
        if call.result() > 0 {
            let end = offset(call, file, given)?;
            *call.notes().of(pipe.inode) = Some(end);
            call.notes().keep(pipe.inode, whole);
        }
        call.proceed()
    })
}

/// Has what is written to the pipe get into that page.
pub(super) fn write_to_page(call: &Call) -> Result<Effect> {
    let (pipe, buffer) = (call.pipe(0)?, call.argument(1));
    call.then(move |call| {
        let Some(end) = call.notes().of(pipe.inode).take() else { return call.proceed() };
        let page = page_size() as i64;
        let room = (page - end % page) % page;
        let data = call.memory(buffer, call.result().clamp(0, room) as usize)?;
        let written = call.notes().kept(pipe.inode).map(|file| pwrite(file, &data, end));
        written.transpose()?;
        call.proceed()
    })
}

/// What is written to a pipe goes on in the file's page that was spliced into it last.
#[fault(SPLICE_2, "NOTES", on = [SPLICE, WRITE])]
fn write_after_a_splice_gets_into_the_file(call: &mut Call) -> Result<Effect> {
    match call.number() {
        libc::SYS_write => write_to_page(call),
        _ => share_page(call, call.pipe(2)?, call.file(0)?, 1),
    }
}

/// What is written behind data that came from another pipe overwrites the data that stayed there.
#[fault(SPLICE_2, "NOTES", on = [SPLICE, WRITE])]
fn write_after_a_splice_on_gets_into_the_rest(call: &mut Call) -> Result<Effect> {
    if call.number() == libc::SYS_splice {
        let (from, to) = (call.source()?, call.target()?);
        call.notes().keep(to.inode, call.copy(from.number)?);
        return call.proceed();
    }
    let (pipe, buffer) = (call.pipe(0)?, call.argument(1));
    call.then(move |call| {
        let written = call.memory(buffer, call.result().max(0) as usize)?;
        let mut source = call.notes().kept(pipe.inode).ok_or(EBADF).and_then(whole)?;
        let mut data = take(&mut source).concat();
        let part = written.len().min(data.len());
        data[..part].copy_from_slice(&written[..part]);
        put(&mut source, &data);
        call.proceed()
    })
}

/// What is written to a pipe behind zeros gets into the page that all zeros come from.
#[fault(NULL_4, "DESCRIPTION", on = [SPLICE, WRITE, READ])]
fn write_after_zeros_gets_into_all_zeros(call: &mut Call) -> Result<Effect> {
    let (fd, buffer) = (call.fd(0)?, call.argument(1));
    match call.number() {
        libc::SYS_splice if is_zero(fd) => *call.notes().of(call.pipe(2)?.inode) = Some(0),
        libc::SYS_write if fd.is_pipe() && call.notes().has(fd.inode) => {
            *call.notes().of(0) = Some(call.number_at::<i64>(buffer)?);
        }
        libc::SYS_read if is_zero(fd) && call.notes().has(0) => {
            return call.then(move |call| {
                let written = call.notes().of(0).unwrap_or_default();
                call.set_number_at(buffer, written)?;
                call.proceed()
            });
        }
        _ => {}
    }
    call.proceed()
}

/// Who watches a name is not told that the file is changed.
#[fault(INOTIFY_7, "inotify events", on = [INOTIFY_ADD_WATCH])]
fn changes_are_not_told_of(call: &mut Call) -> Result<Effect> {
    call.set_argument(2, call.argument(2) & !u64::from(libc::IN_MODIFY));
    call.proceed()
}
