//! poll, ppoll, select and pselect: how long they wait, and what they tell of it.

use nix::sys::time::{TimeSpec, TimeVal, TimeValLike};

use crate::prelude::*;
use crate::sys::poll::{IN, NONE, entry, poll_for, ppoll, ppoll_raw, reported};
use crate::sys::select::{Sets, pselect_raw};
use crate::sys::signals::catch;

/// The cases of this module.
pub const CASES: &[Case] = &[
    wait_returns_nothing_and_not_before_its_time,
    shortest_timeout_is_not_for_ever,
    longest_timeout_is_slept_through,
    every_negative_poll_timeout_is_for_ever,
    zero_timeout_returns_at_once_and_an_event_needs_no_more,
    empty_sets_sleep_for_the_timeout,
    select_tells_the_time_that_was_left,
    ppoll_and_pselect_leave_the_timeout,
    bare_ppoll_and_pselect_tell_the_time_that_was_left,
    invalid_time_is_refused_by_ppoll,
    invalid_time_is_refused_by_select,
    invalid_time_is_refused_by_pselect,
];

/// What there is to wait with.
#[derive(Debug, Clone, Copy)]
enum Call {
    Poll,
    Ppoll,
    Select,
    Pselect,
}
use Call::{Poll, Ppoll, Pselect, Select};

const CALLS: [Call; 4] = [Poll, Ppoll, Select, Pselect];

impl Call {
    /// Waits for data at a read end for this time. How many descriptors the
    /// call counted; what it reported agrees with that.
    fn wait(self, r: &OwnedFd, time: TimeSpec) -> Verdict<i32> {
        let mut fds = [entry(r, IN)];
        let mut sets = Sets::reads(&[r]);
        let millis = time.tv_sec().saturating_mul(1000).saturating_add(time.tv_nsec() / 1_000_000);
        let millis = millis.try_into().unwrap_or(i32::MAX);
        let mut value = TimeVal::new(time.tv_sec(), (time.tv_nsec() / 1000) as _);
        let count = match self {
            Poll => poll_for(&mut fds, millis),
            Ppoll => ppoll(&mut fds, Some(&time), None),
            Select => sets.select(Some(&mut value)),
            Pselect => sets.pselect(Some(&time), None),
        }?;
        let told = match self {
            Poll | Ppoll => reported(&fds[0]) == IN,
            Select | Pselect => sets == Sets::reads(&[r]),
        };
        check!(told == (count == 1), "{self:?}");
        Ok(count)
    }
}

/// A wait that nothing ends returns 0, with nothing ready, and not before its time has passed.
#[case(POLL_2, "DESCRIPTION", also = [(POLL_2, "RETURN VALUE"), (SELECT_2, "Arguments"), (SELECT_2, "RETURN VALUE")])]
fn wait_returns_nothing_and_not_before_its_time() -> Verdict {
    let (r, _w) = pipe()?;
    let time = Duration::from_millis(15);
    let waiters = Children::spawn(4, |which| {
        let before = Instant::now();
        check!(CALLS[which].wait(&r, time.into())? == 0, "{:?}", CALLS[which]);
        check!(before.elapsed() >= time, "{:?}", CALLS[which]);
        Ok(())
    })?;
    waiters.join()
}

/// The shortest time that can be asked for passes, and the wait returns 0.
#[case(POLL_2, "DESCRIPTION", also = [(SELECT_2, "Arguments")])]
fn shortest_timeout_is_not_for_ever() -> Verdict {
    let (r, _w) = pipe()?;
    let shortest = [(Poll, 1_000_000), (Ppoll, 1), (Select, 1000), (Pselect, 1)];
    let waiters = Children::spawn(4, |which| {
        let (call, nanos) = shortest[which];
        holds!(call.wait(&r, TimeSpec::new(0, nanos))? == 0, "{call:?}")
    })?;
    waiters.join()
}

/// The longest time that can be asked for does not pass at once, and does not keep an event waiting.
#[case(POLL_2, "DESCRIPTION", also = [(SELECT_2, "Arguments")])]
fn longest_timeout_is_slept_through() -> Verdict {
    let (r, w) = pipe()?;
    let times = [TimeSpec::new(libc::time_t::MAX, 999_999_999), TimeSpec::new(3_000_000, 0)];
    let waiters = Children::spawn(8, |which| {
        let call = CALLS[which % 4];
        holds!(call.wait(&r, times[which / 4])? == 1, "{call:?}")
    })?;
    for (which, waiter) in waiters.iter().enumerate() {
        waiter.blocked_in(if which % 4 < 2 { POLL } else { SELECT })?;
    }
    write(&w, b"x")?;
    waiters.join()
}

/// Every negative number of milliseconds lets poll wait for ever.
#[case(POLL_2, "DESCRIPTION")]
fn every_negative_poll_timeout_is_for_ever() -> Verdict {
    let (r, w) = pipe()?;
    let waiters = Children::spawn(3, |which| {
        holds!(poll_for(&mut [entry(&r, IN)], [-1, -2, i32::MIN][which]) == Ok(1))
    })?;
    waiters.blocked_in(POLL)?;
    write(&w, b"x")?;
    waiters.join()
}

/// A timeout of zero looks once: 0 when nothing is ready, and the event when it is there.
#[case(POLL_2, "DESCRIPTION", also = [(SELECT_2, "Arguments")])]
fn zero_timeout_returns_at_once_and_an_event_needs_no_more() -> Verdict {
    let (r, w) = pipe()?;
    for count in [0, 1] {
        for call in CALLS {
            check!(call.wait(&r, TimeSpec::zero())? == count, "{call:?}");
        }
        write(&w, b"x")?;
    }
    Ok(())
}

