//! Mappings: shared and private, their ends, their places.

use libc::{
    MAP_ANONYMOUS, MAP_DENYWRITE, MAP_EXECUTABLE, MAP_FILE, MAP_FIXED, MAP_FIXED_NOREPLACE,
    MAP_LOCKED, MAP_POPULATE, MAP_PRIVATE, MAP_SHARED, MAP_SHARED_VALIDATE, MAP_STACK, MAP_SYNC,
    MREMAP_DONTUNMAP, MREMAP_FIXED, MREMAP_MAYMOVE, MS_ASYNC, MS_INVALIDATE, MS_SYNC, PROT_NONE,
    PROT_READ, SIGBUS, SIGSEGV, off_t,
};
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use nix::sys::uio::{pread, pwrite};
use nix::unistd::ftruncate;

use crate::prelude::*;
use crate::sys::memory::{Memory, READ_WRITE, page_size};
use crate::sys::shm::memory_file;

/// The cases of this module.
pub const CASES: &[Case] = &[
    private_memory_is_each_process_s_own,
    shared_memory_is_one_for_parent_and_child,
    shared_file_mapping_and_file_are_one,
    private_file_mapping_never_reaches_the_file,
    mapping_begins_at_its_offset,
    bytes_behind_the_end_of_the_file_stay_out_of_it,
    page_beyond_the_file_is_sigbus,
    refused_access_is_sigsegv,
    unmapped_middle_is_sigsegv_and_its_neighbours_stay,
    occupied_hint_leads_elsewhere,
    fixed_mapping_replaces_what_was_there,
    noreplace_mapping_spares_what_was_there,
    unknown_flag_is_refused_when_validated,
    obsolete_flags_are_ignored,
    populated_mapping_is_resident_at_once,
    mapping_needs_a_descriptor_opened_for_it,
    mapping_without_room_grows_only_if_it_may_move,
    mapping_moved_by_mremap_stays_shared,
    mapping_left_in_place_is_empty,
    shared_mapping_moves_and_is_left_in_place,
    mappings_move_together_with_the_gap_between_them,
    private_mapping_is_limited_by_rlimit_data,
    length_zero_is_refused,
    mapping_neither_shared_nor_private_is_refused,
    unaligned_offset_is_refused,
    mapping_of_no_file_is_refused,
    address_beyond_the_processor_is_refused,
    pipe_is_not_mapped,
    sync_is_refused_for_a_memory_file,
    locked_mapping_beyond_the_limit_is_refused,
    new_size_of_zero_is_refused,
    unmapped_range_is_not_moved,
    sync_of_both_kinds_is_refused,
    sync_across_a_hole_is_refused,
    invalidating_locked_memory_is_refused,
];

/// The signal, if any, that ends a process which does this.
fn signal_of(deed: impl FnOnce()) -> Verdict<Option<i32>> {
    let doer = Child::spawn(|| {
        deed();
        Ok(())
    })?;
    doer.wait().map(End::signal)
}

/// After a fork one address leads to memory of each process's own: what one stores there the other never sees.
#[case(FORK_2, "DESCRIPTION", settles = ["A18"])]
fn private_memory_is_each_process_s_own() -> Verdict {
    let memory = Memory::anonymous(page_size(), MAP_PRIVATE)?;
    memory.set(0, 1);
    let [child_stored, parent_stored] = [Latch::new()?, Latch::new()?];
    let child = Child::spawn(|| {
        check!(memory.get(0) == 1);
        memory.set(0, 2);
        child_stored.open();
        parent_stored.wait()?;
        check!(memory.get(0) == 2);
        check!(memory.get(1) == 0);
        Ok(())
    })?;
    child.reaches(child_stored)?;
    check!(memory.get(0) == 1);
    memory.set(0, 3);
    memory.set(1, 3);
    parent_stored.open();
    child.join()?;
    check!(memory.get(0) == 3);
    Ok(())
}

/// A shared mapping without a file is zero at first and one memory for a parent and the child it forks later.
#[case(MMAP_2, "The flags argument", settles = ["A19", "mmap.2 MAP_ANONYMOUS"])]
fn shared_memory_is_one_for_parent_and_child() -> Verdict {
    let shared = Memory::anonymous(2 * page_size(), MAP_SHARED)?;
    check!(shared.is_zero());
    shared.set(0, 1);
    Child::spawn(|| {
        check!(shared.get(0) == 1);
        shared.set(page_size(), 2);
        Ok(())
    })?
    .join()?;
    check!(shared.get(page_size()) == 2);
    Ok(())
}

