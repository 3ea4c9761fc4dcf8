use crate::prelude::*;
use crate::sys::msg::Queue;
use crate::sys::signals::{Action, Sig, Signals, accept, send};
use libc::{IPC_NOWAIT, MSG_COPY, MSG_NOERROR, c_long};

/// Messages are received in order.
#[case(MSGOP_2, "DESCRIPTION")]
fn messages_are_received_in_order() -> Verdict {
    // On Example 1.0 x86_64, step 18 gave asleep where 0 is wanted.
    let queue = Queue::with_qbytes(64)?;
    Action::record().mask(Signals::ALL).on(SIGUSR1)?;
    Action::record().mask(Signals::ALL).on(Sig::rt(0))?;
    Action::record().mask(Signals::ALL).flags(libc::SA_RESTART).on(SIGUSR2)?;
    let over = Latch::new()?;
    let turns = (0..18).map(|_| Latch::new()).collect::<Verdict<Vec<_>>>()?;
    let done = (0..18).map(|_| Latch::new()).collect::<Verdict<Vec<_>>>()?;

    let actor_0 = Child::spawn(|| {
        turns[0].wait()?;
        check!(Action::record().mask(Signals::ALL).on(Sig::rt(1)).is_ok());
        done[0].open();
        turns[1].wait()?;
        check!(queue.receive(12, 1, MSG_COPY | IPC_NOWAIT | MSG_NOERROR) == Err(ENOMSG));
        done[1].open();
        turns[2].wait()?;
        check!(queue.send(1, &[b's'; 8], IPC_NOWAIT).is_ok());
        done[2].open();
        turns[3].wait()?;
        check!(queue.receive(12, 0, 0).map(|got| (got.kind(), got.body().to_vec())) == Ok((1, vec![b's'; 8])));
        done[3].open();
        turns[4].wait()?;
        check!(queue.send(3, &[b'p'; 0], IPC_NOWAIT).is_ok());
        done[4].open();
        turns[5].wait()?;
        check!(queue.receive(100, -3, IPC_NOWAIT).map(|got| (got.kind(), got.body().to_vec())) == Ok((3, vec![])));
        done[5].open();
        turns[7].wait()?;
        check!(accept(Signals::NONE.and(SIGUSR1).and(SIGSTOP).and(SIGKILL), Some(Duration::ZERO)) == Err(EAGAIN));
        done[7].open();
        turns[8].wait()?;
        Ok(())
    })?;

    let actor_1 = Child::spawn(|| {
        turns[9].wait()?;
        check!(queue.stat().map(|stat| (stat.qnum, stat.cbytes, stat.qbytes)) == Ok((0, 0, 64)));
        done[9].open();
        turns[11].wait()?;
        check!(Queue { id: -1 }.send(1, b"", IPC_NOWAIT) == Err(EINVAL));
        done[11].open();
        turns[12].wait()?;
        check!(queue.send(2, &[b'w'; 1], IPC_NOWAIT).is_ok());
        done[12].open();
        turns[13].wait()?;
        check!(queue.send(1, &[b'f'; 5000], IPC_NOWAIT) == Err(EAGAIN));
        done[13].open();
        turns[14].wait()?;
        check!(queue.receive(100, 0, MSG_NOERROR).map(|got| (got.kind(), got.body().to_vec())) == Ok((2, vec![b'w'; 1])));
        done[14].open();
        turns[15].wait()?;
        check!(queue.receive(12, -c_long::MAX, 0) == Err(EINTR));
        done[15].open();
        turns[17].wait()?;
        check!(queue.set_qbytes(16).is_ok());
        done[17].open();
        over.wait()
    })?;

    turns[0].open();
    done[0].wait()?;
    turns[1].open();
    done[1].wait()?;
    turns[2].open();
    done[2].wait()?;
    turns[3].open();
    done[3].wait()?;
    turns[4].open();
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
    turns[12].open();
    done[12].wait()?;
    turns[13].open();
    done[13].wait()?;
    turns[14].open();
    done[14].wait()?;
    turns[15].open();
    actor_1.blocked_in(MSGRCV)?;
    send(actor_1.pid(), SIGUSR1)?;
    done[15].wait()?;
    turns[17].open();
    done[17].wait()?;
    over.open();
    actor_1.join()?;
    Ok(())
}
