//! Wrong owners: signals of O_ASYNC that go to others.

use ipcspec_cases::sys::sigio::{
    F_GETOWN_EX, F_SETOWN_EX, F_SETSIG, GROUP, Kind as Owner, PROCESS, THREAD, owner, owner_ex,
    set_owner_ex,
};
use libc::{F_GETOWN, F_SETFL, F_SETOWN};

use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    owner_is_always_told_as_a_process,
    setter_owns_what_it_sets,
    owner_that_is_a_process_is_its_first_thread,
    owner_that_is_a_thread_is_its_process,
    owner_that_is_a_group_is_its_leader,
    who_switches_async_on_owns,
    dead_owner_is_remembered,
    anybody_is_signalled,
    who_causes_the_event_needs_permission,
    settings_are_those_of_who_made_them,
    program_loses_its_signals,
    owner_that_is_refused_is_nobody,
];

/// Where `struct f_owner_ex` has its number.
const NUMBER: u64 = 4;

impl Call {
    /// The kind of owner in the structure of an F_SETOWN_EX.
    fn kind_of_owner(&self) -> Result<Owner> {
        self.number_at(self.argument(2)).map(Owner)
    }

    fn set_kind_of_owner(&mut self, kind: Owner) -> Result<()> {
        self.set_number_at(self.argument(2), kind.0)
    }
}

/// F_GETOWN and F_GETOWN_EX tell a group as if it were a process.
#[fault(F_GETOWN_2CONST, "DESCRIPTION", on = [FCNTL])]
fn owner_is_always_told_as_a_process(call: &mut Call) -> Result<Effect> {
    call.asks(&[F_GETOWN_EX])?;
    call.then(|call| {
        if call.kind_of_owner()? == GROUP {
            call.set_kind_of_owner(PROCESS)?;
        }
        call.proceed()
    })
}

/// Whatever process is set as the owner, the one that sets it is.
#[fault(F_GETOWN_2CONST, "DESCRIPTION", on = [FCNTL])]
fn setter_owns_what_it_sets(call: &mut Call) -> Result<Effect> {
    let own = call.own_number()?;
    if call.asks(&[F_SETOWN, F_SETOWN_EX])? == F_SETOWN {
        if call.argument(2) as i32 > 0 {
            call.set_argument(2, own as u64);
        }
    } else if call.kind_of_owner()? == PROCESS {
        call.set_number_at(call.argument(2) + NUMBER, own)?;
    }
    call.proceed()
}

/// F_OWNER_PID means the thread of that number, the first of the process.
#[fault(F_GETOWN_2CONST, "DESCRIPTION", on = [FCNTL])]
fn owner_that_is_a_process_is_its_first_thread(call: &mut Call) -> Result<Effect> {
    call.asks(&[F_SETOWN_EX])?;
    if call.kind_of_owner()? == PROCESS {
        call.set_kind_of_owner(THREAD)?;
    }
    call.proceed()
}

/// F_OWNER_TID means the whole process of that thread.
#[fault(F_GETOWN_2CONST, "DESCRIPTION", on = [FCNTL])]
fn owner_that_is_a_thread_is_its_process(call: &mut Call) -> Result<Effect> {
    call.asks(&[F_SETOWN_EX])?;
    if call.kind_of_owner()? == THREAD {
        let own = call.own_number()?;
        call.set_kind_of_owner(PROCESS)?;
        call.set_number_at(call.argument(2) + NUMBER, own)?;
    }
    call.proceed()
}

/// Of a process group that owns a descriptor only the leader gets the signal.
#[fault(F_GETOWN_2CONST, "DESCRIPTION", on = [FCNTL])]
fn owner_that_is_a_group_is_its_leader(call: &mut Call) -> Result<Effect> {
    if call.asks(&[F_SETOWN, F_SETOWN_EX])? == F_SETOWN {
        call.set_argument(2, u64::from((call.argument(2) as i32).unsigned_abs()));
    } else if call.kind_of_owner()? == GROUP {
        call.set_kind_of_owner(PROCESS)?;
    }
    call.proceed()
}

