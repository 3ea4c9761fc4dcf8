//! Wrong undo: forgotten, doubled, too early, for the wrong operations.

use ipcspec_cases::sys::sem::Op;
use libc::{GETALL, GETPID, GETVAL, IPC_STAT, SEM_UNDO, SETALL, SETVAL};

use super::view::key;
use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    undo_is_forgotten,
    undo_covers_the_first_operation_of_a_list,
    undo_comes_twice,
    everything_is_undone,
    own_release_leaves_the_undo,
    release_without_the_flag_cancels_the_undo,
    failed_list_leaves_its_undo,
    undo_comes_with_the_end_of_the_thread,
    undo_comes_at_exec,
    child_undoes_what_its_parent_did,
    setval_leaves_the_undo,
    setall_leaves_the_undo,
    setall_clears_the_undo_of_all_sets,
    undo_below_zero_is_ignored,
    undo_is_no_operation,
    undo_is_never_shared,
    unshare_applies_no_undo,
    operation_beyond_the_limit_of_undo_goes_without,
    undo_covers_the_first_set,
    removed_set_ends_the_undo_of_the_others,
    killed_process_undoes_nothing,
];

/// One undoable operation, as a number.
fn encoded(set: u64, op: Op) -> i64 {
    (set << 32 | u64::from(op.number) << 16 | u64::from(op.change as u16)) as i64
}

/// In the notes of a process, all that it does with SEM_UNDO.
fn noting_undo(call: &mut Call) -> Result<Effect> {
    let (ops, set, me) = (call.ops()?, call.set(), call.process().as_raw() as u64);
    call.then(move |call| {
        for op in ops.into_iter().filter(|op| op.flags & SEM_UNDO != 0) {
            if call.result() == 0 {
                call.notes().list(me).push(encoded(set, op));
            }
        }
        call.proceed()
    })
}

/// Calls that take back what this process did with SEM_UNDO; with `flags`.
fn taking_back(call: &mut Call, process: u64, flags: i32) -> Result<Vec<(i64, [u64; 6])>> {
    let done = call.notes().list(process).clone();
    done.into_iter()
        .map(|it| {
            let change = -(it as i16);
            let op = Op { number: (it >> 16) as u16, change, flags }.nowait();
            call.semop_on((it >> 32) as u64, &[op])
        })
        .collect()
}

/// Those calls, and then the one that is under way.
fn taking_back_first(call: &mut Call, process: u64, flags: i32) -> Result<Effect> {
    let mut calls = taking_back(call, process, flags)?;
    calls.push((call.number(), call.arguments()));
    call.instead_all(calls, |call| call.proceed())
}

/// SEM_UNDO is ignored.
#[fault(SEMOP_2, "DESCRIPTION", on = [SEMOP])]
fn undo_is_forgotten(call: &mut Call) -> Result<Effect> {
    let mut ops = call.ops()?;
    for op in &mut ops {
        op.flags &= !SEM_UNDO;
    }
    call.set_ops(&ops)?;
    call.proceed()
}

/// Of a list of operations the first alone is undone.
#[fault(SEMOP_2, "NOTES", on = [SEMOP])]
fn undo_covers_the_first_operation_of_a_list(call: &mut Call) -> Result<Effect> {
    let mut ops = call.ops()?;
    ops.iter_mut().skip(1).for_each(|op| op.flags &= !SEM_UNDO);
    call.set_ops(&ops)?;
    call.proceed()
}

/// What a process did with SEM_UNDO is undone twice when it exits.
#[fault(SEMOP_2, "NOTES", on = [SEMOP, EXIT_GROUP])]
fn undo_comes_twice(call: &mut Call) -> Result<Effect> {
    if call.is_semop() {
        return noting_undo(call);
    }
    let me = call.process().as_raw() as u64;
    taking_back_first(call, me, 0)
}

/// Every operation is undone, with SEM_UNDO or without.
#[fault(SEMOP_2, "NOTES", on = [SEMOP])]
fn everything_is_undone(call: &mut Call) -> Result<Effect> {
    let ops: Vec<_> = call.ops()?.into_iter().map(Op::undo).collect();
    call.set_ops(&ops)?;
    call.proceed()
}

