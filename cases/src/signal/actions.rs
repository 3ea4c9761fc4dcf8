//! What a signal does: default actions, handlers, ignoring, and the two
//! signals that allow none of it.

use std::fs;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::setpgid;

use super::idle;
use crate::prelude::*;
use crate::sys::program::{A_PROGRAM, Program};
use crate::sys::signals::{
    Action, Disposition, Sig, Signals, block, delivered, deliveries, disposition, mask, pause,
    pending, queue, send, suspend, unblock,
};

/// The cases of this module.
pub const CASES: &[Case] = &[
    numbers_1_to_sigrtmax_are_signals,
    terminating_signals_end_the_process,
    real_time_signals_end_the_process,
    core_signals_end_the_process,
    core_signals_leave_an_image,
    stop_signals_stop_until_sigcont,
    a_stopped_process_stands_still,
    some_signals_are_ignored_unless_caught,
    every_other_signal_can_be_caught,
    every_other_signal_can_be_ignored,
    sigkill_and_sigstop_take_no_other_action,
    sigkill_and_sigstop_are_never_blocked,
    sigaction_tells_the_action_before,
    unknown_flag_is_cleared_from_what_is_told,
    resethand_handles_one_signal,
    fork_copies_actions_and_mask,
    threads_share_actions_but_not_masks,
    exec_resets_what_was_caught,
];

/// The default actions of signal(7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Default {
    Terminate,
    Core,
    Ignore,
    Stop,
    Continue,
}

/// The table of standard signals in signal(7).
const STANDARD: [(Signal, Default); 31] = [
    (SIGABRT, Default::Core),
    (SIGALRM, Default::Terminate),
    (SIGBUS, Default::Core),
    (SIGCHLD, Default::Ignore),
    (SIGCONT, Default::Continue),
    (SIGFPE, Default::Core),
    (SIGHUP, Default::Terminate),
    (SIGILL, Default::Core),
    (SIGINT, Default::Terminate),
    (SIGIO, Default::Terminate),
    (SIGKILL, Default::Terminate),
    (SIGPIPE, Default::Terminate),
    (SIGPROF, Default::Terminate),
    (SIGPWR, Default::Terminate),
    (SIGQUIT, Default::Core),
    (SIGSEGV, Default::Core),
    (SIGSTKFLT, Default::Terminate),
    (SIGSTOP, Default::Stop),
    (SIGTSTP, Default::Stop),
    (SIGSYS, Default::Core),
    (SIGTERM, Default::Terminate),
    (SIGTRAP, Default::Core),
    (SIGTTIN, Default::Stop),
    (SIGTTOU, Default::Stop),
    (SIGURG, Default::Ignore),
    (SIGUSR1, Default::Terminate),
    (SIGUSR2, Default::Terminate),
    (SIGVTALRM, Default::Terminate),
    (SIGXCPU, Default::Core),
    (SIGXFSZ, Default::Core),
    (SIGWINCH, Default::Ignore),
];

/// The signals with this default action.
fn that(action: Default) -> impl Iterator<Item = Signal> {
    STANDARD.iter().filter(move |row| row.1 == action).map(|row| row.0)
}

/// The numbers from 1 to SIGRTMAX are signals, each with the default action at first, and no other number is.
#[case(SIGNAL_7, "Signal numbering for standard signals", settles = ["A29", "kill.2 EINVAL", "sigqueue.3 EINVAL"], also = [(SIGNAL_7, "Real-time signals"), (KILL_2, "ERRORS")])]
fn numbers_1_to_sigrtmax_are_signals() -> Verdict {
    for signal in Sig::all() {
        check!(disposition(signal) == Ok(Disposition::Default), "{signal:?}");
    }
    for number in [-1, libc::SIGRTMAX() + 1] {
        check!(disposition(Sig(number)) == Err(EINVAL), "{number}");
        check!(send(getpid(), Sig(number)) == Err(EINVAL), "{number}");
        check!(queue(getpid(), Sig(number), 0) == Err(EINVAL), "{number}");
    }
    Ok(())
}