/// A store into a shared file mapping is read from the file and seen in another mapping, and a write to the file is seen in both.
#[case(MMAP_2, "The flags argument", settles = ["mmap.2 MAP_SHARED"])]
fn shared_file_mapping_and_file_are_one() -> Verdict {
    let file = memory_file(page_size())?;
    let shared = Memory::shared(&file, page_size())?;
    Child::spawn(|| {
        let other = Memory::shared(&file, page_size())?;
        other.set(0, b'a');
        check!(pwrite(&file, b"b", 1) == Ok(1));
        check!(other.get(1) == b'b');
        Ok(())
    })?
    .join()?;
    check!((shared.get(0), shared.get(1)) == (b'a', b'b'));
    let mut bytes = [0; 2];
    check!(pread(&file, &mut bytes, 0) == Ok(2));
    check!(bytes == *b"ab");
    Ok(())
}

/// A store into a private file mapping reaches neither the file nor another mapping of it.
#[case(MMAP_2, "The flags argument", settles = ["A18", "mmap.2 MAP_PRIVATE"])]
fn private_file_mapping_never_reaches_the_file() -> Verdict {
    let file = memory_file(page_size())?;
    pwrite(&file, b"old", 0)?;
    let shared = Memory::shared(&file, page_size())?;
    let private = Memory::map(0, page_size(), READ_WRITE, MAP_PRIVATE, Some(file.as_fd()), 0)?;
    check!(private.get(0) == b'o');
    private.set(0, b'n');
    check!(private.get(0) == b'n');
    check!(shared.get(0) == b'o');
    let mut bytes = [0; 3];
    check!(pread(&file, &mut bytes, 0) == Ok(3));
    check!(bytes == *b"old");
    Ok(())
}

/// A file is mapped from the offset on, shared as well as private.
#[case(MMAP_2, "DESCRIPTION")]
fn mapping_begins_at_its_offset() -> Verdict {
    let (page, file) = (page_size(), memory_file(3 * page_size())?);
    pwrite(&file, b"1", page as off_t)?;
    pwrite(&file, b"2", 2 * page as off_t)?;
    for kind in [MAP_SHARED, MAP_PRIVATE] {
        let map = Memory::map(0, 2 * page, READ_WRITE, kind, Some(file.as_fd()), page as off_t)?;
        check!((map.get(0), map.get(page)) == (b'1', b'2'), "kind {kind}");
    }
    Ok(())
}

/// The rest of the page in which a file ends is zero when mapped, and a store there leaves the file as long as it was.
#[case(MMAP_2, "NOTES")]
fn bytes_behind_the_end_of_the_file_stay_out_of_it() -> Verdict {
    let file = memory_file(0)?;
    pwrite(&file, b"end", 0)?;
    let shared = Memory::shared(&file, page_size())?;
    check!(shared.part(3..page_size()).is_zero());
    shared.set(3, b'x');
    let mut bytes = [0; 8];
    check!(pread(&file, &mut bytes, 0) == Ok(3));
    Ok(())
}

/// A page that lies wholly behind the end of the file can be mapped, and is answered with SIGBUS when touched.
#[case(MMAP_2, "ERRORS")]
fn page_beyond_the_file_is_sigbus() -> Verdict {
    let file = memory_file(2 * page_size())?;
    let shared = Memory::shared(&file, 2 * page_size())?;
    shared.set(page_size(), 1);
    ftruncate(&file, 1)?;
    check!(signal_of(|| shared.touch(page_size() - 1))? == None);
    check!(signal_of(|| shared.touch(page_size()))? == Some(SIGBUS));
    Ok(())
}

/// A page is not stored to without PROT_WRITE, and not even loaded from with PROT_NONE: SIGSEGV.
#[case(MMAP_2, "DESCRIPTION", settles = ["mmap.2 PROT_NONE", "mmap.2 PROT_READ", "mmap.2 PROT_WRITE"])]
fn refused_access_is_sigsegv() -> Verdict {
    let map =
        |protection| Memory::map(0, page_size(), protection, MAP_SHARED | MAP_ANONYMOUS, None, 0);
    for (protection, may_load, may_store) in
        [(READ_WRITE, true, true), (PROT_READ, true, false), (PROT_NONE, false, false)]
    {
        let memory = map(protection)?;
        let (no_load, no_store) = ((!may_load).then_some(SIGSEGV), (!may_store).then_some(SIGSEGV));
        check!(signal_of(|| memory.touch(0))? == no_load, "protection {protection}");
        check!(signal_of(|| memory.set(0, 1))? == no_store, "protection {protection}");
    }
    Ok(())
}

