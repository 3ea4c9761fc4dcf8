//! Wrong sockets, and the view of a call on a socket.

pub mod ancillary;
pub mod connections;
pub mod data;
pub mod domains;
pub mod names;

use ipcspec_cases::sys::sockets::Socket;
use libc::{AF_UNIX, MSG_DONTWAIT, SO_DOMAIN, SO_TYPE, SOCK_DGRAM, SOCK_STREAM, SOL_SOCKET};

use nix::poll::PollFlags;

use crate::prelude::*;
use crate::tracer::poke;

/// The faults of this mechanism.
pub const FAULTS: &[&[Fault]] =
    &[domains::FAULTS, data::FAULTS, connections::FAULTS, names::FAULTS, ancillary::FAULTS];

/// Where `struct msghdr` has what.
const MSG_IOV: u64 = 16;
const MSG_CONTROL: u64 = 32;
const MSG_CONTROLLEN: u64 = 40;
const MSG_FLAGS: u64 = 48;
/// The length of `struct cmsghdr`, which begins with a length and ends with
/// the type.
const CMSG_HEADER: u64 = 16;
const CMSG_TYPE: u64 = 12;

/// The socket in the first argument of a call.
struct Endpoint {
    fd: Fd,
    domain: i32,
    kind: i32,
}

impl Endpoint {
    fn is_local(&self) -> bool {
        self.domain == AF_UNIX
    }

    fn is_stream(&self) -> bool {
        self.kind == SOCK_STREAM
    }

    fn is_datagram(&self) -> bool {
        self.kind == SOCK_DGRAM
    }
}

/// Nothing else is the fault's business.
fn only(business: bool) -> Result<()> {
    if business { Ok(()) } else { Err(EOPNOTSUPP) }
}

/// What a call does with data and addresses on a socket.
impl Call {
    /// The socket in the first argument.
    fn endpoint(&self) -> Result<Endpoint> {
        let (fd, socket) = (self.fd(0)?, self.socket()?);
        let told = |name| socket.option(SOL_SOCKET, name);
        Ok(Endpoint { fd, domain: told(SO_DOMAIN)?, kind: told(SO_TYPE)? })
    }

    /// A copy of the socket in the first argument.
    fn socket(&self) -> Result<Socket> {
        Ok(Socket::from(self.copy(self.argument(0) as i32)?))
    }

    /// Whether a transfer or a connect that cannot go on may sleep.
    fn may_block(&self) -> Result<bool> {
        Ok(!self.has_message_flag(MSG_DONTWAIT) && !self.fd(0)?.is_nonblocking())
    }

    /// Whether poll tells these events of it.
    fn is_ready(&self, events: PollFlags) -> Result<bool> {
        Ok(poll::now(self.socket()?, events)?.intersects(events))
    }

    /// Which argument the flags of a transfer are.
    fn message_flags_index(&self) -> Result<usize> {
        match self.number() {
            libc::SYS_sendto | libc::SYS_recvfrom => Ok(3),
            libc::SYS_sendmsg | libc::SYS_recvmsg => Ok(2),
            _ => Err(EOPNOTSUPP),
        }
    }

    /// The flags of a transfer; none for read and write.
    fn flags(&self) -> i32 {
        self.message_flags_index().map_or(0, |index| self.argument(index) as i32)
    }

    /// Whether a transfer has this flag.
    fn has_message_flag(&self, flag: i32) -> bool {
        self.flags() & flag != 0
    }

    /// Takes a flag from a transfer that has it.
    fn drop_flag(&mut self, flag: i32) -> Result<()> {
        only(self.has_message_flag(flag))?;
        self.set_argument(self.message_flags_index()?, (self.flags() & !flag) as u64);
        Ok(())
    }

    /// The `struct msghdr` of a transfer.
    fn header(&self) -> Result<u64> {
        only([libc::SYS_sendmsg, libc::SYS_recvmsg].contains(&self.number()))?;
        Ok(self.argument(1))
    }

    /// Where the (first) buffer of a transfer is, and its length.
    fn buffer(&self) -> Result<(u64, u64)> {
        let Ok(header) = self.header() else { return Ok((self.argument(1), self.argument(2))) };
        let part = self.number_at::<u64>(header + MSG_IOV)?;
        Ok((self.number_at(part)?, self.number_at(part + 8)?))
    }

    /// Changes the length of the (first) buffer of a transfer.
    fn set_length(&mut self, length: u64) -> Result<()> {
        let Ok(header) = self.header() else {
            self.set_argument(2, length);
            return Ok(());
        };
        let part = self.number_at::<u64>(header + MSG_IOV)?;
        self.set_number_at(part + 8, length)
    }

    /// A receive gives these bytes, as far as there is room.
    fn receives(&mut self, bytes: &[u8]) -> Result<Effect> {
        let (buffer, room) = self.buffer()?;
        let bytes = &bytes[..bytes.len().min(room as usize)];
        if let Ok(header) = self.header() {
            poke(self.thread(), header + MSG_CONTROLLEN, &0_u64.to_ne_bytes())?;
            poke(self.thread(), header + MSG_FLAGS, &0_i32.to_ne_bytes())?;
        }
        poke(self.thread(), buffer, bytes)?;
        self.give(bytes.len() as i64)
    }

    /// What is told in `msg_flags`.
    fn change_told_flags(&mut self, change: impl FnOnce(i32) -> i32) -> Result<()> {
        let place = self.header()? + MSG_FLAGS;
        let flags = self.number_at(place)?;
        self.set_number_at(place, change(flags))
    }

    /// The items of the first control message, if it is of this type: where
    /// they are, and how many bytes.
    fn control_messages(&self, kind: i32) -> Result<(u64, u64)> {
        let header = self.header()?;
        only(self.number_at::<u64>(header + MSG_CONTROLLEN)? >= CMSG_HEADER)?;
        let control = self.number_at::<u64>(header + MSG_CONTROL)?;
        only(self.number_at::<i32>(control + CMSG_TYPE)? == kind)?;
        Ok((control + CMSG_HEADER, self.number_at::<u64>(control)? - CMSG_HEADER))
    }

    /// Which argument is a pointer to an address; its length, or a pointer
    /// to that, is the next.
    fn address_index(&self) -> usize {
        if [libc::SYS_sendto, libc::SYS_recvfrom].contains(&self.number()) { 4 } else { 1 }
    }

    /// The address that it is given: where, and its bytes.
    fn address(&self) -> Result<(u64, Vec<u8>)> {
        let index = self.address_index();
        let (place, length) = (self.argument(index), self.argument(index + 1) as usize);
        only(place != 0 && (2..=128).contains(&length))?;
        Ok((place, self.memory(place, length)?))
    }

    /// The address that it told: where, its bytes, and where its length is.
    fn told_address(&self) -> Result<(u64, Vec<u8>, u64)> {
        let index = self.address_index();
        let (place, length_at) = (self.argument(index), self.argument(index + 1));
        only(place != 0 && length_at != 0)?;
        let length = self.number_at::<u32>(length_at)?;
        only((2..=128).contains(&length))?;
        Ok((place, self.memory(place, length as usize)?, length_at))
    }
}