/// Each signal whose default action is Term ends the process, and its parent is told which.
#[case(SIGNAL_7, "Standard signals", settles = [
    "A29", "A37", "signal.7 SIGALRM", "signal.7 SIGHUP", "signal.7 SIGINT", "signal.7 SIGIO",
    "signal.7 SIGPOLL", "signal.7 SIGKILL", "signal.7 SIGPIPE", "signal.7 SIGPROF",
    "signal.7 SIGPWR", "signal.7 SIGSTKFLT", "signal.7 SIGTERM", "signal.7 SIGUSR1",
    "signal.7 SIGUSR2", "signal.7 SIGVTALRM", "wait.2 WIFSIGNALED", "wait.2 WTERMSIG",
])]
fn terminating_signals_end_the_process() -> Verdict {
    for signal in that(Default::Terminate) {
        let child = idle()?;
        child.kill(signal)?;
        check!(child.wait()? == End::Killed(signal as i32), "{signal}");
    }
    Ok(())
}

/// A real-time signal that nothing is said about ends the process.
#[case(SIGNAL_7, "Real-time signals", settles = ["A29", "A37", "signal.7 SIGRTMIN", "signal.7 SIGRTMAX"])]
fn real_time_signals_end_the_process() -> Verdict {
    for number in 32..=libc::SIGRTMAX() {
        let child = idle()?;
        check!(send(child.pid(), Sig(number)) == Ok(()), "signal {number}");
        check!(child.wait()? == End::Killed(number), "signal {number}");
    }
    Ok(())
}

/// Each signal whose default action is Core ends the process.
#[case(SIGNAL_7, "Standard signals", settles = [
    "A37", "signal.7 SIGABRT", "signal.7 SIGIOT", "signal.7 SIGBUS", "signal.7 SIGFPE",
    "signal.7 SIGILL", "signal.7 SIGQUIT", "signal.7 SIGSEGV", "signal.7 SIGSYS",
    "signal.7 SIGTRAP", "signal.7 SIGXCPU", "signal.7 SIGXFSZ",
])]
fn core_signals_end_the_process() -> Verdict {
    for signal in that(Default::Core) {
        let child = idle()?;
        child.kill(signal)?;
        check!(child.wait()?.signal() == Some(signal as i32), "{signal}");
    }
    Ok(())
}

/// Where core dumps are enabled, each signal of the Core class leaves an image of the process, and the wait status says so.
#[case(CORE_5, "DESCRIPTION", settles = ["A38", "wait.2 WCOREDUMP"], needs = [Need::CoreFiles], deadline = 30, also = [(SIGNAL_7, "Signal dispositions"), (WAIT_2, "wait() and waitpid()")])]
fn core_signals_leave_an_image() -> Verdict {
    let (_, hard) = getrlimit(Resource::RLIMIT_CORE)?;
    setrlimit(Resource::RLIMIT_CORE, hard, hard)?;
    for signal in that(Default::Core) {
        let child = idle()?;
        child.kill(signal)?;
        check!(child.wait()? == End::Dumped(signal as i32), "{signal}");
        let images: Vec<_> = fs::read_dir(".")?.flatten().map(|file| file.path()).collect();
        check!(images.len() == 1, "{signal}: {images:?}");
        check!(fs::read(&images[0])?.starts_with(b"\x7fELF"), "{signal}");
        fs::remove_file(&images[0])?;
    }
    Ok(())
}

/// Each signal whose default action is Stop stops the process until SIGCONT, after which it goes on.
#[case(SIGNAL_7, "Standard signals", settles = [
    "A37", "signal.7 SIGSTOP", "signal.7 SIGTSTP", "signal.7 SIGTTIN", "signal.7 SIGTTOU",
    "signal.7 SIGCONT", "wait.2 WUNTRACED", "wait.2 WCONTINUED 1", "wait.2 WIFSTOPPED",
    "wait.2 WSTOPSIG", "wait.2 WIFCONTINUED",
], also = [(WAIT_2, "wait() and waitpid()")])]
fn stop_signals_stop_until_sigcont() -> Verdict {
    for signal in that(Default::Stop) {
        let child = idle()?;
        child.kill(signal)?;
        check!(child.wait_stopped()? == signal as i32, "{signal}");
        child.kill(SIGCONT)?;
        child.wait_continued()?;
        child.kill(SIGTERM)?;
        check!(child.wait()? == End::Killed(libc::SIGTERM), "{signal}");
    }
    Ok(())
}

