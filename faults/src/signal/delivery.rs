//! Wrong deliveries: when a signal comes, what is blocked then, on which
//! stack its handler runs, and what the program finds afterwards.

use libc::c_int;
use nix::sys::signal::Signal;

use super::view::{bit, saved};
use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    only_32_signals_can_be_blocked,
    unblocking_takes_effect_later,
    own_signal_comes_later,
    signal_waits_for_the_first_thread,
    sigpending_tells_of_what_was_delivered,
    blocking_replaces_the_mask,
    unblocking_what_is_open_is_refused,
    unblocking_tells_the_new_mask,
    sa_mask_is_ignored,
    own_signal_stays_open_in_the_handler,
    mask_of_a_handler_stays,
    nodefer_is_forgotten,
    nodefer_overrules_sa_mask,
    onstack_is_forgotten,
    every_handler_runs_on_the_alternate_stack,
    stack_in_use_is_told_as_idle,
    stack_in_use_can_be_given_up,
    disabled_stack_is_used_on,
    any_stack_and_any_change_is_accepted,
    return_from_a_handler_spoils_two_registers,
    return_from_a_handler_loses_floating_point,
    return_from_a_handler_clears_the_direction,
    fault_is_told_twice,
];

/// The mask has 32 bits: a real-time signal that is blocked comes all the same.
#[fault(SIGNAL_7, "Real-time signals", on = [SIGPROCMASK])]
fn only_32_signals_can_be_blocked(call: &mut Call) -> Result<Effect> {
    call.change_set(1, |set| set & 0xffff_ffff)?;
    call.proceed()
}

/// What is unblocked stays blocked until the mask is changed or read once more.
#[fault(SIGNAL_7, "Execution of signal handlers", on = [SIGPROCMASK, SIGPENDING])]
fn unblocking_takes_effect_later(call: &mut Call) -> Result<Effect> {
    let key = call.thread().as_raw() as u64;
    let mut mask = call.task().mask();
    if let Some(late) = call.notes().of(key).take() {
        mask &= !(late as u64);
        call.put_mask(mask)?;
    }
    if call.number() == libc::SYS_rt_sigpending || call.signal(0) != libc::SIG_UNBLOCK {
        return call.proceed();
    }
    let set = call.signal_set(1)?;
    *call.notes().of(key) = Some(set as i64);
    if call.argument(2) != 0 {
        call.write(call.argument(2), mask)?;
    }
    call.give(0)
}

/// A signal that a process sends to itself comes when it next asks about signals, not before kill returns.
#[fault(KILL_2, "NOTES", on = [KILL, SIGPROCMASK, SIGPENDING, SIGACTION])]
fn own_signal_comes_later(call: &mut Call) -> Result<Effect> {
    let me = call.process();
    let late = call.notes().of(me.as_raw() as u64).take();
    if let Some(Ok(signal)) = late.map(|late| Signal::try_from(late as c_int)) {
        nix::sys::signal::kill(me, signal)?;
    }
    let is_kill = call.number() == libc::SYS_kill && call.receiver(0).0 == me;
    if !is_kill || call.task().mask() & bit(call.signal(1)) != 0 {
        return call.proceed();
    }
    *call.notes().of(me.as_raw() as u64) = Some(i64::from(call.signal(1)));
    call.give(0)
}

/// A signal of the process waits for the first thread, though another leaves it open.
#[fault(SIGNAL_7, "Signal mask and pending signals", signals)]
fn signal_waits_for_the_first_thread(signal: &mut Arrival) -> Fate {
    let directed = signal.info().si_code == libc::SI_USER;
    if directed && signal.thread() != signal.process() { Fate::Drop } else { Fate::Deliver }
}

/// What sigpending has told as pending once it tells for ever.
#[fault(SIGNAL_7, "Execution of signal handlers", on = [SIGPENDING])]
fn sigpending_tells_of_what_was_delivered(call: &mut Call) -> Result<Effect> {
    call.then(|call| {
        let key = call.thread().as_raw() as u64;
        let ever = call.notes().of(key).unwrap_or(0) as u64 | call.signal_set(0)?;
        *call.notes().of(key) = Some(ever as i64);
        call.change_set(0, |_| ever)?;
        call.proceed()
    })
}

/// SIG_BLOCK does what SIG_SETMASK does: it unblocks all others.
#[fault(SIGPROCMASK_2, "DESCRIPTION", on = [SIGPROCMASK])]
fn blocking_replaces_the_mask(call: &mut Call) -> Result<Effect> {
    call.signal_set(1)?;
    if call.signal(0) == libc::SIG_BLOCK {
        call.set_argument(0, libc::SIG_SETMASK as u64);
    }
    call.proceed()
}

/// Unblocking a signal that is not blocked is refused.
#[fault(SIGPROCMASK_2, "DESCRIPTION", on = [SIGPROCMASK])]
fn unblocking_what_is_open_is_refused(call: &mut Call) -> Result<Effect> {
    let open = call.signal_set(1)? & !call.task().mask() != 0;
    if open && call.signal(0) == libc::SIG_UNBLOCK { call.fail(EINVAL) } else { call.proceed() }
}

/// SIG_UNBLOCK tells the mask as it is afterwards, not as it was.
#[fault(SIGPROCMASK_2, "DESCRIPTION", on = [SIGPROCMASK])]
fn unblocking_tells_the_new_mask(call: &mut Call) -> Result<Effect> {
    let set = call.signal_set(1)?;
    if call.signal(0) != libc::SIG_UNBLOCK {
        return call.proceed();
    }
    call.then(move |call| {
        call.change_set(2, |old| old & !set)?;
        call.proceed()
    })
}

