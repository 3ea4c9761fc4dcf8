//! Signals: what sends them, what they do, what holds them back.

pub mod actions;
pub mod delivery;
pub mod interruption;
pub mod pending;
pub mod pidfd;
pub mod sources;
pub mod terminal;

use ipcspec_harness::{Case, Child, Verdict};
use nix::unistd::{Pid, setpgid};

use crate::sys::calls::PAUSE;
use crate::sys::signals::pause;

/// The cases of this mechanism.
pub const CASES: &[&[Case]] = &[
    actions::CASES,
    delivery::CASES,
    interruption::CASES,
    pending::CASES,
    pidfd::CASES,
    sources::CASES,
    terminal::CASES,
];

/// A child that sleeps until a signal ends it. It leads a process group of its
/// own: the members of an orphaned one, such as the case's, do not stop.
fn idle() -> Verdict<Child> {
    let child = Child::spawn(|| {
        setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
        loop {
            let _ = pause();
        }
    })?;
    child.blocked_in(PAUSE)?;
    Ok(child)
}
