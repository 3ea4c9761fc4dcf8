//! Wrong memory files and seals.

use ipcspec_cases::sys::shm::seals;
use libc::{
    F_ADD_SEALS, F_DUPFD_CLOEXEC, F_GET_SEALS, F_SEAL_FUTURE_WRITE, F_SEAL_GROW, F_SEAL_SEAL,
    F_SEAL_SHRINK, F_SEAL_WRITE, MAP_SHARED, MFD_ALLOW_SEALING, MFD_CLOEXEC, MFD_HUGETLB,
};
use nix::sys::stat::fstat;

use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    new_secret_file_has_a_page,
    secret_memory_is_memory_like_any_other,
    memory_file_is_always_closed_on_exec,
    file_of_the_same_name_is_the_same_file,
    long_name_loses_its_beginning,
    name_has_248_bytes,
    unknown_flags_are_ignored,
    file_can_be_sealed_without_leave,
    huge_file_has_small_pages,
    new_memory_file_has_a_byte,
    write_seal_is_shown_and_not_kept,
    write_seal_spares_the_file_itself,
    write_seal_refuses_every_shared_mapping,
    write_seal_asks_for_mappings_of_the_caller_alone,
    refused_seals_are_added_in_part,
    future_write_seal_spares_new_mappings,
    future_write_seal_waits_for_writable_mappings,
    shrink_seal_fixes_the_size,
    grow_seal_stops_ftruncate_alone,
    write_across_a_sealed_end_tells_of_all,
    seals_do_not_hold_for_fallocate,
    grow_seal_refuses_holes,
    truncating_open_passes_the_shrink_seal,
    seal_belongs_to_its_descriptor,
    seals_are_added_without_leave_to_write,
    sealed_set_takes_a_seal_that_it_has,
    seal_of_seals_fixes_the_contents_too,
    execute_seal_implies_no_other,
    execute_seal_spares_the_mode,
    every_file_takes_seals,
];

const F_SEAL_EXEC: i32 = 0x20;

/// The seals that this fcntl adds; else the fault has nothing to do here.
fn added(call: &Call) -> Result<i32> {
    let adds = call.number() == libc::SYS_fcntl && call.argument(1) as i32 == F_ADD_SEALS;
    if adds { Ok(call.argument(2) as i32) } else { Err(ENOENT) }
}

/// Whether this fcntl asks for the seals.
fn asks(call: &Call) -> bool {
    call.number() == libc::SYS_fcntl && call.argument(1) as i32 == F_GET_SEALS
}

/// The seals of the file behind this argument.
fn sealed(call: &Call, index: usize) -> Result<i32> {
    seals(&call.copy(call.argument(index) as i32)?).map(|seals| seals.bits())
}

/// A memory file is closed on exec, asked or not.
#[fault(MEMFD_CREATE_2, "DESCRIPTION", on = [MEMFD_CREATE])]
fn memory_file_is_always_closed_on_exec(call: &mut Call) -> Result<Effect> {
    call.set_argument(1, call.argument(1) | u64::from(MFD_CLOEXEC));
    call.proceed()
}

/// A memory file of a name that the process has used is the one that it made then.
#[fault(MEMFD_CREATE_2, "DESCRIPTION", on = [MEMFD_CREATE])]
fn file_of_the_same_name_is_the_same_file(call: &mut Call) -> Result<Effect> {
    let name = call.text(call.argument(0))?;
    let key = Notes::key(&name);
    let first = *call.notes().of(key);
    if let Some(first) = first
        && call.descriptor(first as i32).is_ok()
    {
        let copy = [first as u64, F_DUPFD_CLOEXEC as u64, 0, 0, 0, 0];
        return call.instead(libc::SYS_fcntl, copy, |call| call.proceed());
    }
    call.then(move |call| {
        *call.notes().of(key) = Some(call.result());
        call.proceed()
    })
}

/// A name that is too long loses what it has too much of.
#[fault(MEMFD_CREATE_2, "ERRORS", on = [MEMFD_CREATE])]
fn long_name_loses_its_beginning(call: &mut Call) -> Result<Effect> {
    let much = call.text(call.argument(0))?.len().saturating_sub(249);
    call.set_argument(0, call.argument(0) + much as u64);
    call.proceed()
}

/// The terminating null byte counts among the 249 of a name.
#[fault(MEMFD_CREATE_2, "ERRORS", on = [MEMFD_CREATE])]
fn name_has_248_bytes(call: &mut Call) -> Result<Effect> {
    let length = call.text(call.argument(0))?.len();
    if length > 248 { call.fail(EINVAL) } else { call.proceed() }
}

