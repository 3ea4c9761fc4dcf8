//! Wrong answers of semget and semctl: what a set tells of itself, limits and
//! permissions.

use std::io::IoSlice;

use libc::{
    GETALL, GETPID, GETZCNT, IPC_CREAT, IPC_INFO, IPC_PRIVATE, IPC_RMID, IPC_SET, IPC_STAT,
    SEM_INFO, SEM_STAT, SEM_STAT_ANY, SETALL, SETVAL,
};
use nix::sys::uio::{RemoteIoVec, process_vm_writev};

use super::view::key;
use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    setall_wants_to_write_to_its_array,
    new_set_begins_at_one,
    mode_of_a_new_set_obeys_the_umask,
    getpid_tells_of_the_first_semaphore,
    getzcnt_knows_the_first_semaphore_only,
    getall_tells_as_many_as_fit_on_the_stack,
    failed_operation_leaves_its_pid,
    setall_leaves_no_pid,
    failed_operation_sets_the_time,
    wait_for_zero_is_no_operation,
    semop_sets_the_time_of_change,
    time_of_change_is_that_of_creation,
    ipc_info_confuses_sets_and_semaphores,
    sem_info_counts_removed_sets,
    sem_stat_gives_the_index,
    sem_stat_any_asks_for_permission,
    set_goes_with_its_creator,
    full_table_stays_full,
    impossible_count_is_taken_for_one,
    key_leads_past_the_permissions,
    wait_for_zero_needs_alter_permission,
    semget_makes_what_it_should_refuse,
    semctl_refuses_nothing,
];

/// In `semid64_ds`: the time of the last semop.
const OTIME: u64 = 48;
/// In `semid64_ds`: the time of the last change.
const CTIME: u64 = 64;
/// In `semid64_ds`: the mode.
const MODE: u64 = 20;

/// The semaphores of a new set are 1, not 0.
#[fault(SEMGET_2, "Semaphore initialization", on = [SEMGET])]
fn new_set_begins_at_one(call: &mut Call) -> Result<Effect> {
    if call.argument(0) != IPC_PRIVATE as u64 {
        return call.proceed();
    }
    call.then(|call| {
        let set = call.result();
        let one = [set as u64, 0, SETVAL as u64, 1, 0, 0];
        if set < 0 {
            call.proceed()
        } else {
            call.instead(libc::SYS_semctl, one, move |call| call.give(set))
        }
    })
}

/// The mode of a new set is masked by the umask, as that of a file is.
#[fault(SEMGET_2, "DESCRIPTION", on = [SEMGET])]
fn mode_of_a_new_set_obeys_the_umask(call: &mut Call) -> Result<Effect> {
    call.set_argument(2, call.argument(2) & !call.umask()?);
    call.proceed()
}

/// GETPID tells of the first semaphore, whichever it is asked about.
#[fault(SEMCTL_2, "DESCRIPTION", on = [SEMCTL])]
fn getpid_tells_of_the_first_semaphore(call: &mut Call) -> Result<Effect> {
    if call.command() == GETPID {
        call.set_argument(1, 0);
    }
    call.proceed()
}

/// GETZCNT counts who waits for zero at the first semaphore, and nobody elsewhere.
#[fault(SEMCTL_2, "DESCRIPTION", on = [SEMCTL])]
fn getzcnt_knows_the_first_semaphore_only(call: &mut Call) -> Result<Effect> {
    let elsewhere = call.command() == GETZCNT && call.argument(1) != 0;
    call.then(
        move |call| if elsewhere && call.result() > 0 { call.give(0) } else { call.proceed() },
    )
}

/// GETALL tells the first 256 values, which fit on the kernel's stack, and leaves the rest of the array.
#[fault(SEMCTL_2, "DESCRIPTION", on = [SEMCTL])]
fn getall_tells_as_many_as_fit_on_the_stack(call: &mut Call) -> Result<Effect> {
    if call.command() != GETALL {
        return call.proceed();
    }
    let rest = call.argument(3) + 256 * 2;
    // What is not there is none of a large set.
    let Ok(before) = call.memory(rest, 2) else { return call.proceed() };
    call.then(move |call| {
        call.set_memory(rest, &before)?;
        call.proceed()
    })
}

