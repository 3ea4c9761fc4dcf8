use crate::prelude::*;
use crate::sys::sem::{Op, Sem};
use crate::sys::signals::{Action, Sig, Signals, send, set_mask};
use nix::sys::time::TimeSpec;

/// The operations of a list are done together.
#[case(SEMOP_2, "DESCRIPTION")]
fn the_operations_of_a_list_are_done_together() -> Verdict {
    // On Example 1.0 x86_64, step 18 gave asleep where 0 is wanted.
    let sem = Sem::private(&[32766, 1, 1, 1])?;
    Action::record().mask(Signals::ALL).on(SIGUSR1)?;
    Action::record().mask(Signals::ALL).on(Sig::rt(0))?;
    Action::record().mask(Signals::ALL).flags(libc::SA_RESTART).on(SIGUSR2)?;
    let over = Latch::new()?;
    let turns = (0..18).map(|_| Latch::new()).collect::<Verdict<Vec<_>>>()?;
    let done = (0..18).map(|_| Latch::new()).collect::<Verdict<Vec<_>>>()?;

    let actor_0 = Child::spawn(|| {
        turns[0].wait()?;
        check!(sem.op(&[Op::new(2, 1)]).is_ok());
        done[0].open();
        turns[2].wait()?;
        Ok(())
    })?;

    let actor_1 = Child::spawn(|| {
        turns[3].wait()?;
        check!(sem.last_pid(1).is_ok());
        done[3].open();
        turns[4].wait()?;
        check!(sem.op(&[Op::new(1, 1).undo()]).is_ok());
        done[4].open();
        turns[6].wait()?;
        check!(sem.timed(&[Op::new(1, 32767).undo()], &mut TimeSpec::new(0, 0)) == Err(ERANGE));
        done[6].open();
        turns[7].wait()?;
        check!(sem.set(2, 32766).is_ok());
        done[7].open();
        turns[8].wait()?;
        check!(sem.all() == Ok(vec![32766, 2, 32766, 1]));
        done[8].open();
        turns[9].wait()?;
        check!(sem.get(0) == Ok(32766));
        done[9].open();
        turns[10].wait()?;
        check!(sem.op(&[]) == Err(EINVAL));
        done[10].open();
        turns[11].wait()?;
        check!(sem.all() == Ok(vec![32766, 2, 32766, 1]));
        done[11].open();
        turns[12].wait()?;
        check!(sem.stat().map(|stat| (stat.nsems, stat.otime != 0)) == Ok((4, true)));
        done[12].open();
        turns[13].wait()?;
        check!(Action::record().mask(Signals::ALL).on(SIGURG).is_ok());
        done[13].open();
        turns[14].wait()?;
        check!(sem.op(&[Op::new(2, -1).undo()]).is_ok());
        done[14].open();
        turns[15].wait()?;
        check!(set_mask(Signals::NONE).is_ok());
        done[15].open();
        turns[16].wait()?;
        check!(sem.wanting_zero(2) == Ok(0));
        done[16].open();
        turns[17].wait()?;
        let _ = sem.op(&[Op::new(0, -32766).undo(), Op::new(0, -2)]);
        done[17].open();
        over.wait()
    })?;

    turns[0].open();
    done[0].wait()?;
    send(actor_1.pid(), SIGUSR1)?;
    turns[2].open();
    check!(actor_0.wait()? == End::Exited(0));
    turns[3].open();
    done[3].wait()?;
    turns[4].open();
    done[4].wait()?;
    turns[6].open();
    done[6].wait()?;
    turns[7].open();
    done[7].wait()?;
    turns[8].open();
    done[8].wait()?;
    turns[9].open();
    done[9].wait()?;
    turns[10].open();
    done[10].wait()?;
    turns[11].open();
    done[11].wait()?;
    turns[12].open();
    done[12].wait()?;
    turns[13].open();
    done[13].wait()?;
    turns[14].open();
    done[14].wait()?;
    turns[15].open();
    done[15].wait()?;
    turns[16].open();
    done[16].wait()?;
    turns[17].open();
    actor_1.blocked_in(SEMOP)?;
    over.open();
    drop(actor_1); // asleep or stopped
    Ok(())
}
