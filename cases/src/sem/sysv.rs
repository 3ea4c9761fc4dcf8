//! System V semaphores: sets, P and V, undo.

use std::path::Path;

use libc::{MAP_PRIVATE, PROT_READ, time_t};
use nix::sched::{CloneFlags, sched_yield, unshare};
use nix::sys::time::TimeSpec;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{Gid, Uid, getegid, geteuid, pause, setresgid, setresuid};

use crate::prelude::*;
use crate::sys::memory::Memory;
use crate::sys::program::{A_PROGRAM, Program};
use crate::sys::sem::{Op, Sem, fork_sharing_undo, highest_value, info};
use crate::sys::signals::{Action, catch};
use crate::sys::sysctl::{numbers, set_sysctl};
use crate::sys::unique_key;

/// The cases of this module.
pub const CASES: &[Case] = &[
    // P and V.
    p_on_zero_blocks_until_v,
    p_beyond_the_value_takes_nothing_until_it_can_take_all,
    units_are_counted_and_outlive_the_giver,
    concurrent_p_and_v_lose_nothing,
    semaphore_at_one_admits_one_process_at_a_time,
    set_is_found_by_key_when_its_creator_is_gone,
    // Lists of operations.
    operations_of_a_list_see_each_other_in_order,
    failed_list_changes_nothing,
    no_one_sees_half_a_list,
    whole_request_sleeps_and_holds_nothing,
    nowait_concerns_only_the_operation_that_has_it,
    // Who is woken, and when.
    waiter_for_one_passes_an_older_waiter_for_two,
    equal_waiters_are_served_in_order,
    release_wakes_all_whose_whole_request_fits,
    what_a_woken_request_gives_is_passed_on,
    overflow_in_the_list_of_a_sleeper_ends_its_sleep,
    wait_for_zero_ends_at_zero_only,
    setval_wakes_who_can_go_on,
    setall_wakes_who_can_go_on,
    removal_wakes_every_sleeper_with_eidrm,
    handler_ends_a_sleep_in_spite_of_sa_restart,
    interrupted_semtimedop_leaves_its_time_limit,
    stop_and_continue_end_a_sleep,
    semtimedop_gives_up_not_before_its_time,
    semtimedop_goes_on_when_its_turn_comes,
    time_limit_of_zero_only_forbids_to_sleep,
    // What a set tells of itself.
    new_set_is_zero_and_says_how_it_was_made,
    set_keeps_value_and_last_pid_of_each_semaphore,
    getpid_names_the_sleeper_that_was_woken,
    wait_for_zero_counts_as_an_operation,
    sleepers_are_counted_until_they_leave,
    sleeper_counts_at_the_semaphore_that_lacks,
    waiter_for_zero_counts_at_the_semaphore_that_is_not,
    every_value_of_a_large_set_is_set_and_told,
    semop_and_semctl_set_their_own_times,
    limits_are_those_of_proc,
    sem_info_counts_sets_and_semaphores,
    sem_stat_finds_a_set_by_index,
    sem_stat_any_needs_no_permission,
    // Undo.
    undo_rolls_back_at_exit,
    undo_at_sigkill_lets_the_others_go_on,
    undo_covers_every_semaphore_and_operation,
    undo_goes_on_past_a_removed_set,
    undo_wakes_who_waits_for_zero,
    undo_spares_operations_without_the_flag,
    own_release_cancels_the_undo,
    failed_list_leaves_no_undo,
    sleeper_killed_before_its_turn_undoes_nothing,
    undo_waits_for_the_process_not_the_thread,
    undo_is_not_inherited_by_fork,
    undo_is_kept_over_exec,
    setval_clears_undo_in_every_process,
    setall_clears_undo_in_every_process,
    setall_only_reads_its_array,
    undo_stops_at_zero,
    undo_counts_as_an_operation_of_the_dead_process,
    shared_undo_waits_for_the_last_sharer,
    unshared_undo_is_applied_at_once,
    undo_beyond_its_limit_is_refused,
    // Limits and permissions.
    value_beyond_the_maximum_is_refused,
    list_beyond_the_maximum_is_refused,
    sets_beyond_the_maximum_are_refused,
    semaphores_beyond_the_maximum_are_refused,
    set_larger_than_the_maximum_is_refused,
    smaller_count_finds_the_set_and_a_larger_one_does_not,
    read_permission_allows_no_change,
    alter_permission_allows_no_look,
    stranger_may_not_remove_or_set,
    set_without_permission_is_not_given_by_key,
    // Refused calls.
    empty_list_of_operations_is_refused,
    semaphore_beyond_the_set_is_refused,
    negative_set_is_refused,
    p_without_sleeping_is_refused_at_zero,
    zero_without_sleeping_is_refused_at_one,
    list_at_no_address_is_refused,
    timeout_at_no_address_is_refused,
    existing_key_is_refused_with_excl,
    unknown_key_is_refused_without_creat,
    new_set_of_none_is_refused,
    setval_below_zero_is_refused,
    setval_beyond_the_maximum_is_refused,
    setall_beyond_the_maximum_is_refused,
    unknown_command_is_refused,
    unused_index_is_refused,
    stat_to_no_address_is_refused,
    getall_to_no_address_is_refused,
    setall_from_no_address_is_refused,
];

/// A process that sleeps in this call of semop, and ends once it has been done.
fn sleeper(sem: Sem, ops: &[Op]) -> Verdict<Child> {
    let sleeper = Child::spawn(|| holds!(sem.op(ops) == Ok(())))?;
    sleeper.blocked_in(SEMOP)?;
    Ok(sleeper)
}

/// A process that has done `ops` in one call, and exits when `end` opens.
fn holder(sem: Sem, ops: &[Op], end: Latch) -> Verdict<Child> {
    let done = Latch::new()?;
    let holder = Child::spawn(|| {
        sem.op(ops)?;
        done.open();
        end.wait()
    })?;
    holder.reaches(done)?;
    Ok(holder)
}

/// A decrement that would take the value below zero sleeps until another process raises it enough.
#[case(SEMOP_2, "DESCRIPTION", settles = ["A22", "A23", "A26"])]
fn p_on_zero_blocks_until_v() -> Verdict {
    let sem = Sem::private(&[0])?;
    let waiter = Child::spawn(|| Ok(sem.p()?))?;
    waiter.blocked_in(SEMOP)?;
    check!(sem.get(0) == Ok(0));
    sem.v()?;
    waiter.join()?;
    check!(sem.get(0) == Ok(0));
    Ok(())
}

/// A decrement of more than the value leaves the value alone while it sleeps, and takes all of it at once.
#[case(SEMOP_2, "DESCRIPTION", settles = ["A22", "semctl.2/DESCRIPTION GETVAL 1", "semctl.2/RETURN VALUE GETVAL 1"])]
fn p_beyond_the_value_takes_nothing_until_it_can_take_all() -> Verdict {
    let sem = Sem::private(&[2])?;
    let waiter = sleeper(sem, &[Op::new(0, -4)])?;
    check!(sem.get(0) == Ok(2));
    sem.v()?;
    waiter.blocked_in(SEMOP)?;
    check!(sem.get(0) == Ok(3));
    sem.v()?;
    waiter.join()?;
    check!(sem.get(0) == Ok(0));
    Ok(())
}

/// Units that a process gave before it ended can be taken by others, as many as were given and no more.
#[case(SEMOP_2, "DESCRIPTION", settles = ["A21", "A26", "A27"])]
fn units_are_counted_and_outlive_the_giver() -> Verdict {
    let sem = Sem::private(&[0])?;
    let giver = Child::spawn(|| {
        sem.v()?;
        sem.op(&[Op::new(0, 2)])?;
        Ok(())
    })?;
    giver.join()?;
    for _ in 0..3 {
        check!(sem.op(&[Op::new(0, -1).nowait()]) == Ok(()));
    }
    check!(sem.op(&[Op::new(0, -1).nowait()]) == Err(EAGAIN));
    Ok(())
}

