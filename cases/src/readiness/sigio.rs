//! O_ASYNC: the events that raise a signal, and what comes with it.

use std::collections::VecDeque;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::prelude::*;
use crate::sys::descriptors::read_all;
use crate::sys::pipes::{Fifo, fill_pipe};
use crate::sys::poll::{self, ERR, HUP, IN, OUT};
use crate::sys::sigio::{
    QUEUE_LIMIT, announce, announce_by, choose_signal, chosen_signal, set_async, set_owner,
};
use crate::sys::signals::{
    Action, Sig, Signals, accept_pending, block, code, deliveries, pending, unblock,
};
use crate::sys::sockets::Socket;

/// The cases of this module.
pub const CASES: &[Case] = &[
    new_input_raises_sigio,
    input_beside_unread_input_raises_sigio,
    room_raises_sigio,
    last_close_raises_sigio_at_the_other_end,
    fifo_raises_sigio_as_a_pipe_does,
    every_description_of_a_fifo_has_signals_of_its_own,
    owner_alone_raises_no_signal,
    flag_is_shared_by_copies,
    chosen_signal_comes_instead_of_sigio,
    signal_is_0_to_begin_with,
    handler_learns_of_input,
    handler_learns_of_room,
    handler_learns_that_a_peer_has_gone,
    real_time_signals_queue_up,
    copy_reports_the_descriptor_that_is_closed,
    full_queue_falls_back_to_sigio,
    number_that_is_no_signal_is_refused,
];

/// With O_ASYNC on the read end, new input raises SIGIO for the owner that F_SETOWN set.
#[case(PIPE_7, "Open file status flags", also = [(F_GETOWN_2CONST, "DESCRIPTION"), (OPEN_2, "DESCRIPTION")], settles = ["F_GETOWN.2const/DESCRIPTION F_SETOWN", "F_GETSIG.2const/DESCRIPTION F_SETOWN"])]
fn new_input_raises_sigio() -> Verdict {
    let (r, w) = pipe()?;
    block(SIGIO)?;
    announce(&r)?;
    check!(!pending()?.has(SIGIO));
    Child::spawn(|| say(&w, "x"))?.join()?;
    check!(pending()?.has(SIGIO));
    Ok(())
}

/// Each write that brings new input raises SIGIO, though earlier input is still unread.
#[case(PIPE_7, "Open file status flags")]
fn input_beside_unread_input_raises_sigio() -> Verdict {
    let (r, w) = pipe()?;
    block(SIGIO)?;
    announce(&r)?;
    for round in 0..3 {
        write(&w, b"x")?;
        check!(accept_pending(SIGIO).map(|told| told.signal) == Ok(Sig::from(SIGIO)), "{round}");
        check!(!pending()?.has(SIGIO));
    }
    Ok(())
}

/// With O_ASYNC on the write end, a reader that makes room in a full pipe raises SIGIO.
#[case(OPEN_2, "DESCRIPTION", also = [(F_GETOWN_2CONST, "DESCRIPTION")])]
fn room_raises_sigio() -> Verdict {
    let (r, w) = pipe()?;
    block(SIGIO)?;
    let full = fill_pipe(&w)?;
    announce(&w)?;
    for round in 0..2 {
        let _ = accept_pending(SIGIO);
        Child::spawn(|| holds!(read_all(&r, full)?.len() == full))?.join()?;
        check!(pending()?.has(SIGIO), "round {round}");
        fill_pipe(&w)?;
    }
    Ok(())
}

/// The last close of one end, here by a process that is killed, raises SIGIO for the other, which no longer blocks.
#[case(F_GETOWN_2CONST, "DESCRIPTION", also = [(SELECT_2, "DESCRIPTION")])]
fn last_close_raises_sigio_at_the_other_end() -> Verdict {
    block(SIGIO)?;
    for writer_stays in [false, true] {
        let (r, w) = pipe()?;
        if writer_stays {
            fill_pipe(&w)?;
        }
        let (stays, goes) = if writer_stays { (w, r) } else { (r, w) };
        let holder = Child::spawn(move || {
            let _goes = goes;
            Latch::new()?.wait()
        })?;
        holder.blocked_in(FUTEX)?;
        announce(&stays)?;
        let _ = accept_pending(SIGIO);
        holder.kill(SIGKILL)?;
        holder.wait()?;
        check!(pending()?.has(SIGIO), "the writer stays: {writer_stays}");
    }
    Ok(())
}

