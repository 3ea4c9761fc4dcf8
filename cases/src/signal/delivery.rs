//! Delivery: masks, late delivery, where a handler runs, and the program as it
//! goes on afterwards.

use std::hint::black_box;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::gettid;

use crate::prelude::*;
use crate::sys::signals::faults::{Pages, load, registers_across_handlers, scramble, store};
use crate::sys::signals::{
    Action, Sig, SignalStack, Signals, block, delivered, deliveries, handled, interval_timer, mask,
    pause, pending, send, set_mask, unblock,
};

/// The cases of this module.
pub const CASES: &[Case] = &[
    blocked_signals_wait_until_they_are_unblocked,
    unblocking_delivers_before_it_returns,
    own_signals_arrive_before_kill_returns,
    a_signal_goes_to_a_thread_that_leaves_it_open,
    pending_bit_is_clear_when_the_handler_begins,
    setmask_replaces_block_adds_and_unblock_removes,
    the_handler_has_its_signal_and_sa_mask_blocked,
    nodefer_lets_a_handler_interrupt_itself,
    handlers_run_on_the_alternate_stack,
    the_stack_in_use_cannot_be_changed,
    a_stack_overflow_is_handled_on_the_alternate_stack,
    too_small_an_alternate_stack_is_refused,
    unknown_flags_of_an_alternate_stack_are_refused,
    unknown_change_of_the_mask_is_refused,
    registers_are_as_they_were,
    arithmetic_goes_on_as_if_nothing_had_come,
    a_mended_access_is_made_again,
];

/// A blocked signal is held back, for each signal that can be, and stays pending until it is unblocked.
#[case(SIGNAL_7, "Signal mask and pending signals", settles = ["B17", "B18", "sigprocmask.2 SIG_BLOCK"], also = [(SIGPENDING_2, "DESCRIPTION")])]
fn blocked_signals_wait_until_they_are_unblocked() -> Verdict {
    let at = Counter::new()?;
    let holder = Child::spawn(|| {
        for signal in Sig::catchable() {
            at.set(signal.0 as u64);
            Action::record().on(signal)?;
            block(signal)?;
            send(getpid(), signal)?;
            check!(pending() == Ok(signal.into()));
            check!(delivered().last() != Some(&signal));
            unblock(signal)?;
            check!(delivered().last() == Some(&signal));
            check!(pending() == Ok(Signals::NONE));
        }
        Ok(())
    })?;
    // A signal that is not held back may end it.
    check!(holder.wait()? == End::Exited(0), "at {:?}", Sig(at.get() as i32));
    Ok(())
}

/// A signal that another process sent long ago is delivered before the call that unblocks it returns.
#[case(SIGNAL_7, "Execution of signal handlers", settles = ["B20", "sigprocmask.2 SIG_UNBLOCK"], also = [(SIGPROCMASK_2, "DESCRIPTION")])]
fn unblocking_delivers_before_it_returns() -> Verdict {
    let me = getpid();
    Action::record().on(SIGUSR1)?;
    for round in 1..=50 {
        block(SIGUSR1)?;
        if round == 1 {
            Child::spawn(|| Ok(send(me, SIGUSR1)?))?.join()?;
        } else {
            send(me, SIGUSR1)?;
        }
        check!(handled() == round - 1);
        unblock(SIGUSR1)?;
        check!(handled() == round);
    }
    Ok(())
}

/// A signal that a process sends to itself and does not block is delivered before kill returns.
#[case(KILL_2, "NOTES", settles = ["B20"])]
fn own_signals_arrive_before_kill_returns() -> Verdict {
    Action::record().on(SIGUSR1)?;
    for round in 1..=50 {
        send(getpid(), SIGUSR1)?;
        check!(handled() == round);
    }
    Ok(())
}

