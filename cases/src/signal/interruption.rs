//! What becomes of a system call that sleeps when a signal comes.

use std::fs::{File, OpenOptions};
use std::os::unix::net::{UnixListener, UnixStream};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollTimeout};
use nix::sys::select::{FdSet, select};
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    MsgFlags, accept as accept_connection, recv, send as send_bytes, setsockopt,
};
use nix::sys::stat::Mode;
use nix::sys::time::TimeVal;
use nix::sys::wait::waitpid;
use nix::unistd::mkfifo;

use crate::prelude::*;
use crate::sys::sem::Sem;
use crate::sys::signals::{
    Action, Signals, accept, block, delivered, deliveries, mask, nanosleep, pause, pending, send,
    suspend,
};

/// The cases of this module.
pub const CASES: &[Case] = &[
    slow_calls_fail_with_eintr,
    slow_calls_go_on_after_sa_restart,
    waiting_calls_fail_with_eintr_in_spite_of_sa_restart,
    an_interrupted_write_tells_what_it_moved,
    a_sleeping_process_wakes_for_its_handler,
    sigsuspend_changes_the_mask_while_it_sleeps,
    sigsuspend_misses_no_pending_signal,
    a_stop_leaves_a_blocked_read_alone,
    a_stop_interrupts_some_calls_on_linux,
];

/// Longer than any case may take.
const HOUR: Duration = Duration::from_hours(1);

/// A call that sleeps, what it sleeps in, and what lets it go on.
struct Sleep {
    name: &'static str,
    calls: Syscalls,
    enter: Box<dyn Fn() -> nix::Result<()>>,
    release: Box<dyn Fn() -> Verdict>,
}

/// The calls that signal(7) says are restarted with SA_RESTART.
fn slow_calls() -> Verdict<Vec<Sleep>> {
    fn sleep(
        name: &'static str,
        calls: Syscalls,
        enter: impl Fn() -> nix::Result<()> + 'static,
        release: impl Fn() -> Verdict + 'static,
    ) -> Sleep {
        Sleep { name, calls, enter: Box::new(enter), release: Box::new(release) }
    }
    let mut all = vec![];

    let (r, w) = pipe()?;
    let enter = move || read(&r, &mut [0]).map(drop);
    let release = move || Ok(write(&w, b".").map(drop)?);
    all.push(sleep("read of an empty pipe", READ, enter, release));

    let (r, w) = pipe()?;
    let capacity = fcntl(&w, FcntlArg::F_GETPIPE_SZ)? as usize;
    write(&w, &vec![0; capacity])?;
    let enter = move || write(&w, b".").map(drop);
    let release = move || Ok(read(&r, &mut vec![0; capacity]).map(drop)?);
    all.push(sleep("write to a full pipe", WRITE, enter, release));

    let over = Latch::new()?;
    let enter = move || {
        let child = Child::spawn(move || over.wait()).map_err(|_| Errno::EAGAIN)?;
        waitpid(child.pid(), None).map(drop)
    };
    let release = move || {
        over.open();
        Ok(())
    };
    all.push(sleep("wait for a child", WAIT, enter, release));

    mkfifo("fifo", Mode::S_IRWXU)?;
    let enter = || nix::fcntl::open("fifo", OFlag::O_RDONLY, Mode::empty()).map(drop);
    let release = || Ok(OpenOptions::new().write(true).open("fifo").map(drop)?);
    all.push(sleep("open of a FIFO", OPEN, enter, release));

    let listener = UnixListener::bind("socket")?;
    let enter = move || close(accept_connection(listener.as_raw_fd())?);
    let release = || Ok(UnixStream::connect("socket").map(drop)?);
    all.push(sleep("accept", ACCEPT, enter, release));

    let (ours, theirs) = UnixStream::pair()?;
    let enter = move || recv(ours.as_raw_fd(), &mut [0], MsgFlags::empty()).map(drop);
    let release = move || Ok(send_bytes(theirs.as_raw_fd(), b".", MsgFlags::empty()).map(drop)?);
    all.push(sleep("recv", RECV, enter, release));

    let held = File::create("record")?;
    let whole =
        libc::flock { l_type: libc::F_WRLCK as i16, l_whence: 0, l_start: 0, l_len: 0, l_pid: 0 };
    fcntl(&held, FcntlArg::F_SETLK(&whole))?;
    let enter = move || {
        let file = File::options().write(true).open("record").map_err(|_| Errno::EIO)?;
        fcntl(&file, FcntlArg::F_SETLKW(&whole)).map(drop)
    };
    let unlock = libc::flock { l_type: libc::F_UNLCK as i16, ..whole };
    let release = move || Ok(fcntl(&held, FcntlArg::F_SETLK(&unlock)).map(drop)?);
    all.push(sleep("F_SETLKW", FCNTL, enter, release));

    let held =
        Flock::lock(File::create("flock")?, FlockArg::LockExclusive).map_err(|error| error.1)?;
    let held = std::cell::RefCell::new(Some(held));
    let enter = || {
        let file = File::open("flock").map_err(|_| Errno::EIO)?;
        Flock::lock(file, FlockArg::LockExclusive).map(drop).map_err(|error| error.1)
    };
    let release = move || {
        drop(held.take());
        Ok(())
    };
    all.push(sleep("flock", FLOCK, enter, release));
    Ok(all)
}

