//! Wrong epoll instances: what they watch, and who is refused.

use ipcspec_cases::sys::epoll::{self, EDGE};
use libc::{EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD};

use super::view::key;
use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    parameters_are_not_told,
    parameters_are_cut_to_fit,
    budget_is_cut_to_the_weight,
    size_is_a_limit,
    close_on_exec_is_forgotten,
    refused_creation_leaks_a_descriptor,
    creation_refuses_nothing,
    close_of_one_copy_empties_the_instance,
    data_has_32_bits,
    edge_from_before_the_registration_is_lost,
    change_keeps_the_data,
    change_keeps_the_events,
    change_does_not_look_again,
    change_is_lost_while_somebody_sleeps,
    addition_is_lost_while_somebody_sleeps,
    deletion_is_forgotten,
    deletion_wants_an_event,
    addition_of_a_child_is_its_own,
    object_is_registered_once_only,
    close_ends_the_watch_though_there_is_a_copy,
    number_alone_is_the_key,
    refusals_are_silent,
    instances_nest_one_deep,
    instance_is_empty_where_it_was_not_made,
];

/// An instance watches no more descriptors than its size said.
#[fault(EPOLL_CREATE_2, "DESCRIPTION", on = [EPOLL_CREATE, EPOLL_CTL])]
fn size_is_a_limit(call: &mut Call) -> Result<Effect> {
    let process = call.process();
    if call.number() == libc::SYS_epoll_create {
        let size = call.argument(0) as i32;
        return call.then(move |call| {
            *call.notes().of(key(process, call.result() as i32)) = Some(size.into());
            call.proceed()
        });
    }
    let epoll = call.argument(0) as i32;
    let limit = call.notes().of(key(process, epoll)).unwrap_or(i64::MAX);
    if call.operation() == EPOLL_CTL_ADD && call.watches(epoll)?.len() as i64 >= limit {
        return call.fail(ENOSPC);
    }
    call.proceed()
}

/// EPOLL_CLOEXEC is accepted and forgotten.
#[fault(EPOLL_CREATE_2, "epoll_create1()", on = [EPOLL_CREATE])]
fn close_on_exec_is_forgotten(call: &mut Call) -> Result<Effect> {
    if call.argument(0) as i32 == libc::EPOLL_CLOEXEC && call.number() == libc::SYS_epoll_create1 {
        call.set_argument(0, 0);
    }
    call.proceed()
}

/// A creation that is refused for its argument has taken a descriptor by then.
#[fault(EPOLL_CREATE_2, "RETURN VALUE", on = [EPOLL_CREATE])]
fn refused_creation_leaks_a_descriptor(call: &mut Call) -> Result<Effect> {
    call.then(|call| {
        if call.result() != -(EINVAL as i64) {
            return call.proceed();
        }
        call.instead(libc::SYS_epoll_create1, [0; 6], |call| call.fail(EINVAL))
    })
}

/// Any size and any flag will do.
#[fault(EPOLL_CREATE_2, "ERRORS", on = [EPOLL_CREATE])]
fn creation_refuses_nothing(call: &mut Call) -> Result<Effect> {
    match call.number() {
        libc::SYS_epoll_create => call.set_argument(0, 1),
        _ => call.set_argument(0, call.argument(0) & libc::EPOLL_CLOEXEC as u64),
    }
    call.proceed()
}

/// The close of any copy of its descriptor empties an instance.
#[fault(EPOLL_CREATE_2, "DESCRIPTION", on = [CLOSE])]
fn close_of_one_copy_empties_the_instance(call: &mut Call) -> Result<Effect> {
    let epoll = call.argument(0);
    let deletion = |watch: super::view::Watch| {
        (libc::SYS_epoll_ctl, [epoll, EPOLL_CTL_DEL as u64, watch.fd as u64, 0, 0, 0])
    };
    let mut calls: Vec<_> = call.watches(epoll as i32)?.into_iter().map(deletion).collect();
    calls.push((libc::SYS_close, call.arguments()));
    call.instead_all(calls, |call| call.proceed())
}

/// The upper half of the data is lost.
#[fault(EPOLL_CTL_2, "DESCRIPTION", on = [EPOLL_CTL])]
fn data_has_32_bits(call: &mut Call) -> Result<Effect> {
    call.change_event(|event| event.data &= u64::from(u32::MAX))
}

/// What was ready when it was added is no event with EPOLLET.
#[fault(EPOLL_7, "Level-triggered and edge-triggered", on = [EPOLL_CTL])]
fn edge_from_before_the_registration_is_lost(call: &mut Call) -> Result<Effect> {
    let edge = call.registers() && call.event()?.events.contains(EDGE);
    if !edge || call.operation() != EPOLL_CTL_ADD {
        return call.proceed();
    }
    call.then(|call| {
        epoll::Epoll::from(call.copy(call.argument(0) as i32)?).now()?;
        call.proceed()
    })
}

