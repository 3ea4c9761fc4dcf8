//! Further processes and threads of a case.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::fmt;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::sched_yield;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork, gettid};

use crate::arena::{Slot, arena};
use crate::evidence::{Doing, Syscalls, Task};
use crate::meet::patience;
use crate::{Failure, Latch, Verdict, show};

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It exited with this status, 0 to 255.
    Exited(i32),
    /// This signal ended it.
    Killed(i32),
    /// This signal ended it and left a core.
    Dumped(i32),
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Exited(status) => write!(f, "exited with status {status}"),
            Self::Killed(signal) => write!(f, "killed by {}", show::signal(signal)),
            Self::Dumped(signal) => write!(f, "killed by {}, core dumped", show::signal(signal)),
        }
    }
}

impl End {
    /// The signal that ended it, with or without a core.
    pub fn signal(self) -> Option<i32> {
        match self {
            Self::Exited(_) => None,
            Self::Killed(signal) | Self::Dumped(signal) => Some(signal),
        }
    }

    /// The end that a wait status tells, if it tells one. Real-time signals
    /// are understood too.
    pub(crate) fn from_raw(status: libc::c_int) -> Option<Self> {
        if libc::WIFEXITED(status) {
            Some(Self::Exited(libc::WEXITSTATUS(status)))
        } else if libc::WIFSIGNALED(status) && libc::WCOREDUMP(status) {
            Some(Self::Dumped(libc::WTERMSIG(status)))
        } else if libc::WIFSIGNALED(status) {
            Some(Self::Killed(libc::WTERMSIG(status)))
        } else {
            None
        }
    }
}

/// A child process of a case. Dropping it kills and reaps it.
#[must_use = "a child that nobody joins is killed at once"]
pub struct Child {
    pid: Pid,
    slot: &'static Slot,
    reaped: Cell<bool>,
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "child {}", self.pid)
    }
}

impl Child {
    /// Forks; the child runs `body` and ends, with status 0 when it held and
    /// 1 when not. What `body` captures by value is the child's alone: the
    /// parent's copy is dropped. Everything else is open in both.
    pub fn spawn<F>(body: F) -> Verdict<Self>
    where
        F: FnOnce() -> Verdict,
    {
        let slot = arena().slot()?;
        // SAFETY: cases that fork while they have threads use the child for
        // async-signal-safe work only.
        match unsafe { fork() }.inspect_err(|_| slot.free())? {
            ForkResult::Parent { child } => Ok(Self { pid: child, slot, reaped: Cell::new(false) }),
            ForkResult::Child => finish(slot, body),
        }
    }

    /// Its process id, as this process sees it.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Sends it a signal.
    pub fn kill(&self, signal: Signal) -> nix::Result<()> {
        kill(self.pid, signal)
    }

    /// Waits for its end and takes over its verdict. Violated when it still
    /// sleeps in a system call after half of the case's deadline: whatever
    /// should have woken it did not.
    #[track_caller]
    pub fn join(self) -> Verdict {
        self.join_within(patience())
    }

    /// As [`Child::join`], for an end that the documentation promises within
    /// `limit`.
    #[track_caller]
    pub fn join_within(self, limit: Duration) -> Verdict {
        let name = format!("{self:?}");
        self.await_end(limit)?;
        let slot = self.slot;
        let end = self.reap()?;
        match (slot.taken(), end) {
            (Some(Ok(())), End::Exited(0)) => Ok(()),
            (Some(Err(failure)), _) => Err(failure.in_process(&name)),
            (_, end) => Err(Failure::broken(format!("{name} ended without a verdict: {end:?}"))),
        }
    }

    /// Waits for its end, of whatever kind.
    #[track_caller]
    pub fn wait(self) -> Verdict<End> {
        self.await_end(patience())?;
        self.reap()
    }

