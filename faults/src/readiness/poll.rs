//! Wrong answers of poll, and wake-ups that it misses.

use ipcspec_cases::sys::poll::{
    ERR, HUP, IN, NONE, NVAL, OUT, PRI, RDBAND, RDHUP, RDNORM, WRBAND, WRNORM,
};

use super::view::UNASKED;
use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    hang_up_is_forgotten_beside_data,
    hang_up_comes_with_room,
    error_comes_only_when_asked_for,
    fifo_is_hung_up_before_its_first_writer,
    close_of_a_copy_is_a_hang_up,
    room_is_counted_in_bytes,
    nonblocking_descriptor_is_always_ready,
    file_is_readable_before_its_end_only,
    closed_descriptor_is_ignored,
    negative_descriptor_is_invalid,
    answer_overwrites_the_question,
    answer_of_the_last_call_is_not_cleared,
    descriptor_in_two_elements_counts_once,
    one_descriptor_is_told_at_a_time,
    first_piece_of_the_array_is_all_that_counts,
    array_may_not_end_with_a_page,
    array_that_cannot_be_read_is_empty,
    one_element_above_the_limit_is_taken,
    one_process_alone_is_woken,
    end_alone_wakes_nobody,
    event_that_nobody_asked_for_wakes,
    poll_of_nothing_returns_at_once,
    socket_always_has_room,
    equivalent_events_are_told_one_at_a_time,
    band_to_write_is_always_there,
    datagram_without_bytes_is_none,
    waiting_connection_is_not_told,
    end_of_writing_waits_for_the_data_to_be_read,
    socket_hangs_up_only_for_who_asks,
    urgent_data_is_input_too,
    exception_is_told_of_sockets_only,
    connection_that_took_its_time_is_not_told,
    instance_of_epoll_is_never_readable,
];

/// The hang-up of a read end is told only when the data that was left has been read.
#[fault(POLL_2, "DESCRIPTION", on = [POLL])]
fn hang_up_is_forgotten_beside_data(call: &mut Call) -> Result<Effect> {
    call.poll_tells(|_, polled| {
        if polled.told.intersects(IN | RDNORM) {
            polled.told.remove(HUP);
        }
        Ok(())
    })
}

/// What has hung up is told as ready to write, too.
#[fault(POLL_2, "DESCRIPTION", on = [POLL])]
fn hang_up_comes_with_room(call: &mut Call) -> Result<Effect> {
    call.poll_tells(|_, polled| {
        if polled.told.contains(HUP) {
            polled.told |= polled.asked & (OUT | WRNORM);
        }
        Ok(())
    })
}

/// POLLERR is told only to who asks for it.
#[fault(POLL_2, "DESCRIPTION", on = [POLL])]
fn error_comes_only_when_asked_for(call: &mut Call) -> Result<Effect> {
    call.poll_tells(|_, polled| {
        polled.told.remove(ERR - polled.asked);
        Ok(())
    })
}

/// A FIFO is hung up from the beginning, not when its last writer has gone.
#[fault(POLL_2, "DESCRIPTION", on = [POLL, OPEN])]
fn fifo_is_hung_up_before_its_first_writer(call: &mut Call) -> Result<Effect> {
    if [libc::SYS_open, libc::SYS_openat].contains(&call.number()) {
        return call.then(|call| {
            let opened = call.descriptor(call.result() as i32)?;
            if opened.kind == Kind::Fifo && opened.flags & libc::O_ACCMODE != libc::O_RDONLY {
                call.notes().count(opened.inode);
            }
            call.proceed()
        });
    }
    let index = call.polled()?.iter().position(|polled| {
        let fd = call.descriptor(polled.fd);
        fd.is_ok_and(|fd| fd.kind == Kind::Fifo && !call.notes().has(fd.inode))
    });
    let index = index.ok_or(EOPNOTSUPP)?;
    let place = call.place_of_polled(index, 6);
    // As soon as it looks, without sleeping.
    call.set_timeout(Some(std::time::Duration::ZERO))?;
    call.then(move |call| {
        call.set_number_at(place, HUP.bits())?;
        call.give(call.result().max(1))
    })
}

/// A read end is hung up once any copy of a write end was closed, not the last.
#[fault(POLL_2, "DESCRIPTION", on = [POLL, CLOSE])]
fn close_of_a_copy_is_a_hang_up(call: &mut Call) -> Result<Effect> {
    if call.number() == libc::SYS_close {
        let pipe = call.pipe(0)?;
        if pipe.is_write_end() {
            call.notes().count(pipe.inode);
        }
        return call.proceed();
    }
    call.poll_tells(|call, polled| {
        let fd = call.descriptor(polled.fd)?;
        if !fd.is_write_end() && call.notes().has(fd.inode) {
            polled.told |= HUP;
        }
        Ok(())
    })
}

