//! Wrong sources: whom a signal reaches, what faults, children and timers tell.

use nix::sys::signal::Signal;

use super::view::{bit, field};
use crate::prelude::*;
use ipcspec_cases::sys::signals::code;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    scope_of_a_thread_is_ignored,
    scope_of_a_group_is_ignored,
    any_scope_will_do,
    kill_reaches_the_sender_of_the_group_too,
    kill_of_a_group_reaches_its_leader_only,
    kill_of_the_own_group_reaches_the_caller_only,
    zombies_are_not_found,
    signals_to_nobody_succeed,
    sigcont_needs_permission,
    signal_0_needs_no_permission,
    fault_tells_the_address_of_the_page,
    division_tells_the_next_instruction,
    forbidden_access_is_told_as_to_nothing,
    unhandled_fault_ends_by_sigkill,
    sigchld_tells_a_wait_status,
    sigchld_comes_for_no_continuation,
    sigchld_tells_no_core,
    nocldstop_is_forgotten,
    nocldstop_hides_the_end_too,
    nocldwait_is_forgotten,
    nocldwait_hides_the_end_too,
    ignoring_sigchld_leaves_zombies,
    sigpipe_is_ignored_by_default,
    timers_expire_early,
    interval_is_forgotten,
    disarmed_timer_goes_on,
    profiling_timer_raises_sigvtalrm,
    timer_tells_no_value,
    timer_is_told_as_the_kernel,
];

/// kill of a member of the caller's group reaches the caller's handler too.
#[fault(KILL_2, "DESCRIPTION", on = [KILL])]
fn kill_reaches_the_sender_of_the_group_too(call: &mut Call) -> Result<Effect> {
    let (target, signal) = (call.receiver(0), call.signal(1));
    if target.0.as_raw() > 0 && call.task().caught() & bit(signal) != 0 {
        call.set_argument(0, -i64::from(target.group()?) as u64);
    }
    call.proceed()
}

/// kill of a process group reaches its leader and no other member.
#[fault(KILL_2, "DESCRIPTION", on = [KILL])]
fn kill_of_a_group_reaches_its_leader_only(call: &mut Call) -> Result<Effect> {
    let group = call.receiver(0).0.as_raw();
    if group < -1 {
        call.set_argument(0, -i64::from(group) as u64);
    }
    call.proceed()
}

/// kill of the caller's own group reaches the caller and no other member.
#[fault(KILL_2, "DESCRIPTION", on = [KILL])]
fn kill_of_the_own_group_reaches_the_caller_only(call: &mut Call) -> Result<Effect> {
    if call.argument(0) as i32 == 0 {
        call.set_argument(0, call.process().as_raw() as u64);
    }
    call.proceed()
}

/// Signal 0 does not find a process that has ended and not been waited for.
#[fault(KILL_2, "ERRORS", on = [KILL])]
fn zombies_are_not_found(call: &mut Call) -> Result<Effect> {
    let asked = call.signal(1) == 0;
    if asked && call.receiver(0).is_zombie() { call.fail(ESRCH) } else { call.proceed() }
}

/// A signal that nobody can get, or that is none, is sent with success.
#[fault(KILL_2, "ERRORS", on = [KILL, TGKILL, SIGQUEUE])]
fn signals_to_nobody_succeed(call: &mut Call) -> Result<Effect> {
    call.then(|call| if call.result() < 0 { call.give(0) } else { call.proceed() })
}

/// SIGCONT needs the permission that other signals need, in the session too.
#[fault(KILL_2, "DESCRIPTION", on = [KILL])]
fn sigcont_needs_permission(call: &mut Call) -> Result<Effect> {
    let target = call.argument(0);
    if call.signal(1) != libc::SIGCONT {
        return call.proceed();
    }
    call.instead(libc::SYS_kill, [target, 0, 0, 0, 0, 0], move |call| match call.result() {
        0 => call.instead(libc::SYS_kill, [target, libc::SIGCONT as u64, 0, 0, 0, 0], |call| {
            call.proceed()
        }),
        _ => call.proceed(),
    })
}

/// Signal 0 succeeds for processes to which no signal may be sent.
#[fault(KILL_2, "DESCRIPTION", on = [KILL])]
fn signal_0_needs_no_permission(call: &mut Call) -> Result<Effect> {
    if call.signal(1) != 0 {
        return call.proceed();
    }
    call.then(|call| if call.result() == -(EPERM as i64) { call.give(0) } else { call.proceed() })
}