/// A slow call that a handler without SA_RESTART interrupts fails with EINTR.
#[case(SIGNAL_7, "Interruption of system calls and library functions by signal handlers", settles = ["A42", "wait.2 EINTR"])]
fn slow_calls_fail_with_eintr() -> Verdict {
    for Sleep { name, calls, enter, .. } in slow_calls()? {
        let child = Child::spawn(|| {
            Action::record().on(SIGUSR1)?;
            check!(enter() == Err(EINTR), "{name}");
            check!(delivered() == [SIGUSR1], "{name}");
            Ok(())
        })?;
        child.interrupt_in(calls, SIGUSR1)?;
    }
    Ok(())
}

/// A slow call that a handler with SA_RESTART interrupts sleeps again when the handler has returned, and then succeeds.
#[case(SIGNAL_7, "Interruption of system calls and library functions by signal handlers", settles = ["A42", "sigaction.2 SA_RESTART"], also = [(SIGACTION_2, "DESCRIPTION")])]
fn slow_calls_go_on_after_sa_restart() -> Verdict {
    for Sleep { name, calls, enter, release } in slow_calls()? {
        let handled = Latch::new()?;
        let child = Child::spawn(|| {
            Action::run(move |_| handled.open()).flags(libc::SA_RESTART).on(SIGUSR1)?;
            check!(enter() == Ok(()), "{name}");
            Ok(())
        })?;
        child.blocked_in(calls)?;
        child.kill(SIGUSR1)?;
        child.reaches(handled)?;
        child.blocked_in(calls)?;
        release()?;
        child.join()?;
    }
    Ok(())
}

