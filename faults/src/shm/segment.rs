//! Wrong segments: their making, their status, their limits, their end.

use libc::{
    IPC_CREAT, IPC_INFO, IPC_PRIVATE, IPC_RMID, IPC_SET, IPC_STAT, SHM_HUGETLB, SHM_LOCK,
    SHM_UNLOCK, c_int,
};

use super::view::{ATTACHED, ATTACHES, CHANGED, DETACHED, MODE, SIZE, STATUS, whole_pages};
use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    removal_of_an_attached_segment_is_forgotten,
    removal_does_not_wait_for_the_last_detach,
    removal_does_not_show,
    removed_segment_is_not_attached,
    removed_segment_keeps_its_key,
    last_detach_leaves_a_removed_segment,
    forced_removal_is_not_switched_on,
    size_is_told_in_whole_pages,
    size_has_to_match,
    size_beyond_the_segment_finds_it,
    segment_of_no_bytes_has_a_page,
    largest_segment_is_a_byte_larger,
    full_namespace_stays_full,
    huge_pages_are_for_everyone,
    status_is_longer_than_documented,
    stat_any_asks_for_permission,
    stat_by_index_gives_the_index,
    highest_index_is_the_number_of_segments,
    smallest_segment_is_told_as_zero,
    every_page_counts_as_resident,
    lock_does_not_show,
    new_mode_clears_the_marks,
    unlock_is_forgotten,
    lock_has_no_limit,
    attach_sets_the_time_of_change,
    set_leaves_the_time_of_change,
    detach_sets_the_time_of_attach_alone,
    new_segment_tells_of_an_attach,
    unknown_operation_does_nothing,
];

const SHM_DEST: i32 = 0o1000;
const SHM_LOCKED: i32 = 0o2000;
const SHM_STAT: c_int = 13;
const SHM_INFO: c_int = 14;
const SHM_STAT_ANY: c_int = 15;

/// Beside the number of a segment, in the notes: it was removed.
const REMOVED: u64 = 1 << 40;

/// IPC_RMID of a segment that is attached says that all is well and does nothing.
#[fault(SHMCTL_2, "DESCRIPTION", on = [SHMCTL])]
fn removal_of_an_attached_segment_is_forgotten(call: &mut Call) -> Result<Effect> {
    let segment = call.argument(0);
    if !call.controls(IPC_RMID) {
        return call.proceed();
    }
    let status = call.scratch(&[0; STATUS])?;
    let stat = [segment, IPC_STAT as u64, status, 0, 0, 0];
    call.instead(libc::SYS_shmctl, stat, move |call| {
        let attaches: u64 = call.number_at(status + ATTACHES)?;
        if attaches > 0 { call.give(0) } else { call.once_more(|call| call.proceed()) }
    })
}

/// Notes which segments are removed; whether the call is about one of them.
fn is_removed(call: &mut Call) -> bool {
    let segment = call.argument(0) | REMOVED;
    if call.controls(IPC_RMID) {
        return call.notes().count(segment) > 0;
    }
    call.notes().has(segment)
}

/// A removed segment is gone at once for everyone but those who have it attached.
#[fault(SHMCTL_2, "DESCRIPTION", on = [SHMCTL, SHMAT])]
fn removal_does_not_wait_for_the_last_detach(call: &mut Call) -> Result<Effect> {
    if is_removed(call) { call.fail(EINVAL) } else { call.proceed() }
}

/// A removed segment does not show SHM_DEST.
#[fault(SHMCTL_2, "DESCRIPTION", on = [SHMCTL])]
fn removal_does_not_show(call: &mut Call) -> Result<Effect> {
    clear_mode(call, SHM_DEST)
}

fn clear_mode(call: &mut Call, bit: i32) -> Result<Effect> {
    call.then_status(move |call, _, status| {
        let mode = call.number_at::<u32>(status + MODE)?;
        call.set_number_at(status + MODE, mode & !(bit as u32))
    })
}

