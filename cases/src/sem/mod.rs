//! Semaphores, of System V and of POSIX.

#![allow(
    clippy::doc_markdown,
    reason = "a claim is plain text: it is printed as it stands"
)]
#![allow(clippy::nonminimal_bool, reason = "`check!` negates what it is given")]
#![allow(
    clippy::needless_question_mark,
    reason = "`Ok(call()?)` makes an errno a failure"
)]

pub mod posix;
pub mod sysv;

use ipcspec_harness::Case;

/// The cases of this mechanism.
pub const CASES: &[&[Case]] = &[sysv::CASES, posix::CASES];
