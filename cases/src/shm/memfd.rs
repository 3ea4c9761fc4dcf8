//! Memory files and their seals.

use std::fs::File;

use libc::{MAP_PRIVATE, MAP_SHARED, PROT_READ, off_t};
use nix::fcntl::{FallocateFlags, SealFlag, fallocate};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::stat::{Mode, fchmod, fstat};
use nix::sys::uio::{pread, pwrite};
use nix::unistd::ftruncate;

use crate::prelude::*;
use crate::sys::memory::{Memory, READ_WRITE, page_size};
use crate::sys::shm::{MEMFD_SECRET, memory_file, seal, seals, secret_file};

/// The cases of this module.
pub const CASES: &[Case] = &[
    memory_file_is_shared_by_its_descriptor,
    files_of_one_name_are_apart,
    name_has_at_most_249_bytes,
    each_seal_refuses_its_own_operation,
    seals_hold_for_open_and_fallocate,
    write_never_passes_a_sealed_end,
    write_sealed_file_is_still_mapped_for_reading,
    write_seal_waits_for_writable_mappings,
    future_write_seal_spares_the_old_mapping,
    seals_belong_to_the_inode,
    sealed_set_of_seals_stays_as_it_is,
    file_without_leave_cannot_be_sealed,
    pipe_has_no_seals,
    execute_seal_fixes_a_program,
    huge_file_can_be_sealed,
    secret_memory_is_shared_by_its_descriptor,
    secret_memory_is_hidden_from_other_processes,
    unknown_seal_is_refused,
    unknown_flag_is_refused,
    file_without_a_free_descriptor_is_refused,
];

/// `F_SEAL_EXEC`, which nix does not know.
const F_SEAL_EXEC: SealFlag = SealFlag::from_bits_retain(0x20);

const EXECUTE_SEAL: Facility = Facility {
    name: "F_SEAL_EXEC",
    probe: || seal(&memfd_create("probe", MFdFlags::MFD_ALLOW_SEALING)?, F_SEAL_EXEC),
};

/// A new memory file is empty and for reading and writing, and a child that inherits its descriptor shares its memory.
#[case(MEMFD_CREATE_2, "DESCRIPTION", settles = ["A19"])]
fn memory_file_is_shared_by_its_descriptor() -> Verdict {
    let file = memfd_create("ipcspec", MFdFlags::empty())?;
    check!(fstat(&file)?.st_size == 0);
    ftruncate(&file, page_size() as off_t)?;
    let shared = Memory::shared(&file, page_size())?;
    Child::spawn(|| {
        shared.unmap()?;
        let again = Memory::shared(&file, page_size())?;
        check!(again.is_zero());
        again.set(0, b'm');
        Ok(())
    })?
    .join()?;
    check!(shared.get(0) == b'm');
    let mut byte = [0];
    check!(read(&file, &mut byte) == Ok(1));
    check!(byte == *b"m");
    Ok(())
}

/// Two memory files of one name have neither bytes nor the flag close-on-exec in common, and the name shows in /proc/self/fd behind "memfd:".
#[case(MEMFD_CREATE_2, "DESCRIPTION", settles = ["memfd_create.2 MFD_CLOEXEC"], needs = [Need::Proc])]
fn files_of_one_name_are_apart() -> Verdict {
    let one = memfd_create("twin", MFdFlags::MFD_CLOEXEC)?;
    let two = memfd_create("twin", MFdFlags::empty())?;
    write(&one, b"mine")?;
    check!(fstat(&two)?.st_size == 0);
    check!(fcntl(&one, FcntlArg::F_GETFD) == Ok(libc::FD_CLOEXEC));
    check!(fcntl(&two, FcntlArg::F_GETFD) == Ok(0));
    let link = std::fs::read_link(format!("/proc/self/fd/{}", one.as_raw_fd()))?;
    check!(link.to_string_lossy().starts_with("/memfd:twin"), "{}", link.display());
    Ok(())
}

