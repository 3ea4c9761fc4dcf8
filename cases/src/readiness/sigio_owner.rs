//! O_ASYNC: who gets the signal.

use nix::unistd::setpgid;

use crate::prelude::*;
use crate::sys::privilege::become_lone_user;
use crate::sys::program::{A_PROGRAM, Program};
use crate::sys::sigio::{
    GROUP, Kind, PROCESS, THREAD, announce, choose_signal, owner, owner_ex, set_async, set_owner,
    set_owner_ex,
};
use crate::sys::signals::{Signals, accept, accept_pending, block, pending};

/// The cases of this module.
pub const CASES: &[Case] = &[
    owner_is_told_as_it_was_set,
    kind_of_owner_is_told_as_it_was_set,
    owner_may_be_another_process,
    any_thread_of_the_owning_process_takes_it,
    owning_thread_alone_gets_it,
    every_member_of_the_owning_group_gets_it,
    nobody_owns_a_new_descriptor,
    owner_that_died_owns_no_more,
    owner_that_does_not_exist_is_refused,
    kind_that_does_not_exist_is_refused,
    setter_signals_only_whom_it_may_signal,
    permission_is_that_of_the_setter_when_it_set,
    child_shares_the_settings,
    signal_reaches_the_program_that_the_owner_executes,
];

/// F_GETOWN tells the owner that was set, a process as a positive and a process group as a negative number.
#[case(F_GETOWN_2CONST, "DESCRIPTION", also = [(F_GETOWN_2CONST, "RETURN VALUE")], settles = ["F_GETOWN.2const/DESCRIPTION F_GETOWN", "F_GETSIG.2const/DESCRIPTION F_GETOWN", "F_GETOWN.2const/RETURN VALUE F_GETOWN", "F_GETSIG.2const/RETURN VALUE F_GETOWN", "F_GETOWN.2const/RETURN VALUE F_SETOWN", "F_GETSIG.2const/RETURN VALUE F_SETOWN"])]
fn owner_is_told_as_it_was_set() -> Verdict {
    let (r, w) = pipe()?;
    let child = group_of_its_own()?;
    for id in [child.pid().as_raw(), -child.pid().as_raw(), getpid().as_raw()] {
        check!(set_owner(&r, id) == Ok(0), "{id}");
        check!(owner(&r) == Ok(id));
        check!(owner(dup(&r)?) == Ok(id));
        check!(owner(&w) == Ok(0), "the other end");
    }
    Ok(())
}

/// F_GETOWN_EX tells kind and number as F_SETOWN_EX or F_SETOWN set them, the number positive, and F_GETOWN agrees.
#[case(F_GETOWN_2CONST, "DESCRIPTION", also = [(F_GETOWN_2CONST, "RETURN VALUE")], settles = ["F_GETOWN.2const/DESCRIPTION F_GETOWN_EX", "F_GETSIG.2const/DESCRIPTION F_GETOWN_EX", "F_GETOWN.2const/RETURN VALUE F_GETOWN_EX", "F_GETSIG.2const/RETURN VALUE F_GETOWN_EX", "F_GETOWN.2const/RETURN VALUE F_SETOWN_EX", "F_GETSIG.2const/RETURN VALUE F_SETOWN_EX"])]
fn kind_of_owner_is_told_as_it_was_set() -> Verdict {
    let (r, _w) = pipe()?;
    let child = group_of_its_own()?;
    let id = child.pid();
    for (kind, number) in [(PROCESS, id.as_raw()), (GROUP, -id.as_raw())] {
        check!(set_owner_ex(&r, THREAD, id) == Ok(0));
        check!(owner_ex(&r) == Ok((THREAD, id)));
        check!(set_owner_ex(&r, kind, id) == Ok(0));
        check!(owner_ex(&r) == Ok((kind, id)));
        check!(owner(&r) == Ok(number));
        set_owner_ex(&r, THREAD, id)?;
        set_owner(&r, number)?;
        check!(owner_ex(&r) == Ok((kind, id)));
    }
    Ok(())
}

/// The owner gets the signal though another process set it, and the one that set it gets none.
#[case(F_GETOWN_2CONST, "DESCRIPTION", settles = ["F_GETOWN.2const/DESCRIPTION F_SETOWN_EX", "F_GETSIG.2const/DESCRIPTION F_SETOWN_EX"])]
fn owner_may_be_another_process() -> Verdict {
    block(SIGIO)?;
    for extended in [false, true] {
        let (r, w) = pipe()?;
        let child = Child::spawn(|| holds!(accept(SIGIO, None).is_ok()))?;
        if extended {
            set_owner_ex(&r, PROCESS, child.pid())?;
        } else {
            set_owner(&r, child.pid().as_raw())?;
        }
        set_async(&r, true)?;
        write(&w, b"x")?;
        child.join()?;
        check!(!pending()?.has(SIGIO));
    }
    Ok(())
}