/// munmap of a page in the middle takes that page alone, also when it has been taken before.
#[case(MMAP_2, "munmap()")]
fn unmapped_middle_is_sigsegv_and_its_neighbours_stay() -> Verdict {
    let memory = Memory::anonymous(3 * page_size(), MAP_SHARED)?;
    memory.set(0, 1);
    memory.set(2 * page_size(), 2);
    let middle = memory.part(page_size()..page_size() + 1);
    check!(middle.unmap() == Ok(()));
    check!(middle.unmap() == Ok(()));
    check!(memory.get(0) == 1);
    check!(memory.get(2 * page_size()) == 2);
    check!(signal_of(|| memory.touch(2 * page_size() - 1))? == Some(SIGSEGV));
    Ok(())
}

/// Without MAP_FIXED an address is a hint: where it is taken the mapping comes to lie somewhere else and harms nothing.
#[case(MMAP_2, "DESCRIPTION")]
fn occupied_hint_leads_elsewhere() -> Verdict {
    let old = Memory::anonymous(2 * page_size(), MAP_PRIVATE)?;
    old.set(page_size(), 1);
    let flags = MAP_PRIVATE | MAP_ANONYMOUS;
    let new = Memory::map(old.address, old.length, READ_WRITE, flags, None, 0)?;
    check!(new.address.abs_diff(old.address) >= old.length);
    check!(old.get(page_size()) == 1);
    check!(new.is_zero());
    Ok(())
}

/// MAP_FIXED puts a mapping at its very address and discards what overlaps, and nothing else.
#[case(MMAP_2, "The flags argument", settles = ["mmap.2 MAP_FIXED"])]
fn fixed_mapping_replaces_what_was_there() -> Verdict {
    let old = Memory::anonymous(3 * page_size(), MAP_PRIVATE)?;
    for page in 0..3 {
        old.set(page * page_size(), 1);
    }
    let middle = old.part(page_size()..2 * page_size());
    let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    check!(Memory::map(middle.address, middle.length, READ_WRITE, flags, None, 0) == Ok(middle));
    check!(middle.is_zero());
    check!((old.get(0), old.get(2 * page_size())) == (1, 1));
    Ok(())
}

/// MAP_FIXED_NOREPLACE puts a mapping at its very address, or refuses where a single page is taken and leaves it alone.
#[case(MMAP_2, "The flags argument", settles = ["mmap.2 MAP_FIXED_NOREPLACE", "mmap.2 EEXIST"])]
fn noreplace_mapping_spares_what_was_there() -> Verdict {
    let old = Memory::anonymous(3 * page_size(), MAP_PRIVATE)?;
    old.set(2 * page_size(), 1);
    let free = old.part(0..2 * page_size());
    free.unmap()?;
    let map = |length| {
        Memory::map(
            old.address,
            length,
            READ_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
            None,
            0,
        )
    };
    check!(map(old.length) == Err(EEXIST));
    check!(old.get(2 * page_size()) == 1);
    check!(map(free.length) == Ok(free));
    check!(free.is_zero());
    Ok(())
}

/// A flag that the kernel does not know is ignored with MAP_SHARED and refused with MAP_SHARED_VALIDATE.
#[case(MMAP_2, "The flags argument", settles = ["mmap.2 MAP_SHARED_VALIDATE"])]
fn unknown_flag_is_refused_when_validated() -> Verdict {
    const UNKNOWN: i32 = 1 << 24;
    let file = memory_file(page_size())?;
    let map = |flags| Memory::map(0, 1, PROT_READ, flags, Some(file.as_fd()), 0).map(drop);
    check!(map(MAP_SHARED | UNKNOWN) == Ok(()));
    check!(map(MAP_SHARED_VALIDATE | UNKNOWN) == Err(EOPNOTSUPP));
    check!(map(MAP_SHARED_VALIDATE) == Ok(()));
    Ok(())
}

