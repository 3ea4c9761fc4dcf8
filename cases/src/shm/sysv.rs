//! System V shared memory: attaching, sharing, exclusion, removal, limits.

use libc::{PROT_READ, SHM_EXEC, SHM_RDONLY, SHM_REMAP, SHM_RND, c_ulong, time_t};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::getegid;

use crate::prelude::*;
use crate::sys::memory::{Memory, READ_WRITE, page_size};
use crate::sys::program::{A_PROGRAM, Program};
use crate::sys::sem::Sem;
use crate::sys::shm::{SHM_DEST, SHM_LOCKED, Segment, detach, id_at, id_of_any_at, limits, usage};
use crate::sys::sysctl::{fitting, set_sysctl, sysctl};
use crate::sys::unique_key;

/// The cases of this module.
pub const CASES: &[Case] = &[
    store_is_seen_by_every_process_at_once,
    attach_inherited_by_fork_is_shared,
    unguarded_updates_are_lost,
    updates_under_a_semaphore_are_all_kept,
    attach_is_granted_as_the_permissions_say,
    attach_granted_stays_when_permissions_go,
    execution_needs_a_permission_of_its_own,
    store_through_a_readonly_attach_is_sigsegv,
    one_process_attaches_twice,
    address_asked_for_is_where_it_lies,
    rnd_rounds_down_to_a_multiple_of_shmlba,
    occupied_address_is_taken_only_with_remap,
    page_comes_with_its_first_touch_for_all,
    fresh_segment_has_the_documented_status,
    last_user_is_noted,
    each_change_sets_its_own_time,
    attaches_are_counted_through_fork_and_exit,
    contents_outlive_the_last_detach,
    mprotect_leaves_no_attach_behind,
    exec_detaches_everything,
    removed_segment_works_until_its_last_detach,
    killed_process_is_the_last_detach,
    forced_removal_comes_with_the_last_detach,
    forced_removal_comes_with_the_creators_end,
    forcing_removal_takes_orphans_and_spares_users,
    smaller_size_finds_the_whole_segment,
    stat_fills_its_structure_and_no_byte_more,
    stat_any_looks_past_the_permissions,
    lock_shows_in_the_mode_until_unlock,
    new_mode_leaves_lock_and_mark,
    lock_stops_at_the_memlock_limit,
    information_tells_the_limits,
    segment_beyond_shmmax_is_refused,
    segments_beyond_shmmni_are_refused,
    pages_beyond_shmall_are_refused,
    segment_of_no_bytes_is_refused,
    size_beyond_the_segment_is_refused,
    huge_pages_without_privilege_are_refused,
    unaligned_address_is_refused,
    remap_without_an_address_is_refused,
    identifier_never_given_is_refused,
    detach_inside_a_segment_is_refused,
    detach_of_a_plain_mapping_is_refused,
    second_detach_is_refused,
    unknown_operation_is_refused,
];

/// What one process stores into a segment, another that has it at another address loads, without any call in between.
#[case(SYSVIPC_7, "Shared memory segments", settles = ["A19"])]
fn store_is_seen_by_every_process_at_once() -> Verdict {
    let segment = Segment::private(page_size())?;
    let shared = segment.attach()?;
    let [attached, stored, answered] = [Latch::new()?, Latch::new()?, Latch::new()?];
    let other = Child::spawn(|| {
        let own = segment.attach()?;
        check!(own.address != shared.address);
        attached.open();
        stored.wait()?;
        check!(own.get(1) == 7);
        own.set(2, 8);
        answered.open();
        Ok(())
    })?;
    other.reaches(attached)?;
    shared.set(1, 7);
    stored.open();
    other.reaches(answered)?;
    check!(shared.get(2) == 8);
    other.join()
}

/// A child has what its parent had attached, at the same addresses, and shares it.
#[case(SHMOP_2, "NOTES")]
fn attach_inherited_by_fork_is_shared() -> Verdict {
    let shared = Segment::private(page_size())?.attach()?;
    shared.set(0, 1);
    let heir = Child::spawn(|| {
        shared.touch(0);
        Ok(())
    })?;
    check!(heir.wait()?.signal() == None);
    Child::spawn(|| {
        check!(shared.get(0) == 1);
        shared.set(0, 2);
        Ok(())
    })?
    .join()?;
    check!(shared.get(0) == 2);
    Ok(())
}

