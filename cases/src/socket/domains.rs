//! What `socket` and `socketpair` make: domains, types, protocols, flags.

use libc::{
    AF_INET, AF_INET6, AF_UNIX, AF_UNSPEC, IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_TCP, IPPROTO_UDP,
    IPPROTO_UDPLITE, SO_DOMAIN, SO_PROTOCOL, SO_TYPE, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK,
    SOCK_RAW, SOCK_RDM, SOCK_SEQPACKET, SOCK_STREAM, SOL_SOCKET,
};
use nix::sys::resource::{Resource, rlim_t, setrlimit};

use crate::prelude::*;
use crate::sys::sockets::{IPV6, Socket, UDPLITE};

/// The cases of this module.
pub const CASES: &[Case] = &[
    socket_tells_its_domain_and_type,
    ipv6_socket_tells_its_domain_and_type,
    protocol_zero_picks_tcp_or_udp,
    protocol_zero_picks_tcp_or_udp_over_ipv6,
    udplite_is_chosen_by_number,
    raw_socket_needs_a_protocol,
    raw_socket_needs_a_protocol_over_ipv6,
    flags_in_the_type_set_what_they_name,
    new_socket_has_lowest_free_descriptor,
    negative_family_is_unknown,
    family_unspec_is_unknown,
    unknown_flag_in_type_is_invalid,
    negative_protocol_is_invalid,
    udp_is_no_stream,
    tcp_is_no_datagram,
    udp_is_no_stream_over_ipv6,
    tcp_is_no_datagram_over_ipv6,
    reliable_datagrams_are_no_internet_type,
    reliable_datagrams_are_no_local_type,
    local_domain_has_no_foreign_protocol,
    descriptor_beyond_the_limit_is_refused,
    internet_sockets_do_not_come_in_pairs,
    pair_of_unknown_family_is_refused,
    pair_with_foreign_protocol_is_refused,
];

/// What `SO_DOMAIN`, `SO_TYPE` and `SO_PROTOCOL` tell.
fn told(socket: &Socket) -> Verdict<[i32; 3]> {
    Ok([
        socket.option(SOL_SOCKET, SO_DOMAIN)?,
        socket.option(SOL_SOCKET, SO_TYPE)?,
        socket.option(SOL_SOCKET, SO_PROTOCOL)?,
    ])
}

/// A socket of each type of the local and the IPv4 domain tells the domain and the type that were asked for.
#[case(SOCKET_7, "Socket options", settles = ["A51", "socket.7 SO_DOMAIN", "socket.7 SO_TYPE"], also = [(UNIX_7, "DESCRIPTION"), (IP_7, "DESCRIPTION")])]
fn socket_tells_its_domain_and_type() -> Verdict {
    let local = [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET];
    let asked = local.iter().flat_map(|&kind| [(AF_UNIX, kind, 0), (AF_UNIX, kind, AF_UNIX)]);
    for (domain, kind, protocol) in
        asked.chain([(AF_INET, SOCK_STREAM, 0), (AF_INET, SOCK_DGRAM, 0)])
    {
        let made = Socket::new(domain, kind | SOCK_CLOEXEC, protocol);
        check!(made.is_ok(), "socket({domain}, {kind}, {protocol})");
        check!(told(&made?)?[..2] == [domain, kind], "socket({domain}, {kind}, {protocol})");
    }
    Ok(())
}

/// A socket of each type of the IPv6 domain tells the domain and the type that were asked for.
#[case(IPV6_7, "SYNOPSIS", settles = ["A51"], needs = [IPV6], also = [(SOCKET_7, "Socket options")])]
fn ipv6_socket_tells_its_domain_and_type() -> Verdict {
    for kind in [SOCK_STREAM, SOCK_DGRAM] {
        check!(told(&Socket::new(AF_INET6, kind, 0)?)?[..2] == [AF_INET6, kind]);
    }
    Ok(())
}

/// Protocol 0 means TCP for an IPv4 stream and UDP for IPv4 datagrams, just as if it had been asked for.
#[case(IP_7, "DESCRIPTION", settles = ["A53", "socket.7 SO_PROTOCOL"], also = [(SOCKET_2, "DESCRIPTION")])]
fn protocol_zero_picks_tcp_or_udp() -> Verdict {
    for (kind, protocol) in [(SOCK_STREAM, IPPROTO_TCP), (SOCK_DGRAM, IPPROTO_UDP)] {
        check!(told(&Socket::new(AF_INET, kind, 0)?)? == [AF_INET, kind, protocol]);
        check!(told(&Socket::new(AF_INET, kind, protocol)?)? == [AF_INET, kind, protocol]);
    }
    Ok(())
}