/// A FIFO raises SIGIO for input from each writer that comes, and when the last of them goes.
#[case(PIPE_7, "Open file status flags", also = [(OPEN_2, "DESCRIPTION")])]
fn fifo_raises_sigio_as_a_pipe_does() -> Verdict {
    let fifo = Fifo::new("fifo")?;
    block(SIGIO)?;
    let r = fifo.early_reader()?;
    announce(&r)?;
    for word in ["one", "two"] {
        let w = fifo.writer()?;
        let _ = accept_pending(SIGIO);
        say(&w, word)?;
        check!(accept_pending(SIGIO).is_ok(), "{word}");
        check!(text(&r, 8) == Ok(word));
        drop(w);
        check!(accept_pending(SIGIO).is_ok(), "{word}");
    }
    Ok(())
}

/// Each open file description of a FIFO has a signal of its own, and all of them are raised.
#[case(F_GETOWN_2CONST, "DESCRIPTION", also = [(OPEN_2, "Open file descriptions")])]
fn every_description_of_a_fifo_has_signals_of_its_own() -> Verdict {
    let fifo = Fifo::new("fifo")?;
    let signals = [SIGUSR1, SIGUSR2, SIGURG];
    block(Signals::ALL)?;
    let readers = signals.map(|_| fifo.early_reader());
    for (reader, signal) in readers.iter().zip(signals) {
        announce_by(reader.as_ref().map_err(|errno| *errno)?, signal)?;
    }
    say(fifo.writer()?, "x")?;
    for signal in signals {
        check!(pending()?.has(signal), "{signal}");
    }
    Ok(())
}

/// An owner without O_ASYNC gets no signal; nor does it when O_ASYNC has been switched off again.
#[case(F_GETOWN_2CONST, "DESCRIPTION")]
fn owner_alone_raises_no_signal() -> Verdict {
    let (r, w) = pipe()?;
    block(SIGIO)?;
    set_owner(&r, getpid().as_raw())?;
    write(&w, b"x")?;
    check!(!pending()?.has(SIGIO));
    set_async(&r, true)?;
    write(&w, b"x")?;
    check!(accept_pending(SIGIO).is_ok());
    set_async(&r, false)?;
    write(&w, b"x")?;
    check!(!pending()?.has(SIGIO));
    Ok(())
}

/// O_ASYNC, like any file status flag, is one for all copies of a descriptor, and F_GETFL tells it.
#[case(DUP_2, "DESCRIPTION", also = [(F_GETFL_2CONST, "DESCRIPTION")])]
fn flag_is_shared_by_copies() -> Verdict {
    let (r, w) = pipe()?;
    block(SIGIO)?;
    announce(&r)?;
    let copy = dup(&r)?;
    let flags = OFlag::from_bits_retain(fcntl(&copy, FcntlArg::F_GETFL)?);
    check!(flags.contains(OFlag::O_ASYNC));
    set_async(&copy, false)?;
    write(&w, b"x")?;
    check!(!pending()?.has(SIGIO));
    let flags = OFlag::from_bits_retain(fcntl(&r, FcntlArg::F_GETFL)?);
    check!(!flags.contains(OFlag::O_ASYNC));
    Ok(())
}

