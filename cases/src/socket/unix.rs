//! Local sockets: data, names, ends of life, descriptors, credentials.

use std::fs::{self, File, Permissions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};

use libc::{
    AF_UNIX, MSG_CMSG_CLOEXEC, MSG_CTRUNC, MSG_DONTWAIT, MSG_NOSIGNAL, MSG_OOB, MSG_PEEK,
    MSG_TRUNC, MSG_WAITALL, SHUT_RD, SHUT_RDWR, SHUT_WR, SO_PASSCRED, SO_PEEK_OFF, SO_SNDBUF,
    SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_SEQPACKET, SOCK_STREAM, SOL_SOCKET,
};
use nix::poll::PollFlags;
use nix::sys::resource::{Resource, rlim_t, setrlimit};

use super::wait_for;
use crate::prelude::*;
use crate::sys::signals::catch;
use crate::sys::sockets::{Address, Credentials, PEEK_OFFSET, Socket};

/// The cases of this module.
pub const CASES: &[Case] = &[
    stream_has_no_message_boundaries,
    long_stream_arrives_whole_and_in_order,
    datagrams_wait_at_the_receiver_in_order,
    packets_keep_their_boundaries,
    datagram_that_is_too_long_loses_its_tail,
    send_buffer_limits_a_datagram,
    connected_datagram_socket_hears_its_peer_alone,
    dissolved_association_lets_strangers_in,
    full_stream_blocks_its_sender,
    full_queue_blocks_the_sender_of_datagrams,
    every_sleeping_sender_gets_room,
    every_sleeping_receiver_gets_a_message,
    last_close_wakes_every_reader,
    broken_stream_raises_sigpipe,
    sender_asleep_is_woken_by_the_peers_death,
    unread_data_at_the_end_resets_the_peer,
    peeks_go_on_from_the_peek_offset,
    shutdown_wakes_a_sleeping_reader,
    shutdown_by_the_peer_wakes_a_sleeping_reader,
    shutdown_of_both_ways_ends_both,
    half_closed_stream_still_carries_the_other_way,
    signal_interrupts_a_sleeping_receiver,
    signal_interrupts_a_sleeping_sender,
    waitall_is_cut_short_by_a_signal,
    full_backlog_holds_a_connection_back,
    accept_sleeps_until_a_connection_comes,
    signal_interrupts_a_sleeping_accept,
    connections_are_accepted_in_order,
    accepted_socket_has_its_own_flags,
    path_is_told_with_its_null,
    name_without_room_is_cut_and_tells_its_length,
    socket_file_has_all_permissions_but_the_umask,
    socket_file_outlives_its_socket,
    unlinked_socket_goes_on,
    missing_write_permission_is_refused,
    abstract_name_goes_with_its_last_socket,
    autobind_makes_a_name_of_five_digits,
    socket_pair_has_no_names,
    passed_descriptor_is_the_same_open_file,
    pipe_end_in_flight_keeps_the_pipe_open,
    descriptors_without_room_are_closed,
    descriptor_is_closed_on_exec_if_asked,
    descriptor_is_a_barrier_in_a_stream,
    descriptors_in_flight_are_limited,
    credentials_of_the_sender_come_with_the_message,
    privileged_sender_tells_another_process,
    foreign_process_id_is_refused,
    foreign_user_is_refused,
    peer_is_who_called_connect_and_listen,
    dead_process_has_no_credentials,
    stream_does_not_connect_to_datagrams,
    datagrams_do_not_connect_to_a_stream,
    file_that_is_no_socket_refuses_connections,
    connected_stream_does_not_connect_again,
    datagram_needs_an_address,
    datagrams_know_no_urgent_data,
    datagram_socket_does_not_listen,
    datagram_socket_does_not_accept,
    socket_that_does_not_listen_does_not_accept,
    descriptor_that_is_not_open_cannot_be_passed,
];

/// A stream carries bytes: messages that were sent apart are received in pieces of any size.
#[case(SOCKET_2, "DESCRIPTION", settles = ["A49", "socket.2 SOCK_STREAM"], also = [(UNIX_7, "DESCRIPTION")])]
fn stream_has_no_message_boundaries() -> Verdict {
    let (ours, theirs) = Socket::pair(SOCK_STREAM)?;
    let sender = Child::spawn(move || {
        for part in [b"ab", b"cd", b"ef"] {
            check!(theirs.send(part) == Ok(2));
        }
        Ok(())
    })?;
    sender.join()?;
    check!(ours.recv(3) == Ok("abc".into()));
    check!(ours.recv(64) == Ok("def".into()));
    check!(ours.recv(64) == Ok(String::new()));
    Ok(())
}

/// A stream that is much longer than the buffers loses nothing, duplicates nothing and keeps its order.
#[case(SOCKET_2, "DESCRIPTION", settles = ["A49", "B28"])]
fn long_stream_arrives_whole_and_in_order() -> Verdict {
    let (ours, theirs) = Socket::pair(SOCK_STREAM)?;
    carries_a_long_stream(theirs, &ours)
}

/// Sends a megabyte of different numbers from another process.
pub(super) fn carries_a_long_stream(from: Socket, to: &Socket) -> Verdict {
    let data: Vec<u8> = (0..1_u32 << 18).flat_map(u32::to_le_bytes).collect();
    let sender = Child::spawn(|| {
        close_copy(to)?;
        check!(from.send(&data) == Ok(data.len()));
        Ok(())
    })?;
    drop(from);
    let mut position = 0;
    while position < data.len() {
        let part = to.recv_bytes(9999, 0)?;
        check!(!part.is_empty(), "the stream ends after {position} bytes");
        check!(data[position..].starts_with(&part), "at {position}");
        position += part.len();
    }
    check!(to.recv(1) == Ok(String::new()));
    sender.join()
}

/// Datagrams are queued at the receiver, each as it was sent and in order, also when their sender is gone.
#[case(UNIX_7, "DESCRIPTION", settles = ["A50", "B28"], also = [(SOCKET_2, "DESCRIPTION")])]
fn datagrams_wait_at_the_receiver_in_order() -> Verdict {
    const MESSAGES: [&str; 5] = ["one", "", "three", "3", "the last"];
    let address = Address::path("inbox");
    let inbox = Socket::bound(SOCK_DGRAM, &address)?;
    let sender = Child::spawn(|| {
        let socket = Socket::new(AF_UNIX, SOCK_DGRAM, 0)?;
        for message in MESSAGES {
            check!(socket.send_to(message.as_bytes(), &address) == Ok(message.len()));
        }
        Ok(())
    })?;
    sender.join()?;
    for message in MESSAGES {
        check!(inbox.recv_with(64, MSG_DONTWAIT) == Ok(message.into()));
    }
    check!(inbox.recv_with(64, MSG_DONTWAIT) == Err(EAGAIN));
    Ok(())
}

