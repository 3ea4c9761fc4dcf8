//! select: sets that come back with what is ready.

use nix::sys::select::{FdSet, select};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::prelude::*;
use crate::sys::pipes::{fill_pipe, just_closed, text};

/// The cases of this module.
pub const CASES: &[Case] = &[
    end_of_file_counts_as_readable,
    sets_come_back_with_what_is_ready,
    write_wakes_a_sleeping_select,
    closed_descriptor_is_refused_and_the_sets_stay,
];

/// A read end is ready at the end of file too, and not while it is empty with a writer.
#[case(SELECT_2, "Arguments")]
fn end_of_file_counts_as_readable() -> Verdict {
    let (r, w) = pipe()?;
    let ready = || {
        let mut reads = FdSet::new();
        reads.insert(r.as_fd());
        select(None, &mut reads, None, None, &mut TimeVal::zero())
    };
    check!(ready() == Ok(0));
    drop(w);
    check!(ready() == Ok(1));
    check!(text(&r, 8).as_deref() == Ok(""));
    Ok(())
}

/// Select clears the sets of all that is not ready and returns how many are left in all of them.
#[case(SELECT_2, "Arguments", also = [(SELECT_2, "RETURN VALUE")])]
fn sets_come_back_with_what_is_ready() -> Verdict {
    let ((r, w), (empty, full)) = (pipe()?, pipe()?);
    fill_pipe(&full)?;
    text(&empty, usize::from(u16::MAX) + 1)?;
    fill_pipe(&full)?;
    let (other_empty, _other_w) = pipe()?;
    write(&w, b"x")?;
    let (mut reads, mut writes, mut exceptions) = (FdSet::new(), FdSet::new(), FdSet::new());
    [&r, &other_empty]
        .into_iter()
        .for_each(|fd| reads.insert(fd.as_fd()));
    [&w, &full]
        .into_iter()
        .for_each(|fd| writes.insert(fd.as_fd()));
    exceptions.insert(r.as_fd());
    let count = select(
        None,
        &mut reads,
        &mut writes,
        &mut exceptions,
        &mut TimeVal::zero(),
    );
    check!(count == Ok(2));
    check!(
        (
            reads.contains(r.as_fd()),
            reads.contains(other_empty.as_fd())
        ) == (true, false)
    );
    check!((writes.contains(w.as_fd()), writes.contains(full.as_fd())) == (true, false));
    check!(!exceptions.contains(r.as_fd()));
    Ok(())
}

/// Without a timeout select sleeps until a write makes the read end ready.
#[case(SELECT_2, "Arguments")]
fn write_wakes_a_sleeping_select() -> Verdict {
    let (r, w) = pipe()?;
    let sleeper = Child::spawn(|| {
        let mut reads = FdSet::new();
        reads.insert(r.as_fd());
        check!(select(None, &mut reads, None, None, None) == Ok(1));
        check!(reads.contains(r.as_fd()));
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
    let (mut reads, mut writes) = (FdSet::new(), FdSet::new());
    let gone = just_closed(dup(&r)?);
    [r.as_fd(), gone]
        .into_iter()
        .for_each(|fd| reads.insert(fd));
    writes.insert(w.as_fd());
    check!(select(None, &mut reads, &mut writes, None, None) == Err(EBADF));
    check!((reads.contains(r.as_fd()), reads.contains(gone)) == (true, true));
    check!(writes.contains(w.as_fd()));
    Ok(())
}
