//! Wrong mappings: shared or not, zero or not, there or not.

use std::os::fd::AsFd;

use libc::{
    MAP_ANONYMOUS, MAP_FIXED, MAP_FIXED_NOREPLACE, MAP_POPULATE, MAP_PRIVATE, MAP_SHARED,
    MAP_SHARED_VALIDATE, MAP_STACK, MREMAP_DONTUNMAP, MREMAP_FIXED, MREMAP_MAYMOVE, PROT_NONE,
    PROT_READ, PROT_WRITE,
};
use nix::sys::stat::fstat;
use nix::unistd::ftruncate;

use super::view::whole_pages;
use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    private_page_is_shared_with_children,
    shared_memory_is_copied_by_a_fork,
    shared_file_mapping_is_private,
    private_file_mapping_reaches_the_file,
    offset_is_ignored,
    hint_is_an_order,
    mapping_goes_with_its_descriptor,
    bytes_behind_the_end_are_not_zero,
    mapping_lengthens_the_file,
    page_beyond_the_file_is_memory,
    readonly_memory_is_writable,
    memory_without_access_is_readable,
    munmap_leaves_a_page_in_part,
    munmap_needs_something_to_unmap,
    fixed_mapping_keeps_the_old_pages,
    noreplace_looks_at_the_first_page,
    noreplace_is_a_hint,
    validated_flags_are_not_looked_at,
    shared_mapping_validates_its_flags,
    stack_has_no_file,
    private_mapping_is_not_populated,
    refused_shared_mapping_becomes_private,
    private_mapping_needs_leave_to_write,
    data_limit_counts_shared_memory_alone,
    mmap_refuses_nothing,
    mapping_moves_without_leave,
    grown_mapping_leaves_its_pages,
    moved_mapping_stays_where_it_was,
    moved_mapping_is_shared_no_more,
    mapping_left_in_place_keeps_its_bytes,
    mremap_refuses_nothing,
    mprotect_opens_what_the_file_does_not,
    msync_refuses_nothing,
];

/// Where the protection of a mmap stands.
const PROTECTION: usize = 2;
/// Where the flags of a mmap and of a mremap stand.
const FLAGS: usize = 3;

fn flags(call: &Call) -> i32 {
    call.argument(FLAGS) as i32
}

fn set_flags(call: &mut Call, flags: i32) {
    call.set_argument(FLAGS, flags as u64);
}

/// A mmap without a file.
fn is_anonymous(call: &Call) -> bool {
    flags(call) & MAP_ANONYMOUS != 0
}

fn is_shared(call: &Call) -> bool {
    flags(call) & MAP_SHARED != 0
}

/// A mmap happens; if it is refused with `errno`, it happens again with other flags.
fn on_refusal(call: &Call, errno: Errno, flags: i32) -> Result<Effect> {
    let mut arguments = call.arguments();
    arguments[FLAGS] = flags as u64;
    call.then(move |call| {
        if call.result() != -(errno as i64) {
            return call.proceed();
        }
        call.instead(libc::SYS_mmap, arguments, |call| call.proceed())
    })
}

/// A private page without a file is the same page for a parent and its children.
#[fault(FORK_2, "DESCRIPTION", on = [MMAP])]
fn private_page_is_shared_with_children(call: &mut Call) -> Result<Effect> {
    let is_it = flags(call) == MAP_PRIVATE | MAP_ANONYMOUS;
    if is_it && call.argument(1) == page_size() as u64 {
        set_flags(call, MAP_SHARED | MAP_ANONYMOUS);
    }
    call.proceed()
}

/// Shared memory without a file is copied by a fork, as private memory is.
#[fault(MMAP_2, "The flags argument", on = [MMAP])]
fn shared_memory_is_copied_by_a_fork(call: &mut Call) -> Result<Effect> {
    if is_anonymous(call) && is_shared(call) {
        set_flags(call, flags(call) & !MAP_SHARED | MAP_PRIVATE);
    }
    call.proceed()
}

/// A shared mapping of a file is private.
#[fault(MMAP_2, "The flags argument", on = [MMAP])]
fn shared_file_mapping_is_private(call: &mut Call) -> Result<Effect> {
    if !is_anonymous(call) && flags(call) & 0xf == MAP_SHARED {
        set_flags(call, flags(call) & !MAP_SHARED | MAP_PRIVATE);
    }
    call.proceed()
}

/// What is stored into a private mapping of a file reaches the file, where that is open for both.
#[fault(MMAP_2, "The flags argument", on = [MMAP])]
fn private_file_mapping_reaches_the_file(call: &mut Call) -> Result<Effect> {
    let is_open = call.fd(4)?.flags & libc::O_ACCMODE == libc::O_RDWR;
    if is_open && !is_anonymous(call) {
        set_flags(call, flags(call) & !MAP_PRIVATE | MAP_SHARED);
    }
    call.proceed()
}

