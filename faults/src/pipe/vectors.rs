//! Wrong vectors: ranges in the wrong order, in pieces, or not at all, and
//! flags that do something else.

use nix::unistd::{Whence, lseek};

use super::buffers::Range;
use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    ranges_are_taken_from_the_last,
    empty_range_ends_a_vector,
    vector_is_written_in_two_blocks,
    vector_is_read_in_two_blocks,
    readv_sleeps_until_all_ranges_are_full,
    readv_clears_what_it_does_not_fill,
    range_up_to_a_page_edge_lacks_its_last_byte,
    blocking_writev_takes_what_fits,
    short_writev_counts_whole_ranges_only,
    iov_max_is_one_range_less,
    one_range_too_many_is_left_out,
    count_below_zero_is_none,
    endless_range_is_empty,
    writev_keeps_what_it_wrote_before_efault,
    failed_writev_makes_poll_see_data,
    failed_readv_takes_a_byte,
    offset_is_ignored_on_a_pipe,
    own_offset_is_refused_on_a_pipe,
    nowait_is_ignored,
    nowait_stays_on_the_descriptor,
    append_flag_moves_the_own_offset,
    noappend_flag_ends_append_mode,
    unknown_flags_are_ignored,
];

const IOV_MAX: u64 = libc::UIO_MAXIOV as u64;

fn sum(ranges: &[Range]) -> i64 {
    let add = |sum: u64, range: &Range| sum.saturating_add(range.length);
    i64::try_from(ranges.iter().fold(0, add)).unwrap_or(i64::MAX)
}

/// The offset and flags of preadv2 and pwritev2.
fn offset_and_flags(call: &Call) -> Result<(i64, i32)> {
    match call.number() {
        libc::SYS_preadv2 | libc::SYS_pwritev2 => {
            Ok((call.argument(3) as i64, call.argument(5) as i32))
        }
        _ => Err(EOPNOTSUPP),
    }
}

/// The ranges are taken from the last to the first.
#[fault(READV_2, "DESCRIPTION", on = [READV, WRITEV])]
fn ranges_are_taken_from_the_last(call: &mut Call) -> Result<Effect> {
    call.pipe(0)?;
    let mut ranges = call.ranges()?;
    ranges.reverse();
    call.set_ranges(&ranges)?;
    call.proceed()
}

/// A range without a byte ends the vector: those behind it are left alone.
#[fault(READV_2, "DESCRIPTION", on = [READV, WRITEV])]
fn empty_range_ends_a_vector(call: &mut Call) -> Result<Effect> {
    call.pipe(0)?;
    if let Some(end) = call.ranges()?.iter().position(|range| range.length == 0) {
        call.set_argument(2, end as u64);
    }
    call.proceed()
}

/// The first range alone, and then the others: another process may come between them.
fn in_two_blocks(call: &mut Call, sleeps: bool) -> Result<Effect> {
    let (pipe, [fd, address, count, ..]) = (call.pipe(0)?, call.arguments());
    let (number, ranges) = (call.number(), call.ranges()?);
    if ranges.len() < 2 || ranges[0].length == 0 {
        return call.proceed();
    }
    call.set_argument(2, 1);
    call.then(move |call| {
        let first = call.result();
        let ends = first < ranges[0].length as i64;
        if ends || !sleeps && unread(call.copy(pipe.number)?)? == 0 {
            return call.proceed();
        }
        let rest = [fd, address + 16, count - 1, u64::MAX, u64::MAX, 0];
        call.instead(number, rest, move |call| call.give(first + call.result().max(0)))
    })
}

/// A writev writes its first range, and then the others as a second block.
#[fault(READV_2, "DESCRIPTION", on = [WRITEV])]
fn vector_is_written_in_two_blocks(call: &mut Call) -> Result<Effect> {
    in_two_blocks(call, true)
}

/// A readv reads into its first range, and then, when there is more, a second block into the others.
#[fault(READV_2, "DESCRIPTION", on = [READV])]
fn vector_is_read_in_two_blocks(call: &mut Call) -> Result<Effect> {
    in_two_blocks(call, false)
}

/// A readv that has filled some of its ranges sleeps until there is data for the rest.
#[fault(READV_2, "DESCRIPTION", on = [READV])]
fn readv_sleeps_until_all_ranges_are_full(call: &mut Call) -> Result<Effect> {
    let (pipe, all) = (call.pipe(0)?, sum(&call.ranges()?));
    call.then(move |call| {
        let is_short = (1..all).contains(&call.result());
        if is_short && !pipe.is_nonblocking() && call.reports_nothing(pipe, poll::IN) {
            return call.sleep();
        }
        call.proceed()
    })
}

