//! How the processes of a case meet: no sleep, no descriptor.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use crate::arena::arena;
use crate::{Failure, Verdict};

/// A gate that is closed until some process of the case opens it, and open
/// from then on. A copy is the same gate, in every process.
#[derive(Debug, Clone, Copy)]
pub struct Latch(&'static AtomicU32);

impl Latch {
    /// A closed latch.
    pub fn new() -> Verdict<Self> {
        let word = arena().word()?;
        // SAFETY: the first half of a live, aligned, shared 64-bit word that
        // nothing else uses.
        Ok(Self(unsafe { AtomicU32::from_ptr(word.as_ptr().cast()) }))
    }

    /// Opens it, and wakes whoever waits. Async-signal-safe.
    pub fn open(self) {
        self.0.store(1, SeqCst);
        // SAFETY: FUTEX_WAKE only looks the address up.
        unsafe {
            libc::syscall(libc::SYS_futex, self.0.as_ptr(), libc::FUTEX_WAKE, i32::MAX);
        }
    }

    /// Whether it is open.
    pub fn is_open(self) -> bool {
        self.0.load(SeqCst) == 1
    }

    /// Sleeps until it is open; broken when that takes more than half of the
    /// case's deadline.
    #[track_caller]
    pub fn wait(self) -> Verdict {
        if self.wait_until(Instant::now() + patience()) {
            Ok(())
        } else {
            Err(Failure::broken("nobody came to the latch in half of the case's deadline"))
        }
    }

    /// Sleeps until it is open or `limit` has come; whether it is open.
    pub(crate) fn wait_until(self, limit: Instant) -> bool {
        while !self.is_open() {
            let left = limit.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let timeout = libc::timespec {
                tv_sec: left.as_secs() as libc::time_t,
                tv_nsec: libc::c_long::from(left.subsec_nanos() as i32),
            };
            // SAFETY: the word is live and the timeout is on this stack.
            unsafe {
                libc::syscall(
                    libc::SYS_futex,
                    self.0.as_ptr(),
                    libc::FUTEX_WAIT,
                    0,
                    &raw const timeout,
                );
            }
        }
        true
    }
}

/// How long a process of a case waits for another before it says so: half of
/// the case's deadline, factor included.
pub(crate) fn patience() -> Duration {
    Duration::from_millis(arena().deadline_millis() / 2)
}

/// A 64-bit number that all processes of the case share, at 0. A copy is the
/// same number.
#[derive(Debug, Clone, Copy)]
pub struct Counter(&'static AtomicU64);

impl Counter {
    /// A number at 0.
    pub fn new() -> Verdict<Self> {
        Ok(Self(arena().word()?))
    }

    /// The number now.
    pub fn get(self) -> u64 {
        self.0.load(SeqCst)
    }

    /// Sets it.
    pub fn set(self, value: u64) {
        self.0.store(value, SeqCst);
    }

    /// Adds atomically; the number before.
    #[allow(clippy::should_implement_trait)]
    pub fn add(self, value: u64) -> u64 {
        self.0.fetch_add(value, SeqCst)
    }
}
