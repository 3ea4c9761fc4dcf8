//! Raw sockets: the IP header received, made and given.

use libc::{
    AF_INET, IP_HDRINCL, IPPROTO_ICMP, IPPROTO_IP, IPPROTO_RAW, IPPROTO_UDP, MSG_DONTWAIT, SOCK_RAW,
};
use nix::poll::PollFlags;
use nix::sched::{CloneFlags, unshare};

use super::wait_for;
use crate::prelude::*;
use crate::sys::sockets::{Address, Socket, udp_socket};

/// The cases of this module.
pub const CASES: &[Case] = &[
    raw_receiver_sees_the_ip_header,
    raw_socket_sees_a_datagram_before_its_receiver,
    given_header_is_sent_as_it_is,
    ipproto_raw_only_sends,
    icmp_filter_drops_the_types_it_names,
    privilege_counts_where_the_network_belongs,
    raw_socket_without_privilege_is_refused,
];

/// A protocol number for experiments, that no module of a kernel handles.
const PROTOCOL: i32 = 253;
/// `ICMP_FILTER`, an option of the level `IPPROTO_RAW`.
const ICMP_FILTER: i32 = 1;

/// A raw socket bound to a loopback address that this process has for itself.
fn raw(protocol: i32) -> Verdict<(Socket, Address)> {
    let [.., high, low] = getpid().as_raw().to_be_bytes();
    let worker = 1 + ipcspec_harness::worker_id() as u8 % 250;
    let address = Address::v4([127, worker, high, low.max(1)]);
    let socket = Socket::new(AF_INET, SOCK_RAW, protocol)?;
    socket.bind(&address)?;
    Ok((socket, address))
}

/// The next packet, for which it sleeps.
fn receive(socket: &Socket) -> Verdict<Vec<u8>> {
    wait_for(socket, PollFlags::POLLIN)?;
    Ok(socket.recv_bytes(64, MSG_DONTWAIT)?)
}

/// The Internet checksum over a header: 0 when the one inside is right.
fn checksum(header: &[u8]) -> u16 {
    let sum: u32 =
        header.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    !((sum & 0xffff) + (sum >> 16)) as u16
}

/// An IPv4 header without options, with a time to live of 77; what the kernel fills in is zero.
fn header(to: &Address) -> [u8; 20] {
    let mut header = [0; 20];
    (header[0], header[8], header[9]) = (0x45, 77, PROTOCOL as u8);
    header[16..].copy_from_slice(&to.rest()[2..6]);
    header
}

/// The IP layer makes the header when a raw socket sends, and the receiver gets it together with the data.
#[case(RAW_7, "DESCRIPTION", settles = ["A52", "socket.2 SOCK_RAW"], needs = [Need::OwnCap(Cap::NetRaw)])]
fn raw_receiver_sees_the_ip_header() -> Verdict {
    let (receiver, address) = raw(PROTOCOL)?;
    let sender = Socket::new(AF_INET, SOCK_RAW, PROTOCOL)?;
    check!(sender.send_to(b"payload", &address) == Ok(7));
    let packet = receive(&receiver)?;
    check!(packet.len() == 27);
    check!(packet[0] == 0x45);
    check!(packet[2..4] == [0, 27]);
    check!(i32::from(packet[9]) == PROTOCOL);
    check!(packet[16..20] == address.rest()[2..6]);
    check!(packet[20..] == *b"payload");
    check!(checksum(&packet[..20]) == 0);
    Ok(())
}

/// A datagram is passed to a raw socket of its protocol before the UDP socket that it is for gets it.
#[case(RAW_7, "DESCRIPTION", needs = [Need::OwnCap(Cap::NetRaw)])]
fn raw_socket_sees_a_datagram_before_its_receiver() -> Verdict {
    let (tap, address) = raw(IPPROTO_UDP)?;
    let receiver = Socket::bound(libc::SOCK_DGRAM, &address)?;
    let (sender, from) = udp_socket(AF_INET)?;
    sender.send_to(b"both", &receiver.name()?)?;
    wait_for(&receiver, PollFlags::POLLIN)?;
    check!(receiver.recv(64) == Ok("both".into()));
    let packet = tap.recv_bytes(64, MSG_DONTWAIT);
    check!(packet.as_ref().map(Vec::len) == Ok(20 + 8 + 4));
    let packet = packet?;
    check!(packet[20..22] == from.port().to_be_bytes());
    check!(packet[28..] == *b"both");
    Ok(())
}

