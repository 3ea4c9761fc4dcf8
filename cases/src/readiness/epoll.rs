//! epoll: level and edge, one shot, and what keeps a descriptor watched.

use std::fs::File;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::prelude::*;
use crate::sys::descriptors::closed_fd;
use crate::sys::epoll::epoll_add;

/// The cases of this module.
pub const CASES: &[Case] = &[
    level_is_reported_until_all_is_read,
    each_write_is_an_edge,
    one_shot_is_silent_until_it_is_rearmed,
    hang_up_and_error_come_unasked,
    write_wakes_a_sleeping_wait,
    one_edge_wakes_one_sleeper,
    closed_descriptor_is_watched_while_it_has_a_copy,
    second_registration_is_refused,
    unregistered_descriptor_is_refused,
    regular_file_is_refused,
    closed_descriptor_is_refused,
    circle_and_long_chain_are_refused,
];

const IN: EpollFlags = EpollFlags::EPOLLIN;
const NONE: EpollFlags = EpollFlags::empty();

fn epoll() -> nix::Result<Epoll> {
    Epoll::new(EpollCreateFlags::empty())
}

/// An epoll instance that watches one descriptor.
fn watching(fd: impl AsFd, events: EpollFlags) -> nix::Result<Epoll> {
    let epoll = epoll()?;
    epoll.add(fd, EpollEvent::new(events, 0))?;
    Ok(epoll)
}

/// The event that is delivered first, sleeping no longer than `timeout`.
fn wait(epoll: &Epoll, timeout: EpollTimeout) -> nix::Result<Option<EpollFlags>> {
    let mut events = [EpollEvent::empty()];
    let count = epoll.wait(&mut events, timeout)?;
    Ok((count == 1).then(|| events[0].events()))
}

/// The event that is there now.
fn now(epoll: &Epoll) -> nix::Result<Option<EpollFlags>> {
    wait(epoll, EpollTimeout::ZERO)
}

/// Without EPOLLET a read end is reported again and again, until all is read.
#[case(EPOLL_7, "Level-triggered and edge-triggered")]
fn level_is_reported_until_all_is_read() -> Verdict {
    let (r, w) = pipe()?;
    let epoll = watching(&r, IN)?;
    check!(now(&epoll) == Ok(None));
    write(&w, b"ab")?;
    check!(now(&epoll) == Ok(Some(IN)));
    check!(text(&r, 1) == Ok("a"));
    check!(now(&epoll) == Ok(Some(IN)));
    check!(text(&r, 1) == Ok("b"));
    check!(now(&epoll) == Ok(None));
    Ok(())
}

/// With EPOLLET each write is reported once, though the pipe was not empty; what is left unread is not.
#[case(EPOLL_7, "Level-triggered and edge-triggered", settles = ["epoll_ctl.2 EPOLLET"])]
fn each_write_is_an_edge() -> Verdict {
    let (r, w) = pipe()?;
    let epoll = watching(&r, IN | EpollFlags::EPOLLET)?;
    for round in 0..3 {
        write(&w, b"abc")?;
        check!(now(&epoll) == Ok(Some(IN)), "round {round}");
        check!(text(&r, 1)?.len() == 1);
        check!(now(&epoll) == Ok(None), "round {round}");
    }
    Ok(())
}

/// With EPOLLONESHOT nothing is reported after the first event until EPOLL_CTL_MOD arms it again.
#[case(EPOLL_CTL_2, "DESCRIPTION", settles = ["epoll_ctl.2 EPOLLONESHOT"])]
fn one_shot_is_silent_until_it_is_rearmed() -> Verdict {
    let (r, w) = pipe()?;
    let epoll = watching(&r, IN | EpollFlags::EPOLLONESHOT)?;
    write(&w, b"a")?;
    check!(now(&epoll) == Ok(Some(IN)));
    write(&w, b"b")?;
    drop(w);
    check!(now(&epoll) == Ok(None));
    epoll.modify(&r, &mut EpollEvent::new(IN | EpollFlags::EPOLLONESHOT, 0))?;
    check!(now(&epoll) == Ok(Some(IN | EpollFlags::EPOLLHUP)));
    check!(now(&epoll) == Ok(None));
    Ok(())
}

/// EPOLLHUP of a read end without a writer and EPOLLERR of a write end without a reader come unasked.
#[case(EPOLL_CTL_2, "DESCRIPTION", settles = ["epoll_ctl.2 EPOLLERR", "epoll_ctl.2 EPOLLHUP"])]
fn hang_up_and_error_come_unasked() -> Verdict {
    let ((r, other_w), (other_r, w)) = (pipe()?, pipe()?);
    let (reader, writer) = (watching(&r, NONE)?, watching(&w, NONE)?);
    check!((now(&reader), now(&writer)) == (Ok(None), Ok(None)));
    drop((other_r, other_w));
    check!(now(&reader) == Ok(Some(EpollFlags::EPOLLHUP)));
    check!(now(&writer) == Ok(Some(EpollFlags::EPOLLERR)));
    Ok(())
}