/// MAP_DENYWRITE, MAP_EXECUTABLE, MAP_FILE and MAP_STACK change nothing.
#[case(MMAP_2, "The flags argument", settles = ["mmap.2 MAP_DENYWRITE", "mmap.2 MAP_EXECUTABLE", "mmap.2 MAP_FILE", "mmap.2 MAP_STACK"])]
fn obsolete_flags_are_ignored() -> Verdict {
    let file = memory_file(page_size())?;
    for flag in [MAP_DENYWRITE, MAP_EXECUTABLE, MAP_FILE, MAP_STACK] {
        let map =
            |kind| Memory::map(0, page_size(), READ_WRITE, kind | flag, Some(file.as_fd()), 0);
        let (shared, private) = (map(MAP_SHARED)?, map(MAP_PRIVATE)?);
        check!(pwrite(&file, &[flag.count_ones() as u8], 0) == Ok(1), "flag {flag:#x}");
        check!(shared.get(0) == flag.count_ones() as u8, "flag {flag:#x}");
        private.set(0, 7);
        check!(shared.get(0) != 7, "flag {flag:#x}");
    }
    Ok(())
}

/// With MAP_POPULATE every page is resident before it is touched.
#[case(MMAP_2, "The flags argument", settles = ["mmap.2 MAP_POPULATE"])]
fn populated_mapping_is_resident_at_once() -> Verdict {
    for kind in [MAP_SHARED, MAP_PRIVATE] {
        let populated = Memory::anonymous(4 * page_size(), kind | MAP_POPULATE)?;
        check!(populated.resident() == Ok(vec![true; 4]));
        check!(populated.is_zero());
    }
    Ok(())
}

/// A file is mapped only if its descriptor was opened for reading, and shared for writing only if for both.
#[case(MMAP_2, "ERRORS", settles = ["mmap.2 EACCES"])]
fn mapping_needs_a_descriptor_opened_for_it() -> Verdict {
    std::fs::write("file", [7])?;
    let open = |flags| nix::fcntl::open("file", flags, nix::sys::stat::Mode::empty());
    let (reader, writer) = (open(OFlag::O_RDONLY)?, open(OFlag::O_WRONLY)?);
    let map = |file: &OwnedFd, protection, flags| {
        Memory::map(0, 1, protection, flags, Some(file.as_fd()), 0).map(drop)
    };
    check!(map(&writer, PROT_READ, MAP_PRIVATE) == Err(EACCES));
    check!(map(&reader, READ_WRITE, MAP_SHARED) == Err(EACCES));
    check!(map(&reader, PROT_READ, MAP_SHARED) == Ok(()));
    check!(map(&reader, READ_WRITE, MAP_PRIVATE) == Ok(()));
    Ok(())
}

/// Without room to grow a mapping stays as it is, or moves with MREMAP_MAYMOVE and takes its pages along.
#[case(MREMAP_2, "DESCRIPTION", settles = ["mremap.2 MREMAP_MAYMOVE", "mremap.2 ENOMEM"])]
fn mapping_without_room_grows_only_if_it_may_move() -> Verdict {
    let both = Memory::anonymous(2 * page_size(), MAP_PRIVATE)?;
    let (small, neighbour) = (both.part(0..page_size()), both.part(page_size()..both.length));
    neighbour.protect(PROT_READ)?;
    small.set(1, 1);
    check!(small.remap(2 * page_size(), 0, 0) == Err(ENOMEM));
    check!(small.get(1) == 1);

    let large = small.remap(2 * page_size(), MREMAP_MAYMOVE, 0)?;
    check!(large.get(1) == 1);
    large.set(page_size(), 2);
    check!(neighbour.is_zero());
    check!(signal_of(|| small.touch(1))? == Some(SIGSEGV));
    Ok(())
}

/// MREMAP_FIXED moves a mapping over whatever lies at the new address, and who shares it goes on sharing.
#[case(MREMAP_2, "DESCRIPTION", settles = ["mremap.2 MREMAP_FIXED"])]
fn mapping_moved_by_mremap_stays_shared() -> Verdict {
    let old = Memory::anonymous(page_size(), MAP_SHARED)?;
    let place = Memory::anonymous(page_size(), MAP_PRIVATE)?;
    place.set(0, 9);
    let [moved, stored] = [Latch::new()?, Latch::new()?];
    let peer = Child::spawn(|| {
        moved.wait()?;
        old.set(0, 1);
        stored.open();
        Ok(())
    })?;
    check!(old.remap(page_size(), MREMAP_MAYMOVE | MREMAP_FIXED, place.address) == Ok(place));
    check!(place.get(0) == 0);
    moved.open();
    peer.reaches(stored)?;
    check!(place.get(0) == 1);
    check!(signal_of(|| old.touch(0))? == Some(SIGSEGV));
    peer.join()
}