/// A pipe is told as writable while it holds fewer bytes than its capacity, though each page is taken.
#[fault(POLL_2, "DESCRIPTION", on = [POLL])]
fn room_is_counted_in_bytes(call: &mut Call) -> Result<Effect> {
    call.poll_tells(|call, polled| {
        let fd = call.descriptor(polled.fd)?;
        let end = call.copy(polled.fd)?;
        if fd.is_pipe() && fd.is_write_end() && unread(&end)? < capacity(&end)? {
            polled.told |= polled.asked & (OUT | WRNORM);
        }
        Ok(())
    })
}

/// A nonblocking end of a pipe is told as ready, since no call on it blocks.
#[fault(POLL_2, "NOTES", on = [POLL])]
fn nonblocking_descriptor_is_always_ready(call: &mut Call) -> Result<Effect> {
    call.poll_tells(|call, polled| {
        let fd = call.descriptor(polled.fd)?;
        if fd.is_pipe() && fd.is_nonblocking() {
            polled.told |= polled.asked & if fd.is_write_end() { OUT } else { IN };
        }
        Ok(())
    })
}

/// A file of which nothing is left to read is not told as readable.
#[fault(POLL_2, "DESCRIPTION", on = [POLL])]
fn file_is_readable_before_its_end_only(call: &mut Call) -> Result<Effect> {
    call.poll_tells(|call, polled| {
        if call.descriptor(polled.fd)?.kind == Kind::File && unread(call.copy(polled.fd)?)? == 0 {
            polled.told.remove(IN | RDNORM);
        }
        Ok(())
    })
}

/// A descriptor that is not open is ignored, as a negative one is.
#[fault(POLL_2, "DESCRIPTION", on = [POLL])]
fn closed_descriptor_is_ignored(call: &mut Call) -> Result<Effect> {
    call.poll_tells(|_, polled| {
        polled.told.remove(NVAL);
        Ok(())
    })
}

/// A negative descriptor is told as one that is not open.
#[fault(POLL_2, "DESCRIPTION", on = [POLL])]
fn negative_descriptor_is_invalid(call: &mut Call) -> Result<Effect> {
    call.poll_tells(|_, polled| {
        if polled.fd < 0 {
            polled.told = NVAL;
        }
        Ok(())
    })
}

/// What is told of a descriptor is also stored where it was asked for.
#[fault(POLL_2, "DESCRIPTION", on = [POLL])]
fn answer_overwrites_the_question(call: &mut Call) -> Result<Effect> {
    call.then(|call| {
        for (index, polled) in call.polled()?.into_iter().enumerate() {
            call.ask(index, polled.told)?;
        }
        call.proceed()
    })
}

/// What is told of a descriptor is stored only when there is something to tell.
#[fault(POLL_2, "DESCRIPTION", on = [POLL])]
fn answer_of_the_last_call_is_not_cleared(call: &mut Call) -> Result<Effect> {
    let before = call.polled()?;
    call.then(move |call| {
        for (index, polled) in call.polled()?.into_iter().enumerate() {
            if polled.told.is_empty() {
                call.set_number_at(call.place_of_polled(index, 6), before[index].told.bits())?;
            }
        }
        call.proceed()
    })
}

/// A descriptor that stands in two elements of the array is counted once.
#[fault(POLL_2, "RETURN VALUE", on = [POLL])]
fn descriptor_in_two_elements_counts_once(call: &mut Call) -> Result<Effect> {
    call.then(|call| {
        let mut told = call.polled()?;
        told.retain(|polled| !polled.told.is_empty());
        told.sort_by_key(|polled| polled.fd);
        told.dedup_by_key(|polled| polled.fd);
        if call.result() > 0 { call.give(told.len() as i64) } else { call.proceed() }
    })
}

/// Poll looks no further once it has found a descriptor that is ready.
#[fault(POLL_2, "DESCRIPTION", on = [POLL])]
fn one_descriptor_is_told_at_a_time(call: &mut Call) -> Result<Effect> {
    call.then(|call| {
        let array = call.polled()?;
        let first = array.iter().position(|polled| !polled.told.is_empty());
        call.change_told(|_, index, polled| {
            if Some(index) != first {
                polled.told = NONE;
            }
            Ok(())
        })
    })
}

