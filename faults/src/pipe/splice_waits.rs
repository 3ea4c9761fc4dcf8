//! Wrong sleeps of splice and tee, and of those who wait for what they move.

use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    blocking_splice_gives_up,
    one_sleeping_splice_is_woken,
    byte_is_lost_when_processes_take_turns,
    spliced_data_wakes_no_reader,
    room_made_by_a_splice_wakes_no_writer,
    splice_without_reader_raises_no_signal,
    interrupted_splice_loses_a_byte,
    splice_cut_short_is_told_as_eintr,
    stopped_splice_gives_eintr,
    killed_splice_loses_a_byte,
];

/// Splice and tee never sleep for a pipe: they fail with EAGAIN.
#[fault(SPLICE_2, "ERRORS", on = [SPLICE, TEE])]
fn blocking_splice_gives_up(call: &mut Call) -> Result<Effect> {
    let flags = call.places().flags;
    call.set_argument(flags, call.argument(flags) | u64::from(libc::SPLICE_F_NONBLOCK));
    call.proceed()
}

/// Of all that sleep in splice or tee, only the first is ever woken.
#[fault(SPLICE_2, "RETURN VALUE", on = [SPLICE, TEE])]
fn one_sleeping_splice_is_woken(call: &mut Call) -> Result<Effect> {
    if !call.lacks_data() && !call.lacks_room() {
        return call.proceed();
    }
    call.then(|call| {
        let nth = if call.result() >= 0 { call.notes().count(0) } else { 0 };
        if nth > 0 { call.sleep() } else { call.proceed() }
    })
}

/// When processes take turns at splicing from a pipe or into it, a byte is lost between them.
#[fault(SPLICE_2, "RETURN VALUE", on = [SPLICE])]
fn byte_is_lost_when_processes_take_turns(call: &mut Call) -> Result<Effect> {
    let pipe = call.source().or_else(|_| call.target())?;
    call.then(move |call| {
        let me = i64::from(call.process().as_raw());
        let last = call.notes().of(pipe.inode).replace(me);
        if call.result() > 0 && last.is_some_and(|last| last != me) {
            call.lose_a_byte(pipe)?;
        }
        call.proceed()
    })
}

/// Data that splice or tee brings into a pipe wakes no reader that sleeps for it.
#[fault(PIPE_7, "I/O on pipes and FIFOs", on = [SPLICE, TEE, READ])]
fn spliced_data_wakes_no_reader(call: &mut Call) -> Result<Effect> {
    if call.number() != libc::SYS_read {
        call.notes().count(call.target()?.inode);
        return call.proceed();
    }
    let pipe = call.pipe(0)?;
    if !call.reports_nothing(pipe, poll::IN) {
        return call.proceed();
    }
    *call.notes().of(pipe.inode) = None;
    call.then(move |call| {
        let was_spliced = call.result() > 0 && call.notes().has(pipe.inode);
        if was_spliced { call.sleep() } else { call.proceed() }
    })
}

/// Room that splice makes in a pipe wakes no writer that sleeps for it.
#[fault(PIPE_7, "I/O on pipes and FIFOs", on = [SPLICE, WRITE])]
fn room_made_by_a_splice_wakes_no_writer(call: &mut Call) -> Result<Effect> {
    if call.number() == libc::SYS_splice {
        call.notes().count(call.source()?.inode);
        return call.proceed();
    }
    let pipe = call.pipe(0)?;
    if !call.reports_nothing(pipe, poll::OUT) || pipe.is_nonblocking() {
        return call.proceed();
    }
    *call.notes().of(pipe.inode) = None;
    call.then(move |call| {
        let was_spliced = call.result() > 0 && call.notes().has(pipe.inode);
        if was_spliced { call.sleep() } else { call.proceed() }
    })
}

/// Splice and tee to where nobody reads fail with EPIPE and raise no SIGPIPE.
#[fault(PIPE_7, "I/O on pipes and FIFOs", on = [SPLICE, TEE])]
fn splice_without_reader_raises_no_signal(call: &mut Call) -> Result<Effect> {
    let to = call.fd(call.places().to)?;
    let gone = if to.is_pipe() { poll::ERR } else { poll::HUP };
    if to.is_pipe() || to.kind == Kind::Socket {
        let ready = poll::now(call.copy(to.number)?, poll::OUT)?;
        if ready.contains(gone) {
            return call.fail(EPIPE);
        }
    }
    call.proceed()
}

/// A signal that interrupts a sleeping splice or tee costs the source a byte.
#[fault(SIGNAL_7, "Interruption of system calls and library functions by signal handlers", signals)]
fn interrupted_splice_loses_a_byte(signal: &mut Arrival) -> Fate {
    if let Some(call) = signal.interrupted()
        && [libc::SYS_splice, libc::SYS_tee].contains(&call.number())
    {
        let _ = call.source().and_then(|source| call.lose_a_byte(source));
    }
    Fate::Deliver
}

/// A splice to a socket that is cut short by a signal fails with EINTR, whatever it has moved.
#[fault(SPLICE_2, "RETURN VALUE", on = [SPLICE])]
fn splice_cut_short_is_told_as_eintr(call: &mut Call) -> Result<Effect> {
    let (source, socket, length) = (call.source()?, call.fd(2)?, call.argument(4) as i64);
    call.then(move |call| {
        let is_short = socket.kind == Kind::Socket && (1..length).contains(&call.result());
        let is_left = is_short && !call.reports_nothing(source, poll::IN);
        if is_left { call.fail(EINTR) } else { call.proceed() }
    })
}

/// A splice or tee that is stopped and continued fails with EINTR.
#[fault(SIGNAL_7, "Interruption of system calls and library functions by stop signals", on = [SPLICE, TEE])]
fn stopped_splice_gives_eintr(call: &mut Call) -> Result<Effect> {
    let thread = call.thread().as_raw() as u64;
    if call.notes().of(thread).take().is_some() {
        return call.fail(EINTR);
    }
    call.notes().count(thread);
    call.then(move |call| {
        *call.notes().of(thread) = None;
        call.proceed()
    })
}

/// A process that is killed while its splice sleeps for room takes the head of the source along.
#[fault(SPLICE_2, "DESCRIPTION", on = [SPLICE, READ])]
fn killed_splice_loses_a_byte(call: &mut Call) -> Result<Effect> {
    let source = call.source()?;
    if call.number() == libc::SYS_splice {
        if call.lacks_room() {
            *call.notes().of(source.inode) = Some(i64::from(call.thread().as_raw()));
        }
        return call.proceed();
    }
    let thread = call.notes().of(source.inode).take();
    if thread.is_some_and(|thread| !std::path::Path::new(&format!("/proc/{thread}")).exists()) {
        call.lose_a_byte(source)?;
    }
    call.proceed()
}
