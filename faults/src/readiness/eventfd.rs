//! Wrong counters of eventfd.

use ipcspec_cases::sys::eventfd::MOST;

use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    initial_value_is_lost,
    flags_are_ignored,
    unknown_flags_are_taken,
    value_is_added_twice,
    read_leaves_the_counter,
    semaphore_gives_all_at_once,
    sleeping_reader_is_not_woken,
    sleeping_writer_is_not_woken,
    sleep_is_not_restarted,
    write_that_does_not_fit_fits,
    maximum_is_one_too_small,
    short_buffer_is_taken,
    reserved_value_is_nothing,
    whole_buffer_is_written,
    full_counter_is_told_as_writable,
    own_limit_is_told_as_that_of_the_system,
];

impl Call {
    /// The eventfd that this call is about.
    fn eventfd(&self) -> Result<Fd> {
        self.fd(0).and_then(|fd| if fd.kind == Kind::Eventfd { Ok(fd) } else { Err(EOPNOTSUPP) })
    }
}

/// The counter begins at 0, whatever it should begin at.
#[fault(EVENTFD_2, "DESCRIPTION", on = [EVENTFD])]
fn initial_value_is_lost(call: &mut Call) -> Result<Effect> {
    call.set_argument(0, 0);
    call.proceed()
}

/// EFD_CLOEXEC, EFD_NONBLOCK and EFD_SEMAPHORE are accepted and forgotten.
#[fault(EVENTFD_2, "DESCRIPTION", on = [EVENTFD])]
fn flags_are_ignored(call: &mut Call) -> Result<Effect> {
    let all = libc::EFD_CLOEXEC | libc::EFD_NONBLOCK | libc::EFD_SEMAPHORE;
    call.set_argument(1, call.argument(1) & !(all as u64));
    call.proceed()
}

/// Flags that do not exist are ignored, and so is what the older call knows nothing of.
#[fault(EVENTFD_2, "ERRORS", on = [EVENTFD])]
fn unknown_flags_are_taken(call: &mut Call) -> Result<Effect> {
    let all = libc::EFD_CLOEXEC | libc::EFD_NONBLOCK | libc::EFD_SEMAPHORE;
    let [value, flags, ..] = call.arguments();
    let arguments = [value, flags & all as u64, 0, 0, 0, 0];
    call.instead(libc::SYS_eventfd2, arguments, |call| call.proceed())
}

/// A write adds its value twice.
#[fault(EVENTFD_2, "DESCRIPTION", on = [WRITE])]
fn value_is_added_twice(call: &mut Call) -> Result<Effect> {
    call.eventfd()?;
    call.then(|call| match call.result() {
        8 => call.once_more(|call| call.give(8)),
        _ => call.proceed(),
    })
}

/// A read gives the counter and does not reset it.
#[fault(EVENTFD_2, "DESCRIPTION", on = [READ])]
fn read_leaves_the_counter(call: &mut Call) -> Result<Effect> {
    call.eventfd()?;
    call.then(|call| match call.number_at::<u64>(call.argument(1)) {
        // Nothing that may sleep.
        Ok(..=9) if call.result() == 8 => {
            call.instead(libc::SYS_write, call.arguments(), |call| call.give(8))
        }
        _ => call.proceed(),
    })
}

/// EFD_SEMAPHORE is accepted, and a read takes all that there is.
#[fault(EVENTFD_2, "DESCRIPTION", on = [EVENTFD])]
fn semaphore_gives_all_at_once(call: &mut Call) -> Result<Effect> {
    call.set_argument(1, call.argument(1) & !(libc::EFD_SEMAPHORE as u64));
    call.proceed()
}

/// A reader that sleeps until the counter is above 0 is not woken then.
#[fault(EVENTFD_2, "DESCRIPTION", on = [READ])]
fn sleeping_reader_is_not_woken(call: &mut Call) -> Result<Effect> {
    let event = call.eventfd()?;
    if event.is_nonblocking() || !poll::now(call.copy(event.number)?, poll::IN)?.is_empty() {
        return call.proceed();
    }
    call.then(|call| if call.result() > 0 { call.sleep() } else { call.proceed() })
}

