//! Wrong signals of O_ASYNC: for which events, which, and with what.

use std::fs;

use ipcspec_cases::sys::sigio::{F_GETSIG, F_SETSIG, chosen_signal, set_async};
use ipcspec_cases::sys::signals::code;
use libc::{F_GETFL, F_SETFL, F_SETOWN, O_ASYNC};

use crate::call::signals_in_status;
use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    async_is_ignored,
    async_is_ignored_for_write_ends,
    async_is_ignored_for_fifos,
    async_cannot_be_switched_off,
    async_is_not_shown,
    owner_alone_switches_async_on,
    input_beside_input_raises_nothing,
    last_description_alone_raises_signals,
    chosen_signal_is_ignored,
    chosen_signal_cannot_be_taken_back,
    default_signal_is_told_by_its_number,
    any_number_is_a_signal,
    handler_is_told_another_descriptor,
    band_tells_one_event_of_two,
    every_event_is_input,
    hang_up_is_input,
    real_time_signals_do_not_queue,
    queued_signals_name_one_descriptor,
    close_ends_the_signals_though_there_is_a_copy,
    full_queue_drops_the_event,
];

/// O_ASYNC is accepted and ignored.
#[fault(OPEN_2, "DESCRIPTION", on = [FCNTL])]
fn async_is_ignored(call: &mut Call) -> Result<Effect> {
    call.asks(&[F_SETFL])?;
    call.set_argument(2, call.argument(2) & !(O_ASYNC as u64));
    call.proceed()
}

/// O_ASYNC is accepted for write ends of pipes, and room raises no signal.
#[fault(OPEN_2, "DESCRIPTION", on = [FCNTL])]
fn async_is_ignored_for_write_ends(call: &mut Call) -> Result<Effect> {
    call.asks(&[F_SETFL])?;
    if call.pipe(0)?.is_write_end() {
        call.set_argument(2, call.argument(2) & !(O_ASYNC as u64));
    }
    call.proceed()
}

/// O_ASYNC is accepted for FIFOs, and raises signals for pipes alone.
#[fault(PIPE_7, "Open file status flags", on = [FCNTL])]
fn async_is_ignored_for_fifos(call: &mut Call) -> Result<Effect> {
    call.asks(&[F_SETFL])?;
    if call.fd(0)?.kind == Kind::Fifo {
        call.set_argument(2, call.argument(2) & !(O_ASYNC as u64));
    }
    call.proceed()
}

/// O_ASYNC stays on once it was.
#[fault(F_GETOWN_2CONST, "DESCRIPTION", on = [FCNTL])]
fn async_cannot_be_switched_off(call: &mut Call) -> Result<Effect> {
    call.asks(&[F_SETFL])?;
    let old = call.fd(0)?.flags & O_ASYNC;
    call.set_argument(2, call.argument(2) | old as u64);
    call.proceed()
}

/// F_GETFL does not tell O_ASYNC.
#[fault(DUP_2, "DESCRIPTION", on = [FCNTL])]
fn async_is_not_shown(call: &mut Call) -> Result<Effect> {
    call.asks(&[F_GETFL])?;
    call.then(|call| call.give(call.result() & !i64::from(O_ASYNC)))
}

/// To have an owner switches O_ASYNC on.
#[fault(F_GETOWN_2CONST, "DESCRIPTION", on = [FCNTL])]
fn owner_alone_switches_async_on(call: &mut Call) -> Result<Effect> {
    call.asks(&[F_SETOWN])?;
    call.then(|call| {
        set_async(call.copy(call.argument(0) as i32)?, true)?;
        call.proceed()
    })
}

/// Input raises no signal while earlier input is unread.
#[fault(PIPE_7, "Open file status flags", on = [WRITE])]
fn input_beside_input_raises_nothing(call: &mut Call) -> Result<Effect> {
    let pipe = call.pipe(0)?;
    let reader = call.announced().into_iter().find(|fd| fd.inode == pipe.inode).ok_or(ENOENT)?;
    if unread(call.copy(pipe.number)?)? == 0 {
        return call.proceed();
    }
    call.unannounced(reader.number)
}

/// Of the open file descriptions of a FIFO only the last that was set up raises its signal.
#[fault(OPEN_2, "Open file descriptions", on = [FCNTL])]
fn last_description_alone_raises_signals(call: &mut Call) -> Result<Effect> {
    call.asks(&[F_SETFL])?;
    let new = call.fd(0)?;
    for old in call.announced() {
        if old.inode == new.inode && old.number != new.number {
            call.disown(old.number)?;
        }
    }
    call.proceed()
}

/// F_SETSIG succeeds, and SIGIO is sent as before.
#[fault(F_GETSIG_2CONST, "DESCRIPTION", on = [FCNTL])]
fn chosen_signal_is_ignored(call: &mut Call) -> Result<Effect> {
    call.asks(&[F_SETSIG])?;
    call.give(0)
}

