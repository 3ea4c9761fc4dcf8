//! Wrong sets of select.

use ipcspec_cases::sys::poll::{ERR, HUP, IN};

use super::view::Set::{Exceptions, Reads, Writes};
use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    sets_stay_when_nothing_is_ready,
    failed_select_clears_the_sets,
    descriptor_counts_once_for_all_sets,
    end_of_file_is_not_readable,
    lost_reader_is_not_writable,
    exceptional_condition_is_readable_too,
    file_at_its_end_is_not_readable,
    nonblocking_descriptor_is_always_there,
    last_descriptor_is_not_looked_at,
    descriptors_to_the_end_of_the_word_are_looked_at,
    whole_fd_set_is_read,
    descriptors_from_1024_on_are_not_looked_at,
    closed_descriptor_is_not_there,
    negative_count_of_descriptors_is_none,
    one_process_alone_is_selected,
    data_ends_a_select_that_did_not_ask,
    select_of_nothing_returns_at_once,
];

/// A select with nothing to tell leaves the sets as it found them.
#[fault(SELECT_2, "Arguments", on = [SELECT])]
fn sets_stay_when_nothing_is_ready(call: &mut Call) -> Result<Effect> {
    let asked = call.selected();
    call.then(move |call| {
        if call.result() == 0 {
            call.set_selected(&asked)?;
        }
        call.proceed()
    })
}

/// A select that fails leaves the sets empty.
#[fault(SELECT_2, "RETURN VALUE", on = [SELECT])]
fn failed_select_clears_the_sets(call: &mut Call) -> Result<Effect> {
    call.then_always(|call| {
        if call.result() < 0 && call.set_selected(&[]).is_err() {
            return call.proceed();
        }
        call.proceed()
    })
}

/// A descriptor is counted once, in however many sets it is left.
#[fault(SELECT_2, "RETURN VALUE", on = [SELECT])]
fn descriptor_counts_once_for_all_sets(call: &mut Call) -> Result<Effect> {
    call.then(|call| {
        let mut fds: Vec<_> = call.selected().iter().map(|member| member.fd).collect();
        fds.sort_unstable();
        fds.dedup();
        if call.result() > 0 { call.give(fds.len() as i64) } else { call.proceed() }
    })
}

/// The read end of a pipe at its end of file is not ready for reading.
#[fault(SELECT_2, "Arguments", on = [SELECT])]
fn end_of_file_is_not_readable(call: &mut Call) -> Result<Effect> {
    call.select_tells(|call, member| {
        let told = poll::now(call.copy(member.fd)?, IN)?;
        member.told &= member.set != Reads || told != HUP;
        Ok(())
    })
}

/// A write end that lost its reader is not ready for writing.
#[fault(SELECT_2, "Correspondence between select() and poll() notifications", on = [SELECT])]
fn lost_reader_is_not_writable(call: &mut Call) -> Result<Effect> {
    call.select_tells(|call, member| {
        let told = poll::now(call.copy(member.fd)?, IN)?;
        member.told &= member.set != Writes || !told.contains(ERR);
        Ok(())
    })
}

/// What has an exceptional condition is told in the set of the readable, not in the third.
#[fault(SELECT_2, "Arguments", on = [SELECT])]
fn exceptional_condition_is_readable_too(call: &mut Call) -> Result<Effect> {
    call.select_tells(|call, member| {
        let told = poll::now(call.copy(member.fd)?, poll::PRI)?.contains(poll::PRI);
        member.told |= told && member.set == Reads;
        member.told &= member.set != Exceptions;
        Ok(())
    })
}

/// A file of which nothing is left to read is not ready for reading.
#[fault(POLL_2, "DESCRIPTION", on = [SELECT])]
fn file_at_its_end_is_not_readable(call: &mut Call) -> Result<Effect> {
    call.select_tells(|call, member| {
        let file = call.descriptor(member.fd)?.kind == Kind::File;
        member.told &= member.set != Reads || !file || unread(call.copy(member.fd)?)? > 0;
        Ok(())
    })
}