/// A stopped process does not run, and after SIGCONT it goes on where it was.
#[case(SIGNAL_7, "Signal dispositions", settles = ["A37"])]
fn a_stopped_process_stands_still() -> Verdict {
    let (count, other) = (Counter::new()?, Counter::new()?);
    let (running, asked, answered) = (Latch::new()?, Latch::new()?, Latch::new()?);
    let child = Child::spawn(|| {
        setpgid(getpid(), getpid())?;
        running.open();
        while !asked.is_open() {
            count.add(1);
        }
        answered.open();
        Ok(())
    })?;
    child.reaches(running)?;
    child.kill(SIGSTOP)?;
    check!(child.wait_stopped()? == libc::SIGSTOP);
    let before = count.get();
    asked.open();
    // Another process counts meanwhile, for longer than a turn on a processor.
    Child::spawn(|| Ok((0..3_000_000).for_each(|_| _ = other.add(1))))?.join()?;
    check!((count.get(), answered.is_open()) == (before, false));
    child.kill(SIGCONT)?;
    child.reaches(answered)?;
    child.join()
}

/// Each signal whose default action is Ign, and SIGCONT for a process that is not stopped, leaves even a blocked read alone.
#[case(SIGNAL_7, "Standard signals", settles = ["A37", "signal.7 SIGCHLD", "signal.7 SIGURG", "signal.7 SIGWINCH"])]
fn some_signals_are_ignored_unless_caught() -> Verdict {
    for signal in that(Default::Ignore).chain(that(Default::Continue)) {
        let (r, w) = pipe()?;
        let child = Child::spawn(|| holds!(read(&r, &mut [0]) == Ok(1), "{signal}"))?;
        child.blocked_in(READ)?;
        child.kill(signal)?;
        // A read that the signal has woken would not look at the data.
        child.blocked_in(READ)?;
        write(&w, b".")?;
        check!(child.wait()? == End::Exited(0), "{signal}");
    }
    Ok(())
}

/// A handler can be set for each signal except SIGKILL and SIGSTOP; it runs in the process when that signal arrives, and then the process goes on.
#[case(SIGNAL_7, "Signal dispositions", settles = ["A39", "B17"], also = [(SIGACTION_2, "DESCRIPTION")])]
fn every_other_signal_can_be_caught() -> Verdict {
    for signal in Sig::catchable() {
        check!(Action::record().on(signal) == Ok(()), "{signal:?}");
    }
    for signal in Sig::catchable() {
        check!(send(getpid(), signal) == Ok(()), "{signal:?}");
        check!(delivered().last() == Some(&signal));
    }
    check!(delivered() == Sig::catchable().collect::<Vec<_>>());
    Ok(())
}

/// Each signal except SIGKILL and SIGSTOP can be ignored, and then leaves even a blocked read alone.
#[case(SIGNAL_7, "Signal dispositions", settles = ["A40"], also = [(SIGACTION_2, "DESCRIPTION")])]
fn every_other_signal_can_be_ignored() -> Verdict {
    let (r, w) = pipe()?;
    let child = Child::spawn(|| {
        for signal in Sig::catchable() {
            check!(Action::ignore().on(signal) == Ok(()), "{signal:?}");
        }
        check!(read(&r, &mut [0]) == Ok(1));
        check!(pending() == Ok(Signals::NONE));
        Ok(())
    })?;
    child.blocked_in(READ)?;
    for signal in Sig::catchable() {
        check!(send(child.pid(), signal) == Ok(()), "{signal:?}");
    }
    child.blocked_in(READ)?;
    write(&w, b".")?;
    check!(child.wait()? == End::Exited(0));
    Ok(())
}