/// F_SETSIG with 0 leaves the signal that was chosen.
#[fault(F_GETSIG_2CONST, "DESCRIPTION", on = [FCNTL])]
fn chosen_signal_cannot_be_taken_back(call: &mut Call) -> Result<Effect> {
    call.asks(&[F_SETSIG])?;
    if call.argument(2) as i32 == 0 { call.give(0) } else { call.proceed() }
}

/// F_GETSIG tells SIGIO where none was chosen.
#[fault(F_GETSIG_2CONST, "RETURN VALUE", on = [FCNTL])]
fn default_signal_is_told_by_its_number(call: &mut Call) -> Result<Effect> {
    call.asks(&[F_GETSIG])?;
    call.then(|call| if call.result() == 0 { call.give(libc::SIGIO) } else { call.proceed() })
}

/// F_SETSIG takes any number, and ignores those that are no signals.
#[fault(F_GETSIG_2CONST, "ERRORS", on = [FCNTL])]
fn any_number_is_a_signal(call: &mut Call) -> Result<Effect> {
    call.asks(&[F_SETSIG])?;
    call.then(|call| call.give(call.result().max(0)))
}

/// A handler is told the descriptor after the one that is ready.
#[fault(F_GETSIG_2CONST, "DESCRIPTION", signals)]
fn handler_is_told_another_descriptor(signal: &mut Arrival) -> Fate {
    if let Some(readiness) = signal.readiness() {
        readiness.fd += 1;
    }
    Fate::Deliver
}

/// The band that a handler is told has POLLIN without POLLRDNORM.
#[fault(SIGACTION_2, "The siginfo_t argument to a SA_SIGINFO handler", signals)]
fn band_tells_one_event_of_two(signal: &mut Arrival) -> Fate {
    if let Some(readiness) = signal.readiness() {
        readiness.band &= !libc::c_long::from(poll::RDNORM.bits());
    }
    Fate::Deliver
}

/// A handler is told POLL_IN, whatever happened.
#[fault(SIGACTION_2, "The si_code field", signals)]
fn every_event_is_input(signal: &mut Arrival) -> Fate {
    if let Some(readiness) = signal.readiness() {
        readiness.code = code::POLL_IN;
    }
    Fate::Deliver
}

/// Who accepts the signal of a hang-up is told of input.
#[fault(SIGACTION_2, "The si_code field", on = [SIGTIMEDWAIT])]
fn hang_up_is_input(call: &mut Call) -> Result<Effect> {
    const CODE: u64 = 8;
    let place = call.argument(1) + CODE;
    call.then(move |call| {
        if call.number_at(place) == Ok(code::POLL_HUP) {
            call.set_number_at(place, code::POLL_IN)?;
        }
        call.proceed()
    })
}

/// A real-time signal that is pending is not sent once more for the next event.
#[fault(F_GETSIG_2CONST, "DESCRIPTION", on = [WRITE])]
fn real_time_signals_do_not_queue(call: &mut Call) -> Result<Effect> {
    let pipe = call.pipe(0)?;
    let reader = call.announced().into_iter().find(|fd| fd.inode == pipe.inode).ok_or(ENOENT)?;
    let signal = chosen_signal(call.copy(reader.number)?)?.0;
    if signal == 0 || signals_in_status(call.thread(), "ShdPnd") & 1 << (signal - 1) == 0 {
        return call.proceed();
    }
    call.unannounced(reader.number)
}

/// All signals of one number name the descriptor of the first.
#[fault(F_GETSIG_2CONST, "DESCRIPTION", on = [SIGTIMEDWAIT])]
fn queued_signals_name_one_descriptor(call: &mut Call) -> Result<Effect> {
    const FD: u64 = 24;
    let place = call.argument(1) + FD;
    call.then(move |call| {
        let (signal, told) = (call.result(), call.number_at::<i32>(place)?);
        if signal > 0 {
            let first = *call.notes().of(signal as u64).get_or_insert(told.into());
            call.set_number_at(place, first as i32)?;
        }
        call.proceed()
    })
}

/// To close the descriptor that was set up ends its signals, though a copy of it is open.
#[fault(F_GETSIG_2CONST, "DESCRIPTION", on = [CLOSE])]
fn close_ends_the_signals_though_there_is_a_copy(call: &mut Call) -> Result<Effect> {
    if call.fd(0)?.flags & O_ASYNC != 0 {
        call.disown(call.argument(0) as i32)?;
    }
    call.proceed()
}

/// Where no real-time signal may be queued any more, nothing is sent in its place.
#[fault(F_GETSIG_2CONST, "DESCRIPTION", on = [WRITE])]
fn full_queue_drops_the_event(call: &mut Call) -> Result<Effect> {
    let pipe = call.pipe(0)?;
    let reader = call.announced().into_iter().find(|fd| fd.inode == pipe.inode).ok_or(ENOENT)?;
    let limits = fs::read_to_string(format!("/proc/{}/limits", call.process())).or(Err(ESRCH))?;
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max pending signals"));
    if limit.is_none_or(|limit| limit.split_whitespace().next() != Some("0")) {
        return call.proceed();
    }
    call.unannounced(reader.number)
}