/// The calls that wait for signals, descriptors, semaphores or time, and socket calls with a timeout, fail with EINTR in spite of SA_RESTART.
#[case(SIGNAL_7, "Interruption of system calls and library functions by signal handlers", settles = ["A42", "A43", "pause.2 EINTR", "sigsuspend.2 EINTR", "sigwaitinfo.2 EINTR"])]
fn waiting_calls_fail_with_eintr_in_spite_of_sa_restart() -> Verdict {
    type Enter<'a> = Box<dyn Fn() -> nix::Result<()> + 'a>;
    let sem = Sem::private(&[0])?;
    let (r, _w) = pipe()?;
    let (ours, _theirs) = UnixStream::pair()?;
    setsockopt(&ours, ReceiveTimeout, &TimeVal::new(3600, 0))?;
    let epoll = Epoll::new(EpollCreateFlags::empty())?;
    let poll_pipe = || poll(&mut [PollFd::new(r.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE);
    let select_pipe = || {
        let mut readers = FdSet::new();
        readers.insert(r.as_fd());
        select(None, &mut readers, None, None, None)
    };
    let wait_for_events = || epoll.wait(&mut [EpollEvent::empty()], EpollTimeout::NONE);
    let receive = || recv(ours.as_raw_fd(), &mut [0], MsgFlags::empty());
    let rows: [(Syscalls, Enter); 9] = [
        (PAUSE, Box::new(pause)),
        (SIGSUSPEND, Box::new(|| suspend(Signals::NONE))),
        (SIGTIMEDWAIT, Box::new(|| accept(SIGUSR2, None).map(drop))),
        (POLL, Box::new(|| poll_pipe().map(drop))),
        (SELECT, Box::new(|| select_pipe().map(drop))),
        (EPOLL_WAIT, Box::new(|| wait_for_events().map(drop))),
        (SEMOP, Box::new(|| sem.p())),
        (NANOSLEEP, Box::new(|| nanosleep(HOUR).0)),
        (RECV, Box::new(|| receive().map(drop))),
    ];
    for (calls, enter) in rows {
        let child = Child::spawn(|| {
            Action::record().flags(libc::SA_RESTART).on(SIGUSR1)?;
            check!(enter() == Err(EINTR), "{}", calls.name);
            check!(delivered() == [SIGUSR1], "{}", calls.name);
            Ok(())
        })?;
        child.interrupt_in(calls, SIGUSR1)?;
    }
    Ok(())
}

/// A write that a handler interrupts after it has moved some bytes tells how many, whether or not SA_RESTART is set.
#[case(SIGNAL_7, "Interruption of system calls and library functions by signal handlers", settles = ["A42"])]
fn an_interrupted_write_tells_what_it_moved() -> Verdict {
    for flags in [0, libc::SA_RESTART] {
        let (_r, w) = pipe()?;
        let capacity = fcntl(&w, FcntlArg::F_GETPIPE_SZ)? as usize;
        let child = Child::spawn(|| {
            Action::record().flags(flags).on(SIGUSR1)?;
            check!(write(&w, &vec![0; 2 * capacity]) == Ok(capacity), "sa_flags {flags:#x}");
            Ok(())
        })?;
        child.interrupt_in(WRITE, SIGUSR1)?;
    }
    Ok(())
}

/// A process that sleeps for an hour is woken at once to run its handler, and is told no less than what is left of the hour.
#[case(SIGNAL_7, "Interruption of system calls and library functions by signal handlers", settles = ["A43"])]
fn a_sleeping_process_wakes_for_its_handler() -> Verdict {
    let child = Child::spawn(|| {
        Action::record().on(SIGUSR1)?;
        let start = Instant::now();
        let (answer, left) = nanosleep(HOUR);
        check!(answer == Err(EINTR));
        check!(left + start.elapsed() >= HOUR);
        check!(delivered() == [SIGUSR1]);
        Ok(())
    })?;
    child.interrupt_in(NANOSLEEP, SIGUSR1)
}

/// While sigsuspend sleeps its mask is in force, a handler ends the sleep, and then the mask is as before.
#[case(SIGSUSPEND_2, "DESCRIPTION", settles = ["sigsuspend.2 EINTR"])]
fn sigsuspend_changes_the_mask_while_it_sleeps() -> Verdict {
    let child = Child::spawn(|| {
        Action::record().on(SIGUSR1)?;
        Action::record().on(SIGUSR2)?;
        block(SIGUSR1)?;
        check!(suspend(SIGUSR2) == Err(EINTR));
        check!(delivered() == [SIGUSR1, SIGUSR2]);
        check!(deliveries()[0].pending == SIGUSR2.into());
        check!(mask() == Ok(SIGUSR1.into()));
        Ok(())
    })?;
    child.blocked_in(SIGSUSPEND)?;
    child.kill(SIGUSR2)?;
    child.interrupt_in(SIGSUSPEND, SIGUSR1)
}

/// A signal that is pending already ends sigsuspend at once, so that none is lost between the unblocking and the sleep.
#[case(SIGSUSPEND_2, "DESCRIPTION", settles = ["sigsuspend.2 EINTR"])]
fn sigsuspend_misses_no_pending_signal() -> Verdict {
    Action::record().on(SIGUSR1)?;
    block(SIGUSR1)?;
    send(getpid(), SIGUSR1)?;
    check!(suspend(Signals::NONE) == Err(EINTR));
    check!(delivered() == [SIGUSR1]);
    check!(pending() == Ok(Signals::NONE));
    Ok(())
}

/// A process that is stopped and continued in a read of a pipe sleeps on in it.
#[case(SIGNAL_7, "Interruption of system calls and library functions by stop signals", settles = ["A42"])]
fn a_stop_leaves_a_blocked_read_alone() -> Verdict {
    let (r, w) = pipe()?;
    let child = Child::spawn(|| holds!(read(&r, &mut [0]) == Ok(1)))?;
    child.blocked_in(READ)?;
    child.kill(SIGSTOP)?;
    check!(child.wait_stopped()? == libc::SIGSTOP);
    child.kill(SIGCONT)?;
    child.wait_continued()?;
    child.blocked_in(READ)?;
    write(&w, b".")?;
    child.join()
}

/// A process that is stopped and continued in semop, epoll_wait or sigtimedwait fails there with EINTR, without any handler.
#[case(SIGNAL_7, "Interruption of system calls and library functions by stop signals", settles = ["A42"])]
fn a_stop_interrupts_some_calls_on_linux() -> Verdict {
    type Enter<'a> = Box<dyn Fn() -> nix::Result<()> + 'a>;
    let sem = Sem::private(&[0])?;
    let epoll = Epoll::new(EpollCreateFlags::empty())?;
    let wait_for_events = || epoll.wait(&mut [EpollEvent::empty()], EpollTimeout::NONE);
    let rows: [(Syscalls, Enter); 3] = [
        (SEMOP, Box::new(|| sem.p())),
        (EPOLL_WAIT, Box::new(|| wait_for_events().map(drop))),
        (SIGTIMEDWAIT, Box::new(|| accept(SIGUSR2, None).map(drop))),
    ];
    for (calls, enter) in rows {
        let child = Child::spawn(|| holds!(enter() == Err(EINTR), "{}", calls.name))?;
        child.blocked_in(calls)?;
        child.kill(SIGSTOP)?;
        check!(child.wait_stopped()? == libc::SIGSTOP);
        child.kill(SIGCONT)?;
        child.join()?;
    }
    Ok(())
}