/// The signal that F_SETSIG chose comes instead of SIGIO, until F_SETSIG chooses 0.
#[case(F_GETSIG_2CONST, "DESCRIPTION", settles = ["F_GETSIG.2const/DESCRIPTION F_SETSIG", "F_GETOWN.2const/DESCRIPTION F_SETSIG", "F_GETSIG.2const/RETURN VALUE F_SETSIG", "F_GETOWN.2const/RETURN VALUE F_SETSIG"])]
fn chosen_signal_comes_instead_of_sigio() -> Verdict {
    let (r, w) = pipe()?;
    block(Signals::ALL)?;
    announce(&r)?;
    for signal in [SIGUSR1.into(), Sig::rt(3), SIGIO.into(), Sig(0), SIGTERM.into(), Sig(0)] {
        check!(choose_signal(&r, signal) == Ok(0), "{signal:?}");
        write(&w, b"x")?;
        let wanted = if signal == Sig(0) { SIGIO.into() } else { signal };
        check!(pending()? == Signals::from(wanted), "chosen: {signal:?}");
        accept_pending(wanted)?;
    }
    Ok(())
}

/// F_GETSIG tells the signal that was chosen, and 0 for a SIGIO that nobody chose.
#[case(F_GETSIG_2CONST, "RETURN VALUE", also = [(F_GETSIG_2CONST, "DESCRIPTION")], settles = ["F_GETSIG.2const/DESCRIPTION F_GETSIG", "F_GETOWN.2const/DESCRIPTION F_GETSIG", "F_GETSIG.2const/RETURN VALUE F_GETSIG", "F_GETOWN.2const/RETURN VALUE F_GETSIG"])]
fn signal_is_0_to_begin_with() -> Verdict {
    let (r, w) = pipe()?;
    check!(chosen_signal(&r) == Ok(Sig(0)));
    for signal in [SIGIO.into(), SIGUSR1.into(), Sig::rt(0), Sig(libc::SIGRTMAX()), Sig(0)] {
        check!(choose_signal(&r, signal).map(drop) == Ok(()), "{signal:?}");
        check!(chosen_signal(&r) == Ok(signal));
        check!(chosen_signal(dup(&r)?) == Ok(signal));
        check!(chosen_signal(&w) == Ok(Sig(0)));
    }
    Ok(())
}

/// A handler with SA_SIGINFO learns from a chosen signal which descriptor has input, with what poll reports.
#[case(F_GETSIG_2CONST, "DESCRIPTION", also = [(SIGACTION_2, "The siginfo_t argument to a SA_SIGINFO handler"), (SIGACTION_2, "The si_code field")], settles = ["sigaction.2 POLL_IN"])]
fn handler_learns_of_input() -> Verdict {
    for signal in [SIGIO.into(), SIGUSR1.into(), Sig::rt(0)] {
        let (r, w) = pipe()?;
        let before = deliveries().len();
        Action::record().on(signal)?;
        announce_by(&r, signal)?;
        write(&w, b"x")?;
        let told = deliveries()[before..].to_vec();
        check!(told.len() == 1, "{signal:?}");
        check!(
            (told[0].number, told[0].code, told[0].fd) == (signal.0, code::POLL_IN, r.as_raw_fd())
        );
        let events = IN | nix::poll::PollFlags::POLLRDNORM;
        check!(told[0].band == libc::c_long::from(poll::now(&r, events)?.bits()), "{signal:?}");
    }
    Ok(())
}

/// A handler with SA_SIGINFO learns from a chosen signal which descriptor has room, and of no input or error.
#[case(F_GETSIG_2CONST, "DESCRIPTION", also = [(SIGACTION_2, "The siginfo_t argument to a SA_SIGINFO handler"), (SIGACTION_2, "The si_code field")], settles = ["sigaction.2 POLL_OUT"])]
fn handler_learns_of_room() -> Verdict {
    let (r, w) = pipe()?;
    let full = fill_pipe(&w)?;
    block(Signals::ALL)?;
    announce_by(&w, SIGUSR1)?;
    let _ = accept_pending(SIGUSR1);
    Action::record().on(SIGUSR1)?;
    unblock(SIGUSR1)?;
    read_all(&r, full)?;
    check!(!deliveries().is_empty());
    let told = deliveries()[0];
    check!((told.code, told.fd) == (code::POLL_OUT, w.as_raw_fd()));
    let band = libc::c_long::from((IN | OUT | ERR | HUP).bits()) & told.band;
    check!(band == libc::c_long::from(OUT.bits()));
    Ok(())
}