/// A connection of packets keeps boundaries and order, discards what a receiver does not take of a packet, and has an end.
#[case(SOCKET_2, "DESCRIPTION", settles = ["A50", "socket.2 SOCK_SEQPACKET"], also = [(UNIX_7, "DESCRIPTION")])]
fn packets_keep_their_boundaries() -> Verdict {
    let address = Address::path("door");
    let listener = Socket::listening(SOCK_SEQPACKET, &address)?;
    let sender = Child::spawn(|| {
        let socket = Socket::connected(SOCK_SEQPACKET, &address)?;
        for packet in ["first", "second", "third"] {
            check!(socket.send(packet.as_bytes()) == Ok(packet.len()));
        }
        Ok(())
    })?;
    sender.join()?;
    let connection = listener.accept()?;
    check!(read(&connection, &mut [0; 3]) == Ok(3));
    check!(connection.recv(64) == Ok("second".into()));
    check!(connection.recv(64) == Ok("third".into()));
    check!(connection.recv(64) == Ok(String::new()));
    Ok(())
}

/// A datagram or packet longer than the buffer loses its tail, is marked so, and tells its real size when asked.
#[case(RECV_2, "The flags argument", settles = ["recv.2 MSG_TRUNC 1", "recv.2 MSG_TRUNC 2"], also = [(RECV_2, "recvmsg()")])]
fn datagram_that_is_too_long_loses_its_tail() -> Verdict {
    for kind in [SOCK_DGRAM, SOCK_SEQPACKET] {
        let (ours, theirs) = Socket::pair(kind)?;
        for message in [b"lengthy", b"another", b"partial"] {
            theirs.send(message)?;
        }
        let message = ours.recv_message(4, 0, 0)?;
        check!((message.data.as_str(), message.flags & MSG_TRUNC) == ("leng", MSG_TRUNC));
        let message = ours.recv_message(7, 0, 0)?;
        check!((message.data.as_str(), message.flags & MSG_TRUNC) == ("another", 0));
        let mut buffer = [b'-'; 4];
        check!(ours.recv_into(&mut buffer[..3], MSG_TRUNC) == Ok(7));
        check!(buffer == *b"par-");
        check!(ours.recv_with(64, MSG_DONTWAIT) == Err(EAGAIN));
    }
    Ok(())
}

/// The longest datagram is the send buffer less 32 bytes; a longer one is refused and not sent.
#[case(UNIX_7, "Sockets API", settles = ["send.2 EMSGSIZE"], also = [(SEND_2, "ERRORS")])]
fn send_buffer_limits_a_datagram() -> Verdict {
    let (ours, theirs) = Socket::pair(SOCK_DGRAM)?;
    theirs.set_option(SOL_SOCKET, SO_SNDBUF, 8192)?;
    let limit = theirs.option(SOL_SOCKET, SO_SNDBUF)? as usize - 32;
    let data = vec![b'x'; limit + 1];
    check!(theirs.send_with(&data, MSG_DONTWAIT) == Err(EMSGSIZE));
    check!(ours.recv_with(1, MSG_DONTWAIT) == Err(EAGAIN));
    check!(theirs.send_with(&data[..limit], MSG_DONTWAIT) == Ok(limit));
    check!(ours.recv_into(&mut vec![0; limit + 1], MSG_DONTWAIT) == Ok(limit));
    Ok(())
}

/// A datagram socket that is connected receives from its peer and from nobody else.
#[case(CONNECT_2, "DESCRIPTION")]
fn connected_datagram_socket_hears_its_peer_alone() -> Verdict {
    let [ours, peers] = [Address::path("ours"), Address::path("peers")];
    let socket = Socket::bound(SOCK_DGRAM, &ours)?;
    let peer = Socket::bound(SOCK_DGRAM, &peers)?;
    let stranger = Socket::new(AF_UNIX, SOCK_DGRAM, 0)?;
    socket.connect(&peers)?;
    let refused = stranger.send_to(b"stranger", &ours);
    check!(peer.send_to(b"peer", &ours) == Ok(4));
    check!(socket.recv(64) == Ok("peer".into()));
    check!(socket.recv_with(64, MSG_DONTWAIT) == Err(EAGAIN));
    check!(refused == Err(EPERM));
    Ok(())
}

/// A datagram socket that was connected receives from everybody again once it is connected to `AF_UNSPEC`.
#[case(CONNECT_2, "DESCRIPTION")]
fn dissolved_association_lets_strangers_in() -> Verdict {
    let [ours, peers] = [Address::path("ours"), Address::path("peers")];
    let socket = Socket::bound(SOCK_DGRAM, &ours)?;
    let _peer = Socket::bound(SOCK_DGRAM, &peers)?;
    socket.connect(&peers)?;
    check!(socket.connect(&Address::unspecified()) == Ok(()));
    check!(socket.peer().map(drop) == Err(ENOTCONN));
    let stranger = Socket::new(AF_UNIX, SOCK_DGRAM, 0)?;
    check!(stranger.send_to(b"stranger", &ours) == Ok(8));
    check!(socket.recv_with(64, MSG_DONTWAIT) == Ok("stranger".into()));
    Ok(())
}

/// A sender for whose bytes a stream has no room sleeps until they are read, or is refused when it does not want to.
#[case(SEND_2, "DESCRIPTION", settles = ["B28", "send.2 EAGAIN 1", "send.2 MSG_DONTWAIT"])]
fn full_stream_blocks_its_sender() -> Verdict {
    let (ours, theirs) = Socket::pair(SOCK_STREAM)?;
    let queued = theirs.fill_up()?;
    check!(theirs.send_with(b"x", MSG_DONTWAIT) == Err(EAGAIN));
    let sender = Child::spawn(|| holds!(theirs.send(b"last") == Ok(4)))?;
    sender.blocked_in(SEND)?;
    check!(ours.recv_into(&mut vec![0; queued], MSG_WAITALL) == Ok(queued));
    sender.join()?;
    check!(ours.recv(64) == Ok("last".into()));
    Ok(())
}

