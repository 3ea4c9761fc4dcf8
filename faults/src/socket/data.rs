//! Wrong data: lost, doubled, reordered, cut, or waited for in vain.

use libc::{
    MSG_DONTWAIT, MSG_NOSIGNAL, MSG_PEEK, MSG_TRUNC, MSG_WAITALL, SHUT_WR, SOCK_RAW, SOCK_STREAM,
};

use super::only;
use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    long_send_loses_its_last_byte,
    empty_datagram_is_lost,
    second_datagram_comes_first,
    rest_of_a_datagram_is_kept,
    truncation_is_not_told,
    real_size_is_not_told,
    too_long_datagram_is_cut,
    full_queue_drops_datagrams,
    source_of_a_datagram_is_its_receiver,
    sender_who_may_sleep_is_refused,
    receiver_who_may_sleep_is_refused,
    sender_who_may_not_sleep_sleeps,
    receiver_who_may_not_sleep_sleeps,
    peeking_takes_the_data,
    waitall_is_ignored,
    waitall_loses_what_came_before_the_end,
    signal_does_not_interrupt_a_receiver,
    signal_does_not_interrupt_a_sender,
    signal_does_not_interrupt_an_accept,
    nosignal_is_ignored,
    sigpipe_never_comes,
    broken_stream_does_not_wake_its_sender,
    second_sleeping_sender_is_not_woken,
    second_sleeping_receiver_is_not_woken,
    end_is_told_to_one_process_only,
    any_close_is_the_end,
    end_of_a_connection_never_comes,
    reset_is_told_as_the_end,
    refused_send_vanishes,
    receiver_without_connection_is_at_the_end,
    refusal_is_told_twice,
    raw_socket_receives_no_header,
    given_time_to_live_is_replaced,
];

/// How long a send is that may have to sleep for room.
const LONG: u64 = 1 << 16;

/// A send of 64 KiB or more on a stream loses its last byte and does not tell.
#[fault(SOCKET_2, "DESCRIPTION", on = [SEND])]
fn long_send_loses_its_last_byte(call: &mut Call) -> Result<Effect> {
    let (_, length) = call.buffer()?;
    only(length >= LONG && call.endpoint()?.is_stream())?;
    call.set_length(length - 1)?;
    call.then(move |call| match call.result() {
        all if all == length as i64 - 1 => call.give(length),
        _ => call.proceed(),
    })
}

/// A datagram without data is sent nowhere.
#[fault(RECV_2, "RETURN VALUE", on = [SEND])]
fn empty_datagram_is_lost(call: &mut Call) -> Result<Effect> {
    let (_, length) = call.buffer()?;
    only(length == 0 && call.endpoint()?.is_datagram())?;
    call.give(0)
}

/// Of two datagrams that wait in a local socket the second is received first.
#[fault(UNIX_7, "DESCRIPTION", on = [RECV])]
fn second_datagram_comes_first(call: &mut Call) -> Result<Effect> {
    let end = call.endpoint()?;
    only(
        end.is_local()
            && end.is_datagram()
            && call.header().is_err()
            && call.flags() & !MSG_DONTWAIT == 0,
    )?;
    let held = std::mem::take(call.notes().bytes(end.fd.inode));
    if !held.is_empty() {
        return call.receives(&held);
    }
    let first = call.socket()?.recv_bytes(LONG as usize, MSG_DONTWAIT)?;
    if call.is_ready(poll::IN)? {
        *call.notes().bytes(end.fd.inode) = first;
        return call.proceed();
    }
    call.receives(&first)
}

/// What is not received of a datagram or packet is received next.
#[fault(RECV_2, "recvmsg()", on = [RECV, READ])]
fn rest_of_a_datagram_is_kept(call: &mut Call) -> Result<Effect> {
    let end = call.endpoint()?;
    only(end.kind != SOCK_STREAM && end.kind != SOCK_RAW && !call.has_message_flag(MSG_PEEK))?;
    let (_, room) = call.buffer()?;
    let rest = std::mem::take(call.notes().bytes(end.fd.inode));
    if !rest.is_empty() {
        return call.receives(&rest);
    }
    let all = call.socket()?.recv_bytes(LONG as usize, MSG_DONTWAIT | MSG_PEEK)?;
    *call.notes().bytes(end.fd.inode) = all.get(room as usize..).unwrap_or_default().to_vec();
    call.proceed()
}

