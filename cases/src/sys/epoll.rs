//! epoll instances, past nix, which neither nests them nor asks what fails.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::{null, null_mut};
use std::time::Duration;

use ipcspec_harness::Facility;
use libc::{c_int, epoll_event};
use nix::Result;
use nix::sys::epoll::EpollFlags;

use super::answer;
use super::memory::Memory;
use super::signals::Signals;

/// EPOLLIN
pub const IN: EpollFlags = EpollFlags::EPOLLIN;
/// EPOLLOUT
pub const OUT: EpollFlags = EpollFlags::EPOLLOUT;
/// EPOLLPRI
pub const PRI: EpollFlags = EpollFlags::EPOLLPRI;
/// EPOLLHUP
pub const HUP: EpollFlags = EpollFlags::EPOLLHUP;
/// EPOLLERR
pub const ERR: EpollFlags = EpollFlags::EPOLLERR;
/// EPOLLRDHUP
pub const RDHUP: EpollFlags = EpollFlags::EPOLLRDHUP;
/// EPOLLET
pub const EDGE: EpollFlags = EpollFlags::EPOLLET;
/// EPOLLONESHOT
pub const ONE_SHOT: EpollFlags = EpollFlags::EPOLLONESHOT;
/// EPOLLEXCLUSIVE
pub const EXCLUSIVE: EpollFlags = EpollFlags::EPOLLEXCLUSIVE;
/// EPOLLWAKEUP
pub const WAKEUP: EpollFlags = EpollFlags::EPOLLWAKEUP;
/// No event.
pub const NONE: EpollFlags = EpollFlags::empty();

/// `epoll_pwait2`.
pub const EPOLL_PWAIT2: Facility = Facility {
    name: "epoll_pwait2",
    probe: || Epoll::new()?.wait_precisely(Some(Duration::ZERO), None).map(drop),
};

/// `EPIOCGPARAMS`.
pub const PARAMETERS: Facility =
    Facility { name: "EPIOCGPARAMS", probe: || Epoll::new()?.parameters().map(drop) };

/// `struct epoll_params`: how an instance polls network devices.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Parameters {
    /// How long, in microseconds.
    pub usecs: u32,
    /// Packets at a time, at most.
    pub budget: u16,
    /// 1 where the application would rather poll than be interrupted, else 0.
    pub prefer: u8,
    /// Zero.
    pub pad: u8,
}

nix::ioctl_write_ptr!(
    /// `EPIOCSPARAMS`
    set_parameters,
    0x8a,
    0x01,
    Parameters
);
nix::ioctl_read!(
    /// `EPIOCGPARAMS`
    get_parameters,
    0x8a,
    0x02,
    Parameters
);

/// An event: the data of its registration, and what is reported.
pub type Event = (u64, EpollFlags);

/// The bytes of one event in memory; they are packed on some machines.
pub const EVENT_SIZE: usize = size_of::<epoll_event>();