/// A sender of datagrams sleeps while the receiver's queue is full; none is dropped.
#[case(UNIX_7, "DESCRIPTION", settles = ["B28"], also = [(SEND_2, "DESCRIPTION")])]
fn full_queue_blocks_the_sender_of_datagrams() -> Verdict {
    let (ours, theirs) = Socket::pair(SOCK_DGRAM)?;
    let queued = theirs.fill(&[b'-'; 1024])? / 1024 + theirs.fill(b"-")?;
    let sender = Child::spawn(|| holds!(theirs.send(b"last") == Ok(4)))?;
    sender.blocked_in(SEND)?;
    for _ in 0..queued {
        check!(ours.recv_with(1, MSG_DONTWAIT) == Ok("-".into()));
    }
    sender.join()?;
    check!(ours.recv_with(64, MSG_DONTWAIT) == Ok("last".into()));
    Ok(())
}

/// Every sender that sleeps for room is woken in the end, not only the first.
#[case(SEND_2, "DESCRIPTION")]
fn every_sleeping_sender_gets_room() -> Verdict {
    for kind in [SOCK_STREAM, SOCK_DGRAM] {
        let (ours, theirs) = Socket::pair(kind)?;
        let queued = theirs.fill_up()?;
        let senders = Children::spawn(3, |_| holds!(theirs.send(b"last") == Ok(4)))?;
        senders.blocked_in(SEND)?;
        ours.drain(queued)?;
        senders.join()?;
        for _ in 0..3 {
            check!(ours.recv(4) == Ok("last".into()));
        }
    }
    Ok(())
}

/// Every receiver that sleeps is woken by a message of its own, not only the first.
#[case(RECV_2, "DESCRIPTION")]
fn every_sleeping_receiver_gets_a_message() -> Verdict {
    for kind in [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET] {
        let (ours, theirs) = Socket::pair(kind)?;
        let receivers = Children::spawn(3, |_| holds!(ours.recv(1) == Ok("x".into())))?;
        receivers.blocked_in(RECV)?;
        for _ in 0..3 {
            theirs.send(b"x")?;
        }
        receivers.join()?;
    }
    Ok(())
}

/// When the last descriptor of the peer is closed, every reader that sleeps sees the end.
#[case(RECV_2, "RETURN VALUE")]
fn last_close_wakes_every_reader() -> Verdict {
    let (ours, theirs) = Socket::pair(SOCK_STREAM)?;
    let copy = dup(&theirs)?;
    let read_to_end = || {
        close_copy(&theirs)?;
        close_copy(&copy)?;
        check!(ours.recv(64) == Ok(String::new()));
        Ok(())
    };
    let readers = Children::spawn(2, |_| read_to_end())?;
    drop(theirs);
    readers.blocked_in(RECV)?;
    drop(copy);
    readers.join()
}

/// Sending to a peer that has closed its stream is EPIPE and SIGPIPE, or EPIPE alone with `MSG_NOSIGNAL`.
#[case(UNIX_7, "ERRORS", settles = ["unix.7 EPIPE", "send.2 MSG_NOSIGNAL"], also = [(SEND_2, "The flags argument")])]
fn broken_stream_raises_sigpipe() -> Verdict {
    let (ours, theirs) = Socket::pair(SOCK_STREAM)?;
    drop(theirs);
    let spared = Child::spawn(|| holds!(ours.send_with(b"x", MSG_NOSIGNAL) == Err(EPIPE)))?;
    check!(spared.wait()? == End::Exited(0));
    let killed = Child::spawn(|| Ok(ours.send(b"x").map(drop)?))?;
    check!(killed.wait()? == End::Killed(libc::SIGPIPE));
    let written = Child::spawn(|| Ok(write(&ours, b"x").map(drop)?))?;
    check!(written.wait()? == End::Killed(libc::SIGPIPE));
    Ok(())
}

/// A sender that sleeps for room wakes when the process that would have read dies, and is told that the connection is broken.
#[case(UNIX_7, "ERRORS", settles = ["unix.7 EPIPE"])]
fn sender_asleep_is_woken_by_the_peers_death() -> Verdict {
    let (ours, theirs) = Socket::pair(SOCK_STREAM)?;
    ours.fill(&[0; 1024])?;
    ours.fill(&[0])?;
    let never = Latch::new()?;
    let reader = Child::spawn(move || {
        let _theirs = theirs;
        never.wait()
    })?;
    let sender = Child::spawn(|| {
        let woken = ours.send_with(b"x", MSG_NOSIGNAL);
        check!(matches!(woken, Err(ECONNRESET | EPIPE)), "{woken:?}");
        check!(ours.send_with(b"x", MSG_NOSIGNAL) == Err(EPIPE));
        Ok(())
    })?;
    sender.blocked_in(SEND)?;
    reader.kill(SIGKILL)?;
    sender.join()
}

/// A process that ends with data unread resets its peer, which finds ECONNRESET instead of the end.
#[case(UNIX_7, "ERRORS", settles = ["unix.7 ECONNRESET"])]
fn unread_data_at_the_end_resets_the_peer() -> Verdict {
    for kind in [SOCK_STREAM, SOCK_SEQPACKET] {
        let (ours, theirs) = Socket::pair(kind)?;
        ours.send(b"unread")?;
        let peer =
            Child::spawn(move || holds!(theirs.recv_with(64, MSG_PEEK) == Ok("unread".into())))?;
        peer.join()?;
        check!(ours.recv(64) == Err(ECONNRESET));
    }
    Ok(())
}

/// With SO_PEEK_OFF each peek goes on where the one before ended, a receive moves nothing under it, and -1 is the front again.
#[case(SOCKET_7, "Socket options", settles = ["socket.7 SO_PEEK_OFF", "unix.7 SO_PEEK_OFF"], also = [(UNIX_7, "Socket options")], needs = [PEEK_OFFSET])]
fn peeks_go_on_from_the_peek_offset() -> Verdict {
    let (ours, theirs) = Socket::pair(SOCK_STREAM)?;
    check!(ours.option(SOL_SOCKET, SO_PEEK_OFF) == Ok(-1));
    theirs.send(b"11223")?;
    theirs.send(b"3445566")?;
    ours.set_option(SOL_SOCKET, SO_PEEK_OFF, 4)?;
    check!(ours.recv_with(2, MSG_PEEK | MSG_WAITALL) == Ok("33".into()));
    check!(ours.recv_with(2, MSG_PEEK) == Ok("44".into()));
    check!(ours.recv(2) == Ok("11".into()));
    check!(ours.option(SOL_SOCKET, SO_PEEK_OFF) == Ok(6));
    check!(ours.recv_with(2, MSG_PEEK) == Ok("55".into()));
    ours.set_option(SOL_SOCKET, SO_PEEK_OFF, -1)?;
    check!(ours.recv_with(2, MSG_PEEK) == Ok("22".into()));
    check!(ours.recv_with(2, MSG_PEEK) == Ok("22".into()));
    Ok(())
}

