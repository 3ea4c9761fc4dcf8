//! Wrong mappings of memory into a pipe.

use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    vmsplice_takes_the_first_range_only,
    full_pipe_swallows_a_vmsplice,
    too_many_ranges_are_cut,
    vmsplice_writes_to_a_file,
    write_after_a_vmsplice_gets_into_the_memory,
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
