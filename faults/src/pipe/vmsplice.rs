//! Wrong mappings of memory into a pipe.

use super::buffers::{put, take};
use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    vmsplice_takes_the_first_range_only,
    full_pipe_swallows_a_vmsplice,
    too_many_ranges_are_cut,
    vmsplice_writes_to_a_file,
    write_after_a_vmsplice_gets_into_the_memory,
    vmsplice_never_sleeps,
    failed_vmsplice_takes_a_byte,
    memory_up_to_a_page_edge_lacks_its_last_byte,
    memory_of_the_reader_is_read,
    gift_arrives_empty,
];

/// vmsplice maps the first range, and tells the length of all.
#[fault(VMSPLICE_2, "DESCRIPTION", on = [VMSPLICE])]
fn vmsplice_takes_the_first_range_only(call: &mut Call) -> Result<Effect> {
    let (_, ranges) = (call.pipe(0)?, call.ranges()?);
    let all: u64 = ranges.iter().map(|range| range.length).sum();
    if ranges.len() < 2 {
        return call.proceed();
    }
    call.set_argument(2, 1);
    call.then(move |call| {
        let is_whole = call.result() == ranges[0].length as i64;
        if is_whole { call.give(all as i64) } else { call.proceed() }
    })
}

/// With SPLICE_F_NONBLOCK vmsplice tells that all went into a pipe that is full.
#[fault(VMSPLICE_2, "RETURN VALUE", on = [VMSPLICE])]
fn full_pipe_swallows_a_vmsplice(call: &mut Call) -> Result<Effect> {
    let (_, ranges) = (call.pipe(0)?, call.ranges()?);
    let all: u64 = ranges.iter().map(|range| range.length).sum();
    call.then(
        move |call| {
            if call.failed_with(EAGAIN) { call.give(all as i64) } else { call.proceed() }
        },
    )
}

/// Of more than IOV_MAX ranges as many are taken.
#[fault(VMSPLICE_2, "ERRORS", on = [VMSPLICE])]
fn too_many_ranges_are_cut(call: &mut Call) -> Result<Effect> {
    call.set_argument(2, call.argument(2).min(libc::UIO_MAXIOV as u64));
    call.proceed()
}

/// vmsplice to what is not a pipe is a writev.
#[fault(VMSPLICE_2, "ERRORS", on = [VMSPLICE])]
fn vmsplice_writes_to_a_file(call: &mut Call) -> Result<Effect> {
    let [fd, ranges, count, ..] = call.arguments();
    if call.fd(0)?.is_pipe() {
        return call.proceed();
    }
    call.instead(libc::SYS_writev, [fd, ranges, count, 0, 0, 0], |call| call.proceed())
}

/// What is written to a pipe goes on in the memory that was mapped into it last.
#[fault(VMSPLICE_2, "DESCRIPTION", on = [VMSPLICE, WRITE])]
fn write_after_a_vmsplice_gets_into_the_memory(call: &mut Call) -> Result<Effect> {
    let (pipe, buffer) = (call.pipe(0)?, call.argument(1));
    if call.number() == libc::SYS_vmsplice {
        let last = call.ranges()?.last().map(|range| range.address + range.length);
        *call.notes().of(pipe.inode) = last.map(|end| end as i64);
        return call.proceed();
    }
    call.then(move |call| {
        let Some(end) = call.notes().of(pipe.inode).take() else { return call.proceed() };
        let written = call.memory(buffer, call.result().max(0) as usize)?;
        call.set_memory(end as u64, &written)?;
        call.proceed()
    })
}

/// vmsplice fails with EAGAIN where it should sleep.
#[fault(VMSPLICE_2, "ERRORS", on = [VMSPLICE])]
fn vmsplice_never_sleeps(call: &mut Call) -> Result<Effect> {
    call.set_argument(3, call.argument(3) | u64::from(libc::SPLICE_F_NONBLOCK));
    call.proceed()
}

/// A vmsplice that fails has taken a byte out of the pipe.
#[fault(VMSPLICE_2, "RETURN VALUE", on = [VMSPLICE])]
fn failed_vmsplice_takes_a_byte(call: &mut Call) -> Result<Effect> {
    let pipe = call.pipe(0)?;
    call.then(move |call| {
        if call.result() < 0 && !pipe.is_write_end() {
            call.lose_a_byte(pipe)?;
        }
        call.proceed()
    })
}

/// Memory that is filled from a pipe up to the end of a page does not get its last byte.
#[fault(VMSPLICE_2, "DESCRIPTION", on = [VMSPLICE])]
fn memory_up_to_a_page_edge_lacks_its_last_byte(call: &mut Call) -> Result<Effect> {
    let (pipe, start) = (call.pipe(0)?, call.ranges()?.first().ok_or(EINVAL)?.address);
    call.then(move |call| {
        let end = start + call.result().max(0) as u64;
        let is_edge = end > start && end.is_multiple_of(page_size() as u64);
        if is_edge && !pipe.is_write_end() {
            call.set_memory(end - 1, &[0])?;
        }
        call.proceed()
    })
}

/// What vmsplice has put into a pipe is looked up, when it is read, in the memory of who reads.
#[fault(VMSPLICE_2, "DESCRIPTION", on = [VMSPLICE, READ])]
fn memory_of_the_reader_is_read(call: &mut Call) -> Result<Effect> {
    let (pipe, buffer) = (call.pipe(0)?, call.argument(1));
    if call.number() == libc::SYS_vmsplice {
        let first = *call.ranges()?.first().ok_or(EINVAL)?;
        call.notes().of(pipe.inode).get_or_insert(first.address as i64);
        call.notes().of(!pipe.inode).get_or_insert(first.length as i64);
        return call.proceed();
    }
    call.then(move |call| {
        let Some(address) = call.notes().of(pipe.inode).take() else { return call.proceed() };
        let length = call.notes().of(!pipe.inode).take().unwrap_or_default();
        let length = length.min(call.result()).max(0) as usize;
        let now = call.memory(address as u64, length)?;
        call.set_memory(buffer, &now)?;
        call.proceed()
    })
}

/// Pages that are a gift are new ones, without what the giver wrote there.
#[fault(VMSPLICE_2, "DESCRIPTION", on = [VMSPLICE])]
fn gift_arrives_empty(call: &mut Call) -> Result<Effect> {
    let (pipe, flags) = (call.pipe(0)?, call.argument(3));
    call.then(move |call| {
        if flags & u64::from(libc::SPLICE_F_GIFT) != 0 && call.result() > 0 {
            let mut pipe = call.reopen(pipe.number)?;
            let length = take(&mut pipe).concat().len();
            put(&mut pipe, &vec![0; length]);
        }
        call.proceed()
    })
}
