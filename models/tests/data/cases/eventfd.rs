use crate::prelude::*;
use crate::sys::eventfd::{MOST, add, event, take};
use crate::sys::poll;
use crate::sys::signals::{Action, Sig, Signals, accept};
use nix::sys::eventfd::EfdFlags;

/// A read takes what was added.
#[case(EVENTFD_2, "DESCRIPTION")]
fn a_read_takes_what_was_added() -> Verdict {
    // On Example 1.0 x86_64, step 12 gave asleep where 0 is wanted.
    let event = event(1, EfdFlags::empty())?;
    Action::record().mask(Signals::ALL).on(SIGUSR1)?;
    Action::record().mask(Signals::ALL).on(Sig::rt(0))?;
    Action::record().mask(Signals::ALL).flags(libc::SA_RESTART).on(SIGUSR2)?;
    let over = Latch::new()?;
    let turns = (0..12).map(|_| Latch::new()).collect::<Verdict<Vec<_>>>()?;
    let done = (0..12).map(|_| Latch::new()).collect::<Verdict<Vec<_>>>()?;

    let actor_0 = Child::spawn(|| {
        turns[0].wait()?;
        check!(Action::record().mask(Signals::ALL).on(Sig::rt(1)).is_ok());
        done[0].open();
        turns[1].wait()?;
        check!(add(&event, 2).is_ok());
        done[1].open();
        turns[2].wait()?;
        check!(add(&event, MOST).is_ok());
        done[2].open();
        turns[5].wait()?;
        check!(take(&event) == Ok(MOST));
        done[5].open();
        turns[7].wait()?;
        check!(accept(Signals::NONE.and(SIGUSR1).and(SIGSTOP).and(SIGKILL), Some(Duration::ZERO)) == Err(EAGAIN));
        done[7].open();
        turns[8].wait()?;
        Ok(())
    })?;

    let actor_1 = Child::spawn(|| {
        turns[3].wait()?;
        check!(read(&event, &mut [0; 7]) == Err(EINVAL));
        done[3].open();
        turns[4].wait()?;
        check!(take(&event) == Ok(3));
        done[4].open();
        turns[9].wait()?;
        check!(poll::now(&event, poll::IN | poll::OUT) == Ok(poll::OUT));
        done[9].open();
        turns[11].wait()?;
        check!(add(&event, MOST - 2).is_ok());
        done[11].open();
        over.wait()
    })?;

    turns[0].open();
    done[0].wait()?;
    turns[1].open();
    done[1].wait()?;
    turns[2].open();
    actor_0.blocked_in(WRITE)?;
    turns[3].open();
    done[3].wait()?;
    turns[4].open();
    done[2].wait()?;
    done[4].wait()?;
    turns[5].open();
    done[5].wait()?;
    turns[7].open();
    done[7].wait()?;
    turns[8].open();
    check!(actor_0.wait()? == End::Exited(0));
    turns[9].open();
    done[9].wait()?;
    turns[11].open();
    done[11].wait()?;
    over.open();
    actor_1.join()?;
    Ok(())
}