/// Protocol 0 means TCP for an IPv6 stream and UDP for IPv6 datagrams, just as if it had been asked for.
#[case(IPV6_7, "SYNOPSIS", settles = ["A53"], needs = [IPV6], also = [(SOCKET_2, "DESCRIPTION")])]
fn protocol_zero_picks_tcp_or_udp_over_ipv6() -> Verdict {
    for (kind, protocol) in [(SOCK_STREAM, IPPROTO_TCP), (SOCK_DGRAM, IPPROTO_UDP)] {
        check!(told(&Socket::new(AF_INET6, kind, 0)?)? == [AF_INET6, kind, protocol]);
        check!(told(&Socket::new(AF_INET6, kind, protocol)?)? == [AF_INET6, kind, protocol]);
    }
    Ok(())
}

/// A datagram socket speaks UDP-Lite instead of UDP when its number is given.
#[case(IP_7, "DESCRIPTION", settles = ["A53"], needs = [UDPLITE])]
fn udplite_is_chosen_by_number() -> Verdict {
    let socket = Socket::new(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE)?;
    check!(told(&socket)? == [AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE]);
    Ok(())
}

/// A raw socket has no protocol by default: 0 is refused, ICMP and others are taken.
#[case(SOCKET_2, "DESCRIPTION", settles = ["A52", "A53"], needs = [Need::OwnCap(Cap::NetRaw)], also = [(IP_7, "DESCRIPTION")])]
fn raw_socket_needs_a_protocol() -> Verdict {
    check!(Socket::new(AF_INET, SOCK_RAW, 0).map(drop) == Err(EPROTONOSUPPORT));
    for protocol in [IPPROTO_ICMP, IPPROTO_UDP, 253] {
        check!(told(&Socket::new(AF_INET, SOCK_RAW, protocol)?)? == [AF_INET, SOCK_RAW, protocol]);
    }
    Ok(())
}

/// A raw IPv6 socket has no protocol by default: 0 is refused, `ICMPv6` and others are taken.
#[case(SOCKET_2, "DESCRIPTION", settles = ["A52", "A53"], needs = [Need::OwnCap(Cap::NetRaw), IPV6], also = [(IPV6_7, "SYNOPSIS")])]
fn raw_socket_needs_a_protocol_over_ipv6() -> Verdict {
    check!(Socket::new(AF_INET6, SOCK_RAW, 0).map(drop) == Err(EPROTONOSUPPORT));
    for protocol in [IPPROTO_ICMPV6, IPPROTO_UDP, 253] {
        check!(
            told(&Socket::new(AF_INET6, SOCK_RAW, protocol)?)? == [AF_INET6, SOCK_RAW, protocol]
        );
    }
    Ok(())
}

/// `SOCK_NONBLOCK` and `SOCK_CLOEXEC` set their flag on the new socket, and without them neither is set.
#[case(SOCKET_2, "DESCRIPTION", settles = ["socket.2 SOCK_NONBLOCK", "socket.2 SOCK_CLOEXEC"])]
fn flags_in_the_type_set_what_they_name() -> Verdict {
    for domain in [AF_UNIX, AF_INET] {
        for flags in [0, SOCK_NONBLOCK, SOCK_CLOEXEC, SOCK_NONBLOCK | SOCK_CLOEXEC] {
            let socket = Socket::new(domain, SOCK_DGRAM | flags, 0)?;
            let status = OFlag::from_bits_retain(fcntl(&socket, FcntlArg::F_GETFL)?);
            check!(
                status.contains(OFlag::O_NONBLOCK) == (flags & SOCK_NONBLOCK != 0),
                "{flags:#x}"
            );
            let close_on_exec = fcntl(&socket, FcntlArg::F_GETFD)? == libc::FD_CLOEXEC;
            check!(close_on_exec == (flags & SOCK_CLOEXEC != 0), "{flags:#x}");
        }
    }
    Ok(())
}

/// A new socket gets the lowest descriptor that is not open.
#[case(SOCKET_2, "DESCRIPTION")]
fn new_socket_has_lowest_free_descriptor() -> Verdict {
    let low = dup(std::io::stdin())?;
    let high = dup(std::io::stdin())?;
    let free = low.as_raw_fd();
    drop(low);
    let socket = Socket::new(AF_UNIX, SOCK_STREAM, 0)?;
    check!(socket.as_fd().as_raw_fd() == free);
    check!(free < high.as_raw_fd());
    Ok(())
}

