//! epoll: what is reported, by level and by edge, once and to whom.

use nix::poll::PollFlags;
use nix::sys::epoll::EpollFlags;

use crate::prelude::*;
use crate::sys::descriptors::{read_all, set_nonblocking};
use crate::sys::epoll::{EDGE, ERR, EXCLUSIVE, Epoll, HUP, IN, NONE, ONE_SHOT, OUT, PRI, RDHUP};
use crate::sys::pipes::{Fifo, fill_pipe};
use crate::sys::poll;
use crate::sys::sockets::{Socket, tcp_pair};

/// The cases of this module.
pub const CASES: &[Case] = &[
    // By level.
    level_is_reported_until_all_is_read,
    room_is_reported_until_the_pipe_is_full,
    hang_up_and_error_come_unasked,
    pipe_end_is_as_poll_reports_it,
    fifo_is_as_poll_reports_it,
    shut_down_peer_is_reported_on_request,
    urgent_data_is_an_exceptional_condition,
    // By edge.
    each_write_is_an_edge,
    write_after_the_pipe_was_drained_is_an_edge,
    room_in_a_full_pipe_is_an_edge,
    last_close_is_an_edge,
    events_between_two_waits_are_combined,
    edge_is_reported_to_every_instance,
    no_edge_is_lost_between_eagain_and_the_next_wait,
    // Once.
    one_shot_is_silent_until_it_is_rearmed,
    one_shot_is_silent_about_a_hang_up,
    // To whom.
    level_wakes_every_sleeper,
    one_edge_wakes_one_sleeper,
    one_shot_wakes_one_sleeper,
    every_instance_that_is_not_exclusive_wakes,
];

/// Without EPOLLET a read end is reported again and again, until all is read.
#[case(EPOLL_7, "Level-triggered and edge-triggered", settles = ["epoll_ctl.2 EPOLLIN"])]
fn level_is_reported_until_all_is_read() -> Verdict {
    let (r, w) = pipe()?;
    let epoll = Epoll::watching(&r, IN)?;
    for _ in 0..2 {
        check!(epoll.now() == Ok(None));
        write(&w, b"ab")?;
        check!(epoll.now() == Ok(Some(IN)));
        check!(text(&r, 1) == Ok("a"));
        check!(epoll.now() == Ok(Some(IN)));
        check!(text(&r, 1) == Ok("b"));
    }
    check!(epoll.now() == Ok(None));
    Ok(())
}

/// Without EPOLLET a write end is reported again and again while it has room, and not while it is full.
#[case(EPOLL_7, "Level-triggered and edge-triggered", settles = ["epoll_ctl.2 EPOLLOUT"])]
fn room_is_reported_until_the_pipe_is_full() -> Verdict {
    let (r, w) = pipe()?;
    let epoll = Epoll::watching(&w, OUT)?;
    for _ in 0..2 {
        check!(epoll.now() == Ok(Some(OUT)));
        check!(epoll.now() == Ok(Some(OUT)));
        let all = fill_pipe(&w)?;
        check!(epoll.now() == Ok(None));
        read_all(&r, all)?;
    }
    check!(epoll.now() == Ok(Some(OUT)));
    Ok(())
}

/// EPOLLHUP of a read end without a writer and EPOLLERR of a write end without a reader come unasked.
#[case(EPOLL_CTL_2, "DESCRIPTION", settles = ["epoll_ctl.2 EPOLLERR", "epoll_ctl.2 EPOLLHUP"])]
fn hang_up_and_error_come_unasked() -> Verdict {
    for events in [NONE, EDGE, ONE_SHOT, EXCLUSIVE] {
        let ((r, other_w), (other_r, w)) = (pipe()?, pipe()?);
        let (reader, writer) = (Epoll::watching(&r, events)?, Epoll::watching(&w, events)?);
        check!((reader.now(), writer.now()) == (Ok(None), Ok(None)), "{events:?}");
        drop((other_r, other_w));
        check!(reader.now() == Ok(Some(HUP)), "{events:?}");
        check!(writer.now() == Ok(Some(ERR)), "{events:?}");
    }
    Ok(())
}

