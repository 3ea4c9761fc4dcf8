use crate::prelude::*;
use crate::sys::descriptors::{read_once, set_nonblocking, unread};
use crate::sys::memory::page_size;
use crate::sys::pipes::{capacity, set_capacity};
use crate::sys::poll;
use crate::sys::signals::{Action, Sig, Signals, accept, send, send_thread, set_mask};

/// What was written is read in order.
#[case(PIPE_7, "I/O on pipes and FIFOs")]
fn what_was_written_is_read_in_order() -> Verdict {
    let data = |tag: u8, bytes: usize| -> Vec<u8> {
        (0..bytes).map(|at| tag ^ (at as u8).wrapping_mul(0x9d) ^ (at >> 8) as u8).collect()
    };
    // On Example 1.0 x86_64, step 18 gave asleep where 0 is wanted.
    let (r, w) = pipe()?;
    set_capacity(&w, page_size())?;
    set_nonblocking(&r, true)?;
    set_nonblocking(&w, true)?;
    Action::record().mask(Signals::ALL).on(SIGUSR1)?;
    Action::record().mask(Signals::ALL).on(Sig::rt(0))?;
    Action::record().mask(Signals::ALL).flags(libc::SA_RESTART).on(SIGUSR2)?;
    let over = Latch::new()?;
    let turns = (0..17).map(|_| Latch::new()).collect::<Verdict<Vec<_>>>()?;
    let done = (0..17).map(|_| Latch::new()).collect::<Verdict<Vec<_>>>()?;

    let actor_0 = Child::spawn(|| {
        turns[1].wait()?;
        check!(Action::record().mask(Signals::ALL).flags(libc::SA_RESTART).on(Sig::rt(0)).is_ok());
        done[1].open();
        turns[2].wait()?;
        check!(write(&w, &data(186, 600)) == Ok(600));
        done[2].open();
        turns[3].wait()?;
        check!(read_once(&r, 2) == Ok(vec![186, 39]));
        done[3].open();
        turns[4].wait()?;
        check!(set_mask(Signals::NONE).is_ok());
        done[4].open();
        turns[5].wait()?;
        check!(unread(&w) == Ok(598));
        done[5].open();
        turns[6].wait()?;
        check!(write(&w, &data(75, 1600)) == Ok(1600));
        done[6].open();
        turns[7].wait()?;
        check!(write(&w, &data(96, 8)) == Ok(8));
        done[7].open();
        turns[9].wait()?;
        check!(capacity(&w) == Ok(4096));
        done[9].open();
        turns[10].wait()?;
        check!(write(&w, &data(221, 4097)) == Ok(1));
        done[10].open();
        turns[11].wait()?;
        check!(capacity(&w) == Ok(4096));
        done[11].open();
        turns[13].wait()?;
        check!(poll::now(&r, poll::IN | poll::OUT) == Ok(poll::IN));
        done[13].open();
        turns[15].wait()?;
        // It has this end open already.
        done[15].open();
        turns[16].wait()?;
        check!(set_capacity(&r, 12288) == Ok(16384));
        done[16].open();
        over.wait()
    })?;

    let actor_1 = Child::spawn(|| {
        turns[0].wait()?;
        check!(accept(Signals::NONE, None) == Err(EINTR));
        done[0].open();
        turns[12].wait()?;
        check!(write(&w, &data(213, 0)) == Ok(0));
        done[12].open();
        turns[14].wait()?;
        check!(write(&w, &data(227, 100)) == Ok(100));
        done[14].open();
        over.wait()
    })?;
    drop((r, w));

    turns[0].open();
    actor_1.blocked_in(SIGTIMEDWAIT)?;
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
    send_thread(actor_1.pid(), actor_1.pid(), SIGUSR1)?;
    done[0].wait()?;
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
    send(actor_1.pid(), SIGUSR1)?;
    over.open();
    actor_0.join()?;
    actor_1.join()?;
    Ok(())
}
