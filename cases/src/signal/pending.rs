//! What is pending: one of each standard signal, every real-time signal, and
//! what is known of the senders.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Uid, gettid};

use crate::prelude::*;
use crate::sys::signals::{
    Action, Sig, Signals, accept, block, code, delivered, deliveries, handled, pending, queue,
    send, send_thread, unblock,
};

/// The cases of this module.
pub const CASES: &[Case] = &[
    standard_signals_keep_the_first_sender,
    real_time_signals_queue_every_sender,
    real_time_signals_come_lowest_first,
    standard_signals_come_before_real_time_ones,
    kill_and_tgkill_tell_their_sender,
    pending_is_of_the_process_and_of_the_thread,
    the_limit_of_queued_signals_stops_sigqueue_only,
    accepting_a_signal_runs_no_handler,
    waiting_for_a_signal_ends_after_the_timeout,
    a_signal_wakes_who_waits_for_it,
];

/// However many send a standard signal while it is blocked, it is delivered once, and tells of the first.
#[case(SIGNAL_7, "Queueing and delivery semantics for standard signals", settles = ["B19"])]
fn standard_signals_keep_the_first_sender() -> Verdict {
    let me = getpid();
    Action::record().on(SIGUSR1)?;
    block(SIGUSR1)?;
    let first = Child::spawn(|| Ok(queue(me, SIGUSR1, 1)?))?;
    let pid = first.pid();
    first.join()?;
    for value in 2..5 {
        Child::spawn(|| Ok(queue(me, SIGUSR1, value)?))?.join()?;
        send(me, SIGUSR1)?;
    }
    unblock(SIGUSR1)?;
    check!(handled() == 1);
    check!((deliveries()[0].pid, deliveries()[0].value) == (pid, 1));
    Ok(())
}

/// Every real-time signal that is sent is delivered, in the order sent, each with its own sender and value.
#[case(SIGNAL_7, "Real-time signals", settles = ["B19", "sigaction.2 SI_QUEUE", "sigaction.2 SA_SIGINFO"], also = [(SIGQUEUE_3, "DESCRIPTION"), (SIGACTION_2, "The si_code field")])]
fn real_time_signals_queue_every_sender() -> Verdict {
    let (me, signal) = (getpid(), Sig::rt(1));
    Action::record().on(signal)?;
    block(signal)?;
    let mut sent = vec![];
    for value in 0..8 {
        let child = Child::spawn(|| Ok(queue(me, signal, value)?))?;
        sent.push((signal, code::SI_QUEUE, child.pid(), Uid::current().as_raw(), value));
        child.join()?;
    }
    unblock(signal)?;
    let told = |d: &crate::sys::signals::Delivery| (d.signal, d.code, d.pid, d.uid, d.value);
    check!(deliveries().iter().map(told).collect::<Vec<_>>() == sent);
    check!(pending() == Ok(Signals::NONE));
    Ok(())
}

/// Of different real-time signals that are pending, the lowest comes first, and those of one number in the order sent.
#[case(SIGNAL_7, "Real-time signals", settles = ["B19"], also = [(SIGWAITINFO_2, "DESCRIPTION")])]
fn real_time_signals_come_lowest_first() -> Verdict {
    let all: Signals = (1..=3).map(Sig::rt).collect();
    block(all)?;
    for (n, value) in [(3, 1), (1, 2), (2, 3), (3, 4), (1, 5)] {
        queue(getpid(), Sig::rt(n), value)?;
    }
    for (n, value) in [(1, 2), (1, 5), (2, 3), (3, 1), (3, 4)] {
        let taken = accept(all, Some(Duration::ZERO)).map(|taken| (taken.signal, taken.value));
        check!(taken == Ok((Sig::rt(n), value)));
    }
    Ok(())
}

/// Linux delivers the standard signals that are pending before the real-time ones.
#[case(SIGNAL_7, "Real-time signals")]
fn standard_signals_come_before_real_time_ones() -> Verdict {
    let both = Signals::from(Sig::rt(0)).and(SIGTERM);
    // Handlers do not interrupt each other, so they run in the order of delivery.
    Action::record().mask(both).on(Sig::rt(0))?;
    Action::record().mask(both).on(SIGTERM)?;
    block(both)?;
    queue(getpid(), Sig::rt(0), 0)?;
    send(getpid(), SIGTERM)?;
    unblock(both)?;
    check!(delivered() == [SIGTERM.into(), Sig::rt(0)]);
    Ok(())
}

