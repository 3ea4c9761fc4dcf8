//! epoll: instances that are watched themselves, and instances that travel.

use nix::poll::PollTimeout;
use nix::sys::select::{FdSet, select};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::prelude::*;
use crate::sys::epoll::{EDGE, EXCLUSIVE, Epoll, IN, NONE, OUT};
use crate::sys::poll;
use crate::sys::sockets::Socket;

/// The cases of this module.
pub const CASES: &[Case] = &[
    instance_is_readable_while_it_has_events,
    event_wakes_through_three_instances,
    event_is_an_edge_of_the_instance_that_is_watched,
    instance_works_in_the_process_that_received_it,
    circle_is_refused,
    sixth_of_a_chain_is_refused,
    exclusive_registration_of_an_instance_is_refused,
];

/// An instance is readable to poll, select and epoll just while it has events to report, and never writable.
#[case(EPOLL_7, "Questions and answers")]
fn instance_is_readable_while_it_has_events() -> Verdict {
    let (r, w) = pipe()?;
    let inner = Epoll::watching(&r, IN)?;
    let outer = Epoll::watching(&inner, IN | OUT)?;
    let selected = || {
        let mut set = FdSet::new();
        set.insert(inner.as_fd());
        select(None, Some(&mut set), None, None, Some(&mut TimeVal::zero()))
    };
    for _ in 0..2 {
        check!(poll::now(&inner, poll::IN | poll::OUT) == Ok(poll::NONE));
        check!(selected() == Ok(0));
        check!(outer.now() == Ok(None));
        write(&w, b"x")?;
        check!(poll::now(&inner, poll::IN | poll::OUT) == Ok(poll::IN));
        check!(selected() == Ok(1));
        check!(outer.now() == Ok(Some(IN)));
        check!(inner.now() == Ok(Some(IN)));
        check!(outer.now() == Ok(Some(IN)));
        check!(text(&r, 8) == Ok("x"));
    }
    write(&w, b"x")?;
    check!(outer.now() == Ok(Some(IN)));
    inner.modify(&r, NONE, 0)?;
    check!(outer.now() == Ok(None));
    Ok(())
}

/// A write wakes who sleeps in epoll_wait or poll on an instance, though it is two others away from the pipe.
#[case(EPOLL_7, "Questions and answers")]
fn event_wakes_through_three_instances() -> Verdict {
    let (r, w) = pipe()?;
    let first = Epoll::watching(&r, IN)?;
    let second = Epoll::watching(&first, IN)?;
    let third = Epoll::watching(&second, IN)?;
    let waiter = Child::spawn(|| holds!(third.sleep() == Ok(Some(IN))))?;
    let poller =
        Child::spawn(|| holds!(poll::wait(&third, poll::IN, PollTimeout::NONE) == Ok(poll::IN)))?;
    waiter.blocked_in(EPOLL_WAIT)?;
    poller.blocked_in(POLL)?;
    write(&w, b"x")?;
    waiter.join()?;
    poller.join()
}

/// With EPOLLET an instance that is watched is reported once each time that it gets an event.
#[case(EPOLL_7, "Level-triggered and edge-triggered", also = [(EPOLL_7, "Questions and answers")])]
fn event_is_an_edge_of_the_instance_that_is_watched() -> Verdict {
    let (r, w) = pipe()?;
    for events in [IN, IN | EDGE] {
        let inner = Epoll::watching(&r, events)?;
        let outer = Epoll::watching(&inner, IN | EDGE)?;
        for round in 0..3 {
            write(&w, b"x")?;
            check!(outer.now() == Ok(Some(IN)), "inner {events:?}, round {round}");
            check!(outer.now() == Ok(None), "inner {events:?}, round {round}");
            check!(inner.now() == Ok(Some(IN)), "inner {events:?}, round {round}");
            check!(text(&r, 8) == Ok("x"));
            check!(inner.now() == Ok(None), "inner {events:?}, round {round}");
        }
    }
    Ok(())
}

/// An instance sent over a local socket reports in the receiver what the sender registered, though the receiver has closed that.
#[case(EPOLL_7, "Questions and answers", also = [(UNIX_7, "Ancillary messages")])]
fn instance_works_in_the_process_that_received_it() -> Verdict {
    let (ours, theirs) = Socket::pair(libc::SOCK_STREAM)?;
    let (r, w) = pipe()?;
    let receiver = Child::spawn(|| {
        close_copy(&r)?;
        let mut message = theirs.recv_message(1, 4, 0)?;
        let epoll = Epoll::from(message.descriptors.remove(0));
        check!(epoll.wait(8, -1) == Ok(vec![(7, IN)]));
        Ok(())
    })?;
    let epoll = Epoll::new()?;
    epoll.add(&r, IN, 7)?;
    ours.send_descriptors(b"x", &[epoll.as_fd().as_raw_fd()])?;
    drop(epoll);
    receiver.blocked_in(EPOLL_WAIT)?;
    write(&w, b"x")?;
    receiver.join()
}

refusals! {
    EPOLL_CTL_2, "ERRORS";

    /// An instance that would watch itself through one other or through two is not added.
    ["epoll_ctl.2 ELOOP"] circle_is_refused => ELOOP: {
        let (first, second, third) = (Epoll::new()?, Epoll::new()?, Epoll::new()?);
        first.add(&second, IN, 0)?;
        check!(second.add(&first, IN, 0) == Err(ELOOP));
        check!(second.delete(&first) == Err(ENOENT));
        second.add(&third, IN, 0)?;
        third.add(&first, IN, 0)
    };

    /// An instance that would make a chain of more than five is not added, at whichever end.
    ["epoll_ctl.2 ELOOP"] sixth_of_a_chain_is_refused => ELOOP: {
        let mut chain = vec![Epoll::new()?];
        for _ in 1..5 {
            let next = Epoll::new()?;
            check!(next.add(&chain[chain.len() - 1], IN, 0) == Ok(()));
            chain.push(next);
        }
        check!(chain[0].add(Epoll::new()?, IN, 0) == Err(ELOOP));
        let sixth = Epoll::new()?;
        check!(sixth.add(&chain[4], IN, 0) == Err(ELOOP));
        check!(sixth.delete(&chain[4]) == Err(ENOENT));
        check!(sixth.add(&chain[3], IN, 0) == Ok(()));
        sixth.add(&chain[4], IN, 0)
    };

    /// An instance cannot be watched exclusively.
    ["epoll_ctl.2 EINVAL 5"] exclusive_registration_of_an_instance_is_refused => EINVAL: {
        let (inner, outer) = (Epoll::new()?, Epoll::new()?);
        check!(outer.add(&inner, IN | EXCLUSIVE, 0) == Err(EINVAL));
        check!(outer.delete(&inner) == Err(ENOENT));
        outer.add(&inner, EXCLUSIVE, 0)
    };
}
