//! What may stand between a case and the kernel: a process beside the case's
//! own, such as a tracer.
#![allow(unsafe_code)]

use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

use crate::arena::arena_if_any;
use crate::meet::patience;
use crate::{Latch, Verdict};

/// Accompanies cases. Which of several companions it is to be is told by a
/// name, one of those that the program knows.
#[derive(Debug, Clone, Copy)]
pub struct Companion {
    /// Runs in the process of the case when its needs are met and `attend`
    /// has said that it is ready, right before the case.
    pub prepare: fn(name: &str) -> Verdict,
    /// Runs in a process of its own, beside that of the case, which waits
    /// until `ready` is called. It is killed when the case's process is gone.
    pub attend: fn(name: &str, case: Pid, ready: &dyn Fn()),
}

/// Leaves a mark in the report of the case: a number below 1024 that means
/// something to who asked for the companion. Outside a worker there is no
/// report to leave it in.
pub fn mark(number: usize) {
    if let Some(arena) = arena_if_any() {
        arena.mark(number);
    }
}

/// The companion of one case, and how they meet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Escort<'n> {
    companion: Companion,
    name: &'n str,
    here: Latch,
    ready: Latch,
}

impl<'n> Escort<'n> {
    pub(crate) fn new(companion: Companion, name: &'n str) -> Verdict<Self> {
        Ok(Self { companion, name, here: Latch::new()?, ready: Latch::new()? })
    }

    /// In the process of the case.
    pub(crate) fn meet(self) -> Verdict {
        // Some kernels let nobody but a parent trace; this one is a sibling.
        // SAFETY: takes numbers; a kernel without it says EINVAL.
        unsafe { libc::prctl(libc::PR_SET_PTRACER, libc::PR_SET_PTRACER_ANY, 0, 0, 0) };
        self.here.open();
        self.ready.wait()?;
        (self.companion.prepare)(self.name)
    }

    /// In the keeper, which has one thread: starts the companion of `case`.
    /// `leave_keeper` gives up what is the keeper's alone.
    pub(crate) fn start(self, case: Pid, leave_keeper: impl FnOnce()) -> nix::Result<Pid> {
        // SAFETY: the keeper has one thread.
        match unsafe { fork() }? {
            ForkResult::Parent { child } => Ok(child),
            ForkResult::Child => {
                leave_keeper();
                if self.here.wait_until(Instant::now() + patience()) {
                    (self.companion.attend)(self.name, case, &|| self.ready.open());
                }
                // SAFETY: nothing of this process is left to run.
                unsafe { libc::_exit(0) }
            }
        }
    }
}

/// Ends a companion.
pub(crate) fn dismiss(companion: Pid) {
    let _ = kill(companion, Signal::SIGKILL);
    let _ = waitpid(companion, Some(WaitPidFlag::__WALL));
}
