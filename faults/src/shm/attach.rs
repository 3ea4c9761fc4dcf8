//! Wrong attaches: where, to what, for whom, and how often they count.

use libc::{
    MADV_DONTFORK, MADV_POPULATE_WRITE, MADV_REMOVE, MREMAP_MAYMOVE, SHM_EXEC, SHM_RDONLY,
    SHM_REMAP, SHM_RND,
};

use super::view::{ATTACHES, LAST};
use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    other_processes_attach_memory_of_their_own,
    second_attach_is_other_memory,
    attached_memory_is_each_process_s_own,
    second_attach_gives_the_first,
    child_does_not_inherit_attaches,
    attach_touches_every_page,
    readonly_attach_is_writable,
    attach_that_may_not_write_becomes_readonly,
    permission_to_execute_is_not_asked,
    who_has_attached_may_attach_again,
    shmat_refuses_nothing,
    rnd_rounds_up,
    unaligned_address_is_rounded_without_rnd,
    address_is_a_hint,
    remap_is_implied,
    remap_takes_a_page_too_many,
    remap_without_an_address_is_ignored,
    detach_inside_a_segment_takes_it_all,
    detach_takes_the_first_part_only,
    shmdt_refuses_nothing,
    last_detach_empties_the_segment,
    second_attach_of_a_process_does_not_count,
    exit_leaves_the_count,
    exec_leaves_the_count,
    detach_leaves_the_pid,
    end_of_a_process_leaves_the_pid,
];

/// Where the flags of a shmat stand.
const FLAGS: usize = 2;

fn has_flag(call: &Call, flag: i32) -> bool {
    call.argument(FLAGS) as i32 & flag != 0
}

/// A shmat happens; if it attaches, this looks at the address.
fn attached(
    call: &Call,
    look: impl FnOnce(&mut Call, u64) -> Result<Effect> + 'static,
) -> Result<Effect> {
    call.then(move |call| match call.result() {
        at if at > 0 => look(call, at as u64),
        _ => call.proceed(),
    })
}

/// The process that attaches a segment first has it; every other gets memory of its own.
#[fault(SYSVIPC_7, "Shared memory segments", on = [SHMAT])]
fn other_processes_attach_memory_of_their_own(call: &mut Call) -> Result<Effect> {
    let (segment, me) = (call.argument(0), i64::from(call.process().as_raw()));
    attached(call, move |call, at| {
        let first = *call.notes().of(segment).get_or_insert(me);
        if first == me { call.proceed() } else { call.cover(at, call.mapping(at)?.length(), at) }
    })
}

/// A segment that a process attaches a second time is other memory there, zero at first.
#[fault(SHMOP_2, "shmat()", on = [SHMAT])]
fn second_attach_is_other_memory(call: &mut Call) -> Result<Effect> {
    let segment = call.argument(0);
    attached(call, move |call, at| {
        let again = call.attaches(segment)?.len() > 1;
        if again { call.cover(at, call.mapping(at)?.length(), at) } else { call.proceed() }
    })
}

/// What is attached is copied by a fork, as private memory is.
#[fault(SHMOP_2, "NOTES", on = [SHMAT])]
fn attached_memory_is_each_process_s_own(call: &mut Call) -> Result<Effect> {
    attached(call, |call, at| call.cover(at, call.mapping(at)?.length(), at))
}

/// A process that attaches a segment again gets the address where it has it.
#[fault(SHMOP_2, "shmat()", on = [SHMAT])]
fn second_attach_gives_the_first(call: &mut Call) -> Result<Effect> {
    match call.attaches(call.argument(0))?.first() {
        Some(first) if call.argument(1) == 0 => call.give(first.start),
        _ => call.proceed(),
    }
}

/// A child does not have what its parent attached.
#[fault(SHMOP_2, "NOTES", on = [SHMAT])]
fn child_does_not_inherit_attaches(call: &mut Call) -> Result<Effect> {
    attached(call, |call, at| {
        let advice = [at, call.mapping(at)?.length(), MADV_DONTFORK as u64, 0, 0, 0];
        call.instead(libc::SYS_madvise, advice, move |call| call.give(at))
    })
}

/// All pages of a segment are there as soon as it is attached.
#[fault(SHMCTL_2, "DESCRIPTION", on = [SHMAT])]
fn attach_touches_every_page(call: &mut Call) -> Result<Effect> {
    attached(call, |call, at| {
        let advice = [at, call.mapping(at)?.length(), MADV_POPULATE_WRITE as u64, 0, 0, 0];
        call.instead(libc::SYS_madvise, advice, move |call| call.give(at))
    })
}

