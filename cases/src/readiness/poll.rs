//! poll: what is reported, and what wakes.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::prelude::*;
use crate::sys::descriptors::{just_closed, read_all};
use crate::sys::pipes::{Fifo, fill_pipe};
use crate::sys::poll::{ERR, HUP, IN, NONE, OUT, now, wait};
use crate::sys::signals::catch;

/// The cases of this module.
pub const CASES: &[Case] = &[
    data_makes_a_pipe_readable,
    room_makes_a_pipe_writable,
    hang_up_comes_beside_the_data_that_is_left,
    lost_reader_is_an_error_of_the_write_end,
    fifo_hangs_up_only_when_a_writer_has_left,
    closed_descriptor_is_invalid,
    poll_counts_descriptors_and_keeps_the_request,
    write_wakes_a_sleeping_poller,
    last_close_wakes_the_pollers_of_the_other_end,
    signal_ends_a_poll,
];

/// POLLIN says that there is data to read: not before a write, and not after the last byte is read.
#[case(POLL_2, "DESCRIPTION", settles = ["poll.2 POLLIN"])]
fn data_makes_a_pipe_readable() -> Verdict {
    let (r, w) = pipe()?;
    check!(now(&r, IN) == Ok(NONE));
    write(&w, b"ab")?;
    for _ in 0..2 {
        check!(now(&r, IN) == Ok(IN));
        check!(text(&r, 1)?.len() == 1);
    }
    check!(now(&r, IN) == Ok(NONE));
    Ok(())
}

/// POLLOUT says that writing is possible: on an empty pipe, not on a full one, again when there is room.
#[case(POLL_2, "DESCRIPTION", settles = ["poll.2 POLLOUT"])]
fn room_makes_a_pipe_writable() -> Verdict {
    let (r, w) = pipe()?;
    check!(now(&w, OUT) == Ok(OUT));
    let all = fill_pipe(&w)?;
    check!(now(&w, OUT) == Ok(NONE));
    check!(read_all(&r, all)?.len() == all);
    check!(now(&w, OUT) == Ok(OUT));
    check!(write(&w, b"x") == Ok(1));
    Ok(())
}

/// POLLHUP says that the last writer has gone, beside POLLIN while there is data and alone thereafter.
#[case(POLL_2, "DESCRIPTION", settles = ["poll.2 POLLHUP"])]
fn hang_up_comes_beside_the_data_that_is_left() -> Verdict {
    let (r, w) = pipe()?;
    write(&w, b"left")?;
    check!(now(&r, IN) == Ok(IN));
    drop(w);
    check!(now(&r, IN) == Ok(IN | HUP));
    check!(now(&r, NONE) == Ok(HUP));
    check!(text(&r, 8) == Ok("left"));
    check!(now(&r, IN) == Ok(HUP));
    check!(text(&r, 8) == Ok(""));
    Ok(())
}

/// POLLERR is reported of a write end whose reader has gone, asked for or not, and of no other.
#[case(POLL_2, "DESCRIPTION", settles = ["poll.2 POLLERR"])]
fn lost_reader_is_an_error_of_the_write_end() -> Verdict {
    let (r, w) = pipe()?;
    let copy = dup(&r)?;
    drop(r);
    check!(now(&w, NONE) == Ok(NONE));
    drop(copy);
    check!(now(&w, NONE) == Ok(ERR));
    check!(now(&w, OUT)?.contains(ERR));
    Ok(())
}

/// A FIFO without a writer hangs up only once a writer has left it, and no longer when a new one comes.
#[case(POLL_2, "DESCRIPTION", also = [(FIFO_7, "DESCRIPTION")])]
fn fifo_hangs_up_only_when_a_writer_has_left() -> Verdict {
    let fifo = Fifo::new("fifo")?;
    let r = fifo.early_reader()?;
    check!(now(&r, IN) == Ok(NONE));
    drop(fifo.writer()?);
    check!(now(&r, IN) == Ok(HUP));
    let _w = fifo.writer()?;
    check!(now(&r, IN) == Ok(NONE));
    Ok(())
}

/// POLLNVAL is reported of a descriptor that is not open, and the call goes on to the others.
#[case(POLL_2, "DESCRIPTION", settles = ["poll.2 POLLNVAL"])]
fn closed_descriptor_is_invalid() -> Verdict {
    let (r, w) = pipe()?;
    let gone = just_closed(dup(&r)?);
    let mut fds = [PollFd::new(gone, NONE), PollFd::new(w.as_fd(), OUT)];
    check!(poll(&mut fds, PollTimeout::NONE) == Ok(2));
    check!(fds[0].revents() == Some(PollFlags::POLLNVAL));
    check!(fds[1].revents() == Some(OUT));
    Ok(())
}

/// Poll returns how many descriptors have events, clears what the others reported, and leaves what was asked.
#[case(POLL_2, "RETURN VALUE", also = [(POLL_2, "DESCRIPTION")])]
fn poll_counts_descriptors_and_keeps_the_request() -> Verdict {
    let (r, w) = pipe()?;
    let mut fds = [PollFd::new(r.as_fd(), IN), PollFd::new(w.as_fd(), OUT)];
    write(&w, b"x")?;
    check!(poll(&mut fds, PollTimeout::ZERO) == Ok(2));
    check!(text(&r, 1) == Ok("x"));
    check!(poll(&mut fds, PollTimeout::ZERO) == Ok(1));
    check!((fds[0].revents(), fds[1].revents()) == (Some(NONE), Some(OUT)));
    check!((fds[0].events(), fds[1].events()) == (IN, OUT));
    Ok(())
}

/// A write wakes the processes that sleep in poll on the read end.
#[case(POLL_2, "DESCRIPTION")]
fn write_wakes_a_sleeping_poller() -> Verdict {
    let (r, w) = pipe()?;
    let pollers = Children::spawn(2, |_| holds!(wait(&r, IN, PollTimeout::NONE) == Ok(IN)))?;
    pollers.blocked_in(POLL)?;
    write(&w, b"x")?;
    pollers.join()
}

/// The last close of one end wakes who sleeps in poll on the other, though they asked for nothing.
#[case(POLL_2, "DESCRIPTION")]
fn last_close_wakes_the_pollers_of_the_other_end() -> Verdict {
    let ((r, other_w), (other_r, w)) = (pipe()?, pipe()?);
    let poller = |end, wanted| {
        Child::spawn(|| {
            close_copy(&other_r)?;
            close_copy(&other_w)?;
            check!(wait(end, NONE, PollTimeout::NONE) == Ok(wanted));
            Ok(())
        })
    };
    let (reader, writer) = (poller(&r, HUP)?, poller(&w, ERR)?);
    reader.blocked_in(POLL)?;
    writer.blocked_in(POLL)?;
    drop((other_r, other_w));
    reader.join()?;
    writer.join()
}

/// A signal handler that runs before any event makes poll fail with EINTR.
#[case(POLL_2, "ERRORS", settles = ["poll.2 EINTR"])]
fn signal_ends_a_poll() -> Verdict {
    let (r, _w) = pipe()?;
    catch(SIGUSR1)?;
    let poller = Child::spawn(|| holds!(wait(&r, IN, PollTimeout::NONE) == Err(EINTR)))?;
    poller.interrupt_in(POLL, SIGUSR1)
}
