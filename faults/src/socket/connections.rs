//! Wrong connections: who is connected to whom, who is let in, and which way
//! is shut.

use ipcspec_cases::sys::descriptors::set_nonblocking;
use libc::{
    AF_UNSPEC, MSG_PEEK, SHUT_RD, SHUT_RDWR, SHUT_WR, SO_ACCEPTCONN, SO_ERROR, SO_PEEK_OFF,
    SO_REUSEADDR, SO_SNDBUF, SOCK_CLOEXEC, SOCK_NONBLOCK, SOL_SOCKET,
};

use super::only;
use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    connected_datagram_socket_hears_strangers,
    association_is_never_dissolved,
    backlog_is_ignored,
    accept_wakes_nobody_who_connects,
    accept_does_not_wait,
    second_connection_is_accepted_first,
    accepted_socket_has_the_flags_of_its_listener,
    accepted_socket_is_closed_on_exec,
    shutdown_of_one_way_shuts_both,
    shutdown_for_reading_is_ignored,
    shutdown_of_both_ways_shuts_one,
    shutdown_for_writing_does_not_wake_the_peer,
    connection_in_progress_is_told_as_made,
    error_of_a_socket_is_never_cleared,
    bound_socket_tells_that_it_accepts,
    reuse_of_addresses_is_ignored,
    receive_forgets_the_peek_offset,
    send_buffer_is_told_as_asked_for,
    options_are_accepted_and_ignored,
    refused_connection_is_told_as_made,
    refused_call_on_a_connection_succeeds,
];

/// A datagram socket that is connected sends to its peer, and receives from everybody.
#[fault(CONNECT_2, "DESCRIPTION", on = [CONNECT, SEND])]
fn connected_datagram_socket_hears_strangers(call: &mut Call) -> Result<Effect> {
    let end = call.endpoint()?;
    only(end.is_datagram())?;
    if call.number() == libc::SYS_connect {
        let (_, address) = call.address()?;
        *call.notes().bytes(end.fd.inode) = address;
        return call.give(0);
    }
    let peer = call.notes().bytes(end.fd.inode).clone();
    only(call.number() == libc::SYS_sendto && call.argument(4) == 0 && !peer.is_empty())?;
    let place = call.room_below();
    call.set_memory(place, &peer)?;
    call.set_argument(4, place);
    call.set_argument(5, peer.len() as u64);
    call.proceed()
}

/// Connecting a datagram socket to `AF_UNSPEC` succeeds and changes nothing.
#[fault(CONNECT_2, "DESCRIPTION", on = [CONNECT])]
fn association_is_never_dissolved(call: &mut Call) -> Result<Effect> {
    let (_, address) = call.address()?;
    only(address[..2] == (AF_UNSPEC as u16).to_ne_bytes())?;
    call.give(0)
}

/// A listener queues as many connections as come, whatever its backlog is.
#[fault(LISTEN_2, "DESCRIPTION", on = [LISTEN])]
fn backlog_is_ignored(call: &mut Call) -> Result<Effect> {
    call.set_argument(1, i32::MAX as u64);
    call.proceed()
}

/// A connection that sleeps while the queue of a local listener is full sleeps on when there is room.
#[fault(LISTEN_2, "DESCRIPTION", on = [CONNECT])]
fn accept_wakes_nobody_who_connects(call: &mut Call) -> Result<Effect> {
    let (end, socket) = (call.endpoint()?, call.argument(0) as i32);
    only(end.is_local() && end.is_stream() && call.may_block()?)?;
    set_nonblocking(call.copy(socket)?, true)?;
    call.then(move |call| {
        set_nonblocking(call.copy(socket)?, false)?;
        if call.result() == -(EAGAIN as i64) { call.sleep() } else { call.proceed() }
    })
}

/// Accept is refused when there is no connection yet, though it may sleep.
#[fault(ACCEPT_2, "DESCRIPTION", on = [ACCEPT])]
fn accept_does_not_wait(call: &mut Call) -> Result<Effect> {
    if call.is_ready(poll::IN)? { call.proceed() } else { call.fail(EAGAIN) }
}