/// Nothing but the processes themselves keeps updates apart: of two that load before either stores, one is lost.
#[case(SYSVIPC_7, "Shared memory segments", settles = ["A20"])]
fn unguarded_updates_are_lost() -> Verdict {
    let shared = Segment::private(page_size())?.attach()?;
    let [one, two, go] = [Latch::new()?, Latch::new()?, Latch::new()?];
    let update = |read: Latch| {
        let seen = shared.number();
        read.open();
        go.wait()?;
        shared.set_number(seen + 1);
        Ok(())
    };
    let first = Child::spawn(|| update(one))?;
    let second = Child::spawn(|| update(two))?;
    first.reaches(one)?;
    second.reaches(two)?;
    go.open();
    first.join()?;
    second.join()?;
    check!(shared.number() == 1);
    Ok(())
}

/// When every process takes a semaphore before it loads and gives it back after it stored, no update is lost.
#[case(SYSVIPC_7, "Semaphore sets", settles = ["A20"], also = [(SEMOP_2, "DESCRIPTION")], deadline = 30)]
fn updates_under_a_semaphore_are_all_kept() -> Verdict {
    const ROUNDS: u64 = 250;
    let shared = Segment::private(page_size())?.attach()?;
    let sem = Sem::private(&[0])?;
    let update = || {
        for _ in 0..ROUNDS {
            sem.p()?;
            let seen = shared.number();
            shared.set_number(seen + 1);
            sem.v()?;
        }
        Ok(())
    };
    let all = Children::spawn(4, |_| update())?;
    all.blocked_in(SEMOP)?;
    sem.v()?;
    all.join()?;
    check!(shared.number() == 4 * ROUNDS);
    Ok(())
}

/// Who knows the identifier may attach for reading with permission to read, and for writing only with both.
#[case(SHMOP_2, "shmat()", settles = ["B14", "shmop.2 EACCES"], needs = [Need::Unprivileged])]
fn attach_is_granted_as_the_permissions_say() -> Verdict {
    for (mode, to_read, to_write) in [
        (0o600, Ok(()), Ok(())),
        (0o400, Ok(()), Err(EACCES)),
        (0o200, Err(EACCES), Err(EACCES)),
        (0, Err(EACCES), Err(EACCES)),
    ] {
        let segment = Segment::open(libc::IPC_PRIVATE, page_size(), mode)?;
        Child::spawn(|| {
            check!(segment.attach_at(0, SHM_RDONLY).map(drop) == to_read, "mode {mode:o}");
            check!(segment.attach().map(drop) == to_write, "mode {mode:o}");
            Ok(())
        })?
        .join()?;
    }
    Ok(())
}

/// Permission is asked when a segment is attached, not when it is used.
#[case(SHMOP_2, "shmat()", needs = [Need::Unprivileged])]
fn attach_granted_stays_when_permissions_go() -> Verdict {
    let segment = Segment::private(page_size())?;
    let shared = segment.attach()?;
    segment.set_mode(0)?;
    check!(segment.attach() == Err(EACCES));
    shared.set(0, 1);
    check!(shared.get(0) == 1);
    Ok(())
}

/// SHM_EXEC asks for permission to execute, beside that to read and write.
#[case(SHMOP_2, "shmat()", settles = ["shmop.2 SHM_EXEC"], needs = [Need::Unprivileged])]
fn execution_needs_a_permission_of_its_own() -> Verdict {
    for (mode, answer) in [(0o600, Err(EACCES)), (0o677, Err(EACCES)), (0o700, Ok(()))] {
        let segment = Segment::open(libc::IPC_PRIVATE, page_size(), mode)?;
        check!(segment.attach_at(0, SHM_EXEC).map(drop) == answer, "mode {mode:o}");
        check!(segment.attach().map(drop) == Ok(()), "mode {mode:o}");
    }
    Ok(())
}