/// A name may have 249 bytes and not one more.
#[case(MEMFD_CREATE_2, "ERRORS", settles = ["memfd_create.2 EINVAL 2"])]
fn name_has_at_most_249_bytes() -> Verdict {
    let create = |length| memfd_create("n".repeat(length).as_str(), MFdFlags::empty()).map(drop);
    check!(create(249) == Ok(()));
    check!(create(250) == Err(EINVAL));
    check!(create(0) == Ok(()));
    Ok(())
}

/// Each seal answers its own operation with EPERM, from any process, and leaves the others alone.
#[case(F_ADD_SEALS_2CONST, "DESCRIPTION", settles = [
    "F_ADD_SEALS.2const F_SEAL_SHRINK", "F_ADD_SEALS.2const F_SEAL_GROW", "F_ADD_SEALS.2const F_SEAL_WRITE",
    "F_ADD_SEALS.2const/DESCRIPTION F_ADD_SEALS 1",
])]
fn each_seal_refuses_its_own_operation() -> Verdict {
    let refused = |sealed: bool| if sealed { Err(EPERM) } else { Ok(()) };
    let page = page_size() as off_t;
    for which in [SealFlag::F_SEAL_SHRINK, SealFlag::F_SEAL_GROW, SealFlag::F_SEAL_WRITE] {
        let file = memory_file(2 * page_size())?;
        seal(&file, which)?;
        Child::spawn(|| {
            let write = refused(which == SealFlag::F_SEAL_WRITE);
            check!(pwrite(&file, b"x", 0).map(drop) == write, "{which:?}");
            check!(Memory::shared(&file, page_size()).map(drop) == write, "{which:?}");
            check!(
                ftruncate(&file, page) == refused(which == SealFlag::F_SEAL_SHRINK),
                "{which:?}"
            );
            check!(
                ftruncate(&file, 3 * page) == refused(which == SealFlag::F_SEAL_GROW),
                "{which:?}"
            );
            Ok(())
        })?
        .join()?;
    }
    Ok(())
}

/// F_SEAL_SHRINK refuses to open with O_TRUNC, F_SEAL_GROW to allocate behind the end, and F_SEAL_WRITE to punch a hole.
#[case(F_ADD_SEALS_2CONST, "DESCRIPTION", needs = [Need::Proc])]
fn seals_hold_for_open_and_fallocate() -> Verdict {
    let refused = |sealed: bool| if sealed { Err(EPERM) } else { Ok(()) };
    let page = page_size() as off_t;
    let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    for which in [SealFlag::F_SEAL_SHRINK, SealFlag::F_SEAL_GROW, SealFlag::F_SEAL_WRITE] {
        let file = memory_file(page_size())?;
        pwrite(&file, b"x", 0)?;
        seal(&file, which)?;
        let mut byte = [0];
        let write = which == SealFlag::F_SEAL_WRITE;
        check!(fallocate(&file, hole, 0, page) == refused(write), "{which:?}");
        pread(&file, &mut byte, 0)?;
        check!((byte == *b"x") == write, "{which:?}");
        let grow = which == SealFlag::F_SEAL_GROW;
        check!(fallocate(&file, FallocateFlags::empty(), page, 1) == refused(grow), "{which:?}");
        check!((fstat(&file)?.st_size == page) == grow, "{which:?}");
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let opened = nix::fcntl::open(path.as_str(), OFlag::O_RDWR | OFlag::O_TRUNC, Mode::empty());
        let shrink = which == SealFlag::F_SEAL_SHRINK;
        check!(opened.map(drop) == refused(shrink), "{which:?}");
        check!((fstat(&file)?.st_size == 0) != shrink, "{which:?}");
    }
    Ok(())
}