/// When several processes do P and V at once, none of their operations is lost.
#[case(SEMOP_2, "DESCRIPTION", settles = ["A24"], deadline = 60)]
fn concurrent_p_and_v_lose_nothing() -> Verdict {
    let each = i32::from(highest_value()? / 3).min(1000);
    let sem = Sem::private(&[0])?;
    let three_at_once = |op: Op| {
        let start = Latch::new()?;
        let worker = || {
            start.wait()?;
            (0..each).try_for_each(|_| sem.op(&[op]))?;
            Ok(())
        };
        let workers = Children::spawn(3, |_| worker())?;
        start.open();
        workers.join()
    };
    three_at_once(Op::new(0, 1))?;
    check!(sem.get(0) == Ok(3 * each));
    three_at_once(Op::new(0, -1))?;
    check!(sem.get(0) == Ok(0));
    Ok(())
}

/// Between P and V on a semaphore that started at 1 there is never more than one process.
#[case(SEMOP_2, "DESCRIPTION", settles = ["A25", "A24"], deadline = 60)]
fn semaphore_at_one_admits_one_process_at_a_time() -> Verdict {
    const ROUNDS: u64 = 1000;
    let sem = Sem::private(&[1])?;
    let (inside, total, start) = (Counter::new()?, Counter::new()?, Latch::new()?);
    let worker = || {
        start.wait()?;
        for _ in 0..ROUNDS {
            sem.p()?;
            check!(inside.add(1) == 0);
            let before = total.get();
            sched_yield()?;
            total.set(before + 1);
            inside.set(0);
            sem.v()?;
        }
        Ok(())
    };
    let workers = Children::spawn(3, |_| worker())?;
    start.open();
    workers.join()?;
    check!(total.get() == 3 * ROUNDS);
    Ok(())
}

/// A set belongs to no process: one that a process made and left is there for whoever has the key.
#[case(SEMGET_2, "DESCRIPTION", also = [(SYSVIPC_7, "Semaphore sets")], settles = ["A27"])]
fn set_is_found_by_key_when_its_creator_is_gone() -> Verdict {
    let key = unique_key();
    let creator = Child::spawn(|| Ok(Sem::open(key, 1, libc::IPC_CREAT | 0o600)?.set(0, 4)?))?;
    creator.join()?;
    let found = Sem::open(key, 0, 0);
    check!(found.and_then(|sem| sem.get(0)) == Ok(4));
    check!(Sem::open(key, 1, libc::IPC_CREAT | 0o600) == found);
    Ok(())
}

/// Operations of one call take effect one after the other, also on one semaphore.
#[case(SEMOP_2, "DESCRIPTION", also = [(SEMOP_2, "EXAMPLES")])]
fn operations_of_a_list_see_each_other_in_order() -> Verdict {
    let sem = Sem::private(&[0])?;
    let (take, give, zero) = (Op::new(0, -1).nowait(), Op::new(0, 1), Op::new(0, 0).nowait());
    check!(sem.op(&[give, give, take, take, zero, give, take]) == Ok(()));
    check!(sem.op(&[take, give]) == Err(EAGAIN));
    check!(sem.op(&[give, zero, take]) == Err(EAGAIN));
    check!(sem.op(&[zero, give]) == Ok(()));
    check!(sem.op(&[zero, give]) == Err(EAGAIN));
    check!(sem.get(0) == Ok(1));
    Ok(())
}

/// When one operation of a list cannot be done, none is: no value differs afterwards.
#[case(SEMOP_2, "DESCRIPTION", settles = ["B25", "semctl.2 GETALL"])]
fn failed_list_changes_nothing() -> Verdict {
    let most = highest_value()?;
    let sem = Sem::private(&[3, 0, most])?;
    let take = Op::new(0, -2).nowait();
    check!(sem.op(&[take, Op::new(1, -1).nowait()]) == Err(EAGAIN));
    check!(sem.op(&[Op::new(1, 1), take, take]) == Err(EAGAIN));
    check!(sem.op(&[take, Op::new(2, 1)]) == Err(ERANGE));
    check!(sem.op(&[take, Op::new(2, -1), Op::new(2, 1), Op::new(2, 1)]) == Err(ERANGE));
    check!(sem.op(&[take, Op::new(3, 1)]) == Err(EFBIG));
    check!(sem.all() == Ok(vec![3, 0, most]));
    Ok(())
}

/// A list that moves a unit from one semaphore to another is never seen half done.
#[case(SEMOP_2, "DESCRIPTION", settles = ["A24", "B25"])]
fn no_one_sees_half_a_list() -> Verdict {
    let sem = Sem::private(&[2, 2])?;
    let (start, enough) = (Latch::new()?, Latch::new()?);
    let mover = || {
        start.open();
        while !enough.is_open() {
            sem.op(&[Op::new(0, -1), Op::new(1, 1)])?;
            sem.op(&[Op::new(1, -1), Op::new(0, 1)])?;
        }
        sem.op(&[Op::new(0, -1), Op::new(1, 1)])?;
        Ok(())
    };
    let movers = Children::spawn(2, |_| mover())?;
    start.wait()?;
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(300) {
        let values = sem.all()?;
        check!(values[0] + values[1] == 4);
    }
    enough.open();
    movers.join()?;
    check!(sem.all() == Ok(vec![0, 4]));
    Ok(())
}

/// A request for units of several semaphores sleeps until it can have all of them, and holds none of them until then.
#[case(SEMOP_2, "DESCRIPTION", settles = ["B22", "B23"])]
fn whole_request_sleeps_and_holds_nothing() -> Verdict {
    let sem = Sem::private(&[2, 0])?;
    let waiter = sleeper(sem, &[Op::new(0, -2), Op::new(1, -1)])?;
    check!(sem.op(&[Op::new(0, -1).nowait()]) == Ok(()));
    sem.op(&[Op::new(1, 1)])?;
    waiter.blocked_in(SEMOP)?;
    check!(sem.all() == Ok(vec![1, 1]));
    sem.v()?;
    waiter.join()?;
    check!(sem.all() == Ok(vec![0, 0]));
    Ok(())
}

/// A list sleeps for an operation without IPC_NOWAIT even if another of its operations has the flag.
#[case(SEMOP_2, "DESCRIPTION")]
fn nowait_concerns_only_the_operation_that_has_it() -> Verdict {
    let sem = Sem::private(&[1, 0])?;
    let waiter = sleeper(sem, &[Op::new(0, -1).nowait(), Op::new(1, -1)])?;
    sem.op(&[Op::new(1, 1)])?;
    waiter.join()?;
    check!(sem.all() == Ok(vec![0, 0]));
    Ok(())
}

/// A unit goes to the sleeper for whom it is enough, past an older one that needs two.
#[case(SEMOP_2, "DESCRIPTION", settles = ["B23"])]
fn waiter_for_one_passes_an_older_waiter_for_two() -> Verdict {
    let sem = Sem::private(&[0])?;
    let older = sleeper(sem, &[Op::new(0, -2)])?;
    let younger = sleeper(sem, &[Op::new(0, -1)])?;
    sem.v()?;
    younger.join()?;
    older.blocked_in(SEMOP)?;
    sem.op(&[Op::new(0, 2)])?;
    older.join()
}

/// Of sleepers that want the same, each release serves the one that has slept longest.
#[case(IPC_SEM_C, "FIFO ordering for semop() operations", settles = ["A23", "B22"])]
fn equal_waiters_are_served_in_order() -> Verdict {
    let sem = Sem::private(&[0, 0])?;
    let served = Counter::new()?;
    let queue = |place: u64| -> Verdict<Child> {
        let waiter = Child::spawn(move || {
            sem.p()?;
            let turn = served.add(1);
            sem.op(&[Op::new(1, 1)])?;
            check!(turn == place);
            Ok(())
        })?;
        waiter.blocked_in(SEMOP)?;
        Ok(waiter)
    };
    let waiters = Children::from([queue(0)?, queue(1)?, queue(2)?]);
    for _ in waiters.iter() {
        sem.v()?;
        sem.op(&[Op::new(1, -1)])?;
    }
    waiters.join()
}