/// A segment attached with SHM_RDONLY can be loaded from, and a store is answered with SIGSEGV.
#[case(SHMOP_2, "shmat()", settles = ["shmop.2 SHM_RDONLY"])]
fn store_through_a_readonly_attach_is_sigsegv() -> Verdict {
    let segment = Segment::private(page_size())?;
    let shared = segment.attach()?;
    let readonly = segment.attach_at(0, SHM_RDONLY)?;
    shared.set(0, 5);
    check!(readonly.get(0) == 5);
    let writer = Child::spawn(|| {
        readonly.set(0, 6);
        Ok(())
    })?;
    check!(writer.wait()?.signal() == Some(libc::SIGSEGV));
    check!(shared.get(0) == 5);
    Ok(())
}

/// One process may attach a segment more than once, and each attach is the same memory and counts.
#[case(SHMOP_2, "shmat()")]
fn one_process_attaches_twice() -> Verdict {
    let segment = Segment::private(page_size())?;
    let (one, two) = (segment.attach()?, segment.attach()?);
    check!(one.address != two.address);
    check!(segment.attaches() == Ok(2));
    one.set(3, 9);
    check!(two.get(3) == 9);
    check!(one.detach() == Ok(()));
    check!(two.get(3) == 9);
    check!(segment.attaches() == Ok(1));
    Ok(())
}

/// A page-aligned free address that is asked for is where the segment is attached.
#[case(SHMOP_2, "shmat()", settles = ["B15"])]
fn address_asked_for_is_where_it_lies() -> Verdict {
    let segment = Segment::private(page_size())?;
    let chosen = segment.attach()?;
    check!(chosen.address % page_size() == 0);
    let wanted = Memory::free(page_size())?.address;
    let fixed = segment.attach_at(wanted, 0)?;
    check!(fixed.address == wanted);
    chosen.set(0, 4);
    check!(fixed.get(0) == 4);
    Ok(())
}

/// With SHM_RND an address is rounded down to a multiple of SHMLBA.
#[case(SHMOP_2, "shmat()", settles = ["B15"], needs = [Need::Arch(&["x86_64", "x86", "aarch64"])])]
fn rnd_rounds_down_to_a_multiple_of_shmlba() -> Verdict {
    // SHMLBA is the size of a page on these architectures.
    let segment = Segment::private(page_size())?;
    let wanted = Memory::free(page_size())?.address;
    let attached = segment.attach_at(wanted + page_size() - 1, SHM_RND)?;
    check!(attached.address == wanted);
    Ok(())
}

/// An attach over what is mapped already is refused and harms nothing, and with SHM_REMAP it takes the place.
#[case(SHMOP_2, "shmat()", settles = ["B15", "shmop.2 SHM_REMAP"])]
fn occupied_address_is_taken_only_with_remap() -> Verdict {
    let segment = Segment::private(2 * page_size())?;
    let old = Memory::anonymous(3 * page_size(), libc::MAP_PRIVATE)?;
    old.set(page_size(), 1);
    old.set(2 * page_size(), 2);
    check!(segment.attach_at(old.address, 0) == Err(EINVAL));
    check!(old.get(page_size()) == 1);

    let new = segment.attach_at(old.address, SHM_REMAP)?;
    check!(new.address == old.address);
    check!(new.is_zero());
    check!(old.get(2 * page_size()) == 2);
    Ok(())
}

/// A page of a segment is zero and takes no memory until some process touches it, and then it is there for every other.
#[case(SHMCTL_2, "DESCRIPTION", settles = ["A19", "B16", "shmctl.2 SHM_INFO"], also = [(SHMGET_2, "DESCRIPTION")], needs = [Need::Own(Namespaces::IPC)])]
fn page_comes_with_its_first_touch_for_all() -> Verdict {
    let segment = Segment::private(4 * page_size())?;
    let shared = segment.attach()?;
    check!(usage()?.1.segments == 1);
    check!(usage()?.1.pages == 4);
    check!(usage()?.1.resident == 0);
    Child::spawn(|| {
        shared.set(2 * page_size(), 1);
        Ok(())
    })?
    .join()?;
    let touched = usage()?.1.resident;
    check!(touched > 0);
    check!(shared.get(2 * page_size()) == 1);
    check!(usage()?.1.resident == touched);
    shared.set(2 * page_size(), 0);
    check!(shared.is_zero());
    Ok(())
}

