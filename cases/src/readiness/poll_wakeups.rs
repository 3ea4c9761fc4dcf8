//! poll: what ends its sleep, and what does not.

use libc::pollfd;
use nix::poll::PollFlags;
use nix::unistd::pause;

use crate::prelude::*;
use crate::sys::descriptors::{lent, read_all};
use crate::sys::memory::page_size;
use crate::sys::pipes::{Fifo, fill_pipe};
use crate::sys::poll::{ERR, HUP, IN, NONE, OUT, RDNORM, WRNORM, entry, event, poll_for, reported};
use crate::sys::signals::{block, catch, handled, ignore};

/// The cases of this module.
pub const CASES: &[Case] = &[
    write_wakes_every_poller_of_the_read_end,
    read_that_makes_room_wakes_every_poller_of_the_write_end,
    write_wakes_a_thread_that_shares_the_descriptors,
    last_close_wakes_the_pollers_of_the_other_end,
    death_of_the_last_writer_wakes_a_poller,
    close_of_a_copy_wakes_nobody,
    poller_sleeps_on_through_what_it_did_not_ask_for,
    last_of_hundreds_wakes_a_poller,
    one_poll_tells_all_that_is_ready,
    first_writer_of_a_fifo_wakes_nobody,
    poll_of_nothing_sleeps_until_a_signal,
    signal_ends_a_poll,
    signal_without_a_handler_ends_no_poll,
    stop_ends_no_poll,
];

/// A child that polls one descriptor for `events` and is told `wanted`.
fn poller(fd: &OwnedFd, events: PollFlags, wanted: PollFlags) -> Verdict<Child> {
    Child::spawn(|| holds!(event(fd, events) == Ok(wanted)))
}

/// A write wakes every process that sleeps in poll on the read end, whichever event of reading it asked for.
#[case(POLL_2, "DESCRIPTION")]
fn write_wakes_every_poller_of_the_read_end() -> Verdict {
    let (r, w) = pipe()?;
    let asked = [IN, RDNORM, IN | RDNORM, IN];
    let pollers = Children::spawn(4, |which| holds!(event(&r, asked[which]) == Ok(asked[which])))?;
    pollers.blocked_in(POLL)?;
    write(&w, b"x")?;
    pollers.join()
}

/// A read that empties a full pipe wakes every process that sleeps in poll on the write end.
#[case(POLL_2, "DESCRIPTION")]
fn read_that_makes_room_wakes_every_poller_of_the_write_end() -> Verdict {
    let (r, w) = pipe()?;
    let all = fill_pipe(&w)?;
    let asked = [OUT, WRNORM, OUT | WRNORM, OUT];
    let pollers = Children::spawn(4, |which| holds!(event(&w, asked[which]) == Ok(asked[which])))?;
    pollers.blocked_in(POLL)?;
    check!(read_all(&r, all)?.len() == all);
    pollers.join()
}

/// A write wakes a thread that polls beside the writer, and a process that polls a copy whose original is closed.
#[case(POLL_2, "DESCRIPTION")]
fn write_wakes_a_thread_that_shares_the_descriptors() -> Verdict {
    let (r, w) = pipe()?;
    let copy = dup(&r)?;
    let distant = Child::spawn(|| {
        close_copy(&r)?;
        holds!(event(&copy, IN) == Ok(IN))
    })?;
    distant.blocked_in(POLL)?;
    let shared = lent(&r);
    let thread = Thread::spawn(move || holds!(event(shared, IN) == Ok(IN)))?;
    thread.blocked_in(POLL)?;
    write(&w, b"x")?;
    thread.join()?;
    distant.join()
}