/// One release wakes every sleeper whose whole request can now be met, and no other.
#[case(SEMOP_2, "DESCRIPTION", settles = ["A23", "B23"])]
fn release_wakes_all_whose_whole_request_fits() -> Verdict {
    let sem = Sem::private(&[0, 0])?;
    let many = sleeper(sem, &[Op::new(0, -4)])?;
    let both = sleeper(sem, &[Op::new(0, -1), Op::new(1, -1)])?;
    let two = sleeper(sem, &[Op::new(0, -2)])?;
    let one = sleeper(sem, &[Op::new(0, -1)])?;
    sem.op(&[Op::new(0, 3)])?;
    two.join()?;
    one.join()?;
    many.blocked_in(SEMOP)?;
    both.blocked_in(SEMOP)?;
    check!(sem.all() == Ok(vec![0, 0]));
    Ok(())
}

/// What the request of a woken sleeper gives wakes the next, also one that has slept longer.
#[case(SEMOP_2, "DESCRIPTION", settles = ["B23"])]
fn what_a_woken_request_gives_is_passed_on() -> Verdict {
    let sem = Sem::private(&[0, 0, 1])?;
    let last = sleeper(sem, &[Op::new(2, 0)])?;
    let middle = sleeper(sem, &[Op::new(1, -1), Op::new(2, -1)])?;
    let first = sleeper(sem, &[Op::new(0, -1), Op::new(1, 1)])?;
    sem.v()?;
    first.join()?;
    middle.join()?;
    last.join()?;
    check!(sem.all() == Ok(vec![0, 0, 0]));
    Ok(())
}

/// A list that becomes possible except for an overflow ends its sleep with ERANGE and leaves the unit that woke it.
#[case(SEMOP_2, "ERRORS", settles = ["B25", "semop.2 ERANGE"])]
fn overflow_in_the_list_of_a_sleeper_ends_its_sleep() -> Verdict {
    let most = highest_value()?;
    let sem = Sem::private(&[0, most])?;
    let sleeper = Child::spawn(|| holds!(sem.op(&[Op::new(0, -1), Op::new(1, 1)]) == Err(ERANGE)))?;
    sleeper.blocked_in(SEMOP)?;
    sem.v()?;
    sleeper.join()?;
    check!(sem.all() == Ok(vec![1, most]));
    Ok(())
}

/// Who waits for zero sleeps through every other value, and all of them go on when zero comes.
#[case(SEMOP_2, "DESCRIPTION")]
fn wait_for_zero_ends_at_zero_only() -> Verdict {
    let sem = Sem::private(&[2])?;
    let (one, other) = (sleeper(sem, &[Op::new(0, 0)])?, sleeper(sem, &[Op::new(0, 0)])?);
    sem.p()?;
    one.blocked_in(SEMOP)?;
    other.blocked_in(SEMOP)?;
    sem.p()?;
    one.join()?;
    other.join()?;
    check!(sem.get(0) == Ok(0));
    Ok(())
}

/// SETVAL wakes all who waited for the increase or the zero that it brings.
#[case(SEMCTL_2, "DESCRIPTION", settles = ["semctl.2 SETVAL"])]
fn setval_wakes_who_can_go_on() -> Verdict {
    let sem = Sem::private(&[0, 1])?;
    let needy = [sleeper(sem, &[Op::new(0, -2)])?, sleeper(sem, &[Op::new(0, -2)])?];
    let patient = sleeper(sem, &[Op::new(1, 0)])?;
    sem.set(0, 5)?;
    needy.into_iter().try_for_each(Child::join)?;
    patient.blocked_in(SEMOP)?;
    sem.set(1, 0)?;
    patient.join()?;
    check!(sem.all() == Ok(vec![1, 0]));
    Ok(())
}

/// SETALL wakes who waited for the increase or the zero that it brings.
#[case(SEMCTL_2, "DESCRIPTION", settles = ["semctl.2 SETALL"])]
fn setall_wakes_who_can_go_on() -> Verdict {
    let sem = Sem::private(&[0, 1])?;
    let (needy, patient) = (sleeper(sem, &[Op::new(0, -2)])?, sleeper(sem, &[Op::new(1, 0)])?);
    sem.set_all(&[3, 0])?;
    needy.join()?;
    patient.join()?;
    check!(sem.all() == Ok(vec![1, 0]));
    Ok(())
}

/// Removal ends every sleep in the set with EIDRM, of lists too, and who comes later gets EINVAL.
#[case(SEMCTL_2, "DESCRIPTION", also = [(SEMOP_2, "ERRORS")], settles = ["semctl.2 IPC_RMID", "semop.2 EIDRM"])]
fn removal_wakes_every_sleeper_with_eidrm() -> Verdict {
    let sem = Sem::private(&[1, 1])?;
    let lists: [&[Op]; 4] = [
        &[Op::new(0, -2)],
        &[Op::new(0, 0)],
        &[Op::new(0, -1), Op::new(1, -2)],
        &[Op::new(0, 0), Op::new(1, 0)],
    ];
    let sleepers = Children::spawn(4, |which| holds!(sem.op(lists[which]) == Err(EIDRM)))?;
    sleepers.blocked_in(SEMOP)?;
    check!(sem.remove() == Ok(()));
    sleepers.join()?;
    check!(sem.v() == Err(EINVAL));
    check!(sem.get(0) == Err(EINVAL));
    Ok(())
}

/// A handler ends a sleep with EINTR in spite of SA_RESTART, and nothing is left of the request.
#[case(SEMOP_2, "NOTES", also = [(SEMOP_2, "semtimedop()"), (SIGNAL_7, "Interruption of system calls and library functions by signal handlers")], settles = ["semop.2 EINTR"])]
fn handler_ends_a_sleep_in_spite_of_sa_restart() -> Verdict {
    let sem = Sem::private(&[1])?;
    let interrupted = |call: &dyn Fn() -> nix::Result<()>| {
        let sleeper = Child::spawn(|| {
            Action::record().flags(libc::SA_RESTART).on(SIGUSR1)?;
            check!(call() == Err(EINTR));
            Ok(())
        })?;
        sleeper.interrupt_in(SEMOP, SIGUSR1)
    };
    for change in [-2, 0] {
        interrupted(&|| sem.op(&[Op::new(0, change)]))?;
        interrupted(&|| sem.timed(&[Op::new(0, change)], &mut TimeSpec::new(3600, 0)))?;
    }
    check!((sem.wanting_more(0), sem.wanting_zero(0)) == (Ok(0), Ok(0)));
    check!(sem.get(0) == Ok(1));
    Ok(())
}

/// semtimedop that a handler interrupts leaves its time limit as it was.
#[case(SEMOP_2, "semtimedop()")]
fn interrupted_semtimedop_leaves_its_time_limit() -> Verdict {
    let sem = Sem::private(&[0])?;
    let sleeper = Child::spawn(|| {
        catch(SIGUSR1)?;
        let mut limit = TimeSpec::new(3600, 7);
        check!(sem.timed(&[Op::new(0, -1)], &mut limit) == Err(EINTR));
        check!(limit == TimeSpec::new(3600, 7));
        Ok(())
    })?;
    sleeper.interrupt_in(SEMOP, SIGUSR1)
}

/// A sleeper that is stopped and continued returns EINTR, though no handler ran.
#[case(SIGNAL_7, "Interruption of system calls and library functions by stop signals")]
fn stop_and_continue_end_a_sleep() -> Verdict {
    let sem = Sem::private(&[0])?;
    let sleeper = Child::spawn(|| holds!(sem.p() == Err(EINTR)))?;
    sleeper.blocked_in(SEMOP)?;
    sleeper.kill(SIGSTOP)?;
    check!(sleeper.wait_stopped()? == libc::SIGSTOP);
    sleeper.kill(SIGCONT)?;
    sleeper.join()
}