refusals! {
    SOCKET_2, "ERRORS";

    /// A negative address family is not supported.
    [] negative_family_is_unknown => EAFNOSUPPORT: Socket::new(-1, SOCK_STREAM, 0);

    /// The unspecified address family is none to make a socket of.
    ["socket.2 EAFNOSUPPORT"] family_unspec_is_unknown => EAFNOSUPPORT: Socket::new(AF_UNSPEC, SOCK_STREAM, 0);

    /// A flag in the type that is neither `SOCK_NONBLOCK` nor `SOCK_CLOEXEC` is invalid.
    ["socket.2 EINVAL 2"] unknown_flag_in_type_is_invalid => EINVAL: Socket::new(AF_UNIX, SOCK_STREAM | 1 << 30, 0);

    /// A number that no protocol can have is invalid.
    ["socket.2 EINVAL 1"] negative_protocol_is_invalid => EINVAL: Socket::new(AF_INET, SOCK_STREAM, -1);

    /// UDP does not support streams.
    ["socket.2 EPROTONOSUPPORT"] udp_is_no_stream => EPROTONOSUPPORT: Socket::new(AF_INET, SOCK_STREAM, IPPROTO_UDP);

    /// TCP does not support datagrams.
    ["socket.2 EPROTONOSUPPORT"] tcp_is_no_datagram => EPROTONOSUPPORT: Socket::new(AF_INET, SOCK_DGRAM, IPPROTO_TCP);

    /// A process that has as many descriptors open as it may gets no socket.
    ["socket.2 EMFILE"] descriptor_beyond_the_limit_is_refused => EMFILE: {
        let next = dup(std::io::stdin())?.as_raw_fd() as rlim_t;
        setrlimit(Resource::RLIMIT_NOFILE, next, next)?;
        Socket::new(AF_UNIX, SOCK_STREAM, 0)
    };
}

refusals! {
    SOCKET_2, "ERRORS", needs = [IPV6];

    /// UDP does not support IPv6 streams.
    [] udp_is_no_stream_over_ipv6 => EPROTONOSUPPORT: Socket::new(AF_INET6, SOCK_STREAM, IPPROTO_UDP);

    /// TCP does not support IPv6 datagrams.
    [] tcp_is_no_datagram_over_ipv6 => EPROTONOSUPPORT: Socket::new(AF_INET6, SOCK_DGRAM, IPPROTO_TCP);
}

refusals! {
    IP_7, "ERRORS";

    /// The Internet domain does not know the type of reliable unordered datagrams.
    ["ip.7 ESOCKTNOSUPPORT"] reliable_datagrams_are_no_internet_type => ESOCKTNOSUPPORT: Socket::new(AF_INET, SOCK_RDM, 0);
}

refusals! {
    UNIX_7, "ERRORS";

    /// The local domain does not know the type of reliable unordered datagrams.
    ["unix.7 ESOCKTNOSUPPORT"] reliable_datagrams_are_no_local_type => ESOCKTNOSUPPORT: Socket::new(AF_UNIX, SOCK_RDM, 0);

    /// The local domain has no protocol but 0 and its own number.
    ["unix.7 EPROTONOSUPPORT"] local_domain_has_no_foreign_protocol => EPROTONOSUPPORT: Socket::new(AF_UNIX, SOCK_STREAM, IPPROTO_TCP);
}

refusals! {
    SOCKETPAIR_2, "ERRORS";

    /// A pair of TCP sockets cannot be made.
    ["socketpair.2 EOPNOTSUPP"] internet_sockets_do_not_come_in_pairs => EOPNOTSUPP: Socket::pair_in(AF_INET, SOCK_STREAM, 0);

    /// A pair of an address family that does not exist cannot be made.
    ["socketpair.2 EAFNOSUPPORT"] pair_of_unknown_family_is_refused => EAFNOSUPPORT: Socket::pair_in(-1, SOCK_STREAM, 0);

    /// A pair of local sockets with a protocol of another domain cannot be made.
    ["socketpair.2 EPROTONOSUPPORT"] pair_with_foreign_protocol_is_refused => EPROTONOSUPPORT: Socket::pair_in(AF_UNIX, SOCK_STREAM, IPPROTO_TCP);
}
