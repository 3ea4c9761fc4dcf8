//! Internet sockets over loopback: TCP, UDP, ports, connections.
//!
//! What is sent over loopback may arrive after `send` has returned: every
//! receive that comes first sleeps, or comes after `wait_for`.

use libc::{
    AF_INET, AF_INET6, MSG_DONTWAIT, MSG_NOSIGNAL, MSG_PEEK, MSG_TRUNC, MSG_WAITALL, SHUT_RDWR,
    SHUT_WR, SO_ACCEPTCONN, SO_ERROR, SO_REUSEADDR, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_STREAM,
    SOL_SOCKET,
};
use nix::poll::PollFlags;

use super::unix::carries_a_long_stream;
use super::wait_for;
use crate::prelude::*;
use crate::sys::sockets::{Address, IPV6, Socket, tcp_listener, tcp_pair, udp_socket};

/// The cases of this module.
pub const CASES: &[Case] = &[
    tcp_connects_processes_with_a_byte_stream,
    tcp_connects_processes_with_a_byte_stream_over_ipv6,
    long_tcp_stream_arrives_whole_and_in_order,
    udp_keeps_the_boundaries_of_datagrams,
    udp_keeps_the_boundaries_of_datagrams_over_ipv6,
    udp_datagram_that_is_too_long_loses_its_tail,
    ports_tell_udp_sockets_apart,
    ports_tell_listeners_apart,
    addresses_tell_sockets_of_one_port_apart,
    port_zero_is_bound_to_a_free_port,
    bound_port_is_taken,
    closed_connection_keeps_its_port_for_a_while,
    listener_does_not_share_its_port,
    udp_refusal_is_told_at_the_next_call,
    connected_udp_socket_hears_its_peer_alone,
    nonblocking_connection_tells_its_end,
    refused_connection_is_told_once,
    peeking_leaves_the_data,
    waitall_sleeps_for_the_rest,
    waitall_is_cut_short_by_the_end,
    half_closed_connection_still_carries_the_other_way,
    broken_connection_raises_sigpipe,
    listener_tells_that_it_accepts,
    connection_to_a_port_without_listener_is_refused,
    connected_socket_does_not_connect_again,
    second_bind_of_a_socket_is_refused,
    address_of_another_host_cannot_be_bound,
    privileged_port_is_refused,
    unconnected_socket_receives_nothing,
    unconnected_socket_has_no_peer,
    unconnected_socket_cannot_be_shut_down,
    udp_datagram_needs_an_address,
    datagram_above_the_maximum_is_too_long,
];

/// Both ends of a TCP connection, in two processes, carry bytes: what was sent apart is received in pieces of any size.
#[case(TCP_7, "DESCRIPTION", settles = ["A45", "A47", "A51"], also = [(SOCKET_2, "DESCRIPTION")])]
fn tcp_connects_processes_with_a_byte_stream() -> Verdict {
    two_processes_share_a_byte_stream(AF_INET)
}

/// The same holds for TCP over IPv6: both ends carry bytes without boundaries.
#[case(IPV6_7, "DESCRIPTION", settles = ["A45", "A47", "A51"], needs = [IPV6], also = [(SOCKET_2, "DESCRIPTION")])]
fn tcp_connects_processes_with_a_byte_stream_over_ipv6() -> Verdict {
    two_processes_share_a_byte_stream(AF_INET6)
}

fn two_processes_share_a_byte_stream(domain: i32) -> Verdict {
    let (listener, address) = tcp_listener(domain)?;
    let client = Child::spawn(|| {
        let socket = Socket::connected(SOCK_STREAM, &address)?;
        check!(socket.send(b"ab") == Ok(2));
        check!(socket.send(b"cdef") == Ok(4));
        check!(socket.recv_with(6, MSG_WAITALL) == Ok("answer".into()));
        check!(socket.recv(64) == Ok(String::new()));
        Ok(())
    })?;
    wait_for(&listener, PollFlags::POLLIN)?;
    let connection = listener.accept()?;
    check!(connection.recv_with(3, MSG_WAITALL) == Ok("abc".into()));
    check!(connection.recv_with(3, MSG_WAITALL) == Ok("def".into()));
    check!(connection.send(b"answer") == Ok(6));
    drop(connection);
    client.join()
}

/// A TCP stream that is much longer than the buffers loses nothing, duplicates nothing and keeps its order.
#[case(TCP_7, "DESCRIPTION", settles = ["A47"], also = [(SOCKET_2, "DESCRIPTION")])]
fn long_tcp_stream_arrives_whole_and_in_order() -> Verdict {
    let (client, server) = tcp_pair(AF_INET)?;
    carries_a_long_stream(client, &server)
}