/// semtimedop returns EAGAIN when its time is over, not earlier, and waits no more.
#[case(SEMOP_2, "semtimedop()", settles = ["semop.2 EAGAIN"])]
fn semtimedop_gives_up_not_before_its_time() -> Verdict {
    let sem = Sem::private(&[1])?;
    let limit = Duration::from_millis(60);
    for change in [-2, 0] {
        let began = Instant::now();
        check!(sem.timed(&[Op::new(0, change)], &mut limit.into()) == Err(EAGAIN));
        check!(began.elapsed() >= limit);
    }
    check!((sem.wanting_more(0), sem.wanting_zero(0)) == (Ok(0), Ok(0)));
    check!(sem.get(0) == Ok(1));
    Ok(())
}

/// semtimedop whose turn comes in time is done like semop.
#[case(SEMOP_2, "semtimedop()")]
fn semtimedop_goes_on_when_its_turn_comes() -> Verdict {
    let sem = Sem::private(&[1])?;
    let hour = Duration::from_hours(1);
    let waiter = Child::spawn(|| Ok(sem.timed(&[Op::new(0, -2)], &mut hour.into())?))?;
    waiter.blocked_in(SEMOP)?;
    check!(sem.wanting_more(0) == Ok(1));
    sem.v()?;
    waiter.join()?;
    check!(sem.get(0) == Ok(0));
    Ok(())
}

/// A time limit of zero forbids to sleep, not to do what can be done at once.
#[case(SEMOP_2, "semtimedop()")]
fn time_limit_of_zero_only_forbids_to_sleep() -> Verdict {
    let sem = Sem::private(&[1])?;
    let mut none = TimeSpec::new(0, 0);
    check!(sem.timed(&[Op::new(0, -1)], &mut none) == Ok(()));
    check!(sem.timed(&[Op::new(0, -1)], &mut none) == Err(EAGAIN));
    check!(sem.timed(&[Op::new(0, 0)], &mut none) == Ok(()));
    Ok(())
}

/// The second that the kernel stamps on what happens now.
fn now() -> Verdict<time_t> {
    Ok(clock_gettime(ClockId::CLOCK_REALTIME_COARSE)?.tv_sec())
}

/// Waits for the clock to come to another second, and some milliseconds more.
fn next_second() -> Verdict<time_t> {
    let before = now()?;
    while now()? == before {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(5));
    now()
}

/// A new set is at 0, was never operated on, and has the size, mode and owner that its creation gave it.
#[case(SEMGET_2, "DESCRIPTION", also = [(SEMGET_2, "Semaphore initialization")], settles = ["semctl.2 sem_perm", "semctl.2 sem_nsems", "semctl.2 IPC_STAT"])]
fn new_set_is_zero_and_says_how_it_was_made() -> Verdict {
    let before = now()?;
    let sem = Sem::open(libc::IPC_PRIVATE, 3, 0o642)?;
    let stat = sem.stat()?;
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    check!((stat.nsems, stat.mode & 0o777) == (3, 0o642));
    check!((stat.uid, stat.gid, stat.cuid, stat.cgid) == (user, group, user, group));
    check!(stat.key == libc::IPC_PRIVATE);
    check!(stat.otime == 0);
    check!(before <= stat.ctime && stat.ctime <= now()?);
    check!(sem.all() == Ok(vec![0, 0, 0]));
    Ok(())
}

/// Each semaphore of a set has its own value and its own last process, the one that operated on it or set it.
#[case(SEMCTL_2, "DESCRIPTION", also = [(SEMCTL_2, "The sempid value"), (SEMOP_2, "DESCRIPTION")], settles = ["B21", "semctl.2/DESCRIPTION GETPID 1", "semctl.2/RETURN VALUE GETPID 1"])]
fn set_keeps_value_and_last_pid_of_each_semaphore() -> Verdict {
    let sem = Sem::private(&[3, 7, 1])?;
    let taker = Child::spawn(|| Ok(sem.op(&[Op::new(1, -2)])?))?;
    let setter = Child::spawn(|| Ok(sem.set(2, 9)?))?;
    let (took, set) = (taker.pid(), setter.pid());
    taker.join()?;
    setter.join()?;
    check!(sem.all() == Ok(vec![3, 5, 9]));
    check!(
        (sem.last_pid(0), sem.last_pid(1), sem.last_pid(2)) == (Ok(getpid()), Ok(took), Ok(set))
    );
    check!(sem.op(&[Op::new(1, 0).nowait()]) == Err(EAGAIN));
    check!(sem.last_pid(1) == Ok(took));
    Ok(())
}

/// An operation that had to sleep leaves the pid of the sleeper, not of who woke it.
#[case(SEMOP_2, "DESCRIPTION", settles = ["B21"])]
fn getpid_names_the_sleeper_that_was_woken() -> Verdict {
    let sem = Sem::private(&[0])?;
    let sleeper = sleeper(sem, &[Op::new(0, -1)])?;
    sem.v()?;
    let pid = sleeper.pid();
    sleeper.join()?;
    check!(sem.last_pid(0) == Ok(pid));
    Ok(())
}

/// A wait for zero that goes through leaves its pid and its time, as any operation does.
#[case(SEMOP_2, "DESCRIPTION", settles = ["semctl.2 sem_otime"])]
fn wait_for_zero_counts_as_an_operation() -> Verdict {
    let sem = Sem::private(&[0])?;
    let waiter = Child::spawn(|| Ok(sem.op(&[Op::new(0, 0)])?))?;
    let pid = waiter.pid();
    waiter.join()?;
    check!(sem.last_pid(0) == Ok(pid));
    check!(sem.stat()?.otime != 0);
    Ok(())
}

/// GETNCNT and GETZCNT count who sleeps for more and for zero, no longer when one is killed or goes on.
#[case(SEMCTL_2, "DESCRIPTION", settles = ["semctl.2/DESCRIPTION GETNCNT 1", "semctl.2/RETURN VALUE GETNCNT 1", "semctl.2/DESCRIPTION GETZCNT 1", "semctl.2/RETURN VALUE GETZCNT 1"])]
fn sleepers_are_counted_until_they_leave() -> Verdict {
    let sem = Sem::private(&[1, 1])?;
    let (needy, killed) = (sleeper(sem, &[Op::new(0, -2)])?, sleeper(sem, &[Op::new(0, -2)])?);
    let patient = sleeper(sem, &[Op::new(0, 0)])?;
    check!((sem.wanting_more(0), sem.wanting_zero(0)) == (Ok(2), Ok(1)));
    check!((sem.wanting_more(1), sem.wanting_zero(1)) == (Ok(0), Ok(0)));
    killed.kill(SIGKILL)?;
    killed.wait()?;
    check!((sem.wanting_more(0), sem.wanting_zero(0)) == (Ok(1), Ok(1)));
    sem.v()?;
    check!((sem.wanting_more(0), sem.wanting_zero(0)) == (Ok(0), Ok(0)));
    needy.join()?;
    patient.join()
}

/// Who sleeps for a list counts at the semaphore that lacks units, not at the one that has them.
#[case(SEMOP_2, "DESCRIPTION", settles = ["semctl.2/DESCRIPTION GETNCNT 1"])]
fn sleeper_counts_at_the_semaphore_that_lacks() -> Verdict {
    let sem = Sem::private(&[1, 0])?;
    let waiter = sleeper(sem, &[Op::new(0, -1), Op::new(1, -1)])?;
    check!((sem.wanting_more(0), sem.wanting_more(1)) == (Ok(0), Ok(1)));
    sem.op(&[Op::new(1, 1)])?;
    waiter.join()
}