/// Of the array only the piece is looked at that fits on the kernel's stack.
#[fault(POLL_2, "DESCRIPTION", on = [POLL])]
fn first_piece_of_the_array_is_all_that_counts(call: &mut Call) -> Result<Effect> {
    const ON_THE_STACK: u64 = 30;
    call.polled()?;
    call.set_argument(1, call.argument(1).min(ON_THE_STACK));
    call.proceed()
}

/// An array that ends with the last byte of a page is taken to end behind it.
#[fault(POLL_2, "ERRORS", on = [POLL])]
fn array_may_not_end_with_a_page(call: &mut Call) -> Result<Effect> {
    let end = call.place_of_polled(call.argument(1) as usize, 0);
    if call.argument(1) > 0 && end.is_multiple_of(page_size() as u64) {
        return call.fail(EFAULT);
    }
    call.proceed()
}

/// An array that cannot be read is taken for an empty one.
#[fault(POLL_2, "ERRORS", on = [POLL])]
fn array_that_cannot_be_read_is_empty(call: &mut Call) -> Result<Effect> {
    call.then(|call| if call.result() == -(EFAULT as i64) { call.give(0) } else { call.proceed() })
}

/// The limit for the array is one element above RLIMIT_NOFILE.
#[fault(POLL_2, "ERRORS", on = [POLL])]
fn one_element_above_the_limit_is_taken(call: &mut Call) -> Result<Effect> {
    call.then(|call| {
        if call.result() != -(EINVAL as i64) {
            return call.proceed();
        }
        let mut arguments = call.arguments();
        arguments[1] = arguments[1].saturating_sub(1);
        call.instead(call.number(), arguments, |call| call.proceed())
    })
}

/// Of all processes that sleep for one object only the first is woken.
#[fault(POLL_2, "DESCRIPTION", on = [POLL])]
fn one_process_alone_is_woken(call: &mut Call) -> Result<Effect> {
    if !call.may_sleep() || call.is_poll_ready()? {
        return call.proceed();
    }
    call.poll_tells(|call, polled| {
        let inode = call.descriptor(polled.fd)?.inode;
        let me = i64::from(call.process().as_raw());
        if !polled.told.is_empty() && *call.notes().of(inode).get_or_insert(me) != me {
            polled.told = NONE;
        }
        Ok(())
    })
}

/// A poll that sleeps is not woken by an end or error without data.
#[fault(POLL_2, "DESCRIPTION", on = [POLL])]
fn end_alone_wakes_nobody(call: &mut Call) -> Result<Effect> {
    if !call.may_sleep() || call.is_poll_ready()? {
        return call.proceed();
    }
    call.poll_tells(|_, polled| {
        if (UNASKED | RDHUP).contains(polled.told) {
            polled.told = NONE;
        }
        Ok(())
    })
}

/// A poll that sleeps returns with nothing to tell when an event comes for which it did not ask.
#[fault(POLL_2, "DESCRIPTION", on = [POLL])]
fn event_that_nobody_asked_for_wakes(call: &mut Call) -> Result<Effect> {
    if !call.may_sleep() || call.is_poll_ready()? {
        return call.proceed();
    }
    let array = call.polled()?;
    for (index, polled) in array.iter().enumerate() {
        call.ask(index, polled.asked | IN | OUT)?;
    }
    call.then(move |call| {
        let mut count = 0;
        for (index, polled) in call.polled()?.into_iter().enumerate() {
            let told = polled.told & (array[index].asked | UNASKED);
            call.set_number_at(call.place_of_polled(index, 6), told.bits())?;
            count += i64::from(!told.is_empty());
        }
        if call.result() > 0 { call.give(count) } else { call.proceed() }
    })
}

/// A poll without any descriptor to look at does not sleep.
#[fault(POLL_2, "DESCRIPTION", on = [POLL])]
fn poll_of_nothing_returns_at_once(call: &mut Call) -> Result<Effect> {
    if call.polled()?.iter().all(|polled| polled.fd < 0) { call.give(0) } else { call.proceed() }
}

/// A socket is told as writable though its peer's queue is full.
#[fault(POLL_2, "DESCRIPTION", on = [POLL])]
fn socket_always_has_room(call: &mut Call) -> Result<Effect> {
    call.poll_tells(|call, polled| {
        if call.descriptor(polled.fd)?.kind == Kind::Socket {
            polled.told |= polled.asked & (OUT | WRNORM);
        }
        Ok(())
    })
}

