//! epoll_wait, epoll_pwait and epoll_pwait2: how long they sleep, what wakes
//! them, and what they store.

use std::sync::Arc;

use nix::sys::epoll::EpollFlags;

use crate::prelude::*;
use crate::sys::descriptors::closed_fd;
use crate::sys::epoll::{
    EDGE, EPOLL_PWAIT2, ERR, EVENT_SIZE, Epoll, HUP, IN, NONE, ONE_SHOT, OUT, PRI, wait_into,
};
use crate::sys::memory::{Memory, READ_WRITE, page_size};
use crate::sys::signals::{Signals, block, catch, handled, mask, restart, send, unblock};

/// The cases of this module.
pub const CASES: &[Case] = &[
    // Wake-ups.
    write_wakes_a_sleeping_wait,
    last_close_wakes_a_sleeping_wait,
    what_was_not_asked_for_does_not_wake,
    addition_and_change_wake_who_sleeps_already,
    instance_that_watches_nothing_can_be_slept_on,
    deleted_descriptor_does_not_wake,
    // Time.
    wait_without_time_returns_at_once,
    wait_ends_not_before_its_time,
    precise_wait_ends_not_before_its_time,
    precise_wait_without_a_limit_sleeps,
    // Signals.
    handler_ends_a_wait,
    handler_ends_a_wait_in_spite_of_sa_restart,
    stop_and_continue_end_a_wait,
    mask_lets_a_pending_signal_end_the_wait,
    mask_keeps_a_signal_off_during_the_wait,
    wait_without_a_mask_keeps_that_of_the_thread,
    precise_wait_has_a_mask_too,
    // What is stored.
    successive_waits_take_turns_among_the_ready,
    events_are_stored_up_to_the_room_that_there_is,
    place_that_cannot_be_written_is_refused_and_no_event_lost,
    // Refusals.
    room_for_nothing_is_refused,
    closed_descriptor_cannot_be_waited_on,
];

/// A process that sleeps in epoll_wait wakes when another writes to what it watches, in every mode.
#[case(EPOLL_WAIT_2, "DESCRIPTION")]
fn write_wakes_a_sleeping_wait() -> Verdict {
    for events in [IN, IN | EDGE, IN | ONE_SHOT] {
        let (r, w) = pipe()?;
        let epoll = Epoll::watching(&r, events)?;
        let sleeper = Child::spawn(|| holds!(epoll.wait(8, -1) == Ok(vec![(0, IN)])))?;
        sleeper.blocked_in(EPOLL_WAIT)?;
        write(&w, b"x")?;
        sleeper.join()?;
    }
    Ok(())
}

/// The last close of one end wakes who sleeps in epoll_wait on the other, though no event was asked for.
#[case(EPOLL_CTL_2, "DESCRIPTION")]
fn last_close_wakes_a_sleeping_wait() -> Verdict {
    for events in [NONE, EDGE] {
        let ((r, other_w), (other_r, w)) = (pipe()?, pipe()?);
        let sleeper = |end, wanted| {
            Child::spawn(|| {
                close_copy(&other_r)?;
                close_copy(&other_w)?;
                check!(Epoll::watching(end, events)?.sleep() == Ok(Some(wanted)), "{events:?}");
                Ok(())
            })
        };
        let (reader, writer) = (sleeper(&r, HUP)?, sleeper(&w, ERR)?);
        reader.blocked_in(EPOLL_WAIT)?;
        writer.blocked_in(EPOLL_WAIT)?;
        drop((other_r, other_w));
        reader.join()?;
        writer.join()?;
    }
    Ok(())
}

