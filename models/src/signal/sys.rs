//! What actors do with signals, as system calls, and what their handlers
//! leave in shared memory.
#![allow(unsafe_code)]

use std::mem::zeroed;
use std::ptr::null_mut;

use std::time::Duration;

use libc::{c_int, c_void, siginfo_t, sigset_t, timespec};
use nix::Result;
use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::unistd::Pid;

use super::{Action, How, Info, Set, Sig};

/// `kill`.
pub fn kill(to: Pid, signal: c_int) -> Result<()> {
    // SAFETY: takes numbers.
    Errno::result(unsafe { libc::kill(to.as_raw(), signal) }).map(drop)
}

/// `sigqueue`.
pub fn queue(to: Pid, signal: c_int, value: usize) -> Result<()> {
    let value = libc::sigval { sival_ptr: std::ptr::without_provenance_mut(value) };
    // SAFETY: the value is never followed.
    Errno::result(unsafe { libc::sigqueue(to.as_raw(), signal, value) }).map(drop)
}

/// `tgkill`, of the only thread of a process.
pub fn tgkill(to: Pid, signal: c_int) -> Result<()> {
    let to = to.as_raw();
    // SAFETY: takes numbers.
    Errno::result(unsafe { libc::syscall(libc::SYS_tgkill, to, to, signal) }).map(drop)
}

/// `sigaction`.
pub fn act(signal: c_int, action: Action) -> Result<()> {
    // SAFETY: the action is complete; the handler is async-signal-safe.
    unsafe {
        let mut new: libc::sigaction = zeroed();
        libc::sigfillset(&raw mut new.sa_mask);
        new.sa_flags = libc::SA_SIGINFO;
        new.sa_sigaction = match action {
            Action::Default => libc::SIG_DFL,
            Action::Ignore => libc::SIG_IGN,
            Action::Handle { restart } => {
                if restart {
                    new.sa_flags |= libc::SA_RESTART;
                }
                let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = on_signal;
                handler as *const () as usize
            }
        };
        Errno::result(libc::sigaction(signal, &raw const new, null_mut())).map(drop)
    }
}

/// Every action as at the start of a program, nothing pending, nothing
/// blocked.
pub fn reset() {
    for signal in Sig::ALL {
        if !matches!(signal, Sig::Stop | Sig::Kill) {
            // What is pending goes with it, blocked or not.
            let _ = act(signal.number(), Action::Ignore);
            let _ = act(signal.number(), signal.action_at_start());
        }
    }
    let _ = mask(How::Set, Set::NONE);
}

/// The signals of programs in a set of the C library.
fn from_c(set: &sigset_t) -> Set {
    let is_in = |signal: &Sig| {
        // SAFETY: the set is initialised, and the number is that of a signal.
        unsafe { libc::sigismember(set, signal.number()) == 1 }
    };
    let signals = Sig::ALL.into_iter().filter(is_in);
    signals.fold(Set::NONE, |set, signal| set.and(Set::of(&[signal])))
}

/// A set of the C library with these signals.
fn into_c(set: Set) -> sigset_t {
    // SAFETY: the set is initialised, and the numbers are those of signals.
    unsafe {
        let mut c: sigset_t = zeroed();
        libc::sigemptyset(&raw mut c);
        for signal in set.signals() {
            libc::sigaddset(&raw mut c, signal.number());
        }
        c
    }
}

/// `sigprocmask`: the set that was blocked before.
pub fn mask(how: How, set: Set) -> Result<Set> {
    let how = match how {
        How::Block => libc::SIG_BLOCK,
        How::Unblock => libc::SIG_UNBLOCK,
        How::Set => libc::SIG_SETMASK,
        How::Unknown => 99,
    };
    let (set, mut old) = (into_c(set), into_c(Set::NONE));
    // SAFETY: both sets are live.
    Errno::result(unsafe { libc::sigprocmask(how, &raw const set, &raw mut old) })?;
    Ok(from_c(&old))
}

/// `sigpending`.
pub fn pending() -> Result<Set> {
    let mut set = into_c(Set::NONE);
    // SAFETY: the set is live.
    Errno::result(unsafe { libc::sigpending(&raw mut set) })?;
    Ok(from_c(&set))
}

/// `rt_sigtimedwait`, without the C library, which makes SI_USER of SI_TKILL;
/// no time is for ever.
pub fn wait(set: Set, time: Option<Duration>) -> Result<Info> {
    let set = into_c(set);
    let time = time.map(TimeSpec::from);
    let time: *const timespec =
        time.as_ref().map_or(std::ptr::null(), |time| std::ptr::from_ref(time.as_ref()));
    // SAFETY: the kernel reads the 8 bytes with which the set begins, and the
    // time, and writes one siginfo_t.
    unsafe {
        let mut info: siginfo_t = zeroed();
        let (set, into) = (&raw const set, &raw mut info);
        Errno::result(libc::syscall(libc::SYS_rt_sigtimedwait, set, into, time, 8))?;
        Ok(told(&info))
    }
}

/// `sigsuspend`.
pub fn suspend(mask: Set) -> Result<()> {
    let mask = into_c(mask);
    // SAFETY: the set is live.
    Errno::result(unsafe { libc::sigsuspend(&raw const mask) }).map(drop)
}

/// `pause`.
pub fn pause() -> Result<()> {
    // SAFETY: takes nothing.
    Errno::result(unsafe { libc::pause() }).map(drop)
}

/// What a siginfo_t tells of a signal that a process sent.
fn told(info: &siginfo_t) -> Info {
    // SAFETY: a field that this signal does not have is some number.
    let (pid, value) = unsafe { (info.si_pid(), info.si_value().sival_ptr as usize) };
    let value = if info.si_code == libc::SI_QUEUE { value as i64 } else { 0 };
    let from = crate::stage::actor_by_now(pid);
    Info { signal: info.si_signo, code: info.si_code, from, value }
}

extern "C" fn on_signal(signal: c_int, info: *mut siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel passes a valid siginfo.
    let info = told(unsafe { &*info });
    crate::stage::note_handled(Info { signal, ..info });
}