    /// Waits until a signal has stopped it; the signal. Violated when it still
    /// sleeps in a system call after half of the case's deadline.
    #[track_caller]
    pub fn wait_stopped(&self) -> Verdict<i32> {
        match self.wait_change(libc::WUNTRACED, "to stop")? {
            status if libc::WIFSTOPPED(status) => Ok(libc::WSTOPSIG(status)),
            status => self.ended_instead("stop", status),
        }
    }

    /// Waits until SIGCONT has continued it, as long as [`Child::wait_stopped`].
    #[track_caller]
    pub fn wait_continued(&self) -> Verdict {
        match self.wait_change(libc::WCONTINUED, "to continue")? {
            status if libc::WIFCONTINUED(status) => Ok(()),
            status => self.ended_instead("continue", status),
        }
    }

    /// Waits for proof that it sleeps in one of these system calls.
    #[track_caller]
    pub fn blocked_in(&self, calls: Syscalls) -> Verdict {
        match (Task::process(self.pid).blocked_in(calls, || self.ended()), self.slot.taken()) {
            // Why it ended says more than that it did not sleep.
            (Err(_), Some(Err(failure))) => Err(failure.in_process(&format!("{self:?}"))),
            (slept, _) => slept,
        }
    }

    /// Waits for proof that it sleeps in one of these system calls, sends it
    /// `signal` then, and joins it.
    #[track_caller]
    pub fn interrupt_in(self, calls: Syscalls, signal: Signal) -> Verdict {
        self.blocked_in(calls)?;
        self.kill(signal)?;
        self.join()
    }

    /// Waits for proof that it sleeps in one of these system calls, sends it
    /// `signal`, whose handler opens `handled`, and waits for proof that it
    /// sleeps there again.
    #[track_caller]
    pub fn sleeps_on_in(&self, calls: Syscalls, signal: Signal, handled: Latch) -> Verdict {
        self.blocked_in(calls)?;
        self.kill(signal)?;
        self.reaches(handled)?;
        self.blocked_in(calls)
    }

    /// Stops it, wherever it is, and lets it continue.
    #[track_caller]
    pub fn stop_and_continue(&self) -> Verdict {
        self.kill(Signal::SIGSTOP)?;
        self.wait_stopped()?;
        self.kill(Signal::SIGCONT)?;
        self.wait_continued()
    }

    /// Waits until it has opened `latch`: proof that nothing before that
    /// blocks. Violated when it sleeps in a system call instead.
    #[track_caller]
    pub fn reaches(&self, latch: Latch) -> Verdict {
        let limit = Instant::now() + patience();
        let slice = Duration::from_millis(50);
        while !latch.wait_until((Instant::now() + slice).min(limit)) {
            if let Some(end) = self.ended() {
                if latch.is_open() {
                    break;
                }
                let failure = match self.slot.taken() {
                    Some(Err(failure)) => failure.in_process(&format!("{self:?}")),
                    _ => Failure::broken(format!("{self:?} {end} before it came to the latch")),
                };
                return Err(failure);
            }
            if Instant::now() >= limit {
                return Err(self.stuck("to come to the latch"));
            }
        }
        Ok(())
    }

    fn ended_instead<T>(&self, what: &str, status: libc::c_int) -> Verdict<T> {
        self.reaped.set(true);
        let end = End::from_raw(status)
            .map_or_else(|| format!("wait status {status:#x}"), |end| format!("{end:?}"));
        Err(Failure::violated(&format!("{self:?}"), "", what, end))
    }

    /// The wait status of a stop or the like. No descriptor tells of those, so
    /// it asks again and again.
    #[track_caller]
    fn wait_change(&self, flags: libc::c_int, wanted: &str) -> Verdict<libc::c_int> {
        let limit = Instant::now() + patience();
        loop {
            match self.wait_status(flags | libc::WNOHANG)? {
                Some(status) => return Ok(status),
                None if Instant::now() >= limit => return Err(self.stuck(wanted)),
                None => drop(sched_yield()),
            }
        }
    }