/// Flags that memfd_create does not know are ignored.
#[fault(MEMFD_CREATE_2, "ERRORS", on = [MEMFD_CREATE])]
fn unknown_flags_are_ignored(call: &mut Call) -> Result<Effect> {
    call.set_argument(1, call.argument(1) & 0xfc00_001f);
    call.proceed()
}

/// Every memory file can be sealed.
#[fault(MEMFD_CREATE_2, "DESCRIPTION", on = [MEMFD_CREATE])]
fn file_can_be_sealed_without_leave(call: &mut Call) -> Result<Effect> {
    call.set_argument(1, call.argument(1) | u64::from(MFD_ALLOW_SEALING));
    call.proceed()
}

/// MFD_HUGETLB is ignored.
#[fault(MEMFD_CREATE_2, "DESCRIPTION", on = [MEMFD_CREATE])]
fn huge_file_has_small_pages(call: &mut Call) -> Result<Effect> {
    call.set_argument(1, call.argument(1) & !u64::from(MFD_HUGETLB));
    call.proceed()
}

/// A new memory file has a byte in it.
#[fault(MEMFD_CREATE_2, "DESCRIPTION", on = [MEMFD_CREATE])]
fn new_memory_file_has_a_byte(call: &mut Call) -> Result<Effect> {
    call.then(|call| {
        let file = call.result();
        let to_one = [file as u64, 1, 0, 0, 0, 0];
        match file {
            0.. => call.instead(libc::SYS_ftruncate, to_one, move |call| call.give(file)),
            _ => call.proceed(),
        }
    })
}

/// These seals are noted and shown and not set.
fn shown_only(call: &mut Call, which: i32) -> Result<Effect> {
    let inode = call.fd(0)?.inode;
    if asks(call) {
        let shown = call.notes().of(inode).unwrap_or(0);
        return call.then(move |call| match call.result() {
            0.. => call.give(call.result() | shown),
            _ => call.proceed(),
        });
    }
    let seals = added(call)?;
    call.set_argument(2, (seals & !which) as u64);
    call.then(move |call| {
        if call.result() == 0 && seals & which != 0 {
            *call.notes().of(inode) = Some(i64::from(which));
        }
        call.proceed()
    })
}

/// F_SEAL_WRITE is shown and refuses nothing.
#[fault(F_ADD_SEALS_2CONST, "DESCRIPTION", on = [FCNTL])]
fn write_seal_is_shown_and_not_kept(call: &mut Call) -> Result<Effect> {
    shown_only(call, F_SEAL_WRITE)
}

/// A write to a file that has F_SEAL_WRITE goes nowhere, and the writer is told that all went well.
#[fault(F_ADD_SEALS_2CONST, "DESCRIPTION", on = [WRITE, PWRITE])]
fn write_seal_spares_the_file_itself(call: &mut Call) -> Result<Effect> {
    let length = call.argument(2);
    if sealed(call, 0)? & F_SEAL_WRITE != 0 { call.give(length) } else { call.proceed() }
}

/// A file that has F_SEAL_WRITE is not mapped shared, for reading neither.
#[fault(F_ADD_SEALS_2CONST, "DESCRIPTION", on = [MMAP])]
fn write_seal_refuses_every_shared_mapping(call: &mut Call) -> Result<Effect> {
    let is_shared = call.argument(3) as i32 & MAP_SHARED != 0;
    let is_sealed = sealed(call, 4)? & F_SEAL_WRITE != 0;
    if is_shared && is_sealed { call.fail(EPERM) } else { call.proceed() }
}

/// F_SEAL_WRITE waits for writable mappings of the caller, and not of others.
#[fault(F_ADD_SEALS_2CONST, "DESCRIPTION", on = [FCNTL])]
fn write_seal_asks_for_mappings_of_the_caller_alone(call: &mut Call) -> Result<Effect> {
    added(call)?;
    let inode = call.fd(0)?.inode;
    call.then(move |call| {
        let is_mapped = call.mappings()?.iter().any(|mapping| mapping.inode == inode);
        let is_busy = call.result() == -(EBUSY as i64);
        if is_busy && !is_mapped { call.give(0) } else { call.proceed() }
    })
}

/// When F_SEAL_WRITE is refused the other seals of the call are added all the same.
#[fault(F_ADD_SEALS_2CONST, "DESCRIPTION", on = [FCNTL])]
fn refused_seals_are_added_in_part(call: &mut Call) -> Result<Effect> {
    let others = added(call)? & !F_SEAL_WRITE;
    let arguments = [call.argument(0), F_ADD_SEALS as u64, others as u64, 0, 0, 0];
    call.then(move |call| {
        if call.result() != -(EBUSY as i64) {
            return call.proceed();
        }
        call.instead(libc::SYS_fcntl, arguments, |call| call.fail(EBUSY))
    })
}

