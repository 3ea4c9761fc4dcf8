//! Sockets: what can be made, local, Internet, raw.

pub mod domains;
pub mod inet;
pub mod raw;
pub mod unix;

use ipcspec_harness::{Case, Child, Verdict};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::AsFd;

use crate::sys::sockets::Socket;

/// The cases of this mechanism.
pub const CASES: &[&[Case]] = &[domains::CASES, unix::CASES, inet::CASES, raw::CASES];

/// Sleeps until poll reports one of these events, or an error; violated when
/// it never does. What is sent over loopback may arrive after the call that
/// sent it.
fn wait_for(socket: &Socket, events: PollFlags) -> Verdict {
    let poller = Child::spawn(|| {
        poll(
            &mut [PollFd::new(socket.as_fd(), events)],
            PollTimeout::NONE,
        )?;
        Ok(())
    })?;
    poller.join()
}