/// A signal to an owning process is for all its threads: each sees it pending, and one takes it.
#[case(F_GETOWN_2CONST, "DESCRIPTION", settles = ["F_GETOWN.2const/DESCRIPTION F_OWNER_PID", "F_GETSIG.2const/DESCRIPTION F_OWNER_PID"])]
fn any_thread_of_the_owning_process_takes_it() -> Verdict {
    let (r, w) = pipe()?;
    block(Signals::ALL)?;
    let sent = Latch::new()?;
    let thread = Thread::spawn(move || {
        sent.wait()?;
        check!(accept_pending(SIGUSR1).is_ok());
        Ok(())
    })?;
    choose_signal(&r, SIGUSR1)?;
    set_owner_ex(&r, PROCESS, getpid())?;
    set_async(&r, true)?;
    write(&w, b"x")?;
    check!(pending()?.has(SIGUSR1));
    sent.open();
    thread.join()?;
    check!(!pending()?.has(SIGUSR1));
    Ok(())
}

/// A signal to an owning thread is for that thread alone, not for the others of its process.
#[case(F_GETOWN_2CONST, "DESCRIPTION", settles = ["F_GETOWN.2const/DESCRIPTION F_OWNER_TID", "F_GETSIG.2const/DESCRIPTION F_OWNER_TID"])]
fn owning_thread_alone_gets_it() -> Verdict {
    block(Signals::from(SIGIO).and(SIGUSR1))?;
    for signal in [SIGIO, SIGUSR1] {
        let (r, w) = pipe()?;
        let sent = Latch::new()?;
        let [other, thread] = [false, true].map(|gets| {
            Thread::spawn(move || {
                sent.wait()?;
                check!(pending()?.has(signal) == gets, "{signal}, the owner: {gets}");
                Ok(())
            })
        });
        let (other, thread) = (other?, thread?);
        choose_signal(&r, signal)?;
        set_owner_ex(&r, THREAD, thread.tid())?;
        set_async(&r, true)?;
        write(&w, b"x")?;
        check!(!pending()?.has(signal));
        sent.open();
        thread.join()?;
        other.join()?;
    }
    Ok(())
}

/// Every process of the owning group gets the signal, and none outside of it.
#[case(F_GETOWN_2CONST, "DESCRIPTION", settles = ["F_GETOWN.2const/DESCRIPTION F_OWNER_PGRP", "F_GETSIG.2const/DESCRIPTION F_OWNER_PGRP"])]
fn every_member_of_the_owning_group_gets_it() -> Verdict {
    block(SIGIO)?;
    for extended in [false, true] {
        let (r, w) = pipe()?;
        let members = Children::spawn(3, |_| holds!(accept(SIGIO, None).is_ok()))?;
        let group = members[0].pid();
        for member in members.iter() {
            setpgid(member.pid(), group)?;
        }
        if extended {
            set_owner_ex(&r, GROUP, group)?;
        } else {
            set_owner(&r, -group.as_raw())?;
        }
        set_async(&r, true)?;
        write(&w, b"x")?;
        members.join()?;
        check!(!pending()?.has(SIGIO));
    }
    Ok(())
}

/// A new descriptor has the owner 0, nobody, and so has one whose owner was set to 0: no signal is sent.
// POSIX gives the 0 its meaning, for SIGURG.
#[case(F_GETOWN_2CONST, "DESCRIPTION")]
fn nobody_owns_a_new_descriptor() -> Verdict {
    let (r, w) = pipe()?;
    block(SIGIO)?;
    set_async(&r, true)?;
    check!(owner(&r) == Ok(0));
    write(&w, b"x")?;
    check!(!pending()?.has(SIGIO));
    for id in [getpid().as_raw(), -getpid().as_raw()] {
        set_owner(&r, id)?;
        check!(set_owner(&r, 0) == Ok(0));
        check!(owner(&r) == Ok(0));
        write(&w, b"x")?;
        check!(!pending()?.has(SIGIO));
    }
    announce(&r)?;
    write(&w, b"x")?;
    check!(pending()?.has(SIGIO));
    Ok(())
}

/// Input whose owner has died takes nothing from the writer, and F_GETOWN names nobody any more.
// F_GETOWN names who is "currently receiving"; that the dead do not is a change of its own in Linux.
#[case(F_GETOWN_2CONST, "DESCRIPTION")]
fn owner_that_died_owns_no_more() -> Verdict {
    let (r, w) = pipe()?;
    block(SIGIO)?;
    let child = Child::spawn(|| Latch::new()?.wait())?;
    set_owner(&r, child.pid().as_raw())?;
    set_async(&r, true)?;
    child.kill(SIGKILL)?;
    child.wait()?;
    check!(write(&w, b"x") == Ok(1));
    check!(owner(&r) == Ok(0));
    check!(!pending()?.has(SIGIO));
    announce(&r)?;
    check!(write(&w, b"x") == Ok(1));
    check!(pending()?.has(SIGIO));
    Ok(())
}