/// A nonblocking end of a pipe is told as ready, since no call on it blocks.
#[fault(SELECT_2, "NOTES", on = [SELECT])]
fn nonblocking_descriptor_is_always_there(call: &mut Call) -> Result<Effect> {
    call.select_tells(|call, member| {
        let fd = call.descriptor(member.fd)?;
        let own = if fd.is_write_end() { Writes } else { Reads };
        member.told |= fd.is_pipe() && fd.is_nonblocking() && member.set == own;
        Ok(())
    })
}

/// The number of descriptors is taken for that of the last.
#[fault(SELECT_2, "Arguments", on = [SELECT])]
fn last_descriptor_is_not_looked_at(call: &mut Call) -> Result<Effect> {
    call.set_argument(0, u64::from((call.argument(0) as u32).saturating_sub(1)));
    call.proceed()
}

/// The sets are looked at to the end of a word, past the number of descriptors.
#[fault(SELECT_2, "Arguments", on = [SELECT])]
fn descriptors_to_the_end_of_the_word_are_looked_at(call: &mut Call) -> Result<Effect> {
    let nfds = call.argument(0) as i32;
    if nfds > 0 {
        call.set_argument(0, (nfds as u64).next_multiple_of(64));
    }
    call.proceed()
}

/// The kernel reads an fd_set of the C library's size, however few descriptors there are.
#[fault(SELECT_2, "C library/kernel differences", on = [SELECT])]
fn whole_fd_set_is_read(call: &mut Call) -> Result<Effect> {
    for set in (1..4).map(|index| call.argument(index)).filter(|set| *set != 0) {
        if call.memory(set, 128).is_err() {
            return call.fail(EFAULT);
        }
    }
    call.proceed()
}

/// A set has no more than 1024 bits for the kernel either.
#[fault(SELECT_2, "C library/kernel differences", on = [SELECT])]
fn descriptors_from_1024_on_are_not_looked_at(call: &mut Call) -> Result<Effect> {
    let nfds = call.argument(0) as i32;
    call.set_argument(0, nfds.min(1024) as u64);
    call.proceed()
}

/// A descriptor that is not open is one that is not ready.
#[fault(SELECT_2, "ERRORS", on = [SELECT])]
fn closed_descriptor_is_not_there(call: &mut Call) -> Result<Effect> {
    call.then(|call| if call.result() == -(EBADF as i64) { call.give(0) } else { call.proceed() })
}

/// A negative number of descriptors is taken for none.
#[fault(SELECT_2, "ERRORS", on = [SELECT])]
fn negative_count_of_descriptors_is_none(call: &mut Call) -> Result<Effect> {
    call.set_argument(0, (call.argument(0) as i32).max(0) as u64);
    call.proceed()
}

/// Of all processes that sleep for one object only the first is woken.
#[fault(SELECT_2, "Arguments", on = [SELECT])]
fn one_process_alone_is_selected(call: &mut Call) -> Result<Effect> {
    if !call.may_sleep() {
        return call.proceed();
    }
    call.select_tells(|call, member| {
        let inode = call.descriptor(member.fd)?.inode;
        let me = i64::from(call.process().as_raw());
        member.told &= !member.told || *call.notes().of(inode).get_or_insert(me) == me;
        Ok(())
    })
}

/// A select that watches for an exceptional condition is ended by data, and tells of nothing.
#[fault(SELECT_2, "Arguments", on = [SELECT])]
fn data_ends_a_select_that_did_not_ask(call: &mut Call) -> Result<Effect> {
    let asked = call.selected();
    let writes = asked.iter().any(|member| member.set == Writes);
    if !call.may_sleep() || writes || !asked.iter().any(|member| member.set == Exceptions) {
        return call.proceed();
    }
    let [nfds, _, _, exceptions, time, mask] = call.arguments();
    call.instead(call.number(), [nfds, exceptions, 0, 0, time, mask], |call| {
        if call.result() > 0 { call.give(0) } else { call.proceed() }
    })
}

/// A select without any descriptor does not sleep.
#[fault(SELECT_2, "Emulating usleep(3)", on = [SELECT])]
fn select_of_nothing_returns_at_once(call: &mut Call) -> Result<Effect> {
    if call.argument(0) == 0 { call.give(0) } else { call.proceed() }
}