/// What epoll reports of `fd`, now and to a new instance, is what poll does.
fn agrees(fd: &OwnedFd, instances: &[(Epoll, PollFlags)], state: &str) -> Verdict<PollFlags> {
    for (epoll, events) in instances {
        let wanted = poll::now(fd, *events)?;
        let got = epoll.now()?.map_or(0, |events| events.bits());
        check!(PollFlags::from_bits_retain(got as i16) == wanted, "{state}, asked for {events:?}");
    }
    Ok(poll::now(fd, poll::IN | poll::OUT)?)
}

/// An instance for each set of events that a pipe's end may be asked for.
fn instances(fd: &OwnedFd) -> nix::Result<Vec<(Epoll, PollFlags)>> {
    [(NONE, poll::NONE), (IN, poll::IN), (OUT, poll::OUT), (IN | OUT, poll::IN | poll::OUT)]
        .into_iter()
        .map(|(events, same)| Ok((Epoll::watching(fd, events)?, same)))
        .collect()
}

/// In every state of a pipe, a level-triggered watch of either end reports just what poll does.
#[case(EPOLL_7, "Level-triggered and edge-triggered")]
fn pipe_end_is_as_poll_reports_it() -> Verdict {
    let (r, w) = pipe()?;
    let (reader, writer) = (instances(&r)?, instances(&w)?);
    check!(agrees(&r, &reader, "empty")? == poll::NONE);
    check!(agrees(&w, &writer, "empty")? == poll::OUT);
    write(&w, b"x")?;
    check!(agrees(&r, &reader, "with data")? == poll::IN);
    check!(agrees(&w, &writer, "with data")? == poll::OUT);
    fill_pipe(&w)?;
    check!(agrees(&r, &reader, "full")? == poll::IN);
    check!(agrees(&w, &writer, "full")? == poll::NONE);
    drop(w);
    check!(agrees(&r, &reader, "with data, no writer")? == poll::IN | poll::HUP);
    while !text(&r, 65536)?.is_empty() {}
    check!(agrees(&r, &reader, "empty, no writer")? == poll::HUP);

    for full in [false, true] {
        let (r, w) = pipe()?;
        let writer = instances(&w)?;
        if full {
            fill_pipe(&w)?;
        }
        drop(r);
        check!(agrees(&w, &writer, "no reader")?.contains(poll::ERR), "full: {full}");
    }
    Ok(())
}

/// A watched FIFO hangs up once its last writer has left, not before the first came, and no longer when the next comes.
#[case(EPOLL_7, "Level-triggered and edge-triggered", also = [(POLL_2, "DESCRIPTION")])]
fn fifo_is_as_poll_reports_it() -> Verdict {
    let fifo = Fifo::new("fifo")?;
    let r = fifo.early_reader()?;
    let reader = instances(&r)?;
    check!(agrees(&r, &reader, "before the first writer")? == poll::NONE);
    let (w, other) = (fifo.writer()?, fifo.writer()?);
    drop(w);
    check!(agrees(&r, &reader, "with one writer of two")? == poll::NONE);
    drop(other);
    check!(agrees(&r, &reader, "after the last writer")? == poll::HUP);
    let w = fifo.writer()?;
    check!(agrees(&r, &reader, "with a new writer")? == poll::NONE);
    write(&w, b"x")?;
    check!(agrees(&r, &reader, "with data")? == poll::IN);
    Ok(())
}

/// What is on its way over a TCP connection is reported when it is there.
fn comes(epoll: &Epoll, event: EpollFlags) -> Verdict {
    Child::spawn(|| holds!(epoll.sleep() == Ok(Some(event))))?.join()
}

/// EPOLLRDHUP says, if it was asked for, that the peer has shut down its writing half or is closed.
#[case(EPOLL_CTL_2, "DESCRIPTION", settles = ["epoll_ctl.2 EPOLLRDHUP"])]
fn shut_down_peer_is_reported_on_request() -> Verdict {
    for events in [RDHUP, RDHUP | EDGE] {
        for (ours, theirs) in [Socket::pair(libc::SOCK_STREAM)?, tcp_pair(libc::AF_INET)?] {
            let (asked, unasked) = (Epoll::watching(&ours, events)?, Epoll::watching(&ours, NONE)?);
            ours.send(b"x")?;
            theirs.send(b"x")?;
            check!(asked.now() == Ok(None), "{events:?}");
            theirs.shutdown(libc::SHUT_WR)?;
            comes(&asked, RDHUP)?;
            check!(unasked.now() == Ok(None), "{events:?}");
        }
        let (ours, theirs) = Socket::pair(libc::SOCK_STREAM)?;
        let epoll = Epoll::watching(&ours, events)?;
        drop(theirs);
        check!(epoll.now() == Ok(Some(RDHUP | HUP)), "{events:?}");
    }
    Ok(())
}