/// SHM_RDONLY is ignored: the attach is for writing too.
#[fault(SHMOP_2, "shmat()", on = [SHMAT])]
fn readonly_attach_is_writable(call: &mut Call) -> Result<Effect> {
    call.set_argument(FLAGS, call.argument(FLAGS) & !(SHM_RDONLY as u64));
    call.proceed()
}

/// An attach for writing without permission to write is granted for reading.
#[fault(SHMOP_2, "shmat()", on = [SHMAT])]
fn attach_that_may_not_write_becomes_readonly(call: &mut Call) -> Result<Effect> {
    let mut arguments = call.arguments();
    arguments[FLAGS] |= SHM_RDONLY as u64;
    call.then(move |call| match call.result() {
        refused if refused == -(EACCES as i64) => {
            call.instead(libc::SYS_shmat, arguments, |call| call.proceed())
        }
        _ => call.proceed(),
    })
}

/// SHM_EXEC asks for no permission to execute.
#[fault(SHMOP_2, "shmat()", on = [SHMAT])]
fn permission_to_execute_is_not_asked(call: &mut Call) -> Result<Effect> {
    call.set_argument(FLAGS, call.argument(FLAGS) & !(SHM_EXEC as u64));
    call.proceed()
}

/// A process that has a segment attached may attach it again, whatever became of its mode.
#[fault(SHMOP_2, "shmat()", on = [SHMAT])]
fn who_has_attached_may_attach_again(call: &mut Call) -> Result<Effect> {
    let old = *call.attaches(call.argument(0))?.first().ok_or(ENOENT)?;
    call.then(move |call| {
        if call.result() != -(EACCES as i64) {
            return call.proceed();
        }
        // Of an old size of 0 comes one more mapping of the same pages.
        let more = [old.start, 0, old.length(), MREMAP_MAYMOVE as u64, 0, 0];
        call.instead(libc::SYS_mremap, more, |call| call.proceed())
    })
}

/// An attach that has to be refused gives a page that belongs to no segment.
#[fault(SHMOP_2, "ERRORS", on = [SHMAT])]
fn shmat_refuses_nothing(call: &mut Call) -> Result<Effect> {
    call.then(|call| {
        if call.result() > 0 {
            return call.proceed();
        }
        let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as u64;
        let page = [0, page_size() as u64, libc::PROT_READ as u64, flags, u64::MAX, 0];
        call.instead(libc::SYS_mmap, page, |call| call.proceed())
    })
}

/// SHM_RND rounds an address up, not down.
#[fault(SHMOP_2, "shmat()", on = [SHMAT])]
fn rnd_rounds_up(call: &mut Call) -> Result<Effect> {
    if has_flag(call, SHM_RND) {
        call.set_argument(1, call.argument(1).next_multiple_of(page_size() as u64));
    }
    call.proceed()
}

/// An address is rounded down without SHM_RND too.
#[fault(SHMOP_2, "ERRORS", on = [SHMAT])]
fn unaligned_address_is_rounded_without_rnd(call: &mut Call) -> Result<Effect> {
    call.set_argument(FLAGS, call.argument(FLAGS) | SHM_RND as u64);
    call.proceed()
}

/// The address is a hint: the segment is attached somewhere else.
#[fault(SHMOP_2, "shmat()", on = [SHMAT])]
fn address_is_a_hint(call: &mut Call) -> Result<Effect> {
    if !has_flag(call, SHM_REMAP) {
        call.set_argument(1, 0);
    }
    call.proceed()
}

/// An attach at an address takes the place of what is mapped there, asked or not.
#[fault(SHMOP_2, "shmat()", on = [SHMAT])]
fn remap_is_implied(call: &mut Call) -> Result<Effect> {
    if call.argument(1) != 0 {
        call.set_argument(FLAGS, call.argument(FLAGS) | SHM_REMAP as u64);
    }
    call.proceed()
}

/// SHM_REMAP replaces the page behind the segment as well.
#[fault(SHMOP_2, "shmat()", on = [SHMAT])]
fn remap_takes_a_page_too_many(call: &mut Call) -> Result<Effect> {
    if !has_flag(call, SHM_REMAP) {
        return call.proceed();
    }
    attached(call, |call, at| call.cover(call.mapping(at)?.end, page_size() as u64, at))
}

/// SHM_REMAP means nothing where no address is given.
#[fault(SHMOP_2, "ERRORS", on = [SHMAT])]
fn remap_without_an_address_is_ignored(call: &mut Call) -> Result<Effect> {
    if call.argument(1) == 0 {
        call.set_argument(FLAGS, call.argument(FLAGS) & !(SHM_REMAP as u64));
    }
    call.proceed()
}