/// SIGKILL and SIGSTOP can be neither caught nor ignored: every attempt to set an action for them is refused and changes nothing.
#[case(SIGACTION_2, "ERRORS", settles = ["A41", "sigaction.2 EINVAL"], also = [(SIGNAL_7, "Standard signals")])]
fn sigkill_and_sigstop_take_no_other_action() -> Verdict {
    for signal in [SIGKILL, SIGSTOP] {
        check!(Action::record().on(signal) == Err(EINVAL), "catching {signal}");
        check!(Action::ignore().on(signal) == Err(EINVAL), "ignoring {signal}");
        check!(disposition(signal) == Ok(Disposition::Default), "{signal}");
        let child = Child::spawn(move || {
            setpgid(getpid(), getpid())?;
            let _ = (Action::record().on(signal), Action::ignore().on(signal));
            Ok(pause()?)
        })?;
        child.blocked_in(PAUSE)?;
        child.kill(signal)?;
        if signal == SIGSTOP {
            check!(child.wait_stopped()? == libc::SIGSTOP);
        } else {
            check!(child.wait()? == End::Killed(libc::SIGKILL));
        }
    }
    Ok(())
}

/// SIGKILL and SIGSTOP are never blocked: every mask may name them, without effect, and one stops and the other ends the process all the same.
#[case(SIGNAL_7, "Standard signals", settles = ["A41"], also = [(SIGSUSPEND_2, "DESCRIPTION"), (SIGACTION_2, "NOTES")])]
fn sigkill_and_sigstop_are_never_blocked() -> Verdict {
    let others = Signals::ALL.but(SIGKILL).but(SIGSTOP);
    Action::record().mask(Signals::ALL).on(SIGUSR1)?;
    send(getpid(), SIGUSR1)?;
    check!(delivered() == [SIGUSR1]);
    for unblockable in [SIGKILL, SIGSTOP] {
        check!(!deliveries()[0].mask.has(unblockable), "{unblockable} in sa_mask");
    }
    let child = Child::spawn(|| {
        check!(block(Signals::ALL).is_ok());
        check!(mask() == Ok(others));
        Ok(suspend(Signals::ALL)?)
    })?;
    child.blocked_in(SIGSUSPEND)?;
    child.kill(SIGSTOP)?;
    check!(child.wait_stopped()? == libc::SIGSTOP);
    child.kill(SIGKILL)?;
    check!(child.wait()? == End::Killed(libc::SIGKILL));
    Ok(())
}

/// sigaction tells the action that it replaces: what was done, the flags and the mask.
#[case(SIGACTION_2, "DESCRIPTION")]
fn sigaction_tells_the_action_before() -> Verdict {
    let (flags, mask) =
        (libc::SA_NODEFER | libc::SA_RESTART, Signals::from(SIGHUP).and(Sig::rt(3)));
    let (caught, none) = (Action::record().flags(flags).mask(mask), Signals::NONE);
    check!(caught.replace(SIGUSR1) == Ok((Disposition::Default, 0, none)));
    let told = Action::ignore().replace(SIGUSR1);
    check!(told == Ok((Disposition::Caught, flags | libc::SA_SIGINFO, mask)));
    let told = Action::default().replace(SIGUSR1);
    check!(told == Ok((Disposition::Ignored, libc::SA_SIGINFO, none)));
    Ok(())
}

/// A flag that no kernel knows is cleared from what sigaction tells of the action before, and a known one beside it is not.
#[case(SIGACTION_2, "Dynamically probing for flag bit support", settles = ["sigaction.2 SA_UNSUPPORTED"])]
fn unknown_flag_is_cleared_from_what_is_told() -> Verdict {
    const SA_UNSUPPORTED: i32 = 0x400;
    Action::record().flags(libc::SA_NODEFER | SA_UNSUPPORTED).on(SIGUSR1)?;
    let (_, told, _) = Action::default().replace(SIGUSR1)?;
    check!(told & (libc::SA_NODEFER | SA_UNSUPPORTED) == libc::SA_NODEFER);
    Ok(())
}

