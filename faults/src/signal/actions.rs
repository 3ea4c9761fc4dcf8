//! Wrong actions: what a signal does by default, and what is kept of the
//! action that a process has set.

use libc::c_int;
use nix::sys::signal::{Signal, kill};

use super::view::{Task, UNBLOCKABLE, bit, restart};
use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    numbers_below_sigrtmin_are_no_signals,
    last_signal_takes_no_action,
    sigpwr_is_ignored_by_default,
    highest_signal_is_ignored_by_default,
    core_signals_all_end_as_sigabrt,
    some_core_signals_leave_no_core,
    terminal_stops_are_ignored_by_default,
    continuation_is_not_told,
    stopped_process_runs_on,
    sigurg_ends_by_default,
    ignored_signals_interrupt_a_call,
    unusual_signals_take_any_action,
    sigkill_and_sigstop_wait_for_who_blocks_all,
    sigkill_and_sigstop_are_told_as_blocked,
    action_before_is_told_as_the_new_one,
    action_before_is_told_without_its_mask,
    resethand_is_forgotten,
    fork_passes_on_what_is_pending,
    fork_resets_what_was_caught,
    thread_changes_actions_for_itself,
    exec_forgets_a_pending_signal,
    exec_resets_what_was_ignored,
];

/// The signals whose default action is Core.
const CORE: [c_int; 10] = [
    libc::SIGABRT,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGQUIT,
    libc::SIGSEGV,
    libc::SIGSYS,
    libc::SIGTRAP,
    libc::SIGXCPU,
    libc::SIGXFSZ,
];

/// Signals 32 and 33, which the C library keeps to itself, do not exist.
#[fault(SIGNAL_7, "Real-time signals", on = [SIGACTION, KILL])]
fn numbers_below_sigrtmin_are_no_signals(call: &mut Call) -> Result<Effect> {
    let signal = call.signal(usize::from(call.number() == libc::SYS_kill));
    if (32..libc::SIGRTMIN()).contains(&signal) { call.fail(EINVAL) } else { call.proceed() }
}

/// The highest signal takes no action: the numbers are counted to the one before.
#[fault(SIGACTION_2, "DESCRIPTION", on = [SIGACTION])]
fn last_signal_takes_no_action(call: &mut Call) -> Result<Effect> {
    call.action()?;
    if call.signal(0) == libc::SIGRTMAX() { call.fail(EINVAL) } else { call.proceed() }
}

/// SIGPWR is ignored by default, as on other systems.
#[fault(SIGNAL_7, "Standard signals", signals)]
fn sigpwr_is_ignored_by_default(signal: &mut Arrival) -> Fate {
    if signal.is_by_default(Signal::SIGPWR) { Fate::Drop } else { Fate::Deliver }
}

/// The real-time signal with the highest number is ignored by default.
#[fault(SIGNAL_7, "Real-time signals", signals)]
fn highest_signal_is_ignored_by_default(signal: &mut Arrival) -> Fate {
    let highest = signal.signal() == libc::SIGRTMAX();
    if highest && !signal.is_caught() { Fate::Drop } else { Fate::Deliver }
}

/// Whichever signal dumped the core of a process, its parent is told that it was aborted.
#[fault(SIGNAL_7, "Standard signals", signals)]
fn core_signals_all_end_as_sigabrt(signal: &mut Arrival) -> Fate {
    if CORE.contains(&signal.signal()) && !signal.is_caught() && !signal.is_ignored() {
        signal.info().si_signo = libc::SIGABRT;
    }
    Fate::Deliver
}

/// SIGSYS, SIGXCPU, SIGXFSZ and SIGBUS end a process and leave no core, as up to Linux 2.2.
#[fault(SIGNAL_7, "Standard signals", signals)]
fn some_core_signals_leave_no_core(signal: &mut Arrival) -> Fate {
    let once = [libc::SIGSYS, libc::SIGXCPU, libc::SIGXFSZ, libc::SIGBUS];
    if once.contains(&signal.signal()) && !signal.is_caught() {
        signal.leave_no_core();
    }
    Fate::Deliver
}

