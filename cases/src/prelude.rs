//! What nearly every case uses.

pub use ipcspec_harness::{
    Cap, Case, Child, Children, Counter, End, Facility, Failure, Latch, Namespaces, Need, Syscalls,
    Thread, Verdict, case, check, close_copy, holds,
};
pub use nix::errno::Errno::{self, *};
pub use nix::fcntl::{FcntlArg, OFlag, fcntl};
pub use nix::sys::signal::Signal::{self, *};
pub use nix::unistd::{Pid, close, dup, getpid, pipe, pipe2, read, write};
pub use std::os::fd::{AsFd, AsRawFd, OwnedFd};
pub use std::time::{Duration, Instant};

pub use crate::pages::*;
pub use crate::refusals;
pub use crate::sys::calls::*;
pub use crate::sys::descriptors::{say, text};