/// A new segment tells its exact size and its creator, that nobody attached it yet, and when it was made.
#[case(SHMGET_2, "DESCRIPTION", settles = ["shmctl.2 shm_segsz", "shmctl.2 shm_cpid"])]
fn fresh_segment_has_the_documented_status() -> Verdict {
    let before = seconds()?;
    let status = Segment::private(page_size() + 1)?.stat()?;
    let after = seconds()?;
    check!(status.shm_segsz == page_size() + 1);
    check!(status.shm_cpid == getpid().as_raw());
    check!(status.shm_lpid == 0);
    check!(status.shm_nattch == 0);
    check!((status.shm_atime, status.shm_dtime) == (0, 0));
    check!(status.shm_ctime >= before);
    check!(status.shm_ctime <= after);
    Ok(())
}

/// The last process that attached or detached is noted, be it by attaching, by detaching or by its end.
#[case(SHMOP_2, "shmat()", settles = ["shmctl.2 shm_lpid"], also = [(SHMOP_2, "shmdt()")])]
fn last_user_is_noted() -> Verdict {
    let segment = Segment::private(page_size())?;
    let attached = segment.attach()?;
    check!(segment.stat()?.shm_lpid == getpid().as_raw());
    for detach in [true, false] {
        let other = Child::spawn(|| if detach { Ok(attached.detach()?) } else { Ok(()) })?;
        let pid = other.pid().as_raw();
        other.join()?;
        check!(segment.stat()?.shm_lpid == pid, "detached before its end: {detach}");
    }
    Ok(())
}

/// The seconds on the clock that the kernel stamps with.
fn seconds() -> Verdict<time_t> {
    Ok(clock_gettime(ClockId::CLOCK_REALTIME_COARSE)?.tv_sec())
}

/// Attaching, detaching and IPC_SET each set a time of their own, and leave the others.
#[case(SHMCTL_2, "DESCRIPTION", settles = ["shmctl.2 shm_atime", "shmctl.2 shm_dtime", "shmctl.2 shm_ctime"], also = [(SHMOP_2, "shmat()"), (SHMOP_2, "shmdt()")])]
fn each_change_sets_its_own_time() -> Verdict {
    let segment = Segment::private(page_size())?;
    let made = segment.stat()?.shm_ctime;
    while seconds()? <= made {
        std::thread::sleep(Duration::from_millis(10));
    }
    let attached = segment.attach()?;
    let status = segment.stat()?;
    check!(status.shm_atime > made);
    check!((status.shm_dtime, status.shm_ctime) == (0, made));
    attached.detach()?;
    let status = segment.stat()?;
    check!(status.shm_dtime > made);
    check!(status.shm_ctime == made);
    segment.set_mode(0o640)?;
    check!(segment.stat()?.shm_ctime > made);
    check!(segment.stat()?.shm_ctime <= seconds()?);
    Ok(())
}

/// Attaches are counted: a fork doubles them, and exit detaches.
#[case(SHMOP_2, "NOTES", settles = ["shmctl.2 shm_nattch"])]
fn attaches_are_counted_through_fork_and_exit() -> Verdict {
    let segment = Segment::private(page_size())?;
    let shared = segment.attach()?;
    let [attached, end] = [Latch::new()?, Latch::new()?];
    let child = Child::spawn(|| {
        segment.attach()?;
        attached.open();
        end.wait()
    })?;
    child.reaches(attached)?;
    check!(segment.attaches() == Ok(3));
    check!(shared.detach() == Ok(()));
    check!(segment.attaches() == Ok(2));
    end.open();
    child.join()?;
    check!(segment.attaches() == Ok(0));
    Ok(())
}

/// What was stored stays in a segment that no process has attached, also when its creator is gone.
#[case(SHMCTL_2, "DESCRIPTION", also = [(SHMOP_2, "shmdt()")])]
fn contents_outlive_the_last_detach() -> Verdict {
    let key = unique_key();
    Child::spawn(|| {
        let segment = Segment::open(key, 2 * page_size(), libc::IPC_CREAT | 0o600)?;
        let shared = segment.attach()?;
        shared.set(0, 1);
        shared.set(page_size(), 2);
        shared.detach()?;
        check!(segment.attaches() == Ok(0));
        let again = segment.attach()?;
        check!(again.get(0) == 1);
        Ok(())
    })?
    .join()?;
    let shared = Segment::open(key, 0, 0o600)?.attach()?;
    check!((shared.get(0), shared.get(page_size())) == (1, 2));
    Ok(())
}