    /// The wait status; none when WNOHANG is among the flags and nothing has
    /// happened.
    fn wait_status(&self, flags: libc::c_int) -> Verdict<Option<libc::c_int>> {
        let mut status = 0;
        loop {
            // SAFETY: `status` is on this stack.
            let got = unsafe { libc::waitpid(self.pid.as_raw(), &raw mut status, flags) };
            match Errno::result(got) {
                Ok(pid) => return Ok((pid > 0).then_some(status)),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// How it ended, if it has; it stays to be reaped.
    fn ended(&self) -> Option<String> {
        match peek(self.pid) {
            Ok(None) => None,
            Ok(Some(end)) => Some(match self.slot.taken() {
                Some(Err(failure)) => format!("ended: {failure}"),
                _ => format!("{end:?}"),
            }),
            Err(errno) => Some(format!("waitid gives {}", show::errno(errno))),
        }
    }

    #[track_caller]
    fn stuck(&self, wanted: &str) -> Failure {
        let task = Task::process(self.pid);
        let doing = task.doing();
        let got = doing.to_string();
        match doing {
            // One that makes one call after the other sleeps now and then.
            Doing::Call(_) | Doing::Asleep if !task.moves() => {
                Failure::violated(&format!("{self:?}"), "", wanted, got)
            }
            _ => Failure::broken(format!("{self:?} is {got}, wanted it {wanted}")),
        }
    }

    /// Returns when it can be reaped without sleeping, or after `limit`.
    #[track_caller]
    fn await_end(&self, limit: Duration) -> Verdict {
        if await_exit(self.pid, limit)? { Ok(()) } else { Err(self.stuck("to end")) }
    }

    fn reap(&self) -> Verdict<End> {
        let status = self.wait_status(0)?.unwrap_or_default();
        self.reaped.set(true);
        End::from_raw(status).ok_or_else(|| Failure::broken(format!("wait status {status:#x}")))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // A child that was reaped behind our back has given its id away.
        if !self.reaped.get() && peek(self.pid).is_ok() {
            let killed = kill(self.pid, Signal::SIGKILL);
            // One that became another user is left to the keeper.
            while killed.is_ok() && waitpid(self.pid, None) == Err(Errno::EINTR) {}
        }
        self.slot.free();
    }
}

/// Runs `body` in this freshly forked process, leaves the verdict and ends.
pub(crate) fn finish(slot: &Slot, body: impl FnOnce() -> Verdict) -> ! {
    let verdict = guarded(body);
    slot.leave(&verdict);
    let _ = std::io::Write::flush(&mut std::io::stdout());
    // SAFETY: ends this process without running what belongs to the parent.
    unsafe { libc::_exit(i32::from(verdict.is_err())) }
}

/// Runs `body`; a panic is a broken verdict.
fn guarded(body: impl FnOnce() -> Verdict) -> Verdict {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| {
        let text = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a value that is not text".to_owned());
        Err(Failure::broken(format!("panicked: {text}")))
    })
}

/// How `child` ended, if it has; it stays to be reaped. Past nix, which knows
/// no real-time signals.
fn peek(child: Pid) -> nix::Result<Option<End>> {
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: one siginfo_t is written; all zero, it says that nobody ended.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        Errno::result(libc::waitid(libc::P_PID, child.as_raw() as u32, &raw mut info, flags))?;
        let status = info.si_status();
        Ok((info.si_pid() != 0).then_some(match info.si_code {
            libc::CLD_EXITED => End::Exited(status),
            libc::CLD_DUMPED => End::Dumped(status),
            _ => End::Killed(status),
        }))
    }
}

/// Waits until `child` can be reaped without sleeping; `false` when it cannot
/// after `limit`.
pub(crate) fn await_exit(child: Pid, limit: Duration) -> nix::Result<bool> {
    let limit = Instant::now() + limit;
    // SAFETY: a plain system call; the descriptor is owned from here on.
    let pidfd = unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, child.as_raw(), 0);
        (fd >= 0).then(|| OwnedFd::from_raw_fd(fd as libc::c_int))
    };
    let Some(pidfd) = pidfd else {
        // A kernel without pidfd is asked again and again.
        while peek(child)?.is_none() {
            if Instant::now() >= limit {
                return Ok(false);
            }
            let _ = sched_yield();
        }
        return Ok(true);
    };
    loop {
        let left = limit.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        let timeout =
            PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(errno) => return Err(errno),
        }
    }
}