/// Each UDP datagram is received by itself, empty ones too.
#[case(UDP_7, "DESCRIPTION", settles = ["A45", "A48", "A51"], also = [(RECV_2, "RETURN VALUE")])]
fn udp_keeps_the_boundaries_of_datagrams() -> Verdict {
    datagrams_keep_their_boundaries(AF_INET)
}

/// The same holds for UDP over IPv6: each datagram is received by itself.
#[case(IPV6_7, "DESCRIPTION", settles = ["A45", "A48", "A51"], needs = [IPV6], also = [(UDP_7, "DESCRIPTION")])]
fn udp_keeps_the_boundaries_of_datagrams_over_ipv6() -> Verdict {
    datagrams_keep_their_boundaries(AF_INET6)
}

fn datagrams_keep_their_boundaries(domain: i32) -> Verdict {
    let (receiver, address) = udp_socket(domain)?;
    let sender = Child::spawn(|| {
        let socket = Socket::new(domain, SOCK_DGRAM, 0)?;
        for datagram in ["", "lengthy", "another"] {
            check!(socket.send_to(datagram.as_bytes(), &address) == Ok(datagram.len()));
        }
        Ok(())
    })?;
    sender.join()?;
    let mut came = vec![];
    while came.len() < 3 {
        wait_for(&receiver, PollFlags::POLLIN)?;
        came.push(receiver.recv_with(64, MSG_DONTWAIT)?);
    }
    // UDP promises no order.
    came.sort();
    check!(came == ["", "another", "lengthy"]);
    Ok(())
}

/// A UDP datagram longer than the buffer loses its tail, is marked so, and tells its real size when asked.
#[case(UDP_7, "DESCRIPTION", settles = ["recv.2 MSG_TRUNC 1", "recv.2 MSG_TRUNC 2"], also = [(RECV_2, "recvmsg()")])]
fn udp_datagram_that_is_too_long_loses_its_tail() -> Verdict {
    let (receiver, address) = udp_socket(AF_INET)?;
    let (sender, home) = udp_socket(AF_INET)?;
    sender.send_to(b"lengthy", &address)?;
    wait_for(&receiver, PollFlags::POLLIN)?;
    check!(receiver.recv_into(&mut [0; 4], MSG_TRUNC | MSG_PEEK) == Ok(7));
    let message = receiver.recv_message(4, 0, 0)?;
    check!((message.data.as_str(), message.flags & MSG_TRUNC) == ("leng", MSG_TRUNC));
    sender.send_to(b"next", &address)?;
    wait_for(&receiver, PollFlags::POLLIN)?;
    check!(receiver.recv_from(4) == Ok(("next".into(), home)));
    Ok(())
}

/// A datagram goes to the socket that is bound to its port, in whichever process, and to no other.
#[case(UDP_7, "DESCRIPTION", settles = ["A45", "A46"], also = [(IP_7, "DESCRIPTION")])]
fn ports_tell_udp_sockets_apart() -> Verdict {
    let sockets = [udp_socket(AF_INET)?, udp_socket(AF_INET)?, udp_socket(AF_INET)?];
    let sender = Socket::new(AF_INET, SOCK_DGRAM, 0)?;
    let receivers = Children::spawn(sockets.len(), |which| {
        let (socket, address) = &sockets[which];
        check!(socket.recv(64) == Ok(address.port().to_string()));
        holds!(socket.recv_with(64, MSG_DONTWAIT) == Err(EAGAIN))
    })?;
    for (_, address) in sockets.iter().rev() {
        sender.send_to(address.port().to_string().as_bytes(), address)?;
    }
    receivers.join()
}

