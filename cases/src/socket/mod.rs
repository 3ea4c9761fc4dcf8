//! Sockets: what can be made, local, Internet, raw.

pub mod domains;
pub mod inet;
pub mod raw;
pub mod unix;

use ipcspec_harness::{Case, Child, Verdict};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::AsFd;

/// The cases of this mechanism.
pub const CASES: &[&[Case]] = &[domains::CASES, unix::CASES, inet::CASES, raw::CASES];

/// Sleeps until poll reports one of these events, or an error; violated when
/// it never does. What is sent over loopback, and what is closed on its way,
/// may come after the call that did it.
fn wait_for(fd: &impl AsFd, events: PollFlags) -> Verdict {
    let poller = Child::spawn(|| {
        poll(&mut [PollFd::new(fd.as_fd(), events)], PollTimeout::NONE)?;
        Ok(())
    })?;
    poller.join()
}