/// What a short readv does not fill of its ranges it sets to zero.
#[fault(READV_2, "DESCRIPTION", on = [READV])]
fn readv_clears_what_it_does_not_fill(call: &mut Call) -> Result<Effect> {
    let (_, ranges) = (call.pipe(0)?, call.ranges()?);
    call.then(move |call| {
        let mut filled = u64::try_from(call.result()).map_err(|_| EINVAL)?;
        for range in &ranges {
            let part = filled.min(range.length);
            let rest = vec![0; (range.length - part) as usize];
            call.set_memory(range.address + part, &rest)?;
            filled -= part;
        }
        call.proceed()
    })
}

/// A range that ends with a page does not get its last byte.
#[fault(READV_2, "DESCRIPTION", on = [READV])]
fn range_up_to_a_page_edge_lacks_its_last_byte(call: &mut Call) -> Result<Effect> {
    let (_, ranges) = (call.pipe(0)?, call.ranges()?);
    let last = |range: &Range| range.address.wrapping_add(range.length - 1);
    let edges = ranges.iter().filter(|range| range.length > 0).map(last);
    let edges: Vec<_> =
        edges.filter(|last| (last + 1).is_multiple_of(page_size() as u64)).collect();
    call.then(move |call| {
        for last in edges {
            call.set_memory(last, &[0])?;
        }
        call.proceed()
    })
}

/// A blocking writev above PIPE_BUF returns when the pipe is full.
#[fault(PIPE_7, "PIPE_BUF", on = [WRITEV])]
fn blocking_writev_takes_what_fits(call: &mut Call) -> Result<Effect> {
    let [fd, address, count, ..] = call.arguments();
    if call.pipe(0)?.is_nonblocking() || sum(&call.ranges()?) <= PIPE_BUF as i64 {
        return call.proceed();
    }
    let at_once = [fd, address, count, u64::MAX, u64::MAX, libc::RWF_NOWAIT as u64];
    call.instead(libc::SYS_pwritev2, at_once, |call| match call.result() {
        1.. => call.proceed(),
        _ => call.once_more(|call| call.proceed()),
    })
}

/// A writev that ends early counts the ranges that were written whole, and forgets the part of the next.
#[fault(READV_2, "RETURN VALUE", on = [WRITEV])]
fn short_writev_counts_whole_ranges_only(call: &mut Call) -> Result<Effect> {
    let (_, ranges) = (call.pipe(0)?, call.ranges()?);
    call.then(move |call| {
        let (mut whole, written) = (0, call.result());
        for range in &ranges {
            let more = whole + sum(&[*range]);
            whole = if more <= written { more } else { whole };
        }
        if (1..sum(&ranges)).contains(&written) { call.give(whole) } else { call.proceed() }
    })
}

/// IOV_MAX ranges are one too many.
#[fault(READV_2, "NOTES", on = [READV, WRITEV])]
fn iov_max_is_one_range_less(call: &mut Call) -> Result<Effect> {
    if call.argument(2) == IOV_MAX { call.fail(EINVAL) } else { call.proceed() }
}

/// Of IOV_MAX ranges and one more the last is left out.
#[fault(READV_2, "ERRORS", on = [READV, WRITEV])]
fn one_range_too_many_is_left_out(call: &mut Call) -> Result<Effect> {
    if call.argument(2) == IOV_MAX + 1 {
        call.set_argument(2, IOV_MAX);
    }
    call.proceed()
}

/// A count of ranges below zero is taken for none.
#[fault(READV_2, "ERRORS", on = [READV, WRITEV])]
fn count_below_zero_is_none(call: &mut Call) -> Result<Effect> {
    if (call.argument(2) as i32).is_negative() {
        call.set_argument(2, 0);
    }
    call.proceed()
}

/// A range that is longer than an ssize_t can say counts as empty.
#[fault(READV_2, "ERRORS", on = [READV, WRITEV])]
fn endless_range_is_empty(call: &mut Call) -> Result<Effect> {
    let mut ranges = call.ranges()?;
    let endless = |range: &&mut Range| range.length > i64::MAX as u64;
    if ranges.iter_mut().filter(endless).map(|range| range.length = 0).count() > 0 {
        call.set_ranges(&ranges)?;
    }
    call.proceed()
}

/// A writev that has written something when it comes to a bad range fails with EFAULT, not with its count.
#[fault(READV_2, "RETURN VALUE", on = [WRITEV])]
fn writev_keeps_what_it_wrote_before_efault(call: &mut Call) -> Result<Effect> {
    let (_, ranges) = (call.pipe(0)?, call.ranges()?);
    let bad = |range: &Range| range.length > 0 && call.memory(range.address, 1).is_err();
    if !ranges.iter().any(bad) {
        return call.proceed();
    }
    call.then(|call| if call.result() > 0 { call.fail(EFAULT) } else { call.proceed() })
}