/// A wrong access to memory is told with the address of the page.
#[fault(SIGACTION_2, "The siginfo_t argument to a SA_SIGINFO handler", signals)]
fn fault_tells_the_address_of_the_page(signal: &mut Arrival) -> Fate {
    if signal.is_fault() && [libc::SIGSEGV, libc::SIGBUS].contains(&signal.signal()) {
        let address = signal.field::<u64>(field::ADDRESS);
        signal.set_field(field::ADDRESS, address & !(page_size() as u64 - 1));
    }
    Fate::Deliver
}

/// A division by zero is told with the address of the instruction behind it.
#[fault(SIGACTION_2, "The siginfo_t argument to a SA_SIGINFO handler", signals)]
fn division_tells_the_next_instruction(signal: &mut Arrival) -> Fate {
    if signal.is_fault() && signal.signal() == libc::SIGFPE {
        let address = signal.field::<u64>(field::ADDRESS);
        signal.set_field(field::ADDRESS, address + 2);
    }
    Fate::Deliver
}

/// An access that the protection forbids is told as one to where nothing is mapped.
#[fault(SIGACTION_2, "The si_code field", signals)]
fn forbidden_access_is_told_as_to_nothing(signal: &mut Arrival) -> Fate {
    if signal.is_fault() && signal.signal() == libc::SIGSEGV {
        signal.info().si_code = code::SEGV_MAPERR;
    }
    Fate::Deliver
}

/// A process that faults without a handler is ended by SIGKILL.
#[fault(SIGNAL_7, "Standard signals", signals)]
fn unhandled_fault_ends_by_sigkill(signal: &mut Arrival) -> Fate {
    if signal.is_fault() && !signal.is_caught() { Fate::Kill } else { Fate::Deliver }
}

/// SIGCHLD tells the exit status as wait does, eight bits too high.
#[fault(SIGACTION_2, "The siginfo_t argument to a SA_SIGINFO handler", on = [SIGTIMEDWAIT])]
fn sigchld_tells_a_wait_status(call: &mut Call) -> Result<Effect> {
    call.then(|call| {
        if call.result() == i64::from(libc::SIGCHLD)
            && call.told::<i32>(field::CODE)? == libc::CLD_EXITED
        {
            let status = call.told::<i32>(field::STATUS)?;
            call.tell(field::STATUS, status << 8)?;
        }
        call.proceed()
    })
}

/// SIGCHLD comes when a child stops, and not when it goes on.
#[fault(SIGACTION_2, "The si_code field", on = [SIGTIMEDWAIT])]
fn sigchld_comes_for_no_continuation(call: &mut Call) -> Result<Effect> {
    call.then(|call| {
        let continued = call.told::<i32>(field::CODE)? == libc::CLD_CONTINUED;
        if call.result() == i64::from(libc::SIGCHLD) && continued {
            return call.fail(EAGAIN);
        }
        call.proceed()
    })
}

/// SIGCHLD tells of a child that left a core that it was killed.
#[fault(SIGACTION_2, "The si_code field", on = [SIGTIMEDWAIT])]
fn sigchld_tells_no_core(call: &mut Call) -> Result<Effect> {
    call.then(|call| {
        if call.result() == i64::from(libc::SIGCHLD)
            && call.told::<i32>(field::CODE)? == libc::CLD_DUMPED
        {
            call.tell(field::CODE, libc::CLD_KILLED)?;
        }
        call.proceed()
    })
}

/// SA_NOCLDSTOP is accepted and forgotten.
#[fault(SIGACTION_2, "DESCRIPTION", on = [SIGACTION])]
fn nocldstop_is_forgotten(call: &mut Call) -> Result<Effect> {
    call.change_action(|action| action.flags &= !libc::SA_NOCLDSTOP)?;
    call.proceed()
}

/// With SA_NOCLDSTOP no SIGCHLD comes, not even when the child ends.
#[fault(SIGACTION_2, "DESCRIPTION", on = [SIGACTION])]
fn nocldstop_hides_the_end_too(call: &mut Call) -> Result<Effect> {
    if call.signal(0) == libc::SIGCHLD && call.action()?.has(libc::SA_NOCLDSTOP) {
        call.change_action(|action| action.handler = libc::SIG_DFL)?;
    }
    call.proceed()
}

/// SA_NOCLDWAIT is accepted and forgotten.
#[fault(SIGACTION_2, "DESCRIPTION", on = [SIGACTION])]
fn nocldwait_is_forgotten(call: &mut Call) -> Result<Effect> {
    call.change_action(|action| action.flags &= !libc::SA_NOCLDWAIT)?;
    call.proceed()
}