/// A datagram that loses its tail is not marked with `MSG_TRUNC`.
#[fault(RECV_2, "recvmsg()", on = [RECV])]
fn truncation_is_not_told(call: &mut Call) -> Result<Effect> {
    call.header()?;
    call.then(|call| {
        call.change_told_flags(|flags| flags & !MSG_TRUNC)?;
        call.proceed()
    })
}

/// `MSG_TRUNC` among the flags of a receive is ignored: it returns what it received.
#[fault(RECV_2, "The flags argument", on = [RECV])]
fn real_size_is_not_told(call: &mut Call) -> Result<Effect> {
    call.drop_flag(MSG_TRUNC)?;
    call.proceed()
}

/// Of a datagram that is too long the first half is sent.
#[fault(SEND_2, "DESCRIPTION", on = [SEND])]
fn too_long_datagram_is_cut(call: &mut Call) -> Result<Effect> {
    let (_, length) = call.buffer()?;
    let mut half = call.arguments();
    only(call.header().is_err())?;
    half[2] /= 2;
    call.then(move |call| match call.result() {
        e if e == -(EMSGSIZE as i64) => {
            call.instead(call.number(), half, move |call| call.give(length))
        }
        _ => call.proceed(),
    })
}

/// A local datagram that may wait for room does not, where there is none, but vanishes.
#[fault(UNIX_7, "DESCRIPTION", on = [SEND])]
fn full_queue_drops_datagrams(call: &mut Call) -> Result<Effect> {
    let (end, (_, length)) = (call.endpoint()?, call.buffer()?);
    only(end.is_local() && end.is_datagram() && !call.has_message_flag(MSG_DONTWAIT))?;
    if call.is_ready(poll::OUT)? { call.proceed() } else { call.give(length) }
}

/// The source that is told of a datagram is the socket that received it.
#[fault(RECV_2, "recvfrom()", on = [RECV])]
fn source_of_a_datagram_is_its_receiver(call: &mut Call) -> Result<Effect> {
    let [socket, _, _, _, place, length_at] = call.arguments();
    only(call.header().is_err() && place != 0 && call.endpoint()?.is_datagram())?;
    call.then(move |call| {
        let count = call.result();
        let name = [socket, place, length_at, 0, 0, 0];
        call.instead(libc::SYS_getsockname, name, move |call| call.give(count))
    })
}

/// A sender for whose data there is no room is refused, though it may sleep.
#[fault(SEND_2, "DESCRIPTION", on = [SEND])]
fn sender_who_may_sleep_is_refused(call: &mut Call) -> Result<Effect> {
    let index = call.message_flags_index()?;
    call.set_argument(index, (call.flags() | MSG_DONTWAIT) as u64);
    call.proceed()
}

/// A receiver for whom there is nothing is refused, though it may sleep.
#[fault(RECV_2, "DESCRIPTION", on = [RECV])]
fn receiver_who_may_sleep_is_refused(call: &mut Call) -> Result<Effect> {
    let index = call.message_flags_index()?;
    call.set_argument(index, (call.flags() | MSG_DONTWAIT) as u64);
    call.proceed()
}

/// A sender that gives `MSG_DONTWAIT` sleeps for room.
#[fault(SEND_2, "The flags argument", on = [SEND])]
fn sender_who_may_not_sleep_sleeps(call: &mut Call) -> Result<Effect> {
    call.drop_flag(MSG_DONTWAIT)?;
    call.proceed()
}

/// A receiver that gives `MSG_DONTWAIT` sleeps for data.
#[fault(RECV_2, "The flags argument", on = [RECV])]
fn receiver_who_may_not_sleep_sleeps(call: &mut Call) -> Result<Effect> {
    call.drop_flag(MSG_DONTWAIT)?;
    call.proceed()
}

/// What is received with `MSG_PEEK` is gone.
#[fault(RECV_2, "The flags argument", on = [RECV])]
fn peeking_takes_the_data(call: &mut Call) -> Result<Effect> {
    call.drop_flag(MSG_PEEK)?;
    call.proceed()
}

