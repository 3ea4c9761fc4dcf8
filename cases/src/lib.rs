//! What ipcspec asserts of Linux inter-process communication: one folder per
//! mechanism, one documented function per claim.
//!
//! A case cites the page and the heading that it tests, and knows nothing of
//! how it is run or reported. All unsafe code is in [`mod@sys`].

pub mod ipc;
pub mod msgqueue;
pub mod pages;
pub mod pipe;
pub mod prelude;
pub mod readiness;
pub mod sem;
pub mod shm;
pub mod signal;
pub mod socket;
pub mod sys;

use ipcspec_harness::{Case, Failure, Verdict};

/// Every case, in the order in which they are listed: by mechanism, then as
/// its modules list them.
pub fn all() -> Vec<&'static Case> {
    const MECHANISMS: [&[&[Case]]; 8] = [
        pipe::CASES,
        msgqueue::CASES,
        shm::CASES,
        sem::CASES,
        signal::CASES,
        socket::CASES,
        ipc::CASES,
        readiness::CASES,
    ];
    MECHANISMS.iter().flat_map(|modules| modules.iter()).flat_map(|cases| cases.iter()).collect()
}

/// The claims of the two source documents: the project's `claims.tsv`.
pub const CLAIMS: &str = include_str!("../data/claims.tsv");
/// Every item that the man pages document: the project's `documented.tsv`.
pub const DOCUMENTED: &str = include_str!("../data/documented.tsv");
/// Documented items that no case can settle, each with the reason.
pub const EXCLUDED: &str = include_str!("../data/excluded.tsv");

/// Violated unless `call` was refused with `errno`.
pub fn refused(answer: nix::Result<()>, errno: nix::errno::Errno, call: &str) -> Verdict {
    if answer == Err(errno) {
        return Ok(());
    }
    let (wanted, came) = (format!("Err({errno:?})"), format!("{answer:?}"));
    Err(Failure::violated(call, "", wanted, came).at_the_case())
}

/// A table of single calls that the documentation says are refused. A row is
/// a claim, what it settles, a name, the errno and the call; what has to be
/// set up stands in braces. Each row is a case of its own.
///
/// ```ignore
/// refusals! {
///     MSGOP_2, "ERRORS";
///
///     /// A message type below 1 is refused.
///     ["msgop.2 EINVAL"] type_zero_is_refused => EINVAL: Queue::private()?.send(0, b"");
/// }
/// ```
#[macro_export]
macro_rules! refusals {
    ($page:ident, $section:literal $(, $key:ident = $value:tt)*; $($rows:tt)+) => {
        $crate::refusals! { @ [$page, $section $(, $key = $value)*] $($rows)+ }
    };
    (@ $arguments:tt) => {};
    (
        @ [$($arguments:tt)*]
        $(#[doc = $claim:literal])+ $settles:tt $name:ident => $errno:ident: $call:expr;
        $($rows:tt)*
    ) => {
        #[::ipcspec_harness::case($($arguments)*, settles = $settles)]
        $(#[doc = $claim])+
        fn $name() -> ::ipcspec_harness::Verdict {
            $crate::refused(($call).map(|_| ()), $errno, stringify!($call))
        }
        $crate::refusals! { @ [$($arguments)*] $($rows)* }
    };
}