/// An operation that could not be done leaves the pid of who tried.
#[fault(SEMOP_2, "DESCRIPTION", on = [SEMOP, SEMCTL])]
fn failed_operation_leaves_its_pid(call: &mut Call) -> Result<Effect> {
    let (set, me) = (call.set(), i64::from(call.process().as_raw()));
    if !call.is_semop() {
        let tried = *call.notes().of(key(set, call.argument(1) as u16));
        return match (call.command(), tried) {
            (GETPID, Some(tried)) => call.give(tried),
            _ => call.proceed(),
        };
    }
    let ops = call.ops()?;
    call.then(move |call| {
        for op in ops {
            *call.notes().of(key(set, op.number)) = (call.result() < 0).then_some(me);
        }
        call.proceed()
    })
}

/// IPC_STAT happens; then this looks at the description.
fn stat(
    call: &mut Call,
    look: impl FnOnce(&mut Call, u64) -> Result<()> + 'static,
) -> Result<Effect> {
    let address = call.argument(3);
    if call.command() != IPC_STAT {
        return call.proceed();
    }
    call.then(move |call| {
        if call.result() == 0 {
            look(call, address)?;
        }
        call.proceed()
    })
}

/// SETALL leaves the pids of a new set at 0, as kernels before 4.6 did.
#[fault(SEMCTL_2, "The sempid value", on = [SEMCTL, SEMOP])]
fn setall_leaves_no_pid(call: &mut Call) -> Result<Effect> {
    let (set, number) = (call.set(), call.argument(1) as u16);
    if call.is_semop() {
        for op in call.ops()? {
            call.notes().count(key(set, op.number));
        }
    } else if call.command() == SETVAL {
        call.notes().count(key(set, number));
    } else if call.command() == GETPID && !call.notes().has(key(set, number)) {
        return call.then(|call| if call.result() > 0 { call.give(0) } else { call.proceed() });
    }
    call.proceed()
}

/// An operation that could not be done sets sem_otime.
#[fault(SEMOP_2, "DESCRIPTION", on = [SEMOP, SEMCTL])]
fn failed_operation_sets_the_time(call: &mut Call) -> Result<Effect> {
    let set = call.set();
    if call.is_semop() {
        return call.then(move |call| {
            if call.result() == -(EAGAIN as i64) {
                call.notes().count(set);
            }
            call.proceed()
        });
    }
    stat(call, move |call, at| {
        let changed = call.number_at::<i64>(at + CTIME)?;
        let failed = call.notes().has(set);
        if failed { call.set_number_at(at + OTIME, changed) } else { Ok(()) }
    })
}

/// A wait for zero that goes through leaves no pid.
#[fault(SEMOP_2, "DESCRIPTION", on = [SEMOP, SEMCTL])]
fn wait_for_zero_is_no_operation(call: &mut Call) -> Result<Effect> {
    let set = call.set();
    if !call.is_semop() {
        let key = 1 << 48 | key(set, call.argument(1) as u16);
        let asked = call.command() == GETPID;
        return call.then(move |call| {
            let [who, before] = call.notes().list(key)[..] else { return call.proceed() };
            if asked && call.result() == who { call.give(before) } else { call.proceed() }
        });
    }
    let ops = call.ops()?;
    let me = i64::from(call.process().as_raw());
    for op in &ops {
        call.notes().list(1 << 48 | key(set, op.number)).clear();
    }
    let &[ipcspec_cases::sys::sem::Op { number, change: 0, .. }] = &ops[..] else {
        return call.proceed();
    };
    call.semctl(number, GETPID, 0, move |call| {
        let before = call.result();
        call.once_more(move |call| {
            if call.result() == 0 {
                *call.notes().list(1 << 48 | key(set, number)) = vec![me, before];
            }
            call.proceed()
        })
    })
}