/// A private mapping begins with the file, whatever the offset.
#[fault(MMAP_2, "DESCRIPTION", on = [MMAP])]
fn offset_is_ignored(call: &mut Call) -> Result<Effect> {
    if !is_anonymous(call)
        && call.fd(4)?.flags & libc::O_ACCMODE == libc::O_RDWR
        && !is_shared(call)
    {
        call.set_argument(5, 0);
    }
    call.proceed()
}

/// A mapping is put at the address given, whatever is there.
#[fault(MMAP_2, "DESCRIPTION", on = [MMAP])]
fn hint_is_an_order(call: &mut Call) -> Result<Effect> {
    if call.argument(0) != 0 && is_anonymous(call) {
        set_flags(call, flags(call) | MAP_FIXED);
    }
    call.proceed()
}

/// A descriptor that is closed takes the shared mapping of its file along, and leaves zeroes.
#[fault(MMAP_2, "munmap()", on = [CLOSE])]
fn mapping_goes_with_its_descriptor(call: &mut Call) -> Result<Effect> {
    let file = call.fd(0)?;
    let mapped = call.mappings()?;
    let mapping = *mapped.iter().find(|m| m.inode == file.inode).ok_or(ENOENT)?;
    if file.flags & libc::O_ACCMODE != libc::O_RDWR {
        return call.proceed();
    }
    call.then(move |call| call.cover(mapping.start, mapping.length(), 0))
}

/// In the page in which a file ends, the byte behind the end is not zero.
#[fault(MMAP_2, "NOTES", on = [MMAP])]
fn bytes_behind_the_end_are_not_zero(call: &mut Call) -> Result<Effect> {
    let (size, length) = (fstat(call.copy(call.argument(4) as i32)?)?.st_size, call.argument(1));
    let is_writable = call.argument(PROTECTION) as i32 & PROT_WRITE != 0;
    let behind = size as u64 + 1;
    if !is_writable || behind > length || whole_pages(behind) != whole_pages(size as u64) {
        return call.proceed();
    }
    call.then(move |call| {
        call.set_memory(call.result() as u64 + size as u64, b"x")?;
        call.proceed()
    })
}

/// A file that is mapped for writing grows to whole pages.
#[fault(MMAP_2, "NOTES", on = [MMAP])]
fn mapping_lengthens_the_file(call: &mut Call) -> Result<Effect> {
    let file = call.copy(call.argument(4) as i32)?;
    if is_shared(call) {
        let size = fstat(&file)?.st_size;
        ftruncate(file.as_fd(), whole_pages(size as u64) as i64)?;
    }
    call.proceed()
}

/// A page that ftruncate cuts off is zero for who has it mapped.
#[fault(MMAP_2, "ERRORS", on = [FTRUNCATE])]
fn page_beyond_the_file_is_memory(call: &mut Call) -> Result<Effect> {
    let (inode, end) = (call.fd(0)?.inode, whole_pages(call.argument(1)));
    call.then(move |call| {
        let mapped = call.mappings()?;
        let beyond = mapped.iter().find(|m| m.inode == inode && m.offset + m.length() > end);
        let beyond = *beyond.ok_or(ENOENT)?;
        let start = beyond.start + end.saturating_sub(beyond.offset);
        call.cover(start, beyond.end - start, 0)
    })
}

/// Changes the protection that a mmap without a file asks for.
fn change_protection(call: &mut Call, from: i32, to: i32) -> Result<Effect> {
    if is_anonymous(call) && call.argument(PROTECTION) as i32 == from {
        call.set_argument(PROTECTION, to as u64);
    }
    call.proceed()
}

/// Memory that is mapped for reading can be stored to.
#[fault(MMAP_2, "DESCRIPTION", on = [MMAP])]
fn readonly_memory_is_writable(call: &mut Call) -> Result<Effect> {
    change_protection(call, PROT_READ, PROT_READ | PROT_WRITE)
}

/// Memory that is mapped with PROT_NONE can be loaded from.
#[fault(MMAP_2, "DESCRIPTION", on = [MMAP])]
fn memory_without_access_is_readable(call: &mut Call) -> Result<Effect> {
    change_protection(call, PROT_NONE, PROT_READ)
}

/// A page of which munmap names a part stays.
#[fault(MMAP_2, "munmap()", on = [MUNMAP])]
fn munmap_leaves_a_page_in_part(call: &mut Call) -> Result<Effect> {
    let page = page_size() as u64;
    match call.argument(1) / page * page {
        0 => call.give(0),
        whole => {
            call.set_argument(1, whole);
            call.proceed()
        }
    }
}