/// With F_SEAL_GROW a write that would pass the end stops there or is refused, one that begins there is refused, and the size stays.
#[case(F_ADD_SEALS_2CONST, "DESCRIPTION", also = [(WRITE_2, "RETURN VALUE")])]
fn write_never_passes_a_sealed_end() -> Verdict {
    let page = page_size();
    let file = memory_file(page)?;
    seal(&file, SealFlag::F_SEAL_GROW)?;
    let bytes = vec![b'x'; 2 * page];
    let across = pwrite(&file, &bytes, 0);
    check!(across == Err(EPERM) || across == Ok(page), "{across:?}");
    check!(pwrite(&file, &bytes, page as off_t) == Err(EPERM));
    check!(fstat(&file)?.st_size == page as off_t);
    check!(pwrite(&file, &bytes[..page], 0) == Ok(page));
    Ok(())
}

/// F_SEAL_WRITE refuses writable shared mappings only: for reading, or privately, the file is mapped as before.
#[case(F_ADD_SEALS_2CONST, "DESCRIPTION")]
fn write_sealed_file_is_still_mapped_for_reading() -> Verdict {
    let file = memory_file(page_size())?;
    seal(&file, SealFlag::F_SEAL_WRITE)?;
    let map = |protection, flags| {
        Memory::map(0, page_size(), protection, flags, Some(file.as_fd()), 0).map(drop)
    };
    check!(map(PROT_READ, MAP_SHARED) == Ok(()));
    check!(map(READ_WRITE, MAP_PRIVATE) == Ok(()));
    check!(map(READ_WRITE, MAP_SHARED) == Err(EPERM));
    Ok(())
}

/// While any process has a writable shared mapping, a call with F_SEAL_WRITE adds none of its seals.
#[case(F_ADD_SEALS_2CONST, "DESCRIPTION", settles = ["F_ADD_SEALS.2const EBUSY"])]
fn write_seal_waits_for_writable_mappings() -> Verdict {
    let file = memory_file(page_size())?;
    let [mapped, end] = [Latch::new()?, Latch::new()?];
    let peer = Child::spawn(|| {
        Memory::shared(&file, page_size())?;
        mapped.open();
        end.wait()
    })?;
    peer.reaches(mapped)?;
    check!(seal(&file, SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_GROW) == Err(EBUSY));
    check!(seals(&file) == Ok(SealFlag::empty()));
    end.open();
    peer.join()?;
    check!(seal(&file, SealFlag::F_SEAL_WRITE) == Ok(()));
    check!(seals(&file) == Ok(SealFlag::F_SEAL_WRITE));
    Ok(())
}

/// F_SEAL_FUTURE_WRITE refuses writes and new writable mappings, and what goes through an old mapping is still seen.
#[case(F_ADD_SEALS_2CONST, "DESCRIPTION", settles = ["F_ADD_SEALS.2const F_SEAL_FUTURE_WRITE", "mmap.2 EPERM 2"])]
fn future_write_seal_spares_the_old_mapping() -> Verdict {
    let file = memory_file(page_size())?;
    let old = Memory::shared(&file, page_size())?;
    check!(seal(&file, SealFlag::F_SEAL_FUTURE_WRITE) == Ok(()));
    Child::spawn(|| {
        let map =
            |protection| Memory::map(0, page_size(), protection, MAP_SHARED, Some(file.as_fd()), 0);
        check!(pwrite(&file, b"x", 0) == Err(EPERM));
        check!(map(READ_WRITE) == Err(EPERM));
        let readonly = map(PROT_READ)?;
        check!(readonly.get(0) == 0);
        old.set(0, 1);
        check!(readonly.get(0) == 1);
        check!(readonly.protect(READ_WRITE) == Err(EACCES));
        Ok(())
    })?
    .join()
}