/// With `IP_HDRINCL` the sender's own header goes out: the kernel fills in length and checksum, the identification and the source if they are zero, and changes nothing else.
#[case(RAW_7, "DESCRIPTION", settles = ["IPPROTO_IP.2const IP_HDRINCL", "IP_HDRINCL.2const IP_HDRINCL"], needs = [Need::OwnCap(Cap::NetRaw)], also = [(IP_HDRINCL_2CONST, "DESCRIPTION")])]
fn given_header_is_sent_as_it_is() -> Verdict {
    let (receiver, address) = raw(PROTOCOL)?;
    let sender = Socket::new(AF_INET, SOCK_RAW, PROTOCOL)?;
    sender.set_option(IPPROTO_IP, IP_HDRINCL, 1)?;
    let mut given = [header(&address).as_slice(), b"mine"].concat();
    given[1] = 0x10;
    sender.send_to(&given, &address)?;
    let came = receive(&receiver)?;
    check!(came[..2] == given[..2]);
    check!(came[2..4] == [0, 24]);
    check!(came[6..10] == given[6..10]);
    check!(checksum(&came[..20]) == 0);
    check!(came[12..16] != [0; 4]);
    check!(came[16..] == given[16..]);

    given[4..6].copy_from_slice(&[0xab, 0xcd]);
    given[12..16].copy_from_slice(&[127, 9, 9, 9]);
    sender.send_to(&given, &address)?;
    let came = receive(&receiver)?;
    check!(came[4..6] == [0xab, 0xcd]);
    check!(came[12..16] == [127, 9, 9, 9]);
    Ok(())
}

/// A socket of `IPPROTO_RAW` sends the header that it is given, of any protocol, and receives nothing.
#[case(RAW_7, "DESCRIPTION", needs = [Need::OwnCap(Cap::NetRaw)], also = [(RAW_7, "NOTES")])]
fn ipproto_raw_only_sends() -> Verdict {
    let (receiver, address) = raw(PROTOCOL)?;
    let sender = Socket::new(AF_INET, SOCK_RAW, IPPROTO_RAW)?;
    check!(sender.option(IPPROTO_IP, IP_HDRINCL) == Ok(1));
    let packet = [header(&address).as_slice(), b"sent"].concat();
    check!(sender.send_to(&packet, &address) == Ok(24));
    check!(receive(&receiver)?.get(20..) == Some(b"sent".as_slice()));
    check!(sender.recv_bytes(64, MSG_DONTWAIT) == Err(EAGAIN));
    Ok(())
}

/// A message of a type whose bit is set in `ICMP_FILTER` is not received, one of another type is.
#[case(RAW_7, "Socket options", settles = ["raw.7 ICMP_FILTER"], needs = [Need::OwnCap(Cap::NetRaw)])]
fn icmp_filter_drops_the_types_it_names() -> Verdict {
    let (reply, request) = (0, 8);
    let (receiver, address) = raw(IPPROTO_ICMP)?;
    check!(receiver.option(IPPROTO_RAW, ICMP_FILTER) == Ok(0));
    let sender = Socket::new(AF_INET, SOCK_RAW, IPPROTO_ICMP)?;
    let send = |kind: u8| {
        let mut message = [kind, 0, 0, 0, 0, 0, 0, 0];
        let sum = checksum(&message).to_be_bytes();
        message[2..4].copy_from_slice(&sum);
        sender.send_to(&message, &address)
    };
    send(reply)?;
    check!(receive(&receiver)?.get(20) == Some(&reply));
    receiver.set_option(IPPROTO_RAW, ICMP_FILTER, 1 << reply)?;
    send(reply)?;
    send(request)?;
    check!(receive(&receiver)?.get(20) == Some(&request));
    check!(receiver.recv_bytes(64, MSG_DONTWAIT) == Err(EAGAIN));
    Ok(())
}

/// `CAP_NET_RAW` in a user namespace does not count for a network that another user namespace governs.
#[case(RAW_7, "DESCRIPTION", needs = [Need::CanUnshare(Namespaces::USER.and(Namespaces::NET))])]
fn privilege_counts_where_the_network_belongs() -> Verdict {
    unshare(CloneFlags::CLONE_NEWUSER)?;
    check!(ipcspec_harness::effective_caps() >> (Cap::NetRaw as u32) & 1 == 1);
    check!(Socket::new(AF_INET, SOCK_RAW, IPPROTO_ICMP).map(drop) == Err(EPERM));
    unshare(CloneFlags::CLONE_NEWNET)?;
    check!(Socket::new(AF_INET, SOCK_RAW, IPPROTO_ICMP).map(drop) == Ok(()));
    Ok(())
}

refusals! {
    RAW_7, "ERRORS", needs = [Need::Unprivileged];

    /// A process without `CAP_NET_RAW` gets no raw socket.
    ["A52", "raw.7 EPERM"] raw_socket_without_privilege_is_refused => EPERM: Socket::new(AF_INET, SOCK_RAW, IPPROTO_ICMP);
}