/// Who sleeps for a list that waits for zero counts at the semaphore that is not zero, not at the one that is.
#[case(SEMOP_2, "DESCRIPTION", settles = ["semctl.2/DESCRIPTION GETZCNT 1"])]
fn waiter_for_zero_counts_at_the_semaphore_that_is_not() -> Verdict {
    let sem = Sem::private(&[0, 1])?;
    let waiter = sleeper(sem, &[Op::new(0, 0), Op::new(1, 0)])?;
    check!((sem.wanting_zero(0), sem.wanting_zero(1)) == (Ok(0), Ok(1)));
    sem.op(&[Op::new(1, -1)])?;
    waiter.join()
}

/// SETALL sets and GETALL tells every value, of a set of a thousand semaphores too.
#[case(SEMCTL_2, "DESCRIPTION", settles = ["semctl.2 SETALL", "semctl.2 GETALL"])]
fn every_value_of_a_large_set_is_set_and_told() -> Verdict {
    let values: Vec<u16> = (1..=numbers("kernel/sem")?[0].min(1000) as u16).collect();
    let sem = Sem::private(&vec![0; values.len()])?;
    check!(sem.set_all(&values) == Ok(()));
    check!(sem.all() == Ok(values));
    Ok(())
}

/// A semop that is done sets sem_otime alone, one that fails sets nothing; SETVAL, SETALL and IPC_SET set sem_ctime alone.
#[case(SEMCTL_2, "DESCRIPTION", settles = ["semctl.2 sem_otime", "semctl.2 sem_ctime", "semctl.2 IPC_SET"])]
fn semop_and_semctl_set_their_own_times() -> Verdict {
    let sets = [Sem::private(&[1])?, Sem::private(&[1])?, Sem::private(&[1])?, Sem::private(&[1])?];
    let created = sets.map(|sem| sem.stat().map(|stat| stat.ctime));
    let later = next_second()?;
    sets[0].p()?;
    sets[1].set(0, 2)?;
    sets[2].set_all(&[2])?;
    sets[3].set_mode(0o640)?;
    check!(sets[3].op(&[Op::new(0, -2).nowait()]) == Err(EAGAIN));
    check!(sets[3].stat()?.mode & 0o777 == 0o640);

    let operated = sets[0].stat()?;
    check!(later <= operated.otime && operated.otime <= now()?);
    check!(Ok(operated.ctime) == created[0]);
    for sem in &sets[1..] {
        let changed = sem.stat()?;
        check!(later <= changed.ctime && changed.ctime <= now()?);
        check!(changed.otime == 0);
    }
    Ok(())
}

/// IPC_INFO tells the limits that stand in /proc/sys/kernel/sem.
#[case(SEMCTL_2, "DESCRIPTION", settles = ["semctl.2/DESCRIPTION IPC_INFO 1"])]
fn limits_are_those_of_proc() -> Verdict {
    let (_, limits) = info(libc::IPC_INFO)?;
    let told = [limits.msl, limits.mns, limits.opm, limits.mni].map(|limit| limit as u64);
    check!(told[..] == numbers("kernel/sem")?[..4]);
    Ok(())
}

/// SEM_INFO counts the sets and the semaphores that exist.
#[case(SEMCTL_2, "DESCRIPTION", needs = [Need::Own(Namespaces::IPC)], settles = ["semctl.2/DESCRIPTION SEM_INFO 1"])]
fn sem_info_counts_sets_and_semaphores() -> Verdict {
    let (_, none) = info(libc::SEM_INFO)?;
    check!((none.usz, none.aem) == (0, 0));
    let gone = Sem::private(&[0; 2])?;
    Sem::private(&[0; 3])?;
    Sem::private(&[0; 4])?;
    gone.remove()?;
    let (_, some) = info(libc::SEM_INFO)?;
    check!((some.usz, some.aem) == (2, 7));
    Ok(())
}

/// SEM_STAT up to the highest index in use finds every set and gives its identifier.
#[case(SEMCTL_2, "RETURN VALUE", settles = ["semctl.2/DESCRIPTION SEM_STAT 1", "semctl.2/RETURN VALUE SEM_STAT 1", "semctl.2/RETURN VALUE IPC_INFO 1", "semctl.2/RETURN VALUE SEM_INFO 1"])]
fn sem_stat_finds_a_set_by_index() -> Verdict {
    // Until an index is used again, Linux gives identifiers that are indexes.
    for _ in 0..100 {
        Sem::private(&[0])?.remove()?;
    }
    let sets = [Sem::private(&[0])?, Sem::private(&[0; 2])?, Sem::private(&[0; 3])?];
    for command in [libc::IPC_INFO, libc::SEM_INFO] {
        let (highest, _) = info(command)?;
        let found: Vec<_> = (0..=highest)
            .filter_map(|id| Sem { id }.stat_by(libc::SEM_STAT).ok())
            .map(|(id, stat)| (id, stat.nsems))
            .collect();
        for (sem, size) in sets.iter().zip(1..) {
            check!(found.contains(&(sem.id, size)));
        }
    }
    Ok(())
}

/// SEM_STAT_ANY describes a set that the caller may not read, where SEM_STAT is refused.
#[case(SEMCTL_2, "DESCRIPTION", needs = [Need::Unprivileged, Need::Own(Namespaces::IPC)], settles = ["semctl.2/DESCRIPTION SEM_STAT_ANY 1", "semctl.2/RETURN VALUE SEM_STAT_ANY 1"])]
fn sem_stat_any_needs_no_permission() -> Verdict {
    let sem = Sem::private(&[0; 5])?;
    sem.set_mode(0)?;
    let (index, _) = info(libc::SEM_INFO)?;
    let by_index = Sem { id: index };
    check!(by_index.stat_by(libc::SEM_STAT).map(|_| ()) == Err(EACCES));
    let any = by_index.stat_by(libc::SEM_STAT_ANY);
    check!(any.map(|(id, stat)| (id, stat.nsems)) == Ok((sem.id, 5)));
    Ok(())
}

/// What a process did with SEM_UNDO is undone when it exits.
#[case(SEMOP_2, "DESCRIPTION", settles = ["A28"])]
fn undo_rolls_back_at_exit() -> Verdict {
    let sem = Sem::private(&[2])?;
    let taken = Latch::new()?;
    let seen = Latch::new()?;
    let holder = Child::spawn(|| {
        sem.op(&[Op::new(0, -2).undo()])?;
        taken.open();
        seen.wait()
    })?;
    holder.reaches(taken)?;
    check!(sem.get(0) == Ok(0));
    seen.open();
    holder.join()?;
    check!(sem.get(0) == Ok(2));
    Ok(())
}

/// A process killed while it holds a semaphore gives it back by its undo, and the one that waits for it goes on.
#[case(SEMOP_2, "NOTES", settles = ["A28"])]
fn undo_at_sigkill_lets_the_others_go_on() -> Verdict {
    let sem = Sem::private(&[1])?;
    let held = Latch::new()?;
    let holder = Child::spawn(|| {
        sem.op(&[Op::new(0, -1).undo()])?;
        held.open();
        pause();
        Ok(())
    })?;
    holder.reaches(held)?;
    let waiter = sleeper(sem, &[Op::new(0, -1)])?;
    holder.kill(SIGKILL)?;
    check!(holder.wait()? == End::Killed(libc::SIGKILL));
    check!(sem.wanting_more(0) == Ok(0));
    waiter.join()
}

/// Exit undoes the sum of all undoable operations, on every semaphore of every set, up and down.
#[case(SEMOP_2, "NOTES", settles = ["A28"])]
fn undo_covers_every_semaphore_and_operation() -> Verdict {
    let (sem, other) = (Sem::private(&[5, 0, 3, 1])?, Sem::private(&[4])?);
    let holder = Child::spawn(|| {
        sem.op(&[Op::new(0, -3).undo(), Op::new(1, 2).undo(), Op::new(2, -1).undo()])?;
        other.op(&[Op::new(0, -4).undo()])?;
        sem.op(&[Op::new(2, -2).undo(), Op::new(0, -1).undo()])?;
        check!((sem.all(), other.all()) == (Ok(vec![1, 2, 0, 1]), Ok(vec![0])));
        Ok(())
    })?;
    holder.join()?;
    check!((sem.all(), other.all()) == (Ok(vec![5, 0, 3, 1]), Ok(vec![4])));
    Ok(())
}