/// The last close of one end wakes all who sleep in poll on the other, though they asked for nothing.
#[case(POLL_2, "DESCRIPTION")]
fn last_close_wakes_the_pollers_of_the_other_end() -> Verdict {
    let ((r, other_w), (other_r, w)) = (pipe()?, pipe()?);
    fill_pipe(&w)?;
    let pollers = Children::spawn(4, |which| {
        close_copy(&other_r)?;
        close_copy(&other_w)?;
        let (end, wanted) = if which % 2 == 0 { (&r, HUP) } else { (&w, ERR) };
        holds!(event(end, NONE) == Ok(wanted))
    })?;
    pollers.blocked_in(POLL)?;
    drop((other_r, other_w));
    pollers.join()
}

/// The death of the process that had the only write end wakes a poller of the read end.
#[case(POLL_2, "DESCRIPTION")]
fn death_of_the_last_writer_wakes_a_poller() -> Verdict {
    let (r, w) = pipe()?;
    let reader = Child::spawn(|| {
        close_copy(&w)?;
        holds!(event(&r, IN) == Ok(HUP))
    })?;
    let writer = Child::spawn(move || {
        let _w = w;
        pause();
        Ok(())
    })?;
    reader.blocked_in(POLL)?;
    writer.kill(SIGKILL)?;
    check!(writer.wait()? == End::Killed(libc::SIGKILL));
    reader.join()
}

/// While one copy of the write end is left, the close of another wakes nobody.
#[case(POLL_2, "DESCRIPTION")]
fn close_of_a_copy_wakes_nobody() -> Verdict {
    let (r, w) = pipe()?;
    let copy = dup(&w)?;
    let reader = Child::spawn(|| {
        close_copy(&w)?;
        close_copy(&copy)?;
        holds!(event(&r, IN) == Ok(IN))
    })?;
    let other = Child::spawn(|| {
        pause();
        Ok(())
    })?;
    reader.blocked_in(POLL)?;
    drop(copy);
    other.kill(SIGKILL)?;
    other.wait()?;
    reader.blocked_in(POLL)?;
    write(&w, b"x")?;
    reader.join()
}

/// A poller sleeps on through every event that it did not ask for, until what need not be asked for comes.
#[case(POLL_2, "DESCRIPTION")]
fn poller_sleeps_on_through_what_it_did_not_ask_for() -> Verdict {
    let ((r, w), (other_r, other_w)) = (pipe()?, pipe()?);
    fill_pipe(&other_w)?;
    let deaf = |end, events, wanted| {
        Child::spawn(|| {
            close_copy(&w)?;
            close_copy(&other_r)?;
            holds!(event(end, events) == Ok(wanted))
        })
    };
    let deaf = Children::from([deaf(&r, OUT, HUP)?, deaf(&other_w, IN, ERR)?]);
    let awake = Children::from([poller(&r, IN, IN)?, poller(&other_w, OUT, OUT)?]);
    deaf.blocked_in(POLL)?;
    awake.blocked_in(POLL)?;
    write(&w, b"x")?;
    read_all(&other_r, page_size())?;
    awake.join()?;
    deaf.blocked_in(POLL)?;
    drop((w, other_r));
    deaf.join()
}

/// A poller of hundreds of descriptors is woken by the last one alone, and told of no other.
#[case(POLL_2, "DESCRIPTION")]
fn last_of_hundreds_wakes_a_poller() -> Verdict {
    let ((r, w), (empty, _w)) = (pipe()?, pipe()?);
    let mut fds = vec![entry(&empty, IN); 250];
    fds.push(entry(&r, IN));
    let poller = Child::spawn(|| {
        check!(poll_for(&mut fds, -1) == Ok(1));
        check!(reported(&fds[250]) == IN);
        check!(fds[..250].iter().all(|fd| reported(fd) == NONE));
        Ok(())
    })?;
    poller.blocked_in(POLL)?;
    write(&w, b"x")?;
    poller.join()
}