/// A removed segment is attached by nobody any more, though it is still there.
#[fault(SHMOP_2, "NOTES", on = [SHMCTL, SHMAT])]
fn removed_segment_is_not_attached(call: &mut Call) -> Result<Effect> {
    let is_removed = is_removed(call);
    if is_removed && call.number() == libc::SYS_shmat { call.fail(EIDRM) } else { call.proceed() }
}

/// The key of a removed segment leads to it still.
#[fault(SHMGET_2, "DESCRIPTION", on = [SHMCTL, SHMGET])]
fn removed_segment_keeps_its_key(call: &mut Call) -> Result<Effect> {
    let key = call.argument(0);
    if call.number() == libc::SYS_shmctl {
        is_removed(call);
        return call.proceed();
    }
    let old = *call.notes().of(key);
    if let Some(old) = old
        && call.notes().has(old as u64 | REMOVED)
    {
        return call.give(old);
    }
    call.then(move |call| {
        if call.result() >= 0 && key != IPC_PRIVATE as u64 {
            *call.notes().of(key) = Some(call.result());
        }
        call.proceed()
    })
}

/// A removed segment is there after its last detach.
#[fault(SHMOP_2, "shmdt()", on = [SHMCTL, SHMDT])]
fn last_detach_leaves_a_removed_segment(call: &mut Call) -> Result<Effect> {
    if call.number() == libc::SYS_shmctl {
        is_removed(call);
        return call.proceed();
    }
    let segment = call.detached()?;
    let is_last = call.attaches(segment)?.len() == 1;
    if is_last && call.notes().has(segment | REMOVED) { call.give(0) } else { call.proceed() }
}

/// What is written to shm_rmid_forced has no effect.
#[fault(PROC_SYS_KERNEL_5, "DESCRIPTION", on = [WRITE])]
fn forced_removal_is_not_switched_on(call: &mut Call) -> Result<Effect> {
    let forced = call.path(0)?.ends_with("/shm_rmid_forced");
    if forced { call.give(call.argument(2)) } else { call.proceed() }
}

/// shm_segsz is what the segment takes, not what it was made for.
#[fault(SHMGET_2, "DESCRIPTION", on = [SHMCTL])]
fn size_is_told_in_whole_pages(call: &mut Call) -> Result<Effect> {
    call.then_alter(SIZE, |_, _, size| Some(whole_pages(size as u64) as i64))
}

/// A shmget with a key happens; then this looks at the size of the segment as it was made.
fn known(call: &mut Call, judge: impl FnOnce(&mut Call, u64) -> Result<Effect>) -> Result<Effect> {
    let [key, size, ..] = call.arguments();
    let made = *call.notes().of(key);
    if let Some(made) = made {
        return judge(call, made as u64);
    }
    call.then(move |call| {
        if call.result() >= 0 && key != IPC_PRIVATE as u64 {
            *call.notes().of(key) = Some(size as i64);
        }
        call.proceed()
    })
}

/// A segment is found by its very size, and not by a smaller one.
#[fault(SHMGET_2, "ERRORS", on = [SHMGET])]
fn size_has_to_match(call: &mut Call) -> Result<Effect> {
    known(call, |call, made| match call.argument(1) {
        0 => call.proceed(),
        size if size < made => call.fail(EINVAL),
        _ => call.proceed(),
    })
}

/// A segment is found by its key whatever the size.
#[fault(SHMGET_2, "ERRORS", on = [SHMGET])]
fn size_beyond_the_segment_finds_it(call: &mut Call) -> Result<Effect> {
    known(call, |call, made| {
        call.set_argument(1, call.argument(1).min(made));
        call.proceed()
    })
}

/// A segment that is made with size 0 gets a page.
#[fault(SHMGET_2, "ERRORS", on = [SHMGET])]
fn segment_of_no_bytes_has_a_page(call: &mut Call) -> Result<Effect> {
    let [_, size, flags, ..] = call.arguments();
    if size == 0 && flags as i32 & IPC_CREAT != 0 {
        call.set_argument(1, page_size() as u64);
    }
    call.proceed()
}