/// With SA_RESETHAND the default action is back when the handler begins, so that a second signal ends the process.
#[case(SIGACTION_2, "DESCRIPTION", settles = ["sigaction.2 SA_RESETHAND"])]
fn resethand_handles_one_signal() -> Verdict {
    let handled = Latch::new()?;
    let child = Child::spawn(|| {
        let body = move |_: &_| {
            if disposition(SIGTERM) == Ok(Disposition::Default) {
                handled.open();
            }
        };
        Action::run(body).flags(libc::SA_RESETHAND).on(SIGTERM)?;
        loop {
            let _ = pause();
        }
    })?;
    child.blocked_in(PAUSE)?;
    child.kill(SIGTERM)?;
    child.reaches(handled)?;
    child.kill(SIGTERM)?;
    check!(child.wait()? == End::Killed(libc::SIGTERM));
    Ok(())
}

/// A forked child has a copy of its parent's actions and mask and nothing pending, and what it changes is its own.
#[case(SIGNAL_7, "Signal mask and pending signals", settles = ["B17"], also = [(SIGNAL_7, "Signal dispositions")])]
fn fork_copies_actions_and_mask() -> Verdict {
    Action::record().on(SIGUSR1)?;
    Action::ignore().on(SIGUSR2)?;
    block(SIGTERM)?;
    send(getpid(), SIGTERM)?;
    Child::spawn(|| {
        check!(disposition(SIGUSR1) == Ok(Disposition::Caught));
        check!(disposition(SIGUSR2) == Ok(Disposition::Ignored));
        check!(mask() == Ok(SIGTERM.into()));
        check!(pending() == Ok(Signals::NONE));
        Action::default().on(SIGUSR1)?;
        unblock(SIGTERM)?;
        block(SIGHUP)?;
        Ok(send(getpid(), SIGHUP)?)
    })?
    .join()?;
    check!(disposition(SIGUSR1) == Ok(Disposition::Caught));
    check!(mask() == Ok(SIGTERM.into()));
    check!(pending() == Ok(SIGTERM.into()));
    Ok(())
}

/// All threads of a process have the same actions, and each a mask of its own that begins as its creator's.
#[case(SIGNAL_7, "Signal mask and pending signals", settles = ["B17"], also = [(SIGNAL_7, "Signal dispositions")])]
fn threads_share_actions_but_not_masks() -> Verdict {
    Action::record().on(SIGUSR1)?;
    let first = block(SIGUSR2)?.and(SIGUSR2);
    Thread::spawn(move || {
        check!(disposition(SIGUSR1) == Ok(Disposition::Caught));
        Action::ignore().on(SIGUSR1)?;
        check!(mask() == Ok(first));
        block(SIGTERM)?;
        unblock(SIGUSR2)?;
        Ok(())
    })?
    .join()?;
    check!(disposition(SIGUSR1) == Ok(Disposition::Ignored));
    check!(mask() == Ok(first));
    Ok(())
}

/// Across an exec the ignored signals, the mask and the pending signals stay, and what was caught has its default action again.
#[case(SIGNAL_7, "Signal dispositions", needs = [Need::Proc, A_PROGRAM], also = [(SIGNAL_7, "Signal mask and pending signals"), (EXECVE_2, "DESCRIPTION")])]
fn exec_resets_what_was_caught() -> Verdict {
    let program = Program::start(|| {
        Action::record().on(SIGUSR1)?;
        Action::ignore().on(SIGUSR2)?;
        block(SIGTERM)?;
        Ok(send(getpid(), SIGTERM)?)
    })?;
    let status = fs::read_to_string(format!("/proc/{}/status", program.pid()))?;
    let set = |name| Signals::in_status(&status, name);
    check!(set("SigCgt") == Some(Signals::NONE));
    check!(set("SigIgn") == Some(SIGUSR2.into()));
    check!(set("SigBlk") == Some(SIGTERM.into()));
    check!(set("ShdPnd") == Some(SIGTERM.into()));
    program.finish()
}