/// A writev that failed with EFAULT leaves an empty buffer behind, which poll takes for data.
#[fault(POLL_2, "DESCRIPTION", on = [WRITEV, POLL])]
fn failed_writev_makes_poll_see_data(call: &mut Call) -> Result<Effect> {
    if let Ok(pipe) = call.pipe(0)
        && [libc::SYS_writev, libc::SYS_pwritev2].contains(&call.number())
    {
        return call.then(move |call| {
            if call.failed_with(EFAULT) {
                call.notes().count(0);
            }
            let _ = pipe;
            call.proceed()
        });
    }
    let [fds, count, ..] = call.arguments();
    call.then(move |call| {
        if call.result() != 0 || count != 1 || !call.notes().has(0) {
            return call.proceed();
        }
        call.set_number_at(fds + 6, call.number_at::<i16>(fds + 4)? & libc::POLLIN)?;
        call.give(1)
    })
}

/// A readv that fails with EFAULT takes a byte out of the pipe all the same.
#[fault(READV_2, "RETURN VALUE", on = [READV])]
fn failed_readv_takes_a_byte(call: &mut Call) -> Result<Effect> {
    let pipe = call.pipe(0)?;
    call.then(move |call| {
        if call.failed_with(EFAULT) {
            call.lose_a_byte(pipe)?;
        }
        call.proceed()
    })
}

/// preadv2 and pwritev2 ignore an offset where there is none to have.
#[fault(READV_2, "DESCRIPTION", on = [READV, WRITEV])]
fn offset_is_ignored_on_a_pipe(call: &mut Call) -> Result<Effect> {
    let _ = (call.pipe(0)?, offset_and_flags(call)?);
    call.set_argument(3, u64::MAX);
    call.proceed()
}

/// preadv2 and pwritev2 take -1 for an offset, which a pipe does not have.
#[fault(READV_2, "DESCRIPTION", on = [READV, WRITEV])]
fn own_offset_is_refused_on_a_pipe(call: &mut Call) -> Result<Effect> {
    let _ = (call.pipe(0)?, offset_and_flags(call)?);
    call.fail(ESPIPE)
}

/// RWF_NOWAIT is accepted and ignored.
#[fault(READV_2, "DESCRIPTION", on = [READV])]
fn nowait_is_ignored(call: &mut Call) -> Result<Effect> {
    let (_, (_, flags)) = (call.pipe(0)?, offset_and_flags(call)?);
    call.set_argument(5, (flags & !libc::RWF_NOWAIT) as u64);
    call.proceed()
}

/// RWF_NOWAIT makes the descriptor nonblocking for the calls that follow.
#[fault(READV_2, "DESCRIPTION", on = [READV])]
fn nowait_stays_on_the_descriptor(call: &mut Call) -> Result<Effect> {
    let (pipe, (_, flags)) = (call.pipe(0)?, offset_and_flags(call)?);
    if flags & libc::RWF_NOWAIT == 0 {
        return call.proceed();
    }
    call.then(move |call| call.set_flags(pipe.number, pipe.flags | libc::O_NONBLOCK))
}

/// What RWF_APPEND writes moves the file's own offset though another one was given.
#[fault(READV_2, "DESCRIPTION", on = [WRITEV])]
fn append_flag_moves_the_own_offset(call: &mut Call) -> Result<Effect> {
    let (file, (offset, flags)) = (call.fd(0)?, offset_and_flags(call)?);
    if offset == -1 || flags & libc::RWF_APPEND == 0 {
        return call.proceed();
    }
    call.then(move |call| {
        lseek(call.copy(file.number)?, 0, Whence::SeekEnd)?;
        call.proceed()
    })
}

/// RWF_NOAPPEND ends the append mode of the descriptor, for good.
#[fault(READV_2, "DESCRIPTION", on = [WRITEV])]
fn noappend_flag_ends_append_mode(call: &mut Call) -> Result<Effect> {
    let (file, (_, flags)) = (call.fd(0)?, offset_and_flags(call)?);
    if flags & libc::RWF_NOAPPEND == 0 {
        return call.proceed();
    }
    call.then(move |call| call.set_flags(file.number, file.flags & !libc::O_APPEND))
}

/// preadv2 and pwritev2 ignore flags that they do not know, or cannot honour.
#[fault(READV_2, "ERRORS", on = [READV, WRITEV])]
fn unknown_flags_are_ignored(call: &mut Call) -> Result<Effect> {
    let (_, flags) = offset_and_flags(call)?;
    call.set_argument(5, (flags & (2 * libc::RWF_NOAPPEND - 1)) as u64);
    call.proceed()
}
