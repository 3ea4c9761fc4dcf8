//! Signals that are sent through a descriptor of a process or a thread.

use nix::unistd::setpgid;

use super::idle;
use crate::prelude::*;
use crate::sys::pidfd::{OF_THREADS, PIDFD, PIDFD_THREAD, Pidfd, SCOPES, Scope};
use crate::sys::signals::{Signals, block, pause, pending};

/// The cases of this module.
pub const CASES: &[Case] = &[
    descriptor_of_a_thread_signals_that_thread,
    thread_flag_signals_the_leader_alone,
    thread_group_flag_signals_the_process,
    process_group_flag_signals_every_member,
    unknown_scope_is_refused,
];

/// Sends SIGUSR1, which every thread blocks, to this thread or to another one
/// of the process; which of the two has it pending then.
fn pending_after(sending: impl FnOnce(&Thread) -> Verdict) -> Verdict<(Signals, Signals)> {
    let (sent, other) = (Latch::new()?, Counter::new()?);
    block(SIGUSR1)?;
    let thread = Thread::spawn(move || {
        sent.wait()?;
        other.set(u64::from(pending()?.has(SIGUSR1)));
        Ok(())
    })?;
    sending(&thread)?;
    sent.open();
    thread.join()?;
    let other = if other.get() == 1 { SIGUSR1.into() } else { Signals::NONE };
    Ok((pending()?, other))
}

/// A descriptor that was made with PIDFD_THREAD sends a signal to its thread alone.
#[case(PIDFD_SEND_SIGNAL_2, "DESCRIPTION", also = [(PIDFD_OPEN_2, "DESCRIPTION")], needs = [Need::Facility(OF_THREADS)])]
fn descriptor_of_a_thread_signals_that_thread() -> Verdict {
    let found = pending_after(|thread| {
        let thread = Pidfd::open(thread.tid(), PIDFD_THREAD)?;
        holds!(thread.send(SIGUSR1, 0) == Ok(()))
    })?;
    check!(found == (Signals::NONE, SIGUSR1.into()), "this thread, the other");
    Ok(())
}

/// With PIDFD_SIGNAL_THREAD a signal goes to the first thread alone, though the descriptor is that of the process.
#[case(PIDFD_SEND_SIGNAL_2, "DESCRIPTION", settles = ["pidfd_send_signal.2 PIDFD_SIGNAL_THREAD"], needs = [Need::Facility(SCOPES)])]
fn thread_flag_signals_the_leader_alone() -> Verdict {
    let process = Pidfd::open(getpid(), 0)?;
    let found = pending_after(|_| holds!(process.send(SIGUSR1, Scope::Thread as u32) == Ok(())))?;
    check!(found == (SIGUSR1.into(), Signals::NONE), "this thread, the other");
    Ok(())
}

/// With PIDFD_SIGNAL_THREAD_GROUP a signal goes to the process, though the descriptor is that of its first thread.
#[case(PIDFD_SEND_SIGNAL_2, "DESCRIPTION", settles = ["pidfd_send_signal.2 PIDFD_SIGNAL_THREAD_GROUP"], needs = [Need::Facility(OF_THREADS), Need::Facility(SCOPES)])]
fn thread_group_flag_signals_the_process() -> Verdict {
    let leader = Pidfd::open(getpid(), PIDFD_THREAD)?;
    let scope = Scope::ThreadGroup as u32;
    let found = pending_after(|_| holds!(leader.send(SIGUSR1, scope) == Ok(())))?;
    check!(found == (SIGUSR1.into(), SIGUSR1.into()), "this thread, the other");
    Ok(())
}

/// With PIDFD_SIGNAL_PROCESS_GROUP a signal goes to every process of the group that the process leads, and to no other.
#[case(PIDFD_SEND_SIGNAL_2, "DESCRIPTION", settles = ["pidfd_send_signal.2 PIDFD_SIGNAL_PROCESS_GROUP"], needs = [Need::Facility(SCOPES)])]
fn process_group_flag_signals_every_member() -> Verdict {
    let (leader, outsider, joined) = (idle()?, idle()?, Latch::new()?);
    let group = leader.pid();
    let member = Child::spawn(|| {
        setpgid(getpid(), group)?;
        joined.open();
        Ok(pause()?)
    })?;
    member.reaches(joined)?;
    let pidfd = Pidfd::open(group, 0)?;
    check!(pidfd.send(SIGTERM, Scope::ProcessGroup as u32) == Ok(()));
    check!(leader.wait()? == End::Killed(libc::SIGTERM));
    check!(member.wait()? == End::Killed(libc::SIGTERM));
    // SIGTERM would be delivered before the higher number.
    outsider.kill(SIGPROF)?;
    check!(outsider.wait()? == End::Killed(libc::SIGPROF));
    Ok(())
}

refusals! {
    PIDFD_SEND_SIGNAL_2, "ERRORS", needs = [Need::Facility(PIDFD)];

    /// A flag that pidfd_send_signal does not know is refused.
    ["pidfd_send_signal.2 EINVAL 3"] unknown_scope_is_refused => EINVAL: Pidfd::open(getpid(), 0)?.send(SIGCONT, 1 << 31);
}