/// A user's signals reach the user's own processes only, and others silently get none, though root caused the event.
#[case(F_GETOWN_2CONST, "DESCRIPTION", needs = [Need::OtherUsers])]
fn setter_signals_only_whom_it_may_signal() -> Verdict {
    let (r, w) = pipe()?;
    block(SIGIO)?;
    let roots = getpid();
    Child::spawn(|| {
        become_lone_user(0)?;
        check!(set_owner(&r, roots.as_raw()) == Ok(0));
        Ok(set_async(&r, true)?)
    })?
    .join()?;
    check!(owner(&r) == Ok(roots.as_raw()));
    check!(write(&w, b"x") == Ok(1));
    check!(!pending()?.has(SIGIO));
    set_owner(&r, roots.as_raw())?;
    write(&w, b"x")?;
    check!(pending()?.has(SIGIO));
    Ok(())
}

/// What counts is what the setter was when it set the owner, not what it has become or who causes the event.
#[case(F_GETOWN_2CONST, "DESCRIPTION", needs = [Need::OtherUsers])]
fn permission_is_that_of_the_setter_when_it_set() -> Verdict {
    let (r, w) = pipe()?;
    block(SIGIO)?;
    let roots = Child::spawn(|| holds!(accept(SIGIO, None).is_ok()))?;
    Child::spawn(|| {
        set_owner(&r, roots.pid().as_raw())?;
        set_async(&r, true)?;
        become_lone_user(0)?;
        check!(roots.kill(SIGIO) == Err(EPERM));
        say(&w, "x")
    })?
    .join()?;
    roots.join()
}

/// A forked child has the same signal and owner settings as its parent: either changes them for both.
#[case(FORK_2, "DESCRIPTION")]
fn child_shares_the_settings() -> Verdict {
    let (r, w) = pipe()?;
    block(Signals::from(SIGIO).and(SIGUSR1))?;
    announce(&r)?;
    let parent = getpid().as_raw();
    Child::spawn(|| {
        check!(owner(&r) == Ok(parent));
        write(&w, b"x")?;
        check!(pending()? == Signals::NONE);
        Ok(choose_signal(&r, SIGUSR1).map(drop)?)
    })?
    .join()?;
    check!(pending()? == Signals::from(SIGIO));
    write(&w, b"x")?;
    check!(pending()?.has(SIGUSR1));
    Child::spawn(|| Ok(set_owner(&r, getpid().as_raw()).map(drop)?))?.join()?;
    check!(owner(&r) != Ok(parent));
    Ok(())
}

/// An owner that executes a program stays the owner, and SIGIO ends a program that does nothing about it.
#[case(EXECVE_2, "DESCRIPTION", also = [(SIGNAL_7, "Standard signals")], needs = [A_PROGRAM])]
fn signal_reaches_the_program_that_the_owner_executes() -> Verdict {
    let (r, w) = pipe()?;
    let program = Program::start(|| Ok(announce(&r)?))?;
    check!(owner(&r) == Ok(program.pid().as_raw()));
    write(&w, b"x")?;
    check!(program.wait()? == End::Killed(libc::SIGIO));
    Ok(())
}

refusals! {
    F_GETOWN_2CONST, "DESCRIPTION";

    /// A process or group that does not exist is refused as an owner, and the owner stays who it was.
    [] owner_that_does_not_exist_is_refused => ESRCH: {
        let (r, _w) = pipe()?;
        set_owner(&r, getpid().as_raw())?;
        let child = Child::spawn(|| Ok(()))?;
        let gone = child.pid();
        child.join()?;
        check!(set_owner(&r, gone.as_raw()) == Err(ESRCH));
        check!(set_owner(&r, -gone.as_raw()) == Err(ESRCH));
        check!(set_owner_ex(&r, GROUP, gone) == Err(ESRCH));
        check!(set_owner_ex(&r, THREAD, gone) == Err(ESRCH));
        check!(owner(&r) == Ok(getpid().as_raw()));
        set_owner_ex(&r, PROCESS, gone)
    };

    /// A kind of owner that does not exist is refused, and the owner stays who it was.
    [] kind_that_does_not_exist_is_refused => EINVAL: {
        let (r, _w) = pipe()?;
        set_owner(&r, getpid().as_raw())?;
        check!(set_owner_ex(&r, Kind(-1), getpid()) == Err(EINVAL));
        check!(set_owner_ex(&r, Kind(7), getpid()) == Err(EINVAL));
        check!(owner(&r) == Ok(getpid().as_raw()));
        set_owner_ex(&r, Kind(3), getpid())
    };
}

/// A child in a process group of its own that sleeps until it is killed.
fn group_of_its_own() -> Verdict<Child> {
    let child = Child::spawn(|| Latch::new()?.wait())?;
    setpgid(child.pid(), child.pid())?;
    Ok(child)
}