/// F_SEAL_FUTURE_WRITE refuses writes, and no mapping.
#[fault(F_ADD_SEALS_2CONST, "DESCRIPTION", on = [FCNTL, WRITE, PWRITE])]
fn future_write_seal_spares_new_mappings(call: &mut Call) -> Result<Effect> {
    let inode = call.fd(0)?.inode;
    if call.number() != libc::SYS_fcntl && call.notes().has(inode) {
        return call.fail(EPERM);
    }
    shown_only(call, F_SEAL_FUTURE_WRITE)
}

/// F_SEAL_FUTURE_WRITE is refused while there is a writable mapping, as F_SEAL_WRITE is.
#[fault(F_ADD_SEALS_2CONST, "DESCRIPTION", on = [FCNTL])]
fn future_write_seal_waits_for_writable_mappings(call: &mut Call) -> Result<Effect> {
    let inode = call.fd(0)?.inode;
    let is_mapped = call.mappings()?.iter().any(|mapping| mapping.inode == inode);
    let is_it = added(call)? & F_SEAL_FUTURE_WRITE != 0;
    if is_it && is_mapped { call.fail(EBUSY) } else { call.proceed() }
}

/// F_SEAL_SHRINK refuses to grow a file as well.
#[fault(F_ADD_SEALS_2CONST, "DESCRIPTION", on = [FTRUNCATE])]
fn shrink_seal_fixes_the_size(call: &mut Call) -> Result<Effect> {
    let same = fstat(call.copy(call.argument(0) as i32)?)?.st_size == call.argument(1) as i64;
    let is_sealed = sealed(call, 0)? & F_SEAL_SHRINK != 0;
    if is_sealed && !same { call.fail(EPERM) } else { call.proceed() }
}

/// With F_SEAL_GROW a write behind the end goes nowhere, and the writer is told that all went well.
#[fault(F_ADD_SEALS_2CONST, "DESCRIPTION", on = [PWRITE])]
fn grow_seal_stops_ftruncate_alone(call: &mut Call) -> Result<Effect> {
    let length = call.argument(2);
    let is_sealed = sealed(call, 0)? & F_SEAL_GROW != 0;
    call.then(move |call| match call.result() {
        refused if is_sealed && refused == -(EPERM as i64) => call.give(length),
        _ => call.proceed(),
    })
}

/// A write that F_SEAL_GROW cuts short is told as done.
#[fault(WRITE_2, "RETURN VALUE", on = [PWRITE])]
fn write_across_a_sealed_end_tells_of_all(call: &mut Call) -> Result<Effect> {
    let length = call.argument(2);
    let is_sealed = sealed(call, 0)? & F_SEAL_GROW != 0;
    call.then(move |call| match call.result() {
        1.. if is_sealed => call.give(length),
        _ => call.proceed(),
    })
}

/// fallocate says that all is well where a seal forbids it.
#[fault(F_ADD_SEALS_2CONST, "DESCRIPTION", on = [FALLOCATE])]
fn seals_do_not_hold_for_fallocate(call: &mut Call) -> Result<Effect> {
    call.then(|call| match call.result() {
        refused if refused == -(EPERM as i64) => call.give(0),
        _ => call.proceed(),
    })
}

/// F_SEAL_GROW refuses to punch holes too.
#[fault(F_ADD_SEALS_2CONST, "DESCRIPTION", on = [FALLOCATE])]
fn grow_seal_refuses_holes(call: &mut Call) -> Result<Effect> {
    let punches = call.argument(1) as i32 & libc::FALLOC_FL_PUNCH_HOLE != 0;
    let is_sealed = sealed(call, 0)? & F_SEAL_GROW != 0;
    if punches && is_sealed { call.fail(EPERM) } else { call.proceed() }
}

/// O_TRUNC opens a file that has F_SEAL_SHRINK and does not shorten it.
#[fault(F_ADD_SEALS_2CONST, "DESCRIPTION", on = [OPEN])]
fn truncating_open_passes_the_shrink_seal(call: &mut Call) -> Result<Effect> {
    let mut arguments = call.arguments();
    arguments[2] &= !(libc::O_TRUNC as u64);
    call.then(move |call| match call.result() {
        refused if refused == -(EPERM as i64) => {
            call.instead(libc::SYS_openat, arguments, |call| call.proceed())
        }
        _ => call.proceed(),
    })
}