/// munmap fails where nothing is mapped.
#[fault(MMAP_2, "munmap()", on = [MUNMAP])]
fn munmap_needs_something_to_unmap(call: &mut Call) -> Result<Effect> {
    let [start, length, ..] = call.arguments();
    let something = call.mappings()?.iter().any(|m| m.start < start + length && m.end > start);
    if something { call.proceed() } else { call.fail(EINVAL) }
}

/// MAP_FIXED leaves private memory that is there already as it is.
#[fault(MMAP_2, "The flags argument", on = [MMAP])]
fn fixed_mapping_keeps_the_old_pages(call: &mut Call) -> Result<Effect> {
    let [address, length, protection, ..] = call.arguments();
    let is_fixed = flags(call) & MAP_FIXED != 0 && is_anonymous(call);
    let old = call.mapping(address)?;
    if !is_fixed || address + length > old.end || protection as i32 != PROT_READ | PROT_WRITE {
        return call.proceed();
    }
    call.give(address as i64)
}

/// MAP_FIXED_NOREPLACE spares a mapping in whose midst it begins, and replaces what comes later.
#[fault(MMAP_2, "The flags argument", on = [MMAP])]
fn noreplace_looks_at_the_first_page(call: &mut Call) -> Result<Effect> {
    let is_taken = call.mapping(call.argument(0)).is_ok();
    let flags = flags(call);
    if is_taken || flags & MAP_FIXED_NOREPLACE == 0 {
        return call.proceed();
    }
    on_refusal(call, EEXIST, flags & !MAP_FIXED_NOREPLACE | MAP_FIXED)
}

/// MAP_FIXED_NOREPLACE maps somewhere else where the address is taken.
#[fault(MMAP_2, "The flags argument", on = [MMAP])]
fn noreplace_is_a_hint(call: &mut Call) -> Result<Effect> {
    set_flags(call, flags(call) & !MAP_FIXED_NOREPLACE);
    call.proceed()
}

/// MAP_SHARED_VALIDATE looks at no other flag.
#[fault(MMAP_2, "The flags argument", on = [MMAP])]
fn validated_flags_are_not_looked_at(call: &mut Call) -> Result<Effect> {
    let flags = flags(call);
    on_refusal(call, EOPNOTSUPP, flags & !MAP_SHARED_VALIDATE | MAP_SHARED)
}

/// MAP_SHARED refuses flags that it does not know.
#[fault(MMAP_2, "The flags argument", on = [MMAP])]
fn shared_mapping_validates_its_flags(call: &mut Call) -> Result<Effect> {
    if !is_anonymous(call) && flags(call) & MAP_SHARED_VALIDATE == MAP_SHARED {
        set_flags(call, flags(call) | MAP_SHARED_VALIDATE);
    }
    call.proceed()
}

/// MAP_STACK makes memory without a file, whatever file is given.
#[fault(MMAP_2, "The flags argument", on = [MMAP])]
fn stack_has_no_file(call: &mut Call) -> Result<Effect> {
    if flags(call) & MAP_STACK != 0 {
        set_flags(call, flags(call) | MAP_ANONYMOUS);
    }
    call.proceed()
}

/// MAP_POPULATE means nothing to a private mapping.
#[fault(MMAP_2, "The flags argument", on = [MMAP])]
fn private_mapping_is_not_populated(call: &mut Call) -> Result<Effect> {
    if !is_shared(call) {
        set_flags(call, flags(call) & !MAP_POPULATE);
    }
    call.proceed()
}

/// A shared mapping for which the file is not open is granted as a private one.
#[fault(MMAP_2, "ERRORS", on = [MMAP])]
fn refused_shared_mapping_becomes_private(call: &mut Call) -> Result<Effect> {
    let flags = flags(call);
    on_refusal(call, EACCES, flags & !MAP_SHARED_VALIDATE | MAP_PRIVATE)
}

/// A private mapping for writing needs a file that is open for writing.
#[fault(MMAP_2, "ERRORS", on = [MMAP])]
fn private_mapping_needs_leave_to_write(call: &mut Call) -> Result<Effect> {
    let is_readonly = call.fd(4)?.flags & libc::O_ACCMODE == libc::O_RDONLY;
    let writes = call.argument(PROTECTION) as i32 & PROT_WRITE != 0;
    if is_readonly && writes && !is_anonymous(call) { call.fail(EACCES) } else { call.proceed() }
}