/// A release with SEM_UNDO does not cancel the undo of what the process took.
#[fault(SEMOP_2, "NOTES", on = [SEMOP])]
fn own_release_leaves_the_undo(call: &mut Call) -> Result<Effect> {
    let mut ops = call.ops()?;
    ops.iter_mut().filter(|op| op.change > 0).for_each(|op| op.flags &= !SEM_UNDO);
    call.set_ops(&ops)?;
    call.proceed()
}

/// A release without SEM_UNDO cancels the undo of what the process took with it.
#[fault(SEMOP_2, "NOTES", on = [SEMOP])]
fn release_without_the_flag_cancels_the_undo(call: &mut Call) -> Result<Effect> {
    let mut ops = call.ops()?;
    ops.iter_mut().filter(|op| op.change > 0).for_each(|op| op.flags |= SEM_UNDO);
    call.set_ops(&ops)?;
    call.proceed()
}

/// A list that fails changes no value, and what it had done by then is undone at exit all the same.
#[fault(SEMOP_2, "DESCRIPTION", on = [SEMOP])]
fn failed_list_leaves_its_undo(call: &mut Call) -> Result<Effect> {
    let (ops, set) = (call.ops()?, call.set());
    let (first, more) = (ops[0].nowait(), ops.len() > 1);
    call.then(move |call| {
        let failed = call.result() == -(EAGAIN as i64);
        if !failed || !more || first.flags & SEM_UNDO == 0 || first.change == 0 {
            return call.proceed();
        }
        let back = Op::new(first.number, -first.change);
        let calls = vec![call.semop_on(set, &[first])?, call.semop_on(set, &[back])?];
        call.instead_all(calls, |call| call.fail(EAGAIN))
    })
}

/// What a thread did with SEM_UNDO is undone when the thread ends, before its process does.
#[fault(SEMOP_2, "NOTES", on = [SEMOP, EXIT])]
fn undo_comes_with_the_end_of_the_thread(call: &mut Call) -> Result<Effect> {
    if call.is_semop() {
        return noting_undo(call);
    }
    let me = call.process().as_raw() as u64;
    taking_back_first(call, me, SEM_UNDO)
}

/// What a process did with SEM_UNDO is undone when it executes another program.
#[fault(SEMOP_2, "NOTES", on = [SEMOP, EXEC])]
fn undo_comes_at_exec(call: &mut Call) -> Result<Effect> {
    if call.is_semop() {
        return noting_undo(call);
    }
    let me = call.process().as_raw() as u64;
    taking_back_first(call, me, SEM_UNDO)
}

/// A child inherits what its parent has to undo, and undoes it when it exits.
#[fault(SEMOP_2, "NOTES", on = [SEMOP, EXIT_GROUP])]
fn child_undoes_what_its_parent_did(call: &mut Call) -> Result<Effect> {
    if call.is_semop() {
        return noting_undo(call);
    }
    let parent = call.parent()?.as_raw() as u64;
    taking_back_first(call, parent, 0)
}

/// The note on a set that somebody has operated on with SEM_UNDO.
fn note_undo(call: &mut Call) -> Result<Effect> {
    if call.ops()?.iter().any(|op| op.flags & SEM_UNDO != 0) {
        let set = call.set();
        *call.notes().of(set) = Some(1);
    }
    call.proceed()
}

/// The operation that takes a value to another, if there is one.
fn step(number: u16, from: u16, to: u16) -> Option<Op> {
    (from != to).then(|| Op::new(number, (i32::from(to) - i32::from(from)) as i16))
}

/// SETVAL sets the value and leaves the undo of every process as it was.
#[fault(SEMCTL_2, "DESCRIPTION", on = [SEMOP, SEMCTL])]
fn setval_leaves_the_undo(call: &mut Call) -> Result<Effect> {
    if call.is_semop() {
        return note_undo(call);
    }
    let [set, number, _, value, ..] = call.arguments();
    if call.command() != SETVAL || !call.notes().has(set) {
        return call.proceed();
    }
    call.semctl(number as u16, GETVAL, 0, move |call| {
        let from = call.result();
        if !(0..=32767).contains(&from) || value > 32767 {
            return call.once_more(|call| call.proceed());
        }
        match step(number as u16, from as u16, value as u16) {
            Some(op) => call.semop(&[op], |call| call.proceed()),
            None => call.give(0),
        }
    })
}

