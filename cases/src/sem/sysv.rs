//! System V semaphores: sets, P and V, undo.

use crate::prelude::*;
use crate::sys::sem::{Op, Sem};

/// The cases of this module.
pub const CASES: &[Case] = &[
    p_on_zero_blocks_until_v,
    undo_rolls_back_at_exit,
    empty_list_of_operations_is_refused,
    semaphore_beyond_the_set_is_refused,
];

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

refusals! {
    SEMOP_2, "ERRORS";

    /// A call with no operations is invalid.
    ["semop.2 EINVAL"] empty_list_of_operations_is_refused => EINVAL: Sem::private(&[0])?.op(&[]);

    /// An operation on a semaphore that the set does not have is out of range.
    ["semop.2 EFBIG"] semaphore_beyond_the_set_is_refused => EFBIG: Sem::private(&[0])?.op(&[Op::new(1, 1)]);
}