/// A segment whose protection was changed in part and back is wholly detached by one call.
#[case(SHMOP_2, "shmdt()")]
fn mprotect_leaves_no_attach_behind() -> Verdict {
    let segment = Segment::private(3 * page_size())?;
    let shared = segment.attach()?;
    let middle = shared.part(page_size()..2 * page_size());
    middle.protect(PROT_READ)?;
    middle.protect(READ_WRITE)?;
    check!(shared.detach() == Ok(()));
    check!(segment.attaches() == Ok(0));
    check!(segment.remove() == Ok(()));
    check!(segment.stat().map(drop) == Err(EINVAL));
    Ok(())
}

/// A program that is executed has none of the segments that the process had attached.
#[case(SHMOP_2, "NOTES", needs = [A_PROGRAM])]
fn exec_detaches_everything() -> Verdict {
    let segment = Segment::private(page_size())?;
    let shared = segment.attach()?;
    let program = Program::start(|| {
        segment.attach()?;
        check!(segment.attaches() == Ok(3));
        Ok(())
    })?;
    check!(segment.attaches() == Ok(1));
    shared.set(0, 1);
    program.finish()
}

/// A segment removed while attached loses its key and shows SHM_DEST, can still be used and attached, and is gone with the last detach.
#[case(SHMCTL_2, "DESCRIPTION", settles = ["shmctl.2 IPC_RMID"], also = [(SHMOP_2, "NOTES")])]
fn removed_segment_works_until_its_last_detach() -> Verdict {
    let (segment, key) = Segment::keyed(page_size())?;
    let shared = segment.attach()?;
    shared.set(0, 1);
    check!(segment.mode()? & SHM_DEST == 0);
    check!(segment.remove() == Ok(()));
    check!(segment.mode().map(|mode| mode & SHM_DEST) == Ok(SHM_DEST));
    check!(Segment::open(key, 0, 0) == Err(ENOENT));
    let next = Segment::open(key, page_size(), libc::IPC_CREAT | libc::IPC_EXCL | 0o600)?;
    check!(next != segment);

    let again = segment.attach();
    check!(again.map(drop) == Ok(()));
    check!(shared.detach() == Ok(()));
    check!(again?.get(0) == 1);
    check!(again?.detach() == Ok(()));
    check!(segment.attach() == Err(EINVAL));
    check!(next.attach()?.is_zero());
    Ok(())
}

/// A removed segment goes with its last process, also when that is killed.
#[case(SHMCTL_2, "DESCRIPTION", also = [(SHMOP_2, "NOTES")])]
fn killed_process_is_the_last_detach() -> Verdict {
    let segment = Segment::private(page_size())?;
    let [attached, never] = [Latch::new()?, Latch::new()?];
    let user = Child::spawn(|| {
        segment.attach()?;
        attached.open();
        never.wait()
    })?;
    user.reaches(attached)?;
    segment.remove()?;
    check!(segment.attaches() == Ok(1));
    user.kill(SIGKILL)?;
    check!(user.wait()? == End::Killed(libc::SIGKILL));
    check!(segment.attaches() == Err(EINVAL));
    Ok(())
}

/// With shm_rmid_forced a segment goes with its last detach, though nobody removed it.
#[case(PROC_SYS_KERNEL_5, "DESCRIPTION", needs = [Need::Sysctl("kernel/shm_rmid_forced")])]
fn forced_removal_comes_with_the_last_detach() -> Verdict {
    set_sysctl("kernel/shm_rmid_forced", 1)?;
    let segment = Segment::private(page_size())?;
    let (one, two) = (segment.attach()?, segment.attach()?);
    one.detach()?;
    check!(segment.attaches() == Ok(1));
    two.detach()?;
    check!(segment.attaches() == Err(EINVAL));
    Ok(())
}

