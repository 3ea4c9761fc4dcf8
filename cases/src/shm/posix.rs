//! POSIX shared memory objects: names, modes, lives.

use libc::{MAP_SHARED, PROT_READ, off_t};
use nix::sys::mman::{shm_open, shm_unlink};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::{Uid, ftruncate, setresuid};

use crate::prelude::*;
use crate::sys::memory::{Memory, READ_WRITE, page_size};
use crate::sys::{name_of, unique_name};

/// Where the C library keeps the objects.
const OBJECTS: Need = Need::Directory("/dev/shm");

/// The cases of this module.
pub const CASES: &[Case] = &[
    name_leads_every_process_to_the_same_memory,
    unlinked_object_lives_on_and_frees_its_name,
    exclusive_creation_succeeds_for_one_process,
    descriptor_is_the_lowest_and_closed_on_exec,
    mode_is_cut_by_the_umask,
    truncating_keeps_the_mode,
    bytes_cut_off_do_not_come_back,
    readonly_object_is_not_mapped_for_writing,
    object_is_opened_as_its_mode_allows,
    object_of_another_user_is_not_unlinked,
    missing_object_is_not_opened,
    missing_object_is_not_unlinked,
    name_with_two_slashes_is_refused,
    object_without_a_free_descriptor_is_refused,
];

const NEW: OFlag = OFlag::O_RDWR.union(OFlag::O_CREAT).union(OFlag::O_EXCL);

const STRANGER: Uid = Uid::from_raw(4321);

/// A name of this case's own, unlinked when the case is over.
fn own_name() -> Verdict<String> {
    unique_name(|number| {
        let _ = shm_unlink(name_of(number).as_str());
    })
}

fn open(name: &str, flags: OFlag, mode: u32) -> nix::Result<OwnedFd> {
    shm_open(name, flags, Mode::from_bits_retain(mode))
}

/// A new object has no bytes, gets zeroes by ftruncate, and its name leads another process to the same memory.
#[case(SHM_OPEN_3, "DESCRIPTION", settles = ["A19", "shm_open.3 O_CREAT", "shm_open.3 O_RDWR", "shm_overview.7 shm_open"], needs = [OBJECTS])]
fn name_leads_every_process_to_the_same_memory() -> Verdict {
    let name = own_name()?;
    let file = open(&name, NEW, 0o600)?;
    check!(fstat(&file)?.st_size == 0);
    ftruncate(&file, page_size() as off_t)?;
    let shared = Memory::shared(&file, page_size())?;
    drop(file);
    check!(shared.is_zero());
    shared.set(0, 1);
    Child::spawn(|| {
        shared.unmap()?;
        let again = Memory::shared(&open(&name, OFlag::O_RDWR, 0)?, page_size())?;
        check!(again.get(0) == 1);
        again.set(1, 2);
        Ok(())
    })?
    .join()?;
    check!(shared.get(1) == 2);
    Ok(())
}

/// shm_unlink frees the name at once, for a new and distinct object, while who has mapped the old one goes on sharing it.
#[case(SHM_OPEN_3, "DESCRIPTION", settles = ["shm_overview.7 shm_unlink"], needs = [OBJECTS])]
fn unlinked_object_lives_on_and_frees_its_name() -> Verdict {
    let name = own_name()?;
    let old = open(&name, NEW, 0o600)?;
    ftruncate(&old, page_size() as off_t)?;
    let shared = Memory::shared(&old, page_size())?;
    check!(shm_unlink(name.as_str()) == Ok(()));
    check!(open(&name, OFlag::O_RDWR, 0).map(drop) == Err(ENOENT));

    let new = open(&name, NEW, 0o600)?;
    check!(fstat(&new)?.st_size == 0);
    check!(fstat(&new)?.st_ino != fstat(&old)?.st_ino);
    check!(fstat(&old)?.st_size == page_size() as off_t);
    Child::spawn(|| {
        shared.set(0, 1);
        Ok(())
    })?
    .join()?;
    check!(shared.get(0) == 1);
    Ok(())
}

/// Of several processes that create one name with O_EXCL at once, one makes the object and the others get EEXIST.
#[case(SHM_OPEN_3, "DESCRIPTION", settles = ["shm_open.3 O_EXCL", "shm_open.3 EEXIST"], needs = [OBJECTS])]
fn exclusive_creation_succeeds_for_one_process() -> Verdict {
    let (name, start, made) = (own_name()?, Latch::new()?, Counter::new()?);
    let create = || {
        start.wait()?;
        match open(&name, NEW, 0o600) {
            Ok(_) => check!(made.add(1) == 0),
            Err(errno) => check!(errno == EEXIST),
        }
        Ok(())
    };
    let all = Children::spawn(4, |_| create())?;
    start.open();
    all.join()?;
    check!(made.get() == 1);
    check!(open(&name, NEW, 0o600).map(drop) == Err(EEXIST));
    Ok(())
}

/// The descriptor is the lowest that is free, and is closed on exec.
#[case(SHM_OPEN_3, "DESCRIPTION", needs = [OBJECTS])]
fn descriptor_is_the_lowest_and_closed_on_exec() -> Verdict {
    let (low, _high) = pipe()?;
    let free = low.as_raw_fd();
    drop(low);
    let file = open(&own_name()?, NEW, 0o600)?;
    check!(file.as_raw_fd() == free);
    check!(fcntl(&file, FcntlArg::F_GETFD) == Ok(libc::FD_CLOEXEC));
    Ok(())
}

