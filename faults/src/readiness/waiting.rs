//! What poll, select and epoll_wait have in common: times, signals and masks
//! that they get wrong.

use std::time::Duration;

use crate::call::signals_in_status;
use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    wait_ends_a_tick_early,
    shortest_time_is_for_ever,
    longest_time_overflows,
    only_minus_one_is_for_ever,
    time_of_zero_is_none,
    missing_time_is_zero,
    time_that_was_left_is_not_told,
    time_that_was_left_is_told_as_that_which_passed,
    invalid_time_is_zero,
    handler_does_not_end_a_poll,
    handler_does_not_end_a_select,
    handler_with_restart_does_not_end_an_epoll_wait,
    interrupted_epoll_wait_has_timed_out,
    signal_without_a_handler_ends_a_poll,
    poll_that_begins_anew_is_not_woken,
    mask_is_ignored,
    missing_mask_is_an_empty_one,
    mask_stays_after_the_wait,
    signal_from_before_the_mask_is_not_seen,
];

const TICK: Duration = Duration::from_millis(10);

/// A wait ends up to a tick before its time.
#[fault(POLL_2, "DESCRIPTION", on = [POLL, SELECT, EPOLL_WAIT])]
fn wait_ends_a_tick_early(call: &mut Call) -> Result<Effect> {
    let time = call.timeout()?.ok_or(EOPNOTSUPP)?;
    call.set_timeout(Some(time.saturating_sub(TICK)))?;
    call.proceed()
}

/// A time shorter than a tick is rounded down to 0, which is then taken for no limit.
#[fault(SELECT_2, "Arguments", on = [POLL, SELECT, EPOLL_WAIT])]
fn shortest_time_is_for_ever(call: &mut Call) -> Result<Effect> {
    let time = call.timeout()?.ok_or(EOPNOTSUPP)?;
    if time > Duration::ZERO && time < TICK {
        call.set_timeout(None)?;
    }
    call.proceed()
}

/// A time is counted in 32 bits of milliseconds, and is over at once where those overflow.
#[fault(POLL_2, "ppoll()", on = [POLL, SELECT, EPOLL_WAIT])]
fn longest_time_overflows(call: &mut Call) -> Result<Effect> {
    let time = call.timeout()?.ok_or(EOPNOTSUPP)?;
    let millis = time.as_millis() as i32;
    let millis = Duration::from_millis(u64::try_from(millis).unwrap_or(0));
    if time > TICK && time > millis + TICK {
        call.set_timeout(Some(millis))?;
    }
    call.proceed()
}

/// Of the negative times of poll only -1 is for ever, and the others are 0.
#[fault(POLL_2, "DESCRIPTION", on = [POLL])]
fn only_minus_one_is_for_ever(call: &mut Call) -> Result<Effect> {
    let never = call.number() == libc::SYS_poll && call.timeout()?.is_none();
    if never && call.argument(2) as u32 != u32::MAX {
        call.set_timeout(Some(Duration::ZERO))?;
    }
    call.proceed()
}

/// A time of 0 seconds and 0 nanoseconds is no limit.
#[fault(SELECT_2, "Arguments", on = [POLL, SELECT, EPOLL_WAIT])]
fn time_of_zero_is_none(call: &mut Call) -> Result<Effect> {
    let old = [libc::SYS_poll, libc::SYS_select, libc::SYS_epoll_wait].contains(&call.number());
    if !old && call.timeout()? == Some(Duration::ZERO) {
        call.set_timeout(None)?;
    }
    call.proceed()
}

/// Without a time epoll_pwait2 does not wait.
#[fault(EPOLL_WAIT_2, "epoll_pwait2()", on = [EPOLL_WAIT])]
fn missing_time_is_zero(call: &mut Call) -> Result<Effect> {
    if call.number() == libc::SYS_epoll_pwait2 && call.timeout()?.is_none() {
        call.set_timeout(Some(Duration::ZERO))?;
    }
    call.proceed()
}

/// The time that was left is not stored.
#[fault(SELECT_2, "The timeout", on = [POLL, SELECT])]
fn time_that_was_left_is_not_told(call: &mut Call) -> Result<Effect> {
    let (address, time) = call.time()?;
    call.then_always(move |call| {
        call.set_number_at(address, time[0])?;
        call.set_number_at(address + 8, time[1])?;
        call.proceed()
    })
}

/// Where the time that was left should be stored, that which passed is.
#[fault(SELECT_2, "The timeout", on = [POLL, SELECT])]
fn time_that_was_left_is_told_as_that_which_passed(call: &mut Call) -> Result<Effect> {
    let (address, [seconds, part]) = call.time()?;
    call.then(move |call| {
        let (_, [left, left_part]) = call.time()?;
        let unit = if call.number() == libc::SYS_select { 1_000_000 } else { 1_000_000_000 };
        let passed = (seconds.wrapping_sub(left)).wrapping_mul(unit).wrapping_add(part - left_part);
        call.set_number_at(address, passed / unit)?;
        call.set_number_at(address + 8, passed % unit)?;
        call.proceed()
    })
}

