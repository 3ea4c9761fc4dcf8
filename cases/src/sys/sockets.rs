//! Sockets, their addresses and their messages.

use std::fmt;
use std::mem::{offset_of, zeroed};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use ipcspec_harness::{Facility, Need, Verdict, worker_id};
use libc::{c_int, c_void, socklen_t};
use nix::Result;
use nix::errno::Errno;
use nix::unistd::{getgid, getpid, getuid};

use super::answer;

/// IPv6 with its loopback address.
pub const IPV6: Need = Need::Facility(Facility {
    name: "IPv6 over loopback",
    probe: || Socket::bound(libc::SOCK_DGRAM, &Address::loopback(libc::AF_INET6)).map(drop),
});

/// The protocol UDP-Lite over IPv4.
pub const UDPLITE: Need = Need::Facility(Facility {
    name: "UDP-Lite",
    probe: || Socket::new(libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_UDPLITE).map(drop),
});

/// A place in the queue from which local sockets peek.
pub const PEEK_OFFSET: Need = Need::Facility(Facility {
    name: "SO_PEEK_OFF",
    probe: || {
        let (ours, _) = Socket::pair(libc::SOCK_STREAM)?;
        ours.set_option(libc::SOL_SOCKET, libc::SO_PEEK_OFF, -1)
    },
});

/// A socket. Dropping it closes this descriptor of it.
#[derive(Debug)]
pub struct Socket(OwnedFd);

/// What `recvmsg` gave.
#[derive(Debug)]
pub struct Message {
    /// The data, as text.
    pub data: String,
    /// `msg_flags`: `MSG_TRUNC`, `MSG_CTRUNC` and the like.
    pub flags: c_int,
    /// The descriptors of all `SCM_RIGHTS`.
    pub descriptors: Vec<OwnedFd>,
    /// The last `SCM_CREDENTIALS`.
    pub credentials: Option<Credentials>,
}

/// The `struct ucred` of `SCM_CREDENTIALS` and `SO_PEERCRED`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credentials {
    /// A process id, as its reader sees it.
    pub pid: i32,
    /// A user id.
    pub uid: u32,
    /// A group id.
    pub gid: u32,
}

impl Credentials {
    /// This process's id, real user and real group.
    pub fn own() -> Self {
        Self { pid: getpid().as_raw(), uid: getuid().as_raw(), gid: getgid().as_raw() }
    }

    fn to_raw(self) -> libc::ucred {
        libc::ucred { pid: self.pid, uid: self.uid, gid: self.gid }
    }

