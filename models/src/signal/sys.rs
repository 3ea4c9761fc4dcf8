//! What actors do with signals, as system calls, and what their handlers
//! leave in shared memory.
#![allow(unsafe_code)]

use std::mem::zeroed;
use std::ptr::null_mut;

use libc::{c_int, c_void, siginfo_t};
use nix::Result;
use nix::errno::Errno;
use nix::unistd::Pid;

use super::{Action, Sig};

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
    // SAFETY: an empty set.
    unsafe {
        let mut none: libc::sigset_t = zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, null_mut());
    }
}

extern "C" fn on_signal(signal: c_int, info: *mut siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel passes a valid siginfo.
    let info = unsafe { &*info };
    // SAFETY: as above; a field that this signal does not have is some number.
    let (pid, value) = unsafe { (info.si_pid(), info.si_value().sival_ptr as usize) };
    let value = if info.si_code == libc::SI_QUEUE { value as i64 } else { 0 };
    crate::stage::note_handled(signal, info.si_code, pid, value);
}