/// EPOLLPRI says that a TCP socket has urgent data, not ordinary data, until that is read.
#[case(EPOLL_CTL_2, "DESCRIPTION", settles = ["epoll_ctl.2 EPOLLPRI"], also = [(POLL_2, "DESCRIPTION")])]
fn urgent_data_is_an_exceptional_condition() -> Verdict {
    let (ours, theirs) = tcp_pair(libc::AF_INET)?;
    let (urgent, any) = (Epoll::watching(&ours, PRI)?, Epoll::watching(&ours, IN)?);
    theirs.send(b"ordinary")?;
    comes(&any, IN)?;
    check!(urgent.now() == Ok(None));
    theirs.send_with(b"!", libc::MSG_OOB)?;
    comes(&urgent, PRI)?;
    check!(ours.recv_with(1, libc::MSG_OOB)? == "!");
    check!(urgent.now() == Ok(None));
    Ok(())
}

/// With EPOLLET each write is reported once, though the pipe was not empty; what is left unread is not.
#[case(EPOLL_7, "Level-triggered and edge-triggered", settles = ["epoll_ctl.2 EPOLLET"])]
fn each_write_is_an_edge() -> Verdict {
    let (r, w) = pipe()?;
    let epoll = Epoll::watching(&r, IN | EDGE)?;
    for round in 0..3 {
        write(&w, b"abc")?;
        check!(epoll.now() == Ok(Some(IN)), "round {round}");
        check!(epoll.now() == Ok(None), "round {round}");
        check!(text(&r, 1)?.len() == 1);
        check!(epoll.now() == Ok(None), "round {round}");
    }
    Ok(())
}

/// With EPOLLET a write to a pipe that was read until EAGAIN is reported, each time.
#[case(EPOLL_7, "Level-triggered and edge-triggered")]
fn write_after_the_pipe_was_drained_is_an_edge() -> Verdict {
    let (r, w) = pipe2(OFlag::O_NONBLOCK)?;
    let epoll = Epoll::watching(&r, IN | EDGE)?;
    for round in 0..3 {
        check!(text(&r, 8) == Err(EAGAIN));
        check!(epoll.now() == Ok(None), "round {round}");
        write(&w, b"x")?;
        check!(epoll.now() == Ok(Some(IN)), "round {round}");
        check!(text(&r, 8) == Ok("x"));
    }
    Ok(())
}

/// With EPOLLET a write end is reported once when a full pipe gets room, and not while it stays full.
#[case(EPOLL_7, "Level-triggered and edge-triggered")]
fn room_in_a_full_pipe_is_an_edge() -> Verdict {
    let (r, w) = pipe()?;
    let epoll = Epoll::watching(&w, OUT | EDGE)?;
    check!(epoll.now() == Ok(Some(OUT)));
    check!(epoll.now() == Ok(None));
    for round in 0..3 {
        let all = fill_pipe(&w)?;
        check!(epoll.now() == Ok(None), "round {round}");
        read_all(&r, all)?;
        check!(epoll.now() == Ok(Some(OUT)), "round {round}");
        check!(epoll.now() == Ok(None), "round {round}");
    }
    Ok(())
}

/// With EPOLLET the last close of the other end, and no earlier one, is reported once.
#[case(EPOLL_7, "Level-triggered and edge-triggered")]
fn last_close_is_an_edge() -> Verdict {
    let ((r, other_w), (other_r, w)) = (pipe()?, pipe()?);
    let (reader, writer) = (Epoll::watching(&r, IN | EDGE)?, Epoll::watching(&w, EDGE)?);
    let copies = (dup(&other_w)?, dup(&other_r)?);
    drop((other_r, other_w));
    check!((reader.now(), writer.now()) == (Ok(None), Ok(None)));
    drop(copies);
    check!((reader.now(), writer.now()) == (Ok(Some(HUP)), Ok(Some(ERR))));
    check!((reader.now(), writer.now()) == (Ok(None), Ok(None)));
    Ok(())
}