/// A signal of the process is delivered to a thread that does not block it, though the first thread does.
#[case(SIGNAL_7, "Signal mask and pending signals", settles = ["B17"])]
fn a_signal_goes_to_a_thread_that_leaves_it_open() -> Verdict {
    let took = Counter::new()?;
    Action::run(move |_| took.set(gettid().as_raw() as u64)).on(SIGUSR1)?;
    block(SIGUSR1)?;
    let thread = Thread::spawn(|| {
        unblock(SIGUSR1)?;
        check!(pause() == Err(EINTR));
        Ok(())
    })?;
    let tid = thread.tid();
    thread.blocked_in(PAUSE)?;
    send(getpid(), SIGUSR1)?;
    thread.join()?;
    check!((handled(), took.get()) == (1, tid.as_raw() as u64));
    check!(pending() == Ok(Signals::NONE));
    Ok(())
}

/// A signal is taken from the pending set before its handler begins, so that another of its kind can already come.
#[case(SIGNAL_7, "Execution of signal handlers", settles = ["B18"])]
fn pending_bit_is_clear_when_the_handler_begins() -> Verdict {
    Action::run(|_| {
        if handled() == 1 {
            let _ = send(getpid(), SIGUSR1);
        }
    })
    .on(SIGUSR1)?;
    block(SIGUSR1)?;
    send(getpid(), SIGUSR1)?;
    check!(pending() == Ok(SIGUSR1.into()));
    unblock(SIGUSR1)?;
    check!(handled() == 2);
    check!(deliveries()[0].pending == Signals::NONE);
    check!(pending() == Ok(Signals::NONE));
    Ok(())
}

/// SIG_BLOCK adds to the mask, SIG_UNBLOCK takes from it, also what is not in it, SIG_SETMASK replaces it, and each tells the mask before.
#[case(SIGPROCMASK_2, "DESCRIPTION", settles = ["sigprocmask.2 SIG_BLOCK", "sigprocmask.2 SIG_UNBLOCK", "sigprocmask.2 SIG_SETMASK"])]
fn setmask_replaces_block_adds_and_unblock_removes() -> Verdict {
    let two = Signals::from(SIGUSR1).and(SIGTERM);
    check!(block(SIGUSR1) == Ok(Signals::NONE));
    check!(block(SIGTERM) == Ok(SIGUSR1.into()));
    check!(unblock(SIGHUP) == Ok(two));
    check!(unblock(SIGUSR1) == Ok(two));
    check!(set_mask(SIGHUP) == Ok(SIGTERM.into()));
    check!(mask() == Ok(SIGHUP.into()));
    Ok(())
}

/// While a handler runs, its own signal and those of sa_mask are blocked besides those that were; afterwards the mask is as before.
#[case(SIGACTION_2, "DESCRIPTION", also = [(SIGNAL_7, "Execution of signal handlers")])]
fn the_handler_has_its_signal_and_sa_mask_blocked() -> Verdict {
    let old = Signals::from(SIGHUP);
    Action::run(|_| _ = send(getpid(), SIGUSR2)).mask(SIGUSR2).on(SIGUSR1)?;
    Action::record().on(SIGUSR2)?;
    block(old)?;
    send(getpid(), SIGUSR1)?;
    // SIGUSR2 came when the first handler had returned.
    let masks: Vec<_> = deliveries().iter().map(|told| (told.signal.0, told.mask)).collect();
    let (first, second) = (old.and(SIGUSR1).and(SIGUSR2), old.and(SIGUSR2));
    check!(masks == [(libc::SIGUSR1, first), (libc::SIGUSR2, second)]);
    check!(mask() == Ok(old));
    Ok(())
}