/// The signals of sa_mask are not blocked while the handler runs.
#[fault(SIGACTION_2, "DESCRIPTION", on = [SIGACTION])]
fn sa_mask_is_ignored(call: &mut Call) -> Result<Effect> {
    call.change_action(|action| action.mask = 0)?;
    call.proceed()
}

/// While a handler runs, its own signal is not blocked.
#[fault(SIGACTION_2, "DESCRIPTION", on = [SIGACTION])]
fn own_signal_stays_open_in_the_handler(call: &mut Call) -> Result<Effect> {
    call.change_action(|action| action.flags |= libc::SA_NODEFER)?;
    call.proceed()
}

/// What was blocked while a handler ran stays blocked when it has returned.
#[fault(SIGNAL_7, "Execution of signal handlers", on = [SIGRETURN])]
fn mask_of_a_handler_stays(call: &mut Call) -> Result<Effect> {
    call.save(saved::MASK, call.task().mask())?;
    call.proceed()
}

/// SA_NODEFER is accepted and forgotten.
#[fault(SIGACTION_2, "DESCRIPTION", on = [SIGACTION])]
fn nodefer_is_forgotten(call: &mut Call) -> Result<Effect> {
    call.change_action(|action| action.flags &= !libc::SA_NODEFER)?;
    call.proceed()
}

/// With SA_NODEFER a handler is interrupted by its own signal even where sa_mask names it.
#[fault(SIGACTION_2, "DESCRIPTION", on = [SIGACTION])]
fn nodefer_overrules_sa_mask(call: &mut Call) -> Result<Effect> {
    let signal = call.signal(0);
    if call.action()?.has(libc::SA_NODEFER) {
        call.change_action(|action| action.mask &= !bit(signal))?;
    }
    call.proceed()
}

/// SA_ONSTACK is accepted and forgotten.
#[fault(SIGACTION_2, "DESCRIPTION", on = [SIGACTION])]
fn onstack_is_forgotten(call: &mut Call) -> Result<Effect> {
    call.change_action(|action| action.flags &= !libc::SA_ONSTACK)?;
    call.proceed()
}

/// Where there is an alternate stack, handlers without SA_ONSTACK run on it too.
#[fault(SIGNAL_7, "Signal dispositions", on = [SIGACTION])]
fn every_handler_runs_on_the_alternate_stack(call: &mut Call) -> Result<Effect> {
    call.change_action(|action| action.flags |= libc::SA_ONSTACK)?;
    call.proceed()
}

/// A handler on the alternate stack is told that the stack is idle.
#[fault(SIGALTSTACK_2, "DESCRIPTION", on = [SIGALTSTACK])]
fn stack_in_use_is_told_as_idle(call: &mut Call) -> Result<Effect> {
    let flags = call.argument(1) + 8;
    call.then(move |call| {
        if call.number_at::<i32>(flags)? == libc::SS_ONSTACK {
            call.set_number_at(flags, 0_i32)?;
        }
        call.proceed()
    })
}

/// A handler may give up the alternate stack on which it runs.
#[fault(SIGALTSTACK_2, "ERRORS", on = [SIGALTSTACK])]
fn stack_in_use_can_be_given_up(call: &mut Call) -> Result<Effect> {
    call.then(|call| if call.result() == -(EPERM as i64) { call.give(0) } else { call.proceed() })
}

/// An alternate stack that was disabled is used on.
#[fault(SIGALTSTACK_2, "DESCRIPTION", on = [SIGALTSTACK])]
fn disabled_stack_is_used_on(call: &mut Call) -> Result<Effect> {
    let flags = call.number_at::<i32>(call.argument(0) + 8)?;
    let has_one = call.argument(1) == 0 && flags == libc::SS_DISABLE;
    if has_one { call.give(0) } else { call.proceed() }
}

/// What sigaltstack and sigprocmask should refuse they accept, and do nothing.
#[fault(SIGALTSTACK_2, "ERRORS", on = [SIGALTSTACK, SIGPROCMASK])]
fn any_stack_and_any_change_is_accepted(call: &mut Call) -> Result<Effect> {
    call.then(|call| if call.result() < 0 { call.give(0) } else { call.proceed() })
}

/// When a handler has returned, rcx and r11 are what the instruction sysret leaves there.
#[fault(SIGNAL_7, "Execution of signal handlers", on = [SIGRETURN])]
fn return_from_a_handler_spoils_two_registers(call: &mut Call) -> Result<Effect> {
    call.save(saved::RCX, call.saved::<u64>(saved::RIP)?)?;
    call.save(saved::R11, call.saved::<u64>(saved::FLAGS)?)?;
    call.proceed()
}

/// When a handler has returned, the floating-point registers are empty.
#[fault(SIGNAL_7, "Execution of signal handlers", on = [SIGRETURN])]
fn return_from_a_handler_loses_floating_point(call: &mut Call) -> Result<Effect> {
    call.save(saved::FLOATING, 0_u64)?;
    call.proceed()
}

/// When a handler has returned, the direction flag is clear.
#[fault(SIGNAL_7, "Execution of signal handlers", on = [SIGRETURN])]
fn return_from_a_handler_clears_the_direction(call: &mut Call) -> Result<Effect> {
    const DIRECTION: u64 = 1 << 10;
    call.save(saved::FLAGS, call.saved::<u64>(saved::FLAGS)? & !DIRECTION)?;
    call.proceed()
}

/// The signal of a fault comes once more when its handler has mended the cause.
#[fault(SIGNAL_7, "Execution of signal handlers", signals)]
fn fault_is_told_twice(signal: &mut Arrival) -> Fate {
    if signal.is_fault() && signal.is_caught() { Fate::Twice } else { Fate::Deliver }
}