/// A change replaces the events of a registration, and not its data.
#[fault(EPOLL_CTL_2, "DESCRIPTION", on = [EPOLL_CTL])]
fn change_keeps_the_data(call: &mut Call) -> Result<Effect> {
    let watches = call.watches(call.argument(0) as i32)?;
    let old = watches.iter().find(|watch| watch.fd == call.watched()).ok_or(ENOENT)?.event;
    if call.operation() != EPOLL_CTL_MOD {
        return call.proceed();
    }
    call.change_event(|event| event.data = old.data)
}

/// A change replaces the data of a registration and its flags, and not what it asks for.
#[fault(EPOLL_CTL_2, "DESCRIPTION", on = [EPOLL_CTL])]
fn change_keeps_the_events(call: &mut Call) -> Result<Effect> {
    let watches = call.watches(call.argument(0) as i32)?;
    let old = watches.iter().find(|watch| watch.fd == call.watched()).ok_or(ENOENT)?.event;
    if call.operation() != EPOLL_CTL_MOD {
        return call.proceed();
    }
    call.change_event(|event| event.events = event.events & EDGE | (old.events - EDGE))
}

/// What is still ready when an edge-triggered registration is changed is no new event.
#[fault(EPOLL_7, "Questions and answers", on = [EPOLL_CTL])]
fn change_does_not_look_again(call: &mut Call) -> Result<Effect> {
    let edge = call.registers() && call.event()?.events.contains(EDGE);
    if !edge || call.operation() != EPOLL_CTL_MOD {
        return call.proceed();
    }
    call.then(|call| {
        epoll::Epoll::from(call.copy(call.argument(0) as i32)?).now()?;
        call.proceed()
    })
}

/// Who sleeps on the instance of an epoll_ctl is counted under its number.
fn sleepers(call: &mut Call, operation: i32) -> Result<Effect> {
    let epoll = call.argument(0);
    if call.number() != libc::SYS_epoll_ctl {
        if !call.may_sleep() {
            return call.proceed();
        }
        call.notes().count(epoll);
        return call.then(move |call| {
            *call.notes().of(epoll) = None;
            call.proceed()
        });
    }
    let asleep = call.notes().has(epoll);
    if asleep && call.operation() == operation { call.give(0) } else { call.proceed() }
}

/// A registration is not changed while somebody sleeps in epoll_wait, and nobody is told.
#[fault(EPOLL_CTL_2, "DESCRIPTION", on = [EPOLL_CTL, EPOLL_WAIT])]
fn change_is_lost_while_somebody_sleeps(call: &mut Call) -> Result<Effect> {
    sleepers(call, EPOLL_CTL_MOD)
}

/// A descriptor is not added while somebody sleeps in epoll_wait, and nobody is told.
#[fault(EPOLL_WAIT_2, "NOTES", on = [EPOLL_CTL, EPOLL_WAIT])]
fn addition_is_lost_while_somebody_sleeps(call: &mut Call) -> Result<Effect> {
    sleepers(call, EPOLL_CTL_ADD)
}

/// EPOLL_CTL_DEL succeeds, and the descriptor is watched as before.
#[fault(EPOLL_CTL_2, "DESCRIPTION", on = [EPOLL_CTL])]
fn deletion_is_forgotten(call: &mut Call) -> Result<Effect> {
    let watches = call.watches(call.argument(0) as i32)?;
    let there = watches.iter().any(|watch| watch.fd == call.watched());
    if there && call.operation() == EPOLL_CTL_DEL { call.give(0) } else { call.proceed() }
}

/// EPOLL_CTL_DEL wants a pointer to an event, which it then ignores.
#[fault(EPOLL_CTL_2, "DESCRIPTION", on = [EPOLL_CTL])]
fn deletion_wants_an_event(call: &mut Call) -> Result<Effect> {
    if call.operation() == EPOLL_CTL_DEL && call.argument(3) == 0 {
        return call.fail(EFAULT);
    }
    call.proceed()
}

/// What a process adds to an instance that it inherited is watched by nobody.
#[fault(EPOLL_7, "Level-triggered and edge-triggered", on = [EPOLL_CTL, EPOLL_CREATE])]
fn addition_of_a_child_is_its_own(call: &mut Call) -> Result<Effect> {
    let process = call.process();
    if call.number() != libc::SYS_epoll_ctl {
        return call.then(move |call| {
            call.notes().count(key(process, call.result() as i32));
            call.proceed()
        });
    }
    let own = call.notes().has(key(process, call.argument(0) as i32));
    let lost = !own && call.operation() == EPOLL_CTL_ADD && call.fd(0)?.kind == Kind::Epoll;
    if lost { call.give(0) } else { call.proceed() }
}

/// A copy of a descriptor that is watched cannot be watched beside it.
#[fault(EPOLL_7, "Questions and answers", on = [EPOLL_CTL])]
fn object_is_registered_once_only(call: &mut Call) -> Result<Effect> {
    let new = call.descriptor(call.watched())?;
    let same = |fd: Fd| (fd.inode, fd.flags) == (new.inode, new.flags);
    let watches = call.watches(call.argument(0) as i32)?;
    let there = watches.iter().any(|watch| call.descriptor(watch.fd).is_ok_and(same));
    if there && call.operation() == EPOLL_CTL_ADD { call.fail(EEXIST) } else { call.proceed() }
}

