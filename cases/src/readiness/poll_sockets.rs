//! poll: sockets and pseudo-terminals.

use libc::{AF_INET, MSG_OOB, SHUT_RDWR, SHUT_WR, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM};
use nix::sys::termios::{FlushArg, tcflush};

use crate::prelude::*;
use crate::sys::poll::{
    ANY, ERR, HUP, IN, NONE, OUT, PRI, RDBAND, RDHUP, RDNORM, WRBAND, WRNORM, event, now, soon,
};
use crate::sys::select::Sets;
use crate::sys::sockets::{Address, Socket, tcp_listener, tcp_pair, udp_socket};
use crate::sys::terminal::Terminal;

/// The cases of this module.
pub const CASES: &[Case] = &[
    local_sockets_tell_data_and_room,
    equivalent_events_come_together,
    band_to_write_comes_only_with_room,
    empty_datagram_is_data,
    full_queue_of_the_receiver_leaves_no_room,
    waiting_connection_is_readable,
    peer_that_writes_no_more_is_told_when_asked,
    end_of_writing_wakes_a_poller_that_data_does_not,
    hang_up_is_told_once_both_directions_are_shut,
    close_of_the_peer_wakes_who_asked_for_nothing,
    urgent_data_of_tcp_is_priority_and_not_input,
    urgent_data_wakes_poll_and_select,
    packet_mode_tells_a_flush_as_priority,
    refused_datagram_is_an_error,
    finished_connection_is_writable,
];

/// A local socket is readable while a message is there, and writable unless its peer's queue is full.
#[case(POLL_2, "DESCRIPTION", also = [(SOCKET_7, "DESCRIPTION")])]
fn local_sockets_tell_data_and_room() -> Verdict {
    for kind in [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET] {
        let (ours, theirs) = Socket::pair(kind)?;
        check!(now(&ours, IN | OUT | PRI) == Ok(OUT), "kind {kind}");
        theirs.send(b"x")?;
        check!(now(&ours, IN | OUT | PRI) == Ok(IN | OUT), "kind {kind}");
        ours.recv(8)?;
        ours.fill(&[0; 512])?;
        check!(now(&ours, IN | OUT) == Ok(NONE), "kind {kind}, full");
        check!(now(&theirs, IN | OUT) == Ok(IN | OUT), "kind {kind}, the other way");
        while theirs.recv_with(512, libc::MSG_DONTWAIT).is_ok() {}
        check!(now(&ours, IN | OUT) == Ok(OUT), "kind {kind}, emptied");
        check!(now(&theirs, IN | OUT) == Ok(OUT), "kind {kind}, emptied");
    }
    Ok(())
}

/// POLLRDNORM comes with POLLIN and POLLWRNORM with POLLOUT, of a socket in every state, asked for alone or together.
#[case(POLL_2, "DESCRIPTION")]
fn equivalent_events_come_together() -> Verdict {
    let [fresh, data, full, half, left] = [(); 5].map(|()| Socket::pair(SOCK_STREAM));
    let (fresh, data, full, half, left) = (fresh?, data?, full?, half?, left?);
    data.1.send(b"x")?;
    full.0.fill(&[0; 512])?;
    half.1.shutdown(SHUT_WR)?;
    drop(left.1);
    let (_client, server) = tcp_pair(AF_INET)?;
    let names = ["fresh", "data", "full", "half", "left", "tcp"];
    for (name, socket) in names.iter().zip([fresh.0, data.0, full.0, half.0, left.0, server]) {
        for (one, other) in [(IN, RDNORM), (OUT, WRNORM)] {
            let told = now(&socket, one)?.contains(one);
            check!(now(&socket, other)?.contains(other) == told, "{name}");
            check!(now(&socket, one | other)?.contains(one | other) == told, "{name}");
        }
    }
    Ok(())
}

