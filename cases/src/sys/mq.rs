//! POSIX message queues.

use std::ffi::CString;
use std::fmt;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use ipcspec_harness::{Facility, Need, Verdict};
use libc::{O_CREAT, O_EXCL, O_RDWR, c_int, c_long};
use nix::Result;
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::time::TimeSpec;

use super::{answer, name_of, unique_name};

/// Queues at all.
pub const QUEUES: Need =
    Need::Facility(Facility { name: "POSIX message queues", probe: probe_queues });
/// Sending and receiving, without which a queue can only be made and removed.
pub const TRANSFER: Need =
    Need::Facility(Facility { name: "mq_timedsend and mq_timedreceive", probe: probe_transfer });
/// Asking for a notification.
pub const NOTIFICATION: Need =
    Need::Facility(Facility { name: "mq_notify", probe: probe_notification });
/// Reading and setting attributes.
pub const ATTRIBUTES: Need =
    Need::Facility(Facility { name: "mq_getsetattr", probe: probe_attributes });
/// The ceilings and defaults that `mq_overview(7)` puts in /proc.
pub const CEILINGS: Need =
    Need::Facility(Facility { name: "/proc/sys/fs/mqueue", probe: probe_ceilings });
/// The limit on the bytes of all queues of a user.
pub const RESOURCE_LIMIT: Need =
    Need::Facility(Facility { name: "RLIMIT_MSGQUEUE", probe: probe_resource_limit });

/// An open POSIX message queue. nix's `MqdT` neither closes itself nor
/// registers for notifications, so this is an owned descriptor, as Linux
/// documents it to be.
#[derive(Debug)]
pub struct Mq(OwnedFd);

/// The attributes of a queue, by the names that `mq_getattr(3)` gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Attr {
    /// 0 or `O_NONBLOCK`.
    pub flags: c_long,
    /// Messages.
    pub maxmsg: c_long,
    /// Bytes.
    pub msgsize: c_long,
    /// Messages.
    pub curmsgs: c_long,
}

impl Attr {
    /// Room for `maxmsg` messages of up to `msgsize` bytes each.
    pub const fn new(maxmsg: c_long, msgsize: c_long) -> Self {
        Self { flags: 0, maxmsg, msgsize, curmsgs: 0 }
    }
}

impl From<Attr> for libc::mq_attr {
    fn from(attr: Attr) -> Self {
        // SAFETY: plain numbers, some of them padding.
        let mut raw: Self = unsafe { std::mem::zeroed() };
        raw.mq_flags = attr.flags;
        raw.mq_maxmsg = attr.maxmsg;
        raw.mq_msgsize = attr.msgsize;
        raw.mq_curmsgs = attr.curmsgs;
        raw
    }
}

impl From<libc::mq_attr> for Attr {
    fn from(raw: libc::mq_attr) -> Self {
        Self {
            flags: raw.mq_flags,
            maxmsg: raw.mq_maxmsg,
            msgsize: raw.mq_msgsize,
            curmsgs: raw.mq_curmsgs,
        }
    }
}

/// How a process asks to be told of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notify {
    /// `SIGEV_NONE`, with SIGUSR1 as a signal that must not come.
    Nothing,
    /// `SIGEV_SIGNAL` with this signal number and this value, which comes
    /// back in `si_value`.
    Signal(c_int, usize),
    /// A `sigev_notify` that does not exist.
    Unknown,
}

/// A message as a receive gives it.
#[derive(Clone, PartialEq, Eq)]
pub struct Letter {
    /// All of its bytes.
    pub body: Vec<u8>,
    /// The higher the sooner.
    pub priority: u32,
}

impl Letter {
    /// A message with this body and this priority.
    pub fn new(body: &[u8], priority: u32) -> Self {
        Self { body: body.to_vec(), priority }
    }
}

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of priority {}", ipcspec_harness::show::bytes(&self.body), self.priority)
    }
}