/// The mode of a new object is the one asked for, less the bits of the umask.
#[case(SHM_OPEN_3, "DESCRIPTION", needs = [OBJECTS])]
fn mode_is_cut_by_the_umask() -> Verdict {
    nix::sys::stat::umask(Mode::from_bits_retain(0o027));
    let file = open(&own_name()?, NEW, 0o666)?;
    check!(fstat(&file)?.st_mode & 0o7777 == 0o640);
    check!(fstat(&file)?.st_uid == nix::unistd::geteuid().as_raw());
    check!(fstat(&file)?.st_gid == nix::unistd::getegid().as_raw());
    Ok(())
}

/// O_TRUNC empties an existing object and leaves its mode alone.
#[case(SHM_OPEN_3, "DESCRIPTION", settles = ["shm_open.3 O_TRUNC"], needs = [OBJECTS])]
fn truncating_keeps_the_mode() -> Verdict {
    let name = own_name()?;
    let file = open(&name, NEW, 0o600)?;
    write(&file, b"old")?;
    let again = open(&name, OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_TRUNC, 0o640)?;
    check!(fstat(&file)?.st_size == 0);
    check!(fstat(&again)?.st_ino == fstat(&file)?.st_ino);
    check!(fstat(&file)?.st_mode & 0o7777 == 0o600);
    Ok(())
}

/// What ftruncate cut off is zero when the object is as long again.
#[case(TRUNCATE_2, "DESCRIPTION", also = [(SHM_OPEN_3, "DESCRIPTION")], needs = [OBJECTS])]
fn bytes_cut_off_do_not_come_back() -> Verdict {
    let file = open(&own_name()?, NEW, 0o600)?;
    let (page, bytes) = (page_size(), vec![b'x'; 2 * page_size()]);
    write(&file, &bytes)?;
    check!(ftruncate(&file, 10) == Ok(()));
    check!(ftruncate(&file, 2 * page as off_t) == Ok(()));
    let shared = Memory::shared(&file, 2 * page)?;
    check!(shared.get(9) == b'x');
    check!(shared.part(10..shared.length).is_zero());
    Ok(())
}

/// What was opened with O_RDONLY can be mapped for reading only.
#[case(SHM_OPEN_3, "DESCRIPTION", settles = ["shm_open.3 O_RDONLY"], needs = [OBJECTS])]
fn readonly_object_is_not_mapped_for_writing() -> Verdict {
    let name = own_name()?;
    ftruncate(open(&name, NEW, 0o600)?, page_size() as off_t)?;
    let file = open(&name, OFlag::O_RDONLY, 0)?;
    let map =
        |protection| Memory::map(0, page_size(), protection, MAP_SHARED, Some(file.as_fd()), 0);
    check!(map(READ_WRITE) == Err(EACCES));
    let readonly = map(PROT_READ)?;
    check!(readonly.is_zero());
    check!(readonly.protect(READ_WRITE) == Err(EACCES));
    Ok(())
}

/// Without privilege, an object is opened for what its mode allows and nothing else.
#[case(SHM_OPEN_3, "ERRORS", settles = ["shm_open.3 EACCES 2"], needs = [OBJECTS, Need::Unprivileged])]
fn object_is_opened_as_its_mode_allows() -> Verdict {
    let name = own_name()?;
    open(&name, NEW, 0o400)?;
    check!(open(&name, OFlag::O_RDONLY, 0).map(drop) == Ok(()));
    check!(open(&name, OFlag::O_RDWR, 0).map(drop) == Err(EACCES));
    check!(open(&name, OFlag::O_RDONLY | OFlag::O_TRUNC, 0).map(drop) == Err(EACCES));
    Ok(())
}

/// The object of another user is neither opened against its mode nor unlinked.
#[case(SHM_OPEN_3, "ERRORS", settles = ["shm_open.3 EACCES 1"], needs = [OBJECTS, Need::OtherUsers])]
fn object_of_another_user_is_not_unlinked() -> Verdict {
    let name = own_name()?;
    open(&name, NEW, 0o644)?;
    Child::spawn(|| {
        setresuid(STRANGER, STRANGER, STRANGER)?;
        check!(open(&name, OFlag::O_RDWR, 0).map(drop) == Err(EACCES));
        check!(open(&name, OFlag::O_RDONLY, 0).map(drop) == Ok(()));
        check!(shm_unlink(name.as_str()) == Err(EACCES));
        Ok(())
    })?
    .join()?;
    check!(shm_unlink(name.as_str()) == Ok(()));
    Ok(())
}

refusals! {
    SHM_OPEN_3, "ERRORS", needs = [OBJECTS];

    /// Without O_CREAT a name that does not exist is not opened.
    ["shm_open.3 ENOENT 1"] missing_object_is_not_opened => ENOENT: open(&own_name()?, OFlag::O_RDWR, 0);

    /// A name that does not exist cannot be unlinked.
    ["shm_open.3 ENOENT 2"] missing_object_is_not_unlinked => ENOENT: shm_unlink(own_name()?.as_str());

    /// A name that has a slash behind the first is not valid.
    ["shm_open.3 EINVAL"] name_with_two_slashes_is_refused => EINVAL: open(&format!("{}/x", own_name()?), NEW, 0o600);

    /// A process that has all the descriptors it may have opens no object.
    ["shm_open.3 EMFILE"] object_without_a_free_descriptor_is_refused => EMFILE: {
        let name = own_name()?;
        setrlimit(Resource::RLIMIT_NOFILE, 3, 3)?;
        open(&name, NEW, 0o600)
    };
}