/// A socket whose peer has gone sends the chosen signal with POLL_HUP and its descriptor.
#[case(SIGACTION_2, "The si_code field", settles = ["sigaction.2 POLL_HUP"])]
fn handler_learns_that_a_peer_has_gone() -> Verdict {
    let (stays, goes) = Socket::pair(libc::SOCK_STREAM)?;
    let signal = Sig::rt(0);
    block(Signals::ALL)?;
    announce_by(&stays, signal)?;
    let _ = accept_pending(signal);
    drop(goes);
    let told = accept_pending(signal);
    check!(
        told.map(|told| (told.code, told.fd)) == Ok((code::POLL_HUP, stays.as_fd().as_raw_fd()))
    );
    check!(told?.band & libc::c_long::from(HUP.bits()) != 0);
    Ok(())
}

/// A real-time signal is queued for each event, with its descriptor, in the order of the events.
#[case(F_GETSIG_2CONST, "DESCRIPTION")]
fn real_time_signals_queue_up() -> Verdict {
    let signal = Sig::rt(0);
    block(Signals::ALL)?;
    let pipes = [pipe()?, pipe()?, pipe()?];
    for (r, _) in &pipes {
        announce_by(r, signal)?;
    }
    let mut events = VecDeque::new();
    for which in [2, 0, 1, 1, 2] {
        let (r, w) = &pipes[which];
        write(w, b"x")?;
        events.push_back(r.as_raw_fd());
    }
    while let Some(fd) = events.pop_front() {
        check!(accept_pending(signal).map(|told| told.fd) == Ok(fd), "{} to come", events.len());
    }
    check!(!pending()?.has(signal));
    Ok(())
}

/// Events go on when a copy outlives the descriptor that was set up, under the number that is closed now.
#[case(F_GETSIG_2CONST, "DESCRIPTION")]
fn copy_reports_the_descriptor_that_is_closed() -> Verdict {
    let (r, w) = pipe()?;
    let signal = Sig::rt(0);
    block(Signals::ALL)?;
    announce_by(&r, signal)?;
    let number = r.as_raw_fd();
    let _copy = dup(&r)?;
    drop(r);
    write(&w, b"x")?;
    check!(accept_pending(signal).map(|told| told.fd) == Ok(number));
    Ok(())
}

/// Where no further real-time signal may be queued, SIGIO comes instead, and real-time signals once more may be.
#[case(F_GETSIG_2CONST, "DESCRIPTION", also = [(GETRLIMIT_2, "DESCRIPTION")], needs = [Need::Facility(QUEUE_LIMIT)])]
fn full_queue_falls_back_to_sigio() -> Verdict {
    let (r, w) = pipe()?;
    let signal = Sig::rt(0);
    block(Signals::ALL)?;
    announce_by(&r, signal)?;
    let (soft, hard) = getrlimit(Resource::RLIMIT_SIGPENDING)?;
    setrlimit(Resource::RLIMIT_SIGPENDING, 0, hard)?;
    write(&w, b"x")?;
    check!(pending()? == Signals::from(SIGIO));
    accept_pending(SIGIO)?;
    setrlimit(Resource::RLIMIT_SIGPENDING, soft, hard)?;
    write(&w, b"x")?;
    check!(pending()? == Signals::from(signal));
    Ok(())
}

refusals! {
    F_GETSIG_2CONST, "ERRORS";

    /// A number that is no signal is refused, and the signal stays what it was.
    ["F_GETSIG.2const EINVAL", "F_GETOWN.2const EINVAL"] number_that_is_no_signal_is_refused => EINVAL: {
        let (r, _w) = pipe()?;
        choose_signal(&r, SIGUSR1)?;
        for number in [-1, i32::MIN, i32::MAX] {
            check!(choose_signal(&r, Sig(number)) == Err(EINVAL), "{number}");
        }
        check!(chosen_signal(&r) == Ok(SIGUSR1.into()));
        choose_signal(&r, Sig(libc::SIGRTMAX() + 1))
    };
}