/// A semop sets sem_ctime too.
#[fault(SEMCTL_2, "DESCRIPTION", on = [SEMCTL])]
fn semop_sets_the_time_of_change(call: &mut Call) -> Result<Effect> {
    stat(call, |call, at| {
        let times = (call.number_at::<i64>(at + OTIME)?, call.number_at::<i64>(at + CTIME)?);
        call.set_number_at(at + CTIME, times.0.max(times.1))
    })
}

/// SETVAL, SETALL and IPC_SET leave sem_ctime alone.
#[fault(SEMCTL_2, "DESCRIPTION", on = [SEMCTL])]
fn time_of_change_is_that_of_creation(call: &mut Call) -> Result<Effect> {
    let set = call.set();
    stat(call, move |call, at| {
        let now = call.number_at::<i64>(at + CTIME)?;
        let created = *call.notes().of(set).get_or_insert(now);
        call.set_number_at(at + CTIME, created)
    })
}

/// Numbers of `seminfo`: the call happens; then this looks at them.
fn seminfo(
    call: &mut Call,
    command: i32,
    look: impl FnOnce(&mut Call, u64) -> Result<()> + 'static,
) -> Result<Effect> {
    let address = call.argument(3);
    if call.command() != command {
        return call.proceed();
    }
    call.then(move |call| {
        if call.result() >= 0 {
            look(call, address)?;
        }
        call.proceed()
    })
}

/// IPC_INFO tells the limit of sets as that of semaphores, and the other way round.
#[fault(SEMCTL_2, "DESCRIPTION", on = [SEMCTL])]
fn ipc_info_confuses_sets_and_semaphores(call: &mut Call) -> Result<Effect> {
    seminfo(call, IPC_INFO, |call, at| {
        let (sets, semaphores) = (call.number_at::<i32>(at + 4)?, call.number_at::<i32>(at + 8)?);
        call.set_number_at(at + 4, semaphores)?;
        call.set_number_at(at + 8, sets)
    })
}

/// SEM_INFO still counts the sets that have been removed.
#[fault(SEMCTL_2, "DESCRIPTION", on = [SEMCTL])]
fn sem_info_counts_removed_sets(call: &mut Call) -> Result<Effect> {
    if call.command() == IPC_RMID {
        call.notes().count(0);
    }
    seminfo(call, SEM_INFO, |call, at| {
        let sets = call.number_at::<i32>(at + 28)?;
        let removed = call.notes().of(0).unwrap_or(0) as i32;
        call.set_number_at(at + 28, sets + removed)
    })
}

/// SEM_STAT gives the index that it was asked about, not the identifier.
#[fault(SEMCTL_2, "RETURN VALUE", on = [SEMCTL])]
fn sem_stat_gives_the_index(call: &mut Call) -> Result<Effect> {
    let index = call.argument(0) as i64;
    if call.command() != SEM_STAT {
        return call.proceed();
    }
    call.then(move |call| if call.result() < 0 { call.proceed() } else { call.give(index) })
}

/// SEM_STAT_ANY needs read permission, as SEM_STAT does.
#[fault(SEMCTL_2, "DESCRIPTION", on = [SEMCTL])]
fn sem_stat_any_asks_for_permission(call: &mut Call) -> Result<Effect> {
    if call.command() == SEM_STAT_ANY {
        call.set_argument(2, SEM_STAT as u64);
    }
    call.proceed()
}

/// A set is removed when the process that made it exits.
#[fault(SEMGET_2, "DESCRIPTION", on = [SEMGET, EXIT_GROUP])]
fn set_goes_with_its_creator(call: &mut Call) -> Result<Effect> {
    let me = call.process().as_raw() as u64;
    if call.number() == libc::SYS_semget {
        let created = call.argument(2) & IPC_CREAT as u64 != 0;
        return call.then(move |call| {
            let set = call.result();
            if created && set >= 0 {
                call.notes().list(me).push(set);
            }
            call.proceed()
        });
    }
    let sets = call.notes().list(me).clone();
    let remove = |set: i64| (libc::SYS_semctl, [set as u64, 0, IPC_RMID as u64, 0, 0, 0]);
    let mut calls: Vec<_> = sets.into_iter().map(remove).collect();
    calls.push((call.number(), call.arguments()));
    call.instead_all(calls, |call| call.proceed())
}

