//! Wrong events of epoll: by level, by edge, once, and to whom.

use ipcspec_cases::sys::epoll::{
    EDGE, ERR, EVENT_SIZE, EXCLUSIVE, HUP, IN, ONE_SHOT, OUT, PRI, RDHUP, WAKEUP,
};
use libc::{EPOLL_CTL_ADD, EPOLL_CTL_MOD};
use nix::sys::epoll::EpollFlags;

use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    level_is_reported_once,
    edge_is_reported_again_and_again,
    edge_comes_once,
    edge_is_lost_when_the_pipe_was_not_empty,
    edge_goes_to_one_instance,
    one_shot_is_not_disarmed,
    one_shot_is_never_rearmed,
    hang_up_and_error_have_to_be_asked_for,
    end_of_writing_is_forgotten_beside_a_hang_up,
    exceptional_condition_is_told_as_input,
    no_events_are_all_events,
    flags_come_back_with_the_events,
    events_are_told_one_by_one,
    exclusive_registration_is_never_woken,
    every_registration_is_exclusive,
    change_that_takes_back_is_ignored,
    first_of_the_ready_come_first_always,
    place_behind_the_events_is_cleared,
    refused_wait_tells_of_nothing,
    event_does_not_wake_who_sleeps_already,
];

/// What is ready is reported once without EPOLLET too.
#[fault(EPOLL_7, "Level-triggered and edge-triggered", on = [EPOLL_CTL])]
fn level_is_reported_once(call: &mut Call) -> Result<Effect> {
    if !call.registers() {
        return call.proceed();
    }
    call.change_event(|event| event.events |= EDGE)
}

/// EPOLLET is accepted and ignored.
#[fault(EPOLL_7, "Level-triggered and edge-triggered", on = [EPOLL_CTL])]
fn edge_is_reported_again_and_again(call: &mut Call) -> Result<Effect> {
    if !call.registers() {
        return call.proceed();
    }
    call.change_event(|event| event.events.remove(EDGE))
}

/// With EPOLLET the first edge is reported, and no other.
#[fault(EPOLL_7, "Level-triggered and edge-triggered", on = [EPOLL_CTL])]
fn edge_comes_once(call: &mut Call) -> Result<Effect> {
    if !call.registers() || !call.event()?.events.contains(EDGE) {
        return call.proceed();
    }
    call.change_event(|event| event.events |= ONE_SHOT)
}

/// A write is no edge when something was left in the pipe.
#[fault(EPOLL_7, "Level-triggered and edge-triggered", on = [EPOLL_WAIT, WRITE])]
fn edge_is_lost_when_the_pipe_was_not_empty(call: &mut Call) -> Result<Effect> {
    if call.number() == libc::SYS_write {
        let pipe = call.pipe(0)?;
        let left = unread(call.copy(pipe.number)?)? as i64;
        *call.notes().of(pipe.inode) = Some(left);
        return call.proceed();
    }
    call.epoll_tells(|call, event, watch| {
        let edge = watch.event.events.contains(EDGE) && event.events == IN;
        !edge || call.notes().of(watch.inode).is_none_or(|left| left == 0)
    })
}

/// Of several instances that watch an object with EPOLLET only one is told of its events.
#[fault(EPOLL_7, "Questions and answers", on = [EPOLL_WAIT])]
fn edge_goes_to_one_instance(call: &mut Call) -> Result<Effect> {
    call.epoll_tells(|call, _, watch| {
        let me = call.argument(0) as i64;
        let first = *call.notes().of(watch.inode).get_or_insert(me);
        !watch.event.events.contains(EDGE) || first == me
    })
}

/// EPOLLONESHOT is accepted and ignored.
#[fault(EPOLL_CTL_2, "DESCRIPTION", on = [EPOLL_CTL])]
fn one_shot_is_not_disarmed(call: &mut Call) -> Result<Effect> {
    if !call.registers() {
        return call.proceed();
    }
    call.change_event(|event| event.events.remove(ONE_SHOT))
}

