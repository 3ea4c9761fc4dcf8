//! select: sets that come back with what is ready.

use std::os::fd::BorrowedFd;

use nix::sys::select::{FdSet, select};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::prelude::*;
use crate::sys::descriptors::just_closed;
use crate::sys::pipes::fill_pipe;

/// The cases of this module.
pub const CASES: &[Case] = &[
    end_of_file_counts_as_readable,
    sets_come_back_with_what_is_ready,
    write_wakes_a_sleeping_select,
    closed_descriptor_is_refused_and_the_sets_stay,
];

/// A set of these descriptors.
fn set<'a>(fds: &[BorrowedFd<'a>]) -> FdSet<'a> {
    let mut set = FdSet::new();
    for fd in fds {
        set.insert(*fd);
    }
    set
}

/// A read end is ready at the end of file too, and not while it is empty with a writer.
#[case(SELECT_2, "Arguments")]
fn end_of_file_counts_as_readable() -> Verdict {
    let (r, w) = pipe()?;
    let ready = || select(None, &mut set(&[r.as_fd()]), None, None, &mut TimeVal::zero());
    check!(ready() == Ok(0));
    drop(w);
    check!(ready() == Ok(1));
    check!(text(&r, 8) == Ok(""));
    Ok(())
}

/// Select clears the sets of all that is not ready and returns how many are left in all of them.
#[case(SELECT_2, "Arguments", also = [(SELECT_2, "RETURN VALUE")])]
fn sets_come_back_with_what_is_ready() -> Verdict {
    let ((r, w), (empty, _w), (_r, full)) = (pipe()?, pipe()?, pipe()?);
    fill_pipe(&full)?;
    write(&w, b"x")?;
    let mut reads = set(&[r.as_fd(), empty.as_fd()]);
    let mut writes = set(&[w.as_fd(), full.as_fd()]);
    let mut exceptions = set(&[r.as_fd(), w.as_fd()]);
    let now = &mut TimeVal::zero();
    check!(select(None, &mut reads, &mut writes, &mut exceptions, now) == Ok(2));
    check!(reads == set(&[r.as_fd()]));
    check!(writes == set(&[w.as_fd()]));
    check!(exceptions == set(&[]));
    Ok(())
}

/// Without a timeout select sleeps until a write makes the read end ready.
#[case(SELECT_2, "Arguments")]
fn write_wakes_a_sleeping_select() -> Verdict {
    let (r, w) = pipe()?;
    let sleeper = Child::spawn(|| {
        let mut reads = set(&[r.as_fd()]);
        check!(select(None, &mut reads, None, None, None) == Ok(1));
        check!(reads == set(&[r.as_fd()]));
        Ok(())
    })?;
    sleeper.blocked_in(SELECT)?;
    write(&w, b"x")?;
    sleeper.join()
}

/// A descriptor that is not open gives EBADF, though another is ready, and the sets are as they were.
#[case(SELECT_2, "ERRORS", also = [(SELECT_2, "RETURN VALUE")], settles = ["select.2 EBADF"])]
fn closed_descriptor_is_refused_and_the_sets_stay() -> Verdict {
    let (r, w) = pipe()?;
    let gone = just_closed(dup(&r)?);
    let mut reads = set(&[r.as_fd(), gone]);
    let mut writes = set(&[w.as_fd()]);
    check!(select(None, &mut reads, &mut writes, None, None) == Err(EBADF));
    check!(reads == set(&[r.as_fd(), gone]));
    check!(writes == set(&[w.as_fd()]));
    Ok(())
}
