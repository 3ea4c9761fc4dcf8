//! Wrong operations: counters that lose, lists that come apart, time limits
//! that do not hold.

use ipcspec_cases::sys::sem::Op;
use libc::{GETALL, GETNCNT, GETVAL, IPC_NOWAIT, IPC_STAT, SETVAL};

use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    v_is_lost_when_nobody_waits,
    v_is_a_read_and_a_write,
    every_sixteenth_sleeper_is_let_through,
    p_takes_what_there_is_and_sleeps_for_the_rest,
    list_goes_one_operation_at_a_time,
    overflow_leaves_the_operations_before_it_done,
    removal_is_told_to_who_sleeps_for_one_only,
    getall_reads_one_after_the_other,
    list_goes_from_its_end,
    nowait_counts_for_the_whole_list,
    nowait_of_a_wait_for_zero_is_ignored,
    handler_with_sa_restart_restarts_semop,
    interrupted_semtimedop_tells_what_is_left,
    time_limit_ends_early,
    time_limit_is_ignored,
    time_limit_of_zero_refuses_everything,
    operations_beyond_semopm_are_dropped,
    v_at_the_maximum_is_told_as_done,
    nothing_is_refused,
];

/// A V that finds nobody asleep is lost: the semaphore does not count.
#[fault(SEMOP_2, "DESCRIPTION", on = [SEMOP])]
fn v_is_lost_when_nobody_waits(call: &mut Call) -> Result<Effect> {
    let &[Op { number, change: 1.., .. }] = &call.ops()?[..] else { return call.proceed() };
    call.semctl(number, GETNCNT, 0, |call| match call.result() {
        0 => call.give(0),
        _ => call.once_more(|call| call.proceed()),
    })
}

/// A V reads the value and writes one more, and what others did in between is lost.
#[fault(SEMOP_2, "DESCRIPTION", on = [SEMOP])]
fn v_is_a_read_and_a_write(call: &mut Call) -> Result<Effect> {
    let &[Op { number, change: 1, flags: 0 }] = &call.ops()?[..] else { return call.proceed() };
    call.semctl(number, GETVAL, 0, move |call| match call.result() {
        value if value >= 0 => call.semctl(number, SETVAL, value as u64 + 1, |call| call.proceed()),
        _ => call.once_more(|call| call.proceed()),
    })
}

/// Of the processes that find a semaphore taken every sixteenth goes on without a unit.
#[fault(SEMOP_2, "DESCRIPTION", on = [SEMOP])]
fn every_sixteenth_sleeper_is_let_through(call: &mut Call) -> Result<Effect> {
    let &[op @ Op { change: -1, .. }] = &call.ops()?[..] else { return call.proceed() };
    call.semop(&[op.nowait()], |call| {
        if call.result() != -(EAGAIN as i64) {
            return call.proceed();
        }
        let through = call.notes().count(0) % 16 == 15;
        if through { call.give(0) } else { call.once_more(|call| call.proceed()) }
    })
}

/// A P for several units takes those that there are, and sleeps for the rest.
#[fault(SEMOP_2, "DESCRIPTION", on = [SEMOP])]
fn p_takes_what_there_is_and_sleeps_for_the_rest(call: &mut Call) -> Result<Effect> {
    let &[op @ Op { number, change: ..-1, .. }] = &call.ops()?[..] else { return call.proceed() };
    call.semctl(number, GETVAL, 0, move |call| {
        let there = call.result().max(0) as i16;
        if there == 0 || there >= -op.change {
            return call.once_more(|call| call.proceed());
        }
        let rest = Op { change: op.change + there, ..op };
        call.semop(&[Op { change: -there, ..op }], move |call| {
            call.semop(&[rest], |call| call.proceed())
        })
    })
}

fn one_by_one(call: &mut Call, mut ops: Vec<Op>) -> Result<Effect> {
    let first = ops.remove(0);
    call.semop(&[first], move |call| {
        if call.result() == 0 && !ops.is_empty() { one_by_one(call, ops) } else { call.proceed() }
    })
}

/// The operations of a list are done one by one, and those before one that fails or sleeps stay done.
#[fault(SEMOP_2, "DESCRIPTION", on = [SEMOP])]
fn list_goes_one_operation_at_a_time(call: &mut Call) -> Result<Effect> {
    let ops = call.ops()?;
    if ops.len() == 1 { call.proceed() } else { one_by_one(call, ops) }
}

/// A list that fails with ERANGE is not rolled back: what it did before the overflow stays done.
#[fault(SEMOP_2, "DESCRIPTION", on = [SEMOP])]
fn overflow_leaves_the_operations_before_it_done(call: &mut Call) -> Result<Effect> {
    let mut ops = call.ops()?;
    call.then(move |call| {
        ops.pop();
        if call.result() != -(ERANGE as i64) || ops.is_empty() {
            return call.proceed();
        }
        let ops: Vec<_> = ops.into_iter().map(Op::nowait).collect();
        call.semop(&ops, |call| call.fail(ERANGE))
    })
}

/// Who sleeps for a list when the set is removed is told EINVAL, as who comes later is.
#[fault(SEMOP_2, "ERRORS", on = [SEMOP])]
fn removal_is_told_to_who_sleeps_for_one_only(call: &mut Call) -> Result<Effect> {
    let several = call.ops()?.len() > 1;
    call.then(
        move |call| {
            if several && call.failed_with(EIDRM) { call.fail(EINVAL) } else { call.proceed() }
        },
    )
}

