//! Wrong interruptions: what a signal or a stop makes of a call that sleeps.

use super::view::restart;
use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    restart_is_forgotten,
    every_handler_restarts,
    waiting_calls_are_restarted,
    interrupted_write_is_told_as_eintr,
    sleep_begins_anew_after_a_handler,
    rest_of_a_sleep_is_told_as_nothing,
    sigsuspend_leaves_its_mask_behind,
    sigsuspend_sleeps_past_a_pending_signal,
    stop_breaks_off_a_call,
    stop_breaks_off_no_call,
];

/// SA_RESTART is accepted and forgotten.
#[fault(SIGACTION_2, "DESCRIPTION", on = [SIGACTION])]
fn restart_is_forgotten(call: &mut Call) -> Result<Effect> {
    call.change_action(|action| action.flags &= !libc::SA_RESTART)?;
    call.proceed()
}

/// A call is restarted after every handler, with SA_RESTART or without.
#[fault(SIGNAL_7, "Interruption of system calls and library functions by signal handlers", on = [SIGACTION])]
fn every_handler_restarts(call: &mut Call) -> Result<Effect> {
    call.change_action(|action| action.flags |= libc::SA_RESTART)?;
    call.proceed()
}

/// The calls that wait for signals or descriptors are restarted after a handler.
#[fault(SIGNAL_7, "Interruption of system calls and library functions by signal handlers", signals)]
fn waiting_calls_are_restarted(signal: &mut Arrival) -> Fate {
    let result = signal.interrupted_call().map(|(_, result)| result);
    if result == Some(restart::WITHOUT_HANDLER) && signal.is_caught() {
        signal.end_call(restart::ALWAYS);
    }
    Fate::Deliver
}

/// A write that a handler interrupts after it has moved some bytes fails with EINTR.
#[fault(SIGNAL_7, "Interruption of system calls and library functions by signal handlers", signals)]
fn interrupted_write_is_told_as_eintr(signal: &mut Arrival) -> Fate {
    let is_write = |number| WRITE.numbers.contains(&number);
    let moved =
        signal.interrupted_call().is_some_and(|(number, moved)| is_write(number) && moved > 0);
    if moved && signal.is_caught() {
        signal.end_call(-(EINTR as i64));
    }
    Fate::Deliver
}

/// A sleep that a handler interrupts begins anew, in its whole length.
#[fault(SIGNAL_7, "Interruption of system calls and library functions by signal handlers", signals)]
fn sleep_begins_anew_after_a_handler(signal: &mut Arrival) -> Fate {
    let result = signal.interrupted_call().map(|(_, result)| result);
    if result == Some(restart::THE_REST) && signal.is_caught() {
        signal.end_call(restart::ALWAYS);
    }
    Fate::Deliver
}

/// A sleep that a handler interrupts is told to have nothing left.
#[fault(NANOSLEEP_2, "DESCRIPTION", signals)]
fn rest_of_a_sleep_is_told_as_nothing(signal: &mut Arrival) -> Fate {
    let rest = match signal.interrupted_call() {
        Some((libc::SYS_nanosleep, restart::THE_REST)) => signal.argument(1),
        Some((libc::SYS_clock_nanosleep, restart::THE_REST)) => signal.argument(3),
        _ => 0,
    };
    if rest != 0 && signal.write(rest, &[0; 16]).is_err() {
        return Fate::Drop;
    }
    Fate::Deliver
}

/// The mask with which sigsuspend slept stays in force afterwards.
#[fault(SIGSUSPEND_2, "DESCRIPTION", signals)]
fn sigsuspend_leaves_its_mask_behind(signal: &mut Arrival) -> Fate {
    let number = signal.interrupted_call().map(|(number, _)| number);
    if number == Some(libc::SYS_rt_sigsuspend) && signal.is_caught() {
        signal.put_mask(signal.task().mask());
    }
    Fate::Deliver
}

/// sigsuspend waits for a signal to come, and sleeps on past one that is pending already.
#[fault(SIGSUSPEND_2, "DESCRIPTION", on = [SIGSUSPEND])]
fn sigsuspend_sleeps_past_a_pending_signal(call: &mut Call) -> Result<Effect> {
    let missed = call.task().pending() & !call.signal_set(0)?;
    if missed != 0 { call.sleep() } else { call.proceed() }
}

/// A read that is stopped and continued fails with EINTR, as with a handler.
#[fault(SIGNAL_7, "Interruption of system calls and library functions by stop signals", signals)]
fn stop_breaks_off_a_call(signal: &mut Arrival) -> Fate {
    let result = signal.interrupted_call().map(|(_, result)| result);
    if signal.signal() == libc::SIGSTOP && result == Some(restart::UNLESS_CAUGHT) {
        signal.end_call(-(EINTR as i64));
    }
    Fate::Deliver
}

/// No call is told of a stop, neither semop nor epoll_wait nor sigtimedwait.
#[fault(SIGNAL_7, "Interruption of system calls and library functions by stop signals", signals)]
fn stop_breaks_off_no_call(signal: &mut Arrival) -> Fate {
    let result = signal.interrupted_call().map(|(_, result)| result);
    if signal.signal() == libc::SIGSTOP && result == Some(-(EINTR as i64)) {
        signal.end_call(restart::ALWAYS);
    }
    Fate::Deliver
}