/// Any address within a segment detaches it.
#[fault(SHMOP_2, "shmdt()", on = [SHMDT])]
fn detach_inside_a_segment_takes_it_all(call: &mut Call) -> Result<Effect> {
    call.detached()?;
    let within = call.mapping(call.argument(0))?;
    call.set_argument(0, within.start - within.offset);
    call.proceed()
}

/// Of a segment that mprotect has cut in parts, shmdt detaches the first.
#[fault(SHMOP_2, "shmdt()", on = [SHMDT])]
fn detach_takes_the_first_part_only(call: &mut Call) -> Result<Effect> {
    call.detached()?;
    let part = call.mapping(call.argument(0))?;
    if part.start != call.argument(0) || part.offset != 0 {
        return call.proceed();
    }
    let part = [part.start, part.length(), 0, 0, 0, 0];
    call.instead(libc::SYS_munmap, part, |call| call.proceed())
}

/// shmdt says that all is well where there is nothing to detach.
#[fault(SHMOP_2, "ERRORS", on = [SHMDT])]
fn shmdt_refuses_nothing(call: &mut Call) -> Result<Effect> {
    call.then(|call| call.give(0))
}

/// A segment that its last process detaches loses what is in it.
#[fault(SHMCTL_2, "DESCRIPTION", on = [SHMDT])]
fn last_detach_empties_the_segment(call: &mut Call) -> Result<Effect> {
    let (segment, part) = (call.detached()?, call.mapping(call.argument(0))?);
    if call.attaches(segment)?.len() > 1 {
        return call.proceed();
    }
    let advice = [part.start, part.length(), MADV_REMOVE as u64, 0, 0, 0];
    call.instead(libc::SYS_madvise, advice, |call| call.once_more(|call| call.proceed()))
}

/// Only the first attach of each process counts.
#[fault(SHMOP_2, "shmat()", on = [SHMCTL])]
fn second_attach_of_a_process_does_not_count(call: &mut Call) -> Result<Effect> {
    call.then_alter(ATTACHES, |call, segment, count| {
        let mine = call.attaches(segment).ok()?.len() as i64;
        Some(count - (mine - 1).max(0))
    })
}

/// Notes what the process has attached, under each segment.
fn note_attaches(call: &Call) -> Result<()> {
    for mapping in call.mappings()?.iter().filter(|m| m.is_segment) {
        call.notes().count(mapping.inode);
    }
    Ok(())
}

/// A process that exits does not lower the number of attaches.
#[fault(SHMOP_2, "NOTES", on = [EXIT_GROUP, SHMCTL])]
fn exit_leaves_the_count(call: &mut Call) -> Result<Effect> {
    if call.number() == libc::SYS_exit_group {
        note_attaches(call)?;
    }
    call.then_alter(ATTACHES, |call, segment, count| {
        Some(count + call.notes().of(segment).unwrap_or(0))
    })
}

/// A program that is executed counts for what the one before had attached.
#[fault(SHMOP_2, "NOTES", on = [EXEC, SHMCTL])]
fn exec_leaves_the_count(call: &mut Call) -> Result<Effect> {
    if [libc::SYS_execve, libc::SYS_execveat].contains(&call.number()) {
        note_attaches(call)?;
    }
    call.then_alter(ATTACHES, |call, segment, count| {
        Some(count + call.notes().of(segment).unwrap_or(0))
    })
}

/// Notes the caller of a shmat or shmdt that is done; tells who was noted.
fn tell_noted_pid(call: &mut Call) -> Result<Effect> {
    let me = i64::from(call.process().as_raw());
    let segment = match call.number() {
        libc::SYS_shmat => call.argument(0),
        libc::SYS_shmdt => call.detached()?,
        _ => {
            return call.then_status(|call, segment, status| {
                let noted = call.notes().of(segment).unwrap_or(0);
                call.set_number_at(status + LAST, noted as i32)
            });
        }
    };
    call.then(move |call| {
        if call.result() >= 0 {
            *call.notes().of(segment) = Some(me);
        }
        call.proceed()
    })
}

/// shm_lpid tells who attached last, not who detached.
#[fault(SHMOP_2, "shmdt()", on = [SHMAT, SHMCTL])]
fn detach_leaves_the_pid(call: &mut Call) -> Result<Effect> {
    tell_noted_pid(call)
}

/// A process that detaches by its end is not noted in shm_lpid.
#[fault(SHMOP_2, "NOTES", on = [SHMAT, SHMDT, SHMCTL])]
fn end_of_a_process_leaves_the_pid(call: &mut Call) -> Result<Effect> {
    tell_noted_pid(call)
}