/// A time that is none is taken for 0.
#[fault(SELECT_2, "ERRORS", on = [POLL, SELECT])]
fn invalid_time_is_zero(call: &mut Call) -> Result<Effect> {
    let (_, [seconds, part]) = call.time()?;
    let unit = if call.number() == libc::SYS_select { 1_000_000 } else { 1_000_000_000 };
    if seconds < 0 || !(0..unit).contains(&part) {
        call.set_timeout(Some(Duration::ZERO))?;
    }
    call.proceed()
}

/// What the kernel gives inside for a call that begins anew, handler or not.
const ANEW: i64 = -513;

/// A poll that a signal handler interrupts begins anew.
#[fault(POLL_2, "ERRORS", on = [POLL])]
fn handler_does_not_end_a_poll(call: &mut Call) -> Result<Effect> {
    call.then_always(|call| {
        if (-516..=-512).contains(&call.result()) { call.give(ANEW) } else { call.proceed() }
    })
}

/// A select that a signal handler interrupts begins anew.
#[fault(SELECT_2, "ERRORS", on = [SELECT])]
fn handler_does_not_end_a_select(call: &mut Call) -> Result<Effect> {
    call.then_always(|call| {
        if (-516..=-512).contains(&call.result()) { call.give(ANEW) } else { call.proceed() }
    })
}

/// An epoll_wait begins anew after a stop, and after a handler that was set with SA_RESTART.
#[fault(SIGNAL_7, "Interruption of system calls and library functions by signal handlers", on = [EPOLL_WAIT])]
fn handler_with_restart_does_not_end_an_epoll_wait(call: &mut Call) -> Result<Effect> {
    call.then(|call| if call.result() == -(EINTR as i64) { call.restart() } else { call.proceed() })
}

/// An epoll_wait that a signal handler interrupts tells no event, as if its time were over.
#[fault(EPOLL_WAIT_2, "ERRORS", on = [EPOLL_WAIT])]
fn interrupted_epoll_wait_has_timed_out(call: &mut Call) -> Result<Effect> {
    call.then(|call| if call.result() == -(EINTR as i64) { call.give(0) } else { call.proceed() })
}

/// A poll is ended with EINTR by a signal that is ignored, and by a stop.
#[fault(SIGNAL_7, "Interruption of system calls and library functions by stop signals", on = [POLL])]
fn signal_without_a_handler_ends_a_poll(call: &mut Call) -> Result<Effect> {
    call.then_always(|call| {
        if (-516..=-512).contains(&call.result()) { call.fail(EINTR) } else { call.proceed() }
    })
}

/// A poll that a signal without a handler woke sleeps again, and nothing wakes it any more.
#[fault(POLL_2, "DESCRIPTION", on = [POLL])]
fn poll_that_begins_anew_is_not_woken(call: &mut Call) -> Result<Effect> {
    let thread = call.thread().as_raw() as u64;
    if call.notes().has(thread) {
        return call.sleep();
    }
    call.then_always(move |call| {
        if !(-516..=-512).contains(&call.result()) {
            return call.proceed();
        }
        call.notes().count(thread);
        call.give(ANEW)
    })
}

/// The signal mask of a wait is accepted and ignored.
#[fault(SELECT_2, "pselect()", on = [POLL, SELECT, EPOLL_WAIT])]
fn mask_is_ignored(call: &mut Call) -> Result<Effect> {
    if call.mask()? != 0 {
        call.set_mask(0)?;
    }
    call.proceed()
}

/// Where no signal mask is given, the wait has an empty one.
#[fault(SELECT_2, "pselect()", on = [POLL, SELECT, EPOLL_WAIT])]
fn missing_mask_is_an_empty_one(call: &mut Call) -> Result<Effect> {
    if call.mask()? == 0 {
        let empty = call.scratch(&[0; 8])?;
        call.set_mask(empty)?;
    }
    call.proceed()
}

/// The mask of a wait that an event ended stays that of the thread.
#[fault(SELECT_2, "pselect()", on = [POLL, SELECT, EPOLL_WAIT])]
fn mask_stays_after_the_wait(call: &mut Call) -> Result<Effect> {
    let mask = call.mask()?;
    if mask == 0 {
        return call.proceed();
    }
    call.then(move |call| {
        let (count, set) = (call.result(), [libc::SIG_SETMASK as u64, mask, 0, 8, 0, 0]);
        if count < 0 {
            return call.proceed();
        }
        call.instead(libc::SYS_rt_sigprocmask, set, move |call| call.give(count))
    })
}

/// A signal that was pending before the wait, and that only its mask lets through, does not end it.
#[fault(SELECT_2, "pselect()", on = [POLL, SELECT, EPOLL_WAIT])]
fn signal_from_before_the_mask_is_not_seen(call: &mut Call) -> Result<Effect> {
    let mask: u64 = call.number_at(call.mask()?)?;
    let pending = ["SigPnd", "ShdPnd"].map(|name| signals_in_status(call.thread(), name));
    let early = (pending[0] | pending[1]) & !mask;
    if early == 0 {
        return call.proceed();
    }
    let late = call.scratch(&(mask | early).to_ne_bytes())?;
    call.set_mask(late)?;
    call.proceed()
}
