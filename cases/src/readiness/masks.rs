//! ppoll and pselect: the signal mask while they wait.

use crate::prelude::*;
use crate::sys::poll::{IN, entry, ppoll};
use crate::sys::select::Sets;
use crate::sys::signals::{Sig, Signals, block, catch, delivered, handled, mask};

/// The cases of this module.
pub const CASES: &[Case] = &[
    pending_signal_that_the_mask_lets_through_ends_the_wait_at_once,
    signal_that_only_the_mask_lets_through_ends_the_sleep,
    signal_that_only_the_mask_holds_off_comes_after_the_call,
    null_mask_leaves_signals_as_they_are,
    mask_ends_no_wait_by_itself,
];

/// Waits for data at a read end.
type Wait = fn(&OwnedFd, Option<Signals>) -> nix::Result<i32>;

const WAITS: [(&str, Syscalls, Wait); 2] = [
    ("ppoll", POLL, |r, mask| ppoll(&mut [entry(r, IN)], None, mask)),
    ("pselect", SELECT, |r, mask| Sets::reads(&[r]).pselect(None, mask)),
];

/// Sends this process a signal.
fn raise(signal: Signal) -> nix::Result<()> {
    nix::sys::signal::kill(getpid(), signal)
}

/// A blocked signal that is pending ends ppoll or pselect at once with EINTR when their mask lets it through, and the mask comes back.
#[case(SELECT_2, "pselect()", also = [(POLL_2, "ppoll()"), (SELECT_TUT_2, "Combining signal and data events")])]
fn pending_signal_that_the_mask_lets_through_ends_the_wait_at_once() -> Verdict {
    let (r, _w) = pipe()?;
    catch(SIGUSR1)?;
    block(SIGUSR1)?;
    block(SIGUSR2)?;
    let before = mask()?;
    let waiters = Children::spawn(2, |which| {
        let (name, _, wait) = WAITS[which];
        raise(SIGUSR1)?;
        check!(handled() == 0, "before {name}");
        check!(wait(&r, Some(Signals::NONE)) == Err(EINTR), "{name}");
        check!(handled() == 1, "after {name}");
        holds!(mask() == Ok(before), "after {name}")
    })?;
    waiters.join()
}

/// A signal that only the mask of the call lets through ends its sleep with EINTR, and is blocked again thereafter.
#[case(SELECT_2, "pselect()", also = [(POLL_2, "ppoll()")])]
fn signal_that_only_the_mask_lets_through_ends_the_sleep() -> Verdict {
    let (r, _w) = pipe()?;
    catch(SIGUSR1)?;
    block(SIGUSR1)?;
    for (_, call, wait) in WAITS {
        let sleeper = Child::spawn(|| {
            check!(wait(&r, Some(SIGUSR2.into())) == Err(EINTR));
            check!(delivered() == [Sig::from(SIGUSR1)]);
            check!(mask() == Ok(SIGUSR1.into()));
            raise(SIGUSR1)?;
            holds!(handled() == 1)
        })?;
        sleeper.interrupt_in(call, SIGUSR1)?;
    }
    Ok(())
}

/// A signal that the mask of the call alone holds off does not end its sleep, and its handler runs when the call is over.
#[case(SELECT_2, "pselect()", also = [(POLL_2, "ppoll()")])]
fn signal_that_only_the_mask_holds_off_comes_after_the_call() -> Verdict {
    let (r, w) = pipe()?;
    catch(SIGUSR1)?;
    let sleepers = Children::spawn(2, |which| {
        let (name, _, wait) = WAITS[which];
        check!(wait(&r, Some(SIGUSR1.into())) == Ok(1), "{name}");
        check!(handled() == 1, "{name}");
        holds!(mask() == Ok(Signals::NONE), "{name}")
    })?;
    for (sleeper, (_, call, _)) in sleepers.iter().zip(WAITS) {
        sleeper.blocked_in(call)?;
        sleeper.kill(SIGUSR1)?;
        sleeper.blocked_in(call)?;
    }
    write(&w, b"x")?;
    sleepers.join()
}

/// Without a mask of its own the call changes no mask: what is blocked stays pending, what is not ends the sleep.
#[case(SELECT_2, "pselect()", also = [(POLL_2, "ppoll()")])]
fn null_mask_leaves_signals_as_they_are() -> Verdict {
    let (r, _w) = pipe()?;
    catch(SIGUSR1)?;
    catch(SIGUSR2)?;
    block(SIGUSR1)?;
    for (name, call, wait) in WAITS {
        let sleeper = Child::spawn(|| {
            raise(SIGUSR1)?;
            check!(wait(&r, None) == Err(EINTR), "{name}");
            check!(delivered() == [Sig::from(SIGUSR2)], "{name}");
            holds!(mask() == Ok(SIGUSR1.into()), "{name}")
        })?;
        sleeper.interrupt_in(call, SIGUSR2)?;
    }
    Ok(())
}

/// With a mask that lets everything through and no signal, the call waits for its event, and the mask comes back.
#[case(SELECT_2, "pselect()", also = [(POLL_2, "ppoll()")])]
fn mask_ends_no_wait_by_itself() -> Verdict {
    let (r, w) = pipe()?;
    block(SIGUSR1)?;
    let sleepers = Children::spawn(2, |which| {
        let (name, _, wait) = WAITS[which];
        check!(wait(&r, Some(Signals::NONE)) == Ok(1), "{name}");
        holds!(mask() == Ok(SIGUSR1.into()), "{name}")
    })?;
    for (sleeper, (_, call, _)) in sleepers.iter().zip(WAITS) {
        sleeper.blocked_in(call)?;
    }
    write(&w, b"x")?;
    sleepers.join()
}