/// A process that sleeps in epoll_wait wakes when another writes to what it watches.
#[case(EPOLL_WAIT_2, "DESCRIPTION")]
fn write_wakes_a_sleeping_wait() -> Verdict {
    let (r, w) = pipe()?;
    let sleeper = Child::spawn(|| {
        let epoll = watching(&r, IN)?;
        check!(wait(&epoll, EpollTimeout::NONE) == Ok(Some(IN)));
        Ok(())
    })?;
    sleeper.blocked_in(EPOLL_WAIT)?;
    write(&w, b"x")?;
    sleeper.join()
}

/// Of the processes that sleep in epoll_wait on one epoll descriptor, an edge wakes just one.
#[case(EPOLL_7, "Level-triggered and edge-triggered")]
fn one_edge_wakes_one_sleeper() -> Verdict {
    let (r, w) = pipe()?;
    let epoll = watching(&r, IN | EpollFlags::EPOLLET)?;
    let (woken, someone) = (Counter::new()?, Latch::new()?);
    let sleeper = || {
        let event = wait(&epoll, EpollTimeout::NONE);
        woken.set(std::process::id().into());
        someone.open();
        check!(event == Ok(Some(IN)));
        Ok(())
    };
    let sleepers = Children::spawn(2, |_| sleeper())?;
    sleepers[0].blocked_in(EPOLL_WAIT)?;
    sleepers[1].blocked_in(EPOLL_WAIT)?;
    write(&w, b"x")?;
    someone.wait()?;
    let asleep = usize::from(sleepers[0].pid().as_raw() as u64 == woken.get());
    sleepers[asleep].blocked_in(EPOLL_WAIT)?;
    write(&w, b"x")?;
    sleepers.join()
}

/// A descriptor that was closed stays watched while a copy of it is open, and no longer.
#[case(EPOLL_7, "Questions and answers")]
fn closed_descriptor_is_watched_while_it_has_a_copy() -> Verdict {
    let (r, w) = pipe()?;
    let copy = dup(&r)?;
    let epoll = watching(&r, IN)?;
    drop(r);
    write(&w, b"x")?;
    check!(now(&epoll) == Ok(Some(IN)));
    drop(copy);
    check!(now(&epoll) == Ok(None));
    Ok(())
}

refusals! {
    EPOLL_CTL_2, "ERRORS";

    /// A descriptor that is registered already is not added again.
    ["epoll_ctl.2 EEXIST"] second_registration_is_refused => EEXIST: {
        let (r, _w) = pipe()?;
        watching(&r, IN)?.add(&r, EpollEvent::new(NONE, 0))
    };

    /// A descriptor that is not registered is neither changed nor removed.
    ["epoll_ctl.2 ENOENT"] unregistered_descriptor_is_refused => ENOENT: {
        let ((r, w), epoll) = (pipe()?, epoll()?);
        check!(epoll.delete(&r) == Err(ENOENT));
        epoll.modify(&w, &mut EpollEvent::new(IN, 0))
    };

    /// A regular file and a directory cannot be watched.
    ["epoll_ctl.2 EPERM"] regular_file_is_refused => EPERM: {
        check!(epoll()?.add(File::open(".")?, EpollEvent::new(IN, 0)) == Err(EPERM));
        epoll()?.add(File::create("file")?, EpollEvent::new(IN, 0))
    };

    /// What is not open can neither be watched nor watch.
    ["epoll_ctl.2 EBADF"] closed_descriptor_is_refused => EBADF: {
        let (r, _w) = pipe()?;
        check!(epoll_add(closed_fd(), &r) == Err(EBADF));
        epoll_add(epoll()?.0, closed_fd())
    };

    /// An epoll instance that would watch itself through others is refused, and so is the sixth of a chain.
    ["epoll_ctl.2 ELOOP"] circle_and_long_chain_are_refused => ELOOP: {
        let (first, second) = (epoll()?, epoll()?);
        epoll_add(&first.0, &second.0)?;
        check!(epoll_add(&second.0, &first.0) == Err(ELOOP));
        let mut chain = vec![epoll()?];
        for _ in 1..5 {
            let next = epoll()?;
            check!(epoll_add(&next.0, &chain[chain.len() - 1].0) == Ok(()));
            chain.push(next);
        }
        epoll_add(epoll()?.0, &chain[4].0)
    };
}