const DONT_UNMAP: Facility = Facility {
    name: "MREMAP_DONTUNMAP",
    probe: || {
        let page = Memory::anonymous(page_size(), MAP_PRIVATE)?;
        page.remap(page_size(), MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0).map(drop)
    },
};

/// MREMAP_DONTUNMAP moves the pages away and leaves zeroes at the old address.
#[case(MREMAP_2, "DESCRIPTION", settles = ["mremap.2 MREMAP_DONTUNMAP"], needs = [Need::Facility(DONT_UNMAP)])]
fn mapping_left_in_place_is_empty() -> Verdict {
    let old = Memory::anonymous(page_size(), MAP_PRIVATE)?;
    old.set(0, 1);
    let new = old.remap(page_size(), MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0)?;
    check!(new.address != old.address);
    check!(new.get(0) == 1);
    check!(old.is_zero());
    old.set(0, 2);
    check!(new.get(0) == 1);
    Ok(())
}

const DONT_UNMAP_SHARED: Facility = Facility {
    name: "MREMAP_DONTUNMAP of shared mappings",
    probe: || {
        let page = Memory::anonymous(page_size(), MAP_SHARED)?;
        page.remap(page_size(), MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0).map(drop)
    },
};

/// With MREMAP_DONTUNMAP a shared mapping is at the new address what it was, for all who share it, and the old one stays.
#[case(MREMAP_2, "DESCRIPTION", needs = [Need::Facility(DONT_UNMAP_SHARED)])]
fn shared_mapping_moves_and_is_left_in_place() -> Verdict {
    let old = Memory::anonymous(page_size(), MAP_SHARED)?;
    old.set(0, 1);
    let [moved, stored] = [Latch::new()?, Latch::new()?];
    let peer = Child::spawn(|| {
        moved.wait()?;
        old.set(1, 2);
        stored.open();
        Ok(())
    })?;
    let new = old.remap(page_size(), MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0)?;
    check!(new.address != old.address);
    moved.open();
    peer.reaches(stored)?;
    check!((new.get(0), new.get(1)) == (1, 2));
    check!(signal_of(|| old.touch(0))? == None);
    peer.join()
}

const MOVES_SEVERAL: Facility = Facility {
    name: "mremap of several mappings",
    probe: || {
        let (old, place) = (two_mappings()?, Memory::free(3 * page_size())?);
        old.remap(old.length, MREMAP_MAYMOVE | MREMAP_FIXED, place.address).map(drop)
    },
};

/// Three pages of addresses, of which the first and the last are mapped.
fn two_mappings() -> nix::Result<Memory> {
    let all = Memory::anonymous(3 * page_size(), MAP_SHARED)?;
    all.part(page_size()..2 * page_size()).unmap()?;
    Ok(all)
}

/// With MREMAP_FIXED and the same size several mappings move at once, and keep the gap between them.
#[case(MREMAP_2, "DESCRIPTION", needs = [Need::Facility(MOVES_SEVERAL)])]
fn mappings_move_together_with_the_gap_between_them() -> Verdict {
    let (old, place) = (two_mappings()?, Memory::free(3 * page_size())?);
    let last = 2 * page_size();
    old.set(0, 1);
    old.set(last, 2);
    check!(old.remap(old.length, MREMAP_MAYMOVE | MREMAP_FIXED, place.address) == Ok(place));
    check!((place.get(0), place.get(last)) == (1, 2));
    for gone in [old.part(0..1), old.part(last..last + 1), place.part(page_size()..last)] {
        check!(signal_of(|| gone.touch(0))? == Some(SIGSEGV), "at {:#x}", gone.address);
    }
    Ok(())
}

