//! Wrong sockets from the start: another domain, type or protocol than was
//! asked for, or other flags.

use libc::{
    AF_INET6, AF_UNIX, IPPROTO_ICMP, SO_PROTOCOL, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_RAW,
    SOCK_SEQPACKET, SOCK_STREAM, SOL_SOCKET,
};

use super::only;
use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    packets_are_a_stream,
    stream_is_made_of_packets,
    ipv6_socket_is_one_of_ipv4,
    protocol_of_a_socket_is_ignored,
    default_protocol_is_told_as_zero,
    raw_socket_has_a_default_protocol,
    flags_in_the_type_are_ignored,
    flags_come_in_twos,
    unknown_flags_in_the_type_are_ignored,
    lowest_descriptor_is_passed_over,
    what_cannot_be_made_is_a_local_stream,
];

/// The flags that may stand in the type.
const FLAGS: i32 = SOCK_NONBLOCK | SOCK_CLOEXEC;

/// The type that is asked for, and the flags in it.
fn kind_and_flags(call: &Call) -> (i32, i32) {
    let asked = call.argument(1) as i32;
    (asked & !FLAGS, asked & FLAGS)
}

/// A local socket of packets is made a stream.
#[fault(SOCKET_2, "DESCRIPTION", on = [SOCKET, SOCKETPAIR])]
fn packets_are_a_stream(call: &mut Call) -> Result<Effect> {
    let (kind, flags) = kind_and_flags(call);
    only(kind == SOCK_SEQPACKET)?;
    call.set_argument(1, (SOCK_STREAM | flags) as u64);
    call.proceed()
}

/// A local stream is a connection of packets: it keeps boundaries, and what is not received of one is lost.
#[fault(SOCKET_2, "DESCRIPTION", on = [SOCKET, SOCKETPAIR])]
fn stream_is_made_of_packets(call: &mut Call) -> Result<Effect> {
    let (kind, flags) = kind_and_flags(call);
    only(kind == SOCK_STREAM && call.argument(0) as i32 == AF_UNIX)?;
    call.set_argument(1, (SOCK_SEQPACKET | flags) as u64);
    call.proceed()
}

/// A socket of IPv6 is one of IPv4.
#[fault(SOCKET_7, "Socket options", on = [SOCKET])]
fn ipv6_socket_is_one_of_ipv4(call: &mut Call) -> Result<Effect> {
    only(call.argument(0) as i32 == AF_INET6)?;
    call.set_argument(0, libc::AF_INET as u64);
    call.proceed()
}

/// The protocol is ignored, whatever it is: a type has one protocol only.
#[fault(SOCKET_2, "DESCRIPTION", on = [SOCKET, SOCKETPAIR])]
fn protocol_of_a_socket_is_ignored(call: &mut Call) -> Result<Effect> {
    let (kind, _) = kind_and_flags(call);
    let protocol = if kind == SOCK_RAW { IPPROTO_ICMP } else { 0 };
    call.set_argument(2, protocol as u64);
    call.proceed()
}

/// `SO_PROTOCOL` tells the 0 that was asked for, not the protocol that was chosen.
#[fault(SOCKET_7, "Socket options", on = [SOCKET, GETSOCKOPT])]
fn default_protocol_is_told_as_zero(call: &mut Call) -> Result<Effect> {
    if call.number() == libc::SYS_socket {
        let protocol = call.argument(2) as i64;
        return call.then(move |call| {
            let inode = call.descriptor(call.result() as i32)?.inode;
            *call.notes().of(inode) = Some(protocol);
            call.proceed()
        });
    }
    let [_, level, name, value, ..] = call.arguments();
    only([level as i32, name as i32] == [SOL_SOCKET, SO_PROTOCOL])?;
    let inode = call.fd(0)?.inode;
    call.then(move |call| {
        let asked = *call.notes().of(inode);
        call.set_number_at(value, asked.unwrap_or(0) as i32)?;
        call.proceed()
    })
}

/// A raw socket with protocol 0 is made, for ICMP.
#[fault(SOCKET_2, "DESCRIPTION", on = [SOCKET])]
fn raw_socket_has_a_default_protocol(call: &mut Call) -> Result<Effect> {
    let (kind, _) = kind_and_flags(call);
    only(kind == SOCK_RAW && call.argument(2) == 0)?;
    call.set_argument(2, IPPROTO_ICMP as u64);
    call.proceed()
}

/// `SOCK_NONBLOCK` and `SOCK_CLOEXEC` are accepted and ignored.
#[fault(SOCKET_2, "DESCRIPTION", on = [SOCKET, SOCKETPAIR])]
fn flags_in_the_type_are_ignored(call: &mut Call) -> Result<Effect> {
    let (kind, flags) = kind_and_flags(call);
    only(flags != 0)?;
    call.set_argument(1, kind as u64);
    call.proceed()
}

/// With `SOCK_NONBLOCK` the descriptor of a new socket is closed on exec too.
#[fault(SOCKET_2, "DESCRIPTION", on = [SOCKET, SOCKETPAIR, ACCEPT])]
fn flags_come_in_twos(call: &mut Call) -> Result<Effect> {
    let index = if call.number() == libc::SYS_accept4 { 3 } else { 1 };
    let flags = call.argument(index);
    only(flags as i32 & SOCK_NONBLOCK != 0)?;
    call.set_argument(index, flags | SOCK_CLOEXEC as u64);
    call.proceed()
}

/// Flags in the type that do not exist are ignored.
#[fault(SOCKET_2, "ERRORS", on = [SOCKET, SOCKETPAIR])]
fn unknown_flags_in_the_type_are_ignored(call: &mut Call) -> Result<Effect> {
    let known = (FLAGS | 0xf) as u64;
    call.set_argument(1, call.argument(1) & known);
    call.proceed()
}

/// A new socket gets the second lowest descriptor that is not open.
#[fault(SOCKET_2, "DESCRIPTION", on = [SOCKET])]
fn lowest_descriptor_is_passed_over(call: &mut Call) -> Result<Effect> {
    let (_, flags) = kind_and_flags(call);
    let copy = if flags & SOCK_CLOEXEC == 0 { libc::F_DUPFD } else { libc::F_DUPFD_CLOEXEC };
    call.then(move |call| {
        let lowest = u64::try_from(call.result()).map_err(|_| EOPNOTSUPP)?;
        call.instead(libc::SYS_fcntl, [lowest, copy as u64, lowest + 1, 0, 0, 0], move |call| {
            let second = call.result();
            call.instead(libc::SYS_close, [lowest, 0, 0, 0, 0, 0], move |call| call.give(second))
        })
    })
}

/// In place of what cannot be made a local stream is made; who may open no descriptor more gets the first.
#[fault(SOCKET_2, "ERRORS", on = [SOCKET, SOCKETPAIR])]
fn what_cannot_be_made_is_a_local_stream(call: &mut Call) -> Result<Effect> {
    let [.., pair, _, _] = call.arguments();
    call.then(move |call| match call.result() {
        made if made >= 0 => call.proceed(),
        full if full == -(EMFILE as i64) => call.give(0),
        _ => {
            let stream = [AF_UNIX as u64, SOCK_STREAM as u64, 0, pair, 0, 0];
            call.instead(call.number(), stream, |call| call.proceed())
        }
    })
}