/// Once semget has found no room there is none, whatever is removed and however little is asked for.
#[fault(SEMGET_2, "ERRORS", on = [SEMGET])]
fn full_table_stays_full(call: &mut Call) -> Result<Effect> {
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

/// semget for a number of semaphores that cannot be is semget for one.
#[fault(SEMGET_2, "ERRORS", on = [SEMGET])]
fn impossible_count_is_taken_for_one(call: &mut Call) -> Result<Effect> {
    let [key, _, flags, ..] = call.arguments();
    call.then(move |call| match call.result() {
        refused if refused == -(EINVAL as i64) => {
            call.instead(libc::SYS_semget, [key, 1, flags, 0, 0, 0], |call| call.proceed())
        }
        _ => call.proceed(),
    })
}

/// semget gives the identifier of a set to who may not access it.
#[fault(SEMGET_2, "ERRORS", on = [SEMGET])]
fn key_leads_past_the_permissions(call: &mut Call) -> Result<Effect> {
    let key = call.argument(0);
    call.then(move |call| match call.result() {
        refused if refused == -(EACCES as i64) => {
            call.instead(libc::SYS_semget, [key, 0, 0, 0, 0, 0], |call| call.proceed())
        }
        _ => call.proceed(),
    })
}

/// A wait for zero needs permission to alter.
#[fault(SEMOP_2, "DESCRIPTION", on = [SEMOP, SEMCTL])]
fn wait_for_zero_needs_alter_permission(call: &mut Call) -> Result<Effect> {
    let set = call.set();
    if call.is_semop() {
        let looks = call.ops()?.iter().all(|op| op.change == 0);
        let refused = looks && call.notes().of(set).is_some_and(|mode| mode & 0o200 == 0);
        return if refused { call.fail(EACCES) } else { call.proceed() };
    }
    if call.command() == IPC_SET {
        let mode = call.number_at::<u32>(call.argument(3) + MODE)?;
        *call.notes().of(set) = Some(mode.into());
    }
    call.proceed()
}

/// Where semget should find nothing, or too much, it makes a new set.
#[fault(SEMGET_2, "ERRORS", on = [SEMGET])]
fn semget_makes_what_it_should_refuse(call: &mut Call) -> Result<Effect> {
    call.then(|call| {
        let refused = [EEXIST, ENOENT, ENOSPC].map(|errno| -(errno as i64));
        if !refused.contains(&call.result()) {
            return call.proceed();
        }
        let make = [IPC_PRIVATE as u64, 1, 0o600, 0, 0, 0];
        call.instead(libc::SYS_semget, make, |call| call.proceed())
    })
}

/// What semctl should refuse does nothing and is told as done.
#[fault(SEMCTL_2, "ERRORS", on = [SEMCTL])]
fn semctl_refuses_nothing(call: &mut Call) -> Result<Effect> {
    call.then(|call| if call.result() < 0 { call.give(0) } else { call.proceed() })
}

/// SETALL fails where its array cannot be written to.
#[fault(SEMCTL_2, "DESCRIPTION", on = [SEMCTL])]
fn setall_wants_to_write_to_its_array(call: &mut Call) -> Result<Effect> {
    let array = call.argument(3);
    if call.command() == SETALL
        && let Ok(first) = call.memory(array, 2)
    {
        let place = RemoteIoVec { base: array as usize, len: first.len() };
        if process_vm_writev(call.thread(), &[IoSlice::new(&first)], &[place]).is_err() {
            return call.fail(EFAULT);
        }
    }
    call.proceed()
}