/// SIGTSTP, SIGTTIN and SIGTTOU are ignored by default.
#[fault(SIGNAL_7, "Standard signals", signals)]
fn terminal_stops_are_ignored_by_default(signal: &mut Arrival) -> Fate {
    let stops = [Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU];
    let is_one = stops.iter().any(|stop| signal.is_by_default(*stop));
    if is_one && signal.is_sent() { Fate::Drop } else { Fate::Deliver }
}

/// A parent that waits with WCONTINUED is never told that a child goes on.
#[fault(WAIT_2, "wait() and waitpid()", on = [WAIT])]
fn continuation_is_not_told(call: &mut Call) -> Result<Effect> {
    if call.number() == libc::SYS_wait4 {
        call.set_argument(2, call.argument(2) & !(libc::WCONTINUED as u64));
    }
    call.proceed()
}

/// A process that SIGSTOP stops is told as stopped, and runs on.
#[fault(SIGNAL_7, "Signal dispositions", signals)]
fn stopped_process_runs_on(signal: &mut Arrival) -> Fate {
    if signal.signal() == libc::SIGSTOP { Fate::RunOn } else { Fate::Deliver }
}

/// SIGURG ends a process that has no handler for it.
#[fault(SIGNAL_7, "Standard signals", signals)]
fn sigurg_ends_by_default(signal: &mut Arrival) -> Fate {
    if signal.is_by_default(Signal::SIGURG) { Fate::Kill } else { Fate::Deliver }
}

/// A signal that is ignored does nothing but interrupt the call that sleeps.
#[fault(SIGNAL_7, "Signal dispositions", signals)]
fn ignored_signals_interrupt_a_call(signal: &mut Arrival) -> Fate {
    if signal.is_ignored()
        && signal.interrupted_call().is_some_and(|(_, result)| result == restart::UNLESS_CAUGHT)
    {
        signal.end_call(-(EINTR as i64));
    }
    Fate::Deliver
}

/// Setting an action for SIGKILL or SIGSTOP succeeds, and has no effect.
#[fault(SIGACTION_2, "ERRORS", on = [SIGACTION])]
fn unusual_signals_take_any_action(call: &mut Call) -> Result<Effect> {
    call.action()?;
    if [libc::SIGKILL, libc::SIGSTOP].contains(&call.signal(0)) {
        call.give(0)
    } else {
        call.proceed()
    }
}

/// SIGKILL and SIGSTOP cannot be blocked, but never come to who has blocked all others.
#[fault(SIGNAL_7, "Standard signals", on = [KILL])]
fn sigkill_and_sigstop_wait_for_who_blocks_all(call: &mut Call) -> Result<Effect> {
    let all = call.receiver(0).mask() | UNBLOCKABLE == !0;
    if all && UNBLOCKABLE & bit(call.signal(1)) != 0 { call.give(0) } else { call.proceed() }
}

/// A mask in which SIGKILL and SIGSTOP were asked for is told with them.
#[fault(SIGPROCMASK_2, "NOTES", on = [SIGPROCMASK])]
fn sigkill_and_sigstop_are_told_as_blocked(call: &mut Call) -> Result<Effect> {
    let (key, old) = (call.thread().as_raw() as u64, call.argument(2));
    let before = call.notes().of(key).unwrap_or(0) as u64;
    if let Ok(set) = call.signal_set(1) {
        let after = match call.argument(0) as c_int {
            libc::SIG_BLOCK => before | set,
            libc::SIG_UNBLOCK => before & !set,
            _ => set,
        };
        *call.notes().of(key) = Some((after & UNBLOCKABLE) as i64);
    }
    call.then(move |call| {
        let told = call.number_at::<u64>(old)?;
        call.set_number_at(old, told | before & UNBLOCKABLE)?;
        call.proceed()
    })
}

