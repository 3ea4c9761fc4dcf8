//! What nearly every fault uses.

pub use ipcspec_cases::pages::*;
pub use ipcspec_cases::sys::calls::*;
pub use ipcspec_cases::sys::descriptors::{read_all, unread};
pub use ipcspec_cases::sys::memory::page_size;
pub use ipcspec_cases::sys::pipes::{PIPE_BUF, capacity};
pub use ipcspec_cases::sys::poll;
pub use ipcspec_harness::fault;
pub use nix::Result;
pub use nix::errno::Errno::{self, *};

pub use crate::{Arrival, Call, Effect, Fate, Fault, Fd, Kind, Notes};
