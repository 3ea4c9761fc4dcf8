use crate::prelude::*;
use crate::sys::descriptors::{closed_fd, read_once, unread};
use crate::sys::pipes::{Fifo, capacity, set_capacity};
use crate::sys::poll;
use crate::sys::signals::{Action, Sig, Signals, send, set_mask};
use crate::sys::signals;

/// A FIFO opens for both ends.
#[case(FIFO_7, "DESCRIPTION")]
fn a_fifo_opens_for_both_ends() -> Verdict {
    let data = |tag: u8, bytes: usize| -> Vec<u8> {
        (0..bytes).map(|at| tag ^ (at as u8).wrapping_mul(0x9d) ^ (at >> 8) as u8).collect()
    };
    // On Example 1.0 x86_64, step 18 gave asleep where 0 is wanted.
    let fifo = Fifo::new("fifo")?;
    let (r, w) = (closed_fd(), closed_fd());
    Action::record().mask(Signals::ALL).on(SIGUSR1)?;
    Action::record().mask(Signals::ALL).on(Sig::rt(0))?;
    Action::record().mask(Signals::ALL).flags(libc::SA_RESTART).on(SIGUSR2)?;
    let over = Latch::new()?;
    let turns = (0..18).map(|_| Latch::new()).collect::<Verdict<Vec<_>>>()?;
    let done = (0..17).map(|_| Latch::new()).collect::<Verdict<Vec<_>>>()?;

    let actor_0 = Child::spawn(|| {
        turns[0].wait()?;
        let r = Box::leak(Box::new(fifo.open(OFlag::O_RDWR)?));
        let w = Box::leak(Box::new(dup(&r)?));
        done[0].open();
        turns[1].wait()?;
        check!(close(w.as_raw_fd()).is_ok());
        done[1].open();
        turns[2].wait()?;
        check!(close(r.as_raw_fd()).is_ok());
        done[2].open();
        turns[3].wait()?;
        check!(read_once(&r, 4095) == Err(EBADF));
        done[3].open();
        turns[5].wait()?;
        let r = Box::leak(Box::new(fifo.open(OFlag::O_RDWR)?));
        let w = Box::leak(Box::new(dup(&r)?));
        done[5].open();
        turns[6].wait()?;
        check!(Action::record().mask(Signals::ALL).flags(libc::SA_RESTART).on(SIGKILL) == Err(EINVAL));
        done[6].open();
        turns[7].wait()?;
        check!(set_capacity(&r, 12288) == Ok(16384));
        done[7].open();
        turns[9].wait()?;
        check!(capacity(&w) == Ok(16384));
        done[9].open();
        turns[11].wait()?;
        check!(set_mask(Signals::NONE).is_ok());
        done[11].open();
        turns[14].wait()?;
        check!(write(&w, &data(5, 1600)) == Ok(1600));
        done[14].open();
        turns[16].wait()?;
        check!(poll::now(&w, poll::IN | poll::OUT) == Ok(poll::IN | poll::OUT));
        done[16].open();
        turns[17].wait()?;
        Ok(())
    })?;

    let actor_1 = Child::spawn(|| {
        turns[4].wait()?;
        check!(write(&w, &data(35, 1)) == Err(EBADF));
        done[4].open();
        turns[13].wait()?;
        check!(unread(&r) == Err(EBADF));
        done[13].open();
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
    turns[6].open();
    done[6].wait()?;
    turns[7].open();
    done[7].wait()?;
    signals::queue(actor_1.pid(), Sig::rt(0), 0)?;
    turns[9].open();
    done[9].wait()?;
    send(actor_1.pid(), SIGUSR1)?;
    turns[11].open();
    done[11].wait()?;
    send(actor_1.pid(), SIGCONT)?;
    turns[13].open();
    done[13].wait()?;
    turns[14].open();
    done[14].wait()?;
    turns[16].open();
    done[16].wait()?;
    turns[17].open();
    check!(actor_0.wait()? == End::Exited(0));
    over.open();
    actor_1.join()?;
    Ok(())
}