/// The removal of one set leaves what a process has to undo at another.
#[case(SEMOP_2, "NOTES")]
fn undo_goes_on_past_a_removed_set() -> Verdict {
    let sets = [Sem::private(&[1])?, Sem::private(&[1])?, Sem::private(&[1])?];
    let (taken, end) = (Latch::new()?, Latch::new()?);
    let holder = Child::spawn(|| {
        sets.iter().try_for_each(|sem| sem.op(&[Op::new(0, -1).undo()]))?;
        taken.open();
        end.wait()
    })?;
    holder.reaches(taken)?;
    sets[1].remove()?;
    end.open();
    holder.join()?;
    check!((sets[0].get(0), sets[2].get(0)) == (Ok(1), Ok(1)));
    Ok(())
}

/// An undo that brings the value to zero wakes all who wait for zero.
#[case(SEMOP_2, "DESCRIPTION")]
fn undo_wakes_who_waits_for_zero() -> Verdict {
    let sem = Sem::private(&[0])?;
    let end = Latch::new()?;
    let giver = holder(sem, &[Op::new(0, 1).undo()], end)?;
    let patient = [sleeper(sem, &[Op::new(0, 0)])?, sleeper(sem, &[Op::new(0, 0)])?];
    end.open();
    giver.join()?;
    check!(sem.wanting_zero(0) == Ok(0));
    patient.into_iter().try_for_each(Child::join)
}

/// What a process did without SEM_UNDO stays, beside what it did with it.
#[case(SEMOP_2, "NOTES")]
fn undo_spares_operations_without_the_flag() -> Verdict {
    let sem = Sem::private(&[5, 5])?;
    let holder = Child::spawn(|| {
        sem.op(&[Op::new(0, -2), Op::new(0, -1).undo(), Op::new(1, 3)])?;
        sem.op(&[Op::new(0, 4)])?;
        check!(sem.all() == Ok(vec![6, 8]));
        Ok(())
    })?;
    holder.join()?;
    check!(sem.all() == Ok(vec![7, 8]));
    Ok(())
}

/// A release with SEM_UNDO cancels the undo of the process's own P; a release without it does not.
#[case(SEMOP_2, "NOTES", settles = ["B24"])]
fn own_release_cancels_the_undo() -> Verdict {
    let sem = Sem::private(&[1, 1])?;
    let holder = Child::spawn(|| {
        sem.op(&[Op::new(0, -1).undo(), Op::new(1, -1).undo()])?;
        sem.op(&[Op::new(0, 1).undo(), Op::new(1, 1)])?;
        check!(sem.all() == Ok(vec![1, 1]));
        Ok(())
    })?;
    holder.join()?;
    check!(sem.all() == Ok(vec![1, 2]));
    Ok(())
}

/// A list that could not be done leaves nothing to undo, but what was done before is undone.
#[case(SEMOP_2, "DESCRIPTION", settles = ["B25"])]
fn failed_list_leaves_no_undo() -> Verdict {
    let sem = Sem::private(&[9, 0])?;
    let holder = Child::spawn(|| {
        let take = Op::new(0, -2).undo();
        sem.op(&[take])?;
        check!(sem.op(&[take, Op::new(1, -1).nowait()]) == Err(EAGAIN));
        check!(sem.op(&[take, Op::new(0, -7).undo().nowait()]) == Err(EAGAIN));
        check!(sem.op(&[take, take, Op::new(1, -1).undo().nowait()]) == Err(EAGAIN));
        Ok(())
    })?;
    holder.join()?;
    check!(sem.all() == Ok(vec![9, 0]));
    Ok(())
}

/// A process killed while it slept for a second unit gives back only the first, which it had.
#[case(SEMOP_2, "NOTES", settles = ["A28"])]
fn sleeper_killed_before_its_turn_undoes_nothing() -> Verdict {
    let sem = Sem::private(&[1])?;
    let holder = Child::spawn(|| {
        sem.op(&[Op::new(0, -1).undo()])?;
        sem.op(&[Op::new(0, -1).undo()])?;
        Ok(())
    })?;
    holder.blocked_in(SEMOP)?;
    check!(sem.get(0) == Ok(0));
    holder.kill(SIGKILL)?;
    holder.wait()?;
    check!(sem.get(0) == Ok(1));
    Ok(())
}

/// The end of the thread that operated undoes nothing; the end of its process does.
#[case(SEMOP_2, "NOTES", needs = [Need::Proc])]
fn undo_waits_for_the_process_not_the_thread() -> Verdict {
    let sem = Sem::private(&[1])?;
    let holder = Child::spawn(|| {
        let thread = Thread::spawn(move || Ok(sem.op(&[Op::new(0, -1).undo()])?))?;
        let task = format!("/proc/self/task/{}", thread.tid());
        thread.join()?;
        while Path::new(&task).exists() {
            sched_yield()?;
        }
        check!(sem.get(0) == Ok(0));
        Ok(())
    })?;
    holder.join()?;
    check!(sem.get(0) == Ok(1));
    Ok(())
}

/// A child of fork inherits no undo: its end changes nothing, its parent's does.
#[case(SEMOP_2, "NOTES")]
fn undo_is_not_inherited_by_fork() -> Verdict {
    let sem = Sem::private(&[1])?;
    let holder = Child::spawn(|| {
        sem.op(&[Op::new(0, -1).undo()])?;
        Child::spawn(|| Ok(()))?.join()?;
        check!(sem.get(0) == Ok(0));
        Ok(())
    })?;
    holder.join()?;
    check!(sem.get(0) == Ok(1));
    Ok(())
}

/// Undo is kept over exec: it waits for the end of the new program.
#[case(SEMOP_2, "NOTES", needs = [A_PROGRAM])]
fn undo_is_kept_over_exec() -> Verdict {
    let sem = Sem::private(&[1])?;
    let program = Program::start(|| Ok(sem.op(&[Op::new(0, -1).undo()])?))?;
    check!(sem.get(0) == Ok(0));
    program.finish()?;
    check!(sem.get(0) == Ok(1));
    Ok(())
}

/// SETVAL clears the undo of its semaphore in every process, and of no other semaphore.
#[case(SEMCTL_2, "DESCRIPTION", also = [(SEMOP_2, "NOTES")], settles = ["semctl.2 SETVAL"])]
fn setval_clears_undo_in_every_process() -> Verdict {
    let sem = Sem::private(&[9, 9])?;
    let end = Latch::new()?;
    let ops = [Op::new(0, -1).undo(), Op::new(1, -1).undo()];
    let holders = Children::from([holder(sem, &ops, end)?, holder(sem, &ops, end)?]);
    check!(sem.all() == Ok(vec![7, 7]));
    sem.set(0, 5)?;
    end.open();
    holders.join()?;
    check!(sem.all() == Ok(vec![5, 9]));
    Ok(())
}

/// SETALL clears the undo of its set in every process, and of no other set.
#[case(SEMCTL_2, "DESCRIPTION", also = [(SEMOP_2, "NOTES")], settles = ["semctl.2 SETALL"])]
fn setall_clears_undo_in_every_process() -> Verdict {
    let (sem, other) = (Sem::private(&[9, 9])?, Sem::private(&[9])?);
    let end = Latch::new()?;
    let one = holder(sem, &[Op::new(0, -1).undo(), Op::new(1, 1).undo()], end)?;
    let two = holder(other, &[Op::new(0, -1).undo()], end)?;
    sem.set_all(&[5, 6])?;
    end.open();
    one.join()?;
    two.join()?;
    check!((sem.all(), other.all()) == (Ok(vec![5, 6]), Ok(vec![9])));
    Ok(())
}