/// An event that was not asked for neither ends a wait nor is stored with the one that does.
#[case(EPOLL_CTL_2, "DESCRIPTION")]
fn what_was_not_asked_for_does_not_wake() -> Verdict {
    let pipes = [pipe()?, pipe()?, pipe()?];
    let epoll = Epoll::new()?;
    for ((r, _), (events, data)) in pipes.iter().zip([(PRI, 1), (NONE, 2), (IN, 3)]) {
        epoll.add(r, events, data)?;
    }
    let sleeper = Child::spawn(|| holds!(epoll.wait(8, -1) == Ok(vec![(3, IN)])))?;
    sleeper.blocked_in(EPOLL_WAIT)?;
    for (_, w) in &pipes {
        write(w, b"x")?;
    }
    sleeper.join()
}

/// A wait that sleeps already wakes when another process adds a descriptor that is ready, or asks for what one is ready for.
#[case(EPOLL_WAIT_2, "NOTES")]
fn addition_and_change_wake_who_sleeps_already() -> Verdict {
    for (before, now) in
        [(None, OUT), (None, OUT | EDGE), (Some(NONE), OUT), (Some(IN), OUT | EDGE)]
    {
        let (_r, w) = pipe()?;
        let epoll = Epoll::new()?;
        if let Some(before) = before {
            epoll.add(&w, before, 1)?;
        }
        let sleeper = Child::spawn(|| holds!(epoll.wait(8, -1) == Ok(vec![(2, OUT)])))?;
        sleeper.blocked_in(EPOLL_WAIT)?;
        match before {
            None => epoll.add(&w, now, 2)?,
            Some(_) => epoll.modify(&w, now, 2)?,
        }
        sleeper.join()?;
    }
    Ok(())
}

/// A wait on an instance that watches nothing sleeps until a descriptor that is added becomes ready, not when it is added.
#[case(EPOLL_WAIT_2, "NOTES")]
fn instance_that_watches_nothing_can_be_slept_on() -> Verdict {
    let (r, w) = pipe()?;
    let epoll = Epoll::new()?;
    let sleeper = Child::spawn(|| holds!(epoll.wait(8, -1) == Ok(vec![(1, IN)])))?;
    sleeper.blocked_in(EPOLL_WAIT)?;
    epoll.add(&r, IN, 1)?;
    sleeper.blocked_in(EPOLL_WAIT)?;
    write(&w, b"x")?;
    sleeper.join()
}

/// A descriptor deleted or closed while a process sleeps in epoll_wait does not wake it, nor what happens to it then.
#[case(EPOLL_WAIT_2, "NOTES")]
fn deleted_descriptor_does_not_wake() -> Verdict {
    let (r, w) = pipe()?;
    let epoll = Arc::new(Epoll::new()?);
    let (closed, deleted) = (pipe()?, pipe()?);
    epoll.add(&closed.0, IN, 1)?;
    epoll.add(&deleted.0, IN, 2)?;
    let slept_on = epoll.clone();
    let sleeper = Thread::spawn(move || holds!(slept_on.wait(8, -1) == Ok(vec![(3, IN)])))?;
    sleeper.blocked_in(EPOLL_WAIT)?;
    epoll.delete(&deleted.0)?;
    drop(closed);
    write(&deleted.1, b"x")?;
    sleeper.blocked_in(EPOLL_WAIT)?;
    epoll.add(&r, IN, 3)?;
    write(&w, b"x")?;
    sleeper.join()
}

/// With a timeout of 0 a wait returns at once, without events as with one.
#[case(EPOLL_WAIT_2, "DESCRIPTION")]
fn wait_without_time_returns_at_once() -> Verdict {
    let (r, w) = pipe()?;
    let epoll = Epoll::watching(&r, IN)?;
    check!((epoll.now(), epoll.wait_with(0, None)) == (Ok(None), Ok(None)));
    write(&w, b"x")?;
    check!((epoll.now(), epoll.wait_with(0, None)) == (Ok(Some(IN)), Ok(Some(IN))));
    Ok(())
}