/// With shm_rmid_forced a segment that was never attached goes with its creator.
#[case(PROC_SYS_KERNEL_5, "DESCRIPTION", needs = [Need::Sysctl("kernel/shm_rmid_forced")])]
fn forced_removal_comes_with_the_creators_end() -> Verdict {
    set_sysctl("kernel/shm_rmid_forced", 1)?;
    let (key, [made, end]) = (unique_key(), [Latch::new()?, Latch::new()?]);
    let creator = Child::spawn(|| {
        Segment::open(key, page_size(), libc::IPC_CREAT | 0o600)?;
        made.open();
        end.wait()
    })?;
    creator.reaches(made)?;
    check!(Segment::open(key, 0, 0).map(drop) == Ok(()));
    end.open();
    creator.join()?;
    check!(Segment::open(key, 0, 0) == Err(ENOENT));
    Ok(())
}

/// Setting shm_rmid_forced takes at once what no process has attached, and spares the rest until it is detached.
#[case(PROC_SYS_KERNEL_5, "DESCRIPTION", needs = [Need::Sysctl("kernel/shm_rmid_forced")])]
fn forcing_removal_takes_orphans_and_spares_users() -> Verdict {
    set_sysctl("kernel/shm_rmid_forced", 0)?;
    let (orphan_key, used_key) = (unique_key(), unique_key());
    Child::spawn(|| {
        for key in [orphan_key, used_key] {
            Segment::open(key, page_size(), libc::IPC_CREAT | 0o600)?;
        }
        Ok(())
    })?
    .join()?;
    let [orphan, used] = [orphan_key, used_key].map(|key| Segment::open(key, 0, 0));
    let attached = used?.attach()?;
    set_sysctl("kernel/shm_rmid_forced", 1)?;
    check!(orphan?.attaches() == Err(EINVAL));
    check!(used?.attaches() == Ok(1));
    attached.detach()?;
    check!(used?.attaches() == Err(EINVAL));
    Ok(())
}

/// A size below the segment's finds it by its key, and all of it is attached.
#[case(SHMGET_2, "ERRORS")]
fn smaller_size_finds_the_whole_segment() -> Verdict {
    let (segment, key) = Segment::keyed(2 * page_size())?;
    check!(Segment::open(key, 1, 0o600) == Ok(segment));
    check!(Segment::open(key, 0, 0o600) == Ok(segment));
    let shared = Segment::open(key, 1, 0o600)?.attach()?;
    shared.set(2 * page_size() - 1, 1);
    check!(segment.stat()?.shm_segsz == 2 * page_size());
    Ok(())
}

/// IPC_STAT writes one structure and nothing behind it, and one byte less is not accessible enough.
#[case(SHMCTL_2, "ERRORS", settles = ["shmctl.2 EFAULT"])]
fn stat_fills_its_structure_and_no_byte_more() -> Verdict {
    let segment = Segment::private(page_size())?;
    let buffer = Memory::guarded(size_of::<libc::shmid_ds>())?;
    check!(segment.stat_into(buffer) == Ok(()));
    check!(!buffer.is_zero());
    check!(segment.stat_into(buffer.part(1..buffer.length)) == Err(EFAULT));
    Ok(())
}

/// SHM_STAT asks for permission to read, SHM_STAT_ANY does not, and both give the identifier.
#[case(SHMCTL_2, "DESCRIPTION", settles = ["shmctl.2 SHM_STAT", "shmctl.2 SHM_STAT_ANY", "shmctl.2 EACCES"], needs = [Need::Unprivileged, Need::Own(Namespaces::IPC)])]
fn stat_any_looks_past_the_permissions() -> Verdict {
    // Indices are used again, identifiers are not: after these they differ.
    for _ in 0..100 {
        Segment::private(page_size())?.remove()?;
    }
    let segment = Segment::private(page_size())?;
    let (highest, _) = usage()?;
    check!(id_at(highest) == Ok(segment.id));
    segment.set_mode(0)?;
    check!(segment.stat().map(drop) == Err(EACCES));
    check!(id_at(highest) == Err(EACCES));
    check!(id_of_any_at(highest) == Ok(segment.id));
    check!(id_of_any_at(highest + 1) == Err(EINVAL));
    Ok(())
}