/// An epoll instance. Dropping it closes this descriptor of it.
#[derive(Debug)]
pub struct Epoll(OwnedFd);

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for Epoll {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl Epoll {
    /// `epoll_create1(0)`.
    pub fn new() -> Result<Self> {
        Self::with_flags(0)
    }

    /// `epoll_create1`.
    pub fn with_flags(flags: c_int) -> Result<Self> {
        // SAFETY: takes a number; what it gives is ours alone.
        unsafe { Ok(Self(OwnedFd::from_raw_fd(answer(libc::epoll_create1(flags))?))) }
    }

    /// `epoll_create`.
    pub fn with_size(size: c_int) -> Result<Self> {
        // SAFETY: as above.
        unsafe { Ok(Self(OwnedFd::from_raw_fd(answer(libc::epoll_create(size))?))) }
    }

    /// An instance that watches one descriptor, with data 0.
    pub fn watching(fd: impl AsFd, events: EpollFlags) -> Result<Self> {
        let epoll = Self::new()?;
        epoll.add(fd, events, 0)?;
        Ok(epoll)
    }

    /// `EPOLL_CTL_ADD`.
    pub fn add(&self, fd: impl AsFd, events: EpollFlags, data: u64) -> Result<()> {
        control(self, libc::EPOLL_CTL_ADD, fd, Some((data, events)))
    }

    /// `EPOLL_CTL_MOD`.
    pub fn modify(&self, fd: impl AsFd, events: EpollFlags, data: u64) -> Result<()> {
        control(self, libc::EPOLL_CTL_MOD, fd, Some((data, events)))
    }

    /// `EPOLL_CTL_DEL`, without an event.
    pub fn delete(&self, fd: impl AsFd) -> Result<()> {
        control(self, libc::EPOLL_CTL_DEL, fd, None)
    }

    /// `epoll_wait` for up to so many events; the timeout is in milliseconds.
    pub fn wait(&self, room: usize, timeout: c_int) -> Result<Vec<Event>> {
        take(room, |events| {
            // SAFETY: there is room for so many events.
            unsafe { libc::epoll_wait(self.raw(), events, room as c_int, timeout) }
        })
    }

    /// What is reported first now.
    pub fn now(&self) -> Result<Option<EpollFlags>> {
        Ok(self.wait(1, 0)?.first().map(|event| event.1))
    }

    /// What is reported first, asleep until then.
    pub fn sleep(&self) -> Result<Option<EpollFlags>> {
        Ok(self.wait(1, -1)?.first().map(|event| event.1))
    }

    /// The data of all that is reported now, the smallest first.
    pub fn ready(&self) -> Result<Vec<u64>> {
        let mut ready: Vec<_> = self.wait(64, 0)?.iter().map(|event| event.0).collect();
        ready.sort_unstable();
        Ok(ready)
    }

    /// `epoll_pwait` for one event; the timeout is in milliseconds.
    pub fn wait_with(&self, timeout: c_int, mask: Option<Signals>) -> Result<Option<EpollFlags>> {
        let mask = mask.map(Signals::as_c);
        let mask = mask.as_ref().map_or(null(), std::ptr::from_ref);
        let events = take(1, |events| {
            // SAFETY: there is room for one event.
            unsafe { libc::epoll_pwait(self.raw(), events, 1, timeout, mask) }
        })?;
        Ok(events.first().map(|event| event.1))
    }

    /// `epoll_pwait2` for one event, past the C library, which may lack it.
    pub fn wait_precisely(
        &self,
        timeout: Option<Duration>,
        mask: Option<Signals>,
    ) -> Result<Option<EpollFlags>> {
        // The kernel's structure is two 64-bit numbers everywhere.
        let timeout = timeout.map(|time| [time.as_secs(), time.subsec_nanos().into()]);
        let timeout = timeout.as_ref().map_or(null(), std::ptr::from_ref);
        let mask = mask.map(Signals::as_c);
        let mask = mask.as_ref().map_or(null(), std::ptr::from_ref);
        let (call, epoll) = (libc::SYS_epoll_pwait2, self.raw());
        let events = take(1, |events| {
            // SAFETY: there is room for one event; the mask begins with the
            // eight bytes that are told.
            unsafe { libc::syscall(call, epoll, events, 1, timeout, mask, 8_usize) as c_int }
        })?;
        Ok(events.first().map(|event| event.1))
    }

    /// `EPIOCGPARAMS`.
    pub fn parameters(&self) -> Result<Parameters> {
        // Poisoned: the kernel fills it whole.
        let mut told = Parameters { usecs: !0, budget: !0, prefer: !0, pad: !0 };
        // SAFETY: there is room for what is told.
        unsafe { get_parameters(self.raw(), &raw mut told) }.map(|_| told)
    }

    /// `EPIOCSPARAMS`.
    pub fn set_parameters(&self, parameters: Parameters) -> Result<()> {
        // SAFETY: the kernel only reads it.
        unsafe { set_parameters(self.raw(), &raw const parameters) }.map(drop)
    }

    fn raw(&self) -> c_int {
        self.0.as_raw_fd()
    }
}

/// What a call gives that stores up to `room` events.
fn take(room: usize, call: impl FnOnce(*mut epoll_event) -> c_int) -> Result<Vec<Event>> {
    let mut events = vec![epoll_event { events: 0, u64: 0 }; room];
    let count = answer(call(events.as_mut_ptr()))?;
    events.truncate(count as usize);
    let event = |event: epoll_event| (event.u64, EpollFlags::from_bits_retain(event.events as i32));
    Ok(events.into_iter().map(event).collect())
}

/// `epoll_ctl` with any operation, on what may be no epoll instance; without
/// an event, a null pointer.
pub fn control(
    epoll: impl AsFd,
    operation: c_int,
    fd: impl AsFd,
    event: Option<Event>,
) -> Result<()> {
    let mut event =
        event.map(|(data, events)| epoll_event { events: events.bits() as u32, u64: data });
    let event = event.as_mut().map_or(null_mut(), std::ptr::from_mut);
    let (epoll, fd) = (epoll.as_fd().as_raw_fd(), fd.as_fd().as_raw_fd());
    // SAFETY: the event is on this stack.
    answer(unsafe { libc::epoll_ctl(epoll, operation, fd, event) }).map(drop)
}

/// `epoll_wait` into memory of the caller's, on what may be no epoll instance,
/// with any number as the room that there is said to be; it does not sleep.
pub fn wait_into(epoll: impl AsFd, memory: Memory, room: c_int) -> Result<usize> {
    // SAFETY: the caller's memory is no object of this language.
    let count = unsafe { libc::epoll_wait(epoll.as_fd().as_raw_fd(), memory.pointer(), room, 0) };
    answer(count).map(|count| count as usize)
}