/// Shutting a socket down for reading ends the receive in which another process sleeps.
#[case(SHUTDOWN_2, "DESCRIPTION")]
fn shutdown_wakes_a_sleeping_reader() -> Verdict {
    let (ours, _theirs) = Socket::pair(SOCK_STREAM)?;
    let reader = Child::spawn(|| holds!(ours.recv(64) == Ok(String::new())))?;
    reader.blocked_in(RECV)?;
    check!(ours.shutdown(SHUT_RD) == Ok(()));
    reader.join()
}

/// A receiver that sleeps is told the end when its peer shuts down for writing, though the peer stays open.
#[case(RECV_2, "RETURN VALUE", also = [(SHUTDOWN_2, "DESCRIPTION")])]
fn shutdown_by_the_peer_wakes_a_sleeping_reader() -> Verdict {
    let (ours, theirs) = Socket::pair(SOCK_STREAM)?;
    let reader = Child::spawn(|| holds!(ours.recv(64) == Ok(String::new())))?;
    reader.blocked_in(RECV)?;
    check!(theirs.shutdown(SHUT_WR) == Ok(()));
    reader.join()
}

/// A connection that any process shuts down both ways neither sends nor receives, by whichever descriptor.
#[case(SHUTDOWN_2, "DESCRIPTION")]
fn shutdown_of_both_ways_ends_both() -> Verdict {
    let (ours, _theirs) = Socket::pair(SOCK_STREAM)?;
    Child::spawn(|| holds!(ours.shutdown(SHUT_RDWR) == Ok(())))?.join()?;
    check!(ours.send_with(b"x", MSG_NOSIGNAL | MSG_DONTWAIT) == Err(EPIPE));
    check!(ours.recv_with(64, MSG_DONTWAIT) == Ok(String::new()));
    Ok(())
}

/// A stream that is shut down for writing ends for the peer, but still carries what the peer sends.
#[case(SHUTDOWN_2, "DESCRIPTION", settles = ["send.2 EPIPE"], also = [(SEND_2, "ERRORS")])]
fn half_closed_stream_still_carries_the_other_way() -> Verdict {
    let (ours, theirs) = Socket::pair(SOCK_STREAM)?;
    ours.send(b"tail")?;
    ours.shutdown(SHUT_WR)?;
    check!(ours.send_with(b"x", MSG_NOSIGNAL) == Err(EPIPE));
    let killed = Child::spawn(|| Ok(ours.send(b"x").map(drop)?))?;
    check!(killed.wait()? == End::Killed(libc::SIGPIPE));
    check!(theirs.recv(64) == Ok("tail".into()));
    check!(theirs.recv(64) == Ok(String::new()));
    check!(theirs.send_with(b"answer", MSG_NOSIGNAL) == Ok(6));
    check!(ours.recv(64) == Ok("answer".into()));
    Ok(())
}

/// A signal that is caught ends a receive that sleeps with EINTR, and takes no data.
#[case(RECV_2, "ERRORS", settles = ["recv.2 EINTR"])]
fn signal_interrupts_a_sleeping_receiver() -> Verdict {
    for kind in [SOCK_STREAM, SOCK_DGRAM] {
        let (ours, theirs) = Socket::pair(kind)?;
        let receiver = Child::spawn(|| {
            catch(SIGUSR1)?;
            check!(ours.recv(64) == Err(EINTR));
            check!(ours.recv(64) == Ok("later".into()));
            Ok(())
        })?;
        receiver.blocked_in(RECV)?;
        receiver.kill(SIGUSR1)?;
        receiver.blocked_in(RECV)?;
        theirs.send(b"later")?;
        receiver.join()?;
    }
    Ok(())
}

/// A signal that is caught ends a send that sleeps with EINTR, and nothing is sent.
#[case(SEND_2, "ERRORS", settles = ["send.2 EINTR"])]
fn signal_interrupts_a_sleeping_sender() -> Verdict {
    for kind in [SOCK_STREAM, SOCK_DGRAM] {
        let (ours, theirs) = Socket::pair(kind)?;
        let queued = theirs.fill_up()?;
        let sender = Child::spawn(|| {
            catch(SIGUSR1)?;
            holds!(theirs.send(b"x") == Err(EINTR))
        })?;
        sender.interrupt_in(SEND, SIGUSR1)?;
        ours.drain(queued)?;
        check!(ours.recv_with(1, MSG_DONTWAIT) == Err(EAGAIN));
    }
    Ok(())
}

/// A receive that waits for all bytes returns those that it has when a signal is caught.
#[case(RECV_2, "The flags argument", settles = ["recv.2 MSG_WAITALL"])]
fn waitall_is_cut_short_by_a_signal() -> Verdict {
    let (ours, theirs) = Socket::pair(SOCK_STREAM)?;
    theirs.send(b"half")?;
    let receiver = Child::spawn(|| {
        catch(SIGUSR1)?;
        check!(ours.recv_with(8, MSG_WAITALL) == Ok("half".into()));
        Ok(())
    })?;
    receiver.interrupt_in(RECV, SIGUSR1)
}

/// While the queue of a listener is full a connection is refused with EAGAIN or sleeps, until one is accepted.
#[case(CONNECT_2, "ERRORS", settles = ["connect.2 EAGAIN"], also = [(LISTEN_2, "DESCRIPTION")])]
fn full_backlog_holds_a_connection_back() -> Verdict {
    let address = Address::path("door");
    let listener = Socket::bound(SOCK_STREAM, &address)?;
    listener.listen(2)?;
    let mut queued = vec![];
    let refused = loop {
        let socket = Socket::new(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0)?;
        match socket.connect(&address) {
            Ok(()) => queued.push(socket),
            Err(errno) => break errno,
        }
        check!(queued.len() <= 100, "connections, with a backlog of 2");
    };
    check!(refused == EAGAIN);
    let late =
        Child::spawn(|| holds!(Socket::connected(SOCK_STREAM, &address).map(drop) == Ok(())))?;
    late.blocked_in(CONNECT)?;
    listener.accept()?;
    late.join()
}