/// What happens to a descriptor between two waits is one event.
#[case(EPOLL_7, "Questions and answers")]
fn events_between_two_waits_are_combined() -> Verdict {
    for events in [IN, IN | EDGE, IN | ONE_SHOT] {
        let (r, w) = pipe()?;
        let epoll = Epoll::watching(&r, events)?;
        write(&w, b"a")?;
        write(&w, b"b")?;
        drop(w);
        check!(epoll.wait(8, 0) == Ok(vec![(0, IN | HUP)]), "{events:?}");
    }
    Ok(())
}

/// An edge is reported to every instance that watches the descriptor, by itself or by a copy.
#[case(EPOLL_7, "Questions and answers")]
fn edge_is_reported_to_every_instance() -> Verdict {
    let (r, w) = pipe()?;
    let copy = dup(&r)?;
    let edges = [&r, &r, &copy]
        .map(|fd| Epoll::watching(fd, IN | EDGE))
        .into_iter()
        .collect::<nix::Result<Vec<_>>>()?;
    for round in 0..2 {
        write(&w, b"x")?;
        for (which, epoll) in edges.iter().enumerate() {
            check!(epoll.now() == Ok(Some(IN)), "instance {which}, round {round}");
            check!(epoll.now() == Ok(None), "instance {which}, round {round}");
        }
    }
    Ok(())
}

/// One that reads until EAGAIN and then waits for the next edge misses none of another process's writes.
#[case(EPOLL_7, "Level-triggered and edge-triggered")]
fn no_edge_is_lost_between_eagain_and_the_next_wait() -> Verdict {
    const WRITES: usize = 1_000;
    let (r, w) = pipe()?;
    set_nonblocking(&r, true)?;
    let reader = Child::spawn(|| {
        let epoll = Epoll::watching(&r, IN | EDGE)?;
        let mut left = WRITES;
        while left > 0 {
            check!(epoll.sleep() == Ok(Some(IN)));
            while let Ok(some) = text(&r, 64) {
                left -= some.len();
            }
        }
        Ok(())
    })?;
    for _ in 0..WRITES {
        say(&w, "x")?;
    }
    reader.join()
}

/// With EPOLLONESHOT nothing is reported after the first event until EPOLL_CTL_MOD arms it again, and nothing is lost meanwhile.
#[case(EPOLL_CTL_2, "DESCRIPTION", settles = ["epoll_ctl.2 EPOLLONESHOT"])]
fn one_shot_is_silent_until_it_is_rearmed() -> Verdict {
    for events in [IN | ONE_SHOT, IN | ONE_SHOT | EDGE] {
        let (r, w) = pipe()?;
        let epoll = Epoll::watching(&r, events)?;
        for round in 0..3 {
            write(&w, b"a")?;
            check!(epoll.now() == Ok(Some(IN)), "{events:?}, round {round}");
            check!(epoll.now() == Ok(None), "{events:?}, round {round}");
            write(&w, b"b")?;
            check!(epoll.now() == Ok(None), "{events:?}, round {round}");
            check!(epoll.modify(&r, events, 0) == Ok(()), "{events:?}, round {round}");
            check!(epoll.now() == Ok(Some(IN)), "{events:?}, round {round}");
            check!(read_all(&r, 2)?.len() == 2);
            epoll.modify(&r, events, 0)?;
        }
    }
    Ok(())
}

/// With EPOLLONESHOT not even a hang-up or an error is reported after the first event, until EPOLL_CTL_MOD.
#[case(EPOLL_CTL_2, "DESCRIPTION")]
fn one_shot_is_silent_about_a_hang_up() -> Verdict {
    let ((r, other_w), (other_r, w)) = (pipe()?, pipe()?);
    let (reader, writer) =
        (Epoll::watching(&r, IN | ONE_SHOT)?, Epoll::watching(&w, OUT | ONE_SHOT)?);
    write(&other_w, b"x")?;
    check!((reader.now(), writer.now()) == (Ok(Some(IN)), Ok(Some(OUT))));
    check!(text(&r, 8) == Ok("x"));
    drop((other_r, other_w));
    check!((reader.now(), writer.now()) == (Ok(None), Ok(None)));
    reader.modify(&r, ONE_SHOT, 0)?;
    writer.modify(&w, ONE_SHOT, 0)?;
    check!((reader.now(), writer.now()) == (Ok(Some(HUP)), Ok(Some(ERR))));
    Ok(())
}

/// Somebody writes to this pipe. That nobody does is a violation, so a child
/// of its own waits for it.
fn word_comes(r: &OwnedFd) -> Verdict {
    Child::spawn(|| holds!(text(r, 1) == Ok("!")))?.join()
}

