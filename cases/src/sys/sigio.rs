//! Signals that tell of readiness: O_ASYNC, whom they go to and which they are.

use std::os::fd::{AsFd, AsRawFd};

use ipcspec_harness::Facility;
use libc::c_int;
use nix::Result;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;

use super::answer;
use super::signals::Sig;

/// `RLIMIT_SIGPENDING`, asked for by setting it as it is.
pub const QUEUE_LIMIT: Facility = Facility {
    name: "RLIMIT_SIGPENDING",
    probe: || {
        let (soft, hard) = getrlimit(Resource::RLIMIT_SIGPENDING)?;
        setrlimit(Resource::RLIMIT_SIGPENDING, soft, hard)
    },
};

/// `F_SETSIG`, which the C library's binding lacks; as asm-generic/fcntl.h
/// numbers it.
pub const F_SETSIG: c_int = 10;
/// `F_GETSIG`, as above.
pub const F_GETSIG: c_int = 11;
/// `F_SETOWN_EX`, as above.
pub const F_SETOWN_EX: c_int = 15;
/// `F_GETOWN_EX`, as above.
pub const F_GETOWN_EX: c_int = 16;

/// What kind of number an owner's is: one of `F_OWNER_…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind(pub c_int);

/// F_OWNER_TID
pub const THREAD: Kind = Kind(0);
/// F_OWNER_PID
pub const PROCESS: Kind = Kind(1);
/// F_OWNER_PGRP
pub const GROUP: Kind = Kind(2);

#[repr(C)]
struct OwnerEx {
    kind: c_int,
    id: libc::pid_t,
}

/// `F_GETOWN`: a process, or a process group as a negative number.
pub fn owner(fd: impl AsFd) -> Result<i32> {
    // SAFETY: no argument is taken.
    answer(unsafe { libc::fcntl(fd.as_fd().as_raw_fd(), libc::F_GETOWN) })
}

/// `F_SETOWN`, to a process, or to a process group as a negative number; what
/// the call returned.
pub fn set_owner(fd: impl AsFd, id: i32) -> Result<i32> {
    // SAFETY: the argument is a number.
    answer(unsafe { libc::fcntl(fd.as_fd().as_raw_fd(), libc::F_SETOWN, id) })
}

/// `F_GETOWN_EX`. An answer other than 0 is `UnknownErrno`.
pub fn owner_ex(fd: impl AsFd) -> Result<(Kind, Pid)> {
    let mut owner = OwnerEx { kind: -1, id: -1 };
    // SAFETY: one structure is written.
    match answer(unsafe { libc::fcntl(fd.as_fd().as_raw_fd(), F_GETOWN_EX, &raw mut owner) })? {
        0 => Ok((Kind(owner.kind), Pid::from_raw(owner.id))),
        _ => Err(Errno::UnknownErrno),
    }
}

/// `F_SETOWN_EX`; what the call returned.
pub fn set_owner_ex(fd: impl AsFd, kind: Kind, id: Pid) -> Result<i32> {
    let owner = OwnerEx { kind: kind.0, id: id.as_raw() };
    // SAFETY: one structure is read.
    answer(unsafe { libc::fcntl(fd.as_fd().as_raw_fd(), F_SETOWN_EX, &raw const owner) })
}

/// `F_GETSIG`; 0 is SIGIO without further information.
pub fn chosen_signal(fd: impl AsFd) -> Result<Sig> {
    // SAFETY: no argument is taken.
    answer(unsafe { libc::fcntl(fd.as_fd().as_raw_fd(), F_GETSIG) }).map(Sig)
}

/// `F_SETSIG`; what the call returned.
pub fn choose_signal(fd: impl AsFd, signal: impl Into<Sig>) -> Result<i32> {
    // SAFETY: the argument is a number.
    answer(unsafe { libc::fcntl(fd.as_fd().as_raw_fd(), F_SETSIG, signal.into().0) })
}

/// Switches `O_ASYNC` of an open file description.
pub fn set_async(fd: impl AsFd, on: bool) -> Result<()> {
    let mut flags = OFlag::from_bits_retain(fcntl(&fd, FcntlArg::F_GETFL)?);
    flags.set(OFlag::O_ASYNC, on);
    fcntl(&fd, FcntlArg::F_SETFL(flags)).map(drop)
}

/// This process gets SIGIO when input or output becomes possible.
pub fn announce(fd: impl AsFd) -> Result<()> {
    set_owner(&fd, Pid::this().as_raw())?;
    set_async(fd, true)
}

/// This process gets `signal`, and what comes with it, when input or output
/// becomes possible.
pub fn announce_by(fd: impl AsFd, signal: impl Into<Sig>) -> Result<()> {
    choose_signal(&fd, signal)?;
    announce(fd)
}