/// Seals are those of the inode: what another process adds through a descriptor of its own holds here, and adding it again changes nothing.
#[case(F_ADD_SEALS_2CONST, "DESCRIPTION", settles = [
    "F_ADD_SEALS.2const/DESCRIPTION F_GET_SEALS 1", "F_ADD_SEALS.2const/RETURN VALUE F_GET_SEALS 1",
    "F_ADD_SEALS.2const/RETURN VALUE F_ADD_SEALS 1", "F_ADD_SEALS.2const EPERM", "memfd_create.2 MFD_ALLOW_SEALING",
], needs = [Need::Proc])]
fn seals_belong_to_the_inode() -> Verdict {
    let file = memory_file(page_size())?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let reader = nix::fcntl::open(path.as_str(), OFlag::O_RDONLY, Mode::empty())?;
    check!(fcntl(&reader, FcntlArg::F_GET_SEALS) == Ok(0));
    check!(seal(&reader, SealFlag::F_SEAL_GROW) == Err(EPERM));
    Child::spawn(|| {
        let own = nix::fcntl::open(path.as_str(), OFlag::O_RDWR, Mode::empty())?;
        check!(fcntl(&own, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_GROW)) == Ok(0));
        check!(seal(&own, SealFlag::F_SEAL_GROW) == Ok(()));
        Ok(())
    })?
    .join()?;
    check!(seals(&reader) == Ok(SealFlag::F_SEAL_GROW));
    check!(ftruncate(&file, 2 * page_size() as off_t) == Err(EPERM));
    Ok(())
}

/// Once F_SEAL_SEAL is set no seal can be added, not even one that is set already.
#[case(F_ADD_SEALS_2CONST, "DESCRIPTION", settles = ["F_ADD_SEALS.2const F_SEAL_SEAL"])]
fn sealed_set_of_seals_stays_as_it_is() -> Verdict {
    let file = memory_file(page_size())?;
    let set = SealFlag::F_SEAL_SEAL | SealFlag::F_SEAL_GROW;
    check!(seal(&file, set) == Ok(()));
    check!(seal(&file, SealFlag::F_SEAL_SHRINK) == Err(EPERM));
    check!(seal(&file, SealFlag::F_SEAL_GROW) == Err(EPERM));
    check!(seals(&file) == Ok(set));
    check!(ftruncate(&file, 0) == Ok(()));
    Ok(())
}

/// A memory file made without MFD_ALLOW_SEALING has F_SEAL_SEAL from the start.
#[case(MEMFD_CREATE_2, "DESCRIPTION")]
fn file_without_leave_cannot_be_sealed() -> Verdict {
    let file = memfd_create("ipcspec", MFdFlags::MFD_CLOEXEC)?;
    check!(seals(&file) == Ok(SealFlag::F_SEAL_SEAL));
    check!(seal(&file, SealFlag::F_SEAL_WRITE) == Err(EPERM));
    check!(write(&file, b"x") == Ok(1));
    Ok(())
}

/// Only memory files can be sealed: a pipe has no seals to ask for or to add.
#[case(F_ADD_SEALS_2CONST, "ERRORS", settles = ["F_ADD_SEALS.2const EINVAL 2"])]
fn pipe_has_no_seals() -> Verdict {
    let (_r, w) = pipe()?;
    check!(seals(&w) == Err(EINVAL));
    check!(seal(&w, SealFlag::F_SEAL_WRITE) == Err(EINVAL));
    Ok(())
}

const HUGE_FILES: Facility = Facility {
    name: "MFD_HUGETLB",
    probe: || memfd_create("probe", MFdFlags::MFD_HUGETLB).map(drop),
};

/// A memory file made with MFD_HUGETLB has huge pages for blocks, and can be sealed if that was asked for.
#[case(MEMFD_CREATE_2, "DESCRIPTION", settles = ["memfd_create.2 MFD_HUGETLB"], needs = [Need::Facility(HUGE_FILES), Need::Cap(Cap::IpcLock)])]
fn huge_file_can_be_sealed() -> Verdict {
    let file = memfd_create("ipcspec", MFdFlags::MFD_HUGETLB | MFdFlags::MFD_ALLOW_SEALING)?;
    let huge = fstat(&file)?.st_blksize as off_t;
    check!(huge > page_size() as off_t);
    check!(ftruncate(&file, huge) == Ok(()));
    check!(seals(&file) == Ok(SealFlag::empty()));
    check!(seal(&file, SealFlag::F_SEAL_SHRINK) == Ok(()));
    check!(ftruncate(&file, 0) == Err(EPERM));
    Ok(())
}

