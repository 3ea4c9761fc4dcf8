//! Wrong terminals: whom keys, changes of the window and hangups reach, and
//! what happens in the background.

use libc::c_int;
use nix::sys::signal::{Signal, kill};

use super::view::Task;
use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    key_reaches_the_leader_only,
    key_reaches_who_was_the_foreground,
    ctrl_z_sends_sigstop,
    keys_are_signals_without_isig,
    tostop_is_forgotten,
    tostop_is_always_on,
    background_read_fails,
    new_size_is_told_to_the_session_leader_too,
    new_size_is_told_to_nobody,
    hangup_is_told_to_nobody,
];

/// A key's signal reaches the leader of the foreground group and no other member.
#[fault(PTY_7, "DESCRIPTION", signals)]
fn key_reaches_the_leader_only(signal: &mut Arrival) -> Fate {
    let is_key = [libc::SIGINT, libc::SIGQUIT, libc::SIGTSTP].contains(&signal.signal());
    let process = signal.process();
    let leads = Task(process).group() == Ok(process.as_raw());
    if is_key && signal.is_of_the_kernel() && !leads { Fate::Drop } else { Fate::Deliver }
}

/// A new foreground group is accepted and forgotten once there was another one.
#[fault(CREDENTIALS_7, "Process group ID and session ID", on = [IOCTL])]
fn key_reaches_who_was_the_foreground(call: &mut Call) -> Result<Effect> {
    if call.argument(1) != libc::TIOCSPGRP || call.notes().count(0) == 0 {
        return call.proceed();
    }
    call.give(0)
}

/// Ctrl-Z sends SIGSTOP.
#[fault(SIGNAL_7, "Standard signals", signals)]
fn ctrl_z_sends_sigstop(signal: &mut Arrival) -> Fate {
    if signal.signal() == libc::SIGTSTP && signal.is_of_the_kernel() {
        signal.info().si_signo = libc::SIGSTOP;
    }
    Fate::Deliver
}

/// Changes the local modes that a call is to set; else the fault has nothing
/// to do.
fn change_local_modes(call: &mut Call, change: impl FnOnce(u32) -> u32) -> Result<Effect> {
    let (request, local) = (call.argument(1), call.argument(2) + 12);
    if ![libc::TCSETS, libc::TCSETSW, libc::TCSETSF].contains(&request) {
        return Err(ENOTTY);
    }
    let modes = call.number_at::<u32>(local)?;
    call.set_number_at(local, change(modes))?;
    call.proceed()
}

/// The keys send signals even with the terminal's ISIG off.
#[fault(PTY_7, "DESCRIPTION", on = [IOCTL])]
fn keys_are_signals_without_isig(call: &mut Call) -> Result<Effect> {
    change_local_modes(call, |modes| modes | libc::ISIG)
}

/// TOSTOP is accepted and forgotten.
#[fault(CREDENTIALS_7, "Process group ID and session ID", on = [IOCTL])]
fn tostop_is_forgotten(call: &mut Call) -> Result<Effect> {
    change_local_modes(call, |modes| modes & !libc::TOSTOP)
}

/// A background process that writes to the terminal is stopped without TOSTOP too.
#[fault(CREDENTIALS_7, "Process group ID and session ID", on = [IOCTL])]
fn tostop_is_always_on(call: &mut Call) -> Result<Effect> {
    change_local_modes(call, |modes| modes | libc::TOSTOP)
}

/// A background process that reads from the terminal fails with EIO, and is not stopped.
#[fault(CREDENTIALS_7, "Process group ID and session ID", signals)]
fn background_read_fails(signal: &mut Arrival) -> Fate {
    let is_read =
        signal.interrupted_call().is_some_and(|(number, _)| READ.numbers.contains(&number));
    if signal.signal() == libc::SIGTTIN && signal.is_of_the_kernel() && is_read {
        signal.end_call(-(EIO as i64));
        return Fate::Drop;
    }
    Fate::Deliver
}

/// Who changes the size of the window gets SIGWINCH too, in the foreground or not.
#[fault(SIGNAL_7, "Standard signals", on = [IOCTL])]
fn new_size_is_told_to_the_session_leader_too(call: &mut Call) -> Result<Effect> {
    if call.argument(1) != libc::TIOCSWINSZ {
        return call.proceed();
    }
    call.then(|call| {
        kill(call.process(), Signal::SIGWINCH)?;
        call.proceed()
    })
}

/// When the size of the window changes, nobody gets SIGWINCH.
#[fault(SIGNAL_7, "Standard signals", signals)]
fn new_size_is_told_to_nobody(signal: &mut Arrival) -> Fate {
    let is_one = signal.signal() == libc::SIGWINCH && signal.is_of_the_kernel();
    if is_one { Fate::Drop } else { Fate::Deliver }
}

/// The session leader is not told of the hangup of its terminal.
#[fault(SETSID_2, "NOTES", on = [SIGTIMEDWAIT])]
fn hangup_is_told_to_nobody(call: &mut Call) -> Result<Effect> {
    call.then(|call| match call.result() as c_int {
        libc::SIGHUP => call.fail(EAGAIN),
        _ => call.proceed(),
    })
}