/// A name for a queue, which is unlinked when the case is over.
pub fn queue_name() -> Verdict<String> {
    unique_name(|number| {
        let _ = Mq::unlink(&name_of(number));
    })
}

impl Mq {
    /// A new queue under a name of its own, open for both directions; the
    /// name.
    pub fn create(attr: Attr) -> Verdict<(Self, String)> {
        let name = queue_name()?;
        Ok((Self::open_with(&name, O_RDWR | O_EXCL, 0o600, Some(attr))?, name))
    }

    /// `mq_open(name, flags)`, for flags without `O_CREAT`.
    pub fn open(name: &str, flags: c_int) -> Result<Self> {
        let name = CString::new(name).map_err(|_| Errno::EINVAL)?;
        // SAFETY: the name ends with a zero; the descriptor is owned from
        // here on.
        unsafe { answer(libc::mq_open(name.as_ptr(), flags)).map(|fd| Self::own(fd)) }
    }

    /// `mq_open(name, flags | O_CREAT, mode, attr)`.
    pub fn open_with(name: &str, flags: c_int, mode: u32, attr: Option<Attr>) -> Result<Self> {
        let name = CString::new(name).map_err(|_| Errno::EINVAL)?;
        let attr = attr.map(libc::mq_attr::from);
        let attr = attr.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: the name ends with a zero and the attributes are on this
        // stack; the descriptor is owned from here on.
        unsafe {
            answer(libc::mq_open(name.as_ptr(), flags | O_CREAT, mode, attr))
                .map(|fd| Self::own(fd))
        }
    }