/// Of two connections that wait the second is accepted first.
#[fault(ACCEPT_2, "DESCRIPTION", on = [ACCEPT])]
fn second_connection_is_accepted_first(call: &mut Call) -> Result<Effect> {
    let inode = call.fd(0)?.inode;
    if let Some(first) = call.notes().of(inode).take() {
        return call.give(first);
    }
    call.then(move |call| {
        let first = call.result();
        only(first >= 0 && call.is_ready(poll::IN)?)?;
        *call.notes().of(inode) = Some(first);
        call.once_more(|call| call.proceed())
    })
}

/// An accepted socket is nonblocking if its listener is.
#[fault(ACCEPT_2, "VERSIONS", on = [ACCEPT])]
fn accepted_socket_has_the_flags_of_its_listener(call: &mut Call) -> Result<Effect> {
    only(call.fd(0)?.is_nonblocking() && call.number() == libc::SYS_accept4)?;
    call.set_argument(3, call.argument(3) | SOCK_NONBLOCK as u64);
    call.proceed()
}

/// An accepted socket is closed on exec, whether `accept4` is told so or not.
#[fault(ACCEPT_2, "DESCRIPTION", on = [ACCEPT])]
fn accepted_socket_is_closed_on_exec(call: &mut Call) -> Result<Effect> {
    only(call.number() == libc::SYS_accept4)?;
    call.set_argument(3, call.argument(3) | SOCK_CLOEXEC as u64);
    call.proceed()
}

/// A connection that is shut down for writing is shut down for reading too.
#[fault(SHUTDOWN_2, "DESCRIPTION", on = [SHUTDOWN])]
fn shutdown_of_one_way_shuts_both(call: &mut Call) -> Result<Effect> {
    only(call.argument(1) as i32 == SHUT_WR)?;
    call.set_argument(1, SHUT_RDWR as u64);
    call.proceed()
}

/// Shutting a connection down for reading changes nothing, and wakes nobody.
#[fault(SHUTDOWN_2, "DESCRIPTION", on = [SHUTDOWN])]
fn shutdown_for_reading_is_ignored(call: &mut Call) -> Result<Effect> {
    only(call.argument(1) as i32 == SHUT_RD)?;
    call.give(0)
}

/// A connection that is shut down both ways still receives.
#[fault(SHUTDOWN_2, "DESCRIPTION", on = [SHUTDOWN])]
fn shutdown_of_both_ways_shuts_one(call: &mut Call) -> Result<Effect> {
    only(call.argument(1) as i32 == SHUT_RDWR)?;
    call.set_argument(1, SHUT_WR as u64);
    call.proceed()
}

/// A peer that sleeps in a receive already is not told that a stream is shut down for writing.
#[fault(RECV_2, "RETURN VALUE", on = [SHUTDOWN, RECV])]
fn shutdown_for_writing_does_not_wake_the_peer(call: &mut Call) -> Result<Effect> {
    if call.number() == libc::SYS_shutdown {
        only(call.argument(1) as i32 == SHUT_WR)?;
        call.notes().count(0);
        return call.proceed();
    }
    only(!call.is_ready(poll::IN)?)?;
    call.then(|call| {
        let shut = call.result() == 0 && call.notes().has(0);
        if shut { call.sleep() } else { call.proceed() }
    })
}

/// A nonblocking connect that is in progress says that it has succeeded.
#[fault(CONNECT_2, "ERRORS", on = [CONNECT])]
fn connection_in_progress_is_told_as_made(call: &mut Call) -> Result<Effect> {
    call.then(|call| match call.result() {
        e if e == -(EINPROGRESS as i64) => call.give(0),
        _ => call.proceed(),
    })
}

/// `SO_ERROR` tells the same error again.
#[fault(SOCKET_7, "Socket options", on = [GETSOCKOPT])]
fn error_of_a_socket_is_never_cleared(call: &mut Call) -> Result<Effect> {
    let ([_, level, name, value, ..], inode) = (call.arguments(), call.fd(0)?.inode);
    only([level as i32, name as i32] == [SOL_SOCKET, SO_ERROR])?;
    call.then(move |call| {
        let told: i32 = call.number_at(value)?;
        let error = *call.notes().of(inode).get_or_insert(told.into());
        call.set_number_at(value, error as i32)?;
        call.proceed()
    })
}