    fn from_raw(raw: libc::ucred) -> Self {
        Self { pid: raw.pid, uid: raw.uid, gid: raw.gid }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<Socket> for OwnedFd {
    fn from(socket: Socket) -> Self {
        socket.0
    }
}

impl From<OwnedFd> for Socket {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl Socket {
    /// `socket(domain, kind, protocol)`.
    pub fn new(domain: c_int, kind: c_int, protocol: c_int) -> Result<Self> {
        // SAFETY: socket takes no pointer.
        Self::owned(unsafe { libc::socket(domain, kind, protocol) })
    }

    /// `socketpair(domain, kind, protocol)`.
    pub fn pair_in(domain: c_int, kind: c_int, protocol: c_int) -> Result<(Self, Self)> {
        let mut pair = [-1; 2];
        // SAFETY: room for two descriptors.
        answer(unsafe { libc::socketpair(domain, kind, protocol, pair.as_mut_ptr()) })?;
        Ok((Self::owned(pair[0])?, Self::owned(pair[1])?))
    }

    /// Two connected sockets of the local domain.
    pub fn pair(kind: c_int) -> Result<(Self, Self)> {
        Self::pair_in(libc::AF_UNIX, kind, 0)
    }

    /// A new socket of the address's domain, bound to it.
    pub fn bound(kind: c_int, address: &Address) -> Result<Self> {
        let socket = Self::new(address.family(), kind, 0)?;
        socket.bind(address)?;
        Ok(socket)
    }

    /// A new socket of the address's domain, bound to it and listening.
    pub fn listening(kind: c_int, address: &Address) -> Result<Self> {
        let socket = Self::bound(kind, address)?;
        socket.listen(8)?;
        Ok(socket)
    }

    /// A new socket of the address's domain, connected to it.
    pub fn connected(kind: c_int, address: &Address) -> Result<Self> {
        let socket = Self::new(address.family(), kind, 0)?;
        socket.connect(address)?;
        Ok(socket)
    }

    fn owned(fd: RawFd) -> Result<Self> {
        let fd = answer(fd)?;
        // SAFETY: a new descriptor that nothing else owns.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    fn raw(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// `bind`.
    pub fn bind(&self, address: &Address) -> Result<()> {
        // SAFETY: the address is as long as told.
        answer(unsafe { libc::bind(self.raw(), address.pointer(), address.length) }).map(drop)
    }

    /// `listen`; `backlog` is a number of connections.
    pub fn listen(&self, backlog: c_int) -> Result<()> {
        // SAFETY: listen takes no pointer.
        answer(unsafe { libc::listen(self.raw(), backlog) }).map(drop)
    }

    /// `connect`.
    pub fn connect(&self, address: &Address) -> Result<()> {
        // SAFETY: the address is as long as told.
        answer(unsafe { libc::connect(self.raw(), address.pointer(), address.length) }).map(drop)
    }

    /// `accept`.
    pub fn accept(&self) -> Result<Self> {
        self.accept_with(0)
    }

    /// `accept4(flags)`.
    pub fn accept_with(&self, flags: c_int) -> Result<Self> {
        let (none, no_length) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: no address is asked for.
        Self::owned(unsafe { libc::accept4(self.raw(), none, no_length, flags) })
    }

    /// `shutdown`; `how` is `SHUT_RD`, `SHUT_WR` or `SHUT_RDWR`.
    pub fn shutdown(&self, how: c_int) -> Result<()> {
        // SAFETY: shutdown takes no pointer.
        answer(unsafe { libc::shutdown(self.raw(), how) }).map(drop)
    }

    /// `getsockname`.
    pub fn name(&self) -> Result<Address> {
        Address::filled(|address, length| {
            // SAFETY: `length` tells the room behind `address`.
            answer(unsafe { libc::getsockname(self.raw(), address, length) }).map(drop)
        })
        .map(|(address, ())| address)
    }

    /// `getsockname` with room for so many bytes: the length that is told.
    pub fn name_within(&self, room: &mut [u8]) -> Result<usize> {
        let (pointer, mut length) = (room.as_mut_ptr().cast(), room.len() as socklen_t);
        // SAFETY: `length` tells the room.
        answer(unsafe { libc::getsockname(self.raw(), pointer, &raw mut length) })?;
        Ok(length as usize)
    }

    /// `getpeername`.
    pub fn peer(&self) -> Result<Address> {
        Address::filled(|address, length| {
            // SAFETY: `length` tells the room behind `address`.
            answer(unsafe { libc::getpeername(self.raw(), address, length) }).map(drop)
        })
        .map(|(address, ())| address)
    }

    /// `getsockopt` for an option that is an `int`.
    pub fn option(&self, level: c_int, name: c_int) -> Result<c_int> {
        // SAFETY: every bit pattern is an `int`.
        unsafe { self.get_option(level, name) }
    }

    /// `setsockopt` for an option that is an `int`.
    pub fn set_option(&self, level: c_int, name: c_int, value: c_int) -> Result<()> {
        let length = size_of::<c_int>() as socklen_t;
        let value = (&raw const value).cast::<c_void>();
        // SAFETY: `value` points to `length` bytes.
        answer(unsafe { libc::setsockopt(self.raw(), level, name, value, length) }).map(drop)
    }

    /// `SO_PEERCRED`.
    pub fn peer_credentials(&self) -> Result<Credentials> {
        // SAFETY: every bit pattern is a `ucred`.
        unsafe { self.get_option(libc::SOL_SOCKET, libc::SO_PEERCRED) }.map(Credentials::from_raw)
    }

    /// `getsockopt` for an option that is a `T`.
    ///
    /// # Safety
    /// Zeroes, and whatever the kernel writes, are a `T`.
    unsafe fn get_option<T>(&self, level: c_int, name: c_int) -> Result<T> {
        // SAFETY: the caller says so.
        let mut value = unsafe { zeroed::<T>() };
        let mut length = size_of::<T>() as socklen_t;
        let pointer = (&raw mut value).cast::<c_void>();
        // SAFETY: `pointer` has room for `length` bytes.
        answer(unsafe { libc::getsockopt(self.raw(), level, name, pointer, &raw mut length) })?;
        Ok(value)
    }

    /// `send` without flags: bytes sent. Raises `SIGPIPE` as documented.
    pub fn send(&self, data: &[u8]) -> Result<usize> {
        self.send_with(data, 0)
    }

    /// `send(flags)`: bytes sent.
    pub fn send_with(&self, data: &[u8], flags: c_int) -> Result<usize> {
        // SAFETY: the buffer is as long as told.
        let sent = unsafe { libc::send(self.raw(), data.as_ptr().cast(), data.len(), flags) };
        answer(sent).map(|count| count as usize)
    }

    /// `sendto` without flags: bytes sent.
    pub fn send_to(&self, data: &[u8], to: &Address) -> Result<usize> {
        let (pointer, count) = (data.as_ptr().cast(), data.len());
        // SAFETY: the buffer and the address are as long as told.
        let sent = unsafe { libc::sendto(self.raw(), pointer, count, 0, to.pointer(), to.length) };
        answer(sent).map(|count| count as usize)
    }

    /// Sends this message again and again, without blocking, until the queue
    /// is full: bytes sent.
    pub fn fill(&self, message: &[u8]) -> Result<usize> {
        let mut sent = 0;
        loop {
            match self.send_with(message, libc::MSG_DONTWAIT) {
                Ok(count) => sent += count,
                Err(Errno::EAGAIN) => return Ok(sent),
                Err(errno) => return Err(errno),
            }
        }
    }

    /// Sends until there is no room for a further byte, and in large messages
    /// as long as that goes; the number of bytes.
    pub fn fill_up(&self) -> Result<usize> {
        Ok(self.fill(&[b'-'; 1000])? + self.fill(b"-")?)
    }

    /// Receives so many bytes, in as many messages as they come in.
    pub fn drain(&self, bytes: usize) -> Result<()> {
        let mut left = bytes;
        while left > 0 {
            left -= self.recv_bytes(left.min(1000), 0)?.len();
        }
        Ok(())
    }

    /// `recv` without flags, with room for so many bytes: what came, as text.
    pub fn recv(&self, room: usize) -> Result<String> {
        self.recv_with(room, 0)
    }

    /// `recv(flags)`, with room for so many bytes: what came, as text.
    pub fn recv_with(&self, room: usize, flags: c_int) -> Result<String> {
        self.recv_bytes(room, flags).map(|bytes| text(&bytes))
    }

    /// `recv(flags)`, with room for so many bytes: what came.
    pub fn recv_bytes(&self, room: usize, flags: c_int) -> Result<Vec<u8>> {
        let mut buffer = vec![0; room];
        let count = self.recv_into(&mut buffer, flags)?;
        buffer.truncate(count);
        Ok(buffer)
    }

    /// `recv(flags)`: what the call returned, which `MSG_TRUNC` makes more
    /// than the buffer.
    pub fn recv_into(&self, buffer: &mut [u8], flags: c_int) -> Result<usize> {
        let (pointer, room) = (buffer.as_mut_ptr().cast(), buffer.len());
        // SAFETY: the buffer is as long as told.
        let count = unsafe { libc::recv(self.raw(), pointer, room, flags) };
        answer(count).map(|count| count as usize)
    }

    /// `recvfrom` without flags: what came, as text, and from whom.
    pub fn recv_from(&self, room: usize) -> Result<(String, Address)> {
        let mut buffer = vec![0_u8; room];
        let (address, count) = Address::filled(|address, length| {
            let pointer = buffer.as_mut_ptr().cast();
            // SAFETY: the buffer is as long as told, `length` tells the room
            // behind `address`.
            answer(unsafe { libc::recvfrom(self.raw(), pointer, room, 0, address, length) })
        })?;
        Ok((text(&buffer[..count as usize]), address))
    }

    /// `sendmsg` with these descriptors in one `SCM_RIGHTS`: bytes sent.
    pub fn send_descriptors(&self, data: &[u8], descriptors: &[RawFd]) -> Result<usize> {
        self.send_ancillary(data, libc::SCM_RIGHTS, descriptors)
    }

    /// `sendmsg` with these credentials in a `SCM_CREDENTIALS`: bytes sent.
    pub fn send_credentials(&self, data: &[u8], credentials: Credentials) -> Result<usize> {
        self.send_ancillary(data, libc::SCM_CREDENTIALS, &[credentials.to_raw()])
    }

    fn send_ancillary<T: Copy>(&self, data: &[u8], kind: c_int, items: &[T]) -> Result<usize> {
        let size = size_of_val(items) as u32;
        // SAFETY: both only compute.
        let (space, length) = unsafe { (libc::CMSG_SPACE(size), libc::CMSG_LEN(size)) };
        // Words, so that the header is aligned.
        let mut control = vec![0_u64; (space as usize).div_ceil(8)];
        let mut part = libc::iovec { iov_base: data.as_ptr() as *mut c_void, iov_len: data.len() };
        // SAFETY: all zeroes is a message without anything.
        let mut header = unsafe { zeroed::<libc::msghdr>() };
        header.msg_iov = &raw mut part;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = space as _;
        // SAFETY: the control buffer has room for the header and the items;
        // sendmsg only reads what the header tells.
        let sent = unsafe {
            let first = libc::CMSG_FIRSTHDR(&raw const header);
            (*first).cmsg_level = libc::SOL_SOCKET;
            (*first).cmsg_type = kind;
            (*first).cmsg_len = length as _;
            let data = libc::CMSG_DATA(first);
            std::ptr::copy_nonoverlapping(items.as_ptr().cast::<u8>(), data, size as usize);
            libc::sendmsg(self.raw(), &raw const header, 0)
        };
        answer(sent).map(|count| count as usize)
    }

    /// `recvmsg(flags)` with room for so many bytes, and a control buffer
    /// exactly so long that one control message of so many bytes fits.
    pub fn recv_message(&self, room: usize, control_room: usize, flags: c_int) -> Result<Message> {
        let mut buffer = vec![0_u8; room];
        // SAFETY: it only computes.
        let control_length = unsafe { libc::CMSG_LEN(control_room as u32) } as usize;
        let mut control = vec![0_u64; control_length.div_ceil(8)];
        let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: room };
        // SAFETY: all zeroes is a message without anything.
        let mut header = unsafe { zeroed::<libc::msghdr>() };
        header.msg_iov = &raw mut part;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = control_length as _;
        // SAFETY: both buffers are as long as told.
        let count = answer(unsafe { libc::recvmsg(self.raw(), &raw mut header, flags) })? as usize;
        let mut message = Message {
            data: text(&buffer[..count.min(room)]),
            flags: header.msg_flags,
            descriptors: vec![],
            credentials: None,
        };
        // SAFETY: the kernel filled the control buffer; the descriptors in it
        // are new and nobody else's.
        unsafe {
            let mut next = libc::CMSG_FIRSTHDR(&raw const header);
            while !next.is_null() {
                let length = (*next).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
                let data = std::slice::from_raw_parts(libc::CMSG_DATA(next), length);
                let (words, _) = data.as_chunks::<4>();
                match ((*next).cmsg_level, (*next).cmsg_type, words) {
                    (libc::SOL_SOCKET, libc::SCM_RIGHTS, fds) => {
                        let fds = fds.iter().map(|fd| RawFd::from_ne_bytes(*fd));
                        message.descriptors.extend(fds.map(|fd| OwnedFd::from_raw_fd(fd)));
                    }
                    (libc::SOL_SOCKET, libc::SCM_CREDENTIALS, &[pid, uid, gid]) => {
                        message.credentials = Some(Credentials {
                            pid: i32::from_ne_bytes(pid),
                            uid: u32::from_ne_bytes(uid),
                            gid: u32::from_ne_bytes(gid),
                        });
                    }
                    _ => {}
                }
                next = libc::CMSG_NXTHDR(&raw const header, next);
            }
        }
        Ok(message)
    }
}

/// Bytes as text: what is not printable is escaped.
fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// The address of a socket, of any domain.
#[derive(Clone, Copy)]
pub struct Address {
    storage: libc::sockaddr_storage,
    length: socklen_t,
}

impl Address {
    /// The length of an address that is a family alone, in bytes.
    const FAMILY: usize = size_of::<libc::sa_family_t>();

    /// An address of this family and these bytes behind the family.
    fn new(family: c_int, rest: &[u8]) -> Self {
        // SAFETY: all zeroes is an address of no family.
        let mut storage = unsafe { zeroed::<libc::sockaddr_storage>() };
        storage.ss_family = family as libc::sa_family_t;
        let mut address = Self { storage, length: (Self::FAMILY + rest.len()) as socklen_t };
        address.rest_mut().copy_from_slice(rest);
        address
    }

    /// A local address that is a path, with its terminating null byte.
    pub fn path(path: &str) -> Self {
        Self::new(libc::AF_UNIX, &[path.as_bytes(), b"\0"].concat())
    }

    /// A local address in the abstract namespace; `name` comes behind the
    /// null byte.
    pub fn abstract_name(name: &[u8]) -> Self {
        Self::new(libc::AF_UNIX, &[b"\0", name].concat())
    }

    /// An abstract address that nothing else on this machine uses; it ends
    /// with `tail`.
    pub fn unique_abstract(tail: &str) -> Self {
        Self::abstract_name(format!("ipcspec-{}-{}-{tail}", worker_id(), getpid()).as_bytes())
    }

    /// A local address without a name: bound to, it asks for autobind.
    pub fn unnamed() -> Self {
        Self::new(libc::AF_UNIX, b"")
    }

    /// An address of the family `AF_UNSPEC`: connected to, it dissolves an
    /// association.
    pub fn unspecified() -> Self {
        Self::new(libc::AF_UNSPEC, &[0; 14])
    }

    /// `127.0.0.1` or `::1`, with port 0.
    pub fn loopback(domain: c_int) -> Self {
        if domain == libc::AF_INET6 {
            let mut rest = [0; size_of::<libc::sockaddr_in6>() - Self::FAMILY];
            let address = offset_of!(libc::sockaddr_in6, sin6_addr) - Self::FAMILY;
            rest[address + 15] = 1;
            Self::new(domain, &rest)
        } else {
            Self::v4([127, 0, 0, 1])
        }
    }

    /// An IPv4 address, with port 0.
    pub fn v4(octets: [u8; 4]) -> Self {
        let mut rest = [0; size_of::<libc::sockaddr_in>() - Self::FAMILY];
        let address = offset_of!(libc::sockaddr_in, sin_addr) - Self::FAMILY;
        rest[address..address + 4].copy_from_slice(&octets);
        Self::new(libc::AF_INET, &rest)
    }

    /// The same Internet address with another port.
    #[must_use]
    pub fn with_port(mut self, port: u16) -> Self {
        self.rest_mut()[..2].copy_from_slice(&port.to_be_bytes());
        self
    }

    /// The port of an Internet address.
    pub fn port(&self) -> u16 {
        u16::from_be_bytes([self.rest()[0], self.rest()[1]])
    }

    /// `AF_UNIX`, `AF_INET`, `AF_INET6`.
    pub fn family(&self) -> c_int {
        self.storage.ss_family.into()
    }

    /// Its length in bytes, the family included.
    pub fn length(&self) -> usize {
        self.length as usize
    }

    /// What stands behind the family.
    pub fn rest(&self) -> &[u8] {
        let pointer = (&raw const self.storage).cast::<u8>();
        // SAFETY: `length` is within the storage.
        let all = unsafe { std::slice::from_raw_parts(pointer, self.length as usize) };
        all.get(Self::FAMILY..).unwrap_or_default()
    }

    fn rest_mut(&mut self) -> &mut [u8] {
        let length = self.length as usize;
        let pointer = (&raw mut self.storage).cast::<u8>();
        // SAFETY: `length` is within the storage.
        let all = unsafe { std::slice::from_raw_parts_mut(pointer, length) };
        &mut all[Self::FAMILY..]
    }

    fn pointer(&self) -> *const libc::sockaddr {
        (&raw const self.storage).cast()
    }

    /// The address that `call` writes, and what it gives besides.
    fn filled<T>(
        call: impl FnOnce(*mut libc::sockaddr, *mut socklen_t) -> Result<T>,
    ) -> Result<(Self, T)> {
        // SAFETY: all zeroes is an address of no family.
        let mut storage = unsafe { zeroed::<libc::sockaddr_storage>() };
        let room = size_of::<libc::sockaddr_storage>() as socklen_t;
        let mut length = room;
        let value = call((&raw mut storage).cast(), &raw mut length)?;
        Ok((Self { storage, length: length.min(room) }, value))
    }
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        self.family() == other.family() && self.rest() == other.rest()
    }
}

impl Eq for Address {}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "family {}, {} bytes, b\"{}\"", self.family(), self.length, text(self.rest()))
    }
}

/// A listening TCP socket on the loopback address of this domain, and where
/// it is.
pub fn tcp_listener(domain: c_int) -> Verdict<(Socket, Address)> {
    let listener = Socket::listening(libc::SOCK_STREAM, &Address::loopback(domain))?;
    let address = listener.name()?;
    Ok((listener, address))
}

/// A TCP connection over the loopback of this domain: the side that connected
/// and the side that accepted.
pub fn tcp_pair(domain: c_int) -> Verdict<(Socket, Socket)> {
    let (listener, address) = tcp_listener(domain)?;
    let client = Socket::connected(libc::SOCK_STREAM, &address)?;
    Ok((client, listener.accept()?))
}

/// A UDP socket bound to a port of the loopback of this domain, and where it
/// is.
pub fn udp_socket(domain: c_int) -> Verdict<(Socket, Address)> {
    let socket = Socket::bound(libc::SOCK_DGRAM, &Address::loopback(domain))?;
    let address = socket.name()?;
    Ok((socket, address))
}