/// Without events epoll_wait and epoll_pwait return none, and not before their milliseconds are over.
#[case(EPOLL_WAIT_2, "RETURN VALUE", also = [(EPOLL_WAIT_2, "DESCRIPTION")])]
fn wait_ends_not_before_its_time() -> Verdict {
    let (r, _w) = pipe()?;
    let epoll = Epoll::watching(&r, IN)?;
    for milliseconds in [1, 30] {
        let limit = Duration::from_millis(milliseconds as u64);
        let start = Instant::now();
        check!(epoll.wait(1, milliseconds) == Ok(vec![]));
        check!(start.elapsed() >= limit, "epoll_wait, {limit:?}");
        let start = Instant::now();
        check!(epoll.wait_with(milliseconds, None) == Ok(None));
        check!(start.elapsed() >= limit, "epoll_pwait, {limit:?}");
    }
    Ok(())
}

/// Without events epoll_pwait2 returns none, at once for a time of 0 and else not before its last nanosecond.
#[case(EPOLL_WAIT_2, "epoll_pwait2()", needs = [Need::Facility(EPOLL_PWAIT2)])]
fn precise_wait_ends_not_before_its_time() -> Verdict {
    let (r, _w) = pipe()?;
    let epoll = Epoll::watching(&r, IN)?;
    for nanoseconds in [0, 999_999, 1_999_999, 30_999_999] {
        let limit = Duration::from_nanos(nanoseconds);
        let start = Instant::now();
        check!(epoll.wait_precisely(Some(limit), None) == Ok(None));
        check!(start.elapsed() >= limit, "{limit:?}");
    }
    Ok(())
}

/// Without a timeout, and with one that is long, epoll_pwait2 sleeps until there is an event.
#[case(EPOLL_WAIT_2, "epoll_pwait2()", needs = [Need::Facility(EPOLL_PWAIT2)])]
fn precise_wait_without_a_limit_sleeps() -> Verdict {
    for limit in [None, Some(Duration::from_hours(1))] {
        let (r, w) = pipe()?;
        let epoll = Epoll::watching(&r, IN)?;
        let sleeper = Child::spawn(|| holds!(epoll.wait_precisely(limit, None) == Ok(Some(IN))))?;
        sleeper.blocked_in(EPOLL_WAIT)?;
        write(&w, b"x")?;
        sleeper.join()?;
    }
    Ok(())
}

/// A wait that a signal handler interrupts fails with EINTR, with a timeout or without.
#[case(EPOLL_WAIT_2, "ERRORS", settles = ["epoll_wait.2 EINTR"])]
fn handler_ends_a_wait() -> Verdict {
    let (r, _w) = pipe()?;
    catch(SIGUSR1)?;
    for timeout in [-1, 3_600_000] {
        let epoll = Epoll::watching(&r, IN)?;
        let sleeper = Child::spawn(|| holds!(epoll.wait(1, timeout) == Err(EINTR)))?;
        sleeper.interrupt_in(EPOLL_WAIT, SIGUSR1)?;
    }
    Ok(())
}

/// A wait is not restarted after a handler that was set with SA_RESTART.
#[case(SIGNAL_7, "Interruption of system calls and library functions by signal handlers")]
fn handler_ends_a_wait_in_spite_of_sa_restart() -> Verdict {
    let (r, _w) = pipe()?;
    restart(SIGUSR1)?;
    for mask in [None, Some(Signals::NONE)] {
        let epoll = Epoll::watching(&r, IN)?;
        let sleeper = Child::spawn(|| holds!(epoll.wait_with(-1, mask) == Err(EINTR)))?;
        sleeper.interrupt_in(EPOLL_WAIT, SIGUSR1)?;
    }
    Ok(())
}

/// A wait that is stopped and continued fails with EINTR, though no handler ran.
#[case(SIGNAL_7, "Interruption of system calls and library functions by stop signals")]
fn stop_and_continue_end_a_wait() -> Verdict {
    let (r, _w) = pipe()?;
    let epoll = Epoll::watching(&r, IN)?;
    let sleeper = Child::spawn(|| holds!(epoll.sleep() == Err(EINTR)))?;
    sleeper.blocked_in(EPOLL_WAIT)?;
    sleeper.kill(SIGSTOP)?;
    check!(sleeper.wait_stopped()? == libc::SIGSTOP);
    sleeper.kill(SIGCONT)?;
    sleeper.join()
}

