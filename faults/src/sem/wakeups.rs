//! Wrong wake-ups: sleepers that are never told, or the wrong ones.

use ipcspec_cases::sys::sem::Op;
use libc::{GETNCNT, GETPID, GETZCNT, IPC_RMID, SEM_UNDO, SETALL, SETVAL};

use super::view::key;
use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    second_of_those_whom_a_release_serves_is_not_woken,
    second_of_those_who_wait_for_zero_is_not_woken,
    youngest_sleeper_is_served_first,
    nobody_passes_an_older_sleeper,
    what_a_woken_request_takes_wakes_nobody,
    setval_forgets_who_waits_for_zero,
    setall_forgets_who_waits_for_more,
    setval_wakes_the_first_sleeper_only,
    undo_wakes_nobody,
    undo_wakes_the_first_sleeper_only,
    removal_wakes_the_first_sleeper_only,
    interrupted_sleeper_counts_on,
    sleepers_with_a_time_limit_are_not_counted,
    getncnt_tells_whether_and_not_how_many,
    getzcnt_counts_who_wants_more,
    list_counts_at_its_first_semaphore,
    getpid_names_who_woke_the_sleeper,
];

/// What happened last that can wake: the number of a call, or a command.
const LAST: u64 = 1 << 40;
/// How many it has woken.
const WOKEN: u64 = 2 << 40;

/// Notes what may wake others; the operations of a semop.
fn note(call: &mut Call) -> Result<Vec<Op>> {
    let undo = 3 << 40 | call.process().as_raw() as u64;
    let (mut ops, mut last) = (vec![], None);
    if call.is_semop() {
        ops = call.ops()?;
        if ops.iter().any(|op| op.flags & SEM_UNDO != 0) {
            call.notes().count(undo);
        }
        if ops.iter().all(|op| op.change > 0) {
            last = Some(libc::SYS_semop);
        }
    } else if call.number() == libc::SYS_semctl {
        let commands = [SETVAL, SETALL, IPC_RMID];
        last = commands.contains(&call.command()).then_some(call.command().into());
    } else if call.notes().has(undo) {
        last = Some(call.number());
    }
    if last.is_some() {
        *call.notes().of(LAST) = last;
        *call.notes().of(WOKEN) = Some(0);
    }
    Ok(ops)
}

/// After a sleep that went well, or ended in EIDRM: it is not told when `lost`.
fn tell(call: &mut Call, lost: impl FnOnce(&mut Call, i64) -> bool + 'static) -> Result<Effect> {
    call.semop_telling_sleep(move |call, slept| {
        let woken = [0, -(EIDRM as i64)].contains(&call.result());
        let last = call.notes().of(LAST).unwrap_or(-1);
        if slept && woken && lost(call, last) { call.sleep() } else { call.proceed() }
    })
}

/// One release takes two sleepers from the queue and wakes the first alone.
#[fault(SEMOP_2, "DESCRIPTION", on = [SEMOP, SEMCTL])]
fn second_of_those_whom_a_release_serves_is_not_woken(call: &mut Call) -> Result<Effect> {
    let ops = note(call)?;
    if ops.iter().all(|op| op.change >= 0) {
        return call.proceed();
    }
    tell(call, |call, last| {
        call.result() == 0 && last == libc::SYS_semop && call.notes().count(WOKEN) > 0
    })
}

/// Of all who wait for zero the first alone is woken when it comes.
#[fault(SEMOP_2, "DESCRIPTION", on = [SEMOP, SEMCTL])]
fn second_of_those_who_wait_for_zero_is_not_woken(call: &mut Call) -> Result<Effect> {
    let ops = note(call)?;
    if ops.is_empty() || ops.iter().any(|op| op.change != 0) {
        return call.proceed();
    }
    tell(call, |call, _| call.result() == 0 && call.notes().count(WOKEN) > 0)
}

/// Of sleepers that want the same the youngest is served first.
#[fault(IPC_SEM_C, "FIFO ordering for semop() operations", on = [SEMOP])]
fn youngest_sleeper_is_served_first(call: &mut Call) -> Result<Effect> {
    let &[op @ Op { change: -1, flags: 0, .. }] = &call.ops()?[..] else { return call.proceed() };
    let set = call.set();
    let asleep = key(set, op.number);
    call.semop(&[op.nowait()], move |call| {
        if call.result() != -(EAGAIN as i64) {
            return call.proceed();
        }
        let place = call.notes().count(asleep | LAST) % 60;
        *call.notes().of(asleep).get_or_insert(0) |= 1 << place;
        call.once_more(move |call| pass_on(call, op, asleep, place))
    })
}