/// A handler is told the process and the user that sent the signal, with SI_USER for kill and SI_TKILL for tgkill.
#[case(SIGACTION_2, "The si_code field", settles = ["A36", "sigaction.2 SI_USER", "sigaction.2 SI_TKILL"], also = [(SIGACTION_2, "The siginfo_t argument to a SA_SIGINFO handler")])]
fn kill_and_tgkill_tell_their_sender() -> Verdict {
    let (me, my_user) = (getpid(), Uid::current().as_raw());
    Action::record().on(SIGUSR1)?;
    let by_kill = Child::spawn(|| Ok(send(me, SIGUSR1)?))?;
    let killer = by_kill.pid();
    by_kill.join()?;
    let by_tgkill = Child::spawn(|| Ok(send_thread(me, me, SIGUSR1)?))?;
    let thread_killer = by_tgkill.pid();
    by_tgkill.join()?;
    let told = deliveries();
    check!(told.len() == 2);
    check!((told[0].code, told[0].pid, told[0].uid) == (code::SI_USER, killer, my_user));
    check!((told[1].code, told[1].pid, told[1].uid) == (code::SI_TKILL, thread_killer, my_user));
    check!((told[0].number, told[1].number) == (libc::SIGUSR1, libc::SIGUSR1));
    Ok(())
}

/// What sigpending tells a thread is what is pending for the process and for that thread, not what is for another.
#[case(SIGNAL_7, "Signal mask and pending signals", settles = ["B17"], also = [(SIGPENDING_2, "DESCRIPTION")])]
fn pending_is_of_the_process_and_of_the_thread() -> Verdict {
    block(Signals::from(SIGUSR1).and(SIGUSR2))?;
    send(getpid(), SIGUSR1)?;
    Thread::spawn(|| {
        check!(pending() == Ok(SIGUSR1.into()));
        send_thread(getpid(), gettid(), SIGUSR2)?;
        check!(pending() == Ok(Signals::from(SIGUSR1).and(SIGUSR2)));
        Ok(())
    })?
    .join()?;
    check!(pending() == Ok(SIGUSR1.into()));
    Ok(())
}

/// At the limit of queued signals sigqueue fails with EAGAIN, yet kill still makes any signal pending.
#[case(GETRLIMIT_2, "DESCRIPTION", settles = ["sigqueue.3 EAGAIN"], also = [(SIGQUEUE_3, "ERRORS"), (SIGNAL_7, "Real-time signals")])]
fn the_limit_of_queued_signals_stops_sigqueue_only() -> Verdict {
    let (_, hard) = getrlimit(Resource::RLIMIT_SIGPENDING)?;
    check!(setrlimit(Resource::RLIMIT_SIGPENDING, 0, hard) == Ok(()));
    let both = Signals::from(Sig::rt(0)).and(SIGUSR1);
    block(both)?;
    check!(queue(getpid(), Sig::rt(0), 1) == Err(EAGAIN));
    check!(pending() == Ok(Signals::NONE));
    check!(send(getpid(), Sig::rt(0)) == Ok(()));
    check!(send(getpid(), SIGUSR1) == Ok(()));
    check!(pending() == Ok(both));
    Ok(())
}

/// A signal that sigtimedwait accepts is no longer pending, and its handler does not run.
#[case(SIGWAITINFO_2, "DESCRIPTION", settles = ["B18"])]
fn accepting_a_signal_runs_no_handler() -> Verdict {
    Action::record().on(SIGUSR1)?;
    block(SIGUSR1)?;
    send(getpid(), SIGUSR1)?;
    let taken = accept(SIGUSR1, Some(Duration::ZERO))?;
    check!((taken.signal.0, taken.code, taken.pid) == (libc::SIGUSR1, code::SI_USER, getpid()));
    check!(pending() == Ok(Signals::NONE));
    unblock(SIGUSR1)?;
    check!(delivered().is_empty());
    Ok(())
}

/// When no signal of the set comes, sigtimedwait fails with EAGAIN, and not before its time.
#[case(SIGWAITINFO_2, "ERRORS", settles = ["sigwaitinfo.2 EAGAIN"])]
fn waiting_for_a_signal_ends_after_the_timeout() -> Verdict {
    block(Signals::from(SIGUSR1).and(SIGUSR2))?;
    send(getpid(), SIGUSR2)?;
    let (start, limit) = (Instant::now(), Duration::from_millis(30));
    check!(accept(SIGUSR1, Some(limit)) == Err(EAGAIN));
    check!(start.elapsed() >= limit);
    check!(accept(SIGUSR1, Some(Duration::ZERO)) == Err(EAGAIN));
    check!(pending() == Ok(SIGUSR2.into()));
    Ok(())
}

/// A process that sleeps in sigwaitinfo is woken by a signal of its set, and by no other that it blocks.
#[case(SIGWAITINFO_2, "DESCRIPTION", settles = ["A43"])]
fn a_signal_wakes_who_waits_for_it() -> Verdict {
    let waiter = Child::spawn(|| {
        block(Signals::from(SIGUSR1).and(SIGUSR2))?;
        check!(accept(SIGUSR1, None).map(|taken| taken.value) == Ok(7));
        check!(pending() == Ok(SIGUSR2.into()));
        Ok(())
    })?;
    waiter.blocked_in(SIGTIMEDWAIT)?;
    waiter.kill(SIGUSR2)?;
    waiter.blocked_in(SIGTIMEDWAIT)?;
    queue(waiter.pid(), SIGUSR1, 7)?;
    waiter.join()
}