/// Where POLLIN is asked for, or POLLOUT, its equivalent is not told.
#[fault(POLL_2, "DESCRIPTION", on = [POLL])]
fn equivalent_events_are_told_one_at_a_time(call: &mut Call) -> Result<Effect> {
    call.poll_tells(|_, polled| {
        for (event, equivalent) in [(IN, RDNORM), (OUT, WRNORM)] {
            if polled.told.contains(event) {
                polled.told.remove(equivalent);
            }
        }
        Ok(())
    })
}

/// A socket has room for priority data though it has none for any.
#[fault(POLL_2, "DESCRIPTION", on = [POLL])]
fn band_to_write_is_always_there(call: &mut Call) -> Result<Effect> {
    call.poll_tells(|call, polled| {
        if call.descriptor(polled.fd)?.kind == Kind::Socket {
            polled.told |= polled.asked & (WRBAND | RDBAND);
        }
        Ok(())
    })
}

/// A datagram without any bytes is not told as data to read.
#[fault(POLL_2, "DESCRIPTION", on = [POLL])]
fn datagram_without_bytes_is_none(call: &mut Call) -> Result<Effect> {
    call.poll_tells(|call, polled| {
        let socket = call.descriptor(polled.fd)?.kind == Kind::Socket;
        let copy = call.copy(polled.fd)?;
        if socket && unread(&copy)? == 0 && !poll::now(&copy, RDHUP)?.intersects(RDHUP | HUP) {
            polled.told.remove(IN | RDNORM);
        }
        Ok(())
    })
}

/// A connection that waits to be accepted does not make its listener readable.
#[fault(ACCEPT_2, "DESCRIPTION", on = [POLL])]
fn waiting_connection_is_not_told(call: &mut Call) -> Result<Effect> {
    call.poll_tells(|call, polled| {
        let socket = call.descriptor(polled.fd)?.kind == Kind::Socket;
        // What listens holds no bytes, not even none.
        if socket && unread(call.copy(polled.fd)?) == Err(EINVAL) {
            polled.told.remove(IN | RDNORM);
        }
        Ok(())
    })
}

/// The end of the peer's writing is told only when all that it wrote has been read.
#[fault(POLL_2, "DESCRIPTION", on = [POLL])]
fn end_of_writing_waits_for_the_data_to_be_read(call: &mut Call) -> Result<Effect> {
    call.poll_tells(|call, polled| {
        if unread(call.copy(polled.fd)?)? > 0 {
            polled.told.remove(RDHUP);
        }
        Ok(())
    })
}

/// The hang-up of a socket is told only to who asks for it.
#[fault(POLL_2, "DESCRIPTION", on = [POLL])]
fn socket_hangs_up_only_for_who_asks(call: &mut Call) -> Result<Effect> {
    call.poll_tells(|call, polled| {
        if call.descriptor(polled.fd)?.kind == Kind::Socket {
            polled.told.remove(HUP - polled.asked);
        }
        Ok(())
    })
}

/// Urgent data is told as data to read, too.
#[fault(POLL_2, "DESCRIPTION", on = [POLL])]
fn urgent_data_is_input_too(call: &mut Call) -> Result<Effect> {
    call.poll_tells(|_, polled| {
        if polled.told.contains(PRI) {
            polled.told |= polled.asked & IN;
        }
        Ok(())
    })
}

/// There is no exceptional condition of anything but sockets.
#[fault(POLL_2, "DESCRIPTION", on = [POLL])]
fn exception_is_told_of_sockets_only(call: &mut Call) -> Result<Effect> {
    call.poll_tells(|call, polled| {
        if call.descriptor(polled.fd)?.kind != Kind::Socket {
            polled.told.remove(PRI);
        }
        Ok(())
    })
}

/// A connection that was not there when connect returned makes its socket writable for select alone.
#[fault(CONNECT_2, "ERRORS", on = [POLL, CONNECT])]
fn connection_that_took_its_time_is_not_told(call: &mut Call) -> Result<Effect> {
    if call.number() == libc::SYS_connect {
        let socket = call.fd(0)?;
        if socket.is_nonblocking() {
            call.notes().count(socket.inode);
        }
        return call.proceed();
    }
    call.poll_tells(|call, polled| {
        if call.notes().has(call.descriptor(polled.fd)?.inode) {
            polled.told.remove(OUT | WRNORM);
        }
        Ok(())
    })
}

/// An epoll instance is not readable to poll, whatever it has to report.
#[fault(EPOLL_7, "Questions and answers", on = [POLL])]
fn instance_of_epoll_is_never_readable(call: &mut Call) -> Result<Effect> {
    call.poll_tells(|call, polled| {
        if call.descriptor(polled.fd)?.kind == Kind::Epoll {
            polled.told.remove(IN | RDNORM);
        }
        Ok(())
    })
}