/// With SA_NODEFER a handler is interrupted by its own signal, unless sa_mask names it.
#[case(SIGACTION_2, "DESCRIPTION", settles = ["sigaction.2 SA_NODEFER"])]
fn nodefer_lets_a_handler_interrupt_itself() -> Verdict {
    let nested = Counter::new()?;
    let body = move |_: &_| {
        let before = handled();
        if before == 1 || before == 3 || before == 5 {
            let _ = send(getpid(), SIGUSR1);
            nested.add((handled() - before) as u64);
        }
    };
    Action::run(body).on(SIGUSR1)?;
    send(getpid(), SIGUSR1)?;
    check!((handled(), nested.get()) == (2, 0));
    Action::run(body).flags(libc::SA_NODEFER).on(SIGUSR1)?;
    send(getpid(), SIGUSR1)?;
    check!((handled(), nested.get()) == (4, 1));
    Action::run(body).flags(libc::SA_NODEFER).mask(SIGUSR1).on(SIGUSR1)?;
    send(getpid(), SIGUSR1)?;
    check!((handled(), nested.get()) == (6, 1));
    Ok(())
}

/// A handler set with SA_ONSTACK runs on the alternate stack, and one set without runs on the usual stack.
#[case(SIGALTSTACK_2, "DESCRIPTION", settles = ["sigaction.2 SA_ONSTACK", "sigaltstack.2 SS_DISABLE", "sigaltstack.2 ss_sp", "sigaltstack.2 ss_size"], also = [(SIGACTION_2, "DESCRIPTION")])]
fn handlers_run_on_the_alternate_stack() -> Verdict {
    Action::record().flags(libc::SA_ONSTACK).on(SIGUSR1)?;
    Action::record().on(SIGUSR2)?;
    check!(SignalStack::state() == Ok(libc::SS_DISABLE));
    let stack = SignalStack::new(1 << 18, 0)?;
    check!(SignalStack::state() == Ok(0));
    send(getpid(), SIGUSR1)?;
    send(getpid(), SIGUSR2)?;
    check!(delivered() == [SIGUSR1, SIGUSR2]);
    check!(stack.has(deliveries()[0].stack));
    check!(!stack.has(deliveries()[1].stack));
    SignalStack::disable()?;
    check!(SignalStack::state() == Ok(libc::SS_DISABLE));
    send(getpid(), SIGUSR1)?;
    check!(handled() == 3);
    check!(!stack.has(deliveries()[2].stack));
    Ok(())
}

/// While a handler runs on the alternate stack, the stack is told to be in use and cannot be changed or disabled.
#[case(SIGALTSTACK_2, "ERRORS", settles = ["sigaltstack.2 EPERM", "sigaltstack.2 SS_ONSTACK"])]
fn the_stack_in_use_cannot_be_changed() -> Verdict {
    let (state, change) = (Counter::new()?, Counter::new()?);
    Action::run(move |_| {
        state.set(SignalStack::state().map_or(99, |flags| flags as u64));
        change.set(SignalStack::disable().err().map_or(0, |errno| errno as u64));
    })
    .flags(libc::SA_ONSTACK)
    .on(SIGUSR1)?;
    let _stack = SignalStack::new(1 << 18, 0)?;
    send(getpid(), SIGUSR1)?;
    check!(state.get() == libc::SS_ONSTACK as u64);
    check!(change.get() == EPERM as u64);
    check!(SignalStack::state() == Ok(0));
    Ok(())
}

/// A process that has used up its stack can still handle the SIGSEGV on an alternate stack; without one it is ended.
#[case(GETRLIMIT_2, "DESCRIPTION", also = [(SIGALTSTACK_2, "DESCRIPTION")])]
fn a_stack_overflow_is_handled_on_the_alternate_stack() -> Verdict {
    fn dig(depth: u64) -> u64 {
        let room = black_box([depth; 512]);
        if depth == u64::MAX { 0 } else { dig(depth + 1) + room[511] }
    }
    let handled = Latch::new()?;
    for with_stack in [false, true] {
        let child = Child::spawn(|| {
            let (_, hard) = getrlimit(Resource::RLIMIT_STACK)?;
            setrlimit(Resource::RLIMIT_STACK, hard.min(4 << 20), hard)?;
            Action::run(move |_| {
                handled.open();
                let _ = send(getpid(), SIGKILL);
            })
            .flags(libc::SA_ONSTACK)
            .on(SIGSEGV)?;
            let _stack = with_stack.then(|| SignalStack::new(1 << 18, 0)).transpose()?;
            black_box(dig(0));
            Ok(())
        })?;
        let end = if with_stack { libc::SIGKILL } else { libc::SIGSEGV };
        check!(child.wait()?.signal() == Some(end), "with an alternate stack: {with_stack}");
        check!(handled.is_open() == with_stack);
    }
    Ok(())
}