/// Lets this process lock so many bytes into memory.
fn allow_locked(bytes: usize) -> Verdict {
    let (_, hard) = getrlimit(Resource::RLIMIT_MEMLOCK)?;
    if hard < bytes as rlim_t {
        return Err(Failure::skipped(vec![format!("RLIMIT_MEMLOCK of {bytes} (have {hard})")]));
    }
    Ok(setrlimit(Resource::RLIMIT_MEMLOCK, bytes as rlim_t, hard)?)
}

/// The owner of a segment locks it without privilege within RLIMIT_MEMLOCK, and it shows SHM_LOCKED until it is unlocked.
#[case(SHMCTL_2, "DESCRIPTION", settles = ["shmctl.2 SHM_LOCK", "shmctl.2 SHM_UNLOCK"], needs = [Need::Unprivileged])]
fn lock_shows_in_the_mode_until_unlock() -> Verdict {
    allow_locked(16 * page_size())?;
    let segment = Segment::private(page_size())?;
    check!(segment.mode() == Ok(0o600));
    check!(segment.lock() == Ok(()));
    check!(segment.mode() == Ok(0o600 | SHM_LOCKED));
    check!(segment.unlock() == Ok(()));
    check!(segment.mode() == Ok(0o600));
    Ok(())
}

/// IPC_SET changes the permissions of a segment that is locked and marked to be destroyed, and it stays locked and marked.
#[case(SHMCTL_2, "DESCRIPTION")]
fn new_mode_leaves_lock_and_mark() -> Verdict {
    allow_locked(16 * page_size())?;
    let segment = Segment::private(page_size())?;
    segment.attach()?;
    segment.lock()?;
    segment.remove()?;
    check!(segment.mode() == Ok(0o600 | SHM_LOCKED | SHM_DEST));
    check!(segment.set_mode(0o640) == Ok(()));
    check!(segment.mode() == Ok(0o640 | SHM_LOCKED | SHM_DEST));
    Ok(())
}

/// Without privilege, a segment larger than RLIMIT_MEMLOCK is not locked, and none is when the limit is 0.
#[case(SHMCTL_2, "ERRORS", settles = ["shmctl.2 ENOMEM"], needs = [Need::Unprivileged])]
fn lock_stops_at_the_memlock_limit() -> Verdict {
    let segment = Segment::private(2 * page_size())?;
    for (limit, refusal) in [(page_size(), ENOMEM), (0, EPERM)] {
        allow_locked(limit)?;
        check!(segment.lock() == Err(refusal), "limit {limit}");
        check!(segment.mode() == Ok(0o600));
    }
    Ok(())
}

/// IPC_INFO tells the limits that /proc/sys/kernel has.
#[case(SHMCTL_2, "DESCRIPTION", settles = ["shmctl.2 IPC_INFO"])]
fn information_tells_the_limits() -> Verdict {
    let told = limits()?;
    check!(told.max == fitting::<c_ulong>("kernel/shmmax")?);
    check!(told.segments == fitting::<c_ulong>("kernel/shmmni")?);
    check!(told.all == fitting::<c_ulong>("kernel/shmall")?);
    check!(told.min == 1);
    Ok(())
}

/// A segment may have SHMMAX bytes and not one more.
#[case(SHMGET_2, "ERRORS", settles = ["shmget.2 EINVAL 1", "shmget.2 SHMMAX"], needs = [Need::Sysctl("kernel/shmmax")])]
fn segment_beyond_shmmax_is_refused() -> Verdict {
    let largest = 3 * page_size() + 5;
    set_sysctl("kernel/shmmax", largest)?;
    check!(Segment::private(largest + 1) == Err(EINVAL));
    check!(Segment::private(largest).map(drop) == Ok(()));
    Ok(())
}

/// SHMMNI segments can exist at a time; a further one has to wait for the removal of another.
#[case(SHMGET_2, "ERRORS", settles = ["shmget.2 ENOSPC", "shmget.2 SHMMNI"], needs = [Need::Sysctl("kernel/shmmni")])]
fn segments_beyond_shmmni_are_refused() -> Verdict {
    set_sysctl("kernel/shmmni", 2)?;
    let first = Segment::private(1)?;
    Segment::private(1)?;
    check!(Segment::private(1) == Err(ENOSPC));
    first.remove()?;
    check!(Segment::private(1).map(drop) == Ok(()));
    Ok(())
}

