//! Runs the cases of ipcspec: each in a forked process of its own, in
//! namespaces of its own, under a deadline, with a verdict that has to be
//! positive.
//!
//! A program with cases calls [`serve_if_asked`] first in `main`, then starts
//! a [`Pool`] and hands it one [`Case`] after another. A case is written with
//! [`macro@case`] and [`check!`]; further processes are [`Child`]ren, which
//! meet at a [`Latch`] and are proven to sleep with
//! [`Child::blocked_in`].
//!
//! The harness knows no mechanism of inter-process communication.

mod arena;
mod case;
mod child;
mod companion;
mod evidence;
mod isolation;
mod keeper;
mod meet;
mod needs;
mod pool;
mod port;
pub mod show;
pub mod target;
mod verdict;

pub use arena::{remember, seed};
pub use case::{Case, Page, Source};
pub use child::{Child, Children, End, Thread, close_copy};
pub use companion::{Companion, mark};
pub use evidence::{Evidence, Look, Observer, Syscalls, multiplexed};
pub use ipcspec_macros::{case, check, fault, holds};
pub use isolation::{Isolation, LEVELS, Namespaces, raise_loopback, writable_directory};
pub use keeper::{Report, serve_if_asked, told_to_case, worker_id};
pub use meet::{Counter, Latch};
pub use needs::{Cap, Facility, Need, effective_caps};
pub use pool::{Accompanied, Pool, Settings};
pub use port::write_port;
pub use verdict::{Details, Failure, Mishap, Outcome, Verdict, told};