/// Gives what it has been served to a younger one, if there is one.
fn pass_on(call: &mut Call, op: Op, asleep: u64, place: i64) -> Result<Effect> {
    let all = call.notes().of(asleep).unwrap_or(0);
    if call.result() != 0 || all >> (place + 1) == 0 {
        *call.notes().of(asleep) = Some(all & !(1 << place));
        return call.proceed();
    }
    call.semop(&[Op { change: 1, ..op }], move |call| {
        call.once_more(move |call| pass_on(call, op, asleep, place))
    })
}

/// A sleeper whose request could be met goes on sleeping while an older one sleeps.
#[fault(SEMOP_2, "DESCRIPTION", on = [SEMOP])]
fn nobody_passes_an_older_sleeper(call: &mut Call) -> Result<Effect> {
    let asleep = call.set();
    if call.ops()?.iter().all(|op| op.change >= 0) {
        return call.proceed();
    }
    let ops: Vec<_> = call.ops()?.into_iter().map(Op::nowait).collect();
    call.semop(&ops, move |call| {
        if call.result() != -(EAGAIN as i64) {
            return call.proceed();
        }
        let place = call.notes().count(asleep | LAST) % 60;
        *call.notes().of(asleep).get_or_insert(0) |= 1 << place;
        call.once_more(move |call| {
            let all = call.notes().of(asleep).unwrap_or(0);
            *call.notes().of(asleep) = Some(all & !(1 << place));
            let older = all & ((1 << place) - 1) != 0;
            if call.result() == 0 && older { call.sleep() } else { call.proceed() }
        })
    })
}

/// When a sleeper that is woken takes the last unit, who waits for zero is not woken.
#[fault(SEMOP_2, "DESCRIPTION", on = [SEMOP, SEMCTL])]
fn what_a_woken_request_takes_wakes_nobody(call: &mut Call) -> Result<Effect> {
    let ops = note(call)?;
    if ops.is_empty() || ops.iter().any(|op| op.change != 0) {
        return call.proceed();
    }
    tell(call, |call, last| call.result() == 0 && last == libc::SYS_semop)
}

/// SETVAL wakes who waits for more, and not who waits for zero.
#[fault(SEMCTL_2, "DESCRIPTION", on = [SEMOP, SEMCTL])]
fn setval_forgets_who_waits_for_zero(call: &mut Call) -> Result<Effect> {
    let ops = note(call)?;
    if ops.is_empty() || ops.iter().any(|op| op.change != 0) {
        return call.proceed();
    }
    tell(call, |call, last| call.result() == 0 && last == i64::from(SETVAL))
}

/// SETALL wakes who waits for zero, and not who waits for more.
#[fault(SEMCTL_2, "DESCRIPTION", on = [SEMOP, SEMCTL])]
fn setall_forgets_who_waits_for_more(call: &mut Call) -> Result<Effect> {
    let ops = note(call)?;
    if ops.iter().all(|op| op.change >= 0) {
        return call.proceed();
    }
    tell(call, |call, last| call.result() == 0 && last == i64::from(SETALL))
}

/// SETVAL wakes the first sleeper whose request fits, and no other.
#[fault(SEMCTL_2, "DESCRIPTION", on = [SEMOP, SEMCTL])]
fn setval_wakes_the_first_sleeper_only(call: &mut Call) -> Result<Effect> {
    if note(call)?.is_empty() {
        return call.proceed();
    }
    tell(call, |call, last| {
        call.result() == 0 && last == i64::from(SETVAL) && call.notes().count(WOKEN) > 0
    })
}

/// What is undone at exit wakes the first sleeper whose request fits, and no other.
#[fault(SEMOP_2, "DESCRIPTION", on = [SEMOP, SEMCTL, EXIT_GROUP])]
fn undo_wakes_the_first_sleeper_only(call: &mut Call) -> Result<Effect> {
    if note(call)?.is_empty() {
        return call.proceed();
    }
    tell(call, |call, last| {
        call.result() == 0 && last == libc::SYS_exit_group && call.notes().count(WOKEN) > 0
    })
}