refusals! {
    SIGALTSTACK_2, "ERRORS";

    /// An alternate stack on which no handler could run is refused.
    ["sigaltstack.2 ENOMEM"] too_small_an_alternate_stack_is_refused => ENOMEM: SignalStack::new(512, 0);

    /// An alternate stack with an unknown flag is refused.
    ["sigaltstack.2 EINVAL"] unknown_flags_of_an_alternate_stack_are_refused => EINVAL: SignalStack::new(1 << 18, 1 << 20);
}

refusals! {
    SIGPROCMASK_2, "ERRORS";

    /// A change of the mask in no known way is refused.
    ["sigprocmask.2 EINVAL"] unknown_change_of_the_mask_is_refused => EINVAL: crate::sys::signals::change_mask_in_no_known_way();
}

/// A program that handlers interrupt between two instructions finds every register as it was: general, vector, floating-point and control.
#[case(SIGNAL_7, "Execution of signal handlers", settles = ["A44"], needs = [Need::Arch(&["x86_64"])])]
fn registers_are_as_they_were() -> Verdict {
    Action::run(|_| scramble()).on(SIGALRM)?;
    let tick = Duration::from_millis(1);
    interval_timer(libc::ITIMER_REAL, tick, tick)?;
    let (before, after) = registers_across_handlers();
    interval_timer(libc::ITIMER_REAL, Duration::ZERO, Duration::ZERO)?;
    check!(after.general == before.general);
    check!(after.vector == before.vector);
    check!(after == before);
    Ok(())
}

/// A calculation in integers and in floating point has the same result when handlers interrupt it.
#[case(SIGNAL_7, "Execution of signal handlers", settles = ["A44"])]
fn arithmetic_goes_on_as_if_nothing_had_come() -> Verdict {
    fn step((n, x): (u64, f64)) -> (u64, f64) {
        let x = (x * 1.000_001 + f64::from((n >> 40) as u32)).sqrt();
        // The roots alone would soon forget a wrong one.
        let n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(x.to_bits());
        (n.rotate_left(17), x)
    }
    let upset = black_box(f64::from(getpid().as_raw()));
    Action::run(move |_| _ = black_box(upset.sqrt() / 7.0)).on(SIGALRM)?;
    let tick = Duration::from_millis(1);
    interval_timer(libc::ITIMER_REAL, tick, tick)?;
    let (mut value, mut steps) = ((1, 1.0), 0_u64);
    while handled() < 50 {
        (0..1000).for_each(|_| value = step(black_box(value)));
        steps += 1000;
    }
    interval_timer(libc::ITIMER_REAL, Duration::ZERO, Duration::ZERO)?;
    check!(value == (0..steps).fold((1, 1.0), |value, _| step(black_box(value))));
    Ok(())
}

/// After the handler of a fault, the very access that failed is made again, and succeeds when the handler has put memory there.
#[case(SIGNAL_7, "Execution of signal handlers", settles = ["A44"], also = [(MMAP_2, "ERRORS")])]
fn a_mended_access_is_made_again() -> Verdict {
    let page = Pages::new(nix::sys::mman::ProtFlags::PROT_READ)?;
    let base = page.address();
    Action::run(move |_| _ = Pages::map_again(base)).on(SIGSEGV)?;
    store(base + 7, 42);
    check!(handled() == 1);
    check!(load(base + 7) == 42);
    page.unmap()?;
    check!(load(base + 7) == 0);
    check!(handled() == 2);
    Ok(())
}
