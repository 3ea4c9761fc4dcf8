use crate::prelude::*;
use crate::sys::signals::{Action, Sig, Signals, accept, change_mask_in_no_known_way, pause, pending, send, send_thread, suspend};

/// A pending signal is delivered or taken.
#[case(SIGNAL_7, "Signal mask and pending signals")]
fn a_pending_signal_is_delivered_or_taken() -> Verdict {
    // On Example 1.0 x86_64, step 18 gave asleep where 0 is wanted.
    // At step 6 one of several sleepers goes on: where no rule says which,
    // another may be as right, and this case is no good.
    Action::record().mask(Signals::ALL).on(SIGUSR1)?;
    Action::record().mask(Signals::ALL).on(Sig::rt(0))?;
    Action::record().mask(Signals::ALL).flags(libc::SA_RESTART).on(SIGUSR2)?;
    let over = Latch::new()?;
    let turns = (0..15).map(|_| Latch::new()).collect::<Verdict<Vec<_>>>()?;
    let done = (0..15).map(|_| Latch::new()).collect::<Verdict<Vec<_>>>()?;

    let actor_0 = Child::spawn(|| {
        turns[1].wait()?;
        check!(suspend(Signals::NONE.and(Sig::rt(0)).and(Sig::rt(1))) == Err(EINTR));
        done[1].open();
        turns[6].wait()?;
        check!(pending() == Ok(Signals::NONE));
        done[6].open();
        turns[7].wait()?;
        check!(change_mask_in_no_known_way() == Err(EINVAL));
        done[7].open();
        turns[8].wait()?;
        check!(Action::record().mask(Signals::ALL).flags(libc::SA_RESTART).on(SIGUSR1).is_ok());
        done[8].open();
        turns[9].wait()?;
        Ok(())
    })?;

    let actor_1 = Child::spawn(|| {
        turns[0].wait()?;
        check!(pending() == Ok(Signals::NONE));
        done[0].open();
        turns[2].wait()?;
        check!(Action::record().mask(Signals::ALL).on(SIGKILL) == Err(EINVAL));
        done[2].open();
        turns[3].wait()?;
        check!(pending() == Ok(Signals::NONE));
        done[3].open();
        turns[4].wait()?;
        check!(pause() == Err(EINTR));
        done[4].open();
        turns[13].wait()?;
        check!(pending() == Ok(Signals::NONE));
        done[13].open();
        turns[14].wait()?;
        check!(accept(Signals::NONE.and(SIGUSR1).and(SIGCONT), Some(Duration::ZERO)) == Err(EAGAIN));
        done[14].open();
        over.wait()
    })?;

    turns[0].open();
    done[0].wait()?;
    turns[1].open();
    actor_0.blocked_in(SIGSUSPEND)?;
    turns[2].open();
    done[2].wait()?;
    turns[3].open();
    done[3].wait()?;
    turns[4].open();
    actor_1.blocked_in(PAUSE)?;
    send(actor_0.pid(), SIGUSR1)?;
    done[1].wait()?;
    turns[6].open();
    done[6].wait()?;
    turns[7].open();
    done[7].wait()?;
    turns[8].open();
    done[8].wait()?;
    turns[9].open();
    check!(actor_0.wait()? == End::Exited(0));
    send(actor_1.pid(), SIGUSR1)?;
    done[4].wait()?;
    send(actor_1.pid(), SIGCONT)?;
    turns[13].open();
    done[13].wait()?;
    turns[14].open();
    done[14].wait()?;
    send_thread(actor_1.pid(), actor_1.pid(), Sig::rt(0))?;
    over.open();
    actor_1.join()?;
    Ok(())
}