/// SETALL sets the values and leaves the undo of every process as it was.
#[fault(SEMCTL_2, "DESCRIPTION", on = [SEMOP, SEMCTL])]
fn setall_leaves_the_undo(call: &mut Call) -> Result<Effect> {
    if call.is_semop() {
        return note_undo(call);
    }
    let [set, _, _, values, ..] = call.arguments();
    if call.command() != SETALL || !call.notes().has(set) {
        return call.proceed();
    }
    // Of a set that is small enough.
    let status = call.scratch(&[0; 104])?;
    let before = call.scratch(&[0; 128])?;
    call.semctl(0, IPC_STAT, status, move |call| {
        let count = call.number_at::<u64>(status + 80)?;
        call.semctl(0, if count <= 64 { GETALL } else { -1 }, before, move |call| {
            let mut ops = vec![];
            for number in 0..count {
                let from = call.number_at::<u16>(before + 2 * number)?;
                let to = call.number_at::<u16>(values + 2 * number)?;
                ops.extend(step(number as u16, from, to));
            }
            if ops.is_empty() { call.give(0) } else { call.semop(&ops, |call| call.proceed()) }
        })
    })
}

/// SETALL clears the undo of every set, not only of its own.
#[fault(SEMCTL_2, "DESCRIPTION", on = [SEMOP, SEMCTL])]
fn setall_clears_the_undo_of_all_sets(call: &mut Call) -> Result<Effect> {
    const SETS: u64 = u64::MAX;
    let set = call.set();
    if call.is_semop() {
        if call.ops()?.iter().any(|op| op.flags & SEM_UNDO != 0) {
            call.notes().list(SETS).push(set as i64);
        }
        return call.proceed();
    }
    let others = call.notes().list(SETS).clone();
    let other = others.into_iter().find(|other| *other != set as i64);
    let (SETALL, Some(other)) = (call.command(), other) else { return call.proceed() };
    call.then(move |call| {
        let get = [other as u64, 0, GETVAL as u64, 0, 0, 0];
        call.instead(libc::SYS_semctl, get, move |call| {
            let set = [other as u64, 0, SETVAL as u64, call.result() as u64, 0, 0];
            call.instead(libc::SYS_semctl, set, |call| call.give(0))
        })
    })
}

/// An undo that would take a value below zero is left out.
#[fault(SEMOP_2, "BUGS", on = [SEMOP, EXIT_GROUP])]
fn undo_below_zero_is_ignored(call: &mut Call) -> Result<Effect> {
    if call.is_semop() {
        return noting_undo(call);
    }
    let me = call.process().as_raw() as u64;
    let &[done] = &call.notes().list(me)[..] else { return call.proceed() };
    let (set, number, given) = ((done >> 32) as u64, (done >> 16) as u16, done as i16);
    let get = [set, number.into(), GETVAL as u64, 0, 0, 0];
    call.instead(libc::SYS_semctl, get, move |call| {
        if (0..i64::from(given)).contains(&call.result()) {
            // SETVAL to what it is forgets the undo.
            let keep = [set, number.into(), SETVAL as u64, call.result() as u64, 0, 0];
            return call
                .instead(libc::SYS_semctl, keep, |call| call.once_more(|call| call.proceed()));
        }
        call.once_more(|call| call.proceed())
    })
}

/// After an undo GETPID names the process that operated before.
#[fault(SEMCTL_2, "The sempid value", on = [SEMOP, SEMCTL, EXIT_GROUP])]
fn undo_is_no_operation(call: &mut Call) -> Result<Effect> {
    if call.is_semop() {
        return noting_undo(call);
    }
    if call.number() == libc::SYS_semctl {
        let key = 1 << 48 | key(call.set(), call.argument(1) as u16);
        let asked = call.command() == GETPID;
        return call.then(move |call| {
            let [dead, before] = call.notes().list(key)[..] else { return call.proceed() };
            if asked && call.result() == dead { call.give(before) } else { call.proceed() }
        });
    }
    let me = i64::from(call.process().as_raw());
    let &[done] = &call.notes().list(me as u64)[..] else { return call.proceed() };
    let (set, number) = ((done >> 32) as u64, (done >> 16) as u16);
    let get = [set, number.into(), GETPID as u64, 0, 0, 0];
    call.instead(libc::SYS_semctl, get, move |call| {
        *call.notes().list(1 << 48 | key(set, number)) = vec![me, call.result()];
        call.once_more(|call| call.proceed())
    })
}