/// All segments together have at most SHMALL pages.
#[case(SHMGET_2, "ERRORS", settles = ["shmget.2 SHMALL"], needs = [Need::Sysctl("kernel/shmall")])]
fn pages_beyond_shmall_are_refused() -> Verdict {
    set_sysctl("kernel/shmall", 3)?;
    let first = Segment::private(page_size() + 1)?;
    check!(Segment::private(page_size() + 1) == Err(ENOSPC));
    check!(Segment::private(page_size()).map(drop) == Ok(()));
    check!(Segment::private(1) == Err(ENOSPC));
    first.remove()?;
    check!(Segment::private(2 * page_size()).map(drop) == Ok(()));
    Ok(())
}

refusals! {
    SHMGET_2, "ERRORS";

    /// A segment has at least one byte.
    ["shmget.2 SHMMIN"] segment_of_no_bytes_is_refused => EINVAL: Segment::open(unique_key(), 0, libc::IPC_CREAT | 0o600);

    /// A segment is not found by a size beyond its own.
    ["shmget.2 EINVAL 2"] size_beyond_the_segment_is_refused => EINVAL: Segment::open(Segment::keyed(page_size())?.1, page_size() + 1, 0o600);
}

const HUGE_PAGES: Facility = Facility {
    name: "huge pages",
    probe: || memfd_create("probe", MFdFlags::MFD_HUGETLB).map(drop),
};

/// This process's group as the parent of its user namespace knows it.
fn outer_group() -> Verdict<u64> {
    let group = u64::from(getegid().as_raw());
    for row in std::fs::read_to_string("/proc/self/gid_map")?.lines() {
        let numbers: Vec<u64> =
            row.split_ascii_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        if let [inner, outer, count] = numbers[..]
            && (inner..inner + count).contains(&group)
        {
            return Ok(outer + group - inner);
        }
    }
    Ok(group)
}

/// Without CAP_IPC_LOCK, and outside hugetlb_shm_group, no segment has huge pages.
#[case(SHMGET_2, "ERRORS", settles = ["shmget.2 EPERM"], needs = [Need::Facility(HUGE_PAGES), Need::Unprivileged, Need::File("/proc/sys/vm/hugetlb_shm_group")])]
fn huge_pages_without_privilege_are_refused() -> Verdict {
    if outer_group()? == sysctl("vm/hugetlb_shm_group")? {
        return Err(Failure::skipped(vec!["a group other than hugetlb_shm_group".to_owned()]));
    }
    allow_locked(0)?;
    let made = Segment::open(libc::IPC_PRIVATE, page_size(), libc::SHM_HUGETLB | 0o600);
    check!(made == Err(EPERM));
    Ok(())
}

refusals! {
    SHMOP_2, "ERRORS";

    /// Without SHM_RND an address has to be that of a page.
    ["shmop.2 EINVAL 1"] unaligned_address_is_refused => EINVAL: Segment::private(1)?.attach_at(Memory::free(page_size())?.address + 1, 0);

    /// SHM_REMAP has to be told where.
    [] remap_without_an_address_is_refused => EINVAL: Segment::private(1)?.attach_at(0, SHM_REMAP);

    /// A number that is no segment's identifier is not attached.
    [] identifier_never_given_is_refused => EINVAL: Segment { id: -1 }.attach();

    /// Only the address that shmat gave detaches.
    [] detach_inside_a_segment_is_refused => EINVAL: detach(Segment::private(2 * page_size())?.attach()?.address + page_size());

    /// A mapping that is no segment is not detached.
    ["shmop.2 EINVAL 2"] detach_of_a_plain_mapping_is_refused => EINVAL: detach(Memory::anonymous(page_size(), libc::MAP_SHARED)?.address);

    /// What is detached cannot be detached again.
    [] second_detach_is_refused => EINVAL: {
        let attached = Segment::private(1)?.attach()?;
        attached.detach()?;
        attached.detach()
    };
}

refusals! {
    SHMCTL_2, "ERRORS";

    /// An operation that shmctl does not have is refused.
    ["shmctl.2 EINVAL"] unknown_operation_is_refused => EINVAL: Segment::private(1)?.command(99);
}
