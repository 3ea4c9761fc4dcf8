//! Wrong names: paths, abstract names, ports, addresses.

use libc::{AF_INET, AF_UNIX};

use super::only;
use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    path_is_told_without_its_null,
    name_that_is_cut_tells_what_fits,
    unnamed_socket_tells_a_whole_address,
    peer_is_told_as_the_socket_itself,
    bind_takes_over_a_path,
    umask_does_not_count_for_socket_files,
    unlinked_socket_loses_its_name,
    abstract_name_ends_at_a_null,
    abstract_name_outlives_its_socket,
    autobind_always_tells_one_name,
    datagrams_go_to_the_first_port_again,
    loopback_addresses_are_one,
    chosen_port_is_not_told,
];

/// The length of the family, with which every address begins.
const FAMILY: usize = 2;

fn family(address: &[u8]) -> i32 {
    u16::from_ne_bytes([address[0], address[1]]).into()
}

/// Whether it is the address of a local socket that is bound to a path.
fn is_path(address: &[u8]) -> bool {
    family(address) == AF_UNIX && address.get(FAMILY).is_some_and(|first| *first != 0)
}

/// Whether it is the address of a local socket in the abstract namespace.
fn is_abstract(address: &[u8]) -> bool {
    family(address) == AF_UNIX && address.get(FAMILY) == Some(&0)
}

/// The length of a path that is told does not count its null byte.
#[fault(UNIX_7, "Address format", on = [GETSOCKNAME, GETPEERNAME, RECV])]
fn path_is_told_without_its_null(call: &mut Call) -> Result<Effect> {
    call.then(|call| {
        let (_, address, length_at) = call.told_address()?;
        only(is_path(&address))?;
        call.set_number_at(length_at, address.len() as u32 - 1)?;
        call.proceed()
    })
}

/// The length that is told of a name that is cut is what was written of it.
#[fault(GETSOCKNAME_2, "DESCRIPTION", on = [GETSOCKNAME, GETPEERNAME])]
fn name_that_is_cut_tells_what_fits(call: &mut Call) -> Result<Effect> {
    let length_at = call.argument(2);
    let room: u32 = call.number_at(length_at)?;
    call.then(move |call| {
        let length: u32 = call.number_at(length_at)?;
        call.set_number_at(length_at, length.min(room))?;
        call.proceed()
    })
}

/// The address of an unnamed socket is as long as `struct sockaddr_un`.
#[fault(UNIX_7, "Address format", on = [GETSOCKNAME, GETPEERNAME])]
fn unnamed_socket_tells_a_whole_address(call: &mut Call) -> Result<Effect> {
    call.then(|call| {
        let (_, address, length_at) = call.told_address()?;
        only(family(&address) == AF_UNIX && address.len() == FAMILY)?;
        call.set_number_at(length_at, size_of::<libc::sockaddr_un>() as u32)?;
        call.proceed()
    })
}

/// The name of the peer is that of the socket itself.
#[fault(GETPEERNAME_2, "DESCRIPTION", on = [GETPEERNAME])]
fn peer_is_told_as_the_socket_itself(call: &mut Call) -> Result<Effect> {
    call.instead(libc::SYS_getsockname, call.arguments(), |call| call.proceed())
}

/// A bind to a path that exists takes it over from its socket.
#[fault(UNIX_7, "ERRORS", on = [BIND])]
fn bind_takes_over_a_path(call: &mut Call) -> Result<Effect> {
    let (place, address) = call.address()?;
    only(is_path(&address))?;
    call.then(move |call| {
        only(call.result() == -(EADDRINUSE as i64))?;
        let path = [place + FAMILY as u64, 0, 0, 0, 0, 0];
        call.instead(libc::SYS_unlink, path, |call| call.once_more(|call| call.proceed()))
    })
}

/// The file of a socket has all permissions, also those in the umask.
#[fault(UNIX_7, "Pathname socket ownership and permissions", on = [BIND])]
fn umask_does_not_count_for_socket_files(call: &mut Call) -> Result<Effect> {
    let (place, address) = call.address()?;
    only(is_path(&address))?;
    call.then(move |call| {
        only(call.result() == 0)?;
        let all = [place + FAMILY as u64, 0o777, 0, 0, 0, 0];
        call.instead(libc::SYS_chmod, all, |call| call.proceed())
    })
}