/// Several children that sleep and end together. Dropping them kills and reaps them.
#[derive(Debug)]
#[must_use = "children that are not kept are killed at once"]
pub struct Children(Vec<Child>);

impl Children {
    /// Forks `count` children; each is told which one it is, from 0.
    pub fn spawn(count: usize, body: impl Fn(usize) -> Verdict) -> Verdict<Self> {
        (0..count).map(|which| Child::spawn(|| body(which))).collect::<Verdict<_>>().map(Self)
    }

    /// Waits for proof that each of them sleeps in one of these system calls.
    #[track_caller]
    pub fn blocked_in(&self, calls: Syscalls) -> Verdict {
        for child in self.iter() {
            child.blocked_in(calls)?;
        }
        Ok(())
    }

    /// Waits for the end of all and takes over their verdicts.
    #[track_caller]
    pub fn join(self) -> Verdict {
        for child in self {
            child.join()?;
        }
        Ok(())
    }
}

impl<C: Into<Vec<Child>>> From<C> for Children {
    fn from(children: C) -> Self {
        Self(children.into())
    }
}

impl Deref for Children {
    type Target = [Child];

    fn deref(&self) -> &[Child] {
        &self.0
    }
}

impl IntoIterator for Children {
    type Item = Child;
    type IntoIter = std::vec::IntoIter<Child>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// A further thread of this process, for claims about threads.
#[must_use = "a thread that nobody joins goes on until the process ends"]
#[derive(Debug)]
pub struct Thread {
    tid: Pid,
    handle: JoinHandle<Verdict>,
}

impl Thread {
    /// Starts a thread that runs `body`.
    pub fn spawn<F>(body: F) -> Verdict<Self>
    where
        F: FnOnce() -> Verdict + Send + 'static,
    {
        let (tell, told) = mpsc::channel();
        let handle = std::thread::Builder::new().spawn(move || {
            let _ = tell.send(gettid());
            guarded(body)
        })?;
        let tid = told.recv().map_err(|_| "the thread did not start")?;
        Ok(Self { tid, handle })
    }

    /// Its thread id.
    pub fn tid(&self) -> Pid {
        self.tid
    }

    /// Its POSIX thread handle, for `pthread_kill` and the like.
    pub fn pthread(&self) -> libc::pthread_t {
        use std::os::unix::thread::JoinHandleExt;
        self.handle.as_pthread_t()
    }

    /// Waits for proof that it sleeps in one of these system calls.
    #[track_caller]
    pub fn blocked_in(&self, calls: Syscalls) -> Verdict {
        let task = Task { pid: Pid::this(), tid: self.tid };
        task.blocked_in(calls, || self.handle.is_finished().then(|| "it has returned".to_owned()))
    }

    /// Waits for its end and takes over its verdict.
    pub fn join(self) -> Verdict {
        self.handle.join().unwrap_or_else(|_| Err(Failure::broken("the thread was lost")))
    }
}

/// Closes this process's copy of a descriptor that another process, or an
/// outer owner that will not be dropped here, still has: for the child side
/// of a fork.
pub fn close_copy(fd: &impl AsFd) -> Verdict {
    // SAFETY: the owner lives in a stack frame that this process never
    // unwinds into; a child ends with _exit.
    Errno::result(unsafe { libc::close(fd.as_fd().as_raw_fd()) })?;
    Ok(())
}