/// A segment may have a byte more than SHMMAX.
#[fault(SHMGET_2, "ERRORS", on = [SHMGET])]
fn largest_segment_is_a_byte_larger(call: &mut Call) -> Result<Effect> {
    let [key, size, flags, ..] = call.arguments();
    call.then(move |call| {
        if call.result() != -(EINVAL as i64) || key != IPC_PRIVATE as u64 {
            return call.proceed();
        }
        call.instead(libc::SYS_shmget, [key, size - 1, flags, 0, 0, 0], |call| call.proceed())
    })
}

/// Once there was no room for a segment, there never is.
#[fault(SHMGET_2, "ERRORS", on = [SHMGET])]
fn full_namespace_stays_full(call: &mut Call) -> Result<Effect> {
    if call.notes().has(0) {
        return call.fail(ENOSPC);
    }
    call.then(|call| {
        if call.result() == -(ENOSPC as i64) {
            call.notes().count(0);
        }
        call.proceed()
    })
}

/// Who may not have huge pages gets a segment of small ones.
#[fault(SHMGET_2, "ERRORS", on = [SHMGET])]
fn huge_pages_are_for_everyone(call: &mut Call) -> Result<Effect> {
    let [key, size, flags, ..] = call.arguments();
    call.then(move |call| {
        if call.result() != -(EPERM as i64) {
            return call.proceed();
        }
        let small = [key, size, flags & !(SHM_HUGETLB as u64), 0, 0, 0];
        call.instead(libc::SYS_shmget, small, |call| call.proceed())
    })
}

/// IPC_STAT writes a number behind the structure.
#[fault(SHMCTL_2, "ERRORS", on = [SHMCTL])]
fn status_is_longer_than_documented(call: &mut Call) -> Result<Effect> {
    let behind = call.argument(2) + STATUS as u64;
    if call.controls(IPC_STAT) && call.memory(behind, 8).is_err() {
        return call.fail(EFAULT);
    }
    call.proceed()
}

/// SHM_STAT_ANY asks for permission to read.
#[fault(SHMCTL_2, "DESCRIPTION", on = [SHMCTL])]
fn stat_any_asks_for_permission(call: &mut Call) -> Result<Effect> {
    if call.controls(SHM_STAT_ANY) {
        call.set_argument(1, SHM_STAT as u64);
    }
    call.proceed()
}

/// SHM_STAT and SHM_STAT_ANY give the index that they are asked about, not the identifier.
#[fault(SHMCTL_2, "RETURN VALUE", on = [SHMCTL])]
fn stat_by_index_gives_the_index(call: &mut Call) -> Result<Effect> {
    if !call.controls(SHM_STAT) && !call.controls(SHM_STAT_ANY) {
        return call.proceed();
    }
    let index = call.argument(0);
    call.then(move |call| if call.result() < 0 { call.proceed() } else { call.give(index) })
}

/// SHM_INFO gives the number of segments, not the highest index.
#[fault(SHMCTL_2, "RETURN VALUE", on = [SHMCTL])]
fn highest_index_is_the_number_of_segments(call: &mut Call) -> Result<Effect> {
    if !call.controls(SHM_INFO) {
        return call.proceed();
    }
    call.then(|call| {
        let segments: i32 = call.number_at(call.argument(2))?;
        call.give(segments)
    })
}

/// IPC_INFO tells 0 for the size of the smallest segment.
#[fault(SHMCTL_2, "DESCRIPTION", on = [SHMCTL])]
fn smallest_segment_is_told_as_zero(call: &mut Call) -> Result<Effect> {
    if !call.controls(IPC_INFO) {
        return call.proceed();
    }
    call.then(|call| {
        call.set_number_at(call.argument(2) + 8, 0_u64)?;
        call.proceed()
    })
}