/// RLIMIT_DATA refuses shared memory and grants private memory.
#[fault(MMAP_2, "ERRORS", on = [MMAP])]
fn data_limit_counts_shared_memory_alone(call: &mut Call) -> Result<Effect> {
    if flags(call) == MAP_PRIVATE | MAP_ANONYMOUS {
        return on_refusal(call, ENOMEM, MAP_SHARED | MAP_ANONYMOUS);
    }
    if flags(call) == MAP_SHARED | MAP_ANONYMOUS {
        set_flags(call, MAP_PRIVATE | MAP_ANONYMOUS);
        return call.then(|call| match call.result() {
            refused if refused < 0 => call.proceed(),
            _ => call.once_more(|call| call.proceed()),
        });
    }
    call.proceed()
}

/// A mapping that has to be refused is a page of no file.
#[fault(MMAP_2, "ERRORS", on = [MMAP])]
fn mmap_refuses_nothing(call: &mut Call) -> Result<Effect> {
    call.then(|call| {
        if call.result() > 0 {
            return call.proceed();
        }
        let flags = (MAP_PRIVATE | MAP_ANONYMOUS) as u64;
        let page = [0, page_size() as u64, PROT_READ as u64, flags, u64::MAX, 0];
        call.instead(libc::SYS_mmap, page, |call| call.proceed())
    })
}

/// A mremap happens; if it succeeds, this looks at the new address.
fn remapped(
    call: &Call,
    look: impl FnOnce(&mut Call, u64) -> Result<Effect> + 'static,
) -> Result<Effect> {
    call.then(move |call| match call.result() {
        at if at > 0 => look(call, at as u64),
        _ => call.proceed(),
    })
}

/// A mapping that cannot grow where it is moves without MREMAP_MAYMOVE.
#[fault(MREMAP_2, "DESCRIPTION", on = [MREMAP])]
fn mapping_moves_without_leave(call: &mut Call) -> Result<Effect> {
    set_flags(call, flags(call) | MREMAP_MAYMOVE);
    call.proceed()
}

/// A mapping that moves to grow leaves its pages behind: it is zero at the new address.
#[fault(MREMAP_2, "NOTES", on = [MREMAP])]
fn grown_mapping_leaves_its_pages(call: &mut Call) -> Result<Effect> {
    let [old, small, large, ..] = call.arguments();
    remapped(call, move |call, at| {
        if at == old || small >= large { call.proceed() } else { call.cover(at, large, at) }
    })
}

/// A mapping that MREMAP_FIXED moves is still there at its old address.
#[fault(MREMAP_2, "DESCRIPTION", on = [MREMAP])]
fn moved_mapping_stays_where_it_was(call: &mut Call) -> Result<Effect> {
    if flags(call) & MREMAP_FIXED != 0 {
        set_flags(call, flags(call) | MREMAP_DONTUNMAP);
    }
    call.proceed()
}

/// Who moves a shared mapping with MREMAP_FIXED has it no longer in common with others.
#[fault(MREMAP_2, "NOTES", on = [MREMAP])]
fn moved_mapping_is_shared_no_more(call: &mut Call) -> Result<Effect> {
    let length = call.argument(2);
    if flags(call) & MREMAP_FIXED == 0 {
        return call.proceed();
    }
    remapped(call, move |call, at| call.cover(at, length, at))
}

/// MREMAP_DONTUNMAP leaves a copy of the pages at the old address.
#[fault(MREMAP_2, "DESCRIPTION", on = [MREMAP])]
fn mapping_left_in_place_keeps_its_bytes(call: &mut Call) -> Result<Effect> {
    let [old, length, ..] = call.arguments();
    if flags(call) & MREMAP_DONTUNMAP == 0 {
        return call.proceed();
    }
    remapped(call, move |call, at| {
        let bytes = call.memory(at, length as usize)?;
        call.set_memory(old, &bytes)?;
        call.proceed()
    })
}

/// A mremap that has to be refused does nothing and says that all is well.
#[fault(MREMAP_2, "ERRORS", on = [MREMAP])]
fn mremap_refuses_nothing(call: &mut Call) -> Result<Effect> {
    let old = call.argument(0) as i64;
    call.then(move |call| if call.result() > 0 { call.proceed() } else { call.give(old) })
}

/// mprotect says that all is well where the file is not open for it.
#[fault(MPROTECT_2, "ERRORS", on = [MPROTECT])]
fn mprotect_opens_what_the_file_does_not(call: &mut Call) -> Result<Effect> {
    call.then(|call| match call.result() {
        refused if refused == -(EACCES as i64) => call.give(0),
        _ => call.proceed(),
    })
}

/// msync says that all is well whatever it is asked.
#[fault(MSYNC_2, "ERRORS", on = [MSYNC])]
fn msync_refuses_nothing(call: &mut Call) -> Result<Effect> {
    call.then(|call| call.give(0))
}