/// What is undone at exit wakes nobody.
#[fault(SEMOP_2, "DESCRIPTION", on = [SEMOP, SEMCTL, EXIT_GROUP])]
fn undo_wakes_nobody(call: &mut Call) -> Result<Effect> {
    if note(call)?.is_empty() {
        return call.proceed();
    }
    tell(call, |call, last| call.result() == 0 && last == libc::SYS_exit_group)
}

/// Removal ends the sleep of the first sleeper; the others sleep on.
#[fault(SEMCTL_2, "DESCRIPTION", on = [SEMOP, SEMCTL])]
fn removal_wakes_the_first_sleeper_only(call: &mut Call) -> Result<Effect> {
    if note(call)?.is_empty() {
        return call.proceed();
    }
    tell(call, |call, _| call.result() != 0 && call.notes().count(WOKEN) > 0)
}

/// A sleeper that a handler has interrupted still counts in semncnt.
#[fault(SEMOP_2, "DESCRIPTION", on = [SEMOP, SEMCTL])]
fn interrupted_sleeper_counts_on(call: &mut Call) -> Result<Effect> {
    let set = call.set();
    if !call.is_semop() {
        let gone = call.notes().of(set).unwrap_or(0);
        let asked = call.command() == GETNCNT;
        return call.then(move |call| match call.result() {
            count if asked && count >= 0 => call.give(count + gone),
            _ => call.proceed(),
        });
    }
    call.then(move |call| {
        if call.result() == -(EINTR as i64) {
            call.notes().count(set);
        }
        call.proceed()
    })
}

/// Who sleeps in semtimedop is not counted in semncnt.
#[fault(SEMOP_2, "semtimedop()", on = [SEMOP, SEMCTL])]
fn sleepers_with_a_time_limit_are_not_counted(call: &mut Call) -> Result<Effect> {
    let set = call.set();
    if call.is_semop() {
        if call.number() == libc::SYS_semtimedop && call.argument(3) != 0 {
            call.notes().count(set);
        }
        return call.proceed();
    }
    let unseen = call.command() == GETNCNT && call.notes().has(set);
    if unseen { call.give(0) } else { call.proceed() }
}

/// GETNCNT tells 1 for any number of sleepers.
#[fault(SEMCTL_2, "DESCRIPTION", on = [SEMCTL])]
fn getncnt_tells_whether_and_not_how_many(call: &mut Call) -> Result<Effect> {
    if call.command() != GETNCNT {
        return call.proceed();
    }
    call.then(|call| call.give(call.result().min(1)))
}

/// GETZCNT tells how many wait for an increase.
#[fault(SEMCTL_2, "DESCRIPTION", on = [SEMCTL])]
fn getzcnt_counts_who_wants_more(call: &mut Call) -> Result<Effect> {
    if call.command() == GETZCNT {
        call.set_argument(2, GETNCNT as u64);
    }
    call.proceed()
}

/// Who sleeps for a list counts at the first semaphore of the list, not at the one that lacks.
#[fault(SEMOP_2, "DESCRIPTION", on = [SEMOP, SEMCTL])]
fn list_counts_at_its_first_semaphore(call: &mut Call) -> Result<Effect> {
    let set = call.set();
    if !call.is_semop() {
        let (asked, number) = (call.command() == GETNCNT, call.argument(1) as i64);
        let place = call.notes().list(set).iter().position(|it| *it == number);
        return match place {
            Some(place) if asked => call.give(i64::from(place == 0)),
            _ => call.proceed(),
        };
    }
    let ops = call.ops()?;
    if ops.len() > 1 {
        *call.notes().list(set) = ops.iter().map(|op| op.number.into()).collect();
    }
    call.then(move |call| {
        call.notes().list(set).clear();
        call.proceed()
    })
}

/// GETPID names the process that released a semaphore, not the sleeper that took it then.
#[fault(SEMOP_2, "DESCRIPTION", on = [SEMOP, SEMCTL])]
fn getpid_names_who_woke_the_sleeper(call: &mut Call) -> Result<Effect> {
    let set = call.set();
    if !call.is_semop() {
        let releaser = call.notes().of(key(set, call.argument(1) as u16)).unwrap_or(0);
        let wrong = call.command() == GETPID && releaser != 0;
        return if wrong { call.give(releaser) } else { call.proceed() };
    }
    let me = i64::from(call.process().as_raw());
    for op in call.ops()? {
        if op.change > 0 && op.flags & SEM_UNDO == 0 {
            *call.notes().of(key(set, op.number)) = Some(me);
        }
    }
    call.proceed()
}