/// Accept sleeps until somebody connects.
#[case(ACCEPT_2, "DESCRIPTION")]
fn accept_sleeps_until_a_connection_comes() -> Verdict {
    let address = Address::path("door");
    let listener = Socket::listening(SOCK_STREAM, &address)?;
    let host = Child::spawn(|| holds!(listener.accept().map(drop) == Ok(())))?;
    host.blocked_in(ACCEPT)?;
    let _client = Socket::connected(SOCK_STREAM, &address)?;
    host.join()
}

/// A signal that is caught ends an accept that sleeps with EINTR.
#[case(ACCEPT_2, "ERRORS", settles = ["accept.2 EINTR"])]
fn signal_interrupts_a_sleeping_accept() -> Verdict {
    let listener = Socket::listening(SOCK_STREAM, &Address::path("door"))?;
    let host = Child::spawn(|| {
        catch(SIGUSR1)?;
        holds!(listener.accept().map(drop) == Err(EINTR))
    })?;
    host.interrupt_in(ACCEPT, SIGUSR1)
}

/// Connections are accepted in the order in which they came.
#[case(ACCEPT_2, "DESCRIPTION")]
fn connections_are_accepted_in_order() -> Verdict {
    const NAMES: [&str; 3] = ["first", "second", "third"];
    let address = Address::path("door");
    let listener = Socket::listening(SOCK_STREAM, &address)?;
    let mut clients = vec![];
    for name in NAMES {
        let client = Socket::connected(SOCK_STREAM, &address)?;
        client.send(name.as_bytes())?;
        clients.push(client);
    }
    for name in NAMES {
        check!(listener.accept()?.recv_with(64, MSG_DONTWAIT) == Ok(name.into()));
    }
    Ok(())
}

/// An accepted socket has the flags that `accept4` is told, and none from the listener.
#[case(ACCEPT_2, "DESCRIPTION", settles = ["accept.2 SOCK_NONBLOCK", "accept.2 SOCK_CLOEXEC", "accept.2 EAGAIN"], also = [(ACCEPT_2, "VERSIONS")])]
fn accepted_socket_has_its_own_flags() -> Verdict {
    let address = Address::path("door");
    let listener = Socket::new(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)?;
    listener.bind(&address)?;
    listener.listen(8)?;
    check!(listener.accept().map(drop) == Err(EAGAIN));
    for flags in [0, SOCK_NONBLOCK, SOCK_CLOEXEC, SOCK_NONBLOCK | SOCK_CLOEXEC] {
        let _client = Socket::connected(SOCK_STREAM, &address)?;
        let accepted = listener.accept_with(flags)?;
        let status = OFlag::from_bits_retain(fcntl(&accepted, FcntlArg::F_GETFL)?);
        check!(status.contains(OFlag::O_NONBLOCK) == (flags & SOCK_NONBLOCK != 0), "{flags:#x}");
        let close_on_exec = fcntl(&accepted, FcntlArg::F_GETFD)? == libc::FD_CLOEXEC;
        check!(close_on_exec == (flags & SOCK_CLOEXEC != 0), "{flags:#x}");
    }
    Ok(())
}

/// A bound path is told with its terminating null byte, by the socket itself, its peer and the receiver of a datagram.
#[case(UNIX_7, "Address format", also = [(GETSOCKNAME_2, "DESCRIPTION")])]
fn path_is_told_with_its_null() -> Verdict {
    let [door, home] = [Address::path("door"), Address::path("home")];
    let listener = Socket::listening(SOCK_STREAM, &door)?;
    check!(listener.name() == Ok(door));
    check!(listener.name()?.length() == 2 + "door".len() + 1);
    let client = Socket::bound(SOCK_STREAM, &home)?;
    client.connect(&door)?;
    check!(client.peer() == Ok(door));
    check!(listener.accept()?.peer() == Ok(home));

    let [inbox, sender] = [Address::path("inbox"), Address::path("sender")];
    let receiver = Socket::bound(SOCK_DGRAM, &inbox)?;
    Socket::bound(SOCK_DGRAM, &sender)?.send_to(b"letter", &inbox)?;
    check!(receiver.recv_from(64) == Ok(("letter".into(), sender)));
    Ok(())
}

/// A name for which there is not room is cut, nothing is written beyond, and its real length is told.
#[case(GETSOCKNAME_2, "DESCRIPTION")]
fn name_without_room_is_cut_and_tells_its_length() -> Verdict {
    let socket = Socket::bound(SOCK_STREAM, &Address::path("door"))?;
    let mut room = [b'-'; 16];
    check!(socket.name_within(&mut room[..4]) == Ok(2 + "door".len() + 1));
    check!(room[..2] == (AF_UNIX as u16).to_ne_bytes());
    check!(room[2..] == *b"do------------");
    Ok(())
}

/// Binding to a path makes a file of type socket with all permissions but those in the umask.
#[case(UNIX_7, "Pathname socket ownership and permissions")]
fn socket_file_has_all_permissions_but_the_umask() -> Verdict {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o027));
    let _socket = Socket::bound(SOCK_STREAM, &Address::path("door"))?;
    let file = fs::symlink_metadata("door")?;
    check!(file.file_type().is_socket());
    check!(file.permissions().mode() & 0o7777 == 0o750);
    Ok(())
}

/// The file of a socket stays when the socket is closed: nobody listens there, and the path is taken until it is unlinked.
#[case(UNIX_7, "NOTES", settles = ["unix.7 EADDRINUSE", "unix.7 ECONNREFUSED", "connect.2 ECONNREFUSED", "bind.2 EADDRINUSE 1"], also = [(UNIX_7, "ERRORS")])]
fn socket_file_outlives_its_socket() -> Verdict {
    let address = Address::path("door");
    drop(Socket::listening(SOCK_STREAM, &address)?);
    check!(Socket::connected(SOCK_STREAM, &address).map(drop) == Err(ECONNREFUSED));
    check!(Socket::bound(SOCK_STREAM, &address).map(drop) == Err(EADDRINUSE));
    fs::remove_file("door")?;
    check!(Socket::bound(SOCK_STREAM, &address).map(drop) == Ok(()));
    Ok(())
}