/// A file of secret memory starts empty, and who has its descriptor shares what is stored there.
#[case(MEMFD_SECRET_2, "DESCRIPTION", needs = [Need::Facility(MEMFD_SECRET)])]
fn secret_memory_is_shared_by_its_descriptor() -> Verdict {
    let file = secret_file()?;
    check!(fstat(&file)?.st_size == 0);
    ftruncate(&file, page_size() as i64)?;
    let shared = Memory::shared(&file, page_size())?;
    Child::spawn(|| {
        let again = Memory::shared(&file, page_size())?;
        check!(again.is_zero());
        again.set(0, b's');
        Ok(())
    })?
    .join()?;
    check!(shared.get(0) == b's');
    Ok(())
}

/// Secret memory is not seen through /proc/PID/mem, where other memory of the process is.
#[case(MEMFD_SECRET_2, "DESCRIPTION", needs = [Need::Facility(MEMFD_SECRET), Need::Proc])]
fn secret_memory_is_hidden_from_other_processes() -> Verdict {
    let plain = Memory::anonymous(page_size(), MAP_PRIVATE)?;
    let (place, stored, looked) = (Counter::new()?, Latch::new()?, Latch::new()?);
    let holder = Child::spawn(|| {
        let file = secret_file()?;
        ftruncate(&file, page_size() as i64)?;
        let secret = Memory::shared(&file, page_size())?;
        secret.set(0, b's');
        plain.set(0, b'p');
        place.set(secret.address as u64);
        stored.open();
        looked.wait()
    })?;
    holder.reaches(stored)?;
    let memory = File::open(format!("/proc/{}/mem", holder.pid()))?;
    let look = |address| {
        let mut byte = [0];
        pread(&memory, &mut byte, address).map(|_| byte)
    };
    check!(look(plain.address as i64) == Ok([b'p']));
    check!(look(place.get() as i64).is_err());
    looked.open();
    holder.join()
}

/// F_SEAL_EXEC fixes the bits for execution, and on a file that has them its contents and size too.
#[case(F_ADD_SEALS_2CONST, "DESCRIPTION", settles = ["F_ADD_SEALS.2const F_SEAL_EXEC"], needs = [Need::Facility(EXECUTE_SEAL)])]
fn execute_seal_fixes_a_program() -> Verdict {
    let file = memory_file(page_size())?;
    fchmod(&file, Mode::from_bits_retain(0o755))?;
    check!(seal(&file, F_SEAL_EXEC) == Ok(()));
    let implied = SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_WRITE;
    check!(seals(&file)? == F_SEAL_EXEC | implied | SealFlag::F_SEAL_FUTURE_WRITE);
    check!(fchmod(&file, Mode::from_bits_retain(0o644)) == Err(EPERM));
    check!(fchmod(&file, Mode::from_bits_retain(0o511)) == Ok(()));
    check!(pwrite(&file, b"x", 0) == Err(EPERM));
    Ok(())
}

refusals! {
    F_ADD_SEALS_2CONST, "ERRORS";

    /// A seal that the kernel does not know is refused.
    ["F_ADD_SEALS.2const EINVAL 1"] unknown_seal_is_refused => EINVAL: seal(&memory_file(0)?, SealFlag::from_bits_retain(1 << 20));
}

refusals! {
    MEMFD_CREATE_2, "ERRORS";

    /// A flag that memfd_create does not know is refused.
    ["memfd_create.2 EINVAL 1"] unknown_flag_is_refused => EINVAL: memfd_create("ipcspec", MFdFlags::from_bits_retain(1 << 20));

    /// A process that has all the descriptors it may have gets no memory file.
    ["memfd_create.2 EMFILE"] file_without_a_free_descriptor_is_refused => EMFILE: {
        setrlimit(Resource::RLIMIT_NOFILE, 3, 3)?;
        memfd_create("ipcspec", MFdFlags::empty())
    };
}