/// EPOLL_CTL_MOD does not arm an EPOLLONESHOT registration again.
#[fault(EPOLL_CTL_2, "DESCRIPTION", on = [EPOLL_CTL])]
fn one_shot_is_never_rearmed(call: &mut Call) -> Result<Effect> {
    if call.operation() == EPOLL_CTL_MOD && call.event()?.events.contains(ONE_SHOT) {
        return call.give(0);
    }
    call.proceed()
}

/// EPOLLHUP and EPOLLERR are reported only where they were asked for.
#[fault(EPOLL_CTL_2, "DESCRIPTION", on = [EPOLL_WAIT, EPOLL_CTL])]
fn hang_up_and_error_have_to_be_asked_for(call: &mut Call) -> Result<Effect> {
    if call.number() == libc::SYS_epoll_ctl {
        let event = call.event()?;
        *call.notes().of(event.data) = Some(event.events.bits().into());
        return call.proceed();
    }
    call.epoll_tells(|call, event, watch| {
        let asked = call.notes().of(watch.event.data).unwrap_or(0) as i32;
        event.events.remove((HUP | ERR) - EpollFlags::from_bits_retain(asked));
        !event.events.is_empty()
    })
}

/// A peer that has closed is told as EPOLLHUP alone.
#[fault(EPOLL_CTL_2, "DESCRIPTION", on = [EPOLL_WAIT])]
fn end_of_writing_is_forgotten_beside_a_hang_up(call: &mut Call) -> Result<Effect> {
    call.epoll_tells(|_, event, _| {
        if event.events.contains(HUP) {
            event.events.remove(RDHUP);
        }
        true
    })
}

/// An exceptional condition is told as input.
#[fault(EPOLL_CTL_2, "DESCRIPTION", on = [EPOLL_WAIT])]
fn exceptional_condition_is_told_as_input(call: &mut Call) -> Result<Effect> {
    call.epoll_tells(|_, event, _| {
        if event.events.contains(PRI) {
            event.events = (event.events - PRI) | IN;
        }
        true
    })
}

/// Who registers without any event is told of input all the same.
#[fault(EPOLL_CTL_2, "DESCRIPTION", on = [EPOLL_CTL])]
fn no_events_are_all_events(call: &mut Call) -> Result<Effect> {
    if !call.registers() {
        return call.proceed();
    }
    call.change_event(|event| {
        if event.events.is_empty() {
            event.events = IN;
        }
    })
}

/// The input flags of a registration come back with its events.
#[fault(EPOLL_CTL_2, "DESCRIPTION", on = [EPOLL_WAIT, EPOLL_CTL])]
fn flags_come_back_with_the_events(call: &mut Call) -> Result<Effect> {
    if call.number() == libc::SYS_epoll_ctl {
        let event = call.event()?;
        *call.notes().of(event.data) = Some(event.events.bits().into());
        return call.proceed();
    }
    call.epoll_tells(|call, event, watch| {
        let flags = call.notes().of(watch.event.data).unwrap_or(0) as i32;
        let flags = EpollFlags::from_bits_retain(flags);
        event.events |= flags & (EDGE | ONE_SHOT | EXCLUSIVE | WAKEUP);
        true
    })
}

/// Input that a descriptor has had twice since the last wait is told twice.
#[fault(EPOLL_7, "Questions and answers", on = [EPOLL_WAIT])]
fn events_are_told_one_by_one(call: &mut Call) -> Result<Effect> {
    let room = call.argument(2) as i64;
    call.then(move |call| {
        let mut events = call.events()?;
        if events.is_empty() || events.len() as i64 >= room {
            return call.proceed();
        }
        events.push(events[0]);
        call.give_events(&events)
    })
}

/// A registration with EPOLLEXCLUSIVE wakes nobody.
#[fault(EPOLL_CTL_2, "DESCRIPTION", on = [EPOLL_WAIT])]
fn exclusive_registration_is_never_woken(call: &mut Call) -> Result<Effect> {
    if !call.may_sleep() {
        return call.proceed();
    }
    call.epoll_tells(|_, _, watch| !watch.event.events.contains(EXCLUSIVE))
}