/// A socket whose file is unlinked cannot be found any more, but its connections and its name stay.
#[case(UNIX_7, "NOTES", settles = ["unix.7 ENOENT"], also = [(UNIX_7, "ERRORS")])]
fn unlinked_socket_goes_on() -> Verdict {
    let address = Address::path("door");
    let listener = Socket::listening(SOCK_STREAM, &address)?;
    let queued = Socket::connected(SOCK_STREAM, &address)?;
    fs::remove_file("door")?;
    check!(Socket::connected(SOCK_STREAM, &address).map(drop) == Err(ENOENT));
    check!(listener.accept()?.send(b"still here") == Ok(10));
    check!(queued.recv(64) == Ok("still here".into()));
    check!(listener.name() == Ok(address));
    Ok(())
}

/// Connecting, or sending a datagram, to a path needs write permission on the file.
#[case(UNIX_7, "Pathname socket ownership and permissions", settles = ["connect.2 EACCES 1", "send.2 EACCES"], needs = [Need::Unprivileged], also = [(CONNECT_2, "ERRORS"), (SEND_2, "ERRORS")])]
fn missing_write_permission_is_refused() -> Verdict {
    let [door, inbox] = [Address::path("door"), Address::path("inbox")];
    let _listener = Socket::listening(SOCK_STREAM, &door)?;
    let _receiver = Socket::bound(SOCK_DGRAM, &inbox)?;
    let sender = Socket::new(AF_UNIX, SOCK_DGRAM, 0)?;
    for path in ["door", "inbox"] {
        fs::set_permissions(path, Permissions::from_mode(0o577))?;
    }
    check!(Socket::connected(SOCK_STREAM, &door).map(drop) == Err(EACCES));
    check!(sender.send_to(b"x", &inbox) == Err(EACCES));
    for path in ["door", "inbox"] {
        fs::set_permissions(path, Permissions::from_mode(0o200))?;
    }
    check!(Socket::connected(SOCK_STREAM, &door).map(drop) == Ok(()));
    check!(sender.send_to(b"x", &inbox) == Ok(1));
    Ok(())
}

/// An abstract name, null bytes and all, is apart from every other, is no file, and is free when its last socket is closed.
#[case(UNIX_7, "Abstract sockets", also = [(UNIX_7, "Address format")])]
fn abstract_name_goes_with_its_last_socket() -> Verdict {
    let [short, long] = ["", "\0door"].map(Address::unique_abstract);
    let [one, other] = [(); 2].map(|()| Socket::new(AF_UNIX, SOCK_DGRAM, 0));
    let (one, other) = (one?, other?);
    check!((one.bind(&short), other.bind(&long)) == (Ok(()), Ok(())));
    check!((one.name(), other.name()) == (Ok(short), Ok(long)));
    let sender = Socket::new(AF_UNIX, SOCK_DGRAM, 0)?;
    sender.send_to(b"long", &long)?;
    check!(one.recv_with(64, MSG_DONTWAIT) == Err(EAGAIN));
    check!(other.recv_with(64, MSG_DONTWAIT) == Ok("long".into()));
    let copy = dup(&other)?;
    drop(other);
    check!(Socket::bound(SOCK_DGRAM, &long).map(drop) == Err(EADDRINUSE));
    drop(copy);
    check!(sender.send_to(b"long", &long) == Err(ECONNREFUSED));
    check!(Socket::bound(SOCK_DGRAM, &long).map(drop) == Ok(()));
    check!(fs::read_dir(".")?.count() == 0);
    Ok(())
}

/// A bind without a name gives the socket one of its own: a null byte and five digits of [0-9a-f].
#[case(UNIX_7, "Autobind feature")]
fn autobind_makes_a_name_of_five_digits() -> Verdict {
    let [one, other] = [Socket::new(AF_UNIX, SOCK_DGRAM, 0)?, Socket::new(AF_UNIX, SOCK_DGRAM, 0)?];
    check!(one.bind(&Address::unnamed()) == Ok(()));
    check!(other.bind(&Address::unnamed()) == Ok(()));
    check!(one.name() != other.name());
    for name in [one.name()?, other.name()?] {
        check!(name.length() == 2 + 1 + 5);
        check!(name.rest()[0] == 0);
        check!(
            name.rest()[1..].iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')),
            "{name:?}"
        );
    }
    Ok(())
}

/// The two sockets of a pair are unnamed: their addresses are a family and nothing more.
#[case(UNIX_7, "Address format", also = [(SOCKETPAIR_2, "DESCRIPTION")])]
fn socket_pair_has_no_names() -> Verdict {
    for kind in [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET] {
        let (ours, _theirs) = Socket::pair(kind)?;
        for name in [ours.name()?, ours.peer()?] {
            check!(name == Address::unnamed());
            check!(name.length() == 2);
        }
    }
    Ok(())
}

/// A descriptor that is passed refers to the sender's open file: what the receiver reads moves the sender's offset.
#[case(UNIX_7, "Ancillary messages", settles = ["unix.7 SCM_RIGHTS"])]
fn passed_descriptor_is_the_same_open_file() -> Verdict {
    fs::write("file", b"0123456789")?;
    let mut file = File::open("file")?;
    let (ours, theirs) = Socket::pair(SOCK_STREAM)?;
    let reader = Child::spawn(|| {
        close_copy(&file)?;
        let mut message = theirs.recv_message(1, 4, 0)?;
        check!(message.data == "x");
        check!(message.descriptors.len() == 1);
        let mut passed = File::from(message.descriptors.remove(0));
        let mut start = [0; 4];
        passed.read_exact(&mut start)?;
        check!(start == *b"0123");
        Ok(())
    })?;
    ours.send_descriptors(b"x", &[file.as_raw_fd()])?;
    reader.join()?;
    check!(file.stream_position()? == 4);
    Ok(())
}