/// One return of poll tells all that is ready by then, each with its own events.
#[case(POLL_2, "DESCRIPTION")]
fn one_poll_tells_all_that_is_ready() -> Verdict {
    let ((data, w), (lost, _), (_r, room), (_, broken)) = (pipe()?, pipe()?, pipe()?, pipe()?);
    write(&w, b"x")?;
    let mut fds = [
        entry(&lost, IN),
        entry(&data, IN),
        entry(&broken, NONE),
        entry(&room, OUT),
        entry(&room, IN),
    ];
    check!(poll_for(&mut fds, 0) == Ok(4));
    check!(fds.map(|fd: pollfd| reported(&fd)) == [HUP, IN, ERR, OUT, NONE]);
    Ok(())
}

/// A poller of a FIFO sleeps on when the first writer comes, wakes with its data, and wakes when it leaves.
#[case(POLL_2, "DESCRIPTION", also = [(FIFO_7, "DESCRIPTION")])]
fn first_writer_of_a_fifo_wakes_nobody() -> Verdict {
    let fifo = Fifo::new("fifo")?;
    let r = fifo.early_reader()?;
    let taken = Latch::new()?;
    let reader = Child::spawn(|| {
        check!(event(&r, IN) == Ok(IN));
        check!(text(&r, 1) == Ok("x"));
        taken.open();
        holds!(event(&r, IN) == Ok(HUP))
    })?;
    reader.blocked_in(POLL)?;
    let w = fifo.writer()?;
    reader.blocked_in(POLL)?;
    write(&w, b"x")?;
    reader.reaches(taken)?;
    reader.blocked_in(POLL)?;
    drop(w);
    reader.join()
}

/// Poll of no descriptor, or of negative ones only, sleeps until a signal handler has run.
#[case(POLL_2, "DESCRIPTION")]
fn poll_of_nothing_sleeps_until_a_signal() -> Verdict {
    catch(SIGUSR1)?;
    let ignored = pollfd { fd: -1, events: -1, revents: 0 };
    for elements in [0, 3] {
        let sleeper = Child::spawn(|| {
            check!(poll_for(&mut vec![ignored; elements], -1) == Err(EINTR));
            holds!(handled() == 1)
        })?;
        sleeper.interrupt_in(POLL, SIGUSR1)?;
    }
    Ok(())
}

/// A signal handler that runs before any event makes poll fail with EINTR.
#[case(POLL_2, "ERRORS", settles = ["poll.2 EINTR"])]
fn signal_ends_a_poll() -> Verdict {
    let (r, _w) = pipe()?;
    catch(SIGUSR1)?;
    let poller = Child::spawn(|| {
        check!(event(&r, IN) == Err(EINTR));
        holds!(handled() == 1)
    })?;
    poller.interrupt_in(POLL, SIGUSR1)
}

/// A signal that is blocked, ignored or harmless by default ends no poll: the poller waits for its event.
#[case(POLL_2, "DESCRIPTION", also = [(SIGNAL_7, "Interruption of system calls and library functions by signal handlers")])]
fn signal_without_a_handler_ends_no_poll() -> Verdict {
    let (r, w) = pipe()?;
    ignore(SIGUSR1)?;
    catch(SIGUSR2)?;
    block(SIGUSR2)?;
    let poller = poller(&r, IN, IN)?;
    for signal in [SIGUSR1, SIGUSR2, SIGURG] {
        poller.blocked_in(POLL_AGAIN)?;
        poller.kill(signal)?;
    }
    write(&w, b"x")?;
    poller.join()
}

/// A poller that is stopped and continued, without any handler, waits on for its event.
#[case(POLL_2, "DESCRIPTION", also = [(SIGNAL_7, "Interruption of system calls and library functions by stop signals")])]
fn stop_ends_no_poll() -> Verdict {
    let (r, w) = pipe()?;
    let poller = poller(&r, IN, IN)?;
    for _ in 0..2 {
        poller.blocked_in(POLL_AGAIN)?;
        poller.stop_and_continue()?;
    }
    poller.blocked_in(POLL_AGAIN)?;
    write(&w, b"x")?;
    poller.join()
}