/// `SO_ACCEPTCONN` is 1 as soon as a socket has a port.
#[fault(SOCKET_7, "Socket options", on = [GETSOCKOPT])]
fn bound_socket_tells_that_it_accepts(call: &mut Call) -> Result<Effect> {
    let [_, level, name, value, ..] = call.arguments();
    only([level as i32, name as i32] == [SOL_SOCKET, SO_ACCEPTCONN])?;
    only(call.socket()?.name()?.port() != 0)?;
    call.then(move |call| {
        call.set_number_at(value, 1_i32)?;
        call.proceed()
    })
}

/// `SO_REUSEADDR` is accepted and ignored.
#[fault(SOCKET_7, "Socket options", on = [SETSOCKOPT])]
fn reuse_of_addresses_is_ignored(call: &mut Call) -> Result<Effect> {
    let [_, level, name, ..] = call.arguments();
    only([level as i32, name as i32] == [SOL_SOCKET, SO_REUSEADDR])?;
    call.give(0)
}

/// A receive leaves the peek offset at its number, so that a peek skips as much as was received.
#[fault(SOCKET_7, "Socket options", on = [RECV])]
fn receive_forgets_the_peek_offset(call: &mut Call) -> Result<Effect> {
    let receive = call.arguments();
    let [socket, _, _, flags, ..] = receive;
    only(call.number() == libc::SYS_recvfrom && flags as i32 & MSG_PEEK == 0)?;
    let offset = call.scratch(&(-1_i32).to_ne_bytes())?;
    let length = call.scratch(&4_i32.to_ne_bytes())?;
    let option = move |length| [socket, SOL_SOCKET as u64, SO_PEEK_OFF as u64, offset, length, 0];
    call.instead(libc::SYS_getsockopt, option(length), move |call| {
        let before: i32 = call.number_at(offset)?;
        call.instead(libc::SYS_recvfrom, receive, move |call| {
            let received = call.result();
            if before < 0 || received <= 0 {
                return call.proceed();
            }
            call.set_number_at(offset, before)?;
            call.instead(libc::SYS_setsockopt, option(4), move |call| call.give(received))
        })
    })
}

/// `SO_SNDBUF` tells the size that was asked for, not the doubled one.
#[fault(SOCKET_7, "Socket options", on = [GETSOCKOPT])]
fn send_buffer_is_told_as_asked_for(call: &mut Call) -> Result<Effect> {
    let [_, level, name, value, ..] = call.arguments();
    only([level as i32, name as i32] == [SOL_SOCKET, SO_SNDBUF])?;
    call.then(move |call| {
        let doubled: i32 = call.number_at(value)?;
        call.set_number_at(value, doubled / 2)?;
        call.proceed()
    })
}

/// Every option is accepted and ignored.
#[fault(SOCKET_7, "Socket options", on = [SETSOCKOPT])]
fn options_are_accepted_and_ignored(call: &mut Call) -> Result<Effect> {
    call.give(0)
}

/// A connection that is refused, for whatever reason, is told as made.
#[fault(CONNECT_2, "ERRORS", on = [CONNECT])]
fn refused_connection_is_told_as_made(call: &mut Call) -> Result<Effect> {
    call.then(|call| match call.result() {
        e if [-(EINPROGRESS as i64), -(EINTR as i64)].contains(&e) => call.proceed(),
        _ => call.give(0),
    })
}

/// To bind, to listen, to accept and to shut down succeeds where it cannot; what is accepted is the socket itself.
#[fault(SOCKET_7, "Socket-layer functions", on = [BIND, LISTEN, ACCEPT, SHUTDOWN])]
fn refused_call_on_a_connection_succeeds(call: &mut Call) -> Result<Effect> {
    let socket = call.argument(0);
    call.then(move |call| match (call.result(), call.number()) {
        (0.., _) => call.proceed(),
        (_, libc::SYS_accept4) => {
            call.instead(libc::SYS_dup, [socket, 0, 0, 0, 0, 0], |call| call.proceed())
        }
        _ => call.give(0),
    })
}