/// Reads the values of a set into an array, from this one on.
fn read_all_values(call: &mut Call, number: u64, count: u64) -> Result<Effect> {
    let array = call.argument(3);
    call.semctl(number as u16, GETVAL, 0, move |call| {
        if call.result() < 0 {
            return call.proceed();
        }
        call.set_number_at(array + 2 * number, call.result() as u16)?;
        if number + 1 < count { read_all_values(call, number + 1, count) } else { call.give(0) }
    })
}

/// GETALL reads one value after the other, and operations come in between.
#[fault(SEMOP_2, "DESCRIPTION", on = [SEMCTL])]
fn getall_reads_one_after_the_other(call: &mut Call) -> Result<Effect> {
    if call.command() != GETALL || call.argument(3) == 0 {
        return call.proceed();
    }
    let status = call.scratch(&[0; 104])?;
    call.semctl(0, IPC_STAT, status, move |call| {
        let count = call.number_at::<u64>(status + 80)?;
        if call.result() < 0 { call.proceed() } else { read_all_values(call, 0, count) }
    })
}

/// A list is done from its last operation to its first.
#[fault(SEMOP_2, "DESCRIPTION", on = [SEMOP])]
fn list_goes_from_its_end(call: &mut Call) -> Result<Effect> {
    let mut ops = call.ops()?;
    ops.reverse();
    call.set_ops(&ops)?;
    call.proceed()
}

/// IPC_NOWAIT of one operation keeps the whole list from sleeping.
#[fault(SEMOP_2, "DESCRIPTION", on = [SEMOP])]
fn nowait_counts_for_the_whole_list(call: &mut Call) -> Result<Effect> {
    let ops = call.ops()?;
    if ops.iter().any(|op| op.flags & IPC_NOWAIT != 0) {
        call.set_ops(&ops.into_iter().map(Op::nowait).collect::<Vec<_>>())?;
    }
    call.proceed()
}

/// A wait for zero sleeps in spite of IPC_NOWAIT.
#[fault(SEMOP_2, "DESCRIPTION", on = [SEMOP])]
fn nowait_of_a_wait_for_zero_is_ignored(call: &mut Call) -> Result<Effect> {
    let mut ops = call.ops()?;
    ops.iter_mut().filter(|op| op.change == 0).for_each(|op| op.flags &= !IPC_NOWAIT);
    call.set_ops(&ops)?;
    call.proceed()
}

/// After a handler with SA_RESTART, or a stop, the sleep in semop goes on.
#[fault(SEMOP_2, "NOTES", on = [SEMOP])]
fn handler_with_sa_restart_restarts_semop(call: &mut Call) -> Result<Effect> {
    call.then(|call| if call.result() == -(EINTR as i64) { call.restart() } else { call.proceed() })
}

/// semtimedop that is interrupted leaves in its time limit what is left of it.
#[fault(SEMOP_2, "semtimedop()", on = [SEMOP])]
fn interrupted_semtimedop_tells_what_is_left(call: &mut Call) -> Result<Effect> {
    let limit = call.argument(3);
    let seconds = call.number_at::<i64>(limit)?;
    call.then(move |call| {
        if call.result() == -(EINTR as i64) {
            call.set_number_at(limit, seconds - 1)?;
            call.set_number_at(limit + 8, 999_999_999_i64)?;
        }
        call.proceed()
    })
}

/// semtimedop gives up after half of its time.
#[fault(SEMOP_2, "semtimedop()", on = [SEMOP])]
fn time_limit_ends_early(call: &mut Call) -> Result<Effect> {
    let limit = call.argument(3);
    let nanoseconds = call.number_at::<i64>(limit + 8)?;
    call.set_number_at(limit + 8, nanoseconds / 2)?;
    call.proceed()
}

/// semtimedop sleeps on when its time is over.
#[fault(SEMOP_2, "semtimedop()", on = [SEMOP])]
fn time_limit_is_ignored(call: &mut Call) -> Result<Effect> {
    call.number_at::<i64>(call.argument(3))?;
    call.set_argument(3, 0);
    call.proceed()
}

/// semtimedop with a limit of zero fails, also where it could go on at once.
#[fault(SEMOP_2, "semtimedop()", on = [SEMOP])]
fn time_limit_of_zero_refuses_everything(call: &mut Call) -> Result<Effect> {
    let limit = call.argument(3);
    let zero = call.number_at::<i64>(limit)? == 0 && call.number_at::<i64>(limit + 8)? == 0;
    if zero { call.fail(EAGAIN) } else { call.proceed() }
}

/// A list of more than SEMOPM operations is done as far as SEMOPM goes.
#[fault(SEMOP_2, "ERRORS", on = [SEMOP])]
fn operations_beyond_semopm_are_dropped(call: &mut Call) -> Result<Effect> {
    let [set, ops, count, ..] = call.arguments();
    call.then(move |call| match call.result() {
        refused if refused == -(E2BIG as i64) => {
            call.instead(libc::SYS_semop, [set, ops, count - 1, 0, 0, 0], |call| call.proceed())
        }
        _ => call.proceed(),
    })
}

/// A V that would take the value beyond SEMVMX does nothing and is told as done.
#[fault(SEMOP_2, "ERRORS", on = [SEMOP])]
fn v_at_the_maximum_is_told_as_done(call: &mut Call) -> Result<Effect> {
    call.then(|call| if call.result() == -(ERANGE as i64) { call.give(0) } else { call.proceed() })
}

/// What semop should refuse does nothing and is told as done.
#[fault(SEMOP_2, "ERRORS", on = [SEMOP])]
fn nothing_is_refused(call: &mut Call) -> Result<Effect> {
    call.then(|call| if call.result() < 0 { call.give(0) } else { call.proceed() })
}