/// SHM_INFO counts every page of a segment as resident.
#[fault(SHMCTL_2, "DESCRIPTION", on = [SHMCTL])]
fn every_page_counts_as_resident(call: &mut Call) -> Result<Effect> {
    if !call.controls(SHM_INFO) {
        return call.proceed();
    }
    call.then(|call| {
        let pages: u64 = call.number_at(call.argument(2) + 8)?;
        call.set_number_at(call.argument(2) + 16, pages)?;
        call.proceed()
    })
}

/// A locked segment does not show SHM_LOCKED.
#[fault(SHMCTL_2, "DESCRIPTION", on = [SHMCTL])]
fn lock_does_not_show(call: &mut Call) -> Result<Effect> {
    clear_mode(call, SHM_LOCKED)
}

/// IPC_SET sets the mode whole: what shows SHM_LOCKED and SHM_DEST shows them no more.
#[fault(SHMCTL_2, "DESCRIPTION", on = [SHMCTL])]
fn new_mode_clears_the_marks(call: &mut Call) -> Result<Effect> {
    let segment = call.argument(0);
    if call.controls(IPC_SET) {
        call.notes().count(segment);
    }
    let marks = if call.notes().has(segment) { SHM_DEST | SHM_LOCKED } else { 0 };
    clear_mode(call, marks)
}

/// SHM_UNLOCK says that all is well and does nothing.
#[fault(SHMCTL_2, "DESCRIPTION", on = [SHMCTL])]
fn unlock_is_forgotten(call: &mut Call) -> Result<Effect> {
    if call.controls(SHM_UNLOCK) { call.give(0) } else { call.proceed() }
}

/// SHM_LOCK says that all is well where RLIMIT_MEMLOCK forbids it.
#[fault(SHMCTL_2, "ERRORS", on = [SHMCTL])]
fn lock_has_no_limit(call: &mut Call) -> Result<Effect> {
    if call.controls(SHM_LOCK) { call.then(|call| call.give(0)) } else { call.proceed() }
}

/// An attach sets shm_ctime too.
#[fault(SHMCTL_2, "DESCRIPTION", on = [SHMCTL])]
fn attach_sets_the_time_of_change(call: &mut Call) -> Result<Effect> {
    call.then_status(|call, _, status| {
        let attached: i64 = call.number_at(status + ATTACHED)?;
        let changed: i64 = call.number_at(status + CHANGED)?;
        call.set_number_at(status + CHANGED, changed.max(attached))
    })
}

/// IPC_SET leaves shm_ctime what it was when the segment was made.
#[fault(SHMCTL_2, "DESCRIPTION", on = [SHMCTL])]
fn set_leaves_the_time_of_change(call: &mut Call) -> Result<Effect> {
    call.then_alter(CHANGED, |call, segment, time| {
        Some(*call.notes().of(segment).get_or_insert(time))
    })
}

/// A detach does not set shm_dtime.
#[fault(SHMOP_2, "shmdt()", on = [SHMCTL])]
fn detach_sets_the_time_of_attach_alone(call: &mut Call) -> Result<Effect> {
    call.then_alter(DETACHED, |_, _, _| Some(0))
}

/// The time of the last attach of a new segment is when it was made.
#[fault(SHMGET_2, "DESCRIPTION", on = [SHMCTL])]
fn new_segment_tells_of_an_attach(call: &mut Call) -> Result<Effect> {
    call.then_status(|call, _, status| {
        let changed: i64 = call.number_at(status + CHANGED)?;
        match call.number_at(status + ATTACHED)? {
            0_i64 => call.set_number_at(status + ATTACHED, changed),
            _ => Ok(()),
        }
    })
}

/// An operation that shmctl does not have does nothing.
#[fault(SHMCTL_2, "ERRORS", on = [SHMCTL])]
fn unknown_operation_does_nothing(call: &mut Call) -> Result<Effect> {
    let is_known = call.argument(1) as c_int <= SHM_STAT_ANY;
    if is_known { call.proceed() } else { call.give(0) }
}