/// Select without any set sleeps for the timeout, and without a timeout until a signal handler has run.
#[case(SELECT_2, "Emulating usleep(3)", also = [(SELECT_2, "Arguments")])]
fn empty_sets_sleep_for_the_timeout() -> Verdict {
    let before = Instant::now();
    check!(Sets::default().select(Some(&mut TimeVal::milliseconds(10))) == Ok(0));
    check!(before.elapsed() >= Duration::from_millis(10));
    catch(SIGUSR1)?;
    for mut sets in [Sets::default(), Sets::all(&[])] {
        let sleeper = Child::spawn(|| holds!(sets.select(None) == Err(EINTR)))?;
        sleeper.interrupt_in(SELECT, SIGUSR1)?;
    }
    Ok(())
}

/// Select leaves in its timeout what was not slept: nothing after the whole, the rest after an event or a signal.
#[case(SELECT_2, "The timeout", also = [(SELECT_2, "BUGS")])]
fn select_tells_the_time_that_was_left() -> Verdict {
    let (r, w) = pipe()?;
    let mut left = TimeVal::milliseconds(5);
    check!(Sets::reads(&[&r]).select(Some(&mut left)) == Ok(0));
    check!(left == TimeVal::zero());

    catch(SIGUSR1)?;
    let whole = TimeVal::seconds(1000);
    let waiter = |wanted| {
        Child::spawn(|| {
            let (mut left, before) = (whole, Instant::now());
            check!(Sets::reads(&[&r]).select(Some(&mut left)) == wanted);
            // The call cuts to whole microseconds.
            let slept = before.elapsed().as_micros() as i64 + 1;
            check!(left < whole);
            check!(left.num_microseconds() + slept >= whole.num_microseconds());
            Ok(())
        })
    };
    let (woken, interrupted) = (waiter(Ok(1))?, waiter(Err(EINTR))?);
    interrupted.interrupt_in(SELECT, SIGUSR1)?;
    woken.blocked_in(SELECT)?;
    write(&w, b"x")?;
    woken.join()
}

/// The C library's ppoll and pselect leave their timeout as it was, when it has passed and when it has not.
#[case(POLL_2, "C library/kernel differences", also = [(SELECT_2, "pselect()"), (SELECT_2, "C library/kernel differences")])]
fn ppoll_and_pselect_leave_the_timeout() -> Verdict {
    let (r, w) = pipe()?;
    for (count, time) in [(0, TimeSpec::new(0, 1_000_000)), (1, TimeSpec::new(1000, 7))] {
        let (poll_time, select_time) = (time, time);
        check!(ppoll(&mut [entry(&r, IN)], Some(&poll_time), None) == Ok(count));
        check!(poll_time == time);
        check!(Sets::reads(&[&r]).pselect(Some(&select_time), None) == Ok(count));
        check!(select_time == time);
        write(&w, b"x")?;
    }
    Ok(())
}

/// The system calls ppoll and pselect6 leave in their timeout what was not slept.
#[case(POLL_2, "C library/kernel differences", also = [(SELECT_2, "C library/kernel differences")])]
fn bare_ppoll_and_pselect_tell_the_time_that_was_left() -> Verdict {
    let time = TimeSpec::new(0, 2_000_000);
    let (mut poll_time, mut select_time) = (time, time);
    check!(ppoll_raw(&mut [], &mut poll_time) == Ok(0));
    check!(poll_time == TimeSpec::zero());
    check!(pselect_raw(&mut select_time) == Ok(0));
    check!(select_time == TimeSpec::zero());
    Ok(())
}

/// Times of which a field is out of its range.
const INVALID: [TimeSpec; 5] = [
    TimeSpec::new(-1, 0),
    TimeSpec::new(0, -1),
    TimeSpec::new(1, -1),
    TimeSpec::new(-1, 999_999_999),
    TimeSpec::new(libc::time_t::MIN, 0),
];

/// Ppoll takes no time with a negative field, though a descriptor is ready, and reports nothing then.
#[case(POLL_2, "ERRORS", settles = ["poll.2 EINVAL 2"])]
fn invalid_time_is_refused_by_ppoll() -> Verdict {
    let (r, w) = pipe()?;
    write(&w, b"x")?;
    for time in INVALID {
        let mut fds = [entry(&r, IN)];
        check!(ppoll(&mut fds, Some(&time), None) == Err(EINVAL), "{time:?}");
        check!(reported(&fds[0]) == NONE, "{time:?}");
    }
    Ok(())
}

/// Select takes no time with a negative field, though a descriptor is ready, and leaves the sets as they were.
#[case(SELECT_2, "ERRORS")]
fn invalid_time_is_refused_by_select() -> Verdict {
    let (r, w) = pipe()?;
    write(&w, b"x")?;
    for (seconds, micros) in [(-1, 0), (0, -1), (1, -1), (-1, 999_999)] {
        let mut sets = Sets::all(&[&r]);
        check!(
            sets.select(Some(&mut TimeVal::new(seconds, micros))) == Err(EINVAL),
            "{seconds} {micros}"
        );
        check!(sets == Sets::all(&[&r]), "{seconds} {micros}");
    }
    Ok(())
}

/// Pselect takes no time with a field out of its range, though a descriptor is ready, and leaves the sets as they were.
#[case(SELECT_2, "ERRORS", settles = ["select.2 EINVAL 2"])]
fn invalid_time_is_refused_by_pselect() -> Verdict {
    let (r, w) = pipe()?;
    write(&w, b"x")?;
    for time in INVALID.into_iter().chain([TimeSpec::new(0, 1_000_000_000)]) {
        let mut sets = Sets::all(&[&r]);
        check!(sets.pselect(Some(&time), None) == Err(EINVAL), "{time:?}");
        check!(sets == Sets::all(&[&r]), "{time:?}");
    }
    Ok(())
}