/// SETALL takes its values from an array that may lie in memory that is only readable.
#[case(SEMCTL_2, "DESCRIPTION")]
fn setall_only_reads_its_array() -> Verdict {
    let sem = Sem::private(&[9, 9])?;
    let values: Vec<u8> = [3_u16, 4].iter().flat_map(|value| value.to_ne_bytes()).collect();
    let array = Memory::anonymous(values.len(), MAP_PRIVATE)?;
    array.fill(&values);
    array.protect(PROT_READ)?;
    check!(sem.set_all_from(array) == Ok(()));
    check!(sem.all() == Ok(vec![3, 4]));
    Ok(())
}

/// An undo that would take the value below zero takes it to zero, and the process exits all the same.
#[case(SEMOP_2, "BUGS")]
fn undo_stops_at_zero() -> Verdict {
    let sem = Sem::private(&[0])?;
    let end = Latch::new()?;
    let giver = holder(sem, &[Op::new(0, 3).undo()], end)?;
    sem.op(&[Op::new(0, -2)])?;
    end.open();
    giver.join()?;
    check!(sem.get(0) == Ok(0));
    Ok(())
}

/// After an undo, GETPID names the process that has exited.
#[case(SEMCTL_2, "The sempid value")]
fn undo_counts_as_an_operation_of_the_dead_process() -> Verdict {
    let sem = Sem::private(&[2])?;
    let end = Latch::new()?;
    let taker = holder(sem, &[Op::new(0, -1).undo()], end)?;
    sem.v()?;
    check!(sem.last_pid(0) == Ok(getpid()));
    let pid = taker.pid();
    end.open();
    taker.join()?;
    check!(sem.last_pid(0) == Ok(pid));
    Ok(())
}

/// Processes that share their undo by CLONE_SYSVSEM have it applied when the last of them ends.
#[case(CLONE_2, "The flags mask", also = [(SEMOP_2, "NOTES")])]
fn shared_undo_waits_for_the_last_sharer() -> Verdict {
    let sem = Sem::private(&[3])?;
    let parent = Child::spawn(|| {
        sem.op(&[Op::new(0, -1).undo()])?;
        let child = fork_sharing_undo(|| sem.op(&[Op::new(0, -2).undo()]))?;
        check!(waitpid(child, None) == Ok(WaitStatus::Exited(child, 0)));
        check!(sem.get(0) == Ok(0));
        Ok(())
    })?;
    parent.join()?;
    check!(sem.get(0) == Ok(3));
    Ok(())
}

/// A process that leaves an undo list shared with nobody has it applied at once.
#[case(UNSHARE_2, "DESCRIPTION")]
fn unshared_undo_is_applied_at_once() -> Verdict {
    let sem = Sem::private(&[1])?;
    sem.op(&[Op::new(0, -1).undo()])?;
    check!(sem.get(0) == Ok(0));
    unshare(CloneFlags::CLONE_SYSVSEM)?;
    check!(sem.get(0) == Ok(1));
    Ok(())
}

/// An operation that would take the sum to be undone beyond its limit is refused and changes nothing.
#[case(SEMCTL_2, "DESCRIPTION")]
fn undo_beyond_its_limit_is_refused() -> Verdict {
    let most = info(libc::IPC_INFO)?.1.aem as i16;
    let sem = Sem::private(&[most as u16])?;
    let holder = Child::spawn(|| {
        sem.op(&[Op::new(0, -most).undo()])?;
        sem.v()?;
        check!(sem.op(&[Op::new(0, -1).undo()]) == Err(ERANGE));
        check!(sem.op(&[Op::new(0, -1).nowait()]) == Ok(()));
        Ok(())
    })?;
    holder.join()?;
    check!(sem.get(0) == Ok(most.into()));
    Ok(())
}

/// A value can be raised to SEMVMX and no further.
#[case(SEMOP_2, "ERRORS", also = [(SEMOP_2, "Semaphore limits")], settles = ["semop.2 ERANGE", "semop.2 SEMVMX"])]
fn value_beyond_the_maximum_is_refused() -> Verdict {
    let most = highest_value()?;
    let sem = Sem::private(&[most - 2])?;
    check!(sem.op(&[Op::new(0, 3)]) == Err(ERANGE));
    check!(sem.op(&[Op::new(0, 2)]) == Ok(()));
    check!(sem.v() == Err(ERANGE));
    check!(sem.get(0) == Ok(most.into()));
    Ok(())
}

/// A call takes SEMOPM operations and no more.
#[case(SEMOP_2, "ERRORS", also = [(SEMOP_2, "Semaphore limits")], settles = ["semop.2 E2BIG", "semop.2 SEMOPM"])]
fn list_beyond_the_maximum_is_refused() -> Verdict {
    let most = numbers("kernel/sem")?[2] as usize;
    let sem = Sem::private(&[0])?;
    check!(sem.op(&vec![Op::new(0, 0); most + 1]) == Err(E2BIG));
    check!(sem.op(&vec![Op::new(0, 0); most]) == Ok(()));
    Ok(())
}

/// The fourth number of /proc/sys/kernel/sem is the most sets that there can be.
#[case(SEMGET_2, "Semaphore limits", also = [(SEMGET_2, "ERRORS")], needs = [Need::Sysctl("kernel/sem")], settles = ["semget.2 ENOSPC", "semget.2 SEMMNI"])]
fn sets_beyond_the_maximum_are_refused() -> Verdict {
    set_sysctl("kernel/sem", "10 100 10 2")?;
    let sem = Sem::private(&[0])?;
    Sem::private(&[0])?;
    check!(Sem::open(libc::IPC_PRIVATE, 1, 0o600) == Err(ENOSPC));
    sem.remove()?;
    check!(Sem::open(libc::IPC_PRIVATE, 1, 0o600).is_ok());
    Ok(())
}

/// The second number of /proc/sys/kernel/sem is the most semaphores that there can be in all sets.
#[case(SEMGET_2, "Semaphore limits", also = [(SEMGET_2, "ERRORS")], needs = [Need::Sysctl("kernel/sem")], settles = ["semget.2 ENOSPC", "semget.2 SEMMNS"])]
fn semaphores_beyond_the_maximum_are_refused() -> Verdict {
    set_sysctl("kernel/sem", "10 12 10 10")?;
    Sem::private(&[0; 7])?;
    check!(Sem::open(libc::IPC_PRIVATE, 6, 0o600) == Err(ENOSPC));
    check!(Sem::open(libc::IPC_PRIVATE, 5, 0o600).is_ok());
    Ok(())
}

/// A set of more than SEMMSL semaphores, or of fewer than none, is refused.
#[case(SEMGET_2, "ERRORS", also = [(SEMGET_2, "Semaphore limits")], settles = ["semget.2 EINVAL 1", "semget.2 SEMMSL"])]
fn set_larger_than_the_maximum_is_refused() -> Verdict {
    let most = numbers("kernel/sem")?[0] as i32;
    check!(Sem::open(libc::IPC_PRIVATE, most + 1, 0o600) == Err(EINVAL));
    check!(Sem::open(libc::IPC_PRIVATE, -1, 0o600) == Err(EINVAL));
    let largest = Sem::open(libc::IPC_PRIVATE, most, 0o600)?;
    check!(largest.get(most - 1) == Ok(0));
    Ok(())
}

/// semget with fewer semaphores than an existing set has finds it, with more it is refused.
#[case(SEMGET_2, "ERRORS", settles = ["semget.2 EINVAL 2"])]
fn smaller_count_finds_the_set_and_a_larger_one_does_not() -> Verdict {
    let (sem, key) = Sem::keyed(&[0; 3])?;
    check!(Sem::open(key, 3, 0) == Ok(sem));
    check!(Sem::open(key, 1, 0) == Ok(sem));
    check!(Sem::open(key, 4, 0) == Err(EINVAL));
    check!(Sem::open(key, 4, libc::IPC_CREAT | 0o600) == Err(EINVAL));
    Ok(())
}

