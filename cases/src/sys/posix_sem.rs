//! POSIX semaphores.

use std::ffi::CString;
use std::mem::size_of;
use std::num::NonZero;
use std::ptr::NonNull;

use ipcspec_harness::Verdict;
use nix::Result;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
use nix::sys::signal::Signal;
use nix::sys::time::TimeSpec;
use nix::unistd::{SysconfVar, sysconf};

use super::signals::Action;
use super::{answer, name_of, unique_name};

/// A POSIX semaphore. Its memory stays until the process ends.
#[derive(Debug)]
pub struct Semaphore(NonNull<libc::sem_t>);

impl Semaphore {
    /// `sem_init` with `pshared` 1, in anonymous memory that the children of
    /// this process share.
    pub fn shared(value: u32) -> Result<Self> {
        let size = NonZero::new(size_of::<libc::sem_t>()).ok_or(Errno::EINVAL)?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping, at an address of the kernel's choice.
        let at = unsafe { mmap_anonymous(None, size, access, MapFlags::MAP_SHARED) }?.cast();
        // SAFETY: the mapping is large enough, aligned, and never unmapped.
        answer(unsafe { libc::sem_init(at.as_ptr(), 1, value) })?;
        Ok(Self(at))
    }

    /// `sem_open(name, flags, mode, value)`.
    pub fn open(name: &str, flags: OFlag, mode: u32, value: u32) -> Result<Self> {
        let name = c_string(name)?;
        // SAFETY: the name ends in a NUL; mode and value are always passed.
        let at = unsafe { libc::sem_open(name.as_ptr(), flags.bits(), mode, value) };
        match NonNull::new(at) {
            Some(at) if at.as_ptr() != libc::SEM_FAILED => Ok(Self(at)),
            _ => Err(Errno::last()),
        }
    }

    /// A new named semaphore with this value; its name.
    pub fn named(value: u32) -> Verdict<(Self, String)> {
        let name = new_name()?;
        Ok((Self::open(&name, OFlag::O_CREAT | OFlag::O_EXCL, 0o600, value)?, name))
    }

    /// `sem_wait`: takes 1, or sleeps until it can.
    pub fn wait(&self) -> Result<()> {
        // SAFETY: the semaphore is initialised and stays mapped.
        answer(unsafe { libc::sem_wait(self.0.as_ptr()) }).map(drop)
    }

    /// `sem_trywait`: takes 1 if it can.
    pub fn try_wait(&self) -> Result<()> {
        // SAFETY: as for `wait`.
        answer(unsafe { libc::sem_trywait(self.0.as_ptr()) }).map(drop)
    }

    /// `sem_timedwait`: as [`Semaphore::wait`], until this time of
    /// `CLOCK_REALTIME`.
    pub fn timed_wait(&self, until: TimeSpec) -> Result<()> {
        // SAFETY: as for `wait`; the time is on this stack.
        answer(unsafe { libc::sem_timedwait(self.0.as_ptr(), until.as_ref()) }).map(drop)
    }

    /// `sem_post`: gives 1.
    pub fn post(&self) -> Result<()> {
        // SAFETY: as for `wait`.
        answer(unsafe { libc::sem_post(self.0.as_ptr()) }).map(drop)
    }

    /// `sem_getvalue`.
    pub fn value(&self) -> Result<i32> {
        let mut value = 0;
        // SAFETY: as for `wait`; the value is on this stack.
        answer(unsafe { libc::sem_getvalue(self.0.as_ptr(), &raw mut value) })?;
        Ok(value)
    }

    /// `sem_close`, for a named semaphore.
    pub fn close(self) -> Result<()> {
        // SAFETY: nobody uses it in this process afterwards.
        answer(unsafe { libc::sem_close(self.0.as_ptr()) }).map(drop)
    }

    /// Makes every `signal` to this process post this semaphore once.
    pub fn post_on(&self, signal: Signal, flags: libc::c_int) -> Result<()> {
        let sem = self.0.as_ptr();
        // SAFETY: sem_post is async-signal-safe, and the caller keeps the
        // semaphore as long as the signal can come.
        let post = move |_: &_| {
            let _ = unsafe { libc::sem_post(sem) };
        };
        Action::run(post).flags(flags).on(signal)
    }
}

/// `sem_unlink`.
pub fn unlink(name: &str) -> Result<()> {
    let name = c_string(name)?;
    // SAFETY: the name ends in a NUL.
    answer(unsafe { libc::sem_unlink(name.as_ptr()) }).map(drop)
}

/// A name that no semaphore has; what has it at the end of the case is
/// unlinked.
pub fn new_name() -> Verdict<String> {
    unique_name(|number| {
        let _ = unlink(&name_of(number));
    })
}

/// `SEM_VALUE_MAX`, as the C library tells it.
pub fn highest_value() -> Verdict<u32> {
    let value = sysconf(SysconfVar::SEM_VALUE_MAX)?;
    Ok(value.ok_or("no SEM_VALUE_MAX")?.try_into()?)
}

fn c_string(name: &str) -> Result<CString> {
    CString::new(name).map_err(|_| Errno::EINVAL)
}