/// RLIMIT_DATA refuses a private writable mapping beyond it, and counts no shared one.
#[case(MMAP_2, "ERRORS", settles = ["mmap.2 ENOMEM 3"])]
fn private_mapping_is_limited_by_rlimit_data() -> Verdict {
    const LIMIT: usize = 64 << 20;
    setrlimit(Resource::RLIMIT_DATA, LIMIT as rlim_t, LIMIT as rlim_t)?;
    check!(Memory::anonymous(LIMIT, MAP_PRIVATE) == Err(ENOMEM));
    check!(Memory::anonymous(LIMIT, MAP_SHARED).map(drop) == Ok(()));
    Ok(())
}

refusals! {
    MMAP_2, "ERRORS";

    /// A mapping has at least one byte.
    ["mmap.2 EINVAL 2"] length_zero_is_refused => EINVAL: Memory::anonymous(0, MAP_PRIVATE);

    /// A mapping is either shared or private.
    ["mmap.2 EINVAL 3"] mapping_neither_shared_nor_private_is_refused => EINVAL: Memory::anonymous(1, 0);

    /// An offset into the file is that of a page.
    ["mmap.2 EINVAL 1"] unaligned_offset_is_refused => EINVAL: {
        let file = memory_file(2 * page_size())?;
        Memory::map(0, 1, PROT_READ, MAP_SHARED, Some(file.as_fd()), 1)
    };

    /// A file mapping has a file.
    ["mmap.2 EBADF"] mapping_of_no_file_is_refused => EBADF: Memory::map(0, 1, PROT_READ, MAP_SHARED, None, 0);

    /// No mapping lies beyond the address space.
    ["mmap.2 ENOMEM 4"] address_beyond_the_processor_is_refused => ENOMEM: {
        let highest = usize::MAX - page_size() + 1;
        Memory::map(highest, page_size(), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, None, 0)
    };

    /// A pipe has no memory to map.
    ["mmap.2 ENODEV"] pipe_is_not_mapped => ENODEV: Memory::map(0, 1, PROT_READ, MAP_SHARED, Some(pipe()?.0.as_fd()), 0);
}

refusals! {
    MMAP_2, "The flags argument";

    /// MAP_SYNC is only for files that lie in persistent memory.
    ["mmap.2 MAP_SYNC"] sync_is_refused_for_a_memory_file => EOPNOTSUPP: {
        let file = memory_file(page_size())?;
        Memory::map(0, 1, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC, Some(file.as_fd()), 0)
    };
}

refusals! {
    MMAP_2, "ERRORS", needs = [Need::Unprivileged];

    /// Without privilege no more is locked into memory than RLIMIT_MEMLOCK says.
    ["mmap.2 EAGAIN"] locked_mapping_beyond_the_limit_is_refused => EAGAIN: {
        let (_, hard) = getrlimit(Resource::RLIMIT_MEMLOCK)?;
        setrlimit(Resource::RLIMIT_MEMLOCK, hard.min(page_size() as rlim_t), hard)?;
        Memory::anonymous(2 * page_size(), MAP_PRIVATE | MAP_LOCKED)
    };
}

refusals! {
    MREMAP_2, "ERRORS";

    /// Nothing is left of a mapping of no bytes.
    ["mremap.2 EINVAL"] new_size_of_zero_is_refused => EINVAL: Memory::anonymous(1, MAP_PRIVATE)?.remap(0, MREMAP_MAYMOVE, 0);

    /// Where nothing is mapped there is nothing to move.
    ["mremap.2 EFAULT"] unmapped_range_is_not_moved => EFAULT: Memory::free(page_size())?.remap(2 * page_size(), MREMAP_MAYMOVE, 0);
}

refusals! {
    MSYNC_2, "ERRORS";

    /// Writing back is either waited for or not.
    ["msync.2 EINVAL"] sync_of_both_kinds_is_refused => EINVAL: Memory::anonymous(1, MAP_SHARED)?.sync(MS_SYNC | MS_ASYNC);

    /// All of the range has to be mapped.
    ["msync.2 ENOMEM"] sync_across_a_hole_is_refused => ENOMEM: {
        let memory = Memory::anonymous(3 * page_size(), MAP_SHARED)?;
        memory.part(page_size()..2 * page_size()).unmap()?;
        memory.sync(MS_SYNC)
    };

    /// What is locked into memory cannot be invalidated.
    ["msync.2 EBUSY"] invalidating_locked_memory_is_refused => EBUSY: {
        let memory = Memory::shared(&memory_file(page_size())?, page_size())?;
        memory.lock()?;
        memory.sync(MS_SYNC | MS_INVALIDATE)
    };
}