/// A socket whose file is unlinked has no name any more.
#[fault(GETSOCKNAME_2, "DESCRIPTION", on = [GETSOCKNAME])]
fn unlinked_socket_loses_its_name(call: &mut Call) -> Result<Effect> {
    call.then(|call| {
        let (_, address, length_at) = call.told_address()?;
        only(is_path(&address))?;
        let path = String::from_utf8_lossy(&address[FAMILY..address.len() - 1]).into_owned();
        let directory = format!("/proc/{}/cwd", call.thread());
        only(!std::path::Path::new(&directory).join(path).exists())?;
        call.set_number_at(length_at, FAMILY as u32)?;
        call.proceed()
    })
}

/// An abstract name ends before its next null byte.
#[fault(UNIX_7, "Address format", on = [BIND, CONNECT, SEND])]
fn abstract_name_ends_at_a_null(call: &mut Call) -> Result<Effect> {
    let (_, address) = call.address()?;
    only(is_abstract(&address))?;
    let name = &address[FAMILY + 1..];
    let length = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    call.set_argument(call.address_index() + 1, (FAMILY + 1 + length) as u64);
    call.proceed()
}

/// A socket with an abstract name stays when nobody has it open any more.
#[fault(UNIX_7, "Abstract sockets", on = [BIND])]
fn abstract_name_outlives_its_socket(call: &mut Call) -> Result<Effect> {
    let (_, address) = call.address()?;
    only(is_abstract(&address))?;
    let socket = call.argument(0) as i32;
    call.then(move |call| {
        let copy = call.copy(socket)?;
        call.notes().hold(copy);
        call.proceed()
    })
}

/// All sockets that were bound without a name tell the same name.
#[fault(UNIX_7, "Autobind feature", on = [GETSOCKNAME])]
fn autobind_always_tells_one_name(call: &mut Call) -> Result<Effect> {
    call.then(|call| {
        let (place, address, _) = call.told_address()?;
        only(is_abstract(&address) && address.len() == FAMILY + 1 + 5)?;
        call.set_memory(place + FAMILY as u64 + 1, b"00000")?;
        call.proceed()
    })
}

/// A UDP socket that is not connected sends everything to the port to which it sent first.
#[fault(UDP_7, "DESCRIPTION", on = [SEND])]
fn datagrams_go_to_the_first_port_again(call: &mut Call) -> Result<Effect> {
    let (end, (place, address)) = (call.endpoint()?, call.address()?);
    only(end.is_datagram() && family(&address) == AF_INET)?;
    let port = u16::from_ne_bytes([address[2], address[3]]);
    let first = *call.notes().of(end.fd.inode).get_or_insert(port.into());
    call.set_number_at(place + FAMILY as u64, first as u16)?;
    call.proceed()
}

/// What is sent to any loopback address arrives at 127.0.0.1.
#[fault(IP_7, "Special and reserved addresses", on = [SEND])]
fn loopback_addresses_are_one(call: &mut Call) -> Result<Effect> {
    let (place, address) = call.address()?;
    only(family(&address) == AF_INET && address[4] == 127)?;
    call.set_memory(place + 4, &[127, 0, 0, 1])?;
    call.proceed()
}

/// A socket that was never bound tells port 0, though it has been given one.
#[fault(IP_7, "DESCRIPTION", on = [BIND, GETSOCKNAME])]
fn chosen_port_is_not_told(call: &mut Call) -> Result<Effect> {
    let inode = call.fd(0)?.inode;
    if call.number() == libc::SYS_bind {
        call.notes().count(inode);
    }
    only(call.number() == libc::SYS_getsockname && !call.notes().has(inode))?;
    call.then(|call| {
        let (place, address, _) = call.told_address()?;
        only(family(&address) == AF_INET)?;
        call.set_number_at(place + FAMILY as u64, 0_u16)?;
        call.proceed()
    })
}