/// A wait without a time limit, with a signal mask.
type MaskedWait = fn(&Epoll, Option<Signals>) -> nix::Result<Option<EpollFlags>>;

/// `epoll_pwait`.
const PWAIT: MaskedWait = |epoll, mask| epoll.wait_with(-1, mask);

/// `epoll_pwait2`.
const PWAIT2: MaskedWait = |epoll, mask| epoll.wait_precisely(None, mask);

/// A signal that was pending and blocked before ends an epoll_pwait whose mask lets it through, and the mask is then as it was.
#[case(EPOLL_WAIT_2, "epoll_pwait()")]
fn mask_lets_a_pending_signal_end_the_wait() -> Verdict {
    Child::spawn(|| pending_signal_ends(PWAIT))?.join()
}

fn pending_signal_ends(wait: MaskedWait) -> Verdict {
    let (r, _w) = pipe()?;
    let epoll = Epoll::watching(&r, IN)?;
    catch(SIGUSR1)?;
    block(Signals::from(SIGUSR1).and(SIGUSR2))?;
    let before = mask()?;
    send(getpid(), SIGUSR1)?;
    check!(handled() == 0);
    check!(wait(&epoll, Some(before.but(SIGUSR1))) == Err(EINTR));
    check!((handled(), mask()) == (1, Ok(before)));
    Ok(())
}

/// A signal that only the mask of epoll_pwait blocks does not end it, and is handled by the time it returns.
#[case(EPOLL_WAIT_2, "epoll_pwait()")]
fn mask_keeps_a_signal_off_during_the_wait() -> Verdict {
    signal_is_kept_off(PWAIT)
}

fn signal_is_kept_off(wait: MaskedWait) -> Verdict {
    let (r, w) = pipe()?;
    let epoll = Epoll::watching(&r, IN)?;
    catch(SIGUSR1)?;
    let sleeper = Child::spawn(|| {
        let before = mask()?;
        check!(wait(&epoll, Some(SIGUSR1.into())) == Ok(Some(IN)));
        check!((handled(), mask()) == (1, Ok(before)));
        Ok(())
    })?;
    sleeper.blocked_in(EPOLL_WAIT)?;
    sleeper.kill(SIGUSR1)?;
    sleeper.blocked_in(EPOLL_WAIT)?;
    write(&w, b"x")?;
    sleeper.join()
}

/// Without a mask epoll_pwait leaves blocked what the thread has blocked.
#[case(EPOLL_WAIT_2, "epoll_pwait()")]
fn wait_without_a_mask_keeps_that_of_the_thread() -> Verdict {
    blocked_signal_stays_blocked(PWAIT)
}

fn blocked_signal_stays_blocked(wait: MaskedWait) -> Verdict {
    let (r, w) = pipe()?;
    let epoll = Epoll::watching(&r, IN)?;
    catch(SIGUSR1)?;
    block(SIGUSR1)?;
    let sleeper = Child::spawn(|| {
        check!((wait(&epoll, None), handled()) == (Ok(Some(IN)), 0));
        unblock(SIGUSR1)?;
        check!(handled() == 1);
        Ok(())
    })?;
    sleeper.blocked_in(EPOLL_WAIT)?;
    sleeper.kill(SIGUSR1)?;
    sleeper.blocked_in(EPOLL_WAIT)?;
    write(&w, b"x")?;
    sleeper.join()
}

/// The mask of epoll_pwait2, or none, has the effect that it has on epoll_pwait.
#[case(EPOLL_WAIT_2, "epoll_pwait2()", needs = [Need::Facility(EPOLL_PWAIT2)])]
fn precise_wait_has_a_mask_too() -> Verdict {
    for case in [pending_signal_ends, signal_is_kept_off, blocked_signal_stays_blocked] {
        Child::spawn(|| case(PWAIT2))?.join()?;
    }
    Ok(())
}