/// Of all instances that watch a descriptor one is woken, though none asked for EPOLLEXCLUSIVE.
#[fault(EPOLL_CTL_2, "DESCRIPTION", on = [EPOLL_CTL])]
fn every_registration_is_exclusive(call: &mut Call) -> Result<Effect> {
    let compatible = (IN | OUT | EDGE | HUP | ERR).contains(call.event()?.events);
    if call.operation() != EPOLL_CTL_ADD || !compatible {
        return call.proceed();
    }
    call.change_event(|event| event.events |= EXCLUSIVE)
}

/// A change that asks for less leaves asked for what was.
#[fault(EPOLL_7, "Questions and answers", on = [EPOLL_CTL])]
fn change_that_takes_back_is_ignored(call: &mut Call) -> Result<Effect> {
    let watches = call.watches(call.argument(0) as i32)?;
    let old = watches.iter().find(|watch| watch.fd == call.watched()).ok_or(ENOENT)?.event;
    if call.operation() != EPOLL_CTL_MOD {
        return call.proceed();
    }
    call.change_event(|event| event.events |= old.events & (IN | OUT))
}

/// When there is not room for all that is ready, the same are told each time.
#[fault(EPOLL_WAIT_2, "NOTES", on = [EPOLL_WAIT])]
fn first_of_the_ready_come_first_always(call: &mut Call) -> Result<Effect> {
    const ALL: usize = 64;
    let room = call.argument(2) as usize;
    if !(1..ALL).contains(&room) {
        return call.proceed();
    }
    let place = call.scratch(&[0; ALL * EVENT_SIZE])?;
    let [epoll, events, _, time, mask, size] = call.arguments();
    call.instead(call.number(), [epoll, place, ALL as u64, time, mask, size], move |call| {
        let count = usize::try_from(call.result()).map_err(|_| EINVAL)?;
        let all = call.memory(place, count * EVENT_SIZE)?;
        let mut all: Vec<_> = all.chunks(EVENT_SIZE).collect();
        all.sort_by_key(|event| event[EVENT_SIZE - 8]);
        all.truncate(room);
        call.set_memory(events, &all.concat())?;
        call.give(all.len() as i64)
    })
}

/// What lies behind the last event is cleared for one more.
#[fault(EPOLL_WAIT_2, "DESCRIPTION", on = [EPOLL_WAIT])]
fn place_behind_the_events_is_cleared(call: &mut Call) -> Result<Effect> {
    let (place, room) = (call.argument(1), call.argument(2) as i64);
    call.then(move |call| {
        let count = call.result();
        if (0..room).contains(&count) {
            call.set_memory(place + count as u64 * EVENT_SIZE as u64, &[0; EVENT_SIZE])?;
        }
        call.proceed()
    })
}

/// A wait that is refused tells that there are no events.
#[fault(EPOLL_WAIT_2, "ERRORS", on = [EPOLL_WAIT])]
fn refused_wait_tells_of_nothing(call: &mut Call) -> Result<Effect> {
    call.then(|call| {
        let refused = [EBADF, EFAULT, EINVAL].map(|errno| -(errno as i64));
        if refused.contains(&call.result()) { call.give(0) } else { call.proceed() }
    })
}

/// Who sleeps in epoll_wait already when an event comes sleeps on.
#[fault(EPOLL_WAIT_2, "DESCRIPTION", on = [EPOLL_WAIT])]
fn event_does_not_wake_who_sleeps_already(call: &mut Call) -> Result<Effect> {
    let ready = poll::now(call.copy(call.argument(0) as i32)?, poll::IN)?;
    if !ready.is_empty() || !call.may_sleep() {
        return call.proceed();
    }
    call.then(|call| if call.result() > 0 { call.sleep() } else { call.proceed() })
}