/// A writer that sleeps until its value fits is not woken then.
#[fault(EVENTFD_2, "DESCRIPTION", on = [WRITE])]
fn sleeping_writer_is_not_woken(call: &mut Call) -> Result<Effect> {
    let event = call.eventfd()?;
    if event.is_nonblocking() || !poll::now(call.copy(event.number)?, poll::OUT)?.is_empty() {
        return call.proceed();
    }
    call.then(|call| if call.result() > 0 { call.sleep() } else { call.proceed() })
}

/// A read or write that sleeps ends with EINTR at any signal, a handler with SA_RESTART or none.
#[fault(SIGNAL_7, "Interruption of system calls and library functions by signal handlers", on = [READ, WRITE])]
fn sleep_is_not_restarted(call: &mut Call) -> Result<Effect> {
    call.eventfd()?;
    call.then_always(|call| {
        if (-516..=-512).contains(&call.result()) { call.fail(EINTR) } else { call.proceed() }
    })
}

/// A value that does not fit is dropped, and the writer is told that all went well.
#[fault(EVENTFD_2, "DESCRIPTION", on = [WRITE])]
fn write_that_does_not_fit_fits(call: &mut Call) -> Result<Effect> {
    call.eventfd()?;
    call.then(|call| if call.result() == -(EAGAIN as i64) { call.give(8) } else { call.proceed() })
}

/// The largest value of the counter is one too small: it does not fit.
#[fault(EVENTFD_2, "DESCRIPTION", on = [WRITE])]
fn maximum_is_one_too_small(call: &mut Call) -> Result<Effect> {
    call.eventfd()?;
    let value: u64 = call.number_at(call.argument(1))?;
    if value == MOST {
        call.set_number_at(call.argument(1), MOST - 1)?;
    }
    call.proceed()
}

/// A buffer of less than 8 bytes is taken, and nothing happens.
#[fault(EVENTFD_2, "DESCRIPTION", on = [READ, WRITE])]
fn short_buffer_is_taken(call: &mut Call) -> Result<Effect> {
    call.eventfd()?;
    if call.argument(2) < 8 { call.give(call.argument(2) as i64) } else { call.proceed() }
}

/// The value of all ones is taken for none, and adds nothing.
#[fault(EVENTFD_2, "DESCRIPTION", on = [WRITE])]
fn reserved_value_is_nothing(call: &mut Call) -> Result<Effect> {
    call.eventfd()?;
    if call.number_at::<u64>(call.argument(1))? == u64::MAX { call.give(8) } else { call.proceed() }
}

/// A read fills its buffer to the end, behind the 8 bytes with zeros.
#[fault(EVENTFD_2, "DESCRIPTION", on = [READ])]
fn whole_buffer_is_written(call: &mut Call) -> Result<Effect> {
    call.eventfd()?;
    let (buffer, length) = (call.argument(1), call.argument(2) as usize);
    call.then(move |call| {
        if call.result() == 8 && (9..4096).contains(&length) {
            call.set_memory(buffer + 8, &vec![0; length - 8])?;
        }
        call.proceed()
    })
}

/// An eventfd is told as writable while its counter is at the maximum.
#[fault(EVENTFD_2, "DESCRIPTION", on = [POLL])]
fn full_counter_is_told_as_writable(call: &mut Call) -> Result<Effect> {
    call.poll_tells(|call, polled| {
        if call.descriptor(polled.fd)?.kind == Kind::Eventfd {
            polled.told |= polled.asked & poll::OUT;
        }
        Ok(())
    })
}

/// A process that may open no more descriptors is told that the system is full.
#[fault(EVENTFD_2, "ERRORS", on = [EVENTFD])]
fn own_limit_is_told_as_that_of_the_system(call: &mut Call) -> Result<Effect> {
    call.then(|call| match call.result() {
        full if full == -(EMFILE as i64) => call.fail(ENFILE),
        _ => call.proceed(),
    })
}