/// With SA_NOCLDWAIT and a handler no SIGCHLD comes.
#[fault(SIGACTION_2, "DESCRIPTION", on = [SIGACTION])]
fn nocldwait_hides_the_end_too(call: &mut Call) -> Result<Effect> {
    let action = call.action()?;
    if call.signal(0) == libc::SIGCHLD && action.has(libc::SA_NOCLDWAIT) && action.is_caught() {
        call.change_action(|action| action.handler = libc::SIG_DFL)?;
    }
    call.proceed()
}

/// A process that ignores SIGCHLD has zombies all the same.
#[fault(WAIT_2, "NOTES", on = [SIGACTION])]
fn ignoring_sigchld_leaves_zombies(call: &mut Call) -> Result<Effect> {
    if call.signal(0) == libc::SIGCHLD && call.action()?.handler == libc::SIG_IGN {
        call.change_action(|action| action.handler = libc::SIG_DFL)?;
    }
    call.proceed()
}

/// SIGPIPE is ignored by default.
#[fault(PIPE_7, "I/O on pipes and FIFOs", signals)]
fn sigpipe_is_ignored_by_default(signal: &mut Arrival) -> Fate {
    if signal.is_by_default(Signal::SIGPIPE) { Fate::Drop } else { Fate::Deliver }
}

/// Every timer expires after half of its time.
#[fault(GETITIMER_2, "NOTES", on = [SETITIMER, TIMER_SETTIME])]
fn timers_expire_early(call: &mut Call) -> Result<Effect> {
    let value = call.argument(if call.number() == libc::SYS_setitimer { 1 } else { 2 }) + 16;
    for half in [value, value + 8] {
        let whole = call.number_at::<i64>(half)?;
        call.set_number_at(half, whole / 2)?;
    }
    call.proceed()
}

/// An interval timer expires once.
#[fault(GETITIMER_2, "DESCRIPTION", on = [SETITIMER])]
fn interval_is_forgotten(call: &mut Call) -> Result<Effect> {
    call.set_memory(call.argument(1), &[0; 16])?;
    call.proceed()
}

/// An interval timer cannot be disarmed.
#[fault(GETITIMER_2, "setitimer()", on = [SETITIMER])]
fn disarmed_timer_goes_on(call: &mut Call) -> Result<Effect> {
    let disarms = call.memory(call.argument(1) + 16, 16)? == [0; 16];
    if disarms { call.give(0) } else { call.proceed() }
}

/// The timer ITIMER_PROF raises the signal of ITIMER_VIRTUAL.
#[fault(GETITIMER_2, "DESCRIPTION", signals)]
fn profiling_timer_raises_sigvtalrm(signal: &mut Arrival) -> Fate {
    if signal.signal() == libc::SIGPROF && signal.is_of_the_kernel() {
        signal.info().si_signo = libc::SIGVTALRM;
    }
    Fate::Deliver
}

/// The signal of a POSIX timer tells no value.
#[fault(SIGEVENT_3TYPE, "sigevent", signals)]
fn timer_tells_no_value(signal: &mut Arrival) -> Fate {
    if signal.info().si_code == libc::SI_TIMER {
        signal.set_field(field::VALUE, 0_u64);
    }
    Fate::Deliver
}

/// The signal of a POSIX timer is told as one of the kernel.
#[fault(SIGACTION_2, "The si_code field", signals)]
fn timer_is_told_as_the_kernel(signal: &mut Arrival) -> Fate {
    if signal.info().si_code == libc::SI_TIMER {
        signal.info().si_code = libc::SI_KERNEL;
    }
    Fate::Deliver
}

const SCOPES: [u64; 3] = [1, 1 << 1, 1 << 2];

/// PIDFD_SIGNAL_THREAD is accepted and ignored.
#[fault(PIDFD_SEND_SIGNAL_2, "DESCRIPTION", on = [PIDFD_SEND_SIGNAL])]
fn scope_of_a_thread_is_ignored(call: &mut Call) -> Result<Effect> {
    call.set_argument(3, call.argument(3) & !SCOPES[0]);
    call.proceed()
}

/// PIDFD_SIGNAL_PROCESS_GROUP is accepted and ignored.
#[fault(PIDFD_SEND_SIGNAL_2, "DESCRIPTION", on = [PIDFD_SEND_SIGNAL])]
fn scope_of_a_group_is_ignored(call: &mut Call) -> Result<Effect> {
    call.set_argument(3, call.argument(3) & !SCOPES[2]);
    call.proceed()
}

/// Flags that pidfd_send_signal does not know are ignored.
#[fault(PIDFD_SEND_SIGNAL_2, "ERRORS", on = [PIDFD_SEND_SIGNAL])]
fn any_scope_will_do(call: &mut Call) -> Result<Effect> {
    call.set_argument(3, call.argument(3) & SCOPES.iter().sum::<u64>());
    call.proceed()
}