/// A connection goes to the listener of its port, and one port carries many, told apart by the port of the other side.
#[case(IP_7, "DESCRIPTION", settles = ["A46"], also = [(TCP_7, "DESCRIPTION")])]
fn ports_tell_listeners_apart() -> Verdict {
    let [(one, address), (other, _)] = [tcp_listener(AF_INET)?, tcp_listener(AF_INET)?];
    let clients =
        [Socket::connected(SOCK_STREAM, &address)?, Socket::connected(SOCK_STREAM, &address)?];
    for connection in [one.accept()?, one.accept()?] {
        let port = connection.peer()?.port();
        check!(connection.name() == Ok(address));
        connection.send(port.to_string().as_bytes())?;
    }
    for client in clients {
        check!(client.peer() == Ok(address));
        wait_for(&client, PollFlags::POLLIN)?;
        check!(client.recv(64) == Ok(client.name()?.port().to_string()));
    }
    fcntl(&other, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    check!(other.accept().map(drop) == Err(EAGAIN));
    Ok(())
}

/// One port can be bound at two addresses, and a datagram goes to the one that it is sent to.
#[case(IP_7, "DESCRIPTION", settles = ["A46"], also = [(IP_7, "Special and reserved addresses")])]
fn addresses_tell_sockets_of_one_port_apart() -> Verdict {
    let (one, first) = udp_socket(AF_INET)?;
    let second = Address::v4([127, 0, 0, 2]).with_port(first.port());
    let other = Socket::bound(SOCK_DGRAM, &second)?;
    let sender = Socket::new(AF_INET, SOCK_DGRAM, 0)?;
    sender.send_to(b"other", &second)?;
    sender.send_to(b"one", &first)?;
    wait_for(&one, PollFlags::POLLIN)?;
    check!(one.recv(64) == Ok("one".into()));
    wait_for(&other, PollFlags::POLLIN)?;
    check!(other.recv(64) == Ok("other".into()));
    Ok(())
}

/// A socket that is bound to port 0, or connected or sent from without a bind, gets a free port within the range for it.
#[case(IP_7, "DESCRIPTION", also = [(UDP_7, "DESCRIPTION")])]
fn port_zero_is_bound_to_a_free_port() -> Verdict {
    let range = crate::sys::sysctl::numbers("net/ipv4/ip_local_port_range")?;
    let (listener, address) = tcp_listener(AF_INET)?;
    let client = Socket::connected(SOCK_STREAM, &address)?;
    let sender = Socket::new(AF_INET, SOCK_DGRAM, 0)?;
    check!(sender.name()?.port() == 0);
    sender.send_to(b"x", &address)?;
    for socket in [listener, client, sender] {
        let port = u64::from(socket.name()?.port());
        check!((range[0]..=range[1]).contains(&port), "port {port} of {range:?}");
    }
    Ok(())
}

/// A port that is bound at an address cannot be bound there again, nor at all addresses, until it is closed.
#[case(IP_7, "DESCRIPTION", settles = ["A46", "ip.7 EADDRINUSE"], also = [(IP_7, "ERRORS")])]
fn bound_port_is_taken() -> Verdict {
    for kind in [SOCK_STREAM, SOCK_DGRAM] {
        let socket = Socket::bound(kind, &Address::loopback(AF_INET))?;
        let address = socket.name()?;
        let everywhere = Address::v4([0; 4]).with_port(address.port());
        check!(Socket::bound(kind, &address).map(drop) == Err(EADDRINUSE));
        check!(Socket::bound(kind, &everywhere).map(drop) == Err(EADDRINUSE));
        drop(socket);
        check!(Socket::bound(kind, &address).map(drop) == Ok(()));
    }
    Ok(())
}

/// The port of a TCP connection that was closed cannot be bound for some time, except with `SO_REUSEADDR`.
#[case(IP_7, "DESCRIPTION", settles = ["socket.7 SO_REUSEADDR"], also = [(SOCKET_7, "Socket options")])]
fn closed_connection_keeps_its_port_for_a_while() -> Verdict {
    let listener = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    listener.set_option(SOL_SOCKET, SO_REUSEADDR, 1)?;
    listener.bind(&Address::loopback(AF_INET))?;
    listener.listen(8)?;
    let address = listener.name()?;
    let client = Socket::connected(SOCK_STREAM, &address)?;
    drop((listener.accept()?, listener));
    check!(client.recv(64) == Ok(String::new()));
    drop(client);
    check!(Socket::bound(SOCK_STREAM, &address).map(drop) == Err(EADDRINUSE));
    let next = Socket::new(AF_INET, SOCK_STREAM, 0)?;
    next.set_option(SOL_SOCKET, SO_REUSEADDR, 1)?;
    check!(next.bind(&address) == Ok(()));
    Ok(())
}

/// With `SO_REUSEADDR` sockets may share a port unless one of them listens.
#[case(SOCKET_7, "Socket options", settles = ["socket.7 SO_REUSEADDR"])]
fn listener_does_not_share_its_port() -> Verdict {
    let sockets: Vec<Socket> =
        (0..3).map(|_| Socket::new(AF_INET, SOCK_STREAM, 0)).collect::<Result<_, _>>()?;
    for socket in &sockets {
        socket.set_option(SOL_SOCKET, SO_REUSEADDR, 1)?;
    }
    let [one, two, three] = &sockets[..] else { unreachable!() };
    one.bind(&Address::loopback(AF_INET))?;
    check!(two.bind(&one.name()?) == Ok(()));
    one.listen(8)?;
    check!(three.bind(&one.name()?) == Err(EADDRINUSE));
    Ok(())
}

/// A UDP datagram to a port where nobody receives is refused at the next call, once.
#[case(UDP_7, "Error handling", settles = ["udp.7 ECONNREFUSED", "recv.2 ECONNREFUSED"], also = [(SOCKET_2, "DESCRIPTION")])]
fn udp_refusal_is_told_at_the_next_call() -> Verdict {
    // A socket that is connected to itself keeps the port and hears nobody else.
    let (deaf, address) = udp_socket(AF_INET)?;
    deaf.connect(&address)?;
    let sender = Socket::connected(SOCK_DGRAM, &address)?;
    check!(sender.send(b"x") == Ok(1));
    wait_for(&sender, PollFlags::empty())?;
    check!(sender.recv(64) == Err(ECONNREFUSED));
    check!(sender.recv_with(64, MSG_DONTWAIT) == Err(EAGAIN));
    check!(deaf.recv_with(64, MSG_DONTWAIT) == Err(EAGAIN));
    Ok(())
}

/// A UDP socket that is connected receives from its peer and from nobody else, until it is connected to another.
#[case(CONNECT_2, "DESCRIPTION", also = [(UDP_7, "DESCRIPTION")])]
fn connected_udp_socket_hears_its_peer_alone() -> Verdict {
    let [(socket, ours), (peer, peers), (other, others)] =
        [udp_socket(AF_INET)?, udp_socket(AF_INET)?, udp_socket(AF_INET)?];
    socket.connect(&peers)?;
    other.send_to(b"stranger", &ours)?;
    peer.send_to(b"peer", &ours)?;
    wait_for(&socket, PollFlags::POLLIN)?;
    check!(socket.recv(64) == Ok("peer".into()));
    check!(socket.recv_with(64, MSG_DONTWAIT) == Err(EAGAIN));
    socket.connect(&others)?;
    check!(socket.send(b"question") == Ok(8));
    wait_for(&other, PollFlags::POLLIN)?;
    check!(other.recv_from(64) == Ok(("question".into(), ours)));
    other.send_to(b"answer", &ours)?;
    wait_for(&socket, PollFlags::POLLIN)?;
    check!(socket.recv(64) == Ok("answer".into()));
    Ok(())
}

/// A nonblocking connection is in progress at first and can be polled for its end.
#[case(CONNECT_2, "ERRORS", settles = ["connect.2 EINPROGRESS"], also = [(SOCKET_7, "Socket-layer functions")])]
fn nonblocking_connection_tells_its_end() -> Verdict {
    let (listener, address) = tcp_listener(AF_INET)?;
    let client = Socket::new(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)?;
    check!(client.connect(&address) == Err(EINPROGRESS));
    wait_for(&client, PollFlags::POLLOUT)?;
    check!(client.option(SOL_SOCKET, SO_ERROR) == Ok(0));
    let connection = listener.accept()?;
    check!(client.send(b"connected") == Ok(9));
    check!(connection.recv_with(9, MSG_WAITALL) == Ok("connected".into()));
    Ok(())
}

/// `SO_ERROR` tells why a nonblocking connection failed, and clears it.
#[case(CONNECT_2, "ERRORS", settles = ["socket.7 SO_ERROR"], also = [(SOCKET_7, "Socket options")])]
fn refused_connection_is_told_once() -> Verdict {
    let closed = Socket::bound(SOCK_STREAM, &Address::loopback(AF_INET))?;
    let client = Socket::new(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)?;
    check!(client.connect(&closed.name()?) == Err(EINPROGRESS));
    wait_for(&client, PollFlags::POLLOUT)?;
    check!(client.option(SOL_SOCKET, SO_ERROR) == Ok(ECONNREFUSED as i32));
    check!(client.option(SOL_SOCKET, SO_ERROR) == Ok(0));
    Ok(())
}

/// Peeking returns data and leaves it to be received again.
#[case(RECV_2, "The flags argument", settles = ["recv.2 MSG_PEEK", "recv.2 EAGAIN", "recv.2 MSG_DONTWAIT"])]
fn peeking_leaves_the_data() -> Verdict {
    let (client, server) = tcp_pair(AF_INET)?;
    check!(server.recv_with(1, MSG_DONTWAIT) == Err(EAGAIN));
    client.send(b"abcdef")?;
    check!(server.recv_with(6, MSG_PEEK | MSG_WAITALL) == Ok("abcdef".into()));
    check!(server.recv_with(3, MSG_PEEK) == Ok("abc".into()));
    check!(server.recv_with(3, 0) == Ok("abc".into()));
    check!(server.recv_with(64, MSG_PEEK) == Ok("def".into()));
    check!(server.recv_with(64, 0) == Ok("def".into()));
    check!(server.recv_with(64, MSG_DONTWAIT) == Err(EAGAIN));
    Ok(())
}

/// A receive with `MSG_WAITALL` sleeps, though there is data, until all that it asks for is there.
#[case(RECV_2, "The flags argument", settles = ["recv.2 MSG_WAITALL"])]
fn waitall_sleeps_for_the_rest() -> Verdict {
    let (client, server) = tcp_pair(AF_INET)?;
    client.send(b"first ")?;
    check!(server.recv_with(6, MSG_PEEK | MSG_WAITALL) == Ok("first ".into()));
    let receiver =
        Child::spawn(|| holds!(server.recv_with(10, MSG_WAITALL) == Ok("first half".into())))?;
    receiver.blocked_in(RECV)?;
    client.send(b"half")?;
    receiver.join()
}

/// A receive with `MSG_WAITALL` returns less than it asks for when the connection ends.
#[case(RECV_2, "The flags argument", settles = ["recv.2 MSG_WAITALL"])]
fn waitall_is_cut_short_by_the_end() -> Verdict {
    let (client, server) = tcp_pair(AF_INET)?;
    client.send(b"half")?;
    let receiver = Child::spawn(|| {
        close_copy(&client)?;
        check!(server.recv_with(8, MSG_WAITALL) == Ok("half".into()));
        check!(server.recv_with(8, MSG_WAITALL) == Ok(String::new()));
        Ok(())
    })?;
    receiver.blocked_in(RECV)?;
    drop(client);
    receiver.join()
}

/// A connection that one side has shut down for writing ends for the other, which can still send.
#[case(SHUTDOWN_2, "DESCRIPTION", settles = ["send.2 EPIPE"], also = [(SEND_2, "ERRORS")])]
fn half_closed_connection_still_carries_the_other_way() -> Verdict {
    let (client, server) = tcp_pair(AF_INET)?;
    client.send(b"tail")?;
    client.shutdown(SHUT_WR)?;
    check!(client.send_with(b"x", MSG_NOSIGNAL) == Err(EPIPE));
    let killed = Child::spawn(|| Ok(client.send(b"x").map(drop)?))?;
    check!(killed.wait()? == End::Killed(libc::SIGPIPE));
    check!(server.recv_with(5, MSG_WAITALL) == Ok("tail".into()));
    check!(server.recv(64) == Ok(String::new()));
    check!(server.send(b"answer") == Ok(6));
    check!(client.recv_with(6, MSG_WAITALL) == Ok("answer".into()));
    Ok(())
}

/// Sending on a connection whose other end is closed and has answered so is EPIPE and SIGPIPE.
#[case(TCP_7, "ERRORS", settles = ["tcp.7 EPIPE", "ip.7 EPIPE"], also = [(IP_7, "ERRORS"), (SEND_2, "The flags argument")])]
fn broken_connection_raises_sigpipe() -> Verdict {
    let (client, server) = tcp_pair(AF_INET)?;
    drop(server);
    check!(client.recv(64) == Ok(String::new()));
    check!(client.send(b"nobody reads this") == Ok(17));
    wait_for(&client, PollFlags::empty())?;
    let spared = Child::spawn(|| holds!(client.send_with(b"x", MSG_NOSIGNAL) == Err(EPIPE)))?;
    check!(spared.wait()? == End::Exited(0));
    let killed = Child::spawn(|| Ok(client.send(b"x").map(drop)?))?;
    check!(killed.wait()? == End::Killed(libc::SIGPIPE));
    Ok(())
}

/// `SO_ACCEPTCONN` is 1 for a socket that listens and 0 before, and 0 for what it accepts.
#[case(SOCKET_7, "Socket options", settles = ["socket.7 SO_ACCEPTCONN"])]
fn listener_tells_that_it_accepts() -> Verdict {
    let listener = Socket::bound(SOCK_STREAM, &Address::loopback(AF_INET))?;
    check!(listener.option(SOL_SOCKET, SO_ACCEPTCONN) == Ok(0));
    listener.listen(8)?;
    check!(listener.option(SOL_SOCKET, SO_ACCEPTCONN) == Ok(1));
    let _client = Socket::connected(SOCK_STREAM, &listener.name()?)?;
    check!(listener.accept()?.option(SOL_SOCKET, SO_ACCEPTCONN) == Ok(0));
    Ok(())
}

/// A port below `ip_unprivileged_port_start` (1024) cannot be bound without `CAP_NET_BIND_SERVICE`.
#[case(IP_7, "Address format", settles = ["bind.2 EACCES 1"], needs = [Need::Unprivileged], also = [(IP_7, "ERRORS")])]
fn privileged_port_is_refused() -> Verdict {
    let first_free =
        crate::sys::sysctl::sysctl("net/ipv4/ip_unprivileged_port_start").unwrap_or(1024);
    let Some(port) = first_free.checked_sub(1).filter(|port| *port > 0) else {
        return Err(Failure::skipped(vec!["privileged ports (ip_unprivileged_port_start)".into()]));
    };
    let address = Address::loopback(AF_INET).with_port(port as u16);
    for kind in [SOCK_STREAM, SOCK_DGRAM] {
        check!(Socket::bound(kind, &address).map(drop) == Err(EACCES), "port {port}");
    }
    Ok(())
}

refusals! {
    CONNECT_2, "ERRORS";

    /// A connection to a port that is bound but does not listen is refused.
    ["connect.2 ECONNREFUSED"] connection_to_a_port_without_listener_is_refused => ECONNREFUSED: {
        let closed = Socket::bound(SOCK_STREAM, &Address::loopback(AF_INET))?;
        Socket::connected(SOCK_STREAM, &closed.name()?)
    };

    /// A TCP socket that is connected cannot be connected again.
    ["connect.2 EISCONN", "ip.7 EISCONN"] connected_socket_does_not_connect_again => EISCONN: {
        let (client, _server) = tcp_pair(AF_INET)?;
        client.connect(&client.peer()?)
    };
}

refusals! {
    BIND_2, "ERRORS";

    /// A socket that is bound cannot be bound again.
    ["bind.2 EINVAL 1"] second_bind_of_a_socket_is_refused => EINVAL: {
        udp_socket(AF_INET)?.0.bind(&Address::loopback(AF_INET))
    };

    /// An address that is reserved for documentation is not local.
    ["bind.2 EADDRNOTAVAIL", "ip.7 EADDRNOTAVAIL"] address_of_another_host_cannot_be_bound => EADDRNOTAVAIL: {
        Socket::bound(SOCK_DGRAM, &Address::v4([192, 0, 2, 1]))
    };
}

refusals! {
    RECV_2, "ERRORS";

    /// A TCP socket that was never connected receives nothing.
    ["recv.2 ENOTCONN"] unconnected_socket_receives_nothing => ENOTCONN: Socket::new(AF_INET, SOCK_STREAM, 0)?.recv(1);
}

refusals! {
    GETPEERNAME_2, "ERRORS";

    /// A TCP socket that was never connected has no peer.
    ["getpeername.2 ENOTCONN", "ip.7 ENOTCONN"] unconnected_socket_has_no_peer => ENOTCONN: tcp_listener(AF_INET)?.0.peer();
}

refusals! {
    SHUTDOWN_2, "ERRORS";

    /// A TCP socket that was never connected cannot be shut down.
    ["shutdown.2 ENOTCONN"] unconnected_socket_cannot_be_shut_down => ENOTCONN: {
        Socket::new(AF_INET, SOCK_STREAM, 0)?.shutdown(SHUT_RDWR)
    };
}

refusals! {
    SEND_2, "ERRORS";

    /// A UDP socket without a peer does not know where to send.
    ["send.2 EDESTADDRREQ"] udp_datagram_needs_an_address => EDESTADDRREQ: Socket::new(AF_INET, SOCK_DGRAM, 0)?.send(b"x");

    /// A UDP datagram that no IPv4 packet can hold is too long.
    ["send.2 EMSGSIZE"] datagram_above_the_maximum_is_too_long => EMSGSIZE: {
        let (receiver, address) = udp_socket(AF_INET)?;
        receiver.send_to(&vec![0; 1 << 16], &address)
    };
}