/// Two processes that sleep in epoll_wait on one epoll descriptor.
struct Sleepers {
    epoll: Epoll,
    ends: [(OwnedFd, OwnedFd); 2],
    seen: [Counter; 2],
    someone: (OwnedFd, OwnedFd),
}

impl Sleepers {
    /// They wait for two pipes, whose registrations have the data 1 and 2.
    fn new(events: EpollFlags) -> Verdict<Self> {
        let (epoll, ends) = (Epoll::new()?, [pipe()?, pipe()?]);
        epoll.add(&ends[0].0, events, 1)?;
        epoll.add(&ends[1].0, events, 2)?;
        Ok(Self { epoll, ends, seen: [Counter::new()?, Counter::new()?], someone: pipe()? })
    }

    /// Writes to the first pipe when both are asleep, and to the second when
    /// one has returned. Each has the data of a single event, and that the
    /// second returned for the first write is seen by what it has.
    fn are_woken_one_by_one(&self) -> Verdict {
        let sleepers = Children::spawn(2, |which| {
            let events = self.epoll.wait(8, -1)?;
            self.seen[which].set(events.iter().map(|event| event.0).sum());
            say(&self.someone.1, "!")
        })?;
        sleepers.blocked_in(EPOLL_WAIT)?;
        write(&self.ends[0].1, b"x")?;
        word_comes(&self.someone.0)?;
        write(&self.ends[1].1, b"x")?;
        sleepers.join()?;
        let mut seen = self.seen.map(Counter::get);
        seen.sort_unstable();
        check!(seen == [1, 2]);
        Ok(())
    }
}

/// Every process that sleeps in epoll_wait on one epoll descriptor wakes when a level-triggered descriptor gets ready and stays so.
#[case(EPOLL_7, "Level-triggered and edge-triggered")]
fn level_wakes_every_sleeper() -> Verdict {
    let (r, w) = pipe()?;
    let epoll = Epoll::watching(&r, IN)?;
    let sleepers = Children::spawn(3, |_| holds!(epoll.sleep() == Ok(Some(IN))))?;
    sleepers.blocked_in(EPOLL_WAIT)?;
    write(&w, b"x")?;
    sleepers.join()
}

/// Of the processes that sleep in epoll_wait on one epoll descriptor, an edge wakes just one, and the next one the other.
#[case(EPOLL_7, "Level-triggered and edge-triggered")]
fn one_edge_wakes_one_sleeper() -> Verdict {
    Sleepers::new(IN | EDGE)?.are_woken_one_by_one()
}

/// Of the processes that sleep in epoll_wait on one epoll descriptor, the one event of EPOLLONESHOT wakes just one.
#[case(EPOLL_CTL_2, "DESCRIPTION")]
fn one_shot_wakes_one_sleeper() -> Verdict {
    Sleepers::new(IN | ONE_SHOT)?.are_woken_one_by_one()
}

/// Of the instances that watch a descriptor all wake that are not EPOLLEXCLUSIVE, and at least one that is.
#[case(EPOLL_CTL_2, "DESCRIPTION", settles = ["epoll_ctl.2 EPOLLEXCLUSIVE"])]
fn every_instance_that_is_not_exclusive_wakes() -> Verdict {
    for exclusive in [IN | EXCLUSIVE, IN | EXCLUSIVE | EDGE] {
        let ((r, w), (someone, word)) = (pipe()?, pipe()?);
        let plain = |which: usize| Epoll::watching(&r, if which == 0 { IN } else { IN | EDGE });
        let first = Children::spawn(2, |which| holds!(plain(which)?.sleep() == Ok(Some(IN))))?;
        first.blocked_in(EPOLL_WAIT)?;
        let exclusive = Children::spawn(2, |_| {
            let epoll = Epoll::watching(&r, exclusive)?;
            check!(epoll.sleep() == Ok(Some(IN)));
            say(&word, "!")
        })?;
        exclusive.blocked_in(EPOLL_WAIT)?;
        let last = Children::spawn(2, |which| holds!(plain(which)?.sleep() == Ok(Some(IN))))?;
        last.blocked_in(EPOLL_WAIT)?;
        write(&w, b"x")?;
        first.join()?;
        last.join()?;
        word_comes(&someone)?;
    }
    Ok(())
}