/// Who switches O_ASYNC on becomes the owner where there is none.
#[fault(F_GETOWN_2CONST, "DESCRIPTION", on = [FCNTL])]
fn who_switches_async_on_owns(call: &mut Call) -> Result<Effect> {
    call.asks(&[F_SETFL])?;
    let own = [call.argument(0), F_SETOWN as u64, call.own_number()? as u64, 0, 0, 0];
    if owner(call.copy(call.argument(0) as i32)?)? != 0 {
        return call.proceed();
    }
    call.then(move |call| call.instead(libc::SYS_fcntl, own, |call| call.proceed()))
}

/// An owner that has died is still told as the owner.
#[fault(F_GETOWN_2CONST, "DESCRIPTION", on = [FCNTL])]
fn dead_owner_is_remembered(call: &mut Call) -> Result<Effect> {
    let (inode, place) = (call.fd(0)?.inode, call.argument(2) + NUMBER);
    if call.asks(&[F_SETOWN, F_GETOWN_EX])? == F_SETOWN {
        *call.notes().of(inode) = Some(i64::from(call.argument(2) as i32));
        return call.proceed();
    }
    call.then(move |call| {
        let last = call.notes().of(inode).unwrap_or(0) as i32;
        if last > 0 && call.number_at(place) == Ok(0) {
            call.set_number_at(place, last)?;
        }
        call.proceed()
    })
}

/// Nobody asks whether the setter may signal the owner.
#[fault(F_GETOWN_2CONST, "DESCRIPTION", on = [FCNTL])]
fn anybody_is_signalled(call: &mut Call) -> Result<Effect> {
    call.asks(&[F_SETOWN])?;
    call.then(|call| {
        // Set once more, by one with more privilege.
        let copy = call.copy(call.argument(0) as i32)?;
        let (kind, id) = owner_ex(&copy)?;
        set_owner_ex(&copy, kind, id)?;
        call.proceed()
    })
}

/// Who causes the event has to be permitted to signal the owner.
#[fault(F_GETOWN_2CONST, "DESCRIPTION", on = [WRITE])]
fn who_causes_the_event_needs_permission(call: &mut Call) -> Result<Effect> {
    let pipe = call.pipe(0)?;
    let reader = call.announced().into_iter().find(|fd| fd.inode == pipe.inode).ok_or(ENOENT)?;
    let reader = reader.number as u64;
    // Set once more, by the writer.
    call.instead(libc::SYS_fcntl, [reader, F_GETOWN as u64, 0, 0, 0, 0], move |call| {
        let owner = call.result() as u64;
        call.instead(libc::SYS_fcntl, [reader, F_SETOWN as u64, owner, 0, 0, 0], |call| {
            call.once_more(|call| call.proceed())
        })
    })
}

/// The signal that a child chooses for an inherited descriptor is not that of its parent.
#[fault(FORK_2, "DESCRIPTION", on = [FCNTL])]
fn settings_are_those_of_who_made_them(call: &mut Call) -> Result<Effect> {
    let (inode, me) = (call.fd(0)?.inode, i64::from(call.process().as_raw()));
    if call.asks(&[F_SETOWN, F_SETSIG])? == F_SETOWN {
        call.notes().of(inode).get_or_insert(me);
        return call.proceed();
    }
    let setter = *call.notes().of(inode);
    if setter.is_some_and(|setter| setter != me) { call.give(0) } else { call.proceed() }
}

/// A process that executes a program owns nothing any more.
#[fault(EXECVE_2, "DESCRIPTION", on = [EXECVE])]
fn program_loses_its_signals(call: &mut Call) -> Result<Effect> {
    for fd in call.announced() {
        call.disown(fd.number)?;
    }
    call.proceed()
}

/// To set an owner that cannot be one succeeds, and sets none.
#[fault(F_GETOWN_2CONST, "DESCRIPTION", on = [FCNTL])]
fn owner_that_is_refused_is_nobody(call: &mut Call) -> Result<Effect> {
    call.asks(&[F_SETOWN, F_SETOWN_EX])?;
    call.then(|call| call.give(call.result().max(0)))
}