/// sigaction tells the action that it has just set as the one before.
#[fault(SIGACTION_2, "DESCRIPTION", on = [SIGACTION])]
fn action_before_is_told_as_the_new_one(call: &mut Call) -> Result<Effect> {
    let (new, old) = (call.memory(call.argument(1), 32)?, call.argument(2));
    call.then(move |call| {
        if call.result() == 0 && old != 0 {
            call.set_memory(old, &new)?;
        }
        call.proceed()
    })
}

/// sigaction tells the action before without its mask.
#[fault(SIGACTION_2, "DESCRIPTION", on = [SIGACTION])]
fn action_before_is_told_without_its_mask(call: &mut Call) -> Result<Effect> {
    let old = call.argument(2);
    call.then(move |call| {
        if call.result() == 0 && old != 0 {
            call.set_number_at(old + 24, 0_u64)?;
        }
        call.proceed()
    })
}

/// SA_RESETHAND is accepted and forgotten.
#[fault(SIGACTION_2, "DESCRIPTION", on = [SIGACTION])]
fn resethand_is_forgotten(call: &mut Call) -> Result<Effect> {
    call.change_action(|action| action.flags &= !libc::SA_RESETHAND)?;
    call.proceed()
}

/// What is pending for a process when it forks is pending for the child too.
#[fault(SIGNAL_7, "Signal mask and pending signals", on = [SIGPROCMASK, SIGPENDING])]
fn fork_passes_on_what_is_pending(call: &mut Call) -> Result<Effect> {
    let me = call.process();
    if call.notes().count(me.as_raw() as u64) > 0 {
        return call.proceed();
    }
    // Nobody sees it before the child asks.
    let pending = Task(me).parent()?.pending_for_all();
    for signal in Signal::iterator().filter(|signal| pending & bit(*signal as c_int) != 0) {
        kill(me, signal)?;
    }
    call.proceed()
}

/// A forked child has the default action for a signal that its parent catches.
#[fault(SIGNAL_7, "Signal dispositions", on = [SIGACTION])]
fn fork_resets_what_was_caught(call: &mut Call) -> Result<Effect> {
    let (me, number, arguments) = (call.process(), call.number(), call.arguments());
    let both = call.task().caught() & Task(me).parent()?.caught();
    let highest = both.checked_ilog2().map_or(0, |bit| bit + 1);
    if call.notes().count(me.as_raw() as u64) > 0 || highest == 0 {
        return call.proceed();
    }
    let default = call.place(0, &[0; 32])?;
    let action = [highest.into(), default, 0, 8, 0, 0];
    call.instead(libc::SYS_rt_sigaction, action, move |call| {
        call.instead(number, arguments, |call| call.proceed())
    })
}

/// What a further thread changes of the actions is forgotten: the process keeps its own.
#[fault(SIGNAL_7, "Signal dispositions", on = [SIGACTION])]
fn thread_changes_actions_for_itself(call: &mut Call) -> Result<Effect> {
    call.action()?;
    if call.thread() == call.process() { call.proceed() } else { call.give(0) }
}

/// A pending signal is lost when the process executes a program.
#[fault(SIGNAL_7, "Signal mask and pending signals", on = [EXEC])]
fn exec_forgets_a_pending_signal(call: &mut Call) -> Result<Effect> {
    let (number, arguments) = (call.number(), call.arguments());
    let all = call.place(0, &(!0_u64).to_ne_bytes())?;
    let now = call.place(64, &[0; 16])?;
    call.instead(libc::SYS_rt_sigtimedwait, [all, 0, now, 8, 0, 0], move |call| {
        call.instead(number, arguments, |call| call.proceed())
    })
}

/// A signal that was ignored has its default action again in an executed program.
#[fault(SIGNAL_7, "Signal dispositions", on = [EXEC])]
fn exec_resets_what_was_ignored(call: &mut Call) -> Result<Effect> {
    let (number, arguments) = (call.number(), call.arguments());
    let highest = call.task().ignored().checked_ilog2().ok_or(ENOENT)? + 1;
    let default = call.place(0, &[0; 32])?;
    let action = [highest.into(), default, 0, 8, 0, 0];
    call.instead(libc::SYS_rt_sigaction, action, move |call| {
        call.instead(number, arguments, |call| call.proceed())
    })
}