/// A receive with `MSG_WAITALL` returns with the first bytes that come.
#[fault(RECV_2, "The flags argument", on = [RECV])]
fn waitall_is_ignored(call: &mut Call) -> Result<Effect> {
    call.drop_flag(MSG_WAITALL)?;
    call.proceed()
}

/// A receive with `MSG_WAITALL` that is cut short loses what it had, and sleeps on.
#[fault(RECV_2, "The flags argument", on = [RECV])]
fn waitall_loses_what_came_before_the_end(call: &mut Call) -> Result<Effect> {
    only(call.has_message_flag(MSG_WAITALL))?;
    let (_, length) = call.buffer()?;
    call.then(move |call| {
        let short = (1..length as i64).contains(&call.result());
        if short { call.sleep() } else { call.proceed() }
    })
}

/// A signal that comes while its receiver sleeps in a receive is lost.
#[fault(RECV_2, "ERRORS", signals)]
fn signal_does_not_interrupt_a_receiver(signal: &mut Arrival) -> Fate {
    let receives = signal.interrupted().is_some_and(|call| RECV.numbers.contains(&call.number()));
    if receives && signal.is_caught() { Fate::Drop } else { Fate::Deliver }
}

/// A signal that comes while its receiver sleeps in a send is lost.
#[fault(SEND_2, "ERRORS", signals)]
fn signal_does_not_interrupt_a_sender(signal: &mut Arrival) -> Fate {
    let sends = signal.interrupted().is_some_and(|call| SEND.numbers.contains(&call.number()));
    if sends && signal.is_caught() { Fate::Drop } else { Fate::Deliver }
}

/// A signal that comes while its receiver sleeps in accept is lost.
#[fault(ACCEPT_2, "ERRORS", signals)]
fn signal_does_not_interrupt_an_accept(signal: &mut Arrival) -> Fate {
    let accepts = signal.interrupted().is_some_and(|call| ACCEPT.numbers.contains(&call.number()));
    if accepts && signal.is_caught() { Fate::Drop } else { Fate::Deliver }
}

/// `MSG_NOSIGNAL` is accepted and ignored.
#[fault(SEND_2, "The flags argument", on = [SEND])]
fn nosignal_is_ignored(call: &mut Call) -> Result<Effect> {
    call.drop_flag(MSG_NOSIGNAL)?;
    call.proceed()
}

/// Sending on a connection that is broken raises no SIGPIPE.
#[fault(UNIX_7, "ERRORS", signals)]
fn sigpipe_never_comes(signal: &mut Arrival) -> Fate {
    if signal.signal() == libc::SIGPIPE { Fate::Drop } else { Fate::Deliver }
}

/// A sender that sleeps for room is not woken when its peer dies.
#[fault(UNIX_7, "ERRORS", on = [SEND])]
fn broken_stream_does_not_wake_its_sender(call: &mut Call) -> Result<Effect> {
    only(!call.is_ready(poll::HUP | poll::ERR | poll::OUT)?)?;
    call.then(|call| match call.result() {
        e if [-(EPIPE as i64), -(ECONNRESET as i64)].contains(&e) => call.sleep(),
        _ => call.proceed(),
    })
}

/// Of all processes that sleep for room in one socket only the first is woken.
#[fault(SEND_2, "DESCRIPTION", on = [SEND])]
fn second_sleeping_sender_is_not_woken(call: &mut Call) -> Result<Effect> {
    only(call.may_block()? && !call.is_ready(poll::OUT | poll::ERR | poll::HUP)?)?;
    let (inode, me) = (call.fd(0)?.inode, i64::from(call.process().as_raw()));
    let first = *call.notes().of(inode).get_or_insert(me);
    if first == me { call.proceed() } else { call.sleep() }
}

/// Of all processes that sleep for a message in one local socket only the first is woken.
#[fault(RECV_2, "DESCRIPTION", on = [RECV])]
fn second_sleeping_receiver_is_not_woken(call: &mut Call) -> Result<Effect> {
    only(call.endpoint()?.is_local() && call.may_block()? && !call.is_ready(poll::IN)?)?;
    let (inode, me) = (call.fd(0)?.inode, i64::from(call.process().as_raw()));
    call.then(move |call| {
        let first = *call.notes().of(inode).get_or_insert(me);
        if first == me || call.result() == 0 { call.proceed() } else { call.sleep() }
    })
}