/// POLLWRBAND is never reported of a socket that has no room.
#[case(POLL_2, "DESCRIPTION")]
fn band_to_write_comes_only_with_room() -> Verdict {
    let (client, server) = tcp_pair(AF_INET)?;
    let (stream, _peer) = Socket::pair(SOCK_STREAM)?;
    let (datagram, _other) = Socket::pair(SOCK_DGRAM)?;
    for socket in [&stream, &datagram] {
        socket.fill(&[0; 512])?;
        check!(now(socket, WRBAND | OUT) == Ok(NONE));
    }
    check!(now(&server, RDBAND | IN) == Ok(NONE));
    client.send(b"x")?;
    check!(soon(&server, RDBAND | IN)? == IN, "normal data is of no band");
    Ok(())
}

/// A datagram of no bytes makes its receiver readable, until it is received.
#[case(POLL_2, "DESCRIPTION", also = [(UDP_7, "Ioctls")])]
fn empty_datagram_is_data() -> Verdict {
    let (ours, theirs) = Socket::pair(SOCK_DGRAM)?;
    let reader = Child::spawn(|| holds!(event(&ours, IN) == Ok(IN)))?;
    reader.blocked_in(POLL)?;
    theirs.send(b"")?;
    reader.join()?;
    check!(now(&ours, IN) == Ok(IN));
    check!(ours.recv(8) == Ok(String::new()));
    check!(now(&ours, IN) == Ok(NONE));
    Ok(())
}

/// A sender of datagrams whose receiver's queue is full has no room, and its poll is woken when one is received.
#[case(POLL_2, "DESCRIPTION", also = [(SOCKET_7, "DESCRIPTION")])]
fn full_queue_of_the_receiver_leaves_no_room() -> Verdict {
    let address = Address::path("socket");
    let receiver = Socket::bound(SOCK_DGRAM, &address)?;
    let (sender, other) =
        (Socket::connected(SOCK_DGRAM, &address)?, Socket::connected(SOCK_DGRAM, &address)?);
    check!(now(&sender, OUT) == Ok(OUT));
    other.fill(&[0; 512])?;
    check!(sender.send_with(&[0; 512], libc::MSG_DONTWAIT) == Err(EAGAIN));
    check!(now(&sender, OUT) == Ok(NONE));
    let waiter = Child::spawn(|| {
        check!(event(&sender, OUT) == Ok(OUT));
        holds!(sender.send_with(&[0; 512], libc::MSG_DONTWAIT) == Ok(512))
    })?;
    waiter.blocked_in(POLL)?;
    while receiver.recv_with(1, libc::MSG_DONTWAIT).is_ok() {}
    waiter.join()
}

/// A listening socket is readable while a connection waits to be accepted, and a poller sleeps until one comes.
#[case(ACCEPT_2, "DESCRIPTION", also = [(SOCKET_7, "DESCRIPTION")])]
fn waiting_connection_is_readable() -> Verdict {
    let local = Address::path("socket");
    let (tcp, tcp_address) = tcp_listener(AF_INET)?;
    for (listener, address) in
        [(Socket::listening(SOCK_STREAM, &local)?, local), (tcp, tcp_address)]
    {
        check!(now(&listener, IN) == Ok(NONE));
        let poller = Child::spawn(|| holds!(event(&listener, IN | PRI) == Ok(IN)))?;
        poller.blocked_in(POLL)?;
        let _client = Socket::connected(SOCK_STREAM, &address)?;
        poller.join()?;
        check!(now(&listener, IN) == Ok(IN));
        listener.accept()?;
        check!(now(&listener, IN) == Ok(NONE));
    }
    Ok(())
}

