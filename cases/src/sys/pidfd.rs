//! Descriptors that refer to a process or a thread.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::null;

use ipcspec_harness::Facility;
use libc::c_int;
use nix::Result;
use nix::unistd::{Pid, getpid, gettid};

use super::answer;
use super::signals::Sig;

/// The descriptor is of the thread, not of its process.
pub const PIDFD_THREAD: c_int = libc::O_EXCL;

/// `pidfd_open` and `pidfd_send_signal`.
pub const PIDFD: Facility =
    Facility { name: "pidfd_send_signal", probe: || Pidfd::open(getpid(), 0)?.send(Sig(0), 0) };

/// Descriptors of threads.
pub const OF_THREADS: Facility =
    Facility { name: "PIDFD_THREAD", probe: || Pidfd::open(gettid(), PIDFD_THREAD).map(drop) };

/// Whom a signal reaches, where that is not left to the descriptor.
#[derive(Debug, Clone, Copy)]
#[repr(u32)]
pub enum Scope {
    /// `PIDFD_SIGNAL_THREAD`
    Thread = 1,
    /// `PIDFD_SIGNAL_THREAD_GROUP`
    ThreadGroup = 1 << 1,
    /// `PIDFD_SIGNAL_PROCESS_GROUP`
    ProcessGroup = 1 << 2,
}

/// The flags of `pidfd_send_signal`.
pub const SCOPES: Facility = Facility {
    name: "flags of pidfd_send_signal",
    probe: || Pidfd::open(getpid(), 0)?.send(Sig(0), Scope::ThreadGroup as u32),
};

/// A descriptor of a process or a thread.
#[derive(Debug)]
pub struct Pidfd(OwnedFd);

impl Pidfd {
    /// `pidfd_open`.
    pub fn open(task: Pid, flags: c_int) -> Result<Self> {
        // SAFETY: takes numbers; what it gives is ours alone.
        unsafe {
            let fd = answer(libc::syscall(libc::SYS_pidfd_open, task.as_raw(), flags))?;
            Ok(Self(OwnedFd::from_raw_fd(fd as c_int)))
        }
    }

    /// `pidfd_send_signal`, which tells of its sender what kill does.
    pub fn send(&self, signal: impl Into<Sig>, flags: u32) -> Result<()> {
        let (call, fd, signal) = (libc::SYS_pidfd_send_signal, self.0.as_raw_fd(), signal.into());
        // SAFETY: takes numbers and a null pointer.
        answer(unsafe { libc::syscall(call, fd, signal.0, null::<libc::siginfo_t>(), flags) })
            .map(drop)
    }
}