/// Who may read a set but not alter it can look and wait for zero, and change nothing.
#[case(SEMOP_2, "DESCRIPTION", also = [(SEMCTL_2, "ERRORS")], needs = [Need::Unprivileged], settles = ["semop.2 EACCES", "semctl.2 EACCES"])]
fn read_permission_allows_no_change() -> Verdict {
    let sem = Sem::private(&[0])?;
    sem.set_mode(0o400)?;
    check!(sem.op(&[Op::new(0, 0)]) == Ok(()));
    check!(sem.all() == Ok(vec![0]));
    check!(sem.v() == Err(EACCES));
    check!(sem.p() == Err(EACCES));
    check!(sem.set(0, 1) == Err(EACCES));
    check!(sem.set_all(&[1]) == Err(EACCES));
    check!(sem.get(0) == Ok(0));
    Ok(())
}

/// Who may alter a set but not read it can change it, and neither look nor wait for zero.
#[case(SEMOP_2, "DESCRIPTION", also = [(SEMCTL_2, "ERRORS")], needs = [Need::Unprivileged], settles = ["semop.2 EACCES", "semctl.2 EACCES"])]
fn alter_permission_allows_no_look() -> Verdict {
    let sem = Sem::private(&[0])?;
    sem.set_mode(0o200)?;
    check!(sem.v() == Ok(()));
    check!(sem.set(0, 0) == Ok(()));
    check!(sem.op(&[Op::new(0, 0)]) == Err(EACCES));
    check!((sem.get(0), sem.all()) == (Err(EACCES), Err(EACCES)));
    check!((sem.wanting_more(0), sem.wanting_zero(0)) == (Err(EACCES), Err(EACCES)));
    check!((sem.last_pid(0), sem.stat()) == (Err(EACCES), Err(EACCES)));
    Ok(())
}

/// Who is neither owner, creator nor privileged may not remove or set up a set, whatever its mode.
#[case(SEMCTL_2, "ERRORS", needs = [Need::OtherUsers], settles = ["semctl.2 EPERM"])]
fn stranger_may_not_remove_or_set() -> Verdict {
    let sem = Sem::private(&[0])?;
    sem.set_mode(0o666)?;
    let stranger = Child::spawn(|| {
        let (user, group) = (Uid::from_raw(54321), Gid::from_raw(54321));
        setresgid(group, group, group)?;
        setresuid(user, user, user)?;
        check!(sem.v() == Ok(()));
        check!(sem.set_mode(0o600) == Err(EPERM));
        check!(sem.remove() == Err(EPERM));
        Ok(())
    })?;
    stranger.join()?;
    check!(sem.get(0) == Ok(1));
    Ok(())
}

/// semget refuses the identifier of a set whose mode does not grant what it asks for.
#[case(SEMGET_2, "ERRORS", needs = [Need::Unprivileged], settles = ["semget.2 EACCES"])]
fn set_without_permission_is_not_given_by_key() -> Verdict {
    let (sem, key) = Sem::keyed(&[0])?;
    sem.set_mode(0o400)?;
    check!(Sem::open(key, 1, 0o600) == Err(EACCES));
    check!(Sem::open(key, 1, 0o400) == Ok(sem));
    Ok(())
}

refusals! {
    SEMOP_2, "ERRORS";

    /// A call with no operations is invalid.
    ["semop.2 EINVAL"] empty_list_of_operations_is_refused => EINVAL: Sem::private(&[0])?.op(&[]);

    /// An operation on a semaphore that the set does not have is out of range.
    ["semop.2 EFBIG"] semaphore_beyond_the_set_is_refused => EFBIG: Sem::private(&[0])?.op(&[Op::new(1, 1)]);

    /// A negative identifier is invalid.
    ["semop.2 EINVAL"] negative_set_is_refused => EINVAL: Sem { id: -1 }.v();

    /// With IPC_NOWAIT, a P that would have to sleep is refused.
    ["semop.2 EAGAIN"] p_without_sleeping_is_refused_at_zero => EAGAIN: Sem::private(&[0])?.op(&[Op::new(0, -1).nowait()]);

    /// With IPC_NOWAIT, a wait for zero that would have to sleep is refused.
    ["semop.2 EAGAIN"] zero_without_sleeping_is_refused_at_one => EAGAIN: Sem::private(&[1])?.op(&[Op::new(0, 0).nowait()]);

    /// A list of operations that is not in memory is refused.
    ["semop.2 EFAULT"] list_at_no_address_is_refused => EFAULT: Sem::private(&[0])?.op_nowhere();

    /// A timeout that is not in memory is refused.
    ["semop.2 EFAULT"] timeout_at_no_address_is_refused => EFAULT: Sem::private(&[0])?.timed_nowhere(&[Op::new(0, -1)]);
}

refusals! {
    SEMGET_2, "ERRORS";

    /// With IPC_CREAT and IPC_EXCL, a key that has a set is refused.
    ["semget.2 EEXIST"] existing_key_is_refused_with_excl => EEXIST: {
        let (_, key) = Sem::keyed(&[0])?;
        Sem::open(key, 1, libc::IPC_CREAT | libc::IPC_EXCL | 0o600)
    };

    /// Without IPC_CREAT, a key that has no set is refused.
    ["semget.2 ENOENT"] unknown_key_is_refused_without_creat => ENOENT: Sem::open(unique_key(), 1, 0o600);
}

refusals! {
    SEMGET_2, "DESCRIPTION";

    /// A new set has at least one semaphore.
    [] new_set_of_none_is_refused => EINVAL: Sem::open(libc::IPC_PRIVATE, 0, 0o600);
}

refusals! {
    SEMCTL_2, "ERRORS";

    /// SETVAL refuses a negative value.
    ["semctl.2 ERANGE"] setval_below_zero_is_refused => ERANGE: Sem::private(&[0])?.set(0, -1);

    /// SETVAL refuses a value above SEMVMX.
    ["semctl.2 ERANGE", "semctl.2 SEMVMX"] setval_beyond_the_maximum_is_refused => ERANGE: Sem::private(&[0])?.set(0, i32::from(highest_value()?) + 1);

    /// SETALL refuses a value above SEMVMX.
    ["semctl.2 ERANGE", "semctl.2 SEMVMX"] setall_beyond_the_maximum_is_refused => ERANGE: Sem::private(&[0, 0])?.set_all(&[0, highest_value()? + 1]);

    /// A command that does not exist is invalid.
    ["semctl.2 EINVAL"] unknown_command_is_refused => EINVAL: Sem::private(&[0])?.unknown_command();

    /// IPC_STAT to where there is no memory is refused.
    ["semctl.2 EFAULT"] stat_to_no_address_is_refused => EFAULT: Sem::private(&[0])?.ctl_nowhere(libc::IPC_STAT);

    /// GETALL to where there is no memory is refused.
    ["semctl.2 EFAULT"] getall_to_no_address_is_refused => EFAULT: Sem::private(&[0])?.ctl_nowhere(libc::GETALL);

    /// SETALL from where there is no memory is refused.
    ["semctl.2 EFAULT"] setall_from_no_address_is_refused => EFAULT: Sem::private(&[0])?.ctl_nowhere(libc::SETALL);
}

refusals! {
    SEMCTL_2, "ERRORS", needs = [Need::Own(Namespaces::IPC)];

    /// SEM_STAT of an index that no set has is invalid.
    ["semctl.2 EINVAL"] unused_index_is_refused => EINVAL: {
        Sem::private(&[0])?;
        Sem { id: info(libc::SEM_INFO)?.0 + 1 }.stat_by(libc::SEM_STAT)
    };
}