    // SAFETY: for a descriptor that nothing else owns.
    unsafe fn own(fd: libc::mqd_t) -> Self {
        Self(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    fn fd(&self) -> libc::mqd_t {
        self.0.as_raw_fd()
    }

    /// `mq_unlink`.
    pub fn unlink(name: &str) -> Result<()> {
        nix::mqueue::mq_unlink(name)
    }

    /// `mq_send`.
    pub fn send(&self, body: &[u8], priority: u32) -> Result<()> {
        // SAFETY: the body is as long as told.
        answer(unsafe { libc::mq_send(self.fd(), body.as_ptr().cast(), body.len(), priority) })
            .map(drop)
    }

    /// `mq_timedsend`, to be given up at `time` of the realtime clock.
    pub fn send_until(&self, body: &[u8], priority: u32, time: TimeSpec) -> Result<()> {
        let (address, time) = (body.as_ptr().cast(), time.as_ref());
        // SAFETY: as above; the time lives until the call returns.
        answer(unsafe { libc::mq_timedsend(self.fd(), address, body.len(), priority, time) })
            .map(drop)
    }

    /// `mq_receive` with a buffer of `size` bytes; what came.
    pub fn receive(&self, size: usize) -> Result<Letter> {
        let (mut body, mut priority) = (vec![0; size], 0);
        // SAFETY: the buffer is as long as told.
        let length = answer(unsafe {
            libc::mq_receive(self.fd(), body.as_mut_ptr().cast(), size, &raw mut priority)
        })?;
        body.truncate(length as usize);
        Ok(Letter { body, priority })
    }

    /// `mq_timedreceive`, to be given up at `time` of the realtime clock.
    pub fn receive_until(&self, size: usize, time: TimeSpec) -> Result<Letter> {
        let (mut body, mut priority) = (vec![0; size], 0);
        // SAFETY: as above; the time lives until the call returns.
        let length = answer(unsafe {
            let address = body.as_mut_ptr().cast();
            libc::mq_timedreceive(self.fd(), address, size, &raw mut priority, time.as_ref())
        })?;
        body.truncate(length as usize);
        Ok(Letter { body, priority })
    }

    /// `mq_getattr`.
    pub fn attr(&self) -> Result<Attr> {
        let mut old = MaybeUninit::<libc::mq_attr>::zeroed();
        // SAFETY: one mq_attr is written, which is plain data.
        unsafe {
            answer(libc::mq_getattr(self.fd(), old.as_mut_ptr()))?;
            Ok(old.assume_init().into())
        }
    }

    /// `mq_setattr`; the attributes before.
    pub fn set_attr(&self, new: Attr) -> Result<Attr> {
        let new = libc::mq_attr::from(new);
        let mut old = MaybeUninit::<libc::mq_attr>::zeroed();
        // SAFETY: one mq_attr is read and one is written.
        unsafe {
            answer(libc::mq_setattr(self.fd(), &raw const new, old.as_mut_ptr()))?;
            Ok(old.assume_init().into())
        }
    }

    /// `mq_notify`: registers this process.
    pub fn notify(&self, how: Notify) -> Result<()> {
        // SAFETY: plain data of which the kernel reads three fields.
        let mut event: libc::sigevent = unsafe { std::mem::zeroed() };
        match how {
            Notify::Nothing => {
                event.sigev_notify = libc::SIGEV_NONE;
                event.sigev_signo = libc::SIGUSR1;
            }
            Notify::Signal(signal, value) => {
                event.sigev_notify = libc::SIGEV_SIGNAL;
                event.sigev_signo = signal;
                event.sigev_value.sival_ptr = std::ptr::without_provenance_mut(value);
            }
            Notify::Unknown => event.sigev_notify = c_int::MAX,
        }
        // The C library calls the kernel with this very structure, unless it
        // is asked for SIGEV_THREAD. SAFETY: the event is on this stack.
        answer(unsafe { libc::syscall(libc::SYS_mq_notify, self.fd(), &raw const event) }).map(drop)
    }

    /// `mq_notify` with no event: ends the registration of this process.
    pub fn notify_no_more(&self) -> Result<()> {
        let none = std::ptr::null::<libc::sigevent>();
        // SAFETY: a null pointer is part of the interface.
        answer(unsafe { libc::syscall(libc::SYS_mq_notify, self.fd(), none) }).map(drop)
    }
}

impl From<OwnedFd> for Mq {
    /// Takes any descriptor for a queue, so that calls can be seen to refuse
    /// one that is not.
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl AsFd for Mq {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Whether the call is there, told by how it refuses a descriptor of -1.
fn there<T>(got: &Result<T>) -> Result<()> {
    match got {
        Err(Errno::ENOSYS) => Err(Errno::ENOSYS),
        _ => Ok(()),
    }
}

fn probe_queues() -> Result<()> {
    there(&Mq::open("/ipcspec-no-such-queue", libc::O_RDONLY))
}

fn probe_transfer() -> Result<()> {
    probe_queues()?;
    // SAFETY: there is no queue, so nothing is read or written.
    unsafe {
        there(&answer(libc::mq_send(-1, c"".as_ptr(), 0, 0)))?;
        there(&answer(libc::mq_receive(-1, std::ptr::null_mut(), 0, std::ptr::null_mut())))
    }
}

fn probe_notification() -> Result<()> {
    let none = std::ptr::null::<libc::sigevent>();
    // SAFETY: a null pointer is part of the interface.
    there(&answer(unsafe { libc::syscall(libc::SYS_mq_notify, -1, none) }))
}

fn probe_attributes() -> Result<()> {
    let mut old = MaybeUninit::<libc::mq_attr>::zeroed();
    // SAFETY: at most one mq_attr is written.
    there(&answer(unsafe { libc::mq_getattr(-1, old.as_mut_ptr()) }))
}

fn probe_ceilings() -> Result<()> {
    nix::sys::stat::stat("/proc/sys/fs/mqueue/msg_max").map(drop)
}

fn probe_resource_limit() -> Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_MSGQUEUE)?;
    setrlimit(Resource::RLIMIT_MSGQUEUE, soft, hard)
}