/// The write end of a pipe that is on its way in a socket keeps the pipe open, and closes with the socket that nobody read.
#[case(UNIX_7, "Ancillary messages", settles = ["unix.7 SCM_RIGHTS"], also = [(PIPE_7, "I/O on pipes and FIFOs")])]
fn pipe_end_in_flight_keeps_the_pipe_open() -> Verdict {
    let (reader, writer) = pipe2(OFlag::O_NONBLOCK)?;
    let (ours, theirs) = Socket::pair(SOCK_DGRAM)?;
    ours.send_descriptors(b"x", &[writer.as_raw_fd()])?;
    ours.send_descriptors(b"y", &[writer.as_raw_fd()])?;
    drop(writer);
    check!(read(&reader, &mut [0; 8]) == Err(EAGAIN));
    let taken = theirs.recv_message(1, 4, 0)?.descriptors;
    check!(taken.len() == 1);
    check!(write(&taken[0], b"tail") == Ok(4));
    drop(taken);
    check!(read(&reader, &mut [0; 8]) == Ok(4));
    check!(read(&reader, &mut [0; 8]) == Err(EAGAIN));
    drop(theirs);
    wait_for(&reader, PollFlags::POLLIN)?;
    check!(read(&reader, &mut [0; 8]) == Ok(0));
    Ok(())
}

/// Descriptors for which the receiver has no room are closed, and the message is marked.
#[case(UNIX_7, "Ancillary messages", settles = ["recv.2 MSG_CTRUNC"], also = [(RECV_2, "recvmsg()")])]
fn descriptors_without_room_are_closed() -> Verdict {
    let (ours, theirs) = Socket::pair(SOCK_STREAM)?;
    let pipes = [pipe2(OFlag::O_NONBLOCK)?, pipe2(OFlag::O_NONBLOCK)?];
    let [(kept, kept_writer), (lost, lost_writer)] = pipes;
    ours.send_descriptors(b"x", &[kept_writer.as_raw_fd(), lost_writer.as_raw_fd()])?;
    drop((kept_writer, lost_writer));
    let message = theirs.recv_message(1, 4, 0)?;
    check!(message.flags & MSG_CTRUNC == MSG_CTRUNC);
    check!(message.descriptors.len() == 1);
    check!(read(&kept, &mut [0; 8]) == Err(EAGAIN));
    wait_for(&lost, PollFlags::POLLIN)?;
    check!(read(&lost, &mut [0; 8]) == Ok(0));
    Ok(())
}

/// A received descriptor is closed on exec if `MSG_CMSG_CLOEXEC` is given, which the message tells, and otherwise not.
#[case(RECV_2, "The flags argument", settles = ["recv.2 MSG_CMSG_CLOEXEC 1", "recv.2 MSG_CMSG_CLOEXEC 2"], also = [(RECV_2, "recvmsg()")])]
fn descriptor_is_closed_on_exec_if_asked() -> Verdict {
    let (ours, theirs) = Socket::pair(SOCK_STREAM)?;
    for (flags, expected) in [(0, 0), (MSG_CMSG_CLOEXEC, libc::FD_CLOEXEC)] {
        ours.send_descriptors(b"x", &[0])?;
        let message = theirs.recv_message(1, 4, flags)?;
        check!((message.flags & MSG_CMSG_CLOEXEC, message.descriptors.len()) == (flags, 1));
        check!(
            fcntl(&message.descriptors[0], FcntlArg::F_GETFD) == Ok(expected),
            "flags {flags:#x}"
        );
    }
    Ok(())
}

/// A stream is received up to the end of the message with which a descriptor came, and not beyond.
#[case(UNIX_7, "Ancillary messages")]
fn descriptor_is_a_barrier_in_a_stream() -> Verdict {
    let (ours, theirs) = Socket::pair(SOCK_STREAM)?;
    ours.send(b"four")?;
    ours.send_descriptors(b"!", &[0])?;
    ours.send(b"more")?;
    let message = theirs.recv_message(20, 4, 0)?;
    check!((message.data.as_str(), message.descriptors.len()) == ("four!", 1));
    let message = theirs.recv_message(20, 4, 0)?;
    check!((message.data.as_str(), message.descriptors.len()) == ("more", 0));
    Ok(())
}

/// An unprivileged user has no more descriptors in flight than it may have open.
#[case(UNIX_7, "ERRORS", settles = ["unix.7 ETOOMANYREFS"], needs = [Need::Unprivileged])]
fn descriptors_in_flight_are_limited() -> Verdict {
    const LIMIT: rlim_t = 20;
    let (ours, theirs) = Socket::pair(SOCK_STREAM)?;
    setrlimit(Resource::RLIMIT_NOFILE, LIMIT, LIMIT)?;
    let sent = (0..2 * LIMIT).map(|_| ours.send_descriptors(b"x", &[0])).find_map(Result::err);
    check!(sent == Some(ETOOMANYREFS));
    check!(ours.send(b"no descriptor") == Ok(13));
    drop(theirs);
    Ok(())
}

/// With `SO_PASSCRED` each message brings its sender's process id, user and group, as the kernel knows them.
#[case(UNIX_7, "Socket options", settles = ["unix.7 SO_PASSCRED", "unix.7 SCM_CREDENTIALS"], also = [(UNIX_7, "Ancillary messages")])]
fn credentials_of_the_sender_come_with_the_message() -> Verdict {
    for kind in [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET] {
        let (ours, theirs) = Socket::pair(kind)?;
        theirs.send(b"before")?;
        check!(ours.recv_message(64, 12, 0)?.credentials == None);
        ours.set_option(SOL_SOCKET, SO_PASSCRED, 1)?;
        let sender = Child::spawn(|| holds!(theirs.send(b"silent") == Ok(6)))?;
        let expected = Credentials { pid: sender.pid().as_raw(), ..Credentials::own() };
        sender.join()?;
        theirs.send_credentials(b"spoken", Credentials::own())?;
        check!(ours.recv_message(6, 12, 0)?.credentials == Some(expected));
        check!(ours.recv_message(6, 12, 0)?.credentials == Some(Credentials::own()));
    }
    Ok(())
}

/// A privileged sender can tell the process id of another process, and the receiver gets what it told.
#[case(UNIX_7, "Ancillary messages", settles = ["unix.7 SCM_CREDENTIALS"], needs = [Need::OwnCap(Cap::SysAdmin)], also = [(UNIX_7, "Socket options")])]
fn privileged_sender_tells_another_process() -> Verdict {
    let (ours, theirs) = Socket::pair(SOCK_DGRAM)?;
    theirs.set_option(SOL_SOCKET, SO_PASSCRED, 1)?;
    let told = Credentials { pid: 1, ..Credentials::own() };
    check!(ours.send_credentials(b"x", told) == Ok(1));
    check!(theirs.recv_message(64, 12, 0)?.credentials == Some(told));
    Ok(())
}