/// Seals show through the descriptor by which they were added, and through no other.
#[fault(F_ADD_SEALS_2CONST, "DESCRIPTION", on = [FCNTL])]
fn seal_belongs_to_its_descriptor(call: &mut Call) -> Result<Effect> {
    let fd = call.fd(0)?;
    let descriptor = fd.inode << 32 | (fd.flags as u64 & 3) << 16 | fd.number as u64;
    if asks(call) {
        let is_its = call.notes().has(descriptor) || sealed(call, 0)? & F_SEAL_SEAL != 0;
        return if is_its { call.proceed() } else { call.give(0) };
    }
    added(call)?;
    call.then(move |call| {
        if call.result() == 0 {
            call.notes().count(descriptor);
        }
        call.proceed()
    })
}

/// A descriptor that is not open for writing adds seals, and they are forgotten.
#[fault(F_ADD_SEALS_2CONST, "DESCRIPTION", on = [FCNTL])]
fn seals_are_added_without_leave_to_write(call: &mut Call) -> Result<Effect> {
    added(call)?;
    let is_readonly = call.fd(0)?.flags & libc::O_ACCMODE == libc::O_RDONLY;
    if is_readonly { call.give(0) } else { call.proceed() }
}

/// A set that is sealed takes a seal that it has.
#[fault(F_ADD_SEALS_2CONST, "DESCRIPTION", on = [FCNTL])]
fn sealed_set_takes_a_seal_that_it_has(call: &mut Call) -> Result<Effect> {
    let (wanted, has) = (added(call)?, sealed(call, 0)?);
    if has & F_SEAL_SEAL != 0 && wanted & !has == 0 { call.give(0) } else { call.proceed() }
}

/// A memory file that has F_SEAL_SEAL is not written to.
#[fault(F_ADD_SEALS_2CONST, "DESCRIPTION", on = [WRITE])]
fn seal_of_seals_fixes_the_contents_too(call: &mut Call) -> Result<Effect> {
    let is_sealed = sealed(call, 0)? & F_SEAL_SEAL != 0;
    let is_it = is_sealed && call.path(0)?.starts_with("/memfd:");
    if is_it { call.fail(EPERM) } else { call.proceed() }
}

/// F_SEAL_EXEC is set without the seals that it implies.
#[fault(F_ADD_SEALS_2CONST, "DESCRIPTION", on = [FCNTL])]
fn execute_seal_implies_no_other(call: &mut Call) -> Result<Effect> {
    if !asks(call) {
        return call.proceed();
    }
    call.then(|call| match call.result() {
        all if all > 0 && all as i32 & F_SEAL_EXEC != 0 => call.give(F_SEAL_EXEC),
        _ => call.proceed(),
    })
}

/// The mode of a file that has F_SEAL_EXEC can be asked to change, and does not.
#[fault(F_ADD_SEALS_2CONST, "DESCRIPTION", on = [FCHMOD])]
fn execute_seal_spares_the_mode(call: &mut Call) -> Result<Effect> {
    let is_sealed = sealed(call, 0)? & F_SEAL_EXEC != 0;
    if is_sealed { call.give(0) } else { call.proceed() }
}

/// Every file takes all seals that there are and are not, and has none.
#[fault(F_ADD_SEALS_2CONST, "ERRORS", on = [FCNTL])]
fn every_file_takes_seals(call: &mut Call) -> Result<Effect> {
    if added(call).is_err() && !asks(call) {
        return call.proceed();
    }
    call.then(|call| match call.result() {
        refused if refused == -(EINVAL as i64) => call.give(0),
        _ => call.proceed(),
    })
}

/// A new file of secret memory has a page.
#[fault(MEMFD_SECRET_2, "DESCRIPTION", on = [SECRET_FILE])]
fn new_secret_file_has_a_page(call: &mut Call) -> Result<Effect> {
    call.then(|call| {
        let fd = call.result();
        if fd < 0 {
            return call.proceed();
        }
        let arguments = [fd as u64, page_size() as u64, 0, 0, 0, 0];
        call.instead(libc::SYS_ftruncate, arguments, move |call| call.give(fd))
    })
}

/// memfd_secret gives memory that everybody may look at who may look at the process.
#[fault(MEMFD_SECRET_2, "DESCRIPTION", on = [SECRET_FILE])]
fn secret_memory_is_memory_like_any_other(call: &mut Call) -> Result<Effect> {
    let name = call.scratch(b"secret\0")?;
    call.instead(libc::SYS_memfd_create, [name, 0, 0, 0, 0, 0], |call| call.proceed())
}