/// Of all processes that receive from a stream only the first is told of its end.
#[fault(RECV_2, "RETURN VALUE", on = [RECV])]
fn end_is_told_to_one_process_only(call: &mut Call) -> Result<Effect> {
    let end = call.endpoint()?;
    only(end.is_stream())?;
    call.then(move |call| {
        let me = i64::from(call.process().as_raw());
        only(call.result() == 0)?;
        let first = *call.notes().of(end.fd.inode).get_or_insert(me);
        if first == me { call.proceed() } else { call.sleep() }
    })
}

/// A stream ends when any process closes a descriptor of it.
#[fault(CLOSE_2, "DESCRIPTION", on = [CLOSE])]
fn any_close_is_the_end(call: &mut Call) -> Result<Effect> {
    only(call.fd(0)?.kind == Kind::Socket && call.endpoint()?.is_stream())?;
    let _ = call.socket()?.shutdown(SHUT_WR);
    call.proceed()
}

/// A receiver sleeps on when its peer has closed the TCP connection.
#[fault(RECV_2, "RETURN VALUE", on = [RECV])]
fn end_of_a_connection_never_comes(call: &mut Call) -> Result<Effect> {
    let end = call.endpoint()?;
    only(end.is_stream() && !end.is_local())?;
    call.then(|call| if call.result() == 0 { call.sleep() } else { call.proceed() })
}

/// A peer that closed with data unread looks like one that closed in good order.
#[fault(UNIX_7, "ERRORS", on = [RECV])]
fn reset_is_told_as_the_end(call: &mut Call) -> Result<Effect> {
    call.then(|call| match call.result() {
        e if e == -(ECONNRESET as i64) => call.give(0),
        _ => call.proceed(),
    })
}

/// What should be refused for what it is or where it goes is accepted, and goes nowhere.
#[fault(SEND_2, "ERRORS", on = [SEND])]
fn refused_send_vanishes(call: &mut Call) -> Result<Effect> {
    let (_, length) = call.buffer()?;
    call.then(move |call| {
        let sound = [EAGAIN, EINTR, EPIPE, ECONNRESET].map(|errno| -(errno as i64));
        let refused = call.result() < 0 && !sound.contains(&call.result());
        if refused { call.give(length) } else { call.proceed() }
    })
}

/// A receiver that was never connected is told that the connection has ended.
#[fault(RECV_2, "ERRORS", on = [RECV])]
fn receiver_without_connection_is_at_the_end(call: &mut Call) -> Result<Effect> {
    call.then(|call| match call.result() {
        e if e == -(ENOTCONN as i64) => call.give(0),
        _ => call.proceed(),
    })
}

/// A UDP datagram that nobody received is told twice.
#[fault(UDP_7, "Error handling", on = [RECV])]
fn refusal_is_told_twice(call: &mut Call) -> Result<Effect> {
    let inode = call.fd(0)?.inode;
    if call.notes().of(inode).take().is_some() {
        return call.fail(ECONNREFUSED);
    }
    call.then(move |call| {
        only(call.result() == -(ECONNREFUSED as i64))?;
        *call.notes().of(inode) = Some(1);
        call.proceed()
    })
}

/// A raw socket receives what is behind the IP header.
#[fault(RAW_7, "DESCRIPTION", on = [RECV])]
fn raw_socket_receives_no_header(call: &mut Call) -> Result<Effect> {
    only(call.endpoint()?.kind == SOCK_RAW)?;
    let (buffer, _) = call.buffer()?;
    call.then(move |call| {
        let packet = call.memory(buffer, call.result().max(0) as usize)?;
        let (_, data) = packet.split_at_checked(20).ok_or(EOPNOTSUPP)?;
        call.set_memory(buffer, data)?;
        call.give(data.len() as i64)
    })
}

/// The time to live in a header that the sender gives is replaced by the default.
#[fault(RAW_7, "DESCRIPTION", on = [SEND])]
fn given_time_to_live_is_replaced(call: &mut Call) -> Result<Effect> {
    let given = call.socket()?.option(libc::IPPROTO_IP, libc::IP_HDRINCL)?;
    let (buffer, length) = call.buffer()?;
    only(call.endpoint()?.kind == SOCK_RAW && given != 0 && length >= 20)?;
    call.set_number_at(buffer + 8, 64_u8)?;
    call.proceed()
}