/// A child that asks with CLONE_SYSVSEM to share its parent's undo gets one of its own.
#[fault(CLONE_2, "The flags mask", on = [CLONE])]
fn undo_is_never_shared(call: &mut Call) -> Result<Effect> {
    call.set_argument(0, call.argument(0) & !(libc::CLONE_SYSVSEM as u64));
    call.proceed()
}

/// unshare(CLONE_SYSVSEM) does nothing.
#[fault(UNSHARE_2, "DESCRIPTION", on = [UNSHARE])]
fn unshare_applies_no_undo(call: &mut Call) -> Result<Effect> {
    if call.argument(0) == libc::CLONE_SYSVSEM as u64 { call.give(0) } else { call.proceed() }
}

/// An operation that would take the sum to be undone beyond its limit is done without undo.
#[fault(SEMCTL_2, "DESCRIPTION", on = [SEMOP])]
fn operation_beyond_the_limit_of_undo_goes_without(call: &mut Call) -> Result<Effect> {
    let mut ops = call.ops()?;
    call.then(move |call| {
        if call.result() != -(ERANGE as i64) || ops.iter().all(|op| op.flags & SEM_UNDO == 0) {
            return call.proceed();
        }
        for op in &mut ops {
            op.flags &= !SEM_UNDO;
        }
        call.semop(&ops, |call| call.proceed())
    })
}

/// What a process has to undo is kept for one set, the first.
#[fault(SEMOP_2, "NOTES", on = [SEMOP])]
fn undo_covers_the_first_set(call: &mut Call) -> Result<Effect> {
    let (mut ops, set) = (call.ops()?, call.set() as i64);
    if ops.iter().all(|op| op.flags & SEM_UNDO == 0) {
        return call.proceed();
    }
    let me = call.process().as_raw() as u64;
    let first = *call.notes().of(me).get_or_insert(set);
    if first != set {
        for op in &mut ops {
            op.flags &= !SEM_UNDO;
        }
        call.set_ops(&ops)?;
    }
    call.proceed()
}

/// Calls that leave the values as they are and forget what `process` has to undo there, but not
/// in `except`; then the call that is under way.
fn forgetting_first(call: &mut Call, process: u64, except: &[i64]) -> Result<Effect> {
    let done = call.notes().list(process).clone();
    let place = |it: i64| [it >> 32, it >> 16 & 0xffff];
    let kept = done.into_iter().map(place).filter(|[set, _]| !except.contains(set)).collect();
    forgetting(call, kept)
}

fn forgetting(call: &mut Call, mut places: Vec<[i64; 2]>) -> Result<Effect> {
    let Some([set, number]) = places.pop() else { return call.once_more(|call| call.proceed()) };
    let [set, number] = [set as u64, number as u64];
    call.instead(libc::SYS_semctl, [set, number, GETVAL as u64, 0, 0, 0], move |call| {
        let value = call.result() as u64;
        call.instead(libc::SYS_semctl, [set, number, SETVAL as u64, value, 0, 0], |call| {
            forgetting(call, places)
        })
    })
}

/// When one of the sets that a process has to undo at was removed, nothing is undone at the others.
#[fault(SEMOP_2, "NOTES", on = [SEMOP, SEMCTL, EXIT_GROUP])]
fn removed_set_ends_the_undo_of_the_others(call: &mut Call) -> Result<Effect> {
    const REMOVED: u64 = u64::MAX;
    if call.is_semop() {
        return noting_undo(call);
    }
    if call.number() == libc::SYS_semctl {
        if call.command() == libc::IPC_RMID {
            let set = call.set() as i64;
            call.notes().list(REMOVED).push(set);
        }
        return call.proceed();
    }
    let me = call.process().as_raw() as u64;
    let removed = call.notes().list(REMOVED).clone();
    let done = call.notes().list(me).clone();
    if done.iter().any(|it| removed.contains(&(it >> 32))) {
        return forgetting_first(call, me, &removed);
    }
    call.proceed()
}

/// A process that is killed undoes nothing.
#[fault(SEMOP_2, "NOTES", on = [SEMOP, KILL])]
fn killed_process_undoes_nothing(call: &mut Call) -> Result<Effect> {
    if call.is_semop() {
        return noting_undo(call);
    }
    if call.argument(1) != libc::SIGKILL as u64 {
        return call.proceed();
    }
    forgetting_first(call, call.argument(0), &[])
}