/// A descriptor that is closed is watched no more, though a copy of it is open.
#[fault(EPOLL_7, "Questions and answers", on = [CLOSE])]
fn close_ends_the_watch_though_there_is_a_copy(call: &mut Call) -> Result<Effect> {
    let fd = call.argument(0) as i32;
    let watched = |epoll: &Fd| {
        let watches = call.watches(epoll.number).unwrap_or_default();
        epoll.kind == Kind::Epoll && watches.iter().any(|watch| watch.fd == fd)
    };
    let deletion = |epoll: Fd| {
        let arguments = [epoll.number as u64, EPOLL_CTL_DEL as u64, fd as u64, 0, 0, 0];
        (libc::SYS_epoll_ctl, arguments)
    };
    let epolls = call.descriptors().into_iter().filter(watched);
    let mut calls: Vec<_> = epolls.map(deletion).collect();
    calls.push((libc::SYS_close, call.arguments()));
    if calls.len() == 1 { call.proceed() } else { call.instead_all(calls, |call| call.proceed()) }
}

/// A number under which something is watched cannot be added when it means another description.
#[fault(EPOLL_7, "Questions and answers", on = [EPOLL_CTL])]
fn number_alone_is_the_key(call: &mut Call) -> Result<Effect> {
    let watches = call.watches(call.argument(0) as i32)?;
    let there = watches.iter().any(|watch| watch.fd == call.watched());
    if there && call.operation() == EPOLL_CTL_ADD { call.fail(EEXIST) } else { call.proceed() }
}

/// What epoll_ctl refuses it refuses in silence.
#[fault(EPOLL_CTL_2, "ERRORS", on = [EPOLL_CTL])]
fn refusals_are_silent(call: &mut Call) -> Result<Effect> {
    call.then(|call| call.give(call.result().max(0)))
}

/// An instance that watches an instance is added to a third, and never reported there.
#[fault(EPOLL_7, "Questions and answers", on = [EPOLL_CTL])]
fn instances_nest_one_deep(call: &mut Call) -> Result<Effect> {
    let watches = call.watches(call.watched())?;
    let is_epoll = |fd| call.descriptor(fd).is_ok_and(|fd| fd.kind == Kind::Epoll);
    let deep = watches.iter().any(|watch| is_epoll(watch.fd));
    if deep && call.operation() == EPOLL_CTL_ADD { call.give(0) } else { call.proceed() }
}

/// An instance reports nothing to a process that received it from another.
#[fault(EPOLL_7, "Questions and answers", on = [EPOLL_WAIT, EPOLL_CREATE])]
fn instance_is_empty_where_it_was_not_made(call: &mut Call) -> Result<Effect> {
    if !call.may_sleep() && call.timeout().is_ok() {
        return call.proceed();
    }
    let process = call.process();
    if call.timeout().is_err() {
        return call.then(move |call| {
            call.notes().count(key(process, call.result() as i32));
            call.proceed()
        });
    }
    let epoll = call.fd(0)?;
    if epoll.kind == Kind::Epoll && !call.notes().has(key(process, epoll.number)) {
        return call.sleep();
    }
    call.proceed()
}

/// `EPIOCSPARAMS` and `EPIOCGPARAMS`.
const SET_PARAMETERS: u64 = 0x4008_8a01;
const GET_PARAMETERS: u64 = 0x8008_8a02;
/// Bytes of `struct epoll_params`, where its budget is, its preference, and
/// the padding behind it.
const PARAMETERS: usize = 8;
const BUDGET: u64 = 4;
const PREFER: usize = 6;
const PADDING: usize = 7;

/// The parameters that are told are those of a new instance.
#[fault(IOCTL_EVENTPOLL_2, "DESCRIPTION", on = [IOCTL])]
fn parameters_are_not_told(call: &mut Call) -> Result<Effect> {
    if call.argument(1) != GET_PARAMETERS {
        return call.proceed();
    }
    let address = call.argument(2);
    call.then(move |call| {
        if call.result() == 0 {
            call.set_memory(address, &[0; PARAMETERS])?;
        }
        call.proceed()
    })
}

/// Parameters that are out of range are cut to fit.
#[fault(IOCTL_EVENTPOLL_2, "ERRORS", on = [IOCTL])]
fn parameters_are_cut_to_fit(call: &mut Call) -> Result<Effect> {
    if call.argument(1) == SET_PARAMETERS {
        let mut given = call.memory(call.argument(2), PARAMETERS)?;
        given[3] &= 0x7f;
        given[PREFER] &= 1;
        given[PADDING] = 0;
        call.set_memory(call.argument(2), &given)?;
    }
    call.proceed()
}

/// A budget that takes privilege is cut to what does not.
#[fault(IOCTL_EVENTPOLL_2, "ERRORS", on = [IOCTL])]
fn budget_is_cut_to_the_weight(call: &mut Call) -> Result<Effect> {
    if call.argument(1) == SET_PARAMETERS {
        let address = call.argument(2) + BUDGET;
        let budget: u16 = call.number_at(address)?;
        call.set_memory(address, &budget.min(64).to_ne_bytes())?;
    }
    call.proceed()
}