/// A sender without privilege cannot tell the process id of another process.
#[case(UNIX_7, "Ancillary messages", settles = ["unix.7 EPERM", "unix.7 SCM_CREDENTIALS"], needs = [Need::Unprivileged], also = [(UNIX_7, "ERRORS")])]
fn foreign_process_id_is_refused() -> Verdict {
    let (ours, theirs) = Socket::pair(SOCK_DGRAM)?;
    theirs.set_option(SOL_SOCKET, SO_PASSCRED, 1)?;
    let own = Credentials::own();
    check!(ours.send_credentials(b"forged", Credentials { pid: 1, ..own }) == Err(EPERM));
    check!(ours.send_credentials(b"honest", own) == Ok(6));
    check!(theirs.recv_message(64, 12, 0)?.data == "honest");
    Ok(())
}

/// A sender without privilege cannot tell that it is root, or of root's group.
#[case(UNIX_7, "Ancillary messages", settles = ["unix.7 EPERM"], needs = [Need::OtherUsers, Need::Unprivileged], also = [(UNIX_7, "ERRORS")])]
fn foreign_user_is_refused() -> Verdict {
    let (ours, _theirs) = Socket::pair(SOCK_DGRAM)?;
    let own = Credentials::own();
    check!(ours.send_credentials(b"forged", Credentials { uid: 0, ..own }) == Err(EPERM));
    check!(ours.send_credentials(b"forged", Credentials { gid: 0, ..own }) == Err(EPERM));
    Ok(())
}

/// The credentials of a peer are those of the process that called connect or listen, whoever has the socket now.
#[case(UNIX_7, "Socket options", settles = ["unix.7 SO_PEERCRED", "socket.7 SO_PEERCRED"])]
fn peer_is_who_called_connect_and_listen() -> Verdict {
    let address = Address::path("door");
    let listener = Socket::bound(SOCK_STREAM, &address)?;
    let listens = Child::spawn(|| Ok(listener.listen(8)?))?;
    let listen_pid = listens.pid().as_raw();
    listens.join()?;
    let client = Socket::new(AF_UNIX, SOCK_STREAM, 0)?;
    let connects = Child::spawn(|| Ok(client.connect(&address)?))?;
    let connect_pid = connects.pid().as_raw();
    connects.join()?;
    let accepted = listener.accept()?;
    let own = Credentials::own();
    check!(accepted.peer_credentials() == Ok(Credentials { pid: connect_pid, ..own }));
    check!(client.peer_credentials() == Ok(Credentials { pid: listen_pid, ..own }));
    check!(Socket::pair(SOCK_STREAM)?.0.peer_credentials() == Ok(own));
    Ok(())
}

refusals! {
    UNIX_7, "ERRORS", needs = [Need::OwnCap(Cap::SysAdmin)];

    /// A privileged sender cannot tell a process id that no process has.
    ["unix.7 ESRCH"] dead_process_has_no_credentials => ESRCH: {
        let (ours, _theirs) = Socket::pair(SOCK_DGRAM)?;
        ours.send_credentials(b"x", Credentials { pid: i32::MAX, ..Credentials::own() })
    };
}

refusals! {
    UNIX_7, "ERRORS";

    /// A stream socket cannot be connected to a datagram socket.
    ["unix.7 EPROTOTYPE"] stream_does_not_connect_to_datagrams => EPROTOTYPE: {
        let address = Address::path("door");
        let _socket = Socket::bound(SOCK_DGRAM, &address)?;
        Socket::connected(SOCK_STREAM, &address)
    };

    /// A datagram socket cannot be connected to a stream socket.
    ["unix.7 EPROTOTYPE", "connect.2 EPROTOTYPE"] datagrams_do_not_connect_to_a_stream => EPROTOTYPE: {
        let address = Address::path("door");
        let _socket = Socket::listening(SOCK_STREAM, &address)?;
        Socket::connected(SOCK_DGRAM, &address)
    };

    /// A path that is an ordinary file refuses connections.
    ["unix.7 ECONNREFUSED"] file_that_is_no_socket_refuses_connections => ECONNREFUSED: {
        File::create("file")?.write_all(b"no socket")?;
        Socket::connected(SOCK_STREAM, &Address::path("file"))
    };

    /// A stream socket that is connected cannot be connected again.
    ["unix.7 EISCONN"] connected_stream_does_not_connect_again => EISCONN: {
        let address = Address::path("door");
        let _listener = Socket::listening(SOCK_STREAM, &address)?;
        Socket::connected(SOCK_STREAM, &address)?.connect(&address)
    };

    /// A datagram without an address on a socket that is not connected goes nowhere.
    ["unix.7 ENOTCONN", "send.2 ENOTCONN"] datagram_needs_an_address => ENOTCONN: {
        Socket::new(AF_UNIX, SOCK_DGRAM, 0)?.send(b"x")
    };

    /// Datagram sockets do not transmit out-of-band data.
    ["unix.7 EOPNOTSUPP", "send.2 EOPNOTSUPP"] datagrams_know_no_urgent_data => EOPNOTSUPP: {
        Socket::pair(SOCK_DGRAM)?.0.send_with(b"x", MSG_OOB)
    };

    /// A message cannot pass a descriptor that is not open.
    ["unix.7 EBADF"] descriptor_that_is_not_open_cannot_be_passed => EBADF: {
        let closed = dup(std::io::stdin())?.as_raw_fd();
        let (ours, _theirs) = Socket::pair(SOCK_STREAM)?;
        ours.send_descriptors(b"x", &[closed + 99])
    };
}

refusals! {
    LISTEN_2, "ERRORS";

    /// A datagram socket does not support listening.
    ["listen.2 EOPNOTSUPP"] datagram_socket_does_not_listen => EOPNOTSUPP: {
        Socket::bound(SOCK_DGRAM, &Address::path("inbox"))?.listen(8)
    };
}

refusals! {
    ACCEPT_2, "ERRORS";

    /// A datagram socket has no connections to accept.
    ["accept.2 EOPNOTSUPP"] datagram_socket_does_not_accept => EOPNOTSUPP: {
        Socket::bound(SOCK_DGRAM, &Address::path("inbox"))?.accept()
    };

    /// A socket that does not listen has no connections to accept.
    ["accept.2 EINVAL 1"] socket_that_does_not_listen_does_not_accept => EINVAL: {
        Socket::bound(SOCK_STREAM, &Address::path("door"))?.accept()
    };
}