/// When more descriptors are ready than there is room for, successive waits report all of them in turn, and then again.
#[case(EPOLL_WAIT_2, "NOTES")]
fn successive_waits_take_turns_among_the_ready() -> Verdict {
    let (epoll, pipes) = (Epoll::new()?, [pipe()?, pipe()?, pipe()?, pipe()?, pipe()?]);
    for (data, (_, w)) in pipes.iter().enumerate() {
        epoll.add(w, OUT, data as u64)?;
    }
    for room in 1..5 {
        let mut turns = vec![];
        for _ in 0..15 {
            let events = epoll.wait(room, 0)?;
            check!(events.len() == room);
            turns.extend(events.iter().map(|event| event.0));
        }
        let mut round = turns[..5].to_vec();
        round.sort_unstable();
        check!(round == [0, 1, 2, 3, 4], "room {room}");
        check!(turns[5..] == turns[..turns.len() - 5], "room {room}");
    }
    Ok(())
}

/// A wait stores as many events as there are and as fit, and leaves the rest of its place and what is behind it alone.
#[case(EPOLL_WAIT_2, "DESCRIPTION")]
fn events_are_stored_up_to_the_room_that_there_is() -> Verdict {
    let (epoll, pipes) = (Epoll::new()?, [pipe()?, pipe()?, pipe()?]);
    for (_, w) in &pipes {
        epoll.add(w, OUT, 0)?;
    }
    for (room, stored) in [(1, 1), (2, 2), (3, 3), (6, 3)] {
        let place = Memory::guarded(room * EVENT_SIZE)?;
        (0..place.length).for_each(|byte| place.set(byte, 0xa5));
        check!(wait_into(&epoll, place, room as i32) == Ok(stored));
        check!(place.get(0) == libc::EPOLLOUT as u8 || cfg!(target_endian = "big"));
        let rest = stored * EVENT_SIZE..place.length;
        check!(rest.into_iter().all(|byte| place.get(byte) == 0xa5), "room for {room}");
    }
    Ok(())
}

/// A place for events that cannot be written gives EFAULT, and the next wait has the event.
#[case(EPOLL_WAIT_2, "ERRORS", settles = ["epoll_wait.2 EFAULT"])]
fn place_that_cannot_be_written_is_refused_and_no_event_lost() -> Verdict {
    let (_r, w) = pipe()?;
    let epoll = Epoll::watching(&w, OUT)?;
    for protection in [libc::PROT_READ, libc::PROT_NONE] {
        let place = Memory::anonymous(page_size(), libc::MAP_PRIVATE)?;
        place.protect(protection)?;
        check!(wait_into(&epoll, place, 1) == Err(EFAULT));
        place.protect(READ_WRITE)?;
        check!(wait_into(&epoll, place, 1) == Ok(1));
    }
    check!(wait_into(&epoll, Memory { address: 0, length: 0 }, 1) == Err(EFAULT));
    Ok(())
}

refusals! {
    EPOLL_WAIT_2, "ERRORS";

    /// There has to be room for an event, and what is waited on has to be an epoll instance.
    ["epoll_wait.2 EINVAL"] room_for_nothing_is_refused => EINVAL: {
        let (r, w) = pipe()?;
        let (epoll, place) = (Epoll::watching(&w, OUT)?, Memory::guarded(EVENT_SIZE)?);
        for room in [0, -1, i32::MIN] {
            check!(wait_into(&epoll, place, room) == Err(EINVAL), "room {room}");
        }
        wait_into(&r, place, 1)
    };

    /// What is not open cannot be waited on.
    ["epoll_wait.2 EBADF"] closed_descriptor_cannot_be_waited_on => EBADF: {
        wait_into(closed_fd(), Memory::guarded(EVENT_SIZE)?, 1)
    };
}