/// The two sides of a local and of a TCP connection.
fn connections() -> Verdict<[(&'static str, Socket, Socket); 2]> {
    let (local, other) = Socket::pair(SOCK_STREAM)?;
    let (client, server) = tcp_pair(AF_INET)?;
    Ok([("local", local, other), ("TCP", client, server)])
}

/// POLLRDHUP is reported, when it is asked for, once the peer writes no more or has closed, while data is unread too.
#[case(POLL_2, "DESCRIPTION", settles = ["poll.2 POLLRDHUP"])]
fn peer_that_writes_no_more_is_told_when_asked() -> Verdict {
    for closes in [false, true] {
        for (name, ours, theirs) in connections()? {
            check!(now(&ours, ANY)?.intersection(RDHUP | IN) == NONE, "{name}");
            theirs.send(b"x")?;
            check!(soon(&ours, IN | RDHUP)? == IN, "{name}");
            if closes {
                drop(theirs);
            } else {
                theirs.shutdown(SHUT_WR)?;
            }
            check!(soon(&ours, RDHUP)?.contains(RDHUP), "{name}, closed {closes}");
            check!(now(&ours, IN | RDHUP)?.contains(IN | RDHUP), "{name}, closed {closes}");
            check!(!now(&ours, IN | OUT)?.contains(RDHUP), "{name}, closed {closes}");
            check!(ours.recv(8).as_deref() == Ok("x"), "{name}, closed {closes}");
            check!(now(&ours, RDHUP)?.contains(RDHUP), "{name}, closed {closes}");
        }
    }
    Ok(())
}

/// Data does not end the sleep of who asked for POLLRDHUP alone, and the peer's end of writing does.
#[case(POLL_2, "DESCRIPTION")]
fn end_of_writing_wakes_a_poller_that_data_does_not() -> Verdict {
    for (name, ours, theirs) in connections()? {
        let reader = Child::spawn(|| holds!(event(&ours, IN) == Ok(IN), "{name}"))?;
        let waiter = Child::spawn(|| holds!(event(&ours, RDHUP)?.contains(RDHUP), "{name}"))?;
        reader.blocked_in(POLL)?;
        waiter.blocked_in(POLL)?;
        theirs.send(b"x")?;
        reader.join()?;
        waiter.blocked_in(POLL)?;
        theirs.shutdown(SHUT_WR)?;
        waiter.join()?;
    }
    Ok(())
}

/// POLLHUP is not reported to the side whose peer still writes, and is to both once both directions are shut down.
#[case(POLL_2, "DESCRIPTION", also = [(SOCKET_7, "DESCRIPTION")])]
fn hang_up_is_told_once_both_directions_are_shut() -> Verdict {
    for (name, ours, theirs) in connections()? {
        theirs.shutdown(SHUT_WR)?;
        check!(soon(&ours, RDHUP)?.contains(RDHUP), "{name}");
        check!(!now(&theirs, NONE)?.contains(HUP), "{name}");
        ours.shutdown(SHUT_WR)?;
        for side in [&ours, &theirs] {
            check!(soon(side, NONE)?.contains(HUP), "{name}");
            check!(now(side, IN)?.contains(HUP), "{name}");
        }
    }
    Ok(())
}

/// A poller that asked for nothing is woken with POLLHUP when the peer closes or shuts both directions down.
#[case(POLL_2, "DESCRIPTION")]
fn close_of_the_peer_wakes_who_asked_for_nothing() -> Verdict {
    for closes in [true, false] {
        let (ours, theirs) = Socket::pair(SOCK_STREAM)?;
        let poller = Child::spawn(|| {
            close_copy(&theirs)?;
            holds!(event(&ours, NONE) == Ok(HUP), "closed {closes}")
        })?;
        poller.blocked_in(POLL)?;
        if closes {
            drop(theirs);
        } else {
            theirs.shutdown(SHUT_RDWR)?;
        }
        poller.join()?;
    }
    Ok(())
}

/// Urgent data on a TCP socket is POLLPRI, not POLLIN, until it is received as such, and other data is not POLLPRI.
#[case(POLL_2, "DESCRIPTION", also = [(TCP_7, "DESCRIPTION"), (SOCKET_7, "DESCRIPTION")], settles = ["poll.2 POLLPRI"])]
fn urgent_data_of_tcp_is_priority_and_not_input() -> Verdict {
    let (client, server) = tcp_pair(AF_INET)?;
    let (_, other) = tcp_pair(AF_INET)?;
    client.send_with(b"!", MSG_OOB)?;
    check!(soon(&server, PRI | IN)? == PRI);
    check!(now(&server, IN) == Ok(NONE));
    check!(now(&other, PRI)?.intersection(PRI) == NONE);
    check!(server.recv_with(8, MSG_OOB).as_deref() == Ok("!"));
    check!(now(&server, PRI | IN) == Ok(NONE));
    client.send(b"plain")?;
    check!(soon(&server, PRI | IN)? == IN);
    Ok(())
}

/// Urgent data wakes who sleeps in poll for POLLPRI or in select for an exception, and not who asked for other data.
#[case(POLL_2, "DESCRIPTION", also = [(SELECT_2, "Arguments"), (TCP_7, "DESCRIPTION")])]
fn urgent_data_wakes_poll_and_select() -> Verdict {
    let (client, server) = tcp_pair(AF_INET)?;
    let server = OwnedFd::from(server);
    let poller = Child::spawn(|| holds!(event(&server, PRI) == Ok(PRI)))?;
    let selecter = Child::spawn(|| holds!(Sets::exceptions(&[&server]).select(None) == Ok(1)))?;
    let reader = Child::spawn(|| holds!(event(&server, IN) == Ok(IN)))?;
    poller.blocked_in(POLL)?;
    selecter.blocked_in(SELECT)?;
    reader.blocked_in(POLL)?;
    client.send_with(b"!", MSG_OOB)?;
    poller.join()?;
    selecter.join()?;
    reader.blocked_in(POLL)?;
    client.send(b"x")?;
    reader.join()
}

/// In packet mode a flush of the slave's input is POLLPRI at the master until it has read what happened.
#[case(POLL_2, "DESCRIPTION", also = [(TIOCPKT_2CONST, "DESCRIPTION"), (SELECT_2, "Arguments")])]
fn packet_mode_tells_a_flush_as_priority() -> Verdict {
    let terminal = Terminal::controlling()?;
    let master = &terminal.master;
    check!(tcflush(&terminal.slave, FlushArg::TCIFLUSH) == Ok(()));
    check!(now(master, PRI) == Ok(NONE), "without packet mode");
    check!(terminal.packet_mode(true) == Ok(()));
    check!(now(master, PRI) == Ok(NONE), "before the flush");
    let poller = Child::spawn(|| holds!(event(master, PRI) == Ok(PRI)))?;
    poller.blocked_in(POLL)?;
    tcflush(&terminal.slave, FlushArg::TCIFLUSH)?;
    poller.join()?;
    check!(Sets::exceptions(&[master]).now() == Ok(1));
    check!(text(master, 8) == Ok("\u{1}"), "TIOCPKT_FLUSHREAD");
    check!(now(master, PRI) == Ok(NONE));
    Ok(())
}

/// A datagram to a port where nobody listens is POLLERR of its sender, asked for or not, until the error is fetched.
#[case(SOCKET_7, "DESCRIPTION", also = [(POLL_2, "DESCRIPTION"), (UDP_7, "Error handling")])]
fn refused_datagram_is_an_error() -> Verdict {
    let (gone, address) = udp_socket(AF_INET)?;
    let sender = Socket::connected(SOCK_DGRAM, &address)?;
    drop(gone);
    check!(now(&sender, NONE) == Ok(NONE));
    sender.send(b"x")?;
    check!(soon(&sender, NONE)? == ERR);
    check!(sender.option(libc::SOL_SOCKET, libc::SO_ERROR) == Ok(ECONNREFUSED as i32));
    check!(now(&sender, NONE) == Ok(NONE));
    Ok(())
}

/// A connection that finishes while nobody waits in connect makes the socket writable, without an error.
#[case(SOCKET_7, "DESCRIPTION", also = [(CONNECT_2, "ERRORS")])]
fn finished_connection_is_writable() -> Verdict {
    let (listener, address) = tcp_listener(AF_INET)?;
    let client = Socket::new(AF_INET, SOCK_STREAM | libc::SOCK_NONBLOCK, 0)?;
    check!([Ok(()), Err(EINPROGRESS)].contains(&client.connect(&address)));
    check!(soon(&client, OUT)? == OUT);
    check!(client.option(libc::SOL_SOCKET, libc::SO_ERROR) == Ok(0));
    let server = listener.accept()?;
    check!(server.send(b"x") == Ok(1));
    check!(soon(&client, IN)? == IN);
    Ok(())
}
